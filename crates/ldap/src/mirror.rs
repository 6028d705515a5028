//! From what a domain controller holds to changes of our directory: what it says counts, whatever we had.
//!
//! Nothing here widens a right by accident: an object that cannot be taken over becomes unreadable, and an object that is
//! gone there goes here. Attributes that the domain does not keep (mailboxes and their descriptors, where the forest has
//! no Exchange schema) are ours and stay.

use std::collections::{BTreeSet, HashMap, HashSet};

use acl::{Guid, SecurityDescriptor, Sid};
use directory::{
    Applied, Change, ChangeBatch, ChangeError, ChangeLog, Class, ObjectId, Record, Snapshot, Time, Value,
    attributes as a, dn, parse_link,
};

use crate::found::Found;

/// What is to be made of a domain.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// objectGUID of the domain.
    pub domain: Guid,
    /// Attributes that the domain controller gives; others of its objects are ours.
    pub theirs: &'a BTreeSet<String>,
    /// Objects as they are there.
    pub found: &'a [Found],
    /// Objects that are no longer there.
    pub gone: &'a [Guid],
    /// `found` is the whole domain: what is not in it is gone.
    pub whole: bool,
}

/// The changes that make the snapshot what is wanted, in an order in which they can be made; none: it is so.
///
/// Some of them may be possible only after others (a name that is taken until its holder has another one): make what can
/// be made with [`make`], then ask again.
pub fn changes(snapshot: &Snapshot, wanted: &Wanted<'_>) -> Vec<Change> {
    let mut planning = Planning {
        snapshot,
        wanted,
        found: wanted.found.iter().filter(|found| !found.deleted).map(|found| (found.guid, found)).collect(),
        names: HashMap::new(),
        places: Vec::new(),
        others: Vec::new(),
        links: Vec::new(),
    };
    for found in planning.found.values() {
        if let Ok(rdns) = dn::parse(&found.dn) {
            planning.names.insert(key(&rdns), found.guid);
        }
    }
    planning.leave_out();
    let mut changes = planning.deletions();
    for found in wanted.found.iter().filter(|found| !found.deleted) {
        planning.object(found);
    }
    let Planning { mut places, others, links, .. } = planning;
    // Parents before children.
    places.sort_by_key(|(depth, _)| *depth);
    changes.extend(places.into_iter().map(|(_, change)| change));
    changes.extend(others);
    changes.extend(links);
    changes
}

struct Planning<'a> {
    snapshot: &'a Snapshot,
    wanted: &'a Wanted<'a>,
    found: HashMap<Guid, &'a Found>,
    /// By the key of the DN.
    names: HashMap<String, Guid>,
    /// New objects and moves, with how deep they are.
    places: Vec<(usize, Change)>,
    others: Vec<Change>,
    links: Vec<Change>,
}

