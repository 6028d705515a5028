//! Delivery status notifications: `multipart/report` (RFC 6522) with RFC 3464 fields.

use crate::address::Address;

/// A delivery status notification to be written.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Our host name.
    pub reporting_mta: &'a str,
    /// The author of the report, usually the postmaster.
    pub from: &'a Address,
    /// Whom the report goes to: the reverse-path of the original.
    pub to: &'a Address,
    /// The Message-ID of the report, without angle brackets.
    pub message_id: &'a str,
    /// A boundary that occurs nowhere else; letters and digits.
    pub boundary: &'a str,
    /// When the report is written; milliseconds since the Unix epoch.
    pub time: i64,
    /// When the original arrived; milliseconds since the Unix epoch.
    pub arrival: i64,
    /// ENVID of the original (RFC 3461).
    pub envelope_id: Option<&'a str>,
    /// The queue id of the original, for a person to quote.
    pub queue_id: Option<&'a str>,
    /// What became of each recipient.
    pub recipients: Vec<RecipientReport<'a>>,
    /// The header block of the original, already firewalled, as far as it is to be returned.
    pub original_header: &'a [u8],
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct RecipientReport<'a> {
    /// The address the report speaks of.
    pub recipient: &'a Address,
    /// ORCPT (RFC 3461), `type;address`.
    pub original: Option<&'a str>,
    /// What happened.
    pub action: Action,
    /// The enhanced status code.
    pub status: (u8, u16, u16),
    /// In words, for a person.
    pub reason: &'a str,
    /// The host that said so.
    pub remote_mta: Option<&'a str>,
    /// Its reply, as received.
    pub diagnostic: Option<&'a str>,
    /// When it was last tried; milliseconds since the Unix epoch.
    pub last_attempt: Option<i64>,
    /// Until when it will be tried, for [`Action::Delayed`]; milliseconds since the Unix epoch.
    pub retry_until: Option<i64>,
}

/// RFC 3464 §2.3.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not yet delivered.
    Delayed,
    /// Delivered.
    Delivered,
    /// Handed to a host that does not report.
    Relayed,
}

impl Report<'_> {
    /// The whole report message: CRLF lines, header, empty line, body.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
}
