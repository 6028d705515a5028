//! A session followed from outside.

use std::sync::Arc;

use directory::{ObjectId, Snapshot, Time};
use message::HeaderBlock;
use message::senders::senders;
use rights::{Authority, Facts, Grant, NoTrace, Question, decide};
use session::{
    Answer, Host, Mechanisms, PasswordOutcome, Peer, Session, Settings, StoreOutcome, Submission, TlsFacts, Wait,
};
use smtp::{Command, parse_command};

use super::host::{Heard, World};
use super::world::{CONNECTORS, Confirmed, WORLD};

/// A client, the session, and what must be true of it.
pub struct Model {
    world: World,
    session: Session,
    heard: Heard,
    connector: ObjectId,
    expects: Expects,
    /// The line of the client that has not ended.
    line: Vec<u8>,
    mail: Option<Mail>,
    /// Whom the session has logged on.
    account: Option<Confirmed>,
    /// How many replies were judged.
    judged: usize,
    /// The client does not wait; then only what holds for any client is looked at.
    lost: bool,
}

/// What the next octets of a client that waits for replies are.
#[derive(Debug)]
enum Expects {
    Command,
    Response,
    /// Octets that are dropped, this many.
    Blob(u64),
    /// Octets of a chunk, this many still.
    Chunk(u64),
    /// A message, so far.
    Data(Vec<u8>),
}

/// A transaction as its replies tell it.
struct Mail {
    line: String,
    recipients: Vec<String>,
    /// What came of the message by BDAT.
    chunks: Option<Vec<u8>>,
    /// The states of the directory since MAIL.
    states: Vec<usize>,
}

impl Model {
    /// A client that has connected and, if it says so, introduced itself.
    pub fn connect(connector: usize, greets: bool) -> Model {
        let connector = WORLD.connectors[connector % CONNECTORS.len()];
        let world = World::new();
        let mechanisms = Mechanisms { scram: true, bearer: true, kerberos: true, spnego: true };
        let settings = Settings { hostname: "mail.example.com".to_owned(), tls_available: true, mechanisms };
        let peer = Peer { remote: ([192, 0, 2, 1], 49152).into(), local: ([192, 0, 2, 25], 25).into(), tls: None };
        let mut session = Session::new(connector, peer, Arc::new(settings), &world);
        let mut heard = Heard::default();
        assert_eq!(session.start(&world, &mut heard), Wait::Nothing);
        assert_eq!(heard.replies.len(), 1, "a greeting");
        let expects = Expects::Command;
        let mut model = Model {
            world,
            session,
            heard,
            connector,
            expects,
            line: Vec::new(),
            mail: None,
            account: None,
            judged: 1,
            lost: false,
        };
        if greets {
            model.says(b"EHLO client.test\r\n", true);
        }
        model
    }

    /// Whether the server waits for a response of AUTH.
    pub fn is_asked(&self) -> bool {
        matches!(self.expects, Expects::Response) && !self.heard.closed
    }

    pub fn last_reply(&self) -> &str {
        self.heard.replies.last().map_or("", String::as_str)
    }

    /// Whether the account that was proven, if any, may use this address, logged on to whichever mailbox.
    pub fn may_use(&self, address: &str) -> bool {
        let snapshot = self.world.snapshot();
        let Some(token) = self.account.and_then(|Confirmed(account)| snapshot.account_token(account).ok()) else {
            return false;
        };
        let address = message::Address::parse(address).unwrap();
        let owner = match snapshot.by_address(&address.canonical()) {
            directory::AddressOwner::One(owner) => Some(owner),
            _ => None,
        };
        [None, owner].into_iter().any(|logon| {
            let facts = Facts { connector: self.connector, logon, time: self.world.now.get() };
            decide::<NoTrace>(&snapshot, &token, &facts, &Question::Sender(&address)).reason.is_ok()
        })
    }

    /// The client sends this. A patient one has read all replies before.
    pub fn says(&mut self, bytes: &[u8], patient: bool) {
        self.lost |= !patient || bytes.iter().rev().skip(1).any(|byte| *byte == b'\n');
        let mut rest = bytes;
        while !rest.is_empty() && !self.heard.closed {
            // A blob or a chunk ends where it ends; what follows is a command.
            let length = match self.expects {
                Expects::Blob(left) | Expects::Chunk(left) if !self.lost => {
                    rest.len().min(usize::try_from(left).unwrap_or(usize::MAX))
                }
                _ => rest.len(),
            };
            let (piece, after) = rest.split_at(length);
            rest = after;
            if let (Expects::Chunk(_), Some(mail)) = (&self.expects, &mut self.mail) {
                mail.chunks.get_or_insert_default().extend_from_slice(piece);
            }
            self.send(piece);
            if !self.lost {
                self.follow(piece);
            }
            self.judged = self.heard.replies.len();
        }
    }

