//! The audit: what was refused and what was sent as somebody else, on its way to `audit.db`.
//!
//! Refusals go to a bounded ring that a thread of its own empties. Under a flood, refusals of one source for one reason
//! are counted rather than kept one by one; what did not fit is counted too. "Sent as" and "sent on behalf" committed
//! with their messages and are taken over from the queue's outbox, so none of those is ever lost.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use queue::{AuditItem, Queue};
use rights::{DecisionRecord, VerdictKind};
use serde_json::json;
use store::{AuditEntry, AuditStore, Retention, StoreError};
use ulid::Ulid;

use crate::shared::now;

/// How much is kept of a flood.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// Entries that may wait for the thread; more are dropped and counted.
    pub waiting: usize,
    /// Refusals of one source for one reason that are kept one by one in each window; more are counted.
    pub per_source: u32,
    /// Sources and reasons that are counted apart in a window; those beyond are counted together.
    pub sources: usize,
    /// Length of a window.
    pub window: Duration,
    /// What is kept in the store.
    pub retention: Retention,
}

impl Default for AuditOptions {
    fn default() -> Self {
        AuditOptions {
            waiting: 8192,
            per_source: 50,
            sources: 4096,
            window: Duration::from_secs(10),
            retention: Retention { records: 2_000_000, age: 400 * 24 * 3_600_000 },
        }
    }
}

/// The audit. Dropped, it writes what waits and ends its thread.
pub struct AuditLog {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    options: AuditOptions,
    queue: Queue,
    store: Mutex<AuditStore>,
    inbox: Mutex<Inbox>,
    /// Something waits in the inbox, or in the outbox of the queue.
    work: Condvar,
    /// A flush was carried out.
    done: Condvar,
    dropped: AtomicU64,
}

struct Inbox {
    entries: VecDeque<Entry>,
    window: Window,
    outbox: bool,
    flush_wanted: u64,
    flush_done: u64,
    closing: bool,
}

enum Entry {
    Decision(Box<DecisionRecord>),
    Plain(AuditEntry),
}

/// Refusals since the window began, by source and reason.
struct Window {
    began: Instant,
    began_at: i64,
    counts: HashMap<(String, String), Count>,
    /// Suppressed refusals of sources that found no place in `counts`.
    others: u64,
}

#[derive(Default)]
struct Count {
    kept: u32,
    suppressed: u64,
    last_id: String,
}

/// Entries written, and outbox records taken over, at a time.
const BATCH: usize = 500;
/// The thread looks at the outbox and at the retention at least this often.
const IDLE: Duration = Duration::from_secs(60);
/// After a failure to write, the thread waits this long.
const PAUSE: Duration = Duration::from_secs(1);
/// How long [`AuditLog::flush`] waits.
const FLUSH: Duration = Duration::from_secs(10);

impl AuditLog {
    /// Starts the thread. What an earlier process left in the queue's outbox is taken over first.
    pub fn start(store: AuditStore, queue: Queue, options: AuditOptions) -> std::io::Result<AuditLog> {
        let desk = Arc::new(Desk {
            options,
            queue,
            store: Mutex::new(store),
            inbox: Mutex::new(Inbox {
                entries: VecDeque::new(),
                window: Window::new(),
                outbox: true,
                flush_wanted: 0,
                flush_done: 0,
                closing: false,
            }),
            work: Condvar::new(),
            done: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let worker = Arc::clone(&desk);
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || worker.run())?;
        Ok(AuditLog { desk, thread: Some(thread) })
    }

    /// Notes a refusal or an observation. Never blocks for the store.
    pub fn record(&self, record: DecisionRecord) {
        let desk = &self.desk;
        let mut inbox = lock(&desk.inbox);
        if inbox.window.suppresses(&record, &desk.options) {
            return;
        }
        desk.put(&mut inbox, Entry::Decision(Box::new(record)));
    }

    /// Notes something that is no decision, as an undeliverable message without a sender.
    pub fn note(&self, entry: AuditEntry) {
        self.desk.put(&mut lock(&self.desk.inbox), Entry::Plain(entry));
    }

    /// A message committed with an audit record: take it over soon.
    pub fn committed(&self) {
        lock(&self.desk.inbox).outbox = true;
        self.desk.work.notify_one();
    }

    /// The entry with this id, also when it was noted a moment ago. Blocks.
    pub fn find(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        self.flush();
        self.store().get(id)
    }

    /// Waits until everything that was noted before is in the store, ten seconds at most. Blocks.
    pub fn flush(&self) {
        let mut inbox = lock(&self.desk.inbox);
        inbox.flush_wanted += 1;
        let wanted = inbox.flush_wanted;
        self.desk.work.notify_one();
        let until = |inbox: &mut Inbox| inbox.flush_done < wanted && !inbox.closing;
        let _ = self.desk.done.wait_timeout_while(inbox, FLUSH, until);
    }

    /// The store, for listing. Hold it briefly.
    pub fn store(&self) -> MutexGuard<'_, AuditStore> {
        lock(&self.desk.store)
    }

