//! `audit.db`: decision records.

use std::path::Path;

use crate::StoreError;

/// One decision record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// ULID; appending the same id again changes nothing.
    pub id: String,
    /// Milliseconds since the Unix epoch.
    pub time: i64,
    /// "refused", "sent-as", "sent-on-behalf", "observed", …
    pub kind: String,
    /// The record itself, JSON.
    pub json: String,
}

/// Which records [`AuditStore::list`] gives, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Not before this time.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
    /// Only records older than this id (for paging).
    pub before: Option<String>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many records, the newest.
    pub records: u64,
    /// None older than this many milliseconds.
    pub age: i64,
}

/// The store of decision records. One writer.
#[derive(Debug)]
pub struct AuditStore {
    _private: (),
}

impl AuditStore {
    /// Opens or creates `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Foreign`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<AuditStore, StoreError> {
        let _ = path;
        Ok(AuditStore { _private: () })
    }

    /// Appends records; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Database`].
    pub fn append(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let _ = entries;
        todo!()
    }

    /// The record with this id.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn get(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        let _ = id;
        todo!()
    }

    /// Records, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        let _ = filter;
        todo!()
    }

    /// Forgets what `retention` does not cover at `now`; how many records went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn retain(&mut self, retention: Retention, now: i64) -> Result<u64, StoreError> {
        let _ = (retention, now);
        todo!()
    }
}
