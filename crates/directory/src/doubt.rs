//! What is held of domains that are kept elsewhere, and is not known to be so now: domains that were not heard of for too
//! long, and domains of which only a global catalog tells (`authorization.md` §4: a directory that cannot answer within its
//! staleness bound neither grants nor refuses).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use acl::{Guid, Sid};
use roaring::RoaringBitmap;

use crate::index::hash;
use crate::object::Which;
use crate::{Class, GroupScope, GroupType, Object, ObjectId, Snapshot};

/// Domains of which not everything is known, by objectGUID of the domain object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// Not heard of for too long: nothing of them is known, and no group that has members there.
    pub stale: BTreeSet<Guid>,
    /// Read from a global catalog: who is in their global and domain-local groups is unknown, and when their accounts end
    /// (MS-ADTS 3.1.1.1.9, partial replica). So are these attributes of their objects, which it does not hold.
    pub partial: BTreeMap<Guid, BTreeSet<String>>,
}

impl Doubt {
    /// Whether everything is known.
    pub fn is_none(&self) -> bool {
        self.stale.is_empty() && self.partial.is_empty()
    }
}

impl Snapshot {
    /// What is not known. All the rest is; [`Snapshot::is_out_of_date`] says that nothing is.
    pub fn doubt(&self) -> &Doubt {
        &self.doubt
    }

    /// The same directory, with these doubts. Snapshots that follow from it have them too.
    pub fn doubting(mut self, doubt: Doubt) -> Snapshot {
        // Which groups are uncertain stands with the tokens.
        self.tokens = Arc::new(self.tokens.next());
        self.doubt = Arc::new(doubt);
        self
    }

    /// Whether an object is of a domain that was not heard of for too long. Objects of the configuration are our own.
    pub fn is_stale(&self, id: ObjectId) -> bool {
        !self.doubt.stale.is_empty() && self.elsewhere(id).is_some_and(|domain| self.doubt.stale.contains(&domain))
    }

    /// Whether the account is known to exist and to be enabled, and its groups are known.
    pub fn is_account_known(&self, account: ObjectId) -> bool {
        let is_known = |domain: &Guid| !self.doubt.stale.contains(domain) && !self.doubt.partial.contains_key(domain);
        self.doubt.is_none() || self.elsewhere(account).is_none_or(|domain| is_known(&domain))
    }

    /// Whether an attribute of an object is one that the global catalog, which is all that tells of the object, does not hold.
    pub fn lacks(&self, id: ObjectId, attribute: &str) -> bool {
        !self.doubt.partial.is_empty()
            && self
                .elsewhere(id)
                .and_then(|domain| self.doubt.partial.get(&domain))
                .is_some_and(|attributes| attributes.contains(attribute))
    }

    /// Whether it is unknown which accounts of known domains hold a SID on an object.
    pub fn is_uncertain(&self, sid: &Sid, on: ObjectId) -> bool {
        if self.doubt.is_none() {
            return false;
        }
        let place = self.domain_of(on).map(|domain| domain.object);
        let uncertain = |group: ObjectId| self.has_uncertain_members(group) && self.counts_in(group, place);
        let former = |object: &Object| object.sid_history().any(|former| former == *sid);
        match self.principal_on(sid, on) {
            Some(principal) if uncertain(principal) => true,
            Some(_) => self.find_all(Which::SidHistory, hash(sid), former).into_iter().any(uncertain),
            // A group that is newer than what was heard of its domain.
            None => self.domains().iter().any(|domain| {
                sid.domain().as_ref() == Some(&domain.sid)
                    && self.object(domain.object).is_some_and(|domain| self.doubt.stale.contains(&domain.guid()))
            }),
        }
    }

    /// Whether it is unknown which accounts of known domains are in a group of any type, directly or through others.
    pub fn has_uncertain_members(&self, group: ObjectId) -> bool {
        !self.doubt.is_none() && self.tokens.uncertain.get_or_init(|| self.uncertain_groups()).contains(group.0)
    }

    /// Groups of stale domains, domain-local ones of domains that a catalog tells of, and all that these are in.
    fn uncertain_groups(&self) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        let doubtful = |guid: &Guid| self.doubt.stale.contains(guid) || self.doubt.partial.contains_key(guid);
        let domains = self.domains().iter().map(|domain| domain.object);
        let domains = domains.filter(|id| self.object(*id).is_some_and(|domain| doubtful(&domain.guid())));
        let mut stack: Vec<ObjectId> = domains.flat_map(|domain| self.subtree(domain)).collect();
        stack.retain(|id| {
            let Some(object) = self.object(*id).filter(|object| object.class() == Class::Group) else { return false };
            // A global group has members of its own domain only, whose accounts are unknown altogether.
            let is_local = object.group_type().map(GroupType::scope) == Some(GroupScope::DomainLocal);
            self.is_stale(*id) || is_local
        });
        while let Some(id) = stack.pop() {
            if found.insert(id.0) {
                stack.extend(self.member_of(id));
            }
        }
        found
    }

    /// The domain of an object that is not of the configuration.
    fn elsewhere(&self, id: ObjectId) -> Option<Guid> {
        let path = self.path(id);
        let at = path.iter().filter_map(|id| self.object(*id));
        let above =
            at.take_while(|object| object.class() != Class::Configuration).find(|o| o.class() == Class::Domain)?;
        Some(above.guid())
    }
}
