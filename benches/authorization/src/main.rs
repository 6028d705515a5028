//! What a server does to authorize messages, and nothing else: run under a tool that counts instructions, it tells what
//! authorization costs a message. `benches/authorization/run` sets it beside a whole server.
//!
//!     authorization-bench SCENARIO MESSAGES
//!
//! A message is what a session does for it (`crates/session`): the tokens, MAIL FROM, the size limit, RCPT TO, the senders of
//! its header, the decision over them, and the record where it is sent as, or on behalf of, somebody else.

#[path = "../../../crates/session/tests/authz/organization.rs"]
#[allow(dead_code, clippy::all)]
mod organization;
#[path = "../../../crates/session/tests/authz/script.rs"]
#[allow(dead_code, clippy::all)]
mod script;

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use directory::{ObjectId, Snapshot, Time};
use message::{Address, HeaderBlock, senders};
use organization::Organization;
use rights::{Asked, Authority, Circumstances, DecisionRecord, NoTrace, Question, RightName, Transaction};

/// Who sends what.
struct Scenario {
    name: &'static str,
    connector: &'static str,
    account: Option<&'static str>,
    envelope: &'static str,
    from: &'static str,
    recipient: &'static str,
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "stranger",
        connector: "internet",
        account: None,
        envelope: "jo@outside.test",
        from: "Jo Outside <jo@outside.test>",
        recipient: "bob@example.com",
    },
    Scenario {
        name: "own-address",
        connector: "client",
        account: Some("bob"),
        envelope: "bob@example.com",
        from: "Bob Brown <bob@example.com>",
        recipient: "alice@example.com",
    },
    Scenario {
        name: "send-as-by-groups",
        connector: "client",
        account: Some("frank"),
        envelope: "sales@example.com",
        from: "Sales Desk <sales@example.com>",
        recipient: "alice@example.com",
    },
    Scenario {
        name: "on-behalf",
        connector: "client",
        account: Some("alice"),
        envelope: "alice@example.com",
        from: "Carla Owens <ceo@example.com>",
        recipient: "bob@example.com",
    },
    Scenario {
        name: "service-account",
        connector: "client",
        account: Some("goodadmin"),
        envelope: "scanner1@example.com",
        from: "Scanner 1 <scanner1@example.com>",
        recipient: "bob@example.com",
    },
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let chosen = arguments.get(1).and_then(|name| SCENARIOS.iter().find(|scenario| scenario.name == name));
    let count = arguments.get(2).and_then(|count| count.parse::<u64>().ok());
    let (Some(scenario), Some(count)) = (chosen, count) else {
        let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        eprintln!("authorization-bench SCENARIO MESSAGES\nscenarios: {}", names.join(", "));
        std::process::exit(2);
    };
    let organization = demo();
    let snapshot = organization.snapshot();
    let connector = organization.connector(scenario.connector).expect("the connector is in the demo");
    let mut authority = Authority::new(connector, None);
    authority.account = scenario.account.and_then(|name| snapshot.resolve_login(name));
    assert_eq!(authority.account.is_some(), scenario.account.is_some(), "the account is in the demo");
    let header = format!(
        "Date: Thu, 1 Jan 2026 12:00:00 +0000\r\nFrom: {}\r\nTo: <{}>\r\nSubject: measured\r\n\
         Message-ID: <1@client.test>\r\n\r\n",
        scenario.from, scenario.recipient
    );
    let block = HeaderBlock::parse(header.as_bytes()).expect("the header is well formed");
    for _ in 0..count {
        authorize(&snapshot, &authority, connector, scenario, &block);
    }
}

/// One message. A function of its own, so that a profiler can be told to look at nothing else.
#[inline(never)]
fn authorize(
    snapshot: &Snapshot,
    authority: &Authority,
    connector: ObjectId,
    scenario: &Scenario,
    block: &HeaderBlock,
) {
    let now = Time(1_767_268_800_000);
    let envelope = &Address::parse(scenario.envelope).expect("an address");
    let recipient = &Address::parse(scenario.recipient).expect("an address");
    // What each of MAIL, RCPT, DATA and the end of data looks at.
    for _ in 0..4 {
        black_box(authority.host_by_address(snapshot, Ipv4Addr::new(192, 0, 2, 1).into()));
        black_box(authority.check(snapshot)).expect("the session goes on");
    }
    let mut transaction =
        Transaction::mail_from(snapshot, authority, now, Some(envelope), false).expect("the sender is allowed");
    black_box(transaction.size_limit(snapshot, authority, now));
    black_box(transaction.recipient(snapshot, authority, now, recipient)).expect("the recipient is allowed");
    let senders = senders(block);
    let accepted = transaction.header(snapshot, authority, now, senders.as_ref()).expect("the header is allowed");
    let facts = rights::Facts { connector, logon: None, time: now };
    let bypass = Question::Right(RightName::BypassMessageSizeLimit);
    let _ = black_box(rights::decide::<NoTrace>(snapshot, &accepted.token, &facts, &bypass).reason);
    if !accepted.header.sent_as().is_empty() || !accepted.header.on_behalf_of().is_empty() {
        let circumstances = Circumstances {
            id: "01JGAA00000000000000000001".to_owned(),
            time: now,
            remote: "192.0.2.1:49152".to_owned(),
            authority,
            asked: Asked::default(),
        };
        black_box(DecisionRecord::accepted(snapshot, circumstances, &accepted, "01JGAA00000000000000000002"));
    }
    black_box(accepted);
}

/// The organization of the golden scripts.
fn demo() -> Organization {
    let text = include_str!("../../../crates/session/tests/scripts/demo.organization");
    let mut organization = Organization::new();
    for statement in script::parse(text).expect("the demo parses").statements {
        if let script::Kind::Organization(words) = statement.kind {
            organization.apply(&words, Time(0)).expect("the demo can be built");
        }
    }
    // As a server has it: from a store, not from a hundred changes.
    let _: Arc<Snapshot> = organization.snapshot();
    organization
}
