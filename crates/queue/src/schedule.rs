//! What is due when: a small index in memory over the deliveries in the database.
//!
//! A delivery is a pair of message and destination. It waits, or it is leased. Leases live in memory only: when the
//! process dies, everything waits again.

mod index;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::pace::{Limits, Shares};
use crate::{DestinationState, Millis};
use index::{Destination, EntryState, Index};

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
