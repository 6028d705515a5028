//! The session itself: input in, replies out, and the order in which things happen.

use std::sync::Arc;

use acl::Guid;
use directory::{Config, ObjectId, ReceiveConnector, Snapshot, Time};
use rights::{Authority, Refusal};
use smtp::{AuthResponse, Command, Line, LineReader, PeerError, Reply, Strictness};

use crate::auth::{PendingLogon, Question};
use crate::chunk::Chunk;
use crate::data::Reception;
use crate::ehlo::Greeted;
use crate::host::{Answer, Claimant, Host, LogEntry, Output, Peer, Progress, Settings, Submission, TlsFacts, Wait};
use crate::misc::Blob;
use crate::rates::MessageRate;
use crate::replies;
use crate::sasl::{Exchange, Mechanism};
use crate::transaction::Transaction;

/// One SMTP connection, from greeting to close.
pub struct Session {
    pub(crate) settings: Arc<Settings>,
    pub(crate) peer: Peer,
    /// What the session has proven; the tokens come from it.
    pub(crate) authority: Authority,
    pub(crate) tls: Option<TlsFacts>,
    pub(crate) greeted: Option<Greeted>,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) phase: Phase,
    pub(crate) connector_guid: Guid,
    lines: LineReader,
    /// The connector's, as of the last command.
    tolerant: bool,
    /// Faults of the client since the session began or a message was accepted.
    pub(crate) errors: u32,
    /// AUTH commands that failed.
    pub(crate) failed_logons: u32,
    /// Messages that came in the last minute.
    pub(crate) rate: MessageRate,
    /// Whose keys were asked for, while a SCRAM exchange goes on.
    pub(crate) pending: Option<Claimant>,
    /// A logon that was proven by SCRAM, while the client hears of our own proof.
    pub(crate) proven: Option<PendingLogon>,
    /// That of the last AUTH.
    pub(crate) mechanism: Option<Mechanism>,
    /// The version of the snapshot that [`Session::standing`] last looked at.
    pub(crate) version: Option<u64>,
    began: Time,
    /// How many of the next lines may be credentials that nobody asked for; they are not logged.
    credentials_may_follow: u8,
    /// When the present phase has lasted too long.
    deadline: Option<Time>,
    /// The connector's, as of DATA.
    data_timeout_ms: u64,
    /// When the session has lasted too long.
    expiry: Option<Time>,
    stopping: bool,
    /// It is no SMTP connection: [`Session::submit_by_http`].
    pub(crate) http: bool,
}

/// What the next bytes of the client are, or what the session waits for.
pub(crate) enum Phase {
    /// Nothing yet: the client has not been greeted.
    Connected,
    /// A command.
    Command,
    /// The answer to a SASL challenge.
    Sasl(Exchange),
    /// Message data.
    Data(Box<Reception>),
    /// A chunk of BDAT.
    Chunk(Chunk),
    /// The data of XEXCH50.
    Blob(Blob),
    /// [`Wait::Tls`].
    Handshake,
    /// [`Wait::Password`] or [`Wait::Judged`].
    Password(PendingLogon),
    /// [`Wait::ScramKeys`], [`Wait::Token`] or [`Wait::Gss`].
    Question(Question),
    /// [`Wait::Store`], for this queue id.
    Storing(String),
    /// [`Wait::Until`], then this reply.
    Held(Reply),
    /// Nothing more.
    Closed,
}

/// What one command is judged by: the newest snapshot and the time, looked up once.
pub(crate) struct Context<'a> {
    pub(crate) host: &'a dyn Host,
    pub(crate) now: Time,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) connector: &'a ReceiveConnector,
}

/// A line of the client, read.
enum Incoming {
    Command(Command),
    Response(AuthResponse),
    Fault(PeerError),
}

