//! The thread that releases paused mail: on each new snapshot it decides again about the pairs that may be affected, and
//! lets their messages go in order, a few at a time, so that new mail is not kept waiting.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use acl::{Guid, Outcome};
use directory::{Config, Snapshot};
use queue::{Hold, ListFilter, Millis, Pending, QueueError, Resolution};
use rights::pause::{MAX_AGE, Policy, REASON, event, event_name};
use rights::shortfall::{Reason, Shortfall, shortfall};
use rights::{Denied, Facts, NoTrace, Question, RightName, decide};
use session::{Judgement, Pair};
use tokio::sync::watch;
use tracking::Event;
use ulid::Ulid;

use super::held::{Held, HeldError};
use super::notice::Notices;
use super::{Cause, Ground, Pauses, Waiting, key};
use crate::accept::Intake;
use crate::server::Stop;
use crate::shared::{Shared, now};

/// Messages of a pair that are looked at in one turn, and on their way to the disk at a time. New mail that comes
/// meanwhile shares a commit with no more than these.
const WINDOW: usize = 16;
/// The thread looks around at least this often.
const IDLE: Duration = Duration::from_secs(30);
/// After a fault of the queue.
const RETRY: Duration = Duration::from_secs(5);

/// Starts the thread.
pub(crate) fn start(
    hostname: String,
    intake: Intake,
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
) -> io::Result<JoinHandle<()>> {
    let _ = shared.pauses().ground.set(Ground { hostname, intake });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let notices = Notices::of(shared.queue());
    let releaser = Releaser { shared, stop, notices, next_age: 0 };
    std::thread::Builder::new().name("pause".into()).spawn(move || releaser.run(&runtime))
}

struct Releaser {
    shared: Arc<Shared>,
    stop: watch::Receiver<Stop>,
    notices: Notices,
    /// When a message will be too old.
    next_age: Millis,
}

/// A message on its way out of the pause.
struct InFlight {
    pair: Pair,
    bytes: u64,
    /// To be looked at next time under this pair, if not released.
    moved_to: Option<Pair>,
    queue_id: String,
    audited: bool,
    pending: Pending<()>,
}

/// What is left to do for a pair after a turn.
enum Turn {
    /// There may be more messages.
    More,
    /// All that is left has to wait.
    Waits,
    /// The queue cannot be read now.
    Failed,
}

impl Releaser {
    fn run(mut self, runtime: &tokio::runtime::Runtime) {
        let mut versions = self.shared.subscribe();
        let shared = Arc::clone(&self.shared);
        loop {
            let calm = self.round();
            let wait = if calm { self.wait() } else { RETRY };
            // The answers of the queue are waited for outside the runtime, which only tells when there is work.
            let go_on = runtime.block_on(async {
                tokio::select! {
                    _ = self.stop.wait_for(|stop| *stop > Stop::No) => false,
                    changed = versions.changed() => changed.is_ok(),
                    () = shared.pauses().work.notified() => true,
                    () = tokio::time::sleep(wait) => true,
                }
            });
            if !go_on {
                return;
            }
        }
    }

    /// How long there is nothing to do, unless something happens.
    fn wait(&self) -> Duration {
        let time = now().0;
        let age = Duration::from_millis(u64::try_from(self.next_age.saturating_sub(time)).unwrap_or(0).max(1));
        self.notices.next(time).unwrap_or(IDLE).min(age).min(IDLE)
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow() > Stop::No
    }

    /// Decides about everything that is to be decided. False: the queue did not answer.
    fn round(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        if let Err(error) = shared.pauses().load() {
            tracing::error!(%error, "what is paused cannot be read; trying again");
            return false;
        }
        let snapshot = shared.snapshot();
        let time = now().0;
        let aging = self.next_age <= time;
        if aging {
            self.next_age = Millis::MAX;
        }
        let mut ages: HashMap<Guid, Millis> = HashMap::new();
        let mut ready: VecDeque<Pair> = VecDeque::new();
        for (pair, waiting) in shared.pauses().undecided(snapshot.version(), aging) {
            if self.stopping() {
                return true;
            }
            let age = *ages.entry(pair.account).or_insert_with(|| max_age(&snapshot, pair));
            let decided = waiting.decided == snapshot.version();
            let too_old = waiting.since.saturating_add(age) <= time;
            if !too_old {
                self.next_age = self.next_age.min(waiting.since.saturating_add(age));
            }
            if waiting.due || too_old || (!decided && may_be_allowed(&snapshot, pair, &waiting)) {
                ready.push_back(pair);
            } else if !decided {
                self.still_waits(&snapshot, pair, None);
            }
        }
        let calm = self.release(ready);
        self.notices.send(&self.shared);
        calm
    }

