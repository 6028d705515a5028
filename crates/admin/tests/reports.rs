//! Who can, what can, trials, and how far grants reach.

#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, HolderRow, Request as R, Response};
use admin::{FaultKind, random};
use common::{HELPER, Site, delegate, full_access, grant, moved, send_as, who_can};
use directory::{Change, Record, attributes as a};

fn of<'a>(rows: &'a [HolderRow], trustee: &str) -> Vec<&'a HolderRow> {
    rows.iter().filter(|row| row.trustee == trustee).collect()
}

#[test]
fn a_grant_on_a_unit_is_listed_with_where_it_is_inherited_from() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    let rows = site.holders(R::WhoCan(who_can("send-as", "zoe")));
    let [row] = of(&rows, "EXAMPLE\\max")[..] else { panic!("{rows:?}") };
    assert_eq!(row.inherited_from.as_deref(), Some("OU=Staff,DC=example,DC=com"));
    assert_eq!((row.right.as_str(), row.via.as_str(), row.effective), ("send-as", "ace", true));
    assert_eq!((row.target.as_str(), row.deny), ("zoe@example.com", false));
}

#[test]
fn a_grant_that_a_denial_precedes_is_listed_as_without_effect() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(grant("zoe", "max", "Send As", true, None));
    let rows = site.holders(R::WhoCan(who_can("send-as", "zoe")));
    let effects: Vec<_> = of(&rows, "EXAMPLE\\max").iter().map(|row| (row.deny, row.effective)).collect();
    assert_eq!(effects, [(true, true), (false, false)]);
}

#[test]
fn all_three_permissions_come_in_one_table() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(full_access("zoe", "max"));
    site.ask(delegate("zoe", "max"));
    let rows = site.holders(R::WhoCan(who_can("all", "zoe")));
    let mut rights: Vec<_> = of(&rows, "EXAMPLE\\max").iter().map(|row| row.right.as_str()).collect();
    rights.dedup();
    // As a delegate with Full Mailbox Access he is a super-delegate too.
    assert_eq!(rights, ["send-as", "send-on-behalf", "full-access"]);
}

#[test]
fn a_group_is_resolved_to_people_with_the_way_through_it() {
    let site = Site::new();
    site.group("Inner", &["max"]);
    site.group("Outer", &["Inner"]);
    site.ask(send_as("zoe", "Outer"));
    let rows = site.holders(R::WhoCan(op::WhoCan { expand: true, ..who_can("send-as", "zoe") }));
    let [row] = of(&rows, "EXAMPLE\\max")[..] else { panic!("{rows:?}") };
    assert_eq!(row.path, ["EXAMPLE\\max", "EXAMPLE\\Inner", "EXAMPLE\\Outer"]);
    assert!(of(&rows, "EXAMPLE\\Outer").is_empty(), "groups are people here");
}

#[test]
fn whoever_may_change_the_permissions_could_become_a_sender() {
    let site = Site::new();
    site.ask(grant("zoe", "max", "write-dac", false, None));
    let without = site.holders(R::WhoCan(who_can("send-as", "zoe")));
    assert!(of(&without, "EXAMPLE\\max").is_empty());
    let rows = site.holders(R::WhoCan(op::WhoCan { could_become: true, ..who_can("send-as", "zoe") }));
    let [row] = of(&rows, "EXAMPLE\\max")[..] else { panic!("{rows:?}") };
    assert_eq!((row.right.as_str(), row.via.as_str(), row.effective), ("could-become", "write-dac", true));
}

#[test]
fn writing_delegates_amounts_to_it_together_with_full_mailbox_access_only() {
    let site = Site::new();
    site.ask(grant("zoe", "max", "write-property", false, None));
    let delegates = || {
        let rows = site.holders(R::WhoCan(op::WhoCan { could_become: true, ..who_can("send-as", "zoe") }));
        let row = rows.iter().find(|row| row.trustee == "EXAMPLE\\max" && row.via == "write-public-delegates");
        row.unwrap().effective
    };
    assert!(!delegates());
    site.ask(full_access("zoe", "max"));
    assert!(delegates());
}

