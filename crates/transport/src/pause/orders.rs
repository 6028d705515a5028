//! What people decide about paused mail: release it now, give it back to its sender, remove it.

use message::Address;
use queue::{ListFilter, MessageSummary, Millis, NewMessage, QueueError, RecipientState, Resolution};
use rights::pause::account_name;
use rights::{Asked, DecisionRecord, HeldFor, TraceLine, VerdictKind, Who};
use serde_json::json;
use session::{Judgement, Pair};
use store::Webhook;
use tracking::{Event, Record};
use ulid::Ulid;

use super::held::{Held, HeldError};
use super::key;
use crate::delivery::bounce::{self, Desk, Original};
use crate::delivery::fate::Failure;
use crate::facts::{MessageFacts, RecipientFacts};
use crate::shared::{Shared, now};

/// Messages looked at in one step.
const PAGE: usize = 64;
/// What a sender is told of a message that comes back (S0, KB 912918, second NDR).
const RETURNED: &str = "The message could not be sent by using your mailbox. You do not have the permission to send the \
    message on behalf of the specified user.";

/// Which held messages of a pair.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The pair.
    pub pair: Pair,
    /// Those that were set aside for a person; else those that wait for the right.
    pub aside: bool,
    /// This one only.
    pub message: Option<String>,
    /// Those accepted before this time only, milliseconds since the Unix epoch.
    pub before: Option<Millis>,
}

/// What is to become of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// They are decided about again, and go if they may.
    Release {
        /// They go although the right is missing: whoever orders it may grant it.
        granted: bool,
    },
    /// They go back to their senders.
    Return,
    /// They are removed. Nobody is told.
    Remove,
}

/// What became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Messages that are held no more.
    pub done: u64,
    /// Messages that are still held.
    pub left: u64,
    /// Why the first of those are.
    pub why: Vec<String>,
}

/// Reasons that are told.
const REASONS: usize = 5;