impl Planning<'_> {
    /// Objects that are not held and cannot be, because what they are below may not be seen, are not there: neither is what is
    /// below them, and a link to them leads to nothing.
    fn leave_out(&mut self) {
        loop {
            let new = self.found.values().filter(|found| self.snapshot.by_guid(&found.guid).is_none());
            let is_nowhere = |found: &&Found| {
                let rdns = dn::parse(&found.dn).unwrap_or_default();
                found.guid != self.wanted.domain && (rdns.is_empty() || self.parent(found, &rdns).is_none())
            };
            let nowhere: HashSet<Guid> = new.copied().filter(is_nowhere).map(|found| found.guid).collect();
            if nowhere.is_empty() {
                return;
            }
            self.found.retain(|guid, _| !nowhere.contains(guid));
            self.names.retain(|_, guid| !nowhere.contains(guid));
        }
    }

    /// What is gone goes, from the leaves up; what still stands below it is moved first, so it waits for the next round.
    fn deletions(&self) -> Vec<Change> {
        let snapshot = self.snapshot;
        let mut gone: HashSet<ObjectId> = self.wanted.gone.iter().filter_map(|guid| snapshot.by_guid(guid)).collect();
        gone.extend(
            self.wanted.found.iter().filter(|found| found.deleted).filter_map(|found| snapshot.by_guid(&found.guid)),
        );
        if self.wanted.whole
            && let Some(domain) = snapshot.by_guid(&self.wanted.domain)
        {
            let absent =
                |id: &ObjectId| snapshot.object(*id).is_some_and(|object| !self.found.contains_key(&object.guid()));
            gone.extend(snapshot.subtree(domain).into_iter().filter(absent));
        }
        // Another SID is another object, even with the same objectGUID: it came from another domain.
        gone.extend(self.found.values().filter_map(|found| {
            let id = snapshot.by_guid(&found.guid)?;
            let held = snapshot.object(id)?.sid().map(|sid| snapshot.sid(sid));
            let theirs = sid_of(found);
            (held.is_some() && theirs.is_some() && held != theirs).then_some(id)
        }));
        gone.retain(|id| {
            let object = snapshot.object(*id);
            object.is_some_and(|object| object.guid() != self.wanted.domain)
                && is_theirs(snapshot, &self.wanted.domain, *id)
        });
        let mut order: Vec<(usize, ObjectId)> = gone.iter().map(|id| (depth(snapshot, *id), *id)).collect();
        order.sort_by_key(|(depth, id)| (std::cmp::Reverse(*depth), *id));
        let mut stays: HashSet<ObjectId> = HashSet::new();
        let mut changes = Vec::new();
        for (_, id) in order {
            if snapshot.children(id).any(|child| !gone.contains(&child) || stays.contains(&child)) {
                stays.insert(id);
                continue;
            }
            changes.extend(snapshot.object(id).map(|object| Change::Delete { guid: object.guid() }));
        }
        changes
    }

    fn object(&mut self, found: &Found) {
        let rdns = dn::parse(&found.dn).unwrap_or_default();
        let is_root = found.guid == self.wanted.domain;
        let Some(first) = rdns.first() else { return self.nowhere(found) };
        let (rdn, parent) = match self.parent(found, &rdns) {
            Some(parent) => (first.to_string(), Some(parent)),
            None if is_root => (dn::join(&rdns), None),
            None => return self.nowhere(found),
        };
        match self.snapshot.by_guid(&found.guid) {
            // A domain stays where it is.
            Some(id) if is_root => self.existing(id, found, &rdn, None, rdns.len()),
            Some(id) => self.existing(id, found, &rdn, parent, rdns.len()),
            None => self.new_object(found, rdn, parent, rdns.len()),
        }
    }

    /// An object whose parent may not be seen: it stays where it was, and what it inherits is unknown. What it says itself
    /// counts: that it is disabled, who is a member of it no more.
    fn nowhere(&mut self, found: &Found) {
        let Some(id) = self.snapshot.by_guid(&found.guid) else { return };
        let mut unreadable = found.clone();
        unreadable.attributes.insert(a::DESCRIPTOR.to_owned(), vec![Value::new()]);
        self.existing(id, &unreadable, "", None, 0);
    }

    /// Whoever has the name that an object is to have gets another one, until it has its own: it goes, or is called something
    /// else there by now.
    fn free(&mut self, found: &Found) {
        let holder = self.snapshot.by_dn(&found.dn).and_then(|id| self.snapshot.object(id));
        if let Some(holder) = holder.filter(|holder| holder.guid() != found.guid)
            && let Some(parent) = holder.parent().and_then(|id| self.snapshot.object(id))
        {
            let rdn = format!("CN={}", holder.guid());
            self.places.push((0, Change::Move { guid: holder.guid(), parent: parent.guid(), rdn }));
        }
    }

    fn parent(&self, found: &Found, rdns: &[dn::Rdn]) -> Option<Guid> {
        let known = |guid: &Guid| self.found.contains_key(guid) || self.snapshot.by_guid(guid).is_some();
        let above = found.parent.filter(known);
        above.or_else(|| self.names.get(&key(&rdns[1..])).copied()).or_else(|| {
            let id = self.snapshot.by_dn(&dn::join(&rdns[1..]))?;
            self.snapshot.object(id).map(|object| object.guid())
        })
    }

    fn new_object(&mut self, found: &Found, rdn: String, parent: Option<Guid>, depth: usize) {
        let mut record = Record::new(found.guid, parent, rdn);
        for (name, values) in &found.attributes {
            if is_link(name) {
                let add = match name.as_str() {
                    a::HOME_MDB => self.database(found).into_iter().collect(),
                    _ => self.targets(name, values),
                };
                if !add.is_empty() {
                    self.links.push(Change::Values {
                        guid: found.guid,
                        attribute: name.clone(),
                        add,
                        remove: Vec::new(),
                    });
                }
            } else {
                record.set(name, values_of(name, values));
            }
        }
        self.free(found);
        self.places.push((depth, Change::Add(record)));
    }

    fn existing(&mut self, id: ObjectId, found: &Found, rdn: &str, parent: Option<Guid>, depth: usize) {
        let Some(now) = self.snapshot.record(id) else { return };
        if let Some(parent) = parent
            && (now.parent != Some(parent) || !same_name(&now.rdn, rdn))
        {
            self.free(found);
            self.places.push((depth, Change::Move { guid: found.guid, parent, rdn: rdn.to_owned() }));
        }
        let mut modified = Vec::new();
        let database = self.database(found);
        let named = database.is_some().then(|| a::HOME_MDB.to_owned());
        let always = [a::DESCRIPTOR.to_owned()].into_iter().chain(named);
        for name in &self.wanted.theirs.iter().cloned().chain(always).collect::<BTreeSet<_>>() {
            if [a::OBJECT_CLASS, a::OBJECT_SID].contains(&name.as_str()) {
                continue;
            }
            let there = found.attributes.get(name).map_or(&[][..], |values| values);
            if is_link(name) {
                let there: BTreeSet<Value> = match name.as_str() {
                    a::HOME_MDB => database.iter().cloned().collect(),
                    _ => self.targets(name, there).into_iter().collect(),
                };
                let here: BTreeSet<Value> = now.values(name).iter().cloned().collect();
                let add: Vec<Value> = there.difference(&here).cloned().collect();
                let remove: Vec<Value> = here.difference(&there).cloned().collect();
                if !add.is_empty() || !remove.is_empty() {
                    self.links.push(Change::Values { guid: found.guid, attribute: name.clone(), add, remove });
                }
                continue;
            }
            let there = values_of(name, there);
            if there != now.values(name) {
                modified.push((name.clone(), there));
            }
        }
        if !modified.is_empty() {
            self.others.push(Change::Modify { guid: found.guid, attributes: modified });
        }
    }

    /// The mailbox database here that is called as the one that an object names. Where there is none, the database of a
    /// mailbox is ours to say.
    fn database(&self, found: &Found) -> Option<Value> {
        let name = found.attributes.get(a::HOME_MDB)?.first()?;
        let objects = self.snapshot.configuration().filter_map(|(id, _)| self.snapshot.object(id));
        let mut databases = objects.filter(|object| object.class() == Class::Database);
        let called = |object: &directory::Object| object.name().as_bytes().eq_ignore_ascii_case(name);
        databases.find(|object| called(object)).map(|object| directory::link_value(&object.guid()))
    }

    /// The links that can be made: to what there is, or will be.
    fn targets(&self, name: &str, values: &[Value]) -> Vec<Value> {
        let known = |value: &&Value| {
            let target = parse_link(value);
            target.is_some_and(|guid| self.found.contains_key(&guid) || self.snapshot.by_guid(&guid).is_some())
        };
        let mut targets: Vec<Value> = values.iter().filter(known).cloned().collect();
        if a::by_name(name).is_some_and(|known| known.single) {
            targets.truncate(1);
        }
        targets
    }
}