#[test]
fn what_can_lists_what_an_account_can_and_not_itself() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "helper", "Send As", false, Some("user")));
    let what = op::WhatCan { identity: "helper@example.com".into(), ..op::WhatCan::default() };
    let rows = site.holders(R::WhatCan(what));
    let mut targets: Vec<_> = rows.iter().map(|row| row.target.as_str()).collect();
    targets.sort_unstable();
    assert_eq!(targets, ["max@example.com", "zoe@example.com"]);
}

#[test]
fn what_can_of_a_group_lists_what_names_it() {
    let site = Site::new();
    site.group("Writers", &["max"]);
    site.ask(send_as("zoe", "Writers"));
    let snapshot = site.service.snapshot();
    let sid = snapshot.resolve_sid("EXAMPLE\\Writers").unwrap().to_string();
    let rows = site.holders(R::WhatCan(op::WhatCan { identity: sid, ..op::WhatCan::default() }));
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].target, "zoe@example.com");
}

#[test]
fn an_object_is_known_by_each_of_its_names() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let snapshot = site.service.snapshot();
    let sid = snapshot.resolve_sid("EXAMPLE\\zoe").unwrap().to_string();
    let expected = site.holders(R::WhoCan(who_can("send-as", "zoe")));
    for name in ["zoe@example.com", "CN=zoe,OU=Staff,DC=example,DC=com", "EXAMPLE\\zoe", "example.com/Staff/zoe", &sid]
    {
        assert_eq!(site.holders(R::WhoCan(who_can("send-as", name))), expected, "{name}");
    }
}

#[test]
fn an_export_holds_a_grant_once_and_no_owners() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let rows = site.holders(R::AuditExport(op::AuditExport { rights: vec!["send-as".into()], ..Default::default() }));
    assert_eq!(rows.iter().filter(|row| row.trustee == "EXAMPLE\\max" && row.target == "zoe@example.com").count(), 1);
    assert!(rows.iter().all(|row| row.trustee != "NT AUTHORITY\\SELF" && row.via != "owner"), "{rows:?}");
}

#[test]
fn a_report_needs_the_right_to_read_the_object() {
    let site = Site::new();
    // As in AD, accounts may read users unless it is denied to them.
    site.service.call(HELPER, "", R::WhoCan(who_can("send-as", "zoe"))).unwrap();
    site.ask(grant("zoe", "helper", "read-property", true, None));
    assert_eq!(site.fault(HELPER, R::WhoCan(who_can("send-as", "zoe"))).0, FaultKind::Denied);
    let own = op::WhatCan { identity: "helper".into(), ..op::WhatCan::default() };
    site.service.call(HELPER, "", R::WhatCan(own)).unwrap();
}

// Trials.

#[test]
fn a_trial_names_who_gains_and_changes_nothing() {
    let site = Site::new();
    let before = (site.version(), site.records());
    let simulated = site.simulated(send_as("zoe", "max"));
    assert_eq!(simulated.gained.len(), 1);
    assert_eq!(
        (simulated.gained[0].trustee.as_str(), simulated.gained[0].target.as_str()),
        ("EXAMPLE\\max", "zoe@example.com")
    );
    assert!(simulated.lost.is_empty());
    assert!(simulated.changes[0].added[0].contains("EXAMPLE\\max: Send-As"), "{:?}", simulated.changes);
    assert_eq!((site.version(), site.records()), before);
}

#[test]
fn a_trial_of_a_move_names_who_gains_and_who_loses() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    site.ask(grant("OU=Plant", "helper", "Send As", false, Some("user")));
    let simulated = site.simulated(moved("zoe", "OU=Plant"));
    let names = |rows: &[op::DifferenceRow]| rows.iter().map(|row| row.trustee.clone()).collect::<Vec<_>>();
    assert_eq!(
        (names(&simulated.gained), names(&simulated.lost)),
        (vec!["EXAMPLE\\helper".into()], vec!["EXAMPLE\\max".into()])
    );
}

#[test]
fn a_move_warns_who_gains_and_who_loses() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    site.ask(grant("OU=Plant", "helper", "Send As", false, Some("user")));
    let said = site.done(moved("zoe", "OU=Plant"));
    assert!(said.contains("EXAMPLE\\helper gains Send As on zoe@example.com"), "{said}");
    assert!(said.contains("EXAMPLE\\max loses Send As on zoe@example.com"), "{said}");
}

