//! The service: it owns the directory, serialises changes and publishes snapshots.

mod asked;
mod keys;
mod surroundings;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use acl::{Guid, Sid, well_known};
use arc_swap::ArcSwap;
use directory::{Change, ChangeBatch, Snapshot, Time};
use queue::Queue;
use store::{AppPassword, AuditEntry, AuditStore, DirectoryStore, StoreError, fail_point};

use crate::access::Access;
use crate::authorize::authorize;
use crate::caller::Caller;
use crate::data::DataDirectory;
use crate::elsewhere::Elsewhere;
use crate::error::{AdminError, Fault, FaultKind};
use crate::import::Uploads;
use crate::operations::{Call, PROTOCOL, Reply, Request};
use crate::response::{Done, Response};
use crate::sheet::{Taker, TextFormat};
use crate::socket::Answer;
use crate::{reports, separation};

pub(crate) use asked::{Asked, find};
pub use surroundings::{Hashed, Hasher, Like, Options, Running};

/// The service. Share it in an [`Arc`].
pub struct Service {
    directory: PathBuf,
    options: Options,
    snapshot: ArcSwap<Snapshot>,
    store: Mutex<DirectoryStore>,
    pub(crate) access: ArcSwap<Access>,
    queue: OnceLock<Queue>,
    running: OnceLock<Arc<dyn Running>>,
    pub(crate) elsewhere: Elsewhere,
    /// Objects on which a grant that has ended could not be taken back, and when that was tried.
    pub(crate) put_off: Mutex<HashMap<Guid, Time>>,
    problems: Vec<String>,
    pub(crate) uploads: Mutex<Uploads>,
    pub(crate) runs: Mutex<separation::runs::Runs>,
    _lock: DataDirectory,
}

/// Changes in the making, with what to tell the one who asked.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Vec<Change>,
    pub done: Done,
    /// Whoever planned has checked the caller's rights, by other rules than the usual ones.
    pub authorized: bool,
}

impl Plan {
    pub fn new(summary: impl Into<String>, changes: Vec<Change>) -> Plan {
        Plan { changes, done: Done { summary: summary.into(), ..Done::default() }, authorized: false }
    }
}

impl Service {
    /// Opens the stores of a data directory and loads the directory. Unless the data directory was opened to be created
    /// ([`Absent::Create`](crate::Absent::Create)), an empty `directory.db` is refused and left as it is, and so is one that
    /// is missing where a server was at work.
    pub fn open(data: DataDirectory, options: Options) -> Result<Service, AdminError> {
        let directory = data.path().to_owned();
        let path = directory.join("directory.db");
        let is_new = data.may_be_new() || !(path.exists() || DataDirectory::was_at_work(&directory));
        let open = if is_new { DirectoryStore::open } else { DirectoryStore::open_existing };
        let store = open(&path).map_err(Fault::from)?;
        let version = store.version();
        let loaded = store.load(|records| Snapshot::load(records, version)).map_err(Fault::from)?;
        let loaded = loaded.map_err(|e| {
            Fault::new(FaultKind::Unavailable, format!("{}: {e}", directory.join("directory.db").display()))
                .help("the directory contradicts itself; restore it from a backup")
        })?;
        let elsewhere = Elsewhere::remembered(&store, &loaded.snapshot)?;
        Ok(Service {
            snapshot: ArcSwap::from_pointee(loaded.snapshot),
            problems: loaded.problems.iter().map(ToString::to_string).collect(),
            access: ArcSwap::from_pointee(Access::read(&store).map_err(Fault::from)?),
            elsewhere,
            put_off: Mutex::default(),
            store: Mutex::new(store),
            queue: OnceLock::new(),
            running: OnceLock::new(),
            uploads: Mutex::default(),
            runs: Mutex::default(),
            _lock: data,
            directory,
            options,
        })
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What did not count when the directory was loaded, in words.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// The user who started this process: whose right counts for operations in-process.
    pub fn own_uid(&self) -> u32 {
        self._lock.caller()
    }

    /// Says that a server runs around this service, with its queue; once.
    pub fn attach(&self, queue: Queue, running: Arc<dyn Running>) {
        let _ = self.queue.set(queue);
        let _ = self.running.set(running);
    }

    /// The server around this service; none where a command is alone.
    pub(crate) fn running(&self) -> Option<&Arc<dyn Running>> {
        self.running.get()
    }

    /// Where the record of messages is kept.
    pub(crate) fn tracking_folder(&self) -> PathBuf {
        tracking_directory(&self.directory)
    }

    /// Searches the record of messages, what was noted a moment ago included.
    pub(crate) fn traced(
        &self,
        folder: &Path,
        query: &tracking::Query,
    ) -> Result<tracking::Found, tracking::TrackingError> {
        if let Some(running) = self.running() {
            running.flush_tracking();
        }
        tracking::search(folder, query)
    }

    /// Tells the server around what was done to a message of the queue.
    pub(crate) fn message_ordered(&self, queue_id: &str, what: &str, by: &str) {
        if let Some(running) = self.running() {
            running.message_ordered(queue_id, what, by);
        }
    }

    /// The queue; a command that is alone opens it when it needs it.
    pub(crate) fn queue(&self) -> Result<&Queue, Fault> {
        if self.queue.get().is_none() {
            let options = queue::QueueOptions { node: self.options.node.clone(), ..Default::default() };
            let (queue, _) = Queue::open(&queue_directory(&self.directory), options)?;
            let _ = self.queue.set(queue);
        }
        self.queue.get().ok_or_else(|| Fault::new(FaultKind::Unavailable, "the queue is not there"))
    }

    /// The queue, if it is open.
    pub(crate) fn open_queue(&self) -> Option<&Queue> {
        self.queue.get()
    }

    /// Fully qualified name of this node.
    pub(crate) fn node(&self) -> &str {
        &self.options.node
    }

    /// The time now.
    pub fn now(&self) -> Time {
        (self.options.clock)()
    }

    /// The hash of an account's password.
    pub fn credential(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        lock(&self.store).credential(account)
    }

    /// The SCRAM keys of an account's password, as text.
    pub fn scram_keys(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        lock(&self.store).scram_keys(account)
    }

    /// How many accounts have SCRAM keys of how many rounds, fewest rounds first.
    pub fn scram_rounds(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        lock(&self.store).scram_rounds()
    }

    /// The app passwords of an account.
    pub fn app_passwords(&self, account: &Guid) -> Result<Vec<AppPassword>, StoreError> {
        lock(&self.store).app_passwords(account)
    }

    /// Notes that an app password is used now.
    pub fn app_password_used(&self, account: &Guid, name: &str) -> Result<(), StoreError> {
        let now = self.now();
        lock(&self.store).app_password_used(account, name, now)
    }

    /// A setting of the directory, as the mark of the demo.
    pub fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        lock(&self.store).setting(name)
    }

