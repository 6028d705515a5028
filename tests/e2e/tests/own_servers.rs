//! A hub and an edge of one organization, and a stranger: three hosts of a network of their own, on their usual ports.

#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use e2e::{Mechanism, Message, Network, Node, Sink, Talk, require, skip_without};

const HUB: usize = 0;
const EDGE: usize = 1;
const STRANGER: usize = 2;

const AUTH_AS: &str = "X-MS-Exchange-Organization-AuthAs";
const AUTH_SOURCE: &str = "X-MS-Exchange-Organization-AuthSource";
const SCL: &str = "X-MS-Exchange-Organization-SCL";

struct Site {
    network: Network,
    hub: Node,
    edge: Node,
    outside: Sink,
}

/// A hub for alice@example.com behind an edge. The edge sends mail for outside.test, as to any stranger, and for told.test,
/// where strangers are shown organization headers, to the stranger's host. `hub_key` says by which of its keys the edge
/// knows the hub.
fn site(hub_key: impl FnOnce(String) -> String) -> Option<Site> {
    if !require(&Network::PROGRAMS) || !require(&["python3"]) {
        return None;
    }
    if !Network::possible() {
        skip_without("root, to make a network namespace");
        return None;
    }
    let network = Network::of(3);
    let mut hub = Node::init(&["--domain", "example.com", "--hostname", "hub.example.com"]);
    let mut edge = Node::init(&["--role", "edge", "--domain", "example.com", "--hostname", "edge.example.com"]);
    network.at(HUB, || hub.serve());
    network.at(EDGE, || edge.serve());
    let outside = network.at(STRANGER, || Sink::start_on(at(STRANGER, 25)));
    hub.add_user("alice", "alice-demo");

    let key = hub_key(key_of(&hub));
    edge.procura(&["server", "new", "HUB", "--fqdn", "hub.example.com", "--key", &key]).ok();
    let key = key_of(&edge);
    hub.procura(&["server", "new", "EDGE", "--role", "edge", "--fqdn", "edge.example.com", "--key", &key]).ok();
    let send = |node: &Node, name: &str, usage: &str, space: &str, host: usize| {
        let host = Network::address(host).to_string();
        let new = ["connector", "send", "new", name, "--usage", usage, "--address-space", space, "--smart-host", &host];
        node.procura(&new).ok();
    };
    send(&hub, "To the edge", "internal", "*", EDGE);
    send(&edge, "Inside", "internal", "example.com", HUB);
    send(&edge, "Outside", "internet", "outside.test", STRANGER);
    send(&edge, "Told", "custom", "told.test", STRANGER);
    let told =
        ["permission", "add", "Told", "--user", "ANONYMOUS LOGON", "--right", "ms-Exch-Send-Headers-Organization"];
    edge.procura(&told).ok();
    Some(Site { network, hub, edge, outside })
}

fn at(host: usize, port: u16) -> SocketAddr {
    SocketAddr::from((Network::address(host), port))
}

/// The key of a server's certificate, as its own command prints it.
#[track_caller]
fn key_of(node: &Node) -> String {
    let certificate = node.data().join("certificate.pem");
    let printed = node.procura(&["server", "key", certificate.to_str().unwrap()]).ok();
    let is_key = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    printed.split_whitespace().find(is_key).unwrap_or_else(|| panic!("{printed}")).to_owned()
}

impl Site {
    /// alice sends by the hub.
    #[track_caller]
    fn alice_sends(&self, to: &str, subject: &str) {
        let reply = self.network.at(HUB, || {
            let mut talk = Talk::connect_to(at(HUB, 587));
            let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
            assert!(reply.starts_with("235"), "{reply}");
            talk.send("alice@example.com", &[to], &format!("From: alice@example.com\nSubject: {subject}\n\nhello\n"))
        });
        assert!(reply.starts_with("250"), "{reply}");
    }

    /// The stranger says to a server what only own servers may say; the reply.
    fn stranger_sends(&self, server: usize, subject: &str) -> String {
        let forged = format!("{AUTH_AS}: Internal\n{AUTH_SOURCE}: hub.example.com\n{SCL}: -1\n");
        let message = format!("{forged}From: x@outside.test\nSubject: {subject}\n\nhello\n");
        self.network
            .at(STRANGER, || Talk::connect_to(at(server, 25)).send("x@outside.test", &["alice@example.com"], &message))
    }

    /// alice's message with this subject.
    #[track_caller]
    fn alice_gets(&self, subject: &str) -> Message {
        self.hub.delivered(subject)
    }
}

#[test]
fn what_the_hub_proved_the_edge_believes() {
    let Some(site) = site(|key| key) else { return };
    site.alice_sends("y@told.test", "told");
    let message = site.outside.message("told");
    assert_eq!(message.value(AUTH_AS), Some("Internal"), "{}", message.text);
    assert_eq!(message.value(AUTH_SOURCE), Some("hub.example.com"), "{}", message.text);
}

#[test]
fn strangers_are_not_told_what_the_organization_knows() {
    let Some(site) = site(|key| key) else { return };
    site.alice_sends("y@outside.test", "out");
    let message = site.outside.message("out");
    let told = |name: &str| name.to_ascii_lowercase().starts_with("x-ms-exchange-organization-");
    assert!(!message.fields.iter().any(|(name, _)| told(name)), "{}", message.text);
}

#[test]
fn what_the_edge_found_of_a_stranger_the_hub_believes_and_nothing_that_he_wrote() {
    let Some(site) = site(|key| key) else { return };
    let reply = site.stranger_sends(EDGE, "from outside");
    assert!(reply.starts_with("250"), "{reply}");
    let message = site.alice_gets("from outside");
    assert_eq!(message.values(AUTH_AS), ["Anonymous"], "{}", message.text);
    assert_eq!(message.values(AUTH_SOURCE), ["edge.example.com"], "{}", message.text);
    assert!(message.values(SCL).is_empty(), "{}", message.text);
}

#[test]
fn a_stranger_who_goes_to_the_hub_itself_gets_nothing_in() {
    let Some(site) = site(|key| key) else { return };
    let reply = site.stranger_sends(HUB, "past the edge");
    assert!(reply.starts_with("530 5.7.1 Client was not authenticated"), "{reply}");
}

/// The edge takes strangers' mail, so a hub that it does not know is one: it may not relay, and its word does not count.
#[test]
fn a_hub_with_another_key_is_a_stranger_to_the_edge() {
    let Some(site) = site(|key| key.chars().rev().collect()) else { return };
    site.alice_sends("y@told.test", "not told");
    site.hub.server().wait_for_output("550 5.7.1 Unable to relay");
    assert_eq!(site.outside.subjects(), Vec::<String>::new());
}

/// The edge sends what is for the organization to its servers alone, and this host is none that it knows.
#[test]
fn a_hub_with_another_key_gets_no_mail_of_the_edge() {
    let Some(site) = site(|key| key.chars().rev().collect()) else { return };
    let reply = site.stranger_sends(EDGE, "waits");
    assert!(reply.starts_with("250"), "{reply}");
    site.edge.server().wait_for_output("5.7.3 Cannot achieve Exchange Server authentication");
    assert!(site.hub.delivered_now("waits").is_empty());
    // It waited, and goes once the key is known.
    let key = key_of(&site.hub);
    site.edge.procura(&["server", "set", "HUB", "--add-key", &key]).ok();
    site.edge.procura(&["queue", "retry"]).ok();
    let message = site.alice_gets("waits");
    assert_eq!(message.values(AUTH_SOURCE), ["edge.example.com"], "{}", message.text);
}
