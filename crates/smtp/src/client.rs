//! The client side of SMTP and LMTP, without I/O.
//!
//! [`ReplyParser`] reads replies, [`Capabilities`] what EHLO offered, [`ClientTransaction`] carries one message to one or more
//! recipients with per-recipient outcomes, and [`DotStuffer`] writes message data.

mod capabilities;
mod reply_parser;
mod stuffing;
mod transaction;

pub mod write;

pub use capabilities::{Capabilities, Limits};
pub use reply_parser::{ReplyFault, ReplyParser};
pub use stuffing::DotStuffer;
pub use transaction::{
    ConnectionState, Envelope, Outcome, Protocol, ProtocolError, Step, Transaction as ClientTransaction, Unsendable,
};
