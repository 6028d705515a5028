//! The service: it owns the directory, serialises changes and publishes snapshots.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use acl::{Guid, Sid, well_known};
use arc_swap::ArcSwap;
use directory::{Change, ChangeBatch, ChangeError, NameError, ObjectId, Snapshot, Time};
use queue::Queue;
use store::{AuditEntry, AuditStore, DirectoryStore, StoreError};

use crate::authorize::authorize;
use crate::caller::{Caller, Users};
use crate::error::{AdminError, Fault, FaultKind};
use crate::import::Uploads;
use crate::operations::{Call, PROTOCOL, Reply, Request};
use crate::response::{Done, Response};
use crate::socket::Answer;
use crate::{accounts, check, data::DataDirectory, domains, explain, groups, mailboxes, permissions, queued, status};

/// What the service needs from its surroundings.
#[derive(Clone)]
pub struct Options {
    /// Which users of the machine may administer.
    pub users: Users,
    /// Makes a PHC string of a password. Takes its time.
    pub hash: fn(&[u8]) -> Result<String, String>,
    /// The time now.
    pub clock: fn() -> Time,
    /// Fully qualified name of this node, for the queue's rows.
    pub node: String,
}

/// What a running server wants to know.
pub trait Listener: Send + Sync {
    /// The password of an account changed, or the account was disabled or deleted: forget what was verified.
    fn credential_changed(&self, account: &Guid);
    /// Mail should be tried again now.
    fn queue_changed(&self) {}
}

/// The service. Share it in an [`Arc`].
pub struct Service {
    directory: PathBuf,
    options: Options,
    snapshot: Arc<ArcSwap<Snapshot>>,
    store: Mutex<DirectoryStore>,
    audit: Mutex<AuditStore>,
    queue: OnceLock<Queue>,
    listener: OnceLock<Arc<dyn Listener>>,
    problems: Vec<String>,
    pub(crate) uploads: Mutex<Uploads>,
    _lock: DataDirectory,
}

/// Changes in the making, with what to tell the one who asked.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub changes: Vec<Change>,
    pub done: Done,
}

impl Plan {
    pub fn new(summary: impl Into<String>, changes: Vec<Change>) -> Plan {
        Plan { changes, done: Done { summary: summary.into(), warnings: Vec::new() } }
    }
}

impl Service {
    /// Opens the stores of a data directory and loads the directory.
    pub fn open(data: DataDirectory, options: Options) -> Result<Service, AdminError> {
        let directory = data.path().to_owned();
        let store = DirectoryStore::open(&directory.join("directory.db")).map_err(Fault::from)?;
        let audit = AuditStore::open(&directory.join("audit.db")).map_err(Fault::from)?;
        let version = store.version();
        let loaded = store.load(|records| Snapshot::load(records, version)).map_err(Fault::from)?;
        let loaded = loaded.map_err(|e| {
            Fault::new(FaultKind::Unavailable, format!("{}: {e}", directory.join("directory.db").display()))
                .help("the directory contradicts itself; restore it from a backup")
        })?;
        Ok(Service {
            snapshot: Arc::new(ArcSwap::from_pointee(loaded.snapshot)),
            problems: loaded.problems.iter().map(ToString::to_string).collect(),
            store: Mutex::new(store),
            audit: Mutex::new(audit),
            queue: OnceLock::new(),
            listener: OnceLock::new(),
            uploads: Mutex::default(),
            _lock: data,
            directory,
            options,
        })
    }

    /// The published snapshots: load the newest whenever one is needed.
    pub fn snapshots(&self) -> Arc<ArcSwap<Snapshot>> {
        Arc::clone(&self.snapshot)
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

    /// The queue of a running server; without it, operations on the queue open it themselves.
    pub fn attach_queue(&self, queue: Queue) {
        let _ = self.queue.set(queue);
    }

    /// Who is told about changed passwords; a running server, once.
    pub fn attach_listener(&self, listener: Arc<dyn Listener>) {
        let _ = self.listener.set(listener);
    }

    /// Whether a server runs around this service.
    pub(crate) fn running(&self) -> bool {
        self.listener.get().is_some()
    }

    pub(crate) fn listener(&self) -> Option<&Arc<dyn Listener>> {
        self.listener.get()
    }

    pub(crate) fn queue(&self) -> Result<&Queue, Fault> {
        if self.queue.get().is_none() {
            let options = queue::QueueOptions { node: self.options.node.clone(), ..Default::default() };
            let (queue, _) = Queue::open(&self.directory.join("queue"), options)
                .map_err(|e| Fault::new(FaultKind::Unavailable, e.to_string()))?;
            let _ = self.queue.set(queue);
        }
        self.queue.get().ok_or_else(|| Fault::new(FaultKind::Unavailable, "the queue is not there"))
    }

    pub(crate) fn open_queue(&self) -> Option<&Queue> {
        self.queue.get()
    }

    /// The time now.
    pub fn now(&self) -> Time {
        (self.options.clock)()
    }

    /// The hash of an account's password.
    pub fn credential(&self, account: &Guid) -> Result<Option<String>, StoreError> {
        lock(&self.store).credential(account)
    }

    /// Appends to the audit; durable when it returns.
    pub fn record(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        lock(&self.audit).append(entries)
    }

    /// Forgets decisions beyond what is to be kept.
    pub fn retain(&self, retention: store::Retention) -> Result<u64, StoreError> {
        lock(&self.audit).retain(retention, self.now().0)
    }

    pub(crate) fn audit(&self) -> MutexGuard<'_, AuditStore> {
        lock(&self.audit)
    }

