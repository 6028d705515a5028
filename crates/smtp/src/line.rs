//! Command lines out of a byte stream.

use memchr::{memchr, memchr2};
use zeroize::Zeroize;

use crate::error::PeerError;

/// Cuts command lines (RFC 5321 §2.3.8: CRLF and nothing else ends one). Holds at most one partial line, and wipes it
/// afterwards: it may be a password.
#[derive(Debug)]
pub struct LineReader {
    partial: Vec<u8>,
    limit: usize,
    /// A LF alone ends a line too.
    tolerant: bool,
    /// The last line was complete: `partial` is to be cleared.
    ended: bool,
    /// Bytes of a line over the limit that were thrown away.
    skipped: usize,
}

impl LineReader {
    /// Octets of a command line, CRLF included (RFC 5321 §4.5.3.1.4 wants 512, extensions more).
    pub const COMMAND_LIMIT: usize = 2048;
    /// Octets of a line of an authentication exchange, CRLF included (RFC 4954 §4).
    pub const AUTH_LIMIT: usize = 12288;
    /// Octets of a line over the limit that are skipped before we give up.
    pub const SKIP_LIMIT: usize = 65536;

    /// A reader with [`LineReader::COMMAND_LIMIT`].
    pub fn new() -> LineReader {
        LineReader { partial: Vec::new(), limit: LineReader::COMMAND_LIMIT, tolerant: false, ended: false, skipped: 0 }
    }

    /// Takes a LF without a CR for a line end too, as old devices write it.
    pub fn set_tolerant(&mut self, tolerant: bool) {
        self.tolerant = tolerant;
    }

    /// Changes the limit, for the lines to come.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes one line at most from `input`. What is not consumed is to be given again.
    pub fn read<'a>(&'a mut self, input: &'a [u8]) -> Taken<'a> {
        if std::mem::take(&mut self.ended) {
            self.partial.zeroize();
        }
        let Some(consumed) = self.end_of_line(input) else {
            return self.keep(input);
        };
        if self.skipped > 0 || self.partial.len() + consumed > self.limit {
            self.reset();
            return Taken { consumed, line: Line::Fault(PeerError::LineTooLong) };
        }
        let line = if self.partial.is_empty() {
            &input[..consumed]
        } else {
            self.partial.extend_from_slice(&input[..consumed]);
            self.ended = true;
            &self.partial
        };
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Taken { consumed, line: check(line.strip_suffix(b"\r").unwrap_or(line)) }
    }

    /// Whether part of a line was taken.
    pub fn has_partial(&self) -> bool {
        (!self.ended && !self.partial.is_empty()) || self.skipped > 0
    }

    /// Forgets a partial line, as after STARTTLS.
    pub fn reset(&mut self) {
        self.partial.zeroize();
        self.ended = false;
        self.skipped = 0;
    }

    /// The position behind the first CRLF; its CR may be the last byte of the partial line.
    fn end_of_line(&self, input: &[u8]) -> Option<usize> {
        let mut start = 0;
        while let Some(offset) = memchr(b'\n', &input[start..]) {
            let position = start + offset;
            let before = if position == 0 { self.partial.last() } else { input.get(position - 1) };
            if self.tolerant || before == Some(&b'\r') {
                return Some(position + 1);
            }
            start = position + 1;
        }
        None
    }

    fn keep<'a>(&'a mut self, input: &[u8]) -> Taken<'a> {
        let consumed = input.len();
        if self.skipped == 0 && self.partial.len() + consumed <= self.limit {
            self.partial.extend_from_slice(input);
            return Taken { consumed, line: Line::Partial };
        }
        self.skipped += consumed;
        if let Some(last) = input.last() {
            self.partial.clear();
            self.partial.push(*last);
        }
        if self.skipped > LineReader::SKIP_LIMIT {
            return Taken { consumed, line: Line::Fault(PeerError::EndlessLine) };
        }
        Taken { consumed, line: Line::Partial }
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

fn check(line: &[u8]) -> Line<'_> {
    if memchr(0, line).is_some() {
        return Line::Fault(PeerError::Nul);
    }
    match memchr2(b'\r', b'\n', line).map(|position| line[position]) {
        Some(b'\r') => Line::Fault(PeerError::BareCr),
        Some(_) => Line::Fault(PeerError::BareLf),
        None => Line::Complete(line),
    }
}
