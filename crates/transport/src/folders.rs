//! Pickup and replay folders: files in them are messages that somebody submits (F §3.11; `authorization.md` §8).
//!
//! There is no second way in: a file is driven through a session as one of a client, at the receive connector that the
//! folder is, with the token of the account that the folder is assigned, or of the file's owner, or of nobody. What a file
//! says of itself (`X-CreatedBy`) proves nothing.
//!
//! A file is removed after its message is on stable storage. Committed together with the message are the key of the file,
//! which is in the name that it was taken under, and the report on recipients who were refused: what a crash leaves half
//! done is sent once, and reported once.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use acl::Guid;
use directory::{FolderIdentity, FolderKind, ReceiveConnector, Snapshot};
use session::MessageRate;
use store::ApiToken;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep_until};

use crate::accept::Intake;
use crate::listener::folders_of;
use crate::local_users::LocalUsers;
use crate::protocol_log::ProtocolLog;
use crate::server::Stop;
use crate::shared::{ClosedFolder, Shared, now, steady};
use crate::submission::{SubmissionOptions, Submissions, TokenSource};

mod place;
mod post;
mod report;
mod watching;

pub(crate) use place::sandbox_hint;
use place::{MOST, Place, Took, Waiting, Writers};
use post::{Bad, Posted, Source};
use watching::Watch;

/// A folder is looked at so often, whether or not anything was told of it (as in the reference).
const LOOK: Duration = Duration::from_secs(5);
/// A file that could not be sent rests so long, and twice as long each time, up to the longest rest.
const REST: Duration = Duration::from_secs(5);
const LONGEST_REST: Duration = Duration::from_secs(300);
/// After so many files in a row that could not be sent, the folder rests.
const MOST_FAILURES: u32 = 3;
/// Each key is of one taking and never comes again, so it counts as long as it is kept.
const KEYS_LAST: Duration = Duration::MAX;

/// Points at which a test kills the process.
const FAIL_POINTS: &[&str] = &[
    "folder.before_sync",
    "folder.after_take",
    "folder.after_accept",
    "folder.after_remove",
    "folder.after_report",
    "folder.after_set_aside",
];

fn fail_point(name: &'static str) {
    failpoint::pass(FAIL_POINTS, name);
}

/// What folders need of the server.
pub(crate) struct Ground {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hostname: String,
    pub(crate) server: Option<Guid>,
    pub(crate) intake: Intake,
    pub(crate) protocol_log: Option<Arc<ProtocolLog>>,
    pub(crate) owners: LocalUsers,
}

/// Serves the folders of the node on a thread of its own, as the directory names them.
pub(crate) fn start(ground: Ground, stop: watch::Receiver<Stop>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("folders".into()).spawn(move || {
        let options = SubmissionOptions {
            connector: String::new(),
            per_minute: 0,
            keys_last: KEYS_LAST,
            tokens: Box::new(NoTokens),
        };
        let place = (ground.intake.clone(), ground.server);
        let log = (None, ground.protocol_log.clone());
        let submissions = Arc::new(Submissions::new(Arc::clone(&ground.shared), &ground.hostname, place, log, options));
        let folders = Folders { ground, submissions, unremoved: RefCell::default() };
        LocalSet::new().block_on(&runtime, Rc::new(folders).run(stop));
    })
}

/// Files have none.
struct NoTokens;

impl TokenSource for NoTokens {
    fn find(&self, _digest: &[u8; 32]) -> Option<ApiToken> {
        None
    }
}

struct Folders {
    ground: Ground,
    submissions: Arc<Submissions>,
    /// Files of connectors, by their keys, that were sent and could not be removed yet: the queue forgets keys after a while.
    unremoved: RefCell<HashSet<(Guid, String)>>,
}

/// One folder at work.
struct Served {
    guid: Guid,
    path: String,
    stop: watch::Sender<bool>,
}

