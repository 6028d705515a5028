//! Associated External Accounts of a dump: links that the directory refuses are left out, with a warning.

use std::collections::{HashMap, HashSet};

use acl::{Guid, Sid};

use super::{Importer, key, values};
use crate::attributes::MASTER_ACCOUNT_SID;
use crate::object::whole_sid;
use crate::{Class, ObjectId, dn, linked};

/// What a file says about the SIDs that a link must not have.
#[derive(Default)]
pub(super) struct Forests {
    /// The file has links at all.
    pub(super) are_wanted: bool,
    /// The forest root of each domain of the file, by their SIDs.
    roots: HashMap<Sid, Sid>,
    groups: HashSet<Sid>,
    /// SIDs that are linked so far, and by whom.
    taken: HashMap<Sid, Guid>,
}

impl Importer<'_> {
    /// Reads what links are held against, if there are any. `sources` are parents first.
    pub(super) fn note_forests(&mut self, sources: &[values::Source]) {
        if !self.forests.are_wanted {
            return;
        }
        let mut roots: HashMap<String, Sid> = HashMap::new();
        for source in sources {
            let Some(sid) = source.sid() else { continue };
            match source.class {
                Class::Group => drop(self.forests.groups.insert(sid)),
                Class::Domain => {
                    let above = (1..source.rdns.len()).map(|from| &source.rdns[from..]);
                    let root = above.clone().find_map(|rdns| roots.get(&key(rdns)).cloned()).or_else(|| {
                        let known = above.clone().find_map(|rdns| self.snapshot.by_dn(&dn::join(rdns)))?;
                        self.snapshot.forest_root(known).map(|root| root.sid.clone())
                    });
                    let root = root.unwrap_or_else(|| sid.clone());
                    roots.insert(key(&source.rdns), root.clone());
                    self.forests.roots.insert(sid, root);
                }
                _ => {}
            }
        }
    }

    /// Leaves out a link that the directory would refuse.
    pub(super) fn drop_refused_link(
        &mut self,
        source: &mut values::Source,
        guid: Guid,
        domain: Option<Guid>,
        own: Option<ObjectId>,
    ) {
        let linked = source.attributes.get(MASTER_ACCOUNT_SID).and_then(|values| whole_sid(values.first()?));
        let Some(sid) = linked.filter(|sid| *sid != acl::well_known::SELF) else { return };
        if let Some(reason) = self.refusal(&sid, guid, domain, own) {
            source.attributes.remove(MASTER_ACCOUNT_SID);
            let (line, name) = (source.line, source.dn.clone());
            self.warn(line, &name, format!("{MASTER_ACCOUNT_SID} left out: {reason}"));
        }
    }

    fn refusal(&mut self, sid: &Sid, guid: Guid, domain: Option<Guid>, own: Option<ObjectId>) -> Option<String> {
        let id = domain.and_then(|domain| self.snapshot.by_guid(&domain));
        match linked::check(self.snapshot, sid, id, own) {
            Ok(()) => {}
            Err(linked::Refusal::Unfit(reason)) => return Some(reason),
            Err(linked::Refusal::Taken(holder)) => {
                return Some(format!("{sid} is the external account of {} already", self.snapshot.dn(holder)));
            }
        }
        if self.forests.groups.contains(sid) {
            return Some(format!("{sid} is a group, not an account"));
        }
        let root_of = |domain: &Sid| self.forests.roots.get(domain).cloned().or_else(|| self.known_root(domain));
        let ours = self.domain_sid(domain).and_then(|domain| root_of(&domain));
        if ours.is_some() && sid.domain().and_then(|issuer| root_of(&issuer)) == ours {
            return Some(format!("{sid} is of the same forest; the external account must be from another one"));
        }
        let holder = *self.forests.taken.entry(sid.clone()).or_insert(guid);
        (holder != guid).then(|| format!("{sid} is the external account of another object of the file"))
    }

    /// The forest root of a domain that the directory has.
    fn known_root(&self, domain: &Sid) -> Option<Sid> {
        let known = self.snapshot.domains().iter().find(|known| known.sid == *domain)?;
        self.snapshot.forest_root(known.object).map(|root| root.sid.clone())
    }
}
