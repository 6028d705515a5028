//! A message on its way out of the queue: its header edited for the receiver, its body streamed.

use std::borrow::Cow;

use directory::Rewrite;
use message::firewall::{FieldClass, class};
use message::journal::Around;
use message::readdress::{SENDER_FIELDS, readdress};
use message::replay::header_behind_envelope;
use message::trace_fields::{HOP_MARKER, count_received, hops};
use message::{
    Address, BinaryFault, Edits, HeaderBlock, HeaderFault, HeaderProgress, HeaderReader, Keep, Lined, rewrite,
};
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
    /// What stands before the body that is read.
    before: Vec<u8>,
    /// The part of the body that was read together with the header.
    first: Vec<u8>,
    rest: BodyReader,
    /// What the body is turned into lines by, until its end.
    lined: Option<Box<Lined>>,
    /// What stands behind the message that is read.
    last: Vec<u8>,
    /// Bytes of the body.
    body: u64,
    /// The body is no lines, and goes out so.
    binary: bool,
}

/// Why a message cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// The queue cannot give it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Its body is binary, and must not, or cannot, be turned into lines.
    #[error("the next hop takes no binary messages, and this one cannot be turned into another: {0}")]
    Binary(#[from] BinaryFault),
    /// What the queue holds does not begin with a header block, although what was accepted did.
    #[error("the header of the stored message is damaged: {0}")]
    Header(#[from] HeaderFault),
    /// A report about it would have no author.
    #[error("this host has no name that an address can have")]
    Hostname,
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
                return Ok(Outgoing::new(reader.finish()?, Vec::new(), rest, 0));
            }
            match reader.push(block)? {
                HeaderProgress::More => taken += block.len() as u64,
                HeaderProgress::Complete { consumed } => {
                    let first = block[consumed..].to_vec();
                    let body = total.saturating_sub(taken + consumed as u64);
                    return Ok(Outgoing::new(reader.finish()?, first, rest, body));
                }
            }
        }
    }

    fn new(header: HeaderBlock, first: Vec<u8>, rest: BodyReader, body: u64) -> Outgoing {
        Outgoing { header, before: Vec::new(), first, rest, lined: None, last: Vec::new(), body, binary: false }
    }

    /// The message with a body that is no lines, to be sent so.
    pub(crate) fn binary(self) -> Outgoing {
        Outgoing { binary: true, ..self }
    }

    /// Whether the body is to be sent octet by octet.
    pub(crate) fn is_binary(&self) -> bool {
        self.binary
    }

    /// Opens a message whose body is no lines, with its binary parts as base64. It is read once before: what cannot be
    /// written so is to be known before anything is sent.
    pub(crate) fn open_lined(queue: &Queue, queue_id: &str) -> Result<Outgoing, OpenError> {
        let mut tried = Outgoing::open(queue, queue_id)?.lined()?;
        let mut body = 0;
        loop {
            match tried.next_block()?.len() {
                0 => return Ok(Outgoing { body, ..Outgoing::open(queue, queue_id)?.lined()? }),
                length => body += length as u64,
            }
        }
    }

    fn lined(self) -> Result<Outgoing, OpenError> {
        let (header, lined) = Lined::new(&self.header)?;
        Ok(Outgoing { header: HeaderBlock::parse(&header)?, lined: Some(Box::new(lined)), ..self })
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

    /// The header as it goes to the LMTP server that keeps the mailboxes: it adds Return-Path and Delivered-To itself.
    pub(crate) fn for_lmtp(&self) -> Vec<u8> {
        let keep = Keep { routing: true, organization: true, forest: false };
        rewrite(&self.header, &Edits { keep, drop: self.dropped_in_mailboxes(), ..Edits::default() })
    }

    /// Was the message in the mailbox of this recipient before? Then somebody gave it back unchanged, and it would go round.
    pub(crate) fn was_delivered_to(&self, recipient: &str) -> bool {
        self.header.fields().any(|field| {
            field.name.eq_ignore_ascii_case(b"Delivered-To")
                && String::from_utf8_lossy(field.value()).trim().eq_ignore_ascii_case(recipient)
        })
    }

    /// The header as it goes to another host.
    pub(crate) fn for_host(&self, keep: Keep) -> Vec<u8> {
        rewrite(&self.header, &Edits { keep, ..Edits::default() })
    }

    /// The header as it goes into a file behind its envelope.
    pub(crate) fn for_file(&self, keep: Keep) -> Vec<u8> {
        header_behind_envelope(&self.header, keep)
    }

    /// The header as it goes back inside a report: without anything that the firewall knows (F §3.11), and without our own
    /// marker, which finds no loop in there.
    pub(crate) fn for_report(&self) -> Vec<u8> {
        rewrite(&self.header, &Edits { drop: vec![Cow::Borrowed(HOP_MARKER)], ..Edits::default() })
    }

    /// The message inside another, without anything that the firewall knows (F §3.11).
    pub(crate) fn within(self, around: Around) -> Result<Outgoing, OpenError> {
        let before = [around.before, self.for_report()].concat();
        Ok(Outgoing {
            header: HeaderBlock::parse(&around.header)?,
            body: before.len() as u64 + self.body + around.after.len() as u64,
            before,
            last: around.after,
            ..self
        })
    }

    /// Rewrites the addresses of those that the message is from.
    pub(crate) fn rewrite_senders(&mut self, rules: &[Rewrite]) -> Result<(), OpenError> {
        if !rules.is_empty() {
            let becomes = |address: &Address| Rewrite::apply(rules, address);
            self.header = HeaderBlock::parse(&readdress(&self.header, &SENDER_FIELDS, &becomes))?;
        }
        Ok(())
    }

    /// The value of a field, or nothing.
    pub(crate) fn text(&self, name: &str) -> String {
        self.header.named(name).next().map(|field| field.text()).unwrap_or_default()
    }

    /// Bytes of the body as it goes out.
    pub(crate) fn body_len(&self) -> u64 {
        self.body
    }

    /// The next piece of the body, about 64 KiB; empty at the end.
    pub(crate) fn next_block(&mut self) -> Result<Cow<'_, [u8]>, OpenError> {
        if !self.before.is_empty() {
            return Ok(Cow::Owned(std::mem::take(&mut self.before)));
        }
        if self.lined.is_some() {
            let block = self.next_lines()?;
            if !block.is_empty() {
                return Ok(Cow::Owned(block));
            }
        }
        if !self.first.is_empty() {
            return Ok(Cow::Owned(std::mem::take(&mut self.first)));
        }
        if !self.last.is_empty() {
            let block = self.rest.next_block()?.to_vec();
            return Ok(Cow::Owned(if block.is_empty() { std::mem::take(&mut self.last) } else { block }));
        }
        Ok(Cow::Borrowed(self.rest.next_block()?))
    }

    /// The next lines that the body is turned into; none at its end.
    fn next_lines(&mut self) -> Result<Vec<u8>, OpenError> {
        let mut lines = Vec::new();
        while let Some(lined) = &mut self.lined {
            let mut give = |octets: &[u8]| lines.extend_from_slice(octets);
            let first = std::mem::take(&mut self.first);
            let block = if first.is_empty() { self.rest.next_block()? } else { &first };
            if block.is_empty() {
                lined.finish(&mut give)?;
                self.lined = None;
            } else {
                lined.push(block, &mut give)?;
            }
            if !lines.is_empty() {
                break;
            }
        }
        Ok(lines)
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

#[cfg(test)]
mod tests {
    use super::*;
    use queue::{Envelope, QueueOptions, Recipient};
    use std::sync::mpsc;

    const ID: &str = "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B";

    /// Queues a message and opens it again.
    fn open(text: &[u8]) -> (tempfile::TempDir, Outgoing) {
        let folder = tempfile::tempdir().unwrap();
        let options = QueueOptions { min_free: 0, segment_size: 4 << 20, ..QueueOptions::default() };
        let (queue, _) = Queue::open(&folder.path().join("queue"), options).unwrap();
        let mut body = queue.begin();
        body.write(text).unwrap();
        let recipient =
            Recipient { address: "bob@example.com".into(), destination: "x".into(), parameters: String::new() };
        let envelope = Envelope {
            queue_id: ID.into(),
            sender: None,
            recipients: vec![recipient],
            received: 0,
            expires: i64::MAX,
            smtputf8: false,
            eight_bit: false,
            parameters: String::new(),
            hold: None,
            lane: None,
            audit: None,
        };
        let (done, committed) = mpsc::channel();
        queue.commit(body, envelope, move |result| done.send(result).unwrap());
        committed.recv().unwrap().unwrap();
        let message = Outgoing::open(&queue, ID).unwrap();
        (folder, message)
    }

    fn body(message: &mut Outgoing) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let block = message.next_block().unwrap();
            if block.is_empty() {
                return body;
            }
            body.extend_from_slice(&block);
        }
    }

    #[test]
    fn header_and_body_are_told_apart_wherever_the_blocks_end() {
        for padding in [0, 1, 65_480, 65_500, 65_520, 65_536, 200_000] {
            let text = format!("Subject: x\r\nX-Padding: {}\r\n\r\nbody\r\n", "p".repeat(padding));
            let (_folder, mut message) = open(text.as_bytes());
            assert_eq!(message.body_len(), 6, "padding {padding}");
            assert_eq!(body(&mut message), b"body\r\n", "padding {padding}");
        }
    }

    #[test]
    fn a_message_of_a_header_alone_has_an_empty_body() {
        let (_folder, mut message) = open(b"Subject: x\r\n");
        assert_eq!((message.body_len(), body(&mut message)), (0, Vec::new()));
        let (_folder, mut message) = open(b"Subject: x\r\n\r\n");
        assert_eq!((message.body_len(), body(&mut message)), (0, Vec::new()));
    }

    #[test]
    fn a_mailbox_gets_what_the_reference_lets_through() {
        let text =
            b"Return-Path: <forged@x.test>\r\nReceived: from a by b\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n\
            X-MS-Exchange-Organization-PCL: 2\r\nX-MS-Exchange-Forest-RulesExecuted: a\r\nX-Procura-Hops: 2\r\n\
            X-Procura-Secret: s\r\nSubject: x\r\n\r\n";
        let (_folder, message) = open(text);
        let header = String::from_utf8(message.for_mailbox(Some("sue@outside.test"), "bob@example.com")).unwrap();
        let expected = "Return-Path: <sue@outside.test>\r\nDelivered-To: bob@example.com\r\n\
            Received: from a by b\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\nX-Procura-Hops: 2\r\n\
            Subject: x\r\n\r\n";
        assert_eq!(header, expected);
    }

    #[test]
    fn the_null_sender_has_an_empty_return_path() {
        let (_folder, message) = open(b"Subject: x\r\n\r\n");
        let header = String::from_utf8(message.for_mailbox(None, "bob@example.com")).unwrap();
        assert!(header.starts_with("Return-Path: <>\r\n"), "{header}");
    }

    #[test]
    fn a_loop_is_found_by_received_and_by_our_marker_alone() {
        let (_folder, message) = open("Received: x\r\n".repeat(6).as_bytes());
        assert!(message.loops(5) && !message.loops(6));
        let (_folder, message) = open(b"X-Procura-Hops: 6\r\nSubject: x\r\n");
        assert!(message.loops(5) && !message.loops(6));
    }
}