impl Folders {
    async fn run(self: Rc<Self>, mut stop: watch::Receiver<Stop>) {
        let mut versions = self.ground.shared.subscribe();
        let mut served: HashMap<Guid, Served> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            self.follow(&mut served, &mut tasks);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => break,
                changed = versions.changed() => if changed.is_err() { break },
                Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            }
        }
        served.clear();
        // The file at hand is brought to its end.
        let ended = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
        }
    }

    /// Begins with what is new, and ends what is no more.
    fn follow(self: &Rc<Self>, served: &mut HashMap<Guid, Served>, tasks: &mut JoinSet<()>) {
        let snapshot = self.ground.shared.snapshot();
        let wanted = folders_of(&snapshot, self.ground.server);
        served.retain(|guid, served| {
            // One whose task is gone, whatever for, is begun anew.
            !served.stop.is_closed()
                && wanted.iter().any(|(_, other, _, folder)| guid == other && served.path == folder.path)
        });
        for (_, guid, connector, folder) in wanted {
            if served.contains_key(&guid) {
                continue;
            }
            tracing::info!(connector = connector.name, path = folder.path, kind = folder.kind.name(), "folder served");
            let (stop, stopped) = watch::channel(false);
            served.insert(guid, Served { guid, path: folder.path.clone(), stop });
            tasks.spawn_local(Task::new(Rc::clone(self), guid, folder.path.clone()).run(stopped));
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Another task may serve it by another path already.
        let mut closed = self.folders.ground.shared.closed_folders();
        if closed.get(&self.guid).is_some_and(|folder| folder.path == self.path) {
            closed.remove(&self.guid);
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        tracing::debug!(connector = %self.guid, path = self.path, "folder no longer served");
        self.stop.send_replace(true);
    }
}

struct Task {
    folders: Rc<Folders>,
    guid: Guid,
    path: String,
    rates: MessageRate,
    /// Files that could not be sent, and when they are tried again.
    waits: HashMap<OsString, Wait>,
    /// The folder that is watched.
    watched: Option<(u64, u64)>,
    /// What was said last of what is wrong with the folder, so that it is said once.
    said: String,
    /// All that was left under the name that it was taken by, when the process before this died or by a fault, is settled.
    resumed: bool,
}

/// Until when a file waits, and how long it did.
struct Wait {
    until: Instant,
    rest: Duration,
}

/// What a look at one file came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// It is sent, or set aside, or gone.
    Settled,
    /// It waits under its name.
    Later,
    /// It was left under the name that it was taken by.
    Left,
}

/// What a round came to.
enum Round {
    /// Nothing waits but what is in the making.
    Done,
    /// More may come after this time, and not before.
    After(Duration),
}

impl Task {
    fn new(folders: Rc<Folders>, guid: Guid, path: String) -> Task {
        let (rates, waits) = (MessageRate::default(), HashMap::new());
        Task { folders, guid, path, rates, waits, watched: None, said: String::new(), resumed: false }
    }

    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut watch = None;
        let mut versions = self.folders.ground.shared.subscribe();
        loop {
            versions.mark_unchanged();
            let round = self.round(&mut watch, &stopped).await;
            if *stopped.borrow() {
                return;
            }
            let until = Instant::now() + if let Round::After(wait) = round { wait } else { LOOK };
            let changed = async {
                match (&mut watch, &round) {
                    (Some(watch), Round::Done) => Watch::changed(watch).await,
                    // While the folder rests, nothing that comes changes that.
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return,
                () = sleep_until(until) => {}
                () = changed => {}
                // A right, or a setting, may have changed.
                _ = versions.changed() => self.waits.clear(),
            }
        }
    }