    /// How many entries were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        self.desk.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        lock(&self.desk.inbox).closing = true;
        self.desk.work.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panicked thread has nothing to tell that was not logged.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn put(&self, inbox: &mut Inbox, entry: Entry) {
        if inbox.entries.len() >= self.options.waiting {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        inbox.entries.push_back(entry);
        self.work.notify_one();
    }

    fn run(&self) {
        let mut dropped_before = 0;
        let mut retained = Instant::now();
        loop {
            let (mut batch, outbox, flush, closing) = self.collect();
            let dropped = self.dropped.load(Ordering::Relaxed);
            if dropped > dropped_before {
                batch.push(plain("dropped", &json!({ "count": dropped - dropped_before })));
                dropped_before = dropped;
            }
            let written = self.write(&batch) && (!outbox || self.take_over());
            let mut inbox = lock(&self.inbox);
            if written {
                inbox.flush_done = inbox.flush_done.max(flush);
                self.done.notify_all();
            } else {
                inbox.outbox |= outbox;
            }
            if closing && (!written || (inbox.entries.is_empty() && !inbox.outbox)) {
                return;
            }
            if !written {
                drop(self.work.wait_timeout(inbox, PAUSE).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            drop(inbox);
            if retained.elapsed() > IDLE {
                retained = Instant::now();
                if let Err(error) = lock(&self.store).retain(self.options.retention, now().0) {
                    tracing::error!(%error, "old audit records cannot be removed");
                }
            }
        }
    }

    /// Waits for something to do. Returns entries to write, whether to look at the outbox, up to which flush this
    /// goes, and whether it is the end.
    fn collect(&self) -> (Vec<AuditEntry>, bool, u64, bool) {
        let mut inbox = lock(&self.inbox);
        let (outbox, window_over) = loop {
            let window_over = inbox.window.is_over(&self.options);
            let something = !inbox.entries.is_empty() || inbox.outbox || inbox.closing;
            if something || window_over || inbox.flush_done < inbox.flush_wanted {
                break (inbox.outbox || inbox.flush_done < inbox.flush_wanted, window_over);
            }
            let wait = if inbox.window.is_quiet() { IDLE } else { self.options.window };
            let (woken, timeout) = self.work.wait_timeout(inbox, wait).unwrap_or_else(PoisonError::into_inner);
            inbox = woken;
            if timeout.timed_out() {
                break (true, inbox.window.is_over(&self.options));
            }
        };
        inbox.outbox = false;
        let closing = inbox.closing;
        let count = inbox.entries.len().min(BATCH);
        let entries: Vec<Entry> = inbox.entries.drain(..count).collect();
        let over = (window_over || closing).then(|| std::mem::replace(&mut inbox.window, Window::new()));
        let flush = if inbox.entries.is_empty() { inbox.flush_wanted } else { inbox.flush_done };
        drop(inbox);
        let mut batch: Vec<AuditEntry> = entries.into_iter().filter_map(Entry::into_audit).collect();
        if let Some(window) = over {
            batch.extend(window.summary());
        }
        (batch, outbox, flush, closing)
    }

    /// Appends a batch; puts it back where it cannot be written.
    fn write(&self, batch: &[AuditEntry]) -> bool {
        if batch.is_empty() {
            return true;
        }
        let Err(error) = lock(&self.store).append(batch) else { return true };
        tracing::error!(%error, entries = batch.len(), "audit records cannot be written; they wait");
        let mut inbox = lock(&self.inbox);
        for entry in batch.iter().rev() {
            if inbox.entries.len() < self.options.waiting {
                inbox.entries.push_front(Entry::Plain(entry.clone()));
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        false
    }

    /// Takes over all records that committed with messages.
    fn take_over(&self) -> bool {
        loop {
            let items = match self.queue.take_audit(BATCH) {
                Ok(items) => items,
                Err(queue::QueueError::Closed) => return true,
                Err(error) => {
                    tracing::error!(%error, "the audit outbox of the queue cannot be read");
                    return false;
                }
            };
            if items.is_empty() {
                return true;
            }
            let entries: Vec<AuditEntry> = items.iter().map(of_message).collect();
            if let Err(error) = lock(&self.store).append(&entries) {
                tracing::error!(%error, "audit records cannot be written; they stay in the queue's outbox");
                return false;
            }
            let ids: Vec<i64> = items.iter().map(|item| item.id).collect();
            match self.queue.ack_audit(&ids).wait() {
                Ok(()) => {}
                // They come again with the next start, under the same ids.
                Err(queue::QueueError::Closed) => return true,
                Err(error) => {
                    tracing::error!(%error, "the audit outbox of the queue cannot be emptied");
                    return false;
                }
            }
        }
    }
}

impl Entry {
    fn into_audit(self) -> Option<AuditEntry> {
        match self {
            Entry::Plain(entry) => Some(entry),
            Entry::Decision(record) => match serde_json::to_string(&*record) {
                Ok(json) => {
                    Some(AuditEntry { id: record.id, time: record.time, kind: kind(record.verdict).to_owned(), json })
                }
                Err(error) => {
                    tracing::error!(id = record.id, %error, "an audit record cannot be encoded");
                    None
                }
            },
        }
    }
}

impl Window {
    fn new() -> Window {
        Window { began: Instant::now(), began_at: now().0, counts: HashMap::new(), others: 0 }
    }

    /// Counts a record; is it one too many?
    fn suppresses(&mut self, record: &DecisionRecord, options: &AuditOptions) -> bool {
        let source = record.who.remote.rsplit_once(':').map_or(record.who.remote.as_str(), |(address, _)| address);
        let reason = record.refusal.as_deref().unwrap_or_default();
        let key = (source.to_owned(), reason.to_owned());
        if !self.counts.contains_key(&key) && self.counts.len() >= options.sources {
            self.others += 1;
            return true;
        }
        let count = self.counts.entry(key).or_default();
        if count.kept < options.per_source {
            count.kept += 1;
            return false;
        }
        count.suppressed += 1;
        count.last_id.clone_from(&record.id);
        true
    }

    fn is_quiet(&self) -> bool {
        self.counts.is_empty()
    }

    fn is_over(&self, options: &AuditOptions) -> bool {
        !self.is_quiet() && self.began.elapsed() >= options.window
    }

    /// One entry for each source and reason of which something was suppressed.
    fn summary(self) -> Vec<AuditEntry> {
        let until = now().0;
        let mut entries: Vec<AuditEntry> = self
            .counts
            .iter()
            .filter(|(_, count)| count.suppressed > 0)
            .map(|((source, reason), count)| {
                let facts = json!({
                    "source": source, "refusal": reason, "kept": count.kept, "suppressed": count.suppressed,
                    "last": count.last_id, "since": self.began_at, "until": until,
                });
                plain("flood", &facts)
            })
            .collect();
        if self.others > 0 {
            let facts = json!({ "suppressed": self.others, "since": self.began_at, "until": until });
            entries.push(plain("flood", &facts));
        }
        entries
    }
}

/// A record that committed with a message; it is kept even if it cannot be read any more.
fn of_message(item: &AuditItem) -> AuditEntry {
    match serde_json::from_slice::<DecisionRecord>(&item.record) {
        Ok(record) => AuditEntry {
            kind: kind(record.verdict).to_owned(),
            time: record.time,
            json: String::from_utf8_lossy(&item.record).into_owned(),
            id: record.id,
        },
        Err(error) => {
            let facts = json!({
                "queue_id": item.queue_id, "error": error.to_string(), "record": String::from_utf8_lossy(&item.record),
            });
            plain("unreadable", &facts)
        }
    }
}

fn plain(kind: &str, facts: &serde_json::Value) -> AuditEntry {
    AuditEntry { id: Ulid::generate().to_string(), time: now().0, kind: kind.to_owned(), json: facts.to_string() }
}

fn kind(verdict: VerdictKind) -> &'static str {
    match verdict {
        VerdictKind::Refused => "refused",
        VerdictKind::Observed => "observed",
        VerdictKind::SentAs => "sent-as",
        VerdictKind::SentOnBehalf => "sent-on-behalf",
        VerdictKind::Allowed => "allowed",
        VerdictKind::Paused => "paused",
        VerdictKind::Overridden => "overridden",
        VerdictKind::GivenUp => "given-up",
    }
}

/// A panic while the lock was held cannot leave these in a wrong state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use queue::{Envelope, QueueOptions, Recipient};
    use rights::{Asked, Who};
    use std::path::Path;
    use std::sync::mpsc;
    use store::AuditFilter;

    fn start(folder: &Path, options: AuditOptions) -> (Queue, AuditLog) {
        let queue_options = QueueOptions { min_free: 0, segment_size: 4 << 20, ..QueueOptions::default() };
        let (queue, _) = Queue::open(&folder.join("queue"), queue_options).unwrap();
        let store = AuditStore::open(&folder.join("audit.db")).unwrap();
        let log = AuditLog::start(store, queue.clone(), options).unwrap();
        (queue, log)
    }

    fn record(id: &str, remote: &str, verdict: VerdictKind) -> DecisionRecord {
        DecisionRecord {
            id: id.to_owned(),
            time: 1,
            snapshot: 1,
            verdict,
            outcome: "none".into(),
            reply: None,
            refusal: Some("sender".into()),
            who: Who { remote: remote.to_owned(), ..Who::default() },
            asked: Asked::default(),
            trace: Vec::new(),
            missing: None,
            queue_id: None,
            held: None,
        }
    }

    fn refused(number: u32, remote: &str) -> DecisionRecord {
        record(&format!("01J8ZQ5C3N5T6V7W8X9Y{number:06}"), remote, VerdictKind::Refused)
    }

    fn list(log: &AuditLog, kind: &str) -> Vec<AuditEntry> {
        let filter = AuditFilter { kind: Some(kind.to_owned()), limit: 1000, ..AuditFilter::default() };
        log.store().list(&filter).unwrap()
    }

    #[test]
    fn a_refusal_is_found_by_its_id_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (_queue, log) = start(folder.path(), AuditOptions::default());
        log.record(refused(7, "192.0.2.1:4711"));
        let entry = log.find("01J8ZQ5C3N5T6V7W8X9Y000007").unwrap().unwrap();
        assert_eq!((entry.kind.as_str(), entry.time), ("refused", 1));
        let read: DecisionRecord = serde_json::from_str(&entry.json).unwrap();
        assert_eq!(read.who.remote, "192.0.2.1:4711");
    }

    #[test]
    fn a_flood_from_one_source_is_counted_and_others_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = AuditOptions { per_source: 3, window: Duration::from_secs(3600), ..AuditOptions::default() };
        let (_queue, log) = start(folder.path(), options);
        for number in 0..100 {
            log.record(refused(number, &format!("192.0.2.1:{number}")));
        }
        log.record(refused(100, "192.0.2.2:1"));
        log.flush();
        assert_eq!(list(&log, "refused").len(), 4);
        let desk = Arc::clone(&log.desk);
        drop(log);
        let filter = AuditFilter { kind: Some("flood".into()), ..AuditFilter::default() };
        let floods = lock(&desk.store).list(&filter).unwrap();
        assert_eq!(floods.len(), 1);
        let facts: serde_json::Value = serde_json::from_str(&floods[0].json).unwrap();
        assert_eq!((facts["source"].as_str(), facts["suppressed"].as_u64()), (Some("192.0.2.1"), Some(97)));
    }

    #[test]
    fn sources_beyond_the_limit_are_counted_together() {
        let options = AuditOptions { sources: 2, ..AuditOptions::default() };
        let mut window = Window::new();
        let kept = (0..10).filter(|n| !window.suppresses(&refused(*n, &format!("192.0.2.{n}:1")), &options)).count();
        assert_eq!((kept, window.others), (2, 8));
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (_queue, log) = start(folder.path(), AuditOptions { waiting: 2, ..AuditOptions::default() });
        // The thread waits for the store, with at most one batch in its hands.
        let store = log.store();
        for number in 0..10 {
            log.note(plain("test", &json!({ "number": number })));
        }
        assert!(log.dropped() >= 6, "{}", log.dropped());
        drop(store);
        log.flush();
        let kept = list(&log, "test").len() as u64;
        assert_eq!(kept + log.dropped(), 10);
        log.flush();
        assert_eq!(list(&log, "dropped").len(), 1);
    }

    #[test]
    fn a_record_that_committed_with_its_message_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, log) = start(folder.path(), AuditOptions::default());
        let sent = record("01J8ZQ5C3N5T6V7W8X9Y0Z1A2C", "192.0.2.1:1", VerdictKind::SentAs);
        let mut body = queue.begin();
        body.write(b"Subject: x\r\n\r\n").unwrap();
        let envelope = Envelope {
            queue_id: "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B".into(),
            sender: None,
            recipients: vec![Recipient {
                address: "bob@example.com".into(),
                destination: "x".into(),
                parameters: String::new(),
            }],
            received: 0,
            expires: i64::MAX,
            smtputf8: false,
            eight_bit: false,
            parameters: String::new(),
            hold: None,
            lane: None,
            audit: Some(serde_json::to_vec(&sent).unwrap()),
        };
        let (done, committed) = mpsc::channel();
        queue.commit(body, envelope, move |result| done.send(result).unwrap());
        committed.recv().unwrap().unwrap();
        log.committed();
        assert_eq!(log.find(&sent.id).unwrap().unwrap().kind, "sent-as");
        assert_eq!(queue.counts().unwrap().audit_backlog, 0);
    }
}
