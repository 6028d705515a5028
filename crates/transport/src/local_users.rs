//! Users of this machine and their accounts: whose a program's mail is, and whose a file in a folder is.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

/// Accounts by the number of a user of this machine, as they are now. Clones are of the same ones.
#[derive(Debug, Clone, Default)]
pub struct LocalUsers(Arc<ArcSwap<BTreeMap<u32, String>>>);

impl LocalUsers {
    /// These accounts, by logon name.
    pub fn new(accounts: BTreeMap<u32, String>) -> LocalUsers {
        LocalUsers(Arc::new(ArcSwap::from_pointee(accounts)))
    }

    /// The account of a user.
    pub fn account(&self, user: u32) -> Option<String> {
        self.0.load().get(&user).cloned()
    }

    /// Others from now on, for whoever has a clone.
    pub fn replace(&self, accounts: BTreeMap<u32, String>) {
        self.0.store(Arc::new(accounts));
    }
}
