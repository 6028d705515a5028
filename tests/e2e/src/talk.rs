//! A session that stays open while other things happen: Python's smtplib, one order at a time.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::client::Mechanism;

/// An SMTP session of Python's smtplib.
#[derive(Debug)]
pub struct Talk {
    child: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    transcript: String,
}

impl Talk {
    /// Connects to a port on 127.0.0.1 and says EHLO.
    #[track_caller]
    pub fn connect(port: u16) -> Talk {
        Talk::connect_to(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// Connects to an address and says EHLO.
    #[track_caller]
    pub fn connect_to(address: SocketAddr) -> Talk {
        let mut child = Command::new("python3")
            .args(["-c", include_str!("talk.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let replies = BufReader::new(child.stdout.take().unwrap());
        let mut talk = Talk { child, orders, replies, transcript: String::new() };
        let reply = talk.order(json!({"do": "connect", "host": address.ip().to_string(), "port": address.port()}));
        assert!(reply.starts_with("220"), "{reply}");
        talk
    }

    /// STARTTLS, then AUTH; the reply to AUTH.
    #[track_caller]
    pub fn log_on(&mut self, login: &str, password: &str, mailbox: Option<&str>, mechanism: Mechanism) -> String {
        self.order(json!({
            "do": "log on", "login": login, "password": password, "mailbox": mailbox, "mechanism": mechanism.name(),
        }))
    }

    /// Sends a message in this session; the reply that decided. After a refusal the session goes on.
    #[track_caller]
    pub fn send(&mut self, envelope: &str, to: &[&str], message: &str) -> String {
        self.order(json!({"do": "send", "envelope": envelope, "to": to, "message": message}))
    }

    /// Sends a message to those recipients that are accepted; the others with their replies.
    #[track_caller]
    pub fn send_to_whom_it_goes(&mut self, envelope: &str, to: &[&str], message: &str) -> String {
        self.order(json!({"do": "send to whom it goes", "envelope": envelope, "to": to, "message": message}))
    }

    /// Sends one command line; its reply.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> String {
        self.order(json!({"do": "command", "line": line}))
    }

    /// Orders and replies so far.
    pub fn transcript(&self) -> String {
        self.transcript.clone()
    }

    #[track_caller]
    fn order(&mut self, order: Value) -> String {
        let orders = self.orders.as_mut().unwrap();
        writeln!(orders, "{order}").unwrap();
        orders.flush().unwrap();
        let mut line = String::new();
        self.replies.read_line(&mut line).unwrap();
        let reply: String = serde_json::from_str(&line).unwrap_or_else(|_| format!("python3 ended: {line}"));
        self.transcript.push_str(&format!("> {order}\n< {reply}\n"));
        reply
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}
