//! The keeper: what has to be done, but not on the committer's way.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use crate::committer::Request;
use crate::segment::Segments;
use crate::{QueueError, fail_point, schema};

/// SQLite's page size.
const PAGE: u64 = 4096;

/// What the keeper is asked for.
pub(crate) enum Chore {
    /// A group was committed: is a spare segment wanted, one drained, the log long?
    Look,
    /// A large body: sync it before the committer gets it, so that nobody has to wait for it there.
    Presync(Box<Request>),
    Stop,
}

pub(crate) struct Keeper {
    pub(crate) chores: Receiver<Chore>,
    pub(crate) requests: Sender<Request>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) log: Log,
}

/// The write-ahead log of `queue.db` and its checkpoints.
pub(crate) struct Log {
    pub(crate) path: PathBuf,
    pub(crate) connection: Connection,
    /// Pages that the committer has written since the queue was opened.
    pub(crate) pages: Arc<AtomicU64>,
    /// The committer holds it during a transaction.
    pub(crate) gate: Arc<Mutex<()>>,
    pub(crate) size: u64,
    pub(crate) seen: u64,
}

impl Keeper {
    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        while let Ok(chore) = self.chores.recv() {
            match chore {
                Chore::Stop => break,
                Chore::Presync(request) => {
                    if let Request::Accept { messages, .. } = &*request {
                        for message in messages {
                            // A failure is kept by the segment, and the committer meets it again.
                            let _ = message.body.sync_spilled();
                        }
                    }
                    let _ = self.requests.send(*request);
                }
                Chore::Look => self.look(),
            }
        }
        let _ = self.log.checkpoint();
    }

    fn look(&mut self) {
        if let Err(error) = self.segments.reclaim() {
            tracing::warn!(%error, "cannot reclaim a drained segment");
        }
        if let Err(error) = self.segments.prepare_spare() {
            tracing::debug!(%error, "cannot prepare a segment");
        }
        self.segments.uncache();
        if self.log.is_long()
            && let Err(error) = self.log.checkpoint()
        {
            tracing::warn!(%error, "cannot checkpoint the queue's database");
        }
    }
}

impl Log {
    fn is_long(&self) -> bool {
        (self.pages.load(Ordering::Relaxed) - self.seen) * PAGE >= self.size
    }

    /// Copies the log into the database, beside the committer. Under load the committer has written more meanwhile; when
    /// that has become too much, the rest is copied between two transactions, and the log starts from its beginning.
    fn checkpoint(&mut self) -> Result<(), QueueError> {
        fail_point("checkpoint.before");
        self.seen = self.pages.load(Ordering::Relaxed);
        let (length, copied) = self.copy()?;
        if copied < length && length * PAGE >= 2 * self.size {
            let gate = self.gate.clone();
            let _gate = gate.lock().unwrap_or_else(PoisonError::into_inner);
            self.copy()?;
        }
        fail_point("checkpoint.after");
        Ok(())
    }

    /// Pages in the log, and how many of them are in the database now.
    fn copy(&self) -> Result<(u64, u64), QueueError> {
        let pages =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(1)?.max(0) as u64, row.get::<_, i64>(2)?.max(0) as u64));
        self.connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], pages)
            .map_err(|error| schema::fault(&self.path, &error))
    }
}
