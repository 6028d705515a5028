//! Writing a header block anew: firewall, stamps and new fields on top.

use std::borrow::Cow;

use crate::firewall::Keep;
use crate::header::HeaderBlock;
use crate::senders::Mailbox;

/// Writes `block` with `edits`, followed by the empty line. Fields that no edit touches are copied byte for byte.
pub fn rewrite(block: &HeaderBlock, edits: &Edits) -> Vec<u8> {
    let _ = (block, edits);
    todo!()
}

/// What [`rewrite`] changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The firewalled fields that stay.
    pub keep: Keep,
    /// What becomes of Sender.
    pub sender: SenderEdit,
    /// What becomes of Resent-Sender in the newest Resent block.
    pub resent_sender: SenderEdit,
    /// Fields put on top, the first one topmost. Values are plain text without line ends; long lines are folded.
    pub prepend: Vec<(Cow<'static, str>, String)>,
    /// Fields of these names are dropped before anything is put on top (overwritten organization headers).
    pub drop: Vec<Cow<'static, str>>,
    /// Sets the hop marker (see [`crate::trace_fields::hops`]); `None` leaves it.
    pub hops: Option<u32>,
    /// Display names are written as UTF-8 (SMTPUTF8) rather than as encoded words.
    pub utf8: bool,
}

/// What becomes of a sender field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SenderEdit {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is dropped.
    Remove,
    /// It is set, or replaced.
    Set(Mailbox),
}
