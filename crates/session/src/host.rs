//! What a session needs from the program around it, and what it asks of it.
//!
//! The session reads no clock, opens no socket and writes no file. It is told bytes and answers, and it tells an
//! [`Output`] what goes to the client, to the queue and to the audit. Whatever takes time (a handshake, a password hash,
//! a write to stable storage) is a [`Wait`]; the program does it and comes back with an [`Answer`].

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acl::{Guid, Sid};
use directory::{ObjectId, Snapshot, Time};
use message::{Address, CanonicalAddress};
use rights::DecisionRecord;
use smtp::{RcptParams, ReturnContent};
use zeroize::Zeroizing;

use crate::sasl::scram::ScramKeys;
use crate::stamp::Way;

/// What the session may look up at any moment: the newest directory, the time, and a fresh identifier.
pub trait Host {
    /// The newest snapshot of the directory. Asked once for every command, so that a revoked right counts at once
    /// (`authorization.md` §2).
    fn snapshot(&self) -> Arc<Snapshot>;
    /// The time now.
    fn now(&self) -> Time;
    /// Milliseconds since some moment, by a clock that nobody sets: what counts for limits of time. A program that has none
    /// gives the time now.
    fn steady(&self) -> Time {
        self.now()
    }
    /// A new ULID (26 characters, Crockford's alphabet) for a queue entry or a decision.
    fn new_id(&self) -> String;
    /// Counts a message from an address at a connector, if no more than so many have come in the last minute. A program
    /// that does not keep count lets them all in.
    fn admits_message(&self, connector: &Guid, source: IpAddr, per_minute: u32) -> bool {
        let _ = (connector, source, per_minute);
        true
    }
    /// Whether strangers at an address may be told at this connector which recipients there are: not any more when they have
    /// named so many in the last minute that there are not. `unknown`: this is one, which counts. A program that keeps no count
    /// tells them all.
    fn tells_recipients(&self, connector: &Guid, source: IpAddr, per_minute: u32, unknown: bool) -> bool {
        let _ = (connector, source, per_minute, unknown);
        true
    }
    /// Counts what an account sends, if its limits let it; the error is what it is told (`450 4.7.1`). A program that keeps no
    /// count lets everything pass.
    fn admits_sending(&self, snapshot: &Snapshot, account: ObjectId, what: Sent) -> Result<(), String> {
        let _ = (snapshot, account, what);
        Ok(())
    }
    /// Whether mail of this service account for this user waits: what comes later waits behind it
    /// (`authorization.md` §8).
    fn is_paused(&self, account: &Guid, user: &Guid) -> bool {
        let _ = (account, user);
        false
    }
}

/// What counts for the sending limits of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A message, at MAIL.
    Message,
    /// A recipient, at RCPT.
    Recipient,
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
    /// What was given of the body so far is the header block of a message that is to be held, as it was received, with
    /// its empty line. It is written anew when the message is released.
    fn end_of_held_header(&mut self) {}
    /// The message begun last is not to be kept: forget what was written of it.
    fn drop_body(&mut self);
    /// A decision worth keeping: a refusal, or what would have been one under `observe`.
    fn record(&mut self, record: DecisionRecord);
    /// One event of the protocol log.
    fn log(&mut self, entry: LogEntry<'_>) {
        let _ = entry;
    }
    /// Whether anybody reads the protocol log: what is worked out for it alone is left out otherwise.
    fn logs(&self) -> bool {
        true
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
    /// Channel binding `tls-exporter` (RFC 9266), 32 octets; TLS 1.3 only.
    pub exporter: Option<Vec<u8>>,
    /// Channel binding `tls-server-end-point` (RFC 5929): the hash of our certificate.
    pub server_end_point: Option<Vec<u8>>,
    /// What the client's certificate proves, where it showed one.
    pub peer: Option<PeerCertificate>,
}

/// What a client proved by its certificate. That it has the key was proven in the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PeerCertificate {
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER): by it own servers know each other.
    pub key: [u8; 32],
    /// The DNS names of the certificate, canonical; none unless an authority that we trust for it vouches for them.
    pub domains: Vec<String>,
}

