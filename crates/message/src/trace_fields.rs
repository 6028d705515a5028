//! Trace fields: `Received:` (RFC 5321 §4.4), hop counting and dates.

use std::fmt::Write;
use std::net::IpAddr;

use crate::address::Address;
use crate::header::HeaderBlock;

/// The field that carries the hop count.
pub const HOP_MARKER: &str = "X-Procura-Hops";

/// What a `Received:` field says.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    /// What the peer called itself in EHLO or HELO; not proven.
    pub helo: &'a str,
    /// The peer's address; `None` for a message that came otherwise than by a socket.
    pub peer: Option<IpAddr>,
    /// Our host name.
    pub by: &'a str,
    /// The protocol keyword: see [`protocol`].
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
    let mut value = format!("from {}", host(facts.helo));
    match facts.peer.map(|peer| peer.to_canonical()) {
        Some(IpAddr::V4(peer)) => value += &format!(" ([{peer}])"),
        Some(IpAddr::V6(peer)) => value += &format!(" ([IPv6:{peer}])"),
        None => {}
    }
    value += &format!(" by {} with {}", host(facts.by), host(facts.protocol));
    if let Some(tls) = facts.tls {
        let comment: String = tls.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        value += &format!(" ({})", comment.replace(['(', ')', '\\'], ""));
    }
    value += &format!(" id {}", host(facts.id));
    if let Some(recipient) = facts.recipient {
        value += &format!(" for <{recipient}>");
    }
    value + "; " + &date(facts.time)
}

/// The protocol keyword of a session (RFC 3848, RFC 6531 §4.3).
pub fn protocol(extended: bool, tls: bool, authenticated: bool, utf8: bool) -> &'static str {
    match (extended, utf8, tls, authenticated) {
        (false, ..) => "SMTP",
        (true, false, false, false) => "ESMTP",
        (true, false, false, true) => "ESMTPA",
        (true, false, true, false) => "ESMTPS",
        (true, false, true, true) => "ESMTPSA",
        (true, true, false, false) => "UTF8SMTP",
        (true, true, false, true) => "UTF8SMTPA",
        (true, true, true, false) => "UTF8SMTPS",
        (true, true, true, true) => "UTF8SMTPSA",
    }
}

/// How many `Received:` fields the block holds.
pub fn count_received(block: &HeaderBlock) -> usize {
    block.named("Received").count()
}

/// The hop count of the hop marker `X-Procura-Hops`; 0 without one, the highest of several. It is read before the
/// firewall, no firewall removes it, and every hop of ours sets it anew to one more: so a loop is found although
/// `Received:` is stripped on the way. Whoever forges it only has his own message refused.
pub fn hops(block: &HeaderBlock) -> u32 {
    block.named(HOP_MARKER).filter_map(|field| field.text().parse().ok()).max().unwrap_or(0).min(MAX_HOPS)
}

/// Where counting ends.
const MAX_HOPS: u32 = 9999;

/// A time (milliseconds since the Unix epoch) as an RFC 5322 §3.3 date in UTC: `Sat, 21 Nov 2026 23:38:14 +0000`.
pub fn date(time: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = time.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86400), seconds.rem_euclid(86400));
    let (year, month, day) = civil(days);
    let mut text = String::with_capacity(31);
    let _ = write!(
        text,
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        DAYS[days.rem_euclid(7) as usize],
        MONTHS[month as usize - 1],
        second / 3600,
        second / 60 % 60,
        second % 60,
    );
    text
}

/// Year, month (1-12) and day (1-31) of a day counted from 1970-01-01, in the proleptic Gregorian calendar. Years begin in
/// March here, so that the leap day is the last of its year, and 400 of them (an era) have 146,097 days.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A name for a trace field: nothing that could end it or begin a comment.
fn host(name: &str) -> String {
    let clean: String =
        name.chars().filter(|c| c.is_ascii_alphanumeric() || "-._:[]/+".contains(*c)).take(255).collect();
    if clean.is_empty() { "unknown".to_owned() } else { clean }
}
