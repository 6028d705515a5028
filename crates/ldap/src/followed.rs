//! One domain that is followed: read as a whole, brought up to date, compared.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use acl::Guid;
use directory::{Snapshot, attributes as a};

use crate::changes::{self, Mark, Method};
use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain, RootDse};
use crate::found::Found;
use crate::lockout;
use crate::mirror::{self, Wanted};
use crate::presence::Presence;
use crate::settings::{Address, Settings};
use crate::source::{Inner, filetime, lock, milliseconds};
use crate::state::Kept;
use crate::watch::Watch;

/// Objects that may be missing from a domain that is read as a whole before that is called wrong.
const MAY_GO: usize = 50;
/// Differences and problems that are shown.
const SHOWN: usize = 20;
/// The age of what was heard at a time that has yet to come.
pub(crate) const UNKNOWN: Duration = Duration::from_secs(u32::MAX as u64);
/// Milliseconds by which two clocks may differ before one of them was set.
const SET: u64 = 1_000;
/// How often policies of lockout are read: they do not show among the changes that are followed.
const LOCKOUT_EVERY: Duration = Duration::from_secs(60);
/// After how long a comparison that failed is tried again.
pub(crate) const CHECK_AGAIN: Duration = Duration::from_secs(300);

/// A domain that is followed.
pub(crate) struct Followed {
    pub(crate) kept: Kept,
    /// The connection, and to which server.
    pub(crate) connection: Option<(Address, Connection)>,
    /// Where it tells of changes.
    pub(crate) watch: Option<Watch>,
    /// When which account ends.
    pub(crate) ends: BTreeSet<(i64, Guid)>,
    /// Whether [`Followed::ends`] was filled.
    pub(crate) knows_ends: bool,
    pub(crate) differing: usize,
    pub(crate) differences: Vec<String>,
    pub(crate) problems: Vec<String>,
    pub(crate) took: Duration,
    pub(crate) error: Option<String>,
    /// Objects, and unreadable ones, at a version, and when they were counted.
    pub(crate) counted: (Option<u64>, Option<Instant>, (u64, u64)),
    /// When it was known to be up to date, by a clock that nobody sets; none: not in this run.
    heard: Option<Instant>,
    /// The clock by which that is remembered was set since the time before.
    pub(crate) was_set: bool,
    /// When it is looked again after how many wrong passwords accounts are locked.
    lockout_after: Instant,
    /// Everything, being read beside.
    pub(crate) check: Option<Receiver<Result<Vec<Found>, LdapError>>>,
    /// Not before then again.
    check_after: Instant,
    /// Which objects are still there.
    pub(crate) presence: Presence,
}

impl Followed {
    pub(crate) fn new(kept: Kept) -> Followed {
        Followed {
            kept,
            connection: None,
            watch: None,
            ends: BTreeSet::new(),
            knows_ends: false,
            differing: 0,
            differences: Vec::new(),
            problems: Vec::new(),
            took: Duration::ZERO,
            error: None,
            counted: (None, None, (0, 0)),
            heard: None,
            was_set: false,
            lockout_after: Instant::now(),
            check: None,
            check_after: Instant::now(),
            presence: Presence::new(),
        }
    }

    /// How old what is held is. Where two clocks disagree, the older: one may have been set back, the other does not count
    /// while the machine sleeps.
    pub(crate) fn age(&self) -> Duration {
        let since = milliseconds().saturating_sub(self.kept.heard);
        match self.heard {
            Some(heard) => heard.elapsed().max(Duration::from_millis(since.max(0) as u64)),
            // The clock was set back while nothing ran: nobody knows how far.
            None if since < 0 => UNKNOWN,
            None => Duration::from_millis(since as u64),
        }
    }

