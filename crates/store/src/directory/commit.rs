//! One batch on its way into the tables.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use ::directory::{AttributeChange, ChangeBatch, ChangeLog, ObjectChange, Record, Time, Value};
use acl::{Guid, Sid};
use rusqlite::{OptionalExtension, Transaction, params};

use super::{read_descriptor, stored_link};
use crate::encoding::{Hash, Reader, Writer, is_link};
use crate::{StoreError, fail_point};

/// One batch on its way into the tables.
pub(super) struct Commit<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    pub(super) path: &'a Path,
    pub(super) descriptors: Vec<(Hash, Vec<u8>)>,
    pub(super) stored: &'a mut HashSet<Hash>,
}

impl Commit<'_> {
    pub(super) fn head(&self, version: u64, author: &Sid, time: Time, comment: &str) -> Result<(), StoreError> {
        self.run(
            "INSERT INTO batch (version, time, author, comment) VALUES (?1, ?2, ?3, ?4)",
            params![version as i64, time.0, author.to_bytes(), comment],
        )
        .map(|_| ())
    }

    pub(super) fn batch(&mut self, version: u64, batch: &ChangeBatch, log: &ChangeLog) -> Result<(), StoreError> {
        self.head(version, &batch.author, batch.time, &batch.comment)?;
        fail_point("commit.after_head");
        for (position, change) in log.changes.iter().enumerate() {
            let mut writer = Writer { out: Vec::new(), descriptors: &mut self.descriptors };
            writer.change(change);
            let body = writer.out;
            self.run(
                "INSERT INTO change (version, position, guid, body) VALUES (?1, ?2, ?3, ?4)",
                params![version as i64, position as i64, change.guid().0, body],
            )?;
            fail_point("commit.after_history");
            self.change(change)?;
            fail_point("commit.after_object");
            self.store_descriptors()?;
        }
        Ok(())
    }

    fn change(&mut self, change: &ObjectChange) -> Result<(), StoreError> {
        match change {
            ObjectChange::Added(record) => self.add(record),
            ObjectChange::Deleted(record) => {
                let id = self.id(&record.guid)?;
                self.run("DELETE FROM link WHERE object = ?1", [id])?;
                self.run("DELETE FROM credential WHERE guid = ?1", [record.guid.0])?;
                self.run("DELETE FROM app_password WHERE guid = ?1", [record.guid.0])?;
                self.run("DELETE FROM api_token WHERE guid = ?1", [record.guid.0])?;
                self.run("DELETE FROM webhook WHERE guid = ?1", [record.guid.0])?;
                self.run("DELETE FROM object WHERE id = ?1", [id]).map(|_| ())
            }
            ObjectChange::Moved { guid, after: (parent, rdn), .. } => {
                let id = self.id(guid)?;
                let parent = parent.map(|parent| parent.0);
                self.run("UPDATE object SET parent = ?2, rdn = ?3 WHERE id = ?1", params![id, parent, rdn]).map(|_| ())
            }
            ObjectChange::Modified { guid, attributes } => self.modify(guid, attributes),
        }
    }

    pub(super) fn add(&mut self, record: &Record) -> Result<(), StoreError> {
        let attributes = self.encode(&record.attributes);
        let parent = record.parent.map(|parent| parent.0);
        self.run(
            "INSERT INTO object (guid, parent, rdn, attributes) VALUES (?1, ?2, ?3, ?4)",
            params![record.guid.0, parent, record.rdn, attributes],
        )?;
        let id = self.transaction.last_insert_rowid();
        for (name, values) in record.attributes.iter().filter(|(name, _)| is_link(name)) {
            self.link(id, name, values)?;
        }
        Ok(())
    }

    fn modify(&mut self, guid: &Guid, attributes: &[AttributeChange]) -> Result<(), StoreError> {
        let id = self.id(guid)?;
        let mut plain: Vec<(&String, &Vec<Value>)> = Vec::new();
        for attribute in attributes {
            match attribute {
                AttributeChange::Links { name, removed, added } => {
                    self.unlink(id, name, removed)?;
                    self.link(id, name, added)?;
                }
                AttributeChange::Replaced { name, before, after } if is_link(name) => {
                    self.unlink(id, name, before)?;
                    self.link(id, name, after)?;
                }
                AttributeChange::Replaced { name, after, .. } => plain.push((name, after)),
            }
        }
        if plain.is_empty() {
            return Ok(());
        }
        let mut stored = self.attributes(id, guid)?;
        for (name, values) in plain {
            match values.is_empty() {
                true => stored.remove(name),
                false => stored.insert(name.clone(), values.clone()),
            };
        }
        let attributes = self.encode(&stored);
        self.run("UPDATE object SET attributes = ?2 WHERE id = ?1", params![id, attributes]).map(|_| ())
    }

    fn attributes(&self, id: i64, guid: &Guid) -> Result<BTreeMap<String, Vec<Value>>, StoreError> {
        let octets: Vec<u8> = (self.transaction)
            .query_row("SELECT attributes FROM object WHERE id = ?1", [id], |row| row.get(0))
            .map_err(|error| self.fault(error))?;
        let pending = &self.descriptors;
        let descriptor = |hash: &Hash| match pending.iter().find(|(pending, _)| pending == hash) {
            Some((_, octets)) => Some(octets.clone()),
            None => read_descriptor(self.transaction, hash).ok().flatten(),
        };
        Reader { rest: &octets, descriptor: &descriptor }.attributes().ok_or_else(|| StoreError::Corrupt {
            path: self.path.to_owned(),
            detail: format!("the attributes of {guid} cannot be read"),
        })
    }

    fn encode(&mut self, attributes: &BTreeMap<String, Vec<Value>>) -> Vec<u8> {
        let mut writer = Writer { out: Vec::new(), descriptors: &mut self.descriptors };
        writer.attributes(attributes, false);
        writer.out
    }

    fn link(&self, id: i64, attribute: &str, values: &[Value]) -> Result<(), StoreError> {
        for value in values {
            self.run(
                "INSERT OR IGNORE INTO link (object, attribute, value) VALUES (?1, ?2, ?3)",
                params![id, attribute, stored_link(value)],
            )?;
            fail_point("commit.after_link");
        }
        Ok(())
    }

    fn unlink(&self, id: i64, attribute: &str, values: &[Value]) -> Result<(), StoreError> {
        for value in values {
            self.run(
                "DELETE FROM link WHERE object = ?1 AND attribute = ?2 AND value = ?3",
                params![id, attribute, stored_link(value)],
            )?;
        }
        Ok(())
    }

    pub(super) fn store_descriptors(&mut self) -> Result<(), StoreError> {
        for (hash, octets) in std::mem::take(&mut self.descriptors) {
            if !self.stored.insert(hash) {
                continue;
            }
            self.run("INSERT OR IGNORE INTO descriptor (hash, octets) VALUES (?1, ?2)", params![hash, octets])?;
            fail_point("commit.after_descriptor");
        }
        Ok(())
    }

    fn id(&self, guid: &Guid) -> Result<i64, StoreError> {
        let found = (self.transaction)
            .prepare_cached("SELECT id FROM object WHERE guid = ?1")
            .and_then(|mut select| select.query_row([guid.0], |row| row.get(0)).optional())
            .map_err(|error| self.fault(error))?;
        found.ok_or_else(|| StoreError::Conflict {
            path: self.path.to_owned(),
            detail: format!("a change of object {guid}, which is not stored"),
        })
    }

    fn run(&self, statement: &str, values: impl rusqlite::Params) -> Result<usize, StoreError> {
        (self.transaction)
            .prepare_cached(statement)
            .and_then(|mut statement| statement.execute(values))
            .map_err(|error| self.fault(error))
    }

    fn fault(&self, error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => {
                StoreError::Conflict { path: self.path.to_owned(), detail: error.to_string() }
            }
            _ => StoreError::sqlite(self.path, &error),
        }
    }
}
