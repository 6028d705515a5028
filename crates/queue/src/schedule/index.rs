//! What the schedule knows: deliveries, their destinations, and whose turn it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::Millis;
use crate::pace::{Pace, Shares};

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) entries: BTreeMap<(i64, u32), Entry>,
    pub(super) numbers: HashMap<Arc<str>, u32>,
    pub(super) destinations: Vec<Option<Destination>>,
    pub(super) free: Vec<u32>,
    /// Destinations that may have a delivery, by the time from which they may; by [`Kind`].
    pub(super) ready: [BTreeSet<(Millis, u32)>; 3],
    /// Waiting deliveries by the time at which their message expires.
    pub(super) expiry: BTreeSet<(Millis, i64, u32)>,
    /// By destination and lane.
    pub(super) lanes: HashMap<(u32, u64), Lane>,
    pub(super) leased: u64,
    /// ... of destinations that may stall.
    pub(super) leased_far: u64,
    /// Destinations that have a lease, by [`Kind`].
    pub(super) busy: [u32; 3],
    pub(super) shares: Shares,
    /// The newest message that there was when the time was last looked at.
    pub(super) newest: (i64, i64),
}

/// Who goes first when leases are scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Does not stall.
    Near,
    /// Has lately taken a message.
    Proven,
    /// Nothing is known of it, or nothing good.
    Unknown,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) when: Millis,
    pub(super) expires: Millis,
    pub(super) lanes: Vec<(u32, u64)>,
    pub(super) state: EntryState,
}

/// The messages of one lane that go to one destination: it is the turn of the first. Most lanes have one.
#[derive(Debug)]
pub(super) enum Lane {
    One(i64),
    Several(BTreeSet<i64>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryState {
    Waiting,
    /// Waiting for its turn in its lanes.
    Parked,
    Leased,
    /// Leased, and held or removed meanwhile: forgotten when the lease ends.
    LeasedAndGone,
}

#[derive(Debug)]
pub(super) struct Destination {
    pub(super) name: Arc<str>,
    pub(super) waiting: BTreeSet<(Millis, i64)>,
    pub(super) leased: u32,
    pub(super) failures: u32,
    pub(super) not_before: Millis,
    pub(super) reason: String,
    pub(super) near: bool,
    pub(super) pace: Pace,
    /// Its key in [`Index::ready`].
    pub(super) ready: Option<(Kind, Millis)>,
    /// Where in [`Index::busy`] it counts.
    pub(super) busy: Option<Kind>,
}

impl Index {
    pub(super) fn number(&mut self, name: &str) -> u32 {
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

    pub(super) fn destination(&mut self, number: u32) -> Option<&mut Destination> {
        self.destinations.get_mut(number as usize).and_then(Option::as_mut)
    }

    pub(super) fn insert(
        &mut self,
        message: i64,
        number: u32,
        (when, expires): (Millis, Millis),
        lanes: Vec<(u32, u64)>,
    ) {
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
    pub(super) fn enter_lane(&mut self, number: u32, lane: u64, message: i64) {
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
    pub(super) fn has_turn(&self, number: u32, lanes: &[(u32, u64)], message: i64) -> bool {
        let is_first = |lane: &u64| self.lanes.get(&(number, *lane)).and_then(Lane::first) == Some(message);
        lanes.iter().all(|(_, lane)| is_first(lane))
    }

    /// It is not the message's turn any more.
    pub(super) fn park(&mut self, message: i64, number: u32) {
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
    pub(super) fn leave_lane(&mut self, number: u32, lane: u64, message: i64) {
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
    pub(super) fn stop_waiting(&mut self, message: i64, number: u32) {
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

    pub(super) fn forget(&mut self, message: i64, number: u32) {
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
    pub(super) fn next(&mut self, now: Millis) -> Option<(i64, u32, bool)> {
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
    pub(super) fn open(&self) -> impl Iterator<Item = &BTreeSet<(Millis, u32)>> {
        let far = u64::from(self.shares.far);
        let proven = self.leased_far < far;
        // A quarter is kept for those that are known to answer.
        let unknown = self.leased_far < far - far / 4;
        self.ready.iter().zip([true, proven, unknown]).filter(|(_, open)| *open).map(|(set, _)| set)
    }

    pub(super) fn lease(&mut self, message: i64, number: u32, now: Millis) {
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
    pub(super) fn settle(&mut self, message: i64, number: u32, when: Option<Millis>, done: &[u32]) {
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
    pub(super) fn settle_destination(&mut self, number: u32) {
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
    pub(super) fn first(&self) -> Option<i64> {
        match self {
            Lane::One(message) => Some(*message),
            Lane::Several(messages) => messages.first().copied(),
        }
    }

    pub(super) fn insert(&mut self, message: i64) {
        match self {
            Lane::One(only) if *only == message => {}
            Lane::One(only) => *self = Lane::Several(BTreeSet::from([*only, message])),
            Lane::Several(messages) => {
                messages.insert(message);
            }
        }
    }

    /// Without this message, the first; `None`: nobody is left.
    pub(super) fn remove(&mut self, message: i64) -> Option<i64> {
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
    pub(super) fn kind(&self) -> Kind {
        match (self.near, self.pace.is_proven()) {
            (true, _) => Kind::Near,
            (false, true) => Kind::Proven,
            (false, false) => Kind::Unknown,
        }
    }
}
