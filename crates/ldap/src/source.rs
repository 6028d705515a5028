//! The source at work: one thread that keeps what we hold like what the domain controllers hold.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use acl::Guid;
use directory::{Change, Doubt, Snapshot, attributes as a};

use crate::changes::Method;
use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain, RootDse};
use crate::followed::{Followed, count, open};
use crate::loose::Loose;
use crate::message::code;
use crate::settings::{Address, Settings};
use crate::state::{DomainStatus, Kept, ServerStatus, State, Status};
use crate::watch::Watch;

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
    /// Whether decisions may be made from now on, and what is not known of the directory where they may.
    fn available(&self, is: bool, doubt: &Doubt);
}

/// How often what is remembered is made durable although nothing changed.
const REMEMBERED_EVERY: Duration = Duration::from_secs(15);
/// How long a server that failed is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(2);
/// The same for one whose domain is not known: another one may serve it.
const LEFT_ALONE_UNKNOWN: Duration = Duration::from_secs(10);
/// How often one after the other our own name or password may be wrong, and how long a server is left alone then: each time
/// counts, and after some of them a domain locks the account.
const WRONG: u32 = 2;
const LEFT_ALONE_WRONG: Duration = Duration::from_secs(600);
/// How often objects are counted.
const COUNTED_EVERY: Duration = Duration::from_secs(10);

/// The running source. Dropped, it stops.
pub struct Active {
    pub(crate) inner: Arc<Inner>,
    running: Mutex<Option<(Sender<Told>, JoinHandle<()>)>>,
}

/// What the thread is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Something changed at a domain controller.
    Changed,
    /// It is over.
    Stop,
}

/// What the thread, logons and writes share.
pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) sink: Arc<dyn Sink>,
    status: Mutex<Status>,
    pub(crate) domains: Mutex<Vec<Domain>>,
    pub(crate) servers: Mutex<BTreeMap<String, Vec<Address>>>,
    pub(crate) guesses: Mutex<crate::login::Guesses>,
    pub(crate) loose: Mutex<Loose>,
}

impl Active {
    /// Starts the thread. What was remembered counts until the first domain controller answers. `before`, which ran with other
    /// settings, ends; wrong passwords that it knows of count.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(settings: Settings, sink: Arc<dyn Sink>, before: Option<&Active>) -> std::io::Result<Active> {
        let guesses = before.map(|before| {
            before.stop();
            std::mem::take(&mut *lock(&before.inner.guesses))
        });
        let inner = Inner {
            status: Mutex::default(),
            domains: Mutex::default(),
            servers: Mutex::default(),
            guesses: Mutex::new(guesses.unwrap_or_default()),
            loose: Mutex::default(),
            settings,
            sink,
        };
        let inner = Arc::new(inner);
        let mut running = Running::new(Arc::clone(&inner));
        running.show();
        let (stop, stopped) = channel();
        running.tell = Some(stop.clone());
        let thread =
            std::thread::Builder::new().name("active-directory".into()).spawn(move || running.run(&stopped))?;
        Ok(Active { inner, running: Mutex::new(Some((stop, thread))) })
    }

    /// Ends the thread, and waits for what it is doing.
    fn stop(&self) {
        let Some((stop, thread)) = lock(&self.running).take() else { return };
        let _ = stop.send(Told::Stop);
        // The last one who holds the service may be the thread itself.
        if thread.thread().id() != std::thread::current().id() {
            let _ = thread.join();
        }
    }

    /// How it is.
    pub fn status(&self) -> Status {
        lock(&self.inner.status).clone()
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.stop();
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
        loose: Mutex::default(),
        settings,
        sink,
    };
    let mut running = Running::new(Arc::new(inner));
    running.round();
    if running.followed.len() > 1 {
        // Links of one domain to objects of another that was read after it.
        running.round();
    }
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

struct Server {
    address: Address,
    /// The domain that it serves. Of a global catalog, which tells of the whole forest, its root.
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
    /// How often one after the other the account's name or password was wrong.
    wrong: u32,
    /// Who is told that something changed; nobody where all is read once.
    tell: Option<Sender<Told>>,
}

impl Running {
    fn new(inner: Arc<Inner>) -> Running {
        let remembered = inner.sink.remembered().map(|text| State::of(&inner.sink.snapshot(), &text));
        if remembered == Some(None) {
            tracing::error!(
                "what was remembered of Active Directory is damaged: nothing is decided before it is read anew"
            );
        }
        let state = remembered.flatten().unwrap_or_default();
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
        Running { inner, servers, followed, remembered: Instant::now(), changed: false, wrong: 0, tell: None }
    }

