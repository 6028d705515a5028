//! Receiving: pipelining, limits of time and space, connectors.

use std::net::SocketAddr;

use directory::attributes;
use queue::QueueOptions;
use rights::PermissionGroup;

use crate::site::{CLIENT, INTERNET, Plan, Site, eventually};
use crate::wire::{Wire, text};

#[test]
fn a_message_from_outside_lands_in_the_mailbox() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.mail("sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "hello"));
    assert!(reply.starts_with("250 2.6.0"), "{reply}");
    wire.say("QUIT", "221");
    wire.expect_end();
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.starts_with("Return-Path: <sue@outside.test>\nDelivered-To: bob@example.com\n"), "{mail}");
    assert!(mail.contains("\nSubject: hello\n") && mail.ends_with("\n\nHello\n"), "{mail}");
    site.await_empty_queue();
}

#[test]
fn pipelined_commands_are_all_answered_in_order() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.send("MAIL FROM:<sue@outside.test>\r\nRCPT TO:<nobody@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n");
    for code in ["250", "550", "250", "354"] {
        wire.expect(code);
    }
    wire.send("From: <sue@outside.test>\r\n\r\n..dot\r\n.\r\nNOOP\r\nQUIT\r\n");
    for code in ["250 2.6.0", "250", "221"] {
        wire.expect(code);
    }
    wire.expect_end();
    assert!(site.await_mail("bob", 1)[0].ends_with("\n\n.dot\n"));
}

#[test]
fn a_client_that_sends_byte_by_byte_is_understood() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    let script = [
        ("EHLO c.test", "250"),
        ("MAIL FROM:<sue@outside.test>", "250"),
        ("RCPT TO:<bob@example.com>", "250"),
        ("DATA", "354"),
        ("From: <sue@outside.test>\r\n\r\nslow\r\n.", "250"),
        ("QUIT", "221"),
    ];
    for (words, code) in script {
        for byte in words.bytes().chain(*b"\r\n") {
            wire.send_bytes(&[byte]).unwrap();
        }
        wire.expect(code);
    }
    site.await_mail("bob", 1);
}

#[test]
fn a_client_that_talks_before_the_greeting_is_not_served() {
    let site = Site::start();
    let mut wire = Wire::connect(site.address(INTERNET));
    wire.send("EHLO eager.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.com>\r\nQUIT\r\n");
    // It may be greeted before its words arrive; then it is a client that pipelines too early. Either way it ends.
    let mut replies = Vec::new();
    while let reply @ 1.. = wire.reply().len() {
        replies.push(reply);
        assert!(replies.len() < 10);
    }
    assert!(site.mailbox("bob").is_empty());
}

#[test]
fn a_silent_client_is_told_and_disconnected() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.set_connector("internet", attributes::COMMAND_TIMEOUT, "1")),
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.expect("421 4.4.2");
    wire.expect_end();
}

#[test]
fn a_full_queue_is_temporary_and_the_session_goes_on() {
    let site =
        Site::with(Plan { queue: QueueOptions { min_free: u64::MAX, ..QueueOptions::default() }, ..Plan::default() });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.mail("sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "full"));
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    wire.say("NOOP", "250");
}

#[test]
fn a_large_message_that_does_not_fit_is_read_to_its_end_and_refused() {
    let site = Site::with(Plan {
        queue: QueueOptions { segment_size: 1 << 20, capacity: Some(2 << 20), min_free: 0, ..QueueOptions::default() },
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let body = format!("{}{}", text("sue@outside.test", "large"), "0123456789abcdef\n".repeat(500_000));
    let reply = wire.mail("sue@outside.test", &["bob@example.com"], &body);
    assert!(reply.starts_with("452 4.3.1"), "{reply}");
    wire.say("NOOP", "250");
}

#[test]
fn the_connector_with_the_most_specific_range_answers() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| {
            let settings = [(attributes::RECEIVE_RANGES, "127.0.0.1"), (attributes::RECEIVE_BANNER, "only for you")];
            directory.receive("one", PermissionGroup::AnonymousUsers, &[INTERNET], &settings);
        }),
        ..Plan::default()
    });
    let mut wire = Wire::connect(site.address(INTERNET));
    assert!(wire.expect("220").contains("only for you"));
    let mut names = site.server().bindings().remove(0).connectors;
    names.sort_unstable();
    assert_eq!(names, ["internet", "one"]);
}

#[test]
fn a_client_that_no_connector_takes_is_turned_away() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| {
            directory.set_connector("internet", attributes::RECEIVE_RANGES, "192.0.2.0/24")
        }),
        ..Plan::default()
    });
    let mut wire = Wire::connect(site.address(INTERNET));
    wire.expect("421 4.3.2");
    wire.expect_end();
}

#[test]
fn a_connector_that_is_disabled_stops_listening_and_ends_its_sessions() {
    let mut site = Site::start();
    let address = site.address(INTERNET);
    let mut open = Wire::greet(address);
    site.change(|directory| directory.set_connector("internet", attributes::RECEIVE_ENABLED, "FALSE"));
    open.expect("421");
    open.expect_end();
    eventually("the end of the listener", || std::net::TcpStream::connect(address).is_err().then_some(()));
    Wire::greet(site.address(CLIENT)).say("QUIT", "221");
}

#[test]
fn a_new_connector_is_served_without_a_restart() {
    let mut site = Site::start();
    site.change(|directory| directory.receive("new", PermissionGroup::AnonymousUsers, &["127.0.0.1:0"], &[]));
    let address: SocketAddr = eventually("a third binding", || {
        let bindings = site.server().bindings();
        bindings.iter().find(|binding| binding.configured.port() == 0).map(|binding| binding.actual)
    });
    Wire::greet(address).say("QUIT", "221");
}

#[test]
fn too_many_connections_from_one_address_are_turned_away() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.set_connector("internet", attributes::RECEIVE_MAX_PER_SOURCE, "2")),
        ..Plan::default()
    });
    let address = site.address(INTERNET);
    let _first = Wire::greet(address);
    let mut second = Wire::greet(address);
    Wire::connect(address).expect("421 4.7.0");
    second.say("QUIT", "221");
    second.expect_end();
    drop(second);
    eventually("a free seat", || {
        let mut wire = Wire::connect(address);
        wire.reply().starts_with("220").then_some(())
    });
}

#[test]
fn a_refusal_is_found_in_the_audit_by_the_id_of_its_reply() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.say("MAIL FROM:<alice@example.com>", "550 5.7.1");
    let id = reply.split("decision ").nth(1).unwrap().split(']').next().unwrap();
    let entry = site.shared.audit().find(id).unwrap().unwrap();
    assert_eq!(entry.kind, "refused");
    assert!(entry.json.contains("alice@example.com"), "{}", entry.json);
}

#[test]
fn a_group_is_expanded_when_the_message_comes() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| {
            directory.group("inner", &["bob"]);
            directory.group("team", &["alice", "inner"]);
        }),
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let to = ["team@example.com", "bob@example.com"];
    let reply = wire.mail("sue@outside.test", &to, &text("sue@outside.test", "all"));
    assert!(reply.starts_with("250"), "{reply}");
    site.await_mail("alice", 1);
    site.await_mail("bob", 1);
    site.await_empty_queue();
    assert_eq!(site.mailbox("bob").len(), 1);
}
