//! Message data: its end, dots, and line ends.

#![allow(clippy::unwrap_used)]

mod checks;

use checks::{Read, read, stuffed};
use proptest::prelude::*;
use smtp::{DataFault, DataReader};

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
        checks::data_holds(&input, at.index(input.len() + 1), size);
    }

    #[test]
    fn what_is_stuffed_reads_back_the_same(input in bytes(), at in any::<prop::sample::Index>()) {
        checks::stuffing_holds(&input, at.index(input.len() + 1));
    }
}
