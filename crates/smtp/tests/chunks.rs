//! Chunks of BDAT, and line ends of old devices.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

mod checks;

use checks::{chunks, chunks_hold};
use proptest::prelude::*;
use smtp::{ChunkReader, DataFault, DataReader, Line, LineReader};

fn one(input: &[u8]) -> (Vec<u8>, Option<DataFault>) {
    chunks(&mut std::iter::once(input))
}

#[test]
fn text_is_given_as_it_is() {
    let text = b"Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n";
    assert_eq!(one(text), (text.to_vec(), None));
}

#[test]
fn a_last_line_without_end_gets_one() {
    assert_eq!(one(b"a\r\nb"), (b"a\r\nb\r\n".to_vec(), None));
    assert_eq!(one(b""), (Vec::new(), None));
}

#[test]
fn bare_line_ends_are_faults() {
    assert_eq!(one(b"a\nb\r\n").1, Some(DataFault::BareLf));
    assert_eq!(one(b"a\rb\r\n").1, Some(DataFault::BareCr));
    assert_eq!(one(b"a\r").1, Some(DataFault::BareCr));
    assert_eq!(one(b"a\r\r\n").1, Some(DataFault::BareCr));
}

#[test]
fn a_line_end_may_be_cut_in_two() {
    assert_eq!(chunks(&mut [&b"a\r"[..], b"\nb"].into_iter()), (b"a\r\nb\r\n".to_vec(), None));
}

#[test]
fn a_tolerant_reader_makes_lines_of_bare_line_feeds() {
    let mut reader = ChunkReader::tolerant();
    let mut message = Vec::new();
    for piece in [&b"a\nb\r"[..], b"\n\nc"] {
        reader.push(piece, &mut |bytes| message.extend_from_slice(bytes));
    }
    reader.finish(&mut |bytes| message.extend_from_slice(bytes));
    assert_eq!((message, reader.fault()), (b"a\r\nb\r\n\r\nc\r\n".to_vec(), None));
}

#[test]
fn a_binary_message_is_given_as_it_is() {
    let mut reader = ChunkReader::binary();
    let mut message = Vec::new();
    for piece in [&b"a\nb\r"[..], b"c\0"] {
        reader.push(piece, &mut |bytes| message.extend_from_slice(bytes));
    }
    reader.finish(&mut |bytes| message.extend_from_slice(bytes));
    assert_eq!((message, reader.fault()), (b"a\nb\rc\0".to_vec(), None));
}

fn tolerant(pieces: &[&[u8]]) -> (Vec<u8>, bool, Option<DataFault>) {
    let mut reader = DataReader::tolerant();
    let mut message = Vec::new();
    let mut ended = false;
    for piece in pieces {
        ended = reader.push(piece, &mut |bytes| message.extend_from_slice(bytes)).ended;
    }
    (message, ended, reader.fault())
}

#[test]
fn tolerant_data_has_crlf_for_every_bare_line_feed() {
    let (message, ended, fault) = tolerant(&[b"a\nb\n\n..c\n.d\r\n.\r\n"]);
    assert_eq!((message, ended, fault), (b"a\r\nb\r\n\r\n.c\r\n.d\r\n".to_vec(), true, None));
}

#[test]
fn tolerant_data_does_not_end_behind_a_bare_line_feed() {
    for smuggled in [&b"a\n.\nMAIL FROM:<x@y.test>\r\n.\r\n"[..], b"a\n.\r\nMAIL FROM:<x@y.test>\r\n.\r\n"] {
        let (message, ended, fault) = tolerant(&[smuggled]);
        assert_eq!((message, ended, fault), (b"a\r\n.\r\nMAIL FROM:<x@y.test>\r\n".to_vec(), true, None));
    }
}

#[test]
fn tolerant_data_may_have_no_bare_carriage_return() {
    assert_eq!(tolerant(&[b"a\rb\r\n.\r\n"]).2, Some(DataFault::BareCr));
}

#[test]
fn a_tolerant_reader_of_lines_takes_a_bare_line_feed() {
    let mut reader = LineReader::new();
    reader.set_tolerant(true);
    let taken = reader.read(b"EHLO old\nMAIL");
    assert_eq!((taken.consumed, taken.line), (9, Line::Complete(b"EHLO old")));
    let taken = reader.read(b"NOOP\r\n");
    assert_eq!((taken.consumed, taken.line), (6, Line::Complete(b"NOOP")));
}

proptest! {
    #[test]
    fn chunks_are_what_data_is(input in "([a.]|\r\n|\r|\n){0,24}", at in 0usize..40, size in 1usize..8) {
        chunks_hold(input.as_bytes(), at, size);
    }

    #[test]
    fn tolerant_data_is_the_same_however_it_is_cut(input in "([a.]|\r\n|\n){0,24}", size in 1usize..6) {
        let wire = format!("{input}\r\n.\r\n");
        let pieces: Vec<&[u8]> = wire.as_bytes().chunks(size).collect();
        let cut = {
            let mut reader = DataReader::tolerant();
            let mut message = Vec::new();
            for piece in pieces {
                if reader.push(piece, &mut |bytes| message.extend_from_slice(bytes)).ended {
                    break;
                }
            }
            (message, reader.longest_line())
        };
        let mut reader = DataReader::tolerant();
        let mut message = Vec::new();
        let ended = reader.push(wire.as_bytes(), &mut |bytes| message.extend_from_slice(bytes)).ended;
        prop_assert!(ended);
        prop_assert_eq!(cut, (message, reader.longest_line()));
    }
}
