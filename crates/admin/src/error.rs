//! What can go wrong, for the one who asked.

use serde::{Deserialize, Serialize};

/// A refused or failed operation.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The service or a command could not do it.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// A fault as a document: what was wrong, and what to do about it.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub kind: FaultKind,
    /// For people: what was wrong and where.
    pub message: String,
    /// For people: what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A name that nothing has.
    NotFound,
    /// A name that several objects have.
    Ambiguous,
    /// The one who asked lacks a right.
    Denied,
    /// The request is wrong.
    Invalid,
    /// It contradicts what is there: a taken address, name or mailbox.
    Conflict,
    /// Storage or another part of the service failed.
    Unavailable,
    /// The service does not offer it here: for instance the queue of a server that does not run.
    Unsupported,
}
