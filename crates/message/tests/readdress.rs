//! Other addresses in a header.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use message::readdress::{SENDER_FIELDS, readdress};
use message::{Address, HeaderBlock};

fn rewritten(header: &str) -> String {
    let block = HeaderBlock::parse(header.as_bytes()).unwrap();
    let becomes = |address: &Address| {
        let (local, domain) = address.as_str().rsplit_once('@')?;
        (domain == "old.test").then(|| Address::parse(&format!("{local}@new.test")).unwrap())
    };
    String::from_utf8(readdress(&block, &SENDER_FIELDS, &becomes)).unwrap()
}

#[test]
fn addresses_of_senders_change_and_names_stay() {
    let header = "FROM: Alice <alice@old.test>,\r\n bob@else.test\r\nReply-To: <x@old.test>\r\nTo: y@old.test\r\n";
    let expected = "FROM: \"Alice\" <alice@new.test>, bob@else.test\r\nReply-To: x@new.test\r\nTo: y@old.test\r\n\r\n";
    assert_eq!(rewritten(header), expected);
}

#[test]
fn what_does_not_change_stays_byte_for_byte() {
    let header = "From:\tAlice (x) <alice@else.test>\r\nSender: not an address\r\nSubject: old.test\r\n";
    assert_eq!(rewritten(header), format!("{header}\r\n"));
}
