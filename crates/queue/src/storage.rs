//! What the committer asks of the database.
//!
//! SQLite answers now ([`crate::sqlite`]). The trait is a batch of operations with an answer that comes later, and every
//! row names its owner node and that node's lease epoch, so that a database shared by several nodes fits: a node takes
//! over the rows of one that is gone, and an epoch tells a restarted node from its former self.

use crate::block::Block;
use crate::schedule::Due;
use crate::{Beside, DestinationState, Envelope, Event, Hold, Millis, Outcome, QueueError, Told};

/// A message as a row: its envelope and where its body lies.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Given by the committer, ascending in order of acceptance.
    pub(crate) message: i64,
    pub(crate) envelope: Envelope,
    pub(crate) blocks: Vec<Block>,
}

/// One change of the database. A batch is durable as a whole or not at all, but an operation that does not fit (an
/// unknown message) fails alone.
#[derive(Debug)]
pub(crate) enum Operation {
    Accept(Box<Accept>),
    Outcome(Box<Settle>),
    Hold {
        queue_id: String,
        hold: Hold,
    },
    Release {
        queue_id: String,
        now: Millis,
    },
    ReleaseKey {
        key: String,
        now: Millis,
    },
    Resolve(Box<Resolve>),
    Retry {
        queue_id: String,
        now: Millis,
    },
    Remove {
        queue_id: String,
    },
    /// Its sender was told that it is late.
    Warned {
        queue_id: String,
    },
    Destination {
        state: DestinationState,
    },
    AcknowledgeAudit {
        ids: Vec<i64>,
    },
    Note {
        events: Vec<Event>,
        now: Millis,
    },
    Told {
        number: i64,
        told: Told,
    },
    ForgetEvents {
        target: String,
    },
    Clock {
        by: Millis,
        newest: i64,
    },
    Tidy {
        tickets: Millis,
        events: Millis,
    },
}

/// New messages: all of them, or none.
#[derive(Debug)]
pub(crate) struct Accept {
    /// At least one.
    pub(crate) rows: Vec<Row>,
    /// Of the first of them.
    pub(crate) beside: Option<Box<Beside>>,
    /// The message that they are reports of being late on.
    pub(crate) late: Option<String>,
}

/// The outcome of a delivery, with new messages.
#[derive(Debug)]
pub(crate) struct Settle {
    pub(crate) message: i64,
    pub(crate) destination: String,
    pub(crate) outcomes: Vec<(u32, Outcome)>,
    pub(crate) bounces: Vec<Row>,
    pub(crate) beside: Option<Box<Beside>>,
}

/// The end of a hold, if the message is still held under `key`; together with new messages and an audit record.
#[derive(Debug)]
pub(crate) struct Resolve {
    pub(crate) queue_id: String,
    pub(crate) key: String,
    pub(crate) how: Resolved,
    pub(crate) bounces: Vec<Row>,
    pub(crate) audit: Option<Vec<u8>>,
    pub(crate) beside: Option<Box<Beside>>,
    pub(crate) now: Millis,
}

/// [`crate::Resolution`], written.
#[derive(Debug)]
pub(crate) enum Resolved {
    Release { head: Vec<Block>, replaces: u64, expires: Millis, now: Millis },
    Hold(Hold),
    Remove,
}

impl Operation {
    /// Makes the queue longer, so it has to wait for space.
    pub(crate) fn grows(&self) -> bool {
        matches!(self, Operation::Accept(_))
    }
}

/// What an operation means for the schedule and the segments, once it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Done,
    /// The lease ends: the delivery waits for `next`, or is done. `freed`: the message is gone and this was its body.
    Settled { next: Option<Millis>, freed: Option<Vec<Block>> },
    /// Not to be delivered.
    Held { message: i64 },
    /// Due from now on: `messages` were released or are to be retried.
    Due { messages: Vec<i64>, deliveries: Vec<Due> },
    /// Due from now on, with another head; these blocks of its body are gone.
    Released { deliveries: Vec<Due>, freed: Vec<Block> },
    /// Gone; this was its body.
    Removed { message: i64, blocks: Vec<Block> },
}

/// Called with one answer for each operation of the batch.
pub(crate) type Answered = Box<dyn FnOnce(Vec<Result<Effect, QueueError>>) + Send>;

/// The durable part of the queue that is not bodies.
pub(crate) trait Storage: Send {
    /// Makes a batch durable, then calls `answered`.
    fn commit(&mut self, batch: Vec<Operation>, answered: Answered);
}
