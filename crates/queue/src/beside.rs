//! What commits together with a change of the queue, beside it: a ticket, by which whoever submitted a message finds out
//! what became of it even after it is gone, and events, which somebody is to be told of.

use crate::Millis;

/// What commits with a change, or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beside {
    /// When the change is made.
    pub time: Millis,
    /// For a new message only: its ticket.
    pub ticket: Option<Ticket>,
    /// To be told, in this order.
    pub events: Vec<Event>,
}

/// A ticket for a new message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Whose it is; only for those who ask.
    pub owner: String,
    /// The key under which the same submission, made again, finds this one. Unique: a second message with it is refused
    /// with [`crate::QueueError::DuplicateKey`].
    pub key: Option<Vec<u8>>,
    /// Keys of tickets from before this time do not count any more.
    pub keys_since: Millis,
    /// What the submission was, so that another one with the same key is not taken for it.
    pub fingerprint: Vec<u8>,
    /// What was answered.
    pub answer: String,
    /// For each recipient of the envelope, in order, how it is called to the owner.
    pub recipients: Vec<String>,
}

/// A ticket that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTicket {
    /// The message.
    pub queue_id: String,
    /// [`Ticket::owner`].
    pub owner: String,
    /// [`Ticket::fingerprint`].
    pub fingerprint: Vec<u8>,
    /// [`Ticket::answer`].
    pub answer: String,
    /// When the message was accepted.
    pub created: Millis,
    /// When it left the queue; `None` while it is there.
    pub ended: Option<Millis>,
    /// What became of each recipient.
    pub recipients: Vec<TicketRecipient>,
}

/// What became of a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketRecipient {
    /// As in [`Ticket::recipients`].
    pub address: String,
    /// What became of it.
    pub fate: TicketFate,
    /// When, unless it waits.
    pub time: Millis,
    /// Why it failed.
    pub reason: String,
}

/// What became of a recipient of a message with a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketFate {
    /// It waits in the queue.
    Waiting,
    /// It has the message.
    Delivered,
    /// It was given up.
    Failed,
    /// The message was removed by somebody before this recipient had it.
    Removed,
}

/// Something that somebody is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its own id, unique: by it, whoever is told twice knows that.
    pub id: String,
    /// Who is to be told; only for those who ask.
    pub target: String,
    /// What kind of event.
    pub kind: String,
    /// What is told.
    pub body: String,
}

/// An event that waits, or that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptEvent {
    /// Its place in the order of events.
    pub number: i64,
    /// The event.
    pub event: Event,
    /// When it was noted.
    pub created: Millis,
    /// How often it was tried to tell it.
    pub attempts: u32,
    /// Not before this time again.
    pub next_attempt: Millis,
    /// Why it could not be told the last time; empty before the first.
    pub reason: String,
    /// It is not tried any more.
    pub given_up: bool,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was told: forget it.
    Yes,
    /// It could not be told.
    Later {
        /// Not before this time again.
        until: Millis,
        /// For people.
        reason: String,
    },
    /// It is given up, and kept only to be looked at.
    GivenUp {
        /// For people.
        reason: String,
    },
}

/// Events of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCounts {
    /// [`Event::target`].
    pub target: String,
    /// Events that wait.
    pub waiting: u64,
    /// When the oldest of those was noted.
    pub oldest: Option<Millis>,
    /// Events that were given up.
    pub given_up: u64,
    /// The last reason why one could not be told.
    pub reason: String,
}
