//! The header block: read incrementally from the data of a message, bounded, and strict where readers differ.

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
        let _ = message;
        todo!()
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
        todo!()
    }
}

/// Reads a header block from pieces of message data, split anywhere. Holds at most `limit` bytes.
#[derive(Debug)]
pub struct HeaderReader {
    block: HeaderBlock,
    limit: usize,
}

impl HeaderReader {
    /// A reader that refuses a header block longer than `limit` bytes.
    pub fn new(limit: usize) -> HeaderReader {
        HeaderReader { block: HeaderBlock::default(), limit }
    }

    /// Takes dot-unstuffed message data. After [`HeaderProgress::Complete`] the rest of `input` is body: take the block
    /// with [`HeaderReader::finish`].
    pub fn push(&mut self, input: &[u8]) -> Result<HeaderProgress, HeaderFault> {
        let _ = (input, self.limit);
        todo!()
    }

    /// The block: after [`HeaderProgress::Complete`], or at the end of data when no empty line came.
    pub fn finish(self) -> Result<HeaderBlock, HeaderFault> {
        Ok(self.block)
    }
}

/// How far [`HeaderReader::push`] came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderProgress {
    /// All input was taken; the header goes on.
    More,
    /// The empty line was read. `consumed` bytes of the input belong to the header, that line included; the rest is body.
    Complete {
        /// How many bytes of the last input were taken.
        consumed: usize,
    },
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
}
