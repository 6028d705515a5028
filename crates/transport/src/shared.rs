//! What all parts of a running server share: the newest directory, the queue, credentials and the audit.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use directory::{Snapshot, Time};
use queue::Queue;
use tokio::sync::watch;

use crate::audit::AuditLog;
use crate::credentials::Credentials;
use crate::figures::Figures;
use crate::pause::Pauses;
use crate::rates::SourceRates;
use crate::tracking::Tracks;

/// Shared by listeners, sessions, delivery and the admin service.
pub struct Shared {
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<u64>,
    queue: Queue,
    credentials: Credentials,
    audit: AuditLog,
    rates: SourceRates,
    figures: Figures,
    pauses: Arc<Pauses>,
    tracks: OnceLock<Tracks>,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(snapshot: Arc<Snapshot>, queue: Queue, credentials: Credentials, audit: AuditLog) -> Arc<Shared> {
        let version = watch::Sender::new(snapshot.version());
        let pauses = Pauses::new(queue.clone());
        let (snapshot, figures) = (ArcSwap::new(snapshot), Figures::default());
        let rates = SourceRates::default();
        Arc::new(Shared { snapshot, version, queue, credentials, audit, rates, figures, pauses, tracks: OnceLock::new() })
    }

    /// The newest snapshot. Ask once for each decision.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes `snapshot` the newest. Sessions see it at their next command, listeners and delivery at once.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version();
        self.snapshot.store(snapshot);
        self.version.send_replace(version);
    }

    /// Tells of each new snapshot by its version.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Password checks; call [`Credentials::forget`] whenever a password changes or an account is disabled.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Messages by source.
    pub(crate) fn rates(&self) -> &SourceRates {
        &self.rates
    }

    /// What was counted since the process began.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What waits for a missing right.
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.pauses
    }

    /// Keeps a record of what becomes of messages, from now on; once.
    pub fn track_in(&self, tracking: ::tracking::Tracking) {
        let _ = self.tracks.set(Tracks::new(tracking));
    }

    pub(crate) fn tracks(&self) -> Option<&Tracks> {
        self.tracks.get()
    }

    /// The audit.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }
}

/// The time now. The only clock of the crate that says what time it is; durations use monotonic time.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
