//! The source at work: one thread that keeps what we hold like what the domain controllers hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acl::Guid;
use directory::{Change, Snapshot, attributes as a};

use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain, Mark, Method, RootDse};
use crate::found::Found;
use crate::mirror::{self, Wanted};
use crate::settings::{Address, Settings};
use crate::state::{DomainStatus, Kept, ServerStatus, State, Status};

/// Where what is found goes.
pub trait Sink: Send + Sync + 'static {
    /// The newest snapshot.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// Makes the changes that `plan` finds, durably, and publishes what comes of all of them together. `plan` is asked
    /// again until it finds none, a few times. What could not be made is told.
    ///
    /// # Errors
    /// Nothing could be made durable; in words.
    fn follow(&self, comment: &str, plan: &mut dyn FnMut(&Snapshot) -> Vec<Change>) -> Result<Vec<String>, String>;
    /// What was remembered last.
    fn remembered(&self) -> Option<String>;
    /// Remembers.
    ///
    /// # Errors
    /// It could not be made durable; in words.
    fn remember(&self, state: &str) -> Result<(), String>;
    /// The password of an account changed.
    fn password_changed(&self, account: &Guid);
    /// Whether decisions may be made from now on.
    fn available(&self, is: bool);
}

/// How often what is remembered is made durable although nothing changed.
const REMEMBERED_EVERY: Duration = Duration::from_secs(15);
/// How long a server that failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(2);
/// The same for one whose domain is not known: another one may serve it.
const LEFT_ALONE_UNKNOWN: Duration = Duration::from_secs(10);
/// Objects that may be missing from a domain that is read as a whole before that is called wrong.
const MAY_GO: usize = 50;
/// Differences and problems that are shown.
const SHOWN: usize = 20;

/// The running source. Dropped, it stops.
pub struct Active {
    pub(crate) inner: Arc<Inner>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread, logons and writes share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) sink: Arc<dyn Sink>,
    status: Mutex<Status>,
    pub(crate) domains: Mutex<Vec<Domain>>,
    pub(crate) servers: Mutex<BTreeMap<String, Vec<Address>>>,
    pub(crate) guesses: Mutex<crate::login::Guesses>,
}

