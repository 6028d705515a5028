//! Message data: the end of data and dot-unstuffing (RFC 5321 §4.5.2), strictly; and chunks of it (RFC 3030).

use memchr::memchr2;

/// Reads message data. Only `<CRLF>.<CRLF>` (or `.<CRLF>` at the very start) ends it. Holds no data.
#[derive(Debug)]
pub struct DataReader {
    state: State,
    fault: Option<DataFault>,
    /// Bare LFs are line ends.
    tolerant: bool,
    /// Length of the line so far, without what is held back.
    line: u64,
    longest_line: u64,
}

/// What was read last; a dot at the start of a line, and a CR behind it, are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    LineStart,
    Text,
    Cr,
    Dot,
    DotCr,
    /// Behind a bare LF that is taken for a line end. Data does not end here.
    BareStart,
    /// A dot there.
    BareDot,
    Ended,
}

impl DataReader {
    /// A reader at the start of data.
    pub fn new() -> DataReader {
        DataReader { state: State::LineStart, fault: None, tolerant: false, line: 0, longest_line: 0 }
    }

    /// A reader that takes a bare LF for a line end and gives CRLF instead, as old devices need it. Data still ends by
    /// `<CRLF>.<CRLF>` alone, so that no other server sees an end of data that we do not (attack 17).
    pub fn tolerant() -> DataReader {
        DataReader { tolerant: true, ..DataReader::new() }
    }

    /// Takes data and gives it, dot-unstuffed and in pieces of `input`, to `sink`, the final CRLF included. After a fault
    /// nothing more goes to `sink`, but data is read to its end.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> DataProgress {
        let mut position = 0;
        // Where what has not been given to the sink begins.
        let mut pending = 0;
        while let Some(&byte) = input.get(position) {
            match self.state {
                State::Ended => break,
                State::Text => {
                    let rest = &input[position..];
                    let Some(length) = memchr2(b'\r', b'\n', rest) else {
                        self.line += rest.len() as u64;
                        position = input.len();
                        break;
                    };
                    position += length + 1;
                    self.line += length as u64 + 1;
                    if rest[length] == b'\n' && self.tolerant {
                        self.give(&input[pending..position - 1], sink);
                        self.give(b"\r\n", sink);
                        pending = position;
                        self.line += 1;
                        self.end_line();
                        self.state = State::BareStart;
                        continue;
                    }
                    if rest[length] == b'\n' {
                        self.fail(DataFault::BareLf, &input[pending..position - 1], sink);
                        continue;
                    }
                    if rest.get(length + 1) == Some(&b'\n') {
                        position += 1;
                        self.line += 1;
                        self.end_line();
                    } else {
                        self.state = State::Cr;
                    }
                }
                State::LineStart if byte == b'.' => {
                    self.give(&input[pending..position], sink);
                    position += 1;
                    pending = position;
                    self.state = State::Dot;
                }
                State::LineStart => self.state = State::Text,
                State::BareStart if byte == b'.' => {
                    self.give(&input[pending..position], sink);
                    position += 1;
                    pending = position;
                    self.state = State::BareDot;
                }
                State::BareStart => self.state = State::Text,
                // A stuffed line begins with two dots. One alone was written by a client that does not stuff.
                State::BareDot => {
                    if byte != b'.' {
                        self.give(b".", sink);
                        self.line += 1;
                    }
                    self.state = State::Text;
                }
                State::Cr if byte == b'\n' => {
                    position += 1;
                    self.line += 1;
                    self.end_line();
                }
                State::Cr => {
                    self.fail(DataFault::BareCr, &input[pending..position], sink);
                    self.state = State::Text;
                }
                State::Dot if byte == b'\r' => {
                    position += 1;
                    pending = position;
                    self.state = State::DotCr;
                }
                State::Dot => self.state = State::Text,
                State::DotCr if byte == b'\n' => {
                    position += 1;
                    pending = position;
                    self.state = State::Ended;
                }
                State::DotCr => {
                    self.fail(DataFault::BareCr, &[], sink);
                    self.state = State::Text;
                }
            }
        }
        if self.state != State::Ended && pending < position {
            self.give(&input[pending..position], sink);
        }
        DataProgress { consumed: position, ended: self.state == State::Ended }
    }

    /// The first fault; the message is to be refused at the end of data.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// The length in bytes of the longest line so far, CRLF included, the dot of dot-stuffing not.
    pub fn longest_line(&self) -> u64 {
        self.longest_line.max(self.line)
    }

    fn end_line(&mut self) {
        self.longest_line = self.longest_line.max(self.line);
        self.line = 0;
        self.state = State::LineStart;
    }

    fn give(&self, piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.fault.is_none() && !piece.is_empty() {
            sink(piece);
        }
    }

    fn fail(&mut self, fault: DataFault, before: &[u8], sink: &mut dyn FnMut(&[u8])) {
        self.give(before, sink);
        self.fault.get_or_insert(fault);
    }
}

