//! What all parts of a running server share: the newest directory, the queue, credentials and the audit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use acl::Guid;
use arc_swap::ArcSwap;
use directory::{Snapshot, Time};
use queue::Queue;
use tokio::sync::watch;

use crate::alarms::Alarms;
use crate::audit::AuditLog;
use crate::certificate::LiveCertificate;
use crate::credentials::Credentials;
use crate::events::Webhooks;
use crate::figures::Figures;
use crate::filtering::Filters;
use crate::pause::Pauses;
use crate::rates::SourceRates;
use crate::sending::SendingCounts;
use crate::tracking::Tracks;

/// Shared by listeners, sessions, delivery and the admin service.
pub struct Shared {
    snapshot: ArcSwap<Snapshot>,
    version: watch::Sender<u64>,
    queue: Queue,
    credentials: Credentials,
    audit: AuditLog,
    rates: SourceRates,
    guesses: SourceRates,
    sending: SendingCounts,
    figures: Figures,
    pauses: Arc<Pauses>,
    webhooks: Webhooks,
    tracks: OnceLock<Tracks>,
    filters: OnceLock<Filters>,
    /// When the newest snapshot came, in milliseconds since the Unix epoch.
    published: AtomicI64,
    /// How many snapshots have come.
    turns: AtomicU64,
    certificate: OnceLock<Arc<LiveCertificate>>,
    closed_folders: Mutex<BTreeMap<Guid, ClosedFolder>>,
    alarms: Alarms,
}

impl Shared {
    /// Puts the parts together.
    pub fn new(snapshot: Arc<Snapshot>, queue: Queue, credentials: Credentials, audit: AuditLog) -> Arc<Shared> {
        let version = watch::Sender::new(snapshot.version());
        let pauses = Pauses::new(queue.clone());
        let (snapshot, figures) = (ArcSwap::new(snapshot), Figures::default());
        let rates = SourceRates::default();
        Arc::new(Shared {
            snapshot,
            version,
            queue,
            credentials,
            audit,
            rates,
            guesses: SourceRates::default(),
            sending: SendingCounts::default(),
            figures,
            pauses,
            webhooks: Webhooks::default(),
            tracks: OnceLock::new(),
            filters: OnceLock::new(),
            published: AtomicI64::new(now().0),
            turns: AtomicU64::new(0),
            certificate: OnceLock::new(),
            closed_folders: Mutex::default(),
            alarms: Alarms::default(),
        })
    }

    /// The newest snapshot. Ask once for each decision.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Makes `snapshot` the newest. Sessions see it at their next command, listeners and delivery at once.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        let version = snapshot.version();
        self.snapshot.store(snapshot);
        self.published.store(now().0, Ordering::Relaxed);
        self.turns.fetch_add(1, Ordering::Release);
        self.version.send_replace(version);
    }

    /// Changes with each snapshot: whoever remembers something of one sees by it whether to look again.
    pub(crate) fn turn(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
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

    /// Recipients by source that there were not.
    pub(crate) fn guesses(&self) -> &SourceRates {
        &self.guesses
    }

    /// What accounts have sent, and their limits.
    pub fn sending(&self) -> &SendingCounts {
        &self.sending
    }

    /// What was counted since the process began.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What waits for a missing right.
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.pauses
    }

    /// When the newest snapshot came, in milliseconds since the Unix epoch.
    pub fn published_at(&self) -> i64 {
        self.published.load(Ordering::Relaxed)
    }

    /// The certificate that listeners show is watched by metrics and alarms; once.
    pub fn watch_certificate(&self, certificate: Arc<LiveCertificate>) {
        let _ = self.certificate.set(certificate);
    }

    /// The certificate that listeners show.
    pub fn certificate(&self) -> Option<&Arc<LiveCertificate>> {
        self.certificate.get()
    }

    /// What somebody should look at now.
    pub fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Keeps a record of what becomes of messages, from now on; once.
    pub fn track_in(&self, tracking: ::tracking::Tracking) {
        let _ = self.tracks.set(Tracks::new(tracking));
    }

    /// Shows messages to these content filters, in this order, from now on; once. `hostname` is what they are told of us.
    pub fn filter_by(&self, filters: Vec<content::Filter>, hostname: &str) {
        if !filters.is_empty() {
            let _ = self.filters.set(Filters::new(filters, hostname.to_owned()));
        }
    }

    pub(crate) fn filters(&self) -> Option<&Filters> {
        self.filters.get()
    }

    pub(crate) fn tracks(&self) -> Option<&Tracks> {
        self.tracks.get()
    }

    /// Who is told what became of mail.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Pickup and replay folders that are out of service now, in the order of their connectors' GUIDs.
    pub fn folders_out_of_service(&self) -> Vec<ClosedFolder> {
        self.closed_folders().values().cloned().collect()
    }

    /// The folder of a connector, if it is out of service now.
    pub fn folder_out_of_service(&self, connector: &Guid) -> Option<ClosedFolder> {
        self.closed_folders().get(connector).cloned()
    }

    pub(crate) fn closed_folders(&self) -> MutexGuard<'_, BTreeMap<Guid, ClosedFolder>> {
        self.closed_folders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The audit.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }
}

/// A folder of files that nothing is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedFolder {
    /// Its path.
    pub path: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// Milliseconds since the process first asked, by a clock that nobody sets.
pub(crate) fn steady() -> Time {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    Time(i64::try_from(BEGIN.elapsed().as_millis()).unwrap_or(i64::MAX))
}

/// The time now. The only clock of the crate that says what time it is; durations use monotonic time.
pub(crate) fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