impl Active {
    /// Starts the thread. What was remembered counts until the first domain controller answers.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(settings: Settings, sink: Arc<dyn Sink>) -> std::io::Result<Active> {
        let inner = Inner {
            status: Mutex::default(),
            domains: Mutex::default(),
            servers: Mutex::default(),
            guesses: Mutex::default(),
            settings,
            sink,
        };
        let inner = Arc::new(inner);
        let mut running = Running::new(Arc::clone(&inner));
        running.show();
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name("active-directory".into()).spawn(move || running.run(&stopped))?;
        Ok(Active { inner, stop: Some(stop), thread: Some(thread) })
    }

    /// How it is.
    pub fn status(&self) -> Status {
        lock(&self.inner.status).clone()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.stop = None;
        // The last one who holds the service may be the thread itself.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

/// Reads everything once, in this thread.
///
/// # Errors
/// The first thing that was wrong, in words; nothing was changed then.
pub fn load_once(settings: Settings, sink: Arc<dyn Sink>) -> Result<Status, String> {
    let inner = Inner {
        status: Mutex::default(),
        domains: Mutex::default(),
        servers: Mutex::default(),
        guesses: Mutex::default(),
        settings,
        sink,
    };
    let mut running = Running::new(Arc::new(inner));
    running.round();
    running.show();
    running.remember(true);
    let status = lock(&running.inner.status).clone();
    match running.followed.iter().find_map(|followed| followed.error.clone()).or_else(|| {
        status.servers.iter().find_map(|server| Some(format!("{}: {}", server.address, server.error.as_ref()?)))
    }) {
        Some(error) if status.domains.is_empty() || status.domains.iter().any(|domain| domain.heard == 0) => Err(error),
        _ => Ok(status),
    }
}

/// A domain that is followed.
struct Followed {
    kept: Kept,
    /// The connection, and to which server.
    connection: Option<(Address, Connection)>,
    /// When which account ends.
    ends: BTreeSet<(i64, Guid)>,
    /// Whether [`Followed::ends`] was filled.
    knows_ends: bool,
    differing: usize,
    differences: Vec<String>,
    problems: Vec<String>,
    took: Duration,
    error: Option<String>,
    /// Objects, and unreadable ones, at a version.
    counted: (Option<u64>, (u64, u64)),
}

struct Server {
    address: Address,
    domain: Option<String>,
    good: bool,
    error: Option<String>,
    again: Instant,
}

struct Running {
    inner: Arc<Inner>,
    servers: Vec<Server>,
    followed: Vec<Followed>,
    remembered: Instant,
    changed: bool,
}

impl Running {
    fn new(inner: Arc<Inner>) -> Running {
        let state: State =
            inner.sink.remembered().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let serves = |address: &Address| {
            let text = address.to_string();
            state.domains.iter().find(|kept| kept.servers.contains(&text)).map(|kept| kept.domain.dn.clone())
        };
        let servers: Vec<Server> = inner
            .settings
            .servers
            .iter()
            .map(|address| Server {
                address: address.clone(),
                domain: serves(address),
                good: false,
                error: None,
                again: Instant::now(),
            })
            .collect();
        // Domains that no configured server serves any more are kept as they are, and grow old.
        let followed = state.domains.into_iter().map(Followed::new).collect();
        Running { inner, servers, followed, remembered: Instant::now(), changed: false }
    }

    fn run(&mut self, stopped: &Receiver<()>) {
        loop {
            self.round();
            self.show();
            self.remember(false);
            match stopped.recv_timeout(self.inner.settings.poll) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    self.remember(true);
                    return;
                }
            }
        }
    }

    /// Looks once at every domain.
    fn round(&mut self) {
        for number in 0..self.servers.len() {
            if self.servers[number].domain.is_none() && self.servers[number].again <= Instant::now() {
                self.introduce(number);
            }
        }
        for number in 0..self.followed.len() {
            self.look(number);
        }
    }

    /// Asks a server which domain it serves.
    fn introduce(&mut self, number: usize) {
        let address = self.servers[number].address.clone();
        match self.connect(&address) {
            Ok((mut connection, dse)) => {
                let dn = dse.domain.clone();
                let known = self.followed.iter().position(|followed| followed.kept.domain.dn.eq_ignore_ascii_case(&dn));
                if known.is_none() {
                    match controller::domain(&mut connection, &dse, &self.inner.settings.map) {
                        Ok(domain) => {
                            let mut followed = Followed::new(Kept { domain, ..Kept::default() });
                            followed.connection = Some((address.clone(), connection));
                            self.followed.push(followed);
                            // Parents before children, so that a child domain stands below its parent.
                            self.followed.sort_by_key(|followed| followed.kept.domain.dn.matches(',').count());
                        }
                        Err(error) => return self.failed(number, &error, LEFT_ALONE_UNKNOWN),
                    }
                }
                self.servers[number].domain = Some(dn);
                self.worked(number);
                self.changed = true;
            }
            Err(error) => self.failed(number, &error, LEFT_ALONE_UNKNOWN),
        }
    }

    fn connect(&self, address: &Address) -> Result<(Connection, RootDse), LdapError> {
        let settings = &self.inner.settings;
        let mut connection = Connection::open(address, &settings.tls, settings.patience)?;
        connection.bind(&settings.account, settings.password.as_bytes())?;
        let dse = controller::root_dse(&mut connection)?;
        Ok((connection, dse))
    }

    fn worked(&mut self, number: usize) {
        let server = &mut self.servers[number];
        if !server.good {
            tracing::info!(server = %server.address, "domain controller answers");
        }
        (server.good, server.error) = (true, None);
    }

    fn failed(&mut self, number: usize, error: &LdapError, alone: Duration) {
        let server = &mut self.servers[number];
        let text = error.to_string();
        if server.good || server.error.as_ref() != Some(&text) {
            tracing::warn!(server = %server.address, error = %text, "domain controller");
        }
        (server.good, server.error) = (false, Some(text));
        server.again = Instant::now() + alone;
    }

    /// Brings a domain up to date, by the connection there is, else by any of its servers.
    fn look(&mut self, number: usize) {
        let dn = self.followed[number].kept.domain.dn.clone();
        if let Some((address, connection)) = self.followed[number].connection.take() {
            let server = self.servers.iter().position(|server| server.address == address);
            if self.attempt(number, server, address, connection) {
                return;
            }
        }
        let now = Instant::now();
        let serves = |server: &Server| server.domain.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&dn));
        let candidates: Vec<usize> =
            (0..self.servers.len()).filter(|n| serves(&self.servers[*n]) && self.servers[*n].again <= now).collect();
        for server in candidates {
            let address = self.servers[server].address.clone();
            match self.connect(&address) {
                Ok((connection, dse)) if dse.domain.eq_ignore_ascii_case(&dn) => {
                    if self.attempt(number, Some(server), address, connection) {
                        return;
                    }
                }
                Ok((_, dse)) => {
                    let error = LdapError::Nonsense(format!("it serves {} now", dse.domain));
                    self.servers[server].domain = None;
                    self.failed(server, &error, LEFT_ALONE_UNKNOWN);
                }
                Err(error) => self.failed(server, &error, LEFT_ALONE),
            }
        }
    }

    fn attempt(&mut self, number: usize, server: Option<usize>, address: Address, mut connection: Connection) -> bool {
        let inner = Arc::clone(&self.inner);
        let kept = self.followed[number].kept.clone();
        match self.followed[number].refresh(&inner, &mut connection) {
            Ok(()) => {
                let followed = &mut self.followed[number];
                followed.connection = Some((address, connection));
                followed.error = None;
                // Time alone is remembered now and then.
                let marked = |kept: &Kept| (kept.cookie.clone(), kept.usn, kept.checked);
                self.changed |= marked(&kept) != marked(&followed.kept);
                server.into_iter().for_each(|server| self.worked(server));
                true
            }
            Err(error) => {
                self.followed[number].error = Some(format!("{address}: {error}"));
                server.into_iter().for_each(|server| self.failed(server, &error, LEFT_ALONE));
                false
            }
        }
    }

    /// Publishes how things stand.
    fn show(&mut self) {
        let settings = &self.inner.settings;
        let now = milliseconds();
        let snapshot = self.inner.sink.snapshot();
        let age = |kept: &Kept| Duration::from_millis(now.saturating_sub(kept.heard).max(0) as u64);
        let available = !self.followed.is_empty()
            && self
                .followed
                .iter()
                .all(|followed| followed.kept.heard > 0 && age(&followed.kept) <= settings.stale_limit);
        for followed in &mut self.followed {
            if followed.counted.0 != Some(snapshot.version()) {
                followed.counted = (Some(snapshot.version()), count(&snapshot, &followed.kept.domain));
            }
        }
        let domains = self.followed.iter().map(|followed| {
            let (_, (objects, unreadable)) = followed.counted;
            let (kept, age) = (&followed.kept, age(&followed.kept));
            let state = match () {
                () if kept.heard == 0 => "unknown",
                () if age > settings.stale_limit => "expired",
                () if age > settings.max_age => "old",
                () => "fresh",
            };
            let method = match kept.method {
                Method::DirSync => "dir-sync",
                Method::DirSyncAsSeen => "dir-sync-as-seen",
                Method::Usn => "usn",
            };
            let delegates = kept.domain.theirs.contains(a::PUBLIC_DELEGATES);
            DomainStatus {
                dn: kept.domain.dn.clone(),
                netbios: kept.domain.netbios.clone(),
                state: state.to_owned(),
                heard: kept.heard,
                age_seconds: age.as_secs(),
                server: followed.connection.as_ref().map(|(address, _)| address.to_string()),
                method: method.to_owned(),
                usn: kept.usn,
                cookie_octets: kept.cookie.len() as u64 / 2,
                checked: kept.checked,
                objects,
                unreadable,
                differing: followed.differing as u64,
                differences: followed.differences.clone(),
                problems: followed.problems.clone(),
                last_took_ms: followed.took.as_millis() as u64,
                delegates: if delegates { "in the domain" } else { "in Procura's own store" }.to_owned(),
            }
        });
        let status = Status {
            available,
            max_age_seconds: settings.max_age.as_secs(),
            stale_limit_seconds: settings.stale_limit.as_secs(),
            domains: domains.collect(),
            servers: self.servers.iter().map(Server::status).collect(),
        };
        let mut serving: BTreeMap<String, Vec<Address>> = BTreeMap::new();
        for server in &self.servers {
            if let Some(domain) = &server.domain {
                // Good ones first.
                let list = serving.entry(domain.to_ascii_lowercase()).or_default();
                if server.good { list.insert(0, server.address.clone()) } else { list.push(server.address.clone()) }
            }
        }
        *lock(&self.inner.servers) = serving;
        *lock(&self.inner.domains) = self.followed.iter().map(|followed| followed.kept.domain.clone()).collect();
        if status.available != lock(&self.inner.status).available {
            match status.available {
                true => tracing::info!("the directory is up to date"),
                false => tracing::error!("the directory is too old to decide by, or was never loaded"),
            }
        }
        self.inner.sink.available(available);
        *lock(&self.inner.status) = status;
    }

    fn remember(&mut self, at_once: bool) {
        if !self.changed && !at_once && self.remembered.elapsed() < REMEMBERED_EVERY {
            return;
        }
        let domains = self.followed.iter().filter(|followed| followed.kept.heard > 0).map(|followed| {
            let serves = |server: &&Server| {
                server.domain.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&followed.kept.domain.dn))
            };
            let servers = self.servers.iter().filter(serves).map(|server| server.address.to_string()).collect();
            Kept { servers, ..followed.kept.clone() }
        });
        let state = State { domains: domains.collect() };
        let written = serde_json::to_string(&state).map_err(|e| e.to_string());
        match written.and_then(|text| self.inner.sink.remember(&text)) {
            Ok(()) => (self.changed, self.remembered) = (false, Instant::now()),
            Err(error) => tracing::warn!(error, "how far the directory was followed cannot be kept"),
        }
    }
}

