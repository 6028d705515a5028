//! The delivery loop: leases what is due, delivers it, reports what became of it.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use acl::Guid;
use directory::{AcceptedDomain, SendConnector, Snapshot};
use message::{Address, BinaryFault, CanonicalAddress};
use queue::{Beside, Delivery, DueRecipient, Limits, Millis, Outcome, QueueError, fail_point};
use serde_json::json;
use store::{AuditEntry, Webhook};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep;
use ulid::Ulid;

use super::DeliveryOptions;
use super::bounce::{self, Desk};
use super::errand::{Errand, Manner};
use super::fate::{Failure, Fate};
use super::filing::{Filing, LocalCopy};
use super::folder::DropFolder;
use super::hosts::Own;
use super::maildir::MailStore;
use super::outgoing::OpenError;
use super::pool::Pool;
use super::sts::Sts;
use super::tokens::Tokens;
use super::web::AT_A_TIME;
use crate::accept::Intake;
use crate::dns::Dns;
use crate::events;
use crate::facts::RecipientFacts;
use crate::route::{NextHop, Route, UNROUTED};
use crate::server::Stop;
use crate::shared::{Shared, now};

/// Recipients in one SMTP transaction (RFC 5321 §4.5.3.1.8: every host takes at least 100).
pub(super) const RECIPIENTS: usize = 100;
/// When something is due and cannot be leased, the loop looks again after this time at the latest.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// After a fault of the queue itself.
const PAUSE: Duration = Duration::from_secs(5);
/// What a destination that has enough connections is given next waits so long.
const CROWDED: Millis = 1_000;
/// The clock was set when it is further than this from where it should be, in milliseconds.
const SET: Millis = 60_000;
/// The clock is looked at so often at least.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(30);

/// Starts the delivery loop on a thread of its own.
pub(crate) fn start(
    hostname: String,
    options: DeliveryOptions,
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    grace: Duration,
    own: Own,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(options.local.max(1) + 2 + 2 * AT_A_TIME)
        .thread_name("deliver")
        .build()?;
    std::thread::Builder::new().name("delivery".into()).spawn(move || {
        let intake = Intake { expire: options.expire, exits: options.exits.clone() };
        let courier = Courier {
            mail: MailStore::new(&options.mail),
            local: Semaphore::new(options.local.max(1)),
            dns: Dns::new(&options.dns),
            own,
            sts: Sts::new(options.sts.clone(), options.roots.clone()),
            tokens: Tokens::new(options.roots.clone()),
            clock: Cell::new(Steady::now()),
            noted: Cell::new(Instant::now()),
            pool: Rc::new(Pool::default()),
            started: now().0,
            shared,
            hostname,
            options,
            intake,
        };
        LocalSet::new().block_on(&runtime, Rc::new(courier).run(stop, grace));
        runtime.shutdown_timeout(Duration::from_secs(1));
    })
}

/// Carries mail from the queue to where it belongs.
pub(super) struct Courier {
    pub(super) shared: Arc<Shared>,
    pub(super) hostname: String,
    pub(super) options: DeliveryOptions,
    pub(super) intake: Intake,
    mail: MailStore,
    pub(super) local: Semaphore,
    pub(super) pool: Rc<Pool>,
    pub(super) dns: Dns,
    pub(super) own: Own,
    pub(super) sts: Sts,
    pub(super) tokens: Tokens,
    clock: Cell<Steady>,
    /// When the counts of sending limits were noted last.
    noted: Cell<Instant>,
    /// When this process began to deliver: what was accepted before may have been delivered before.
    started: Millis,
}

/// The time of day beside a clock that nobody sets.
#[derive(Clone, Copy)]
struct Steady {
    day: Millis,
    steady: Instant,
}

impl Steady {
    fn now() -> Steady {
        Steady { day: now().0, steady: Instant::now() }
    }
}

