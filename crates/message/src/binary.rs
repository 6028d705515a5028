//! Messages with binary bodies (`BODY=BINARYMIME`, RFC 3030 §3): read strictly on the way in, and turned into lines where
//! the next hop takes nothing else.
//!
//! Binary is the content of parts that say so (`Content-Transfer-Encoding: binary`), and nothing else: headers,
//! delimiters, preambles and contents of other encodings are lines that end with CRLF, without NUL. What readers could
//! understand in two ways is a fault: two types or encodings, a boundary in an odd notation, a delimiter that stands in the
//! middle of a line or behind a bare CR or LF.
//!
//! Memory: one header of a part, and the beginning of a delimiter.

mod lined;
mod structure;

pub use lined::Lined;
use memchr::{memchr, memchr2, memmem};
use structure::{Content, Encoding, Level, Shape};

use crate::header::{HeaderBlock, HeaderFault};

/// The longest header of a part, in octets.
const LONGEST_HEADER: usize = 64 << 10;
/// Boundaries within one another.
const DEEPEST: usize = 16;
/// White space behind a delimiter, in octets.
const MOST_PADDING: usize = 128;

/// Why a message is no binary message, or cannot be turned into lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryFault {
    /// The header of a part.
    #[error("a part of the message has a header that is wrong: {0}")]
    Header(#[from] HeaderFault),
    /// A part has two types, or one that readers understand differently.
    #[error("a part of the message has a Content-Type that cannot be read")]
    Type,
    /// A part has two encodings, one that cannot be, or none that there is.
    #[error("a part of the message has a Content-Transfer-Encoding that it cannot have")]
    Encoding,
    /// Something may be a delimiter, or not.
    #[error("a boundary of the message stands where it is no delimiter")]
    Boundary,
    /// Too many parts within one another.
    #[error("the parts of the message are nested too deeply")]
    TooDeep,
    /// NUL, CR or LF alone outside of binary contents.
    #[error("what is not binary in the message is not lines")]
    NotLines,
    /// A binary part that is signed, or encrypted, as it is.
    #[error("a part of the message is signed in its binary form")]
    Signed,
}

