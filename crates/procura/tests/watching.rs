//! What a watcher sees: health and metrics over HTTP.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use common::{Demo, free};

/// The status and the body that `path` answers with.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A demo whose configuration has this line under `[http]`.
fn demo(http: &str) -> Demo {
    let mut demo = Demo::start();
    demo.stop();
    std::fs::write(demo.data().join("procura.toml"), format!("[http]\n{http}\n")).unwrap();
    demo.start_again();
    demo
}

/// The reply of a server of SMTP.
fn reply(client: &mut BufReader<TcpStream>) -> String {
    let mut reply = String::new();
    while reply.lines().last().is_none_or(|line| line.as_bytes()[3] == b'-') {
        assert_ne!(client.read_line(&mut reply).unwrap(), 0, "{reply}");
    }
    reply
}

/// Sends a line and returns the reply.
fn say(client: &mut BufReader<TcpStream>, line: &str) -> String {
    client.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    reply(client)
}

fn value(metrics: &str, name: &str) -> u64 {
    let line = metrics
        .lines()
        .find(|line| line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '{', '"'])));
    line.unwrap_or_else(|| panic!("{name} not in:\n{metrics}")).rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_server_that_takes_mail_is_healthy() {
    let http = free();
    let _demo = demo(&format!("listen = \"{http}\""));
    assert_eq!(get(http, "/healthz"), (200, "ok\n".to_owned()));
}

#[test]
fn metrics_count_what_was_accepted_and_refused() {
    let http = free();
    let demo = demo(&format!("listen = \"{http}\""));
    let mut client = BufReader::new(TcpStream::connect(demo.internet).unwrap());
    let mut replies = reply(&mut client);
    replies += &say(&mut client, "EHLO client.example.net");
    // One message for bob, and one that claims to be from a person of the house.
    for sender in ["someone@example.net", "ceo@example.com"] {
        for line in [&format!("MAIL FROM:<{sender}>"), "RCPT TO:<bob@example.com>", "DATA"] {
            replies += &say(&mut client, line);
        }
        if replies.ends_with("354 Start mail input; end with <CRLF>.<CRLF>\r\n") {
            replies += &say(&mut client, &format!("From: {sender}\r\n\r\ntext\r\n."));
        }
    }
    let (status, metrics) = get(http, "/metrics");
    assert_eq!(status, 200);
    assert_eq!(value(&metrics, "procura_messages_accepted_total"), 1, "{replies}\n{metrics}");
    assert_eq!(value(&metrics, "procura_refused_total{status=\"550 5.7.1\"}"), 1, "{replies}\n{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(value(&metrics, "procura_refusals_total{refusal="), 1, "{metrics}");
}

#[test]
fn an_address_that_is_none_is_refused_with_its_place() {
    let mut demo = Demo::start();
    demo.stop();
    std::fs::write(demo.data().join("procura.toml"), "[http]\nlisten = \"localhost\"\n").unwrap();
    let output = common::finish(&mut demo.command(), "");
    output.fails(2, &["procura.toml:2", "localhost", "127.0.0.1:8025"]);
}

#[test]
fn metrics_tell_of_queue_disk_and_certificate() {
    let http = free();
    let _demo = demo(&format!("listen = \"{http}\""));
    let (_, metrics) = get(http, "/metrics");
    for state in ["waiting", "deferred", "held", "paused", "quarantined"] {
        assert_eq!(value(&metrics, &format!("procura_queue_state{{state=\"{state}\"}}")), 0, "{metrics}");
    }
    assert!(value(&metrics, "procura_certificate_expiry_seconds") > 86_400, "{metrics}");
    assert!(metrics.contains("procura_queue_commit_seconds_bucket{le=\"0.001\"}"), "{metrics}");
}
