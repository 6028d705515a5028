//! What holds for every input; for property tests, for the corpus, and for fuzzing (`fuzz/`).

#![allow(dead_code, clippy::unwrap_used)]

use smtp::client::{
    Capabilities, ClientTransaction, ConnectionState, DotStuffer, Envelope, Outcome, Protocol, ReplyFault, ReplyParser,
    Step, write,
};
use smtp::{
    ChunkReader, Command, DataFault, DataReader, ForwardPath, Line, LineReader, PeerError, Reply, ReversePath,
    Strictness, parse_auth_response, parse_command, parse_command_with,
};

/// No line makes the parser panic; what it accepts has no line end, and is written to something that parses to the same.
pub fn command_holds(line: &[u8]) {
    let _ = parse_auth_response(line);
    let tolerant = parse_command_with(line, Strictness { tolerant: true });
    let parsed = parse_command(line);
    if let Err(fault) = &parsed {
        assert!((400..600).contains(&fault.reply().code));
    }
    let Ok(command) = parsed else { return };
    assert_eq!(tolerant.as_ref(), Ok(&command), "tolerance changes what strictness accepts");
    assert!(!line.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')));
    let mut out = Vec::new();
    match &command {
        Command::Mail { from, params } => write::mail(&mut out, from.address(), params),
        Command::Rcpt { to: ForwardPath::Address(address), params } => write::rcpt(&mut out, address, params),
        _ => return,
    }
    let again = parse_command(out.strip_suffix(b"\r\n").unwrap());
    match (&command, again) {
        (Command::Rcpt { params, .. }, Ok(Command::Rcpt { params: mut again, to })) => {
            if params.orcpt.as_ref().is_some_and(|orcpt| orcpt.kind == "utf-8") {
                again.orcpt.clone_from(&params.orcpt);
            }
            assert_eq!(command, Command::Rcpt { to, params: again });
        }
        // Encoding can make a value longer than it may be.
        (_, Err(PeerError::ParameterValue)) => {}
        (_, again) => assert_eq!(again.as_ref(), Ok(&command)),
    }
    if let Command::Mail { from: ReversePath::Address(address), .. } = &command {
        assert!(message::Address::parse(address.as_str()).is_ok());
    }
}

/// Parameters of MAIL and RCPT: as [`command_holds`]; what they hold is bounded and has no control characters.
pub fn parameters_hold(input: &[u8]) {
    for command in [&b"MAIL FROM:<a@x.test> "[..], b"RCPT TO:<b@x.test> "] {
        let line = [command, input].concat();
        command_holds(&line);
        let texts = match parse_command(&line) {
            Ok(Command::Mail { params, .. }) => params.envid,
            Ok(Command::Rcpt { params, .. }) => params.orcpt.map(|original| original.to_string()),
            _ => None,
        };
        if let Some(text) = texts {
            assert!(text.len() <= 500 && !text.chars().any(char::is_control), "{text:?}");
        }
    }
}

/// Lines are the same however the input is split.
pub fn lines_hold(input: &[u8], size: usize) {
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut reader = LineReader::new();
        reader.set_limit(16);
        let mut lines = Vec::new();
        for mut piece in pieces {
            while !piece.is_empty() {
                let taken = reader.read(piece);
                piece = &piece[taken.consumed..];
                match taken.line {
                    Line::Partial => assert!(piece.is_empty()),
                    Line::Complete(line) => lines.push(Ok(line.to_vec())),
                    Line::Fault(PeerError::EndlessLine) => return lines,
                    Line::Fault(fault) => lines.push(Err(fault)),
                }
            }
        }
        lines
    };
    assert_eq!(read(&mut input.chunks(size.max(1))), read(&mut std::iter::once(input)));
}

/// Message data is read as a naive reader does.
pub fn data_holds(input: &[u8], at: usize, size: usize) {
    let expected = naive(input);
    let (first, second) = input.split_at(at.min(input.len()));
    for read in [read(&[first, second]), read(&input.chunks(size.max(1)).collect::<Vec<_>>())] {
        assert_eq!((read.consumed, read.ended, read.fault), (expected.consumed, expected.ended, expected.fault));
        if read.ended && read.fault.is_none() {
            assert_eq!(read.message, expected.message);
        }
    }
}