#[test]
fn a_trial_of_a_membership_reckons_with_admin_sd_holder() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    let members = op::Members { group: "Domain Admins".into(), members: vec!["zoe".into()] };
    let simulated = site.simulated(R::MemberAdd(members));
    let lost = simulated.lost.iter().any(|row| row.trustee == "EXAMPLE\\max" && row.target == "zoe@example.com");
    assert!(lost, "the grant on zoe is replaced with her descriptor: {:?}", simulated.lost);
    assert!(simulated.notes.iter().any(|note| note.contains("AdminSDHolder")), "{:?}", simulated.notes);
}

#[test]
fn a_trial_of_the_legacy_policy_lists_everybody_who_can_open_a_mailbox() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let set = op::DatabaseSet { identity: "Mailbox Database".into(), legacy_send_as: Some(true) };
    let simulated = site.simulated(R::DatabaseSet(set));
    let row = simulated.gained.iter().find(|row| row.trustee == "EXAMPLE\\max").unwrap();
    assert_eq!(
        (row.target.as_str(), row.right.as_str(), row.via.as_str()),
        ("zoe@example.com", "send-as", "legacy-policy")
    );
}

#[test]
fn a_trial_says_who_could_come_to_send() {
    let site = Site::new();
    let simulated = site.simulated(grant("zoe", "max", "write-dac", false, None));
    assert!(simulated.gained.is_empty());
    assert!(
        simulated.notes.iter().any(|note| note.contains("EXAMPLE\\max") && note.contains("write-dac")),
        "{:?}",
        simulated.notes
    );
}

#[test]
fn a_trial_needs_the_right_that_the_change_needs() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, R::Simulate(send_as("zoe", "max").into())).0, FaultKind::Denied);
}

#[test]
fn a_tried_user_gets_no_password() {
    let site = Site::new();
    let secret = op::Secret(zeroize::Zeroizing::new("secret".to_owned()));
    let add = op::UserAdd { name: "new".into(), password: Some(secret), ..op::UserAdd::default() };
    let simulated = site.simulated(R::UserAdd(add));
    assert!(matches!(*simulated.outcome, Response::Done(_)));
    let guid: acl::Guid = simulated.changes[0].guid.parse().unwrap();
    assert_eq!(site.service.credential(&guid).unwrap(), None);
}

#[test]
fn every_change_can_be_tried_out_and_leaves_no_trace() {
    let site = Site::new();
    site.group("Writers", &["max"]);
    let before = (site.version(), site.records());
    let target = |name: &str| op::Target { identity: name.to_owned() };
    let requests = [
        R::UserSet(op::UserSet { identity: "zoe".into(), enabled: Some(false), ..Default::default() }),
        R::UserRemove(target("zoe")),
        R::GroupAdd(op::GroupAdd { name: "New".into(), ..Default::default() }),
        R::GroupRemove(target("Writers")),
        R::MemberRemove(op::Members { group: "Writers".into(), members: vec!["max".into()] }),
        R::MailboxDisable(target("zoe")),
        R::OuAdd(op::OuAdd { name: "New".into(), under: None, protected: true }),
        R::DomainAdd(op::DomainAdd {
            domain: "example.org".into(),
            kind: op::DomainKind::Authoritative,
            alias_of: None,
            subaddressing: false,
            recipient_lookup: None,
        }),
        full_access("zoe", "max"),
        delegate("zoe", "max"),
        R::SeparationSetAll(op::SeparationSetAll::default()),
        R::ServiceAccountGrant(op::ServiceAccountGrant { identity: "helper".into(), ..Default::default() }),
        common::undo(before.0),
    ];
    for request in requests {
        let said = format!("{request:?}");
        site.simulated(request);
        assert_eq!((site.version(), site.records()), before, "{said}");
    }
}

// How far a grant reaches.

