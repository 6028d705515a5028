//! The durable spool and its schedule.
//!
//! `250` after the end of data means: on stable storage. A body, small or 100 MB, goes to an append-only preallocated
//! segment file; one committer thread syncs the segments that its group of waiting messages touched, then commits the
//! envelopes and the schedule to `queue.db` (SQLite, WAL, synchronous=FULL), then acknowledges them all. Whatever waits
//! when it gets around is one group; there is no timer.
//!
//! ```text
//! QUEUE/queue.lock          exclusive lock
//! QUEUE/queue.db            envelopes, recipients, destinations, audit outbox, tickets, events
//! QUEUE/segments/00000001.seg …   bodies
//! ```
//!
//! The crate knows nothing of SMTP: addresses and destinations are text to it. It reads no clock but to
//! measure its own syncs.

mod backoff;
mod beside;
mod block;
mod body;
mod committer;
mod envelope;
mod error;
mod failpoint;
mod keeper;
mod latency;
mod open;
mod pace;
mod pending;
mod queue;
mod reader;
mod schedule;
mod schema;
mod segment;
mod select;
mod sqlite;
mod storage;
mod ticket;

pub use backoff::Backoff;
pub use beside::{Beside, Event, EventCounts, KeptEvent, KeptTicket, Ticket, TicketFate, TicketRecipient, Told};
pub use body::{BodyReader, BodyWriter, Reread};
pub use envelope::{
    AuditItem, Counts, Delivery, DestinationState, DueRecipient, Envelope, Held, Hold, ListFilter, MessageDetail,
    MessageSummary, Millis, NewMessage, Outcome, Recipient, RecipientDetail, RecipientState, Resolution,
};
pub use error::QueueError;
pub use failpoint::{FAIL_POINTS, fail_point};
pub use latency::{LATENCY_BOUNDS, LatencyCounts};
pub use pace::Limits;
pub use pending::Pending;
pub use queue::{Queue, QueueOptions, Recovery};
pub use select::{Census, Measured, Selected, Selection, Standing};
