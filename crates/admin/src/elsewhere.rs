//! Domains that are kept elsewhere, in Active Directory, and held here: what comes from there is made durable and
//! published, and what is changed of them here is changed there first.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use acl::{Guid, well_known};
use arc_swap::{ArcSwap, ArcSwapOption};
use directory::{AttributeChange, Change, ChangeLog, Class, Doubt, ObjectChange, ObjectId, Snapshot, attributes as a};
use ldap::state::{State, Status};
use ldap::{Active, Login, Settings, Sink, WriteError, Written};
use store::DirectoryStore;

use crate::error::{AdminError, Fault, FaultKind};
use crate::service::Service;

/// The setting that holds how far Active Directory was followed.
const SETTING: &str = "active directory";
/// How often a plan is asked again.
const ROUNDS: usize = 5;

/// What the service knows of domains elsewhere.
#[derive(Default)]
pub(crate) struct Elsewhere {
    known: ArcSwap<State>,
    /// What was remembered is damaged: every domain may be kept elsewhere, until they are known again.
    damaged: AtomicBool,
    active: ArcSwapOption<Active>,
}

impl Elsewhere {
    /// What was remembered when the store was last open.
    pub fn remembered(store: &DirectoryStore, snapshot: &Snapshot) -> Result<Elsewhere, AdminError> {
        let text = store.setting(SETTING).map_err(Fault::from)?;
        let state = text.map(|text| State::of(snapshot, &text));
        let damaged = AtomicBool::new(state == Some(None));
        let known = ArcSwap::from_pointee(state.flatten().unwrap_or_default());
        Ok(Elsewhere { known, damaged, active: ArcSwapOption::empty() })
    }

    /// The domain elsewhere that an object is of.
    fn domain(&self, snapshot: &Snapshot, id: ObjectId) -> Option<Guid> {
        let (known, damaged) = (self.known.load(), self.damaged.load(Ordering::SeqCst));
        if known.domains.is_empty() && !damaged || snapshot.ancestor(id, Class::Configuration).is_some() {
            return None;
        }
        let domain = snapshot.domain_of(id).and_then(|domain| snapshot.object(domain.object))?.guid();
        (damaged || known.domains.iter().any(|kept| kept.domain.guid() == domain)).then_some(domain)
    }

    /// Whether an object is kept elsewhere.
    pub fn has(&self, snapshot: &Snapshot, id: ObjectId) -> bool {
        self.domain(snapshot, id).is_some()
    }

    /// Refuses to give an account a password that is kept elsewhere.
    pub fn own_password(&self, snapshot: &Snapshot, id: ObjectId) -> Result<(), Fault> {
        if !self.has(snapshot, id) {
            return Ok(());
        }
        let message = format!("the password of {} is kept by Active Directory", snapshot.dn(id));
        Err(Fault::new(FaultKind::Unsupported, message)
            .help("set it there; `procura account app-password add` makes one for a program or device"))
    }

    /// Leaves out changes of objects that are kept elsewhere.
    pub fn leave_out(&self, snapshot: &Snapshot, changes: &mut Vec<Change>) {
        changes.retain(|change| {
            let guid = match change {
                Change::Add(record) => record.parent.unwrap_or(record.guid),
                Change::Modify { guid, .. }
                | Change::Values { guid, .. }
                | Change::Move { guid, .. }
                | Change::Delete { guid } => *guid,
            };
            !snapshot.by_guid(&guid).is_some_and(|id| self.has(snapshot, id))
        });
    }

    /// What of changes is to be made elsewhere, by domain.
    fn written(&self, before: &Snapshot, after: &Snapshot, log: &ChangeLog) -> Result<Vec<(Guid, Written)>, Fault> {
        let mut written: Vec<(Guid, Written)> = Vec::new();
        let mut places: HashMap<Guid, usize> = HashMap::new();
        for change in &log.changes {
            let guid = change.guid();
            let place = |snapshot: &Snapshot| snapshot.by_guid(&guid).and_then(|id| self.domain(snapshot, id));
            let Some(domain) = place(before).or_else(|| place(after)) else { continue };
            let attributes = match change {
                ObjectChange::Modified { attributes, .. } => self.theirs(&domain, attributes)?,
                ObjectChange::Added(record) | ObjectChange::Deleted(record) => {
                    return Err(foreign(&record.rdn, "is created and deleted"));
                }
                ObjectChange::Moved { before: (_, rdn), .. } => return Err(foreign(rdn, "is moved and renamed")),
            };
            if attributes.is_empty() {
                continue;
            }
            let place = *places.entry(guid).or_insert(written.len());
            match written.get_mut(place) {
                Some((_, own)) => own.attributes.extend(attributes),
                None => written.push((domain, Written { object: guid, attributes })),
            }
        }
        Ok(written)
    }

