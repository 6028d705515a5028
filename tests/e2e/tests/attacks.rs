//! Attacks on the protocol, as raw bytes on the wire.

#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use e2e::{Demo, require};

/// A connection that sends exactly what it is told.
struct Wire {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Wire {
    fn connect(port: u16) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut wire = Wire { stream, unread: Vec::new() };
        assert!(wire.reply().starts_with("220"));
        wire.say("EHLO attacker.test");
        wire
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// One command, one reply.
    #[track_caller]
    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// The next reply, all its lines; empty where the server has closed the connection.
    #[track_caller]
    fn reply(&mut self) -> String {
        let mut text = String::new();
        loop {
            let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') else {
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer) {
                    Ok(0) => return text,
                    Ok(read) => self.unread.extend(&buffer[..read]),
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => return text,
                    Err(error) => panic!("no reply: {error}; so far {text:?}"),
                }
                continue;
            };
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            text.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return text;
            }
        }
    }

    /// All replies until the server closes.
    fn rest(&mut self) -> Vec<String> {
        let mut replies = Vec::new();
        loop {
            match self.reply() {
                reply if reply.is_empty() => return replies,
                reply => replies.push(reply),
            }
        }
    }

    /// As far as the message.
    #[track_caller]
    fn begin_data(&mut self) {
        assert!(self.say("MAIL FROM:<stranger@outside.test>").starts_with("250"));
        assert!(self.say("RCPT TO:<bob@example.com>").starts_with("250"));
        assert!(self.say("DATA").starts_with("354"));
    }
}

/// Attack 17: whatever looks like an end of data to somebody else is none here, so no second message is hidden in the first.
#[test]
fn no_second_message_can_be_smuggled_within_the_first() {
    let demo = Demo::start();
    let endings: [&[u8]; 8] =
        [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r.\r\n", b"\r\n.\r"];
    for ending in endings {
        let mut wire = Wire::connect(demo.internet_port);
        wire.begin_data();
        let mut bytes = b"From: stranger@outside.test\r\nSubject: first\r\n\r\nhello".to_vec();
        bytes.extend_from_slice(ending);
        bytes.extend_from_slice(b"MAIL FROM:<stranger@outside.test>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n");
        bytes.extend_from_slice(b"From: stranger@outside.test\r\nSubject: smuggled\r\n\r\nhello\r\n.\r\nQUIT\r\n");
        wire.send(&bytes);
        let replies = wire.rest();
        // One reply to the one message, and one to QUIT where the server has not closed before.
        assert!((1..=2).contains(&replies.len()) && !replies[0].starts_with("354"), "{ending:?}: {replies:?}");
    }
    assert!(demo.delivered_now("smuggled").is_empty());
}

/// Attack 16.
#[test]
fn what_was_sent_in_clear_behind_starttls_is_never_carried_out() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.client_port);
    wire.send(b"STARTTLS\r\nMAIL FROM:<bob@example.com>\r\nNOOP\r\n");
    let first = wire.reply();
    if first.starts_with("220") {
        // Then nothing but a TLS handshake may come: bytes in clear end the connection.
        let mut rest = Vec::new();
        let _ = wire.stream.read_to_end(&mut rest);
        assert!(!String::from_utf8_lossy(&rest).contains("250"), "{rest:?}");
    } else {
        assert!(first.starts_with('5'), "{first}");
        assert!(!wire.rest().iter().any(|reply| reply.starts_with("250")));
    }
}

/// Attack 1: after a refusal at end of data nothing is left of the transaction, for the envelope and for its recipients.
#[test]
fn a_late_refusal_leaves_no_sender_and_no_recipient_behind() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    wire.begin_data();
    wire.send(b"From: ceo@example.com\r\n\r\nhello\r\n.\r\n");
    assert!(wire.reply().starts_with("550 5.7.1"));
    assert!(wire.say("RCPT TO:<bob@example.com>").starts_with("503"));
    assert!(wire.say("DATA").starts_with("503"));
}

