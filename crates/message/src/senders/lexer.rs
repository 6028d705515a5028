//! Words, white space and comments of RFC 5322 §3.2.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::fault::SenderFaultKind as Fault;
use crate::address::is_atext_byte;

/// How deeply comments may nest.
const MAX_COMMENT_DEPTH: usize = 16;

/// What makes a comment or quoted string look like an address.
const ADDRESS_LIKE: [char; 3] = ['@', '<', '>'];

/// The value of a field, checked line by line, and where reading it has come to.
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
    /// A quoted string or comment so far goes over several lines.
    folded: bool,
}

/// White space and comments between tokens (CFWS).
#[derive(Clone, Copy, Default)]
pub(super) struct Gap {
    /// There is some.
    pub present: bool,
    /// It ends with a comment.
    pub comment_last: bool,
    /// A comment among it has a character that could make it an address.
    pub address_like: bool,
    /// A comment among it goes over several lines.
    pub folded: bool,
}

/// A word of a phrase or of a local part.
pub(super) struct Word<'a> {
    pub kind: WordKind<'a>,
    /// What stands before it.
    pub gap: Gap,
    /// It is a quoted string over several lines.
    pub folded: bool,
}

pub(super) enum WordKind<'a> {
    Atom(&'a str),
    /// The content, without quotes and backslashes.
    Quoted(Cow<'a, str>),
    Dot,
}

/// The words of a phrase or of a local part: few, nearly always.
pub(super) type Words<'a> = SmallVec<[Word<'a>; 4]>;

impl<'a> Lexer<'a> {
    /// Checks what the grammar does not see: encoding, control characters, line lengths, blank lines.
    pub fn new(value: &'a [u8]) -> Result<Lexer<'a>, Fault> {
        let text = std::str::from_utf8(value).map_err(|_| Fault::NotUtf8)?;
        // One line of printable ASCII, as nearly all are.
        if text.len() <= 998 && text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
            return Ok(Lexer { text, position: 0, folded: false });
        }
        for (index, line) in text.split("\r\n").enumerate() {
            if line.chars().any(|c| c.is_control() && c != '\t') {
                return Err(Fault::Control);
            }
            if line.len() > 998 {
                return Err(Fault::LineTooLong);
            }
            if index > 0 && line.bytes().all(|b| matches!(b, b' ' | b'\t')) {
                return Err(Fault::BlankLine);
            }
        }
        Ok(Lexer { text, position: 0, folded: false })
    }

    pub fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    /// Takes `c`, an ASCII character, if it is next.
    pub fn take(&mut self, c: u8) -> bool {
        let next = self.byte() == Some(c);
        self.position += usize::from(next);
        next
    }

    /// Takes white space and comments.
    pub fn gap(&mut self) -> Result<Gap, Fault> {
        let mut gap = Gap::default();
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {
                    self.position += 1;
                    gap.comment_last = false;
                }
                Some(b'(') => {
                    let start = self.position;
                    gap.address_like |= self.comment()?;
                    gap.folded |= self.text[start..self.position].contains('\r');
                    gap.comment_last = true;
                }
                Some(b')') => return Err(Fault::Comment),
                _ => return Ok(gap),
            }
            gap.present = true;
        }
    }

    /// Takes words and dots up to a character that is part of neither, and the gap before that.
    pub fn words(&mut self) -> Result<(Words<'a>, Gap), Fault> {
        let mut words = Words::new();
        loop {
            let gap = self.gap()?;
            let start = self.position;
            let kind = match self.byte() {
                Some(b'"') => WordKind::Quoted(self.quoted_string()?),
                Some(b'.') => {
                    self.position += 1;
                    WordKind::Dot
                }
                Some(byte) if is_atext_byte(byte) => WordKind::Atom(self.atom()),
                _ => return Ok((words, gap)),
            };
            words.push(Word { kind, gap, folded: self.text[start..self.position].contains('\r') });
        }
    }

    /// Takes a dot-atom or an address literal; neither is checked further.
    pub fn domain(&mut self) -> &'a str {
        let rest = &self.text[self.position..];
        let length = if rest.starts_with('[') {
            rest.find(']').map_or(rest.len(), |end| end + 1)
        } else {
            rest.bytes().position(|byte| !is_atext_byte(byte) && byte != b'.').unwrap_or(rest.len())
        };
        self.position += length;
        &rest[..length]
    }

    fn atom(&mut self) -> &'a str {
        let rest = &self.text[self.position..];
        let length = rest.bytes().position(|byte| !is_atext_byte(byte)).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    /// The content of the quoted string that begins here, unfolded.
    fn quoted_string(&mut self) -> Result<Cow<'a, str>, Fault> {
        // Nothing to unfold or unescape, as nearly always.
        let inner = &self.text[self.position + 1..];
        if let Some((end, b'"')) = inner.bytes().enumerate().find(|(_, b)| matches!(b, b'"' | b'\\' | b'\r' | b'\n')) {
            self.take_delimited(end + 2, inner[..end].contains(ADDRESS_LIKE))?;
            return Ok(Cow::Borrowed(&inner[..end]));
        }
        let mut content = String::new();
        let mut chars = self.text[self.position..].char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.take_delimited(offset + 1, content.contains(ADDRESS_LIKE))?;
                    return Ok(Cow::Owned(content));
                }
                '\\' => content.push(escaped(chars.next())?.ok_or(Fault::Quote)?),
                '\r' | '\n' => {}
                c => content.push(c),
            }
        }
        Err(Fault::Quote)
    }

    /// Takes the comment that begins here; whether it looks like an address.
    fn comment(&mut self) -> Result<bool, Fault> {
        let mut depth = 0;
        let mut address_like = false;
        let mut chars = self.text[self.position..].char_indices();
        while let Some((offset, c)) = chars.next() {
            match c {
                '(' if depth == MAX_COMMENT_DEPTH => return Err(Fault::CommentDepth),
                '(' => depth += 1,
                ')' => depth -= 1,
                '\\' => address_like |= escaped(chars.next())?.is_some_and(|c| ADDRESS_LIKE.contains(&c)),
                c => address_like |= ADDRESS_LIKE.contains(&c),
            }
            if depth == 0 {
                self.take_delimited(offset + 1, address_like)?;
                return Ok(address_like);
            }
        }
        Err(Fault::Comment)
    }

    /// Takes a quoted string or comment of this length. Where a line end ends it for somebody, quoted and unquoted are
    /// exchanged for him from there on, so nothing behind it may look like an address; and a quote inside would exchange
    /// them back in the middle of it.
    fn take_delimited(&mut self, length: usize, address_like: bool) -> Result<(), Fault> {
        let text = &self.text[self.position..self.position + length];
        self.position += length;
        self.folded |= text.contains('\r');
        let exchanged = self.folded && (address_like || text[1..length - 1].contains('"'));
        if exchanged { Err(Fault::FoldedAddress) } else { Ok(()) }
    }
}

/// The character of a quoted-pair; a backslash before a line end is refused.
fn escaped(next: Option<(usize, char)>) -> Result<Option<char>, Fault> {
    match next {
        Some((_, '\r' | '\n')) => Err(Fault::Control),
        next => Ok(next.map(|(_, c)| c)),
    }
}
