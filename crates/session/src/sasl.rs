//! The server's side of SASL: which mechanisms there are, and the exchange of each up to what a host can judge.
//!
//! PLAIN (RFC 4616) and LOGIN (draft-murchison-sasl-login) end in a password, SCRAM ([`scram`]) in a proof, OAUTHBEARER and
//! XOAUTH2 ([`bearer`]) in a token, GSSAPI (RFC 4752) and GSS-SPNEGO in messages that only the host understands.

pub(crate) mod bearer;
pub(crate) mod scram;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use bearer::{Bearer, Dialect};
use scram::{ClientFirst, ServerFirst};

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// Kerberos (RFC 4752).
    Gssapi,
    /// Kerberos inside SPNEGO (RFC 4178), as Windows clients have it.
    GssSpnego,
    /// `X-EXPS GSSAPI`: as GSSAPI, of a server of the organization (F §3.12). Not said to AUTH.
    ExpsGssapi,
    /// RFC 7677, bound to the TLS connection.
    ScramPlus,
    /// RFC 7677.
    Scram,
    /// RFC 4616.
    Plain,
    /// Two questions, two answers; no standard, much used.
    Login,
    /// RFC 7628.
    OauthBearer,
    /// Its forerunner.
    Xoauth2,
}

impl Mechanism {
    /// All of AUTH, in the order in which they are offered.
    pub(crate) const ALL: [Mechanism; 8] = [
        Mechanism::Gssapi,
        Mechanism::GssSpnego,
        Mechanism::ScramPlus,
        Mechanism::Scram,
        Mechanism::Plain,
        Mechanism::Login,
        Mechanism::OauthBearer,
        Mechanism::Xoauth2,
    ];

    /// Finds a mechanism by its name, in any case.
    pub(crate) fn parse(name: &str) -> Option<Mechanism> {
        Mechanism::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// The name as it is offered in the reply to EHLO.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Gssapi | Mechanism::ExpsGssapi => "GSSAPI",
            Mechanism::GssSpnego => "GSS-SPNEGO",
            Mechanism::ScramPlus => "SCRAM-SHA-256-PLUS",
            Mechanism::Scram => "SCRAM-SHA-256",
            Mechanism::Plain => "PLAIN",
            Mechanism::Login => "LOGIN",
            Mechanism::OauthBearer => "OAUTHBEARER",
            Mechanism::Xoauth2 => "XOAUTH2",
        }
    }
}

/// Who the client says it is, and by what it wants to be believed.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// Authentication identity, as typed.
    pub(crate) account: String,
    /// Authorization identity: the mailbox to log on to, as typed. `None`: the account's own.
    pub(crate) mailbox: Option<String>,
    /// The password.
    pub(crate) password: Zeroizing<Vec<u8>>,
}

/// An exchange in progress: what the next line of the client answers.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// The one message of PLAIN.
    Plain,
    /// The user name of LOGIN.
    LoginName,
    /// The password of LOGIN, after this name.
    LoginPassword(String),
    /// The first message of SCRAM, with channel binding or without.
    ScramFirst { plus: bool },
    /// The proof of SCRAM.
    ScramProof(Box<ServerFirst>),
    /// The empty answer to our own proof.
    ScramDone,
    /// The message with the token.
    Bearer(Dialect),
    /// The dummy answer to the news that the token does not count (RFC 7628 §3.2.3).
    BearerRefused,
    /// A message of GSSAPI or SPNEGO.
    Gss(Mechanism),
}

/// What a response led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// Ask on: the text of the 334 reply, base64 already.
    Challenge(Exchange, Cow<'static, str>),
    /// All is said.
    Complete(Credentials),
    /// The keys of this account are needed.
    ScramKeys { first: ClientFirst, plus: bool },
    /// A proof of SCRAM, to be judged by the exchange that it answers.
    ScramProof(Box<ServerFirst>, Zeroizing<Vec<u8>>),
    /// The client has taken our proof.
    ScramDone,
    /// A token, to be judged.
    Bearer(Dialect, Bearer),
    /// The client knows that its token does not count.
    BearerRefused,
    /// A message for the host.
    Gss { mechanism: Mechanism, first: bool, message: Vec<u8> },
    /// What was said is nothing that the mechanism allows; fails as wrong credentials do.
    Incoherent,
}

