//! What a delivery is to each of its recipients: the reverse-path that it goes out with, the wishes that go along, and whether
//! the message goes as it is or inside a journal report.

use message::Address;
use message::journal::JournalReport;
use queue::{Delivery, DueRecipient, Queue};
use smtp::client::Envelope;
use smtp::{BodyType, RcptParams};

use super::client::Client;
use super::outgoing::{OpenError, Outgoing};
use crate::facts::{Kind, MessageFacts, RecipientFacts};

/// As what a message goes out. Recipients of one transaction have it in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manner {
    /// The reverse-path; `None` is the null reverse-path.
    pub(super) sender: Option<String>,
    /// Inside a journal report.
    pub(super) journal: bool,
    /// Its body is no lines.
    pub(super) binary: bool,
}

/// One recipient on another host.
#[derive(Debug, Clone)]
pub(super) struct Errand {
    pub(super) index: u32,
    pub(super) address: Address,
    /// Which reports are wanted, and what the sender called it.
    pub(super) params: RcptParams,
}

impl Manner {
    /// That of a recipient, with what is kept of it.
    pub(super) fn of(delivery: &Delivery, due: &DueRecipient) -> (Manner, RecipientFacts) {
        let facts = RecipientFacts::read(&due.parameters);
        let sender = facts.reverse_path(delivery.sender.as_deref()).map(str::to_owned);
        let binary = MessageFacts::read(&delivery.parameters).0.binary;
        (Manner { sender, journal: facts.kind == Kind::Journal, binary }, facts)
    }

    /// Opens the message as it goes out to where only lines may go.
    pub(super) fn open(&self, queue: &Queue, queue_id: &str, hostname: &str, to: &str) -> Result<Outgoing, OpenError> {
        let message = match self.binary {
            true => Outgoing::open_lined(queue, queue_id)?,
            false => Outgoing::open(queue, queue_id)?,
        };
        if !self.journal {
            return Ok(message);
        }
        let detail = queue.show(queue_id)?;
        let from = Address::parse(&format!("postmaster@{hostname}")).map_err(|_| OpenError::Hostname)?;
        let recipients = detail.recipients.iter().filter_map(|recipient| {
            let facts = RecipientFacts::read(&recipient.parameters);
            (facts.kind == Kind::Message).then(|| (recipient.address.clone(), facts.list))
        });
        let (subject, original_id) = (message.text("Subject"), message.text("Message-ID"));
        let report = JournalReport {
            from: &from,
            to,
            // The same for each attempt.
            message_id: &format!("journal.{queue_id}@{hostname}"),
            boundary: &format!("journal{queue_id}"),
            time: detail.summary.received,
            sender: detail.summary.sender.as_deref(),
            subject: &subject,
            original_id: &original_id,
            recipients: recipients.collect(),
            eight_bit: detail.eight_bit || detail.smtputf8,
        };
        message.within(report.around())
    }

    /// The same, to a host: as it is where that takes a binary message.
    pub(super) fn open_for(
        &self,
        client: &Client,
        queue: &Queue,
        queue_id: &str,
        (hostname, to): (&str, &str),
    ) -> Result<Outgoing, OpenError> {
        match self.binary && !self.journal && client.takes_binary() {
            true => Ok(Outgoing::open(queue, queue_id)?.binary()),
            false => self.open(queue, queue_id, hostname, to),
        }
    }

    /// The envelope of a transaction. SMTPUTF8 is asked for where something in envelope or header needs it, whatever the client
    /// thought of it (RFC 6531 §3.2).
    pub(super) fn envelope(&self, delivery: &Delivery, to: &[Errand], header: &[u8], message: &Outgoing) -> Envelope {
        let sender = self.sender.as_deref().and_then(|sender| Address::parse(sender).ok());
        let asked = if self.journal { MessageFacts::default() } else { MessageFacts::read(&delivery.parameters) }.0;
        let addresses = to.iter().map(|errand| &errand.address).chain(&sender);
        let addressed = addresses.into_iter().any(|address| !address.is_ascii());
        Envelope {
            recipients: to.iter().map(|errand| (errand.address.clone(), errand.params.clone())).collect(),
            size: Some(header.len() as u64 + message.body_len()),
            body: match message.is_binary() {
                true => Some(BodyType::BinaryMime),
                false => delivery.eight_bit.then_some(BodyType::EightBitMime),
            },
            smtputf8: addressed || delivery.smtputf8 && !header.is_ascii(),
            requiretls: MessageFacts::read(&delivery.parameters).0.require_tls,
            ret: asked.ret,
            // Another sender's reports are about another message.
            envid: asked.envid.filter(|_| self.sender == delivery.sender),
            sender,
            exch50: None,
        }
    }
}
