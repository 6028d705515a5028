//! Records piece by piece, for checks that must not hold up the writer.

use std::collections::BTreeMap;

use ::directory::{Record, Value};
use acl::Guid;
use rusqlite::params;

use super::{DirectoryStore, read_descriptor, read_link};
use crate::StoreError;
use crate::encoding::{Hash, Reader, is_link};

/// Where a piece ended; the next one begins behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub i64);

/// A row of `object`.
type Row = (i64, [u8; 16], Option<[u8; 16]>, String, Vec<u8>);

impl DirectoryStore {
    /// At most `limit` records behind a place, in the order in which they came to be, and where they end. Fewer than
    /// `limit`: these were the last.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a record cannot be read; [`StoreError::Database`].
    pub fn records_after(&self, after: Place, limit: usize) -> Result<(Vec<Record>, Place), StoreError> {
        let connection = &self.database.connection;
        let rows = || -> rusqlite::Result<Vec<Row>> {
            let mut select = connection.prepare_cached(
                "SELECT id, guid, parent, rdn, attributes FROM object WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = select.query_map(params![after.0, limit as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?;
            rows.collect()
        };
        let rows = rows().map_err(|error| self.database.fault(error))?;
        let mut end = after;
        let mut records = Vec::with_capacity(rows.len());
        for (id, guid, parent, rdn, attributes) in rows {
            end = Place(id);
            let descriptor = |hash: &Hash| read_descriptor(connection, hash).ok().flatten();
            let mut reader = Reader { rest: &attributes, descriptor: &descriptor };
            let damaged = |what: &str| self.database.damaged(format!("{what} of {} cannot be read", Guid(guid)));
            let mut attributes = reader.attributes().ok_or_else(|| damaged("the attributes"))?;
            self.links_of(id, &mut attributes)?.ok_or_else(|| damaged("a link"))?;
            records.push(Record { guid: Guid(guid), parent: parent.map(Guid), rdn, attributes });
        }
        Ok((records, end))
    }

    /// Number of records.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn count(&self) -> Result<u64, StoreError> {
        let count = self.database.connection.query_row("SELECT count(*) FROM object", [], |row| row.get::<_, i64>(0));
        count.map(|count| count as u64).map_err(|error| self.database.fault(error))
    }

    /// Whether there is a record of an object.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn holds(&self, guid: &Guid) -> Result<bool, StoreError> {
        let found =
            || self.database.connection.prepare_cached("SELECT 1 FROM object WHERE guid = ?1")?.exists([guid.0]);
        found().map_err(|error| self.database.fault(error))
    }

    /// Adds the links of an object to its attributes; nothing if one of them cannot be read.
    fn links_of(&self, id: i64, attributes: &mut BTreeMap<String, Vec<Value>>) -> Result<Option<()>, StoreError> {
        let links = || -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
            let mut select = self
                .database
                .connection
                .prepare_cached("SELECT attribute, value FROM link WHERE object = ?1 ORDER BY attribute, value")?;
            let rows = select.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        };
        for (attribute, stored) in links().map_err(|error| self.database.fault(error))? {
            let Some(value) = read_link(&stored) else { return Ok(None) };
            attributes.entry(attribute).or_default().push(value);
        }
        let links = attributes.iter_mut().filter(|(name, _)| is_link(name));
        links.for_each(|(_, values)| values.sort_unstable());
        Ok(Some(()))
    }
}
