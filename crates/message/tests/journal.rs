//! Journal reports.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use message::journal::JournalReport;
use message::{Address, HeaderBlock, senders};

#[test]
fn a_journal_report_tells_the_envelope_and_holds_the_message() {
    let report = JournalReport {
        from: &Address::parse("postmaster@example.com").unwrap(),
        to: "journal@example.com",
        message_id: "j1@mx.example.com",
        boundary: "b0undary",
        time: 1_795_304_294_000,
        sender: Some("alice@example.com"),
        subject: "plans",
        original_id: "<1@client.test>",
        recipients: vec![
            ("bob@example.com".into(), Some("team@example.com".into())),
            ("rita@relay.test\r\nX: y".into(), None),
        ],
        eight_bit: false,
    };
    let around = report.around();
    let text = [&around.header[..], &around.before, b"Subject: plans\r\n\r\nHello\r\n", &around.after].concat();
    let expected = "From: \"Journal\" <postmaster@example.com>\r\n\
        To: <journal@example.com>\r\n\
        Subject: plans\r\n\
        Date: Sat, 21 Nov 2026 23:38:14 +0000\r\n\
        Message-ID: <j1@mx.example.com>\r\n\
        Auto-Submitted: auto-generated\r\n\
        X-MS-Journal-Report:\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=\"b0undary\"\r\n\
        \r\n\
        --b0undary\r\n\
        Content-Type: text/plain; charset=utf-8\r\n\
        \r\n\
        Sender: alice@example.com\r\n\
        Subject: plans\r\n\
        Message-Id: <1@client.test>\r\n\
        Recipient: bob@example.com, Expanded: team@example.com\r\n\
        Recipient: rita@relay.test  X: y\r\n\
        \r\n\
        --b0undary\r\n\
        Content-Type: message/rfc822\r\n\
        \r\n\
        Subject: plans\r\n\
        \r\n\
        Hello\r\n\
        \r\n\
        --b0undary--\r\n";
    assert_eq!(String::from_utf8(text.clone()).unwrap(), expected);
    let read = senders(&HeaderBlock::parse(&text).unwrap()).unwrap();
    assert_eq!(read.from[0].address.as_str(), "postmaster@example.com");
}
