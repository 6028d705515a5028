//! Paused mail (`authorization.md` §8, S1): messages of service accounts that wait in the queue for a missing right.
//!
//! What is paused is what the queue holds: a message held under `pause:ACCOUNT:USER` pauses that pair, and later messages
//! of the pair wait behind it. The state here is a count of it, read when the process starts. A thread of its own
//! (`pause::release`) decides again on each new snapshot.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use acl::Guid;
use queue::{Event, MessageDetail, MessageSummary, Millis, Queue, QueueError};
use rights::pause::{Key, Policy, account_name};
use rights::shortfall::Reason;
use serde_json::{Value, json};
use store::Webhook;
use tokio::sync::Notify;

use crate::accept::Intake;
use crate::events;
use crate::shared::{Shared, now};

mod held;
mod notice;
mod orders;
mod release;

pub(crate) use held::pause_parameters;
pub(crate) use notice::{mail, notice};
pub use orders::{Chosen, Order, Ordered};
pub(crate) use release::start;
pub use session::Pair;

/// What is paused. Shared by sessions, the releasing thread and administration.
pub struct Pauses {
    queue: Queue,
    state: Mutex<State>,
    /// There is something to decide.
    work: Notify,
    ground: OnceLock<Ground>,
}

/// What is known once the server runs.
struct Ground {
    hostname: String,
    intake: Intake,
}

#[derive(Default)]
struct State {
    /// What the queue held when the process began is in it.
    loaded: bool,
    pairs: BTreeMap<Pair, Waiting>,
    totals: HashMap<Guid, Total>,
}

/// The mail of one pair.
#[derive(Debug, Clone, Default)]
struct Waiting {
    messages: u64,
    /// When the oldest message was accepted.
    since: Millis,
    /// The version of the directory by which it was last found to have to wait; 0: never.
    decided: u64,
    /// To be decided, whatever the version.
    due: bool,
    /// The receive connector that the first message came in by, once it is known.
    connector: Option<Guid>,
    /// It was there when the process began.
    restored: bool,
    /// What it waits for; `None`: that was not found out yet.
    cause: Option<Cause>,
}

/// Why pairs wait: those with the same cause are mended together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Cause {
    account: Guid,
    reason: Reason,
    at: Option<Guid>,
}

/// Mail of one service account that waits, set aside included.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    messages: u64,
    bytes: u64,
}

/// Room for a message that is being queued. Dropped, it gives the room back.
pub(crate) struct Seat {
    pauses: Arc<Pauses>,
    pair: Pair,
    bytes: u64,
    kept: bool,
}

impl Pauses {
    /// Reads what the queue holds.
    pub(crate) fn new(queue: Queue) -> Arc<Pauses> {
        let pauses = Pauses { queue, state: Mutex::default(), work: Notify::new(), ground: OnceLock::new() };
        if let Err(error) = pauses.load() {
            tracing::error!(%error, "what is paused cannot be read; trying again");
        }
        Arc::new(pauses)
    }

    /// Reads what the queue held when the process began, if that was not done yet.
    fn load(&self) -> Result<(), QueueError> {
        if self.lock().loaded {
            return Ok(());
        }
        let (paused, aside) = (self.queue.holds(Key::PAUSED)?, self.queue.holds(Key::ASIDE)?);
        let mut state = self.lock();
        for held in paused.iter().chain(&aside) {
            let Some(Key { account, user, aside }) = Key::parse(&held.key) else { continue };
            let pair = Pair { account, user };
            let total = state.totals.entry(pair.account).or_default();
            total.messages += held.messages;
            total.bytes += held.bytes;
            if !aside {
                let waiting = state.pairs.entry(pair).or_default();
                waiting.messages += held.messages;
                waiting.since = held.oldest;
                waiting.due = true;
                waiting.restored = true;
            }
        }
        state.loaded = true;
        Ok(())
    }

    /// Whether mail of the pair waits.
    pub(crate) fn is_paused(&self, pair: Pair) -> bool {
        self.lock().pairs.contains_key(&pair)
    }