    /// Answers a request for a user of the machine.
    pub fn call(&self, uid: u32, comment: &str, request: Request) -> Result<Response, Fault> {
        let snapshot = self.snapshot();
        let caller = self.options.users.caller(uid, &snapshot)?;
        let asked = Asked { service: self, caller: &caller, snapshot: &snapshot, comment };
        asked.dispatch(request)
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
        let changes = directory::protected::changes(&self.snapshot());
        let objects = changes.len();
        if objects > 0 {
            self.commit_locked(&mut store, &well_known::SYSTEM, "AdminSDHolder", changes)?;
        }
        Ok(objects)
    }

    /// Sets the hash of an account's password.
    pub fn set_credential(&self, account: &Guid, phc: &str) -> Result<(), Fault> {
        lock(&self.store).set_credential(account, phc)?;
        self.credential_changed(account);
        Ok(())
    }

    pub(crate) fn hash(&self, password: &str) -> Result<String, Fault> {
        (self.options.hash)(password.as_bytes()).map_err(|e| Fault::new(FaultKind::Invalid, e))
    }

    pub(crate) fn credential_changed(&self, account: &Guid) {
        if let Some(listener) = self.listener.get() {
            listener.credential_changed(account);
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
        let Plan { changes, done } = plan(&snapshot)?;
        if changes.is_empty() {
            return Ok((snapshot, done));
        }
        authorize(&snapshot, caller, &changes)?;
        let deleted: Vec<Guid> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Delete { guid } => Some(*guid),
                _ => None,
            })
            .collect();
        let comment = if comment.is_empty() { &done.summary } else { comment };
        let after = self.commit_locked(&mut store, &caller.sid, comment, changes)?;
        for guid in deleted {
            store.remove_credential(&guid)?;
            self.credential_changed(&guid);
        }
        Ok((after, done))
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
        store.commit(&batch, &applied.log)?;
        let after = Arc::new(applied.snapshot);
        self.snapshot.store(Arc::clone(&after));
        Ok(after)
    }
}

impl Answer for Service {
    fn answer(&self, uid: u32, call: Call) -> Reply {
        if call.protocol != PROTOCOL {
            let message = format!("the server speaks version {PROTOCOL} and the command version {}", call.protocol);
            return Reply::Err(
                Fault::new(FaultKind::Unsupported, message)
                    .help("use the same version of procura for the command and the server"),
            );
        }
        match self.call(uid, &call.comment, call.request) {
            Ok(response) => Reply::Ok(Box::new(response)),
            Err(fault) => Reply::Err(fault),
        }
    }
}

/// A request in the making: who asked, on which snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    pub snapshot: &'a Snapshot,
    pub comment: &'a str,
}

