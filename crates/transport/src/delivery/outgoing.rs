//! A message on its way out of the queue: its header edited for the receiver, its body streamed.

use std::borrow::Cow;

use message::firewall::{FieldClass, class};
use message::trace_fields::{HOP_MARKER, count_received, hops};
use message::{Edits, HeaderBlock, HeaderFault, HeaderProgress, HeaderReader, Keep, rewrite};
use queue::{BodyReader, Queue, QueueError};
use thiserror::Error;

/// The largest header block that is held in memory; what was accepted had to be smaller.
const HEADER_LIMIT: usize = 16 << 20;

/// Organization headers that stay in a mailbox (F §3.11, "Mailbox Transport Delivery").
const KEPT_IN_MAILBOXES: [&str; 7] =
    ["SCL", "AuthDomain", "AuthMechanism", "AuthSource", "AuthAs", "OriginalArrivalTime", "OriginalSize"];

/// A message that was opened: its header is in memory, its body still in the queue.
pub(crate) struct Outgoing {
    header: HeaderBlock,
    /// The part of the body that was read together with the header.
    first: Vec<u8>,
    rest: BodyReader,
    /// Bytes of the body.
    body: u64,
}

/// Why a message cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// The queue cannot give it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What the queue holds does not begin with a header block, although what was accepted did.
    #[error("the header of the stored message is damaged: {0}")]
    Header(#[from] HeaderFault),
}

impl Outgoing {
    /// Opens a message and reads its header.
    pub(crate) fn open(queue: &Queue, queue_id: &str) -> Result<Outgoing, OpenError> {
        let mut rest = queue.read(queue_id)?;
        let total = rest.len();
        let mut reader = HeaderReader::new(HEADER_LIMIT);
        let mut taken = 0;
        loop {
            let block = rest.next_block()?;
            if block.is_empty() {
                return Ok(Outgoing { header: reader.finish()?, first: Vec::new(), rest, body: 0 });
            }
            match reader.push(block)? {
                HeaderProgress::More => taken += block.len() as u64,
                HeaderProgress::Complete { consumed } => {
                    let first = block[consumed..].to_vec();
                    let body = total.saturating_sub(taken + consumed as u64);
                    return Ok(Outgoing { header: reader.finish()?, first, rest, body });
                }
            }
        }
    }

    /// Has the message gone through too many hosts? `Received:` may have been stripped on the way; our own marker counts
    /// the passes through hosts of ours, and no firewall removes it.
    pub(crate) fn loops(&self, most: u32) -> bool {
        count_received(&self.header) > most as usize || hops(&self.header) > most
    }

    /// The header as it goes into a mailbox, with Return-Path and Delivered-To (RFC 5321 §4.4).
    pub(crate) fn for_mailbox(&self, sender: Option<&str>, recipient: &str) -> Vec<u8> {
        let edits = Edits {
            keep: Keep { routing: true, organization: true, forest: false },
            drop: self.dropped_in_mailboxes(),
            prepend: vec![
                (Cow::Borrowed("Return-Path"), format!("<{}>", sender.unwrap_or_default())),
                (Cow::Borrowed("Delivered-To"), recipient.to_owned()),
            ],
            ..Edits::default()
        };
        rewrite(&self.header, &edits)
    }

    /// The header as it goes to another host.
    pub(crate) fn for_host(&self, keep: Keep) -> Vec<u8> {
        rewrite(&self.header, &Edits { keep, ..Edits::default() })
    }

    /// The header as it goes back inside a report: without anything that the firewall knows (F §3.11).
    pub(crate) fn for_report(&self) -> Vec<u8> {
        self.for_host(Keep::NONE)
    }

    /// Bytes of the body.
    pub(crate) fn body_len(&self) -> u64 {
        self.body
    }

    /// The next piece of the body, at most 64 KiB; empty at the end.
    pub(crate) fn next_block(&mut self) -> Result<Cow<'_, [u8]>, QueueError> {
        if !self.first.is_empty() {
            return Ok(Cow::Owned(std::mem::take(&mut self.first)));
        }
        Ok(Cow::Borrowed(self.rest.next_block()?))
    }

    fn dropped_in_mailboxes(&self) -> Vec<Cow<'static, str>> {
        let kept = |name: &str| {
            name.eq_ignore_ascii_case(HOP_MARKER)
                || KEPT_IN_MAILBOXES.iter().any(|member| {
                    name.to_ascii_lowercase() == format!("x-ms-exchange-organization-{}", member.to_ascii_lowercase())
                })
        };
        let mut dropped = vec![Cow::Borrowed("Return-Path")];
        for field in self.header.fields() {
            let name = String::from_utf8_lossy(field.name);
            if class(field.name) == Some(FieldClass::Organization) && !kept(&name) {
                dropped.push(Cow::Owned(name.into_owned()));
            }
        }
        dropped
    }
}
