//! Reading `queue.db`: deliveries to load, lists for people, and everything once at the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::block::{self, Block};
use crate::schedule::Due;
use crate::segment::Referenced;
use crate::sqlite::{DELIVERED, EIGHT_BIT, PENDING, SMTPUTF8, WARNED, lanes};
use crate::{
    AuditItem, DestinationState, DueRecipient, Held, Hold, ListFilter, Measured, MessageDetail, MessageSummary, Millis,
    QueueError, RecipientDetail, RecipientState, Selected, Selection, schema, select,
};

pub(crate) const SUMMARY: &str =
    "SELECT m.id, m.queue_id, m.sender, m.received, m.expires, m.size, m.pending, m.recipients,
    (SELECT min(max(r.next_attempt, coalesce(d.not_before, 0))) FROM recipient r
        LEFT JOIN destination d ON d.name = r.destination WHERE r.message = m.id AND r.state = 0), m.hold_key, m.hold_reason,
    m.parameters, m.flags FROM message m";

/// Connections for reading, opened as needed and kept.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

/// What `Queue::due` reads for a delivery.
pub(crate) struct Loaded {
    pub(crate) queue_id: String,
    pub(crate) sender: Option<String>,
    pub(crate) received: Millis,
    pub(crate) expires: Millis,
    pub(crate) size: u64,
    pub(crate) smtputf8: bool,
    pub(crate) eight_bit: bool,
    pub(crate) parameters: String,
    /// Those that are due.
    pub(crate) recipients: Vec<DueRecipient>,
    /// When the others are.
    pub(crate) later: Option<Millis>,
}

/// Everything that is kept in memory, read once.
#[derive(Debug, Default)]
pub(crate) struct Everything {
    pub(crate) deliveries: Vec<Due>,
    pub(crate) destinations: Vec<DestinationState>,
    pub(crate) messages: u64,
    pub(crate) body_bytes: u64,
    pub(crate) last_message: i64,
    pub(crate) referenced: BTreeMap<u32, Referenced>,
    /// Messages whose body lies where no segment is, by the predicate given.
    pub(crate) damaged: Vec<String>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Readers {
        Readers { path: path.to_owned(), idle: Mutex::new(Vec::new()) }
    }

