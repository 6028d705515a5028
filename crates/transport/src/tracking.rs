//! What goes into the record of messages (`crates/tracking`), in the words of the transport.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use acl::Guid;
use directory::Snapshot;
use queue::{Delivery, Hold, NewMessage, Outcome};
use rights::DecisionRecord;
use rights::pause::account_name;
use session::{Proven, Submission};
use tracking::{Event, Record, Tracking};

use crate::shared::{Shared, now};

/// Recipients of a message that its record names.
const RECIPIENTS: usize = 200;
/// Refusals that are recorded in one second; a flood of them is counted and audited in groups all the same.
const REFUSALS: u64 = 500;
/// The longest reason or name that is recorded, in octets.
const LONGEST: usize = 1000;

/// The record, and how much of this second's refusals it has.
pub(crate) struct Tracks {
    tracking: Tracking,
    refusals: AtomicU64,
}

impl Tracks {
    pub(crate) fn new(tracking: Tracking) -> Tracks {
        Tracks { tracking, refusals: AtomicU64::new(0) }
    }

    pub(crate) fn tracking(&self) -> &Tracking {
        &self.tracking
    }

    fn admits_refusal(&self, time: i64) -> bool {
        let second = time.unsigned_abs() / 1000;
        let count = |packed: u64| if packed >> 24 == second & 0xFF_FFFF_FFFF { packed & 0xFF_FFFF } else { 0 };
        let next = |packed: u64| Some(((second & 0xFF_FFFF_FFFF) << 24) | (count(packed) + 1).min(0xFF_FFFF));
        let before = self.refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or_default();
        count(before) < REFUSALS
    }
}

impl Shared {
    /// The record of what became of messages, where one is kept.
    pub fn tracking(&self) -> Option<&Tracking> {
        self.tracks().map(Tracks::tracking)
    }

    /// Notes an event, where a record is kept.
    pub(crate) fn note(&self, record: Record) {
        if let Some(tracking) = self.tracking() {
            tracking.note(record);
        }
    }

