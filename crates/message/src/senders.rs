//! Who a message claims to come from: From, Sender and the newest Resent block (`authorization.md` §5).

use crate::address::Address;
use crate::header::HeaderBlock;

/// Reads the senders of a message. What readers could understand in two ways is refused.
pub fn senders(block: &HeaderBlock) -> Result<Senders, SenderFault> {
    let _ = block;
    todo!()
}

/// The senders that a header block names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    /// The mailboxes of From, in order; empty only when there is no From field.
    pub from: Vec<Mailbox>,
    /// The mailbox of Sender.
    pub sender: Option<Mailbox>,
    /// The newest Resent block that names a sender.
    pub resent: Option<Resent>,
}

impl Senders {
    /// Whether the message has no From field.
    pub fn from_missing(&self) -> bool {
        self.from.is_empty()
    }
}

/// The senders of a Resent block (RFC 5322 §3.6.6). At least one of the two is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resent {
    /// The mailboxes of Resent-From; empty only when there is no such field in the block.
    pub from: Vec<Mailbox>,
    /// The mailbox of Resent-Sender.
    pub sender: Option<Mailbox>,
}

/// A mailbox of a sender field. The domain of its address is qualified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The display name, unquoted and decoded; not proven by anything.
    pub display_name: Option<String>,
    /// The address, without route and comments.
    pub address: Address,
}

/// Why the sender fields are refused, whoever sends: `550 5.6.0` and the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderFault {
    /// More than one From field.
    #[error("the message has more than one From field")]
    DuplicateFrom,
}
