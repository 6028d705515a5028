//! [`Index`]: keys to rows, several rows for a key allowed; large sorted runs that snapshots share, and a small overlay.
//!
//! Keys are 64-bit: a hash of what is looked up (the caller compares the row itself), or two row numbers. An entry
//! costs 12 octets, and there is no copy of any name.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use smallvec::SmallVec;

/// Entries that the overlay may hold between batches.
const OVERLAY: usize = 512;
/// Entries that it may hold within a batch.
const OVERLAY_IN_BATCH: usize = 1 << 15;
/// Marks an id as removed.
const REMOVED: u32 = 1 << 31;

/// Rows found; one, nearly always.
pub(crate) type Rows = SmallVec<[u32; 4]>;

/// A hash that is the same in the whole process.
pub(crate) fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    foldhash::fast::FixedState::with_seed(0x70726f63757261).hash_one(value)
}

/// A multimap from 64-bit keys to rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Oldest and largest first.
    runs: Vec<Arc<Run>>,
    /// Newest: present or removed.
    overlay: Arc<BTreeMap<(u64, u32), bool>>,
}

/// Rows with newer entries over them, both in ascending order.
fn overlaid(rows: Rows, newer: impl Iterator<Item = (u32, bool)>) -> Rows {
    let mut newer = newer.peekable();
    if newer.peek().is_none() {
        return rows;
    }
    let mut merged = Rows::with_capacity(rows.len());
    let mut older = rows.into_iter().peekable();
    for (id, present) in newer {
        while let Some(row) = older.next_if(|row| *row < id) {
            merged.push(row);
        }
        older.next_if_eq(&id);
        if present {
            merged.push(id);
        }
    }
    merged.extend(older);
    merged
}

/// Sorted by key, then id.
#[derive(Debug, Default)]
struct Run {
    keys: Vec<u64>,
    /// With [`REMOVED`] where an older run's entry is masked.
    ids: Vec<u32>,
}

impl Index {
    /// Builds an index in one go.
    pub(crate) fn from_entries(mut entries: Vec<(u64, u32)>) -> Index {
        entries.sort_unstable();
        entries.dedup();
        let mut run = Run { keys: Vec::with_capacity(entries.len()), ids: Vec::with_capacity(entries.len()) };
        for (key, id) in entries {
            run.keys.push(key);
            run.ids.push(id);
        }
        Index { runs: if run.keys.is_empty() { Vec::new() } else { vec![Arc::new(run)] }, overlay: Arc::default() }
    }

    /// All rows of a key, in ascending order.
    pub(crate) fn get(&self, key: u64) -> Rows {
        // One run and nothing newer, as a directory has that was just loaded.
        if let ([run], true) = (&self.runs[..], self.overlay.is_empty()) {
            let start = run.keys.partition_point(|entry| *entry < key);
            let same = run.keys[start..].iter().zip(&run.ids[start..]).take_while(|(entry, _)| **entry == key);
            return same.map(|(_, id)| *id).collect();
        }
        let mut rows = Rows::new();
        for run in &self.runs {
            let start = run.keys.partition_point(|entry| *entry < key);
            let count = run.keys[start..].iter().take_while(|entry| **entry == key).count();
            let entries = run.ids[start..start + count].iter().map(|id| (id & !REMOVED, id & REMOVED == 0));
            rows = overlaid(rows, entries);
        }
        if !self.overlay.is_empty() {
            let entries = self.overlay.range((key, 0)..=(key, u32::MAX)).map(|((_, id), present)| (*id, *present));
            rows = overlaid(rows, entries);
        }
        rows
    }

    /// All entries, in ascending order.
    pub(crate) fn entries(&self) -> Vec<(u64, u32)> {
        if let ([run], true) = (&self.runs[..], self.overlay.is_empty()) {
            return run.keys.iter().copied().zip(run.ids.iter().copied()).collect();
        }
        self.keys(0, u64::MAX).flat_map(|key| self.get(key).into_iter().map(move |id| (key, id))).collect()
    }

