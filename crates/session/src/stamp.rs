//! What a message says about its way and its proof when it is stored: trace fields, sender stamps, and our own
//! organization headers (`authorization.md` §5; F §3.11).

use std::borrow::Cow;

use directory::{HostKind, TokenKind};
use message::header::HeaderBlock;
use message::rewrite::Edits;
use message::trace_fields::{self, Received};
use rights::{Accepted, NoTrace, Question, RightName};

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

impl Session {
    /// How the header block is to be written. Decided on the block as received; nothing of this is decided here.
    pub(crate) fn edits(&self, cx: &Context<'_>, block: &HeaderBlock, accepted: &Accepted, queue_id: &str) -> Edits {
        let mut prepend = vec![(Cow::Borrowed("Received"), self.received(cx, queue_id))];
        let mut drop = Vec::new();
        // What an own server says of a message survives; everybody else's word is replaced by ours.
        let own_server = matches!(accepted.token.kind, TokenKind::Host(HostKind::Hub | HostKind::Edge));
        let survives = own_server && accepted.keep.organization && block.named(AUTH_AS).next().is_some();
        if !survives {
            drop.extend([AUTH_AS, AUTH_MECHANISM, AUTH_SOURCE].map(Cow::Borrowed));
            prepend.push((Cow::Borrowed(AUTH_AS), self.auth_as(cx, accepted).to_owned()));
            prepend.push((Cow::Borrowed(AUTH_MECHANISM), auth_mechanism(&accepted.token.kind).to_owned()));
            prepend.push((Cow::Borrowed(AUTH_SOURCE), self.settings.hostname.clone()));
        }
        Edits {
            keep: accepted.keep,
            sender: accepted.header.sender.clone(),
            resent_sender: accepted.header.resent_sender.clone(),
            prepend,
            drop,
            hops: Some(trace_fields::hops(block).saturating_add(1)),
            utf8: self.transaction.as_ref().is_some_and(|transaction| transaction.smtputf8),
        }
    }

    /// RFC 5321 §4.4.
    fn received(&self, cx: &Context<'_>, queue_id: &str) -> String {
        let transaction = self.transaction.as_ref();
        let recipient = match transaction.map(|transaction| transaction.recipients.as_slice()) {
            Some([only]) => Some(&only.address),
            _ => None,
        };
        let greeted = self.greeted.as_ref();
        let tls = self.tls.as_ref().map(|tls| format!("{} {}", tls.version, tls.cipher));
        trace_fields::received(&Received {
            helo: greeted.map_or("", |greeted| greeted.name.as_str()),
            peer: Some(self.peer.remote.ip()),
            by: &self.settings.hostname,
            protocol: trace_fields::protocol(
                greeted.is_some_and(|greeted| greeted.extended),
                self.tls.is_some(),
                self.authority.account.is_some(),
                transaction.is_some_and(|transaction| transaction.smtputf8),
            ),
            tls: tls.as_deref(),
            id: queue_id,
            recipient,
            time: cx.now.0,
        })
    }

    /// AuthAs (F §3.11: Anonymous, Internal, External, Partner). A server's mail is internal where it may say so, and
    /// anonymous where it says that (`AUTH=<>`).
    fn auth_as(&self, cx: &Context<'_>, accepted: &Accepted) -> &'static str {
        match &accepted.token.kind {
            TokenKind::Anonymous => "Anonymous",
            TokenKind::Account => "Internal",
            TokenKind::Host(HostKind::Partner { .. }) => "Partner",
            TokenKind::Host(_) if accepted.internal => "Internal",
            TokenKind::Host(_) => {
                let facts =
                    rights::Facts { connector: self.authority.connector, logon: self.authority.logon, time: cx.now };
                let flag = Question::Right(RightName::AcceptAuthenticationFlag);
                let heard = rights::decide::<NoTrace>(cx.snapshot, &accepted.token, &facts, &flag).reason.is_ok();
                if heard { "Anonymous" } else { "External" }
            }
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
