//! Loading a snapshot in bulk.

use std::sync::Arc;

use acl::Guid;
use thiserror::Error;

use crate::attributes::number;
use crate::edit::link_kind;
use crate::index::{Index, hash};
use crate::object::{INDEXES, Identity, Which};
use crate::record::parse_link;
use crate::{Class, Object, ObjectId, Record, Snapshot, Value};

/// A loaded snapshot, and what was wrong with the records. Problems never widen a right: the value in question does
/// not count.
#[derive(Debug)]
pub struct Loaded {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// What does not count.
    pub problems: Vec<Problem>,
}

/// Something in a directory that does not count as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// A link to an object that does not exist; dropped.
    #[error("{object}: {attribute} refers to “{target}”, which does not exist")]
    DanglingLink {
        /// The object.
        object: Guid,
        /// The attribute.
        attribute: String,
        /// The link.
        target: String,
    },
    /// A value that cannot be read; ignored.
    #[error("{object}: {attribute}: {reason}")]
    BadValue {
        /// The object.
        object: Guid,
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Objects without a readable descriptor; nothing is granted on them.
    #[error("{object}: the security descriptor is unreadable")]
    Unreadable {
        /// The object.
        object: Guid,
    },
    /// An address with several owners proves nothing.
    #[error("the address {address} belongs to {} objects", objects.len())]
    SharedAddress {
        /// The address.
        address: String,
        /// Its owners.
        objects: Vec<Guid>,
    },
}

/// Why records make no snapshot: the store is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LoadError {
    /// Two records with one objectGUID.
    #[error("two records have the objectGUID {0}")]
    DuplicateGuid(Guid),
    /// A record whose parent is missing, or that is its own ancestor.
    #[error("the record {object} is below {parent}, which does not exist or is below it")]
    NoParent {
        /// The record.
        object: Guid,
        /// Its parent.
        parent: Guid,
    },
    /// Two objects with one name, SID, logon name or mailbox.
    #[error("{first} and {second} have the same {attribute}")]
    Duplicate {
        /// One object.
        first: Guid,
        /// The other.
        second: Guid,
        /// What they share.
        attribute: &'static str,
    },
}

/// A link before its target is known.
struct Loose {
    number: u16,
    source: ObjectId,
    target: Guid,
}

/// Builds a snapshot without going through single changes.
pub(crate) fn load(records: impl IntoIterator<Item = Record>, version: u64) -> Result<Loaded, LoadError> {
    let mut loading = Loading::default();
    for record in records {
        loading.take(record);
    }
    let Loading { mut snapshot, parents, links, odd_links, mut problems } = loading;
    let guids = snapshot.objects().map(|(id, object)| (hash(&object.guid()), id.0)).collect();
    snapshot.indexes[Which::Guid as usize] = Index::from_entries(guids);
    refuse_repeated(&snapshot, Which::Guid, |a, b| {
        if a.guid() == b.guid() { Some(LoadError::DuplicateGuid(a.guid())) } else { None }
    })?;
    set_parents(&mut snapshot, &parents)?;
    drop(parents);
    index_all(&mut snapshot);
    let order = top_down(&snapshot)?;
    link_all(&mut snapshot, links, odd_links, &mut problems);
    let configured = snapshot.objects().filter(|(_, o)| o.config().is_some() || o.class() == Class::Domain);
    let configured = configured.map(|(id, _)| id).collect();
    snapshot.view = Arc::new(snapshot.config_view(configured));
    refuse_duplicates(&snapshot)?;
    report_shared_addresses(&snapshot, &mut problems);
    for id in &order {
        snapshot.derive_one(*id);
    }
    for id in order {
        let Some(object) = snapshot.object(id) else { continue };
        if object.explicit.as_ref().is_none_or(|explicit| !explicit.is_readable()) {
            problems.push(Problem::Unreadable { object: object.guid() });
        }
        if object.mailbox().is_some() {
            snapshot.derive_mailbox(id);
        }
    }
    snapshot.version = version;
    Ok(Loaded { snapshot, problems })
}

struct Loading {
    snapshot: Snapshot,
    parents: Vec<Option<Guid>>,
    links: Vec<Loose>,
    /// Links that are not `<GUID=…>`.
    odd_links: Vec<(u16, ObjectId, Value)>,
    problems: Vec<Problem>,
}

impl Default for Loading {
    fn default() -> Loading {
        Loading {
            snapshot: Snapshot::empty(),
            parents: Vec::new(),
            links: Vec::new(),
            odd_links: Vec::new(),
            problems: Vec::new(),
        }
    }
}

