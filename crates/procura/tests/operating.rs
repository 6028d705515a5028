//! What an operator does: looks at the queue, holds, releases and removes, and asks what became of a message.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;

use common::{Demo, Finished};
use queue::{Envelope, Queue, QueueOptions, Recipient};

/// A demo whose server has stopped, with these messages in its queue: id, sender, recipient.
fn with_messages(messages: impl Iterator<Item = (String, String, String)>) -> Demo {
    let mut demo = Demo::start();
    demo.stop();
    let (queue, _) = Queue::open(&demo.data().join("queue"), QueueOptions::default()).unwrap();
    let (sender, done) = mpsc::channel();
    let mut count = 0;
    for (queue_id, from, to) in messages {
        let mut body = queue.begin();
        body.write(b"Subject: x\r\n\r\ntext\r\n").unwrap();
        let destination = format!("domain:{}", to.rsplit('@').next().unwrap());
        let envelope = Envelope {
            queue_id,
            sender: Some(from),
            recipients: vec![Recipient { address: to, destination, parameters: String::new() }],
            received: 1_767_268_800_000,
            expires: i64::MAX,
            smtputf8: false,
            eight_bit: false,
            parameters: String::new(),
            hold: None,
            lane: None,
            audit: None,
        };
        let sender = sender.clone();
        queue.commit(body, envelope, move |answer| sender.send(answer).unwrap());
        count += 1;
    }
    (0..count).for_each(|_| done.recv().unwrap().unwrap());
    queue.close();
    demo
}

/// So many messages of alice to one.test, and one of bob to two.test.
fn many(count: usize) -> Demo {
    let of_alice = (0..count).map(|n| (format!("A{n:05}"), "alice@example.com".to_owned(), format!("u{n}@one.test")));
    with_messages(of_alice.chain([("B".to_owned(), "bob@example.com".to_owned(), "x@two.test".to_owned())]))
}

fn listed(demo: &Demo, filter: &[&str]) -> usize {
    let words: Vec<&str> = ["queue", "list", "--format", "jsonl"].into_iter().chain(filter.iter().copied()).collect();
    demo.run(&words).ok().lines().count()
}

#[test]
fn a_queue_of_several_pages_is_listed_whole() {
    let demo = many(2_500);
    assert_eq!(listed(&demo, &[]), 2_501);
    assert_eq!(listed(&demo, &["--limit", "1200"]), 1_200);
    assert_eq!(listed(&demo, &["--domain", "two.test"]), 1);
}

#[test]
fn what_is_held_can_be_released() {
    let demo = many(3);
    let held = demo.run(&["queue", "hold", "--from", "alice@example.com", "--why", "their server loses mail"]).ok();
    assert_eq!(held, "3 message(s) held\n");
    assert_eq!(listed(&demo, &["--state", "held", "--reason", "loses mail"]), 3);
    assert_eq!(demo.run(&["queue", "release", "--all"]).code, 1, "B is not held");
    assert_eq!(listed(&demo, &["--state", "held"]), 0);
}

#[test]
fn removing_needs_a_filter() {
    let demo = many(1);
    demo.run(&["queue", "remove", "--yes"]).fails(2, &["which messages"]);
    assert_eq!(listed(&demo, &[]), 2);
}

#[test]
fn removing_says_how_many_and_needs_a_yes() {
    let demo = many(1_100);
    demo.run(&["queue", "remove", "--from", "@example.com"]).fails(2, &["1101 message(s)", "--yes"]);
    assert_eq!(listed(&demo, &[]), 1_101);
    let removed = demo.run(&["queue", "remove", "--from", "alice@example.com", "--yes"]).ok();
    assert_eq!(removed, "1100 message(s) removed\n");
    assert_eq!(listed(&demo, &[]), 1);
}

#[test]
fn a_dry_run_of_removing_changes_nothing() {
    let demo = many(2);
    let said = demo.run(&["queue", "remove", "--from", "alice@example.com", "--dry-run"]).ok();
    assert_eq!(said, "2 message(s) would be removed\n");
    assert_eq!(listed(&demo, &[]), 3);
}