    pub(crate) fn with<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, QueueError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => schema::open_reader(&self.path)?,
        };
        let answer = query(&connection).map_err(|error| schema::fault(&self.path, &error))?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < 4 {
            idle.push(connection);
        }
        Ok(answer)
    }

    /// Closes the idle connections.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The deliveries of `wanted` (message, destination, expired), in order; `None` where the message is gone or held.
    pub(crate) fn deliveries<'a>(
        &self,
        now: Millis,
        wanted: impl Iterator<Item = (i64, &'a str, bool)>,
    ) -> Result<Vec<Option<Loaded>>, QueueError> {
        self.with(|connection| {
            wanted
                .map(|(message, destination, expired)| delivery(connection, message, destination, now, expired))
                .collect()
        })
    }

    /// Where the body of a message lies.
    pub(crate) fn blocks(&self, queue_id: &str) -> Result<Vec<Block>, QueueError> {
        let blocks: Option<Vec<u8>> = self.with(|connection| {
            connection
                .prepare_cached("SELECT blocks FROM message WHERE queue_id = ?1")?
                .query_row([queue_id], |row| row.get(0))
                .optional()
        })?;
        let blocks = blocks.ok_or_else(|| QueueError::UnknownMessage { queue_id: queue_id.to_owned() })?;
        block::decode(&blocks).ok_or_else(|| QueueError::Damaged {
            queue_id: queue_id.to_owned(),
            detail: "its list of blocks is not one".to_owned(),
        })
    }

    /// Messages in order of acceptance.
    pub(crate) fn list(&self, filter: &ListFilter) -> Result<Vec<MessageSummary>, QueueError> {
        let limit = if filter.limit == 0 { 1000 } else { filter.limit };
        self.with(|connection| {
            let after: i64 = match &filter.after {
                Some(queue_id) => connection
                    .prepare_cached("SELECT id FROM message WHERE queue_id <= ?1 ORDER BY queue_id DESC LIMIT 1")?
                    .query_row([queue_id], |row| row.get(0))
                    .optional()?
                    .unwrap_or(0),
                None => 0,
            };
            // Of 100,000 held messages, those of one key are found by the index.
            let by_key = if filter.hold_key.is_some() { "m.hold_key = ?4" } else { "?4 IS NULL" };
            let mut select = connection.prepare_cached(&format!(
                "{SUMMARY} WHERE m.id > ?1
                 AND (?2 IS NULL OR EXISTS (SELECT 1 FROM recipient WHERE message = m.id AND destination = ?2 AND state = 0))
                 AND (?3 IS NULL OR coalesce(m.sender, '') = ?3)
                 AND {by_key}
                 AND (?5 IS NULL OR (m.hold_key IS NOT NULL) = ?5)
                 ORDER BY m.id LIMIT ?6"
            ))?;
            let parameters =
                params![after, filter.destination, filter.sender, filter.hold_key, filter.held, limit as i64];
            select.query_map(parameters, summary)?.collect()
        })
    }

    /// Messages of a selection after a position.
    pub(crate) fn select(&self, selection: &Selection, after: i64, limit: usize) -> Result<Vec<Selected>, QueueError> {
        self.with(|connection| select::select(connection, selection, after, limit))
    }

    /// How much a selection is.
    pub(crate) fn measure(&self, selection: &Selection) -> Result<Measured, QueueError> {
        self.with(|connection| select::measure(connection, selection))
    }

    /// What is held under keys that begin with `prefix`, by key.
    pub(crate) fn holds(&self, prefix: &str) -> Result<Vec<Held>, QueueError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT h.hold_key, h.messages, h.bytes, h.oldest, h.newest, m.queue_id, coalesce(m.hold_reason, '')
                 FROM (SELECT hold_key, count(*) AS messages, sum(size) AS bytes, min(received) AS oldest,
                              max(received) AS newest, min(id) AS first
                       FROM message WHERE hold_key IS NOT NULL AND substr(hold_key, 1, length(?1)) = ?1
                       GROUP BY hold_key) h
                 JOIN message m ON m.id = h.first ORDER BY h.first",
            )?;
            let held = |row: &Row<'_>| {
                Ok(Held {
                    key: row.get(0)?,
                    messages: row.get::<_, i64>(1)? as u64,
                    bytes: row.get::<_, i64>(2)? as u64,
                    oldest: row.get(3)?,
                    newest: row.get(4)?,
                    first: row.get(5)?,
                    reason: row.get(6)?,
                })
            };
            select.query_map([prefix], held)?.collect()
        })
    }

    /// One message.
    pub(crate) fn show(&self, queue_id: &str) -> Result<MessageDetail, QueueError> {
        let detail = self.with(|connection| {
            let found = connection
                .prepare_cached(&format!("{SUMMARY} WHERE m.queue_id = ?1"))?
                .query_row([queue_id], |row| {
                    Ok((row.get::<_, i64>(0)?, summary(row)?, row.get(11)?, row.get::<_, i64>(12)?))
                })
                .optional()?;
            let Some((message, summary, parameters, flags)) = found else { return Ok(None) };
            let mut select = connection.prepare_cached(
                "SELECT r.address, r.destination, r.parameters, r.state, r.attempts,
                     max(r.next_attempt, coalesce(d.not_before, 0)), r.reason
                 FROM recipient r LEFT JOIN destination d ON d.name = r.destination
                 WHERE r.message = ?1 ORDER BY r.number",
            )?;
            let recipients = select.query_map([message], recipient)?.collect::<Result<_, _>>()?;
            let (smtputf8, eight_bit) = (flags & SMTPUTF8 != 0, flags & EIGHT_BIT != 0);
            Ok(Some(MessageDetail { summary, parameters, smtputf8, eight_bit, recipients }))
        })?;
        detail.ok_or_else(|| QueueError::UnknownMessage { queue_id: queue_id.to_owned() })
    }

    /// Messages of which nobody was told yet that they are late.
    pub(crate) fn late(&self, expires_before: Millis, limit: usize) -> Result<Vec<String>, QueueError> {
        self.with(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT queue_id FROM message
                 WHERE expires < ?1 AND flags & ?2 = 0 AND hold_key IS NULL AND sender IS NOT NULL LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            select.query_map(params![expires_before, WARNED, limit], |row| row.get(0))?.collect()
        })
    }

    /// Messages, held messages and audit records.
    pub(crate) fn counts(&self) -> Result<(u64, u64, u64), QueueError> {
        let count = |connection: &Connection, query: &str| {
            connection.prepare_cached(query)?.query_row([], |row| row.get::<_, i64>(0)).map(|count| count as u64)
        };
        self.with(|connection| {
            Ok((
                count(connection, "SELECT count(*) FROM message")?,
                count(connection, "SELECT count(*) FROM message WHERE hold_key IS NOT NULL")?,
                count(connection, "SELECT count(*) FROM audit")?,
            ))
        })
    }

    /// The oldest audit records.
    pub(crate) fn audit(&self, limit: usize) -> Result<Vec<AuditItem>, QueueError> {
        self.with(|connection| {
            let mut select =
                connection.prepare_cached("SELECT id, queue_id, record FROM audit ORDER BY id LIMIT ?1")?;
            select
                .query_map([limit as i64], |row| {
                    Ok(AuditItem { id: row.get(0)?, queue_id: row.get(1)?, record: row.get(2)? })
                })?
                .collect()
        })
    }
}

