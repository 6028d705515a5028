//! The faults of a peer.

use crate::reply::Reply;

/// A fault of the peer. Each has exactly one reply, whose text is its `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// A line longer than the limit (RFC 5321 §4.5.3.1.4); it was skipped.
    #[error("Line too long")]
    LineTooLong,
    /// A line that goes on and on.
    #[error("Endless line, closing connection")]
    EndlessLine,
    /// A NUL in a command.
    #[error("NUL character in command")]
    Nul,
    /// A CR without LF in a command.
    #[error("Carriage return without line feed in command")]
    BareCr,
    /// A LF without CR in a command.
    #[error("Line feed without carriage return in command")]
    BareLf,
    /// A control character or bytes that are not UTF-8.
    #[error("Command has characters that are not allowed")]
    Characters,
    /// No verb at the start of the line.
    #[error("Command unrecognized")]
    NoVerb,
    /// EHLO, HELO or LHLO without a name, or with one that is none.
    #[error("Invalid domain name")]
    HelloName,
    /// An argument where the verb takes none.
    #[error("This command takes no parameters")]
    ArgumentUnexpected,
    /// No argument where the verb needs one.
    #[error("This command needs a parameter")]
    ArgumentMissing,
    /// MAIL without `FROM:`.
    #[error("Syntax: MAIL FROM:<address>")]
    MailSyntax,
    /// RCPT without `TO:`.
    #[error("Syntax: RCPT TO:<address>")]
    RcptSyntax,
    /// A space after the colon of `FROM:` or `TO:`.
    #[error("No space is allowed after the colon")]
    SpaceAfterColon,
    /// A path without `<` and `>`, or with something directly behind it.
    #[error("The address must be in angle brackets")]
    PathBrackets,
    /// A source route that is none.
    #[error("Source route is not well formed")]
    SourceRoute,
    /// The reverse-path is no address.
    #[error("Bad sender address syntax")]
    SenderSyntax,
    /// The forward-path is no address.
    #[error("Bad destination address syntax")]
    RecipientSyntax,
    /// A reverse-path beyond ASCII without SMTPUTF8 (RFC 6531 §3.5).
    #[error("SMTPUTF8 is needed for this address")]
    Utf8Unannounced,
    /// A parameter that we do not know, or that this command does not have (RFC 5321 §4.1.1.11).
    #[error("Parameter not recognized or not implemented")]
    ParameterUnknown,
    /// A parameter given twice.
    #[error("Parameter given more than once")]
    ParameterDuplicate,
    /// A parameter whose value is missing, superfluous or not valid.
    #[error("Parameter value is not valid")]
    ParameterValue,
    /// BDAT without a valid size.
    #[error("Syntax: BDAT size [LAST]")]
    BdatSyntax,
    /// AUTH without a mechanism, or more than two parameters.
    #[error("Syntax: AUTH mechanism [initial-response]")]
    AuthSyntax,
    /// Base64 that cannot be decoded (RFC 4954 §4).
    #[error("Cannot decode response")]
    Base64,
}

impl PeerError {
    /// What is answered.
    pub fn reply(&self) -> Reply {
        use PeerError::*;
        let (code, enhanced) = match self {
            LineTooLong => (500, (5, 5, 6)),
            EndlessLine => (421, (4, 5, 6)),
            Nul | BareCr | BareLf | Characters | NoVerb => (500, (5, 5, 2)),
            HelloName | ArgumentUnexpected | ArgumentMissing | MailSyntax | RcptSyntax | SpaceAfterColon
            | PathBrackets | ParameterDuplicate | ParameterValue | BdatSyntax | AuthSyntax => (501, (5, 5, 4)),
            SourceRoute => (501, (5, 1, 0)),
            SenderSyntax => (501, (5, 1, 7)),
            RecipientSyntax => (501, (5, 1, 3)),
            Utf8Unannounced => (553, (5, 6, 7)),
            ParameterUnknown => (555, (5, 5, 4)),
            Base64 => (501, (5, 5, 2)),
        };
        Reply::new(code, enhanced, self.to_string())
    }

    /// Whether the connection must be closed after the reply, because what follows cannot be understood.
    pub fn is_fatal(&self) -> bool {
        matches!(self, PeerError::EndlessLine)
    }
}