#[test]
fn a_message_that_is_not_there_is_an_error() {
    let demo = many(1);
    for what in ["hold", "release", "retry"] {
        demo.run(&["queue", what, "NOSUCH"]).fails(2, &["no message of that name"]);
    }
    demo.run(&["queue", "show", "NOSUCH"]).fails(2, &["NOSUCH"]);
}

/// Sends a message to bob from outside; the queue id.
fn send(server: SocketAddr, sender: &str) -> String {
    let mut client = BufReader::new(TcpStream::connect(server).unwrap());
    let mut say = |line: &str| {
        client.get_mut().write_all(line.as_bytes()).unwrap();
        let mut reply = String::new();
        while reply.lines().last().is_none_or(|line| line.as_bytes()[3] == b'-') {
            assert_ne!(client.read_line(&mut reply).unwrap(), 0, "{reply}");
        }
        reply
    };
    say("");
    say("EHLO client.example.net\r\n");
    say(&format!("MAIL FROM:<{sender}>\r\n"));
    say("RCPT TO:<bob@example.com>\r\n");
    say("DATA\r\n");
    let reply = say(&format!("From: {sender}\r\nMessage-ID: <1@{sender}>\r\n\r\ntext\r\n.\r\n"));
    reply.split(' ').nth(2).unwrap_or_default().to_owned()
}

fn trace(demo: &Demo, arguments: &[&str]) -> Finished {
    let words: Vec<&str> = ["trace"].into_iter().chain(arguments.iter().copied()).collect();
    demo.run(&words)
}

/// Asks until this word is there: delivery goes on by itself.
fn trace_until(demo: &Demo, arguments: &[&str], word: &str) -> String {
    for _ in 0..3_000 {
        let said = trace(demo, arguments);
        if said.out.contains(word) {
            return said.out;
        }
    }
    panic!("{word} never comes: {}", trace(demo, arguments).out)
}

#[test]
fn the_fate_of_a_message_is_told_from_reception_to_the_mailbox() {
    let demo = Demo::start();
    let id = send(demo.internet, "someone@example.net");
    let said = trace_until(&demo, &["--from", "Someone@Example.NET"], "delivered");
    assert!(said.starts_with(&format!("{id}  <someone@example.net> to bob@example.com\n")), "{said}");
    assert!(said.contains("by connector Internet, from 127.0.0.1:"), "{said}");
    assert!(said.contains("Message-ID <1@someone@example.net>"), "{said}");
    assert!(said.contains("bob@example.com, via mailbox\n"), "{said}");
    for way in [["--id", id.as_str()], ["--message-id", "1@someone@example.net"], ["--to", "@example.com"]] {
        assert!(trace(&demo, &way).ok().contains(&id), "{way:?}");
    }
}

#[test]
fn a_refusal_is_found_with_the_decision_that_explains_it() {
    let demo = Demo::start();
    send(demo.internet, "ceo@example.com");
    let rows = trace(&demo, &["--from", "ceo@example.com", "--format", "jsonl"]).ok();
    let row: serde_json::Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    assert_eq!(row["event"], "refused", "{row}");
    let decision = row["decision"].as_str().unwrap();
    assert!(demo.run(&["explain", decision]).ok().contains("REFUSED"));
    assert!(trace(&demo, &["--id", decision]).ok().contains("(not accepted)"));
}

#[test]
fn nothing_found_is_an_exit_code() {
    let demo = Demo::start();
    assert_eq!(trace(&demo, &["--from", "nobody@nowhere.test"]).code, 1);
}

/// A demo with this configuration.
fn configured(text: &str) -> Demo {
    let mut demo = Demo::start();
    demo.stop();
    std::fs::write(demo.data().join("procura.toml"), text).unwrap();
    demo.start_again();
    demo
}