impl Session {
    /// A session of a client that has connected. `connector` is the receive connector that was selected for it.
    pub fn new(connector: ObjectId, mut peer: Peer, settings: Arc<Settings>, host: &dyn Host) -> Session {
        // `::ffff:192.0.2.1` is 192.0.2.1: ranges, audit and `Received:` know one spelling.
        peer.remote.set_ip(peer.remote.ip().to_canonical());
        let snapshot = host.snapshot();
        let connector_guid = snapshot.object(connector).map_or(Guid([0; 16]), |object| object.guid());
        Session {
            settings,
            tls: peer.tls.clone(),
            peer,
            authority: Authority::new(connector, None),
            greeted: None,
            transaction: None,
            phase: Phase::Connected,
            connector_guid,
            lines: LineReader::new(),
            tolerant: false,
            errors: 0,
            failed_logons: 0,
            rate: MessageRate::default(),
            pending: None,
            proven: None,
            mechanism: None,
            version: None,
            began: host.steady(),
            credentials_may_follow: 0,
            deadline: None,
            data_timeout_ms: 0,
            expiry: None,
            stopping: false,
            http: false,
        }
    }

    /// Greets the client. A client that talks before it was greeted is told so and disconnected: give what it sent to
    /// [`Session::receive`] before this is called.
    pub fn start(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        if !matches!(self.phase, Phase::Connected) {
            return Wait::Close;
        }
        self.within(host, out, |session, cx, out| {
            session.phase = Phase::Command;
            session.log_permissions(cx, out);
            session.reply(replies::greeting(&session.settings, cx.connector), out);
            Wait::Nothing
        })
    }

    /// Takes bytes of the client, pipelined commands too, until they are used up or something has to happen first.
    pub fn receive(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> Progress {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            let (taken, wait) = match self.phase {
                Phase::Connected => (rest.len(), self.talked_early(out)),
                Phase::Command | Phase::Sasl(_) => self.take_line(host, rest, out),
                Phase::Data(_) => self.take_data(host, rest, out),
                Phase::Chunk(_) => self.take_chunk(host, rest, out),
                Phase::Blob(_) => self.take_blob(host, rest, out),
                Phase::Closed => (rest.len(), Wait::Close),
                // The host owes an answer; it should not give input before.
                Phase::Handshake | Phase::Password(_) | Phase::Question(_) | Phase::Storing(_) | Phase::Held(_) => {
                    break;
                }
            };
            consumed += taken;
            if wait != Wait::Nothing {
                return Progress { consumed, wait };
            }
        }
        Progress { consumed, wait: Wait::Nothing }
    }

    /// Takes the result of the last [`Wait`]. An answer to a question that was not asked closes the session.
    pub fn answer(&mut self, host: &dyn Host, answer: Answer, out: &mut dyn Output) -> Wait {
        let phase = std::mem::replace(&mut self.phase, Phase::Command);
        match (phase, answer) {
            (Phase::Handshake, Answer::TlsEstablished(facts)) => {
                self.within(host, out, |session, _, out| session.tls_established(facts, out))
            }
            (Phase::Password(pending), Answer::Password(outcome)) => {
                self.within(host, out, |session, cx, out| session.password_checked(cx, pending, outcome, out))
            }
            (Phase::Question(Question::Keys(first)), Answer::ScramKeys(outcome)) => {
                self.within(host, out, |session, cx, out| session.keys_found(cx, first, outcome, out))
            }
            (Phase::Question(Question::Token(dialect, mailbox)), Answer::Token(outcome)) => {
                self.within(host, out, |session, cx, out| {
                    session.token_judged(cx, dialect, mailbox.as_deref(), outcome, out)
                })
            }
            (Phase::Question(Question::Gss(mechanism)), Answer::Gss(outcome)) => {
                self.within(host, out, |session, cx, out| session.gss_answered(cx, mechanism, outcome, out))
            }
            (Phase::Storing(queue_id), Answer::Stored(outcome)) => {
                // The connector or the account may be gone by now; the client is told the truth about its message first.
                let wait = self.stored(&queue_id, outcome, out);
                self.within(host, out, |_, _, _| wait)
            }
            (Phase::Storing(_), Answer::Refused(reply)) => {
                let wait = self.not_stored(&reply, out);
                self.within(host, out, |_, _, _| wait)
            }
            (Phase::Held(reply), Answer::Resume) => self.within(host, out, |session, _, out| {
                session.reply(reply, out);
                Wait::Nothing
            }),
            _ => self.close(out),
        }
    }