    /// Brings the domain up to date, by a connection that may be new: then nothing is known of whom it leads to.
    pub(crate) fn refresh(
        &mut self,
        inner: &Inner,
        connection: &mut Connection,
        address: &Address,
        is_new: bool,
    ) -> Result<(), LdapError> {
        let (begin, asked) = (milliseconds(), Instant::now());
        let dse = controller::root_dse(connection)?;
        let is_unsure = is_new || self.error.is_some();
        let invocation = if is_unsure || self.kept.invocation.is_empty() || !self.knows_ends {
            controller::invocation(connection, &dse)?
        } else {
            self.kept.invocation.clone()
        };
        let settings = &inner.settings;
        let mark = self.kept.mark().filter(|mark| {
            // Another server, or the same one restored: its numbers mean something else.
            invocation == self.kept.invocation && mark.usn <= dse.usn && self.kept.map == format!("{:?}", settings.map)
        });
        let is_due = i128::from(begin.abs_diff(self.kept.checked)) > settings.check.as_millis() as i128;
        match mark {
            Some(mark) if self.knows_ends => {
                self.follow(inner, connection, &dse, &mark)?;
                self.check(inner, connection, address, is_due)?;
                self.look_who_is_there(inner, connection, address, dse.usn)?;
            }
            // After a start the ends of accounts are not known; everything is compared anyway.
            _ => self.load(inner, connection, &dse, invocation)?,
        }
        self.tie(inner, connection)?;
        self.end_accounts(inner, connection)?;
        if self.lockout_after <= Instant::now() {
            lockout::read(connection, &mut self.kept.domain)?;
            self.lockout_after = Instant::now() + LOCKOUT_EVERY;
        }
        let told = begin.saturating_sub(self.kept.heard);
        let passed = self.heard.map(|heard| i64::try_from((asked - heard).as_millis()).unwrap_or(i64::MAX));
        self.was_set = passed.is_none_or(|passed| passed.abs_diff(told) > SET);
        (self.kept.heard, self.heard) = (begin, Some(asked));
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
        let domain = match self.kept.partial {
            true => controller::domain_in_catalog(connection, dse, &self.kept.domain.dn, &settings.map)?,
            false => controller::domain(connection, dse, &settings.map)?,
        };
        if !self.kept.domain.guid.is_empty() && domain.guid != self.kept.domain.guid {
            return Err(LdapError::Nonsense(format!(
                "{} is another domain than the one held here, of the same name: nothing of it is taken over \
                 (`procura init` makes a data directory for it)",
                domain.dn
            )));
        }
        // Where to go on from is asked first: what changes meanwhile is seen twice.
        let (method, mark) = match self.kept.partial {
            // A partial replica does not do DirSync (MS-ADTS 3.1.1.3.4.1.3).
            true => (Method::Usn, Mark { cookie: Vec::new(), usn: dse.usn }),
            false => changes::begin(connection, &domain, dse)?,
        };
        let found = controller::load(connection, &domain, &settings.map, settings.page, filetime())?;
        let wanted = Wanted { domain: domain.guid(), theirs: &domain.theirs, found: &found, gone: &[], whole: true };
        believable(inner, &domain, &wanted)?;
        self.presence = Presence::new();
        let read = begin.elapsed();
        self.problems = follow(inner, &format!("{} as it is", domain.dn), &wanted)?;
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

    /// Reads everything again now and then, on a connection of its own while changes are followed on this one. Objects that
    /// are not as they are held then are read once more, for they may have changed meanwhile.
    fn check(
        &mut self,
        inner: &Inner,
        connection: &mut Connection,
        address: &Address,
        is_due: bool,
    ) -> Result<(), LdapError> {
        let Some(reading) = &self.check else {
            if is_due && self.check_after <= Instant::now() {
                self.check_after = Instant::now() + CHECK_AGAIN;
                self.check = Some(read_beside(&inner.settings, &self.kept.domain, address));
            }
            return Ok(());
        };
        let found = match reading.try_recv() {
            Ok(Ok(found)) => found,
            Err(TryRecvError::Empty) => return Ok(()),
            Ok(Err(error)) => {
                self.check = None;
                return Err(error);
            }
            Err(TryRecvError::Disconnected) => {
                self.check = None;
                return Ok(());
            }
        };
        self.check = None;
        let domain = self.kept.domain.clone();
        let wanted = Wanted { domain: domain.guid(), theirs: &domain.theirs, found: &found, gone: &[], whole: true };
        if let Err(error) = believable(inner, &domain, &wanted) {
            tracing::error!(domain = domain.dn, %error, "directory compared");
            self.problems.push(error.to_string());
            self.check_after = Instant::now() + CHECK_AGAIN;
            return Ok(());
        }
        let suspicious: Vec<Guid> =
            mirror::touched(&mirror::changes(&inner.sink.snapshot(), &wanted)).into_iter().collect();
        if !suspicious.is_empty() {
            let again = controller::again(connection, &domain, &inner.settings.map, &suspicious, filetime())?;
            self.take(inner, &again, &suspicious)?;
        }
        tracing::info!(domain = domain.dn, objects = found.len(), differing = suspicious.len(), "directory compared");
        self.compare(inner, &found);
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
                self.differences.push(format!("{}: only stored {stored}, only by inheritance {computed}", object.dn));
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
        let changed = match changes::since(connection, domain, &settings.map, self.kept.method, mark, dse) {
            Err(error @ LdapError::Refused { .. }) => {
                // The cookie is lost, or the right: everything is read again, and a way is looked for again.
                self.kept.usn = 0;
                return Err(error);
            }
            other => other?,
        };
        let touched: Vec<Guid> = changed.objects.iter().filter(|(_, is)| !is.deleted).map(|(guid, _)| *guid).collect();
        let found = controller::again(connection, domain, &settings.map, &touched, filetime())?;
        let gone: Vec<Guid> = changed.objects.iter().filter(|(_, is)| is.deleted).map(|(guid, _)| *guid).collect();
        self.presence.told(&inner.sink.snapshot(), &gone);
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
    pub(crate) fn take(&mut self, inner: &Inner, found: &[Found], asked: &[Guid]) -> Result<(), LdapError> {
        let there: BTreeSet<Guid> = found.iter().filter(|found| !found.deleted).map(|found| found.guid).collect();
        let gone: Vec<Guid> = asked.iter().filter(|guid| !there.contains(guid)).copied().collect();
        let domain = &self.kept.domain;
        let wanted = Wanted { domain: domain.guid(), theirs: &domain.theirs, found, gone: &gone, whole: false };
        let problems = follow(inner, &format!("changes of {}", domain.dn), &wanted)?;
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

    /// Reads objects again whose links led to objects of other domains that were not there then.
    fn tie(&mut self, inner: &Inner, connection: &mut Connection) -> Result<(), LdapError> {
        let snapshot = inner.sink.snapshot();
        let again = lock(&inner.loose).ready(&snapshot, &self.kept.domain.guid());
        if again.is_empty() {
            return Ok(());
        }
        let found = controller::again(connection, &self.kept.domain, &inner.settings.map, &again, filetime())?;
        self.take(inner, &found, &again)
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

/// Makes what is wanted; what could not be, in words. Links between domains that are open now are noted.
fn follow(inner: &Inner, comment: &str, wanted: &Wanted<'_>) -> Result<Vec<String>, LdapError> {
    let before = inner.sink.snapshot();
    let problems = inner.sink.follow(comment, &mut |snapshot| mirror::changes(snapshot, wanted));
    lock(&inner.loose).note(&before, &inner.sink.snapshot(), wanted);
    problems.map_err(LdapError::Nonsense)
}

/// Reads a whole domain in a thread of its own.
fn read_beside(settings: &Settings, domain: &Domain, address: &Address) -> Receiver<Result<Vec<Found>, LdapError>> {
    let (send, receive) = channel();
    let (settings, domain, address) = (settings.clone(), domain.clone(), address.clone());
    let read = move || {
        let found = open(&settings, &address).and_then(|mut connection| {
            controller::load(&mut connection, &domain, &settings.map, settings.page, filetime())
        });
        // Nobody may want it any more.
        let _ = send.send(found);
    };
    // Without a thread the receiver says so, and it is tried again.
    let _ = std::thread::Builder::new().name("directory-check".into()).spawn(read);
    receive
}

/// Connects as the service account.
pub(crate) fn open(settings: &Settings, address: &Address) -> Result<Connection, LdapError> {
    let mut connection = Connection::open(address, &settings.tls, settings.patience)?;
    match &settings.tickets {
        Some(tickets) => connection.bind_by_ticket(&address.host, tickets.as_ref(), &|realm| settings.kdcs(realm))?,
        None => connection.bind(&settings.account, settings.password.as_bytes())?,
    }
    Ok(connection)
}

/// A whole domain of which most is gone, or even the domain itself, is one that the account may not read any more.
fn believable(inner: &Inner, domain: &Domain, wanted: &Wanted<'_>) -> Result<(), LdapError> {
    let (held, lost) = mirror::loss(&inner.sink.snapshot(), wanted);
    plausible(domain, wanted.found.iter().any(|found| found.guid == domain.guid()), held, lost)
}

/// The same, by what is left: whether the domain itself is there, how many objects were held, how many of them are gone.
pub(crate) fn plausible(domain: &Domain, has_root: bool, held: usize, lost: usize) -> Result<(), LdapError> {
    if !has_root {
        return Err(LdapError::Nonsense(format!("{} itself was not among its objects", domain.dn)));
    }
    if lost > MAY_GO && lost * 2 > held {
        return Err(LdapError::Nonsense(format!(
            "{lost} of {held} objects of {} are not there any more: may the account still read them?",
            domain.dn
        )));
    }
    Ok(())
}

/// Objects of a domain, and how many of them have no readable descriptor.
pub(crate) fn count(snapshot: &Snapshot, domain: &Domain) -> (u64, u64) {
    let Some(id) = snapshot.by_guid(&domain.guid()) else { return (0, 0) };
    let all = snapshot.subtree(id);
    let unreadable = all.iter().filter(|id| snapshot.descriptor(**id).is_none()).count();
    (all.len() as u64, unreadable as u64)
}
