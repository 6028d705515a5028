//! What became of each message: from whom it came, by what right, each attempt to deliver it, and its end.
//!
//! ```text
//! FOLDER/20261122-083000123.jsonl   one JSON document a line; a name says when the file began (UTC)
//! ```
//!
//! The record is append-only. A file that is large enough, and a new day, begin another file; the oldest go when they are
//! too old or all are too much. There is no index: a day with a million messages is under a gigabyte, and is searched in
//! seconds. Whoever writes a record does not wait for the disk. A record is given to the system as soon as the writer
//! gets to it, so a crash of the process may take what happened in its last instant; the files are synced every second, so
//! a loss of power may take the last second: of the record only, never of mail. Of a message whose acceptance is missing
//! nothing is found.

mod file;
mod log;
mod record;
mod search;

pub use file::TrackingError;
pub use log::{Tracking, TrackingOptions};
pub use record::{Event, Millis, Record};
pub use search::{Found, Query, Traced, search};
