//! The commands of an SMTP client, as parsed.

use std::fmt;
use std::ops::Deref;

use message::Address;
use zeroize::Zeroize;

/// A command of an SMTP client. Verbs are recognised in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO name` (RFC 5321 §4.1.1.1). The name is printable ASCII without spaces; nothing more is believed of it.
    Ehlo(String),
    /// `HELO name`.
    Helo(String),
    /// `LHLO name` (RFC 2033).
    Lhlo(String),
    /// `STARTTLS` (RFC 3207).
    StartTls,
    /// `X-ANONYMOUSTLS`: TLS between servers of one organization (facts 3.12).
    XAnonymousTls,
    /// `X-EXPS`: AUTH between servers of one organization (facts 3.12).
    XExps {
        /// As in [`Command::Auth`].
        mechanism: String,
        /// As in [`Command::Auth`].
        initial: Option<InitialResponse>,
    },
    /// `AUTH mechanism [initial-response]` (RFC 4954).
    Auth {
        /// The mechanism, in upper case.
        mechanism: String,
        /// The initial response, base64 removed; `=` gives an empty one.
        initial: Option<InitialResponse>,
    },
    /// `MAIL FROM:<reverse-path> …` (RFC 5321 §4.1.1.2).
    Mail {
        /// The reverse-path.
        from: ReversePath,
        /// ESMTP parameters.
        params: MailParams,
    },
    /// `RCPT TO:<forward-path> …` (RFC 5321 §4.1.1.3).
    Rcpt {
        /// The forward-path.
        to: ForwardPath,
        /// ESMTP parameters.
        params: RcptParams,
    },
    /// `DATA`.
    Data,
    /// `BDAT size [LAST]` (RFC 3030).
    Bdat {
        /// Bytes that follow.
        size: u64,
        /// Whether this is the last chunk.
        last: bool,
    },
    /// `RSET`.
    Rset,
    /// `NOOP [text]`.
    Noop,
    /// `QUIT`.
    Quit,
    /// `VRFY text`.
    Vrfy(String),
    /// `EXPN text`.
    Expn(String),
    /// `HELP [text]`.
    Help,
    /// `XEXCH50 size version` (MS-OXSMTP): a blob of `size` bytes follows the 354 reply.
    XExch50 {
        /// Bytes that follow the reply.
        size: u64,
    },
    /// Any other verb, in upper case.
    Unknown(String),
}

/// The initial response of AUTH: a credential. It is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct InitialResponse(Vec<u8>);

impl InitialResponse {
    /// Wraps decoded bytes.
    pub fn new(bytes: Vec<u8>) -> InitialResponse {
        InitialResponse(bytes)
    }

    /// The bytes; the caller wipes them.
    pub fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

impl Deref for InitialResponse {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for InitialResponse {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for InitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// The argument of MAIL FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`.
    Null,
    /// A mailbox; a source route is parsed and dropped (RFC 5321 appendix C).
    Address(Address),
}

impl ReversePath {
    /// The address, unless this is the null reverse-path.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

/// The argument of RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<postmaster>`, in any case (RFC 5321 §4.1.1.3).
    Postmaster,
    /// A mailbox; a source route is parsed and dropped.
    Address(Address),
}

/// ESMTP parameters of MAIL FROM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParams {
    /// `SIZE` (RFC 1870), in bytes.
    pub size: Option<u64>,
    /// `BODY` (RFC 6152, RFC 3030).
    pub body: Option<BodyType>,
    /// `SMTPUTF8` (RFC 6531).
    pub smtputf8: bool,
    /// `AUTH` (RFC 4954 §5): what a peer claims; never proof of an address.
    pub auth: Option<AuthParam>,
    /// `RET` (RFC 3461 §4.3).
    pub ret: Option<ReturnContent>,
    /// `ENVID` (RFC 3461 §4.4), decoded: printable ASCII.
    pub envid: Option<String>,
    /// `REQUIRETLS` (RFC 8689): over verified TLS to the end, or not at all.
    pub requiretls: bool,
}

/// ESMTP parameters of RCPT TO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParams {
    /// `NOTIFY` (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// `ORCPT` (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

impl RcptParams {
    /// No parameters.
    pub const NONE: RcptParams = RcptParams { notify: None, orcpt: None };
}

/// `BODY=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyType {
    /// `7BIT`.
    SevenBit,
    /// `8BITMIME`.
    EightBitMime,
    /// `BINARYMIME` (RFC 3030): BDAT only.
    BinaryMime,
}

/// `AUTH=` on MAIL FROM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthParam {
    /// `AUTH=<>`.
    Null,
    /// `AUTH=mailbox`.
    Address(Address),
}

/// `RET=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnContent {
    /// `FULL`.
    Full,
    /// `HDRS`.
    Headers,
}

/// `NOTIFY=`; all false is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// `SUCCESS`.
    pub success: bool,
    /// `FAILURE`.
    pub failure: bool,
    /// `DELAY`.
    pub delay: bool,
}

/// `ORCPT=type;address`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The address type, for example `rfc822`.
    pub kind: String,
    /// The address; printable, UTF-8 only for type `utf-8`.
    pub address: String,
}

impl fmt::Display for OriginalRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.kind, self.address)
    }
}
