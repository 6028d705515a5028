//! Delivery to mailboxes and to hosts that do not behave.

use std::time::Duration;

use queue::Backoff;
use transport::{DeliveryOptions, ServerOptions, SmartHost};

use crate::hosts::{Host, Manners};
use crate::site::{INTERNET, Plan, Site, eventually};
use crate::wire::{Wire, text};

/// A site whose mail for `relay.test` goes to `host`, with retries at once.
fn relaying_to(host: &Host, more: impl FnOnce(&mut DeliveryOptions) + 'static) -> Site {
    let address = host.address;
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
        }),
        options: Box::new(move |options: &mut ServerOptions| {
            quick(&mut options.delivery);
            more(&mut options.delivery);
        }),
        ..Plan::default()
    })
}

fn quick(options: &mut DeliveryOptions) {
    options.backoff = Backoff { first: 20, longest: 50 };
}

fn send(site: &Site, from: &str, to: &[&str], text: &str) {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.mail(from, to, text);
    assert!(reply.starts_with("250"), "{reply}");
    wire.say("QUIT", "221");
}

#[test]
fn mail_for_another_domain_goes_to_the_host_of_its_send_connector() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |_| {});
    let mail = format!("X-MS-Exchange-Organization-SCL: -1\n{}.leading dot\n", text("sue@outside.test", "out"));
    send(&site, "sue@outside.test", &["rita@relay.test"], &mail);
    let got = host.message();
    assert!(got.from.starts_with("MAIL FROM:<sue@outside.test>"), "{got:?}");
    assert_eq!(got.to, ["RCPT TO:<rita@relay.test>"]);
    assert!(got.text.contains("Subject: out") && got.text.ends_with("Hello\n.leading dot\n"), "{}", got.text);
    assert!(!got.text.contains("X-MS-Exchange-Organization"), "{}", got.text);
    site.await_empty_queue();
}

#[test]
fn several_messages_go_over_one_connection() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host, |_| {});
    for number in 0..3 {
        send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", &format!("m{number}")));
        assert_eq!(host.message().connection, 0);
    }
}

#[test]
fn each_recipient_has_an_outcome_of_its_own() {
    let refused = vec![("gone", "550 5.1.1 no such user"), ("busy", "451 4.2.1 later")];
    let first = Manners { refused, ..Manners::good() };
    let host = Host::start(vec![first, Manners::good()]);
    let site = relaying_to(&host, |options| options.timeouts.idle = Duration::ZERO);
    let to = ["rita@relay.test", "gone@relay.test", "busy@relay.test"];
    send(&site, "bob@outside.test", &to, &text("bob@outside.test", "three"));
    assert_eq!(host.message().to, ["RCPT TO:<rita@relay.test>"]);
    assert_eq!(host.message().to, ["RCPT TO:<busy@relay.test>"]);
    let states = eventually("a bounce that waits for a route", || {
        let listed = site.shared.queue().list(&queue::ListFilter::default()).unwrap();
        (listed.len() == 1 && listed[0].sender.is_none()).then(|| listed[0].clone())
    });
    let bounce = site.shared.queue().show(&states.queue_id).unwrap();
    assert_eq!(bounce.recipients[0].address, "bob@outside.test");
}

