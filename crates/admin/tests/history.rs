//! The history, and taking changes back.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, Site, delegate, full_access, grant, moved, send_as, take, undo};
use proptest::prelude::*;

fn history(site: &Site, filter: op::History) -> Vec<op::HistoryRow> {
    match site.ask(R::History(filter)) {
        Response::History(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_is_listed_with_its_author_and_what_it_did() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let rows = history(&site, op::History { object: Some("zoe@example.com".into()), ..op::History::default() });
    assert_eq!(rows[0].author, "BUILTIN\\Administrators");
    assert_eq!(rows[0].version, site.version());
    let change = &rows[0].changes[0];
    assert_eq!(change.object, "CN=zoe,OU=Staff,DC=example,DC=com");
    assert!(change.added[0].starts_with("allow EXAMPLE\\max: Send-As"), "{change:?}");
    assert!(change.removed.is_empty());
}

#[test]
fn changes_of_others_and_of_before_are_left_out() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let by_system = history(&site, op::History { author: Some("SYSTEM".into()), ..op::History::default() });
    assert!(by_system.iter().all(|row| row.author == "NT AUTHORITY\\SYSTEM") && !by_system.is_empty());
    assert_eq!(history(&site, op::History { since: Some(1_001), ..op::History::default() }).len(), 0);
}

#[test]
fn pages_of_the_history_hold_every_version_once() {
    let site = Site::new();
    let mut versions = Vec::new();
    let mut before = None;
    loop {
        let filter = op::History { limit: Some(3), before, ..op::History::default() };
        let Response::History(page) = site.ask(R::History(filter)) else { panic!() };
        versions.extend(page.rows.iter().map(|row| row.version));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(versions, (1..=site.version()).rev().collect::<Vec<_>>());
}

#[test]
fn the_history_of_everything_is_for_those_who_run_the_organization() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, R::History(op::History::default())).0, FaultKind::Denied);
}

#[test]
fn a_grant_is_undone_to_the_byte() {
    let site = Site::new();
    let before = site.records();
    site.ask(send_as("zoe", "max"));
    assert_ne!(site.records(), before);
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn a_deleted_user_comes_back_with_sid_memberships_and_delegates() {
    let site = Site::new();
    site.group("Writers", &["max"]);
    site.ask(delegate("zoe", "max"));
    site.ask(send_as("zoe", "max"));
    let before = site.records();
    site.ask(R::UserRemove(op::Target { identity: "max".into() }));
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
    assert!(site.may_send_as("max", "zoe"));
}

#[test]
fn undoing_an_undo_makes_the_change_again() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let after = site.records();
    site.ask(undo(site.version()));
    site.ask(undo(site.version()));
    assert_eq!(site.records(), after);
}

#[test]
fn an_undo_that_a_later_change_stands_in_the_way_of_names_it() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let version = site.version();
    site.ask(send_as("zoe", "helper"));
    let later = site.version();
    let (kind, said) = site.fault(common::ROOT, undo(version));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(said.contains("nTSecurityDescriptor of CN=zoe,OU=Staff"), "{said}");
    assert!(said.contains(&format!("version {later} by BUILTIN\\Administrators")), "{said}");
}

#[test]
fn a_later_change_that_was_itself_undone_stands_in_nobodys_way() {
    let site = Site::new();
    let before = site.records();
    site.ask(send_as("zoe", "max"));
    let version = site.version();
    site.ask(send_as("zoe", "helper"));
    site.ask(undo(site.version()));
    site.ask(undo(version));
    assert_eq!(site.records(), before);
}

#[test]
fn a_new_user_who_was_given_something_since_is_not_undone() {
    let site = Site::new();
    site.user("new", None);
    let version = site.version();
    site.group("Writers", &["new"]);
    let (kind, said) = site.fault(common::ROOT, undo(version));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(said.contains("member of CN=Writers"), "{said}");
}

#[test]
fn undo_needs_now_the_right_that_the_change_needed() {
    let site = Site::new();
    site.ask(grant("zoe", "helper", "write-dac", false, None));
    site.service.call(HELPER, "", send_as("zoe", "max")).unwrap();
    let version = site.version();
    site.ask(take("zoe", "helper", "write-dac", false));
    let without = site.version();
    assert_eq!(site.fault(HELPER, undo(without)).0, FaultKind::Denied, "nobody gives himself a right by undo");
    site.ask(undo(without));
    site.service.call(HELPER, "", undo(version)).unwrap();
}

#[test]
fn a_right_to_create_is_no_right_to_delete_by_undo() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "helper", "create-child", false, None));
    site.user("new", Some("OU=Staff"));
    assert_eq!(site.fault(HELPER, undo(site.version())).0, FaultKind::Denied);
}

#[test]
fn a_version_that_is_not_there_is_not_undone() {
    let site = Site::new();
    assert_eq!(site.fault(common::ROOT, undo(9_999)).0, FaultKind::NotFound);
}

#[derive(Debug, Clone)]
enum Step {
    Grant(usize, usize),
    Deny(usize, usize),
    Below(usize, usize),
    Open(usize, usize),
    Delegate(usize, usize),
    Member(usize),
    Move(usize, usize),
    Rename(usize),
    Delete(usize),
    Add(u8),
    Disable(usize),
}

const PEOPLE: [&str; 3] = ["zoe", "max", "helper"];
const UNITS: [&str; 3] = ["OU=Staff", "OU=Plant", "OU=Locked,OU=Plant"];