    /// Sends what waits.
    async fn round(&mut self, watch: &mut Option<Watch>, stopped: &watch::Receiver<bool>) -> Round {
        let folders = Rc::clone(&self.folders);
        let snapshot = folders.ground.shared.snapshot();
        let Some(source) = folders.source(&snapshot, self.guid, &self.path) else { return Round::Done };
        let writers = match source.folder.identity {
            FolderIdentity::Anonymous => Writers::Anybody,
            FolderIdentity::Account => Writers::Admitted,
            FolderIdentity::Owner => Writers::Owners,
        };
        if source.folder.identity == FolderIdentity::Account
            && let Err(why) = post::assigned(&snapshot, source.id)
        {
            return self.out_of_service(&why);
        }
        // Opened anew in each round: the folder, or its permissions, may have changed.
        let opened = Place::open(Path::new(&self.path), &self.guid, writers).and_then(|place| {
            if self.watched != Some(place.key()) {
                *watch = Some(Watch::new(Path::new(&self.path)));
                self.watched = Some(place.key());
            }
            let seen = watch.as_mut().map(Watch::look).unwrap_or_default();
            let found = place.waiting(now().0, !self.resumed, &|name| seen.writing(name))?;
            Ok((place, found))
        });
        let (place, found) = match opened {
            Ok(opened) => opened,
            Err(fault) => {
                self.watched = None;
                return self.out_of_service(&fault.to_string());
            }
        };
        if !self.said.is_empty() {
            tracing::info!(path = self.path, "the folder is in service again");
            self.said.clear();
            self.folders.ground.shared.closed_folders().remove(&self.guid);
        }
        let names: HashSet<&OsString> = found.iter().map(|waiting| &waiting.name).collect();
        self.waits.retain(|name, _| names.contains(name));
        // Of what was taken there may be more.
        let mut unsettled = found.len() == MOST && found.iter().all(|waiting| waiting.taken);
        let mut failures = 0;
        for waiting in found {
            if *stopped.borrow() {
                return Round::Done;
            }
            if self.waits.get(&waiting.name).is_some_and(|wait| wait.until > Instant::now()) {
                unsettled |= waiting.taken;
                continue;
            }
            let snapshot = folders.ground.shared.snapshot();
            let Some(source) = folders.source(&snapshot, self.guid, &self.path) else { return Round::Done };
            if !self.rates.admits(steady(), source.folder.per_minute) {
                return Round::After(Duration::from_millis(60_000 / u64::from(source.folder.per_minute.max(1))));
            }
            let came = folders.one(&place, source, &waiting).await;
            if came == Came::Settled {
                self.waits.remove(&waiting.name);
                failures = 0;
                continue;
            }
            self.resumed &= came != Came::Left;
            unsettled |= waiting.taken || came == Came::Left;
            let rest = self.waits.get(&waiting.name).map_or(REST, |wait| (wait.rest * 2).min(LONGEST_REST));
            self.waits.insert(waiting.name.clone(), Wait { until: Instant::now() + rest, rest });
            // What has the name of a taken file may be anybody's, and keeps nothing else waiting.
            failures += u32::from(!(waiting.taken && came == Came::Left));
            // Then it is not because of the files.
            if failures == MOST_FAILURES {
                return Round::After(REST);
            }
        }
        self.resumed |= !unsettled;
        Round::Done
    }

    fn out_of_service(&mut self, why: &str) -> Round {
        if self.said != why {
            tracing::error!(path = self.path, why, "the folder is out of service, and its files wait");
            why.clone_into(&mut self.said);
            let closed = ClosedFolder { path: self.path.clone(), why: why.to_owned() };
            self.folders.ground.shared.closed_folders().insert(self.guid, closed);
        }
        Round::Done
    }
}

impl Folders {
    /// The folder of a connector that is served at a path, as it is now.
    fn source<'a>(&'a self, snapshot: &'a Snapshot, guid: Guid, path: &str) -> Option<Source<'a>> {
        let id = snapshot.by_guid(&guid)?;
        let connector: &ReceiveConnector = match snapshot.object(id)?.config()? {
            directory::Config::ReceiveConnector(connector) => connector,
            _ => return None,
        };
        let folder = connector.folder.as_ref().filter(|folder| connector.enabled && folder.path == path)?;
        Some(Source { id, guid, connector, folder, owners: &self.ground.owners })
    }

