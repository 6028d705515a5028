//! Turning a binary message into lines: binary contents become base64 (RFC 2045 §6.8).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::structure::{Content, Encoding, Shape};
use super::{BinaryBody, BinaryFault, Piece};
use crate::header::HeaderBlock;

/// Octets that a line of base64 stands for: 76 characters (RFC 2045 §6.8).
const LINE: usize = 57;
const ENCODING: &str = "Content-Transfer-Encoding";

/// Takes the body of a binary message and gives it on as lines that end with CRLF, without NUL; at the end of it, too.
#[derive(Debug)]
pub struct Lined {
    body: BinaryBody,
    writer: Writer,
}

#[derive(Debug, Default)]
struct Writer {
    /// Octets of a binary content that make no line yet.
    rest: Vec<u8>,
    /// A line of the content was written.
    begun: bool,
    /// What was given ended with a line.
    ended: bool,
}

impl Lined {
    /// The header of the message as it goes out, with its empty line, and what its body is to be given to.
    ///
    /// # Errors
    /// As [`BinaryBody::new`].
    pub fn new(block: &HeaderBlock) -> Result<(Vec<u8>, Lined), BinaryFault> {
        let mut header = Vec::new();
        write_header(block, &Shape::of(block, false)?, &mut |octets| header.extend_from_slice(octets));
        Ok((header, Lined { body: BinaryBody::new(block)?, writer: Writer { ended: true, ..Writer::default() } }))
    }

    /// Takes the next piece of the body, split anywhere, and gives `sink` what becomes of it.
    ///
    /// # Errors
    /// The body is not that of a binary message, or must not be changed. Nothing more may be given then.
    pub fn push(&mut self, input: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<(), BinaryFault> {
        let Lined { body, writer } = self;
        body.read(input, &mut |piece| writer.write(piece, sink))
    }

    /// The end of the body.
    ///
    /// # Errors
    /// As above.
    pub fn finish(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<(), BinaryFault> {
        let Lined { body, writer } = self;
        body.end(&mut |piece| writer.write(piece, sink))?;
        if !writer.ended {
            sink(b"\r\n");
        }
        Ok(())
    }
}

impl Writer {
    fn write(&mut self, piece: Piece<'_>, sink: &mut dyn FnMut(&[u8])) -> Result<(), BinaryFault> {
        match piece {
            Piece::Lines(lines) => {
                self.ended = lines.ends_with(b"\n");
                sink(lines);
            }
            Piece::Header(_, shape, true) if shape.encoding == Encoding::Binary => return Err(BinaryFault::Signed),
            Piece::Header(block, shape, _) => {
                write_header(block, shape, sink);
                self.ended = true;
            }
            Piece::Binary(octets) => {
                self.rest.extend_from_slice(octets);
                let whole = self.rest.len() - self.rest.len() % LINE;
                for line in self.rest[..whole].chunks(LINE) {
                    encode(line, &mut self.begun, sink);
                    self.ended = false;
                }
                self.rest.drain(..whole);
            }
            Piece::End => {
                if !self.rest.is_empty() {
                    encode(&self.rest, &mut self.begun, sink);
                    self.rest.clear();
                    self.ended = false;
                }
                self.begun = false;
            }
        }
        Ok(())
    }
}

/// A line of base64. Its end comes with the next one: the last one's belongs to the delimiter.
fn encode(octets: &[u8], begun: &mut bool, sink: &mut dyn FnMut(&[u8])) {
    if std::mem::replace(begun, true) {
        sink(b"\r\n");
    }
    sink(STANDARD.encode(octets).as_bytes());
}

/// A header with its empty line, and another encoding where it says that something is binary.
fn write_header(block: &HeaderBlock, shape: &Shape, sink: &mut dyn FnMut(&[u8])) {
    // RFC 2045 §6.4: what has parts is not encoded itself.
    let encoding = match shape.content {
        Content::Leaf => "base64",
        Content::Message | Content::Parts(_) => "8bit",
    };
    for field in block.fields() {
        match shape.encoding == Encoding::Binary && field.is(ENCODING) {
            true => sink(format!("{ENCODING}: {encoding}\r\n").as_bytes()),
            false => sink(field.raw),
        }
    }
    sink(b"\r\n");
}
