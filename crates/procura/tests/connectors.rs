//! Connectors by command, on a running server and on a stopped one; the tree and the editor of descriptors.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use common::{Demo, command, finish, free, on};

/// Nothing here takes longer, or it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client that reads a line at a time.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Client {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match TcpStream::connect(address) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return Client(BufReader::new(stream));
                }
                Err(error) => assert!(Instant::now() < deadline, "{address}: {error}"),
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[track_caller]
    fn expect(&mut self, start: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        assert!(line.starts_with(start), "{start}: {line}");
        line
    }

    #[track_caller]
    fn say(&mut self, text: &str, start: &str) -> String {
        self.0.get_mut().write_all(format!("{text}\r\n").as_bytes()).unwrap();
        self.expect(start)
    }
}

/// Waits until nobody listens any more.
fn await_closed(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while !matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused) {
        assert!(Instant::now() < deadline, "{address} is still listened on");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn new(demo: &Demo, name: &str, usage: &str, binding: SocketAddr) {
    let (binding, ranges) = (binding.to_string(), "127.0.0.0/8,::1");
    let place = ["--usage", usage, "--bindings", &binding, "--remote-ranges", ranges];
    demo.run(&[&["connector", "receive", "new", name], &place[..]].concat()).ok();
}

#[test]
fn a_running_server_opens_and_closes_listeners_and_keeps_its_sessions() {
    let demo = Demo::start();
    let (first, second) = (free(), free());
    new(&demo, "Lab", "internet", first);
    let mut session = Client::connect(first);
    session.expect("220");
    session.say("EHLO client.test", "250");
    // The binding moves; who is there stays.
    demo.run(&["connector", "receive", "set", "Lab", "--bindings", &second.to_string(), "--banner", "Moved"]).ok();
    let greeting = Client::connect(second).expect("220");
    assert!(greeting.contains("Moved"), "{greeting}");
    await_closed(first);
    session.say("MAIL FROM:<x@outside.test>", "250");
    // Other connectors do not notice.
    let mut other = Client::connect(demo.internet);
    other.expect("220");
    demo.run(&["connector", "receive", "remove", "Lab"]).ok();
    await_closed(second);
    session.expect("421");
    other.say("NOOP", "250");
}

#[test]
fn permission_groups_count_at_once_in_open_sessions() {
    let demo = Demo::start();
    let binding = free();
    new(&demo, "Lab", "custom", binding);
    let mut session = Client::connect(binding);
    session.expect("220");
    session.say("EHLO client.test", "250");
    session.say("MAIL FROM:<x@outside.test>", "530 5.7.1 Client was not authenticated");
    demo.run(&["connector", "receive", "set", "Lab", "--permission-groups", "AnonymousUsers"]).ok();
    session.say("MAIL FROM:<x@outside.test>", "250");
    session.say("RCPT TO:<a@elsewhere.test>", "550 5.7.1 Unable to relay");
    let right = ["--user", "ANONYMOUS LOGON", "--right", "ms-Exch-SMTP-Accept-Any-Recipient"];
    demo.run(&[&["permission", "add", "Lab"], &right[..]].concat()).ok();
    session.say("RCPT TO:<a@elsewhere.test>", "250");
    let shown = demo.run(&["--format", "json", "connector", "receive", "get", "Lab"]).json();
    assert_eq!(shown["rows"][0]["permission_groups"], serde_json::json!(["Custom"]));
    demo.run(&[&["permission", "remove", "Lab"], &right[..]].concat()).ok();
    session.say("RCPT TO:<b@elsewhere.test>", "550 5.7.1 Unable to relay");
}

#[test]
fn messages_a_minute_are_limited_by_source_and_by_connection() {
    let demo = Demo::start();
    let binding = free();
    new(&demo, "Lab", "internet", binding);
    let session = || {
        let mut session = Client::connect(binding);
        session.expect("220");
        session.say("EHLO client.test", "250");
        session
    };
    let message = |session: &mut Client, reply: &str| {
        if session.say("MAIL FROM:<x@outside.test>", reply).starts_with("250") {
            session.say("RSET", "250");
        }
    };
    demo.run(&["connector", "receive", "set", "Lab", "--rate-per-connection", "2"]).ok();
    let mut one = session();
    message(&mut one, "250");
    message(&mut one, "250");
    message(&mut one, "450 4.7.1 Too many messages");
    message(&mut session(), "250");
    let limits = ["--rate-per-connection", "0", "--rate-per-source", "1"];
    demo.run(&[&["connector", "receive", "set", "Lab"], &limits[..]].concat()).ok();
    message(&mut session(), "250");
    message(&mut session(), "450 4.7.1 Too many messages");
}

#[test]
fn a_test_answers_with_its_exit_code() {
    let demo = Demo::start();
    let test = |arguments: &[&str]| demo.run(&[&["connector", "test"], arguments].concat());
    let said = test(&["Client", "--as", "bob", "--from", "bob@example.com", "--to", "x@outside.test"]).ok();
    assert!(said.starts_with("accepted: bob on CN=Client,"), "{said}");
    assert!(said.contains("Submit Messages to Server") && said.contains("allowed to"), "{said}");
    let refused = test(&["Internet", "--as", "anonymous", "--from", "ceo@example.com"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(
        refused.out.contains("550 5.7.1 Client does not have permissions to send as this sender"),
        "{}",
        refused.out
    );
    test(&["Nowhere", "--as", "anonymous", "--from", "x@o.test"]).fails(2, &["no connector Nowhere", "Client"]);
}

#[test]
fn settings_that_contradict_are_explained() {
    let demo = Demo::start();
    let binding = demo.internet.to_string();
    let place = ["--bindings", &binding, "--remote-ranges", "0.0.0.0/0"];
    let run = |more: &[&str]| demo.run(&[&["connector", "receive", "new", "Second"], &place[..], more].concat());
    run(&[]).fails(2, &["Internet and Second are both bound to", "other ranges or bindings"]);
    run(&["--auth", "None,Tls"]).fails(2, &["None stands alone"]);
    run(&["--auth", "ExternalAuthoritative"]).fails(2, &["ExchangeServers"]);
    run(&["--max-message-size", "huge"]).fails(2, &["36M"]);
    run(&["--usage", "nonsense"]).fails(2, &["nonsense"]);
}

#[test]
fn a_send_connector_is_made_shown_changed_and_removed() {
    let demo = Demo::start();
    let send = |arguments: &[&str], input: &str| demo.run_with(&[&["connector", "send"], arguments].concat(), input);
    let wanted = ["new", "Out", "--usage", "internet", "--address-space", "*", "--smart-host", "relay.test:2525"];
    let login = ["--auth", "basic-requires-tls", "--user", "us", "--password-stdin"];
    send(&[&wanted[..], &login].concat(), "secret of ours\n").ok();
    let shown = send(&["get", "Out"], "").ok();
    for words in ["SMTP:*;1", "relay.test:2525", "ms-Exch-Send-Headers-Routing", "basic-requires-tls", "has password"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("secret of ours"), "{shown}");
    send(&["set", "Out", "--address-space", "*.example.net", "--max-message-size", "10M"], "").ok();
    let row = demo.run(&["--format", "json", "connector", "send", "get", "Out"]).json()["rows"][0].clone();
    assert_eq!((&row["max_message_size"], &row["has_password"]), (&(10 << 20).into(), &true.into()));
    send(&["remove", "Out"], "").ok();
    send(&["get", "Out"], "").fails(2, &["no send connector Out"]);
}

#[test]
fn cross_forest_rights_are_granted_by_one_command() {
    let demo = Demo::start();
    let space = ["--address-space", "fabrikam.test", "--smart-host", "mail.fabrikam.test"];
    demo.run(&[&["connector", "send", "new", "Cross-Forest"], &space[..]].concat()).ok();
    let said = demo.run(&["cross-forest", "enable", "Cross-Forest", "--user", "ANONYMOUS LOGON"]).ok();
    assert!(said.contains("ms-Exch-Send-Headers-Organization"), "{said}");
    let listed = demo.run(&["permission", "get", "Cross-Forest", "--user", "ANONYMOUS LOGON"]).ok();
    assert_eq!(listed.matches("ms-Exch-Send-Headers-").count(), 3, "{listed}");
    let rights = ["--rights", "ms-Exch-SMTP-Submit,Accept any Sender"];
    demo.run(&[&["cross-forest", "enable", "Internet", "--user", "bob"], &rights[..]].concat()).ok();
    let listed = demo.run(&["permission", "get", "Internet", "--user", "bob"]).ok();
    assert!(listed.contains("ms-Exch-SMTP-Submit") && listed.contains("Accept-Any-Sender"), "{listed}");
}

#[test]
fn the_tree_leads_to_the_connectors() {
    let demo = Demo::start();
    let said = demo.run(&["browse"]).ok();
    assert!(said.contains("DC=example,DC=com") && said.contains("  CN=Configuration"), "{said}");
    let path = "CN=Configuration\\CN=Services\\CN=Microsoft Exchange";
    let said = demo.run(&["browse", path, "--depth", "8"]).ok();
    assert!(said.contains("CN=SMTP Receive Connectors") && said.contains("CN=Internet"), "{said}");
    demo.run(&["browse", "CN=Nothing\\CN=There"]).fails(2, &["nothing is called"]);
}

const SUBMIT: &str = "(OA;;CR;a18293f1-0685-4540-aa63-e32df421b3a2;;AN)";

#[test]
fn a_descriptor_is_written_as_sddl_and_the_difference_shown() {
    let demo = Demo::start();
    let sddl = format!("D:{SUBMIT}");
    let tried = demo.run(&["--dry-run", "sd", "edit", "Client", "--sddl", &sddl]).ok();
    assert!(tried.contains("nothing was changed") && tried.contains("ANONYMOUS LOGON"), "{tried}");
    let said = demo.run(&["sd", "edit", "Client", "--sddl", &sddl]).ok();
    assert!(said.contains("+ ") && said.contains("ms-Exch-SMTP-Submit") && said.contains("wrote"), "{said}");
    let mut session = Client::connect(demo.client);
    session.expect("220");
    session.say("EHLO client.test", "250");
    // Submit, and no more: the sender is no stranger's to choose.
    session.say("MAIL FROM:<>", "250");
    demo.run(&["sd", "edit", "Client", "--sddl", "D:(A;;WRONG;;;AN)"]).fails(2, &["no SDDL"]);
}

#[test]
fn a_descriptor_is_edited_in_an_editor() {
    let demo = Demo::start();
    let editor = demo.file("editor", &format!("#!/bin/sh\necho '{SUBMIT} # strangers' >> \"$1\"\n"));
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let edit = |editor: &str| {
        let mut edit = command();
        edit.arg("--data").arg(demo.data()).args(["sd", "edit", "Client"]).env("EDITOR", editor).env_remove("VISUAL");
        finish(&mut edit, "")
    };
    let said = edit(editor.to_str().unwrap()).ok();
    assert!(said.contains("+ ") && said.contains("ANONYMOUS LOGON"), "{said}");
    let listed = demo.run(&["permission", "get", "Client", "--user", "ANONYMOUS LOGON"]).ok();
    assert!(listed.contains("ms-Exch-SMTP-Submit"), "{listed}");
    assert!(edit("true").ok().contains("nothing was changed"));
    edit("false").fails(2, &["nothing was written"]);
    // What was typed is not lost with its fault.
    let broken = demo.file("broken", "#!/bin/sh\necho 'hello' > \"$1\"\n");
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let failed = edit(broken.to_str().unwrap());
    failed.fails(2, &["no SDDL", "what you wrote is in"]);
    let kept = failed.err.split("what you wrote is in ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "hello\n");
    fs::remove_file(kept).unwrap();
}

#[test]
fn a_new_hub_and_a_new_edge_have_their_default_connectors() {
    let folder = tempfile::tempdir().unwrap();
    let connectors = |role: &str, more: &[&str]| {
        let data = folder.path().join(format!("{role}{}", more.len()));
        let wanted = ["init", "--domain", "example.com", "--hostname", "mx.example.com", "--role", role];
        finish(command().args(wanted).args(more).arg(&data), "").ok();
        let listed = on(&data, &["--format", "json", "connector", "receive", "get"], "").json();
        let row = |row: &serde_json::Value| {
            let groups: Vec<&str> =
                row["permission_groups"].as_array().unwrap().iter().map(|group| group.as_str().unwrap()).collect();
            format!("{}: {}", row["name"].as_str().unwrap(), groups.join(" "))
        };
        listed["rows"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let inside = "Default MX: ExchangeUsers ExchangeServers ExchangeLegacyServers";
    assert_eq!(connectors("hub", &[]), ["Client MX: ExchangeUsers", inside]);
    let open = "Default MX: AnonymousUsers ExchangeUsers ExchangeServers ExchangeLegacyServers";
    assert_eq!(connectors("hub", &["--internet"]), ["Client MX: ExchangeUsers", open]);
    let edge = "Default internal receive connector MX: AnonymousUsers ExchangeServers Partners";
    assert_eq!(connectors("edge", &[]), [edge]);
}

#[test]
fn recipient_lookup_is_switched_by_domain() {
    let demo = Demo::start();
    let mut session = Client::connect(demo.internet);
    session.expect("220");
    session.say("EHLO client.test", "250");
    session.say("MAIL FROM:<x@outside.test>", "250");
    session.say("RCPT TO:<nobody@example.com>", "550 5.1.1 User unknown");
    session.say("RCPT TO:<nobody@partner.test>", "250");
    demo.run(&["domain", "set", "example.com", "--recipient-lookup", "false"]).ok();
    demo.run(&["domain", "set", "partner.test", "--recipient-lookup", "true"]).ok();
    session.say("RSET", "250");
    session.say("MAIL FROM:<x@outside.test>", "250");
    session.say("RCPT TO:<nobody@example.com>", "250");
    session.say("RCPT TO:<nobody@partner.test>", "550 5.1.1 User unknown");
    let mut rest = String::new();
    session.say("QUIT", "221");
    session.0.read_to_string(&mut rest).unwrap();
}

/// The text of the newest message in the mailbox of somebody with this subject, once it is there.
fn delivered(demo: &Demo, address: &str, subject: &str) -> String {
    let folder = demo.data().join("mail").join(address).join("new");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let files = fs::read_dir(&folder).map(|files| files.map(|file| file.unwrap().path()).collect::<Vec<_>>());
        for file in files.unwrap_or_default() {
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.contains(&format!("Subject: {subject}")) {
                return text;
            }
        }
        assert!(Instant::now() < deadline, "{subject} did not come to {address}");
        std::thread::park_timeout(Duration::from_millis(10));
    }
}

/// Two own servers, each of which knows the other's key: what only servers tell each other arrives. With another key
/// nothing does.
#[test]
fn two_own_servers_exchange_mail_with_organization_headers_kept() {
    let (hub, edge) = (Demo::start(), Demo::start());
    let certificate = |demo: &Demo| {
        let listed = fs::read_dir(demo.data()).unwrap().map(|entry| entry.unwrap().path());
        let nested =
            listed.chain(fs::read_dir(demo.data().join("tls")).into_iter().flatten().map(|e| e.unwrap().path()));
        let is_certificate =
            |path: &std::path::PathBuf| fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"));
        nested.into_iter().find(is_certificate).unwrap().to_str().unwrap().to_owned()
    };
    // The edge takes what the hub says of its messages.
    let binding = free();
    new(&edge, "From hub", "internal", binding);
    edge.run(&["server", "new", "HUB", "--certificate", &certificate(&hub)]).ok();
    edge.run(&["domain", "add", "edge.test", "--alias-of", "example.com"]).ok();
    // The hub believes no other than the edge.
    hub.run(&["server", "new", "EDGE", "--role", "edge", "--certificate", &certificate(&edge)]).ok();
    let place = ["--usage", "internal", "--address-space", "edge.test", "--smart-host", &binding.to_string()];
    hub.run(&[&["connector", "send", "new", "To edge"], &place[..]].concat()).ok();
    hub.run(&[
        "permission",
        "add",
        "Internet",
        "--user",
        "ANONYMOUS LOGON",
        "--right",
        "Submit Messages to any Recipient",
    ])
    .ok();
    let send = |subject: &str| {
        let mut session = Client::connect(hub.internet);
        session.expect("220");
        session.say("EHLO client.test", "250");
        session.say("MAIL FROM:<x@outside.test>", "250");
        session.say("RCPT TO:<bob@edge.test>", "250");
        session.say("DATA", "354");
        session.say(&format!("From: x@outside.test\r\nSubject: {subject}\r\n\r\nhello\r\n."), "250");
    };
    send("known");
    let mail = delivered(&edge, "bob@example.com", "known");
    // The hub stamped it as a stranger's, and the edge, which would call mail of the hub internal, leaves its word.
    assert!(mail.contains("X-MS-Exchange-Organization-AuthAs: Anonymous"), "{mail}");
    assert!(mail.contains("X-MS-Exchange-Organization-AuthSource: "), "{mail}");

    let key = hub.run(&["server", "key", &certificate(&edge)]).ok();
    let other = "ab".repeat(32);
    hub.run(&["server", "set", "EDGE", "--remove-key", key.trim(), "--add-key", &other]).ok();
    send("unknown");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waiting = hub.run(&["--format", "json", "queue", "list"]).json();
        let rows = waiting["rows"].as_array().unwrap().clone();
        let shown: String =
            rows.iter().map(|row| hub.run(&["queue", "show", row["id"].as_str().unwrap()]).out).collect();
        if shown.contains("Cannot achieve Exchange Server authentication") {
            break;
        }
        assert!(Instant::now() < deadline, "{shown}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn secure_domains_are_listed() {
    let demo = Demo::start();
    demo.run(&["secure-domain", "add", "partner.test"]).ok();
    assert_eq!(demo.run(&["secure-domain", "list"]).ok(), "partner.test\n");
    demo.run(&["secure-domain", "remove", "partner.test"]).ok();
    demo.run(&["secure-domain", "remove", "partner.test"]).fails(2, &["not in the list"]);
    let file = demo.file("no.pem", "nothing");
    demo.run(&["server", "key", file.to_str().unwrap()]).fails(2, &["no.pem", "PEM"]);
}
