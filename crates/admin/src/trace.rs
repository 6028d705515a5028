//! What became of messages.

use serde::{Deserialize, Serialize};
use tracking::{Query, Record};

use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::operations::Request;
use crate::queued::iso;
use crate::response::Response;
use crate::service::Asked;

/// Messages in one answer.
const MOST: usize = 1000;
/// Events in one answer.
const EVENTS: usize = 20_000;

/// Which messages; what is absent does not matter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Trace {
    /// The envelope sender or a header From; `@example.com`: any of the domain; `<>`: the null reverse-path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A recipient; `@example.com`: any of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The queue id, or the id of a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The `Message-ID`, with or without angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Received at this time or later, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Received before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// At most so many messages, the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TraceReport {
    /// The messages in order of reception.
    pub rows: Vec<TracedMessage>,
    /// There are older ones, too.
    #[serde(default)]
    pub more: bool,
}

/// A message and what became of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TracedMessage {
    /// Queue id; empty for one that was refused.
    pub id: String,
    /// What happened, in order.
    pub events: Vec<Record>,
    /// What it waits for, where it is in the queue now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<TraceWaits>,
}

/// How a message stands in the queue.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TraceWaits {
    /// Recipients that are neither delivered nor given up.
    pub pending: u32,
    /// Next attempt, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    /// Why it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

pub fn trace(asked: Asked<'_>, trace: Trace) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "see the mail of")?;
    let query = Query {
        from: trace.from,
        to: trace.to,
        id: trace.id,
        message_id: trace.message_id,
        since: trace.since,
        until: trace.until,
        limit: trace.limit.map_or(100, |limit| (limit as usize).clamp(1, MOST)),
    };
    let folder = asked.service.tracking_folder();
    let found =
        asked.service.traced(&folder, &query).map_err(|error| Fault::new(FaultKind::Unavailable, error.to_string()))?;
    let mut report = TraceReport { rows: Vec::with_capacity(found.messages.len()), more: found.more };
    let mut events = 0;
    // The newest first, so that they are there when there is no room for all.
    for message in found.messages.into_iter().rev() {
        events += message.records.len();
        if events > EVENTS && !report.rows.is_empty() {
            report.more = true;
            break;
        }
        let id = message.records.first().map(|first| first.id.clone()).unwrap_or_default();
        let waits = match asked.service.open_queue().map(|queue| queue.show(&id)) {
            Some(Ok(detail)) if !id.is_empty() => Some(TraceWaits {
                pending: detail.summary.pending,
                next_attempt: detail.summary.next_attempt.filter(|_| detail.summary.hold.is_none()).map(iso),
                held: detail.summary.hold.map(|hold| hold.reason),
            }),
            _ => None,
        };
        report.rows.push(TracedMessage { id, events: message.records, waits });
    }
    report.rows.reverse();
    Ok(Response::Trace(report))
}

impl From<Trace> for Request {
    fn from(trace: Trace) -> Request {
        Request::Trace(trace)
    }
}
