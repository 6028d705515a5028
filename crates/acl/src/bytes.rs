//! Self-relative bytes of descriptors (MS-DTYP 2.4.4 - 2.4.6).

use crate::SecurityDescriptor;

/// Why bytes are not a SID, an ACL or a descriptor: where, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {fault}")]
pub struct ParseError {
    /// Offset in the input, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub fault: ParseFault,
}

impl ParseError {
    pub(crate) const fn new(offset: usize, fault: ParseFault) -> ParseError {
        ParseError { offset, fault }
    }
}

/// What is wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFault {
    /// The bytes end within a SID.
    #[error("the SID is cut off")]
    SidTruncated,
    /// The revision of a SID is 1.
    #[error("SID revision {0} is not 1")]
    SidRevision(u8),
    /// A SID has at most 15 sub-authorities.
    #[error("{0} sub-authorities in a SID, at most 15 are allowed")]
    SidCount(u8),
}

impl SecurityDescriptor {
    /// Reads a self-relative descriptor. Sections may come in any order and with gaps.
    pub fn parse(bytes: &[u8]) -> Result<SecurityDescriptor, ParseError> {
        let _ = bytes;
        todo!()
    }

    /// Writes the descriptor as Windows does: SACL, DACL, owner, group without gaps.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}
