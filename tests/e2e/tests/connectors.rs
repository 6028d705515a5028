//! What a connector permits is a list of permissions on its object, and what it does with header senders is its setting:
//! changed on the running server, they count at once.

#![allow(clippy::unwrap_used)]

use std::fs;

use e2e::{Demo, Finished, Mechanism, Talk, require};

const PERMISSION: &str = "550 5.7.1 Client does not have permissions";
const ANONYMOUS: &str = "ANONYMOUS LOGON";

fn connector(name: &str) -> String {
    format!(
        "CN={name},CN=SMTP Receive Connectors,CN=Protocols,CN=MAIL,CN=Servers,CN=Exchange Administrative Group \
         (FYDIBOHF23SPDLT),CN=Administrative Groups,CN=First Organization,CN=Microsoft Exchange,CN=Services,\
         CN=Configuration,DC=example,DC=com"
    )
}

/// Sets attributes of a connector by LDIF.
fn set(demo: &Demo, name: &str, attributes: &[(&str, &str)]) -> Finished {
    let mut text = format!("dn: {}\nchangetype: modify\n", connector(name));
    for (attribute, value) in attributes {
        text.push_str(&format!("replace: {attribute}\n{attribute}: {value}\n-\n"));
    }
    let file = demo.scratch().join("connector.ldif");
    fs::write(&file, text).unwrap();
    demo.procura(&["import", file.to_str().unwrap()])
}

/// Grants (`add`), denies (`add`, with `--deny`) or takes away (`remove`) rights on a connector.
#[track_caller]
fn permission(demo: &Demo, verb: &str, name: &str, who: &str, rights: &[&str]) {
    let object = connector(name);
    let mut arguments = vec!["permission", verb, &object, "--user", who];
    for right in rights {
        match *right {
            "--deny" => arguments.push("--deny"),
            right => arguments.extend(["--right", right]),
        }
    }
    demo.procura(&arguments).ok();
}

fn message(from: &str, subject: &str) -> String {
    format!("From: {from}\nSubject: {subject}\n\nhello\n")
}

#[track_caller]
fn stranger(demo: &Demo, envelope: &str, from: &str, subject: &str) -> String {
    Talk::connect(demo.internet_port).send(envelope, &["bob@example.com"], &message(from, subject))
}

#[track_caller]
fn log_on(demo: &Demo, name: &str) -> Talk {
    let mut talk = Talk::connect(demo.client_port);
    starts(&talk.log_on(name, &format!("{name}-demo"), None, Mechanism::Plain), "235");
    talk
}

#[track_caller]
fn starts(reply: &str, expected: &str) {
    assert!(reply.starts_with(expected), "{reply:?} instead of {expected:?}");
}

/// A demo, where Python is there to talk to it.
fn demo() -> Option<Demo> {
    require(&["python3"]).then(Demo::start)
}

#[test]
fn observing_lets_a_forged_header_pass_and_records_what_would_have_been_refused() {
    let Some(mut demo) = demo() else { return };
    set(&demo, "Internet", &[("procuraHeaderFrom", "observe")]).ok();
    starts(&stranger(&demo, "a@outside.test", "ceo@example.com", "observed"), "250");
    demo.delivered("observed");
    let log = demo.server().wait_for_output("decision=\"");
    let id = log.rsplit("decision=\"").next().unwrap().split('"').next().unwrap().to_owned();
    let explained = demo.procura(&["explain", &id]).ok();
    assert!(explained.contains("ceo@example.com") && explained.contains(PERMISSION), "{explained}");
}

#[test]
fn observing_does_not_touch_the_envelope() {
    let Some(demo) = demo() else { return };
    set(&demo, "Internet", &[("procuraHeaderFrom", "observe")]).ok();
    starts(&stranger(&demo, "ceo@example.com", "ceo@example.com", "x"), PERMISSION);
}

#[test]
fn header_senders_may_be_left_alone() {
    let Some(demo) = demo() else { return };
    set(&demo, "Internet", &[("procuraHeaderFrom", "off")]).ok();
    starts(&stranger(&demo, "a@outside.test", "ceo@example.com", "off"), "250");
}

#[test]
fn on_behalf_can_be_refused_by_a_connector() {
    let Some(demo) = demo() else { return };
    let mut alice = log_on(&demo, "alice");
    starts(&alice.send("alice@example.com", &["bob@example.com"], &message("ceo@example.com", "x")), "250");
    set(&demo, "Client", &[("procuraOnBehalf", "reject")]).ok();
    starts(&alice.send("alice@example.com", &["bob@example.com"], &message("ceo@example.com", "x")), PERMISSION);
}