    /// Why changes that are only tried out would not be made, as far as that is known without a domain controller.
    pub fn refusal(&self, before: &Snapshot, after: &Snapshot, log: &ChangeLog) -> Option<Fault> {
        self.written(before, after, log).err()
    }

    /// Makes changes of objects that are kept elsewhere, there.
    pub fn write(&self, before: &Snapshot, after: &Snapshot, log: &ChangeLog) -> Result<(), Fault> {
        let written = self.written(before, after, log)?;
        let count = written.len();
        for (done, (domain, change)) in written.iter().enumerate() {
            let active = self.active.load_full().ok_or_else(|| {
                Fault::new(FaultKind::Unavailable, "objects of Active Directory are changed by the running server")
                    .help("start it with `procura serve`, then repeat the command; nothing was changed")
            })?;
            let name = before.by_guid(&change.object).map(|id| before.dn(id)).unwrap_or_default();
            active.write(domain, before, &name, change).map_err(|error| {
                let fault = fault(&error);
                match done {
                    0 => fault,
                    _ => fault.help(format!("{done} of {count} objects were changed before")),
                }
            })?;
        }
        Ok(())
    }

    /// The attributes that a domain keeps.
    fn theirs(&self, domain: &Guid, attributes: &[AttributeChange]) -> Result<Vec<AttributeChange>, Fault> {
        let known = self.known.load();
        let Some(kept) = known.domains.iter().find(|kept| kept.domain.guid() == *domain) else {
            let message =
                "what was remembered of Active Directory is damaged, and no domain controller has answered yet";
            return Err(Fault::new(FaultKind::Unavailable, message)
                .help("`procura directory status` shows the domain controllers; nothing was changed"));
        };
        let theirs = |change: &&AttributeChange| {
            let name = a::canonical_name(change.name());
            name == a::DESCRIPTOR || kept.domain.theirs.contains(&*name)
        };
        Ok(attributes.iter().filter(theirs).cloned().collect())
    }

    /// Takes over what is known now; whether that is everything. After damage that is when all domains are known again.
    fn learn(&self, snapshot: &Snapshot, state: State) -> bool {
        let is_known = |guid: Guid| state.domains.iter().any(|kept| kept.domain.guid() == guid);
        let mut domains = snapshot.domains().iter().filter_map(|domain| snapshot.object(domain.object));
        let whole = domains.all(|domain| is_known(domain.guid()));
        // First what is known: without it and without damage every account would be ours.
        self.known.store(Arc::new(state));
        if whole {
            self.damaged.store(false, Ordering::SeqCst);
        }
        !self.damaged.load(Ordering::SeqCst)
    }
}

fn foreign(what: &str, verb: &str) -> Fault {
    Fault::new(FaultKind::Unsupported, format!("{what} {verb} with the tools of Active Directory, not here"))
        .help("it is seen here a moment later")
}

fn fault(error: &WriteError) -> Fault {
    let (kind, help) = match error {
        WriteError::Unsupported(_) => (FaultKind::Unsupported, "nothing was changed"),
        WriteError::Conflict(_) => (FaultKind::Conflict, "look at it again in a moment, then repeat the command"),
        WriteError::Denied { .. } => {
            (FaultKind::Denied, "`docs/active-directory` says which rights the account needs to write permissions")
        }
        WriteError::Unavailable(_) => {
            (FaultKind::Unavailable, "`procura directory status` shows the domain controllers")
        }
    };
    Fault::new(kind, error.to_string()).help(help)
}

