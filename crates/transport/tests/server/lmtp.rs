//! Mailboxes kept by an LMTP server (RFC 2033).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use transport::{LmtpHost, SmartHost};

use crate::routing::{alice_sends, alice_writes};
use crate::sending::quick;
use crate::site::{INTERNET, PATIENCE, Plan, Site};
use crate::wire::{Wire, text};

/// What an LMTP server got.
#[derive(Debug)]
struct Got {
    said: Vec<String>,
    text: String,
}

/// Takes messages; a recipient that begins with these letters gets this reply after the data.
fn serve(stream: impl Read + Write, second: impl Read, refuse: (&str, &str), got: &Sender<Got>) -> Option<()> {
    let mut out = stream;
    let mut lines = BufReader::new(second).lines();
    let mut say = |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).ok();
    let (mut said, mut to) = (Vec::new(), Vec::new());
    say("220 store.test LMTP")?;
    loop {
        let line = lines.next()?.ok()?;
        said.push(line.clone());
        match line.get(..4)? {
            "LHLO" => {
                say("250-store.test")?;
                say("250 PIPELINING")?;
            }
            "RCPT" => {
                to.push(line);
                say("250 ok")?;
            }
            "DATA" => {
                say("354 go on")?;
                let mut text = String::new();
                loop {
                    match lines.next()?.ok()?.as_str() {
                        "." => break,
                        line => text += &format!("{line}\n"),
                    }
                }
                got.send(Got { said: std::mem::take(&mut said), text }).ok()?;
                for recipient in to.drain(..) {
                    let refused = recipient.starts_with(&format!("RCPT TO:<{}", refuse.0));
                    say(if refused { refuse.1 } else { "250 2.1.5 stored" })?;
                }
            }
            "EHLO" | "HELO" => say("500 this is LMTP")?,
            _ => say("250 ok")?,
        }
    }
}

fn start_unix(refuse: (&'static str, &'static str)) -> (tempfile::TempDir, PathBuf, Receiver<Got>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lmtp");
    let socket = UnixListener::bind(&path).unwrap();
    let (send, receive) = channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = socket.accept() {
            let send = send.clone();
            std::thread::spawn(move || serve(stream.try_clone().unwrap(), stream, refuse, &send));
        }
    });
    (folder, path, receive)
}

fn site(lmtp: LmtpHost) -> Site {
    Site::with(Plan {
        options: Box::new(move |options| {
            quick(options);
            options.delivery.exits.lmtp = Some(lmtp);
        }),
        directory: Box::new(|directory| directory.group("list", &["alice", "bob"])),
        ..Plan::default()
    })
}

fn mail(site: &Site, from: &str, to: &[&str], text: &str) {
    let mut wire = Wire::greet(site.address(INTERNET));
    wire.say("EHLO client.test", "250");
    let reply = wire.mail(from, to, text);
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn mail_for_mailboxes_goes_to_the_socket_of_the_lmtp_server() {
    let (_folder, path, got) = start_unix(("", "250 ok"));
    let site = site(LmtpHost::Unix(path));
    mail(&site, "sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "hello"));
    let got = got.recv_timeout(PATIENCE).unwrap();
    assert_eq!(got.said[..3], ["LHLO mail.example.com", "MAIL FROM:<sue@outside.test>", "RCPT TO:<bob@example.com>"]);
    assert!(got.text.contains("Subject: hello") && !got.text.contains("Return-Path"), "{}", got.text);
    site.await_empty_queue();
    assert!(site.mailbox("bob").is_empty());
}

#[test]
fn each_recipient_has_the_reply_of_its_own() {
    let (_folder, path, got) = start_unix(("bob", "552 5.2.2 bob's mailbox is full"));
    let site = site(LmtpHost::Unix(path));
    alice_writes(&site, "list@example.com");
    got.recv_timeout(PATIENCE).unwrap();
    // The report about bob goes to alice alone; she has the message, so it is not sent to her again.
    let report = got.recv_timeout(PATIENCE).unwrap();
    assert!(report.text.contains("Final-Recipient: rfc822; bob@example.com"), "{}", report.text);
    assert!(report.text.contains("Status: 5.2.2") && !report.text.contains("rfc822; alice"), "{}", report.text);
    site.await_empty_queue();
    assert!(got.try_recv().is_err());
}

#[test]
fn what_the_lmtp_server_puts_off_for_one_recipient_is_tried_again_for_that_one() {
    let (_folder, path, got) = start_unix(("bob", "452 4.2.2 over quota now"));
    let site = site(LmtpHost::Unix(path));
    mail(&site, "sue@outside.test", &["list@example.com"], &text("sue@outside.test", "hello"));
    got.recv_timeout(PATIENCE).unwrap();
    let again = got.recv_timeout(PATIENCE).unwrap();
    let to: Vec<&String> = again.said.iter().filter(|line| line.starts_with("RCPT")).collect();
    assert_eq!(to, ["RCPT TO:<bob@example.com>"]);
}

#[test]
fn an_lmtp_server_may_be_reached_over_tcp_and_mail_waits_for_it() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    let site = site(LmtpHost::Tcp(SmartHost { host: "127.0.0.1".into(), port }));
    mail(&site, "sue@outside.test", &["bob@example.com"], &text("sue@outside.test", "hello"));
    crate::sending::await_reason(&site, "the LMTP server");
    let socket = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (send, got) = channel();
    std::thread::spawn(move || {
        let (stream, _) = socket.accept().unwrap();
        serve(stream.try_clone().unwrap(), stream, ("-", ""), &send)
    });
    got.recv_timeout(PATIENCE).unwrap();
    site.await_empty_queue();
}

#[test]
fn a_message_that_was_in_the_mailbox_before_is_going_round() {
    let (_folder, path, got) = start_unix(("", "250 ok"));
    let site = site(LmtpHost::Unix(path));
    let again = format!("Delivered-To: bob@example.com\n{}", text("alice@example.com", "again"));
    alice_sends(&site, "bob@example.com", &again);
    let report = got.recv_timeout(PATIENCE).unwrap();
    assert!(report.text.contains("Status: 5.4.6"), "{}", report.text);
}
