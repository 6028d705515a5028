//! Extensions of SMTP through the whole server: chunks, PROXY headers, notifications, REQUIRETLS, LIMITS, SMTPUTF8.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use directory::attributes as a;
use queue::Backoff;
use transport::ServerOptions;
use transport::delivery::Roots;

use crate::hosts::{Host, Manners};
use crate::sending::{self, await_reason, certificate_for, inner};
use crate::site::{CLIENT, Directory, INTERNET, Plan, Site, eventually};
use crate::wire::{Wire, text, tls_client};

/// A site whose mail for `relay.test` goes to `host`, with retries at once.
fn relaying_to(host: &Host) -> Site {
    relaying(host, |_| {}, |_| {})
}

fn relaying(
    host: &Host,
    more: impl FnOnce(&mut Directory) + 'static,
    options: impl FnOnce(&mut ServerOptions) + 'static,
) -> Site {
    let address = host.address;
    Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            more(directory);
        }),
        options: Box::new(move |all: &mut ServerOptions| {
            all.delivery.backoff = Backoff { first: 20, longest: 50 };
            options(all);
        }),
        ..Plan::default()
    })
}

/// A client that is logged on as alice.
pub fn alice(site: &Site) -> Wire {
    let mut wire = Wire::greet(site.address(CLIENT));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    wire.say("EHLO client.test", "250");
    wire.auth("alice", "alice-demo", "235");
    wire
}

/// One message of alice's, with these parameters of MAIL and RCPT.
pub fn from_alice(wire: &mut Wire, mail: &str, to: &str, rcpt: &str) {
    wire.say(&format!("MAIL FROM:<alice@example.com>{mail}"), "250");
    wire.say(&format!("RCPT TO:<{to}>{rcpt}"), "250");
    wire.say("DATA", "354");
    wire.send(&format!("{}\r\n.\r\n", text("alice@example.com", "wishes").replace('\n', "\r\n")));
    wire.expect("250");
}

fn speaks(offers: &[&'static str]) -> Manners {
    let mut all = Manners::good();
    all.offers.extend(offers);
    all
}

#[test]
fn a_message_in_chunks_lands_in_the_mailbox() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    let offered = wire.say("EHLO client.test", "250");
    assert!(offered.contains("250-CHUNKING\r\n") && offered.contains("LIMITS RCPTMAX="), "{offered}");
    let head = "From: <sue@outside.test>\r\nSubject: chunks\r\n\r\n";
    let body = format!("{}\r\n.\r\nend", "x".repeat(100_000));
    wire.send(&format!(
        "MAIL FROM:<sue@outside.test>\r\nRCPT TO:<bob@example.com>\r\nBDAT {}\r\n{head}BDAT {} LAST\r\n{body}NOOP\r\n",
        head.len(),
        body.len(),
    ));
    for code in ["250", "250", "250 2.0.0", "250 2.6.0", "250 2.0.0 OK"] {
        wire.expect(code);
    }
    let mail = site.await_mail("bob", 1).remove(0);
    assert!(mail.contains("Subject: chunks\n") && mail.ends_with("\n.\nend\n"), "{}", mail.len());
}

/// Sends what a load balancer sends before the client speaks.
fn balanced(address: SocketAddr, header: &[u8]) -> Wire {
    let mut wire = Wire::connect(address);
    wire.send_bytes(header).unwrap();
    wire
}

fn behind_a_load_balancer() -> Site {
    Site::with(Plan {
        directory: Box::new(|directory| {
            directory.set_connector("internet", a::PROXY_FROM, "127.0.0.1");
            directory.set_connector("internet", a::RECEIVE_RANGES, "192.0.2.0/24");
        }),
        ..Plan::default()
    })
}

#[test]
fn the_client_of_a_load_balancer_is_who_the_header_says() {
    let site = behind_a_load_balancer();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([192, 0, 2, 7, 198, 51, 100, 1, 0xC0, 0, 0, 25]);
    for header in [&b"PROXY TCP4 192.0.2.7 198.51.100.1 49152 25\r\n"[..], &binary] {
        let mut wire = balanced(site.address(INTERNET), header);
        wire.expect("220");
        let greeted = wire.say("EHLO client.test", "250");
        assert!(greeted.contains("Hello [192.0.2.7]"), "{greeted}");
        wire.mail("sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "balanced"));
        wire.say("QUIT", "221");
    }
    for mail in site.await_mail("bob", 2) {
        assert!(mail.contains("Received: from client.test ([192.0.2.7])"), "{mail}");
    }
}

#[test]
fn a_client_that_the_header_names_is_bound_to_the_ranges_of_the_connector() {
    let site = behind_a_load_balancer();
    let mut wire = balanced(site.address(INTERNET), b"PROXY TCP4 203.0.113.7 198.51.100.1 49152 25\r\n");
    wire.expect("421 4.3.2");
    wire.expect_end();
}

#[test]
fn a_load_balancer_without_a_header_is_refused() {
    let site = behind_a_load_balancer();
    let mut wire = balanced(site.address(INTERNET), b"EHLO client.test\r\n");
    wire.expect("554 5.5.0");
    wire.expect_end();
}

#[test]
fn a_header_of_somebody_else_is_no_command_and_proves_nothing() {
    let site = Site::start();
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("PROXY TCP4 192.0.2.7 198.51.100.1 49152 25", "500 5.5.2");
    let greeted = wire.say("EHLO client.test", "250");
    assert!(greeted.contains("Hello [127.0.0.1]"), "{greeted}");
}

#[test]
fn a_load_balancer_that_looks_after_us_is_itself() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| directory.set_connector("internet", a::PROXY_FROM, "127.0.0.1")),
        ..Plan::default()
    });
    let mut wire = balanced(site.address(INTERNET), b"PROXY UNKNOWN\r\n");
    wire.expect("220");
    let greeted = wire.say("EHLO client.test", "250");
    assert!(greeted.contains("Hello [127.0.0.1]"), "{greeted}");
}