    /// Sets or removes a setting.
    pub fn set_setting(&self, name: &str, value: Option<&str>) -> Result<(), StoreError> {
        lock(&self.store).set_setting(name, value)
    }

    /// The record of a decision.
    pub(crate) fn decision(&self, id: &str) -> Result<Option<AuditEntry>, Fault> {
        if let Some(running) = self.running() {
            return Ok(running.decision(id)?);
        }
        let mut audit = AuditStore::open(&audit_path(&self.directory))?;
        if let Some(entry) = audit.get(id)? {
            return Ok(Some(entry));
        }
        // A server that was killed may have left decisions where they committed with their messages.
        crate::queued::take_over(self.queue()?, &mut audit)?;
        Ok(audit.get(id)?)
    }

    /// Answers a request for a user of the machine.
    pub fn call(&self, uid: u32, comment: &str, request: Request) -> Result<Response, Fault> {
        let snapshot = self.snapshot();
        let caller = self.options.users.caller(uid, &snapshot)?;
        let asked = Asked { service: self, caller: &caller, snapshot: &snapshot, comment, trial: None };
        asked.dispatch(request)
    }

    /// Writes the answer to a request, a report, as text: all of it on one snapshot.
    ///
    /// # Errors
    /// What the report is refused for; a request that is no report; what `take` returns.
    pub fn write(
        &self,
        uid: u32,
        request: &Request,
        format: TextFormat,
        take: &mut Taker<'_>,
    ) -> Result<Response, AdminError> {
        let snapshot = self.snapshot();
        let caller = self.options.users.caller(uid, &snapshot)?;
        let asked = Asked { service: self, caller: &caller, snapshot: &snapshot, comment: "", trial: None };
        Ok(Response::Written { rows: reports::write(asked, request, format, take)? })
    }

    /// Makes changes of the program's own, such as a new organization or the AdminSDHolder task's, as SYSTEM.
    pub fn commit_as_system(&self, comment: &str, changes: Vec<Change>) -> Result<Arc<Snapshot>, Fault> {
        let mut store = lock(&self.store);
        self.commit_locked(&mut store, &well_known::SYSTEM, comment, changes)
    }

    /// Replaces the descriptors of protected accounts that differ from AdminSDHolder's (`authorization.md` §6); how many
    /// objects changed.
    pub fn protect(&self) -> Result<usize, Fault> {
        let mut store = lock(&self.store);
        let mut changes = directory::protected::changes(&self.snapshot());
        // A domain elsewhere protects its own.
        self.elsewhere.leave_out(&self.snapshot(), &mut changes);
        let objects = changes.len();
        if objects > 0 {
            self.commit_locked(&mut store, &well_known::SYSTEM, "AdminSDHolder", changes)?;
        }
        Ok(objects)
    }