    /// When [`Session::timeout`] is to be called, unless the client says something before; by [`Host::steady`].
    pub fn deadline(&self) -> Option<Time> {
        self.deadline
    }

    /// The deadline has passed: `421 4.4.2` and close, if it really has.
    pub fn timeout(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        match self.deadline {
            Some(deadline) if deadline <= host.steady() => self.end(replies::timed_out(), out),
            _ => Wait::Nothing,
        }
    }

    /// The server is about to stop: `421 4.3.2` at once, or after the message whose text is on its way. With
    /// [`Wait::Nothing`] the session goes on with what it was waiting for, and ends after it.
    pub fn shut_down(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        let _ = host;
        self.stopping = true;
        match self.phase {
            Phase::Connected | Phase::Command | Phase::Sasl(_) | Phase::Blob(_) => self.end(replies::stopping(), out),
            Phase::Closed => Wait::Close,
            _ => Wait::Nothing,
        }
    }

    /// The client is gone. A message begun is dropped.
    pub fn peer_closed(&mut self, out: &mut dyn Output) {
        let _: Wait = self.close(out);
    }

    /// Sends a reply, and counts it against the session when the client broke the protocol.
    pub(crate) fn reply(&mut self, reply: Reply, out: &mut dyn Output) {
        if is_protocol_error(&reply) {
            self.errors = self.errors.saturating_add(1);
        }
        let bytes = reply.to_bytes();
        out.reply(&bytes);
        out.log(LogEntry::Server(String::from_utf8_lossy(&bytes).trim_end()));
    }

    /// A last reply, and no more.
    pub(crate) fn end(&mut self, reply: Reply, out: &mut dyn Output) -> Wait {
        self.reply(reply, out);
        self.close(out)
    }

    /// Forgets a message begun, and takes nothing more.
    fn close(&mut self, out: &mut dyn Output) -> Wait {
        self.reset_transaction(out);
        self.phase = Phase::Closed;
        self.deadline = None;
        Wait::Close
    }

