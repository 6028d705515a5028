//! Every right of receive connectors (S2 table 4) has its effect, present and absent, allowed and denied, through a
//! permission group and through a single entry; and every permission group (S2 table 6) gives what the table of rights
//! says, to whom it says, and no more.

#![allow(missing_docs, reason = "a test")]

#[path = "authz/organization.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod organization;
#[path = "authz/script.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod script;

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{Snapshot, Time};
use rights::{DecisionRecord, GrantedOn, GroupTrustee, PermissionGroup, RIGHTS, RightName, ServerRole};
use session::{
    Answer, Host, Mechanisms, Output, PasswordOutcome, Peer, PeerCertificate, Session, Settings, StoreOutcome,
    Submission, TlsFacts, Wait,
};

use organization::Organization;

/// Key of the one own server.
const KEY: [u8; 32] = [0xab; 32];

static WORLD: LazyLock<Arc<Snapshot>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/demo.organization");
    let text = std::fs::read_to_string(path).expect("the demo organization is there")
        + "\nuser legacy in Service\nmember legacy of ExchangeLegacyInterop\nset ceo authenticated-senders-only=yes\n\
           set organization procuraSecureDomains=partner.test\n"
        + &format!("set server procuraServerKey={}\n", "ab".repeat(32));
    let mut organization = Organization::new();
    for statement in script::parse(&text).expect("the organization parses").statements {
        if let script::Kind::Organization(words) = statement.kind {
            organization.apply(&words, Time(0)).expect("the organization can be built");
        }
    }
    organization.snapshot()
});

/// Who connects, and how it is called in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Stranger,
    Bob,
    Hub,
    Secured,
    Legacy,
    Partner,
}

impl Who {
    const ALL: [Who; 6] = [Who::Stranger, Who::Bob, Who::Hub, Who::Secured, Who::Legacy, Who::Partner];

    fn trustee(self) -> &'static str {
        match self {
            Who::Stranger => "ANONYMOUS LOGON",
            Who::Bob => "bob",
            Who::Hub => "Hub Transport servers",
            Who::Secured => "Externally Secured servers",
            Who::Legacy => "Legacy Exchange servers",
            Who::Partner => "Partner servers",
        }
    }

    /// The permission group that is theirs.
    fn group(self) -> PermissionGroup {
        match self {
            Who::Stranger => PermissionGroup::AnonymousUsers,
            Who::Bob => PermissionGroup::ExchangeUsers,
            Who::Hub | Who::Secured => PermissionGroup::ExchangeServers,
            Who::Legacy => PermissionGroup::ExchangeLegacyServers,
            Who::Partner => PermissionGroup::Partners,
        }
    }

    /// How the connector lets them prove themselves.
    fn connector(self) -> &'static str {
        match self {
            Who::Stranger => "auth=tls",
            Who::Bob | Who::Legacy => "auth=tls,basic",
            Who::Hub => "auth=tls,exchange-server",
            Who::Secured => "auth=tls,external ranges=10.0.0.0/8",
            Who::Partner => "auth=tls domain-secure=yes",
        }
    }

    /// Who logs on.
    fn login(self) -> Option<&'static str> {
        match self {
            Who::Bob => Some("bob"),
            Who::Legacy => Some("legacy"),
            _ => None,
        }
    }

    fn certificate(self) -> Option<PeerCertificate> {
        match self {
            Who::Hub => Some(PeerCertificate { key: KEY, domains: Vec::new() }),
            Who::Partner => Some(PeerCertificate { key: [0; 32], domains: vec!["partner.test".to_owned()] }),
            _ => None,
        }
    }
}

