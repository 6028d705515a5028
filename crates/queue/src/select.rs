//! Choosing messages by what people know of them: sender, recipient, reason, age, state.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::reader::{SUMMARY, summary};
use crate::{MessageSummary, Millis};

/// Which messages; what is absent does not matter. An empty selection is all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// One of these queue ids, as far as there are any.
    pub ids: Vec<String>,
    /// This reverse-path; `@example.com` means any address of the domain, `<>` or the empty text the null reverse-path.
    /// Upper and lower case of ASCII are the same.
    pub sender: Option<String>,
    /// With this pending recipient; `@example.com` means any address of the domain.
    pub recipient: Option<String>,
    /// This text is in the reason of its hold, in the last answer to a pending recipient, or in the reason why the
    /// destination of one waits.
    pub reason: Option<String>,
    /// Accepted before this time.
    pub before: Option<Millis>,
    /// Accepted at this time or later.
    pub since: Option<Millis>,
    /// How it stands.
    pub standing: Option<Standing>,
}

/// How a message stands in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not held, no attempt was deferred yet.
    Waiting,
    /// Not held, an attempt at a pending recipient was deferred.
    Deferred,
    /// Held under a key that begins with one of these; an empty list: under any key.
    Held(Vec<String>),
    /// Held under a key that begins with none of these.
    HeldOtherwise(Vec<String>),
}

/// A message that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its place in order of acceptance; the next page begins after the last one's.
    pub position: i64,
    /// As in a list.
    pub summary: MessageSummary,
    /// The first recipients, those that wait before the others.
    pub recipients: Vec<String>,
    /// The last answer to one of the pending recipients, or empty.
    pub reason: String,
    /// Most attempts at a pending recipient that were deferred.
    pub attempts: u32,
}

/// How much a selection is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Messages.
    pub messages: u64,
    /// Octets of their bodies.
    pub bytes: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Millis>,
}

/// Messages that stand alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// The key that they are held under, up to its first `:`.
    pub held: Option<String>,
    /// An attempt was deferred.
    pub deferred: bool,
    /// How many.
    pub messages: u64,
    /// When the oldest was accepted.
    pub oldest: Millis,
}

/// How many messages stand how.
pub(crate) fn census(connection: &Connection) -> rusqlite::Result<Vec<Census>> {
    let mut select = connection.prepare_cached(
        "SELECT CASE WHEN instr(hold_key, ':') > 0 THEN substr(hold_key, 1, instr(hold_key, ':') - 1) ELSE hold_key END,
             hold_key IS NULL AND EXISTS
                 (SELECT 1 FROM recipient r WHERE r.message = m.id AND r.state = 0 AND r.attempts > 0),
             count(*), min(received)
         FROM message m GROUP BY 1, 2",
    )?;
    let census = |row: &rusqlite::Row<'_>| {
        Ok(Census {
            held: row.get(0)?,
            deferred: row.get(1)?,
            messages: row.get::<_, i64>(2)?.unsigned_abs(),
            oldest: row.get(3)?,
        })
    };
    select.query_map([], census)?.collect()
}

/// Recipients that are read of each message.
const SHOWN: i64 = 3;

/// Up to `limit` messages after a position.
pub(crate) fn select(
    connection: &Connection,
    selection: &Selection,
    after: i64,
    limit: usize,
) -> rusqlite::Result<Vec<Selected>> {
    let (conditions, mut values) = conditions(selection);
    values.push(Value::from(after));
    values.push(Value::from(i64::try_from(limit).unwrap_or(i64::MAX)));
    let sql = format!("{SUMMARY} WHERE {conditions} m.id > ? ORDER BY m.id LIMIT ?");
    let mut select = connection.prepare_cached(&sql)?;
    let mut recipients = connection
        .prepare_cached("SELECT address FROM recipient WHERE message = ?1 ORDER BY state, number LIMIT ?2")?;
    let mut last = connection.prepare_cached(
        "SELECT reason, attempts FROM recipient WHERE message = ?1 AND state = 0 ORDER BY attempts DESC, number LIMIT 1",
    )?;
    let mut rows = select.query(params_from_iter(values))?;
    let mut selected = Vec::new();
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let addresses = recipients.query_map([position, SHOWN], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut answers = last.query([position])?;
        let (reason, attempts) = match answers.next()? {
            Some(row) => (row.get(0)?, row.get(1)?),
            None => (String::new(), 0),
        };
        selected.push(Selected { position, summary: summary(row)?, recipients: addresses, reason, attempts });
    }
    Ok(selected)
}

