//! Two servers of one organization, each with a directory of its own, know each other by the public keys of their
//! certificates: what one says about a message, the other believes. Nobody else is believed.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use e2e::{Demo, Mechanism, Talk, require};

const AUTH_AS: &str = "X-MS-Exchange-Organization-AuthAs";
const SCL: &str = "X-MS-Exchange-Organization-SCL";

/// SHA-256 of the public key of a server's certificate, as docs/src/authentication.md says how.
#[track_caller]
fn key(demo: &Demo) -> String {
    let script = "openssl x509 -in \"$0\" -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -c1-64";
    let certificate = demo.data().join("certificate.pem");
    let output = Command::new("sh").args(["-c", script]).arg(certificate).output().unwrap();
    let digits = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    assert_eq!(digits.len(), 64, "{}", String::from_utf8_lossy(&output.stderr));
    digits
}

/// Tells `at` of a server with this key. Roles: 32 hub, 64 edge.
#[track_caller]
fn introduce(at: &Demo, name: &str, roles: u32, key: &str) {
    let ldif = format!(
        "dn: CN={name},CN=Servers,CN=Exchange Administrative Group (FYDIBOHF23SPDLT),CN=Administrative Groups,CN=First \
         Organization,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=example,DC=com\nchangetype: add\nobjectClass: \
         top\nobjectClass: msExchExchangeServer\nnetworkAddress: ncacn_ip_tcp:{name}.example.com\n\
         msExchCurrentServerRoles: {roles}\nprocuraServerKey: {key}\n"
    );
    let file = at.scratch().join("server.ldif");
    fs::write(&file, ldif).unwrap();
    at.procura(&["import", file.to_str().unwrap()]).ok();
}

/// A hub that sends mail for inside.test to an edge, which takes it from own servers alone. Each is told of the other's
/// key, or of what `keys` makes of them.
fn hub_and_edge(keys: impl Fn(String) -> String) -> (Demo, Demo) {
    let (hub, edge) = (Demo::start(), Demo::start());
    introduce(&edge, "HUB", 32, &keys(key(&hub)));
    introduce(&hub, "EDGE", 64, &key(&edge));
    edge.procura(&["domain", "add", "inside.test"]).ok();
    edge.procura(&["user", "set", "bob", "--add-address", "bob@inside.test"]).ok();
    let receive = ["connector", "receive", "set", "Internet", "--auth", "Tls,ExchangeServer"];
    edge.procura(&[&receive[..], &["--permission-groups", "ExchangeServers"]].concat()).ok();
    let host = format!("127.0.0.1:{}", edge.internet_port);
    let send = ["connector", "send", "new", "To the edge", "--usage", "internal", "--address-space", "inside.test"];
    hub.procura(&[&send[..], &["--smart-host", &host, "--auth", "exchange-server"]].concat()).ok();
    (hub, edge)
}

/// alice sends a message to bob@inside.test by the hub.
#[track_caller]
fn send_by(hub: &Demo, subject: &str) {
    let mut talk = Talk::connect(hub.client_port);
    let reply = talk.log_on("alice", "alice-demo", None, Mechanism::Plain);
    assert!(reply.starts_with("235"), "{reply}");
    let message = format!("From: alice@example.com\nSubject: {subject}\n\nhello\n");
    let reply = talk.send("alice@example.com", &["bob@inside.test"], &message);
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn what_one_server_proved_about_a_message_the_other_believes() {
    if !require(&["openssl", "python3"]) {
        return;
    }
    let (hub, edge) = hub_and_edge(|key| key);
    send_by(&hub, "across");
    let message = edge.delivered("across");
    assert_eq!(message.value(AUTH_AS), Some("Internal"), "{}", message.text);
    assert_eq!(message.value("X-MS-Exchange-Organization-AuthMechanism"), Some("01"), "{}", message.text);
}

#[test]
fn a_server_with_another_key_gets_nothing_through() {
    if !require(&["openssl", "python3"]) {
        return;
    }
    let another = |key: String| key.chars().rev().collect::<String>();
    let (mut hub, mut edge) = hub_and_edge(another);
    send_by(&hub, "not across");
    edge.server().wait_for_output("reply=\"530 5.7.1 Client was not authenticated");
    // The hub is told no, and tells alice.
    hub.server().wait_for_output("530 5.7.1");
    assert!(edge.delivered_now("not across").is_empty());
}

#[test]
fn a_stranger_who_writes_the_same_fields_is_not_believed() {
    if !require(&["openssl", "python3"]) {
        return;
    }
    let (_hub, edge) = hub_and_edge(|key| key);
    let forged = format!("{AUTH_AS}: Internal\n{SCL}: -1\nFrom: x@outside.test\nSubject: forged\n\nhello\n");
    let send = || Talk::connect(edge.internet_port).send("x@outside.test", &["bob@inside.test"], &forged);
    let reply = send();
    assert!(reply.starts_with("530 5.7.1"), "{reply}");
    // Where strangers are taken as well, their word about the message is cut out.
    edge.procura(&["connector", "receive", "set", "Internet", "--add-permission-groups", "AnonymousUsers"]).ok();
    let reply = send();
    assert!(reply.starts_with("250"), "{reply}");
    let message = edge.delivered("forged");
    assert_eq!(message.values(AUTH_AS), ["Anonymous"], "{}", message.text);
    assert!(message.values(SCL).is_empty(), "{}", message.text);
}