impl Server {
    fn status(&self) -> ServerStatus {
        ServerStatus {
            address: self.address.to_string(),
            domain: self.domain.clone(),
            good: self.good,
            error: self.error.clone(),
        }
    }
}

impl Followed {
    fn new(kept: Kept) -> Followed {
        Followed {
            kept,
            connection: None,
            ends: BTreeSet::new(),
            knows_ends: false,
            differing: 0,
            differences: Vec::new(),
            problems: Vec::new(),
            took: Duration::ZERO,
            error: None,
            counted: (None, (0, 0)),
        }
    }

    /// Brings the domain up to date.
    fn refresh(&mut self, inner: &Inner, connection: &mut Connection) -> Result<(), LdapError> {
        let begin = milliseconds();
        let dse = controller::root_dse(connection)?;
        let invocation = if self.error.is_some() || self.kept.invocation.is_empty() || !self.knows_ends {
            controller::invocation(connection, &dse)?
        } else {
            self.kept.invocation.clone()
        };
        let settings = &inner.settings;
        let mark = self.kept.mark().filter(|mark| {
            // Another server, or the same one restored: its numbers mean something else.
            invocation == self.kept.invocation && mark.usn <= dse.usn && self.kept.map == format!("{:?}", settings.map)
        });
        let is_due = begin - self.kept.checked > settings.check.as_millis() as i64;
        match mark {
            Some(mark) if self.knows_ends && !is_due => self.follow(inner, connection, &dse, &mark)?,
            // After a start the ends of accounts are not known; everything is compared anyway.
            _ => self.load(inner, connection, &dse, invocation)?,
        }
        self.end_accounts(inner, connection)?;
        self.kept.heard = begin;
        Ok(())
    }