impl Loading {
    fn take(&mut self, record: Record) {
        let id = ObjectId(self.snapshot.objects.len() as u32);
        for (name, values) in &record.attributes {
            let Some((number, _)) = link_kind(name) else { continue };
            for value in values {
                match parse_link(value) {
                    Some(target) => self.links.push(Loose { number, source: id, target }),
                    None => self.odd_links.push((number, id, value.clone())),
                }
            }
        }
        let identity = Identity { guid: record.guid, parent: None, rdn: &record.rdn, database: None };
        let problems = &mut self.problems;
        let object = Object::build(&self.snapshot.shared, identity, &record.attributes, &mut |attribute, reason| {
            problems.push(Problem::BadValue { object: record.guid, attribute: attribute.to_owned(), reason });
        });
        self.parents.push(record.parent);
        self.snapshot.objects.push(Some(Arc::new(object)));
        self.snapshot.effective.push(None);
        self.snapshot.mailbox.push(None);
        self.snapshot.live += 1;
    }
}

fn set_parents(snapshot: &mut Snapshot, parents: &[Option<Guid>]) -> Result<(), LoadError> {
    // Children of one parent mostly come together.
    let mut last = (Guid([0; 16]), None);
    for (row, parent) in parents.iter().enumerate() {
        let Some(parent) = parent else { continue };
        if last.0 != *parent {
            last = (*parent, snapshot.by_guid(parent));
        }
        let found = last.1;
        let Some(Some(object)) = snapshot.objects.get_mut(row) else { continue };
        if found.is_none() {
            return Err(LoadError::NoParent { object: object.guid(), parent: *parent });
        }
        Arc::make_mut(object).parent = found;
    }
    Ok(())
}

fn index_all(snapshot: &mut Snapshot) {
    let mut entries: [Vec<(u64, u32)>; INDEXES] = Default::default();
    for (id, object) in snapshot.objects() {
        object.keys(&mut |which, key| {
            if which != Which::Guid {
                entries[which as usize].push((key, id.0));
            }
        });
    }
    // All but that by GUID, which is there already; every other one on a second thread.
    let build = |entries: Vec<(Vec<(u64, u32)>, &mut Index)>| {
        entries.into_iter().for_each(|(entries, slot)| *slot = Index::from_entries(entries));
    };
    let slots = entries.into_iter().zip(&mut snapshot.indexes).skip(1).zip([true, false].into_iter().cycle());
    let (odd, even): (Vec<_>, Vec<_>) = slots.partition(|(_, odd)| *odd);
    let without = |slots: Vec<(_, bool)>| slots.into_iter().map(|(slot, _)| slot).collect();
    let (odd, even) = (without(odd), without(even));
    std::thread::scope(|scope| {
        scope.spawn(|| build(odd));
        build(even);
    });
}

/// All objects, parents before children.
fn top_down(snapshot: &Snapshot) -> Result<Vec<ObjectId>, LoadError> {
    let roots = snapshot.index(Which::Children).get(u64::MAX);
    let mut order: Vec<ObjectId> = Vec::with_capacity(snapshot.len());
    order.extend(roots.into_iter().map(ObjectId));
    let mut next = 0;
    while let Some(id) = order.get(next).copied() {
        next += 1;
        order.extend(snapshot.children(id));
    }
    if order.len() == snapshot.len() {
        return Ok(order);
    }
    // Whoever was not reached is below itself.
    let mut reached = roaring::RoaringBitmap::new();
    reached.extend(order.iter().map(|id| id.0));
    let lost = snapshot.objects().find(|(id, _)| !reached.contains(id.0));
    let pair = lost.and_then(|(_, object)| Some((object.guid(), snapshot.object(object.parent()?)?.guid())));
    let (object, parent) = pair.unwrap_or((Guid([0; 16]), Guid([0; 16])));
    Err(LoadError::NoParent { object, parent })
}

