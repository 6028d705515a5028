//! Messages that wait for delivery.

pub(crate) mod documents;

use jiff::Timestamp;
use queue::{
    Hold, MessageDetail, MessageSummary, Pending, Queue, QueueError, RecipientDetail, RecipientState, Selected,
    Selection, Standing,
};
use rights::pause::Key;
use store::{AuditEntry, AuditStore};

use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::response::Response;
use crate::service::Asked;
use documents::{
    QueueAmount, QueueDetail, QueueFate, QueueFilter, QueueList, QueueOrder, QueueOrdered, QueuePage, QueueRecipient,
    QueueRow, QueueState,
};

const PAGE: usize = 1000;
/// Recipients of a message that a list shows.
const SHOWN: usize = 3;
/// Queue ids that one request may name.
const MOST_IDS: usize = 1000;

/// Messages that a person holds are held under this key.
pub const OPERATOR: &str = "operator";
/// Messages that a content filter wants kept are held under keys that begin so.
pub const QUARANTINE: &str = "quarantine:";

pub fn list(asked: Asked<'_>, list: &QueueList) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "see the queue of")?;
    let limit = list.limit.map_or(PAGE, |limit| (limit as usize).clamp(1, PAGE));
    let selected = asked.service.queue()?.select(&selection(&list.filter)?, list.after.unwrap_or(0), limit)?;
    let next = selected.last().filter(|_| selected.len() == limit).map(|last| last.position);
    let rows = selected.into_iter().map(|Selected { summary, recipients, reason, attempts, .. }| QueueRow {
        attempts,
        reason,
        ..row(&summary, attempts, recipients)
    });
    Ok(Response::Queue(QueuePage { rows: rows.collect(), next }))
}

/// How much a filter means.
pub fn amount(asked: Asked<'_>, filter: &QueueFilter) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "see the queue of")?;
    let measured = asked.service.queue()?.measure(&selection(filter)?)?;
    Ok(Response::QueueAmount(QueueAmount {
        messages: measured.messages,
        bytes: measured.bytes,
        oldest: measured.oldest.map(iso),
    }))
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
    let pending = detail.recipients.iter().filter(|recipient| recipient.state == RecipientState::Pending);
    let worst = pending.max_by_key(|recipient| recipient.attempts);
    let (attempts, reason) = worst.map(|worst| (worst.attempts, worst.reason.clone())).unwrap_or_default();
    Ok(Response::QueueMessage(Box::new(QueueDetail {
        summary: QueueRow { reason, ..row(&detail.summary, attempts, first_recipients(&detail)) },
        expires: iso(detail.summary.expires),
        recipients: recipients.collect(),
    })))
}