    /// Reads everything.
    fn load(
        &mut self,
        inner: &Inner,
        connection: &mut Connection,
        dse: &RootDse,
        invocation: String,
    ) -> Result<(), LdapError> {
        let begin = Instant::now();
        let settings = &inner.settings;
        let domain = controller::domain(connection, dse, &settings.map)?;
        if !self.kept.domain.guid.is_empty() && domain.guid != self.kept.domain.guid {
            return Err(LdapError::Nonsense(format!("{} is another domain than before", domain.dn)));
        }
        // Where to go on from is asked first: what changes meanwhile is seen twice.
        let (method, mark) = controller::begin(connection, &domain, dse)?;
        let found = controller::load(connection, &domain, &settings.map, settings.page, filetime())?;
        if !found.iter().any(|found| found.guid == domain.guid()) {
            return Err(LdapError::Nonsense(format!("{} itself was not among its objects", domain.dn)));
        }
        let wanted = Wanted { domain: domain.guid(), theirs: &domain.theirs, found: &found, gone: &[], whole: true };
        let (held, lost) = mirror::loss(&inner.sink.snapshot(), &wanted);
        if lost > MAY_GO && lost * 2 > held {
            return Err(LdapError::Nonsense(format!(
                "{lost} of {held} objects of {} are not there any more: may the account still read them?",
                domain.dn
            )));
        }
        let read = begin.elapsed();
        let problems =
            inner.sink.follow(&format!("{} as it is", domain.dn), &mut |snapshot| mirror::changes(snapshot, &wanted));
        self.problems = problems.map_err(LdapError::Nonsense)?;
        self.problems.truncate(SHOWN);
        self.compare(inner, &found);
        self.ends = found.iter().filter_map(|found| Some((found.expires?, found.guid))).collect();
        self.knows_ends = true;
        self.took = begin.elapsed();
        tracing::info!(
            domain = domain.dn,
            objects = found.len(),
            read_ms = read.as_millis() as u64,
            all_ms = self.took.as_millis() as u64,
            method = ?method,
            "directory loaded"
        );
        self.kept.domain = domain;
        self.kept.method = method;
        self.kept.invocation = invocation;
        self.kept.set_mark(&mark);
        self.kept.map = format!("{:?}", settings.map);
        self.kept.checked = milliseconds();
        Ok(())
    }