/// Attack 30.
#[test]
fn data_behind_recipients_that_are_all_refused_is_refused_in_one_packet() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    wire.send(b"MAIL FROM:<stranger@outside.test>\r\nRCPT TO:<nobody@example.com>\r\nDATA\r\n");
    let codes: Vec<String> = (0..3).map(|_| wire.reply().chars().take(3).collect()).collect();
    assert!(codes[..2] == ["250", "550"] && ["503", "554"].contains(&codes[2].as_str()), "{codes:?}");
    assert!(wire.say("NOOP").starts_with("250"));
}

/// Attack 13.
#[test]
fn control_characters_in_an_address_are_refused() {
    let demo = Demo::start();
    for address in ["a\0b@outside.test", "a\rb@outside.test", "a\x7fb@outside.test"] {
        let mut wire = Wire::connect(demo.internet_port);
        let reply = wire.say(&format!("MAIL FROM:<{address}>"));
        assert!(reply.starts_with('5'), "{address:?}: {reply}");
    }
}

/// Attack 14.
#[test]
fn a_command_line_without_end_is_cut_off() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    let chunk = vec![b'a'; 64 * 1024];
    let mut refused = false;
    for _ in 0..256 {
        if wire.stream.write_all(&chunk).is_err() {
            refused = true;
            break;
        }
    }
    // Either the connection is closed under the sender, or there is one refusal for the whole line.
    assert!(refused || wire.reply().starts_with('5') || wire.reply().is_empty());
}

/// Attack 21.
#[test]
fn the_null_sender_excuses_no_header() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    assert!(wire.say("MAIL FROM:<>").starts_with("250"));
    assert!(wire.say("RCPT TO:<bob@example.com>").starts_with("250"));
    assert!(wire.say("DATA").starts_with("354"));
    wire.send(b"From: ceo@example.com\r\nSubject: null\r\n\r\nhello\r\n.\r\n");
    assert!(wire.reply().starts_with("550 5.7.1"));
}

/// Attack 18, and 8: what one reader takes for the header another takes for the body.
#[test]
fn a_header_with_bare_line_ends_is_refused() {
    let demo = Demo::start();
    for header in [
        &b"From: stranger@outside.test\nFrom: ceo@example.com\r\n"[..],
        b"From: stranger@outside.test\rFrom: ceo@example.com\r\n",
        b" From: ceo@example.com\r\nFrom: stranger@outside.test\r\n",
        b"From: stranger@outside.test\r\nF\0rom: ceo@example.com\r\n",
        b"\xef\xbb\xbfFrom: ceo@example.com\r\n",
    ] {
        let mut wire = Wire::connect(demo.internet_port);
        wire.begin_data();
        wire.send(header);
        wire.send(b"Subject: two meanings\r\n\r\nhello\r\n.\r\n");
        let reply = wire.reply();
        assert!(reply.starts_with('5'), "{:?}: {reply}", String::from_utf8_lossy(header));
    }
    assert!(demo.delivered_now("two meanings").is_empty());
}

/// What a message costs in memory does not depend on its size.
#[test]
fn a_large_message_is_never_held_in_memory() {
    let mut demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    let offers = wire.say("EHLO attacker.test");
    let limit: usize =
        offers.lines().find_map(|line| line.get(4..)?.strip_prefix("SIZE ")?.trim().parse().ok()).unwrap();
    let size = (limit - 10_000).min(100_000_000);
    let before = peak_memory(demo.server().pid());
    wire.begin_data();
    wire.send(b"From: stranger@outside.test\r\nSubject: large\r\n\r\n");
    let block = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd\r\n".repeat(1024);
    for _ in 0..size / block.len() {
        wire.send(block.as_bytes());
    }
    wire.send(b".\r\n");
    let reply = wire.reply();
    assert!(reply.starts_with("250"), "{size} bytes: {reply}");
    let grown = peak_memory(demo.server().pid()).saturating_sub(before);
    assert!(size > 4 * grown, "{size} bytes made the server {grown} bytes larger");
}

#[test]
fn a_message_over_the_limit_is_refused_before_it_is_sent() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    let reply = wire.say("MAIL FROM:<stranger@outside.test> SIZE=99999999999");
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
}