/// Values as they are durable here: of a descriptor the explicit part, nothing of one that cannot be read.
fn values_of(name: &str, values: &[Value]) -> Vec<Value> {
    if name == a::DESCRIPTOR {
        return vec![values.first().and_then(|value| explicit(value)).unwrap_or_default()];
    }
    values.to_vec()
}

/// The explicit part of a descriptor; none where it has no DACL, which was not read then.
pub fn explicit(octets: &[u8]) -> Option<Value> {
    let sd = SecurityDescriptor::parse(octets).ok()?;
    sd.control.contains(acl::Control::DACL_PRESENT).then(|| acl::explicit_part(&sd).to_bytes())
}

pub(crate) fn is_link(name: &str) -> bool {
    a::by_name(name).is_some_and(|known| matches!(known.syntax, a::Syntax::Link(_)))
}

fn sid_of(found: &Found) -> Option<Sid> {
    Sid::parse(found.attributes.get(a::OBJECT_SID)?.first()?).ok().map(|(sid, _)| sid)
}

fn same_name(one: &str, other: &str) -> bool {
    match (dn::parse(one), dn::parse(other)) {
        (Ok(one), Ok(other)) => dn::join(&one) == dn::join(&other),
        _ => one == other,
    }
}

fn key(rdns: &[dn::Rdn]) -> String {
    rdns.iter().map(dn::Rdn::key).collect::<Vec<_>>().join(",")
}

fn depth(snapshot: &Snapshot, id: ObjectId) -> usize {
    let mut depth = 0;
    let mut at = snapshot.object(id).and_then(|object| object.parent());
    while let Some(id) = at {
        depth += 1;
        at = snapshot.object(id).and_then(|object| object.parent());
    }
    depth
}