impl Default for DataReader {
    fn default() -> DataReader {
        DataReader::new()
    }
}

/// Reads the chunks of BDAT (RFC 3030): text without dot-stuffing whose end is counted, not found. What is wrong with a
/// line end in DATA is wrong here too. Holds no data.
#[derive(Debug, Default)]
pub struct ChunkReader {
    /// The last octet was a CR; it was given on.
    cr: bool,
    /// The last octets were no line end.
    in_line: bool,
    tolerant: bool,
    /// Nothing is looked at.
    binary: bool,
    fault: Option<DataFault>,
}

impl ChunkReader {
    /// A reader at the start of a message.
    pub fn new() -> ChunkReader {
        ChunkReader::default()
    }

    /// As [`DataReader::tolerant`].
    pub fn tolerant() -> ChunkReader {
        ChunkReader { tolerant: true, ..ChunkReader::default() }
    }

    /// A reader of a binary message (`BODY=BINARYMIME`): octets are given on as they are.
    pub fn binary() -> ChunkReader {
        ChunkReader { binary: true, ..ChunkReader::default() }
    }

    /// Takes the next piece of a chunk, and gives it to `sink`. After a fault nothing more goes there.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) {
        if self.binary {
            return give(input, sink);
        }
        let mut position = 0;
        // Where what has not been given to the sink begins.
        let mut pending = 0;
        while self.fault.is_none() && position < input.len() {
            if std::mem::take(&mut self.cr) {
                if input[position] != b'\n' {
                    return self.fail(DataFault::BareCr, &input[pending..position], sink);
                }
                position += 1;
                self.in_line = false;
                continue;
            }
            let Some(length) = memchr2(b'\r', b'\n', &input[position..]) else {
                self.in_line = true;
                position = input.len();
                break;
            };
            position += length + 1;
            self.in_line = true;
            match input[position - 1] {
                b'\r' => self.cr = true,
                _ if self.tolerant => {
                    give(&input[pending..position - 1], sink);
                    sink(b"\r\n");
                    pending = position;
                    self.in_line = false;
                }
                _ => return self.fail(DataFault::BareLf, &input[pending..position - 1], sink),
            }
        }
        if self.fault.is_none() {
            give(&input[pending..position], sink);
        }
    }

    /// The last chunk has ended. A last line without CRLF gets it: DATA can carry no other (RFC 5321 §4.1.1.4).
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if self.fault.is_some() {
            return;
        }
        if self.cr {
            self.fault = Some(DataFault::BareCr);
        } else if std::mem::take(&mut self.in_line) {
            sink(b"\r\n");
        }
    }

    /// The first fault; the message is to be refused.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    fn fail(&mut self, fault: DataFault, before: &[u8], sink: &mut dyn FnMut(&[u8])) {
        give(before, sink);
        self.fault = Some(fault);
    }
}

fn give(piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
    if !piece.is_empty() {
        sink(piece);
    }
}

/// How far [`DataReader::push`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataProgress {
    /// How many bytes of the input were data; the rest are commands.
    pub consumed: usize,
    /// Whether the end of data was read.
    pub ended: bool,
}

/// Why message data is refused: `550 5.6.0` and the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataFault {
    /// A CR that no LF follows.
    #[error("the message has a bare carriage return (CR without LF)")]
    BareCr,
    /// A LF that no CR precedes.
    #[error("the message has a bare line feed (LF without CR)")]
    BareLf,
}
