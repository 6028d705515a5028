//! Delegates with all that makes them what they are.
#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use common::{HELPER, ROOT, Site, delegate, full_access, send_as};

fn delegation(owner: &str, who: &str, full_access: bool, send_as: bool) -> op::Delegation {
    op::Delegation {
        identity: owner.to_owned(),
        delegates: vec![who.to_owned()],
        full_access,
        send_as,
        ..op::Delegation::default()
    }
}

fn rows(site: &Site, owner: &str) -> Vec<op::DelegationRow> {
    match site.ask(R::DelegationGet(op::Target { identity: owner.to_owned() })) {
        Response::Delegation(page) => page.rows,
        other => panic!("{other:?}"),
    }
}

fn sends(site: &Site, owner: &str) -> Vec<String> {
    rows(site, owner).into_iter().map(|row| row.sends).collect()
}

#[test]
fn a_delegate_sends_on_behalf() {
    let site = Site::new();
    site.ask(R::DelegationAdd(delegation("zoe", "max", false, false)));
    assert_eq!(sends(&site, "zoe"), ["on-behalf"]);
}

#[test]
fn a_delegate_with_full_mailbox_access_sends_as_the_owner_when_logged_on() {
    let site = Site::new();
    let said = site.done(R::DelegationAdd(delegation("zoe", "max", true, false)));
    assert!(said.contains("logged on to the mailbox it sends as the owner"), "{said}");
    assert_eq!(sends(&site, "zoe"), ["as-when-logged-on"]);
}

#[test]
fn a_delegate_with_send_as_never_sends_on_behalf() {
    let site = Site::new();
    let said = site.done(R::DelegationAdd(delegation("zoe", "max", false, true)));
    assert!(said.contains("never on behalf"), "{said}");
    assert_eq!(sends(&site, "zoe"), ["as"]);
}

#[test]
fn the_rights_of_a_delegate_are_one_change() {
    let site = Site::new();
    let before = (site.version(), site.records());
    site.ask(R::DelegationAdd(delegation("zoe", "max", true, true)));
    assert_eq!(site.version(), before.0 + 1);
    site.ask(common::undo(site.version()));
    assert_eq!(site.records(), before.1);
}

#[test]
fn a_delegate_goes_with_what_is_named_and_keeps_what_is_not() {
    let site = Site::new();
    site.ask(R::DelegationAdd(delegation("zoe", "max", true, true)));
    site.ask(R::DelegationRemove(delegation("zoe", "max", true, false)));
    assert_eq!(rows(&site, "zoe"), []);
    assert!(site.may_send_as("max", "zoe"));
    site.ask(delegate("zoe", "max"));
    assert!(!rows(&site, "zoe")[0].full_access);
}

#[test]
fn what_does_not_stand_on_the_owner_need_not_go() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(R::DelegationRemove(delegation("zoe", "max", true, true)));
    assert_eq!(rows(&site, "zoe"), []);
}

#[test]
fn a_group_as_delegate_holds_what_names_it() {
    let site = Site::new();
    site.group("Desk", &["max"]);
    for request in [delegate("zoe", "Desk"), full_access("zoe", "Desk"), send_as("zoe", "max")] {
        site.ask(request);
    }
    let [row] = &rows(&site, "zoe")[..] else { panic!() };
    assert_eq!((row.class.as_str(), row.full_access, row.send_as), ("group", true, false));
}

#[test]
fn a_delegate_that_cannot_log_on_sends_nothing() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    site.ask(R::UserSet(op::UserSet { identity: "max".into(), enabled: Some(false), ..op::UserSet::default() }));
    assert_eq!(sends(&site, "zoe"), ["nothing"]);
}

#[test]
fn each_part_of_a_delegation_needs_its_right() {
    let site = Site::new();
    // The owner writes its own delegates, and not the permissions on itself.
    assert_eq!(site.fault(HELPER, R::DelegationAdd(delegation("helper", "max", false, true))).0, FaultKind::Denied);
    site.service.call(HELPER, "", R::DelegationAdd(delegation("helper", "max", false, false))).unwrap();
    assert_eq!(sends(&site, "helper"), ["on-behalf"]);
}

#[test]
fn both_lists_of_delegates_say_when_one_ends() {
    let site = Site::new();
    site.ask(R::DelegationAdd(op::Delegation { until: Some(86_400_000), ..delegation("zoe", "max", false, false) }));
    let until = Some("1970-01-02T00:00:00Z");
    assert_eq!(rows(&site, "zoe")[0].until.as_deref(), until);
    let listed = site.service.call(ROOT, "", R::DelegateGet(op::Target { identity: "zoe".into() })).unwrap();
    let Response::Delegates(page) = listed else { panic!() };
    assert_eq!(page.rows[0].until.as_deref(), until);
}

#[test]
fn whoever_is_no_delegate_is_not_said_to_have_been_one() {
    let site = Site::new();
    let links = |who: &str| op::Delegates { identity: "zoe".into(), delegates: vec![who.into()], until: None };
    let said = site.done(R::DelegateRemove(links("max")));
    assert!(said.contains("max is no delegate itself") && !said.contains("may no longer"), "{said}");
    site.ask(R::DelegateAdd(links("max")));
    let said = site.done(R::DelegateAdd(links("max")));
    assert!(said.contains("max is a delegate already") && !said.contains("may now"), "{said}");
    let said = site.done(R::DelegateRemove(links("max")));
    assert!(said.contains("max may no longer") && !said.contains("no delegate"), "{said}");
}

#[test]
fn whoever_is_no_member_is_not_counted() {
    let site = Site::new();
    site.group("Press", &["max"]);
    let members =
        |who: &[&str]| op::Members { group: "Press".into(), members: who.iter().map(|w| (*w).into()).collect() };
    let said = site.done(R::MemberRemove(members(&["max", "zoe"])));
    assert!(said.contains("removed 1 member(s)") && said.contains("zoe is no member itself"), "{said}");
    site.ask(R::MemberAdd(members(&["zoe"])));
    let said = site.done(R::MemberAdd(members(&["zoe"])));
    assert!(said.contains("added 0 member(s)") && said.contains("zoe is a member already"), "{said}");
}

#[test]
fn groups_that_every_domain_has_stay() {
    let site = Site::new();
    for name in ["Domain Admins", "CN=Administrators,CN=Builtin,DC=example,DC=com"] {
        let (kind, message) = site.fault(ROOT, R::GroupRemove(op::Target { identity: name.into() }));
        assert!(kind == FaultKind::Invalid && message.contains("every domain has"), "{message}");
    }
    site.group("Press", &[]);
    site.ask(R::GroupRemove(op::Target { identity: "Press".into() }));
}
