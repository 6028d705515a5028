//! Delivery status notifications.

#![allow(clippy::unwrap_used)]

use message::bounce::{Action, RecipientReport, Report};
use message::{Address, HeaderBlock, senders};

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn report(recipient: &Address, original_header: &[u8]) -> String {
    let report = Report {
        reporting_mta: "mx.example.com",
        from: &address("postmaster@example.com"),
        to: &address("alice@example.com"),
        message_id: "01J@mx.example.com",
        boundary: "b0undary",
        time: 1_795_304_294_000,
        arrival: 1_795_300_000_000,
        envelope_id: Some("QQ314159"),
        queue_id: Some("01J00000000000000000000000"),
        recipients: vec![RecipientReport {
            recipient,
            original: Some("rfc822;Bob@far.example"),
            action: Action::Failed,
            status: (5, 1, 1),
            reason: "The mailbox does not exist.",
            remote_mta: Some("mx.far.example"),
            diagnostic: Some("550 5.1.1 no such user\r\nX-Injected: yes"),
            last_attempt: Some(1_795_304_294_000),
            retry_until: None,
        }],
        original_header,
        original_body: None,
    };
    String::from_utf8(report.to_bytes()).unwrap()
}

#[test]
fn a_report_is_a_multipart_of_three() {
    let text = report(&address("bob@far.example"), b"From: alice@example.com\r\nSubject: hello\r\n");
    let expected = "From: \"Mail Delivery System\" <postmaster@example.com>\r\n\
        To: <alice@example.com>\r\n\
        Subject: Your message could not be delivered\r\n\
        Date: Sat, 21 Nov 2026 23:38:14 +0000\r\n\
        Message-ID: <01J@mx.example.com>\r\n\
        Auto-Submitted: auto-replied\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"b0undary\"\r\n\
        \r\n\
        \r\n--b0undary\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        \r\n\
        This is the mail system at mx.example.com.\r\n\
        \r\n\
        Your message could not be delivered to:\r\n\
        \r\n\
        \x20 <bob@far.example>\r\n\
        \x20   The mailbox does not exist. (5.1.1)\r\n\
        \x20   mx.far.example said: 550 5.1.1 no such user  X-Injected: yes\r\n\
        \r\n\
        If you ask your postmaster about it, quote 01J00000000000000000000000.\r\n\
        \r\n--b0undary\r\n\
        Content-Type: message/delivery-status\r\n\
        \r\n\
        Original-Envelope-Id: QQ314159\r\n\
        Reporting-MTA: dns; mx.example.com\r\n\
        Arrival-Date: Sat, 21 Nov 2026 22:26:40 +0000\r\n\
        \r\n\
        Original-Recipient: rfc822;Bob@far.example\r\n\
        Final-Recipient: rfc822; bob@far.example\r\n\
        Action: failed\r\n\
        Status: 5.1.1\r\n\
        Remote-MTA: dns; mx.far.example\r\n\
        Diagnostic-Code: smtp; 550 5.1.1 no such user  X-Injected: yes\r\n\
        Last-Attempt-Date: Sat, 21 Nov 2026 23:38:14 +0000\r\n\
        \r\n--b0undary\r\n\
        Content-Type: text/rfc822-headers\r\n\
        \r\n\
        From: alice@example.com\r\n\
        Subject: hello\r\n\
        \r\n--b0undary--\r\n";
    assert_eq!(text, expected);
}

#[test]
fn a_report_is_a_message_that_we_accept_ourselves() {
    let text = report(&address("bob@far.example"), b"");
    let read = senders(&HeaderBlock::parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(read.from[0].address.as_str(), "postmaster@example.com");
}

#[test]
fn a_boundary_that_occurs_in_the_original_is_made_longer() {
    let text = report(&address("bob@far.example"), b"Subject: --b0undary\r\n");
    assert!(text.contains("boundary=\"b0undary0\""));
    assert!(text.ends_with("\r\n--b0undary0--\r\n"));
}

#[test]
fn international_addresses_get_the_global_forms() {
    let text = report(&address("bøb@far.example"), "Subject: grüße\r\n".as_bytes());
    assert!(text.contains("report-type=global-delivery-status"));
    assert!(text.contains("Content-Type: message/global-delivery-status\r\n"));
    assert!(text.contains("Final-Recipient: utf-8; bøb@far.example\r\n"));
    assert!(text.contains("Content-Type: message/global-headers\r\n"));
}
