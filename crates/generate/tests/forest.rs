//! What a generated forest is like.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use directory::{Class, ObjectId, Snapshot};
use generate::{Forest, Plan};

fn load(mailboxes: u32) -> Snapshot {
    let forest = Forest::new(Plan::new(7, mailboxes)).unwrap();
    let loaded = Snapshot::load(forest.records(), 1).unwrap();
    assert_eq!(loaded.problems, []);
    loaded.snapshot
}

fn of_class(snapshot: &Snapshot, class: Class) -> Vec<ObjectId> {
    snapshot.objects().filter(|(_, object)| object.class() == class).map(|(id, _)| id).collect()
}

#[test]
fn the_same_seed_gives_the_same_forest() {
    let records = |seed| Forest::new(Plan::new(seed, 300)).unwrap().records().collect::<Vec<_>>();
    assert_eq!(records(5), records(5));
    assert_ne!(records(5), records(6));
}

#[test]
fn each_user_has_a_mailbox_and_three_addresses() {
    let snapshot = load(1_000);
    let users = of_class(&snapshot, Class::User);
    assert_eq!(users.len(), 1_000);
    assert!(users.iter().all(|id| {
        let user = snapshot.object(*id).unwrap();
        user.mailbox().is_some() && user.addresses().len() == 3
    }));
}

#[test]
fn a_record_has_the_name_that_is_said() {
    let forest = Forest::new(Plan::new(7, 500)).unwrap();
    let snapshot = load(500);
    for (dn, record) in forest.records_with_dn() {
        assert_eq!(snapshot.by_guid(&record.guid).map(|id| snapshot.dn(id)), Some(dn));
    }
}

#[test]
fn groups_are_nested_six_deep() {
    let snapshot = load(100_000);
    let mut level: HashSet<ObjectId> = of_class(&snapshot, Class::User).into_iter().collect();
    for _ in 0..6 {
        level = level.iter().flat_map(|id| snapshot.member_of(*id)).collect();
        assert!(!level.is_empty());
    }
    assert!(level.iter().all(|id| snapshot.member_of(*id).is_empty()));
}

#[test]
fn effective_descriptors_of_users_have_40_to_60_aces() {
    let snapshot = load(5_000);
    for user in of_class(&snapshot, Class::User) {
        let aces = snapshot.descriptor(user).unwrap().sd().dacl.as_ref().unwrap().aces.len();
        assert!((40..=60).contains(&aces), "{aces}");
    }
}

#[test]
fn shares_of_grants_denials_and_protected_users_are_as_said() {
    let snapshot = load(20_000);
    let users = of_class(&snapshot, Class::User);
    let share = |which: &dyn Fn(&acl::SecurityDescriptor) -> bool| {
        let found = users.iter().filter(|id| which(&snapshot.explicit_descriptor(**id).unwrap())).count();
        found as f64 * 100.0 / users.len() as f64
    };
    let send_as = |sd: &acl::SecurityDescriptor, allow: bool| {
        let aces = &sd.dacl.as_ref().unwrap().aces;
        aces.iter().any(|ace| {
            ace.object_type == Some(acl::names::SEND_AS)
                && ace.sid != acl::well_known::SELF
                && ace.is_allow() == allow
                && !sd.is_dacl_protected()
        })
    };
    assert!((1.6..2.4).contains(&share(&|sd| send_as(sd, true))));
    assert!((0.7..1.3).contains(&share(&|sd| send_as(sd, false))));
    assert!((4.4..5.6).contains(&share(&|sd| sd.is_dacl_protected())));
}

#[test]
fn a_forest_goes_through_ldif_and_comes_back_as_it_was() {
    use directory::import::{AttributeMap, changes};
    use directory::{ChangeBatch, Record, Time, ldif};

    let before = load(300);
    let all: Vec<(String, Record)> =
        before.objects().map(|(id, _)| (before.dn(id), before.record(id).unwrap())).collect();
    let text = ldif::write(all.iter().map(|(dn, record)| (dn.as_str(), record)));
    let mut new_guid = || panic!("each entry has its own");
    let import = changes(text.as_bytes(), &AttributeMap::default(), &Snapshot::empty(), &mut new_guid).unwrap();
    assert_eq!(import.warnings, []);
    let batch =
        ChangeBatch { author: acl::well_known::SYSTEM, time: Time(0), comment: String::new(), changes: import.changes };
    let after = Snapshot::empty().apply(&batch).unwrap().snapshot;
    let records = |snapshot: &Snapshot| {
        let mut records: Vec<Record> = snapshot.objects().map(|(id, _)| snapshot.record(id).unwrap()).collect();
        records.sort_by_key(|record| record.guid);
        records
    };
    let (before, after) = (records(&before), records(&after));
    assert_eq!(before.len(), after.len());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
}
