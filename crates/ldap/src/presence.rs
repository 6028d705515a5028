//! Which objects of a domain are still there, where nobody tells for certain which are not.
//!
//! An object that was deleted stays for months as a tombstone, with its objectGUID, and the search for what changed finds it as
//! anything else (MS-ADTS 3.1.1.5.5, 3.1.1.3.4.1.14): where the account may see it. By default administrators alone may
//! (Microsoft's KB 892806), and a global catalog of Samba takes away from tombstones what they inherited, so that even those may not. So it
//! is asked besides which objects there are, by their objectGUIDs alone, as often as it takes up no more than a small part of a
//! domain controller's time. What is held and not among them is asked for once more, and goes when that finds nothing either. A list
//! that ends with an error says nothing.

use std::collections::{BTreeSet, HashSet};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use acl::Guid;
use directory::{Class, Snapshot};

use crate::changes::Method;
use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain};
use crate::followed::{CHECK_AGAIN, Followed, open, plausible};
use crate::message::code;
use crate::mirror;
use crate::settings::{Address, Settings};
use crate::source::{Inner, filetime};

/// A list is asked for again after so many times as long as the last one took: it takes a twentieth of the time of one processor
/// of a domain controller at most.
const REST: u32 = 20;
/// How long a list is supposed to take before one was there.
const SUPPOSED: Duration = Duration::from_secs(1);
/// How often, where tombstones of accounts were seen, and none was missed.
const RELAXED: Duration = Duration::from_secs(300);

/// After how long a list is asked for again that took so long; none: never.
pub(crate) fn rest(settings: &Settings, took: Duration) -> Option<Duration> {
    (!settings.list.is_zero()).then(|| settings.list.max(took * REST))
}

/// What is known of the objects that are there.
pub(crate) struct Presence {
    worker: Option<Worker>,
    /// Not before then again.
    after: Instant,
    /// How long the last two lists took that were whole. A domain controller that is slow once is asked as often as before.
    took: [Duration; 2],
    /// The number of the last change that the last list tells of.
    usn: Option<u64>,
    tombstones: Tombstones,
    /// Accounts and groups that were missing from the last list without a tombstone.
    unsaid: BTreeSet<Guid>,
}

/// What is known of tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tombstones {
    /// Nothing was deleted yet.
    Unknown,
    /// One of an account was seen.
    Seen,
    /// One was not.
    Missed,
}

/// Who asks, on a connection of its own.
struct Worker {
    address: Address,
    ask: Sender<Domain>,
    told: Receiver<Listed>,
    /// The number of the last change when it was asked, while it works.
    asked: Option<u64>,
}

/// A list.
struct Listed {
    there: Result<HashSet<Guid>, LdapError>,
    took: Duration,
}

impl Presence {
    /// Nothing is known but what was read a moment ago.
    pub(crate) fn new() -> Presence {
        Presence {
            worker: None,
            after: Instant::now(),
            took: [SUPPOSED; 2],
            usn: None,
            tombstones: Tombstones::Unknown,
            unsaid: BTreeSet::new(),
        }
    }

    /// How often a list is asked for, where anything changed.
    pub(crate) fn every(&self, settings: &Settings) -> Duration {
        let every = rest(settings, self.took[0].min(self.took[1])).unwrap_or_default();
        if self.tombstones == Tombstones::Seen { every.max(RELAXED) } else { every }
    }

    /// Tombstones of these were seen, of which the snapshot still knows what they were.
    pub(crate) fn told(&mut self, before: &Snapshot, gone: &[Guid]) {
        let is_account = |guid: &Guid| class(before, guid).is_some_and(|class| class.is_account());
        let mut is_said = false;
        for guid in gone {
            is_said |= self.unsaid.remove(guid) | is_account(guid);
        }
        if is_said && self.tombstones == Tombstones::Unknown {
            self.tombstones = Tombstones::Seen;
        }
    }

    /// The list that was asked for, once it is there.
    fn listed(&mut self, address: &Address) -> Option<Listed> {
        let worker = self.worker.as_mut().filter(|worker| worker.address == *address);
        let told = worker.map(|worker| worker.told.try_recv().map(|listed| (listed, worker.asked.take())));
        match told {
            Some(Ok((listed, asked))) => {
                let is_whole = listed.there.is_ok();
                self.usn = asked.filter(|_| is_whole);
                // How soon one is refused says nothing of how long a list takes.
                if is_whole {
                    self.took = [listed.took, self.took[0]];
                }
                Some(listed)
            }
            Some(Err(TryRecvError::Empty)) => None,
            // Another domain controller, or nobody any more: its numbers mean something else.
            Some(Err(TryRecvError::Disconnected)) | None => {
                (self.worker, self.usn) = (None, None);
                None
            }
        }
    }

    /// Asks for the next list, when it is time and anything changed.
    fn ask(&mut self, settings: &Settings, domain: &Domain, address: &Address, usn: u64) {
        let is_asked = self.worker.as_ref().is_some_and(|worker| worker.asked.is_some());
        if is_asked || self.after > Instant::now() || self.usn == Some(usn) {
            return;
        }
        // Changes were followed since then.
        if !std::mem::take(&mut self.unsaid).is_empty() {
            self.tombstones = Tombstones::Missed;
        }
        let worker = self.worker.take().or_else(|| Worker::start(settings, address));
        self.worker = worker.and_then(|mut worker| {
            worker.ask.send(domain.clone()).ok()?;
            worker.asked = Some(usn);
            Some(worker)
        });
    }
}