    /// Nothing was ever put in?
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.overlay.is_empty()
    }

    /// Keys from `from` up to `to`, in ascending order, each once. Some may have no rows any more.
    pub(crate) fn keys(&self, from: u64, to: u64) -> impl Iterator<Item = u64> + '_ {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let at = next?;
            let in_run = |run: &Arc<Run>| run.keys.get(run.keys.partition_point(|key| *key < at)).copied();
            let in_runs = self.runs.iter().filter_map(in_run).min();
            let in_overlay = self.overlay.range((at, 0)..).next().map(|((key, _), _)| *key);
            let key = in_runs.into_iter().chain(in_overlay).min().filter(|key| *key <= to)?;
            next = key.checked_add(1);
            Some(key)
        })
    }

    /// Whether the entry is there.
    pub(crate) fn contains(&self, key: u64, id: u32) -> bool {
        if let Some(present) = self.overlay.get(&(key, id)) {
            return *present;
        }
        self.runs.iter().rev().find_map(|run| run.find(key, id)).unwrap_or(false)
    }

    /// Keys with several rows, of an index that was built in one go.
    pub(crate) fn repeated(&self) -> impl Iterator<Item = &[u32]> + '_ {
        self.runs.first().into_iter().flat_map(|run| {
            let mut at = 0;
            std::iter::from_fn(move || {
                while at + 1 < run.keys.len() {
                    let start = at;
                    at += run.keys[start..].iter().take_while(|key| **key == run.keys[start]).count();
                    if at - start > 1 {
                        return Some(&run.ids[start..at]);
                    }
                }
                None
            })
        })
    }

    /// Adds an entry; nothing happens if it is there.
    pub(crate) fn insert(&mut self, key: u64, id: u32) {
        self.write(key, id, true);
    }

    /// Removes an entry; nothing happens if it is not there.
    pub(crate) fn remove(&mut self, key: u64, id: u32) {
        self.write(key, id, false);
    }

    /// Between batches: keeps the overlay small, so that copying it costs little.
    pub(crate) fn settle(&mut self) {
        if self.overlay.len() > OVERLAY {
            self.freeze();
        }
    }

    fn write(&mut self, key: u64, id: u32, present: bool) {
        let in_runs = self.runs.iter().rev().find_map(|run| run.find(key, id)).unwrap_or(false);
        let overlay = Arc::make_mut(&mut self.overlay);
        if in_runs == present {
            overlay.remove(&(key, id));
        } else {
            overlay.insert((key, id), present);
        }
        if overlay.len() > OVERLAY_IN_BATCH {
            self.freeze();
        }
    }

    /// Makes the overlay a run, and merges runs until each is at least four times as long as the next.
    fn freeze(&mut self) {
        let overlay = std::mem::take(&mut self.overlay);
        let mut newest = Run {
            keys: overlay.keys().map(|(key, _)| *key).collect(),
            ids: overlay.iter().map(|((_, id), present)| if *present { *id } else { id | REMOVED }).collect(),
        };
        while let Some(older) = self.runs.last() {
            if older.keys.len() > newest.keys.len() * 4 {
                break;
            }
            newest = Run::merge(older, &newest, self.runs.len() == 1);
            self.runs.pop();
        }
        if !newest.keys.is_empty() {
            self.runs.push(Arc::new(newest));
        }
    }
}

impl Run {
    /// Whether the run says that the entry is present, or removed.
    fn find(&self, key: u64, id: u32) -> Option<bool> {
        let start = self.keys.partition_point(|entry| *entry < key);
        let count = self.keys[start..].partition_point(|entry| *entry == key);
        let ids = &self.ids[start..start + count];
        let at = ids.partition_point(|entry| entry & !REMOVED < id);
        ids.get(at).filter(|entry| *entry & !REMOVED == id).map(|entry| entry & REMOVED == 0)
    }

    /// Both in one; where they speak of the same entry, `newer` is right. `last`: nothing is older, so removals are
    /// done with.
    fn merge(older: &Run, newer: &Run, last: bool) -> Run {
        let total = older.keys.len() + newer.keys.len();
        let mut merged = Run { keys: Vec::with_capacity(total), ids: Vec::with_capacity(total) };
        let mut put = |key: u64, id: u32| {
            if !last || id & REMOVED == 0 {
                merged.keys.push(key);
                merged.ids.push(id);
            }
        };
        let (mut a, mut b) = (0, 0);
        while a < older.keys.len() && b < newer.keys.len() {
            let left = (older.keys[a], older.ids[a] & !REMOVED);
            let right = (newer.keys[b], newer.ids[b] & !REMOVED);
            if left < right {
                put(older.keys[a], older.ids[a]);
                a += 1;
            } else {
                put(newer.keys[b], newer.ids[b]);
                a += usize::from(left == right);
                b += 1;
            }
        }
        older.keys[a..].iter().zip(&older.ids[a..]).for_each(|(key, id)| put(*key, *id));
        newer.keys[b..].iter().zip(&newer.ids[b..]).for_each(|(key, id)| put(*key, *id));
        merged
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_index_holds_what_a_set_of_pairs_holds(
            base in prop::collection::vec((0u64..40, 0u32..40), 0..200),
            writes in prop::collection::vec((any::<bool>(), 0u64..40, 0u32..40, 0u8..20), 0..400),
        ) {
            let mut set: BTreeSet<(u64, u32)> = base.iter().copied().collect();
            let mut index = Index::from_entries(base);
            for (present, key, id, freeze) in writes {
                if present {
                    set.insert((key, id));
                    index.insert(key, id);
                } else {
                    set.remove(&(key, id));
                    index.remove(key, id);
                }
                if freeze == 0 {
                    index.freeze();
                }
            }
            for key in 0..40 {
                let expected: Vec<u32> = set.range((key, 0)..=(key, u32::MAX)).map(|(_, id)| *id).collect();
                prop_assert_eq!(index.get(key).to_vec(), expected);
            }
            let keys: Vec<u64> = index.keys(3, 30).filter(|key| !index.get(*key).is_empty()).collect();
            let expected: BTreeSet<u64> = set.range((3, 0)..=(30, u32::MAX)).map(|(key, _)| *key).collect();
            prop_assert_eq!(keys, expected.into_iter().collect::<Vec<_>>());
            for (key, id) in &set {
                prop_assert!(index.contains(*key, *id));
            }
            prop_assert_eq!(index.entries(), set.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_copy_does_not_see_later_writes() {
        let old = Index::from_entries(vec![(1, 1), (2, 2)]);
        let mut new = old.clone();
        new.remove(1, 1);
        new.insert(3, 3);
        assert_eq!(old.get(1).to_vec(), [1]);
        assert!(old.get(3).is_empty());
        assert!(new.get(1).is_empty());
        assert_eq!(new.get(3).to_vec(), [3]);
    }
}