#[test]
fn a_permanent_refusal_comes_back_to_the_sender() {
    let manners = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![manners]);
    let site = Site::with(Plan {
        directory: {
            let address = host.address;
            Box::new(move |directory| {
                directory.accept("relay.test", "1");
                directory.send("relay", "SMTP:relay.test;1", address);
                directory.set_connector("internet", directory::attributes::HEADER_FROM, "off");
            })
        },
        options: Box::new(|options| quick(&mut options.delivery)),
        ..Plan::default()
    });
    // From inside, by a logged-on client, so that the bounce has a mailbox to go to.
    let mut wire = Wire::greet(site.address(crate::site::CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&crate::wire::tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("alice@example.com", &["gone@relay.test"], &text("alice@example.com", "lost"));
    assert!(reply.starts_with("250"), "{reply}");
    let bounce = site.await_mail("alice", 1).remove(0);
    assert!(bounce.starts_with("Return-Path: <>\n"), "{bounce}");
    for part in ["postmaster@example.com", "multipart/report", "Action: failed", "Status: 5.1.1", "gone@relay.test"] {
        assert!(bounce.contains(part), "{part} is not in {bounce}");
    }
    assert!(bounce.contains("550 5.1.1 no such user") && bounce.contains("Subject: lost"), "{bounce}");
    site.await_empty_queue();
}

/// F §3.11: the original message inside a report.
#[test]
fn a_message_comes_back_without_what_the_firewall_knows() {
    let manners = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![manners]);
    let address = host.address;
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            // Who comes from here is believed, and says what only trusted hosts may say.
            directory.trust_by_address();
        }),
        options: Box::new(|options| quick(&mut options.delivery)),
        ..Plan::default()
    });
    let mail = format!(
        "Received: from elsewhere by nowhere; Thu, 1 Jan 2026 11:00:00 +0000\nX-MS-Exchange-Organization-SCL: -1\n\
         X-MS-Exchange-Forest-RulesExecuted: all\nX-Other: stays\n{}",
        text("alice@example.com", "lost")
    );
    send(&site, "alice@example.com", &["gone@relay.test"], &mail);
    let bounce = site.await_mail("alice", 1).remove(0);
    let (_, returned) =
        bounce.split_once("Content-Type: message/rfc822").or(bounce.split_once("rfc822-headers")).unwrap();
    assert!(returned.contains("X-Other: stays") && returned.contains("Subject: lost"), "{bounce}");
    for gone in ["Received:", "X-MS-Exchange-Organization", "X-MS-Exchange-Forest", "X-Procura"] {
        assert!(!returned.contains(gone), "{gone} is in {bounce}");
    }
}

#[test]
fn a_null_sender_is_never_answered_but_recorded() {
    let manners = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![manners]);
    let site = relaying_to(&host, |_| {});
    send(&site, "", &["gone@relay.test"], &text("sue@outside.test", "report"));
    site.await_empty_queue();
    site.shared.audit().flush();
    let filter = store::AuditFilter { kind: Some("undeliverable".into()), ..store::AuditFilter::default() };
    let entries = site.shared.audit().store().list(&filter).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].json.contains("gone@relay.test"), "{}", entries[0].json);
}

#[test]
fn a_host_that_drops_the_connection_after_the_data_gets_the_message_again() {
    let drops = Manners { taken: None, ..Manners::good() };
    let host = Host::start(vec![drops, Manners::good()]);
    let site = relaying_to(&host, |_| {});
    send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "twice"));
    assert_eq!(host.message().connection, 0);
    assert_eq!(host.message().connection, 1);
    site.await_empty_queue();
}

#[test]
fn a_host_that_never_greets_is_given_up_and_tried_again() {
    let silent = Manners { greeting: None, ..Manners::good() };
    let host = Host::start(vec![silent, Manners::good()]);
    let site = relaying_to(&host, |options| options.timeouts.greeting = Duration::from_millis(50));
    send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "late"));
    assert_eq!(host.message().connection, 1);
    site.await_empty_queue();
}

#[test]
fn a_temporary_greeting_is_tried_again() {
    let busy = Manners { greeting: Some("421 4.3.2 busy"), ..Manners::good() };
    let host = Host::start(vec![busy, Manners::good()]);
    let site = relaying_to(&host, |_| {});
    send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "again"));
    assert_eq!(host.message().connection, 1);
}

#[test]
fn mail_without_a_route_waits_with_the_reason_and_goes_when_there_is_one() {
    let host = Host::start(vec![Manners::good()]);
    let mut site = Site::with(Plan {
        directory: Box::new(|directory| directory.accept("relay.test", "1")),
        options: Box::new(|options| options.delivery.backoff = Backoff { first: 3_600_000, longest: 3_600_000 }),
        ..Plan::default()
    });
    send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "waiting"));
    let state = eventually("a destination that waits", || site.shared.queue().destinations(None).pop());
    assert!(state.reason.contains("no send connector takes mail for relay.test"), "{state:?}");
    let address = host.address;
    site.change(move |directory| directory.send("relay", "SMTP:relay.test;1", address));
    assert_eq!(host.message().to, ["RCPT TO:<rita@relay.test>"]);
    site.await_empty_queue();
}

