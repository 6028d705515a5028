//! Send As over a whole forest: one row for each entry that decides, fast.
//!
//! Objects share their descriptors: of a million owners some ten thousand differ. What an entry comes to depends on the
//! descriptor and on who the trustee is, and only for the owner itself on whose descriptor it is; so it is worked out
//! once for each descriptor and repeated for its owners.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use acl::{Outcome, Principals, Sid, SidId};
use directory::{Class, Descriptor, ObjectId, Snapshot};

use crate::table::RightName;
use crate::who::{Accounts, Via, expand, send_as_entries};

/// An entry that allows Send As to a trustee, effectively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// Its place in the DACL.
    pub index: usize,
    /// Whom it names.
    pub trustee: Sid,
    /// The trustee's object, if there is one.
    pub object: Option<ObjectId>,
    /// Where it is explicit; `None`: on the owner itself.
    pub origin: Option<ObjectId>,
}

/// Works out who has Send As by entries, and remembers it by descriptor. For one snapshot and one thread.
pub struct SendAsAudit<'a> {
    snapshot: &'a Snapshot,
    known: HashMap<Key, Known>,
    /// Accounts that a trustee may mean.
    accounts: HashMap<Sid, Arc<Accounts>>,
}

/// Descriptor (by its place in memory: the snapshot keeps it), parent and class: what entries and origins depend on.
type Key = (usize, Option<ObjectId>, Class);

struct Known {
    entries: Arc<[Deciding]>,
    /// Whom the entries name, in ascending order.
    named: Box<[SidId]>,
    people: Option<Arc<[ObjectId]>>,
}

impl<'a> SendAsAudit<'a> {
    /// An audit of a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> SendAsAudit<'a> {
        SendAsAudit { snapshot, known: HashMap::new(), accounts: HashMap::new() }
    }

    /// Entries of `owner`'s descriptor that allow Send As, effectively, the owner's own (SELF) left out, in the order of
    /// the DACL: the effective rows of [`who_can`](crate::who_can) that are entries and allow.
    pub fn entries(&mut self, owner: ObjectId) -> Arc<[Deciding]> {
        match self.shared(owner) {
            Some(known) => Arc::clone(&known.entries),
            None => work_out(self.snapshot, owner),
        }
    }

    /// Accounts other than the owner that those entries allow Send As, one by one, in ascending order.
    pub fn people(&mut self, owner: ObjectId) -> impl Iterator<Item = ObjectId> + use<> {
        let found = self.people_and_owner(owner).unwrap_or_else(|| Arc::new([]));
        (0..found.len()).map(move |at| found[at]).filter(move |account| *account != owner)
    }

    fn people_and_owner(&mut self, owner: ObjectId) -> Option<Arc<[ObjectId]>> {
        let descriptor = self.snapshot.descriptor(owner)?;
        let Some(known) = self.shared(owner) else {
            let entries = work_out(self.snapshot, owner);
            return Some(self.work_out_people(descriptor, self.snapshot.object(owner)?.sid(), &entries));
        };
        if let Some(people) = &known.people {
            return Some(Arc::clone(people));
        }
        let entries = Arc::clone(&known.entries);
        let people = self.work_out_people(descriptor, None, &entries);
        if let Some(known) = self.shared(owner) {
            known.people = Some(Arc::clone(&people));
        }
        Some(people)
    }

    /// What owners with this descriptor have in common; `None` for an owner that has rows of its own, because the token
    /// of somebody else holds its SID, or an entry names it.
    fn shared(&mut self, owner: ObjectId) -> Option<&mut Known> {
        let snapshot = self.snapshot;
        let object = snapshot.object(owner)?;
        let descriptor = snapshot.descriptor(owner)?;
        let own = object.sid();
        let in_others = matches!(object.class(), Class::Group | Class::ForeignPrincipal);
        if in_others || own.is_some_and(|own| snapshot.is_former_sid(own)) {
            return None;
        }
        let key = (std::ptr::from_ref(descriptor) as usize, object.parent(), object.class());
        let is_named = |named: &[SidId]| own.is_some_and(|own| named.binary_search(&own).is_ok());
        match self.known.entry(key) {
            Entry::Occupied(known) if is_named(&known.get().named) => None,
            Entry::Occupied(known) => Some(known.into_mut()),
            Entry::Vacant(place) => {
                let named = named(snapshot, descriptor);
                if is_named(&named) {
                    return None;
                }
                Some(place.insert(Known { entries: work_out(snapshot, owner), named, people: None }))
            }
        }
    }

    /// Whom the entries allow, the owner as its own SID says: none where that is in nobody else's token.
    fn work_out_people(
        &mut self,
        descriptor: &Descriptor,
        own: Option<SidId>,
        entries: &[Deciding],
    ) -> Arc<[ObjectId]> {
        let snapshot = self.snapshot;
        let mut candidates = Accounts::default();
        for entry in entries {
            let known = self.accounts.entry(entry.trustee.clone());
            let accounts = known.or_insert_with(|| Arc::new(expand(snapshot, &entry.trustee)));
            candidates.all |= accounts.all;
            candidates.some.extend(&accounts.some);
        }
        let owner_sid = descriptor.sd().owner.as_ref().and_then(|sid| snapshot.sid_id(sid));
        let allowed = |account: &ObjectId| -> bool {
            let Ok(token) = snapshot.account_token(*account) else { return false };
            let holds = |sid: Option<SidId>| sid.is_some_and(|sid| token.sids.contains(sid));
            let who = Principals { is_self: holds(own), is_owner: holds(owner_sid) };
            descriptor.dacl().control_access(&token.sids, who, &RightName::SendAs.guid()).outcome == Outcome::Allow
        };
        match candidates.all {
            true => snapshot.objects().map(|(id, _)| id).filter(allowed).collect(),
            false => candidates.some.into_iter().filter(allowed).collect(),
        }
    }
}

/// Whom a descriptor names, in ascending order.
fn named(snapshot: &Snapshot, descriptor: &Descriptor) -> Box<[SidId]> {
    let aces = descriptor.sd().dacl.iter().flat_map(|dacl| &dacl.aces);
    let named: BTreeSet<SidId> = aces.filter_map(|ace| snapshot.sid_id(&ace.sid)).collect();
    named.into_iter().collect()
}

fn work_out(snapshot: &Snapshot, owner: ObjectId) -> Arc<[Deciding]> {
    let rows = send_as_entries(snapshot, owner).into_iter();
    let wanted = rows.filter(|row| row.effective && row.object != Some(owner));
    wanted
        .filter_map(|row| match row.via {
            Via::Ace { index, deny: false, origin, .. } => Some(Deciding {
                index,
                trustee: row.trustee?,
                object: row.object,
                origin: (origin != owner).then_some(origin),
            }),
            _ => None,
        })
        .collect()
}
