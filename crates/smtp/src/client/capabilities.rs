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
    /// `BINARYMIME` (RFC 3030), which counts together with `CHUNKING` only.
    pub binary_mime: bool,
    /// `SIZE` (RFC 1870): `Some(0)` when offered without a limit.
    pub size: Option<u64>,
    /// `AUTH` mechanisms, in upper case (RFC 4954).
    pub auth: Vec<String>,
    /// `XEXCH50`: the data of Exchange 2000 and 2003 is taken.
    pub xexch50: bool,
    /// `REQUIRETLS` (RFC 8689).
    pub requiretls: bool,
    /// `LIMITS` (RFC 9422).
    pub limits: Limits,
    /// Every other keyword with its parameters, as written.
    pub other: Vec<String>,
}

/// What a server says it takes at most (RFC 9422 §4); `None`: it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `RCPTMAX`: RCPT commands of one transaction.
    pub recipients: Option<u32>,
    /// `MAILMAX`: MAIL commands of one session.
    pub transactions: Option<u32>,
    /// `RCPTDOMAINMAX`: domains of the recipients of one transaction.
    pub domains: Option<u32>,
}

impl Capabilities {
    /// Reads a 250 reply to EHLO or LHLO. Its first line is a greeting, so a reply to HELO gives none.
    pub fn parse(reply: &Reply) -> Capabilities {
        let mut capabilities = Capabilities::default();
        for line in reply.lines.iter().skip(1) {
            capabilities.add(line.trim());
        }
        capabilities
    }

    /// Whether a binary message can be sent as it is.
    pub fn takes_binary(&self) -> bool {
        self.chunking && self.binary_mime
    }

    fn add(&mut self, line: &str) {
        // `AUTH=LOGIN` is how servers before RFC 2554 wrote it; some still do.
        let (keyword, parameters) = line.split_once([' ', '=']).unwrap_or((line, ""));
        match keyword.to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "STARTTLS" => self.starttls = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "CHUNKING" => self.chunking = true,
            "BINARYMIME" => self.binary_mime = true,
            "SIZE" => self.size = Some(parameters.trim().parse().unwrap_or(0)),
            "AUTH" => {
                for mechanism in parameters.split_ascii_whitespace().map(str::to_ascii_uppercase) {
                    if !self.auth.contains(&mechanism) {
                        self.auth.push(mechanism);
                    }
                }
            }
            "XEXCH50" => self.xexch50 = true,
            "REQUIRETLS" => self.requiretls = true,
            "LIMITS" => self.limits = Limits::parse(parameters),
            "" => {}
            _ => self.other.push(line.to_owned()),
        }
    }
}

impl Limits {
    /// Reads `RCPTMAX=100 MAILMAX=20 …`. What is not known, or is no number from 1 up, says nothing (RFC 9422 §3).
    fn parse(parameters: &str) -> Limits {
        let mut limits = Limits::default();
        for (name, value) in parameters.split_ascii_whitespace().filter_map(|word| word.split_once('=')) {
            let value = value.parse().ok().filter(|value| *value > 0);
            match name.to_ascii_uppercase().as_str() {
                "RCPTMAX" => limits.recipients = value,
                "MAILMAX" => limits.transactions = value,
                "RCPTDOMAINMAX" => limits.domains = value,
                _ => {}
            }
        }
        limits
    }
}