fn request(step: &Step) -> R {
    let person = |at: &usize| PEOPLE[*at].to_owned();
    match step {
        Step::Grant(on, who) => send_as(PEOPLE[*on], PEOPLE[*who]),
        Step::Deny(on, who) => grant(PEOPLE[*on], PEOPLE[*who], "Send As", true, None),
        Step::Below(unit, who) => grant(UNITS[*unit], PEOPLE[*who], "Send As", false, Some("user")),
        Step::Open(on, who) => full_access(PEOPLE[*on], PEOPLE[*who]),
        Step::Delegate(on, who) => delegate(PEOPLE[*on], PEOPLE[*who]),
        Step::Member(who) => R::MemberAdd(op::Members { group: "Domain Admins".into(), members: vec![person(who)] }),
        Step::Move(who, unit) => moved(PEOPLE[*who], UNITS[*unit]),
        Step::Rename(who) => R::UserSet(op::UserSet {
            identity: person(who),
            display_name: Some("Somebody Else".into()),
            add_addresses: vec![format!("{}.too@example.com", person(who))],
            ..op::UserSet::default()
        }),
        Step::Delete(who) => R::UserRemove(op::Target { identity: person(who) }),
        Step::Add(n) => R::UserAdd(op::UserAdd { name: format!("new{n}"), mailbox: true, ..op::UserAdd::default() }),
        Step::Disable(who) => {
            R::UserSet(op::UserSet { identity: person(who), enabled: Some(false), ..op::UserSet::default() })
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (person, unit) = (0..PEOPLE.len(), 0..UNITS.len());
    prop_oneof![
        (person.clone(), person.clone()).prop_map(|(a, b)| Step::Grant(a, b)),
        (person.clone(), person.clone()).prop_map(|(a, b)| Step::Deny(a, b)),
        (unit.clone(), person.clone()).prop_map(|(a, b)| Step::Below(a, b)),
        (person.clone(), person.clone()).prop_map(|(a, b)| Step::Open(a, b)),
        (person.clone(), person.clone()).prop_map(|(a, b)| Step::Delegate(a, b)),
        person.clone().prop_map(Step::Member),
        (person.clone(), unit).prop_map(|(a, b)| Step::Move(a, b)),
        person.clone().prop_map(Step::Rename),
        person.clone().prop_map(Step::Delete),
        (0..4_u8).prop_map(Step::Add),
        person.prop_map(Step::Disable),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever was done: undone from the newest to the oldest, each version leads back to the bytes before it.
    #[test]
    fn every_change_is_undone_to_the_byte(steps in proptest::collection::vec(step(), 1..8)) {
        let site = Site::new();
        let mut before = vec![(site.version(), site.records())];
        for step in &steps {
            // What the directory refuses (a second account of that name, a deleted one) changes nothing.
            let _ = site.service.call(common::ROOT, "", request(step));
            if site.version() > before.last().unwrap().0 {
                before.push((site.version(), site.records()));
            }
        }
        while let Some((version, _)) = before.pop() {
            let Some((_, records)) = before.last() else { break };
            site.ask(undo(version));
            prop_assert_eq!(&site.records(), records, "version {}", version);
        }
    }
}

#[test]
fn the_end_of_a_grant_is_told_in_words() {
    let site = Site::new();
    let end = |op: &str, more: serde_json::Value| {
        let mut wanted = serde_json::json!({"op": op, "identity": "zoe", "until": 5_000});
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let simulated = site.simulated(common::request(wanted));
        let line = simulated.changes.into_iter().find(|line| line.attribute.starts_with("procuraExpiring")).unwrap();
        line.added.concat()
    };
    let grant = end("permission-add", serde_json::json!({"trustee": "max", "rights": ["Send As"]}));
    assert!(grant.starts_with("until 1970-01-01T00:00:05.000Z: allow EXAMPLE\\max: Send-As ("), "{grant}");
    let delegate = end("delegate-add", serde_json::json!({"delegates": ["max"]}));
    assert!(delegate.starts_with("until 1970-01-01T00:00:05.000Z: CN=max,"), "{delegate}");
}

#[test]
fn rights_have_the_names_of_add_adpermission_too_and_say_what_they_are_about() {
    let site = Site::new();
    let entry = |right: &str| {
        let simulated = site.simulated(common::grant("zoe", "max", right, false, None));
        let added = simulated.changes.iter().flat_map(|line| &line.added).find(|entry| entry.contains("max: "));
        let entry = added.unwrap().split_once("max: ").unwrap().1;
        entry.split_once(" (").unwrap().0.to_owned()
    };
    assert_eq!(entry("WriteDacl"), "write-dac");
    assert_eq!(entry("GenericAll"), "full-control");
    assert_eq!(entry("GenericRead"), "list-children, read-property, list-object, read-control");
    assert_eq!(entry("WriteProperty Personal Information"), "write-property Personal Information");
    assert_eq!(entry("create-child user"), "create-child user");
    for wrong in ["write-property nothing-of-that-name", "create-child nothing", "delete zoe", "self zoe"] {
        site.fault(common::ROOT, common::grant("zoe", "max", wrong, false, None));
    }
}

#[test]
fn a_grant_to_all_below_reaches_objects_of_every_class_and_not_the_container() {
    let site = Site::new();
    site.user("otto", Some("OU=Staff"));
    site.ask(common::grant("OU=Staff", "max", "Send As", false, Some("all")));
    assert!(site.may_send_as("max", "otto"));
    let snapshot = site.service.snapshot();
    let unit = snapshot.descriptor(snapshot.resolve("OU=Staff,DC=example,DC=com").unwrap()).unwrap();
    let max = snapshot.object(snapshot.resolve("max").unwrap()).unwrap().sid().map(|sid| snapshot.sid(sid)).unwrap();
    let aces: Vec<_> = unit.sd().dacl.iter().flat_map(|dacl| &dacl.aces).filter(|ace| ace.sid == max).collect();
    assert!(aces.len() == 1 && !aces[0].is_effective());
}
