//! STARTTLS and AUTH over a real socket.

use directory::attributes;
use rights::RightName;
use transport::{CredentialLimits, Rate};

use crate::site::{CLIENT, INTERNET, Plan, Site};
use crate::wire::{Wire, text, tls_client};

#[test]
fn a_client_logs_on_after_starttls_and_sends_as_itself() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(CLIENT));
    assert!(!wire.say("EHLO client.test", "250").contains("AUTH"));
    wire.start_tls(&tls_client());
    assert!(wire.say("EHLO client.test", "250").contains("AUTH"));
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("alice@example.com", &["bob@example.com"], &text("alice@example.com", "tls"));
    assert!(reply.starts_with("250"), "{reply}");
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("ESMTPSA"), "{mail}");
}

#[test]
fn a_message_sent_as_somebody_else_is_in_the_audit() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.grant(RightName::SendAs, "bob", "alice")),
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("bob@example.com", &["alice@example.com"], &text("bob@example.com", "as bob"));
    assert!(reply.starts_with("250"), "{reply}");
    site.await_mail("alice", 1);
    site.shared.audit().flush();
    let filter = store::AuditFilter { kind: Some("sent-as".into()), ..store::AuditFilter::default() };
    let entries = site.shared.audit().store().list(&filter).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].json.contains("EXAMPLE\\\\alice"), "{}", entries[0].json);
    assert_eq!(site.shared.queue().counts().unwrap().audit_backlog, 0);
}

#[test]
fn a_wrong_password_is_refused_and_the_right_one_taken_afterwards() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "bob-demo", "535 5.7.3");
    wire.auth("nobody", "bob-demo", "535 5.7.3");
    wire.auth("alice", "alice-demo", "235");
}

#[test]
fn a_source_with_too_many_failures_is_put_off() {
    let limits = CredentialLimits {
        per_source: Rate { burst: 1, refill: std::time::Duration::from_secs(3600) },
        threads: 1,
        ..CredentialLimits::default()
    };
    let site = Site::with(Plan { limits, ..Plan::default() });
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "wrong", "535");
    wire.auth("alice", "alice-demo", "454 4.7.0");
}

#[test]
fn commands_injected_before_the_handshake_are_not_carried_out() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.send("STARTTLS\r\nNOOP\r\n");
    let reply = wire.reply();
    assert!(reply.starts_with('5'), "{reply}");
    wire.expect_end();
}

#[test]
fn what_comes_instead_of_a_handshake_ends_the_connection() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.say("STARTTLS", "220");
    wire.send("EHLO client.test\r\n");
    let reply = wire.reply();
    assert!(!reply.starts_with('2'), "{reply}");
}

#[test]
fn a_ticket_is_worth_something_on_its_own_connector_only() {
    let site = Site::start();
    let config = tls_client();
    let connect = |binding: &str| {
        let mut wire = Wire::greet(site.address(binding));
        wire.say("EHLO client.test", "250");
        wire.start_tls(&config);
        // The ticket comes after the handshake, before the first reply.
        wire.say("EHLO client.test", "250");
        let resumed = wire.resumed();
        wire.say("QUIT", "221");
        resumed
    };
    assert!(!connect(CLIENT));
    assert!(connect(CLIENT));
    assert!(!connect(INTERNET));
}

#[test]
fn an_account_that_is_disabled_loses_its_session_and_cannot_log_on_again() {
    let mut site = Site::start();
    let log_on = |site: &Site, start: &str| {
        let mut wire = Wire::greet(site.address(CLIENT));
        wire.say("EHLO client.test", "250");
        wire.start_tls(&tls_client());
        wire.say("EHLO client.test", "250");
        wire.auth("alice", "alice-demo", start);
        wire
    };
    let mut open = log_on(&site, "235");
    site.change(|directory| {
        let alice = directory.snapshot.resolve_login("alice").unwrap();
        let guid = directory.snapshot.object(alice).unwrap().guid();
        let attributes = vec![(attributes::USER_ACCOUNT_CONTROL.to_owned(), vec![b"514".to_vec()])];
        directory.apply(vec![directory::Change::Modify { guid, attributes }]);
    });
    open.say("MAIL FROM:<alice@example.com>", "421");
    log_on(&site, "535");
}
