//! Accounts that AdminSDHolder protects and those it left behind; moves.
#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, Request as R, Response};
use common::{Site, send_as};

fn names(site: &Site, request: R) -> Vec<String> {
    let Response::Members(page) = site.ask(request) else { panic!() };
    page.rows.into_iter().map(|row| row.name).collect()
}

fn repair(name: &str) -> R {
    R::ProtectedRepair(op::Target { identity: name.to_owned() })
}

#[test]
fn an_administrator_is_listed_as_protected_and_afterwards_as_an_orphan() {
    let site = Site::new();
    site.administrator("zoe");
    assert!(names(&site, R::ProtectedList).contains(&"EXAMPLE\\zoe".to_owned()));
    assert!(names(&site, R::ProtectedOrphans).is_empty());
    site.ask(R::MemberRemove(op::Members { group: "Domain Admins".into(), members: vec!["zoe".into()] }));
    assert!(!names(&site, R::ProtectedList).contains(&"EXAMPLE\\zoe".to_owned()));
    assert_eq!(names(&site, R::ProtectedOrphans), ["EXAMPLE\\zoe"]);
}

#[test]
fn a_repaired_orphan_inherits_again_and_keeps_what_was_granted_to_it_since() {
    let site = Site::new();
    site.ask(common::grant("OU=Staff", "helper", "Send As", false, Some("user")));
    site.administrator("zoe");
    site.ask(R::MemberRemove(op::Members { group: "Domain Admins".into(), members: vec!["zoe".into()] }));
    site.ask(send_as("zoe", "max"));
    assert!(!site.may_send_as("helper", "zoe"));
    site.ask(repair("zoe"));
    assert!(site.may_send_as("helper", "zoe") && site.may_send_as("max", "zoe"));
    assert!(names(&site, R::ProtectedOrphans).is_empty());
    assert_eq!(site.service.protect().unwrap(), 0);
}

#[test]
fn what_is_no_orphan_is_not_repaired() {
    let site = Site::new();
    site.administrator("zoe");
    let (_, message) = site.fault(common::ROOT, repair("zoe"));
    assert!(message.contains("is protected still"), "{message}");
    let (_, message) = site.fault(common::ROOT, repair("max"));
    assert!(message.contains("was never protected"), "{message}");
}

fn move_to(object: &str, to: &str) -> R {
    R::Move(op::Move { identity: object.to_owned(), to: to.to_owned() })
}

#[test]
fn a_moved_unit_takes_its_users_along_and_says_who_gains_and_who_loses() {
    let site = Site::new();
    site.ask(common::grant("OU=Plant", "helper", "Send As", false, Some("user")));
    let said = site.done(move_to("OU=Staff", "OU=Plant"));
    assert!(said.contains("EXAMPLE\\helper gains Send As on"), "{said}");
    assert!(site.may_send_as("helper", "zoe"));
    let snapshot = site.service.snapshot();
    assert!(snapshot.dn(snapshot.resolve("zoe").unwrap()).contains("OU=Staff,OU=Plant,"));
    let said = site.done(move_to("OU=Staff,OU=Plant", "DC=example,DC=com"));
    assert!(said.contains("EXAMPLE\\helper loses Send As on"), "{said}");
    assert!(!site.may_send_as("helper", "zoe"));
}

#[test]
fn what_is_there_already_is_not_moved() {
    let site = Site::new();
    let version = site.version();
    assert!(site.done(move_to("zoe", "OU=Staff")).contains("nothing was changed"));
    assert_eq!(site.version(), version);
}
