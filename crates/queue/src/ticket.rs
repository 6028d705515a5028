//! Tickets and events in `queue.db`.

use rusqlite::{Connection, OptionalExtension, Row as Found, Transaction, params};

use crate::beside::{Beside, Event, EventCounts, KeptEvent, KeptTicket, Ticket, TicketFate, TicketRecipient, Told};
use crate::sqlite::{DELIVERED, FAILED, PENDING};
use crate::{Millis, Outcome};

/// State of a recipient whose message was removed.
const REMOVED: i64 = 3;

/// The tables; part of schema version 3.
pub(crate) const TABLES: &str = "
CREATE TABLE ticket (
    queue_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    key BLOB,
    fingerprint BLOB NOT NULL,
    answer TEXT NOT NULL,
    created INTEGER NOT NULL,
    ended INTEGER
) WITHOUT ROWID;
CREATE UNIQUE INDEX ticket_key ON ticket (key) WHERE key IS NOT NULL;
CREATE INDEX ticket_ended ON ticket (ended) WHERE ended IS NOT NULL;
CREATE TABLE ticket_recipient (
    queue_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    state INTEGER NOT NULL,
    time INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (queue_id, number)
) WITHOUT ROWID;
CREATE TABLE event (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    reason TEXT NOT NULL
);
CREATE INDEX event_target ON event (target, given_up, number);
";

/// Why a ticket is not issued.
pub(crate) struct TakenKey;

/// Notes a ticket for a new message.
pub(crate) fn issue(
    connection: &Transaction<'_>,
    queue_id: &str,
    ticket: &Ticket,
    time: Millis,
) -> rusqlite::Result<Result<(), TakenKey>> {
    if let Some(key) = &ticket.key {
        connection
            .prepare_cached("UPDATE ticket SET key = NULL WHERE key = ?1 AND created < ?2")?
            .execute(params![key, ticket.keys_since])?;
    }
    let issued = connection
        .prepare_cached(
            "INSERT INTO ticket (queue_id, owner, key, fingerprint, answer, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![queue_id, ticket.owner, ticket.key, ticket.fingerprint, ticket.answer, time])?;
    if issued == 0 {
        return Ok(Err(TakenKey));
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO ticket_recipient (queue_id, number, address, state, time, reason) VALUES (?1, ?2, ?3, 0, 0, '')",
    )?;
    for (number, address) in ticket.recipients.iter().enumerate() {
        insert.execute(params![queue_id, number as i64, address])?;
    }
    Ok(Ok(()))
}

/// Notes what became of recipients.
pub(crate) fn note_outcomes(
    connection: &Transaction<'_>,
    queue_id: &str,
    outcomes: &[(u32, Outcome)],
    time: Millis,
) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(
        "UPDATE ticket_recipient SET state = ?3, time = ?4, reason = ?5
         WHERE queue_id = ?1 AND number = ?2 AND state = 0",
    )?;
    for (number, outcome) in outcomes {
        let (state, reason) = match outcome {
            Outcome::Delivered => (DELIVERED, ""),
            Outcome::Failed { reason } => (FAILED, reason.as_str()),
            Outcome::Deferred { .. } => continue,
        };
        update.execute(params![queue_id, number, state, time, reason])?;
    }
    Ok(())
}

/// The message of a ticket is gone. What its recipients did not get they never will.
pub(crate) fn end(connection: &Transaction<'_>, queue_id: &str, time: Millis) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE ticket SET ended = max(created, ?2) WHERE queue_id = ?1")?
        .execute(params![queue_id, time])?;
    connection
        .prepare_cached("UPDATE ticket_recipient SET state = ?2, time = ?3 WHERE queue_id = ?1 AND state = 0")?
        .execute(params![queue_id, REMOVED, time])?;
    Ok(())
}

/// Puts events into the outbox.
pub(crate) fn note(connection: &Transaction<'_>, events: &[Event], time: Millis) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO event (id, target, kind, body, created, attempts, next_attempt, given_up, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?5, 0, '')",
    )?;
    for event in events {
        insert.execute(params![event.id, event.target, event.kind, event.body, time])?;
    }
    Ok(())
}

/// The same, of what stands beside a change.
pub(crate) fn note_beside(connection: &Transaction<'_>, beside: Option<&Beside>) -> rusqlite::Result<()> {
    beside.map_or(Ok(()), |beside| note(connection, &beside.events, beside.time))
}

/// Notes what became of an event.
pub(crate) fn told(connection: &Transaction<'_>, number: i64, told: &Told) -> rusqlite::Result<()> {
    match told {
        Told::Yes => {
            connection.prepare_cached("DELETE FROM event WHERE number = ?1")?.execute([number])?;
        }
        Told::Later { until, reason } => {
            connection
                .prepare_cached(
                    "UPDATE event SET attempts = attempts + 1, next_attempt = ?2, reason = ?3 WHERE number = ?1",
                )?
                .execute(params![number, until, reason])?;
        }
        Told::GivenUp { reason } => {
            connection
                .prepare_cached(
                    "UPDATE event SET attempts = attempts + 1, given_up = 1, reason = ?2 WHERE number = ?1",
                )?
                .execute(params![number, reason])?;
        }
    }
    Ok(())
}

