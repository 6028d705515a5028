//! Kerberos for sessions: AUTH GSSAPI (RFC 4752) and GSS-SPNEGO with the keys of a keytab. No KDC is asked, and no C library
//! is used.
//!
//! A ticket counts when a key of the keytab for service `smtp` opens it, it is in force, and its authenticator is fresh and
//! was not seen before. AES-256 and AES-128 are taken (RFC 3962), RC4 and DES never. A ticket says who somebody is, not which
//! groups he is in (no PAC is read): those are the directory's.

mod spnego;
mod ticket;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::kerberos::{Channel, Keytab, Unopened};
use session::{GssOutcome, Identity};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// By how much the clocks of client and server may differ (RFC 4120 §8.2).
const SKEW: Duration = Duration::from_secs(300);
/// Authenticators that are remembered; beyond, tickets are put off.
const MOST_REMEMBERED: usize = 100_000;
/// The service whose tickets are for us.
const SERVICE: &str = "smtp";
/// RFC 4752 §3.1: "no security layer".
const NO_LAYER: u8 = 1;

/// Why a keytab cannot be used.
#[derive(Debug, Error)]
pub enum KeytabError {
    /// It cannot be read, or is none.
    #[error(transparent)]
    Keytab(#[from] ::kerberos::KeytabError),
    /// It has no key that can be used here.
    #[error("{}: it has no AES key (aes256-cts-hmac-sha1-96 or aes128-cts-hmac-sha1-96) for a service principal smtp/…; RC4 and DES are refused", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
}

/// The acceptor: keys, and what was seen.
#[derive(Debug)]
pub struct Kerberos {
    keytab: Keytab,
    seen: Mutex<HashMap<[u8; 32], Instant>>,
}

/// The server's side of one exchange.
pub struct Context {
    kerberos: Arc<Kerberos>,
    /// GSS-SPNEGO, which has no security layers to choose from (MS-SPNG; no RFC).
    bare: bool,
    state: State,
}

enum State {
    /// Nothing was said.
    New,
    /// SPNEGO has agreed on Kerberos, by this name; a ticket is to come.
    Agreed(Vec<u8>),
    /// The client hears of our proof, and answers with nothing.
    Accepted(Channel, Principal),
    /// The client is to choose among no security layers.
    Offered(Channel, Principal),
    /// It is over.
    Done,
}

/// Who a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Principal {
    name: String,
    realm: String,
}

/// Why a ticket does not count.
#[derive(Debug, Error)]
enum Fault {
    #[error("it is no Kerberos message")]
    Malformed,
    #[error("no key of the keytab is for {0} (encryption type {1})")]
    NoKey(String, u32),
    #[error("the key of {0} is of RC4, which is refused: give the account AES keys")]
    Rc4(String),
    #[error("the ticket cannot be opened: {0}")]
    Closed(#[from] Unopened),
    #[error("{0}")]
    Time(&'static str),
    #[error("it was seen before")]
    Replayed,
    #[error("its principal is no account")]
    Principal,
    #[error("the client wants a security layer")]
    Layer,
    #[error("the client prefers another mechanism to Kerberos")]
    Mechanism,
}

impl Kerberos {
    /// An acceptor with the keys of a keytab file.
    pub fn open(keytab: &Path) -> Result<Kerberos, KeytabError> {
        let keys = Keytab::read(keytab)?.of_service(SERVICE);
        if keys.is_empty() {
            return Err(KeytabError::NoKey { path: keytab.to_owned() });
        }
        Ok(Kerberos { keytab: keys, seen: Mutex::default() })
    }

    /// An acceptor with the keys of a keytab, of which none need be usable; `None`: it is none.
    pub fn with_keytab(octets: &[u8]) -> Option<Kerberos> {
        Some(Kerberos { keytab: Keytab::parse(octets)?.of_service(SERVICE), seen: Mutex::default() })
    }

    /// An exchange: of GSS-SPNEGO, or of GSSAPI, where a client may put SPNEGO around its ticket as .NET does.
    pub fn context(self: &Arc<Self>, spnego: bool) -> Context {
        Context { kerberos: Arc::clone(self), bare: spnego, state: State::New }
    }

    /// Remembers an authenticator; an error where it was seen within the time that it is good for.
    fn remember(&self, authenticator: &[u8]) -> Result<(), Fault> {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_REMEMBERED {
            seen.retain(|_, until| *until > now);
        }
        if seen.len() >= MOST_REMEMBERED {
            return Err(Fault::Replayed);
        }
        match seen.insert(Sha256::digest(authenticator).into(), now + 2 * SKEW) {
            Some(until) if until > now => Err(Fault::Replayed),
            _ => Ok(()),
        }
    }
}

impl Context {
    /// Takes a message of the client.
    pub fn step(&mut self, message: &[u8]) -> GssOutcome {
        match self.try_step(message) {
            Ok(outcome) => outcome,
            Err(fault) => {
                tracing::info!(reason = %fault, "a ticket does not count");
                self.state = State::Done;
                GssOutcome::Refused
            }
        }
    }

    fn try_step(&mut self, message: &[u8]) -> Result<GssOutcome, Fault> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New if spnego::is_spnego(message) => self.negotiate(message),
            State::New if self.bare => Err(Fault::Malformed),
            State::New => self.accept(message, None),
            State::Agreed(name) => {
                let token = spnego::response(message).ok_or(Fault::Malformed)?;
                self.accept(token, Some(&name))
            }
            State::Accepted(_, principal) if message.is_empty() && self.bare => Ok(done(principal, None)),
            State::Accepted(channel, principal) if message.is_empty() => self.offer(channel, principal),
            State::Offered(channel, principal) => chosen(channel, principal, message),
            State::Accepted(..) | State::Done => Err(Fault::Malformed),
        }
    }

