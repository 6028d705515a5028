//! Replies of a server, out of a byte stream.

use memchr::memchr;

use crate::reply::Reply;

/// The longest line we take, without its line end. RFC 5321 §4.5.3.1.5 says 512 octets.
const MAX_LINE: usize = 4096;
/// The most lines of one reply.
const MAX_LINES: usize = 128;

/// Reads replies; bounded, and lenient where nothing depends on it (line feeds alone, no text, no enhanced code).
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: Vec<u8>,
    reply: Option<Reply>,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new() -> ReplyParser {
        ReplyParser::default()
    }

    /// Takes bytes up to the end of one reply. Gives how many it took, and the reply once complete.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyFault> {
        let mut consumed = 0;
        while consumed < input.len() {
            let rest = &input[consumed..];
            let end = memchr(b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            if self.line.len() + piece.len() > MAX_LINE + 1 {
                return Err(ReplyFault::LineTooLong);
            }
            self.line.extend_from_slice(piece);
            consumed += piece.len() + usize::from(end.is_some());
            if end.is_some() && self.end_line()? {
                return Ok((consumed, self.reply.take()));
            }
        }
        Ok((consumed, None))
    }

    /// Whether part of a reply was taken.
    pub fn has_partial(&self) -> bool {
        !self.line.is_empty() || self.reply.is_some()
    }

    /// Adds the line to the reply; whether it is the last one.
    fn end_line(&mut self) -> Result<bool, ReplyFault> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let code = code(line).ok_or(ReplyFault::NoCode)?;
        let last = match line.get(3) {
            None | Some(b' ') => true,
            Some(b'-') => false,
            Some(_) => return Err(ReplyFault::NoCode),
        };
        let text: String = String::from_utf8_lossy(line.get(4..).unwrap_or_default())
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let (enhanced, text) = split_enhanced(code, &text);
        let reply = self.reply.get_or_insert_with(|| Reply { code, enhanced, lines: Vec::new() });
        if reply.code != code {
            return Err(ReplyFault::MixedCodes);
        }
        if reply.lines.len() == MAX_LINES {
            return Err(ReplyFault::TooManyLines);
        }
        reply.enhanced = reply.enhanced.or(enhanced);
        reply.lines.push(text.to_owned());
        Ok(last)
    }
}

/// Why what a server sends is no reply. The connection is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// A line does not begin with a reply code from 200 to 599.
    #[error("the server sent a line that is no reply")]
    NoCode,
    /// The lines of one reply have different codes.
    #[error("the server sent a reply whose lines have different codes")]
    MixedCodes,
    /// A line is longer than 4096 bytes.
    #[error("the server sent a reply line longer than 4096 bytes")]
    LineTooLong,
    /// A reply has more than 128 lines.
    #[error("the server sent a reply of more than 128 lines")]
    TooManyLines,
}

fn code(line: &[u8]) -> Option<u16> {
    let digits = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    (200..600).contains(&code).then_some(code)
}

/// Takes an enhanced status code off the text (RFC 2034 §4); its class must be that of the reply code.
fn split_enhanced(code: u16, text: &str) -> (Option<(u8, u16, u16)>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let number = |text: &str| {
        let valid = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if valid { text.parse::<u16>().ok() } else { None }
    };
    let mut parts = word.split('.');
    match (parts.next().and_then(number), parts.next().and_then(number), parts.next().and_then(number), parts.next()) {
        (Some(class), Some(subject), Some(detail), None) if class == code / 100 && class != 3 => {
            (Some((class as u8, subject, detail)), rest)
        }
        _ => (None, text),
    }
}
