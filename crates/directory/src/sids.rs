//! [`SidTable`]: SIDs by number, shared by all snapshots of one lineage.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use acl::{Sid, SidId};

use crate::index::hash;

/// Numbers are given once and never taken back, so that a number means the same in every snapshot. A SID costs about
/// 24 octets: its prefix (the domain) is stored once.
#[derive(Debug, Default)]
pub(crate) struct SidTable(RwLock<Inner>);

#[derive(Debug, Default)]
struct Inner {
    prefixes: Vec<Sid>,
    prefix_numbers: HashMap<Sid, u32>,
    /// Prefix and last sub-authority; a SID without sub-authorities is its own prefix.
    entries: Vec<(u32, Option<u32>)>,
    by_hash: HashMap<u64, SidId, foldhash::fast::FixedState>,
    /// Those whose hash was taken.
    collisions: Vec<SidId>,
}

impl SidTable {
    /// The number of a SID, a new one when it has none.
    pub(crate) fn intern(&self, sid: &Sid) -> SidId {
        if let Some(id) = self.get(sid) {
            return id;
        }
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = inner.find(sid) {
            return id;
        }
        let (prefix, rid) = match (sid.domain(), sid.rid()) {
            (Some(prefix), Some(rid)) => (prefix, Some(rid)),
            _ => (sid.clone(), None),
        };
        let next = inner.prefixes.len() as u32;
        let number = *inner.prefix_numbers.entry(prefix.clone()).or_insert(next);
        if number == next {
            inner.prefixes.push(prefix);
        }
        let id = SidId(inner.entries.len() as u32);
        inner.entries.push((number, rid));
        if *inner.by_hash.entry(hash(sid)).or_insert(id) != id {
            inner.collisions.push(id);
        }
        id
    }

    /// The number of a SID that has one.
    pub(crate) fn get(&self, sid: &Sid) -> Option<SidId> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).find(sid)
    }

    /// The SID of a number of this table; the null SID for a foreign number.
    pub(crate) fn sid(&self, id: SidId) -> Sid {
        self.0.read().unwrap_or_else(PoisonError::into_inner).sid(id)
    }
}

impl Inner {
    fn find(&self, sid: &Sid) -> Option<SidId> {
        let first = self.by_hash.get(&hash(sid)).copied()?;
        if self.sid(first) == *sid {
            return Some(first);
        }
        self.collisions.iter().copied().find(|id| self.sid(*id) == *sid)
    }

    fn sid(&self, id: SidId) -> Sid {
        let Some((prefix, rid)) = self.entries.get(id.0 as usize) else { return acl::well_known::NULL };
        let prefix = &self.prefixes[*prefix as usize];
        match rid {
            None => prefix.clone(),
            Some(rid) => {
                let mut subs: smallvec::SmallVec<[u32; 15]> = prefix.sub_authorities().into();
                subs.push(*rid);
                Sid::from_parts(prefix.authority(), &subs).unwrap_or(acl::well_known::NULL)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_gives_back_its_sid() {
        let table = SidTable::default();
        let sids = ["S-1-5-10", "S-1-5-32-544", "S-1-5-21-1-2-3-500", "S-1-5-21-1-2-3-501", "S-1-1-0"];
        let sids: Vec<Sid> = sids.iter().map(|text| text.parse().unwrap()).collect();
        let ids: Vec<SidId> = sids.iter().map(|sid| table.intern(sid)).collect();
        for (sid, id) in sids.iter().zip(&ids) {
            assert_eq!(table.sid(*id), *sid);
            assert_eq!(table.intern(sid), *id);
            assert_eq!(table.get(sid), Some(*id));
        }
        assert_eq!(table.get(&"S-1-5-11".parse().unwrap()), None);
    }
}
