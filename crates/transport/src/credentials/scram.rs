//! What SCRAM asks for: keys before the proof, and whose keys were proven after it.
//!
//! SCRAM shows a salt before anybody knows which password the client has. All passwords of an account, its own and its app
//! passwords, therefore have keys of one salt and as many rounds, and a proof is compared with all of them. A name that
//! nobody has shows a salt and rounds too, always the same.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use session::ScramKeys;
use sha2::Sha256;
use store::AppPassword;
use subtle::ConstantTimeEq;

use super::{Check, Core, Keys, Who, lock, padded};
use crate::certificate::provider;

/// How long it is believed how many accounts have how many rounds.
const COUNTED: Duration = Duration::from_secs(60);

/// How many accounts have keys of how many rounds, as it was counted last.
#[derive(Default)]
pub(super) struct Rounds(Mutex<Option<Counted>>);

struct Counted {
    at: Instant,
    /// Rounds and accounts.
    rounds: Vec<(u32, u64)>,
}

impl Core {
    /// Keys of the account, or of nobody. On a hashing thread.
    pub(super) fn keys(&self, who: &Who) -> Keys {
        let subject = self.subject(who);
        let found = self.source.stored(&subject).and_then(|stored| Ok((stored, self.rounds()?)));
        let (stored, rounds) = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "SCRAM keys cannot be read");
                return Keys::Unavailable;
            }
        };
        let derived = |purpose: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new(&padded(&self.secret).into());
            mac.update(purpose);
            mac.update(&subject.0);
            mac.finalize().into_bytes().into()
        };
        let nobodys = ScramKeys {
            salt: derived(b"salt")[..16].to_vec(),
            iterations: drawn(&rounds, &derived(b"rounds")).unwrap_or(self.limits.scram_iterations),
            // Whoever has something that hashes to this has broken SHA-256.
            stored_key: derived(b"stored key"),
            server_key: derived(b"server key"),
        };
        let mut all = stored.scram.into_iter().chain(stored.app_passwords.iter().filter_map(keys_of));
        let (keys, also) = match (all.next(), who.account) {
            (Some(keys), Some(account)) if account == subject => (keys, all.collect()),
            // The account answers for another spelling of its name, or is disabled: its salt, and nothing to prove.
            (Some(keys), _) => {
                let keys = ScramKeys { stored_key: nobodys.stored_key, server_key: nobodys.server_key, ..keys };
                (keys, Vec::new())
            }
            (None, _) => (nobodys, Vec::new()),
        };
        let mut nonce = [0u8; 24];
        if provider().secure_random.fill(&mut nonce).is_err() {
            return Keys::Unavailable;
        }
        Keys::Found { keys, also, nonce: nonce.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// A proof was right for these keys. On a hashing thread.
    pub(super) fn proven(&self, who: &Who, keys: &ScramKeys, source: IpAddr) -> Check {
        let stored = match self.source.stored(&self.subject(who)) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "SCRAM keys cannot be read");
                return Check::Unavailable;
            }
        };
        let same = |other: &ScramKeys| bool::from(other.stored_key.ct_eq(&keys.stored_key));
        let own = stored.scram.as_ref().is_some_and(same);
        let app = stored.app_passwords.iter().find(|password| keys_of(password).as_ref().is_some_and(same));
        let right = who.account.is_some() && (own || app.is_some());
        let check = self.judge(&mut lock(&self.state), Some(who), right, source);
        if let (Check::Correct, Some(account), Some(app), false) = (check, who.account, app, own) {
            self.source.used(&account, app);
        }
        check
    }

    fn rounds(&self) -> Result<Vec<(u32, u64)>, super::SourceUnavailable> {
        let now = (self.clock)();
        if let Some(counted) = &*lock(&self.rounds.0)
            && now.saturating_duration_since(counted.at) < COUNTED
        {
            return Ok(counted.rounds.clone());
        }
        let rounds = self.source.rounds()?;
        *lock(&self.rounds.0) = Some(Counted { at: now, rounds: rounds.clone() });
        Ok(rounds)
    }
}

fn keys_of(password: &AppPassword) -> Option<ScramKeys> {
    ScramKeys::parse(password.scram.as_deref()?)
}

/// The rounds that a name without keys pretends to have, drawn by chance of its own among those that accounts have: as often
/// few or many as with accounts. When passwords are set anew with more rounds, a name goes over to more, once, and never
/// back, as an account does.
fn drawn(rounds: &[(u32, u64)], chance: &[u8; 32]) -> Option<u32> {
    let total: u64 = rounds.iter().map(|(_, accounts)| accounts).sum();
    let chance = u64::from_be_bytes(*chance.first_chunk()?);
    let mut place = u64::try_from((u128::from(chance) * u128::from(total)) >> 64).ok()?;
    for (rounds, accounts) in rounds {
        match place.checked_sub(*accounts) {
            None => return Some(*rounds),
            Some(left) => place = left,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(of: f64) -> [u8; 32] {
        let mut chance = [0; 32];
        chance[..8].copy_from_slice(&((of * u64::MAX as f64) as u64).to_be_bytes());
        chance
    }

    #[test]
    fn rounds_are_drawn_as_often_as_accounts_have_them() {
        let rounds = [(4096, 3), (10_000, 1)];
        let drawn: Vec<_> = [0.0, 0.5, 0.74, 0.76, 1.0].map(|of| drawn(&rounds, &chance(of))).into();
        assert_eq!(drawn, [Some(4096), Some(4096), Some(4096), Some(10_000), Some(10_000)]);
    }

    #[test]
    fn a_name_never_goes_back_to_fewer_rounds_while_accounts_go_over_to_more() {
        for of in [0.01, 0.3, 0.5, 0.7, 0.99] {
            let of_time: Vec<_> =
                (0..=100).map(|gone| drawn(&[(4096, 100 - gone), (10_000, gone)], &chance(of))).collect();
            assert!(
                of_time.is_sorted() && of_time[0] == Some(4096) && of_time[100] == Some(10_000),
                "{of}: {of_time:?}"
            );
        }
    }

    #[test]
    fn where_nobody_has_keys_nothing_is_drawn() {
        assert_eq!(drawn(&[], &chance(0.5)), None);
    }
}