#[test]
fn a_chain_of_send_as_and_send_on_behalf_counts_only_where_it_is_turned_on() {
    let Some(demo) = demo() else { return };
    demo.procura(&["permission", "add", "alice", "--user", "frank", "--right", "Send As"]).ok();
    let mut frank = log_on(&demo, "frank");
    let chained =
        |subject: &str| format!("From: ceo@example.com\nSender: alice@example.com\nSubject: {subject}\n\nhello\n");
    starts(&frank.send("frank@example.com", &["bob@example.com"], &chained("x")), PERMISSION);
    set(&demo, "Client", &[("procuraDelegateChain", "TRUE")]).ok();
    starts(&frank.send("frank@example.com", &["bob@example.com"], &chained("chained")), "250");
    let sender = demo.delivered("chained");
    assert!(sender.value("Sender").is_some_and(|sender| sender.contains("alice@example.com")), "{}", sender.text);
}

#[test]
fn strangers_need_no_from_where_the_connector_says_so_and_accounts_always_do() {
    let Some(demo) = demo() else { return };
    for name in ["Internet", "Client"] {
        set(&demo, name, &[("procuraRequireFrom", "FALSE")]).ok();
    }
    let mut talk = Talk::connect(demo.internet_port);
    starts(&talk.send("a@outside.test", &["bob@example.com"], "Subject: x\n\nhello\n"), "250");
    let mut bob = log_on(&demo, "bob");
    starts(&bob.send("bob@example.com", &["alice@example.com"], "Subject: x\n\nhello\n"), "550 5.6.0");
}

#[test]
fn without_submit_nobody_sends() {
    let Some(demo) = demo() else { return };
    let mut bob = log_on(&demo, "bob");
    permission(&demo, "add", "Internet", ANONYMOUS, &["ms-Exch-SMTP-Submit", "--deny"]);
    permission(&demo, "add", "Client", "bob", &["ms-Exch-SMTP-Submit", "--deny"]);
    starts(&stranger(&demo, "a@outside.test", "a@outside.test", "x"), "530 5.7.1 Client was not authenticated");
    let again = Talk::connect(demo.client_port).log_on("bob", "bob-demo", None, Mechanism::Plain);
    starts(&again, "535 5.7.3 Authentication unsuccessful");
    let lost = "550 5.7.1 Client does not have permissions to submit to this server";
    starts(&bob.command("MAIL FROM:<bob@example.com>"), lost);
}

#[test]
fn any_recipient_lets_strangers_relay() {
    let Some(demo) = demo() else { return };
    permission(&demo, "add", "Internet", ANONYMOUS, &["ms-Exch-SMTP-Accept-Any-Recipient"]);
    let mut talk = Talk::connect(demo.internet_port);
    starts(&talk.send("a@outside.test", &["b@elsewhere.test"], &message("a@outside.test", "x")), "250");
}

#[test]
fn authoritative_domain_sender_lets_strangers_use_our_addresses() {
    let Some(demo) = demo() else { return };
    permission(&demo, "add", "Internet", ANONYMOUS, &["ms-Exch-SMTP-Accept-Authoritative-Domain-Sender"]);
    starts(&stranger(&demo, "ceo@example.com", "ceo@example.com", "x"), "250");
}

#[test]
fn without_any_sender_a_stranger_has_no_address_at_all() {
    let Some(demo) = demo() else { return };
    permission(&demo, "remove", "Internet", ANONYMOUS, &["ms-Exch-SMTP-Accept-Any-Sender"]);
    starts(&stranger(&demo, "a@outside.test", "a@outside.test", "x"), PERMISSION);
}

#[test]
fn without_routing_headers_the_past_of_a_message_is_cut_off() {
    let Some(demo) = demo() else { return };
    permission(&demo, "remove", "Internet", ANONYMOUS, &["ms-Exch-Accept-Headers-Routing"]);
    let text = "Received: from a by b with SMTP; Thu, 1 Jan 2026 00:00:00 +0000\nResent-From: a@outside.test\n";
    let text = format!("{text}{}", message("a@outside.test", "past"));
    starts(&Talk::connect(demo.internet_port).send("a@outside.test", &["bob@example.com"], &text), "250");
    let message = demo.delivered("past");
    assert_eq!((message.values("Received").len(), message.values("Resent-From").len()), (1, 0), "{}", message.text);
}

