//! What is due when: a small index in memory over the deliveries in the database.
//!
//! A delivery is a pair of message and destination. It waits, or it is leased. Leases live in memory only: when the
//! process dies, everything waits again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::pace::{Limits, Pace, Shares};
use crate::{DestinationState, Millis};

/// A pair of message and destination, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) message: i64,
    pub(crate) destination: String,
    /// Earliest next attempt.
    pub(crate) when: Millis,
    pub(crate) expires: Millis,
    /// The lane of each recipient, by its index; empty where the message has no [`crate::Envelope::lane`].
    pub(crate) lanes: Vec<(u32, u64)>,
}

/// The number of a lane: of messages that keep their order, to one recipient. Two lanes of one number would only wait for
/// each other.
pub(crate) fn lane_number(lane: &str, recipient: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    lane.hash(&mut hasher);
    recipient.to_lowercase().hash(&mut hasher);
    hasher.finish()
}

/// The schedule, shared by the handle, the committer and the leases.
#[derive(Debug)]
pub(crate) struct Schedule {
    index: Mutex<Index>,
    changed: Notify,
}

/// A delivery that was handed out; returns to the schedule when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    schedule: Arc<Schedule>,
    pub(crate) message: i64,
    destination: u32,
    /// When it comes back if nobody settles it.
    back_at: Option<Millis>,
    settled: bool,
}

/// A lease and what the caller of [`Schedule::take`] needs to load it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) lease: Lease,
    pub(crate) destination: Arc<str>,
    pub(crate) failures: u32,
    pub(crate) expired: bool,
}

#[derive(Debug, Default)]
struct Index {
    entries: BTreeMap<(i64, u32), Entry>,
    numbers: HashMap<Arc<str>, u32>,
    destinations: Vec<Option<Destination>>,
    free: Vec<u32>,
    /// Destinations that may have a delivery, by the time from which they may; by [`Kind`].
    ready: [BTreeSet<(Millis, u32)>; 3],
    /// Waiting deliveries by the time at which their message expires.
    expiry: BTreeSet<(Millis, i64, u32)>,
    /// By destination and lane.
    lanes: HashMap<(u32, u64), Lane>,
    leased: u64,
    /// ... of destinations that may stall.
    leased_far: u64,
    /// Destinations that have a lease, by [`Kind`].
    busy: [u32; 3],
    shares: Shares,
    /// The newest message that there was when the time was last looked at.
    newest: (i64, i64),
}

/// Who goes first when leases are scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Does not stall.
    Near,
    /// Has lately taken a message.
    Proven,
    /// Nothing is known of it, or nothing good.
    Unknown,
}

#[derive(Debug)]
struct Entry {
    when: Millis,
    expires: Millis,
    lanes: Vec<(u32, u64)>,
    state: EntryState,
}

/// The messages of one lane that go to one destination: it is the turn of the first. Most lanes have one.
#[derive(Debug)]
enum Lane {
    One(i64),
    Several(BTreeSet<i64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Waiting,
    /// Waiting for its turn in its lanes.
    Parked,
    Leased,
    /// Leased, and held or removed meanwhile: forgotten when the lease ends.
    LeasedAndGone,
}

#[derive(Debug)]
struct Destination {
    name: Arc<str>,
    waiting: BTreeSet<(Millis, i64)>,
    leased: u32,
    failures: u32,
    not_before: Millis,
    reason: String,
    near: bool,
    pace: Pace,
    /// Its key in [`Index::ready`].
    ready: Option<(Kind, Millis)>,
    /// Where in [`Index::busy`] it counts.
    busy: Option<Kind>,
}

impl Schedule {
    pub(crate) fn new(shares: Shares) -> Schedule {
        let index = Index { shares, ..Index::default() };
        Schedule { index: Mutex::new(index), changed: Notify::new() }
    }