    /// RFC 4178: Kerberos, where it is the client's first choice. Where it is not, each side would have to prove that
    /// nobody changed the list; no client that has a ticket puts something else before it.
    fn negotiate(&mut self, message: &[u8]) -> Result<GssOutcome, Fault> {
        let init = spnego::Init::parse(message).ok_or(Fault::Malformed)?;
        let first = init.mechanisms.first().filter(|first| spnego::is_kerberos(first)).ok_or(Fault::Mechanism)?;
        match init.token {
            Some(token) => self.accept(token, Some(first)),
            None => {
                self.state = State::Agreed(first.to_vec());
                Ok(GssOutcome::Continue(spnego::answer(spnego::Progress::Incomplete, first, b"")))
            }
        }
    }

    /// The ticket, inside SPNEGO where that agreed on it by this name.
    fn accept(&mut self, token: &[u8], agreed: Option<&[u8]>) -> Result<GssOutcome, Fault> {
        let remember = |authenticator: &[u8]| self.kerberos.remember(authenticator);
        let accepted = ticket::accept(token, &self.kerberos.keytab, remember)?;
        let answer = match agreed {
            Some(name) => spnego::answer(spnego::Progress::Completed, name, &accepted.answer),
            None if accepted.answer.is_empty() => return self.offer(accepted.channel, accepted.principal),
            None => accepted.answer,
        };
        self.state = State::Accepted(accepted.channel, accepted.principal);
        Ok(GssOutcome::Continue(answer))
    }

    /// RFC 4752 §3.1: which security layers there are (none), wrapped.
    fn offer(&mut self, mut channel: Channel, principal: Principal) -> Result<GssOutcome, Fault> {
        let wrapped = channel.wrap(&[NO_LAYER, 0, 0, 0])?;
        self.state = State::Offered(channel, principal);
        Ok(GssOutcome::Continue(wrapped))
    }
}

/// RFC 4752 §3.1: the layer that the client chose, and the authorization identity.
fn chosen(mut channel: Channel, principal: Principal, message: &[u8]) -> Result<GssOutcome, Fault> {
    let (opened, _) = channel.unwrap(message)?;
    let (&[layer, ..], mailbox) = opened.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    if layer != NO_LAYER {
        return Err(Fault::Layer);
    }
    let mailbox = match mailbox {
        b"" => None,
        name => Some(std::str::from_utf8(name).map_err(|_| Fault::Malformed)?.to_owned()),
    };
    // `user@REALM` is the principal's own name: it asks for no other mailbox.
    let own = |name: &String| {
        let full = format!("{}@{}", principal.name, principal.realm);
        name.eq_ignore_ascii_case(&full) || name.eq_ignore_ascii_case(&principal.name)
    };
    let mailbox = mailbox.filter(|name| !own(name));
    Ok(done(principal, mailbox))
}

fn done(principal: Principal, mailbox: Option<String>) -> GssOutcome {
    GssOutcome::Done { identity: Identity::Principal { name: principal.name, realm: principal.realm }, mailbox }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A keytab with a key of AES-256 for smtp/mail.
    fn kerberos() -> Arc<Kerberos> {
        let mut entry = vec![0, 2];
        for text in ["EXAMPLE.TEST", "smtp", "mail"] {
            entry.extend((text.len() as u16).to_be_bytes());
            entry.extend(text.as_bytes());
        }
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 18, 0, 32]);
        entry.extend([7; 32]);
        let octets = [&[5, 2][..], &(entry.len() as i32).to_be_bytes(), &entry].concat();
        Arc::new(Kerberos::with_keytab(&octets).unwrap())
    }

    #[test]
    fn a_keytab_without_a_key_for_us_says_what_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("krb5.keytab");
        std::fs::write(&path, [5, 2]).unwrap();
        assert!(Kerberos::open(&path).unwrap_err().to_string().contains("RC4 and DES are refused"));
        std::fs::write(&path, "not a keytab").unwrap();
        assert!(matches!(Kerberos::open(&path), Err(KeytabError::Keytab(_))));
    }

    #[test]
    fn an_authenticator_counts_once() {
        let kerberos = kerberos();
        assert!(kerberos.remember(b"one").is_ok() && kerberos.remember(b"two").is_ok());
        assert!(matches!(kerberos.remember(b"one"), Err(Fault::Replayed)));
    }

    #[test]
    fn spnego_that_prefers_another_mechanism_is_refused() {
        // NegTokenInit with NTLM alone, 1.3.6.1.4.1.311.2.2.10.
        let ntlm = [
            0x60, 0x1C, 0x06, 0x06, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x02, 0xA0, 0x12, 0x30, 0x10, 0xA0, 0x0E, 0x30, 0x0C,
            0x06, 0x0A, 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0A,
        ];
        let mut context = kerberos().context(true);
        assert!(matches!(context.negotiate(&ntlm), Err(Fault::Mechanism)));
    }

    proptest! {
        /// Whatever is sent, and however it begins, nobody is logged on and nothing panics.
        #[test]
        fn no_octets_log_anybody_on(
            spnego: bool,
            begins in 0..4_usize,
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..4),
        ) {
            let begins: &[u8] = [
                &[][..],
                &[0x60, 0x40, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00, 0x6E],
                &[0x60, 0x40, 0x06, 0x06, 0x2B, 0x06, 0x01, 0x05, 0x05, 0x02, 0xA0, 0x36, 0x30],
                &[0xA1, 0x20, 0x30, 0x1E, 0xA2],
            ][begins];
            let mut context = kerberos().context(spnego);
            for message in &messages {
                let outcome = context.step(&[begins, message].concat());
                let is_done = matches!(outcome, GssOutcome::Done { .. });
                prop_assert!(!is_done);
            }
        }
    }
}