    /// Looks up the newest snapshot, does something by it, and sees what follows from that.
    pub(crate) fn within(
        &mut self,
        host: &dyn Host,
        out: &mut dyn Output,
        act: impl FnOnce(&mut Session, &Context<'_>, &mut dyn Output) -> Wait,
    ) -> Wait {
        let snapshot = host.snapshot();
        let connector = match self.standing(&snapshot) {
            Ok(connector) => connector,
            Err(refusal) => return self.end(replies::refusal(&refusal, None), out),
        };
        let cx = Context { host, now: host.now(), snapshot: &snapshot, connector };
        let wait = act(self, &cx, out);
        self.settle(&cx, wait, out)
    }

    /// Whether the session may go on: its connector in service, its account enabled (`authorization.md` §2).
    pub(crate) fn standing<'s>(&mut self, snapshot: &'s Snapshot) -> Result<&'s ReceiveConnector, Refusal> {
        let connector = self.authority.connector;
        let object = snapshot.object(connector).filter(|object| object.guid() == self.connector_guid);
        let settings = match object.and_then(|object| object.config()) {
            Some(Config::ReceiveConnector(settings)) => settings,
            _ => return Err(Refusal::ConnectorEnded),
        };
        if self.version != Some(snapshot.version()) {
            self.authority.host = self
                .host_by_certificate(snapshot, settings)
                .or_else(|| self.authority.host_by_address(snapshot, self.peer.remote.ip()));
            self.authority.check(snapshot)?;
            self.version = Some(snapshot.version());
        }
        Ok(settings)
    }

    /// After each step: the limits that hold for all of them.
    fn settle(&mut self, cx: &Context<'_>, wait: Wait, out: &mut dyn Output) -> Wait {
        if wait == Wait::Nothing && matches!(self.phase, Phase::Command) {
            // Behind HTTP and a folder there is no client that could be told to stop: each command has its own answer.
            if self.errors > cx.connector.max_errors && !self.http {
                return self.end(replies::too_many_errors(), out);
            }
            if self.failed_logons > cx.connector.max_logon_failures {
                return self.end(replies::too_many_logons(), out);
            }
            if self.stopping {
                return self.end(replies::stopping(), out);
            }
        }
        // A line of a SASL exchange, or an AUTH command with an initial response, may be long (RFC 4954 §4).
        let long_lines = matches!(self.phase, Phase::Sasl(_)) || self.offers_auth(cx);
        self.lines.set_limit(if long_lines { LineReader::AUTH_LIMIT } else { LineReader::COMMAND_LIMIT });
        self.tolerant = cx.connector.tolerant;
        self.lines.set_tolerant(self.tolerant);
        self.set_deadline(cx);
        wait
    }

    /// Gives the present phase its time.
    fn set_deadline(&mut self, cx: &Context<'_>) {
        self.data_timeout_ms = cx.connector.data_timeout_ms;
        self.expiry = Some(later(self.began, cx.connector.session_lifetime_ms));
        let limit = match self.phase {
            Phase::Data(_) | Phase::Chunk(_) => self.data_timeout_ms,
            Phase::Connected | Phase::Command | Phase::Sasl(_) | Phase::Blob(_) | Phase::Handshake => {
                cx.connector.command_timeout_ms
            }
            // Here the host is waited for, not the client.
            Phase::Password(_) | Phase::Question(_) | Phase::Storing(_) | Phase::Held(_) | Phase::Closed => {
                self.deadline = None;
                return;
            }
        };
        self.deadline = self.expiry.map(|expiry| expiry.min(later(cx.host.steady(), limit)));
    }

    /// A piece of a message has come: there is time for the next one.
    pub(crate) fn data_arrived(&mut self, now: Time) {
        self.deadline = self.expiry.map(|expiry| expiry.min(later(now, self.data_timeout_ms)));
    }

    /// A client that does not wait for the greeting does not speak SMTP (RFC 5321 §3.1).
    fn talked_early(&mut self, out: &mut dyn Output) -> Wait {
        self.end(replies::talked_early(), out)
    }

    fn take_line(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> (usize, Wait) {
        let answers_challenge = matches!(self.phase, Phase::Sasl(_));
        let taken = self.lines.read(input);
        let consumed = taken.consumed;
        let incoming = match taken.line {
            Line::Partial => return (consumed, Wait::Nothing),
            Line::Fault(fault) => Incoming::Fault(fault),
            Line::Complete(line) if answers_challenge => {
                out.log(LogEntry::Client("*"));
                smtp::parse_auth_response(line).map_or_else(Incoming::Fault, Incoming::Response)
            }
            Line::Complete(line) => {
                let command = smtp::parse_command_with(line, Strictness { tolerant: self.tolerant });
                log_command(line, &command, &mut self.credentials_may_follow, out);
                command.map_or_else(Incoming::Fault, Incoming::Command)
            }
        };
        let more = consumed < input.len();
        let wait = self.within(host, out, |session, cx, out| session.obey(cx, incoming, more, out));
        (consumed, wait)
    }

    /// Does what a line asks. `more`: the client did not wait for the reply.
    fn obey(&mut self, cx: &Context<'_>, incoming: Incoming, more: bool, out: &mut dyn Output) -> Wait {
        let command = match (incoming, std::mem::replace(&mut self.phase, Phase::Command)) {
            (Incoming::Response(response), Phase::Sasl(exchange)) => {
                return self.sasl_response(cx, exchange, response, out);
            }
            (Incoming::Response(_), _) => return self.close(out),
            (Incoming::Fault(fault), _) if fault.is_fatal() => return self.end(fault.reply(), out),
            (Incoming::Fault(fault), _) => {
                self.reply(fault.reply(), out);
                return Wait::Nothing;
            }
            (Incoming::Command(command), _) => command,
        };
        // RFC 2920 §3.1: these end a group of pipelined commands. What follows them unasked was not written by a client
        // that read our reply, and may be data that somebody else smuggled in.
        let ends_group =
            matches!(command, Command::Ehlo(_) | Command::Helo(_) | Command::Data | Command::XExch50 { .. });
        if more && (ends_group || matches!(command, Command::StartTls | Command::XAnonymousTls)) {
            return self.end(replies::improper_pipelining(), out);
        }
        match command {
            Command::Ehlo(name) => self.hello(cx, name, true, out),
            Command::Helo(name) => self.hello(cx, name, false, out),
            Command::StartTls => self.start_tls(cx, out),
            Command::XAnonymousTls => self.anonymous_tls(cx, out),
            Command::Auth { mechanism, initial } => self.auth(cx, &mechanism, initial, out),
            Command::XExps { mechanism, initial } => self.exps(cx, &mechanism, initial, out),
            Command::Mail { from, params } => self.mail(cx, &from, &params, out),
            Command::Rcpt { to, params } => self.rcpt(cx, &to, &params, out),
            Command::Data => self.data(cx, out),
            Command::XExch50 { size } => self.xexch50(cx, size, out),
            Command::Rset => self.rset(out),
            Command::Noop => self.noop(out),
            Command::Quit => self.quit(out),
            Command::Vrfy(_) | Command::Expn(_) => self.vrfy(out),
            Command::Help => self.help(out),
            Command::Bdat { size, last } => self.bdat(cx, size, last, out),
            Command::Lhlo(_) | Command::Unknown(_) => self.unrecognized(out),
        }
    }

    /// Asks for a message to be stored, under the id that its text was begun with.
    pub(crate) fn store(&mut self, submission: Submission) -> Wait {
        self.phase = Phase::Storing(submission.queue_id.clone());
        Wait::Store(Box::new(submission))
    }
}

