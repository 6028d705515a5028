//! What can go wrong in a store.

use std::path::{Path, PathBuf};

/// A fault of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The file is not a sound database.
    #[error("{} is damaged: {detail}. Restore it from a backup (with its -wal file, if there is one); it was not changed", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// There is no file.
    #[error("{} is missing", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file has no octets, not even those that make it a database.
    #[error("{} is empty: whatever was in it is lost", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database, but of something else.
    #[error("{} is not a Procura {expected} database", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// "directory" or "audit".
        expected: &'static str,
    },
    /// The file was written by a newer version.
    #[error("{} has schema version {found}; this program knows versions up to {known}: run the newer version", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version this program can read.
        known: i64,
    },
    /// No space left; nothing of the operation was kept.
    #[error("no space left for {}", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// The operation does not fit what is stored.
    #[error("{}: {detail}", path.display())]
    Conflict {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// Any other fault of the database or of the file system.
    #[error("{}: {detail}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// The library's words.
        detail: String,
    },
}

impl StoreError {
    /// Sorts a fault of SQLite into the variants above.
    pub(crate) fn sqlite(path: &Path, error: &rusqlite::Error) -> StoreError {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt { path, detail: error.to_string() }
            }
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            _ => StoreError::Database { path, detail: error.to_string() },
        }
    }
}
