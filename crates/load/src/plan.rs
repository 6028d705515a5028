//! What a run does.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::error::PlanError;
use crate::mail::SenderMix;
use crate::pattern::Pattern;
use crate::sizes::Sizes;

/// Everything that a run needs to know. [`Plan::new`] fills in what most runs want; change the fields that differ.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// The name given in EHLO.
    pub hello: String,
    /// Whether and how the connection is encrypted.
    pub tls: Tls,
    /// How sessions log on; `None` stays anonymous.
    pub auth: Option<Auth>,
    /// Who sends.
    pub senders: SenderMix,
    /// Who receives; each recipient of a message is drawn anew.
    pub recipients: Pattern,
    /// Recipients of each message, at least 1.
    pub recipients_per_message: u32,
    /// Message sizes.
    pub sizes: Sizes,
    /// Sessions at the same time.
    pub sessions: u32,
    /// How long connections are kept.
    pub connections: Connections,
    /// MAIL, RCPT and DATA in one packet (RFC 2920) where the server offers PIPELINING.
    pub pipelining: bool,
    /// Messages a second over all sessions; `None` is as fast as the server answers.
    pub rate: Option<f64>,
    /// When the run ends.
    pub stop: Stop,
    /// How long to wait for any one reply.
    pub timeout: Duration,
    /// Seed of the mix: the same plan with the same seed draws the same senders, recipients and sizes in each session.
    pub seed: u64,
}

impl Plan {
    /// Anonymous, plain text, one session, 100 messages of 10 kB on one kept connection.
    pub fn new(target: SocketAddr, senders: SenderMix, recipients: Pattern) -> Plan {
        Plan {
            target,
            hello: "load.invalid".to_owned(),
            tls: Tls::None,
            auth: None,
            senders,
            recipients,
            recipients_per_message: 1,
            sizes: Sizes::fixed(10_000),
            sessions: 1,
            connections: Connections::Kept,
            pipelining: true,
            rate: None,
            stop: Stop::Count(100),
            timeout: Duration::from_secs(60),
            seed: 1,
        }
    }

    pub(crate) fn check(&self) -> Result<(), PlanError> {
        if self.sessions == 0 {
            return Err(PlanError::Nothing("the number of sessions must be at least 1"));
        }
        if self.recipients_per_message == 0 {
            return Err(PlanError::Nothing("a message needs at least one recipient"));
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate <= 0.0) {
            return Err(PlanError::Nothing("the rate must be more than 0 messages a second"));
        }
        if self.auth.is_none() && (self.senders.needs_account() || self.recipients.needs_account()) {
            return Err(PlanError::Nothing("{account} stands for the login in use, and this run does not log on"));
        }
        if self.auth.as_ref().is_some_and(|auth| auth.accounts.count() == 0) {
            return Err(PlanError::Nothing("the list of accounts is empty"));
        }
        match self.stop {
            Stop::Count(0) => Err(PlanError::Nothing("the number of messages must be at least 1")),
            Stop::After(time) if time.is_zero() => Err(PlanError::Nothing("the duration must be more than 0")),
            _ => Ok(()),
        }
    }
}

/// Encryption of the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Plain text.
    None,
    /// STARTTLS (RFC 3207).
    StartTls {
        /// PEM file with the certificates to trust for `name`; `None` accepts any certificate, as a load test of a
        /// server with a self-signed one wants it.
        roots: Option<PathBuf>,
        /// The name that the certificate must carry, and that is sent as SNI.
        name: String,
        /// Whether fresh connections resume an earlier TLS session. Without it each pays a full handshake.
        resume: bool,
    },
}

/// Logging on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// SASL mechanism.
    pub mechanism: Mechanism,
    /// The accounts; session `n` begins with account `n`, and each new connection takes the next one.
    pub accounts: Accounts,
}

/// A SASL mechanism that the generator speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// RFC 4616, with the initial response.
    Plain,
    /// The two-prompt mechanism of draft-murchison-sasl-login.
    Login,
}

impl Mechanism {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
        }
    }
}

impl FromStr for Mechanism {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Mechanism, PlanError> {
        match text.to_ascii_lowercase().as_str() {
            "plain" => Ok(Mechanism::Plain),
            "login" => Ok(Mechanism::Login),
            _ => Err(PlanError::Nothing("the mechanism is `plain` or `login`")),
        }
    }
}

/// The accounts that log on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accounts {
    /// Logins and their passwords.
    List(Vec<(String, String)>),
    /// Logins by pattern; `{account}` in the password stands for the login.
    Pattern {
        /// Such as `user{0..999}`.
        login: Pattern,
        /// Such as `{account}-demo`.
        password: Pattern,
    },
}

impl Accounts {
    /// Reads `login:password` lines; empty lines and lines that begin with `#` are skipped. The password may hold colons.
    pub fn from_lines(text: &str) -> Result<Accounts, PlanError> {
        let mut list = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.split_once(':') {
                Some((login, password)) if !login.is_empty() => list.push((login.to_owned(), password.to_owned())),
                _ => return Err(PlanError::AccountLine { line: index + 1 }),
            }
        }
        Ok(Accounts::List(list))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        match self {
            Accounts::List(list) => list.len() as u64,
            Accounts::Pattern { login, .. } => login.count(),
        }
    }

    /// Login and password of account `index` (modulo the count).
    pub(crate) fn account(&self, index: u64) -> (String, String) {
        match self {
            Accounts::List(list) => list[(index % list.len().max(1) as u64) as usize].clone(),
            Accounts::Pattern { login, password } => {
                let login = login.name(index, "");
                let password = password.name(index, &login);
                (login, password)
            }
        }
    }
}

/// How long a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// As long as the run.
    Kept,
    /// A new one after so many messages; 1 connects for every message.
    Fresh(u32),
}

/// When a run ends. Messages that are under way are finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// After so many messages were attempted.
    Count(u64),
    /// After this time.
    After(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons() {
        let accounts = Accounts::from_lines("# people\nbob:a:b\n\n").unwrap();
        assert_eq!(accounts.account(0), ("bob".to_owned(), "a:b".to_owned()));
    }

    #[test]
    fn a_line_without_a_colon_is_named_by_its_number() {
        assert_eq!(Accounts::from_lines("bob:x\nalice\n"), Err(PlanError::AccountLine { line: 2 }));
    }

    #[test]
    fn the_password_follows_the_login() {
        let accounts =
            Accounts::Pattern { login: "user{0..9}".parse().unwrap(), password: "{account}-demo".parse().unwrap() };
        assert_eq!(accounts.account(13), ("user3".to_owned(), "user3-demo".to_owned()));
    }
}
