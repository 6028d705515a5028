//! Links between domains that are open: the object that a link leads to was not there when the link was read, or is there no
//! more, and may be read with its own domain later (it was read after, was moved from one domain to another, made anew).

use std::collections::{BTreeMap, BTreeSet};

use acl::Guid;
use directory::{ObjectId, Snapshot, parse_link};

use crate::controller;
use crate::mirror::{Wanted, is_link};

/// Objects whose links led to nothing.
#[derive(Debug, Default)]
pub(crate) struct Loose {
    /// By what they led to.
    open: BTreeMap<Guid, BTreeSet<Guid>>,
    /// At which version of the snapshot that was last looked at, by domain.
    seen: BTreeMap<Guid, u64>,
}

/// Objects with open links that are kept; beyond, the next comparison of the whole domain ties them.
const MOST: usize = 200_000;

impl Loose {
    /// Notes what is open after a change.
    pub(crate) fn note(&mut self, before: &Snapshot, after: &Snapshot, wanted: &Wanted<'_>) {
        let there = || wanted.found.iter().filter(|found| !found.deleted);
        if !self.open.is_empty() {
            let read: BTreeSet<Guid> = there().map(|found| found.guid).collect();
            self.open.retain(|_, sources| {
                sources.retain(|source| !read.contains(source));
                !sources.is_empty()
            });
        }
        for found in there() {
            let links = found.attributes.iter().filter(|(name, _)| is_link(name)).flat_map(|(_, values)| values);
            let targets = links.filter_map(|value| parse_link(value));
            targets.filter(|target| after.by_guid(target).is_none()).for_each(|target| self.add(target, found.guid));
        }
        // What links led to may be gone, or be another object of the same objectGUID, which came from another domain.
        for target in wanted.gone.iter().copied().chain(wanted.found.iter().map(|found| found.guid)) {
            let Some(id) = before.by_guid(&target) else { continue };
            let sources = sources(before, id);
            if sources.is_empty() {
                continue;
            }
            let still = after.by_guid(&target).map(|id| self::sources(after, id)).unwrap_or_default();
            sources.difference(&still).for_each(|source| self.add(target, *source));
        }
    }

    /// Objects of a domain that have to be read again: what they lead to is there by now.
    pub(crate) fn ready(&mut self, snapshot: &Snapshot, domain: &Guid) -> Vec<Guid> {
        if self.open.is_empty() || self.seen.insert(*domain, snapshot.version()) == Some(snapshot.version()) {
            return Vec::new();
        }
        let mut ready = BTreeSet::new();
        self.open.retain(|target, sources| {
            if snapshot.by_guid(target).is_none() {
                return true;
            }
            sources.retain(|source| {
                let Some(id) = snapshot.by_guid(source) else { return false };
                let is_here = snapshot.domain_of(id).and_then(|domain| snapshot.object(domain.object));
                let is_here = is_here.is_some_and(|object| object.guid() == *domain);
                if is_here {
                    ready.insert(*source);
                }
                !is_here
            });
            !sources.is_empty()
        });
        ready.into_iter().collect()
    }

    fn add(&mut self, target: Guid, source: Guid) {
        if self.open.len() < MOST || self.open.contains_key(&target) {
            self.open.entry(target).or_default().insert(source);
            // Nothing may have changed since it was looked at, and this is new all the same.
            self.seen.clear();
        }
    }
}

/// Objects with a link to this one.
fn sources(snapshot: &Snapshot, id: ObjectId) -> BTreeSet<Guid> {
    let all = controller::links().flat_map(|name| snapshot.linked_from(id, name));
    all.filter_map(|id| snapshot.object(id)).map(|object| object.guid()).collect()
}
