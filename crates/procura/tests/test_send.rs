//! `procura test-send` ends with one verdict.

#![allow(clippy::unwrap_used)]

mod common;

use common::Demo;

/// The words that say what would become of mail.
const VERDICTS: [&str; 4] = ["REFUSED", "accepted", "PAUSED", "allowed"];

fn arguments<'a>(from: &'a str, server: &'a str) -> Vec<&'a str> {
    let to = "bob@example.com";
    vec!["test-send", "--as", "goodadmin", "--from", from, "--to", to, "--server", server, "--password-stdin"]
}

#[test]
fn a_wrong_password_ends_with_one_verdict() {
    let demo = Demo::start();
    let server = demo.client.to_string();
    let said = demo.run_with(&arguments("ceo@example.com", &server), "wrong\n");
    assert_eq!(said.code, 1, "{}{}", said.out, said.err);
    let (steps, end) = said.out.split_once("\n\n").unwrap();
    assert!(steps.lines().last().unwrap().starts_with("< 535"), "{steps}");
    assert_eq!(end, "REFUSED: the logon failed; nothing was sent\n");
    let told: usize = VERDICTS.iter().map(|word| end.matches(word).count()).sum();
    assert_eq!(told, 1, "{end}");
}

#[test]
fn a_wrong_password_has_no_decision_in_json() {
    let demo = Demo::start();
    let server = demo.client.to_string();
    let json = ["--format", "json"];
    let arguments: Vec<_> = json.into_iter().chain(arguments("ceo@example.com", &server)).collect();
    let said = demo.run_with(&arguments, "wrong\n");
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["outcome"], "REFUSED: the logon failed; nothing was sent");
    assert!(document["decision"].is_null() && document["stages"].is_null(), "{document}");
}

#[test]
fn who_has_logged_on_is_told_what_was_decided() {
    let demo = Demo::start();
    let server = demo.client.to_string();
    let said = demo.run_with(&arguments("ceo@example.com", &server), "goodadmin-demo\n");
    assert!(said.code == 0 && said.out.contains("on its way") && said.out.contains("decision"), "{}", said.out);
}
