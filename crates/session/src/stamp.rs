//! What a message says about its way and its proof when it is stored: trace fields, sender stamps, and our own
//! organization headers (`authorization.md` §5; F §3.11).

use std::borrow::Cow;
use std::net::IpAddr;

use directory::{Config, FolderKind, HostKind, ReceiveConnector, Rewrite, RewriteHeaders, Snapshot, Time, TokenKind};
use message::Address;
use message::header::{HeaderBlock, HeaderFault};
use message::readdress::{RECIPIENT_FIELDS, SENDER_FIELDS, readdress};
use message::rewrite::Edits;
use message::trace_fields::{self, Received};
use rights::{Accepted, Authority, NoTrace, Question, RightName};

use crate::session::{Context, Session};

const AUTH_AS: &str = "X-MS-Exchange-Organization-AuthAs";
const AUTH_MECHANISM: &str = "X-MS-Exchange-Organization-AuthMechanism";
const AUTH_SOURCE: &str = "X-MS-Exchange-Organization-AuthSource";

/// Whether the message has come through here, or anywhere, too often. `Received:` may have been stripped on the way by
/// a header firewall; our own hop marker is not.
pub(crate) fn too_many_hops(block: &HeaderBlock, limit: u32) -> bool {
    let limit = limit as usize;
    trace_fields::count_received(block) > limit || trace_fields::hops(block) as usize >= limit
}

/// The header with the addresses that the connector puts in the place of those that came; `None`: none is to be changed.
pub(crate) fn readdressed(
    connector: &ReceiveConnector,
    block: &HeaderBlock,
) -> Option<Result<HeaderBlock, HeaderFault>> {
    let senders: &[&str] = match connector.rewrite_headers {
        RewriteHeaders::None => return None,
        RewriteHeaders::Recipients => &[],
        RewriteHeaders::All => &SENDER_FIELDS,
    };
    if connector.rewrites.is_empty() {
        return None;
    }
    let fields = [senders, &RECIPIENT_FIELDS].concat();
    let becomes = |address: &Address| Rewrite::apply(&connector.rewrites, address);
    Some(HeaderBlock::parse(&readdress(block, &fields, &becomes)))
}

/// The way that a message came, as trace fields tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What the client called itself.
    pub helo: String,
    /// It said EHLO.
    pub extended: bool,
    /// Its address.
    pub remote: IpAddr,
    /// Version and cipher, where TLS was on.
    pub tls: Option<String>,
    /// An account had logged on.
    pub authenticated: bool,
    /// `SMTPUTF8` was given on MAIL FROM.
    pub smtputf8: bool,
    /// `AUTH=<>` was given on MAIL FROM.
    pub marked_anonymous: bool,
    /// The recipient, where there is one only.
    pub recipient: Option<Address>,
    /// When it was received.
    pub time: Time,
    /// It came by HTTP, from a program of this machine, or from a folder.
    pub http: bool,
    /// It was the account's Associated External Account that had logged on.
    pub linked: bool,
}

/// What a message is stamped by: the snapshot, and who sent it.
#[derive(Clone, Copy)]
pub(crate) struct Stamping<'a> {
    /// Name of this host.
    pub(crate) hostname: &'a str,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) authority: &'a Authority,
    pub(crate) now: Time,
}