#[test]
fn a_grant_on_a_container_names_who_is_not_reached_and_why() {
    let site = Site::new();
    site.user("locked", Some("OU=Locked,OU=Plant"));
    site.user("boss", Some("OU=Plant"));
    site.user("denied", Some("OU=Plant"));
    site.user("open", Some("OU=Plant"));
    site.administrator("boss");
    site.ask(grant("denied", "max", "Send As", true, None));
    let said = site.done(grant("OU=Plant", "max", "Send As", false, Some("user")));
    let line = |name: &str| said.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(line("CN=locked").contains("inheritance is blocked at OU=Locked,OU=Plant"), "{said}");
    assert!(line("CN=boss").contains("AdminSDHolder"), "{said}");
    assert!(line("CN=denied").contains("denied to EXAMPLE\\max"), "{said}");
    assert_eq!(line("CN=open"), "", "{said}");
}

#[test]
fn a_grant_on_a_protected_account_warns_that_it_will_be_undone() {
    let site = Site::new();
    site.administrator("zoe");
    let said = site.done(send_as("zoe", "max"));
    assert!(said.contains("AdminSDHolder") && said.contains("replaced"), "{said}");
    site.service.protect().unwrap();
    assert!(!site.may_send_as("max", "zoe"));
}

#[test]
fn the_legacy_policy_needs_write_dac_on_the_domain() {
    let site = Site::new();
    site.ask(grant("Mailbox Database", "helper", "write-property", false, None));
    let set = || R::DatabaseSet(op::DatabaseSet { identity: "Mailbox Database".into(), legacy_send_as: Some(true) });
    assert_eq!(site.fault(HELPER, set()).0, FaultKind::Denied);
    site.ask(grant("DC=example,DC=com", "helper", "write-dac", false, None));
    site.service.call(HELPER, "", set()).unwrap();
}

/// Users, a group with an address, and a group without one: what the steps below are about.
const NAMES: [&str; 5] = ["zoe", "max", "helper", "Writers", "Readers"];

fn change(kind: u8, on: usize, who: usize) -> R {
    let (on, who) = (NAMES[on], NAMES[who]);
    match kind {
        0 => send_as(on, who),
        1 => grant(on, who, "Send As", true, None),
        2 => grant("OU=Staff", who, "Send As", false, Some("user")),
        3 => full_access(on, who),
        4 => delegate(on, who),
        5 => R::MemberAdd(op::Members { group: "Writers".into(), members: vec![who.into()] }),
        6 => R::UserSet(op::UserSet { identity: on.into(), enabled: Some(false), ..Default::default() }),
        7 => grant("Mailbox Database", who, "Receive As", false, None),
        _ => R::DatabaseSet(op::DatabaseSet { identity: "Mailbox Database".into(), legacy_send_as: Some(true) }),
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 24, ..Default::default() })]

    /// The export works rows out once for each descriptor; it must say what is said of each owner alone.
    #[test]
    fn an_export_says_what_who_can_says_of_each_owner(
        changes in proptest::collection::vec((0..9_u8, 0..NAMES.len(), 0..NAMES.len()), 0..10),
        expand: bool,
    ) {
        let site = Site::new();
        site.group("Writers", &["max"]);
        site.group("Readers", &["Writers"]);
        let set = op::GroupSet {
            identity: "Writers".into(),
            addresses: Some(vec!["writers@example.com".into()]),
            ..op::GroupSet::default()
        };
        site.ask(R::GroupSet(set));
        for (kind, on, who) in changes {
            // A group has no mailbox to open and is no account to disable; that is refused and changes nothing.
            let _ = site.service.call(common::ROOT, "", change(kind, on, who));
        }
        let mut expected = Vec::new();
        for owner in ["zoe", "max", "helper", "writers"] {
            let request = op::WhoCan { expand, ..who_can("all", &format!("{owner}@example.com")) };
            let rows = site.holders(R::WhoCan(request)).into_iter().filter(|row| {
                let own = row.trustee == "NT AUTHORITY\\SELF" || row.trustee.eq_ignore_ascii_case(&format!("EXAMPLE\\{owner}"));
                row.effective && row.via != "any-sender" && !own
            });
            expected.extend(rows);
        }
        let mut exported = site.holders(R::AuditExport(op::AuditExport { expand, ..Default::default() }));
        exported.retain(|row| row.via != "any-sender");
        let key = |row: &HolderRow| {
            (row.target.clone(), row.right.clone(), row.trustee_sid.clone(), row.via.clone(), row.ace_index)
        };
        expected.sort_by_key(key);
        exported.sort_by_key(key);
        proptest::prop_assert_eq!(exported, expected);

        let export = R::AuditExport(op::AuditExport { expand, ..Default::default() });
        let paged = site.holders(export.clone());
        proptest::prop_assert_eq!(written(&site, export), paged);
    }
}

