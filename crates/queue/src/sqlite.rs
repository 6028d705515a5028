//! The [`Storage`] that commits to `queue.db`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::block::{self, Block};
use crate::schedule::{Due, lane_number};
use crate::schema;
use crate::storage::{Accept, Answered, Effect, Operation, Resolve, Resolved, Row, Settle, Storage};
use crate::{Beside, DestinationState, Hold, Millis, Outcome, QueueError, fail_point, ticket};

pub(crate) const PENDING: i64 = 0;
pub(crate) const DELIVERED: i64 = 1;
pub(crate) const FAILED: i64 = 2;

/// [`crate::Envelope::smtputf8`] and [`crate::Envelope::eight_bit`] in `message.flags`.
pub(crate) const SMTPUTF8: i64 = 1;
pub(crate) const EIGHT_BIT: i64 = 2;
/// Its sender was told that it is late.
pub(crate) const WARNED: i64 = 4;
/// It has a ticket.
pub(crate) const TICKET: i64 = 4;

/// The writing connection. The committer's thread owns it.
pub(crate) struct Sqlite {
    path: PathBuf,
    connection: Connection,
    node: i64,
    epoch: i64,
    /// Held during each transaction, so that a checkpoint can have the log to itself for a moment.
    gate: Arc<Mutex<()>>,
    /// Pages written to the log since the database was opened.
    pages: Arc<AtomicU64>,
}

/// Why an operation, or the whole batch, did not succeed.
enum Fault {
    /// This operation does not fit; nothing of it was done.
    Operation(QueueError),
    Batch(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Batch(error)
    }
}

impl Sqlite {
    /// Takes over an open database: this node begins a new epoch, which voids the leases of the one before.
    pub(crate) fn new(
        path: &Path,
        connection: Connection,
        node: &str,
        gate: Arc<Mutex<()>>,
    ) -> Result<Sqlite, QueueError> {
        let begin = "INSERT INTO node (name, epoch) VALUES (?1, 1)
                     ON CONFLICT (name) DO UPDATE SET epoch = epoch + 1 RETURNING id, epoch";
        let (node, epoch) = connection
            .query_row(begin, [node], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| schema::fault(path, &error))?;
        Ok(Sqlite { path: path.to_owned(), connection, node, epoch, gate, pages: Arc::default() })
    }

    /// Counts the pages that were written to the log.
    pub(crate) fn pages(&self) -> Arc<AtomicU64> {
        self.pages.clone()
    }

    fn count_pages(&self) {
        let (mut written, mut highest) = (0, 0);
        let status = rusqlite::ffi::SQLITE_DBSTATUS_CACHE_WRITE;
        // SAFETY: the handle is open as long as `self.connection`, which only this thread uses, and the two integers
        // outlive the call.
        let answer = unsafe {
            rusqlite::ffi::sqlite3_db_status(self.connection.handle(), status, &mut written, &mut highest, 1)
        };
        if answer == rusqlite::ffi::SQLITE_OK {
            self.pages.fetch_add(written.max(0) as u64, Ordering::Relaxed);
        }
    }

    fn run(&mut self, batch: &[Operation]) -> Result<Vec<Result<Effect, QueueError>>, QueueError> {
        let gate = self.gate.clone();
        let _gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
        fail_point("schedule.before_begin");
        self.transaction(batch).map_err(|error| schema::fault(&self.path, &error))
    }

    fn transaction(&mut self, batch: &[Operation]) -> rusqlite::Result<Vec<Result<Effect, QueueError>>> {
        let (node, epoch) = (self.node, self.epoch);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut answers = Vec::with_capacity(batch.len());
        for operation in batch {
            match apply(&transaction, operation, node, epoch) {
                Ok(effect) => answers.push(Ok(effect)),
                Err(Fault::Operation(error)) => answers.push(Err(error)),
                Err(Fault::Batch(error)) => return Err(error),
            }
        }
        let outcomes = batch.iter().any(|operation| matches!(operation, Operation::Outcome(_)));
        fail_point("schedule.before_commit");
        if outcomes {
            fail_point("outcome.before_commit");
        }
        transaction.commit()?;
        self.count_pages();
        fail_point("schedule.after_commit");
        if outcomes {
            fail_point("outcome.after_commit");
        }
        Ok(answers)
    }