/// The directory with one more connector, made so, and changed by these lines.
fn with_connector(who: Who, groups: &str, lines: &[String]) -> (Arc<Snapshot>, Organization) {
    let mut organization = Organization::new_from(WORLD.clone());
    let connector = format!(
        "connector probe groups={groups} {} max-message-size=1000 header-from=off require-from=no",
        who.connector()
    );
    for line in std::iter::once(&connector).chain(lines) {
        let words = script::words(line).expect("words");
        organization.apply(&words, Time(0)).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    (organization.snapshot(), organization)
}

struct TestHost {
    snapshot: Arc<Snapshot>,
    ids: Cell<u64>,
}

impl Host for TestHost {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.clone()
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
    replies: String,
    body: Vec<u8>,
    accepted: Vec<(Submission, String)>,
}

impl Output for Heard {
    fn reply(&mut self, bytes: &[u8]) {
        self.replies.push_str(&String::from_utf8_lossy(bytes));
    }

    fn begin_body(&mut self, _queue_id: &str) {
        self.body.clear();
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    fn drop_body(&mut self) {
        self.body.clear();
    }

    fn record(&mut self, _record: DecisionRecord) {}
}

struct Client {
    host: TestHost,
    organization: Organization,
    session: Session,
    heard: Heard,
}

impl Client {
    /// A client that has said EHLO over TLS, with its certificate if it has one, and logged on if it is to; `None`: it
    /// could not.
    fn connect(who: Who, groups: &str, lines: &[String]) -> Option<Client> {
        let (snapshot, organization) = with_connector(who, groups, lines);
        let connector = organization.connector("probe").expect("the connector was made");
        let host = TestHost { snapshot, ids: Cell::new(0) };
        let facts = TlsFacts { peer: who.certificate(), ..TlsFacts::default() };
        let peer =
            Peer { remote: ([10, 0, 0, 5], 49152).into(), local: ([192, 0, 2, 25], 25).into(), tls: Some(facts) };
        let settings = Settings {
            hostname: "mail.example.com".to_owned(),
            tls_available: true,
            mechanisms: Mechanisms::default(),
        };
        let mut session = Session::new(connector, peer, Arc::new(settings), &host);
        let mut heard = Heard::default();
        assert_eq!(session.start(&host, &mut heard), Wait::Nothing);
        let mut client = Client { host, organization, session, heard };
        client.say("EHLO client.test");
        let Some(login) = who.login() else { return Some(client) };
        let credentials = STANDARD.encode(format!("\0{login}\0{login}-demo"));
        client.say(&format!("AUTH PLAIN {credentials}")).starts_with("235").then_some(client)
    }

    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes())
    }

    fn send(&mut self, mut bytes: &[u8]) -> String {
        self.heard.replies.clear();
        while !bytes.is_empty() {
            let progress = self.session.receive(&self.host, bytes, &mut self.heard);
            bytes = &bytes[progress.consumed..];
            let mut wait = progress.wait;
            while wait != Wait::Nothing {
                let answer = match wait {
                    Wait::Password(check) => {
                        let account = check.claimant.account.map(|(account, _)| account);
                        let expected = account.and_then(|account| self.organization.password_of(account));
                        let right = expected.is_some_and(|own| own.as_bytes() == check.password.as_slice());
                        Answer::Password(if right { PasswordOutcome::Correct } else { PasswordOutcome::Wrong })
                    }
                    Wait::Store(submission) => {
                        let body = String::from_utf8_lossy(&self.heard.body).into_owned();
                        self.heard.accepted.push((*submission, body));
                        Answer::Stored(StoreOutcome::Stored)
                    }
                    other => panic!("{other:?}"),
                };
                wait = self.session.answer(&self.host, answer, &mut self.heard);
            }
        }
        self.heard.replies.clone()
    }

    fn takes(&mut self, line: &str) -> bool {
        self.say(line).starts_with("250")
    }

    /// What becomes of a message with everything that only some may send.
    fn message(&mut self) -> Option<(Submission, String)> {
        if !(self.takes("MAIL FROM:<>") && self.takes("RCPT TO:<bob@example.com>")) {
            return None;
        }
        assert!(self.say("XEXCH50 4 2").starts_with("354"));
        assert!(self.send(b"blob").starts_with("250"));
        assert!(self.say("DATA").starts_with("354"));
        let text = "Received: from elsewhere by nowhere; Thu, 1 Jan 2026 11:00:00 +0000\r\n\
                    X-MS-Exchange-Organization-SCL: -1\r\nX-MS-Exchange-Forest-RulesExecuted: all\r\n\
                    From: bob@example.com\r\n\r\nHello.\r\n.";
        assert!(self.takes(text), "{}", self.heard.replies);
        self.heard.accepted.pop()
    }
}

