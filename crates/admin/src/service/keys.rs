//! What is kept of passwords. SCRAM shows a salt before it is known which password the client has, so all passwords of an
//! account have keys of one salt: also those that are made at the same moment.

use acl::Guid;
use store::{AppPassword, DirectoryStore, StoreError};

use super::{Hashed, Like, Service};
use crate::error::{Fault, FaultKind};

/// What a new password of an account is hashed to, and the keys of the account that it is like.
pub(crate) struct Prepared {
    pub hashed: Hashed,
    like: Option<Pattern>,
}

/// Keys of an account that new ones are to be like.
#[derive(PartialEq, Eq)]
struct Pattern {
    keys: String,
    rounds: bool,
}

impl Pattern {
    fn like(&self) -> Like<'_> {
        Like { keys: &self.keys, rounds: self.rounds }
    }

    /// For a new password of the account's own.
    fn of_own(store: &DirectoryStore, account: &Guid) -> Result<Option<Pattern>, StoreError> {
        // App passwords cannot be salted anew: nobody has them but their programs.
        if let Some(keys) = of_apps(store, account)? {
            return Ok(Some(Pattern { keys, rounds: true }));
        }
        Ok(store.scram_keys(account)?.map(|keys| Pattern { keys, rounds: false }))
    }

    /// For a new app password: the salt and the rounds are those of the account's other passwords.
    fn of_app(store: &DirectoryStore, account: &Guid) -> Result<Option<Pattern>, StoreError> {
        let keys = match store.scram_keys(account)? {
            Some(own) => Some(own),
            None => of_apps(store, account)?,
        };
        Ok(keys.map(|keys| Pattern { keys, rounds: true }))
    }
}

fn of_apps(store: &DirectoryStore, account: &Guid) -> Result<Option<String>, StoreError> {
    Ok(store.app_passwords(account)?.into_iter().find_map(|password| password.scram))
}

impl Service {
    /// Hashes a new password, of this account if there is one already. Takes its time, in which others may go on.
    pub(crate) fn hash(&self, account: Option<&Guid>, password: &str) -> Result<Prepared, Fault> {
        let like = match account {
            Some(account) => Pattern::of_own(&self.store(), account)?,
            None => None,
        };
        let hashed = self.options.hash.hashed(password.as_bytes(), like.as_ref().map(Pattern::like));
        Ok(Prepared { hashed: hashed.map_err(|e| Fault::new(FaultKind::Invalid, e))?, like })
    }

    /// Makes a password the account's own.
    pub(crate) fn keep_password(&self, account: &Guid, password: &str, prepared: Prepared) -> Result<Hashed, Fault> {
        let Prepared { mut hashed, like } = prepared;
        let mut store = self.store();
        let now = Pattern::of_own(&store, account)?;
        if now != like {
            hashed.scram = self.scram(password, now.as_ref())?;
        }
        store.set_password(account, &hashed.phc, hashed.scram.as_deref())?;
        drop(store);
        self.credential_changed(account);
        Ok(hashed)
    }

    /// Keeps a new app password together with its SCRAM keys; false where the account has one of that name already.
    pub(crate) fn keep_app_password(&self, account: &Guid, password: &str, kept: AppPassword) -> Result<bool, Fault> {
        let like = Pattern::of_app(&self.store(), account)?;
        let mut scram = self.scram(password, like.as_ref())?;
        let mut store = self.store();
        let now = Pattern::of_app(&store, account)?;
        if now != like {
            scram = self.scram(password, now.as_ref())?;
        }
        Ok(store.add_app_password(account, &AppPassword { scram, ..kept })?)
    }

    fn scram(&self, password: &str, like: Option<&Pattern>) -> Result<Option<String>, Fault> {
        let keys = self.options.hash.scram(password.as_bytes(), like.map(Pattern::like));
        keys.map_err(|e| Fault::new(FaultKind::Unavailable, e))
    }
}