/// Does something to a page of messages.
pub fn order(asked: Asked<'_>, order: &QueueOrder) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "change the queue of")?;
    if order.filter.is_empty() && (!order.all || order.what == QueueFate::Remove) {
        return Err(match order.what {
            QueueFate::Remove => Fault::new(FaultKind::Invalid, "nothing says which messages are to be removed")
                .help("name queue ids, or a filter: --from, --to, --domain, --reason, --older-than, --state"),
            _ => Fault::new(FaultKind::Invalid, "nothing says which messages are meant")
                .help("name queue ids, a filter (--from, --to, --domain, --reason, --older-than, --state), or --all"),
        });
    }
    let queue = asked.service.queue()?;
    let selected = queue.select(&selection(&order.filter)?, order.after.unwrap_or(0), PAGE)?;
    let mut ordered = QueueOrdered {
        next: selected.last().filter(|_| selected.len() == PAGE).map(|last| last.position),
        ..QueueOrdered::default()
    };
    let dry_run = order.dry_run || asked.trial.is_some();
    let now = asked.service.now().0;
    // Asked for all together, so that they become durable in groups.
    let mut asked_for = Vec::new();
    for message in &selected {
        match objection(&message.summary, &order.what, asked.service.running().is_some()) {
            Some(why) => {
                ordered.left += 1;
                if ordered.why.len() < 10 && !ordered.why.contains(&why) {
                    ordered.why.push(why);
                }
            }
            None if dry_run => ordered.done += 1,
            None => {
                asked_for.push((&message.summary.queue_id, begin(queue, &message.summary.queue_id, &order.what, now)))
            }
        }
    }
    for (id, pending) in asked_for {
        match pending.wait() {
            Ok(()) => {
                ordered.done += 1;
                tracing::info!(queue_id = id, by = asked.caller.name, "{}", done_to(&order.what));
                asked.service.message_ordered(id, done_to(&order.what), &asked.caller.name);
            }
            // Delivered meanwhile.
            Err(QueueError::UnknownMessage { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let would = if dry_run { "would be " } else { "" };
    ordered.summary = format!("{} message(s) {would}{}", ordered.done, done_to(&order.what));
    if ordered.left > 0 {
        ordered.summary += &format!(", {} left as they are", ordered.left);
    }
    if !dry_run && ordered.done > 0 && order.what == QueueFate::Retry && asked.service.running().is_none() {
        ordered.why.push("no server runs: they are tried when one starts".into());
    }
    Ok(Response::QueueOrdered(ordered))
}

fn done_to(what: &QueueFate) -> &'static str {
    match what {
        QueueFate::Hold { .. } => "held",
        QueueFate::Release => "released",
        QueueFate::Retry => "tried again",
        QueueFate::Remove => "removed",
    }
}

fn begin(queue: &Queue, id: &str, what: &QueueFate, now: i64) -> Pending<()> {
    match what {
        QueueFate::Hold { reason } => queue.hold(id, Hold { key: OPERATOR.to_owned(), reason: reason.clone() }),
        QueueFate::Release => queue.release(id, now),
        QueueFate::Retry => queue.retry(id, now),
        QueueFate::Remove => queue.remove(id),
    }
}

/// Why something is not done to a message.
fn objection(message: &MessageSummary, what: &QueueFate, runs: bool) -> Option<String> {
    let id = &message.queue_id;
    let key = message.hold.as_ref().map(|hold| hold.key.as_str());
    let paused = key.is_some_and(|key| Key::parse(key).is_some());
    match (what, key) {
        (QueueFate::Remove, Some(_)) if paused && runs => {
            Some(format!("{id} is paused: `procura pause expire --id {id} --remove` removes it"))
        }
        (QueueFate::Release, Some(_)) if paused => {
            Some(format!("{id} is paused: `procura pause release --id {id}` decides about it again"))
        }
        (QueueFate::Release, Some("damaged")) => Some(format!("the body of {id} is damaged: it cannot be delivered")),
        (QueueFate::Release, None) => Some(format!("{id} is not held")),
        (QueueFate::Hold { .. } | QueueFate::Retry, Some(_)) => Some(format!("{id} is held")),
        _ => None,
    }
}

fn selection(filter: &QueueFilter) -> Result<Selection, Fault> {
    if filter.ids.len() > MOST_IDS {
        let message = format!("{} queue ids are more than one request may name", filter.ids.len());
        return Err(Fault::new(FaultKind::Invalid, message).help(format!("name at most {MOST_IDS} at a time")));
    }
    let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    Ok(Selection {
        ids: filter.ids.clone(),
        sender: filter.sender.clone(),
        recipient: filter.recipient.clone(),
        reason: filter.reason.clone(),
        before: filter.before,
        since: filter.since,
        standing: filter.state.map(|state| match state {
            QueueState::Waiting => Standing::Waiting,
            QueueState::Deferred => Standing::Deferred,
            QueueState::Held => Standing::HeldOtherwise(keys(&[Key::PAUSED, Key::ASIDE])),
            QueueState::Paused => Standing::Held(keys(&[Key::PAUSED, Key::ASIDE])),
            QueueState::Quarantined => Standing::Held(keys(&[QUARANTINE])),
        }),
    })
}

fn state(message: &MessageSummary, attempts: u32) -> QueueState {
    match message.hold.as_ref().map(|hold| hold.key.as_str()) {
        Some(key) if Key::parse(key).is_some() => QueueState::Paused,
        Some(key) if key.starts_with(QUARANTINE) => QueueState::Quarantined,
        Some(_) => QueueState::Held,
        None if attempts > 0 => QueueState::Deferred,
        None => QueueState::Waiting,
    }
}

/// The recipients that a list shows: those that wait first.
fn first_recipients(detail: &MessageDetail) -> Vec<String> {
    let waits = |recipient: &&RecipientDetail| recipient.state == RecipientState::Pending;
    let (pending, others): (Vec<_>, Vec<_>) = detail.recipients.iter().partition(waits);
    pending.into_iter().chain(others).take(SHOWN).map(|recipient| recipient.address.clone()).collect()
}

fn row(message: &MessageSummary, attempts: u32, to: Vec<String>) -> QueueRow {
    QueueRow {
        to,
        state: state(message, attempts).name().to_owned(),
        attempts,
        id: message.queue_id.clone(),
        sender: message.sender.clone().unwrap_or_default(),
        received: iso(message.received),
        size: message.size,
        pending: message.pending,
        recipients: message.recipients,
        next_attempt: message.next_attempt.map(iso),
        held: message.hold.as_ref().map(|hold| hold.reason.clone()),
        reason: String::new(),
    }
}

/// ISO 8601 of milliseconds since the epoch.
pub(crate) fn iso(millis: i64) -> String {
    Timestamp::from_millisecond(millis).map(|time| format!("{time:.3}")).unwrap_or_default()
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
