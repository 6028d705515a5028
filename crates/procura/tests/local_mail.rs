//! Mail of programs on this machine: `procura sendmail`, as which account, and what is refused.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Demo, Finished, Server, command, finish, free, on};

/// A demo with a socket for local mail, and these accounts.
fn demo(accounts: &str) -> Demo {
    let mut demo = Demo::start();
    demo.stop();
    let text = format!("[local]\nsocket = \"submit.sock\"\nconnector = \"Client\"\naccounts = {{ {accounts} }}\n");
    std::fs::write(demo.data().join("procura.toml"), text).unwrap();
    demo.start_again();
    demo
}

/// A demo where whoever runs the test is alice.
fn of_alice() -> Demo {
    demo(&format!("{} = \"alice\"", rustix::process::geteuid().as_raw()))
}

fn socket(demo: &Demo) -> PathBuf {
    demo.data().join("submit.sock")
}

fn sendmail(demo: &Demo, arguments: &[&str], message: &str) -> Finished {
    finish(command().env("PROCURA_SUBMIT", socket(demo)).arg("sendmail").args(arguments), message)
}

const MESSAGE: &str = "From: alice@example.com\nTo: bob@example.com\nBcc: ceo@example.com\nSubject: x\n\ntext\n";

#[test]
fn a_program_sends_as_the_account_of_its_user() {
    let demo = of_alice();
    sendmail(&demo, &["bob@example.com"], MESSAGE).ok();
    let traced = demo.run(&["trace", "--to", "bob@example.com"]).ok();
    assert!(traced.contains("<alice@example.com> to bob@example.com"), "{traced}");
    assert!(traced.contains("by connector Client") && traced.contains("as EXAMPLE\\alice"), "{traced}");
}

#[test]
fn recipients_may_come_from_the_header() {
    let demo = of_alice();
    sendmail(&demo, &["-t", "-i"], MESSAGE).ok();
    let traced = demo.run(&["trace", "--from", "alice@example.com"]).ok();
    assert!(traced.contains("to bob@example.com, ceo@example.com"), "{traced}");
}

#[test]
fn nobody_sends_as_somebody_else() {
    let demo = of_alice();
    sendmail(&demo, &["-f", "bob@example.com", "bob@example.com"], MESSAGE).fails(69, &["550 5.7.1"]);
    let as_bob = MESSAGE.replace("From: alice", "From: bob");
    sendmail(&demo, &["bob@example.com"], &as_bob).fails(69, &["550 5.7.1", "decision "]);
}

#[test]
fn a_user_without_an_account_is_told_so() {
    sendmail(&demo(""), &["bob@example.com"], MESSAGE).fails(77, &["no account"]);
}

#[test]
fn a_server_that_is_away_is_an_error_that_passes() {
    let mut demo = of_alice();
    demo.stop();
    sendmail(&demo, &["bob@example.com"], MESSAGE).fails(75, &["submit.sock"]);
}

#[test]
fn a_server_that_was_killed_leaves_a_socket_that_is_taken_over() {
    let mut demo = of_alice();
    demo.server.take().unwrap().kill();
    assert!(socket(&demo).exists());
    demo.start_again();
    sendmail(&demo, &["bob@example.com"], MESSAGE).ok();
}

#[test]
fn the_program_is_called_sendmail_too() {
    let demo = of_alice();
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("sendmail");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_procura"), &link).unwrap();
    let mut command = std::process::Command::new(&link);
    finish(command.env("PROCURA_SUBMIT", socket(&demo)).args(["-oi", "-t"]), MESSAGE).ok();
}

#[test]
fn an_organization_of_ones_own_needs_no_connector_named() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let run = |arguments: &[&str], input: &str| on(&data, arguments, input).ok();
    finish(command().args(["init", "--hostname", "mx1.example.com"]).arg(&data), "").ok();
    run(&["connector", "receive", "set", "Client MX1", "--bindings", &free().to_string()], "");
    run(&["connector", "receive", "remove", "Default MX1"], "");
    run(&["user", "add", "alice", "--mailbox"], "");
    let account = format!("{} = \"alice\"", rustix::process::geteuid().as_raw());
    let text = format!("[local]\nsocket = \"submit.sock\"\naccounts = {{ {account} }}\n");
    std::fs::write(data.join("procura.toml"), text.clone() + "[node]\nhostname = \"mx1.example.com\"\n").unwrap();
    let server = Server::start(command().arg("serve").arg("--data").arg(&data));
    let sent = |arguments: &[&str]| {
        finish(command().env("PROCURA_SUBMIT", data.join("submit.sock")).arg("sendmail").args(arguments), MESSAGE)
    };
    sent(&["alice@example.com"]).ok();
    assert!(run(&["trace", "--to", "alice@example.com"], "").contains("by connector Client MX1"));
    assert_eq!(server.stop(), 0);
}