    /// Makes the changes that `plan` finds, as SYSTEM, with nobody else in between.
    pub(crate) fn change_as_system(
        &self,
        comment: &str,
        plan: impl FnOnce(&Snapshot) -> Vec<Change>,
    ) -> Result<(), Fault> {
        let mut store = lock(&self.store);
        let changes = plan(&self.snapshot());
        if !changes.is_empty() {
            self.commit_locked(&mut store, &well_known::SYSTEM, comment, changes)?;
        }
        Ok(())
    }

    /// Keeps a secret of an object as it is.
    pub fn set_credential(&self, object: &Guid, secret: &str) -> Result<(), Fault> {
        lock(&self.store).set_credential(object, secret)?;
        self.credential_changed(object);
        Ok(())
    }

    /// Sets what is kept of an account's password.
    pub fn set_password(&self, account: &Guid, hashed: &Hashed) -> Result<(), Fault> {
        lock(&self.store).set_password(account, &hashed.phc, hashed.scram.as_deref())?;
        self.credential_changed(account);
        Ok(())
    }

    /// The store, for its history.
    pub(crate) fn store(&self) -> MutexGuard<'_, DirectoryStore> {
        lock(&self.store)
    }

    /// What makes of a password what is kept of it.
    pub fn hasher(&self) -> Arc<dyn Hasher> {
        Arc::clone(&self.options.hash)
    }

    pub(crate) fn credential_changed(&self, account: &Guid) {
        if let Some(running) = self.running() {
            running.credential_changed(account);
        }
    }

    /// Plans, checks, makes durable and publishes, with nobody else in between.
    pub(crate) fn change(
        &self,
        caller: &Caller,
        comment: &str,
        plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>,
    ) -> Result<(Arc<Snapshot>, Done), Fault> {
        let mut store = lock(&self.store);
        let snapshot = self.snapshot();
        let Plan { changes, done, authorized } = plan(&snapshot)?;
        if changes.is_empty() {
            return Ok((snapshot, done));
        }
        if !authorized {
            authorize(&snapshot, caller, &changes)?;
        }
        let deleted: Vec<Guid> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Delete { guid } => Some(*guid),
                _ => None,
            })
            .collect();
        let comment = if comment.is_empty() { &done.summary } else { comment };
        let after = self.commit_locked(&mut store, &caller.sid, comment, changes)?;
        let mut had_access = false;
        for guid in deleted {
            store.remove_credential(&guid)?;
            self.credential_changed(&guid);
            had_access = true;
        }
        if had_access {
            self.access_changed(&store)?;
        }
        Ok((after, done))
    }

    /// Makes a snapshot the newest. The store is locked, so that none comes in between.
    pub(crate) fn publish(&self, after: &Arc<Snapshot>) {
        self.snapshot.store(Arc::clone(after));
        if let Some(running) = self.running() {
            running.published(after);
        }
    }

    fn commit_locked(
        &self,
        store: &mut DirectoryStore,
        author: &Sid,
        comment: &str,
        changes: Vec<Change>,
    ) -> Result<Arc<Snapshot>, Fault> {
        let batch = ChangeBatch { author: author.clone(), time: self.now(), comment: comment.to_owned(), changes };
        let before = self.snapshot();
        let applied = before.apply(&batch)?;
        if applied.log.is_empty() {
            return Ok(before);
        }
        crate::trust::check(&before, &applied.snapshot)?;
        self.elsewhere.write(&before, &applied.snapshot, &applied.log)?;
        store.commit(&batch, &applied.log)?;
        fail_point("change.before_publish");
        let after = Arc::new(applied.snapshot);
        self.publish(&after);
        fail_point("change.after_publish");
        Ok(after)
    }
}

/// The record of messages of a data directory.
pub fn tracking_directory(directory: &Path) -> PathBuf {
    directory.join("tracking")
}

/// The queue of a data directory.
pub fn queue_directory(directory: &Path) -> PathBuf {
    directory.join("queue")
}

/// The audit of a data directory.
pub fn audit_path(directory: &Path) -> PathBuf {
    directory.join("audit.db")
}

impl Answer for Service {
    fn answer(&self, uid: u32, call: Call, take: &mut Taker<'_>) -> io::Result<Reply> {
        if call.protocol != PROTOCOL {
            let message = format!("the server speaks version {PROTOCOL} and the command version {}", call.protocol);
            return Ok(Reply::Err(
                Fault::new(FaultKind::Unsupported, message)
                    .help("use the same version of procura for the command and the server"),
            ));
        }
        let answered = match call.text {
            Some(format) => self.write(uid, &call.request, format, take),
            None => self.call(uid, &call.comment, call.request).map_err(AdminError::from),
        };
        match answered {
            Ok(response) => Ok(Reply::Ok(Box::new(response))),
            Err(AdminError::Output(error)) => Err(error),
            Err(AdminError::Fault(fault)) => Ok(Reply::Err(fault)),
            Err(error) => Ok(Reply::Err(Fault::new(FaultKind::Unavailable, error.to_string()))),
        }
    }
}

/// A panic while the lock was held leaves the database as its last transaction left it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
