//! What is due when: a small index in memory over the deliveries in the database.
//!
//! A delivery is a pair of message and destination. It waits, or it is leased. Leases live in memory only: when the
//! process dies, everything waits again.

use std::collections::hash_map::Entry as Place;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::{DestinationState, Millis};

/// A pair of message and destination, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) message: i64,
    pub(crate) destination: String,
    /// Earliest next attempt.
    pub(crate) when: Millis,
    pub(crate) expires: Millis,
    /// Number of [`crate::Envelope::lane`]; none once a delivery was deferred.
    pub(crate) lane: Option<u64>,
}

/// The number of a lane. Two lanes of one number would only wait for each other.
pub(crate) fn lane_number(lane: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    lane.hash(&mut hasher);
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
    /// Destinations that may have a delivery, by the time from which they may.
    ready: BTreeSet<(Millis, u32)>,
    /// Waiting deliveries by the time at which their message expires.
    expiry: BTreeSet<(Millis, i64, u32)>,
    /// By destination and lane.
    lanes: HashMap<(u32, u64), Lane>,
    leased: u64,
    per_destination: u32,
}

#[derive(Debug)]
struct Entry {
    when: Millis,
    expires: Millis,
    lane: Option<u64>,
    state: EntryState,
}

/// Deliveries of one lane to one destination.
#[derive(Debug)]
struct Lane {
    /// The message whose turn it is.
    turn: i64,
    parked: BTreeSet<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Waiting,
    /// Waiting for its turn in its lane.
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
    /// Its key in [`Index::ready`].
    ready: Option<Millis>,
}

impl Schedule {
    pub(crate) fn new(per_destination: u32) -> Schedule {
        let index = Index { per_destination: per_destination.max(1), ..Index::default() };
        Schedule { index: Mutex::new(index), changed: Notify::new() }
    }

    /// Adds deliveries, or moves those that are there.
    pub(crate) fn insert(&self, deliveries: impl IntoIterator<Item = Due>) {
        let mut index = self.lock();
        for due in deliveries {
            let destination = index.number(&due.destination);
            index.insert(due.message, destination, (due.when, due.expires), due.lane);
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
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some((message, destination, expired)) = index.next(now) else { break };
            index.lease(message, destination);
            let Some(state) = index.destination(destination) else { break };
            let lease = Lease { schedule: self.clone(), message, destination, back_at: None, settled: false };
            taken.push(Taken { lease, destination: state.name.clone(), failures: state.failures, expired });
        }
        taken
    }