impl Service {
    /// Follows domains of Active Directory from now on, in a thread of its own. Called again, with these settings instead of
    /// those before.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn follow_active_directory(self: &Arc<Service>, settings: Settings) -> Result<(), Fault> {
        let sink = Arc::new(Into(Arc::downgrade(self)));
        let before = self.elsewhere.active.load_full();
        let active = Active::start(settings, sink, before.as_deref())
            .map_err(|e| Fault::new(FaultKind::Unavailable, format!("Active Directory: {e}")))?;
        self.elsewhere.active.store(Some(Arc::new(active)));
        Ok(())
    }

    /// Reads domains of Active Directory once.
    ///
    /// # Errors
    /// The first thing that was wrong; nothing was changed then.
    pub fn load_active_directory(self: &Arc<Service>, settings: Settings) -> Result<Status, Fault> {
        ldap::load_once(settings, Arc::new(Into(Arc::downgrade(self))))
            .map_err(|e| Fault::new(FaultKind::Unavailable, format!("Active Directory: {e}")))
    }

    /// Asks the domain of an account whether that is its password. None: the account is not kept elsewhere.
    pub fn login_elsewhere(&self, account: &Guid, password: &[u8]) -> Option<Login> {
        let snapshot = self.snapshot();
        let id = snapshot.by_guid(account)?;
        if !self.elsewhere.has(&snapshot, id) {
            return None;
        }
        let active = self.elsewhere.active.load_full().and_then(|active| active.login(account, password));
        Some(active.unwrap_or_else(|| Login::Unavailable("its domain was never reached".to_owned())))
    }

    /// Does for a name that nobody has what [`Service::login_elsewhere`] does for others, where most passwords are kept by other
    /// directories. None: they are kept here.
    pub fn login_of_nobody_elsewhere(&self, subject: &Guid, password: &[u8]) -> Option<Login> {
        self.elsewhere.active.load_full().and_then(|active| active.login_of_nobody(subject, password))
    }

    /// How following Active Directory goes: as the running server knows it, else as it was when it ran last. None where
    /// nothing is followed.
    pub fn active_directory(&self) -> Option<Status> {
        match self.elsewhere.active.load_full() {
            Some(active) => Some(active.status()),
            None => Status::remembered(&self.elsewhere.known.load(), self.now().0),
        }
    }
}

/// Where what is found goes: the service, as long as there is one.
struct Into(Weak<Service>);

const GONE: &str = "the server is stopping";

impl Sink for Into {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.upgrade().map_or_else(|| Arc::new(Snapshot::empty()), |service| service.snapshot())
    }

    fn follow(&self, comment: &str, plan: &mut dyn FnMut(&Snapshot) -> Vec<Change>) -> Result<Vec<String>, String> {
        let service = self.0.upgrade().ok_or(GONE)?;
        let mut store = service.store();
        let before = service.snapshot();
        let mut now = Snapshot::clone(&before);
        let mut problems = Vec::new();
        let mut committed = Ok(());
        for _ in 0..ROUNDS {
            let changes = plan(&now);
            if changes.is_empty() {
                problems.clear();
                break;
            }
            let outcome = ldap::mirror::make(&now, &well_known::SYSTEM, service.now(), comment, changes);
            problems = outcome.problems;
            if outcome.made.is_empty() {
                break;
            }
            for made in outcome.made {
                committed = store.commit(&made.batch, &made.log).map(drop).map_err(|e| e.to_string());
                if committed.is_err() {
                    break;
                }
                now = made.snapshot;
            }
            if committed.is_err() {
                break;
            }
        }
        if now.version() != before.version() {
            service.publish(&Arc::new(now));
        }
        committed.map(|()| problems)
    }

    fn remembered(&self) -> Option<String> {
        self.0.upgrade()?.setting(SETTING).ok()?
    }

    fn remember(&self, state: &str) -> Result<(), String> {
        let service = self.0.upgrade().ok_or(GONE)?;
        let parsed = State::parse(state).ok_or("what is to be remembered cannot be read back")?;
        if service.elsewhere.learn(&service.snapshot(), parsed) {
            service.set_setting(SETTING, Some(state)).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn password_changed(&self, account: &Guid) {
        if let Some(service) = self.0.upgrade()
            && let Some(running) = service.running()
        {
            running.password_changed(account);
        }
    }

    fn available(&self, is: bool, doubt: &Doubt) {
        let Some(service) = self.0.upgrade() else { return };
        let is_so = |snapshot: &Snapshot| snapshot.is_out_of_date() != is && snapshot.doubt() == doubt;
        if is_so(&service.snapshot()) {
            return;
        }
        let _store = service.store();
        let dated = Snapshot::clone(&service.snapshot()).dated(!is).doubting(doubt.clone());
        service.publish(&Arc::new(dated));
    }
}