    /// Without space for the whole batch, what does not make the queue longer is tried alone.
    fn run_without_growth(&mut self, batch: &[Operation]) -> Vec<Result<Effect, QueueError>> {
        let full = || QueueError::Full { dir: self.path.parent().unwrap_or(&self.path).to_owned() };
        let mut answers: Vec<Result<Effect, QueueError>> = batch.iter().map(|_| Err(full())).collect();
        for (operation, answer) in batch.iter().zip(&mut answers) {
            if !operation.grows() {
                *answer = self.run(std::slice::from_ref(operation)).and_then(|mut one| one.swap_remove(0));
            }
        }
        answers
    }
}

impl Storage for Sqlite {
    fn commit(&mut self, batch: Vec<Operation>, answered: Answered) {
        let answers = match self.run(&batch) {
            Ok(answers) => answers,
            Err(QueueError::Full { .. }) if batch.iter().any(Operation::grows) => self.run_without_growth(&batch),
            Err(error) => batch.iter().map(|_| Err(error.clone())).collect(),
        };
        answered(answers);
    }
}

fn apply(connection: &Transaction<'_>, operation: &Operation, node: i64, epoch: i64) -> Result<Effect, Fault> {
    match operation {
        Operation::Accept(accept) => match &**accept {
            Accept { rows, beside: None, late: None } if rows.len() == 1 => {
                insert(connection, &rows[0], None, node, epoch)?;
                Ok(Effect::Done)
            }
            Accept { rows, beside, late } => together(connection, || {
                let mut beside = beside.as_deref();
                rows.iter().try_for_each(|row| insert(connection, row, beside.take(), node, epoch))?;
                late.as_ref().map_or(Ok(Effect::Done), |queue_id| warned(connection, queue_id))
            }),
        },
        Operation::Outcome(outcome) => {
            if outcome.bounces.is_empty() && outcome.beside.as_ref().is_none_or(|beside| beside.events.is_empty()) {
                return settle(connection, outcome);
            }
            together(connection, || {
                let effect = settle(connection, outcome)?;
                outcome.bounces.iter().try_for_each(|bounce| insert(connection, bounce, None, node, epoch))?;
                ticket::note_beside(connection, outcome.beside.as_deref())?;
                Ok(effect)
            })
        }
        Operation::Resolve(resolve) => together(connection, || {
            let effect = self::resolve(connection, resolve)?;
            resolve.bounces.iter().try_for_each(|bounce| insert(connection, bounce, None, node, epoch))?;
            ticket::note_beside(connection, resolve.beside.as_deref())?;
            Ok(effect)
        }),
        Operation::Hold { queue_id, hold } => set_hold(connection, queue_id, hold),
        Operation::Release { queue_id, now } => {
            let message = find(connection, queue_id)?;
            release(connection, vec![message], *now)
        }
        Operation::ReleaseKey { key, now } => {
            let mut select = connection.prepare_cached("SELECT id FROM message WHERE hold_key = ?1 ORDER BY id")?;
            let messages = select.query_map([key], |row| row.get(0))?.collect::<Result<_, _>>()?;
            release(connection, messages, *now)
        }
        Operation::Retry { queue_id, now } => {
            let message = find(connection, queue_id)?;
            make_due(connection, vec![message], *now)
        }
        Operation::Remove { queue_id } => {
            let message = find(connection, queue_id)?;
            let blocks = delete(connection, message, 0)?;
            Ok(Effect::Removed { message, blocks })
        }
        Operation::Warned { queue_id } => warned(connection, queue_id),
        Operation::Destination { state } => set_destination(connection, state),
        Operation::AcknowledgeAudit { ids } => {
            let mut forget = connection.prepare_cached("DELETE FROM audit WHERE id = ?1")?;
            for id in ids {
                forget.execute([id])?;
            }
            Ok(Effect::Done)
        }
        Operation::Clock { by, newest } => shift(connection, *by, *newest),
        Operation::Note { events, now } => done(ticket::note(connection, events, *now)),
        Operation::Told { number, told } => done(ticket::told(connection, *number, told)),
        Operation::ForgetEvents { target } => done(ticket::forget(connection, target)),
        Operation::Tidy { tickets, events } => done(ticket::tidy(connection, *tickets, *events)),
    }
}

fn done(noted: rusqlite::Result<()>) -> Result<Effect, Fault> {
    noted.map(|()| Effect::Done).map_err(Fault::Batch)
}

