//! What a session is told when something is refused: one variant per distinct refusal, each with exactly one reply.

use message::Address;
use message::senders::SenderFault;

/// A refusal. The wording is that of Exchange 2007 where it had one (S2 table 9; "permissions" in the plural, as on the
/// wire).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Credentials are wrong, the mailbox to log on to is unknown or closed to the account, or the account may not
    /// submit on this connector. One reply for all, so that a stranger learns nothing.
    AuthenticationFailed,
    /// MAIL FROM by a session that proved nothing, on a connector where ANONYMOUS LOGON may not submit.
    NotAuthenticated,
    /// MAIL FROM by a session that proved who it is, but may not submit; or lost that right, or the Full Mailbox Access
    /// that its mailbox logon rests on, since it authenticated.
    NoSubmit,
    /// The envelope sender is not one that the session may use.
    Sender(Address),
    /// A header sender is not one that the session may use.
    From(Address),
    /// The header names nobody in From, and the session is one that must.
    FromMissing,
    /// The sender fields cannot be read in exactly one way.
    MalformedHeader(SenderFault),
    /// The domain is not ours and the session may not relay.
    UnableToRelay(Address),
    /// The domain is authoritative and nobody owns the address.
    UserUnknown(Address),
    /// Several objects own the recipient address, so that none of them does.
    AmbiguousRecipient(Address),
    /// The recipient takes mail from proven senders only, and this sender is not proven.
    AuthenticationRequired(Address),
    /// The recipient's delivery restrictions exclude this sender.
    NotAuthorized(Address),
    /// The message is larger than the connector's limit, given in octets.
    TooLarge {
        /// The limit in octets.
        limit: u64,
    },
    /// The descriptor that would decide could not be read from the directory. Unknown is not allowed, but it may become
    /// known: the sender is asked to try again.
    Unreadable(Address),
    /// The directory cannot answer within its staleness bound.
    DirectoryUnavailable,
    /// The account of the session was disabled or deleted.
    AccountEnded,
    /// The connector of the session was removed or disabled.
    ConnectorEnded,
}

/// An SMTP reply in parts: code, enhanced status code of RFC 3463, text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyText {
    /// The three-digit code.
    pub code: u16,
    /// The enhanced status code.
    pub enhanced: (u8, u16, u16),
    /// The text, without codes.
    pub text: String,
}

impl Refusal {
    /// The one reply of this refusal, without the address and the decision id that a session may append.
    pub fn reply(&self) -> ReplyText {
        let (code, enhanced, text) = match self {
            Refusal::AuthenticationFailed => (535, (5, 7, 3), "Authentication unsuccessful"),
            Refusal::NotAuthenticated => (530, (5, 7, 1), "Client was not authenticated"),
            Refusal::NoSubmit => (550, (5, 7, 1), "Client does not have permissions to submit to this server"),
            Refusal::Sender(_) => (550, (5, 7, 1), "Client does not have permissions to send as this sender"),
            Refusal::From(_) => {
                (550, (5, 7, 1), "Client does not have permissions to send on behalf of the from address")
            }
            Refusal::FromMissing => (550, (5, 6, 0), "The message has no From field"),
            Refusal::MalformedHeader(fault) => {
                return ReplyText { code: 550, enhanced: (5, 6, 0), text: fault.to_string() };
            }
            Refusal::UnableToRelay(_) => (550, (5, 7, 1), "Unable to relay"),
            Refusal::UserUnknown(_) => (550, (5, 1, 1), "User unknown"),
            Refusal::AmbiguousRecipient(_) => (550, (5, 1, 4), "Several recipients own this address"),
            Refusal::AuthenticationRequired(_) => {
                (550, (5, 7, 1), "RESOLVER.RST.AuthRequired; authentication required")
            }
            Refusal::NotAuthorized(_) => (550, (5, 7, 1), "RESOLVER.RST.NotAuthorized; not authorized"),
            Refusal::TooLarge { limit } => {
                let text = format!("Message size exceeds the maximum of {limit} octets");
                return ReplyText { code: 552, enhanced: (5, 3, 4), text };
            }
            Refusal::Unreadable(_) => (451, (4, 3, 0), "The permissions of this sender cannot be read at present"),
            Refusal::DirectoryUnavailable => (451, (4, 3, 0), "The directory cannot answer at present"),
            Refusal::AccountEnded => (421, (4, 7, 0), "The account of this session is no longer enabled"),
            Refusal::ConnectorEnded => (421, (4, 3, 2), "This connector is no longer in service"),
        };
        ReplyText { code, enhanced, text: text.to_owned() }
    }

    /// The address that was refused, where there is one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Refusal::Sender(address)
            | Refusal::From(address)
            | Refusal::UnableToRelay(address)
            | Refusal::UserUnknown(address)
            | Refusal::AmbiguousRecipient(address)
            | Refusal::AuthenticationRequired(address)
            | Refusal::NotAuthorized(address)
            | Refusal::Unreadable(address) => Some(address),
            _ => None,
        }
    }

    /// A short name for logs and counters, stable across versions.
    pub fn name(&self) -> &'static str {
        match self {
            Refusal::AuthenticationFailed => "authentication-failed",
            Refusal::NotAuthenticated => "not-authenticated",
            Refusal::NoSubmit => "no-submit",
            Refusal::Sender(_) => "sender",
            Refusal::From(_) => "from",
            Refusal::FromMissing => "from-missing",
            Refusal::MalformedHeader(_) => "malformed-header",
            Refusal::UnableToRelay(_) => "unable-to-relay",
            Refusal::UserUnknown(_) => "user-unknown",
            Refusal::AmbiguousRecipient(_) => "ambiguous-recipient",
            Refusal::AuthenticationRequired(_) => "authentication-required",
            Refusal::NotAuthorized(_) => "not-authorized",
            Refusal::TooLarge { .. } => "too-large",
            Refusal::Unreadable(_) => "unreadable",
            Refusal::DirectoryUnavailable => "directory-unavailable",
            Refusal::AccountEnded => "account-ended",
            Refusal::ConnectorEnded => "connector-ended",
        }
    }
}