/// Whether a reply tells the client that it broke the protocol: bad syntax, bad order, too much. A refusal is none: one
/// message may have many recipients that are refused, and has a right to the others.
fn is_protocol_error(reply: &Reply) -> bool {
    matches!(reply.code, 500..=504 | 555) || matches!(reply.enhanced, Some((5, 5, _)))
}

/// The moment `milliseconds` after `time`.
pub(crate) fn later(time: Time, milliseconds: u64) -> Time {
    Time(time.0.saturating_add(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
}

/// Logs a command line without credentials: neither what follows the mechanism of AUTH, nor the lines of a client that
/// goes on with an exchange which was refused (user name and password; they parse as nothing).
fn log_command(line: &[u8], command: &Result<Command, PeerError>, credentials: &mut u8, out: &mut dyn Output) {
    let begins = |verb: &&str| line.get(..verb.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(verb.as_bytes()));
    let verb = ["AUTH", "X-EXPS"].into_iter().find(begins);
    match (verb, command) {
        (Some(verb), Ok(Command::Auth { mechanism, initial } | Command::XExps { mechanism, initial })) => {
            *credentials = 2;
            let initial = if initial.is_some() { " *" } else { "" };
            out.log(LogEntry::Client(&format!("{verb} {mechanism}{initial}")));
        }
        (Some(verb), _) => {
            *credentials = 2;
            out.log(LogEntry::Client(&format!("{verb} *")));
        }
        (None, Err(_) | Ok(Command::Unknown(_))) if *credentials > 0 => {
            *credentials -= 1;
            out.log(LogEntry::Client("*"));
        }
        _ => out.log(LogEntry::Client(&String::from_utf8_lossy(line))),
    }
}
