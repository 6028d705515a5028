//! Tokens: who asks (authorization.md §2, acl-algorithms 1.7).

use acl::{SidId, SidSet};
use thiserror::Error;

use crate::ObjectId;

/// The SIDs of one way of asking. Rights of different tokens are never mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// How the session came by it.
    pub kind: TokenKind,
    /// The account, where there is one.
    pub account: Option<ObjectId>,
    /// The token's user SID: what SELF, owners and linked accounts are compared with.
    pub user: SidId,
    /// All SIDs, the user's too.
    pub sids: SidSet,
}

/// How a session came by a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Every session has it.
    Anonymous,
    /// A peer proven by certificate or address.
    Host(HostKind),
    /// A logged-on account.
    Account,
}

/// What a host proved to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostKind {
    /// Mutual TLS with a certificate of a secure domain.
    Partner {
        /// The proven domain, canonical.
        domain: String,
    },
    /// A hub server of the organization.
    Hub,
    /// An edge server of the organization.
    Edge,
    /// An address that a connector believes.
    ExternallySecured,
}

/// Why an object has no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    /// No such object, or it is gone.
    #[error("the account does not exist")]
    Unknown,
    /// The object is no account.
    #[error("the object is not an account")]
    NotAnAccount,
    /// The account may not log on.
    #[error("the account is disabled")]
    Disabled,
    /// An account without a SID (imported without one).
    #[error("the account has no SID")]
    NoSid,
}
