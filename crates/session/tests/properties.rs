//! What must hold for any client: nothing panics, no message is accepted but by the transaction that it came in, and how
//! the network cuts the client's bytes changes nothing.

#![allow(missing_docs, reason = "a test")]

#[path = "authz/organization.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod organization;
#[path = "authz/script.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod script;

use std::cell::{Cell, RefCell};
use std::sync::{Arc, LazyLock};

use directory::{ObjectId, Snapshot, Time};
use proptest::prelude::*;
use rights::DecisionRecord;
use session::{
    Answer, GssOutcome, Host, KeysOutcome, LogEntry, Mechanisms, Output, PasswordOutcome, Peer, ScramKeys, Session,
    Settings, StoreOutcome, Submission, TlsFacts, TokenOutcome, Wait,
};

use organization::Organization;

/// Two states of one directory: the demo, and the demo after bob lost what he had.
struct World {
    connector: ObjectId,
    passwords: Organization,
    before: Arc<Snapshot>,
    after: Arc<Snapshot>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/demo.organization");
    let text = std::fs::read_to_string(path).expect("the demo organization is there")
        + "\nconnector any groups=AnonymousUsers,ExchangeUsers auth=tls,basic max-errors=1000 max-logon-failures=1000\n\
           grant send-as on ceo to bob\n";
    let mut organization = Organization::new();
    for statement in script::parse(&text).expect("the demo organization parses").statements {
        if let script::Kind::Organization(words) = statement.kind {
            organization.apply(&words, Time(0)).expect("the demo organization can be built");
        }
    }
    let before = organization.snapshot();
    let connector = organization.connector("any").expect("the connector was made");
    let words = script::words("revoke send-as on ceo from bob").expect("words");
    let mut changed = Organization::new_from(before.clone());
    changed.apply(&words, Time(0)).expect("the right can be revoked");
    World { connector, passwords: organization, before, after: changed.snapshot() }
});

struct TestHost {
    snapshot: RefCell<Arc<Snapshot>>,
    ids: Cell<u64>,
    store: Cell<StoreOutcome>,
}

impl Host for TestHost {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    fn now(&self) -> Time {
        Time(1_767_268_800_000)
    }

    fn new_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("01JGAA0000{:016}", self.ids.get())
    }
}

#[derive(Default)]
struct Heard {
    replies: Vec<u8>,
    body: Option<Vec<u8>>,
    accepted: Vec<(Submission, Vec<u8>)>,
    log: String,
}

impl Output for Heard {
    fn reply(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    fn begin_body(&mut self, _queue_id: &str) {
        assert!(self.body.replace(Vec::new()).is_none(), "a message is begun while another is on its way");
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.as_mut().expect("a body is begun before it is written").extend_from_slice(bytes);
    }

    fn drop_body(&mut self) {
        assert!(self.body.take().is_some(), "there is a body to drop");
    }

    fn record(&mut self, _record: DecisionRecord) {}

    fn log(&mut self, entry: LogEntry<'_>) {
        let line = match entry {
            LogEntry::Client(line) => format!("< {line}\n"),
            LogEntry::Server(line) => format!("> {line}\n"),
            LogEntry::Information { context, data } => format!("* {context} {data}\n"),
        };
        self.log.push_str(&line);
    }
}

struct Client {
    host: TestHost,
    session: Session,
    heard: Heard,
    closed: bool,
}

impl Client {
    fn connect() -> Client {
        let host = TestHost {
            snapshot: RefCell::new(WORLD.before.clone()),
            ids: Cell::new(0),
            store: Cell::new(StoreOutcome::Stored),
        };
        let settings = Settings {
            hostname: "mail.example.com".to_owned(),
            tls_available: true,
            mechanisms: Mechanisms { scram: true, bearer: true, kerberos: true, spnego: true },
        };
        let peer = Peer { remote: ([192, 0, 2, 1], 49152).into(), local: ([192, 0, 2, 25], 25).into(), tls: None };
        let mut session = Session::new(WORLD.connector, peer, Arc::new(settings), &host);
        let mut heard = Heard::default();
        let wait = session.start(&host, &mut heard);
        assert_eq!(wait, Wait::Nothing);
        Client { host, session, heard, closed: false }
    }

