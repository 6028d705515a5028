//! Trace fields: `Received:` (RFC 5321 §4.4), hop counting and dates.

use std::net::IpAddr;

use crate::address::Address;
use crate::header::HeaderBlock;

/// What a `Received:` field says.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the peer called itself in EHLO or HELO; not proven.
    pub helo: &'a str,
    /// The peer's address; `None` for a message that came otherwise than by a socket.
    pub peer: Option<IpAddr>,
    /// Our host name.
    pub by: &'a str,
    /// The protocol keyword: `SMTP`, `ESMTP`, `ESMTPS`, `ESMTPA`, `ESMTPSA`, `UTF8SMTPS`, … (RFC 3848, RFC 6531 §4.3).
    pub protocol: &'a str,
    /// TLS version and cipher, as a comment.
    pub tls: Option<&'a str>,
    /// Queue id.
    pub id: &'a str,
    /// The recipient, only when there is exactly one.
    pub recipient: Option<&'a Address>,
    /// Milliseconds since the Unix epoch, UTC.
    pub time: i64,
}

/// The value of a `Received:` field, unfolded.
pub fn received(facts: &Received<'_>) -> String {
    let _ = facts;
    todo!()
}

/// The protocol keyword of a session (RFC 3848, RFC 6531 §4.3).
pub fn protocol(extended: bool, tls: bool, authenticated: bool, utf8: bool) -> &'static str {
    let _ = (extended, tls, authenticated, utf8);
    todo!()
}

/// How many `Received:` fields the block holds.
pub fn count_received(block: &HeaderBlock) -> usize {
    block.named("Received").count()
}

/// The hop count of the hop marker `X-Procura-Hops`; 0 without one. It is read before the firewall, stays on the way out
/// and is set anew by every hop of ours, so a loop is found although `Received:` is stripped on the way.
pub fn hops(block: &HeaderBlock) -> u32 {
    let _ = block;
    todo!()
}

/// A time (milliseconds since the Unix epoch) as an RFC 5322 §3.3 date in UTC: `Sat, 21 Nov 2026 23:38:14 +0000`.
pub fn date(time: i64) -> String {
    let _ = time;
    todo!()
}
