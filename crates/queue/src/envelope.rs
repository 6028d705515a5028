//! What goes into the queue and what comes out of it.

use crate::schedule::Lease;

/// Milliseconds since the Unix epoch, UTC (the number inside `directory::Time`).
pub type Millis = i64;

/// What a message is to be delivered to and from, next to its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// ULID, 26 characters; unique in the queue.
    pub queue_id: String,
    /// Reverse-path; `None` is the null reverse-path `<>`.
    pub sender: Option<String>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// When it was accepted.
    pub received: Millis,
    /// When it is given up: from then on every pending recipient is due with [`Delivery::expired`].
    pub expires: Millis,
    /// Needs SMTPUTF8 at the next hop (RFC 6531).
    pub smtputf8: bool,
    /// Has octets above 127 in its body (RFC 6152).
    pub eight_bit: bool,
    /// What the transport wants to keep with the message (RET, ENVID, hop marker …); the queue does not look at it.
    pub parameters: String,
    /// Accepted but not to be delivered until released.
    pub hold: Option<Hold>,
    /// Messages of one lane go to each recipient one at a time, in order of acceptance: one that is deferred for a
    /// recipient holds up what comes later for the same one, and for nobody else. `None`: in no order.
    pub lane: Option<String>,
    /// Audit record that commits with the message; read it with `Queue::take_audit`.
    pub audit: Option<Vec<u8>>,
}

/// One recipient of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Forward-path.
    pub address: String,
    /// Where it goes: a mailbox, a domain or a smart host, as the transport names it. Retry state is kept per
    /// destination, and recipients of one message with the same destination are delivered together.
    pub destination: String,
    /// What the transport wants to keep with the recipient (NOTIFY, ORCPT …); the queue does not look at it.
    pub parameters: String,
}

/// Why a message is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Messages with the same key are released together, in order of acceptance.
    pub key: String,
    /// For people.
    pub reason: String,
}

/// What becomes of a held message.
#[derive(Debug)]
pub enum Resolution {
    /// It is delivered: its pending recipients are due.
    Release {
        /// Takes the place of what stands before the first [`crate::BodyWriter::boundary`] of the body.
        head: crate::BodyWriter,
        /// Octets before that boundary.
        replaces: u64,
        /// When it is given up, from now on.
        expires: Millis,
    },
    /// It stays held, for another reason.
    Hold(Hold),
    /// It is removed, without a bounce but those that are queued with it.
    Remove,
}

/// Messages held under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// [`Hold::key`].
    pub key: String,
    /// How many.
    pub messages: u64,
    /// Octets of their bodies.
    pub bytes: u64,
    /// When the oldest was accepted.
    pub oldest: Millis,
    /// When the newest was accepted.
    pub newest: Millis,
    /// The first, in order of acceptance.
    pub first: String,
    /// [`Hold::reason`] of the first.
    pub reason: String,
}

/// A message and its body, to be queued together with something else (a bounce with the outcome that caused it).
pub struct NewMessage {
    /// The body, completely written.
    pub body: crate::BodyWriter,
    /// The envelope.
    pub envelope: Envelope,
}

/// Recipients of one message that go to one destination, leased to the caller.
///
/// Give it to `Queue::outcome`. Dropping it returns the lease: the same recipients are due again at once.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub queue_id: String,
    /// The destination that all `recipients` share.
    pub destination: String,
    /// Reverse-path; `None` is the null reverse-path.
    pub sender: Option<String>,
    /// Pending recipients.
    pub recipients: Vec<DueRecipient>,
    /// When the message was accepted.
    pub received: Millis,
    /// When the message is given up.
    pub expires: Millis,
    /// The time for delivery is over: report the recipients as failed.
    pub expired: bool,
    /// Size of the body in octets.
    pub size: u64,
    /// Needs SMTPUTF8 at the next hop.
    pub smtputf8: bool,
    /// Has octets above 127 in its body.
    pub eight_bit: bool,
    /// [`Envelope::parameters`].
    pub parameters: String,
    /// Consecutive failures of the destination before this delivery.
    pub destination_failures: u32,
    pub(crate) lease: Lease,
}