/// Whether the effect of a right is seen (S2 table 4): without it, what it allows does not happen.
fn has_effect(right: RightName, who: Who, groups: &str, lines: &[String]) -> bool {
    let Some(mut client) = Client::connect(who, groups, lines) else { return false };
    match right {
        RightName::Submit => client.takes("MAIL FROM:<>"),
        RightName::AcceptAnyRecipient => client.takes("MAIL FROM:<>") && client.takes("RCPT TO:<x@elsewhere.test>"),
        RightName::AcceptAnySender => client.takes("MAIL FROM:<x@outside.test>"),
        RightName::AcceptAuthoritativeDomainSender => client.takes("MAIL FROM:<nobody@example.com>"),
        // The recipient takes mail of proven senders, and what an own server marks as internal.
        RightName::AcceptAuthenticationFlag => {
            client.takes("MAIL FROM:<>") && client.takes("RCPT TO:<ceo@example.com>")
        }
        RightName::BypassMessageSizeLimit => client.takes("MAIL FROM:<> SIZE=2000"),
        RightName::AcceptHeadersRouting => holds(&mut client, "Received: from elsewhere"),
        RightName::AcceptHeadersOrganization => holds(&mut client, "X-MS-Exchange-Organization-SCL: -1"),
        RightName::AcceptHeadersForest => holds(&mut client, "X-MS-Exchange-Forest-RulesExecuted: all"),
        RightName::AcceptExch50 => {
            client.message().is_some_and(|(submission, _)| submission.exch50.as_deref() == Some(b"blob"))
        }
        RightName::BypassAntiSpam => client.message().is_some_and(|(submission, _)| submission.origin.bypass_anti_spam),
        other => panic!("{other:?} is no right of receive connectors"),
    }
}

fn holds(client: &mut Client, field: &str) -> bool {
    client.message().is_some_and(|(_, body)| body.contains(field))
}

fn receive_rights() -> Vec<RightName> {
    RIGHTS.iter().filter(|right| right.on == GrantedOn::ReceiveConnector).map(|right| right.id).collect()
}

fn grant(right: RightName, who: Who) -> String {
    format!("grant {} on connector:probe to \"{}\"", right.right().name, who.trustee())
}

fn deny(right: RightName, who: Who) -> String {
    format!("deny {} on connector:probe to \"{}\"", right.right().name, who.trustee())
}

/// Whether the right can have an effect for them at all: a mark of who is internal is believed of servers only.
fn concerns(right: RightName, who: Who) -> bool {
    right != RightName::AcceptAuthenticationFlag || matches!(who, Who::Hub | Who::Secured | Who::Legacy)
}

#[test]
fn each_right_of_a_receive_connector_has_its_effect_through_a_permission_group() {
    for right in receive_rights() {
        assert!(has_effect(right, Who::Hub, "ExchangeServers", &[]), "{right:?} is held and has no effect");
        let others: Vec<String> =
            receive_rights().into_iter().filter(|other| *other != right).map(|other| grant(other, Who::Hub)).collect();
        assert!(!has_effect(right, Who::Hub, "None", &others), "{right:?} is not held and has an effect");
        let denied = [deny(right, Who::Hub)];
        assert!(!has_effect(right, Who::Hub, "ExchangeServers", &denied), "{right:?} is denied and has an effect");
    }
}

