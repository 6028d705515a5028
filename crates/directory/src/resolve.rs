//! Finding objects by what people and messages call them.

use thiserror::Error;

use crate::ObjectId;

/// Whose address it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// Nobody's.
    Nobody,
    /// One object's.
    One(ObjectId),
    /// Claimed by several objects: no proof (authorization.md §4).
    Several(Vec<ObjectId>),
}

/// Why a name stands for no single object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is called that.
    #[error("nothing is called “{0}”")]
    Unknown(String),
    /// Several objects are.
    #[error("“{name}” is ambiguous: {} objects are called that", candidates.len())]
    Ambiguous {
        /// The name.
        name: String,
        /// The objects, at most 50.
        candidates: Vec<ObjectId>,
    },
}