impl Shared {
    /// Carries out what somebody (`by`, as `DOMAIN\name`) decided about paused messages; in a dry run, only says what
    /// would become of them. Blocks.
    ///
    /// # Errors
    /// Faults of the queue. What was done stays done.
    pub fn order(&self, chosen: &Chosen, order: &Order, by: &str, dry_run: bool) -> Result<Ordered, QueueError> {
        let mut ordered = Ordered::default();
        let hold_key = key(chosen.pair, chosen.aside);
        let mut after = None;
        loop {
            let filter = ListFilter { hold_key: Some(hold_key.clone()), after, limit: PAGE, ..ListFilter::default() };
            let page = self.queue().list(&filter)?;
            for message in &page {
                let wanted = chosen.message.as_ref().is_none_or(|id| *id == message.queue_id)
                    && chosen.before.is_none_or(|before| message.received < before);
                if !wanted {
                    continue;
                }
                match self.order_one(chosen, order, (by, dry_run), message)? {
                    None => ordered.done += 1,
                    Some(why) => {
                        ordered.left += 1;
                        if ordered.why.len() < REASONS && !ordered.why.contains(&why) {
                            ordered.why.push(why);
                        }
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.queue_id.clone()),
                _ => return Ok(ordered),
            }
        }
    }

    /// One message; why it is still held.
    fn order_one(
        &self,
        chosen: &Chosen,
        order: &Order,
        (by, dry_run): (&str, bool),
        message: &MessageSummary,
    ) -> Result<Option<String>, QueueError> {
        let queue_id = &message.queue_id;
        let (resolution, bounces, record) = match order {
            Order::Release { granted } => match self.released(chosen, by, queue_id, *granted)? {
                Ok((resolution, record)) => (resolution, Vec::new(), record),
                Err(why) => return Ok(Some(why)),
            },
            Order::Return => {
                let bounces: Vec<NewMessage> = self.returned(message)?.into_iter().collect();
                if bounces.is_empty() {
                    return Ok(Some("it has no sender that it could go back to: remove it, or release it".to_owned()));
                }
                (Resolution::Remove, bounces, self.given_up(chosen, by, message, "returned to its sender"))
            }
            Order::Remove => (Resolution::Remove, Vec::new(), self.given_up(chosen, by, message, "removed")),
        };
        if dry_run {
            return Ok(None);
        }
        let audit = serde_json::to_vec(&record).ok();
        let key = key(chosen.pair, chosen.aside);
        let reports: Vec<Record> =
            bounces.iter().map(|bounce| crate::tracking::report(queue_id, bounce, now().0)).collect();
        let told = self.told_of_order(chosen.pair, order, message, by)?;
        match self.queue().resolve_with(queue_id, &key, resolution, (bounces, audit, told), now().0).wait() {
            Ok(()) => {}
            // Somebody was faster.
            Err(QueueError::UnknownMessage { .. }) => return Ok(Some("it is not held any more".to_owned())),
            Err(error) => return Err(error),
        }
        self.audit().committed();
        let event = if matches!(order, Order::Release { .. }) { Event::Released } else { Event::Removed };
        self.note_order(queue_id, event, by, "");
        reports.into_iter().for_each(|report| self.note(report));
        self.pauses().gone(chosen, message.size);
        tracing::info!(queue_id, by, order = ?order, "a paused message was decided about");
        Ok(None)
    }

    fn released(
        &self,
        chosen: &Chosen,
        by: &str,
        queue_id: &str,
        granted: bool,
    ) -> Result<Result<(Resolution, DecisionRecord), String>, QueueError> {
        let held = match Held::open(self.queue(), queue_id) {
            Ok(held) => held,
            Err(HeldError::Queue(error)) => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let Some(ground) = self.pauses().ground.get() else {
            return Ok(Err("the server is not ready yet".to_owned()));
        };
        let id = Ulid::generate().to_string();
        let judgement = held.judge(&self.snapshot(), &ground.hostname, chosen.pair.user, id, granted.then_some(by));
        let why = match judgement {
            Judgement::Released { header, mut record } => {
                if let Some(held) = &mut record.held {
                    held.by = Some(by.to_owned());
                }
                let mut head = self.queue().begin();
                head.write(&header)?;
                let expires = ground.intake.expires(now().0);
                let resolution = Resolution::Release { head, replaces: held.header_octets, expires };
                return Ok(Ok((resolution, *record)));
            }
            Judgement::Waits(paused) => paused.denied.refusal.reply().text,
            Judgement::Refused(denied) => denied.refusal.reply().text,
            Judgement::Undeliverable(denied, to) => format!("{to}: {}", denied.refusal.reply().text),
            Judgement::Orphaned => "the account or the connector that it came by is gone".to_owned(),
        };
        Ok(Err(why))
    }

    /// What those are told who have a webhook for the account.
    fn told_of_order(
        &self,
        pair: Pair,
        order: &Order,
        message: &MessageSummary,
        by: &str,
    ) -> Result<Vec<queue::Event>, QueueError> {
        let why = match order {
            Order::Release { .. } => {
                let detail = self.queue().show(&message.queue_id)?;
                return Ok(super::told_of_release(self, pair, &detail));
            }
            Order::Return => format!("returned to its sender by {by}"),
            Order::Remove => format!("removed by {by}"),
        };
        if !self.webhooks().wanted(&pair.account, Webhook::FAILED) {
            return Ok(Vec::new());
        }
        let detail = self.queue().show(&message.queue_id)?;
        let called = |to: &queue::RecipientDetail| crate::events::called(&to.address, &to.parameters);
        let recipients =
            detail.recipients.iter().filter_map(|to| Some(json!({ "address": called(to)?, "reason": why }))).collect();
        Ok(super::told(self, pair, message, Webhook::FAILED, recipients))
    }

    /// The report to the sender.
    fn returned(&self, message: &MessageSummary) -> Result<Option<NewMessage>, QueueError> {
        let Some(ground) = self.pauses().ground.get() else { return Ok(None) };
        let detail = self.queue().show(&message.queue_id)?;
        let failure = Failure { status: (5, 7, 1), reason: RETURNED.to_owned(), host: None, reply: None };
        let pending = detail.recipients.iter().filter(|recipient| recipient.state == RecipientState::Pending);
        let recipients: Vec<(Address, RecipientFacts)> = pending
            .filter_map(|to| Some((Address::parse(&to.address).ok()?, RecipientFacts::read(&to.parameters))))
            .collect();
        let original = Original {
            queue_id: &message.queue_id,
            received: message.received,
            smtputf8: detail.smtputf8,
            asked: MessageFacts::read(&detail.parameters).0,
        };
        let (queue, snapshot) = (self.queue(), self.snapshot());
        let (intake, hostname) = (&ground.intake, ground.hostname.as_str());
        let desk = Desk { queue, snapshot: &snapshot, intake, hostname, time: now().0 };
        bounce::returned(&desk, &original, message.sender.as_deref(), &recipients, &failure)
    }

    /// For the audit: a message that somebody gave up.
    fn given_up(&self, chosen: &Chosen, by: &str, message: &MessageSummary, what: &str) -> DecisionRecord {
        let snapshot = self.snapshot();
        let user = account_name(&snapshot, &chosen.pair.user);
        let text = format!("{what} by {by}; it waited for Send As on {user}");
        DecisionRecord {
            id: Ulid::generate().to_string(),
            time: now().0,
            snapshot: snapshot.version(),
            verdict: VerdictKind::GivenUp,
            outcome: "none".to_owned(),
            reply: None,
            refusal: None,
            who: Who { account: Some(account_name(&snapshot, &chosen.pair.account)), ..Who::default() },
            asked: Asked { mail_from: message.sender.clone(), ..Asked::default() },
            trace: vec![TraceLine { text, object: None, guid: None, ace: None, through: Vec::new() }],
            missing: None,
            queue_id: Some(message.queue_id.clone()),
            held: Some(HeldFor { user, since: message.received, by: Some(by.to_owned()), ..HeldFor::default() }),
        }
    }
}

impl super::Pauses {
    /// A message was decided about by hand.
    fn gone(&self, chosen: &Chosen, bytes: u64) {
        let mut state = self.lock();
        match chosen.aside {
            true => state.forget(chosen.pair.account, bytes),
            false => state.take(chosen.pair, bytes),
        }
        drop(state);
        self.work.notify_one();
    }
}
