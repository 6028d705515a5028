//! Reading a header block from pieces.

use memchr::memchr;

use super::{HeaderBlock, HeaderFault, Span};

/// Reads a header block from pieces of message data, split anywhere. Holds at most `limit` bytes.
#[derive(Debug)]
pub struct HeaderReader {
    block: HeaderBlock,
    limit: usize,
    /// Where the line that has not ended begins.
    line_start: usize,
    /// Its number, from 1.
    line: usize,
    complete: bool,
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

impl HeaderReader {
    /// A reader that refuses a header block longer than `limit` bytes.
    pub fn new(limit: usize) -> HeaderReader {
        HeaderReader { block: HeaderBlock::default(), limit, line_start: 0, line: 1, complete: false }
    }

    /// Takes dot-unstuffed message data. After [`HeaderProgress::Complete`] the rest of `input` is body: take the block
    /// with [`HeaderReader::finish`].
    pub fn push(&mut self, input: &[u8]) -> Result<HeaderProgress, HeaderFault> {
        let mut consumed = 0;
        while !self.complete {
            let rest = &input[consumed..];
            let Some(end) = memchr(b'\n', rest) else {
                self.take(rest)?;
                return Ok(HeaderProgress::More);
            };
            self.take(&rest[..=end])?;
            consumed += end + 1;
            self.end_line()?;
        }
        Ok(HeaderProgress::Complete { consumed })
    }

    /// The block: after [`HeaderProgress::Complete`], or at the end of data when no empty line came.
    pub fn finish(self) -> Result<HeaderBlock, HeaderFault> {
        if self.line_start < self.block.bytes.len() {
            return Err(HeaderFault::UnfinishedLine { line: self.line });
        }
        Ok(self.block)
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), HeaderFault> {
        if piece.len() > self.limit.saturating_sub(self.block.bytes.len()) {
            return Err(HeaderFault::TooLarge { limit: self.limit });
        }
        self.block.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The bytes since `line_start` end with LF.
    fn end_line(&mut self) -> Result<(), HeaderFault> {
        let bytes = &self.block.bytes;
        let line = self.line;
        let text = &bytes[self.line_start..bytes.len() - 1];
        if memchr(0, text).is_some() {
            return Err(HeaderFault::Nul { line });
        }
        let text = text.strip_suffix(b"\r").ok_or(HeaderFault::BareLf { line })?;
        if memchr(b'\r', text).is_some() {
            return Err(HeaderFault::BareCr { line });
        }
        if line == 1 && text.starts_with(b"\xEF\xBB\xBF") {
            return Err(HeaderFault::ByteOrderMark);
        }
        if text.is_empty() {
            self.complete = true;
            self.block.bytes.truncate(self.line_start);
            return Ok(());
        }
        if matches!(text[0], b' ' | b'\t') {
            let end = self.block.bytes.len();
            self.block.fields.last_mut().ok_or(HeaderFault::LeadingWhitespace)?.end = end;
        } else {
            let name_end = self.line_start + name_length(text, line)?;
            self.block.fields.push(Span { start: self.line_start, name_end, end: self.block.bytes.len() });
        }
        self.line_start = self.block.bytes.len();
        self.line += 1;
        Ok(())
    }
}

/// The length of the field name at the start of a line; it ends at the first colon.
fn name_length(text: &[u8], line: usize) -> Result<usize, HeaderFault> {
    let no_field = if line == 1 { HeaderFault::NoHeader } else { HeaderFault::NotAField { line } };
    let colon = memchr(b':', text).ok_or(no_field)?;
    let name = &text[..colon];
    match name.iter().position(|b| !b.is_ascii_graphic()) {
        None if name.is_empty() => Err(HeaderFault::FieldName { line }),
        None => Ok(colon),
        Some(end) if name[end..].iter().all(|b| matches!(b, b' ' | b'\t')) => {
            Err(HeaderFault::SpaceBeforeColon { line })
        }
        Some(_) => Err(HeaderFault::FieldName { line }),
    }
}