/// However a message is cut into chunks, it is what DATA would have made of it, faults included.
pub fn chunks_hold(input: &[u8], at: usize, size: usize) {
    let data = read(&[&dotted(input)]);
    let whole = chunks(&mut std::iter::once(input));
    let (first, second) = input.split_at(at.min(input.len()));
    assert_eq!(chunks(&mut [first, second].into_iter()), whole);
    assert_eq!(chunks(&mut input.chunks(size.max(1))), whole);
    let (message, fault) = whole;
    // What follows a lone CR or LF is not DATA's any more: `dotted` cannot know where its lines begin.
    assert_eq!(fault, data.fault);
    if fault.is_none() {
        assert!(data.ended);
        assert_eq!(message, data.message);
    }
}

/// A message by chunks, and the fault.
pub fn chunks(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<u8>, Option<DataFault>) {
    let mut reader = ChunkReader::new();
    let mut message = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut |bytes| message.extend_from_slice(bytes));
    }
    reader.finish(&mut |bytes| message.extend_from_slice(bytes));
    (message, reader.fault())
}

/// A message as DATA carries it: dots doubled behind CRLF, the rest as it is, and the end of data.
fn dotted(input: &[u8]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut line_start = true;
    for (index, byte) in input.iter().enumerate() {
        if line_start && *byte == b'.' {
            wire.push(b'.');
        }
        wire.push(*byte);
        line_start = *byte == b'\n' && index > 0 && input[index - 1] == b'\r';
    }
    if !line_start {
        // A CR at the end is one of its own.
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b".\r\n");
    wire
}

/// No octets make the parser of PROXY headers panic; more octets change nothing that was said, and what was said is bounded.
pub fn proxy_holds(input: &[u8]) {
    let whole = smtp::proxy::parse(input);
    for end in 0..=input.len().min(300) {
        match smtp::proxy::parse(&input[..end]) {
            Ok(None) => {
                assert!(end < smtp::proxy::LONGEST);
                if let Ok(Some(header)) = &whole {
                    assert!((1..=header.length - end).contains(&smtp::proxy::wanted(&input[..end])));
                }
            }
            said => {
                assert_eq!(said, whole, "more octets change what was said");
                break;
            }
        }
    }
    if let Ok(Some(header)) = whole {
        assert!(header.length <= input.len() && header.length <= smtp::proxy::LONGEST);
        assert!(smtp::proxy::looks_like_header(input));
        assert_eq!(smtp::proxy::parse(&input[..header.length]), whole);
    }
}

/// What is stuffed reads back the same, but for its line ends.
pub fn stuffing_holds(input: &[u8], at: usize) {
    let (first, second) = input.split_at(at.min(input.len()));
    let wire = stuffed(&[first, second]);
    assert_eq!(wire, stuffed(&[input]));
    let read = read(&[&wire]);
    assert!(read.ended && read.fault.is_none() && read.consumed == wire.len());
    let mut lines = Vec::new();
    let mut bytes = input.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&&b'\n');
                lines.extend_from_slice(b"\r\n");
            }
            b'\n' => lines.extend_from_slice(b"\r\n"),
            byte => lines.push(*byte),
        }
    }
    if !lines.is_empty() && !lines.ends_with(b"\r\n") {
        lines.extend_from_slice(b"\r\n");
    }
    assert_eq!(read.message, lines);
}

/// Replies are the same however they are split, bounded, and without control characters.
pub fn replies_hold(input: &[u8], size: usize) {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    let mut fault = None;
    'pieces: for piece in input.chunks(size.max(1)) {
        let mut rest = piece;
        while !rest.is_empty() {
            match parser.push(rest) {
                Ok((consumed, reply)) => {
                    replies.extend(reply);
                    rest = &rest[consumed..];
                }
                Err(found) => {
                    fault = Some(found);
                    break 'pieces;
                }
            }
        }
    }
    for reply in &replies {
        assert!((200..600).contains(&reply.code) && (1..=128).contains(&reply.lines.len()));
        assert!(!reply.lines.iter().any(|line| line.contains(char::is_control)));
    }
    assert_eq!(fault.map_or(Ok(replies), Err), parse_all(input));
}

