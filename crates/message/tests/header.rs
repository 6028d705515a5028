//! Reading header blocks.

#![allow(clippy::unwrap_used)]

use message::{HeaderBlock, HeaderFault, HeaderProgress, HeaderReader};

fn fault(message: &[u8]) -> HeaderFault {
    HeaderBlock::parse(message).expect_err("accepted")
}

#[test]
fn fields_have_names_values_and_their_bytes() {
    let block = HeaderBlock::parse(b"From: a@x.com\r\nSubject: one\r\n two\r\n\r\nbody: no\r\n").unwrap();
    let fields: Vec<_> = block.fields().collect();
    assert_eq!(fields.len(), 2);
    assert_eq!(fields[1].name, b"Subject");
    assert_eq!(fields[1].value(), b" one\r\n two");
    assert_eq!(fields[1].text(), "one two");
    assert_eq!(fields[1].raw, b"Subject: one\r\n two\r\n");
    assert!(fields[0].is("fROM"));
}

#[test]
fn the_end_is_found_wherever_the_data_is_split() {
    let message = b"From: a@x.com\r\nTo: b\r\n\tc\r\n\r\nBody\r\n";
    let whole = HeaderBlock::parse(message).unwrap();
    for first in 0..message.len() {
        for second in first..message.len() {
            let mut reader = HeaderReader::new(1000);
            let mut taken = 0;
            for piece in [&message[..first], &message[first..second], &message[second..]] {
                match reader.push(piece).unwrap() {
                    HeaderProgress::More => taken += piece.len(),
                    HeaderProgress::Complete { consumed } => {
                        taken += consumed;
                        break;
                    }
                }
            }
            assert_eq!(&message[taken..], b"Body\r\n", "split at {first} and {second}");
            assert_eq!(reader.finish().unwrap(), whole);
        }
    }
}

#[test]
fn the_end_of_data_ends_a_header_without_a_body() {
    let mut reader = HeaderReader::new(1000);
    assert_eq!(reader.push(b"From: a@x.com\r\n"), Ok(HeaderProgress::More));
    assert_eq!(reader.finish().unwrap().fields().len(), 1);
}

#[test]
fn a_message_that_begins_with_its_body_has_an_empty_header() {
    assert!(HeaderBlock::parse(b"\r\nbody\r\n").unwrap().is_empty());
    assert!(HeaderBlock::parse(b"").unwrap().is_empty());
}

#[test]
fn a_header_over_the_limit_is_refused_without_waiting_for_its_end() {
    let mut reader = HeaderReader::new(20);
    assert_eq!(reader.push(b"Subject: 12345678901"), Ok(HeaderProgress::More));
    assert_eq!(reader.push(b"2"), Err(HeaderFault::TooLarge { limit: 20 }));
    let mut reader = HeaderReader::new(15);
    assert_eq!(reader.push(b"A: 12345678\r\n\r\n"), Ok(HeaderProgress::Complete { consumed: 15 }));
}

#[test]
fn a_first_line_that_is_no_field_is_refused() {
    assert_eq!(fault(b"Hello there\r\n\r\n"), HeaderFault::NoHeader);
    assert_eq!(fault(b"From alice Sat Nov 21 2026\r\nFrom: a@x.com\r\n\r\n"), HeaderFault::NoHeader);
    assert_eq!(fault(b"From alice Sat 10:00\r\nFrom: a@x.com\r\n\r\n"), HeaderFault::FieldName { line: 1 });
}

#[test]
fn a_line_without_a_colon_does_not_end_the_header_quietly() {
    assert_eq!(fault(b"From: a@x.com\r\nHello\r\nFrom: b@x.com\r\n\r\n"), HeaderFault::NotAField { line: 2 });
    assert_eq!(fault(b"From: a@x.com\r\n: x\r\n\r\n"), HeaderFault::FieldName { line: 2 });
    assert_eq!(fault(b"From: a@x.com\r\n\x01 : x\r\n\r\n"), HeaderFault::FieldName { line: 2 });
    assert_eq!(fault("From: a@x.com\r\nFr\u{43e}m: x\r\n\r\n".as_bytes()), HeaderFault::FieldName { line: 2 });
}

#[test]
fn an_unfinished_line_is_refused() {
    assert_eq!(fault(b"From: a@x.com"), HeaderFault::UnfinishedLine { line: 1 });
}
