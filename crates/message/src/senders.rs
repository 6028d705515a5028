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
    let found = Found::in_block(block);
    let from = found.from.only("From")?.map(|field| mailboxes(field, "From")).transpose()?;
    let sender = found.sender.only("Sender")?.map(|field| mailbox(field, "Sender")).transpose()?;
    let resent = if found.resent { resent::resent(block)? } else { None };
    Ok(Senders { from: from.unwrap_or_default(), sender, resent })
}

/// The sender fields of a block, found in one pass: headers are long, and every message is asked for them.
#[derive(Default)]
struct Found<'a> {
    from: Once<'a>,
    sender: Once<'a>,
    /// There is a Resent-From or Resent-Sender.
    resent: bool,
}

impl<'a> Found<'a> {
    fn in_block(block: &'a HeaderBlock) -> Found<'a> {
        let mut found = Found::default();
        for field in block.fields() {
            match field.name.len() {
                4 if field.is("From") => found.from.see(field),
                6 if field.is("Sender") => found.sender.see(field),
                11 | 13 => found.resent |= resent::names_resender(&field),
                _ => {}
            }
        }
        found
    }
}

/// A field that may stand once.
#[derive(Default)]
struct Once<'a> {
    first: Option<Field<'a>>,
    again: bool,
}

impl<'a> Once<'a> {
    fn see(&mut self, field: Field<'a>) {
        self.again |= self.first.is_some();
        self.first.get_or_insert(field);
    }

    fn only(self, name: &'static str) -> Result<Option<Field<'a>>, SenderFault> {
        if self.again { Err(SenderFaultKind::Duplicate.of(name)) } else { Ok(self.first) }
    }
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

/// The mailboxes of a list as a header field has them (RFC 5322 §3.4, groups too), by the grammar of sender fields.
pub fn mailbox_list(value: &str) -> Result<Vec<Mailbox>, SenderFaultKind> {
    grammar::mailboxes(value.as_bytes(), true)
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
