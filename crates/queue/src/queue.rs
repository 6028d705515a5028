//! The handle that everybody holds.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::committer::{Callback, EndOfHold, Request, Settlement, Shared};
use crate::keeper::Chore;
use crate::pace::Limits;
use crate::reader::Readers;
use crate::storage::{Effect, Operation};
use crate::{
    AuditItem, Beside, BodyReader, BodyWriter, Census, Counts, Delivery, DestinationState, Envelope, Event,
    EventCounts, Held, Hold, KeptEvent, KeptTicket, LatencyCounts, ListFilter, Measured, MessageDetail, MessageSummary,
    Millis, NewMessage, Outcome, Pending, QueueError, Resolution, Selected, Selection, Told, select, ticket,
};

/// A body with more than this in its segments is synced before the committer gets it.
const LARGE: u64 = 1 << 20;
/// When the outcome of a delivery cannot be noted, it is not tried again for so long.
const UNSETTLED_WAIT: Millis = 60_000;

/// Settings of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// Name of this node; rows belong to it.
    pub node: String,
    /// Octets per segment file (default 64 MiB).
    pub segment_size: u64,
    /// Drained segments kept for reuse (default 2).
    pub spare_segments: usize,
    /// How many octets of the newest bodies stay in the page cache for the deliveries that are about to read them, rounded
    /// down to segments, at least one besides the current one (default 256 MiB). A long queue then does not push everything
    /// else out of memory.
    pub cached: u64,
    /// Accept nothing while the file system has less than this free (default 64 MiB).
    pub min_free: u64,
    /// Accept nothing beyond this many octets in segment files; `None`: no bound but the disk.
    pub capacity: Option<u64>,
    /// The write-ahead log of the database is checkpointed from this many octets on (default 8 MiB) and kept below
    /// about four times that.
    pub wal_size: u64,
    /// Deliveries leased at the same time for one destination (default 20).
    pub per_destination: u32,
    /// ... for a destination of which nothing is known (default 20). Each answer allows one more.
    pub first: u32,
    /// Deliveries leased at the same time for all destinations that may stall (default 1000). When many have leases, each
    /// has fewer; a quarter is kept for destinations that are known to answer.
    pub far: u32,
    /// How the names of destinations begin that do not stall, such as local mailboxes; none.
    pub near: Vec<String>,
    /// Acknowledge new messages and keep none of them: for measuring what durability costs, never for mail.
    pub discard: bool,
}

impl Default for QueueOptions {
    fn default() -> QueueOptions {
        QueueOptions {
            node: "local".to_owned(),
            segment_size: 64 << 20,
            spare_segments: 2,
            cached: 256 << 20,
            min_free: 64 << 20,
            capacity: None,
            wal_size: 8 << 20,
            per_destination: 20,
            first: 20,
            far: 1000,
            near: Vec::new(),
            discard: false,
        }
    }
}

/// What was found when the queue was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Messages in the queue.
    pub messages: u64,
    /// Deliveries waiting.
    pub deliveries: u64,
    /// Segment files that held no message any more and were recycled or removed.
    pub segments_reclaimed: u64,
    /// Octets in segments that belong to no message (never acknowledged, or already delivered).
    pub unreferenced_bytes: u64,
    /// Messages whose body is not where the database says (segment missing or too short). They are held under the key
    /// `damaged`.
    pub damaged: Vec<String>,
}

/// The durable queue. Clones share it; the last one closes it.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    pub(crate) readers: Readers,
    pub(crate) requests: Sender<Request>,
    pub(crate) threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held as long as the queue is open.
    pub(crate) lock: std::fs::File,
}

impl Queue {
    /// Opens or creates the queue in `dir` and repairs what a crash left behind.
    ///
    /// # Errors
    /// [`QueueError::InUse`], [`QueueError::Corrupt`], [`QueueError::NewerSchema`], [`QueueError::Io`].
    pub fn open(dir: &Path, options: QueueOptions) -> Result<(Queue, Recovery), QueueError> {
        let (inner, recovery) = crate::open::open(dir, &options)?;
        Ok((Queue(Arc::new(inner)), recovery))
    }

    /// The directory it lives in.
    pub fn dir(&self) -> &Path {
        self.0.shared.segments.queue()
    }

    /// Starts a body.
    pub fn begin(&self) -> BodyWriter {
        BodyWriter::new(self.0.shared.segments.clone())
    }

    /// Queues a message. `done` is called on the committer's thread, soon, once body and envelope are on stable storage
    /// (or are certain not to be kept); it must not block.
    pub fn commit(
        &self,
        body: BodyWriter,
        envelope: Envelope,
        done: impl FnOnce(Result<(), QueueError>) + Send + 'static,
    ) {
        self.commit_with(body, envelope, None, done);
    }

