//! Random changes: what is derived step by step is what a load derives at once, and the inverse of a log undoes it.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use acl::{AccessMask, Ace, AceFlags, Guid, names};
use common::{Organization, batch, send_as_below};
use directory::{Change, Class, ObjectChange, ObjectId, Record, Snapshot, attributes, link_value, organization};
use proptest::prelude::*;

/// A change of something, chosen among what there is.
#[derive(Clone, Debug)]
enum Step {
    Unit(usize),
    User(usize),
    Group(usize, bool),
    Grant { on: usize, to: usize, deny: bool, below: bool },
    Protect(usize, bool),
    Unreadable(usize),
    Move(usize, usize),
    Delete(usize),
    Join(usize, usize),
    Leave(usize, usize),
    Delegate(usize, usize),
    Address(usize, usize),
    Mailbox(usize),
    Describe(usize, Option<String>),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0usize..1000;
    prop_oneof![
        2 => n().prop_map(Step::Unit),
        4 => n().prop_map(Step::User),
        2 => (n(), any::<bool>()).prop_map(|(n, security)| Step::Group(n, security)),
        5 => (n(), n(), any::<bool>(), any::<bool>()).prop_map(|(on, to, deny, below)| Step::Grant { on, to, deny, below }),
        2 => (n(), any::<bool>()).prop_map(|(n, on)| Step::Protect(n, on)),
        1 => n().prop_map(Step::Unreadable),
        3 => (n(), n()).prop_map(|(n, to)| Step::Move(n, to)),
        2 => n().prop_map(Step::Delete),
        3 => (n(), n()).prop_map(|(group, member)| Step::Join(group, member)),
        1 => (n(), n()).prop_map(|(group, member)| Step::Leave(group, member)),
        2 => (n(), n()).prop_map(|(owner, delegate)| Step::Delegate(owner, delegate)),
        1 => (n(), n()).prop_map(|(n, address)| Step::Address(n, address)),
        1 => n().prop_map(Step::Mailbox),
        1 => (n(), prop::option::of("[a-zäß ]{0,8}")).prop_map(|(n, text)| Step::Describe(n, text)),
    ]
}

fn pick(snapshot: &Snapshot, n: usize, wanted: impl Fn(Class) -> bool) -> Option<ObjectId> {
    let all: Vec<ObjectId> =
        snapshot.objects().filter(|(_, object)| wanted(object.class())).map(|(id, _)| id).collect();
    (!all.is_empty()).then(|| all[n % all.len()])
}

fn is_container(class: Class) -> bool {
    matches!(class, Class::OrganizationalUnit | Class::Domain)
}

fn is_owner(class: Class) -> bool {
    matches!(class, Class::User | Class::Group)
}

