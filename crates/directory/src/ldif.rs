//! LDIF (RFC 2849): reader and writer.

use thiserror::Error;

/// Why a text is not LDIF.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct LdifError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}