    /// Lets go what may go of these pairs.
    fn release(&mut self, mut ready: VecDeque<Pair>) -> bool {
        let mut in_flight: VecDeque<InFlight> = VecDeque::new();
        let mut unsettled: HashMap<Pair, (usize, bool)> = HashMap::new();
        let mut calm = true;
        loop {
            if in_flight.len() < WINDOW
                && !self.stopping()
                && let Some(pair) = ready.pop_front()
            {
                let before = in_flight.len();
                let turn = self.turn(pair, &mut in_flight);
                let sent = in_flight.len() - before;
                calm &= !matches!(turn, Turn::Failed);
                match (sent, matches!(turn, Turn::More)) {
                    (0, _) => {}
                    (sent, more) => {
                        unsettled.insert(pair, (sent, more));
                    }
                }
                continue;
            }
            let Some(done) = in_flight.pop_front() else { return calm };
            let pair = done.pair;
            calm &= self.settle(done);
            if let Some((left, more)) = unsettled.get_mut(&pair) {
                *left -= 1;
                if *left == 0 {
                    if *more {
                        ready.push_back(pair);
                    }
                    unsettled.remove(&pair);
                }
            }
        }
    }

    /// One turn of a pair: decides about its first messages, in order, until one has to wait.
    fn turn(&mut self, pair: Pair, in_flight: &mut VecDeque<InFlight>) -> Turn {
        let shared = Arc::clone(&self.shared);
        let (queue, pauses) = (shared.queue(), shared.pauses());
        let snapshot = shared.snapshot();
        let max_age = max_age(&snapshot, pair);
        // Before the look at the queue: what comes in meanwhile makes the pair due again.
        pauses.settle(pair, |waiting| waiting.due = false);
        let filter = ListFilter { hold_key: Some(key(pair, false)), limit: WINDOW, ..ListFilter::default() };
        let messages = match queue.list(&filter) {
            Ok(messages) => messages,
            Err(error) => {
                pauses.settle(pair, |waiting| waiting.due = true);
                return failed(&error);
            }
        };
        for message in messages {
            pauses.settle(pair, |waiting| waiting.since = message.received);
            let (queue_id, bytes) = (message.queue_id, message.size);
            if message.received.saturating_add(max_age) <= now().0 {
                let reason = format!("{REASON}: it is older than {} days and needs a person", max_age / 86_400_000);
                in_flight.push_back(self.set_aside(pair, (queue_id, bytes), reason));
                continue;
            }
            self.next_age = self.next_age.min(message.received.saturating_add(max_age));
            let held = match Held::open(queue, &queue_id) {
                Ok(held) => held,
                // Removed by hand meanwhile.
                Err(HeldError::Queue(QueueError::UnknownMessage { .. })) => continue,
                Err(error) => {
                    tracing::error!(queue_id, %error, "a paused message cannot be read");
                    let reason = format!("{REASON}: {error}");
                    in_flight.push_back(self.set_aside(pair, (queue_id, bytes), reason));
                    continue;
                }
            };
            pauses.settle(pair, |waiting| waiting.connector = Some(held.connector));
            let ground = pauses.ground.get();
            let hostname = ground.map_or("localhost", |ground| ground.hostname.as_str());
            match held.judge(&snapshot, hostname, pair.user, Ulid::generate().to_string(), None) {
                Judgement::Released { header, record } => {
                    let audit = serde_json::to_vec(&*record).ok();
                    let mut head = queue.begin();
                    if let Err(error) = head.write(&header) {
                        pauses.settle(pair, |waiting| waiting.due = true);
                        return failed(&error);
                    }
                    let expires = ground.map_or(i64::MAX, |ground| ground.intake.expires(now().0));
                    let resolution = Resolution::Release { head, replaces: held.header_octets, expires };
                    let audited = audit.is_some();
                    let key = key(pair, false);
                    let told = super::told_of_release(&shared, pair, &held.detail);
                    let with = (Vec::new(), audit, told);
                    let pending = queue.resolve_with(&queue_id, &key, resolution, with, now().0);
                    in_flight.push_back(InFlight { pair, bytes, moved_to: None, queue_id, audited, pending });
                }
                Judgement::Undeliverable(denied, to) => {
                    let reason = format!("{REASON}: {to}: {}", denied.refusal.reply().text);
                    in_flight.push_back(self.set_aside(pair, (queue_id, bytes), reason));
                }
                Judgement::Waits(paused) => {
                    let user = snapshot.object(paused.user).map_or(pair.user, |object| object.guid());
                    if user == pair.user {
                        self.still_waits(&snapshot, pair, None);
                        return Turn::Waits;
                    }
                    // The right for this user is there; another one is missing.
                    in_flight.push_back(self.move_to(&snapshot, pair, user, (queue_id, bytes, message.received)));
                }
                Judgement::Refused(denied) => {
                    self.still_waits(&snapshot, pair, Some(&denied));
                    return Turn::Waits;
                }
                Judgement::Orphaned => {
                    self.still_waits(&snapshot, pair, None);
                    return Turn::Waits;
                }
            }
        }
        Turn::More
    }

