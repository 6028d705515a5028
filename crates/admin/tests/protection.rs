//! Accounts that AdminSDHolder protects and those it left behind; moves.
#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
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

fn explained(site: &Site, who: &str) -> op::ProtectedReport {
    match site.ask(R::ProtectedExplain(op::Target { identity: who.to_owned() })) {
        Response::Protected(report) => *report,
        other => panic!("{other:?}"),
    }
}

fn separate(who: &str, owner: &str) -> R {
    R::ProtectedSeparate(op::ProtectedSeparate { identity: who.into(), owner: owner.into(), ou: None })
}

fn template(who: &str, remove: bool) -> R {
    let rights = vec!["Send As".to_owned()];
    R::ProtectedTemplate(op::ProtectedTemplate { domain: None, trustee: who.into(), rights, remove })
}

#[test]
fn why_an_account_is_protected_is_told_with_the_groups_and_the_ways_out() {
    let site = Site::new();
    site.group("Desk", &["zoe"]);
    site.administrator("Desk");
    let report = explained(&site, "zoe");
    assert!(report.protected && !report.itself && report.mailbox, "{report:?}");
    assert!(report.through.iter().any(|path| path == &["EXAMPLE\\zoe", "EXAMPLE\\Desk", "EXAMPLE\\Domain Admins"]));
    let ways: Vec<&str> = report.ways.iter().map(|way| way.way.as_str()).collect();
    assert_eq!(ways, ["separate", "end", "template"]);
    assert!(!explained(&site, "max").protected && explained(&site, "max").ways.is_empty());
}

#[test]
fn an_account_that_is_protected_itself_is_not_told_to_leave_its_groups() {
    let site = Site::new();
    let report = explained(&site, "EXAMPLE\\Domain Admins");
    assert!(report.itself);
    assert_eq!(report.ways.iter().map(|way| way.way.as_str()).collect::<Vec<_>>(), ["template"]);
    let (kind, message) = site.fault(common::ROOT, R::ProtectedEnd(op::Target { identity: "Domain Admins".into() }));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(message.contains("itself"), "{message}");
}

/// S0: "To associate a mailbox with an account that is protected by the adminSDHolder object": an ordinary account owns
/// the mailbox, and the protected one may use it.
#[test]
fn the_mailbox_of_a_protected_account_goes_to_an_ordinary_one_where_grants_stay() {
    let site = Site::new();
    site.administrator("zoe");
    site.ask(separate("zoe", "zoe.mail"));
    let snapshot = site.service.snapshot();
    let [zoe, owner] = ["zoe", "zoe.mail"].map(|name| snapshot.object(snapshot.resolve(name).unwrap()).unwrap());
    assert!(zoe.mailbox().is_none() && owner.mailbox().is_some() && !owner.enabled());
    assert!(site.may_send_as("zoe", "zoe.mail"));
    let rows = site.holders(R::WhoCan(common::who_can("full-access", "zoe.mail")));
    assert!(rows.iter().any(|row| row.trustee == "EXAMPLE\\zoe" && row.effective));
    site.ask(send_as("zoe.mail", "helper"));
    site.service.protect().unwrap();
    assert!(site.may_send_as("helper", "zoe.mail"), "AdminSDHolder leaves the ordinary owner alone");
}

#[test]
fn the_mailbox_of_a_protected_account_goes_to_an_account_that_is_there() {
    let site = Site::new();
    site.administrator("zoe");
    site.ask(R::UserAdd(op::UserAdd { name: "plain".into(), ..op::UserAdd::default() }));
    let before = site.records();
    site.ask(separate("zoe", "plain"));
    assert!(site.may_send_as("zoe", "plain"));
    site.ask(common::undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn delegates_go_with_the_mailbox() {
    let site = Site::new();
    site.ask(common::delegate("zoe", "max"));
    site.administrator("zoe");
    site.ask(separate("zoe", "zoe.mail"));
    let snapshot = site.service.snapshot();
    let of = |name: &str| snapshot.delegates(snapshot.resolve(name).unwrap()).len();
    assert_eq!((of("zoe"), of("zoe.mail")), (0, 1));
}

#[test]
fn a_mailbox_is_not_separated_from_an_ordinary_account_nor_given_to_a_protected_one() {
    let site = Site::new();
    assert_eq!(site.fault(common::ROOT, separate("zoe", "zoe.mail")).0, FaultKind::Invalid);
    site.administrator("zoe");
    assert_eq!(site.fault(common::ROOT, separate("zoe", "max")).0, FaultKind::Conflict);
    site.ask(R::UserAdd(op::UserAdd { name: "plain".into(), ..op::UserAdd::default() }));
    site.administrator("plain");
    assert_eq!(site.fault(common::ROOT, separate("zoe", "plain")).0, FaultKind::Conflict);
}

#[test]
fn trying_the_recipe_out_changes_nothing_and_says_who_gains() {
    let site = Site::new();
    site.administrator("zoe");
    let before = site.records();
    let simulated = site.simulated(separate("zoe", "zoe.mail"));
    assert!(
        simulated.gained.iter().any(|row| row.trustee == "EXAMPLE\\zoe" && row.right == "send-as"),
        "{simulated:?}"
    );
    assert_eq!(site.records(), before);
}

#[test]
fn protection_ends_with_all_memberships_that_made_it_and_grants_stay_then() {
    let site = Site::new();
    site.group("Desk", &["zoe"]);
    site.administrator("Desk");
    site.administrator("zoe");
    let said = site.done(R::ProtectedEnd(op::Target { identity: "zoe".into() }));
    assert!(said.contains("CN=Desk") && said.contains("CN=Domain Admins"), "{said}");
    let snapshot = site.service.snapshot();
    let zoe = snapshot.resolve("zoe").unwrap();
    assert!(!snapshot.is_protected(zoe) && !snapshot.object(zoe).unwrap().admin_count());
    site.ask(send_as("zoe", "helper"));
    site.service.protect().unwrap();
    assert!(site.may_send_as("helper", "zoe"));
}

/// S0: "If you do change the adminSDHolder object, the access permissions for all protected accounts will change."
#[test]
fn a_change_of_the_template_counts_on_all_protected_accounts_at_once_and_is_undone() {
    let site = Site::new();
    site.administrator("zoe");
    site.administrator("max");
    let before = site.records();
    let said = site.done(template("helper", false));
    assert!(said.contains("CN=zoe") && said.contains("CN=max"), "{said}");
    assert!(site.may_send_as("helper", "zoe") && site.may_send_as("helper", "max"));
    assert_eq!(site.service.protect().unwrap(), 0, "the task finds nothing left to do");
    site.ask(common::undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn an_entry_of_the_template_is_taken_away_again() {
    let site = Site::new();
    site.administrator("zoe");
    site.ask(template("helper", false));
    assert_eq!(site.fault(common::ROOT, template("helper", false)).0, FaultKind::Conflict);
    site.ask(template("helper", true));
    assert!(!site.may_send_as("helper", "zoe"));
}

#[test]
fn trying_the_template_out_lists_who_gains_on_whom() {
    let site = Site::new();
    site.administrator("zoe");
    let simulated = site.simulated(template("helper", false));
    let gains = |row: &op::DifferenceRow| row.trustee == "EXAMPLE\\helper" && row.target.contains("zoe");
    assert!(simulated.gained.iter().any(gains), "{simulated:?}");
}

#[test]
fn the_template_is_changed_by_those_who_may_change_its_permissions() {
    let site = Site::new();
    assert_eq!(site.fault(common::HELPER, template("helper", false)).0, FaultKind::Denied);
}
