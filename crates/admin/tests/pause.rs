//! Service accounts whose mail waits for a missing right, and what waits (`authorization.md` §8).

#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, PauseFate, PauseRequest as P, PauseResponse, Request as R, Response};
use admin::{FaultKind, queue_directory};
use common::{HELPER, ROOT, Site, send_as, undo};
use queue::{Envelope, Hold, Queue, QueueOptions, Recipient};

fn enable(site: &Site, wanted: op::PauseEnable) -> String {
    site.done(R::Pause(P::Enable(op::PauseEnable { account: "helper".into(), ..wanted })))
}

fn policy(site: &Site) -> op::PausePolicy {
    match site.ask(R::Pause(P::Policy(op::PauseOf { account: "helper".into() }))) {
        Response::Pause(PauseResponse::Policy(policy)) => policy,
        other => panic!("{other:?}"),
    }
}

fn list(site: &Site) -> Vec<op::PauseRow> {
    match site.ask(R::Pause(P::List(op::PauseList { messages: true, ..op::PauseList::default() }))) {
        Response::Pause(PauseResponse::List(page)) => page.rows,
        other => panic!("{other:?}"),
    }
}

/// Puts a message of `helper` for zoe into the queue of the site, held as `prefix` says.
fn held(site: &Site, queue_id: &str, prefix: &str) {
    let snapshot = site.service.snapshot();
    let guid = |name: &str| snapshot.object(snapshot.resolve(name).unwrap()).unwrap().guid();
    let options = QueueOptions { min_free: 0, segment_size: 1 << 20, ..QueueOptions::default() };
    let (queue, _) = Queue::open(&queue_directory(site.service.directory()), options).unwrap();
    let mut body = queue.begin();
    body.write(b"From: zoe@example.com\r\n\r\n").unwrap();
    let recipient = "max@example.com".to_owned();
    let envelope = Envelope {
        queue_id: queue_id.to_owned(),
        sender: Some("zoe@example.com".to_owned()),
        recipients: vec![Recipient { address: recipient, destination: "x".into(), parameters: String::new() }],
        received: 1_000_000,
        expires: i64::MAX,
        smtputf8: false,
        eight_bit: false,
        parameters: r#"{"pause":{"decision":"01J8ZQ5C3N5T6V7W8X9Y0Z1A2C"}}"#.to_owned(),
        hold: Some(Hold { key: format!("{prefix}{}:{}", guid("helper"), guid("zoe")), reason: "too old".into() }),
        lane: None,
        audit: None,
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    queue.commit(body, envelope, move |answer| sender.send(answer).unwrap());
    receiver.recv().unwrap().unwrap();
    queue.close();
}

#[test]
fn an_account_pauses_for_everybody_or_for_a_scope_within_limits() {
    let site = Site::new();
    assert!(!policy(&site).enabled);
    let said = enable(&site, op::PauseEnable::default());
    assert!(
        said.contains("EXAMPLE\\helper waits while a right is missing") && said.contains("nobody is told"),
        "{said}"
    );
    let everybody = policy(&site);
    assert!(everybody.enabled && everybody.scope[0].starts_with("CN=First Organization,"), "{everybody:?}");
    assert_eq!((everybody.max_messages, everybody.max_age), (100_000, 7 * 86_400));
    enable(
        &site,
        op::PauseEnable {
            scope: vec!["OU=Staff".into(), "max".into()],
            max_messages: Some(5),
            max_age: Some(60),
            notify: vec!["ops@example.com".into()],
            ..op::PauseEnable::default()
        },
    );
    let some = policy(&site);
    assert_eq!(some.scope.len(), 2, "{some:?}");
    assert_eq!((some.max_messages, some.max_age, &some.notify[..]), (5, 60, &["ops@example.com".to_owned()][..]));
}

#[test]
fn the_setting_has_a_history_and_is_undone_exactly() {
    let site = Site::new();
    let before = site.records();
    enable(&site, op::PauseEnable { scope: vec!["OU=Staff".into()], ..op::PauseEnable::default() });
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
    enable(&site, op::PauseEnable { max_messages: Some(7), ..op::PauseEnable::default() });
    let enabled = site.records();
    site.ask(R::Pause(P::Disable(op::PauseOf { account: "helper".into() })));
    assert!(!policy(&site).enabled);
    site.ask(undo(site.version()));
    assert_eq!(site.records(), enabled);
}

#[test]
fn what_is_no_mail_address_is_told_nothing() {
    let site = Site::new();
    let wanted = op::PauseEnable { account: "helper".into(), notify: vec!["nobody".into()], ..Default::default() };
    let (kind, message) = site.fault(ROOT, R::Pause(P::Enable(wanted)));
    assert!(kind == FaultKind::Invalid && message.contains("nobody is no mail address"), "{message}");
}

#[test]
fn whoever_may_not_write_the_account_does_not_set_it() {
    let site = Site::new();
    let wanted = op::PauseEnable { account: "max".into(), ..Default::default() };
    let (kind, message) = site.fault(HELPER, R::Pause(P::Enable(wanted)));
    assert!(kind == FaultKind::Denied, "{message}");
    let (kind, _) = site.fault(HELPER, R::Pause(P::List(op::PauseList::default())));
    assert_eq!(kind, FaultKind::Denied);
}

#[test]
fn what_waits_is_listed_with_what_is_missing_and_what_mends_it() {
    let site = Site::new();
    held(&site, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", "pause:");
    let rows = list(&site);
    let row = &rows[0];
    assert_eq!((row.account.as_str(), row.user.as_str()), ("EXAMPLE\\helper", "EXAMPLE\\zoe"));
    assert_eq!((row.state.as_str(), row.reason.as_str()), ("paused", "Exchange Not Accessible"));
    assert_eq!((row.messages, row.missing.as_str(), row.cause.as_str()), (1, "Send As", "no-entry"));
    assert!(row.on.starts_with("CN=zoe,OU=Staff") && row.command.contains("--inherit-to user"), "{row:?}");
    assert!(row.event.starts_with("Failed to submit mail message for user zoe. (HRESULT:-2147024891)"), "{row:?}");
    assert_eq!(row.since, "1970-01-01T00:16:40.000Z");
    assert_eq!((row.held[0].to[0].as_str(), row.held[0].decision.len()), ("max@example.com", 26));
    assert_eq!(policy(&site).messages, 1);
}

#[test]
fn what_was_set_aside_says_why_and_that_nothing_is_missing_any_more() {
    let site = Site::new();
    held(&site, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", "aside:");
    site.ask(send_as("zoe", "helper"));
    let rows = list(&site);
    assert_eq!((rows[0].state.as_str(), rows[0].reason.as_str()), ("set-aside", "too old"));
    assert!(rows[0].missing.is_empty() && rows[0].command.is_empty(), "{:?}", rows[0]);
    assert_eq!(policy(&site).set_aside, 1);
}

#[test]
fn without_a_server_nothing_is_released_and_it_says_so() {
    let site = Site::new();
    held(&site, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", "pause:");
    let order = op::PauseOrder { what: PauseFate::Release, ..op::PauseOrder::default() };
    let (kind, message) = site.fault(ROOT, R::Pause(P::Order(order)));
    assert!(kind == FaultKind::Unsupported && message.contains("no server runs"), "{message}");
}

#[test]
fn users_are_active_paused_or_not_covered() {
    let site = Site::new();
    held(&site, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", "pause:");
    site.ask(send_as("max", "helper"));
    site.user("kim", Some("OU=Plant"));
    let asked = op::PauseUsers { account: "helper".into(), after: None };
    let Response::Pause(PauseResponse::Users(page)) = site.ask(R::Pause(P::Users(asked))) else { panic!() };
    let states: Vec<(&str, &str)> = page.rows.iter().map(|row| (row.user.as_str(), row.state.as_str())).collect();
    assert_eq!(
        states,
        [("EXAMPLE\\zoe", "paused"), ("EXAMPLE\\max", "active"), ("EXAMPLE\\kim", "not-covered")],
        "{:?}",
        page.rows
    );
}

#[test]
fn users_are_decided_for_as_for_a_message() {
    let site = Site::new();
    site.ask(send_as("max", "helper"));
    site.ask(common::grant("Client", "helper", "ms-Exch-SMTP-Submit", false, None));
    enable(&site, op::PauseEnable { scope: vec!["zoe".into()], ..op::PauseEnable::default() });
    site.user("kim", Some("OU=Plant"));
    let asked = op::PauseDecide { account: "helper".into(), ..op::PauseDecide::default() };
    let Response::Pause(PauseResponse::Decided(decided)) = site.ask(R::Pause(P::Decide(asked))) else { panic!() };
    assert_eq!((decided.allowed, decided.users), (1, 3));
    let rows: Vec<(&str, bool)> = decided.rows.iter().map(|row| (row.user.as_str(), row.pauses)).collect();
    assert_eq!(rows, [("EXAMPLE\\zoe", true), ("EXAMPLE\\kim", false)]);
    assert!(decided.rows[1].reply.starts_with("550 5.7.1"), "{:?}", decided.rows[1]);
}