    pub fn change_directory(&mut self) {
        let next = (self.world.state.get() + 1) % WORLD.states.len();
        self.world.state.set(next);
        self.mail.iter_mut().for_each(|mail| mail.states.push(next));
    }

    pub fn wait(&mut self) {
        self.world.now.set(Time(self.world.now.get().0 + 120_000));
        let due = self.session.deadline().is_some_and(|deadline| deadline <= self.world.now.get());
        let wait = self.session.timeout(&self.world, &mut self.heard);
        assert!(self.heard.closed || due == (wait == Wait::Close), "a deadline that has passed closes");
        self.attend(wait);
        self.judged = self.heard.replies.len();
    }

    pub fn change_host(&mut self) {
        let (store, away) = match self.world.store.get() {
            StoreOutcome::Stored => (StoreOutcome::Full, false),
            StoreOutcome::Full => (StoreOutcome::Failed, true),
            _ => (StoreOutcome::Stored, false),
        };
        self.world.store.set(store);
        self.world.passwords_away.set(away);
    }

    pub fn stop(&mut self) {
        let wait = self.session.shut_down(&self.world, &mut self.heard);
        self.attend(wait);
        self.judged = self.heard.replies.len();
    }

    pub fn answer_out_of_turn(&mut self) {
        let answer = self.world.some_answer();
        let wait = self.session.answer(&self.world, answer, &mut self.heard);
        assert_eq!(wait, Wait::Close, "an answer that nobody asked for ends the session");
        self.attend(wait);
    }

    pub fn leave(&mut self) {
        self.session.peer_closed(&mut self.heard);
        self.heard.closed = true;
        assert!(self.heard.body.is_none(), "half a message is left behind");
    }

