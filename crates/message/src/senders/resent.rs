//! Resent blocks (RFC 5322 §3.6.6).

use std::ops::Range;

use super::{Resent, SenderFault, mailbox, mailboxes, only};
use crate::header::{Field, HeaderBlock};

/// Each may stand once in a block.
const RESENT_FIELDS: [&str; 8] = [
    "Resent-From",
    "Resent-Sender",
    "Resent-Date",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Resent-Message-ID",
    "Resent-Reply-To",
];

/// The senders of the newest Resent block.
pub(super) fn resent(block: &HeaderBlock) -> Result<Option<Resent>, SenderFault> {
    let Some(range) = newest_resent_block(block) else { return Ok(None) };
    let in_block = || block.fields().skip(range.start).take(range.len());
    for name in RESENT_FIELDS {
        only(in_block().filter(|field| field.is(name)), name)?;
    }
    let from = in_block().find(|field| field.is("Resent-From")).map(|field| mailboxes(field, "Resent-From"));
    let sender = in_block().find(|field| field.is("Resent-Sender")).map(|field| mailbox(field, "Resent-Sender"));
    Ok(Some(Resent { from: from.transpose()?.unwrap_or_default(), sender: sender.transpose()? }))
}

/// Where the newest Resent block lies, as indices of fields: the topmost stretch between trace fields that names a
/// resender (as RFC 4407 §2 finds it). Blocks without Resent-From and Resent-Sender do not hide those below.
pub(crate) fn newest_resent_block(block: &HeaderBlock) -> Option<Range<usize>> {
    let first = block.fields().position(|field| names_resender(&field))?;
    let start = block.fields().take(first).rposition(|field| is_trace(&field));
    let end = block.fields().skip(first).position(|field| is_trace(&field));
    Some(start.map_or(0, |index| index + 1)..end.map_or(block.fields().len(), |length| first + length))
}

pub(super) fn names_resender(field: &Field<'_>) -> bool {
    field.is("Resent-From") || field.is("Resent-Sender")
}

fn is_trace(field: &Field<'_>) -> bool {
    field.is("Received") || field.is("Return-Path")
}