#[test]
fn notifications_are_passed_on_to_a_host_that_offers_them() {
    let host = Host::start(vec![speaks(&["DSN"])]);
    let site = relaying_to(&host);
    let mut wire = alice(&site);
    let rcpt = " NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Rita+2Bx@relay.test";
    from_alice(&mut wire, " RET=HDRS ENVID=QQ+2B1", "rita@relay.test", rcpt);
    let got = host.message();
    assert!(got.from.contains(" RET=HDRS ENVID=QQ+2B1"), "{got:?}");
    assert_eq!(got.to, [format!("RCPT TO:<rita@relay.test>{rcpt}")]);
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty(), "the other host reports");
}

#[test]
fn a_host_without_notifications_is_reported_as_relayed() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host);
    let mut wire = alice(&site);
    from_alice(&mut wire, " ENVID=QQ1", "rita@relay.test", " NOTIFY=SUCCESS ORCPT=rfc822;r@relay.test");
    let got = host.message();
    assert_eq!(got.to, ["RCPT TO:<rita@relay.test>"]);
    assert!(!got.from.contains("ENVID"), "{got:?}");
    let report = site.await_mail("alice", 1).remove(0);
    for part in [
        "Subject: Your message was delivered",
        "Original-Envelope-Id: QQ1",
        "Original-Recipient: rfc822;r@relay.test",
        "Final-Recipient: rfc822; rita@relay.test",
        "Action: relayed",
        "Status: 2.0.0",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
}

#[test]
fn delivery_to_a_mailbox_is_reported_to_who_asked() {
    let site = Site::start();
    let mut wire = alice(&site);
    from_alice(&mut wire, "", "bob@example.com", " NOTIFY=SUCCESS");
    from_alice(&mut wire, "", "bob@example.com", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("Action: delivered") && report.contains("bob@example.com"), "{report}");
    site.await_mail("bob", 2);
    site.await_empty_queue();
    assert_eq!(site.mailbox("alice").len(), 1, "nobody asked about the other");
}

#[test]
fn a_failure_is_not_told_to_who_does_not_want_to_hear() {
    let refusing = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![refusing]);
    let site = relaying_to(&host);
    let mut wire = alice(&site);
    from_alice(&mut wire, "", "gone@relay.test", " NOTIFY=NEVER");
    from_alice(&mut wire, "", "gone@relay.test", " NOTIFY=SUCCESS");
    site.await_empty_queue();
    assert!(site.mailbox("alice").is_empty(), "{:?}", site.mailbox("alice"));
}

#[test]
fn a_whole_message_comes_back_to_who_asked_for_it() {
    let refusing = Manners { refused: vec![("gone", "550 5.1.1 no such user")], ..Manners::good() };
    let host = Host::start(vec![refusing]);
    let site = relaying_to(&host);
    let mut wire = alice(&site);
    from_alice(&mut wire, " RET=FULL", "gone@relay.test", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("Content-Type: message/rfc822\n"), "{report}");
    assert!(report.contains("\nSubject: wishes\n") && report.contains("\n\nHello\n"), "{report}");
}

