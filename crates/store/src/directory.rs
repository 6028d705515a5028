//! `directory.db`: records, their history, credentials and settings.

mod access;
mod commit;
mod credentials;
mod page;

pub use page::Place;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc;

use ::directory::{ChangeBatch, ChangeLog, ObjectChange, Record, Time, Value, link_value, parse_link};
use acl::{Guid, Sid};
use rusqlite::{Connection, OptionalExtension, params};

use self::commit::Commit;
use crate::database::{Database, Kind};
use crate::encoding::{Hash, Reader, is_link};
use crate::{StoreError, fail_point};

/// More changes than this get more memory for the time of the commit, and a rollback journal: the log would write every
/// page twice. Where a test kills the process, what happens rarely in life happens often.
const LARGE_BATCH: usize = if cfg!(feature = "failpoints") { 400 } else { 10_000 };
const AFTER_LARGE: &str = "PRAGMA cache_size = -2000; PRAGMA journal_mode = WAL;";
const BEFORE_LARGE: &str = "PRAGMA cache_size = -131072; PRAGMA journal_mode = DELETE;";
/// Records that go from the reader to the builder together, and how many such parcels may wait.
const TOGETHER: usize = 512;
const AHEAD: usize = 8;
/// Hashes of descriptors that are remembered as stored.
const KNOWN_DESCRIPTORS: usize = 65_536;