    /// When the next delivery is due.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        let index = self.lock();
        let ready = index.ready.first().map(|(when, _)| *when);
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
        reason.clone_into(&mut destination.reason);
        let failures = destination.failures;
        index.settle_destination(number);
        failures
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
        let destination = Destination {
            name: name.clone(),
            waiting: BTreeSet::new(),
            leased: 0,
            failures: 0,
            not_before: Millis::MIN,
            reason: String::new(),
            ready: None,
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

    fn insert(&mut self, message: i64, number: u32, (when, expires): (Millis, Millis), lane: Option<u64>) {
        match self.entries.get_mut(&(message, number)) {
            Some(entry) if matches!(entry.state, EntryState::Leased | EntryState::LeasedAndGone) => {
                // Released while a delivery is still under way: its outcome says when the next is due.
                *entry = Entry { when, expires, lane: entry.lane, state: EntryState::Leased };
                return;
            }
            Some(_) => self.stop_waiting(message, number),
            None => {}
        }
        self.expiry.insert((expires, message, number));
        let turn = lane.is_none_or(|lane| self.enter_lane(number, lane, message));
        let state = if turn { EntryState::Waiting } else { EntryState::Parked };
        self.entries.insert((message, number), Entry { when, expires, lane, state });
        if turn && let Some(destination) = self.destination(number) {
            destination.waiting.insert((when, message));
        }
        self.settle_destination(number);
    }

    /// Whether it is the message's turn in a lane. One that was accepted earlier goes before those that wait.
    fn enter_lane(&mut self, number: u32, lane: u64, message: i64) -> bool {
        let turn = match self.lanes.entry((number, lane)) {
            Place::Vacant(place) => {
                place.insert(Lane { turn: message, parked: BTreeSet::new() });
                return true;
            }
            Place::Occupied(place) => place.get().turn,
        };
        let waits = self.entries.get_mut(&(turn, number)).filter(|entry| entry.state == EntryState::Waiting);
        let (earlier, when) = match waits {
            Some(entry) if message < turn => {
                entry.state = EntryState::Parked;
                (true, entry.when)
            }
            _ => (false, 0),
        };
        if earlier && let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, turn));
        }
        if let Some(lane) = self.lanes.get_mut(&(number, lane)) {
            if turn == message {
                return true;
            }
            lane.parked.insert(if earlier { turn } else { message });
            if earlier {
                lane.turn = message;
            }
        }
        earlier
    }

    /// The message is delivered, deferred, held or gone: the next one's turn.
    fn leave_lane(&mut self, number: u32, lane: u64, message: i64) {
        let Some(state) = self.lanes.get_mut(&(number, lane)) else { return };
        if state.turn != message {
            state.parked.remove(&message);
            return;
        }
        let Some(next) = state.parked.pop_first() else {
            self.lanes.remove(&(number, lane));
            return;
        };
        state.turn = next;
        let Some(entry) = self.entries.get_mut(&(next, number)) else { return };
        entry.state = EntryState::Waiting;
        let when = entry.when;
        if let Some(destination) = self.destination(number) {
            destination.waiting.insert((when, next));
        }
    }

    /// Takes a delivery that waits out of every set but the entries.
    fn stop_waiting(&mut self, message: i64, number: u32) {
        let Some(entry) = self.entries.get(&(message, number)) else { return };
        let (when, expires, lane) = (entry.when, entry.expires, entry.lane);
        self.expiry.remove(&(expires, message, number));
        if let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, message));
        }
        if let Some(lane) = lane {
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
    fn next(&self, now: Millis) -> Option<(i64, u32, bool)> {
        if let Some((_, message, number)) = self.expiry.first().filter(|(expires, _, _)| *expires <= now) {
            return Some((*message, *number, true));
        }
        let (_, number) = self.ready.first().filter(|(when, _)| *when <= now)?;
        let (_, message) = self.destinations.get(*number as usize)?.as_ref()?.waiting.first()?;
        Some((*message, *number, false))
    }

    fn lease(&mut self, message: i64, number: u32) {
        let Some(entry) = self.entries.get_mut(&(message, number)) else { return };
        // One that has expired is not kept waiting for its turn.
        let parked_in = entry.lane.take_if(|_| entry.state == EntryState::Parked);
        entry.state = EntryState::Leased;
        let (when, expires) = (entry.when, entry.expires);
        self.expiry.remove(&(expires, message, number));
        if let Some(lane) = parked_in {
            self.leave_lane(number, lane, message);
        }
        self.leased += 1;
        if let Some(destination) = self.destination(number) {
            destination.waiting.remove(&(when, message));
            destination.leased += 1;
        }
        self.settle_destination(number);
    }

    /// The lease is over; the delivery waits for `when`, or (`None`) is done. `untouched`: nothing was tried, so it keeps
    /// its turn.
    fn settle(&mut self, message: i64, number: u32, when: Option<Millis>, untouched: bool) {
        let Some(entry) = self.entries.remove(&(message, number)) else { return };
        self.leased -= 1;
        if let Some(destination) = self.destination(number) {
            destination.leased -= 1;
        }
        let when = when.filter(|_| entry.state == EntryState::Leased);
        let lane = entry.lane.filter(|_| untouched && when.is_some());
        if let Some(left) = entry.lane.filter(|_| lane.is_none()) {
            self.leave_lane(number, left, message);
        }
        match when {
            Some(when) => self.insert(message, number, (when, entry.expires), lane),
            None => self.settle_destination(number),
        }
    }

    /// Brings a destination's place in `ready` up to date; forgets it if there is nothing to remember.
    fn settle_destination(&mut self, number: u32) {
        let per_destination = self.per_destination;
        let Some(destination) = self.destination(number) else { return };
        let allowed = if destination.failures > 0 { 1 } else { per_destination };
        let ready = match destination.waiting.first() {
            Some((when, _)) if destination.leased < allowed => Some((*when).max(destination.not_before)),
            _ => None,
        };
        let before = std::mem::replace(&mut destination.ready, ready);
        let idle = destination.waiting.is_empty() && destination.leased == 0 && destination.failures == 0;
        if before != ready {
            if let Some(before) = before {
                self.ready.remove(&(before, number));
            }
            if let Some(ready) = ready {
                self.ready.insert((ready, number));
            }
        }
        if idle && let Some(destination) = self.destinations[number as usize].take() {
            self.numbers.remove(&destination.name);
            self.free.push(number);
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

    /// Ends the lease: the delivery waits for `when`, or (`None`) is done.
    pub(crate) fn settle(mut self, when: Option<Millis>) {
        self.settled = true;
        self.schedule.lock().settle(self.message, self.destination, when, false);
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
        index.settle(self.message, self.destination, when, true);
        drop(index);
        self.schedule.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(message: i64, destination: &str, when: Millis) -> Due {
        Due { message, destination: destination.to_owned(), when, expires: when + 1000, lane: None }
    }

    fn taken(schedule: &Arc<Schedule>, now: Millis, limit: usize) -> Vec<(i64, Taken)> {
        schedule.take(now, limit).into_iter().map(|taken| (taken.lease.message, taken)).collect()
    }

    #[test]
    fn a_destination_never_has_more_leases_than_allowed() {
        let schedule = Arc::new(Schedule::new(2));
        schedule.insert((1..=5).map(|message| due(message, "a", 0)));
        let first = taken(&schedule, 0, 10);
        assert_eq!(first.iter().map(|(message, _)| *message).collect::<Vec<_>>(), [1, 2]);
        assert!(taken(&schedule, 0, 10).is_empty());
        for (_, taken) in first {
            taken.lease.settle(None);
        }
        assert_eq!(taken(&schedule, 0, 10).len(), 2);
    }

    #[test]
    fn a_failed_destination_gets_one_delivery_after_its_wait_and_the_rest_when_it_answers() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert((1..=3).map(|message| due(message, "a", 0)));
        assert_eq!(schedule.down("a", 100, "refused"), 1);
        assert!(taken(&schedule, 99, 10).is_empty());
        let probe = taken(&schedule, 100, 10);
        assert_eq!(probe.len(), 1);
        assert!(schedule.up("a"));
        assert_eq!(taken(&schedule, 100, 10).len(), 2);
    }

    #[test]
    fn expired_messages_are_due_although_their_destination_is_down() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert((1..=3).map(|message| due(message, "a", 0)));
        schedule.down("a", 1_000_000, "refused");
        let expired = taken(&schedule, 1000, 10);
        assert_eq!(expired.len(), 3);
        assert!(expired.iter().all(|(_, taken)| taken.expired));
    }

    #[test]
    fn a_dropped_lease_is_due_again() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([due(1, "a", 0)]);
        drop(taken(&schedule, 0, 10));
        assert_eq!(taken(&schedule, 0, 10).len(), 1);
    }

    #[test]
    fn a_message_held_while_leased_does_not_come_back() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([due(1, "a", 0)]);
        let lease = taken(&schedule, 0, 10);
        schedule.forget(1);
        drop(lease);
        assert_eq!(schedule.next_due(), None);
        assert_eq!(schedule.figures(), (0, 0, 0, 0));
    }

    #[test]
    fn a_message_released_while_leased_is_not_leased_twice() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([due(1, "a", 0)]);
        let lease = taken(&schedule, 0, 10);
        schedule.forget(1);
        schedule.insert([due(1, "a", 5)]);
        assert!(taken(&schedule, 10, 10).is_empty());
        drop(lease);
        assert_eq!(taken(&schedule, 10, 10).len(), 1);
    }

    fn in_lane(message: i64, destination: &str) -> Due {
        Due { lane: Some(7), ..due(message, destination, 0) }
    }

    fn messages(taken: &[(i64, Taken)]) -> Vec<i64> {
        taken.iter().map(|(message, _)| *message).collect()
    }

    #[test]
    fn messages_of_a_lane_go_to_a_destination_one_at_a_time_in_order() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([in_lane(3, "a"), in_lane(1, "a"), in_lane(2, "a"), due(4, "a", 0), in_lane(5, "b")]);
        let mut leased = taken(&schedule, 0, 10);
        leased.sort_by_key(|(message, _)| *message);
        assert_eq!(messages(&leased), [1, 4, 5]);
        for next in [2, 3] {
            leased.remove(0).1.lease.settle(None);
            leased.splice(0..0, taken(&schedule, 0, 10));
            assert_eq!(leased[0].0, next);
        }
    }

    #[test]
    fn a_deferred_message_lets_its_lane_go_on() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([in_lane(1, "a"), in_lane(2, "a")]);
        let first = taken(&schedule, 0, 10);
        first.into_iter().for_each(|(_, taken)| taken.lease.settle(Some(500)));
        assert_eq!(messages(&taken(&schedule, 0, 10)), [2]);
        assert_eq!(messages(&taken(&schedule, 500, 10)), [2, 1]);
    }

    #[test]
    fn a_dropped_lease_keeps_its_turn() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([in_lane(1, "a"), in_lane(2, "a")]);
        drop(taken(&schedule, 0, 10));
        assert_eq!(messages(&taken(&schedule, 0, 10)), [1]);
    }

    #[test]
    fn a_message_held_in_a_lane_lets_the_next_pass() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([in_lane(1, "a"), in_lane(2, "a"), in_lane(3, "a")]);
        schedule.forget(2);
        schedule.forget(1);
        assert_eq!(messages(&taken(&schedule, 0, 10)), [3]);
    }

    #[test]
    fn an_expired_message_does_not_wait_for_its_turn() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert([Due { expires: 9_000, ..in_lane(1, "a") }, in_lane(2, "a")]);
        let leased = taken(&schedule, 0, 10);
        let expired = taken(&schedule, 2_000, 10);
        assert_eq!(messages(&expired), [2]);
        drop((leased, expired));
        let mut both = taken(&schedule, 2_000, 10);
        both.sort_by_key(|(message, _)| *message);
        assert_eq!(messages(&both), [1, 2]);
    }

    #[test]
    fn nothing_is_remembered_of_idle_destinations() {
        let schedule = Arc::new(Schedule::new(20));
        schedule.insert((0..100).map(|message| due(message, &format!("mailbox {message}"), 0)));
        schedule.insert((100..200).map(|message| in_lane(message, "x")));
        loop {
            let leased = taken(&schedule, 0, 1000);
            if leased.is_empty() {
                break;
            }
            leased.into_iter().for_each(|(_, taken)| taken.lease.settle(None));
        }
        let index = schedule.lock();
        assert!(
            index.numbers.is_empty() && index.ready.is_empty() && index.expiry.is_empty() && index.lanes.is_empty()
        );
    }
}