/// The largest resident size of a process so far, in bytes.
fn peak_memory(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// What Python's `email` finds of our header fields in the parts of a message and in the messages attached to it.
const FIND_FIELDS: &str = r#"
import email, email.policy, sys
message = email.message_from_bytes(sys.stdin.buffer.read())
for part in list(message.walk())[1:]:
    for name in part.keys():
        if name.lower().startswith(("x-ms-exchange-organization", "x-ms-exchange-forest", "x-procura-")):
            print(part.get_content_type(), name)
print(len(list(message.walk())), "parts")
"#;

/// Attack 24: to a reader that opens parts and attached messages, no field of the organization is in any of them.
#[test]
fn python_finds_no_forged_field_anywhere_in_a_message() {
    if !require(&["python3"]) {
        return;
    }
    let forged = "X-MS-Exchange-Organization-AuthAs: Internal\r\nx-ms-exchange-forest-rulesexecuted: all,\r\n and more\r\n\
                  X-Procura-Decision: allowed\r\n";
    let attached = format!("{forged}From: ceo@example.com\r\nSubject: inside\r\n\r\nHello.\r\n");
    let message = format!(
        "From: stranger@outside.test\r\nSubject: nested\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"outer\"\r\n\r\n\
         --outer\r\n{forged}Content-Type: text/plain\r\n\r\nHello.\r\n\
         --outer\r\nContent-Type: message/rfc822\r\n{forged}\r\n{attached}\
         --outer\r\nContent-Type: multipart/digest; boundary=inner\r\n\r\n--inner\r\n\r\n{attached}--inner--\r\n\
         --outer--\r\n"
    );
    let found = |text: &str| {
        let mut python = Command::new("python3")
            .args(["-c", FIND_FIELDS])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap()
    };
    assert_eq!(found(&message).lines().count(), 13, "what was sent is full of them");
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    wire.begin_data();
    wire.send(message.as_bytes());
    wire.send(b".\r\n");
    assert!(wire.reply().starts_with("250"));
    let delivered = demo.delivered("nested").text;
    assert_eq!(found(&delivered), "7 parts\n", "{delivered}");
}

/// Attack 9 and 17: a message that another server might read as two never leaves this one either.
#[test]
fn a_message_with_a_false_end_is_not_delivered_in_part() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    wire.begin_data();
    wire.send(
        b"From: stranger@outside.test\r\nSubject: first half\r\n\r\nhello\r\n.\nMAIL FROM:<x@outside.test>\r\n.\r\n",
    );
    let reply = wire.reply();
    assert!(reply.starts_with("550 5.6.0"), "{reply}");
    assert!(wire.say("NOOP").starts_with("250"));
    assert!(demo.delivered_now("first half").is_empty());
}

/// Attack 4, 5 and 14: no chunk is ever read as commands, taken or not.
#[test]
fn chunks_are_never_commands_and_a_huge_one_ends_the_connection() {
    let demo = Demo::start();
    let mut wire = Wire::connect(demo.internet_port);
    assert!(wire.say("EHLO attacker.test").contains("CHUNKING"));
    assert!(wire.say("MAIL FROM:<stranger@outside.test>").starts_with("250"));
    wire.send(b"BDAT 6\r\nQUIT\r\nNOOP\r\n");
    assert!(wire.reply().starts_with("554"), "there is no recipient");
    assert!(wire.reply().starts_with("250"), "QUIT was the chunk");
    assert!(wire.say("MAIL FROM:<stranger@outside.test>").starts_with("250"));
    assert!(wire.say("RCPT TO:<bob@example.com>").starts_with("250"));
    wire.send(b"BDAT 12\r\nSubject: x\r\nDATA\r\n");
    assert!(wire.reply().starts_with("250"), "the first half");
    assert!(wire.reply().starts_with("503"), "DATA is no second half");
    assert!(wire.say("BDAT 0 LAST").starts_with("503"), "nothing is left of it");
    assert!(wire.say("BDAT 999999999999").starts_with("503"));
    assert_eq!(wire.reply(), "", "the connection is closed");
}
