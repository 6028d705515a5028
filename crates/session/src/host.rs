//! What a session needs from the program around it, and what it asks of it.
//!
//! The session reads no clock, opens no socket and writes no file. It is told bytes and answers, and it tells an
//! [`Output`] what goes to the client, to the queue and to the audit. Whatever takes time (a handshake, a password hash,
//! a write to stable storage) is a [`Wait`]; the program does it and comes back with an [`Answer`].

use std::net::SocketAddr;
use std::sync::Arc;

use acl::Guid;
use directory::{ObjectId, Snapshot, Time};
use message::{Address, CanonicalAddress};
use rights::DecisionRecord;
use zeroize::Zeroizing;

/// What the session may look up at any moment: the newest directory, the time, and a fresh identifier.
pub trait Host {
    /// The newest snapshot of the directory. Asked once for every command, so that a revoked right counts at once
    /// (`authorization.md` §2).
    fn snapshot(&self) -> Arc<Snapshot>;
    /// The time now.
    fn now(&self) -> Time;
    /// A new ULID (26 characters, Crockford's alphabet) for a queue entry or a decision.
    fn new_id(&self) -> String;
}

/// Where everything goes that the session produces.
pub trait Output {
    /// Bytes for the client, complete reply lines with their `CRLF`.
    fn reply(&mut self, bytes: &[u8]);
    /// A message was accepted as far as its header goes; its text follows in [`Output::body`] and is to be stored under
    /// `queue_id`. Ends with a [`Wait::Store`] of the same id, or with [`Output::drop_body`].
    fn begin_body(&mut self, queue_id: &str);
    /// The next bytes of the message as it is to be stored: first the rewritten header block with its empty line, then
    /// the body, unstuffed, lines ended by `CRLF`. A failure to write is told in the answer to [`Wait::Store`].
    fn body(&mut self, bytes: &[u8]);
    /// The message begun last is not to be kept: forget what was written of it.
    fn drop_body(&mut self);
    /// A decision worth keeping: a refusal, or what would have been one under `observe`.
    fn record(&mut self, record: DecisionRecord);
    /// One event of the protocol log.
    fn log(&mut self, entry: LogEntry<'_>) {
        let _ = entry;
    }
}

/// An event of the protocol log (facts of the reference, "SMTP extensions": events `+ - > < *`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEntry<'a> {
    /// `<`: a line from the client, without its `CRLF`; passwords are replaced by `*`.
    Client(&'a str),
    /// `>`: a reply to the client.
    Server(&'a str),
    /// `*`: something that neither side said, as `Set Session Permissions`.
    Information {
        /// What happened.
        context: &'a str,
        /// The values that belong to it.
        data: &'a str,
    },
}

/// The two ends of the connection, after a PROXY header was taken away and `::ffff:` was normalised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The client.
    pub remote: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// Present when the connection began with TLS (port 465), before the greeting.
    pub tls: Option<TlsFacts>,
}

/// What is worth telling about an established TLS session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// As in `TLS1.3`.
    pub version: String,
    /// As in `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

/// What all sessions of a node share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The fully qualified name of this host: greeting (unless the connector has its own), `Received:`, AuthSource.
    pub hostname: String,
    /// A certificate is there: STARTTLS may be offered.
    pub tls_available: bool,
}

/// What the session did with some input.
#[derive(Debug, PartialEq)]
#[must_use]
pub struct Progress {
    /// How many bytes of the input were used. The rest is to be given again, after the wait is over.
    pub consumed: usize,
    /// What has to happen before the session takes more.
    pub wait: Wait,
}

/// What the session waits for.
#[derive(Debug, PartialEq)]
#[must_use]
pub enum Wait {
    /// More input.
    Nothing,
    /// Send what was replied, then do the server's part of a TLS handshake; answer [`Answer::TlsEstablished`], or drop the
    /// connection when it fails.
    Tls,
    /// Check a password; answer [`Answer::Password`].
    Password(PasswordCheck),
    /// Make the message durable whose text was given to [`Output::body`]; answer [`Answer::Stored`].
    Store(Box<Submission>),
    /// The reply is held back until this moment (tarpit); answer [`Answer::Resume`] then.
    Until(Time),
    /// Send what was replied and close.
    Close,
}

/// The result of what the session waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// TLS is established.
    TlsEstablished(TlsFacts),
    /// What came of the password check.
    Password(PasswordOutcome),
    /// What came of storing the message.
    Stored(StoreOutcome),
    /// The time of [`Wait::Until`] has come.
    Resume,
}

/// What came of a password check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordOutcome {
    /// The password is that of the account.
    Correct,
    /// It is not, or there was no account to check it against.
    Wrong,
    /// It could not be checked now: `454 4.7.0` (RFC 4954 §4).
    Unavailable,
}

/// What came of storing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// On stable storage.
    Stored,
    /// No room: `452 4.3.1`.
    Full,
    /// Any other failure: `451 4.3.0`.
    Failed,
}

/// A password to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordCheck {
    /// Whose password. `None`: no such account, or none that may log on; the same work is to be done for nothing, so that
    /// time tells no names.
    pub account: Option<(ObjectId, Guid)>,
    /// What the client sent.
    pub password: Zeroizing<Vec<u8>>,
}

/// A message that was accepted, to be made durable before the client is told so.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The id under which its text was written.
    pub queue_id: String,
    /// The reverse-path; `None` is the null reverse-path `<>`.
    pub sender: Option<Address>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// When the end of data came.
    pub received: Time,
    /// Bytes of the message as received, before dot-unstuffing adds or our header edits change anything.
    pub size: u64,
    /// `SMTPUTF8` was given on MAIL FROM (RFC 6531).
    pub smtputf8: bool,
    /// `BODY=8BITMIME` was given on MAIL FROM (RFC 6152).
    pub eight_bit: bool,
    /// Where it came from.
    pub origin: Origin,
    /// "Sent as" or "sent on behalf": commits together with the message. `None` when a sender was only itself.
    pub audit: Option<DecisionRecord>,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// As the client wrote it; `<Postmaster>` without a domain reads postmaster at the default domain.
    pub address: Address,
    /// Its canonical form.
    pub canonical: CanonicalAddress,
    /// The object of our directory that it belongs to, if any.
    pub owner: Option<(ObjectId, Guid)>,
}

/// The facts of the session that a message came from, as the queue keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The receive connector.
    pub connector: Guid,
    /// The client's address.
    pub remote: SocketAddr,
    /// What the client called itself.
    pub helo: String,
    /// The account that the session logged on with.
    pub account: Option<Guid>,
    /// The mailbox that it logged on to, if not its own.
    pub logon: Option<Guid>,
    /// How the message was proven.
    pub proven: Proven,
    /// The token held Bypass-Anti-Spam.
    pub bypass_anti_spam: bool,
}

/// By what the session's right to send was shown; becomes AuthAs (F §3.11: Anonymous, Internal, External, Partner).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proven {
    /// By nothing: the anonymous token.
    Anonymous,
    /// By a password.
    Account,
    /// By its address alone: an ExternalAuthoritative connector. The audit says "trusted by address".
    Address,
    /// By a certificate of an own server.
    Server,
    /// By a partner's certificate.
    Partner,
}
