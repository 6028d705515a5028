//! The SMTP server session: a sans-io state machine from bytes to replies, decisions and submissions.
//!
//! One file per verb; one transaction state with exactly one reset; the stages and replies of
//! `authorization.md` §4. The session decides no permission: it asks [`rights`], and says what comes back.
//!
//! ```text
//! bytes -> smtp::LineReader -> smtp::parse_command -> mail | rcpt | data | ... -> rights -> Output
//! ```

mod auth;
mod certificate;
mod chunk;
mod data;
mod ehlo;
mod held;
mod host;
mod http;
mod mail;
mod misc;
mod permissions;
mod rates;
mod rcpt;
mod refusal;
mod replies;
mod sasl;
mod session;
mod stamp;
mod starttls;
mod transaction;

pub use held::{HeldMessage, Judgement};
pub use host::{
    Answer, Claimant, Extensions, GssMessage, GssOutcome, Host, Identity, KeysOutcome, LogEntry, Mechanisms, Origin,
    Output, Pair, PasswordCheck, PasswordOutcome, Pause, Peer, PeerCertificate, Progress, Proven, Recipient, Sent,
    Settings, StoreOutcome, Submission, TlsFacts, TokenCheck, TokenOutcome, Wait,
};
pub use http::{LOCAL, Submitter};
pub use rates::MessageRate;
pub use sasl::scram::{MIN_ITERATIONS, ScramKeys};
pub use session::Session;
pub use stamp::Way;