    /// Gives the session these octets and answers whatever it asks.
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.heard.closed {
            let progress = self.session.receive(&self.world, bytes, &mut self.heard);
            assert!(progress.consumed > 0 || progress.wait != Wait::Nothing, "the session stands still");
            bytes = &bytes[progress.consumed..];
            if progress.wait == Wait::Tls {
                assert!(bytes.is_empty(), "plain text is left when TLS begins");
            }
            self.attend(progress.wait);
        }
        if self.heard.closed {
            let _ = self.session.receive(&self.world, b"NOOP\r\n", &mut self.heard);
        }
    }

    fn attend(&mut self, mut wait: Wait) {
        loop {
            let answer = match wait {
                Wait::Nothing => return,
                Wait::Close => {
                    assert!(self.heard.body.is_none(), "a session closed and left a body behind");
                    self.heard.closed = true;
                    return;
                }
                Wait::Tls => {
                    self.account = None;
                    Answer::TlsEstablished(TlsFacts::default())
                }
                Wait::Until(time) => {
                    self.world.now.set(self.world.now.get().max(time));
                    Answer::Resume
                }
                Wait::Password(check) => Answer::Password(self.world.check_password(&check)),
                Wait::ScramKeys(_) => Answer::ScramKeys(self.world.keys()),
                Wait::Judged { proven, .. } => {
                    assert!(proven.is_none(), "nobody knows these keys");
                    Answer::Password(PasswordOutcome::Wrong)
                }
                Wait::Token(check) => Answer::Token(self.world.token(&check.token)),
                Wait::Gss(message) => Answer::Gss(self.world.gss(&message)),
                Wait::Store(submission) => {
                    let text = self.heard.body.take().expect("a message to be stored has a text");
                    let outcome = self.world.store.get();
                    if outcome == StoreOutcome::Stored {
                        self.accepted(&submission, &text);
                    }
                    Answer::Stored(outcome)
                }
            };
            let before = self.heard.replies.len();
            wait = self.session.answer(&self.world, answer, &mut self.heard);
            let confirmed = self.world.confirmed.borrow().is_some();
            if self.heard.replies[before..].iter().any(|reply| reply.starts_with("235")) {
                assert!(confirmed && self.account.is_none(), "a logon that the host did not confirm");
                self.account = self.world.confirmed.take();
            }
        }
    }

    /// What a patient client knows after it has sent these octets and read the replies.
    fn follow(&mut self, bytes: &[u8]) {
        let replies = self.heard.replies[self.judged..].to_vec();
        match &mut self.expects {
            Expects::Blob(left) => {
                *left -= bytes.len() as u64;
                if *left > 0 {
                    return self.expect_replies(&replies, 0);
                }
                self.expects = Expects::Command;
                self.expect_replies(&replies, 1);
            }
            Expects::Chunk(left) => {
                *left -= bytes.len() as u64;
                if *left > 0 {
                    return self.expect_replies(&replies, 0);
                }
                self.expects = Expects::Command;
                self.chunk_ended(&replies);
            }
            Expects::Data(text) => {
                text.extend_from_slice(bytes);
                if !(text.ends_with(b"\r\n.\r\n") || text == b".\r\n") {
                    return self.expect_replies(&replies, 0);
                }
                self.expects = Expects::Command;
                self.mail = None;
                self.expect_replies(&replies, 1);
            }
            Expects::Command | Expects::Response => {
                self.line.extend_from_slice(bytes);
                if !self.line.ends_with(b"\r\n") {
                    return self.expect_replies(&replies, 0);
                }
                let line = std::mem::take(&mut self.line);
                self.command(&line[..line.len() - 2], &replies);
            }
        }
    }

    fn command(&mut self, line: &[u8], replies: &[String]) {
        let response = matches!(self.expects, Expects::Response);
        let command = if response { None } else { parse_command(line).ok() };
        let first = replies.first().map_or("", |reply| &reply[..3]);
        self.expects = match (&command, first) {
            (_, "334") => Expects::Response,
            (Some(Command::Data), "354") => Expects::Data(Vec::new()),
            (Some(Command::XExch50 { size: 0 }), "354") => return self.expect_replies(replies, 2),
            (Some(Command::XExch50 { size }), "354") => Expects::Blob(*size),
            (Some(Command::Bdat { size, .. }), "") if !self.heard.closed && *size > 0 => {
                self.expects = Expects::Chunk(*size);
                return;
            }
            (Some(Command::Bdat { size: 0, .. }), _) => {
                if let Some(mail) = &mut self.mail {
                    mail.chunks.get_or_insert_default();
                }
                self.expects = Expects::Command;
                return self.chunk_ended(replies);
            }
            _ => Expects::Command,
        };
        self.expect_replies(replies, 1);
        let text = String::from_utf8_lossy(line).into_owned();
        match command {
            Some(Command::Mail { .. }) if first == "250" => {
                assert!(self.mail.is_none(), "a second sender was accepted");
                let states = vec![self.world.state.get()];
                self.mail = Some(Mail { line: text, recipients: Vec::new(), chunks: None, states });
            }
            Some(Command::Rcpt { .. }) if first == "250" => {
                let mail = self.mail.as_mut().expect("a recipient without a sender was accepted");
                assert!(mail.chunks.is_none(), "a recipient was added to a message whose text had begun");
                mail.recipients.push(text);
            }
            Some(Command::Data) if first == "354" => {
                assert!(self.mail.as_ref().is_some_and(|mail| !mail.recipients.is_empty()), "a message to nobody");
                assert!(self.mail.as_ref().is_some_and(|mail| mail.chunks.is_none()), "DATA after BDAT");
            }
            Some(Command::Ehlo(_) | Command::Helo(_) | Command::Rset | Command::StartTls | Command::XAnonymousTls)
                if first.starts_with('2') =>
            {
                self.mail = None;
            }
            // DATA that is refused leaves the transaction as it was, but for one whose text had begun.
            Some(Command::Data) => self.mail = self.mail.take().filter(|mail| mail.chunks.is_none()),
            Some(Command::Bdat { .. }) => self.mail = None,
            _ => {}
        }
    }

    /// A chunk has come. Only one that is taken, and is not the last, leaves the transaction as it is.
    fn chunk_ended(&mut self, replies: &[String]) {
        let goes_on = replies.first().is_some_and(|reply| reply.ends_with("octets received\r\n"));
        assert!(
            !goes_on || self.mail.as_ref().is_some_and(|mail| !mail.recipients.is_empty()),
            "a chunk of no message"
        );
        if !goes_on {
            self.mail = None;
        }
        self.expect_replies(replies, 1);
    }

    /// One reply to each command; a session that ends may say so in another one.
    fn expect_replies(&self, replies: &[String], expected: usize) {
        let right = replies.len() == expected || (self.heard.closed && replies.len() <= expected + 1);
        assert!(right, "{expected} expected: {replies:?}");
    }

    /// A message is stored: it came in a transaction, its text has no second meaning, and somebody may send it.
    fn accepted(&self, submission: &Submission, text: &[u8]) {
        assert!(!submission.recipients.is_empty());
        assert!(!text.contains(&0), "NUL in a stored message");
        for (index, byte) in text.iter().enumerate() {
            match byte {
                b'\r' => assert_eq!(text.get(index + 1), Some(&b'\n'), "a bare CR in a stored message"),
                b'\n' => assert_eq!(index.checked_sub(1).map(|index| text[index]), Some(b'\r'), "a bare LF"),
                _ => {}
            }
        }
        let stored = HeaderBlock::parse(text).expect("a stored message has a header");
        assert_eq!(stored.named("X-MS-Exchange-Organization-AuthAs").count(), 1, "one word on where it came from");
        assert!(submission.origin.account.is_none() || self.account.is_some(), "an account that was never proven");
        if self.lost {
            return;
        }
        let mail = self.mail.as_ref().expect("a message without a transaction");
        let received = match (&self.expects, &mail.chunks) {
            // What is on its way now is the end of it, of which the model may have seen the beginning.
            (Expects::Data(received), None) => {
                let end = received.iter().rposition(|octet| *octet == b'\n').map_or(0, |end| end + 1);
                unstuffed(&received[..end])
            }
            (Expects::Chunk(_) | Expects::Command, chunks) => {
                let mut received = chunks.clone().unwrap_or_default();
                if !received.is_empty() && !received.ends_with(b"\r\n") {
                    received.extend_from_slice(b"\r\n");
                }
                received
            }
            _ => panic!("a message without data"),
        };
        let sender = submission.sender.as_ref().map_or("<>", |sender| sender.as_str());
        assert!(mail.line.contains(sender), "{sender} was never accepted: {}", mail.line);
        assert!(submission.recipients.len() <= mail.recipients.len());
        for recipient in &submission.recipients {
            let address = recipient.address.as_str();
            let named = |line: &String| line.contains(address) || line.to_ascii_lowercase().contains("<postmaster>");
            assert!(mail.recipients.iter().any(named), "{address} was never accepted");
        }
        let known = |state: &usize| self.somebody_may(&WORLD.states[*state], submission, &received);
        assert!(mail.states.iter().any(known), "nobody may send {submission:?}");
    }

    /// Whether one token alone allows all of it (`authorization.md` §2).
    fn somebody_may(&self, snapshot: &Snapshot, submission: &Submission, received: &[u8]) -> bool {
        let logon = submission.origin.logon.and_then(|guid| snapshot.by_guid(&guid));
        let facts = Facts { connector: self.connector, logon, time: self.world.now.get() };
        let authority = Authority::new(self.connector, None);
        let host = authority.host_by_address(snapshot, submission.origin.remote.ip());
        let mut tokens = vec![snapshot.anonymous_token()];
        tokens.extend(host.map(|kind| snapshot.host_token(kind)));
        tokens.extend(self.account.and_then(|Confirmed(account)| snapshot.account_token(account).ok()));
        let Ok(block) = HeaderBlock::parse(received) else { return false };
        let senders = senders(&block);
        tokens.iter().any(|token| {
            let ask = |question: &Question<'_>| decide::<NoTrace>(snapshot, token, &facts, question).reason;
            let proof = match &submission.sender {
                None => None,
                Some(sender) => match ask(&Question::Sender(sender)) {
                    Ok(Grant::Sender(proof)) => Some(proof),
                    _ => return false,
                },
            };
            let internal = [true, false].iter().any(|&anonymous| ask(&Question::Internal { anonymous }).is_ok());
            let recipients = submission.recipients.iter().all(|recipient| {
                ask(&Question::Recipient { to: &recipient.address, sender: proof.as_ref(), internal }).is_ok()
            });
            ask(&Question::Submit).is_ok() && recipients && ask(&Question::Header(senders.as_ref())).is_ok()
        })
    }
}

/// Dot-unstuffed line by line.
fn unstuffed(received: &[u8]) -> Vec<u8> {
    let lines = received.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect()
}