/// What routes depend on beside the recipients; compared from snapshot to snapshot.
#[derive(PartialEq)]
struct Routing {
    connectors: Vec<SendConnector>,
    guids: Vec<Guid>,
    domains: Vec<AcceptedDomain>,
}

impl Courier {
    async fn run(self: Rc<Self>, mut stop: watch::Receiver<Stop>, grace: Duration) {
        let mut attempts = JoinSet::new();
        let mut versions = self.shared.subscribe();
        let mut routing = Routing::of(&self.shared.snapshot());
        self.shared.queue().set_limits(routing.limits());
        tokio::task::spawn_local(Rc::clone(&self).warn_of_delays(stop.clone()));
        while *stop.borrow() == Stop::No {
            self.look_at_clock().await;
            let wait = self.lease(&mut attempts).map(|wait| wait.min(LOOK_AT_CLOCK));
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => break,
                () = self.shared.queue().changed() => {}
                Some(_) = attempts.join_next(), if !attempts.is_empty() => {
                    while attempts.try_join_next().is_some() {}
                }
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                changed = versions.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.follow(&mut routing);
                }
            }
        }
        self.finish(attempts, stop, grace).await;
        self.note_sending();
    }

    fn note_sending(&self) {
        if let Err(error) = self.shared.sending().note() {
            tracing::warn!(%error, "the counts of sending limits cannot be noted");
        }
    }

    /// Where the clock was set, plans keep their distance to now: nothing expires because of it, and nothing waits.
    async fn look_at_clock(&self) {
        let (before, time) = (self.clock.get(), Steady::now());
        let passed = Millis::try_from(time.steady.duration_since(before.steady).as_millis()).unwrap_or(Millis::MAX);
        let moved = time.day.saturating_sub(before.day).saturating_sub(passed);
        self.clock.set(time);
        if time.steady >= self.noted.get() + LOOK_AT_CLOCK {
            self.noted.set(time.steady);
            self.note_sending();
        }
        if moved.abs() > SET {
            tracing::warn!(
                seconds = moved / 1000,
                "the clock was set; what waits in the queue waits as long as before"
            );
            if let Err(error) = self.shared.queue().clock_moved(moved).await {
                tracing::error!(%error, "the queue cannot follow the clock");
            }
        }
    }

    /// Leases what is due and starts to deliver it. Returns how long to wait for what is due next.
    fn lease(self: &Rc<Self>, attempts: &mut JoinSet<()>) -> Option<Duration> {
        let room = self.options.leases.max(1).saturating_sub(attempts.len());
        if room == 0 {
            return None;
        }
        match self.shared.queue().due(now().0, room) {
            Ok(due) => {
                for delivery in due {
                    attempts.spawn_local(Rc::clone(self).deliver(delivery));
                }
            }
            Err(QueueError::Closed) => return None,
            Err(error) => {
                tracing::error!(%error, "the queue cannot say what is due");
                return Some(PAUSE);
            }
        }
        let next = self.shared.queue().next_due()?;
        let wait = u64::try_from(next - now().0).unwrap_or(0);
        Some(if wait == 0 { LOOK_AGAIN } else { Duration::from_millis(wait) })
    }

    /// A new snapshot: if routes may have changed, mail that waits for one is looked at again.
    fn follow(&self, routing: &mut Routing) {
        let snapshot = self.shared.snapshot();
        let newest = Routing::of(&snapshot);
        if *routing == newest {
            return;
        }
        *routing = newest;
        self.shared.queue().set_limits(routing.limits());
        for state in self.shared.queue().destinations(None) {
            if state.destination.starts_with(UNROUTED) || state.destination.starts_with("connector:") {
                self.shared.queue().destination_up(&state.destination);
            }
        }
    }

    /// Lets attempts under way come to their end, within limits.
    async fn finish(&self, mut attempts: JoinSet<()>, mut stop: watch::Receiver<Stop>, grace: Duration) {
        let ended = async { while attempts.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => return,
            () = sleep(grace) => tracing::warn!("deliveries did not end in time; they will be repeated"),
            _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
        }
        attempts.abort_all();
        while attempts.join_next().await.is_some() {}
    }

    async fn deliver(self: Rc<Self>, delivery: Delivery) {
        let fates = if delivery.expired { self.last_chance(&delivery).await } else { self.attempt(&delivery).await };
        fail_point("delivery.before_outcome");
        self.conclude(delivery, fates).await;
    }

    /// The time for delivery is over. What was never tried, because the server was down so long, is tried once, unless
    /// its destination is known not to answer.
    async fn last_chance(&self, delivery: &Delivery) -> Vec<(u32, Fate)> {
        let untried = delivery.destination_failures == 0 && delivery.recipients.iter().all(|due| due.attempts == 0);
        if untried {
            let fates = self.attempt(delivery).await;
            return fates.into_iter().map(|(index, fate)| (index, expired(fate))).collect();
        }
        let waited_for = self.shared.queue().destinations(Some(&delivery.destination)).pop();
        let reason_of = |due: &DueRecipient| match (due.last_reason.as_str(), &waited_for) {
            ("", Some(state)) => state.reason.clone(),
            (last, _) => last.to_owned(),
        };
        delivery.recipients.iter().map(|due| (due.index, expired(Fate::later(reason_of(due))))).collect()
    }

    /// Tries every recipient once.
    async fn attempt(&self, delivery: &Delivery) -> Vec<(u32, Fate)> {
        let snapshot = self.shared.snapshot();
        let mut fates = Vec::with_capacity(delivery.recipients.len());
        let mut copies = Vec::new();
        let mut hops: Vec<((NextHop, Manner), Vec<Errand>)> = Vec::new();
        let mut folders: Vec<((DropFolder, Manner), Vec<Errand>)> = Vec::new();
        for due in &delivery.recipients {
            let Some((address, canonical)) = readable(&due.address) else {
                fates.push((due.index, Fate::failed((5, 1, 3), "the address cannot be read")));
                continue;
            };
            let (manner, RecipientFacts { params, .. }) = Manner::of(delivery, due);
            match Route::resolve(&snapshot, &canonical, delivery.size, &self.intake.exits) {
                Route::Mailbox { mailbox, address: primary, .. } => {
                    copies.push(LocalCopy {
                        index: due.index,
                        mailbox,
                        folder: primary.map(|primary| primary.as_str().to_owned()),
                        recipient: due.address.clone(),
                        manner,
                        may_be_read: due.attempts > 0 || delivery.received < self.started,
                    });
                }
                Route::Host(hop) => {
                    let (way, errand) = ((hop, manner), Errand { index: due.index, address, params });
                    match hops.iter_mut().find(|(other, _)| *other == way) {
                        Some((_, errands)) => errands.push(errand),
                        None => hops.push((way, vec![errand])),
                    }
                }
                Route::Folder(folder) => {
                    let (way, errand) = ((folder, manner), Errand { index: due.index, address, params });
                    match folders.iter_mut().find(|(other, _)| *other == way) {
                        Some((_, errands)) => errands.push(errand),
                        None => folders.push((way, vec![errand])),
                    }
                }
                Route::Group(_) => {
                    let reason =
                        "not all members of the group got the message: none has an address, or they are too many";
                    fates.push((due.index, Fate::failed((5, 1, 1), reason)));
                }
                Route::Unknown { status, reason } => fates.push((due.index, Fate::failed(status, reason))),
                Route::None { reason } => fates.push((due.index, Fate::down(reason))),
            }
        }
        if !copies.is_empty() {
            fates.extend(match self.intake.exits.lmtp {
                Some(_) => self.hand_over(delivery, copies).await,
                None => self.file(delivery, copies).await,
            });
        }
        for (way, errands) in folders {
            fates.extend(self.leave(&snapshot, delivery, &way, &errands).await);
        }
        for (way, errands) in hops {
            for part in errands.chunks(RECIPIENTS) {
                fates.extend(self.send(&snapshot, delivery, &way, part).await);
            }
        }
        fates
    }

    /// Delivers to local mailboxes, on a thread that may block.
    async fn file(&self, delivery: &Delivery, copies: Vec<LocalCopy>) -> Vec<(u32, Fate)> {
        let Ok(_permit) = self.local.acquire().await else { return Vec::new() };
        let indexes: Vec<u32> = copies.iter().map(|copy| copy.index).collect();
        let filing = Filing {
            shared: Arc::clone(&self.shared),
            mail: self.mail.clone(),
            hostname: self.hostname.clone(),
            max_hops: self.options.max_hops,
            queue_id: delivery.queue_id.clone(),
            received: delivery.received,
        };
        let filed =
            tokio::task::spawn_blocking(move || copies.iter().map(|copy| (copy.index, filing.file(copy))).collect());
        match filed.await {
            Ok(fates) => fates,
            Err(error) => {
                tracing::error!(queue_id = delivery.queue_id, %error, "a local delivery broke off");
                indexes.into_iter().map(|index| (index, Fate::later("the delivery broke off"))).collect()
            }
        }
    }

    /// Reports to the queue: outcomes, and a bounce for what was given up, in one step.
    async fn conclude(&self, delivery: Delivery, fates: Vec<(u32, Fate)>) {
        let time = now().0;
        let queue = self.shared.queue();
        let (queue_id, destination) = (delivery.queue_id.clone(), delivery.destination.clone());
        let bounce::Reports { messages: reports, untold } = match self.reports(&delivery, &fates, time) {
            Ok(reports) => reports,
            Err(error) => {
                tracing::error!(queue_id, %error, "a bounce cannot be written; trying again later");
                return self.put_off(delivery, &fates, time).await;
            }
        };
        if delivery.destination_failures > 0 && fates.iter().any(|(_, fate)| fate.is_answer()) {
            queue.destination_up(&destination);
        }
        let outcomes = self.outcomes(&delivery, &fates, time);
        if !untold.is_empty() {
            self.note_dead_letter(&delivery, &untold, time);
        }
        let events = self.shared.attempted(&delivery, &outcomes, reports.iter(), time);
        let told = self.told(&delivery, &fates, time);
        let news = !told.events.is_empty();
        match queue.outcome_with(delivery, outcomes, reports, Some(Box::new(told))).await {
            Ok(()) => {
                events.into_iter().for_each(|event| self.shared.note(event));
                if news {
                    self.shared.webhooks().noted();
                }
            }
            Err(QueueError::UnknownMessage { .. } | QueueError::Closed) => {}
            Err(error) => {
                tracing::error!(queue_id, %error, "the outcome of a delivery cannot be recorded; it will be repeated");
                queue.destination_down(&destination, time + PAUSE.as_millis() as i64, &error.to_string());
            }
        }
    }

    /// What commits with the outcome of a delivery: what those are told who have a webhook for the account that sent it.
    fn told(&self, delivery: &Delivery, fates: &[(u32, Fate)], time: Millis) -> Beside {
        let mut told = Beside { time, ..Beside::default() };
        let webhooks = self.shared.webhooks();
        if webhooks.all().is_empty() {
            return told;
        }
        let Some(account) = events::account_of(&delivery.parameters) else { return told };
        let message =
            events::Message { queue_id: &delivery.queue_id, account: &account, sender: delivery.sender.as_deref() };
        let due = |index: &u32| delivery.recipients.iter().find(|due| due.index == *index);
        let called = |index: &u32| due(index).and_then(|due| events::called(&due.address, &due.parameters));
        let snapshot = self.shared.snapshot();
        for kind in [Webhook::DELIVERED, Webhook::FAILED] {
            let recipients = fates.iter().filter_map(|(index, fate)| match fate {
                Fate::Delivered | Fate::Relayed { .. } if kind == Webhook::DELIVERED => {
                    Some(json!({ "address": called(index)? }))
                }
                Fate::Failed(failure) if kind == Webhook::FAILED => {
                    let (class, subject, detail) = failure.status;
                    let status = format!("{class}.{subject}.{detail}");
                    Some(json!({ "address": called(index)?, "reason": failure.reason, "status": status }))
                }
                _ => None,
            });
            let recipients: Vec<_> = recipients.collect();
            if !recipients.is_empty() {
                told.events.extend(webhooks.events(&account, kind, time, &message.data(&snapshot, recipients)));
            }
        }
        told
    }

    /// The reports that are due.
    fn reports(&self, delivery: &Delivery, fates: &[(u32, Fate)], time: Millis) -> Result<bounce::Reports, QueueError> {
        let (queue, snapshot) = (self.shared.queue(), self.shared.snapshot());
        let desk = Desk { queue, snapshot: &snapshot, intake: &self.intake, hostname: &self.hostname, time };
        bounce::reports(&desk, delivery, fates)
    }

    fn outcomes(&self, delivery: &Delivery, fates: &[(u32, Fate)], time: Millis) -> Vec<(u32, Outcome)> {
        let mut outcomes = Vec::with_capacity(fates.len());
        let (mut crowded, mut down) = (None, false);
        for (index, fate) in fates {
            let Some(due) = delivery.recipients.iter().find(|due| due.index == *index) else { continue };
            let outcome = match fate {
                Fate::Delivered | Fate::Relayed { .. } => {
                    self.shared.figures().delivered.bump();
                    self.shared.figures().attempted(&delivery.destination, "delivered");
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, "delivered");
                    Outcome::Delivered
                }
                Fate::Deferred { reason, everybody, itself } => {
                    self.shared.figures().deferred.bump();
                    self.shared.figures().attempted(&delivery.destination, "deferred");
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, reason, "deferred");
                    let own = time + self.options.backoff.delay(due.attempts + 1, spread(&delivery.queue_id, time));
                    let until = match (*everybody, *itself) {
                        (false, _) => own,
                        // Others go to it at this moment. It has enough of us, perhaps; or it is the message.
                        (true, true) if self.shared.queue().destination_busy(&delivery.destination) => own,
                        (true, false) if *crowded.get_or_insert_with(|| self.is_crowded(delivery)) => {
                            time + CROWDED + Millis::from(spread(&delivery.queue_id, time)) * 10
                        }
                        (true, itself) => {
                            if !std::mem::replace(&mut down, true) {
                                let failures = delivery.destination_failures + 1;
                                let wait = self.options.backoff.delay(failures, spread(&delivery.destination, time));
                                self.shared.queue().destination_down(&delivery.destination, time + wait, reason);
                            }
                            if itself { own } else { time }
                        }
                    };
                    Outcome::Deferred { until, reason: reason.clone() }
                }
                Fate::Failed(failure) => {
                    let reason = &failure.reason;
                    self.shared.figures().failed.bump();
                    self.shared.figures().attempted(&delivery.destination, "failed");
                    tracing::info!(queue_id = delivery.queue_id, recipient = due.address, reason, "given up");
                    Outcome::Failed { reason: reason.clone() }
                }
            };
            outcomes.push((*index, outcome));
        }
        outcomes
    }

    /// Whether the destination has other deliveries under way; it gets no more than those then.
    fn is_crowded(&self, delivery: &Delivery) -> bool {
        self.shared.queue().destination_crowded(&delivery.destination)
    }

    /// No bounce can be written now: what was delivered is reported, what failed is looked at again later.
    async fn put_off(&self, delivery: Delivery, fates: &[(u32, Fate)], time: Millis) {
        let (queue_id, destination) = (delivery.queue_id.clone(), delivery.destination.clone());
        let fates: Vec<(u32, Fate)> = fates
            .iter()
            .map(|(index, fate)| match fate {
                Fate::Failed(failure) => (*index, Fate::later(failure.reason.clone())),
                other => (*index, other.clone()),
            })
            .collect();
        let outcomes = self.outcomes(&delivery, &fates, time);
        let events = self.shared.attempted(&delivery, &outcomes, std::iter::empty(), time);
        events.into_iter().for_each(|event| self.shared.note(event));
        let told = self.told(&delivery, &fates, time);
        if let Err(error) = self.shared.queue().outcome_with(delivery, outcomes, Vec::new(), Some(Box::new(told))).await
        {
            tracing::error!(queue_id, %error, "the outcome of a delivery cannot be recorded; it will be repeated");
            let until = time + PAUSE.as_millis() as i64;
            self.shared.queue().destination_down(&destination, until, &error.to_string());
        }
    }

    /// A message that nobody can be told of: the log and the audit are its only traces.
    fn note_dead_letter(&self, delivery: &Delivery, failures: &[(u32, Failure)], time: Millis) {
        let recipients: Vec<_> = failures
            .iter()
            .filter_map(|(index, failure)| {
                let due = delivery.recipients.iter().find(|due| due.index == *index)?;
                Some(json!({ "recipient": due.address, "reason": failure.reason }))
            })
            .collect();
        tracing::warn!(queue_id = delivery.queue_id, "a message without a sender is undeliverable and was dropped");
        self.shared.audit().note(AuditEntry {
            id: Ulid::generate().to_string(),
            time,
            kind: "undeliverable".to_owned(),
            json: json!({
                "queue_id": delivery.queue_id, "received": delivery.received, "recipients": recipients,
            })
            .to_string(),
        });
    }
}