    /// The same, together with something else; with [`QueueError::DuplicateKey`] where its ticket has a key that counts
    /// already.
    pub fn commit_with(
        &self,
        body: BodyWriter,
        envelope: Envelope,
        beside: Option<Box<Beside>>,
        done: impl FnOnce(Result<(), QueueError>) + Send + 'static,
    ) {
        self.commit_all(vec![NewMessage { body, envelope }], beside, done);
    }

    /// Queues at least one message: all of them, or none. What is beside them is the first one's, its ticket too.
    pub fn commit_all(
        &self,
        messages: Vec<NewMessage>,
        beside: Option<Box<Beside>>,
        done: impl FnOnce(Result<(), QueueError>) + Send + 'static,
    ) {
        self.accept(messages, beside, None, Callback::new(done));
    }

    fn accept(&self, messages: Vec<NewMessage>, beside: Option<Box<Beside>>, late: Option<String>, done: Callback<()>) {
        let large = messages.iter().any(|message| message.body.spilled() > LARGE);
        let request = Request::Accept { messages, beside, late, done };
        if large {
            let _ = self.0.shared.chores.send(Chore::Presync(Box::new(request)));
        } else {
            self.request(request);
        }
    }

    /// Leases up to `limit` deliveries that are due at `now`: oldest first, each destination in turn, none for a
    /// destination that waits after a failure (except expired ones). Reads the database; does not wait for syncs.
    ///
    /// # Errors
    /// Database faults.
    pub fn due(&self, now: Millis, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut deliveries = Vec::new();
        while deliveries.len() < limit {
            let taken = self.0.shared.schedule.take(now, limit - deliveries.len());
            if taken.is_empty() {
                break;
            }
            let wanted = taken.iter().map(|taken| (taken.lease.message, &*taken.destination, taken.expired));
            let loaded = self.0.readers.deliveries(now, wanted)?;
            for (mut taken, loaded) in taken.into_iter().zip(loaded) {
                match loaded {
                    Some(loaded) if !loaded.recipients.is_empty() => {
                        taken.lease.back_at(now);
                        deliveries.push(Delivery {
                            queue_id: loaded.queue_id,
                            destination: taken.destination.to_string(),
                            sender: loaded.sender,
                            recipients: loaded.recipients,
                            received: loaded.received,
                            expires: loaded.expires,
                            expired: taken.expired,
                            size: loaded.size,
                            smtputf8: loaded.smtputf8,
                            eight_bit: loaded.eight_bit,
                            parameters: loaded.parameters,
                            destination_failures: taken.failures,
                            lease: taken.lease,
                        });
                    }
                    other => taken.lease.settle(other.and_then(|loaded| loaded.later), &[]),
                }
            }
        }
        Ok(deliveries)
    }

    /// When the next delivery will be due (may be in the past); `None` if there is nothing to wait for.
    pub fn next_due(&self) -> Option<Millis> {
        self.0.shared.schedule.next_due()
    }

    /// Resolves when [`Queue::next_due`] may have become earlier since the last call.
    pub async fn changed(&self) {
        self.0.shared.schedule.changed().await;
    }

    /// Reports what became of the recipients of a delivery and queues `bounces`, all or nothing, and returns the lease.
    /// A recipient that is not in `outcomes` stays pending, due as before. When no recipient of the message is pending
    /// any more, the message is removed.
    ///
    /// Without space for it, the outcome waits for space, and the lease with it. If the message was removed meanwhile,
    /// it fails with [`QueueError::UnknownMessage`] and queues no bounce. After any other fault the delivery is due
    /// again a minute later.
    pub fn outcome(&self, delivery: Delivery, outcomes: Vec<(u32, Outcome)>, bounces: Vec<NewMessage>) -> Pending<()> {
        self.outcome_with(delivery, outcomes, bounces, None)
    }

    /// The same, together with events; the time is that of the outcome.
    pub fn outcome_with(
        &self,
        delivery: Delivery,
        outcomes: Vec<(u32, Outcome)>,
        bounces: Vec<NewMessage>,
        beside: Option<Box<Beside>>,
    ) -> Pending<()> {
        let Delivery { queue_id, destination, mut lease, .. } = delivery;
        lease.wait_after_fault(UNSETTLED_WAIT);
        let settlement = Box::new(Settlement { lease, queue_id, destination, outcomes, beside });
        let (sender, pending) = Pending::new();
        let done = Callback::new(move |answer| drop(sender.send(answer)));
        self.request(Request::Outcome { settlement, bounces, done });
        pending
    }