    /// Adds deliveries, or moves those that are there.
    pub(crate) fn insert(&self, deliveries: impl IntoIterator<Item = Due>) {
        let mut index = self.lock();
        for due in deliveries {
            let destination = index.number(&due.destination);
            index.insert(due.message, destination, (due.when, due.expires), due.lanes);
        }
        drop(index);
        self.changed.notify_one();
    }

    /// Forgets a message: held or removed.
    pub(crate) fn forget(&self, message: i64) {
        let mut index = self.lock();
        let keys: Vec<u32> =
            index.entries.range((message, 0)..=(message, u32::MAX)).map(|((_, number), _)| *number).collect();
        for destination in keys {
            index.forget(message, destination);
        }
    }

    /// Leases up to `limit` deliveries that are due at `now`.
    pub(crate) fn take(self: &Arc<Schedule>, now: Millis, limit: usize) -> Vec<Taken> {
        let mut index = self.lock();
        index.newest.1 = index.newest.0;
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some((message, destination, expired)) = index.next(now) else { break };
            index.lease(message, destination, now);
            let Some(state) = index.destination(destination) else { break };
            let lease = Lease { schedule: self.clone(), message, destination, back_at: None, settled: false };
            taken.push(Taken { lease, destination: state.name.clone(), failures: state.failures, expired });
        }
        taken
    }