/// The change of a step, if there is something to change.
fn change(o: &mut Organization, step: &Step) -> Option<Change> {
    let snapshot = o.snapshot.clone();
    let guid = |id: ObjectId| snapshot.object(id).unwrap().guid();
    let any = |n| pick(&snapshot, n, |class| is_owner(class) || is_container(class) || class == Class::Database);
    let links = |source: ObjectId, attribute: &str, target: ObjectId, add: bool| {
        let values = vec![link_value(&guid(target))];
        let (add, remove) = if add { (values, vec![]) } else { (vec![], values) };
        Change::Values { guid: guid(source), attribute: attribute.into(), add, remove }
    };
    let new_guid = o.guids.next();
    let name = format!("n{}", o.guids.0);
    let descriptor = |id: ObjectId, edit: &dyn Fn(&mut acl::SecurityDescriptor)| {
        let mut sd = (*snapshot.explicit_descriptor(id)?).clone();
        edit(&mut sd);
        let attributes = vec![(attributes::DESCRIPTOR.to_owned(), vec![sd.to_bytes()])];
        Some(Change::Modify { guid: guid(id), attributes })
    };
    match step {
        Step::Unit(n) => {
            let parent = guid(pick(&snapshot, *n, is_container)?);
            Some(Change::Add(organization::new_object(new_guid, parent, Class::OrganizationalUnit, &name)))
        }
        Step::User(n) => {
            let parent = guid(pick(&snapshot, *n, is_container)?);
            let record = organization::user(new_guid, parent, &name, &name);
            let database = guid(pick(&snapshot, 0, |class| class == Class::Database)?);
            let address = format!("{name}@example.com");
            Some(Change::Add(organization::with_mailbox(record, o.guids.next(), &database, &[&address])))
        }
        Step::Group(n, security) => {
            let parent = guid(pick(&snapshot, *n, is_container)?);
            let kind = if *security { directory::GroupType::security } else { directory::GroupType::distribution };
            Some(Change::Add(organization::group(new_guid, parent, &name, kind(directory::GroupScope::Universal))))
        }
        Step::Grant { on, to, deny, below } => {
            let on = any(*on)?;
            let to = pick(&snapshot, *to, is_owner)?;
            let sid = snapshot.sid(snapshot.object(to)?.sid()?);
            let mut ace = if *below {
                send_as_below(sid)
            } else {
                Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::RECEIVE_AS)
            };
            if *deny {
                ace.ace_type = acl::AceType::DENIED_OBJECT;
            }
            if !below {
                ace = ace.with_flags(AceFlags::CONTAINER_INHERIT);
            }
            descriptor(on, &|sd| {
                let dacl = sd.dacl.as_mut().unwrap();
                dacl.aces.insert(0, ace.clone());
                dacl.update_revision();
            })
        }
        Step::Protect(n, on) => descriptor(any(*n)?, &|sd| sd.set_dacl_protected(*on)),
        Step::Unreadable(n) => {
            let id = pick(&snapshot, *n, is_owner)?;
            Some(Change::Modify { guid: guid(id), attributes: vec![(attributes::DESCRIPTOR.into(), vec![vec![]])] })
        }
        Step::Move(n, to) => {
            let id = pick(&snapshot, *n, |class| is_owner(class) || class == Class::OrganizationalUnit)?;
            let parent = guid(pick(&snapshot, *to, is_container)?);
            let rdn = snapshot.object(id)?.rdn().to_owned();
            Some(Change::Move { guid: guid(id), parent, rdn })
        }
        Step::Delete(n) => Some(Change::Delete { guid: guid(pick(&snapshot, *n, is_owner)?) }),
        Step::Join(group, member) | Step::Leave(group, member) => {
            let group = pick(&snapshot, *group, |class| class == Class::Group)?;
            let member = pick(&snapshot, *member, is_owner)?;
            Some(links(group, attributes::MEMBER, member, matches!(step, Step::Join(..))))
        }
        Step::Delegate(owner, delegate) => {
            let (owner, delegate) = (pick(&snapshot, *owner, is_owner)?, pick(&snapshot, *delegate, is_owner)?);
            Some(links(owner, attributes::PUBLIC_DELEGATES, delegate, true))
        }
        Step::Address(n, address) => {
            let id = pick(&snapshot, *n, is_owner)?;
            let value = format!("smtp:extra{}@example.com", address % 5).into_bytes();
            Some(Change::Values {
                guid: guid(id),
                attribute: "proxyAddresses".into(),
                add: vec![value],
                remove: vec![],
            })
        }
        Step::Mailbox(n) => {
            let id = pick(&snapshot, *n, |class| class == Class::User)?;
            let on = snapshot.object(id)?.mailbox().is_none();
            let value = if on { vec![new_guid.0.to_vec()] } else { vec![] };
            Some(Change::Modify { guid: guid(id), attributes: vec![(attributes::MAILBOX_GUID.into(), value)] })
        }
        Step::Describe(n, text) => {
            let id = any(*n)?;
            let values = text.iter().map(|text| text.clone().into_bytes()).collect();
            Some(Change::Modify { guid: guid(id), attributes: vec![("Vendor-Attribute".into(), values)] })
        }
    }
}

fn records(snapshot: &Snapshot) -> BTreeMap<Guid, Record> {
    snapshot.objects().map(|(id, object)| (object.guid(), snapshot.record(id).unwrap())).collect()
}

/// Everything that is derived, by objectGUID.
fn derived(snapshot: &Snapshot) -> BTreeMap<Guid, Vec<String>> {
    let guid = |id: &ObjectId| snapshot.object(*id).unwrap().guid();
    let of = |id: ObjectId| {
        let mut facts = vec![snapshot.dn(id)];
        facts.push(format!("{:?}", snapshot.descriptor(id).map(|d| d.sd().clone())));
        facts.push(format!("{:?}", snapshot.mailbox_descriptor(id).map(|d| d.sd().clone())));
        facts.push(format!("{:?}", snapshot.by_dn(&snapshot.dn(id)).as_ref().map(guid)));
        let mut children: Vec<Guid> = snapshot.children(id).map(|id| guid(&id)).collect();
        children.sort_unstable();
        facts.push(format!("{children:?}"));
        for attribute in [attributes::MEMBER, attributes::PUBLIC_DELEGATES, attributes::HOME_MDB] {
            let mut back: Vec<Guid> = snapshot.linked_from(id, attribute).iter().map(guid).collect();
            back.sort_unstable();
            facts.push(format!("{back:?}"));
        }
        for address in snapshot.object(id).unwrap().addresses() {
            let owner = match snapshot.by_address(&address) {
                directory::AddressOwner::Several(mut ids) => {
                    ids.sort_by_key(guid);
                    ids.iter().map(guid).collect()
                }
                directory::AddressOwner::One(id) => vec![guid(&id)],
                directory::AddressOwner::Nobody => vec![],
            };
            facts.push(format!("{address} {owner:?}"));
        }
        if let Ok(token) = snapshot.token_of(id) {
            let mut sids: Vec<String> = token.sids.iter().map(|sid| snapshot.sid(sid).to_string()).collect();
            sids.sort_unstable();
            facts.push(format!("{sids:?} {}", snapshot.is_protected(id)));
        }
        facts
    };
    snapshot.objects().map(|(id, object)| (object.guid(), of(id))).collect()
}