#[test]
fn the_sender_of_a_late_message_is_told_once_with_the_reason() {
    let busy = Manners { refused: vec![("busy", "451 4.2.1 the mailbox is busy")], ..Manners::good() };
    let host = Host::start(vec![busy]);
    let mut site = relaying_to(&host);
    let mut wire = alice(&site);
    from_alice(&mut wire, "", "busy@relay.test", "");
    from_alice(&mut wire, "", "busy@relay.test", " NOTIFY=FAILURE");
    eventually("an attempt at each", || {
        let waiting = site.shared.queue().list(&queue::ListFilter::default()).unwrap();
        let tried = |id: &str| site.shared.queue().show(id).unwrap().recipients[0].attempts > 0;
        (waiting.len() == 2 && waiting.iter().all(|message| tried(&message.queue_id))).then_some(())
    });
    site.server = None;
    site.serve(|options| {
        options.delivery.backoff = Backoff { first: 20, longest: 50 };
        options.delivery.warn_after = Some(Duration::from_millis(1));
    });
    let report = site.await_mail("alice", 1).remove(0);
    let expected =
        ["Subject: Your message is delayed", "Action: delayed", "451 4.2.1 the mailbox is busy", "Will-Retry-Until: "];
    for part in expected {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    // Both are marked: no further report will come of them.
    eventually("two messages that nobody is told of again", || {
        let late = site.shared.queue().late(i64::MAX, 10).unwrap();
        late.is_empty().then_some(())
    });
    assert_eq!(site.mailbox("alice").len(), 1);
}

#[test]
fn a_message_that_requires_tls_is_not_sent_without() {
    let host = Host::start(vec![speaks(&["REQUIRETLS"])]);
    let site = relaying(&host, |_| {}, |options| options.delivery.expire = Duration::from_millis(300));
    let mut wire = alice(&site);
    from_alice(&mut wire, " REQUIRETLS", "rita@relay.test", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("TLS"), "{report}");
    site.await_empty_queue();
}

#[test]
fn mail_for_an_address_beyond_ascii_comes_back_where_the_host_cannot_take_it() {
    let host = Host::start(vec![Manners::good()]);
    let site = relaying_to(&host);
    let mut wire = alice(&site);
    from_alice(&mut wire, " SMTPUTF8", "jürgen@relay.test", "");
    let report = site.await_mail("alice", 1).remove(0);
    assert!(report.contains("Status: 5.6.7") && report.contains("jürgen@relay.test"), "{report}");
}

#[test]
fn mail_that_needs_no_smtputf8_goes_without_it() {
    let host = Host::start(vec![Manners::good(), speaks(&["SMTPUTF8"])]);
    let site = relaying(&host, |_| {}, |options| options.delivery.timeouts.idle = Duration::ZERO);
    let mut wire = alice(&site);
    from_alice(&mut wire, " SMTPUTF8", "rita@relay.test", "");
    assert!(!host.message().from.contains("SMTPUTF8"));
    from_alice(&mut wire, " SMTPUTF8", "jürgen@relay.test", "");
    assert!(host.message().from.contains(" SMTPUTF8"));
}

#[test]
fn a_host_gets_no_more_recipients_than_it_says_it_takes() {
    let host = Host::start(vec![speaks(&["LIMITS RCPTMAX=2"])]);
    let site = relaying_to(&host);
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let to = ["a@relay.test", "b@relay.test", "c@relay.test", "d@relay.test", "e@relay.test"];
    wire.mail("sue@outside.test", &to, &text("sue@outside.test", "many"));
    let mut counts: Vec<usize> = (0..3).map(|_| host.message().to.len()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 2]);
    site.await_empty_queue();
}

#[test]
fn a_host_gets_no_more_messages_over_a_connection_than_it_says_it_takes() {
    let host = Host::start(vec![speaks(&["LIMITS MAILMAX=1"])]);
    let site = relaying_to(&host);
    for number in 0..2 {
        let mut wire = Wire::greet(site.address(INTERNET));
        wire.say("EHLO client.test", "250");
        wire.mail("sue@outside.test", &["rita@relay.test"], &text("sue@outside.test", "one"));
        assert_eq!(host.message().connection, number);
    }
}

/// A message from outside, over TLS, that must stay there.
pub fn sue_requires_tls(site: &Site) {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.start_tls(&tls_client());
    let offered = wire.say("EHLO client.test", "250");
    assert!(offered.contains("250-REQUIRETLS\r\n"), "{offered}");
    wire.say("MAIL FROM:<sue@outside.test> REQUIRETLS", "250");
    wire.say("RCPT TO:<bob@relay.test>", "250");
    wire.say("DATA", "354");
    wire.send(&format!("{}\r\n.\r\n", text("sue@outside.test", "secret").replace('\n', "\r\n")));
    wire.expect("250");
}

#[test]
fn a_message_that_requires_tls_goes_to_a_host_that_proves_its_name_and_promises_the_same() {
    let (root, certificate) = certificate_for("127.0.0.1");
    let there = inner(certificate, |_| {});
    let roots = |root| Some(Arc::new(Roots::new(vec![root])));
    let believed = roots(root);
    let here = sending::relaying_to(there.address(INTERNET), |_| {}, |options| options.delivery.roots = believed);
    sue_requires_tls(&here);
    there.await_mail("bob", 1);
    let (stranger, _) = certificate_for("127.0.0.1");
    let unknown = roots(stranger);
    let here = sending::relaying_to(there.address(INTERNET), |_| {}, |options| options.delivery.roots = unknown);
    sue_requires_tls(&here);
    await_reason(&here, "is not to be trusted");
    assert_eq!(there.mailbox("bob").len(), 1);
}
