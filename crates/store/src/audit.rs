//! `audit.db`: decision records.

use std::path::Path;

use rusqlite::{OptionalExtension, Row, params};

use crate::StoreError;
use crate::database::{Database, Kind};

const KIND: Kind = Kind {
    name: "audit",
    application_id: 0x5072_6F41,
    migrations: &["CREATE TABLE decision (
            id TEXT PRIMARY KEY,
            time INTEGER NOT NULL,
            kind TEXT NOT NULL,
            json TEXT NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX decision_time ON decision (time);"],
};

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
    /// Only records that come after this id in the list (for paging).
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
    database: Database,
}

impl AuditStore {
    /// Opens or creates `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Foreign`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<AuditStore, StoreError> {
        Ok(AuditStore { database: Database::open(path, &KIND)? })
    }

    /// Appends records; durable when it returns.
    ///
    /// # Errors
    /// [`StoreError::Full`], [`StoreError::Database`].
    pub fn append(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let written = (|| {
            let transaction = self.database.connection.transaction()?;
            {
                let mut insert = transaction
                    .prepare_cached("INSERT OR IGNORE INTO decision (id, time, kind, json) VALUES (?1, ?2, ?3, ?4)")?;
                for entry in entries {
                    insert.execute(params![entry.id, entry.time, entry.kind, entry.json])?;
                }
            }
            transaction.commit()
        })();
        written.map_err(|error| self.database.fault(error))
    }

    /// The record with this id, whatever the case of its letters.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn get(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        let mut select = (self.database.connection)
            .prepare_cached("SELECT id, time, kind, json FROM decision WHERE id = ?1")
            .map_err(|error| self.database.fault(error))?;
        let found = select.query_row([id.to_ascii_uppercase()], entry).optional();
        found.map_err(|error| self.database.fault(error))
    }

    /// Records, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, StoreError> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let listed = (|| {
            let mut select = self.database.connection.prepare_cached(
                "SELECT id, time, kind, json FROM decision
                 WHERE (?1 IS NULL OR kind = ?1) AND (?2 IS NULL OR time >= ?2) AND (?3 IS NULL OR time < ?3)
                   AND (?4 IS NULL OR id < ?4)
                 ORDER BY id DESC LIMIT ?5",
            )?;
            let rows = select
                .query_map(params![filter.kind, filter.since, filter.until, filter.before, limit as i64], entry)?;
            rows.collect::<rusqlite::Result<_>>()
        })();
        listed.map_err(|error| self.database.fault(error))
    }

    /// Forgets what `retention` does not cover at `now`; how many records went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn retain(&mut self, retention: Retention, now: i64) -> Result<u64, StoreError> {
        let removed = (|| {
            let transaction = self.database.connection.transaction()?;
            let old =
                transaction.execute("DELETE FROM decision WHERE time < ?1", [now.saturating_sub(retention.age)])?;
            let records = i64::try_from(retention.records).unwrap_or(i64::MAX);
            let many = transaction.execute(
                "DELETE FROM decision WHERE id <= (SELECT id FROM decision ORDER BY id DESC LIMIT 1 OFFSET ?1)",
                [records],
            )?;
            transaction.commit()?;
            Ok((old + many) as u64)
        })();
        removed.map_err(|error| self.database.fault(error))
    }
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry { id: row.get(0)?, time: row.get(1)?, kind: row.get(2)?, json: row.get(3)? })
}
