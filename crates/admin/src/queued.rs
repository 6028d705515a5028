//! Messages that wait for delivery.

use jiff::Timestamp;
use queue::{ListFilter, MessageDetail, MessageSummary, Queue, QueueError, RecipientDetail, RecipientState};
use store::{AuditEntry, AuditStore};

use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::operations::{QueueList, QueueRetry};
use crate::response::{Done, Page, QueueDetail, QueueRecipient, QueueRow, Response};
use crate::service::Asked;

const PAGE: usize = 1000;
/// Recipients of a message that a list shows.
const SHOWN: usize = 3;

pub fn list(asked: Asked<'_>, list: &QueueList) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "see the queue of")?;
    let limit = list.limit.map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
    let queue = asked.service.queue()?;
    let mut rows = Vec::new();
    for message in queue.list(&ListFilter { limit, ..ListFilter::default() })? {
        let to = match queue.show(&message.queue_id) {
            Ok(detail) => first_recipients(&detail),
            // Delivered meanwhile.
            Err(QueueError::UnknownMessage { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        rows.push(row(&message, to));
    }
    Ok(Response::Queue(Page::from(rows)))
}

pub fn show(asked: Asked<'_>, id: &str) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "see the queue of")?;
    let detail = asked.service.queue()?.show(id)?;
    let recipients = detail.recipients.iter().map(|recipient| QueueRecipient {
        address: recipient.address.clone(),
        destination: recipient.destination.clone(),
        state: match recipient.state {
            RecipientState::Pending => "pending",
            RecipientState::Delivered => "delivered",
            RecipientState::Failed => "failed",
        }
        .to_owned(),
        attempts: recipient.attempts,
        next_attempt: (recipient.state == RecipientState::Pending).then(|| iso(recipient.next_attempt)),
        reason: recipient.reason.clone(),
    });
    Ok(Response::QueueMessage(Box::new(QueueDetail {
        summary: row(&detail.summary, first_recipients(&detail)),
        expires: iso(detail.summary.expires),
        recipients: recipients.collect(),
    })))
}

pub fn retry(asked: Asked<'_>, retry: &QueueRetry) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "change the queue of")?;
    let (queue, now) = (asked.service.queue()?, asked.service.now().0);
    let mut count = 0u64;
    match &retry.id {
        Some(id) => {
            queue.retry(id, now).wait()?;
            count = 1;
        }
        None => {
            let mut after = None;
            loop {
                let filter = ListFilter { held: Some(false), after, limit: PAGE, ..ListFilter::default() };
                let page = queue.list(&filter)?;
                for message in &page {
                    match queue.retry(&message.queue_id, now).wait() {
                        Ok(()) => count += 1,
                        // Delivered meanwhile.
                        Err(QueueError::UnknownMessage { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                match page.last() {
                    Some(last) if page.len() == PAGE => after = Some(last.queue_id.clone()),
                    _ => break,
                }
            }
        }
    }
    let mut done = Done { summary: format!("{count} message(s) will be tried again"), warnings: Vec::new() };
    if asked.service.running().is_none() {
        done.warnings.push("no server runs: they are tried when one starts".into());
    }
    Ok(Response::Done(done))
}

pub fn remove(asked: Asked<'_>, id: &str) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "change the queue of")?;
    let held = asked.service.queue()?.show(id)?.summary.hold;
    if held.is_some_and(|hold| rights::pause::Key::parse(&hold.key).is_some()) && asked.service.running().is_some() {
        return Err(Fault::new(FaultKind::Conflict, format!("message {id} is paused"))
            .help(format!("`procura pause expire --id {id} --remove` removes it")));
    }
    asked.service.queue()?.remove(id).wait()?;
    Ok(Response::Done(Done { summary: format!("message {id} removed, without a bounce"), warnings: Vec::new() }))
}

/// The recipients that a list shows: those that wait first.
fn first_recipients(detail: &MessageDetail) -> Vec<String> {
    let waits = |recipient: &&RecipientDetail| recipient.state == RecipientState::Pending;
    let (pending, others): (Vec<_>, Vec<_>) = detail.recipients.iter().partition(waits);
    pending.into_iter().chain(others).take(SHOWN).map(|recipient| recipient.address.clone()).collect()
}

fn row(message: &MessageSummary, to: Vec<String>) -> QueueRow {
    QueueRow {
        to,
        id: message.queue_id.clone(),
        sender: message.sender.clone().unwrap_or_default(),
        received: iso(message.received),
        size: message.size,
        pending: message.pending,
        recipients: message.recipients,
        next_attempt: message.next_attempt.map(iso),
        held: message.hold.as_ref().map(|hold| hold.reason.clone()),
    }
}

/// ISO 8601 of milliseconds since the epoch.
pub(crate) fn iso(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map(|time| time.to_string()).unwrap_or_default()
}

/// Moves decisions that committed with their messages into the audit.
pub(crate) fn take_over(queue: &Queue, audit: &mut AuditStore) -> Result<(), Fault> {
    loop {
        let items = queue.take_audit(500)?;
        if items.is_empty() {
            return Ok(());
        }
        let entries: Vec<AuditEntry> = items.iter().filter_map(|item| audit_entry(&item.record)).collect();
        audit.append(&entries)?;
        let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
        queue.ack_audit(&ids).wait()?;
    }
}

fn audit_entry(json: &[u8]) -> Option<AuditEntry> {
    let record: rights::DecisionRecord = serde_json::from_slice(json).ok()?;
    let kind = serde_json::to_value(record.verdict).ok()?.as_str()?.to_owned();
    Some(AuditEntry { id: record.id, time: record.time, kind, json: String::from_utf8(json.to_vec()).ok()? })
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Fault {
        let kind = match error {
            QueueError::UnknownMessage { .. } => FaultKind::NotFound,
            _ => FaultKind::Unavailable,
        };
        Fault::new(kind, error.to_string())
    }
}