    /// Room for a message of `bytes` octets; `None` where the policy leaves none.
    pub(crate) fn reserve(
        self: &Arc<Pauses>,
        pair: Pair,
        bytes: u64,
        received: Millis,
        policy: Option<&Policy>,
    ) -> Option<Seat> {
        let mut state = self.lock();
        let total = state.totals.get(&pair.account).copied().unwrap_or_default();
        if let Some(policy) = policy
            && (total.messages >= policy.max_messages || total.bytes.saturating_add(bytes) > policy.max_bytes)
        {
            return None;
        }
        state.add(pair, bytes, received);
        Some(Seat { pauses: Arc::clone(self), pair, bytes, kept: false })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The message is durable. `decided`: the version of the directory by which it has to wait; `None` where it waits only
    /// behind others, and is to be decided.
    pub(crate) fn kept(mut self, decided: Option<u64>) {
        self.kept = true;
        let mut state = self.pauses.lock();
        if let Some(waiting) = state.pairs.get_mut(&self.pair) {
            let known = decided.is_some_and(|version| waiting.cause.is_some() && waiting.decided >= version);
            waiting.due |= !known;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if !self.kept {
            self.pauses.lock().take(self.pair, self.bytes);
        }
        self.pauses.work.notify_one();
    }
}

impl State {
    fn add(&mut self, pair: Pair, bytes: u64, received: Millis) {
        let total = self.totals.entry(pair.account).or_default();
        total.messages += 1;
        total.bytes = total.bytes.saturating_add(bytes);
        let waiting = self.pairs.entry(pair).or_insert_with(|| Waiting { since: received, ..Waiting::default() });
        waiting.messages += 1;
    }

    /// A message of the pair waits no more.
    fn take(&mut self, pair: Pair, bytes: u64) {
        self.leave(pair);
        self.forget(pair.account, bytes);
    }

    /// A message of the pair waits with it no more; it may wait elsewhere.
    fn leave(&mut self, pair: Pair) {
        if let Some(waiting) = self.pairs.get_mut(&pair) {
            waiting.messages = waiting.messages.saturating_sub(1);
            if waiting.messages == 0 {
                self.pairs.remove(&pair);
            }
        }
    }

    /// A message of the account is held no more.
    fn forget(&mut self, account: Guid, bytes: u64) {
        if let Some(total) = self.totals.get_mut(&account) {
            total.messages = total.messages.saturating_sub(1);
            total.bytes = total.bytes.saturating_sub(bytes);
            if total.messages == 0 {
                self.totals.remove(&account);
            }
        }
    }
}

/// What those are told who have a webhook for the account: a message of the pair is on its way.
fn told_of_release(shared: &Shared, pair: Pair, detail: &MessageDetail) -> Vec<Event> {
    let recipients = detail.recipients.iter();
    let recipients =
        recipients.filter_map(|to| Some(json!({ "address": events::called(&to.address, &to.parameters)? })));
    let recipients = recipients.collect();
    told(shared, pair, &detail.summary, Webhook::RELEASED, recipients)
}

/// The same of something else that became of it.
fn told(shared: &Shared, pair: Pair, message: &MessageSummary, kind: &str, recipients: Vec<Value>) -> Vec<Event> {
    let webhooks = shared.webhooks();
    if !webhooks.wanted(&pair.account, kind) {
        return Vec::new();
    }
    let of = events::Message { queue_id: &message.queue_id, account: &pair.account, sender: message.sender.as_deref() };
    let snapshot = shared.snapshot();
    let mut data = of.data(&snapshot, recipients);
    data["paused"] = json!({
        "user": account_name(&snapshot, &pair.user),
        "since": events::instant(message.received),
    });
    webhooks.events(&pair.account, kind, now().0, &data)
}

/// The key that mail of a pair is held under: while it waits, or (`aside`) when it needs a person.
fn key(pair: Pair, aside: bool) -> String {
    Key { account: pair.account, user: pair.user, aside }.to_string()
}