/// `Username:` and `Password:`, the questions of LOGIN.
const USERNAME: &str = "VXNlcm5hbWU6";
const PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// Begins an exchange, with the initial response if the client gave one (RFC 4954 §4).
    pub(crate) fn begin(mechanism: Mechanism, initial: Option<Zeroizing<Vec<u8>>>, separator: char) -> Step {
        let (exchange, question) = match mechanism {
            Mechanism::Plain => (Exchange::Plain, ""),
            Mechanism::Login => (Exchange::LoginName, USERNAME),
            Mechanism::Scram => (Exchange::ScramFirst { plus: false }, ""),
            Mechanism::ScramPlus => (Exchange::ScramFirst { plus: true }, ""),
            Mechanism::OauthBearer => (Exchange::Bearer(Dialect::OauthBearer), ""),
            Mechanism::Xoauth2 => (Exchange::Bearer(Dialect::Xoauth2), ""),
            Mechanism::Gssapi | Mechanism::GssSpnego | Mechanism::ExpsGssapi => {
                return match initial {
                    Some(message) => Step::Gss { mechanism, first: true, message: message.to_vec() },
                    None => Step::Challenge(Exchange::Gss(mechanism), Cow::Borrowed("")),
                };
            }
        };
        match initial {
            None => Step::Challenge(exchange, Cow::Borrowed(question)),
            Some(response) => exchange.respond(response, separator),
        }
    }

    /// Takes what the client answered to a challenge, base64 removed.
    pub(crate) fn respond(self, response: Zeroizing<Vec<u8>>, separator: char) -> Step {
        match self {
            Exchange::Plain => plain(&response).map_or(Step::Incoherent, Step::Complete),
            Exchange::LoginName => match text(&response) {
                Some(name) => Step::Challenge(Exchange::LoginPassword(name), Cow::Borrowed(PASSWORD)),
                None => Step::Incoherent,
            },
            Exchange::LoginPassword(name) => login(&name, response, separator).map_or(Step::Incoherent, Step::Complete),
            Exchange::ScramFirst { plus } => {
                ClientFirst::parse(&response).map_or(Step::Incoherent, |first| Step::ScramKeys { first, plus })
            }
            Exchange::ScramProof(server) => Step::ScramProof(server, response),
            Exchange::ScramDone if response.is_empty() => Step::ScramDone,
            Exchange::ScramDone => Step::Incoherent,
            Exchange::Bearer(dialect) => {
                dialect.parse(&response).map_or(Step::Incoherent, |bearer| Step::Bearer(dialect, bearer))
            }
            Exchange::BearerRefused => Step::BearerRefused,
            Exchange::Gss(mechanism) => Step::Gss { mechanism, first: false, message: response.to_vec() },
        }
    }

    /// A challenge with this text or these octets.
    pub(crate) fn challenge(self, content: impl AsRef<[u8]>) -> Step {
        Step::Challenge(self, Cow::Owned(STANDARD.encode(content)))
    }
}

/// RFC 4616 §2: `[authzid] NUL authcid NUL passwd`, UTF-8, neither name nor password empty.
fn plain(message: &[u8]) -> Option<Credentials> {
    let mut parts = message.split(|&byte| byte == 0);
    let (authzid, authcid, password) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || password.is_empty() {
        return None;
    }
    let mailbox = match authzid {
        b"" => None,
        name => Some(text(name)?),
    };
    Some(Credentials { account: text(authcid)?, mailbox, password: Zeroizing::new(password.to_vec()) })
}

/// The name of LOGIN may hold the mailbox after the connector's separator (`authorization.md` §6). A name with two
/// separators could be read in two ways and is refused.
fn login(name: &str, password: Zeroizing<Vec<u8>>, separator: char) -> Option<Credentials> {
    if password.is_empty() || password.contains(&0) {
        return None;
    }
    let (account, mailbox) = match name.split_once(separator) {
        None => (name, None),
        Some((account, mailbox)) => (account, Some(mailbox)),
    };
    let ambiguous = mailbox.is_some_and(|name| name.contains(separator));
    if ambiguous || account.is_empty() || mailbox == Some("") {
        return None;
    }
    Some(Credentials { account: account.to_owned(), mailbox: mailbox.map(str::to_owned), password })
}

/// A name: UTF-8, not empty, no control characters.
fn text(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    (!name.is_empty() && !name.chars().any(char::is_control)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(step: Step) -> (String, Option<String>, Vec<u8>) {
        match step {
            Step::Complete(credentials) => (credentials.account, credentials.mailbox, credentials.password.to_vec()),
            other => panic!("{other:?}"),
        }
    }

    fn plain_of(message: &[u8]) -> Step {
        Exchange::begin(Mechanism::Plain, Some(message.to_vec().into()), '*')
    }

    fn login_of(name: &str) -> Step {
        match Exchange::begin(Mechanism::Login, Some(name.as_bytes().to_vec().into()), '*') {
            Step::Challenge(exchange, question) if question == PASSWORD => {
                exchange.respond(b"secret".to_vec().into(), '*')
            }
            other => other,
        }
    }

    #[test]
    fn plain_gives_account_mailbox_and_password() {
        assert_eq!(complete(plain_of(b"\0bob\0secret")), ("bob".into(), None, b"secret".to_vec()));
        assert_eq!(complete(plain_of(b"ceo\0dave\0a b")), ("dave".into(), Some("ceo".into()), b"a b".to_vec()));
    }

    #[test]
    fn plain_without_an_initial_response_is_asked_with_an_empty_challenge() {
        let step = Exchange::begin(Mechanism::Plain, None, '*');
        assert!(matches!(step, Step::Challenge(Exchange::Plain, question) if question.is_empty()));
    }

    #[test]
    fn plain_with_too_few_or_too_many_parts_or_nothing_in_them_is_incoherent() {
        for message in [&b""[..], b"bob", b"\0bob", b"\0bob\0", b"\0\0secret", b"\0bob\0secret\0", b"\0b\xffb\0secret"]
        {
            assert!(matches!(plain_of(message), Step::Incoherent), "{message:?}");
        }
    }

    #[test]
    fn login_asks_for_a_name_and_then_for_a_password() {
        assert!(matches!(
            Exchange::begin(Mechanism::Login, None, '*'),
            Step::Challenge(Exchange::LoginName, question) if question == "VXNlcm5hbWU6"
        ));
        assert_eq!(complete(login_of("bob")), ("bob".into(), None, b"secret".to_vec()));
    }

    #[test]
    fn login_names_the_mailbox_after_the_separator() {
        assert_eq!(complete(login_of("dave*ceo")), ("dave".into(), Some("ceo".into()), b"secret".to_vec()));
    }

    #[test]
    fn login_with_two_separators_or_an_empty_side_is_incoherent() {
        for name in ["dave*ceo*x", "*ceo", "dave*", "*", ""] {
            assert!(matches!(login_of(name), Step::Incoherent), "{name}");
        }
    }
}