pub fn parse_all(input: &[u8]) -> Result<Vec<Reply>, ReplyFault> {
    let mut parser = ReplyParser::new();
    let mut replies = Vec::new();
    let mut rest = input;
    while !rest.is_empty() {
        let (consumed, reply) = parser.push(rest)?;
        replies.extend(reply);
        rest = &rest[consumed..];
    }
    Ok(replies)
}

/// A message to a server that answers this, beginning with its reply to EHLO; the first octet says by which protocol and to how
/// many. Each recipient has one outcome, and only a text that was sent to one whom the server took, and that it took, was
/// delivered.
pub fn client_holds(input: &[u8]) {
    let Some((&choice, mut rest)) = input.split_first() else { return };
    let protocol = if choice & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp };
    let address = |number| message::Address::parse(&format!("r{number}@x.test")).unwrap();
    let recipients: Vec<_> = (0..=choice >> 1 & 3).map(|number| (address(number), Default::default())).collect();
    let count = recipients.len();
    let envelope = Envelope {
        sender: (choice & 8 != 0).then(|| address(9)),
        recipients,
        size: Some(20),
        smtputf8: choice & 16 != 0,
        requiretls: choice & 32 != 0,
        exch50: (choice & 64 != 0).then(|| vec![7; 3]),
        envid: Some("id".to_owned()),
        ..Envelope::default()
    };
    let mut parser = ReplyParser::new();
    let mut next = || {
        while !rest.is_empty() {
            let (consumed, reply) = parser.push(rest).ok()?;
            rest = &rest[consumed..];
            if reply.is_some() {
                return reply;
            }
        }
        None
    };
    let Some(greeting) = next() else { return };
    let capabilities = Capabilities::parse(&greeting);
    let Ok(mut transaction) = ClientTransaction::new(protocol, &capabilities, envelope) else { return };
    let (mut commands, mut accepted, mut said) = (std::collections::VecDeque::new(), vec![false; count], Vec::new());
    let mut sent = None;
    for step in 0.. {
        assert!(step < 100, "it goes on for ever");
        match transaction.step() {
            Step::Send(octets) => {
                let lines = octets.split_inclusive(|octet| *octet == b'\n');
                commands.extend(lines.map(|line| String::from_utf8_lossy(line).into_owned()));
            }
            Step::Body | Step::Octets => {
                assert!(sent.is_none() && accepted.contains(&true), "a text for nobody");
                transaction.body_sent();
                sent = Some(said.len());
            }
            Step::Read => {
                let Some(reply) = next() else { break };
                let command = commands.pop_front().unwrap_or_default();
                let number = command.strip_prefix("RCPT TO:<r").and_then(|rest| rest[..1].parse::<usize>().ok());
                if let Some(number) = number.filter(|_| reply.is_positive()) {
                    accepted[number] = true;
                }
                said.push(reply.clone());
                if transaction.reply(reply).is_err() {
                    break;
                }
            }
            Step::Done => break,
        }
    }
    let (outcomes, state) = transaction.finish("it is gone");
    assert_eq!(outcomes.len(), count);
    for (number, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Delivered(reply) => {
                assert!(reply.is_positive() && accepted[number], "{outcome:?}");
                assert!(sent.is_some_and(|sent| said[sent..].contains(reply)), "{outcome:?}");
            }
            Outcome::Deferred(reply) | Outcome::Failed(reply) => assert!(!reply.is_positive() && said.contains(reply)),
            Outcome::Interrupted { data_sent, .. } => {
                assert!(state == ConnectionState::Broken && *data_sent == (sent.is_some() && accepted[number]));
            }
        }
    }
}

/// What a reader makes of pieces: the message, how much of the input was data, whether it ended, and the fault.
#[derive(Debug, PartialEq)]
pub struct Read {
    pub message: Vec<u8>,
    pub consumed: usize,
    pub ended: bool,
    pub fault: Option<DataFault>,
}

pub fn read(pieces: &[&[u8]]) -> Read {
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
pub fn naive(input: &[u8]) -> Read {
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

pub fn stuffed(pieces: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stuffer = DotStuffer::new();
    for piece in pieces {
        stuffer.push(piece, &mut |bytes| out.extend_from_slice(bytes));
    }
    stuffer.finish(&mut |bytes| out.extend_from_slice(bytes));
    out
}
