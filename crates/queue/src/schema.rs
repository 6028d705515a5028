//! `queue.db`: its tables, and opening it with suspicion.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::{QueueError, ticket};

/// "PrQu": tells SQLite's header what the file is.
const APPLICATION: i64 = 0x5072_5175;
const VERSION: i64 = 3;
/// What each version brought: applied in order to an older queue.
const UPGRADES: [&str; 2] = ["ALTER TABLE message ADD COLUMN lane TEXT;", ticket::TABLES];
/// Above this size the whole file is only checked after a crash.
const CHECK_ALWAYS_BELOW: u64 = 32 << 20;

const ADVICE_DAMAGED: &str = "Nothing was changed. Restore queue.db (with its -wal file, if any) from a backup, or move \
    the whole queue directory away and start with an empty queue; the bodies stay readable in its segments";
const ADVICE_MISSING: &str = "Nothing was changed. Put queue.db back where it was, or move the segments directory away \
    if the messages in it are not wanted any more";

const TABLES: &str = "
CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL
);
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL UNIQUE,
    owner INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    sender TEXT,
    received INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    size INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    pending INTEGER NOT NULL,
    hold_key TEXT,
    hold_reason TEXT,
    parameters TEXT NOT NULL,
    blocks BLOB NOT NULL,
    lane TEXT
);
CREATE INDEX message_hold ON message (hold_key, id) WHERE hold_key IS NOT NULL;
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    address TEXT NOT NULL,
    destination TEXT NOT NULL,
    parameters TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (message, number)
) WITHOUT ROWID;
CREATE TABLE destination (
    name TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    not_before INTEGER,
    reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    queue_id TEXT NOT NULL,
    record BLOB NOT NULL
);
";

/// Opens `queue.db` for writing, creating it if the queue is new.
pub(crate) fn open_writer(path: &Path, has_segments: bool) -> Result<Connection, QueueError> {
    let exists = path.try_exists().map_err(|error| QueueError::io("examine", path, &error))?;
    if !exists && has_segments {
        let detail = "it is missing, but there are segments with bodies next to it".to_owned();
        return Err(QueueError::Corrupt { path: path.to_owned(), detail, advice: ADVICE_MISSING });
    }
    let unclean = wal_of(path).metadata().is_ok_and(|wal| wal.len() > 0);
    let connection = Connection::open(path).map_err(|error| fault(path, &error))?;
    prepare(&connection, path, unclean).map_err(|error| match error {
        Fault::Sqlite(error) => fault(path, &error),
        Fault::Queue(error) => error,
    })?;
    Ok(connection)
}

/// Opens `queue.db` for reading only.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, QueueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("PRAGMA mmap_size = 0; PRAGMA cache_size = -1024;")?;
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    };
    open().map_err(|error| fault(path, &error))
}

/// Opens `queue.db` for checkpoints only.
pub(crate) fn open_checkpointer(path: &Path) -> Result<Connection, QueueError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("PRAGMA mmap_size = 0; PRAGMA cache_size = -256; PRAGMA synchronous = FULL;")?;
        Ok(connection)
    };
    open().map_err(|error| fault(path, &error))
}

/// Path of the write-ahead log.
pub(crate) fn wal_of(path: &Path) -> std::path::PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// A fault of SQLite in the words of the queue.
pub(crate) fn fault(path: &Path, error: &rusqlite::Error) -> QueueError {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => damaged(path, error.to_string()),
        Some(ErrorCode::DiskFull) => QueueError::Full { dir: path.parent().unwrap_or(path).to_owned() },
        _ => QueueError::Database { path: path.to_owned(), detail: error.to_string() },
    }
}

/// `queue.db` holds what it cannot hold.
pub(crate) fn damaged(path: &Path, detail: String) -> QueueError {
    QueueError::Corrupt { path: path.to_owned(), detail, advice: ADVICE_DAMAGED }
}

enum Fault {
    Sqlite(rusqlite::Error),
    Queue(QueueError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

fn prepare(connection: &Connection, path: &Path, unclean: bool) -> Result<(), Fault> {
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    connection.execute_batch("PRAGMA mmap_size = 0; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY;")?;
    connection.set_prepared_statement_cache_capacity(64);
    let application = number("application_id")?;
    let version = number("user_version")?;
    let first: Option<String> =
        connection.query_row("SELECT name FROM sqlite_schema LIMIT 1", [], |row| row.get(0)).optional()?;
    if first.is_some() && application != APPLICATION {
        return Err(Fault::Queue(damaged(path, "it is a database, but not a queue".to_owned())));
    }
    if version > VERSION {
        return Err(Fault::Queue(QueueError::NewerSchema { path: path.to_owned(), found: version, known: VERSION }));
    }
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    if first.is_none() {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} {} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;",
            ticket::TABLES
        ))?;
    } else if unclean || number("page_count")? as u64 * 4096 < CHECK_ALWAYS_BELOW {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Fault::Queue(damaged(path, found)));
        }
    }
    if first.is_some() && version < VERSION {
        let from = usize::try_from(version).unwrap_or_default().max(1) - 1;
        let upgrades: String = UPGRADES.iter().skip(from).copied().collect();
        connection.execute_batch(&format!("BEGIN IMMEDIATE; {upgrades} PRAGMA user_version = {VERSION}; COMMIT;"))?;
    }
    Ok(())
}
