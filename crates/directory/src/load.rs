//! Loading a snapshot in bulk.

use acl::Guid;
use thiserror::Error;

use crate::Snapshot;

/// A loaded snapshot, and what was wrong with the records. Problems never widen a right: the value in question does
/// not count.
#[derive(Debug)]
pub struct Loaded {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What does not count.
    pub problems: Vec<Problem>,
}

/// Something in a directory that does not count as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A link to an object that does not exist; dropped.
    #[error("{object}: {attribute} refers to “{target}”, which does not exist")]
    DanglingLink {
        /// The object.
        object: Guid,
        /// The attribute.
        attribute: String,
        /// The link.
        target: String,
    },
    /// A value that cannot be read; ignored.
    #[error("{object}: {attribute}: {reason}")]
    BadValue {
        /// The object.
        object: Guid,
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Objects without a readable descriptor; nothing is granted on them.
    #[error("{object}: the security descriptor is unreadable")]
    Unreadable {
        /// The object.
        object: Guid,
    },
    /// An address with several owners proves nothing.
    #[error("the address {address} belongs to {} objects", objects.len())]
    SharedAddress {
        /// The address.
        address: String,
        /// Its owners.
        objects: Vec<Guid>,
    },
}

/// Why records make no snapshot: the store is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// Two records with one objectGUID.
    #[error("two records have the objectGUID {0}")]
    DuplicateGuid(Guid),
    /// A record whose parent is missing, or that is its own ancestor.
    #[error("the record {object} is below {parent}, which does not exist or is below it")]
    NoParent {
        /// The record.
        object: Guid,
        /// Its parent.
        parent: Guid,
    },
    /// Two objects with one name, SID, logon name or mailbox.
    #[error("{first} and {second} have the same {attribute}")]
    Duplicate {
        /// One object.
        first: Guid,
        /// The other.
        second: Guid,
        /// What they share.
        attribute: &'static str,
    },
}