    /// Holds the stored descriptors against the computed ones.
    fn compare(&mut self, inner: &Inner, found: &[Found]) {
        let snapshot = inner.sink.snapshot();
        self.differing = 0;
        self.differences.clear();
        for object in found {
            let stored = object.attributes.get(a::DESCRIPTOR).and_then(|values| values.first());
            let Some((stored, computed)) = stored.and_then(|stored| mirror::differs(&snapshot, object, stored)) else {
                continue;
            };
            self.differing += 1;
            if self.differences.len() < SHOWN {
                self.differences.push(format!("{}: stored {stored}, inheritance gives {computed}", object.dn));
            }
        }
        if self.differing > 0 {
            tracing::warn!(
                domain = self.kept.domain.dn,
                objects = self.differing,
                "stored descriptors differ from computed ones"
            );
        }
    }

    /// Takes over what changed.
    fn follow(
        &mut self,
        inner: &Inner,
        connection: &mut Connection,
        dse: &RootDse,
        mark: &Mark,
    ) -> Result<(), LdapError> {
        if mark.usn == dse.usn {
            return Ok(());
        }
        let begin = Instant::now();
        let settings = &inner.settings;
        let domain = &self.kept.domain;
        let changed = match controller::changes(connection, domain, &settings.map, self.kept.method, mark, dse) {
            Err(error @ LdapError::Refused { .. }) => {
                // The cookie is lost, or the right: everything is read again, and a way is looked for again.
                self.kept.usn = 0;
                return Err(error);
            }
            other => other?,
        };
        let touched: Vec<Guid> = changed.objects.iter().filter(|(_, is)| !is.deleted).map(|(guid, _)| *guid).collect();
        let found = controller::again(connection, domain, &settings.map, &touched, filetime())?;
        self.take(inner, &found, &changed.objects.keys().copied().collect::<Vec<_>>())?;
        for (guid, is) in &changed.objects {
            if is.password || is.deleted {
                inner.sink.password_changed(guid);
            }
        }
        self.kept.set_mark(&changed.mark);
        if !changed.objects.is_empty() {
            self.took = begin.elapsed();
            tracing::debug!(objects = changed.objects.len(), ms = self.took.as_millis() as u64, "directory followed");
        }
        Ok(())
    }

