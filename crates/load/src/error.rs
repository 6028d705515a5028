//! What can be wrong with a plan, and what ends a run early.

use std::net::SocketAddr;

/// A part of a plan that cannot be understood. The text names the part and shows what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A `{` without `}`, or a `}` without `{`.
    #[error("`{pattern}`: braces do not match; a range is written like user{{0..999}}")]
    Braces {
        /// The pattern as given.
        pattern: String,
    },
    /// Something within braces that is neither a range nor `{account}`.
    #[error("`{pattern}`: `{{{inside}}}` is neither a range like {{0..999}} nor {{account}}")]
    Range {
        /// The pattern as given.
        pattern: String,
        /// What stands within the braces.
        inside: String,
    },
    /// A size that is not a number with an optional unit.
    #[error("`{text}` is not a size; write 10k, 4096, 1m-5m, or a mix such as 4k=70,100k=25,5m=5")]
    Size {
        /// The part that was not understood.
        text: String,
    },
    /// A weight that is not a positive whole number.
    #[error("`{text}`: the weight after `=` must be a whole number from 1 to 1000000")]
    Weight {
        /// The part with the weight.
        text: String,
    },
    /// A sender with too many parts.
    #[error(
        "`{text}` is not a sender; write ENVELOPE, ENVELOPE/FROM or ENVELOPE/FROM/SENDER, each an address or a pattern, `<>` for the null sender"
    )]
    Sender {
        /// The sender as given.
        text: String,
    },
    /// An address that would break a command line or a header.
    #[error("`{text}` cannot be used as an address: it holds a space, an angle bracket or a control character")]
    Address {
        /// The address or pattern as given.
        text: String,
    },
    /// A line of an account list that is not `login:password`.
    #[error("line {line} of the account list is not login:password")]
    AccountLine {
        /// Counted from 1.
        line: usize,
    },
    /// A plan that would do nothing.
    #[error("{0}")]
    Nothing(&'static str),
}

/// Why a run could not begin or had to end. Single failed messages do not end a run: they are counted in the report.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan contradicts itself.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Nobody listens, or the connection could not be made.
    #[error("cannot connect to {target}: {source}; is the server running and is this its address?")]
    Connect {
        /// Where to.
        target: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The server did not greet with 220.
    #[error("{target} did not greet: {reply}")]
    Greeting {
        /// Where to.
        target: SocketAddr,
        /// What it said instead.
        reply: String,
    },
    /// EHLO was refused.
    #[error("{target} refused EHLO: {reply}")]
    Ehlo {
        /// Where to.
        target: SocketAddr,
        /// What it said.
        reply: String,
    },
    /// STARTTLS is asked for and not offered.
    #[error("{target} does not offer STARTTLS; leave TLS out or use another port")]
    NoStartTls {
        /// Where to.
        target: SocketAddr,
    },
    /// The TLS handshake failed.
    #[error("TLS with {target} failed: {source}")]
    Tls {
        /// Where to.
        target: SocketAddr,
        /// What the TLS library said.
        source: std::io::Error,
    },
    /// The roots of trust could not be read.
    #[error("the certificates to trust: {0}")]
    Roots(String),
    /// AUTH is asked for and not offered.
    #[error("{target} does not offer AUTH {mechanism}{hint}")]
    NoAuth {
        /// Where to.
        target: SocketAddr,
        /// `PLAIN` or `LOGIN`.
        mechanism: &'static str,
        /// What to try, with a leading separator, or nothing.
        hint: &'static str,
    },
    /// The very first login was refused. Later ones are counted.
    #[error("{target} refused the login of {login}: {reply}")]
    Login {
        /// Where to.
        target: SocketAddr,
        /// The account.
        login: String,
        /// What the server said.
        reply: String,
    },
    /// The connection broke or timed out.
    #[error("the connection to {target} broke: {source}")]
    Broken {
        /// Where to.
        target: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// Too many connections in a row failed.
    #[error("gave up after {failures} failed connections in a row; the last one: {last}")]
    GaveUp {
        /// How many.
        failures: u32,
        /// The last failure.
        last: Box<LoadError>,
    },
    /// The runtime could not start.
    #[error("cannot start: {0}")]
    Start(std::io::Error),
}