/// Reads what the schedule and the segments have to know; `length` gives the octets of a segment's file.
pub(crate) fn everything(
    connection: &Connection,
    path: &Path,
    length: impl Fn(u32) -> Option<u64>,
) -> Result<Everything, QueueError> {
    let mut all = Everything::default();
    let mut read = || -> rusqlite::Result<Option<String>> {
        let mut select = connection.prepare("SELECT id, queue_id, blocks FROM message")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let queue_id: String = row.get(1)?;
            let Some(blocks) = block::decode(row.get_ref(2)?.as_blob()?) else {
                return Ok(Some(format!("message {queue_id} has no list of blocks")));
            };
            all.messages += 1;
            all.last_message = all.last_message.max(row.get(0)?);
            let mut lost = false;
            for block in blocks {
                let segment = all.referenced.entry(block.segment).or_default();
                segment.live += u64::from(block.length);
                segment.end = segment.end.max(block.end());
                all.body_bytes += u64::from(block.length);
                lost |= length(block.segment).is_none_or(|length| block.end() > length);
            }
            if lost {
                all.damaged.push(queue_id);
            }
        }
        let mut select = connection.prepare(
            "SELECT r.message, r.destination, min(r.next_attempt), m.expires, m.lane,
                 CASE WHEN m.lane IS NULL THEN '' ELSE group_concat(r.number || ' ' || r.address, char(10)) END
             FROM recipient r JOIN message m ON m.id = r.message
             WHERE r.state = 0 AND m.hold_key IS NULL GROUP BY r.message, r.destination",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (message, destination) = (row.get(0)?, row.get(1)?);
            let lanes = lanes(row, 4)?;
            all.deliveries.push(Due { message, destination, when: row.get(2)?, expires: row.get(3)?, lanes });
        }
        let mut select = connection.prepare("SELECT name, failures, not_before, reason FROM destination")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            all.destinations.push(DestinationState {
                destination: row.get(0)?,
                failures: row.get(1)?,
                not_before: row.get(2)?,
                reason: row.get(3)?,
                waiting: 0,
            });
        }
        Ok(None)
    };
    match read() {
        Ok(None) => Ok(all),
        Ok(Some(damage)) => Err(schema::damaged(path, damage)),
        Err(error) => Err(schema::fault(path, &error)),
    }
}

fn delivery(
    connection: &Connection,
    message: i64,
    destination: &str,
    now: Millis,
    expired: bool,
) -> rusqlite::Result<Option<Loaded>> {
    let found = connection
        .prepare_cached(
            "SELECT queue_id, sender, received, expires, size, flags, parameters FROM message
             WHERE id = ?1 AND hold_key IS NULL",
        )?
        .query_row([message], |row| {
            let flags: i64 = row.get(5)?;
            Ok(Loaded {
                queue_id: row.get(0)?,
                sender: row.get(1)?,
                received: row.get(2)?,
                expires: row.get(3)?,
                size: row.get::<_, i64>(4)? as u64,
                smtputf8: flags & SMTPUTF8 != 0,
                eight_bit: flags & EIGHT_BIT != 0,
                parameters: row.get(6)?,
                recipients: Vec::new(),
                later: None,
            })
        })
        .optional()?;
    let Some(mut loaded) = found else { return Ok(None) };
    let mut select = connection.prepare_cached(
        "SELECT number, address, parameters, attempts, reason, next_attempt FROM recipient
         WHERE message = ?1 AND destination = ?2 AND state = 0 ORDER BY number",
    )?;
    let mut rows = select.query(params![message, destination])?;
    while let Some(row) = rows.next()? {
        let next: Millis = row.get(5)?;
        if next > now && !expired {
            loaded.later = Some(loaded.later.map_or(next, |later| later.min(next)));
            continue;
        }
        loaded.recipients.push(DueRecipient {
            index: row.get(0)?,
            address: row.get(1)?,
            parameters: row.get(2)?,
            attempts: row.get(3)?,
            last_reason: row.get(4)?,
        });
    }
    Ok(Some(loaded))
}

pub(crate) fn summary(row: &Row<'_>) -> rusqlite::Result<MessageSummary> {
    let hold_key: Option<String> = row.get(9)?;
    let reason: Option<String> = row.get(10)?;
    Ok(MessageSummary {
        queue_id: row.get(1)?,
        sender: row.get(2)?,
        received: row.get(3)?,
        expires: row.get(4)?,
        size: row.get::<_, i64>(5)? as u64,
        pending: row.get(6)?,
        recipients: row.get(7)?,
        next_attempt: row.get(8)?,
        hold: hold_key.map(|key| Hold { key, reason: reason.unwrap_or_default() }),
    })
}

fn recipient(row: &Row<'_>) -> rusqlite::Result<RecipientDetail> {
    let state = match row.get::<_, i64>(3)? {
        PENDING => RecipientState::Pending,
        DELIVERED => RecipientState::Delivered,
        _ => RecipientState::Failed,
    };
    Ok(RecipientDetail {
        address: row.get(0)?,
        destination: row.get(1)?,
        parameters: row.get(2)?,
        state,
        attempts: row.get(4)?,
        next_attempt: row.get(5)?,
        reason: row.get(6)?,
    })
}
