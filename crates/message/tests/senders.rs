//! Sender fields in their ordinary forms, and Resent blocks.

#![allow(clippy::unwrap_used)]

use message::senders::SenderFaultKind as Kind;
use message::{HeaderBlock, SenderFault, Senders, senders};

fn read(header: &str) -> Result<Senders, SenderFault> {
    senders(&HeaderBlock::parse(header.as_bytes()).unwrap_or_else(|fault| panic!("{fault}")))
}

/// Display name and address of a From value with one mailbox.
fn one(value: &str) -> (Option<String>, String) {
    let senders = read(&format!("From: {value}\r\n\r\n")).unwrap_or_else(|fault| panic!("{value}: {fault}"));
    assert_eq!(senders.from.len(), 1, "{value}");
    (senders.from[0].display_name.clone(), senders.from[0].address.to_string())
}

fn named(name: &str, address: &str) -> (Option<String>, String) {
    (Some(name.to_owned()), address.to_owned())
}

#[test]
fn the_usual_forms_are_read() {
    assert_eq!(one("carla@example.com"), (None, "carla@example.com".to_owned()));
    assert_eq!(one("<carla@example.com>"), (None, "carla@example.com".to_owned()));
    assert_eq!(one("Carla Owens <carla@example.com>"), named("Carla Owens", "carla@example.com"));
    assert_eq!(one("\"Owens, Carla\" <carla@example.com>"), named("Owens, Carla", "carla@example.com"));
    assert_eq!(one("carla@example.com (Carla Owens)"), (None, "carla@example.com".to_owned()));
    assert_eq!(one("\"carla@example.com\" <carla@example.com>"), named("carla@example.com", "carla@example.com"));
}

#[test]
fn obsolete_forms_with_one_meaning_are_read() {
    assert_eq!(one("Joe Q. Public <john.q.public@example.com>"), named("Joe Q. Public", "john.q.public@example.com"));
    assert_eq!(one(", carla@example.com,,").1, "carla@example.com");
    assert_eq!(one("Carla <carla @ example.com>").1, "carla@example.com");
}

#[test]
fn encoded_words_are_read_in_display_names() {
    assert_eq!(one("=?utf-8?Q?Ren=C3=A9?= <r@x.com>"), named("René", "r@x.com"));
    assert_eq!(one("=?utf-8?B?UmVuw6k=?= =?utf-8?q?_Roi?= <r@x.com>"), named("René Roi", "r@x.com"));
    assert_eq!(one("=?iso-8859-1?q?Ren=E9?= X <r@x.com>"), named("René X", "r@x.com"));
    assert_eq!(one("=?koi8-r?q?x?= <r@x.com>"), named("=?koi8-r?q?x?=", "r@x.com"));
    assert_eq!(one("=?utf-8?q?ceo=40example=2Ecom?= <r@x.com>"), named("ceo@example.com", "r@x.com"));
}

#[test]
fn utf8_is_read_as_it_is() {
    assert_eq!(one("René <rené@bücher.example>"), named("René", "rené@bücher.example"));
}

#[test]
fn a_message_without_from_says_so() {
    assert!(read("Subject: x\r\n\r\n").unwrap().from_missing());
    assert!(read("\r\n").unwrap().from_missing());
}

#[test]
fn sender_names_exactly_one_mailbox() {
    let senders = read("From: a@x.com\r\nSender: Bob <b@x.com>\r\n\r\n").unwrap();
    assert_eq!(senders.sender.unwrap().address.as_str(), "b@x.com");
    let fault = |value: &str| read(&format!("From: a@x.com\r\nSender: {value}\r\n\r\n")).unwrap_err();
    assert_eq!(fault("b@x.com, c@x.com"), SenderFault { field: "Sender", kind: Kind::SeveralMailboxes });
    assert_eq!(fault("Staff: b@x.com;").kind, Kind::Group);
    assert_eq!(fault("").kind, Kind::NoMailbox);
    let twice = read("From: a@x.com\r\nSender: b@x.com\r\nSender: b@x.com\r\n\r\n").unwrap_err();
    assert_eq!(twice, SenderFault { field: "Sender", kind: Kind::Duplicate });
}

#[test]
fn the_newest_resent_block_is_the_topmost() {
    let senders = read(
        "Received: 3\r\nResent-From: new@x.com\r\nResent-To: z@x.com\r\nReceived: 2\r\n\
         Resent-From: old@x.com\r\nResent-Sender: old2@x.com\r\nReceived: 1\r\nFrom: a@x.com\r\n\r\n",
    )
    .unwrap();
    let resent = senders.resent.unwrap();
    assert_eq!(resent.from[0].address.as_str(), "new@x.com");
    assert_eq!(resent.sender, None);
}

#[test]
fn a_field_in_between_does_not_hide_part_of_a_resent_block() {
    let senders = read("Resent-From: me@x.com\r\nX-Other: 1\r\nResent-Sender: ceo@x.com\r\nFrom: a@x.com\r\n\r\n");
    assert_eq!(senders.unwrap().resent.unwrap().sender.unwrap().address.as_str(), "ceo@x.com");
}

#[test]
fn a_block_without_resent_senders_does_not_hide_the_next() {
    let senders = read("Resent-Date: now\r\nReceived: x\r\nResent-From: ceo@x.com\r\nFrom: a@x.com\r\n\r\n").unwrap();
    assert_eq!(senders.resent.unwrap().from[0].address.as_str(), "ceo@x.com");
}

#[test]
fn a_resent_block_has_each_field_once() {
    for name in ["Resent-From", "Resent-Sender", "Resent-Date", "resent-to", "Resent-Message-ID"] {
        let twice = format!("{name}: b@x.com\r\n").repeat(2);
        let fault = read(&format!("Resent-From: b@x.com\r\n{twice}From: a@x.com\r\n\r\n")).unwrap_err();
        assert_eq!(fault.kind, Kind::Duplicate, "{name}");
    }
    // The blocks of two resendings are apart.
    assert!(read("Resent-From: b@x.com\r\nReceived: x\r\nResent-From: b@x.com\r\nFrom: a@x.com\r\n\r\n").is_ok());
}

#[test]
fn resent_fields_follow_the_same_grammar() {
    let fault = read("Resent-From: <a@x.com> <b@x.com>\r\nFrom: a@x.com\r\n\r\n").unwrap_err();
    assert_eq!(fault, SenderFault { field: "Resent-From", kind: Kind::MissingComma });
    let fault = read("Resent-Sender: a@x.com, b@x.com\r\nFrom: a@x.com\r\n\r\n").unwrap_err();
    assert_eq!(fault, SenderFault { field: "Resent-Sender", kind: Kind::SeveralMailboxes });
}
