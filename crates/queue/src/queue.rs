//! The handle that everybody holds.

use std::path::{Path, PathBuf};

use crate::{
    AuditItem, BodyReader, BodyWriter, Counts, Delivery, DestinationState, Envelope, Hold, ListFilter, MessageDetail,
    MessageSummary, Millis, NewMessage, Outcome, Pending, QueueError,
};

/// Settings of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// Name of this node; rows belong to it.
    pub node: String,
    /// Octets per segment file (default 64 MiB).
    pub segment_size: u64,
    /// Drained segments kept for reuse (default 2).
    pub spare_segments: usize,
    /// Accept nothing while the file system has less than this free (default 64 MiB).
    pub min_free: u64,
    /// Accept nothing beyond this many octets in segment files; `None`: no bound but the disk.
    pub capacity: Option<u64>,
    /// The write-ahead log of the database is checkpointed from this many octets on (default 8 MiB) and kept below
    /// about four times that.
    pub wal_size: u64,
    /// Deliveries leased at the same time for one destination (default 20).
    pub per_destination: u32,
}

impl Default for QueueOptions {
    fn default() -> QueueOptions {
        QueueOptions {
            node: "local".to_owned(),
            segment_size: 64 << 20,
            spare_segments: 2,
            min_free: 64 << 20,
            capacity: None,
            wal_size: 8 << 20,
            per_destination: 20,
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
pub struct Queue {
    dir: PathBuf,
}

impl Queue {
    /// Opens or creates the queue in `dir` and repairs what a crash left behind.
    ///
    /// # Errors
    /// [`QueueError::InUse`], [`QueueError::Corrupt`], [`QueueError::NewerSchema`], [`QueueError::Io`].
    pub fn open(dir: &Path, options: QueueOptions) -> Result<(Queue, Recovery), QueueError> {
        let _ = options;
        Ok((Queue { dir: dir.to_owned() }, Recovery::default()))
    }

    /// The directory it lives in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts a body.
    pub fn begin(&self) -> BodyWriter {
        todo!()
    }

    /// Queues a message. `done` is called on the committer's thread, soon, once body and envelope are on stable storage
    /// (or are certain not to be kept); it must not block.
    pub fn commit(
        &self,
        body: BodyWriter,
        envelope: Envelope,
        done: impl FnOnce(Result<(), QueueError>) + Send + 'static,
    ) {
        let _ = (body, envelope, done);
        todo!()
    }

    /// Leases up to `limit` deliveries that are due at `now`: oldest first, each destination in turn, none for a
    /// destination that waits after a failure (except expired ones). Reads the database; does not wait for syncs.
    ///
    /// # Errors
    /// Database faults.
    pub fn due(&self, now: Millis, limit: usize) -> Result<Vec<Delivery>, QueueError> {
        let _ = (now, limit);
        todo!()
    }

    /// When the next delivery will be due (may be in the past); `None` if there is nothing to wait for.
    pub fn next_due(&self) -> Option<Millis> {
        todo!()
    }

    /// Resolves when [`Queue::next_due`] may have become earlier since the last call.
    pub async fn changed(&self) {
        todo!()
    }

    /// Reports what became of the recipients of a delivery and queues `bounces`, all or nothing, and returns the lease.
    /// A recipient that is not in `outcomes` stays pending, due as before. When no recipient of the message is pending
    /// any more, the message is removed.
    ///
    /// Fails with [`QueueError::UnknownMessage`], queueing no bounce, if the message was removed meanwhile.
    pub fn outcome(&self, delivery: Delivery, outcomes: Vec<(u32, Outcome)>, bounces: Vec<NewMessage>) -> Pending<()> {
        let _ = (delivery, outcomes, bounces);
        todo!()
    }

    /// The destination as a whole failed: no delivery for it before `until`, then one at a time until
    /// [`Queue::destination_up`]. Counts at once; durable soon.
    pub fn destination_down(&self, destination: &str, until: Millis, reason: &str) {
        let _ = (destination, until, reason);
        todo!()
    }

    /// The destination answers again.
    pub fn destination_up(&self, destination: &str) {
        let _ = destination;
        todo!()
    }

    /// Failures and waiting time of destinations that are down (`None`), or of one destination.
    pub fn destinations(&self, only: Option<&str>) -> Vec<DestinationState> {
        let _ = only;
        todo!()
    }

    /// Opens the body of a queued message.
    ///
    /// # Errors
    /// [`QueueError::UnknownMessage`], [`QueueError::Damaged`] if its segment is gone.
    pub fn read(&self, queue_id: &str) -> Result<BodyReader, QueueError> {
        let _ = queue_id;
        todo!()
    }

    /// Holds a message: it is not delivered until released. A delivery that is under way goes on.
    pub fn hold(&self, queue_id: &str, hold: Hold) -> Pending<()> {
        let _ = (queue_id, hold);
        todo!()
    }

    /// Releases a held message: its pending recipients are due at `now`.
    pub fn release(&self, queue_id: &str, now: Millis) -> Pending<()> {
        let _ = (queue_id, now);
        todo!()
    }

    /// Releases every message held under `key`, in order of acceptance; resolves to their number.
    pub fn release_key(&self, key: &str, now: Millis) -> Pending<u64> {
        let _ = (key, now);
        todo!()
    }

    /// Makes every pending recipient of a message due at `now`, whatever its destination waits for.
    pub fn retry(&self, queue_id: &str, now: Millis) -> Pending<()> {
        let _ = (queue_id, now);
        todo!()
    }

    /// Removes a message without a bounce.
    pub fn remove(&self, queue_id: &str) -> Pending<()> {
        let _ = queue_id;
        todo!()
    }

    /// Messages in order of acceptance.
    ///
    /// # Errors
    /// Database faults.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<MessageSummary>, QueueError> {
        let _ = filter;
        todo!()
    }

    /// One message.
    ///
    /// # Errors
    /// [`QueueError::UnknownMessage`], database faults.
    pub fn show(&self, queue_id: &str) -> Result<MessageDetail, QueueError> {
        let _ = queue_id;
        todo!()
    }

    /// Figures.
    ///
    /// # Errors
    /// Database faults.
    pub fn counts(&self) -> Result<Counts, QueueError> {
        todo!()
    }

    /// Up to `limit` audit records that committed with their messages, oldest first. They come again until
    /// acknowledged.
    ///
    /// # Errors
    /// Database faults.
    pub fn take_audit(&self, limit: usize) -> Result<Vec<AuditItem>, QueueError> {
        let _ = limit;
        todo!()
    }

    /// Forgets audit records that are safe elsewhere.
    pub fn ack_audit(&self, ids: &[i64]) -> Pending<()> {
        let _ = ids;
        todo!()
    }

    /// Finishes what was asked for, checkpoints the database and closes it; later calls fail with
    /// [`QueueError::Closed`]. Blocks.
    pub fn close(&self) {}
}