/// Without the RID counter, which an undo leaves where it is.
fn without_counter(mut records: BTreeMap<Guid, Record>) -> BTreeMap<Guid, Record> {
    records.values_mut().for_each(|record| record.set(attributes::NEXT_RID, vec![]));
    records
}

/// What a store that only follows the log would hold.
fn follow(records: &mut BTreeMap<Guid, Record>, log: &directory::ChangeLog) {
    for change in &log.changes {
        match change {
            ObjectChange::Added(record) => drop(records.insert(record.guid, record.clone())),
            ObjectChange::Deleted(record) => {
                let held = records.remove(&record.guid);
                assert_eq!(held.as_ref(), Some(record), "the log says what was there");
            }
            ObjectChange::Moved { guid, after, .. } => {
                let record = records.get_mut(guid).unwrap();
                (record.parent, record.rdn) = after.clone();
            }
            ObjectChange::Modified { guid, attributes } => {
                let record = records.get_mut(guid).unwrap();
                for attribute in attributes {
                    match attribute {
                        directory::AttributeChange::Replaced { name, before, after } => {
                            assert_eq!(record.values(name), before, "{name}");
                            record.set(name, after.clone());
                        }
                        directory::AttributeChange::Links { name, removed, added } => {
                            let mut values = record.values(name).to_vec();
                            values.retain(|value| !removed.contains(value));
                            values.extend(added.iter().cloned());
                            values.sort_unstable();
                            record.set(name, values);
                        }
                    }
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn steps_lead_to_what_a_load_gives_and_their_inverse_leads_back(steps in prop::collection::vec(step(), 1..30)) {
        let mut o = Organization::new();
        let mut stored = records(&o.snapshot);
        for step in &steps {
            let Some(change) = change(&mut o, step) else { continue };
            let before = o.snapshot.clone();
            let Ok(applied) = before.apply(&batch(vec![change])) else { continue };
            follow(&mut stored, &applied.log);
            prop_assert_eq!(&stored, &records(&applied.snapshot), "the log of {:?}", step);
            let undone = applied.snapshot.apply(&batch(applied.log.inverse())).unwrap().snapshot;
            prop_assert_eq!(without_counter(records(&undone)), without_counter(records(&before)), "undo of {:?}", step);
            prop_assert_eq!(derived(&undone), derived(&before), "undo of {:?}", step);
            o.snapshot = applied.snapshot;
        }
        let loaded = Snapshot::load(stored.values().cloned(), o.snapshot.version()).unwrap();
        prop_assert_eq!(&records(&loaded.snapshot), &stored);
        prop_assert_eq!(derived(&loaded.snapshot), derived(&o.snapshot));
        let objects = stored.values().flat_map(|record| o.snapshot.verify_record(record));
        let whole = (0..Snapshot::WHOLE_STEPS).flat_map(|step| o.snapshot.verify_whole(step));
        prop_assert_eq!(objects.chain(whole).collect::<Vec<_>>(), vec![]);
    }

    #[test]
    fn a_batch_of_many_changes_is_undone_as_one(steps in prop::collection::vec(step(), 1..25)) {
        let mut o = Organization::new();
        let before = o.snapshot.clone();
        let mut changes = Vec::new();
        for step in &steps {
            let Some(change) = change(&mut o, step) else { continue };
            if let Ok(applied) = o.snapshot.apply(&batch(vec![change.clone()])) {
                o.snapshot = applied.snapshot;
                changes.push(change);
            }
        }
        let applied = before.apply(&batch(changes)).unwrap();
        prop_assert_eq!(derived(&applied.snapshot), derived(&o.snapshot));
        let undone = applied.snapshot.apply(&batch(applied.log.inverse())).unwrap().snapshot;
        prop_assert_eq!(without_counter(records(&undone)), without_counter(records(&before)));
        prop_assert_eq!(derived(&undone), derived(&before));
    }
}