/// Mechanisms that need something set up besides passwords; each is offered only where it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms {
    /// SCRAM keys are kept.
    pub scram: bool,
    /// Tokens of somebody are believed.
    pub bearer: bool,
    /// There is a keytab.
    pub kerberos: bool,
    /// ... and the host understands SPNEGO around Kerberos.
    pub spnego: bool,
}

/// What all sessions of a node share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The fully qualified name of this host: greeting (unless the connector has its own), `Received:`, AuthSource.
    pub hostname: String,
    /// A certificate is there: STARTTLS may be offered.
    pub tls_available: bool,
    /// What may be offered besides PLAIN and LOGIN.
    pub mechanisms: Mechanisms,
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
    /// Look up SCRAM keys; answer [`Answer::ScramKeys`].
    ScramKeys(Claimant),
    /// The session has judged a proof itself: count it, and answer [`Answer::Password`]. The answer may be worse than what
    /// was found (too many failures), never better.
    Judged {
        /// Whose proof.
        claimant: Claimant,
        /// The keys that it was right for; `None`: it was wrong.
        proven: Option<Box<ScramKeys>>,
    },
    /// Judge an access token; answer [`Answer::Token`].
    Token(TokenCheck),
    /// Give a message of GSSAPI or SPNEGO to the context of this session; answer [`Answer::Gss`].
    Gss(GssMessage),
    /// Make the message durable whose text was given to [`Output::body`]; answer [`Answer::Stored`].
    Store(Box<Submission>),
    /// The reply is held back until this moment by [`Host::steady`] (tarpit); answer [`Answer::Resume`] then.
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
    /// The keys of [`Wait::ScramKeys`].
    ScramKeys(KeysOutcome),
    /// What the token of [`Wait::Token`] says.
    Token(TokenOutcome),
    /// What came of [`Wait::Gss`].
    Gss(GssOutcome),
    /// What came of storing the message.
    Stored(StoreOutcome),
    /// The message is not stored, for what it contains: the reply, `550 5.7.1 …` or `451 4.7.1 …`. Anything that is no such
    /// reply is answered as a failure.
    Refused(String),
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
    /// As much mail of the service account waits as may: `452 4.2.2`.
    PauseFull,
    /// Any other failure: `451 4.3.0`.
    Failed,
}

/// Who somebody claims to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The account; `None`: there is none that the name means, or it may not log on. The same work is to be done for
    /// nothing then, so that time tells no names.
    pub account: Option<(ObjectId, Guid)>,
    /// The account that answers for the name where [`Claimant::account`] does not: a disabled one, or one that another
    /// spelling of the name means. All spellings are to be answered alike (salt, limits), whether or not they log on.
    pub alike: Option<Guid>,
    /// The name in its simplest form, the same for all spellings. Where no account answers for it, it does itself.
    pub name: String,
}

/// A password to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordCheck {
    /// Whose.
    pub claimant: Claimant,
    /// What the client sent.
    pub password: Zeroizing<Vec<u8>>,
}

/// What came of looking up SCRAM keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysOutcome {
    /// The keys of the account, or for a claimant without an account keys that nobody can prove and that are always the
    /// same for a name.
    Keys {
        /// The keys.
        keys: ScramKeys,
        /// Those of other passwords of the account. SCRAM asks for a proof before it is known which password the client has:
        /// they count as far as they have the salt and the rounds of `keys`.
        also: Vec<ScramKeys>,
        /// Our part of the nonce: fresh, unpredictable, at least 128 bits, printable ASCII without a comma.
        nonce: String,
    },
    /// They could not be looked up now: `454 4.7.0`.
    Unavailable,
}

/// An access token to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenCheck {
    /// The token, as in `Authorization: Bearer`.
    pub token: Zeroizing<String>,
}

/// What an access token was worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenOutcome {
    /// It is genuine, meant for us and in force; it stands for this identity.
    Valid(Identity),
    /// It is not.
    Invalid,
    /// That could not be found out now: `454 4.7.0`.
    Unavailable,
}