/// Does all of something, or nothing where it does not fit.
fn together(connection: &Transaction<'_>, act: impl FnOnce() -> Result<Effect, Fault>) -> Result<Effect, Fault> {
    connection.execute_batch("SAVEPOINT together")?;
    let applied = act();
    if matches!(applied, Err(Fault::Operation(_))) {
        connection.execute_batch("ROLLBACK TO together")?;
    }
    connection.execute_batch("RELEASE together")?;
    applied
}

fn insert(
    connection: &Transaction<'_>,
    row: &Row,
    beside: Option<&Beside>,
    node: i64,
    epoch: i64,
) -> Result<(), Fault> {
    let envelope = &row.envelope;
    let ticket = beside.and_then(|beside| Some((beside.ticket.as_ref()?, beside.time)));
    let flags = if envelope.smtputf8 { SMTPUTF8 } else { 0 }
        | if envelope.eight_bit { EIGHT_BIT } else { 0 }
        | if ticket.is_some() { TICKET } else { 0 };
    let size: u64 = row.blocks.iter().map(|block| u64::from(block.length)).sum();
    let count = envelope.recipients.len() as i64;
    let hold = envelope.hold.as_ref();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO message (id, queue_id, owner, epoch, sender, received, expires, flags, size, recipients,
                 pending, hold_key, hold_reason, parameters, blocks, lane)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (queue_id) DO NOTHING",
        )?
        .execute(params![
            row.message,
            envelope.queue_id,
            node,
            epoch,
            envelope.sender,
            envelope.received,
            envelope.expires,
            flags,
            size as i64,
            count,
            hold.map(|hold| &hold.key),
            hold.map(|hold| &hold.reason),
            envelope.parameters,
            block::encode(&row.blocks),
            envelope.lane,
        ])?;
    if inserted == 0 {
        return Err(Fault::Operation(QueueError::DuplicateId { queue_id: envelope.queue_id.clone() }));
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO recipient (message, number, state, next_attempt, attempts, address, destination, parameters, reason)
         VALUES (?1, ?2, 0, ?3, 0, ?4, ?5, ?6, '')",
    )?;
    for (number, recipient) in envelope.recipients.iter().enumerate() {
        insert.execute(params![
            row.message,
            number as i64,
            envelope.received,
            recipient.address,
            recipient.destination,
            recipient.parameters,
        ])?;
    }
    note(connection, &envelope.queue_id, envelope.audit.as_ref())?;
    if let Some((ticket, time)) = ticket
        && ticket::issue(connection, &envelope.queue_id, ticket, time)?.is_err()
    {
        return Err(Fault::Operation(QueueError::DuplicateKey));
    }
    ticket::note_beside(connection, beside)?;
    Ok(())
}

/// Notes that the sender of a message was told that it is late.
fn warned(connection: &Transaction<'_>, queue_id: &str) -> Result<Effect, Fault> {
    let noted = connection
        .prepare_cached("UPDATE message SET flags = flags | ?2 WHERE queue_id = ?1")?
        .execute(params![queue_id, WARNED])?;
    match noted {
        0 => Err(Fault::Operation(QueueError::UnknownMessage { queue_id: queue_id.to_owned() })),
        _ => Ok(Effect::Done),
    }
}

/// Puts an audit record into the outbox.
fn note(connection: &Transaction<'_>, queue_id: &str, record: Option<&Vec<u8>>) -> rusqlite::Result<()> {
    if let Some(record) = record {
        connection
            .prepare_cached("INSERT INTO audit (queue_id, record) VALUES (?1, ?2)")?
            .execute(params![queue_id, record])?;
    }
    Ok(())
}