#[test]
fn each_right_of_a_receive_connector_has_its_effect_through_a_single_entry() {
    for who in Who::ALL {
        for right in receive_rights().into_iter().filter(|right| concerns(*right, who)) {
            // What the effect can be seen with, and nothing else.
            let mut needed = vec![RightName::Submit];
            if right == RightName::AcceptAuthoritativeDomainSender {
                needed.push(RightName::AcceptAnySender);
            }
            let without: Vec<String> =
                needed.iter().filter(|other| **other != right).map(|other| grant(*other, who)).collect();
            assert!(!has_effect(right, who, "None", &without), "{who:?} lacks {right:?}, which has an effect");
            let with = [&without[..], &[grant(right, who)]].concat();
            assert!(has_effect(right, who, "None", &with), "{who:?} holds {right:?}, which has no effect");
            let denied = [&with[..], &[deny(right, who)]].concat();
            assert!(!has_effect(right, who, "None", &denied), "{who:?} is denied {right:?}, which has an effect");
        }
    }
}

/// S2 table 6 for hubs, cell by cell, with the trustees of F §3.5.
#[test]
fn each_permission_group_gives_its_rights_to_its_own_and_no_more() {
    for who in Who::ALL {
        let group = who.group();
        let carried: Vec<RightName> = receive_rights()
            .into_iter()
            .filter(|right| right.right().hub_groups.contains(&group))
            .filter(|right| who != Who::Secured || right.right().externally_secured)
            .collect();
        for right in receive_rights().into_iter().filter(|right| concerns(*right, who)) {
            let has = has_effect(right, who, group.name(), &[]);
            assert_eq!(has, carried.contains(&right), "{right:?} for {who:?} by {}", group.name());
        }
    }
}

#[test]
fn a_permission_group_gives_nothing_to_those_of_other_groups() {
    for who in Who::ALL {
        for group in PermissionGroup::ALL {
            // Who logs on is an authenticated user too, and everybody may go on as a stranger.
            let reaches = group == who.group()
                || group == PermissionGroup::AnonymousUsers && who.login().is_none()
                || group == PermissionGroup::ExchangeUsers && who.login().is_some();
            // Trust by address is ignored where strangers are taken.
            assert_eq!(has_effect(RightName::Submit, who, group.name(), &[]), reaches, "{who:?} by {}", group.name());
        }
    }
}

/// S2 table 6, the column of the edge, entry by entry, with the trustees of F §3.5.
#[test]
fn the_groups_of_an_edge_are_those_of_table_6() {
    use GroupTrustee::{ExchangeServers, WellKnown};
    use RightName::*;
    let all = vec![
        Submit,
        AcceptAnyRecipient,
        AcceptAnySender,
        AcceptAuthoritativeDomainSender,
        AcceptAuthenticationFlag,
        AcceptHeadersRouting,
        AcceptHeadersOrganization,
        AcceptHeadersForest,
        AcceptExch50,
        BypassMessageSizeLimit,
        BypassAntiSpam,
    ];
    let is_for_addresses = |right: &RightName| !matches!(right, AcceptHeadersOrganization | AcceptHeadersForest);
    let secured: Vec<RightName> = all.iter().copied().filter(is_for_addresses).collect();
    let well_known = |sid: &str| WellKnown(sid.parse().expect("a SID"));
    let server = |rid: u32| well_known(&format!("S-1-9-1419165041-1139599005-3936102811-1022490595-{rid}"));
    let expected = [
        (
            PermissionGroup::AnonymousUsers,
            vec![(well_known("S-1-5-7"), vec![Submit, AcceptAnySender, AcceptHeadersRouting])],
        ),
        (PermissionGroup::ExchangeUsers, vec![]),
        (
            PermissionGroup::ExchangeServers,
            vec![(ExchangeServers, all.clone()), (server(21), all.clone()), (server(22), all), (server(23), secured)],
        ),
        (PermissionGroup::ExchangeLegacyServers, vec![]),
        (PermissionGroup::Partners, vec![(server(10), vec![Submit, AcceptHeadersRouting])]),
    ];
    for (group, mut grants) in expected {
        let mut found = group.grants(ServerRole::Edge);
        for (_, rights) in grants.iter_mut().chain(&mut found) {
            rights.sort_by_key(|right| right.right().name);
        }
        assert_eq!(found, grants, "{}", group.name());
    }
}