/// Something that was made.
#[derive(Debug)]
pub struct Made {
    /// What was asked.
    pub batch: ChangeBatch,
    /// What it did.
    pub log: ChangeLog,
    /// The directory after it.
    pub snapshot: Snapshot,
}

/// What came of changes.
#[derive(Debug)]
pub struct Outcome {
    /// The directory after them.
    pub snapshot: Snapshot,
    /// What was made, in order.
    pub made: Vec<Made>,
    /// What could not be made, in words.
    pub problems: Vec<String>,
}

/// Makes all changes that can be made. A change of an existing object that cannot be made leaves the object unreadable:
/// what it was is not what it is.
pub fn make(snapshot: &Snapshot, author: &Sid, time: Time, comment: &str, changes: Vec<Change>) -> Outcome {
    let mut making = Making {
        snapshot: snapshot.clone(),
        batch: |changes| ChangeBatch { author: author.clone(), time, comment: comment.to_owned(), changes },
        made: Vec::new(),
        problems: Vec::new(),
        stuck: Vec::new(),
    };
    for piece in pieces(changes) {
        making.all(piece);
    }
    // Last: what else was to be made of it may have a descriptor.
    for guid in std::mem::take(&mut making.stuck) {
        making.unreadable(guid);
    }
    Outcome { snapshot: making.snapshot, made: making.made, problems: making.problems }
}

/// Entries of a difference that are shown.
const SHOWN: usize = 3;
/// Changes that are made together: not more than the store likes.
const TOGETHER: usize = 5_000;

fn pieces(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut pieces = Vec::new();
    let mut rest = changes.into_iter();
    loop {
        let piece: Vec<Change> = rest.by_ref().take(TOGETHER).collect();
        if piece.is_empty() {
            return pieces;
        }
        pieces.push(piece);
    }
}

struct Making<F: Fn(Vec<Change>) -> ChangeBatch> {
    snapshot: Snapshot,
    batch: F,
    made: Vec<Made>,
    problems: Vec<String>,
    /// Objects that could not be brought up to date.
    stuck: Vec<Guid>,
}

impl<F: Fn(Vec<Change>) -> ChangeBatch> Making<F> {
    fn all(&mut self, changes: Vec<Change>) {
        let batch = (self.batch)(changes);
        match self.snapshot.apply(&batch) {
            Ok(applied) => self.take(batch, applied),
            Err(error) if batch.changes.len() == 1 => {
                let change = batch.changes.into_iter().next();
                change.into_iter().for_each(|change| self.one(change, &error));
            }
            Err(_) => {
                let mut first = batch.changes;
                let second = first.split_off(first.len() / 2);
                self.all(first);
                self.all(second);
            }
        }
    }

    fn take(&mut self, batch: ChangeBatch, applied: Applied) {
        if !applied.log.is_empty() {
            self.snapshot = applied.snapshot.clone();
            self.made.push(Made { batch, log: applied.log, snapshot: applied.snapshot });
        }
    }

    /// A change that cannot be made as it is: without the attribute that stands against it, if that is all.
    fn one(&mut self, mut change: Change, error: &ChangeError) {
        let mut error = error.clone();
        for _ in 0..8 {
            self.problems.push(error.to_string());
            let attribute = match &error {
                ChangeError::Taken { attribute, .. }
                | ChangeError::BadValue { attribute, .. }
                | ChangeError::ReadOnly { attribute, .. }
                | ChangeError::UnknownLink { attribute, .. } => attribute.clone(),
                _ => break,
            };
            let is_it = |name: &str| name.eq_ignore_ascii_case(&attribute);
            match &mut change {
                Change::Add(record) if record.attributes.keys().any(|name| is_it(name)) && !is_it(a::OBJECT_SID) => {
                    record.attributes.retain(|name, _| !is_it(name));
                    if is_it(a::DESCRIPTOR) {
                        record.set(a::DESCRIPTOR, vec![Value::new()]);
                    }
                }
                Change::Modify { attributes, .. } if attributes.iter().any(|(name, _)| is_it(name)) => {
                    let descriptor = is_it(a::DESCRIPTOR);
                    // What it was before is not what it is there: nothing is better than the wrong thing.
                    attributes.iter_mut().filter(|(name, _)| is_it(name)).for_each(|(_, values)| {
                        *values = if descriptor { vec![Value::new()] } else { Vec::new() };
                    });
                }
                // To what could not be taken over. The others stay, and who is a member no more goes.
                Change::Values { add, .. } if matches!(error, ChangeError::UnknownLink { .. }) => {
                    let is_held =
                        |value: &Value| parse_link(value).is_some_and(|guid| self.snapshot.by_guid(&guid).is_some());
                    add.retain(is_held);
                }
                _ => break,
            }
            let batch = (self.batch)(vec![change.clone()]);
            match self.snapshot.apply(&batch) {
                Ok(applied) => return self.take(batch, applied),
                Err(next) if next == error => break,
                Err(next) => error = next,
            }
        }
        self.give_up(&change);
    }

