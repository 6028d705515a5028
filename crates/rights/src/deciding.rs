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

/// An account that entries allow Send As.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The account.
    pub account: ObjectId,
    /// Place of the entry that decides in the DACL; `None` where there is no DACL.
    pub ace: Option<u32>,
}

/// Whom the entries of an owner's descriptor allow Send As, one by one.
#[derive(Clone, Debug)]
pub struct People {
    /// In ascending order of accounts; the owner is among them where an entry allows a group of its or everybody.
    pub allowed: Arc<[Allowed]>,
    /// Owners with the same descriptor, parent and class have the same people.
    pub shared: bool,
}

/// Works out who has Send As by entries, and remembers it by descriptor. For one snapshot and one thread.
pub struct SendAsAudit<'a> {
    snapshot: &'a Snapshot,
    known: HashMap<Key, Known>,
    /// Accounts that a trustee may mean.
    accounts: HashMap<Sid, Arc<Accounts>>,
    /// Number of people in `known`.
    kept: usize,
    /// Number of accounts in `accounts`.
    gathered: usize,
}

/// People that are remembered at most; owners with the same descriptor mostly stand together.
const MAX_KEPT: usize = 4 << 20;

/// Descriptor (by its place in memory: the snapshot keeps it), parent and class: what entries and origins depend on.
type Key = (usize, Option<ObjectId>, Class);

struct Known {
    entries: Arc<[Deciding]>,
    /// Whom the entries name, in ascending order.
    named: Box<[SidId]>,
    people: Option<Arc<[Allowed]>>,
}

impl<'a> SendAsAudit<'a> {
    /// An audit of a snapshot.
    pub fn new(snapshot: &'a Snapshot) -> SendAsAudit<'a> {
        SendAsAudit { snapshot, known: HashMap::new(), accounts: HashMap::new(), kept: 0, gathered: 0 }
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
        let found = self.allowed(owner).allowed;
        (0..found.len()).map(move |at| found[at].account).filter(move |account| *account != owner)
    }

    /// Whether an owner's people are those of others with the same descriptor, parent and class.
    pub fn is_shared(&mut self, owner: ObjectId) -> bool {
        self.shared(owner).is_some()
    }

    /// The same with the entry that decides, as owners have them in common.
    pub fn allowed(&mut self, owner: ObjectId) -> People {
        let nobody = || People { allowed: Arc::new([]), shared: false };
        if self.snapshot.descriptor(owner).is_none() {
            return nobody();
        }
        let Some(known) = self.shared(owner) else {
            let Some(object) = self.snapshot.object(owner) else { return nobody() };
            let entries = work_out(self.snapshot, owner);
            // SELF means whoever holds the owner's SID, and so does an entry that names the owner.
            let own = object.sid().map(|own| expand(self.snapshot, &self.snapshot.sid(own)));
            let allowed = self.work_out_people(owner, object.sid(), &entries, own.unwrap_or_default());
            return People { allowed, shared: false };
        };
        if let Some(people) = &known.people {
            return People { allowed: Arc::clone(people), shared: true };
        }
        let entries = Arc::clone(&known.entries);
        let people = self.work_out_people(owner, None, &entries, Accounts::default());
        if self.kept > MAX_KEPT {
            self.kept = 0;
            self.known.values_mut().for_each(|known| known.people = None);
        }
        self.kept += people.len();
        if let Some(known) = self.shared(owner) {
            known.people = Some(Arc::clone(&people));
        }
        People { allowed: people, shared: true }
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
        owner: ObjectId,
        own: Option<SidId>,
        entries: &[Deciding],
        mut candidates: Accounts,
    ) -> Arc<[Allowed]> {
        let snapshot = self.snapshot;
        let Some(descriptor) = snapshot.descriptor(owner) else { return Arc::default() };
        if self.gathered > MAX_KEPT {
            self.gathered = 0;
            self.accounts.clear();
        }
        for entry in entries {
            let known = self.accounts.entry(entry.trustee.clone());
            let gathered = &mut self.gathered;
            let accounts = known.or_insert_with(|| {
                let accounts = Arc::new(expand(snapshot, &entry.trustee));
                *gathered += accounts.some.len();
                accounts
            });
            candidates.all |= accounts.all;
            candidates.some.extend(&accounts.some);
        }
        let owner_sid = descriptor.sd().owner.as_ref().and_then(|sid| snapshot.sid_id(sid));
        let allowed = |account: ObjectId| {
            let token = snapshot.account_token(account).ok()?;
            let sids = token.sids_on(snapshot, owner);
            let holds = |sid: Option<SidId>| sid.is_some_and(|sid| sids.contains(sid));
            let who = Principals { is_self: holds(own), is_owner: holds(owner_sid) };
            let decision = descriptor.dacl().control_access(sids, who, &RightName::SendAs.guid());
            (decision.outcome == Outcome::Allow)
                .then_some(Allowed { account, ace: decision.ace.and_then(|ace| u32::try_from(ace).ok()) })
        };
        match candidates.all {
            true => snapshot.objects().filter_map(|(id, _)| allowed(id)).collect(),
            false => candidates.some.into_iter().filter_map(allowed).collect(),
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