    /// When the next delivery is due.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        let index = self.lock();
        let ready = index.open().filter_map(|set| set.first()).map(|(when, _)| *when).min();
        let expiry = index.expiry.first().map(|(when, _, _)| *when);
        match (ready, expiry) {
            (Some(ready), Some(expiry)) => Some(ready.min(expiry)),
            (one, other) => one.or(other),
        }
    }

    /// Resolves when something may be due earlier than before.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Failures in a row, this one included.
    pub(crate) fn down(&self, name: &str, until: Millis, reason: &str) -> u32 {
        let mut index = self.lock();
        let number = index.number(name);
        let Some(destination) = index.destination(number) else { return 0 };
        destination.failures = destination.failures.saturating_add(1);
        destination.not_before = until;
        destination.pace.failed();
        reason.clone_into(&mut destination.reason);
        let failures = destination.failures;
        index.settle_destination(number);
        failures
    }

    /// The destination takes no more at a time than it has now; false where this was the only one.
    pub(crate) fn crowded(&self, name: &str) -> bool {
        let mut index = self.lock();
        let Some(number) = index.numbers.get(name).copied() else { return false };
        let Some(destination) = index.destination(number) else { return false };
        let others = destination.leased.saturating_sub(1);
        if others > 0 {
            destination.pace.crowded(others);
        }
        index.settle_destination(number);
        others > 0
    }

    /// Leases of a destination besides one.
    pub(crate) fn others(&self, name: &str) -> u32 {
        let mut index = self.lock();
        let Some(number) = index.numbers.get(name).copied() else { return 0 };
        index.destination(number).map_or(0, |destination| destination.leased.saturating_sub(1))
    }

    /// Sets the limits of destinations, by their name or its beginning up to a colon.
    pub(crate) fn set_limits(&self, limits: Vec<(String, Limits)>) {
        let mut index = self.lock();
        index.shares.limits = limits;
        for number in 0..index.destinations.len() as u32 {
            let Some(name) = index.destination(number).map(|destination| destination.name.clone()) else { continue };
            let limits = index.shares.limits_of(&name);
            if let Some(destination) = index.destination(number) {
                destination.pace.limits = limits;
            }
            index.settle_destination(number);
        }
        drop(index);
        self.changed.notify_one();
    }

    /// The newest message when deliveries were last leased.
    pub(crate) fn mark(&self) -> i64 {
        self.lock().newest.1
    }

    /// The clock was set by so much: what was planned for messages up to `newest` keeps its distance to now.
    pub(crate) fn shift(&self, by: Millis, newest: i64) {
        let mut index = self.lock();
        let index = &mut *index;
        index.expiry.clear();
        for destination in index.destinations.iter_mut().flatten() {
            destination.waiting.clear();
            destination.pace.shift(by);
            if destination.not_before != Millis::MIN {
                destination.not_before = destination.not_before.saturating_add(by);
            }
        }
        for ((message, number), entry) in &mut index.entries {
            if *message <= newest {
                entry.when = entry.when.saturating_add(by);
                entry.expires = entry.expires.saturating_add(by);
            }
            if matches!(entry.state, EntryState::Waiting | EntryState::Parked) {
                index.expiry.insert((entry.expires, *message, *number));
            }
            if entry.state == EntryState::Waiting
                && let Some(destination) = index.destinations[*number as usize].as_mut()
            {
                destination.waiting.insert((entry.when, *message));
            }
        }
        for number in 0..index.destinations.len() as u32 {
            index.settle_destination(number);
        }
        self.changed.notify_one();
    }

    /// What the database says about a destination, when the queue is opened.
    pub(crate) fn restore(&self, state: DestinationState) {
        let mut index = self.lock();
        let number = index.number(&state.destination);
        if let Some(destination) = index.destination(number) {
            destination.failures = state.failures;
            destination.not_before = state.not_before.unwrap_or(Millis::MIN);
            destination.reason = state.reason;
        }
        index.settle_destination(number);
    }

    /// The destination answers; true if it had failed before.
    pub(crate) fn up(&self, name: &str) -> bool {
        let mut index = self.lock();
        let Some(number) = index.numbers.get(name).copied() else { return false };
        let Some(destination) = index.destination(number) else { return false };
        let failed = destination.failures > 0;
        destination.failures = 0;
        destination.not_before = Millis::MIN;
        destination.reason.clear();
        index.settle_destination(number);
        drop(index);
        if failed {
            self.changed.notify_one();
        }
        failed
    }

    /// Lets the destinations of a message be tried now, one delivery at a time if they had failed.
    pub(crate) fn unblock(&self, message: i64) {
        let mut index = self.lock();
        let keys: Vec<u32> =
            index.entries.range((message, 0)..=(message, u32::MAX)).map(|((_, number), _)| *number).collect();
        for number in keys {
            if let Some(destination) = index.destination(number) {
                destination.not_before = Millis::MIN;
            }
            index.settle_destination(number);
        }
        drop(index);
        self.changed.notify_one();
    }

    /// Destinations that have failed, or the one asked for.
    pub(crate) fn destinations(&self, only: Option<&str>) -> Vec<DestinationState> {
        let index = self.lock();
        let wanted = |destination: &&Destination| match only {
            Some(name) => &*destination.name == name,
            None => destination.failures > 0,
        };
        let mut states: Vec<DestinationState> = index
            .destinations
            .iter()
            .flatten()
            .filter(wanted)
            .map(|destination| DestinationState {
                destination: destination.name.to_string(),
                failures: destination.failures,
                not_before: (destination.not_before != Millis::MIN).then_some(destination.not_before),
                reason: destination.reason.clone(),
                waiting: destination.waiting.len() as u64,
            })
            .collect();
        states.sort_by(|one, other| one.destination.cmp(&other.destination));
        states
    }

    /// Waiting and leased deliveries, destinations with one, destinations that failed.
    pub(crate) fn figures(&self) -> (u64, u64, u64, u64) {
        let index = self.lock();
        let destinations = || index.destinations.iter().flatten();
        let busy =
            destinations().filter(|destination| destination.leased > 0 || !destination.waiting.is_empty()).count();
        let down = destinations().filter(|destination| destination.failures > 0).count();
        (index.entries.len() as u64 - index.leased, index.leased, busy as u64, down as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let name: Arc<str> = name.into();
        let pace = self.shares.pace(&name);
        let destination = Destination {
            near: self.shares.is_near(&name),
            pace,
            name: name.clone(),
            waiting: BTreeSet::new(),
            leased: 0,
            failures: 0,
            not_before: Millis::MIN,
            reason: String::new(),
            ready: None,
            busy: None,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.destinations[number as usize] = Some(destination);
                number
            }
            None => {
                self.destinations.push(Some(destination));
                self.destinations.len() as u32 - 1
            }
        };
        self.numbers.insert(name, number);
        number
    }

    fn destination(&mut self, number: u32) -> Option<&mut Destination> {
        self.destinations.get_mut(number as usize).and_then(Option::as_mut)
    }

    fn insert(&mut self, message: i64, number: u32, (when, expires): (Millis, Millis), lanes: Vec<(u32, u64)>) {
        self.newest.0 = self.newest.0.max(message);
        match self.entries.get_mut(&(message, number)) {
            Some(entry) if matches!(entry.state, EntryState::Leased | EntryState::LeasedAndGone) => {
                // Released while a delivery is still under way: its outcome says when the next is due.
                (entry.when, entry.expires, entry.state) = (when, expires, EntryState::Leased);
                return;
            }
            Some(_) => self.stop_waiting(message, number),
            None => {}
        }
        self.expiry.insert((expires, message, number));
        for (_, lane) in &lanes {
            self.enter_lane(number, *lane, message);
        }
        let turn = self.has_turn(number, &lanes, message);
        let state = if turn { EntryState::Waiting } else { EntryState::Parked };
        self.entries.insert((message, number), Entry { when, expires, lanes, state });
        if turn && let Some(destination) = self.destination(number) {
            destination.waiting.insert((when, message));
        }
        self.settle_destination(number);
    }

    /// Takes a place in a lane. Who was accepted later, and has not begun, waits.
    fn enter_lane(&mut self, number: u32, lane: u64, message: i64) {
        let Some(place) = self.lanes.get_mut(&(number, lane)) else {
            self.lanes.insert((number, lane), Lane::One(message));
            return;
        };
        let before = place.first();
        place.insert(message);
        if let Some(later) = before.filter(|before| *before > message) {
            self.park(later, number);
        }
    }

    /// Whether it is the message's turn in all of these lanes.
    fn has_turn(&self, number: u32, lanes: &[(u32, u64)], message: i64) -> bool {
        let is_first = |lane: &u64| self.lanes.get(&(number, *lane)).and_then(Lane::first) == Some(message);
        lanes.iter().all(|(_, lane)| is_first(lane))
    }

    /// It is not the message's turn any more.
    fn park(&mut self, message: i64, number: u32) {
        let Some(entry) = self.entries.get_mut(&(message, number)) else { return };
        if entry.state != EntryState::Waiting {
            return;
        }
        entry.state = EntryState::Parked;
        let when = entry.when;
        if let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, message));
        }
    }

    /// A recipient has the message, or never will: the next one's turn.
    fn leave_lane(&mut self, number: u32, lane: u64, message: i64) {
        let Some(place) = self.lanes.get_mut(&(number, lane)) else { return };
        let Some(next) = place.remove(message) else {
            self.lanes.remove(&(number, lane));
            return;
        };
        let Some(entry) = self.entries.get(&(next, number)) else { return };
        if entry.state != EntryState::Parked || !self.has_turn(number, &entry.lanes, next) {
            return;
        }
        let when = entry.when;
        if let Some(entry) = self.entries.get_mut(&(next, number)) {
            entry.state = EntryState::Waiting;
        }
        if let Some(destination) = self.destination(number) {
            destination.waiting.insert((when, next));
        }
    }

    /// Takes a delivery that waits out of every set but the entries.
    fn stop_waiting(&mut self, message: i64, number: u32) {
        let Some(entry) = self.entries.get_mut(&(message, number)) else { return };
        let (when, expires, lanes) = (entry.when, entry.expires, std::mem::take(&mut entry.lanes));
        self.expiry.remove(&(expires, message, number));
        if let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, message));
        }
        for (_, lane) in lanes {
            self.leave_lane(number, lane, message);
        }
    }

    fn forget(&mut self, message: i64, number: u32) {
        let Some(entry) = self.entries.get_mut(&(message, number)) else { return };
        if matches!(entry.state, EntryState::Waiting | EntryState::Parked) {
            self.stop_waiting(message, number);
            self.entries.remove(&(message, number));
            self.settle_destination(number);
        } else {
            entry.state = EntryState::LeasedAndGone;
        }
    }

    /// The delivery to lease next: expired ones first, whatever their destination waits for.
    fn next(&mut self, now: Millis) -> Option<(i64, u32, bool)> {
        if let Some((_, message, number)) = self.expiry.first().filter(|(expires, _, _)| *expires <= now) {
            return Some((*message, *number, true));
        }
        loop {
            let first = self.open().filter_map(|set| set.first()).min().filter(|(when, _)| *when <= now);
            let (_, number) = *first?;
            let before = self.destination(number)?.ready;
            // More destinations are busy than when its turn was found: it may have enough.
            self.settle_destination(number);
            let destination = self.destination(number)?;
            if destination.ready == before {
                let (_, message) = destination.waiting.first()?;
                return Some((*message, number, false));
            }
        }
    }

    /// The sets of [`Index::ready`] that may be leased from, by how many leases are out.
    fn open(&self) -> impl Iterator<Item = &BTreeSet<(Millis, u32)>> {
        let far = u64::from(self.shares.far);
        let proven = self.leased_far < far;
        // A quarter is kept for those that are known to answer.
        let unknown = self.leased_far < far - far / 4;
        self.ready.iter().zip([true, proven, unknown]).filter(|(_, open)| *open).map(|(set, _)| set)
    }

    fn lease(&mut self, message: i64, number: u32, now: Millis) {
        let Some(entry) = self.entries.get_mut(&(message, number)) else { return };
        // One that has expired is not kept waiting for its turn.
        let parked = entry.state == EntryState::Parked;
        let parked_in = if parked { std::mem::take(&mut entry.lanes) } else { Vec::new() };
        entry.state = EntryState::Leased;
        let (when, expires) = (entry.when, entry.expires);
        self.expiry.remove(&(expires, message, number));
        for (_, lane) in parked_in {
            self.leave_lane(number, lane, message);
        }
        self.leased += 1;
        if let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, message));
            destination.leased += 1;
            destination.pace.leased(now);
            if !destination.near {
                self.leased_far += 1;
            }
        }
        self.settle_destination(number);
    }

    /// The lease is over; the delivery waits for `when`, or (`None`) is done. What waits keeps its turn: of a message that
    /// was put off, those who are not `done` get nothing later before it.
    fn settle(&mut self, message: i64, number: u32, when: Option<Millis>, done: &[u32]) {
        let Some(entry) = self.entries.remove(&(message, number)) else { return };
        self.leased -= 1;
        if let Some(destination) = self.destination(number) {
            destination.leased -= 1;
            if when.is_none() {
                destination.pace.answered();
            }
            if !destination.near {
                self.leased_far -= 1;
            }
        }
        let when = when.filter(|_| entry.state == EntryState::Leased);
        let stays = |index: &u32| when.is_some() && !done.contains(index);
        let (keeps, leaves): (Vec<_>, Vec<_>) = entry.lanes.into_iter().partition(|(index, _)| stays(index));
        for (_, lane) in leaves.iter().filter(|(_, lane)| !keeps.iter().any(|(_, kept)| kept == lane)) {
            self.leave_lane(number, *lane, message);
        }
        match when {
            Some(when) => self.insert(message, number, (when, entry.expires), keeps),
            None => self.settle_destination(number),
        }
    }

    /// Brings a destination's place in `ready` up to date; forgets it if there is nothing to remember.
    fn settle_destination(&mut self, number: u32) {
        let (far, per_destination) = (self.shares.far, self.shares.per_destination);
        let Some(destination) = self.destinations.get_mut(number as usize).and_then(Option::as_mut) else { return };
        let kind = destination.kind();
        let busy = (destination.leased > 0).then_some(kind);
        let counted = std::mem::replace(&mut destination.busy, busy);
        if counted != busy {
            counted.into_iter().for_each(|kind| self.busy[kind as usize] -= 1);
            busy.into_iter().for_each(|kind| self.busy[kind as usize] += 1);
        }
        let of_its_kind = (self.busy[kind as usize] + u32::from(busy.is_none())).max(1);
        let allowed = match kind {
            _ if destination.failures > 0 => 1,
            Kind::Near => per_destination,
            // A share is divided among those that have leases; what is left is for those that come.
            Kind::Proven => destination.pace.at_a_time(per_destination).min(far / 2 / of_its_kind).max(1),
            Kind::Unknown => destination.pace.at_a_time(per_destination).min(far / 4 / of_its_kind).max(1),
        };
        let ready = match destination.waiting.first() {
            Some((when, _)) if destination.leased < allowed => {
                Some((kind, (*when).max(destination.not_before).max(destination.pace.not_before)))
            }
            _ => None,
        };
        let before = std::mem::replace(&mut destination.ready, ready);
        let idle = destination.waiting.is_empty() && destination.leased == 0 && destination.failures == 0;
        if before != ready {
            if let Some((kind, before)) = before {
                self.ready[kind as usize].remove(&(before, number));
            }
            if let Some((kind, ready)) = ready {
                self.ready[kind as usize].insert((ready, number));
            }
        }
        if idle && let Some(destination) = self.destinations[number as usize].take() {
            self.numbers.remove(&destination.name);
            self.free.push(number);
            self.shares.remember(&destination.name, &destination.pace);
        }
    }
}