/// A recipient inside a [`Delivery`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueRecipient {
    /// Position in [`Envelope::recipients`]; names the recipient in `Queue::outcome`.
    pub index: u32,
    /// Forward-path.
    pub address: String,
    /// [`Recipient::parameters`].
    pub parameters: String,
    /// Deliveries that were deferred before this one.
    pub attempts: u32,
    /// Why the last one was deferred; empty before the first.
    pub last_reason: String,
}

/// What became of one recipient in a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The next hop or the mailbox has it.
    Delivered,
    /// To be tried again.
    Deferred {
        /// Not before this time.
        until: Millis,
        /// For people and for the bounce that may follow.
        reason: String,
    },
    /// Given up; the bounce, if one is due, goes into the same call.
    Failed {
        /// For people.
        reason: String,
    },
}

/// Which messages `Queue::list` gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListFilter {
    /// Only messages with a pending recipient for this destination.
    pub destination: Option<String>,
    /// Only messages from this reverse-path (`Some("")` is the null reverse-path).
    pub sender: Option<String>,
    /// Only messages held under this key.
    pub hold_key: Option<String>,
    /// Only held (`true`) or only not held (`false`) messages.
    pub held: Option<bool>,
    /// Start after this queue id in order of acceptance (for paging).
    pub after: Option<String>,
    /// At most so many; 0 means 1000.
    pub limit: usize,
}

/// One message in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSummary {
    /// The message.
    pub queue_id: String,
    /// Reverse-path.
    pub sender: Option<String>,
    /// When it was accepted.
    pub received: Millis,
    /// When it is given up.
    pub expires: Millis,
    /// Size of the body in octets.
    pub size: u64,
    /// Recipients not yet delivered or failed.
    pub pending: u32,
    /// All recipients.
    pub recipients: u32,
    /// Earliest next attempt of a pending recipient (its destination may be waiting longer).
    pub next_attempt: Option<Millis>,
    /// Held, and why.
    pub hold: Option<Hold>,
}

/// Everything about one message but its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDetail {
    /// As in the list.
    pub summary: MessageSummary,
    /// [`Envelope::parameters`].
    pub parameters: String,
    /// Needs SMTPUTF8 at the next hop.
    pub smtputf8: bool,
    /// Has octets above 127 in its body.
    pub eight_bit: bool,
    /// Every recipient.
    pub recipients: Vec<RecipientDetail>,
}

/// One recipient of a [`MessageDetail`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientDetail {
    /// Forward-path.
    pub address: String,
    /// Where it goes.
    pub destination: String,
    /// [`Recipient::parameters`].
    pub parameters: String,
    /// What became of it.
    pub state: RecipientState,
    /// Deliveries that were deferred.
    pub attempts: u32,
    /// Not before this time, while pending.
    pub next_attempt: Millis,
    /// Last answer of the destination, or empty.
    pub reason: String,
}

/// State of a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecipientState {
    /// To be delivered.
    Pending,
    /// Done.
    Delivered,
    /// Given up.
    Failed,
}

/// Figures of the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages in the queue.
    pub messages: u64,
    /// Pairs of message and destination that wait for delivery, held ones not counted.
    pub deliveries: u64,
    /// Deliveries leased now.
    pub leased: u64,
    /// Held messages.
    pub held: u64,
    /// Destinations with a pending delivery.
    pub destinations: u64,
    /// Destinations waiting after a failure.
    pub destinations_down: u64,
    /// Octets of bodies.
    pub body_bytes: u64,
    /// Octets of segment files on disk.
    pub segment_bytes: u64,
    /// Audit records not yet taken over.
    pub audit_backlog: u64,
}

/// An audit record that committed with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditItem {
    /// For `Queue::ack_audit`.
    pub id: i64,
    /// The message.
    pub queue_id: String,
    /// [`Envelope::audit`].
    pub record: Vec<u8>,
}

/// State of one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationState {
    /// The destination.
    pub destination: String,
    /// Failures in a row.
    pub failures: u32,
    /// No delivery before this time.
    pub not_before: Option<Millis>,
    /// Last failure, for people.
    pub reason: String,
    /// Deliveries waiting.
    pub waiting: u64,
}
