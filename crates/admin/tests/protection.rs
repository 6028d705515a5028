//! Accounts that AdminSDHolder protects and those it left behind; moves; grants that nobody used.
#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, Request as R, Response};
use common::{Site, delegate, request, send_as};
use serde_json::json;
use store::{AuditEntry, AuditStore};

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

/// Grants that were not used in the last day: who, on whom.
fn unused(site: &Site) -> Vec<(String, String)> {
    let rows = site.holders(request(json!({"op": "permission-unused", "days": 1})));
    let mut rows: Vec<_> = rows.into_iter().map(|row| (row.trustee, row.right)).collect();
    rows.sort();
    rows
}

/// Puts a decision as it would be made now into the audit, as that of a message.
fn sent(site: &Site, kind: &str, who: &str, from: &str) {
    let connector = "Client";
    let check = json!({"op": "check", "who": who, "from": [from], "connector": connector});
    let Response::Decision(record) = site.ask(request(check)) else { panic!() };
    assert!(!record.trace.is_empty(), "{record:?}");
    let json = serde_json::to_string(&record).unwrap();
    let mut audit = AuditStore::open(&site.service.directory().join("audit.db")).unwrap();
    let id = format!("01J{kind}{who}");
    audit.append(&[AuditEntry { id, time: 500, kind: kind.to_owned(), json }]).unwrap();
}

#[test]
fn a_grant_that_no_decision_rests_on_is_unused() {
    let site = Site::new();
    site.ask(send_as("zoe", "max"));
    site.ask(send_as("zoe", "helper"));
    site.ask(delegate("max", "helper"));
    let (max, helper) = ("EXAMPLE\\max".to_owned(), "EXAMPLE\\helper".to_owned());
    let (send_as, on_behalf) = ("send-as".to_owned(), "send-on-behalf".to_owned());
    let all = unused(&site);
    assert_eq!(all, [(helper.clone(), send_as.clone()), (helper.clone(), on_behalf.clone()), (max, send_as.clone())]);
    site.ask(common::grant("Client", "Authenticated Users", "ms-Exch-SMTP-Submit", false, None));
    sent(&site, "sent-as", "max", "zoe@example.com");
    let left = unused(&site);
    assert_eq!(left, [(helper.clone(), send_as.clone()), (helper.clone(), on_behalf)]);
    sent(&site, "sent-on-behalf", "helper", "max@example.com");
    assert_eq!(unused(&site), [(helper, send_as)]);
}