    /// The destination as a whole failed: no delivery for it before `until`, then one at a time until
    /// [`Queue::destination_up`]. Counts at once; durable soon.
    pub fn destination_down(&self, destination: &str, until: Millis, reason: &str) {
        let failures = self.0.shared.schedule.down(destination, until, reason);
        self.note_destination(destination, failures, Some(until), reason);
    }

    /// The destination answers again.
    pub fn destination_up(&self, destination: &str) {
        if self.0.shared.schedule.up(destination) {
            self.note_destination(destination, 0, None, "");
        }
    }

    /// The destination takes no more connections at a time than it has now: it gets no more for a while. False where the
    /// delivery that met this was the only one, so that the destination is rather down.
    pub fn destination_crowded(&self, destination: &str) -> bool {
        self.0.shared.schedule.crowded(destination)
    }

    /// Whether other deliveries for the destination are leased, besides the one of who asks.
    pub fn destination_busy(&self, destination: &str) -> bool {
        self.0.shared.schedule.others(destination) > 0
    }

    /// Limits of destinations, by the beginning of their names up to a colon; they replace those set before.
    pub fn set_limits(&self, limits: Vec<(String, Limits)>) {
        self.0.shared.schedule.set_limits(limits);
    }

    /// The clock was set: by so much it shows more than it would have. What was planned keeps its distance to now: next
    /// attempts, waiting times and expiry of messages that were there when deliveries were last leased.
    pub fn clock_moved(&self, by: Millis) -> Pending<()> {
        let newest = self.0.shared.schedule.mark();
        let schedule = Arc::clone(&self.0.shared.schedule);
        self.operate(Operation::Clock { by, newest }, move |_| schedule.shift(by, newest))
    }

    /// Failures and waiting time of destinations that are down (`None`), or of one destination.
    pub fn destinations(&self, only: Option<&str>) -> Vec<DestinationState> {
        self.0.shared.schedule.destinations(only)
    }

    /// Opens the body of a queued message.
    ///
    /// # Errors
    /// [`QueueError::UnknownMessage`], [`QueueError::Damaged`] if its segment is gone.
    pub fn read(&self, queue_id: &str) -> Result<BodyReader, QueueError> {
        let blocks = self.0.readers.blocks(queue_id)?;
        BodyReader::new(queue_id, blocks, &self.0.shared.segments)
    }

    /// Holds a message: it is not delivered until released. A delivery that is under way goes on.
    pub fn hold(&self, queue_id: &str, hold: Hold) -> Pending<()> {
        self.operate(Operation::Hold { queue_id: queue_id.to_owned(), hold }, |_| ())
    }

    /// Releases a held message: its pending recipients are due at `now`.
    pub fn release(&self, queue_id: &str, now: Millis) -> Pending<()> {
        self.operate(Operation::Release { queue_id: queue_id.to_owned(), now }, |_| ())
    }

    /// Releases every message held under `key`, in order of acceptance; resolves to their number.
    pub fn release_key(&self, key: &str, now: Millis) -> Pending<u64> {
        self.operate(Operation::ReleaseKey { key: key.to_owned(), now }, |effect| match effect {
            Effect::Due { messages, .. } => messages.len() as u64,
            _ => 0,
        })
    }

    /// Ends the hold of a message at `now`, queues `bounces` and notes an audit record, all or nothing. If the message is
    /// gone, or not held under `key` any more, it fails with [`QueueError::UnknownMessage`].
    pub fn resolve(
        &self,
        queue_id: &str,
        key: &str,
        resolution: Resolution,
        (bounces, audit): (Vec<NewMessage>, Option<Vec<u8>>),
        now: Millis,
    ) -> Pending<()> {
        self.resolve_with(queue_id, key, resolution, (bounces, audit, Vec::new()), now)
    }

    /// The same, together with events.
    pub fn resolve_with(
        &self,
        queue_id: &str,
        key: &str,
        resolution: Resolution,
        (bounces, audit, events): (Vec<NewMessage>, Option<Vec<u8>>, Vec<Event>),
        now: Millis,
    ) -> Pending<()> {
        let (queue_id, key) = (queue_id.to_owned(), key.to_owned());
        let beside = (!events.is_empty()).then(|| Box::new(Beside { time: now, ticket: None, events }));
        let end = Box::new(EndOfHold { queue_id, key, resolution, audit, now, beside });
        let (sender, pending) = Pending::new();
        let done = Callback::new(move |answer| drop(sender.send(answer)));
        self.request(Request::Resolve { end, bounces, done });
        pending
    }