    /// An existing object that cannot be brought up to date, or stands elsewhere there, grants nothing.
    fn give_up(&mut self, change: &Change) {
        if let Change::Modify { guid, .. } | Change::Move { guid, .. } = change {
            self.stuck.push(*guid);
        }
    }

    fn unreadable(&mut self, guid: Guid) {
        let unreadable = vec![(a::DESCRIPTOR.to_owned(), vec![Value::new()])];
        let batch = (self.batch)(vec![Change::Modify { guid, attributes: unreadable }]);
        if let Ok(applied) = self.snapshot.apply(&batch) {
            self.take(batch, applied);
        }
    }
}

/// The objects that changes are about.
pub fn touched(changes: &[Change]) -> BTreeSet<Guid> {
    let guid = |change: &Change| match change {
        Change::Add(record) => record.guid,
        Change::Modify { guid, .. }
        | Change::Values { guid, .. }
        | Change::Move { guid, .. }
        | Change::Delete { guid } => *guid,
    };
    changes.iter().map(guid).collect()
}

/// Whether an object is of a domain: nothing else is ever deleted with it.
fn is_theirs(snapshot: &Snapshot, domain: &Guid, id: ObjectId) -> bool {
    let own = snapshot.domain_of(id).and_then(|domain| snapshot.object(domain.object));
    own.is_some_and(|own| own.guid() == *domain) && snapshot.ancestor(id, Class::Configuration).is_none()
}

/// Objects of a domain that are held and are not among those that are there; and how many are held.
pub fn absent(snapshot: &Snapshot, domain: &Guid, there: &HashSet<Guid>) -> (usize, Vec<Guid>) {
    let Some(root) = snapshot.by_guid(domain) else { return (0, Vec::new()) };
    let theirs: Vec<ObjectId> =
        snapshot.subtree(root).into_iter().filter(|id| is_theirs(snapshot, domain, *id)).collect();
    let guids = theirs.iter().filter_map(|id| snapshot.object(*id)).map(|object| object.guid());
    (theirs.len(), guids.filter(|guid| !there.contains(guid)).collect())
}

/// How much of a domain would go with a whole load: objects held, and objects that would be deleted.
pub fn loss(snapshot: &Snapshot, wanted: &Wanted<'_>) -> (usize, usize) {
    let Some(domain) = snapshot.by_guid(&wanted.domain) else { return (0, 0) };
    let there: HashSet<Guid> = wanted.found.iter().filter(|found| !found.deleted).map(|found| found.guid).collect();
    let held = snapshot.subtree(domain);
    let absent = |id: &&ObjectId| snapshot.object(**id).is_some_and(|object| !there.contains(&object.guid()));
    (held.len(), held.iter().filter(absent).count())
}

/// A descriptor as it is stored there, against the one that is computed here: entries that only one of them has, in SDDL. An
/// entry that stands there twice says nothing more.
pub fn differs(snapshot: &Snapshot, found: &Found, stored: &[u8]) -> Option<(String, String)> {
    let id = snapshot.by_guid(&found.guid)?;
    let stored = SecurityDescriptor::parse(stored).ok()?;
    let computed = snapshot.descriptor(id)?.sd();
    let only = |one: &SecurityDescriptor, other: &SecurityDescriptor| {
        let mut dacl = one.dacl.clone().unwrap_or_default();
        let others = other.dacl.as_ref().map_or(&[][..], |dacl| &dacl.aces);
        dacl.aces.retain(|ace| !others.contains(ace));
        dacl.aces.truncate(SHOWN);
        dacl
    };
    let (there, here) = (only(&stored, computed), only(computed, &stored));
    let same_protection = stored.is_dacl_protected() == computed.is_dacl_protected();
    if there.aces.is_empty() && here.aces.is_empty() && same_protection {
        return None;
    }
    let text = |dacl: acl::Acl, sd: &SecurityDescriptor| {
        let mut part = SecurityDescriptor { owner: None, group: None, sacl: None, ..sd.clone() };
        part.dacl = Some(dacl);
        part.to_sddl(&acl::SddlContext::default())
    };
    Some((text(there, &stored), text(here, computed)))
}
