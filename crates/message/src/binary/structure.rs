//! What the header of a part says of its content.

use super::BinaryFault;
use crate::header::HeaderBlock;
use crate::parts::ContentType;

/// A multipart around the present place.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) boundary: Vec<u8>,
    /// Parts without a type are messages (RFC 2046 §5.1.5).
    pub(super) digest: bool,
    /// Parts count as they are (RFC 1847).
    pub(super) signed: bool,
    /// The header that is read is that of a part of it.
    pub(super) is_in_part: bool,
}

/// What a header says of what follows it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) content: Content,
    pub(super) encoding: Encoding,
}

/// What follows a header.
#[derive(Debug)]
pub(super) enum Content {
    /// Another header, of an attached message.
    Message,
    /// Parts.
    Parts(Level),
    /// Neither.
    Leaf,
}

/// How it is written (RFC 2045 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As lines.
    Lines,
    /// As lines that stand for something else.
    Encoded,
    /// As it is.
    Binary,
}

impl Shape {
    /// What the header of a message or a part says; `digest`: it is a part of a digest.
    pub(super) fn of(block: &HeaderBlock, digest: bool) -> Result<Shape, BinaryFault> {
        let encoding = Encoding::of(block)?;
        let mut types = block.named("Content-Type");
        let (first, other) = (types.next(), types.next());
        if other.is_some() {
            return Err(BinaryFault::Type);
        }
        let Some(field) = first else {
            let content = if digest && encoding != Encoding::Encoded { Content::Message } else { Content::Leaf };
            return Ok(Shape { content, encoding });
        };
        let content = match ContentType::read(field.value()).ok_or(BinaryFault::Type)? {
            // RFC 2046 §5.2.1: of the other kinds what follows the header is no message of this structure.
            ContentType::Message if !is_whole(&field.text()) && encoding == Encoding::Binary => {
                return Err(BinaryFault::Encoding);
            }
            ContentType::Message if is_whole(&field.text()) && encoding != Encoding::Encoded => Content::Message,
            ContentType::Message | ContentType::Other => Content::Leaf,
            // RFC 2045 §6.4.
            ContentType::Multipart { .. } if encoding == Encoding::Encoded => return Err(BinaryFault::Encoding),
            ContentType::Multipart { boundary, digest } => {
                let boundary = boundary.ok_or(BinaryFault::Type)?;
                let kind = media_type(&field.text());
                let signed = matches!(kind.as_str(), "multipart/signed" | "multipart/encrypted");
                Content::Parts(Level { boundary, digest, signed, is_in_part: false })
            }
        };
        Ok(Shape { content, encoding })
    }
}

impl Encoding {
    fn of(block: &HeaderBlock) -> Result<Encoding, BinaryFault> {
        let mut fields = block.named("Content-Transfer-Encoding");
        let (first, other) = (fields.next(), fields.next());
        if other.is_some() {
            return Err(BinaryFault::Encoding);
        }
        let Some(field) = first else { return Ok(Encoding::Lines) };
        match field.text().to_ascii_lowercase().as_str() {
            "7bit" | "8bit" => Ok(Encoding::Lines),
            "base64" | "quoted-printable" => Ok(Encoding::Encoded),
            "binary" => Ok(Encoding::Binary),
            _ => Err(BinaryFault::Encoding),
        }
    }
}

/// A message as a whole.
fn is_whole(text: &str) -> bool {
    matches!(media_type(text).as_str(), "message/rfc822" | "message/global" | "message/news")
}

fn media_type(text: &str) -> String {
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