/// A report as text, read again.
fn written(site: &Site, request: R) -> Vec<HolderRow> {
    let mut text = Vec::new();
    let mut take = |piece: &[u8], _: u64| {
        text.extend_from_slice(piece);
        Ok(())
    };
    site.service.write(common::ROOT, &request, op::TextFormat::Jsonl, &mut take).unwrap();
    String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_report_as_text_is_the_report_in_pages() {
    let site = Site::new();
    site.group("Desk", &["max", "helper"]);
    for request in [send_as("zoe", "Desk"), delegate("zoe", "max"), full_access("max", "Desk")] {
        site.ask(request);
    }
    for request in [
        R::WhoCan(who_can("all", "zoe")),
        R::WhoCan(op::WhoCan { expand: true, could_become: true, ..who_can("all", "zoe") }),
        R::WhatCan(op::WhatCan { identity: "max".into(), ..op::WhatCan::default() }),
        R::WhatCan(op::WhatCan { identity: "Desk".into(), ..op::WhatCan::default() }),
        R::AuditExport(op::AuditExport { all: true, include_self: true, ..Default::default() }),
    ] {
        let paged = site.holders(request.clone());
        assert!(!paged.is_empty());
        assert_eq!(written(&site, request), paged);
    }
}

#[test]
fn only_reports_are_written_as_text() {
    let site = Site::new();
    let written = site.service.write(common::ROOT, &R::Status, op::TextFormat::Csv, &mut |_, _| Ok(()));
    assert!(written.unwrap_err().to_string().contains("only reports"));
}

#[test]
fn a_report_as_text_needs_the_right_to_read_the_object() {
    let site = Site::new();
    site.ask(grant("zoe", "Authenticated Users", "read-property", true, None));
    let request = R::WhoCan(who_can("all", "zoe"));
    let written = site.service.write(HELPER, &request, op::TextFormat::Csv, &mut |_, _| Ok(()));
    assert!(written.unwrap_err().to_string().contains("may not read"), "nothing is told");
}

/// More people than fit on a page: the next pages go on where the last one ended.
#[test]
fn a_group_of_more_people_than_a_page_holds_comes_on_several() {
    let site = Site::new();
    let snapshot = site.service.snapshot();
    let max = snapshot.record(snapshot.resolve("max").unwrap()).unwrap();
    let one = |number: u32| {
        let (name, mut record) = (format!("p{number}"), Record { guid: random::new_guid(), ..max.clone() });
        record.rdn = format!("CN={name}");
        record.attributes.retain(|name, _| [a::OBJECT_CLASS, a::USER_ACCOUNT_CONTROL].contains(&name.as_str()));
        record.set(a::SAM_ACCOUNT_NAME, vec![name.into_bytes()]);
        let sid = snapshot.domains()[0].sid.with_rid(100_000 + number).unwrap();
        record.set(a::OBJECT_SID, vec![sid.to_bytes()]);
        Change::Add(record)
    };
    site.service.commit_as_system("test", (0..9_000).map(one).collect()).unwrap();
    site.ask(send_as("zoe", "Everyone"));
    let mut asked = op::AuditExport { rights: vec!["send-as".into()], expand: true, ..Default::default() };
    let (mut rows, mut pages) = (Vec::new(), 0);
    loop {
        let Response::Holders(page) = site.ask(R::AuditExport(asked.clone())) else { panic!() };
        assert!(page.rows.len() <= 8_010, "{}", page.rows.len());
        rows.extend(page.rows);
        pages += 1;
        (asked.after, asked.skip) = (page.next, page.skip.unwrap_or_default());
        if page.next.is_none() && page.skip.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    let all = op::AuditExport { rights: vec!["send-as".into()], expand: true, ..Default::default() };
    assert_eq!(rows, written(&site, R::AuditExport(all)));
    assert!(rows.iter().filter(|row| row.target == "zoe@example.com").count() >= 9_000);
}
