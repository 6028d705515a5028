//! Command lines out of a byte stream.

use crate::error::PeerError;

/// Cuts command lines (RFC 5321 §2.3.8: CRLF and nothing else ends one). Holds at most one partial line.
#[derive(Debug)]
pub struct LineReader {
    partial: Vec<u8>,
    limit: usize,
}

impl LineReader {
    /// Octets of a command line, CRLF included (RFC 5321 §4.5.3.1.4 wants 512, extensions more).
    pub const COMMAND_LIMIT: usize = 2048;
    /// Octets of a line of an authentication exchange, CRLF included (RFC 4954 §4).
    pub const AUTH_LIMIT: usize = 12288;

    /// A reader with [`LineReader::COMMAND_LIMIT`].
    pub fn new() -> LineReader {
        LineReader { partial: Vec::new(), limit: LineReader::COMMAND_LIMIT }
    }

    /// Changes the limit, for the lines to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes one line at most from `input`. What is not consumed is to be given again.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Taken<'a> {
        let _ = (input, self.limit);
        todo!()
    }

    /// Whether part of a line was taken.
    pub fn has_partial(&self) -> bool {
        !self.partial.is_empty()
    }
}

impl Default for LineReader {
    fn default() -> LineReader {
        LineReader::new()
    }
}

/// What [`LineReader::read`] took.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken<'a> {
    /// How many bytes of the input were taken.
    pub consumed: usize,
    /// What they gave.
    pub line: Line<'a>,
}

/// A line, part of one, or a fault.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The line has not ended; all input was taken.
    Partial,
    /// A line without its CRLF.
    Complete(&'a [u8]),
    /// A faulty line, taken whole: it gets one reply.
    Fault(PeerError),
}
