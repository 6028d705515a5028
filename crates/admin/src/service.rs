//! The service: it owns the directory, serialises changes and publishes snapshots.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use acl::{Guid, Sid, well_known};
use arc_swap::ArcSwap;
use directory::{Change, ChangeBatch, ChangeError, NameError, ObjectId, Snapshot, Time};
use queue::Queue;
use store::{AppPassword, AuditEntry, AuditStore, DirectoryStore, StoreError, Webhook, fail_point};

use crate::access::Access;
use crate::authorize::authorize;
use crate::caller::{Caller, Users};
use crate::data::DataDirectory;
use crate::elsewhere::Elsewhere;
use crate::error::{AdminError, Fault, FaultKind};
use crate::import::Uploads;
use crate::operations::{Call, PROTOCOL, Reply, Request};
use crate::pause::documents::PauseFate;
use crate::pause::{PauseOutcome, PausedMail};
use crate::response::{Done, Response};
use crate::sheet::{Taker, TextFormat};
use crate::simulate::Trial;
use crate::socket::Answer;
use crate::{
    accounts, check, databases, domains, explain, groups, history, mailboxes, ownership, permissions, queued, reports,
    separation, service_accounts, simulate, status,
};

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// A PHC string.
    pub phc: String,
    /// SCRAM keys as text; none where no client could send the password so that all agree on its octets.
    pub scram: Option<String>,
}

/// SCRAM keys of an account that new ones are to be like. SCRAM asks before it is known which password the client has, so
/// all passwords of an account have one salt; it stays when the password changes, so that a stranger does not see that.
#[derive(Debug, Clone, Copy)]
pub struct Like<'a> {
    /// The keys as text.
    pub keys: &'a str,
    /// Their rounds are used again, too.
    pub rounds: bool,
}

/// Makes what is kept of a password. Errors are in words.
pub trait Hasher: Send + Sync {
    /// A PHC string. Takes its time.
    fn phc(&self, password: &[u8]) -> Result<String, String>;

    /// SCRAM keys as text; none where no client could send the password so that all agree on its octets.
    fn scram(&self, password: &[u8], like: Option<Like<'_>>) -> Result<Option<String>, String>;

    /// Both.
    fn hashed(&self, password: &[u8], like: Option<Like<'_>>) -> Result<Hashed, String> {
        Ok(Hashed { phc: self.phc(password)?, scram: self.scram(password, like)? })
    }
}

/// What the service needs from its surroundings.
#[derive(Clone)]
pub struct Options {
    /// Which users of the machine may administer.
    pub users: Users,
    /// Makes what is kept of a password. Takes its time.
    pub hash: Arc<dyn Hasher>,
    /// The time now.
    pub clock: fn() -> Time,
    /// Fully qualified name of this node, for the queue's rows.
    pub node: String,
}

/// A running server around the service: what it wants to know, and what only it can answer.
pub trait Running: Send + Sync {
    /// A new snapshot is there.
    fn published(&self, snapshot: &Arc<Snapshot>);
    /// The password of an account changed, or the account was disabled or deleted: forget what was verified.
    fn credential_changed(&self, account: &Guid);
    /// The password of an account that is kept elsewhere may have changed: forget that it was right.
    fn password_changed(&self, account: &Guid) {
        let _ = account;
    }
    /// A decision by its id, also when it was made a moment ago.
    fn decision(&self, id: &str) -> Result<Option<AuditEntry>, StoreError>;
    /// Carries out what somebody (`by`, as `DOMAIN\name`) decided about paused mail; or says what would become of it.
    fn order_paused(&self, mail: &PausedMail, what: PauseFate, by: &str, dry_run: bool) -> Result<PauseOutcome, Fault>;
    /// Somebody (`by`) held, released or removed a message of the queue.
    fn message_ordered(&self, queue_id: &str, what: &str, by: &str) {
        let _ = (queue_id, what, by);
    }
    /// Takes configuration and certificate anew; in words, what came of it.
    fn reload(&self) -> Result<Vec<String>, Fault> {
        Err(Fault::new(FaultKind::Unsupported, "this server cannot reload"))
    }
    /// Why nothing is taken from the folder of a receive connector now; none: it is in service, or is no folder.
    fn closed_folder(&self, connector: &Guid) -> Option<String> {
        let _ = connector;
        None
    }
    /// Writes what of the record of messages is not written yet.
    fn flush_tracking(&self) {}
    /// Webhooks were added or removed.
    fn webhooks_changed(&self, webhooks: &Arc<Vec<Webhook>>) {
        let _ = webhooks;
    }
    /// Posts a test to a webhook; what was answered.
    fn test_webhook(&self, webhook: &Webhook) -> Result<String, Fault> {
        let _ = webhook;
        Err(Fault::new(FaultKind::Unsupported, "this server posts nothing"))
    }
}

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
        Plan { changes, done: Done { summary: summary.into(), warnings: Vec::new() }, authorized: false }
    }
}