/// Ends a hold.
fn resolve(connection: &Transaction<'_>, resolve: &Resolve) -> Result<Effect, Fault> {
    let unknown = || Fault::Operation(QueueError::UnknownMessage { queue_id: resolve.queue_id.clone() });
    let found: Option<(i64, Option<String>, Vec<u8>)> = connection
        .prepare_cached("SELECT id, hold_key, blocks FROM message WHERE queue_id = ?1")?
        .query_row([&resolve.queue_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((message, Some(key), blocks)) = found else { return Err(unknown()) };
    if key != resolve.key {
        return Err(unknown());
    }
    note(connection, &resolve.queue_id, resolve.audit.as_ref())?;
    match &resolve.how {
        Resolved::Hold(hold) => set_hold(connection, &resolve.queue_id, hold),
        Resolved::Remove => Ok(Effect::Removed { message, blocks: delete(connection, message, resolve.now)? }),
        Resolved::Release { head, replaces, expires, now } => {
            let blocks = block::decode(&blocks).unwrap_or_default();
            let Some((freed, body)) = split(&blocks, *replaces) else {
                let detail = "its body has no boundary where its head ends";
                let queue_id = resolve.queue_id.clone();
                return Err(Fault::Operation(QueueError::Envelope { queue_id, detail }));
            };
            let blocks: Vec<Block> = head.iter().chain(body).copied().collect();
            let size: u64 = blocks.iter().map(|block| u64::from(block.length)).sum();
            connection
                .prepare_cached("UPDATE message SET blocks = ?2, size = ?3, expires = ?4 WHERE id = ?1")?
                .execute(params![message, block::encode(&blocks), size as i64, expires])?;
            match release(connection, vec![message], *now)? {
                Effect::Due { deliveries, .. } => Ok(Effect::Released { deliveries, freed: freed.to_vec() }),
                other => Ok(other),
            }
        }
    }
}

/// The blocks before and after so many octets, if a block ends there.
fn split(blocks: &[Block], octets: u64) -> Option<(&[Block], &[Block])> {
    let mut left = octets;
    let mut at = 0;
    while left > 0 {
        left = left.checked_sub(u64::from(blocks.get(at)?.length))?;
        at += 1;
    }
    blocks.split_at_checked(at)
}

/// Notes outcomes; removes the message when nothing of it is pending.
fn settle(connection: &Transaction<'_>, outcome: &Settle) -> Result<Effect, Fault> {
    let Settle { message, destination, outcomes, .. } = outcome;
    let (message, outcomes) = (*message, &outcomes[..]);
    let time = outcome.beside.as_ref().map_or(0, |beside| beside.time);
    let found: Option<(i64, i64, bool, i64)> = connection
        .prepare_cached("SELECT pending, recipients, hold_key IS NOT NULL, flags FROM message WHERE id = ?1")?
        .query_row([message], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((pending, recipients, held, flags)) = found else {
        return Err(Fault::Operation(QueueError::UnknownMessage { queue_id: format!("(row {message})") }));
    };
    if flags & TICKET != 0 {
        let queue_id: String = connection
            .prepare_cached("SELECT queue_id FROM message WHERE id = ?1")?
            .query_row([message], |row| row.get(0))?;
        ticket::note_outcomes(connection, &queue_id, outcomes, time)?;
    }
    let done = |outcome: &Outcome| !matches!(outcome, Outcome::Deferred { .. });
    if recipients == 1 && matches!(outcomes, [(0, outcome)] if done(outcome)) {
        return Ok(Effect::Settled { next: None, freed: Some(delete(connection, message, time)?) });
    }
    let mut update = connection.prepare_cached(
        "UPDATE recipient SET state = ?3, next_attempt = ?4, attempts = attempts + ?5, reason = ?6
         WHERE message = ?1 AND number = ?2 AND state = 0",
    )?;
    let mut settled = 0;
    for (number, outcome) in outcomes {
        let (state, until, attempts, reason) = match outcome {
            Outcome::Delivered => (DELIVERED, 0, 0, ""),
            Outcome::Deferred { until, reason } => (PENDING, *until, 1, reason.as_str()),
            Outcome::Failed { reason } => (FAILED, 0, 0, reason.as_str()),
        };
        let changed = update.execute(params![message, number, state, until, attempts, reason])?;
        if done(outcome) {
            settled += changed as i64;
        }
    }
    if settled == pending {
        return Ok(Effect::Settled { next: None, freed: Some(delete(connection, message, time)?) });
    }
    if settled > 0 {
        connection
            .prepare_cached("UPDATE message SET pending = pending - ?2 WHERE id = ?1")?
            .execute([message, settled])?;
    }
    if held {
        return Ok(Effect::Settled { next: None, freed: None });
    }
    let next: Option<Millis> = connection
        .prepare_cached(
            "SELECT min(next_attempt) FROM recipient WHERE message = ?1 AND destination = ?2 AND state = 0",
        )?
        .query_row(params![message, destination], |row| row.get(0))?;
    Ok(Effect::Settled { next, freed: None })
}

fn find(connection: &Transaction<'_>, queue_id: &str) -> Result<i64, Fault> {
    connection
        .prepare_cached("SELECT id FROM message WHERE queue_id = ?1")?
        .query_row([queue_id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| Fault::Operation(QueueError::UnknownMessage { queue_id: queue_id.to_owned() }))
}

fn delete(connection: &Transaction<'_>, message: i64, time: Millis) -> Result<Vec<Block>, Fault> {
    let (blocks, flags, queue_id): (Vec<u8>, i64, String) = connection
        .prepare_cached("DELETE FROM message WHERE id = ?1 RETURNING blocks, flags, queue_id")?
        .query_row([message], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if flags & TICKET != 0 {
        ticket::end(connection, &queue_id, time)?;
    }
    connection.prepare_cached("DELETE FROM recipient WHERE message = ?1")?.execute([message])?;
    Ok(block::decode(&blocks).unwrap_or_default())
}

/// Moves what was planned, because the clock was moved.
fn shift(connection: &Transaction<'_>, by: Millis, newest: i64) -> Result<Effect, Fault> {
    // A sum that does not fit would become a floating-point number.
    let far = i64::MAX - by.saturating_abs();
    let planned = [
        "UPDATE recipient SET next_attempt = next_attempt + ?1
         WHERE state = 0 AND message <= ?2 AND abs(next_attempt) < ?3",
        "UPDATE message SET expires = expires + ?1 WHERE id <= ?2 AND abs(expires) < ?3",
        "UPDATE destination SET not_before = not_before + ?1 WHERE ?2 = ?2 AND abs(not_before) < ?3",
    ];
    for update in planned {
        connection.execute(update, params![by, newest, far])?;
    }
    Ok(Effect::Done)
}

fn set_hold(connection: &Transaction<'_>, queue_id: &str, hold: &Hold) -> Result<Effect, Fault> {
    let message = find(connection, queue_id)?;
    connection.prepare_cached("UPDATE message SET hold_key = ?2, hold_reason = ?3 WHERE id = ?1")?.execute(params![
        message,
        hold.key,
        hold.reason
    ])?;
    Ok(Effect::Held { message })
}

fn release(connection: &Transaction<'_>, messages: Vec<i64>, now: Millis) -> Result<Effect, Fault> {
    let mut update =
        connection.prepare_cached("UPDATE message SET hold_key = NULL, hold_reason = NULL WHERE id = ?1")?;
    for message in &messages {
        update.execute([message])?;
    }
    make_due(connection, messages, now)
}

fn make_due(connection: &Transaction<'_>, messages: Vec<i64>, now: Millis) -> Result<Effect, Fault> {
    let mut update =
        connection.prepare_cached("UPDATE recipient SET next_attempt = ?2 WHERE message = ?1 AND state = 0")?;
    let mut select = connection.prepare_cached(
        "SELECT r.destination, m.expires, m.lane,
             CASE WHEN m.lane IS NULL THEN '' ELSE group_concat(r.number || ' ' || r.address, char(10)) END
         FROM recipient r JOIN message m ON m.id = r.message
         WHERE r.message = ?1 AND r.state = 0 AND m.hold_key IS NULL GROUP BY r.destination",
    )?;
    let mut deliveries = Vec::new();
    for &message in &messages {
        update.execute([message, now])?;
        let mut rows = select.query([message])?;
        while let Some(row) = rows.next()? {
            let lanes = lanes(row, 2)?;
            deliveries.push(Due { message, destination: row.get(0)?, when: now, expires: row.get(1)?, lanes });
        }
    }
    Ok(Effect::Due { messages, deliveries })
}

/// The lanes of a delivery, from the column with that of the message, and the one behind it with index and address of each
/// recipient, one a line.
pub(crate) fn lanes(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Vec<(u32, u64)>> {
    let Some(lane) = row.get_ref(column)?.as_str_or_null()? else { return Ok(Vec::new()) };
    let recipients = row.get_ref(column + 1)?.as_str()?.lines();
    let numbered = recipients.filter_map(|line| line.split_once(' '));
    Ok(numbered.filter_map(|(index, to)| Some((index.parse().ok()?, lane_number(lane, to)))).collect())
}

fn set_destination(connection: &Transaction<'_>, state: &DestinationState) -> Result<Effect, Fault> {
    if state.failures == 0 {
        connection.prepare_cached("DELETE FROM destination WHERE name = ?1")?.execute([&state.destination])?;
    } else {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO destination (name, failures, not_before, reason) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![state.destination, state.failures, state.not_before, state.reason])?;
    }
    Ok(Effect::Done)
}
