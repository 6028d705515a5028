//! The faults of a peer.

use crate::reply::Reply;

/// A fault of the peer. Each has exactly one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The verb needs an argument or has one too many.
    #[error("Syntax error in parameters")]
    Syntax,
}

impl PeerError {
    /// What is answered.
    pub fn reply(&self) -> Reply {
        todo!()
    }

    /// Whether the connection must be closed after the reply, because what follows cannot be understood.
    pub fn is_fatal(&self) -> bool {
        false
    }
}