    /// A message that needs a person.
    fn set_aside(&mut self, pair: Pair, (queue_id, bytes): (String, u64), reason: String) -> InFlight {
        tracing::warn!(queue_id, account = %pair.account, user = %pair.user, reason, "a paused message needs a person");
        let time = now().0;
        let with = (Vec::new(), None, vec![self.notices.aside(pair, &reason, time)]);
        let hold = Resolution::Hold(Hold { key: key(pair, true), reason });
        let pending = self.shared.queue().resolve_with(&queue_id, &key(pair, false), hold, with, time);
        InFlight { pair, bytes, moved_to: Some(pair), queue_id, audited: false, pending }
    }

    /// A message that has to wait for a right on another user.
    fn move_to(
        &self,
        snapshot: &Snapshot,
        pair: Pair,
        user: Guid,
        (queue_id, bytes, received): (String, u64, Millis),
    ) -> InFlight {
        let to = Pair { user, ..pair };
        let name = snapshot.by_guid(&user).map(|id| event_name(snapshot, id)).unwrap_or_default();
        self.shared.pauses().join(to, received);
        let hold = Resolution::Hold(Hold { key: key(to, false), reason: event(&name) });
        let pending = self.shared.queue().resolve(&queue_id, &key(pair, false), hold, (Vec::new(), None), now().0);
        InFlight { pair, bytes, moved_to: Some(to), queue_id, audited: false, pending }
    }

    /// Takes note of what became of a message. False: the queue did not answer.
    fn settle(&mut self, done: InFlight) -> bool {
        let InFlight { pair, bytes, moved_to, queue_id, audited, pending } = done;
        let pauses = self.shared.pauses();
        match pending.wait() {
            Ok(()) => {
                if audited {
                    self.shared.audit().committed();
                }
                match moved_to {
                    Some(_) => pauses.leave(pair),
                    None => {
                        self.shared.webhooks().noted();
                        tracing::info!(queue_id, "released");
                        self.shared.note_order(&queue_id, Event::Released, "", "the right is there");
                        if pauses.released(pair, bytes) {
                            self.resumed(pair);
                        }
                    }
                }
                true
            }
            // Somebody has decided about it meanwhile.
            Err(QueueError::UnknownMessage { .. } | QueueError::Closed) => {
                if let Some(to) = moved_to.filter(|to| *to != pair) {
                    pauses.leave(to);
                }
                true
            }
            Err(error) => {
                if let Some(to) = moved_to.filter(|to| *to != pair) {
                    pauses.leave(to);
                }
                tracing::error!(queue_id, %error, "a paused message cannot be released; trying again");
                pauses.settle(pair, |waiting| waiting.due = true);
                false
            }
        }
    }

    fn resumed(&mut self, pair: Pair) {
        let snapshot = self.shared.snapshot();
        let user = snapshot.by_guid(&pair.user).map(|id| event_name(&snapshot, id)).unwrap_or_default();
        let service = rights::pause::account_name(&snapshot, &pair.account);
        tracing::info!(user, service, "Resuming user {user}.");
        self.notices.mended();
    }

