//! The header block: read incrementally from the data of a message, bounded, and strict where readers differ.

mod reader;

pub use reader::{HeaderProgress, HeaderReader};

/// A complete header block whose every line is a well-formed field (RFC 5322 §2.2): printable ASCII names directly
/// before the colon, CRLF line ends, no NUL, no bare CR or LF, no byte order mark. Only [`HeaderReader`] makes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderBlock {
    bytes: Vec<u8>,
    fields: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    name_end: usize,
    end: usize,
}

impl HeaderBlock {
    /// Reads a whole header block from the start of `message`; what follows the empty line is ignored.
    pub fn parse(message: &[u8]) -> Result<HeaderBlock, HeaderFault> {
        let mut reader = HeaderReader::new(usize::MAX);
        reader.push(message)?;
        reader.finish()
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = Field<'_>> + ExactSizeIterator {
        self.fields
            .iter()
            .map(|span| Field { name: &self.bytes[span.start..span.name_end], raw: &self.bytes[span.start..span.end] })
    }

    /// The fields of this name (ASCII case is ignored), in order.
    pub fn named<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = Field<'a>> {
        self.fields().filter(move |field| field.is(name))
    }

    /// The block as received, without the empty line.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// One field of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon: printable ASCII.
    pub name: &'a [u8],
    /// The whole field: name, colon, value with its folds, and the final CRLF.
    pub raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// What follows the colon, folds included, the final CRLF excluded.
    pub fn value(&self) -> &'a [u8] {
        &self.raw[self.name.len() + 1..self.raw.len() - 2]
    }

    /// Whether the field has this name; ASCII case is ignored.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value unfolded and trimmed; bytes that are not UTF-8 are replaced. For reading, never for deciding.
    pub fn text(&self) -> String {
        let unfolded: Vec<u8> = self.value().iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
        String::from_utf8_lossy(&unfolded).trim().to_owned()
    }
}

/// Why a header block is refused. Every fault but [`HeaderFault::TooLarge`] is answered `550 5.6.0` and its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The block is longer than the connector takes; answered `552 5.3.4`.
    #[error("the header is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// A NUL.
    #[error("the header has a NUL character in line {line}")]
    Nul {
        /// Counted from 1.
        line: usize,
    },
    /// A CR that no LF follows.
    #[error("the header has a carriage return without a line feed in line {line}")]
    BareCr {
        /// Counted from 1.
        line: usize,
    },
    /// A LF that no CR precedes.
    #[error("the header has a line feed without a carriage return in line {line}")]
    BareLf {
        /// Counted from 1.
        line: usize,
    },
    /// U+FEFF before the first field: some readers skip it, others see a field of another name.
    #[error("the message begins with a byte order mark")]
    ByteOrderMark,
    /// The first line begins with a space or a tab: a continuation of nothing.
    #[error("the message begins with white space before the first header field")]
    LeadingWhitespace,
    /// A space or tab between field name and colon (obsolete syntax, RFC 5322 §4.5): some readers see another field, or
    /// the end of the header.
    #[error("a space or tab stands between a header field's name and the colon in line {line}")]
    SpaceBeforeColon {
        /// Counted from 1.
        line: usize,
    },
    /// A field name with characters that it cannot have, or without any.
    #[error("the header field name in line {line} is not valid")]
    FieldName {
        /// Counted from 1.
        line: usize,
    },
    /// The first line is no header field.
    #[error("the message does not begin with a header field")]
    NoHeader,
    /// A line without a colon between fields.
    #[error("line {line} of the header is not a header field")]
    NotAField {
        /// Counted from 1.
        line: usize,
    },
    /// The data ended within a line.
    #[error("the header ends within line {line}")]
    UnfinishedLine {
        /// Counted from 1.
        line: usize,
    },
}