/// Forgets the events of a target.
pub(crate) fn forget(connection: &Transaction<'_>, target: &str) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM event WHERE target = ?1")?.execute([target]).map(|_| ())
}

/// Forgets tickets of messages that left before `tickets`, and events given up that were noted before `events`; a
/// thousand of each at a time.
pub(crate) fn tidy(connection: &Transaction<'_>, tickets: Millis, events: Millis) -> rusqlite::Result<()> {
    let old = "SELECT queue_id FROM ticket WHERE ended IS NOT NULL AND ended < ?1 ORDER BY ended LIMIT 1000";
    connection
        .prepare_cached(&format!("DELETE FROM ticket_recipient WHERE queue_id IN ({old})"))?
        .execute([tickets])?;
    connection.prepare_cached(&format!("DELETE FROM ticket WHERE queue_id IN ({old})"))?.execute([tickets])?;
    connection
        .prepare_cached(
            "DELETE FROM event WHERE number IN
                 (SELECT number FROM event WHERE given_up = 1 AND created < ?1 LIMIT 1000)",
        )?
        .execute([events])?;
    Ok(())
}

/// The ticket of a message.
pub(crate) fn ticket(connection: &Connection, queue_id: &str) -> rusqlite::Result<Option<KeptTicket>> {
    one(connection, "queue_id = ?1", params![queue_id])
}

/// The ticket with a key that counts still.
pub(crate) fn ticket_of_key(
    connection: &Connection,
    key: &[u8],
    since: Millis,
) -> rusqlite::Result<Option<KeptTicket>> {
    one(connection, "key = ?1 AND created >= ?2", params![key, since])
}

fn one(connection: &Connection, which: &str, values: impl rusqlite::Params) -> rusqlite::Result<Option<KeptTicket>> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT queue_id, owner, fingerprint, answer, created, ended FROM ticket WHERE {which}"
        ))?
        .query_row(values, |row| {
            Ok(KeptTicket {
                queue_id: row.get(0)?,
                owner: row.get(1)?,
                fingerprint: row.get(2)?,
                answer: row.get(3)?,
                created: row.get(4)?,
                ended: row.get(5)?,
                recipients: Vec::new(),
            })
        })
        .optional()?;
    let Some(mut ticket) = found else { return Ok(None) };
    let mut select = connection.prepare_cached(
        "SELECT address, state, time, reason FROM ticket_recipient WHERE queue_id = ?1 ORDER BY number",
    )?;
    let recipient = |row: &Found<'_>| {
        let fate = match row.get::<_, i64>(1)? {
            PENDING => TicketFate::Waiting,
            DELIVERED => TicketFate::Delivered,
            REMOVED => TicketFate::Removed,
            _ => TicketFate::Failed,
        };
        Ok(TicketRecipient { address: row.get(0)?, fate, time: row.get(2)?, reason: row.get(3)? })
    };
    ticket.recipients = select.query_map([&ticket.queue_id], recipient)?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(ticket))
}

/// Events of a target that wait (or were given up), oldest first; only those due at `due` where that is given.
pub(crate) fn events(
    connection: &Connection,
    target: &str,
    given_up: bool,
    due: Option<Millis>,
    limit: usize,
) -> rusqlite::Result<Vec<KeptEvent>> {
    let mut select = connection.prepare_cached(
        "SELECT number, id, target, kind, body, created, attempts, next_attempt, reason, given_up FROM event
         WHERE target = ?1 AND given_up = ?2 AND (?3 IS NULL OR next_attempt <= ?3) ORDER BY number LIMIT ?4",
    )?;
    let event = |row: &Found<'_>| {
        Ok(KeptEvent {
            number: row.get(0)?,
            event: Event { id: row.get(1)?, target: row.get(2)?, kind: row.get(3)?, body: row.get(4)? },
            created: row.get(5)?,
            attempts: row.get(6)?,
            next_attempt: row.get(7)?,
            reason: row.get(8)?,
            given_up: row.get(9)?,
        })
    };
    select.query_map(params![target, given_up, due, limit as i64], event)?.collect()
}

/// How many events wait for each target.
pub(crate) fn event_counts(connection: &Connection) -> rusqlite::Result<Vec<EventCounts>> {
    let mut select = connection.prepare_cached(
        "SELECT target, sum(given_up = 0), min(CASE WHEN given_up = 0 THEN created END), sum(given_up),
                coalesce((SELECT reason FROM event AS e WHERE e.target = event.target AND reason <> ''
                          ORDER BY number DESC LIMIT 1), '')
         FROM event GROUP BY target",
    )?;
    let counts = |row: &Found<'_>| {
        Ok(EventCounts {
            target: row.get(0)?,
            waiting: row.get::<_, i64>(1)? as u64,
            oldest: row.get(2)?,
            given_up: row.get::<_, i64>(3)? as u64,
            reason: row.get(4)?,
        })
    };
    select.query_map([], counts)?.collect()
}

/// When the next event of a target is due.
pub(crate) fn next_event(connection: &Connection, target: &str) -> rusqlite::Result<Option<Millis>> {
    connection
        .prepare_cached("SELECT min(next_attempt) FROM event WHERE target = ?1 AND given_up = 0")?
        .query_row([target], |row| row.get(0))
}
