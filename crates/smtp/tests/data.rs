//! Message data: its end, dots, and line ends.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use smtp::client::DotStuffer;
use smtp::{DataFault, DataReader};

/// What a reader makes of pieces: the message, how much of the input was data, whether it ended, and the fault.
#[derive(Debug, PartialEq)]
struct Read {
    message: Vec<u8>,
    consumed: usize,
    ended: bool,
    fault: Option<DataFault>,
}

fn read(pieces: &[&[u8]]) -> Read {
    let mut reader = DataReader::new();
    let mut read = Read { message: Vec::new(), consumed: 0, ended: false, fault: None };
    for piece in pieces {
        let progress = reader.push(piece, &mut |bytes| read.message.extend_from_slice(bytes));
        read.consumed += progress.consumed;
        read.ended = progress.ended;
        if progress.ended {
            break;
        }
        assert_eq!(progress.consumed, piece.len());
    }
    read.fault = reader.fault();
    read
}

/// The same by looking at whole input: what RFC 5321 says, nothing clever.
fn naive(input: &[u8]) -> Read {
    let with_start = [b"\r\n", input].concat();
    let end = with_start.windows(5).position(|window| window == b"\r\n.\r\n");
    let consumed = end.map_or(input.len(), |at| at + 3);
    let text = end.map_or(input, |at| &input[..at]);
    let mut fault = None;
    let seen = &input[..consumed];
    for (index, byte) in seen.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| seen[index]);
        let after = seen.get(index + 1);
        let found = match byte {
            b'\n' if before != Some(b'\r') => Some(DataFault::BareLf),
            b'\r' if after.is_some_and(|after| *after != b'\n') => Some(DataFault::BareCr),
            _ => None,
        };
        fault = fault.or(found);
    }
    let mut message = Vec::new();
    let mut line_start = true;
    for (index, byte) in text.iter().enumerate() {
        if !(line_start && *byte == b'.') {
            message.push(*byte);
        }
        line_start = *byte == b'\n' && index > 0 && text[index - 1] == b'\r';
    }
    Read { message, consumed, ended: end.is_some(), fault }
}

fn message_of(input: &[u8]) -> Vec<u8> {
    let read = read(&[input]);
    assert!(read.ended && read.fault.is_none(), "{read:?}");
    read.message
}

#[test]
fn data_ends_with_a_dot_alone_on_its_line() {
    let read = read(&[b"a\r\n.\r\nQUIT\r\n"]);
    assert_eq!(read, Read { message: b"a\r\n".to_vec(), consumed: 6, ended: true, fault: None });
}

#[test]
fn a_dot_right_after_data_ends_an_empty_message() {
    assert_eq!(message_of(b".\r\n"), b"");
}

#[test]
fn dots_at_the_start_of_a_line_are_removed_once() {
    assert_eq!(message_of(b"..\r\n.\r\n"), b".\r\n");
    assert_eq!(message_of(b"a\r\n..b\r\n...\r\nc.\r\n.\r\n"), b"a\r\n.b\r\n..\r\nc.\r\n");
    assert_eq!(message_of(b".a\r\n.\r\n"), b"a\r\n");
}

/// attacks.md row 17.
#[test]
fn nothing_but_crlf_dot_crlf_ends_data() {
    for (input, fault) in [
        (&b"a\r\n.\r\r\nb"[..], Some(DataFault::BareCr)),
        (b"a\n.\n", Some(DataFault::BareLf)),
        (b"a\n.\r\n", Some(DataFault::BareLf)),
        (b"a\r.\r\n", Some(DataFault::BareCr)),
        (b"a\r.\rb", Some(DataFault::BareCr)),
        (b"a\r\n.\n", Some(DataFault::BareLf)),
        (b"a\r\n.\rb", Some(DataFault::BareCr)),
        (b"a\r\n\0.\r\n", None),
        (b"a\r\n.\0\r\n", None),
        (b"a\r\n. \r\n", None),
    ] {
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            let read = read(&[first, second]);
            assert!(!read.ended, "{input:?}");
            assert_eq!(read.fault, fault, "{input:?} split at {at}");
        }
    }
}

#[test]
fn a_faulty_message_is_read_to_its_end_so_that_the_commands_behind_it_are_found() {
    let read = read(&[b"a\nb\r\n.\r\r\n.\r\nQUIT\r\n"]);
    assert_eq!((read.consumed, read.ended, read.fault), (12, true, Some(DataFault::BareLf)));
}

#[test]
fn pieces_of_a_split_message_go_to_the_sink_without_waiting() {
    let mut reader = DataReader::new();
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    reader.push(b"abc\r\ndef", &mut |bytes| pieces.push(bytes.to_vec()));
    assert_eq!(pieces, [b"abc\r\ndef".to_vec()]);
}

#[test]
fn the_longest_line_is_known() {
    let mut reader = DataReader::new();
    for piece in [&b"ab\r\nabcde"[..], b"fg\r\n", b"..x\r\n"] {
        reader.push(piece, &mut |_| {});
    }
    assert_eq!(reader.longest_line(), 9);
}

fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stuffer = DotStuffer::new();
    for piece in pieces {
        stuffer.push(piece, &mut |bytes| out.extend_from_slice(bytes));
    }
    stuffer.finish(&mut |bytes| out.extend_from_slice(bytes));
    out
}

#[test]
fn dots_are_doubled_on_the_way_out() {
    assert_eq!(stuffed(&[b".\r\n..a\r\nb.\r\n"]), b"..\r\n...a\r\nb.\r\n.\r\n");
    assert_eq!(stuffed(&[b""]), b".\r\n");
}

#[test]
fn a_message_without_a_final_line_end_gets_one() {
    assert_eq!(stuffed(&[b"a"]), b"a\r\n.\r\n");
    assert_eq!(stuffed(&[b"a\r"]), b"a\r\n.\r\n");
}

/// attacks.md row 10.
#[test]
fn no_bare_line_end_reaches_the_next_hop() {
    assert_eq!(stuffed(&[b"a\n.\nb\r.\rc\r\n"]), b"a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n");
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tokens =
        vec![&b"\r\n"[..], b"\r\n", b"\r\n", b"\r", b"\n", b".", b".", b"a", b"\0", b"long text", b"\r\n.\r\n"];
    prop::collection::vec(prop::sample::select(tokens), 0..20).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_reader_does_what_a_naive_one_does(input in bytes(), at in any::<prop::sample::Index>(), size in 1usize..8) {
        let expected = naive(&input);
        let (first, second) = input.split_at(at.index(input.len() + 1));
        for read in [read(&[first, second]), read(&input.chunks(size).collect::<Vec<_>>())] {
            prop_assert_eq!((read.consumed, read.ended, read.fault), (expected.consumed, expected.ended, expected.fault));
            if read.ended && read.fault.is_none() {
                prop_assert_eq!(&read.message, &expected.message);
            }
        }
    }

    #[test]
    fn what_is_stuffed_reads_back_the_same(input in bytes(), at in any::<prop::sample::Index>()) {
        let (first, second) = input.split_at(at.index(input.len() + 1));
        let wire = stuffed(&[first, second]);
        prop_assert_eq!(&wire, &stuffed(&[&input]));
        let read = read(&[&wire]);
        prop_assert!(read.ended && read.fault.is_none() && read.consumed == wire.len());
        let text = String::from_utf8(input).unwrap();
        let mut lines = text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        if !lines.is_empty() && !lines.ends_with("\r\n") {
            lines += "\r\n";
        }
        prop_assert_eq!(String::from_utf8(read.message).unwrap(), lines);
    }
}
