//! Delivery: what is due in the queue goes to local mailboxes, by SMTP to other hosts, or back to its sender.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use queue::Backoff;
use rustls::RootCertStore;

use crate::certificate::LiveCertificate;
use crate::protocol_log::ProtocolLog;

pub(crate) mod bounce;
mod client;
mod delay;
mod errand;
pub(crate) mod fate;
mod filing;
mod folder;
mod hosts;
mod maildir;
mod outgoing;
mod policy;
mod pool;
mod proof;
mod remote;
mod sts;
mod terms;
mod tokens;
mod web;
mod worker;

pub use folder::DropFolder;
pub(crate) use hosts::Own;
pub use proof::Proof;
pub use terms::Terms;
pub(crate) use worker::start;

pub use crate::dns::DnsOptions;
pub use crate::route::{Exits, MAILBOX};
pub use sts::StsOptions;
pub use web::Roots;

pub use maildir::{CopyError, CopyName, Filed, MailStore, MailStoreError};

/// A host that takes all mail that no send connector routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
    /// Ways that mail takes beside those of the directory.
    pub exits: Exits,
    /// Whom to ask for hosts and addresses.
    pub dns: DnsOptions,
    /// Where policies of MTA-STS are kept and asked for.
    pub sts: StsOptions,
    /// A message is given up after this time and bounces.
    pub expire: Duration,
    /// Senders are told of a message that is not delivered after this time; `None`: they are not.
    pub warn_after: Option<Duration>,
    /// Waiting times between attempts.
    pub backoff: Backoff,
    /// Deliveries to local mailboxes at the same time.
    pub local: usize,
    /// Deliveries under way at the same time. How many go to one destination, and to those that may stall, is the queue's to
    /// say ([`queue::QueueOptions`]).
    pub leases: usize,
    /// Hops (by `Received:` or by our own marker) after which a message is taken to loop.
    pub max_hops: u32,
    /// Limits of the SMTP client.
    pub timeouts: ClientTimeouts,
    /// The certificate that own servers and partners are shown. [`Server::start`](crate::Server::start) takes that of the
    /// listeners where there is none.
    pub certificate: Option<Arc<LiveCertificate>>,
    /// Whose certificates prove the domains of partners; likewise.
    pub partner_roots: Option<Arc<RootCertStore>>,
    /// Where its sessions are logged; likewise.
    pub protocol_log: Option<Arc<ProtocolLog>>,
    /// Whose certificates prove the names of next hops, and of servers of MTA-STS policies and tokens.
    pub roots: Option<Arc<Roots>>,
}

/// An LMTP server that keeps the mailboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LmtpHost {
    /// A unix socket.
    Unix(PathBuf),
    /// A host and a port, usually 24.
    Tcp(SmartHost),
}

impl LmtpHost {
    /// Reads an absolute path, or what [`SmartHost::parse`] reads; the port is 24 where there is none.
    pub fn parse(text: &str) -> Option<LmtpHost> {
        match text.starts_with('/') {
            true => Some(LmtpHost::Unix(text.into())),
            false => SmartHost::parse(text, 24).map(LmtpHost::Tcp),
        }
    }
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
    /// For a whole message, from its first command to the last reply.
    pub message: Duration,
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
            message: Duration::from_secs(7200),
            idle: Duration::from_secs(5),
        }
    }
}

impl DeliveryOptions {
    /// The usual options; `mail` is the directory of the local mailboxes.
    pub fn new(mail: impl Into<PathBuf>) -> DeliveryOptions {
        DeliveryOptions {
            mail: mail.into(),
            exits: Exits::default(),
            dns: DnsOptions::default(),
            sts: StsOptions::default(),
            expire: Duration::from_secs(2 * 24 * 3600),
            warn_after: Some(Duration::from_secs(4 * 3600)),
            backoff: Backoff::default(),
            local: 8,
            leases: 2048,
            max_hops: 30,
            timeouts: ClientTimeouts::default(),
            certificate: None,
            partner_roots: None,
            protocol_log: None,
            roots: None,
        }
    }
}

impl SmartHost {
    /// Reads `host`, `host:port`, `address`, `[address]` or `[address]:port`.
    pub fn parse(text: &str, default_port: u16) -> Option<SmartHost> {
        let text = text.trim();
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (address, port.strip_prefix(':'))
            }
            // An IPv6 address without brackets has no port.
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Some(default_port), |port| port.parse().ok().filter(|port| *port != 0))?;
        (!host.is_empty()).then(|| SmartHost { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smart_host_may_name_its_port() {
        let parse = |text| SmartHost::parse(text, 25).map(|host| (host.host, host.port));
        assert_eq!(parse("mail.example.net"), Some(("mail.example.net".into(), 25)));
        assert_eq!(parse("mail.example.net:2525"), Some(("mail.example.net".into(), 2525)));
        assert_eq!(parse("[192.0.2.1]:26"), Some(("192.0.2.1".into(), 26)));
        assert_eq!(parse("[2001:db8::1]"), Some(("2001:db8::1".into(), 25)));
        assert_eq!(parse("2001:db8::1"), Some(("2001:db8::1".into(), 25)));
        for wrong in ["", ":25", "host:", "host:0", "host:99999", "[2001:db8::1"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
