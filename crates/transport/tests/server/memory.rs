//! What sessions and messages cost in memory.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::hosts::{Host, Manners};
use crate::site::{INTERNET, PATIENCE, Plan, Site};
use crate::wire::Wire;

/// Sessions that are open at the same time.
const SESSIONS: usize = 400;
/// What an idle session without TLS may cost, in bytes.
const IDLE: usize = 10 * 1024;
/// Bytes of a large message.
const LARGE: usize = 48 << 20;
/// What a large message on its way through may cost, in bytes.
const STREAMED: usize = 16 << 20;

#[test]
fn an_idle_session_costs_little() {
    let site = Site::with(Plan {
        directory: Box::new(|directory| {
            for attribute in
                [directory::attributes::RECEIVE_MAX_CONNECTIONS, directory::attributes::RECEIVE_MAX_PER_SOURCE]
            {
                directory.set_connector("internet", attribute, "1000");
            }
        }),
        ..Plan::default()
    });
    let address = site.address(INTERNET);
    let open = |count: usize| -> Vec<TcpStream> {
        (0..count)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut reply = [0; 512];
                assert!(stream.read(&mut reply).unwrap() > 0);
                stream.write_all(b"EHLO client.test\r\n").unwrap();
                assert!(stream.read(&mut reply).unwrap() > 0);
                stream
            })
            .collect()
    };
    let _first = open(100);
    let before = status("VmRSS");
    let _others = open(SESSIONS);
    let each = status("VmRSS").saturating_sub(before) / SESSIONS;
    println!("an idle session costs {each} bytes");
    assert!(each <= IDLE, "an idle session costs {each} bytes");
}

#[test]
fn a_large_message_is_never_in_memory() {
    let host = Host::start(vec![Manners { swallows: true, ..Manners::good() }]);
    let address = host.address;
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            directory.accept("relay.test", "1");
            directory.send("relay", "SMTP:relay.test;1", address);
            let limit = (2 * LARGE).to_string();
            directory.set_connector("internet", directory::attributes::RECEIVE_MAX_MESSAGE, &limit);
        }),
        ..Plan::default()
    });
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    wire.say("MAIL FROM:<sue@outside.test>", "250");
    wire.say("RCPT TO:<bob@example.com>", "250");
    wire.say("RCPT TO:<rita@relay.test>", "250");
    wire.say("DATA", "354");
    let block = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(1024);
    // What was needed at the most so far does not count.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmHWM");
    wire.send("From: <sue@outside.test>\r\n\r\n");
    for _ in 0..LARGE / block.len() {
        wire.send(&block);
    }
    wire.send(".\r\n");
    wire.expect("250");
    let got = host.message();
    assert!(got.text.contains("From:"), "{}", got.text);
    site.await_empty_queue();
    let cost = status("VmHWM").saturating_sub(before);
    println!("a message of {LARGE} bytes cost {cost} bytes of memory");
    assert!(cost <= STREAMED, "a message of {LARGE} bytes cost {cost} bytes of memory");
    let file = std::fs::read_dir(site.folder.path().join("mail/bob@example.com/new")).unwrap().next().unwrap().unwrap();
    assert!(file.metadata().unwrap().len() > (LARGE / 66 * 64) as u64);
}

/// A figure of this process, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}