const KIND: Kind = Kind {
    name: "directory",
    application_id: 0x5072_6F44,
    migrations: &[
        "CREATE TABLE object (
            id INTEGER PRIMARY KEY,
            guid BLOB NOT NULL UNIQUE,
            parent BLOB,
            rdn TEXT NOT NULL,
            attributes BLOB NOT NULL
        ) STRICT;
        -- Links stand alone, so that adding a member to a large group writes one row.
        CREATE TABLE link (
            object INTEGER NOT NULL,
            attribute TEXT NOT NULL,
            value BLOB NOT NULL,
            PRIMARY KEY (object, attribute, value)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE descriptor (hash BLOB PRIMARY KEY, octets BLOB NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE batch (
            version INTEGER PRIMARY KEY,
            time INTEGER NOT NULL,
            author BLOB NOT NULL,
            comment TEXT NOT NULL
        ) STRICT;
        CREATE TABLE change (
            version INTEGER NOT NULL,
            position INTEGER NOT NULL,
            guid BLOB NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (version, position)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX change_guid ON change (guid, version);
        CREATE TABLE credential (guid BLOB PRIMARY KEY, phc TEXT NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
        // SCRAM keys of the same password, and passwords for one program or device.
        "ALTER TABLE credential ADD COLUMN scram TEXT;
        CREATE TABLE app_password (
            guid BLOB NOT NULL,
            name TEXT NOT NULL,
            digest BLOB NOT NULL,
            created INTEGER NOT NULL,
            last_used INTEGER,
            PRIMARY KEY (guid, name)
        ) STRICT, WITHOUT ROWID;",
        // Tokens for HTTP, and webhooks.
        access::TABLES,
        // SCRAM keys of app passwords.
        "ALTER TABLE app_password ADD COLUMN scram TEXT;",
    ],
};

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
    database: Database,
    version: u64,
    /// Descriptors that are stored, as far as this process has met them.
    stored: HashSet<Hash>,
}

impl DirectoryStore {
    /// Opens or creates `path`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Foreign`], [`StoreError::NewerSchema`], [`StoreError::Database`].
    pub fn open(path: &Path) -> Result<DirectoryStore, StoreError> {
        Self::of(Database::open(path, &KIND)?)
    }

    /// Opens `path`, where a directory is. An absent or empty file stays as it is: SQLite takes both for a database without
    /// tables, and would make of a lost directory one that never held anything.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Empty`]; those of [`DirectoryStore::open`].
    pub fn open_existing(path: &Path) -> Result<DirectoryStore, StoreError> {
        Self::of(Database::open_existing(path, &KIND)?)
    }

    fn of(database: Database) -> Result<DirectoryStore, StoreError> {
        let version: i64 = database
            .connection
            .query_row("SELECT coalesce(max(version), 0) FROM batch", [], |row| row.get(0))
            .map_err(|error| database.fault(error))?;
        Ok(DirectoryStore { database, version: version as u64, stored: HashSet::new() })
    }

    /// Version of the directory: the number of batches committed so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Gives every record to `take`, in order of creation (a parent before its children, unless it was moved below a
    /// younger object), and returns what `take` makes of them. It runs on a thread of its own, so that reading and
    /// building go on together.
    ///
    /// # Errors
    /// A fault of the database ends the iteration early and is returned instead of `take`'s result.
    pub fn load<T: Send>(
        &self,
        take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T + Send,
    ) -> Result<T, StoreError> {
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel::<Vec<Record>>(AHEAD);
            let taking = scope.spawn(move || take(&mut receiver.into_iter().flatten()));
            let read = self.read(|records| {
                loop {
                    let some: Vec<Record> = records.take(TOGETHER).collect();
                    // A taker that has heard enough hangs up.
                    if some.is_empty() || sender.send(some).is_err() {
                        break;
                    }
                }
            });
            drop(sender);
            let taken = taking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            read.map(|()| taken)
        })
    }

    fn read<T>(&self, take: impl FnOnce(&mut dyn Iterator<Item = Record>) -> T) -> Result<T, StoreError> {
        let connection = &self.database.connection;
        let descriptors = self.descriptors()?;
        let descriptor = |hash: &Hash| descriptors.get(hash).cloned();
        let fault = RefCell::new(None);
        let stop = |error: StoreError| {
            *fault.borrow_mut() = Some(error);
            None
        };
        let select = || -> rusqlite::Result<_> {
            let objects = connection.prepare("SELECT id, guid, parent, rdn, attributes FROM object ORDER BY id")?;
            let links =
                connection.prepare("SELECT object, attribute, value FROM link ORDER BY object, attribute, value")?;
            Ok((objects, links))
        };
        let (mut objects, mut links) = select().map_err(|error| self.database.fault(error))?;
        let mut objects = objects.query([]).map_err(|error| self.database.fault(error))?;
        let links = links
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Value>(2)?)))
            .map_err(|error| self.database.fault(error))?;
        let mut links = links.peekable();
        let mut next = || {
            let row = match objects.next() {
                Ok(row) => row?,
                Err(error) => return stop(self.database.fault(error)),
            };
            let read = || -> rusqlite::Result<_> {
                let id: i64 = row.get(0)?;
                let attributes = row.get_ref(4)?.as_blob()?;
                Ok((
                    id,
                    row.get::<_, [u8; 16]>(1)?,
                    row.get::<_, Option<[u8; 16]>>(2)?,
                    row.get::<_, String>(3)?,
                    attributes,
                ))
            };
            let (id, guid, parent, rdn, attributes) = match read() {
                Ok(columns) => columns,
                Err(error) => return stop(self.database.fault(error)),
            };
            let mut reader = Reader { rest: attributes, descriptor: &descriptor };
            let Some(attributes) = reader.attributes() else {
                return stop(self.database.damaged(format!("the attributes of {} cannot be read", Guid(guid))));
            };
            let mut record = Record { guid: Guid(guid), parent: parent.map(Guid), rdn, attributes };
            let mut links_read = false;
            while let Some(link) = links.next_if(|link| link.as_ref().map_or(true, |(object, _, _)| *object <= id)) {
                match link {
                    Ok((object, attribute, stored)) if object == id => {
                        let Some(value) = read_link(&stored) else {
                            return stop(self.database.damaged(format!("a link of {} cannot be read", Guid(guid))));
                        };
                        links_read = true;
                        record.attributes.entry(attribute).or_default().push(value);
                    }
                    Ok((object, _, _)) => {
                        return stop(
                            self.database.damaged(format!("there are links of an object {object} that is not there")),
                        );
                    }
                    Err(error) => return stop(self.database.fault(error)),
                }
            }
            if links_read {
                let links = record.attributes.iter_mut().filter(|(name, _)| is_link(name));
                links.for_each(|(_, values)| values.sort_unstable());
            }
            Some(record)
        };
        let taken = take(&mut std::iter::from_fn(&mut next));
        match fault.into_inner() {
            Some(fault) => Err(fault),
            None => Ok(taken),
        }
    }

    /// The texts that these attributes have anywhere, without reading all records: for those who must know them before the
    /// directory is loaded.
    ///
    /// # Errors
    /// Faults of the database.
    pub fn texts(&self, names: &[&str]) -> Result<Vec<String>, StoreError> {
        let fault = |error| self.database.fault(error);
        let descriptors = RefCell::new(None);
        let descriptor = |hash: &Hash| {
            let mut known = descriptors.borrow_mut();
            known.get_or_insert_with(|| self.descriptors().unwrap_or_default()).get(hash).cloned()
        };
        let mut texts = Vec::new();
        for name in names {
            let mut select = self
                .database
                .connection
                .prepare("SELECT attributes FROM object WHERE instr(attributes, ?1) > 0")
                .map_err(fault)?;
            let rows = select.query_map([name.as_bytes()], |row| row.get::<_, Vec<u8>>(0)).map_err(fault)?;
            for row in rows {
                let row = row.map_err(fault)?;
                let mut reader = Reader { rest: &row, descriptor: &descriptor };
                let attributes =
                    reader.attributes().ok_or_else(|| self.database.damaged("a record cannot be read".to_owned()))?;
                let values = attributes.get(*name).into_iter().flatten();
                texts.extend(values.filter_map(|value| String::from_utf8(value.clone()).ok()));
            }
        }
        Ok(texts)
    }

    fn descriptors(&self) -> Result<HashMap<Hash, Vec<u8>>, StoreError> {
        let read = (|| {
            let mut select = self.database.connection.prepare("SELECT hash, octets FROM descriptor")?;
            let rows = select.query_map([], |row| Ok((row.get::<_, Hash>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            rows.collect::<rusqlite::Result<_>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// Makes one batch durable, all or nothing, and gives the new version. `log` is what the batch did.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the log does not fit the records; [`StoreError::Full`]; [`StoreError::Database`].
    pub fn commit(&mut self, batch: &ChangeBatch, log: &ChangeLog) -> Result<u64, StoreError> {
        let version = self.version + 1;
        let path = self.database.path.clone();
        let fault = |error: rusqlite::Error| StoreError::sqlite(&path, &error);
        let large = log.changes.len() > LARGE_BATCH;
        if large {
            fail_point("large.before_journal");
            self.database.connection.execute_batch(BEFORE_LARGE).map_err(fault)?;
            fail_point("large.after_journal");
        }
        if self.stored.len() > KNOWN_DESCRIPTORS {
            self.stored.clear();
        }
        let committed = (|| {
            fail_point("commit.before_begin");
            let transaction = self.database.connection.transaction().map_err(fault)?;
            let mut commit =
                Commit { transaction: &transaction, path: &path, descriptors: Vec::new(), stored: &mut self.stored };
            commit.batch(version, batch, log)?;
            fail_point("commit.before_commit");
            transaction.commit().map_err(fault)?;
            fail_point("commit.after_commit");
            Ok(())
        })();
        match committed {
            Ok(()) => self.version = version,
            // Its descriptors were not kept.
            Err(_) => self.stored.clear(),
        }
        if large {
            fail_point("large.before_log");
            self.database.connection.execute_batch(AFTER_LARGE).map_err(fault)?;
            fail_point("large.after_log");
        }
        committed.map(|()| version)
    }

    /// Fills an empty store with records in one go, as version 1. The history says who and why, and lists no objects.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if there is something already; [`StoreError::Full`]; [`StoreError::Database`].
    pub fn fill(
        &mut self,
        author: &Sid,
        time: Time,
        comment: &str,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<u64, StoreError> {
        let path = self.database.path.clone();
        let fault = |error: rusqlite::Error| StoreError::sqlite(&path, &error);
        if self.version > 0 {
            return Err(StoreError::Conflict { path, detail: "it is not empty".to_owned() });
        }
        self.database.connection.execute_batch(BEFORE_LARGE).map_err(fault)?;
        let filled = (|| {
            let transaction = self.database.connection.transaction().map_err(fault)?;
            let mut commit =
                Commit { transaction: &transaction, path: &path, descriptors: Vec::new(), stored: &mut self.stored };
            commit.head(1, author, time, comment)?;
            for record in records {
                commit.add(&record)?;
                commit.store_descriptors()?;
            }
            transaction.commit().map_err(fault)
        })();
        self.stored.clear();
        self.database.connection.execute_batch(AFTER_LARGE).map_err(fault)?;
        filled?;
        self.version = 1;
        Ok(1)
    }

    /// Writes a copy, as it is now, to a new file.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        crate::backup::copy_of(&self.database.connection, path)
    }

    /// Changes, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn history(&self, filter: &HistoryFilter) -> Result<Vec<HistoryEntry>, StoreError> {
        let limit = if filter.limit == 0 { 100 } else { filter.limit };
        let connection = &self.database.connection;
        let read = (|| {
            let mut select = connection.prepare_cached(
                "SELECT version, position, author, time, comment, guid, body FROM change JOIN batch USING (version)
                 WHERE (?1 IS NULL OR guid = ?1) AND (?2 IS NULL OR author = ?2) AND (?3 IS NULL OR time >= ?3)
                   AND (?4 IS NULL OR time < ?4) AND (?5 IS NULL OR version = ?5) AND (?6 IS NULL OR version < ?6)
                 ORDER BY version DESC, position DESC LIMIT ?7",
            )?;
            let rows = select.query_map(
                params![
                    filter.object.map(|guid| guid.0),
                    filter.author.as_ref().map(Sid::to_bytes),
                    filter.since.map(|time| time.0),
                    filter.until.map(|time| time.0),
                    filter.version.map(|version| version as i64),
                    filter.before.map(|version| version as i64),
                    limit as i64
                ],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)? as u64,
                        row.get::<_, u32>(1)?,
                        row.get::<_, Vec<u8>>(2)?,
                        row.get::<_, i64>(3)?,
                        row.get::<_, String>(4)?,
                        row.get::<_, [u8; 16]>(5)?,
                        row.get::<_, Vec<u8>>(6)?,
                    ))
                },
            )?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })();
        let rows = read.map_err(|error| self.database.fault(error))?;
        rows.into_iter()
            .map(|(version, position, author, time, comment, guid, body)| {
                let (author, _) = Sid::parse(&author).map_err(|error| self.database.damaged(error.to_string()))?;
                let change = self.change(Guid(guid), version, &body)?;
                Ok(HistoryEntry { version, position, author, time: Time(time), comment, change })
            })
            .collect()
    }

    /// Versions whose comments contain a text, with their comments, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn commented(&self, text: &str) -> Result<Vec<(u64, String)>, StoreError> {
        let read = (|| {
            let mut select = (self.database.connection)
                .prepare_cached("SELECT version, comment FROM batch WHERE instr(comment, ?1) > 0 ORDER BY version")?;
            let rows = select.query_map([text], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, String>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })();
        read.map_err(|error| self.database.fault(error))
    }

    /// The log of one version, for undo (`ChangeLog::inverse`); `None` if there is no such version.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn log(&self, version: u64) -> Result<Option<ChangeLog>, StoreError> {
        let connection = &self.database.connection;
        let read = (|| {
            let known = connection
                .query_row("SELECT 1 FROM batch WHERE version = ?1", [version as i64], |_| Ok(()))
                .optional()?
                .is_some();
            let mut select =
                connection.prepare_cached("SELECT guid, body FROM change WHERE version = ?1 ORDER BY position")?;
            let rows = select
                .query_map([version as i64], |row| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
            Ok((known, rows.collect::<rusqlite::Result<Vec<_>>>()?))
        })();
        let (known, rows) = read.map_err(|error| self.database.fault(error))?;
        if !known {
            return Ok(None);
        }
        let changes =
            rows.iter().map(|(guid, body)| self.change(Guid(*guid), version, body)).collect::<Result<_, _>>()?;
        Ok(Some(ChangeLog { changes }))
    }

    fn change(&self, guid: Guid, version: u64, body: &[u8]) -> Result<ObjectChange, StoreError> {
        let connection = &self.database.connection;
        let descriptor = |hash: &Hash| read_descriptor(connection, hash).ok().flatten();
        let change = Reader { rest: body, descriptor: &descriptor }.change(guid);
        change.ok_or_else(|| self.database.damaged(format!("a change of version {version} cannot be read")))
    }

    /// A setting.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found = (self.database.connection)
            .query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0))
            .optional();
        found.map_err(|error| self.database.fault(error))
    }

    /// Sets (`Some`) or removes (`None`) a setting.
    ///
    /// # Errors
    /// [`StoreError::Full`]; [`StoreError::Database`].
    pub fn set_setting(&mut self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        let set = "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2";
        match value {
            Some(value) => self.execute(set, params![name, value]),
            None => self.execute("DELETE FROM setting WHERE name = ?1", params![name]),
        }
        .map(|_| ())
    }

    fn execute(&mut self, statement: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        let done =
            self.database.connection.prepare_cached(statement).and_then(|mut statement| statement.execute(values));
        done.map_err(|error| self.database.fault(error))
    }
}

fn read_descriptor(connection: &Connection, hash: &Hash) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select = connection.prepare_cached("SELECT octets FROM descriptor WHERE hash = ?1")?;
    select.query_row([hash], |row| row.get(0)).optional()
}

/// A link as a row has it: 0 and the GUID, or, should it not be one, 1 and the value.
fn stored_link(value: &[u8]) -> Vec<u8> {
    match parse_link(value).filter(|target| link_value(target) == value) {
        Some(target) => [&[0], &target.0[..]].concat(),
        None => [&[1], value].concat(),
    }
}

fn read_link(stored: &[u8]) -> Option<Value> {
    match stored.split_first()? {
        (0, target) => Some(link_value(&Guid(target.try_into().ok()?))),
        (1, value) => Some(value.to_vec()),
        _ => None,
    }
}
