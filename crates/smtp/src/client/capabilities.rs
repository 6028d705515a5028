//! What a server offers in its EHLO reply.

use crate::reply::Reply;

/// The extensions a server offers (RFC 5321 §4.1.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// `PIPELINING` (RFC 2920).
    pub pipelining: bool,
    /// `8BITMIME` (RFC 6152).
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `STARTTLS` (RFC 3207).
    pub starttls: bool,
    /// `ENHANCEDSTATUSCODES` (RFC 2034).
    pub enhanced_status_codes: bool,
    /// `DSN` (RFC 3461).
    pub dsn: bool,
    /// `CHUNKING` (RFC 3030).
    pub chunking: bool,
    /// `SIZE` (RFC 1870): `Some(0)` when offered without a limit.
    pub size: Option<u64>,
    /// `AUTH` mechanisms, in upper case (RFC 4954).
    pub auth: Vec<String>,
    /// Every other keyword with its parameters, as written.
    pub other: Vec<String>,
}

impl Capabilities {
    /// Reads a 250 reply to EHLO or LHLO; a reply to HELO gives none.
    pub fn parse(reply: &Reply) -> Capabilities {
        let _ = reply;
        todo!()
    }
}