impl Stamping<'_> {
    /// How the header block is to be written. Decided on the block as received; nothing of this is decided here.
    pub(crate) fn edits(&self, way: &Way, block: &HeaderBlock, accepted: &Accepted, queue_id: &str) -> Edits {
        let mut prepend = vec![(Cow::Borrowed("Received"), self.received(way, queue_id))];
        let mut drop = Vec::new();
        // What an own server says of a message survives; everybody else's word is replaced by ours.
        let own_server = matches!(accepted.token.kind, TokenKind::Host(HostKind::Hub | HostKind::Edge));
        let survives = own_server && accepted.keep.organization && block.named(AUTH_AS).next().is_some();
        if !survives {
            drop.extend([AUTH_AS, AUTH_MECHANISM, AUTH_SOURCE].map(Cow::Borrowed));
            prepend.push((Cow::Borrowed(AUTH_AS), self.auth_as(accepted).to_owned()));
            prepend.push((Cow::Borrowed(AUTH_MECHANISM), auth_mechanism(&accepted.token.kind).to_owned()));
            prepend.push((Cow::Borrowed(AUTH_SOURCE), self.hostname.to_owned()));
        }
        prepend.extend(self.completions(block, accepted, queue_id));
        Edits {
            keep: accepted.keep,
            sender: accepted.header.sender.clone(),
            resent_sender: accepted.header.resent_sender.clone(),
            prepend,
            drop,
            hops: Some(trace_fields::hops(block).saturating_add(1)),
            utf8: way.smtputf8,
        }
    }

    /// Fields that are missing, and are added for those whose submission it is, where the connector does so (RFC 6409
    /// §8.1, §8.2).
    fn completions(
        &self,
        block: &HeaderBlock,
        accepted: &Accepted,
        queue_id: &str,
    ) -> Vec<(Cow<'static, str>, String)> {
        let connector = match self.snapshot.object(self.authority.connector).and_then(|object| object.config()) {
            Some(Config::ReceiveConnector(connector)) => Some(connector),
            _ => None,
        };
        // Whatever is picked up is submitted here first.
        let is_pickup = connector.and_then(|connector| connector.folder.as_ref()).map(|folder| folder.kind)
            == Some(FolderKind::Pickup);
        let submits = is_pickup
            || matches!(accepted.token.kind, TokenKind::Account | TokenKind::Host(HostKind::ExternallySecured));
        let completes = connector.is_some_and(|connector| connector.complete_headers);
        let mut fields = Vec::new();
        if !submits || !completes {
            return fields;
        }
        let is_missing = |name: &str| block.named(name).next().is_none();
        if is_missing("Date") {
            fields.push((Cow::Borrowed("Date"), trace_fields::date(self.now.0)));
        }
        if is_missing("Message-ID") {
            fields.push((Cow::Borrowed("Message-ID"), format!("<{queue_id}@{}>", self.hostname)));
        }
        fields
    }

    /// RFC 5321 §4.4.
    fn received(&self, way: &Way, queue_id: &str) -> String {
        let protocol = match way.http {
            true if way.helo == crate::http::LOCAL || crate::http::is_folder(&way.helo) => "local",
            true => "HTTP",
            false => trace_fields::protocol(way.extended, way.tls.is_some(), way.authenticated, way.smtputf8),
        };
        trace_fields::received(&Received {
            helo: &way.helo,
            peer: Some(way.remote),
            by: self.hostname,
            protocol,
            tls: way.tls.as_deref(),
            id: queue_id,
            recipient: way.recipient.as_ref(),
            time: way.time.0,
        })
    }

    /// AuthAs (F §3.11: Anonymous, Internal, External, Partner). A server's mail is internal where it may say so, and
    /// anonymous where it says that (`AUTH=<>`).
    fn auth_as(&self, accepted: &Accepted) -> &'static str {
        match &accepted.token.kind {
            TokenKind::Anonymous => "Anonymous",
            TokenKind::Account => "Internal",
            TokenKind::Host(HostKind::Partner { .. }) => "Partner",
            TokenKind::Host(_) if accepted.internal => "Internal",
            TokenKind::Host(_) => {
                let (connector, logon) = (self.authority.connector, self.authority.logon);
                let facts = rights::Facts { connector, logon, time: self.now };
                let flag = Question::Right(RightName::AcceptAuthenticationFlag);
                let heard = rights::decide::<NoTrace>(self.snapshot, &accepted.token, &facts, &flag).reason.is_ok();
                if heard { "Anonymous" } else { "External" }
            }
        }
    }
}

impl Session {
    /// As [`Stamping::edits`].
    pub(crate) fn edits(&self, cx: &Context<'_>, block: &HeaderBlock, accepted: &Accepted, queue_id: &str) -> Edits {
        let hostname = &self.settings.hostname;
        let stamping = Stamping { hostname, snapshot: cx.snapshot, authority: &self.authority, now: cx.now };
        stamping.edits(&self.way(cx.now), block, accepted, queue_id)
    }

    /// The way that the present message comes.
    pub(crate) fn way(&self, now: Time) -> Way {
        let transaction = self.transaction.as_ref();
        let recipient = match transaction.map(|transaction| transaction.recipients.as_slice()) {
            Some([only]) => Some(only.address.clone()),
            _ => None,
        };
        let greeted = self.greeted.as_ref();
        Way {
            helo: greeted.map(|greeted| greeted.name.clone()).unwrap_or_default(),
            extended: greeted.is_some_and(|greeted| greeted.extended),
            remote: self.peer.remote.ip(),
            tls: self.tls.as_ref().map(|tls| format!("{} {}", tls.version, tls.cipher)),
            authenticated: self.authority.account.is_some(),
            smtputf8: transaction.is_some_and(|transaction| transaction.smtputf8),
            marked_anonymous: transaction.is_some_and(|transaction| transaction.rights.marked_anonymous()),
            recipient,
            time: now,
            http: self.http,
            linked: self.authority.linked,
        }
    }
}

/// AuthMechanism: two hexadecimal digits. What Exchange means by each is not published; these are ours, written and
/// never read: 00 nothing, 01 password, 05 certificate, 10 address.
fn auth_mechanism(kind: &TokenKind) -> &'static str {
    match kind {
        TokenKind::Anonymous => "00",
        TokenKind::Account => "01",
        TokenKind::Host(HostKind::ExternallySecured) => "10",
        TokenKind::Host(_) => "05",
    }
}