/// Who somebody is in the words of another authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// A logon name: UPN, `DOMAIN\name`, sAMAccountName.
    Login(String),
    /// A mail address; it stands for the account that owns it.
    Address(String),
    /// A Kerberos principal `name@REALM`: the account of that name in the domain whose DNS name is the realm.
    Principal {
        /// The name, without instance.
        name: String,
        /// The realm.
        realm: String,
    },
    /// A SID: of an account.
    Sid(Sid),
}

/// A message of GSSAPI or SPNEGO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GssMessage {
    /// SPNEGO around Kerberos, instead of Kerberos alone.
    pub spnego: bool,
    /// It begins a new context.
    pub first: bool,
    /// The message.
    pub message: Vec<u8>,
}

/// What came of a message of GSSAPI or SPNEGO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GssOutcome {
    /// Send this, and give what the client answers to the same context.
    Continue(Vec<u8>),
    /// It is over, the security layer of RFC 4752 §3.1 included (there is none).
    Done {
        /// Who it is.
        identity: Identity,
        /// Authorization identity; `None`: the account's own mailbox.
        mailbox: Option<String>,
    },
    /// The ticket does not count.
    Refused,
    /// That could not be found out now: `454 4.7.0`.
    Unavailable,
}

/// A message that was accepted, to be made durable before the client is told so.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The id under which its text was written.
    pub queue_id: String,
    /// The `Message-ID` field as it was received, for the record.
    pub message_id: Option<String>,
    /// The addresses of the header From, for the record.
    pub header_from: Vec<String>,
    /// The reverse-path; `None` is the null reverse-path `<>`.
    pub sender: Option<Address>,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// When the end of data came.
    pub received: Time,
    /// The data of XEXCH50, where the token that was chosen holds Accept Exch50.
    pub exch50: Option<Vec<u8>>,
    /// Bytes of the message as received, before dot-unstuffing adds or our header edits change anything.
    pub size: u64,
    /// `SMTPUTF8` was given on MAIL FROM (RFC 6531).
    pub smtputf8: bool,
    /// `BODY=8BITMIME` was given on MAIL FROM (RFC 6152).
    pub eight_bit: bool,
    /// What the client asked for beyond delivery.
    pub extensions: Extensions,
    /// As whom it is sent, or on whose behalf (`true`), other than the account itself: each owner once.
    pub sent_for: Vec<(Guid, bool)>,
    /// Where it came from.
    pub origin: Origin,
    /// "Sent as" or "sent on behalf", or paused: commits together with the message. `None` when a sender was only itself.
    pub audit: Option<DecisionRecord>,
    /// For whom a service account that pauses sends it: messages of one such pair keep their order.
    pub pair: Option<Pair>,
    /// It is to be held until it is released (`authorization.md` §8).
    pub pause: Option<Box<Pause>>,
}

/// What a client may ask for a message beyond its delivery.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// How much of the message a report of failure returns (`RET`, RFC 3461 §4.3).
    pub ret: Option<ReturnContent>,
    /// What the sender knows the message by (`ENVID`, RFC 3461 §4.4): printable ASCII.
    pub envid: Option<String>,
    /// It goes on over verified TLS, to hosts that promise the same, or not at all (RFC 8689).
    pub require_tls: bool,
    /// Its body is no lines (`BODY=BINARYMIME`, RFC 3030): what [`message::BinaryBody`] accepts.
    pub binary: bool,
}

/// A service account and a user for whom it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pair {
    /// The account.
    pub account: Guid,
    /// The user.
    pub user: Guid,
}

/// What a message that is held waits for, and what is needed to decide about it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Pause {
    /// Whose mail it waits with.
    pub pair: Pair,
    /// It has to wait only because earlier mail of the pair does.
    pub behind: bool,
    /// Octets of the header block as received, with its empty line.
    pub header: u64,
    /// The way that it came.
    pub way: Way,
    /// The version of the directory that was decided on.
    pub snapshot: u64,
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
    /// Which reports its sender wants, and what the sender called it (RFC 3461 §4.1, §4.2).
    pub params: RcptParams,
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
    /// The SASL mechanism by which it logged on; none where it was proven otherwise, as by HTTP and of a file in a folder.
    pub mechanism: Option<&'static str>,
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
