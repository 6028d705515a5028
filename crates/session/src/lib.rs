//! The SMTP server session: a sans-io state machine from bytes to replies, decisions and submissions.
//!
//! One file per verb; one transaction state with exactly one reset; the stages and replies of
//! `authorization.md` §4. The session decides no permission: it asks [`rights`], and says what comes back.
//!
//! ```text
//! bytes -> smtp::LineReader -> smtp::parse_command -> mail | rcpt | data | ... -> rights -> Output
//! ```

mod auth;
mod data;
mod ehlo;
mod host;
mod mail;
mod misc;
mod rcpt;
mod refusal;
mod replies;
mod sasl;
mod session;
mod stamp;
mod starttls;
mod transaction;

pub use host::{
    Answer, Host, LogEntry, Origin, Output, PasswordCheck, PasswordOutcome, Peer, Progress, Proven, Recipient,
    Settings, StoreOutcome, Submission, TlsFacts, Wait,
};
pub use session::Session;
