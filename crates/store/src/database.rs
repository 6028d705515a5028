//! Opening an SQLite file that is ours, and only such a one.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::{StoreError, fail_point};

/// Above this size the whole file is checked only after a crash.
const CHECK_ALWAYS_BELOW: u64 = 32 << 20;

/// What a database file must be.
pub(crate) struct Kind {
    /// "directory" or "audit".
    pub(crate) name: &'static str,
    /// `PRAGMA application_id`.
    pub(crate) application_id: i64,
    /// Statements that make schema version 1, then those that lead from version n to n + 1.
    pub(crate) migrations: &'static [&'static str],
}

/// An open database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) path: PathBuf,
}

impl Database {
    /// Opens or creates `path`: WAL, every commit on stable storage before it returns.
    pub(crate) fn open(path: &Path, kind: &Kind) -> Result<Database, StoreError> {
        let fault = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let existed = path.exists();
        let unclean = wal_of(path).metadata().is_ok_and(|log| log.len() > 0);
        let mut connection = Connection::open_with_flags(path, flags).map_err(fault)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(fault)?;
        let pragma = |connection: &Connection, name: &str| -> Result<i64, StoreError> {
            connection.pragma_query_value(None, name, |row| row.get(0)).map_err(fault)
        };
        let known = kind.migrations.len() as i64;
        let found = pragma(&connection, "user_version")?;
        let application_id = pragma(&connection, "application_id")?;
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(fault)?;
        if application_id != kind.application_id && (application_id != 0 || found != 0 || tables != 0) {
            return Err(StoreError::Foreign { path: path.to_owned(), expected: kind.name });
        }
        if found > known {
            return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
        }
        // Small checkpoints: mail that is being accepted waits for the same disk while one is synced.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -2000; PRAGMA mmap_size = 0; \
                 PRAGMA wal_autocheckpoint = 250;",
            )
            .map_err(fault)?;
        let large = path.metadata().is_ok_and(|file| file.len() >= CHECK_ALWAYS_BELOW);
        if found > 0 && (unclean || !large) {
            let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(fault)?;
            if verdict != "ok" {
                return Err(StoreError::Corrupt { path: path.to_owned(), detail: verdict });
            }
        }
        if found < known {
            fail_point("open.before_schema");
            let transaction = connection.transaction().map_err(fault)?;
            for statements in &kind.migrations[found.max(0) as usize..] {
                transaction.execute_batch(statements).map_err(fault)?;
            }
            transaction.pragma_update(None, "application_id", kind.application_id).map_err(fault)?;
            transaction.pragma_update(None, "user_version", known).map_err(fault)?;
            transaction.commit().map_err(fault)?;
            fail_point("open.after_schema");
        }
        if !existed {
            sync_parent(path)?;
        }
        Ok(Database { connection, path: path.to_owned() })
    }

    /// Opens a file that is there and holds something.
    pub(crate) fn open_existing(path: &Path, kind: &Kind) -> Result<Database, StoreError> {
        match path.metadata() {
            Ok(file) if file.len() == 0 && file.is_file() => Err(StoreError::Empty { path: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { path: path.to_owned() }),
            // SQLite says what else is wrong.
            _ => Self::open(path, kind),
        }
    }

    /// Opens a file that exists, to read it only; it stays as it is.
    pub(crate) fn open_to_read(path: &Path, kind: &Kind) -> Result<Database, StoreError> {
        let fault = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(fault)?;
        let pragma = |name: &str| -> Result<i64, StoreError> {
            connection.pragma_query_value(None, name, |row| row.get(0)).map_err(fault)
        };
        let (found, known) = (pragma("user_version")?, kind.migrations.len() as i64);
        if pragma("application_id")? != kind.application_id {
            return Err(StoreError::Foreign { path: path.to_owned(), expected: kind.name });
        }
        if found > known {
            return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
        }
        Ok(Database { connection, path: path.to_owned() })
    }

    /// Puts the file's name to a fault.
    pub(crate) fn fault(&self, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.path, &error)
    }

    /// Something that cannot be in a sound file.
    pub(crate) fn damaged(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail: detail.into() }
    }
}

/// Path of the write-ahead log.
fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// Brings the names of a new database and its log to stable storage.
fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::Database {
        path: path.to_owned(),
        detail: format!("cannot sync its directory: {error}"),
    })
}
