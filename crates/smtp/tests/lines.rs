//! Cutting command lines.

#![allow(clippy::unwrap_used)]

use smtp::{Line, LineReader, PeerError, Reply};

/// Everything that a reader makes of pieces of input.
fn read(reader: &mut LineReader, pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, PeerError>> {
    let mut lines = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let taken = reader.read(rest);
            rest = &rest[taken.consumed..];
            match taken.line {
                Line::Partial => assert!(rest.is_empty()),
                Line::Complete(line) => lines.push(Ok(line.to_vec())),
                Line::Fault(fault) => lines.push(Err(fault)),
            }
        }
    }
    lines
}

#[test]
fn lines_are_the_same_however_the_input_is_split() {
    let input = b"EHLO x\r\nMAIL FROM:<>\r\n\r\nQUIT\r\n";
    let expected: Vec<_> = [&b"EHLO x"[..], b"MAIL FROM:<>", b"", b"QUIT"].map(|line| Ok(line.to_vec())).into();
    for at in 0..input.len() {
        let (first, second) = input.split_at(at);
        assert_eq!(read(&mut LineReader::new(), &[first, second]), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(read(&mut LineReader::new(), &bytes), expected);
}

#[test]
fn only_crlf_ends_a_line() {
    let faults = [
        (&b"E\rHLO x\r\n"[..], PeerError::BareCr),
        (b"EHLO x\nMAIL FROM:<>\r\n", PeerError::BareLf),
        (b"EHLO x\r\r\n", PeerError::BareCr),
        (b"\nEHLO x\r\n", PeerError::BareLf),
        (b"EHLO\0 x\r\n", PeerError::Nul),
    ];
    for (input, fault) in faults {
        for at in 0..input.len() {
            let (first, second) = input.split_at(at);
            assert_eq!(read(&mut LineReader::new(), &[first, second]), [Err(fault)], "{input:?} at {at}");
        }
    }
}

#[test]
fn a_line_over_the_limit_is_skipped_and_the_next_one_read() {
    let mut reader = LineReader::new();
    reader.set_limit(12);
    assert_eq!(read(&mut reader, &[b"NOOP 12345\r\n"]), [Ok(b"NOOP 12345".to_vec())]);
    let input = b"NOOP 123456\r\nQUIT\r\n";
    for at in 0..input.len() {
        let (first, second) = input.split_at(at);
        let lines = read(&mut reader, &[first, second]);
        assert_eq!(lines, [Err(PeerError::LineTooLong), Ok(b"QUIT".to_vec())], "split at {at}");
    }
}

/// attacks.md row 14.
#[test]
fn an_endless_line_takes_no_memory_and_ends_the_session() {
    let mut reader = LineReader::new();
    let piece = [b'x'; 4096];
    let faults = (0..100).find_map(|_| match reader.read(&piece).line {
        Line::Partial => None,
        line => Some(line == Line::Fault(PeerError::EndlessLine)),
    });
    assert_eq!(faults, Some(true));
}

/// attacks.md row 16: what was sent before the handshake is not read after it.
#[test]
fn a_partial_line_can_be_seen_and_forgotten() {
    let mut reader = LineReader::new();
    assert_eq!(read(&mut reader, &[b"STARTTLS\r\n"]).len(), 1);
    assert!(!reader.has_partial());
    assert_eq!(read(&mut reader, &[b"MAIL FR"]), []);
    assert!(reader.has_partial());
    reader.reset();
    assert!(!reader.has_partial());
    assert_eq!(read(&mut reader, &[b"QUIT\r\n"]), [Ok(b"QUIT".to_vec())]);
}

#[test]
fn replies_repeat_their_codes_on_every_line() {
    let reply = Reply::new(250, (2, 0, 0), "mx.example.com\nPIPELINING\nSIZE 1000");
    assert_eq!(reply.to_bytes(), b"250-2.0.0 mx.example.com\r\n250-2.0.0 PIPELINING\r\n250 2.0.0 SIZE 1000\r\n");
    assert_eq!(Reply::new(354, None, "Go on").to_bytes(), b"354 Go on\r\n");
    assert_eq!(reply.to_string(), "250-2.0.0 mx.example.com\n250-2.0.0 PIPELINING\n250 2.0.0 SIZE 1000");
}

#[test]
fn a_reply_cannot_be_broken_by_its_text() {
    assert_eq!(Reply::new(550, None, "no <a\r250 ok>\0").to_bytes(), b"550 no <a 250 ok> \r\n");
    let lines = Reply { code: 550, enhanced: None, lines: vec!["x\r\n250 ok".to_owned()] };
    assert_eq!(lines.to_bytes(), b"550 x  250 ok\r\n");
}
