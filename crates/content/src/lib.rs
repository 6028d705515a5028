//! Content filters: what others (Rspamd, milters) say of a message before it is accepted.
//!
//! Filters are asked one after the other; each sees the message as the ones before have left it. A filter may have a message
//! refused, put off or kept in quarantine, and may add, change and remove header fields, but never those that say who sent
//! it: who may send as whom was decided before, and is decided nowhere else. Bodies and recipients stay as they are.
//!
//! Everything here blocks, with limits of time: it is called on a thread that may.

mod filter;
mod header;
pub mod milter;
mod rspamd;

pub use filter::{Body, Examined, Facts, Filter, Kind, OnFailure, OnReject, Verdict, examine};
pub use header::{Edit, Header};
pub use milter::{Endpoint, MilterError};
pub use rspamd::RspamdError;
#[doc(hidden)]
pub use rspamd::rspamd_edits_for_tests;