/// A piece of a body.
#[derive(Clone, Copy, Debug)]
enum Piece<'a> {
    /// Lines: delimiters, preambles, contents that are not binary.
    Lines(&'a [u8]),
    /// The header of a part, and whether something around it is signed. Its empty line follows.
    Header(&'a HeaderBlock, &'a Shape, bool),
    /// Octets of a binary content.
    Binary(&'a [u8]),
    /// The end of a binary content.
    End,
}

/// Reads a body, and finds whether it is that of a binary message.
#[derive(Debug)]
pub struct BinaryBody {
    /// What is around the present place, the outermost first.
    levels: Vec<Level>,
    place: Place,
    /// What was not decided about yet, behind what was.
    held: Vec<u8>,
    /// Where that begins.
    start: usize,
    /// So many octets of it are those of no whole header.
    scanned: usize,
    /// A line begins at what is held.
    at_line: bool,
    /// The last octet of lines was a CR.
    cr: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Lines,
    Binary,
}

/// What is found in what is held.
enum Found {
    /// So many octets of content; what is behind them may become a delimiter.
    Content(usize),
    /// A delimiter.
    Delimiter {
        /// Where it begins, with its CRLF.
        start: usize,
        /// Behind its line.
        end: usize,
        level: usize,
        closes: bool,
    },
}

impl BinaryBody {
    /// A reader of the body that follows this header.
    ///
    /// # Errors
    /// The header says of itself what readers may understand differently.
    pub fn new(block: &HeaderBlock) -> Result<BinaryBody, BinaryFault> {
        let mut body = BinaryBody {
            levels: Vec::new(),
            place: Place::Lines,
            held: Vec::new(),
            start: 0,
            scanned: 0,
            at_line: true,
            cr: false,
        };
        body.enter(Shape::of(block, false)?)?;
        Ok(body)
    }

    /// Takes the next piece of the body, split anywhere.
    ///
    /// # Errors
    /// It is not that of a binary message. Nothing more may be given then.
    pub fn push(&mut self, input: &[u8]) -> Result<(), BinaryFault> {
        self.read(input, &mut |_| Ok(()))
    }

    /// The end of the body.
    ///
    /// # Errors
    /// As above.
    pub fn finish(&mut self) -> Result<(), BinaryFault> {
        self.end(&mut |_| Ok(()))
    }

    fn read(&mut self, input: &[u8], sink: &mut Sink<'_>) -> Result<(), BinaryFault> {
        self.held.extend_from_slice(input);
        while match self.place {
            Place::Header => self.read_header(sink)?,
            Place::Lines | Place::Binary => self.read_content(false, sink)?,
        } {}
        self.held.drain(..std::mem::take(&mut self.start));
        Ok(())
    }

    fn end(&mut self, sink: &mut Sink<'_>) -> Result<(), BinaryFault> {
        while self.place != Place::Header && self.read_content(true, sink)? {}
        match self.place {
            Place::Header => return Err(HeaderFault::UnfinishedLine { line: 1 }.into()),
            Place::Binary => sink(Piece::End)?,
            Place::Lines if self.cr => return Err(BinaryFault::NotLines),
            Place::Lines => {}
        }
        Ok(())
    }

    /// Reads the header of a part; whether there is more to do.
    fn read_header(&mut self, sink: &mut Sink<'_>) -> Result<bool, BinaryFault> {
        let held = &self.held[self.start..];
        let length = match held {
            [b'\r', b'\n', ..] => 2,
            held => match memmem::find(&held[self.scanned..], b"\r\n\r\n") {
                Some(at) => self.scanned + at + 4,
                None if held.len() > LONGEST_HEADER => {
                    return Err(HeaderFault::TooLarge { limit: LONGEST_HEADER }.into());
                }
                None => {
                    self.scanned = held.len().saturating_sub(3);
                    return Ok(false);
                }
            },
        };
        let block = HeaderBlock::parse(&held[..length])?;
        self.start += length;
        self.scanned = 0;
        let digest = self.levels.last().is_some_and(|level| level.digest && level.is_in_part);
        let shape = Shape::of(&block, digest)?;
        sink(Piece::Header(&block, &shape, self.levels.iter().any(|level| level.signed)))?;
        self.at_line = true;
        self.enter(shape)?;
        Ok(true)
    }

    /// What follows a header.
    fn enter(&mut self, shape: Shape) -> Result<(), BinaryFault> {
        // What is in a part of a digest is no part of it.
        if let Some(level) = self.levels.last_mut() {
            level.is_in_part = false;
        }
        self.place = match (shape.content, shape.encoding) {
            (Content::Message, _) => Place::Header,
            (Content::Leaf, Encoding::Binary) => Place::Binary,
            (Content::Leaf, _) => Place::Lines,
            (Content::Parts(level), _) => {
                let clashes = |other: &Level| {
                    other.boundary.starts_with(&level.boundary) || level.boundary.starts_with(&other.boundary)
                };
                if self.levels.iter().any(clashes) {
                    return Err(BinaryFault::Boundary);
                }
                if self.levels.len() >= DEEPEST {
                    return Err(BinaryFault::TooDeep);
                }
                self.levels.push(level);
                Place::Lines
            }
        };
        Ok(())
    }

    /// Reads content up to the next delimiter; whether there is more to do.
    fn read_content(&mut self, ended: bool, sink: &mut Sink<'_>) -> Result<bool, BinaryFault> {
        let (start, end, level, closes) = match self.find(ended)? {
            Found::Content(length) => {
                self.give(length, sink)?;
                return Ok(false);
            }
            Found::Delimiter { start, end, level, closes } => (start, end, level, closes),
        };
        self.give(start, sink)?;
        if self.place == Place::Binary {
            sink(Piece::End)?;
        }
        self.place = Place::Lines;
        self.give(end - start, sink)?;
        self.at_line = true;
        // A delimiter from further out ends what is within.
        self.levels.truncate(level + usize::from(!closes));
        if let Some(level) = self.levels.last_mut().filter(|_| !closes) {
            level.is_in_part = true;
            self.place = Place::Header;
        }
        Ok(true)
    }

    /// Looks for a delimiter in what is held.
    fn find(&self, ended: bool) -> Result<Found, BinaryFault> {
        let held = &self.held[self.start..];
        if self.levels.is_empty() {
            return Ok(Found::Content(held.len()));
        }
        let mut from = 0;
        while let Some(at) = memmem::find(&held[from..], b"--").map(|at| from + at) {
            let line_begins = at >= 2 && held[at - 2..at] == *b"\r\n";
            let start = if line_begins { at - 2 } else { at };
            let rest = &held[at + 2..];
            let named = self.levels.iter().position(|level| rest.starts_with(&level.boundary));
            let Some(level) = named else {
                let may_become = |level: &Level| level.boundary.starts_with(rest);
                if !ended && self.levels.iter().any(may_become) {
                    return Ok(Found::Content(start));
                }
                from = at + 1;
                continue;
            };
            let stands_alone = line_begins || (at == 0 && self.at_line);
            if !stands_alone {
                return Err(BinaryFault::Boundary);
            }
            let length = at + 2 + self.levels[level].boundary.len();
            return match rest_of_line(&held[length..], ended)? {
                None => Ok(Found::Content(start)),
                Some((closes, taken)) => Ok(Found::Delimiter { start, end: length + taken, level, closes }),
            };
        }
        let may_begin = [&b"\r\n-"[..], b"\r\n", b"\r", b"-"].into_iter().find(|begin| held.ends_with(begin));
        let kept = may_begin.filter(|_| !ended).map_or(0, <[u8]>::len);
        Ok(Found::Content(held.len() - kept))
    }

    /// Gives on so many octets of what is held.
    fn give(&mut self, length: usize, sink: &mut Sink<'_>) -> Result<(), BinaryFault> {
        if length == 0 {
            return Ok(());
        }
        let piece = &self.held[self.start..self.start + length];
        match self.place {
            Place::Binary => sink(Piece::Binary(piece))?,
            Place::Lines | Place::Header => {
                if !are_lines(piece, &mut self.cr) {
                    return Err(BinaryFault::NotLines);
                }
                sink(Piece::Lines(piece))?;
            }
        }
        self.start += length;
        self.at_line = false;
        Ok(())
    }
}

/// What becomes of the pieces of a body.
type Sink<'s> = dyn FnMut(Piece<'_>) -> Result<(), BinaryFault> + 's;