#[test]
fn a_reload_takes_what_can_be_taken_and_names_what_needs_a_restart() {
    let demo = configured("[log]\nlevel = \"info\"\n");
    let text = "[log]\nlevel = \"debug\"\n[delivery]\nexpire_hours = 5\n";
    std::fs::write(demo.data().join("procura.toml"), text).unwrap();
    let said = demo.run(&["reload"]).ok();
    assert!(said.contains("log.level was changed: it counts now"), "{said}");
    assert!(said.contains("delivery.expire_hours was changed: it counts after a restart"), "{said}");
    assert!(said.contains("the certificate is the one in use"), "{said}");
}

#[test]
fn a_configuration_with_a_fault_is_not_taken() {
    let demo = configured("[log]\nlevel = \"info\"\n");
    std::fs::write(demo.data().join("procura.toml"), "[log]\nlevl = \"debug\"\n").unwrap();
    // The command itself reads another file than the server.
    let other = demo.file("other.toml", &format!("[node]\ndata = \"{}\"\n", demo.data().display()));
    let other = ["--config", other.to_str().unwrap(), "reload"];
    common::procura(&other).fails(2, &["levl", "the configuration in force stays"]);
    std::fs::write(demo.data().join("procura.toml"), "[log]\nlevel = \"info\"\n").unwrap();
    assert!(demo.run(&["reload"]).ok().contains("the configuration is the one in force"));
}

#[test]
fn a_session_lives_through_a_reload() {
    let demo = configured("[log]\nlevel = \"info\"\n");
    let mut client = BufReader::new(TcpStream::connect(demo.internet).unwrap());
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    demo.run(&["reload"]).ok();
    client.get_mut().write_all(b"NOOP\r\n").unwrap();
    line.clear();
    client.read_line(&mut line).unwrap();
    assert!(line.starts_with("250 "), "{line}");
}

#[test]
fn a_certificate_that_ends_soon_is_an_alarm_that_is_mailed() {
    // The certificate that the server signs itself is in force for centuries.
    let demo = configured("[alarms]\nnotify = [\"bob@example.com\"]\ncertificate_days = 4000000\n");
    let said = trace_until(&demo, &["--to", "bob@example.com", "--from", "<>"], "delivered");
    assert!(said.contains("bob@example.com"), "{said}");
}

#[test]
fn a_doctor_finds_a_data_directory_that_is_open_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let demo = Demo::start();
    std::fs::set_permissions(demo.data(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let finished = demo.run(&["doctor", "--no-network", "--format", "jsonl"]);
    assert_eq!(finished.code, 1);
    let row = |check: &str| {
        let rows = finished.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        rows.into_iter().find(|row| row["check"] == check)
    };
    let files = row("files").unwrap();
    assert_eq!(files["level"], "fault");
    assert!(files["mend"].as_str().unwrap().starts_with("chmod 750 "), "{files}");
    assert_eq!(row("relay"), None, "the demo relays for nobody");
}

#[test]
fn a_doctor_finds_an_open_relay() {
    let demo = Demo::start();
    let right = "ms-Exch-SMTP-Accept-Any-Recipient";
    demo.run(&["permission", "add", "Internet", "--user", "ANONYMOUS LOGON", "--right", right]).ok();
    let finished = demo.run(&["doctor", "--skip", "directory"]);
    assert_eq!(finished.code, 1);
    assert!(finished.out.contains("Internet takes mail from strangers to strangers"), "{}", finished.out);
}

#[test]
fn a_doctor_knows_its_checks() {
    let demo = Demo::start();
    demo.run(&["doctor", "--skip", "nonsense"]).fails(2, &["no check `nonsense`", "directory"]);
}

#[test]
fn a_doctor_says_when_a_port_is_taken() {
    let mut demo = Demo::start();
    demo.stop();
    let _taken = std::net::TcpListener::bind(demo.internet).unwrap();
    let finished = demo.run(&["doctor", "--skip", "directory"]);
    assert!(finished.out.contains("Internet cannot listen on"), "{}", finished.out);
}