impl Worker {
    /// None where there is no thread to be had: it is tried again.
    fn start(settings: &Settings, address: &Address) -> Option<Worker> {
        let (ask, asked) = channel::<Domain>();
        let (tell, told) = channel();
        let worker = Worker { address: address.clone(), ask, told, asked: None };
        let (settings, address) = (settings.clone(), address.clone());
        let work = move || {
            let mut connection = None;
            // Ends when nobody can ask any more.
            for domain in asked {
                let begin = Instant::now();
                let there = list(&settings, &address, &mut connection, &domain);
                if tell.send(Listed { there, took: begin.elapsed() }).is_err() {
                    return;
                }
            }
        };
        std::thread::Builder::new().name("directory-list".into()).spawn(work).ok()?;
        Some(worker)
    }
}

/// By the connection there is, which may have ended meanwhile, else by a new one.
fn list(
    settings: &Settings,
    address: &Address,
    held: &mut Option<Connection>,
    domain: &Domain,
) -> Result<HashSet<Guid>, LdapError> {
    if let Some(mut connection) = held.take().filter(|connection| !connection.is_over())
        && let Ok(there) = controller::present(&mut connection, domain, settings.page)
    {
        *held = Some(connection);
        return Ok(there);
    }
    let mut connection = open(settings, address)?;
    let there = controller::present(&mut connection, domain, settings.page)?;
    *held = Some(connection);
    Ok(there)
}

impl Followed {
    /// How deletions are seen, in words.
    pub(crate) fn deletions(&self, settings: &Settings) -> String {
        match self.kept.method {
            Method::DirSync => "told at once".to_owned(),
            _ if settings.list.is_zero() => "told where the account may see them".to_owned(),
            _ => format!("looked for every {} s", self.presence.every(settings).as_secs().max(1)),
        }
    }

    /// Looks now and then which objects are still there.
    pub(crate) fn look_who_is_there(
        &mut self,
        inner: &Inner,
        connection: &mut Connection,
        address: &Address,
        usn: u64,
    ) -> Result<(), LdapError> {
        // With the right to replicate deletions are told.
        if self.kept.method == Method::DirSync || inner.settings.list.is_zero() {
            return Ok(());
        }
        let Some(listed) = self.presence.listed(address) else {
            self.presence.ask(&inner.settings, &self.kept.domain, address, usn);
            return Ok(());
        };
        self.presence.after = Instant::now() + self.presence.every(&inner.settings);
        let there = match listed.there {
            Ok(there) => there,
            Err(error) => {
                self.presence.after = Instant::now() + CHECK_AGAIN;
                // The server that is followed is left alone too, then: each time counts.
                if error.code() == Some(code::INVALID_CREDENTIALS) {
                    return Err(error);
                }
                tracing::warn!(domain = self.kept.domain.dn, %error, "what is still there is not told");
                return Ok(());
            }
        };
        let domain = self.kept.domain.clone();
        let snapshot = inner.sink.snapshot();
        let (held, absent) = mirror::absent(&snapshot, &domain.guid(), &there);
        if let Err(error) = plausible(&domain, there.contains(&domain.guid()), held, absent.len()) {
            tracing::error!(domain = domain.dn, %error, "directory listed");
            let text = error.to_string();
            if !self.problems.contains(&text) {
                self.problems.push(text);
            }
            self.presence.after = Instant::now() + CHECK_AGAIN;
            return Ok(());
        }
        if absent.is_empty() {
            return Ok(());
        }
        // They may have been moved, or made, while the list was read.
        let found = controller::again(connection, &domain, &inner.settings.map, &absent, filetime())?;
        self.take(inner, &found, &absent)?;
        let again: HashSet<Guid> = found.iter().map(|found| found.guid).collect();
        let gone: Vec<Guid> = absent.into_iter().filter(|guid| !again.contains(guid)).collect();
        gone.iter().for_each(|guid| inner.sink.password_changed(guid));
        let counts =
            |guid: &Guid| class(&snapshot, guid).is_some_and(|class| class.is_account() || class == Class::Group);
        self.presence.unsaid.extend(gone.iter().copied().filter(counts));
        tracing::debug!(domain = domain.dn, objects = there.len(), gone = gone.len(), "directory listed");
        Ok(())
    }
}

/// What an object is.
fn class(snapshot: &Snapshot, guid: &Guid) -> Option<Class> {
    snapshot.by_guid(guid).and_then(|id| snapshot.object(id)).map(|object| object.class())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Security;

    #[test]
    fn how_soon_a_list_is_refused_says_nothing_of_how_often_one_can_be_asked_for() {
        let address = Address { host: "dc.x.test".to_owned(), port: 636, security: Security::Tls };
        let (ask, _asked) = channel();
        let (tell, told) = channel();
        let mut presence = Presence::new();
        presence.worker = Some(Worker { address: address.clone(), ask, told, asked: Some(1) });
        let long = Duration::from_secs(30);
        for (there, took) in [
            (Ok(HashSet::new()), long),
            (Ok(HashSet::new()), long),
            (Err(LdapError::Referral), Duration::ZERO),
            (Ok(HashSet::new()), long),
        ] {
            tell.send(Listed { there, took }).unwrap_or_default();
            assert!(presence.listed(&address).is_some());
        }
        assert_eq!(presence.took, [long; 2]);
    }
}
