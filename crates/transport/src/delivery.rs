//! Delivery: what is due in the queue goes to local mailboxes, by SMTP to other hosts, or back to its sender.

use std::path::PathBuf;
use std::time::Duration;

use queue::Backoff;

mod maildir;

pub use maildir::{CopyError, CopyName, Filed, MailStore, MailStoreError};

/// A host that takes all mail that no send connector routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmartHost {
    /// Name or address.
    pub host: String,
    /// Port, usually 25.
    pub port: u16,
}

/// How mail is delivered.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// The directory of the local mailboxes.
    pub mail: PathBuf,
    /// Takes what no send connector of the directory routes.
    pub smart_host: Option<SmartHost>,
    /// A message is given up after this time and bounces.
    pub expire: Duration,
    /// Waiting times between attempts.
    pub backoff: Backoff,
    /// Deliveries to local mailboxes at the same time.
    pub local: usize,
    /// Connections to other hosts at the same time.
    pub remote: usize,
    /// Hops (by `Received:` or by our own marker) after which a message is taken to loop.
    pub max_hops: u32,
    /// Limits of the SMTP client.
    pub timeouts: ClientTimeouts,
}

/// How long the SMTP client waits (RFC 5321 §4.5.3.2).
#[derive(Debug, Clone, Copy)]
pub struct ClientTimeouts {
    /// For a connection.
    pub connect: Duration,
    /// For the greeting.
    pub greeting: Duration,
    /// For the reply to a command, and for each piece of data to be taken.
    pub command: Duration,
    /// For the reply to the end of data.
    pub data: Duration,
    /// An unused connection is kept this long.
    pub idle: Duration,
}

impl Default for ClientTimeouts {
    fn default() -> Self {
        ClientTimeouts {
            connect: Duration::from_secs(30),
            greeting: Duration::from_secs(300),
            command: Duration::from_secs(300),
            data: Duration::from_secs(600),
            idle: Duration::from_secs(5),
        }
    }
}

impl DeliveryOptions {
    /// The usual options; `mail` is the directory of the local mailboxes.
    pub fn new(mail: impl Into<PathBuf>) -> DeliveryOptions {
        DeliveryOptions {
            mail: mail.into(),
            smart_host: None,
            expire: Duration::from_secs(2 * 24 * 3600),
            backoff: Backoff::default(),
            local: 8,
            remote: 20,
            max_hops: 30,
            timeouts: ClientTimeouts::default(),
        }
    }
}