impl Lane {
    fn first(&self) -> Option<i64> {
        match self {
            Lane::One(message) => Some(*message),
            Lane::Several(messages) => messages.first().copied(),
        }
    }

    fn insert(&mut self, message: i64) {
        match self {
            Lane::One(only) if *only == message => {}
            Lane::One(only) => *self = Lane::Several(BTreeSet::from([*only, message])),
            Lane::Several(messages) => {
                messages.insert(message);
            }
        }
    }

    /// Without this message, the first; `None`: nobody is left.
    fn remove(&mut self, message: i64) -> Option<i64> {
        match self {
            Lane::One(only) => (*only != message).then_some(*only),
            Lane::Several(messages) => {
                messages.remove(&message);
                messages.first().copied()
            }
        }
    }
}

impl Destination {
    fn kind(&self) -> Kind {
        match (self.near, self.pace.is_proven()) {
            (true, _) => Kind::Near,
            (false, true) => Kind::Proven,
            (false, false) => Kind::Unknown,
        }
    }
}

impl Lease {
    /// When the delivery comes back if it is dropped without an outcome.
    pub(crate) fn back_at(&mut self, when: Millis) {
        self.back_at = Some(when);
    }

    /// It comes back `wait` later than it would.
    pub(crate) fn wait_after_fault(&mut self, wait: Millis) {
        self.back_at = self.back_at.map(|when| when.saturating_add(wait));
    }

    /// Ends the lease: the delivery waits for `when`, or (`None`) is done. `done`: recipients, by index, that wait no more.
    pub(crate) fn settle(mut self, when: Option<Millis>, done: &[u32]) {
        self.settled = true;
        self.schedule.lock().settle(self.message, self.destination, when, done);
        self.schedule.changed.notify_one();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let mut index = self.schedule.lock();
        let when =
            self.back_at.or_else(|| index.entries.get(&(self.message, self.destination)).map(|entry| entry.when));
        index.settle(self.message, self.destination, when, &[]);
        drop(index);
        self.schedule.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