    /// The first message of a pair has to wait: says so once for each cause.
    fn still_waits(&mut self, snapshot: &Snapshot, pair: Pair, denied: Option<&Denied>) {
        let found = match (snapshot.by_guid(&pair.account), snapshot.by_guid(&pair.user)) {
            (Some(account), Some(user)) => shortfall(snapshot, account, user).map(|found| (user, found)),
            _ => None,
        };
        let at = found.as_ref().and_then(|(_, found)| found.at);
        let cause = Cause {
            account: pair.account,
            reason: found.as_ref().map_or(Reason::NoEntry, |(_, found)| found.reason),
            at: at.and_then(|at| snapshot.object(at)).map(|object| object.guid()),
        };
        let Some((before, waiting)) = self.shared.pauses().waits(pair, snapshot.version(), cause) else { return };
        if before == Some(cause) {
            return;
        }
        if before.is_some() {
            self.notices.mended();
        }
        let restored = before.is_none() && waiting.restored;
        let user = found.as_ref().map(|(user, _)| event_name(snapshot, *user)).unwrap_or_default();
        let service = rights::pause::account_name(snapshot, &pair.account);
        let none = Shortfall {
            reason: cause.reason,
            detail: denied.map(|denied| denied.refusal.reply().text).unwrap_or_default(),
            at: None,
            command: String::new(),
            outlook: String::new(),
        };
        let found = found.map_or(none, |(_, found)| found);
        match before {
            None if !restored => tracing::warn!(
                user,
                service,
                reason = REASON,
                missing = "Send As",
                why = found.detail,
                mend = found.command,
                outlook = found.outlook,
                since = waiting.since,
                messages = waiting.messages,
                "{}",
                event(&user)
            ),
            _ => tracing::info!(
                user,
                service,
                reason = REASON,
                missing = "Send As",
                why = found.detail,
                mend = found.command,
                outlook = found.outlook,
                since = waiting.since,
                messages = waiting.messages,
                "user {user} is still paused"
            ),
        }
        self.notices.waits(cause, found, restored, now().0);
    }
}

/// The age from which on messages of a pair need a person.
fn max_age(snapshot: &Snapshot, pair: Pair) -> Millis {
    let policy = snapshot.by_guid(&pair.account).and_then(|id| Policy::of(snapshot, id));
    policy.map_or(MAX_AGE, |policy| policy.max_age)
}

fn failed(error: &QueueError) -> Turn {
    tracing::error!(%error, "the queue cannot be read; paused mail waits");
    Turn::Failed
}

/// Whether the first message of a pair may be allowed now; what is cheap to find out.
fn may_be_allowed(snapshot: &Snapshot, pair: Pair, waiting: &Waiting) -> bool {
    let (Some(account), Some(user)) = (snapshot.by_guid(&pair.account), snapshot.by_guid(&pair.user)) else {
        return false;
    };
    let Some(connector) = waiting.connector else { return true };
    let token = snapshot.account_token(account).or_else(|_| snapshot.linked_token(account));
    let Ok(token) = token else { return false };
    let Some(connector) = snapshot.by_guid(&connector) else { return false };
    let facts = Facts { connector, logon: Some(user), time: now() };
    let allowed = |question| decide::<NoTrace>(snapshot, &token, &facts, &question).outcome == Outcome::Allow;
    let chains = match snapshot.object(connector).and_then(|object| object.config()) {
        Some(Config::ReceiveConnector(settings)) => settings.delegate_chain,
        _ => false,
    };
    chains
        || allowed(Question::SendAs(user))
        || allowed(Question::SendOnBehalf(user))
        || allowed(Question::Right(RightName::AcceptAnySender))
}

impl Pauses {
    /// The pairs that were not decided about on this version, or are due; or all.
    fn undecided(&self, version: u64, all: bool) -> Vec<(Pair, Waiting)> {
        let state = self.lock();
        state
            .pairs
            .iter()
            .filter(|(_, waiting)| all || waiting.due || waiting.decided != version)
            .map(|(pair, waiting)| (*pair, waiting.clone()))
            .collect()
    }

    fn settle(&self, pair: Pair, act: impl FnOnce(&mut Waiting)) {
        if let Some(waiting) = self.lock().pairs.get_mut(&pair) {
            act(waiting);
        }
    }

    /// The pair has to wait, by this version; the cause before.
    fn waits(&self, pair: Pair, version: u64, cause: Cause) -> Option<(Option<Cause>, Waiting)> {
        let mut state = self.lock();
        let waiting = state.pairs.get_mut(&pair)?;
        waiting.decided = version;
        waiting.due = false;
        let before = waiting.cause.replace(cause);
        Some((before, waiting.clone()))
    }

    /// A message comes to wait with this pair that waited with another.
    fn join(&self, pair: Pair, received: Millis) {
        let mut state = self.lock();
        let waiting = state.pairs.entry(pair).or_insert_with(|| Waiting { since: received, ..Waiting::default() });
        waiting.messages += 1;
        waiting.due = true;
    }

    /// A message of the pair is held elsewhere.
    fn leave(&self, pair: Pair) {
        self.lock().leave(pair);
    }

    /// A message of the pair was released; whether it was the last.
    fn released(&self, pair: Pair, bytes: u64) -> bool {
        let mut state = self.lock();
        state.take(pair, bytes);
        !state.pairs.contains_key(&pair)
    }
}
