//! What is wrong with a sender field.

use crate::address::AddressError;

/// Why the sender fields are refused, whoever sends: `550 5.6.0` and the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {field} field {kind}")]
pub struct SenderFault {
    /// The name of the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub kind: SenderFaultKind,
}

/// What is wrong with a sender field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderFaultKind {
    /// There are two; readers show the first or the last.
    #[error("is there more than once")]
    Duplicate,
    /// There is the field, but no mailbox in it: nothing, or empty groups only.
    #[error("names no mailbox")]
    NoMailbox,
    /// Sender and Resent-Sender name one mailbox.
    #[error("names more than one mailbox")]
    SeveralMailboxes,
    /// More than [`super::MAX_MAILBOXES`].
    #[error("names too many mailboxes")]
    TooManyMailboxes,
    /// A group where a single mailbox is due.
    #[error("has a group where a mailbox is due")]
    Group,
    /// A group in a group, or one without its semicolon.
    #[error("has a group that is not well formed")]
    GroupSyntax,
    /// Bytes that are not UTF-8 (RFC 6532 §3.1).
    #[error("is not UTF-8")]
    NotUtf8,
    /// A control character.
    #[error("has a control character")]
    Control,
    /// A line of more than 998 octets (RFC 5322 §2.1.1), which others may cut.
    #[error("has a line of more than 998 octets")]
    LineTooLong,
    /// A continuation line of white space only, which some readers take for the end of the header.
    #[error("has a continuation line that is blank")]
    BlankLine,
    /// A comment without its end, or a closing parenthesis without a comment.
    #[error("has unbalanced parentheses")]
    Comment,
    /// Comments nested too deeply.
    #[error("has comments nested too deeply")]
    CommentDepth,
    /// A comment in an address, or right before one, that itself has `@`, `<` or `>` or goes over several lines.
    #[error("has a comment inside an address that looks like an address, or goes over several lines")]
    CommentInAddress,
    /// A quoted string or comment with `@`, `<`, `>` or a quote, in or behind one with a line end in it, or a quoted local
    /// part over several lines: there are readers for whom the line end is the end of it (Python's `email.utils` among them).
    #[error("has a quoted string or comment over several lines and what looks like an address, or a quote, in one")]
    FoldedAddress,
    /// A quoted string without its end.
    #[error("has a quoted string that does not end")]
    Quote,
    /// Angle brackets that do not match.
    #[error("has unbalanced angle brackets")]
    AngleBrackets,
    /// A source route that is not well formed.
    #[error("has a source route that is not well formed")]
    Route,
    /// A name without an address, or an address without `@`.
    #[error("has a mailbox without an address")]
    NoAddress,
    /// Words before an address that is not in angle brackets: `Carla carla@example.com`.
    #[error("has words before an address that is not in angle brackets")]
    WordsBeforeAddress,
    /// An address directly before another in angle brackets, or two mailboxes without a comma.
    #[error("has two addresses without a comma between them")]
    MissingComma,
    /// White space or comments around the dots of an address, or quoted strings joined by dots (obsolete syntax,
    /// RFC 5322 §4.4): other readers see another address.
    #[error("has an address with white space or comments between its parts")]
    ObsoleteAddress,
    /// An encoded word in an address (RFC 2047 §5 forbids it); some readers decode it.
    #[error("has an encoded word inside an address")]
    EncodedWord,
    /// A quoted local part that itself looks like an address.
    #[error("has a quoted local part that looks like an address")]
    ConfusingLocalPart,
    /// A character that has no place there.
    #[error("has a character out of place")]
    Unexpected,
    /// A display name that does not begin with a word, or has a quoted string without space around it.
    #[error("has a display name that is not well formed")]
    DisplayName,
    /// An address literal instead of a domain.
    #[error("has an address literal instead of a domain")]
    AddressLiteral,
    /// A domain without a dot.
    #[error("has a domain that is not fully qualified")]
    Unqualified,
    /// The address itself is not valid.
    #[error("has an address that is not valid: {0}")]
    Address(AddressError),
}

impl SenderFaultKind {
    pub(super) fn of(self, field: &'static str) -> SenderFault {
        SenderFault { field, kind: self }
    }
}