#[test]
fn the_smart_host_takes_what_no_send_connector_routes() {
    let host = Host::start(vec![Manners::good()]);
    let smart_host = SmartHost { host: host.address.ip().to_string(), port: host.address.port() };
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.accept("relay.test", "1")),
        options: Box::new(|options| options.delivery.exits.smart_host = Some(smart_host)),
        ..Plan::default()
    });
    send(&site, "sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "smart"));
    assert_eq!(host.message().to, ["RCPT TO:<rita@relay.test>"]);
}

#[test]
fn a_message_that_cannot_be_delivered_in_time_comes_back() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.accept("relay.test", "1")),
        options: Box::new(|options| {
            quick(&mut options.delivery);
            options.delivery.expire = Duration::from_millis(100);
        }),
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(crate::site::CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&crate::wire::tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    let reply = wire.mail("alice@example.com", &["rita@relay.test"], &text("alice@example.com", "never"));
    assert!(reply.starts_with("250"), "{reply}");
    let bounce = site.await_mail("alice", 1).remove(0);
    assert!(bounce.contains("Status: 4.4.7") && bounce.contains("no send connector"), "{bounce}");
    site.await_empty_queue();
}

#[test]
fn a_message_that_goes_round_in_circles_ends() {
    // The host for relay.test is this server itself.
    let (socket, address) = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    };
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
        }),
        options: Box::new(move |options| {
            quick(&mut options.delivery);
            options.delivery.max_hops = 5;
            options.listeners.clear();
            options.listeners.push((INTERNET.parse().unwrap(), socket));
            let client = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            options.listeners.push((crate::site::CLIENT.parse().unwrap(), client));
        }),
        ..Plan::default()
    });
    send(&site, "", &["rita@relay.test"], &text("sue@outside.test", "round"));
    site.await_empty_queue();
    site.shared.audit().flush();
    let filter = store::AuditFilter { kind: Some("undeliverable".into()), ..store::AuditFilter::default() };
    let entries = site.shared.audit().store().list(&filter).unwrap();
    assert_eq!(entries.len(), 1);
    assert!(entries[0].json.contains("circles"), "{}", entries[0].json);
}

#[test]
fn a_copy_that_was_filed_before_a_crash_is_not_filed_again() {
    let mut site = Site::with(Plan { options: Box::new(|options| options.delivery.local = 1), ..Plan::default() });
    // What a crash between the rename and the report to the queue leaves behind: the file is there, and the message is
    // still due. It is made by hand, under the name that the delivery would use.
    site.server.take().unwrap();
    let queue = site.shared.queue().clone();
    let mut body = queue.begin();
    body.write(b"Subject: once\r\n\r\nHello\r\n").unwrap();
    let id = "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B";
    let alice = site.directory.snapshot.resolve_login("alice").unwrap();
    let mailbox = site.directory.snapshot.object(alice).unwrap().mailbox().unwrap().guid;
    let envelope = queue::Envelope {
        queue_id: id.into(),
        sender: None,
        recipients: vec![queue::Recipient {
            address: "alice@example.com".into(),
            destination: format!("mailbox:{mailbox}"),
            parameters: String::new(),
        }],
        received: 1_764_000_000_000,
        expires: i64::MAX,
        smtputf8: false,
        eight_bit: false,
        parameters: String::new(),
        hold: None,
        lane: None,
        audit: None,
    };
    let (done, committed) = std::sync::mpsc::channel();
    queue.commit(body, envelope, move |result| done.send(result).unwrap());
    committed.recv_timeout(crate::site::PATIENCE).unwrap().unwrap();
    let store = transport::delivery::MailStore::new(site.folder.path().join("mail"));
    let name = transport::delivery::CopyName::new(1_764_000_000_000, id, 0, "mail.example.com");
    store.file(&mailbox, Some("alice@example.com"), &name, false, |out| Ok(out.write_all(b"the first copy")?)).unwrap();
    site.serve(|_| {});
    site.await_empty_queue();
    assert_eq!(site.mailbox("alice"), ["the first copy"]);
}

#[test]
fn a_message_that_expired_while_the_server_was_down_is_tried_once() {
    let site =
        Site::with(Plan { options: Box::new(|options| options.delivery.expire = Duration::ZERO), ..Plan::default() });
    send(&site, "sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "old"));
    site.await_mail("bob", 1);
    site.await_empty_queue();
}
