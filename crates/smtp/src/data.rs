//! Message data: the end of data and dot-unstuffing (RFC 5321 §4.5.2), strictly.

use memchr::memchr2;

/// Reads message data. Only `<CRLF>.<CRLF>` (or `.<CRLF>` at the very start) ends it. Holds no data.
#[derive(Debug)]
pub struct DataReader {
    state: State,
    fault: Option<DataFault>,
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
    Ended,
}

impl DataReader {
    /// A reader at the start of data.
    pub fn new() -> DataReader {
        DataReader { state: State::LineStart, fault: None, line: 0, longest_line: 0 }
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