    /// Gives the session all of `bytes` and answers whatever it asks. A host drops the plain text that is left when TLS
    /// begins, and everything after a close.
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.closed {
            let progress = self.session.receive(&self.host, bytes, &mut self.heard);
            assert!(progress.consumed > 0 || progress.wait != Wait::Nothing, "the session stands still");
            bytes = &bytes[progress.consumed..];
            let mut wait = progress.wait;
            while wait != Wait::Nothing && !self.closed {
                wait = self.attend(wait);
            }
        }
    }

    fn attend(&mut self, wait: Wait) -> Wait {
        let answer = match wait {
            Wait::Nothing => return Wait::Nothing,
            Wait::Close => {
                self.closed = true;
                assert!(self.heard.body.is_none(), "a session closed and left a body behind");
                return Wait::Close;
            }
            Wait::Tls => Answer::TlsEstablished(TlsFacts::default()),
            Wait::Until(_) => Answer::Resume,
            Wait::Password(check) => {
                let expected = check.claimant.account.and_then(|(account, _)| WORLD.passwords.password_of(account));
                let correct = expected.is_some_and(|expected| expected.as_bytes() == check.password.as_slice());
                Answer::Password(if correct { PasswordOutcome::Correct } else { PasswordOutcome::Wrong })
            }
            Wait::ScramKeys(_) => {
                let keys = ScramKeys::from_salted_password(&[1; 32], vec![1; 16], 4096);
                Answer::ScramKeys(KeysOutcome::Keys { keys, also: Vec::new(), nonce: "nonce".to_owned() })
            }
            Wait::Judged { proven, .. } => {
                assert!(proven.is_none(), "nobody knows these keys");
                Answer::Password(PasswordOutcome::Wrong)
            }
            Wait::Token(_) => Answer::Token(TokenOutcome::Invalid),
            Wait::Gss(message) if message.first => Answer::Gss(GssOutcome::Continue(b"more".to_vec())),
            Wait::Gss(_) => Answer::Gss(GssOutcome::Refused),
            Wait::Store(submission) => {
                let body = self.heard.body.take().expect("a message to be stored has a text");
                if self.host.store.get() == StoreOutcome::Stored {
                    self.heard.accepted.push((*submission, body));
                }
                Answer::Stored(self.host.store.get())
            }
        };
        self.session.answer(&self.host, answer, &mut self.heard)
    }

    /// Sends one step and gives what was answered.
    fn step(&mut self, bytes: &[u8]) -> String {
        let before = self.heard.replies.len();
        self.send(bytes);
        String::from_utf8_lossy(&self.heard.replies[before..]).into_owned()
    }
}