impl Routing {
    fn of(snapshot: &Snapshot) -> Routing {
        Routing {
            connectors: snapshot.send_connectors().map(|(_, connector)| connector.clone()).collect(),
            domains: snapshot.accepted_domains().map(|(_, domain)| domain.clone()).collect(),
            guids: snapshot.send_connectors().filter_map(|(id, _)| Some(snapshot.object(id)?.guid())).collect(),
        }
    }

    /// How much each connector may give to a destination.
    fn limits(&self) -> Vec<(String, Limits)> {
        let limits = self.connectors.iter().zip(&self.guids).map(|(connector, guid)| {
            let limits = Limits { at_a_time: connector.max_connections, per_minute: connector.rate };
            (format!("connector:{guid}"), limits)
        });
        limits.filter(|(_, limits)| *limits != Limits::default()).collect()
    }
}

fn readable(text: &str) -> Option<(Address, CanonicalAddress)> {
    let address = Address::parse(text).ok()?;
    let canonical = address.canonical();
    Some((address, canonical))
}

/// What could not be delivered now is given up.
fn expired(fate: Fate) -> Fate {
    match fate {
        Fate::Deferred { reason, .. } if reason.is_empty() => {
            Fate::failed((4, 4, 7), "it could not be delivered in time")
        }
        Fate::Deferred { reason, .. } => {
            Fate::failed((4, 4, 7), format!("it could not be delivered in time; the last attempt: {reason}"))
        }
        other => other,
    }
}

pub(super) fn looping() -> Fate {
    Fate::failed((5, 4, 6), "the message has passed too many hosts; it is going round in circles")
}

pub(super) fn cannot_open(queue_id: &str, error: &OpenError) -> Fate {
    // RFC 3463 §3.7: "Conversion required and prohibited", "Conversion required but not supported".
    if let OpenError::Binary(fault) = error {
        let detail = if *fault == BinaryFault::Signed { 2 } else { 3 };
        return Fate::failed((5, 6, detail), error.to_string());
    }
    tracing::error!(queue_id, %error, "a queued message cannot be read");
    Fate::later(format!("the message cannot be read from the queue: {error}"))
}

/// A number that differs between messages, so that those deferred together do not all come back together.
fn spread(text: &str, time: Millis) -> u8 {
    let hash = text
        .bytes()
        .chain(time.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 56) as u8
}
