//! `procura explain` and `procura check`: the same answers as SMTP gives, with their reasons.

#![allow(clippy::unwrap_used)]

use e2e::{Attempt, Demo, Logon, Mechanism, Outcome, Tool, require};

fn send(demo: &Demo, name: &str, envelope: &str, from: &str) -> Outcome {
    let attempt = Attempt {
        tool: Tool::Curl,
        port: demo.client_port,
        logon: Logon::Account {
            login: name.to_owned(),
            password: format!("{name}-demo"),
            mailbox: None,
            mechanism: Mechanism::Plain,
        },
        envelope: envelope.to_owned(),
        to: vec!["bob@example.com".to_owned()],
        message: format!("From: {from}\nSubject: why\n\nhello\n"),
    };
    attempt.send()
}

/// The explanation, in lower case, of a message that was accepted: its decision id is in the server's log.
#[track_caller]
fn accepted(demo: &mut Demo, name: &str, address: &str) -> String {
    let outcome = send(demo, name, address, address);
    assert!(outcome.is_accepted(), "{}", outcome.reply);
    let log = demo.server().wait_for_output("decision=\"");
    let id = log.rsplit("decision=\"").next().and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    demo.procura(&["explain", &id]).ok().to_lowercase()
}

/// The explanation of a refusal, in lower case.
#[track_caller]
fn refused(demo: &Demo, name: &str, envelope: &str, from: &str) -> String {
    let outcome = send(demo, name, envelope, from);
    let id = outcome.decision().unwrap_or_else(|| panic!("no decision in {:?}", outcome.reply));
    demo.procura(&["explain", id]).ok().to_lowercase()
}

#[track_caller]
fn tells(explanation: &str, words: &[&str]) {
    let missing: Vec<&&str> = words.iter().filter(|word| !explanation.contains(&word.to_lowercase())).collect();
    assert!(missing.is_empty(), "{missing:?} not in:\n{explanation}");
}

#[test]
fn a_refusal_at_the_envelope_tells_who_asked_for_what() {
    if require(&["curl"]) {
        let demo = Demo::start();
        tells(&refused(&demo, "bob", "ceo@example.com", "ceo@example.com"), &["bob", "ceo@example.com", "send as"]);
    }
}

#[test]
fn a_refusal_of_the_header_tells_which_address_it_was() {
    if require(&["curl"]) {
        let demo = Demo::start();
        tells(&refused(&demo, "bob", "bob@example.com", "ceo@example.com"), &["bob", "ceo@example.com", "from"]);
    }
}

#[test]
fn a_denial_is_named_with_its_entry_and_its_object() {
    if require(&["curl"]) {
        let demo = Demo::start();
        tells(&refused(&demo, "gina", "ceo@example.com", "ceo@example.com"), &["gina", "deny", "send as", "ou=staff"]);
    }
}

#[test]
fn a_message_sent_on_behalf_has_its_reason_too() {
    if require(&["curl"]) {
        let mut demo = Demo::start();
        tells(&accepted(&mut demo, "alice", "ceo@example.com"), &["alice", "ceo@example.com", "behalf"]);
    }
}

#[test]
fn send_as_through_nested_groups_shows_the_path() {
    if require(&["curl"]) {
        let mut demo = Demo::start();
        let words = ["frank", "sales@example.com", "sales seniors", "send as"];
        tells(&accepted(&mut demo, "frank", "sales@example.com"), &words);
    }
}

#[test]
fn an_inherited_grant_shows_where_it_comes_from() {
    if require(&["curl"]) {
        let mut demo = Demo::start();
        let words = ["goodadmin", "inherited", "ou=staff"];
        tells(&accepted(&mut demo, "goodadmin", "ceo@example.com"), &words);
    }
}

#[test]
fn an_unknown_decision_is_said_so() {
    let demo = Demo::start();
    let finished = demo.procura(&["explain", "01ARZ3NDEKTSV4RRFFQ69G5FAV"]);
    assert!(finished.code != 0 && finished.err.contains("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "{finished:?}");
}

/// who, further arguments of `check`, allowed
const QUESTIONS: [(&str, &[&str], bool); 12] = [
    ("bob", &["--from", "bob@example.com"], true),
    ("bob", &["--from", "ceo@example.com"], false),
    ("alice", &["--from", "ceo@example.com"], true),
    ("alice", &["--from", "ceo@example.com", "--sender", "alice@example.com"], true),
    ("alice", &["--from", "ceo@example.com", "--sender", "bob@example.com"], false),
    ("frank", &["--from", "sales@example.com"], true),
    ("gina", &["--from", "ceo@example.com"], false),
    ("goodadmin", &["--from", "scanner1@example.com"], true),
    ("goodadmin", &["--from", "press1@example.com"], false),
    ("erin", &["--from", "ceo@example.com", "--logon", "ceo"], false),
    ("dave", &["--from", "ceo@example.com", "--logon", "ceo"], true),
    ("anonymous", &["--from", "ceo@example.com"], false),
];

#[test]
fn check_answers_as_a_session_would_without_sending() {
    let demo = Demo::start();
    let mut wrong = Vec::new();
    for (who, arguments, allowed) in QUESTIONS {
        let mut all = vec!["check", "--as", who];
        all.extend(arguments);
        let finished = demo.procura(&all);
        if finished.code != i32::from(!allowed) {
            wrong.push(format!("{who} {arguments:?}: exit code {}\n{}", finished.code, finished.all()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(demo.mailboxes().is_empty(), "something was sent");
}

#[test]
fn check_of_an_unknown_account_is_an_error_and_not_a_refusal() {
    let demo = Demo::start();
    let finished = demo.procura(&["check", "--as", "nobody", "--from", "ceo@example.com"]);
    assert!(finished.code == 2 && finished.err.contains("nobody"), "{finished:?}");
}