    fn run(&mut self, told: &Receiver<Told>) {
        loop {
            self.round();
            self.show();
            self.remember(false);
            let next = told.recv_timeout(self.inner.settings.poll);
            // Of many changes at once it hears once.
            let is_over = |told: Told| told == Told::Stop;
            if next == Err(RecvTimeoutError::Disconnected) || next.is_ok_and(is_over) || told.try_iter().any(is_over) {
                self.remember(true);
                return;
            }
        }
    }

    /// Looks once at every domain.
    fn round(&mut self) {
        // Catalogs last: they tell of what no other serves.
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(|number| self.servers[*number].address.is_catalog());
        for number in order {
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
        let introduced = self.connect(&address).and_then(|(connection, dse)| match address.is_catalog() {
            true => self.introduce_catalog(connection, &dse),
            false => self.introduce_controller(&address, connection, &dse),
        });
        match introduced {
            Ok(dn) => {
                self.servers[number].domain = Some(dn);
                self.worked(number);
                self.changed = true;
            }
            Err(error) => self.failed(number, &error, LEFT_ALONE_UNKNOWN),
        }
    }

    fn introduce_controller(
        &mut self,
        address: &Address,
        mut connection: Connection,
        dse: &RootDse,
    ) -> Result<String, LdapError> {
        let dn = dse.domain.clone();
        let known = self.followed.iter().position(|followed| followed.kept.domain.dn.eq_ignore_ascii_case(&dn));
        if known.is_some_and(|known| !self.followed[known].kept.partial) {
            return Ok(dn);
        }
        self.same_forest(dse)?;
        let domain = controller::domain(&mut connection, dse, &self.inner.settings.map)?;
        // What a catalog told of it is read again, as a whole.
        known.into_iter().for_each(|known| drop(self.followed.remove(known)));
        let mut followed = Followed::new(Kept { domain, ..Kept::default() });
        followed.connection = Some((address.clone(), connection));
        self.add(followed);
        Ok(dn)
    }

    /// Follows what a global catalog knows of the domains of its forest that no domain controller of ours serves.
    fn introduce_catalog(&mut self, mut connection: Connection, dse: &RootDse) -> Result<String, LdapError> {
        self.same_forest(dse)?;
        for member in controller::members(&mut connection, dse)? {
            let is_known = |followed: &Followed| followed.kept.domain.dn.eq_ignore_ascii_case(&member.dn);
            let is_served = |server: &Server| {
                !server.address.is_catalog()
                    && server.domain.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&member.dn))
            };
            if self.followed.iter().any(is_known) || self.servers.iter().any(is_served) {
                continue;
            }
            let domain = controller::domain_in_catalog(&mut connection, dse, &member.dn, &self.inner.settings.map)?;
            self.add(Followed::new(Kept { domain, partial: true, ..Kept::default() }));
        }
        Ok(dse.root.clone())
    }

    /// The domains of a forest believe one another. Nobody filters here the SIDs that those of another one give, as a trust
    /// does (MS-PAC 4.1.2.2).
    fn same_forest(&self, dse: &RootDse) -> Result<(), LdapError> {
        let of_other = |followed: &&Followed| !followed.kept.domain.root.eq_ignore_ascii_case(&dse.root);
        match self.followed.iter().find(of_other) {
            Some(other) => Err(LdapError::Nonsense(format!(
                "{} is of another forest than {}: the domains of one are followed",
                dse.domain, other.kept.domain.dn
            ))),
            None => Ok(()),
        }
    }

    fn add(&mut self, followed: Followed) {
        self.followed.push(followed);
        // Parents before children, so that a child domain stands below its parent.
        self.followed.sort_by_key(|followed| followed.kept.domain.dn.matches(',').count());
    }

    fn connect(&self, address: &Address) -> Result<(Connection, RootDse), LdapError> {
        let mut connection = open(&self.inner.settings, address)?;
        let dse = controller::root_dse(&mut connection)?;
        Ok((connection, dse))
    }

    fn worked(&mut self, number: usize) {
        let server = &mut self.servers[number];
        if !server.good {
            tracing::info!(server = %server.address, "domain controller answers");
        }
        (server.good, server.error) = (true, None);
        self.wrong = 0;
    }

    fn failed(&mut self, number: usize, error: &LdapError, alone: Duration) {
        let is_wrong = error.code() == Some(code::INVALID_CREDENTIALS);
        self.wrong = if is_wrong { self.wrong.saturating_add(1) } else { self.wrong };
        let alone = if is_wrong && self.wrong >= WRONG { LEFT_ALONE_WRONG } else { alone };
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
        // One that rests on a ticket is made anew before that ends.
        let connection = self.followed[number].connection.take().filter(|(_, connection)| !connection.is_over());
        if let Some((address, connection)) = connection {
            let server = self.servers.iter().position(|server| server.address == address);
            if self.attempt(number, server, address, connection, false) {
                return;
            }
        }
        let now = Instant::now();
        let (partial, root) = (self.followed[number].kept.partial, self.followed[number].kept.domain.root.clone());
        let served = if partial { &root } else { &dn };
        let serves = |server: &Server| {
            server.address.is_catalog() == partial
                && server.domain.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(served))
        };
        let candidates: Vec<usize> =
            (0..self.servers.len()).filter(|n| serves(&self.servers[*n]) && self.servers[*n].again <= now).collect();
        for server in candidates {
            let address = self.servers[server].address.clone();
            match self.connect(&address) {
                Ok((connection, dse)) if if partial { &dse.root } else { &dse.domain }.eq_ignore_ascii_case(served) => {
                    if self.attempt(number, Some(server), address, connection, true) {
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

    /// By a connection, which may lead to another server than the last one did (`is_new`).
    fn attempt(
        &mut self,
        number: usize,
        server: Option<usize>,
        address: Address,
        mut connection: Connection,
        is_new: bool,
    ) -> bool {
        let inner = Arc::clone(&self.inner);
        let kept = self.followed[number].kept.clone();
        match self.followed[number].refresh(&inner, &mut connection, &address, is_new) {
            Ok(()) => {
                let followed = &mut self.followed[number];
                if is_new {
                    followed.watch = None;
                }
                if let Some(tell) = self.tell.as_ref().filter(|_| inner.settings.notify && !followed.kept.partial)
                    && !followed.watch.as_ref().is_some_and(|watch| watch.is_of(&address))
                {
                    followed.watch = Watch::begin(&inner.settings, &address, &followed.kept.domain.dn, tell.clone());
                }
                followed.connection = Some((address, connection));
                followed.error = None;
                // Time alone is remembered now and then; but one by a clock that was wrong not for longer than that.
                let marked = |kept: &Kept| (kept.cookie.clone(), kept.usn, kept.checked);
                self.changed |= followed.was_set || marked(&kept) != marked(&followed.kept);
                server.into_iter().for_each(|server| self.worked(server));
                true
            }
            Err(error) => {
                self.followed[number].error = Some(format!("{address}: {error}"));
                self.followed[number].watch = None;
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
        // Where nothing at all is heard, nothing is decided; else what is known is.
        let is_stale = |followed: &&Followed| followed.kept.heard == 0 || followed.age() > settings.stale_limit;
        let available = self.followed.iter().any(|followed| !is_stale(&followed));
        let doubt = Doubt {
            stale: self.followed.iter().filter(is_stale).map(|followed| followed.kept.domain.guid()).collect(),
            partial: (self.followed.iter().filter(|followed| followed.kept.partial))
                .map(|followed| (followed.kept.domain.guid(), followed.kept.domain.lacks.clone()))
                .collect(),
        };
        for followed in &mut self.followed {
            let (version, when, _) = &followed.counted;
            // A large domain is not counted after each change.
            let recently = when.is_some_and(|when| when.elapsed() < COUNTED_EVERY);
            if *version != Some(snapshot.version()) && !(recently && now.saturating_sub(followed.kept.checked) > 5_000)
            {
                let counted = count(&snapshot, &followed.kept.domain);
                followed.counted = (Some(snapshot.version()), Some(Instant::now()), counted);
            }
        }
        let domains = self.followed.iter().map(|followed| {
            let (_, _, (objects, unreadable)) = followed.counted;
            let (kept, age) = (&followed.kept, followed.age());
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
                deletions: followed.deletions(settings),
                partial: kept.partial,
                notified: followed.watch.as_ref().is_some_and(Watch::tells),
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
        // What is written where nobody looks would be taken for undone until it is replicated: the one that is followed comes
        // first, then the others that are good, in their order.
        let is_followed = |server: &Server| {
            self.followed
                .iter()
                .any(|followed| followed.connection.as_ref().is_some_and(|(at, _)| *at == server.address))
        };
        let mut order: Vec<&Server> = self.servers.iter().collect();
        order.sort_by_key(|server| (!is_followed(server), !server.good));
        for server in order {
            // A catalog takes no changes, and asks for no passwords of other domains.
            if let Some(domain) = server.domain.as_ref().filter(|_| !server.address.is_catalog()) {
                serving.entry(domain.to_ascii_lowercase()).or_default().push(server.address.clone());
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
        self.inner.sink.available(available, &doubt);
        *lock(&self.inner.status) = status;
    }

    fn remember(&mut self, at_once: bool) {
        if !self.changed && !at_once && self.remembered.elapsed() < REMEMBERED_EVERY {
            return;
        }
        let domains = self.followed.iter().filter(|followed| followed.kept.heard > 0).map(|followed| {
            let serves = |server: &&Server| {
                !server.address.is_catalog()
                    && server.domain.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(&followed.kept.domain.dn))
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