    /// What is held under keys that begin with `prefix`, in order of the first message of each.
    ///
    /// # Errors
    /// Database faults.
    pub fn holds(&self, prefix: &str) -> Result<Vec<Held>, QueueError> {
        self.0.readers.holds(prefix)
    }

    /// Makes every pending recipient of a message due at `now`, whatever its destination waits for.
    pub fn retry(&self, queue_id: &str, now: Millis) -> Pending<()> {
        self.operate(Operation::Retry { queue_id: queue_id.to_owned(), now }, |_| ())
    }

    /// Removes a message without a bounce.
    pub fn remove(&self, queue_id: &str) -> Pending<()> {
        self.operate(Operation::Remove { queue_id: queue_id.to_owned() }, |_| ())
    }

    /// Messages from somebody that expire before this time and whose sender was not told yet that they are late
    /// ([`Queue::warned`]), held ones not among them; their queue ids, at most `limit`.
    ///
    /// # Errors
    /// Database faults.
    pub fn late(&self, expires_before: Millis, limit: usize) -> Result<Vec<String>, QueueError> {
        self.0.readers.late(expires_before, limit)
    }

    /// Notes that the sender of a message was told that it is late, and queues the `reports` by which he is, all or
    /// nothing. If the message is gone, it fails with [`QueueError::UnknownMessage`] and queues no report.
    pub fn warned(&self, queue_id: &str, reports: Vec<NewMessage>) -> Pending<()> {
        if reports.is_empty() {
            return self.operate(Operation::Warned { queue_id: queue_id.to_owned() }, |_| ());
        }
        let (sender, pending) = Pending::new();
        let done = Callback::new(move |answer| drop(sender.send(answer)));
        self.accept(reports, None, Some(queue_id.to_owned()), done);
        pending
    }

