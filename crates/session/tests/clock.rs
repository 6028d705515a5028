//! A clock that is set while a session is open: limits of time are by a clock that nobody sets.

#![allow(missing_docs, reason = "a test")]

#[path = "authz/organization.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod organization;
#[path = "authz/script.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod script;

use std::cell::Cell;
use std::sync::Arc;

use directory::{Snapshot, Time};
use rights::DecisionRecord;
use session::{Host, Mechanisms, MessageRate, Output, Peer, Session, Settings, Wait};

use organization::Organization;

const BEGIN: Time = Time(1_767_268_800_000);
const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// By how much the clock that says the time was set, and how long it all has lasted.
struct Clocks {
    snapshot: Arc<Snapshot>,
    set: Cell<i64>,
    passed: Cell<i64>,
}

impl Host for Clocks {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
    }

    fn now(&self) -> Time {
        Time(BEGIN.0 + self.set.get() + self.passed.get())
    }

    fn steady(&self) -> Time {
        Time(self.passed.get())
    }

    fn new_id(&self) -> String {
        "01JGAA00000000000000000001".to_owned()
    }
}

#[derive(Default)]
struct Replies(String);

impl Output for Replies {
    fn reply(&mut self, bytes: &[u8]) {
        self.0.push_str(&String::from_utf8_lossy(bytes));
    }

    fn begin_body(&mut self, _queue_id: &str) {}

    fn body(&mut self, _bytes: &[u8]) {}

    fn drop_body(&mut self) {}

    fn record(&mut self, _record: DecisionRecord) {}
}

/// A stranger who was greeted, at a connector that waits five minutes for a command.
fn greeted() -> (Clocks, Session) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/demo.organization");
    let text = std::fs::read_to_string(path).expect("the demo organization is there")
        + "\nconnector slow groups=AnonymousUsers auth=tls command-timeout=300\n";
    let mut organization = Organization::new();
    for statement in script::parse(&text).expect("the organization parses").statements {
        if let script::Kind::Organization(words) = statement.kind {
            organization.apply(&words, BEGIN).expect("the organization can be built");
        }
    }
    let clocks = Clocks { snapshot: organization.snapshot(), set: Cell::new(0), passed: Cell::new(0) };
    let settings =
        Settings { hostname: "mail.example.com".to_owned(), tls_available: false, mechanisms: Mechanisms::default() };
    let peer = Peer { remote: ([192, 0, 2, 1], 49152).into(), local: ([192, 0, 2, 25], 25).into(), tls: None };
    let connector = organization.connector("slow").expect("the connector was made");
    let mut session = Session::new(connector, peer, Arc::new(settings), &clocks);
    assert_eq!(session.start(&clocks, &mut Replies::default()), Wait::Nothing);
    (clocks, session)
}

fn says(session: &mut Session, clocks: &Clocks, line: &str) -> (String, Wait) {
    let mut replies = Replies::default();
    let wait = session.receive(clocks, format!("{line}\r\n").as_bytes(), &mut replies).wait;
    (replies.0, wait)
}

#[test]
fn a_clock_that_is_set_ends_no_session() {
    let (clocks, mut session) = greeted();
    for set in [10 * DAY, -5 * DAY, 0] {
        clocks.set.set(set);
        clocks.passed.set(clocks.passed.get() + 1000);
        let mut replies = Replies::default();
        assert_eq!(session.timeout(&clocks, &mut replies), Wait::Nothing, "{set}: {}", replies.0);
        assert_eq!(says(&mut session, &clocks, "NOOP"), ("250 2.0.0 OK\r\n".to_owned(), Wait::Nothing), "{set}");
    }
}

#[test]
fn a_client_that_says_nothing_has_its_time_whatever_the_clock_was_set_to() {
    for set in [0, 10 * DAY, -10 * DAY] {
        let (clocks, mut session) = greeted();
        clocks.set.set(set);
        let mut replies = Replies::default();
        clocks.passed.set(5 * MINUTE - 1);
        assert_eq!(session.timeout(&clocks, &mut replies), Wait::Nothing, "{set}");
        clocks.passed.set(5 * MINUTE);
        assert_eq!(session.timeout(&clocks, &mut replies), Wait::Close, "{set}");
        assert!(replies.0.starts_with("421 4.4.2 "), "{}", replies.0);
    }
}

#[test]
fn a_rate_that_was_used_up_is_free_again_after_a_minute() {
    let mut rate = MessageRate::default();
    assert_eq!([0, 1, 2].map(|now| rate.admits(Time(now), 2)), [true, true, false]);
    assert!(rate.admits(Time(MINUTE), 2));
}
