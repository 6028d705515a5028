//! A position in an SDDL text.

use super::{SddlContext, SddlError};

pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    pub(super) context: &'a SddlContext,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, context: &'a SddlContext) -> Cursor<'a> {
        Cursor { text, at: 0, context }
    }

    pub(super) fn lenient(&self) -> bool {
        self.context.lenient
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Goes on by `length` bytes, a character boundary, and returns them.
    pub(super) fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.at += length;
        taken
    }

    /// Takes characters as long as they are wanted.
    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        self.take(rest.find(|c| !wanted(c)).unwrap_or(rest.len()))
    }

    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    /// Goes over an expected text, or says that it is missing.
    pub(super) fn expect(&mut self, expected: &str) -> Result<(), SddlError> {
        if self.eat(expected) { Ok(()) } else { Err(self.error(self.at, format!("expected {expected}"))) }
    }

    pub(super) fn skip_spaces(&mut self) {
        self.take_while(|c| c == ' ');
    }

    pub(super) fn skip_whitespace(&mut self) {
        self.take_while(|c| c.is_ascii_whitespace());
    }

    /// An error about what lies between `start` and here (or the next character, when that is nothing).
    pub(super) fn error(&self, start: usize, message: impl Into<String>) -> SddlError {
        let length = match self.at.saturating_sub(start) {
            0 => self.text[start..].chars().next().map_or(0, char::len_utf8),
            some => some,
        };
        SddlError { offset: start, length, message: message.into() }
    }
}
