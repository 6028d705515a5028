//! Replies of a server, out of a byte stream.

use crate::reply::Reply;

/// Reads replies; bounded, and lenient where nothing depends on it (line feeds alone, no text, no enhanced code).
#[derive(Debug, Default)]
pub struct ReplyParser {
    line: Vec<u8>,
}

impl ReplyParser {
    /// A parser at the start of a reply.
    pub fn new() -> ReplyParser {
        ReplyParser::default()
    }

    /// Takes bytes up to the end of one reply. Gives how many it took, and the reply once complete.
    pub fn push(&mut self, input: &[u8]) -> Result<(usize, Option<Reply>), ReplyFault> {
        let _ = (input, &self.line);
        todo!()
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