    /// The introduction of an accepted message: to be noted when it is durable. `recipients` as they stand in the queue.
    pub(crate) fn introduction<'a>(
        &self,
        from: &Submission,
        recipients: impl Iterator<Item = &'a str>,
        client: SocketAddr,
        hold: Option<&Hold>,
    ) -> Option<Record> {
        self.tracks()?;
        let snapshot = self.snapshot();
        let mut to: Vec<String> =
            from.recipients.iter().take(RECIPIENTS).map(|recipient| recipient.address.as_str().to_owned()).collect();
        let mut more = from.recipients.len().saturating_sub(RECIPIENTS) as u64;
        // Members of groups, who are no recipients of the envelope.
        let named = to.len();
        for recipient in recipients {
            if to.iter().take(named).any(|known| known == recipient) {
                continue;
            }
            if to.len() < RECIPIENTS {
                to.push(recipient.to_owned());
            } else {
                more += 1;
            }
        }
        Some(Record {
            time: from.received.0,
            id: from.queue_id.clone(),
            event: match (&from.pause, hold) {
                (Some(_), _) => Event::Paused,
                (None, Some(_)) => Event::Quarantined,
                (None, None) => Event::Received,
            },
            reason: hold.map(|hold| cut(hold.reason.clone())).unwrap_or_default(),
            sender: Some(from.sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default()),
            from: from.header_from.clone(),
            to,
            more,
            message_id: from.message_id.clone().map(cut).unwrap_or_default(),
            connector: name(&snapshot, &from.origin.connector),
            client: client.to_string(),
            helo: cut(from.origin.helo.clone()),
            account: from.origin.account.map(|account| account_name(&snapshot, &account)).unwrap_or_default(),
            proven: match from.origin.proven {
                Proven::Anonymous => "anonymous",
                Proven::Account => "account",
                Proven::Address => "address",
                Proven::Server => "server",
                Proven::Partner => "partner",
            }
            .to_owned(),
            decision: from.audit.as_ref().map(|record| record.id.clone()).unwrap_or_default(),
            size: from.size,
            ..Record::default()
        })
    }

    /// Notes that somebody was refused.
    pub(crate) fn note_refusal(&self, refused: &DecisionRecord) {
        let Some(tracks) = self.tracks().filter(|tracks| tracks.admits_refusal(refused.time)) else { return };
        let (who, asked) = (&refused.who, &refused.asked);
        tracks.tracking.note(Record {
            time: refused.time,
            event: Event::Refused,
            sender: asked.mail_from.as_deref().map(|sender| if sender == "<>" { "" } else { sender }.to_owned()),
            from: asked.from.clone(),
            to: asked.recipient.clone().into_iter().collect(),
            connector: who.connector.clone(),
            client: who.remote.clone(),
            account: who.account.clone().unwrap_or_default(),
            proven: who.token.clone(),
            decision: refused.id.clone(),
            reason: cut(refused.reply.clone().unwrap_or_default()),
            ..Record::default()
        });
    }

    /// What an attempt came to, and the reports about it: to be noted when that is durable.
    pub(crate) fn attempted<'a>(
        &self,
        delivery: &Delivery,
        outcomes: &[(u32, Outcome)],
        reports: impl Iterator<Item = &'a NewMessage>,
        time: i64,
    ) -> Vec<Record> {
        if self.tracks().is_none() {
            return Vec::new();
        }
        let snapshot = self.snapshot();
        let destination = self::destination(&snapshot, &delivery.destination);
        let mut records = Vec::with_capacity(outcomes.len() + 1);
        for (index, outcome) in outcomes {
            let Some(due) = delivery.recipients.iter().find(|due| due.index == *index) else { continue };
            let (event, reason) = match outcome {
                Outcome::Delivered => (Event::Delivered, String::new()),
                Outcome::Deferred { reason, .. } => (Event::Deferred, reason.clone()),
                Outcome::Failed { reason } => (Event::Failed, reason.clone()),
            };
            records.push(Record {
                time,
                id: delivery.queue_id.clone(),
                event,
                to: vec![due.address.clone()],
                destination: destination.clone(),
                reason: cut(reason),
                attempt: u64::from(due.attempts) + 1,
                ..Record::default()
            });
        }
        records.extend(reports.map(|bounce| report(&delivery.queue_id, bounce, time)));
        records
    }

    /// Notes what was decided about a message in the queue.
    pub fn note_order(&self, queue_id: &str, event: Event, by: &str, reason: &str) {
        self.note(Record {
            time: now().0,
            id: queue_id.to_owned(),
            event,
            by: by.to_owned(),
            reason: cut(reason.to_owned()),
            ..Record::default()
        });
    }
}

/// A report about a message, as a message of its own.
pub(crate) fn report(about: &str, bounce: &NewMessage, time: i64) -> Record {
    let envelope = &bounce.envelope;
    Record {
        time,
        id: envelope.queue_id.clone(),
        event: Event::Bounced,
        about: about.to_owned(),
        sender: Some(String::new()),
        to: envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect(),
        size: bounce.body.len(),
        ..Record::default()
    }
}

/// A destination of the queue in words that people know.
fn destination(snapshot: &Snapshot, destination: &str) -> String {
    let named =
        |text: &str| text.parse::<Guid>().ok().map(|guid| name(snapshot, &guid)).filter(|name| !name.is_empty());
    match destination.split_once(':') {
        // Whose it is says the recipient.
        Some(("mailbox", _)) => "mailbox".to_owned(),
        // One that goes by MX records has a destination for each domain; the recipient says which.
        Some(("connector", guid)) => named(guid.split(':').next().unwrap_or(guid))
            .map_or_else(|| destination.to_owned(), |name| format!("send connector {name}")),
        _ => destination.to_owned(),
    }
}

fn name(snapshot: &Snapshot, guid: &Guid) -> String {
    snapshot.by_guid(guid).and_then(|id| snapshot.object(id)).map(|object| object.name()).unwrap_or_default()
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}