    /// Takes one file and sends it, or sets it aside.
    async fn one(&self, place: &Place, source: Source<'_>, waiting: &Waiting) -> Came {
        let name = &source.connector.name;
        let taken = place.take(waiting);
        fail_point("folder.after_take");
        let mut taken = match taken {
            Ok(Took::File(taken)) => taken,
            Ok(Took::Nothing) => return Came::Settled,
            Ok(Took::Locked(held)) => {
                tracing::warn!(connector = name, file = %waiting.name.display(), "a file is locked; trying again");
                // Another process that lives may have taken it: then it keeps the name.
                return if waiting.taken { Came::Left } else { self.give_back(place, name, &held) };
            }
            Ok(Took::Unfit(held, why)) => {
                let bad = Bad { reason: why, ..Bad::default() };
                return self.set_aside(place, source, &held, &bad, None);
            }
            Err(error) => {
                tracing::error!(connector = name, file = %waiting.name.display(), %error, "a file cannot be taken");
                // It may not have its name back.
                return Came::Left;
            }
        };
        let snapshot = self.ground.shared.snapshot();
        let account = post::account(&snapshot, source, taken.owner);
        let posted = match account {
            Ok(account) => post::post(self, source, account, &mut taken, waiting.taken).await,
            Err(ref posted) => Posted::clone(posted),
        };
        let account = account.ok().flatten();
        let figures = self.ground.shared.figures();
        let kind = source.folder.kind;
        match posted {
            Posted::Sent => {
                fail_point("folder.after_accept");
                let key = (source.guid, taken.key());
                if let Err(error) = place.remove(&taken) {
                    // Sent all the same.
                    tracing::error!(connector = name, file = taken.called, %error, "a file that was sent cannot be removed");
                    self.unremoved.borrow_mut().insert(key);
                    return Came::Left;
                }
                self.unremoved.borrow_mut().remove(&key);
                fail_point("folder.after_remove");
                figures.filed(kind.name(), "accepted");
                Came::Settled
            }
            Posted::Later(why) => self.put_off(place, source, &taken, &why),
            Posted::Never(bad) => {
                if kind == FolderKind::Pickup {
                    // Not before whoever is to hear of it will.
                    if let Err(error) = self.report(source, &taken, &bad, account).await {
                        return self.put_off(place, source, &taken, &format!("no report can be queued: {error}"));
                    }
                    fail_point("folder.after_report");
                }
                let came = self.set_aside(place, source, taken.held(), &bad, Some(taken.owner));
                fail_point("folder.after_set_aside");
                came
            }
        }
    }

    fn put_off(&self, place: &Place, source: Source<'_>, taken: &place::Taken, why: &str) -> Came {
        let name = &source.connector.name;
        tracing::warn!(connector = name, file = taken.called, why, "a file cannot be sent now; trying again");
        self.ground.shared.figures().filed(source.folder.kind.name(), "put-off");
        self.give_back(place, name, taken.held())
    }

    fn give_back(&self, place: &Place, connector: &str, held: &place::Held) -> Came {
        match place.give_back(held) {
            Ok(()) => Came::Later,
            Err(error) => {
                tracing::error!(connector, %error, "a file cannot be given its name back; trying again");
                Came::Left
            }
        }
    }

    fn set_aside(&self, place: &Place, source: Source<'_>, held: &place::Held, bad: &Bad, owner: Option<u32>) -> Came {
        let (name, decision, reason) = (&source.connector.name, bad.decision.as_deref(), &bad.reason);
        let reason_of = |file: &str| report::reason(file, source, bad, owner, now().0);
        match place.set_aside(held, &reason_of) {
            Ok(file) => {
                tracing::warn!(connector = name, file, reason, decision, "a file was refused and set aside");
                self.ground.shared.figures().filed(source.folder.kind.name(), "bad");
                Came::Settled
            }
            Err(error) => {
                tracing::error!(connector = name, %error, reason, "a file was refused, and cannot be set aside");
                Came::Left
            }
        }
    }
}
