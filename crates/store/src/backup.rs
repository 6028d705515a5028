//! One file with copies of several, each checked when it is taken out: what `procura backup` writes.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use sha2::{Digest, Sha256};

use crate::StoreError;
use crate::database::{Database, Kind};

const KIND: Kind = Kind {
    name: "backup",
    application_id: 0x5072_6F42,
    migrations: &[
        "CREATE TABLE part (name TEXT PRIMARY KEY, size INTEGER NOT NULL, hash BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE piece (
            name TEXT NOT NULL,
            number INTEGER NOT NULL,
            octets BLOB NOT NULL,
            PRIMARY KEY (name, number)
        ) STRICT;",
    ],
};

/// Octets of a piece.
const PIECE: usize = 1 << 20;

/// A backup file.
#[derive(Debug)]
pub struct Backup {
    database: Database,
}

/// A file in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Octets.
    pub size: u64,
}

impl Backup {
    /// Writes a new backup with these files, by name. The file appears when it is complete.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is such a file already; [`StoreError::Full`]; [`StoreError::Database`].
    pub fn write(path: &Path, parts: &[(&str, &Path)]) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::Conflict {
                path: path.to_owned(),
                detail: "there is such a file already".to_owned(),
            });
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let written = Self::fill(&unfinished, parts).and_then(|()| {
            let synced = File::open(&unfinished).and_then(|file| file.sync_all());
            synced.and_then(|()| fs::rename(&unfinished, path)).map_err(|error| io(path, &error))
        });
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    fn fill(path: &Path, parts: &[(&str, &Path)]) -> Result<(), StoreError> {
        // For its owner only: it holds password hashes.
        let create = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        create.map_err(|error| io(path, &error))?;
        let mut database = Database::open(path, &KIND)?;
        let fault = |error: rusqlite::Error| StoreError::sqlite(path, &error);
        database.connection.execute_batch("PRAGMA journal_mode = DELETE;").map_err(fault)?;
        let transaction = database.connection.transaction().map_err(fault)?;
        for (name, from) in parts {
            let file = File::open(from).map_err(|error| io(from, &error))?;
            let (mut hasher, mut size, mut number) = (Sha256::new(), 0, 0);
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                (&file).take(PIECE as u64).read_to_end(&mut piece).map_err(|error| io(from, &error))?;
                if piece.is_empty() {
                    break;
                }
                hasher.update(&piece);
                size += piece.len() as i64;
                let insert = "INSERT INTO piece (name, number, octets) VALUES (?1, ?2, ?3)";
                transaction.execute(insert, params![name, number, piece]).map_err(fault)?;
                number += 1;
            }
            let insert = "INSERT INTO part (name, size, hash) VALUES (?1, ?2, ?3)";
            transaction.execute(insert, params![name, size, hasher.finalize().as_slice()]).map_err(fault)?;
        }
        transaction.commit().map_err(fault)
    }

    /// Opens a backup.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Foreign`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<Backup, StoreError> {
        if !path.is_file() {
            return Err(StoreError::Database { path: path.to_owned(), detail: "there is no such file".to_owned() });
        }
        Ok(Backup { database: Database::open_to_read(path, &KIND)? })
    }

    /// The files in it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let listed = (|| {
            let mut select = self.database.connection.prepare("SELECT name, size FROM part ORDER BY name")?;
            let rows =
                select.query_map([], |row| Ok(Part { name: row.get(0)?, size: row.get::<_, i64>(1)? as u64 }))?;
            rows.collect::<rusqlite::Result<_>>()
        })();
        listed.map_err(|error| self.database.fault(error))
    }

    /// Writes a file of it to `to`, which must not exist, on stable storage.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is not what was put in; [`StoreError::Database`].
    pub fn extract(&self, name: &str, to: &Path) -> Result<(), StoreError> {
        let extracted = self.extract_unchecked(name, to);
        if extracted.is_err() {
            let _ = fs::remove_file(to);
        }
        extracted
    }

    fn extract_unchecked(&self, name: &str, to: &Path) -> Result<(), StoreError> {
        let fault = |error| self.database.fault(error);
        let connection = &self.database.connection;
        let expected: Option<Vec<u8>> = connection
            .query_row("SELECT hash FROM part WHERE name = ?1", [name], |row| row.get(0))
            .optional()
            .map_err(fault)?;
        let expected = expected.ok_or_else(|| self.database.damaged(format!("there is no {name} in it")))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(|e| io(to, &e))?;
        let mut hasher = Sha256::new();
        let mut select =
            connection.prepare("SELECT octets FROM piece WHERE name = ?1 ORDER BY number").map_err(fault)?;
        let mut rows = select.query([name]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            let piece: Vec<u8> = row.get(0).map_err(fault)?;
            hasher.update(&piece);
            file.write_all(&piece).map_err(|error| io(to, &error))?;
        }
        if hasher.finalize().as_slice() != expected {
            return Err(self.database.damaged(format!("{name} is not what was saved")));
        }
        file.sync_all().map_err(|error| io(to, &error))
    }
}

/// A copy of a database that may be in use, as of one moment.
///
/// # Errors
/// [`StoreError::Full`]; [`StoreError::Database`].
pub fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags).map_err(|error| StoreError::sqlite(from, &error))?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).map_err(|error| StoreError::sqlite(from, &error))?;
    copy_of(&connection, to)
}

pub(crate) fn copy_of(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let name = to
        .to_str()
        .ok_or_else(|| StoreError::Database { path: to.to_owned(), detail: "the path is not UTF-8".to_owned() })?;
    connection.execute("VACUUM INTO ?1", [name]).map(|_| ()).map_err(|error| StoreError::sqlite(to, &error))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    match error.kind() {
        std::io::ErrorKind::StorageFull => StoreError::Full { path: path.to_owned() },
        _ => StoreError::Database { path: path.to_owned(), detail: error.to_string() },
    }
}