/// How much a selection is now.
pub(crate) fn measure(connection: &Connection, selection: &Selection) -> rusqlite::Result<Measured> {
    let (conditions, values) = conditions(selection);
    let sql = format!("SELECT count(*), coalesce(sum(m.size), 0), min(m.received) FROM message m WHERE {conditions} 1");
    connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| {
        Ok(Measured {
            messages: row.get::<_, i64>(0)?.unsigned_abs(),
            bytes: row.get::<_, i64>(1)?.unsigned_abs(),
            oldest: row.get(2)?,
        })
    })
}

/// The conditions in SQL, each followed by AND, and their values.
fn conditions(selection: &Selection) -> (String, Vec<Value>) {
    let mut sql = String::new();
    let mut values = Vec::new();
    let Selection { ids, sender, recipient, reason, before, since, standing } = selection;
    if !ids.is_empty() {
        sql += &format!("m.queue_id IN ({}) AND ", vec!["?"; ids.len()].join(", "));
        values.extend(ids.iter().map(|id| Value::from(id.clone())));
    }
    match sender.as_deref().map(str::to_ascii_lowercase) {
        None => {}
        Some(null) if null.is_empty() || null == "<>" => sql += "coalesce(m.sender, '') = '' AND ",
        Some(address) => sql += &format!("{} AND ", like_address("m.sender", address, &mut values)),
    }
    if let Some(recipient) = recipient {
        let matches = like_address("r.address", recipient.to_ascii_lowercase(), &mut values);
        sql += &format!("EXISTS (SELECT 1 FROM recipient r WHERE r.message = m.id AND r.state = 0 AND {matches}) AND ");
    }
    if let Some(reason) = reason {
        sql += "(instr(lower(coalesce(m.hold_reason, '')), ?) > 0 OR EXISTS (SELECT 1 FROM recipient r
            LEFT JOIN destination d ON d.name = r.destination WHERE r.message = m.id AND r.state = 0
            AND (instr(lower(r.reason), ?) > 0 OR instr(lower(coalesce(d.reason, '')), ?) > 0))) AND ";
        values.extend(std::iter::repeat_n(Value::from(reason.to_ascii_lowercase()), 3));
    }
    for (time, condition) in [(before, "m.received < ? AND "), (since, "m.received >= ? AND ")] {
        if let Some(time) = time {
            sql += condition;
            values.push(Value::from(*time));
        }
    }
    const DEFERRED: &str =
        "EXISTS (SELECT 1 FROM recipient r WHERE r.message = m.id AND r.state = 0 AND r.attempts > 0)";
    match standing {
        None => {}
        Some(Standing::Waiting) => sql += &format!("m.hold_key IS NULL AND NOT {DEFERRED} AND "),
        Some(Standing::Deferred) => sql += &format!("m.hold_key IS NULL AND {DEFERRED} AND "),
        Some(Standing::Held(keys)) => {
            sql += "m.hold_key IS NOT NULL AND ";
            if !keys.is_empty() {
                let any: Vec<String> = keys.iter().map(|key| begins(key, &mut values)).collect();
                sql += &format!("({}) AND ", any.join(" OR "));
            }
        }
        Some(Standing::HeldOtherwise(keys)) => {
            sql += "m.hold_key IS NOT NULL AND ";
            for key in keys {
                sql += &format!("NOT {} AND ", begins(key, &mut values));
            }
        }
    }
    (sql, values)
}

fn begins(key: &str, values: &mut Vec<Value>) -> String {
    values.push(Value::from(key.to_owned()));
    values.push(Value::from(key.to_owned()));
    "substr(m.hold_key, 1, length(?)) = ?".to_owned()
}

/// `address`, in lower case, is the column's, or it is `@` and the domain of the column's.
fn like_address(column: &str, address: String, values: &mut Vec<Value>) -> String {
    if address.starts_with('@') {
        values.push(Value::from(address.clone()));
        values.push(Value::from(address));
        format!("substr(lower({column}), -length(?)) = ?")
    } else {
        values.push(Value::from(address));
        format!("lower({column}) = ?")
    }
}