/// Reads what follows a boundary in its line (RFC 2046 §5.1.1): whether it is the last delimiter, and how long that is.
/// `None`: more is to come.
fn rest_of_line(rest: &[u8], ended: bool) -> Result<Option<(bool, usize)>, BinaryFault> {
    let closes = rest.starts_with(b"--");
    let behind = if closes { &rest[2..] } else { rest };
    let padding = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match &behind[padding..] {
        _ if padding > MOST_PADDING => Err(BinaryFault::Boundary),
        [b'\r', b'\n', ..] => Ok(Some((closes, rest.len() - behind.len() + padding + 2))),
        [] if ended && closes => Ok(Some((closes, rest.len()))),
        [] | [b'\r'] if !ended => Ok(None),
        [b'-'] if !ended && !closes && padding == 0 => Ok(None),
        _ => Err(BinaryFault::Boundary),
    }
}

/// Whether octets are lines that end with CRLF, without NUL; `cr`: a CR came last.
fn are_lines(octets: &[u8], cr: &mut bool) -> bool {
    if memchr(0, octets).is_some() {
        return false;
    }
    let mut rest = octets;
    if *cr {
        let Some(after) = rest.strip_prefix(b"\n") else { return rest.is_empty() };
        rest = after;
        *cr = false;
    }
    while let Some(at) = memchr2(b'\r', b'\n', rest) {
        match &rest[at..] {
            [b'\r', b'\n', ..] => rest = &rest[at + 2..],
            [b'\r'] => {
                *cr = true;
                return true;
            }
            _ => return false,
        }
    }
    true
}