fn link_all(snapshot: &mut Snapshot, links: Vec<Loose>, odd: Vec<(u16, ObjectId, Value)>, problems: &mut Vec<Problem>) {
    let mut forward = Vec::with_capacity(links.len());
    let mut back = Vec::with_capacity(links.len());
    let mut put = |number: u16, source: ObjectId, target: ObjectId| {
        forward.push((crate::links::key(number, source), target.0));
        back.push((crate::links::key(number, target), source.0));
    };
    let mut dangling = |snapshot: &Snapshot, number: u16, source: ObjectId, target: String| {
        if let Some(object) = snapshot.object(source).map(Object::guid) {
            let attribute = crate::attributes::known(number).map_or(String::new(), |known| known.name.to_owned());
            problems.push(Problem::DanglingLink { object, attribute, target });
        }
    };
    let targets = resolve(snapshot, &links);
    for (Loose { number, source, target }, found) in links.into_iter().zip(targets) {
        match found {
            Some(found) => put(number, source, found),
            None => dangling(snapshot, number, source, target.to_string()),
        }
    }
    for (number, source, value) in odd {
        match std::str::from_utf8(&value).ok().and_then(|text| snapshot.by_dn(text)) {
            Some(found) => put(number, source, found),
            None => dangling(snapshot, number, source, String::from_utf8_lossy(&value).into_owned()),
        }
    }
    let of_databases: Vec<(u64, u32)> =
        forward.iter().copied().filter(|(key, _)| (key >> 32) as u16 == number::HOME_MDB).collect();
    for (key, database) in of_databases {
        if let Some(Some(owner)) = snapshot.objects.get_mut(key as u32 as usize) {
            Arc::make_mut(owner).database = Some(ObjectId(database));
        }
    }
    snapshot.links = crate::links::Links::from_entries(forward, back);
}

/// The targets of links, looked up by two threads: each is a walk through memory that nothing has touched before.
fn resolve(snapshot: &Snapshot, links: &[Loose]) -> Vec<Option<ObjectId>> {
    let some = |links: &[Loose]| -> Vec<Option<ObjectId>> {
        // Nearly all mailboxes are in a few databases.
        let mut database = (Guid([0; 16]), None);
        let find = |link: &Loose| {
            if link.number != number::HOME_MDB {
                return snapshot.by_guid(&link.target);
            }
            if database.0 != link.target {
                database = (link.target, snapshot.by_guid(&link.target));
            }
            database.1
        };
        links.iter().map(find).collect()
    };
    let (first, second) = links.split_at(links.len() / 2);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| some(first));
        let second = some(second);
        let mut found = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        found.extend(second);
        found
    })
}

/// What only one object may have.
fn refuse_duplicates(snapshot: &Snapshot) -> Result<(), LoadError> {
    let duplicate = |a: &Object, b: &Object, attribute: &'static str| {
        Some(LoadError::Duplicate { first: a.guid(), second: b.guid(), attribute })
    };
    refuse_repeated(snapshot, Which::Name, |a, b| {
        let same = a.parent() == b.parent() && crate::object::rdn_key(a.rdn()) == crate::object::rdn_key(b.rdn());
        if same { duplicate(a, b, crate::attributes::DISTINGUISHED_NAME) } else { None }
    })?;
    refuse_repeated(snapshot, Which::Sid, |a, b| {
        let foreign = a.class() == Class::ForeignPrincipal || b.class() == Class::ForeignPrincipal;
        let domain = |object: &Object| {
            let id = snapshot.by_guid(&object.guid())?;
            snapshot.domain_of(id).map(|domain| domain.object)
        };
        let builtin = a.sid().is_some_and(|sid| snapshot.sid(sid).domain().as_ref() == Some(&acl::well_known::BUILTIN));
        if foreign || builtin && domain(a) != domain(b) { None } else { duplicate(a, b, crate::attributes::OBJECT_SID) }
    })?;
    refuse_repeated(snapshot, Which::Mailbox, |a, b| {
        let same = a.carried_mailbox() == b.carried_mailbox();
        if same { duplicate(a, b, crate::attributes::MAILBOX_GUID) } else { None }
    })
}

fn refuse_repeated(
    snapshot: &Snapshot,
    which: Which,
    clash: impl Fn(&Object, &Object) -> Option<LoadError>,
) -> Result<(), LoadError> {
    for rows in snapshot.index(which).repeated() {
        let objects: Vec<&Object> = rows.iter().filter_map(|row| snapshot.object(ObjectId(*row))).collect();
        let error = objects.iter().enumerate().find_map(|(n, a)| objects[n + 1..].iter().find_map(|b| clash(a, b)));
        if let Some(error) = error {
            return Err(error);
        }
    }
    Ok(())
}

fn report_shared_addresses(snapshot: &Snapshot, problems: &mut Vec<Problem>) {
    for rows in snapshot.index(Which::Address).repeated() {
        let objects: Vec<&Object> = rows.iter().filter_map(|row| snapshot.object(ObjectId(*row))).collect();
        let Some((first, others)) = objects.split_first() else { continue };
        for address in first.addresses() {
            let rivals = others.iter().filter(|other| other.owns(&address)).map(|other| other.guid());
            let mut owners = vec![first.guid()];
            owners.extend(rivals);
            if owners.len() > 1 {
                problems.push(Problem::SharedAddress { address: address.to_string(), objects: owners });
            }
        }
    }
}