impl Asked<'_> {
    fn dispatch(self, request: Request) -> Result<Response, Fault> {
        use Request as R;
        match request {
            R::Status => status::status(self),
            R::UserAdd(add) => accounts::add(self, add),
            R::UserSet(set) => accounts::set(self, set),
            R::UserRemove(target) => accounts::remove(self, &target.identity),
            R::UserList(list) => accounts::list(self, &list),
            R::OuAdd(add) => accounts::add_ou(self, &add),
            R::PasswordSet(set) => accounts::set_password(self, &set),
            R::GroupAdd(add) => groups::add(self, add),
            R::GroupSet(set) => groups::set(self, set),
            R::GroupRemove(target) => groups::remove(self, &target.identity),
            R::GroupList(list) => groups::list(self, &list),
            R::MemberAdd(members) => groups::change_members(self, &members, true),
            R::MemberRemove(members) => groups::change_members(self, &members, false),
            R::MemberList(list) => groups::list_members(self, &list),
            R::MailboxEnable(enable) => mailboxes::enable(self, &enable),
            R::MailboxSet(set) => mailboxes::set(self, &set),
            R::MailboxDisable(target) => mailboxes::disable(self, &target.identity),
            R::MailboxList(list) => mailboxes::list(self, &list),
            R::DomainAdd(add) => domains::add(self, &add),
            R::DomainSet(set) => domains::set(self, &set),
            R::DomainRemove(remove) => domains::remove(self, &remove.domain),
            R::DomainList => domains::list(self),
            R::ImportData(data) => crate::import::data(self, &data),
            R::ImportRun(run) => crate::import::run(self, &run),
            R::PermissionAdd(change) => permissions::change(self, &change, true),
            R::PermissionRemove(change) => permissions::change(self, &change, false),
            R::PermissionGet(get) => permissions::get(self, &get),
            R::MailboxPermissionAdd(change) => permissions::change_mailbox(self, &change, true),
            R::MailboxPermissionRemove(change) => permissions::change_mailbox(self, &change, false),
            R::MailboxPermissionGet(target) => permissions::get_mailbox(self, &target.identity),
            R::DelegateAdd(delegates) => mailboxes::change_delegates(self, &delegates, true),
            R::DelegateRemove(delegates) => mailboxes::change_delegates(self, &delegates, false),
            R::DelegateGet(target) => mailboxes::delegates(self, &target.identity),
            R::Explain(explain) => explain::explain(self, &explain.id),
            R::Check(check) => check::check(self, &check),
            R::QueueList(list) => queued::list(self, &list),
            R::QueueShow(message) => queued::show(self, &message.id),
            R::QueueRetry(retry) => queued::retry(self, &retry),
            R::QueueRemove(message) => queued::remove(self, &message.id),
        }
    }

    /// The object of a name.
    pub fn find(&self, name: &str) -> Result<ObjectId, Fault> {
        find(self.snapshot, name)
    }

    /// Plans on the newest snapshot, checks, commits and publishes.
    pub fn change(self, plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>) -> Result<Response, Fault> {
        self.service.change(self.caller, self.comment, plan).map(|(_, done)| Response::Done(done))
    }
}

/// The object of a name on a snapshot; candidates are listed where there are several.
pub(crate) fn find(snapshot: &Snapshot, name: &str) -> Result<ObjectId, Fault> {
    // A relative path such as OU=Staff means: in the default domain.
    if name.contains('=')
        && snapshot.by_dn(name).is_none()
        && let Some(domain) = snapshot.domains().first()
        && let Some(id) = snapshot.by_dn(&format!("{name},{}", snapshot.dn(domain.object)))
    {
        return Ok(id);
    }
    snapshot.resolve(name).map_err(|error| match error {
        NameError::Unknown(_) => Fault::new(FaultKind::NotFound, error.to_string())
            .help("name it by address, DOMAIN\\name, distinguished name, SID or objectGUID"),
        NameError::Ambiguous { ref candidates, .. } => {
            let listed: Vec<String> = candidates.iter().map(|id| snapshot.dn(*id)).collect();
            Fault::new(FaultKind::Ambiguous, format!("{error}: {}", listed.join("; ")))
                .help("use the distinguished name of the one you mean")
        }
    })
}

/// A panic while the lock was held leaves the database as its last transaction left it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        let help = match error {
            StoreError::Corrupt { .. } | StoreError::NewerSchema { .. } => None,
            StoreError::Foreign { .. } => Some("choose another data directory with --data"),
            StoreError::Full { .. } => Some("free some space, then repeat the command; nothing was changed"),
            StoreError::Conflict { .. } | StoreError::Database { .. } => Some("nothing was changed"),
        };
        let fault = Fault::new(FaultKind::Unavailable, error.to_string());
        match help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

impl From<ChangeError> for Fault {
    fn from(error: ChangeError) -> Fault {
        let kind = match error {
            ChangeError::UnknownObject(_) | ChangeError::UnknownParent { .. } | ChangeError::UnknownLink { .. } => {
                FaultKind::NotFound
            }
            ChangeError::Taken { .. } | ChangeError::NotLeaf { .. } | ChangeError::NoSid { .. } => FaultKind::Conflict,
            ChangeError::BadValue { .. } | ChangeError::ReadOnly { .. } | ChangeError::BadMove { .. } => {
                FaultKind::Invalid
            }
        };
        Fault::new(kind, error.to_string())
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Fault {
        let kind = match error {
            NameError::Unknown(_) => FaultKind::NotFound,
            NameError::Ambiguous { .. } => FaultKind::Ambiguous,
        };
        Fault::new(kind, error.to_string())
    }
}