#[test]
fn organization_headers_stay_where_they_are_permitted() {
    let Some(demo) = demo() else { return };
    let rights = ["ms-Exch-Accept-Headers-Organization"];
    permission(&demo, "add", "Internet", ANONYMOUS, &rights);
    let text = format!("X-MS-Exchange-Organization-SCL: 4\n{}", message("a@outside.test", "scl"));
    starts(&Talk::connect(demo.internet_port).send("a@outside.test", &["bob@example.com"], &text), "250");
    let message = demo.delivered("scl");
    // But what was proven is said by nobody but us.
    let proven = message.values("X-MS-Exchange-Organization-AuthAs");
    assert_eq!((message.value("X-MS-Exchange-Organization-SCL"), proven), (Some("4"), vec!["Anonymous"]));
}

#[test]
fn a_message_over_the_limit_is_refused_when_it_is_announced_and_when_it_is_not() {
    let Some(demo) = demo() else { return };
    set(&demo, "Internet", &[("msExchSmtpReceiveMaxMessageSize", "2000")]).ok();
    let mut talk = Talk::connect(demo.internet_port);
    starts(&talk.command("MAIL FROM:<a@outside.test> SIZE=3000"), "552 5.3.4");
    let long = format!("{}{}", message("a@outside.test", "long"), "0123456789\n".repeat(300));
    starts(&talk.send("a@outside.test", &["bob@example.com"], &long), "552 5.3.4");
    permission(&demo, "add", "Internet", ANONYMOUS, &["ms-Exch-Bypass-Message-Size-Limit"]);
    starts(&talk.send("a@outside.test", &["bob@example.com"], &long), "250");
}

const SECURED: &str = "S-1-9-1419165041-1139599005-3936102811-1022490595-23";
const ANYTHING: [&str; 4] = [
    "ms-Exch-SMTP-Submit",
    "ms-Exch-SMTP-Accept-Any-Sender",
    "ms-Exch-SMTP-Accept-Authoritative-Domain-Sender",
    "ms-Exch-SMTP-Accept-Any-Recipient",
];
const EXTERNAL_AUTHORITATIVE: (&str, &str) = ("msExchSmtpReceiveSecurityFlags", "32");
const RANGES: &str = "msExchSmtpReceiveRemoteIPRanges";

/// Takes away what the connector permits strangers.
#[track_caller]
fn close_to_strangers(demo: &Demo) {
    let rights = ["ms-Exch-SMTP-Submit", "ms-Exch-SMTP-Accept-Any-Sender", "ms-Exch-Accept-Headers-Routing"];
    permission(demo, "remove", "Internet", ANONYMOUS, &rights);
}

#[test]
fn a_server_trusted_by_its_address_sends_as_everybody() {
    let Some(demo) = demo() else { return };
    close_to_strangers(&demo);
    permission(&demo, "add", "Internet", SECURED, &ANYTHING);
    set(&demo, "Internet", &[EXTERNAL_AUTHORITATIVE, (RANGES, "127.0.0.1")]).ok();
    starts(&stranger(&demo, "ceo@example.com", "ceo@example.com", "trusted"), "250");
    demo.delivered("trusted");
}

#[test]
fn trust_by_address_does_not_go_together_with_strangers() {
    let Some(demo) = demo() else { return };
    permission(&demo, "add", "Internet", SECURED, &ANYTHING);
    let refused = set(&demo, "Internet", &[EXTERNAL_AUTHORITATIVE, (RANGES, "127.0.0.1")]);
    assert!(refused.code != 0 && refused.err.contains("strangers"), "{}", refused.all());
    starts(&stranger(&demo, "ceo@example.com", "ceo@example.com", "x"), PERMISSION);
}

#[test]
fn trust_by_address_is_not_for_every_address() {
    let Some(demo) = demo() else { return };
    close_to_strangers(&demo);
    permission(&demo, "add", "Internet", SECURED, &ANYTHING);
    let refused = set(&demo, "Internet", &[EXTERNAL_AUTHORITATIVE, (RANGES, "0.0.0.0-255.255.255.255")]);
    assert!(refused.code != 0 && refused.err.contains("bound"), "{}", refused.all());
    let reply = stranger(&demo, "ceo@example.com", "ceo@example.com", "x");
    assert!(!reply.starts_with("250"), "{reply}");
}

#[test]
fn a_connector_that_is_switched_off_ends_its_sessions() {
    let Some(demo) = demo() else { return };
    let mut talk = Talk::connect(demo.internet_port);
    set(&demo, "Internet", &[("msExchSmtpReceiveEnabled", "FALSE")]).ok();
    starts(&talk.command("MAIL FROM:<a@outside.test>"), "421");
}
