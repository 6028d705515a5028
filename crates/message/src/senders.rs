//! Who a message claims to come from: From, Sender and the newest Resent block (`authorization.md` §5).
//!
//! The grammar is that of RFC 5322 with RFC 6532 (UTF-8) and RFC 6854 (groups), read over the raw bytes. Whatever other
//! readers are known to understand differently is refused: the address that a right is checked for must be the address
//! that is shown.

mod fault;
mod grammar;
mod lexer;
mod resent;

pub use fault::{SenderFault, SenderFaultKind};
pub(crate) use resent::newest_resent_block;

use crate::address::Address;
use crate::encoded_word;
use crate::header::{Field, HeaderBlock};

/// Reads the senders of a message. What readers could understand in two ways is refused.
pub fn senders(block: &HeaderBlock) -> Result<Senders, SenderFault> {
    let from = only(block.named("From"), "From")?.map(|field| mailboxes(field, "From")).transpose()?;
    let sender = only(block.named("Sender"), "Sender")?.map(|field| mailbox(field, "Sender")).transpose()?;
    Ok(Senders { from: from.unwrap_or_default(), sender, resent: resent::resent(block)? })
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

impl Mailbox {
    /// The mailbox as it is written in a header field: `"Carla Owens" <carla@example.com>`. A name beyond ASCII is written
    /// as encoded words, or as it is where `utf8` says that the message is internationalized (RFC 6532).
    pub fn to_header(&self, utf8: bool) -> String {
        match self.display_name.as_deref().map(str::trim) {
            None | Some("") => self.address.to_string(),
            Some(name) => format!("{} <{}>", encoded_word::phrase(name, utf8), self.address),
        }
    }
}

/// The most mailboxes that a sender field may name.
pub const MAX_MAILBOXES: usize = 256;

fn only<'a>(mut fields: impl Iterator<Item = Field<'a>>, name: &'static str) -> Result<Option<Field<'a>>, SenderFault> {
    let first = fields.next();
    match fields.next() {
        None => Ok(first),
        Some(_) => Err(SenderFaultKind::Duplicate.of(name)),
    }
}

fn mailboxes(field: Field<'_>, name: &'static str) -> Result<Vec<Mailbox>, SenderFault> {
    grammar::mailboxes(field.value(), true).map_err(|kind| kind.of(name))
}

fn mailbox(field: Field<'_>, name: &'static str) -> Result<Mailbox, SenderFault> {
    let mut mailboxes = grammar::mailboxes(field.value(), false).map_err(|kind| kind.of(name))?;
    if mailboxes.len() > 1 {
        return Err(SenderFaultKind::SeveralMailboxes.of(name));
    }
    mailboxes.pop().ok_or(SenderFaultKind::NoMailbox.of(name))
}
