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
fn a_delegate_sees_in_the_log_or_reply_why_a_message_went_out() {
    if require(&["curl"]) {
        let demo = Demo::start();
        let outcome = send(&demo, "alice", "alice@example.com", "ceo@example.com");
        assert!(outcome.is_accepted(), "{}", outcome.reply);
        // "Each `sent as somebody else` has a decision id in the reply or log."
        let id = outcome.decision().expect("a decision id in the reply to a message sent on behalf");
        tells(&demo.procura(&["explain", id]).ok().to_lowercase(), &["alice", "ceo@example.com", "behalf"]);
    }
}

#[test]
fn send_as_through_nested_groups_shows_the_path() {
    if require(&["curl"]) {
        let demo = Demo::start();
        let outcome = send(&demo, "frank", "sales@example.com", "sales@example.com");
        let id = outcome.decision().expect("a decision id in the reply to a message sent as somebody else");
        tells(
            &demo.procura(&["explain", id]).ok().to_lowercase(),
            &["frank", "sales@example.com", "sales seniors", "send as"],
        );
    }
}

#[test]
fn an_inherited_grant_shows_where_it_comes_from() {
    if require(&["curl"]) {
        let demo = Demo::start();
        let outcome = send(&demo, "goodadmin", "ceo@example.com", "ceo@example.com");
        let id = outcome.decision().expect("a decision id in the reply to a message sent as somebody else");
        tells(&demo.procura(&["explain", id]).ok().to_lowercase(), &["goodadmin", "inherited", "ou=staff"]);
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