    /// Messages in order of acceptance.
    ///
    /// # Errors
    /// Database faults.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<MessageSummary>, QueueError> {
        self.0.readers.list(filter)
    }

    /// Up to `limit` messages of a selection in order of acceptance, after a [`Selected::position`] (0: from the first).
    ///
    /// # Errors
    /// Database faults.
    pub fn select(&self, selection: &Selection, after: i64, limit: usize) -> Result<Vec<Selected>, QueueError> {
        self.0.readers.select(selection, after, limit)
    }

    /// How much a selection is now.
    ///
    /// # Errors
    /// Database faults.
    pub fn measure(&self, selection: &Selection) -> Result<Measured, QueueError> {
        self.0.readers.measure(selection)
    }

    /// One message.
    ///
    /// # Errors
    /// [`QueueError::UnknownMessage`], database faults.
    pub fn show(&self, queue_id: &str) -> Result<MessageDetail, QueueError> {
        self.0.readers.show(queue_id)
    }

    /// Figures.
    ///
    /// # Errors
    /// Database faults.
    pub fn counts(&self) -> Result<Counts, QueueError> {
        let (messages, held, audit_backlog) = self.0.readers.counts()?;
        let (deliveries, leased, destinations, destinations_down) = self.0.shared.schedule.figures();
        Ok(Counts {
            messages,
            deliveries,
            leased,
            held,
            destinations,
            destinations_down,
            body_bytes: self.0.shared.body_bytes.load(Ordering::Relaxed),
            segment_bytes: self.0.shared.segments.bytes(),
            audit_backlog,
        })
    }

    /// Up to `limit` audit records that committed with their messages, oldest first. They come again until
    /// acknowledged.
    ///
    /// # Errors
    /// Database faults.
    pub fn take_audit(&self, limit: usize) -> Result<Vec<AuditItem>, QueueError> {
        self.0.readers.audit(limit)
    }

    /// Forgets audit records that are safe elsewhere.
    pub fn ack_audit(&self, ids: &[i64]) -> Pending<()> {
        self.operate(Operation::AcknowledgeAudit { ids: ids.to_vec() }, |_| ())
    }

    /// The ticket of a message, also of one that is gone.
    ///
    /// # Errors
    /// Database faults.
    pub fn ticket(&self, queue_id: &str) -> Result<Option<KeptTicket>, QueueError> {
        self.0.readers.with(|connection| ticket::ticket(connection, queue_id))
    }

    /// The ticket with this key, unless it is from before `since`.
    ///
    /// # Errors
    /// Database faults.
    pub fn ticket_of_key(&self, key: &[u8], since: Millis) -> Result<Option<KeptTicket>, QueueError> {
        self.0.readers.with(|connection| ticket::ticket_of_key(connection, key, since))
    }

    /// Notes events at `now` that belong to no change.
    pub fn note_events(&self, events: Vec<Event>, now: Millis) -> Pending<()> {
        self.operate(Operation::Note { events, now }, |_| ())
    }

    /// Up to `limit` events of a target that are due at `now`, oldest first. They come again until it is said what became
    /// of them.
    ///
    /// # Errors
    /// Database faults.
    pub fn events_due(&self, target: &str, now: Millis, limit: usize) -> Result<Vec<KeptEvent>, QueueError> {
        self.0.readers.with(|connection| ticket::events(connection, target, false, Some(now), limit))
    }

    /// Up to `limit` events of a target that wait, or were given up, oldest first.
    ///
    /// # Errors
    /// Database faults.
    pub fn events(&self, target: &str, given_up: bool, limit: usize) -> Result<Vec<KeptEvent>, QueueError> {
        self.0.readers.with(|connection| ticket::events(connection, target, given_up, None, limit))
    }

    /// When the next event of a target is due; `None`: none waits.
    ///
    /// # Errors
    /// Database faults.
    pub fn next_event(&self, target: &str) -> Result<Option<Millis>, QueueError> {
        self.0.readers.with(|connection| ticket::next_event(connection, target))
    }

    /// How many events there are for each target.
    ///
    /// # Errors
    /// Database faults.
    pub fn event_counts(&self) -> Result<Vec<EventCounts>, QueueError> {
        self.0.readers.with(ticket::event_counts)
    }

    /// Says what became of an event, by [`KeptEvent::number`].
    pub fn event_told(&self, number: i64, told: Told) -> Pending<()> {
        self.operate(Operation::Told { number, told }, |_| ())
    }

    /// Forgets all events of a target.
    pub fn forget_events(&self, target: &str) -> Pending<()> {
        self.operate(Operation::ForgetEvents { target: target.to_owned() }, |_| ())
    }

    /// Forgets tickets of messages that left the queue before `tickets`, and events that were given up and noted before
    /// `events`; at most a thousand of each.
    pub fn tidy(&self, tickets: Millis, events: Millis) -> Pending<()> {
        self.operate(Operation::Tidy { tickets, events }, |_| ())
    }

    /// How long it took, since the queue was opened, to sync the bodies of a group of requests, and to make a group durable
    /// as a whole.
    pub fn latencies(&self) -> (LatencyCounts, LatencyCounts) {
        (self.0.shared.syncs.counts(), self.0.shared.commits.counts())
    }

    /// Messages by the key that they are held under (up to its first `:`; none: not held) and by whether an attempt was
    /// deferred, each with its number and the time of the oldest. Reads the whole queue: for metrics, not for each message.
    ///
    /// # Errors
    /// Database faults.
    pub fn census(&self) -> Result<Vec<Census>, QueueError> {
        self.0.readers.with(select::census)
    }

    /// Whether a new message finds space: there is as much free as [`QueueOptions::min_free`] asks for.
    pub fn has_room(&self) -> bool {
        let free = rustix::fs::statvfs(self.dir());
        free.is_ok_and(|free| free.f_bavail.saturating_mul(free.f_frsize) >= self.0.shared.min_free)
    }

    /// Finishes what was asked for, checkpoints the database and closes it; later calls that change something fail with
    /// [`QueueError::Closed`]. Blocks.
    pub fn close(&self) {
        self.0.close();
    }

    fn request(&self, request: Request) {
        // A request that cannot be sent is dropped, and its callback says `Closed`.
        let _ = self.0.requests.send(request);
    }

    fn operate<T: Send + 'static>(
        &self,
        operation: Operation,
        answer: impl FnOnce(Effect) -> T + Send + 'static,
    ) -> Pending<T> {
        let (sender, pending) = Pending::new();
        let done = Callback::new(move |effect: Result<Effect, QueueError>| drop(sender.send(effect.map(answer))));
        self.request(Request::Operate { operation: Some(operation), done });
        pending
    }

    fn note_destination(&self, destination: &str, failures: u32, not_before: Option<Millis>, reason: &str) {
        let destination = destination.to_owned();
        let state = DestinationState { destination, failures, not_before, reason: reason.to_owned(), waiting: 0 };
        drop(self.operate(Operation::Destination { state }, |_| ()));
    }
}

impl Inner {
    fn close(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        // The keeper first: it may still have large bodies for the committer.
        let _ = self.shared.chores.send(Chore::Stop);
        let mut threads = threads.into_iter();
        for last in [false, true] {
            let Some(thread) = threads.next() else { break };
            if last {
                let _ = self.requests.send(Request::Stop);
            }
            // A callback that held the last handle runs on one of these threads.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
        self.readers.close();
        let _ = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
