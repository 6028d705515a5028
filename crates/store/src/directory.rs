//! `directory.db`: records, their history, credentials and settings.

use std::path::Path;

use ::directory::{ChangeBatch, ChangeLog, ObjectChange, Record, Time};
use acl::{Guid, Sid};

use crate::StoreError;

/// Which changes [`DirectoryStore::history`] gives, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only changes of this object.
    pub object: Option<Guid>,
    /// Only changes by this author.
    pub author: Option<Sid>,
    /// Not before this time.
    pub since: Option<Time>,
    /// Before this time.
    pub until: Option<Time>,
    /// Only this version.
    pub version: Option<u64>,
    /// Only versions before this one (for paging).
    pub before: Option<u64>,
    /// At most so many changes of objects; 0 means 100.
    pub limit: usize,
}

/// One change of one object in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Version that the directory had after the batch.
    pub version: u64,
    /// Position in the batch.
    pub position: u32,
    /// Who made it.
    pub author: Sid,
    /// When.
    pub time: Time,
    /// Why.
    pub comment: String,
    /// What changed, before and after.
    pub change: ObjectChange,
}

/// The store of the directory. One writer.
#[derive(Debug)]
pub struct DirectoryStore {
    _private: (),
}

impl DirectoryStore {
    /// Opens or creates `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Foreign`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<DirectoryStore, StoreError> {
        let _ = path;
        todo!()
    }

    /// Version of the directory: the number of batches committed so far.
    pub fn version(&self) -> u64 {
        todo!()
    }

    /// Gives every record to `take`, in order of creation (a parent before its children, unless it was moved below a
    /// younger object), and returns what `take` makes of them.
    ///
    /// # Errors
    /// A fault of the database ends the iteration early and is returned instead of `take`'s result.
    pub fn load<T>(&self, take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T) -> Result<T, StoreError> {
        let _ = take;
        todo!()
    }

    /// Makes one batch durable, all or nothing, and gives the new version. `log` is what the batch did.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the log does not fit the records; [`StoreError::Full`]; [`StoreError::Database`].
    pub fn commit(&mut self, batch: &ChangeBatch, log: &ChangeLog) -> Result<u64, StoreError> {
        let _ = (batch, log);
        todo!()
    }

    /// Changes, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, StoreError> {
        let _ = filter;
        todo!()
    }

    /// The log of one version, for undo (`ChangeLog::inverse`); `None` if there is no such version.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn log(&self, version: u64) -> Result<Option<ChangeLog>, StoreError> {
        let _ = version;
        todo!()
    }

    /// Sets the password hash of an account, an argon2 PHC string. Not part of the history.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn set_credential(&mut self, account: &Guid, phc: &str) -> Result<(), StoreError> {
        let _ = (account, phc);
        todo!()
    }

    /// Removes the password hash of an account; whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn remove_credential(&mut self, account: &Guid) -> Result<bool, StoreError> {
        let _ = account;
        todo!()
    }

    /// The password hash of an account.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn credential(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        let _ = account;
        todo!()
    }

    /// Every account with a password hash, and the hash.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn credentials(&self) -> Result<Vec<(Guid, String)>, StoreError> {
        todo!()
    }

    /// A setting.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let _ = name;
        todo!()
    }

    /// Sets (`Some`) or removes (`None`) a setting.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let _ = (name, value);
        todo!()
    }
}