    /// Takes over some objects: those that were asked for and not found are gone.
    fn take(&mut self, inner: &Inner, found: &[Found], asked: &[Guid]) -> Result<(), LdapError> {
        let there: BTreeSet<Guid> = found.iter().filter(|found| !found.deleted).map(|found| found.guid).collect();
        let gone: Vec<Guid> = asked.iter().filter(|guid| !there.contains(guid)).copied().collect();
        let domain = &self.kept.domain;
        let wanted = Wanted { domain: domain.guid(), theirs: &domain.theirs, found, gone: &gone, whole: false };
        let problems =
            inner.sink.follow(&format!("changes of {}", domain.dn), &mut |snapshot| mirror::changes(snapshot, &wanted));
        let problems = problems.map_err(LdapError::Nonsense)?;
        for problem in &problems {
            tracing::warn!(problem, "directory");
        }
        self.problems.extend(problems);
        let excess = self.problems.len().saturating_sub(SHOWN);
        self.problems.drain(..excess);
        self.ends.retain(|(_, guid)| !asked.contains(guid));
        self.ends.extend(found.iter().filter_map(|found| Some((found.expires?, found.guid))));
        Ok(())
    }

    /// Reads accounts again that end about now.
    fn end_accounts(&mut self, inner: &Inner, connection: &mut Connection) -> Result<(), LdapError> {
        let now = filetime();
        let snapshot = inner.sink.snapshot();
        let is_enabled = |guid: &Guid| {
            snapshot.by_guid(guid).and_then(|id| snapshot.object(id)).is_some_and(|object| object.enabled())
        };
        let ended: Vec<Guid> =
            self.ends.range(..=(now, Guid([0xff; 16]))).map(|(_, guid)| *guid).filter(is_enabled).collect();
        if ended.is_empty() {
            return Ok(());
        }
        let found = controller::again(connection, &self.kept.domain, &inner.settings.map, &ended, now)?;
        self.take(inner, &found, &ended)
    }
}

/// Objects of a domain, and how many of them have no readable descriptor.
fn count(snapshot: &Snapshot, domain: &Domain) -> (u64, u64) {
    let Some(id) = snapshot.by_guid(&domain.guid()) else { return (0, 0) };
    let all = snapshot.subtree(id);
    let unreadable = all.iter().filter(|id| snapshot.descriptor(**id).is_none()).count();
    (all.len() as u64, unreadable as u64)
}

/// Milliseconds since the Unix epoch.
pub(crate) fn milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// 100 nanoseconds since 1601 (MS-DTYP 2.3.3 FILETIME).
pub(crate) fn filetime() -> i64 {
    (milliseconds() + 11_644_473_600_000).saturating_mul(10_000)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