impl Service {
    /// Opens the stores of a data directory and loads the directory.
    pub fn open(data: DataDirectory, options: Options) -> Result<Service, AdminError> {
        let directory = data.path().to_owned();
        let store = DirectoryStore::open(&directory.join("directory.db")).map_err(Fault::from)?;
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

    /// What is to be kept of a new password, of this account if there is one already.
    pub(crate) fn hash(&self, account: Option<&Guid>, password: &str) -> Result<Hashed, Fault> {
        let (mut own, mut of_apps) = (None, None);
        if let Some(account) = account {
            own = self.scram_keys(account)?;
            of_apps = self.app_passwords(account)?.into_iter().find_map(|password| password.scram);
        }
        // App passwords cannot be salted anew: nobody has them but their programs.
        let like = match (&of_apps, &own) {
            (Some(keys), _) => Some(Like { keys, rounds: true }),
            (None, own) => own.as_deref().map(|keys| Like { keys, rounds: false }),
        };
        self.options.hash.hashed(password.as_bytes(), like).map_err(|e| Fault::new(FaultKind::Invalid, e))
    }

    /// The SCRAM keys of a new app password: the salt and the rounds are those of the account's other passwords.
    pub(crate) fn app_scram(&self, account: &Guid, password: &str) -> Result<Option<String>, Fault> {
        let own = self.scram_keys(account)?;
        let of_apps = || -> Result<_, StoreError> {
            Ok(self.app_passwords(account)?.into_iter().find_map(|password| password.scram))
        };
        let keys = match own {
            Some(own) => Some(own),
            None => of_apps()?,
        };
        let like = keys.as_deref().map(|keys| Like { keys, rounds: true });
        self.options.hash.scram(password.as_bytes(), like).map_err(|e| Fault::new(FaultKind::Unavailable, e))
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

/// A request in the making: who asked, on which snapshot.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub service: &'a Service,
    pub caller: &'a Caller,
    pub snapshot: &'a Snapshot,
    pub comment: &'a str,
    /// Changes are tried out there only.
    pub trial: Option<&'a Trial>,
}

impl Asked<'_> {
    pub(crate) fn dispatch(self, request: Request) -> Result<Response, Fault> {
        use Request as R;
        match request {
            R::Status => status::status(self),
            R::UserAdd(add) => accounts::add(self, add),
            R::UserSet(set) => accounts::set(self, set),
            R::UserRemove(target) => accounts::remove(self, &target.identity),
            R::UserList(list) => accounts::list(self, &list),
            R::OuAdd(add) => accounts::add_ou(self, &add),
            R::PasswordSet(set) => accounts::set_password(self, &set),
            R::AppPasswordAdd(add) => crate::app_passwords::add(self, &add),
            R::AppPasswordList(target) => crate::app_passwords::list(self, &target.identity),
            R::AppPasswordRemove(remove) => crate::app_passwords::remove(self, &remove),
            R::Move(wanted) => crate::moves::to(self, &wanted),
            R::ProtectedList => crate::protection::list(self),
            R::ProtectedOrphans => crate::protection::orphans(self),
            R::ProtectedRepair(target) => crate::protection::repair(self, &target.identity),
            R::ProtectedExplain(target) => crate::protection::explain(self, &target.identity),
            R::ProtectedSeparate(wanted) => crate::protection::separate(self, &wanted),
            R::ProtectedEnd(target) => crate::protection::end(self, &target.identity),
            R::ProtectedTemplate(wanted) => crate::protection::template(self, &wanted),
            R::Verify(verify) => crate::verify::verify(self, &verify),
            R::PermissionObserved(observed) => crate::observed::observed(self, &observed),
            R::PermissionUnused(unused) => crate::usage::unused(self, &unused),
            R::Export(export) => crate::export::export(self, &export),
            R::ExportOrganization(export) => crate::export::organization::export(self, &export),
            R::Apply(apply) => crate::apply::apply(self, &apply),
            R::Backup(backup) => crate::backup::backup(self, &backup.file),
            R::GroupAdd(add) => groups::add(self, add),
            R::GroupSet(set) => groups::set(self, set),
            R::GroupRemove(target) => groups::remove(self, &target.identity),
            R::GroupList(list) => groups::list(self, &list),
            R::MemberAdd(members) => groups::change_members(self, &members, true),
            R::MemberRemove(members) => groups::change_members(self, &members, false),
            R::MemberList(list) => groups::list_members(self, &list),
            R::MailboxEnable(enable) => mailboxes::enable(self, &enable),
            R::MailboxSet(set) => mailboxes::set(self, &set),
            R::MailboxDisable(target) => ownership::disconnect(self, &target.identity),
            R::MailboxConnect(connect) => ownership::connect(self, &connect),
            R::MailboxPurge(target) => ownership::purge(self, &target.identity),
            R::MailboxLink(link) => ownership::link(self, &link),
            R::MailboxDisconnected(list) => ownership::list(self, &list),
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
            R::FolderPermission(request) => crate::folder_permissions::answer(self, &request),
            R::DelegateAdd(delegates) => mailboxes::change_delegates(self, &delegates, true),
            R::DelegateRemove(delegates) => mailboxes::change_delegates(self, &delegates, false),
            R::DelegateGet(target) => mailboxes::delegates(self, &target.identity),
            R::DelegationAdd(wanted) => crate::delegation::change(self, &wanted, true),
            R::DelegationRemove(wanted) => crate::delegation::change(self, &wanted, false),
            R::DelegationGet(target) => crate::delegation::get(self, &target.identity),
            R::Explain(explain) => explain::explain(self, &explain.id),
            R::Check(check) => check::check(self, &check),
            R::QueueList(list) => queued::list(self, &list),
            R::QueueShow(message) => queued::show(self, &message.id),
            R::QueueAmount(filter) => queued::amount(self, &filter),
            R::QueueOrder(order) => queued::order(self, &order),
            R::Trace(trace) => crate::trace::trace(self, trace),
            R::Reload => crate::status::reload(self),
            R::WhoCan(who) => reports::who_can(self, &who),
            R::WhatCan(what) => reports::what_can(self, &what),
            R::AuditExport(export) => reports::export(self, &export),
            R::SeparationExport(export) => separation::runs::export(self, &export),
            R::SeparationImport(import) => separation::runs::import(self, import),
            R::SeparationSetAll(set) => separation::runs::set_all(self, &set),
            R::History(history) => history::history(self, &history),
            R::Undo(undo) => history::undo(self, undo.version),
            R::ImportSteps(steps) => history::import_steps(self, &steps),
            R::ServiceAccountCheck(check) => service_accounts::check(self, &check),
            R::ServiceAccountGrant(grant) => service_accounts::grant(self, &grant),
            R::Access(request) => crate::access::answer(self, &request),
            R::Pause(request) => crate::pause::answer(self, request),
            R::Recipient(request) => crate::recipients::answer(self, &request),
            R::DatabaseNew(new) => databases::new(self, &new),
            R::DatabaseSet(set) => databases::set(self, &set),
            R::ReceiveConnectorNew(new) => crate::connectors::new_receive(self, &new),
            R::ReceiveConnectorSet(set) => crate::connectors::set_receive(self, &set),
            R::ReceiveConnectorGet(get) => crate::connectors::get_receive(self, &get),
            R::ReceiveConnectorRemove(target) => crate::connectors::remove_receive(self, &target.identity),
            R::SendConnectorNew(new) => crate::connectors::new_send(self, &new),
            R::SendConnectorSet(set) => crate::connectors::set_send(self, &set),
            R::SendConnectorGet(get) => crate::connectors::get_send(self, &get),
            R::SendConnectorRemove(target) => crate::connectors::remove_send(self, &target.identity),
            R::ServerNew(new) => crate::servers::new(self, &new),
            R::ServerSet(set) => crate::servers::set(self, &set),
            R::ServerGet(get) => crate::servers::get(self, get.identity.as_deref()),
            R::ServerRemove(target) => crate::servers::remove(self, &target.identity),
            R::SecureDomains(wanted) => crate::servers::secure_domains(self, &wanted),
            R::ConnectorTest(test) => crate::connectors::test(self, &test),
            R::CrossForestEnable(wanted) => crate::connectors::enable_cross_forest(self, &wanted),
            R::Browse(browse) => crate::browse::browse(self, &browse),
            R::SdGet(target) => crate::sd_edit::get(self, &target.identity),
            R::SdSet(set) => crate::sd_edit::set(self, &set),
            R::Simulate(trial) => simulate::simulate(self, *trial.request),
        }
    }

    /// The object of a name.
    pub fn find(&self, name: &str) -> Result<ObjectId, Fault> {
        find(self.snapshot, name)
    }

    /// Plans on the newest snapshot, checks, commits and publishes.
    pub fn change(self, plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>) -> Result<Response, Fault> {
        self.commit(plan).map(|(_, done)| Response::Done(done))
    }

    /// The same, with the snapshot after it. A trial commits nothing and gives the snapshot that would be.
    pub fn commit(self, plan: impl FnOnce(&Snapshot) -> Result<Plan, Fault>) -> Result<(Arc<Snapshot>, Done), Fault> {
        match self.trial {
            Some(trial) => trial.change(self, plan),
            None => self.service.change(self.caller, self.comment, plan),
        }
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
    // A path from the top down, as S2 writes it.
    if name.contains('\\')
        && name.contains('=')
        && let Some(id) = crate::browse::by_path(snapshot, name)
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