/// What a client may do next.
#[derive(Clone, Debug)]
enum Step {
    Line(&'static str),
    Mail(&'static str),
    Rcpt(&'static str),
    Data(&'static str),
    Bytes(Vec<u8>),
    /// The directory changes, there and back.
    Directory(bool),
    Store(StoreOutcome),
}

const MESSAGES: &[&str] = &[
    "From: bob@example.com\r\n\r\nHello.\r\n.\r\n",
    "From: ceo@example.com\r\n\r\n..\r\n.\r\n",
    "From: x@outside.test\r\n\r\nRSET\r\nMAIL FROM:<x@outside.test>\r\n.\r\n",
    "From: alice@example.com\r\n.\r\n",
    ".\r\n",
    "From: bob@example.com\r\nFrom: x@outside.test\r\n\r\n.\r\n",
    "From: bob@example.com\r\n\r\nbare\nline\r\n.\r\n",
    "From: x@outside.test\r\n\r\nbare\rreturn\0\r\n.\r\n",
];

const ADDRESSES: &[&str] =
    &["", "bob@example.com", "ceo@example.com", "x@outside.test", "nobody@example.com", "y@partner.test", "bad"];

fn step() -> impl Strategy<Value = Step> {
    let lines = &[
        "EHLO client.test",
        "HELO client.test",
        "STARTTLS",
        "RSET",
        "NOOP",
        "VRFY bob",
        "AUTH PLAIN AGJvYgBib2ItZGVtbw==",
        "AUTH PLAIN AGJvYgB3cm9uZw==",
        "AUTH LOGIN",
        "*",
        "Ym9i",
        "AUTH SCRAM-SHA-256",
        "AUTH SCRAM-SHA-256 biwsbj1ib2Iscj1meWtv",
        "biwsbj1ib2Iscj1meWtv",
        "Yz1iaXdzLHI9ZnlrbyxwPXg=",
        "AUTH XOAUTH2 dXNlcj1ib2IBYXV0aD1CZWFyZXIgeAEB",
        "AUTH OAUTHBEARER bixhPWJvYiwBYXV0aD1CZWFyZXIgeAEB",
        "AQ==",
        "AUTH GSSAPI YQ==",
        "",
        "Ym9iLWRlbW8=",
        "XEXCH50 3 2",
        "BDAT 5 LAST",
        "DATA now",
    ];
    prop_oneof![
        4 => prop::sample::select(&lines[..]).prop_map(Step::Line),
        6 => prop::sample::select(ADDRESSES).prop_map(Step::Mail),
        6 => prop::sample::select(ADDRESSES).prop_map(Step::Rcpt),
        6 => prop::sample::select(MESSAGES).prop_map(Step::Data),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Bytes),
        1 => any::<bool>().prop_map(Step::Directory),
        1 => prop::sample::select(&[StoreOutcome::Stored, StoreOutcome::Full, StoreOutcome::Failed][..])
            .prop_map(Step::Store),
    ]
}

fn bytes(step: &Step) -> Vec<u8> {
    match step {
        Step::Line(line) => format!("{line}\r\n").into_bytes(),
        Step::Mail(address) => format!("MAIL FROM:<{address}>\r\n").into_bytes(),
        Step::Rcpt(address) => format!("RCPT TO:<{address}>\r\n").into_bytes(),
        Step::Data(_) => b"DATA\r\n".to_vec(),
        Step::Bytes(bytes) => bytes.clone(),
        Step::Directory(_) | Step::Store(_) => Vec::new(),
    }
}

fn prepare(client: &Client, step: &Step) {
    match step {
        Step::Directory(before) => {
            let snapshot = if *before { &WORLD.before } else { &WORLD.after };
            client.host.snapshot.replace(snapshot.clone());
        }
        Step::Store(outcome) => client.host.store.set(*outcome),
        _ => {}
    }
}

proptest! {
    /// Followed from outside, by replies alone: an accepted message has the sender of the last accepted MAIL, and
    /// exactly the recipients accepted since, with nothing between that ends a transaction.
    #[test]
    fn a_message_is_accepted_only_by_the_transaction_it_came_in(steps in prop::collection::vec(step(), 0..60)) {
        let mut client = Client::connect();
        client.step(b"EHLO client.test\r\n");
        let mut sender: Option<&str> = None;
        let mut recipients: Vec<&str> = Vec::new();
        // Arbitrary bytes may leave a partial line behind; what follows is then no longer what this test thinks it is.
        let mut lost = false;
        for step in &steps {
            prepare(&client, step);
            let reply = client.step(&bytes(step));
            match step {
                Step::Bytes(_) => lost = true,
                Step::Line(line) if line.starts_with("XEXCH50") && reply.starts_with("354") => {
                    prop_assert_eq!(client.step(b"abc"), "250 2.0.0 XEXCH50 data taken\r\n");
                }
                Step::Line(line) if line.starts_with("BDAT") && reply.is_empty() => {
                    let reply = client.step(b"RSET\r");
                    prop_assert!(lost || reply.starts_with('5'), "the chunk is no command: {}", reply);
                    (sender, recipients) = (None, Vec::new());
                }
                Step::Line(line) => {
                    let resets = ["EHLO", "HELO", "STARTTLS", "RSET"].iter().any(|verb| line.starts_with(verb));
                    if resets && reply.starts_with('2') {
                        (sender, recipients) = (None, Vec::new());
                    }
                }
                Step::Mail(address) if reply.starts_with("250") => {
                    prop_assert!(lost || sender.is_none(), "a second sender was accepted");
                    sender = Some(address);
                    recipients.clear();
                }
                Step::Rcpt(address) if reply.starts_with("250") => {
                    prop_assert!(lost || sender.is_some(), "a recipient was accepted without a sender");
                    if !recipients.contains(address) {
                        recipients.push(address);
                    }
                }
                Step::Data(message) if reply.starts_with("354") => {
                    prop_assert!(lost || (sender.is_some() && !recipients.is_empty()));
                    let accepted = client.heard.accepted.len();
                    let reply = client.step(message.as_bytes());
                    if !lost {
                        prop_assert_eq!(reply.lines().count(), 1, "a message has one answer: {}", reply);
                        let stored = client.heard.accepted.get(accepted);
                        prop_assert_eq!(stored.is_some(), reply.starts_with("250"), "{}", reply);
                        if let Some((submission, _)) = stored {
                            let from = submission.sender.as_ref().map_or("", |address| address.as_str());
                            let to: Vec<&str> =
                                submission.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
                            prop_assert_eq!(Some(from), sender);
                            prop_assert_eq!(&to, &recipients);
                        }
                    }
                    (sender, recipients) = (None, Vec::new());
                }
                _ => {}
            }
            if client.closed {
                break;
            }
        }
    }

    /// The network may cut anywhere: the same bytes in any pieces give the same replies and the same messages. (Steps are
    /// still sent one after the other: a client that does not wait where it must is refused, and may be.)
    #[test]
    fn where_the_input_is_cut_changes_nothing(
        steps in prop::collection::vec(step(), 0..30),
        cuts in prop::collection::vec(1usize..9, 1..20),
    ) {
        let (mut whole, mut pieces) = (Client::connect(), Client::connect());
        let mut cuts = cuts.iter().cycle();
        for client in [&mut whole, &mut pieces] {
            client.step(b"EHLO client.test\r\n");
        }
        for step in &steps {
            let mut texts = vec![bytes(step)];
            if let Step::Data(message) = step {
                texts.push(message.as_bytes().to_vec());
            }
            // Bytes at random may hold several lines; sent at once they are what a client must not do after EHLO.
            if matches!(step, Step::Bytes(_)) {
                texts = texts[0].split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
            }
            prepare(&whole, step);
            prepare(&pieces, step);
            for text in texts {
                whole.step(&text);
                let mut rest = text.as_slice();
                while !rest.is_empty() {
                    let cut = (*cuts.next().expect("a cycle has no end")).min(rest.len());
                    pieces.step(&rest[..cut]);
                    rest = &rest[cut..];
                }
            }
            prop_assert_eq!(
                String::from_utf8_lossy(&whole.heard.replies),
                String::from_utf8_lossy(&pieces.heard.replies)
            );
            prop_assert_eq!(whole.closed, pieces.closed);
            if whole.closed {
                break;
            }
        }
        prop_assert_eq!(&whole.heard.accepted, &pieces.heard.accepted);
    }

    /// However a message is cut into chunks of BDAT, it is answered and stored as if it had come by DATA.
    #[test]
    fn chunks_are_stored_as_data_is(
        message in prop::sample::select(MESSAGES),
        cuts in prop::collection::vec(0usize..12, 1..20),
        pipelined: bool,
    ) {
        let begin = b"MAIL FROM:<x@outside.test>\r\nRCPT TO:<bob@example.com>\r\n";
        let (mut data, mut chunks) = (Client::connect(), Client::connect());
        for client in [&mut data, &mut chunks] {
            client.step(b"EHLO client.test\r\n");
            client.step(begin);
        }
        data.step(b"DATA\r\n");
        let answer = data.step(message.as_bytes());
        // What DATA carries, unstuffed and without its end.
        let text = message.strip_suffix(".\r\n").expect("data ends");
        let text: String =
            text.split_inclusive('\n').map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
        let mut wire = Vec::new();
        let mut rest = text.as_bytes();
        // Chunks of nothing bring the message no nearer to its end.
        for cut in cuts.iter().cycle().take(1000) {
            let (chunk, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            let last = if rest.is_empty() { " LAST" } else { "" };
            wire.push([format!("BDAT {}{last}\r\n", chunk.len()).as_bytes(), chunk].concat());
            if rest.is_empty() {
                break;
            }
        }
        if !rest.is_empty() {
            wire.push([format!("BDAT {} LAST\r\n", rest.len()).as_bytes(), rest].concat());
        }
        let replies: String = match pipelined {
            true => chunks.step(&wire.concat()),
            false => wire.iter().map(|chunk| chunks.step(chunk)).collect(),
        };
        // The first reply that is not that of a chunk taken is the message's; those behind it find no message.
        let first = replies.lines().find(|line| !line.ends_with("octets received")).unwrap_or_default();
        prop_assert_eq!(&first[..9], &answer[..9], "{} / {}", replies, answer);
        prop_assert_eq!(chunks.heard.accepted.len(), data.heard.accepted.len());
        for ((by_chunks, one), (by_data, other)) in chunks.heard.accepted.iter().zip(&data.heard.accepted) {
            prop_assert_eq!(by_chunks, by_data);
            prop_assert_eq!(String::from_utf8_lossy(one), String::from_utf8_lossy(other));
        }
    }

    /// Whatever a client sends, and however the host answers out of turn, nothing panics.
    #[test]
    fn no_input_makes_the_session_panic(input in prop::collection::vec(any::<u8>(), 0..2000), answers in any::<[u8; 4]>()) {
        let mut client = Client::connect();
        client.send(&input);
        for answer in answers {
            let answer = match answer % 6 {
                0 => Answer::Resume,
                4 => Answer::Token(TokenOutcome::Invalid),
                5 => Answer::Gss(GssOutcome::Refused),
                1 => Answer::Stored(StoreOutcome::Stored),
                2 => Answer::Password(PasswordOutcome::Correct),
                _ => Answer::TlsEstablished(TlsFacts::default()),
            };
            let wait = client.session.answer(&client.host, answer, &mut client.heard);
            prop_assert!(client.closed || wait == Wait::Close, "an answer that nobody asked for ends the session");
        }
        client.session.peer_closed(&mut client.heard);
    }
}

#[test]
fn a_message_in_one_packet_with_its_commands_is_streamed_after_the_354() {
    let mut client = Client::connect();
    client.step(b"EHLO client.test\r\n");
    let replies = client.step(b"MAIL FROM:<x@outside.test>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n");
    assert_eq!(replies.lines().count(), 3, "{replies}");
    client.step(b"From: x@outside.test\r\n\r\n");
    assert!(client.heard.body.is_some(), "the header is written out as soon as it is decided");
    client.step(b"one line\r\n");
    let text = client.heard.body.clone().expect("a body");
    assert!(text.ends_with(b"\r\n\r\none line\r\n"), "the body follows while it comes: {text:?}");
}

#[test]
fn no_credential_is_logged() {
    let name = "Ym9i";
    let right = "Ym9iLWRlbW8=";
    let plain = "AGJvYgBib2ItZGVtbw==";
    let dialogues: &[&[&str]] = &[
        &["AUTH PLAIN AGJvYgBib2ItZGVtbw=="],
        &["auth plain AGJvYgBib2ItZGVtbw=="],
        &["AUTH\tPLAIN\tAGJvYgBib2ItZGVtbw=="],
        &["AUTH  PLAIN  AGJvYgBib2ItZGVtbw=="],
        &["AUTH PLAIN AGJvYgBib2ItZGVtbw== x"],
        &["AUTH PLAIN", plain],
        &["AUTH LOGIN", name, right],
        &["AUTH LOGIN Ym9i", right],
        // Refused, and the client goes on all the same.
        &["AUTH CRAM-MD5", name, right],
        &["AUTH CRAM-MD5", plain],
        &["MAIL FROM:<x@outside.test>", "AUTH LOGIN", name, right],
    ];
    for dialogue in dialogues {
        let mut client = Client::connect();
        client.step(b"EHLO client.test\r\n");
        for line in *dialogue {
            client.step(format!("{line}\r\n").as_bytes());
        }
        let log = &client.heard.log;
        assert!(log.contains("< EHLO client.test"), "the rest is logged: {log}");
        for secret in [name, right, plain] {
            assert!(!log.contains(secret), "{dialogue:?} logged {secret}:\n{log}");
        }
    }
}
