//! Passwords of the domain: a bind on a connection of its own, and never so many wrong ones that the domain locks the
//! account.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use acl::Guid;
use directory::Snapshot;

use crate::connection::{Connection, LdapError};
use crate::controller::Domain;
use crate::lockout::strictest;
use crate::message::code;
use crate::settings::Security;
use crate::source::{Active, lock};

/// What the domain says about a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    /// It is right.
    Right,
    /// It is wrong, or the account may not log on.
    Wrong,
    /// It was not asked: one more wrong password could lock the account.
    Spared,
    /// No domain controller could say; in words.
    Unavailable(String),
}

/// Wrong passwords of accounts lately.
#[derive(Debug, Default)]
pub(crate) struct Guesses(HashMap<Guid, VecDeque<Instant>>);

/// Accounts that are watched.
const WATCHED: usize = 100_000;

impl Guesses {
    /// Whether the account may be asked about once more; counts it as wrong until it is known to be right, so that many
    /// at a time are not more than one after the other.
    fn take(&mut self, (account, is_held): (Guid, bool), threshold: u32, window: Duration, now: Instant) -> bool {
        if threshold == 0 {
            return true;
        }
        if self.0.len() >= WATCHED && !self.0.contains_key(&account) {
            self.0.retain(|_, times| times.back().is_some_and(|last| now.duration_since(*last) < window));
            // Names that nobody has are without end.
            if self.0.len() >= WATCHED && !is_held {
                return false;
            }
        }
        let times = self.0.entry(account).or_default();
        while times.front().is_some_and(|first| now.duration_since(*first) >= window) {
            times.pop_front();
        }
        // Half of what the domain allows: its users guess elsewhere too.
        if times.len() as u32 >= (threshold / 2).max(1) {
            return false;
        }
        times.push_back(now);
        true
    }

    fn right(&mut self, account: &Guid) {
        self.0.remove(account);
    }

    /// What was taken and is not known to be wrong.
    fn give_back(&mut self, account: &Guid) {
        if let Some(times) = self.0.get_mut(account) {
            times.pop_back();
        }
    }
}

impl Active {
    /// Asks the domain of an account whether that is its password. None: the account is of none of the domains.
    pub fn login(&self, account: &Guid, password: &[u8]) -> Option<Login> {
        let snapshot = self.inner.sink.snapshot();
        let id = snapshot.by_guid(account)?;
        let object = snapshot.domain_of(id).and_then(|domain| snapshot.object(domain.object))?;
        let domain = lock(&self.inner.domains).iter().find(|domain| domain.guid() == object.guid()).cloned()?;
        Some(self.ask(&domain, &snapshot, account, &snapshot.dn(id), password))
    }

    /// Does for a name that nobody has, or that may not log on, what is done for one that somebody has: as often, and as long,
    /// so that no stranger can tell one from the other. `subject`: the account behind the name, or what stands for the name.
    /// None: there is no domain.
    pub fn login_of_nobody(&self, subject: &Guid, password: &[u8]) -> Option<Login> {
        let snapshot = self.inner.sink.snapshot();
        let own = snapshot.by_guid(subject).and_then(|id| snapshot.object(snapshot.domain_of(id)?.object));
        let domain = {
            let domains = lock(&self.inner.domains);
            let of_object = own.and_then(|own| domains.iter().find(|domain| domain.guid() == own.guid()));
            of_object.or(domains.first()).cloned()?
        };
        let nobody = format!("CN={subject},{}", domain.dn);
        Some(match self.ask(&domain, &snapshot, subject, &nobody, password) {
            Login::Right => Login::Wrong,
            other => other,
        })
    }

    /// Asks a domain whether that is the password of this distinguished name.
    fn ask(&self, domain: &Domain, snapshot: &Snapshot, account: &Guid, name: &str, password: &[u8]) -> Login {
        if password.is_empty() {
            return Login::Wrong;
        }
        let id = snapshot.by_guid(account);
        let (threshold, window) = strictest(domain, snapshot, id);
        if !lock(&self.inner.guesses).take((*account, id.is_some()), threshold, window, Instant::now()) {
            return Login::Spared;
        }
        let servers = lock(&self.inner.servers).get(&domain.dn.to_ascii_lowercase()).cloned().unwrap_or_default();
        let mut why = format!("no domain controller of {} is known", domain.dn);
        // Whoever was asked and did not answer may have counted it.
        let mut may_count = false;
        for address in servers {
            if address.security == Security::Kerberos {
                why = format!("{address}: passwords are sent over TLS alone");
                continue;
            }
            let settings = &self.inner.settings;
            let mut connection = match Connection::open(&address, &settings.tls, settings.patience) {
                Ok(connection) => connection,
                Err(error) => {
                    why = format!("{address}: {error}");
                    continue;
                }
            };
            if may_count && !lock(&self.inner.guesses).take((*account, id.is_some()), threshold, window, Instant::now())
            {
                return Login::Spared;
            }
            match connection.bind(name, password) {
                Ok(()) => {
                    lock(&self.inner.guesses).right(account);
                    return Login::Right;
                }
                Err(LdapError::Refused { outcome, .. }) if outcome.code == code::INVALID_CREDENTIALS => {
                    return Login::Wrong;
                }
                Err(error) => {
                    may_count = !matches!(error, LdapError::Refused { .. } | LdapError::Referral);
                    why = format!("{address}: {error}");
                    if !may_count {
                        continue;
                    }
                }
            }
        }
        if !may_count {
            lock(&self.inner.guesses).give_back(account);
        }
        Login::Unavailable(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    #[test]
    fn half_of_the_domains_wrong_passwords_are_ours() {
        let (mut guesses, now, account) = (Guesses::default(), Instant::now(), Guid([1; 16]));
        let mut take =
            |seconds| guesses.take((account, true), 6, Duration::from_secs(60), now + Duration::from_secs(seconds));
        assert_eq!([take(0), take(1), take(2), take(3)], [true, true, true, false]);
        assert!(take(60), "the first is forgotten");
        assert!(!take(60));
    }

    #[test]
    fn a_right_password_forgives() {
        let (mut guesses, now, account) = (Guesses::default(), Instant::now(), Guid([1; 16]));
        assert!(guesses.take((account, true), 2, WINDOW, now));
        guesses.right(&account);
        assert!(guesses.take((account, true), 2, WINDOW, now));
    }

    #[test]
    fn a_domain_that_never_locks_is_always_asked() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        assert!((0..1000).all(|_| guesses.take((Guid([1; 16]), true), 0, WINDOW, now)));
    }

    #[test]
    fn names_that_nobody_has_do_not_fill_the_memory() {
        let (mut guesses, now) = (Guesses::default(), Instant::now());
        let name = |number: usize| Guid((number as u128).to_be_bytes());
        assert!((0..WATCHED).all(|number| guesses.take((name(number), false), 4, WINDOW, now)));
        assert!(!guesses.take((name(WATCHED), false), 4, WINDOW, now));
        assert!(guesses.take((name(WATCHED), true), 4, WINDOW, now), "somebody's account");
        assert!(guesses.take((name(WATCHED + 1), false), 4, WINDOW, now + WINDOW), "the others are forgotten");
    }
}
