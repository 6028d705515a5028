//! Sentences of S0 (KB 912918) about mailbox owners and grants on containers, next to those in `sentences.rs`;
//! `docs/src/s0-s1.md` names the test of each.

#![allow(clippy::unwrap_used)]

mod common;

use acl::names;
use admin::operations::{self as op, Request as R, Response};
use common::{Site, delegate, full_access, grant, other_forest, request};
use directory::attributes as a;
use rights::admin::{Action, may};
use serde_json::json;

fn mailbox_guid(site: &Site, who: &str) -> Vec<u8> {
    let snapshot = site.service.snapshot();
    let id = snapshot.resolve(who).unwrap();
    snapshot.attribute(id, a::MAILBOX_GUID).first().cloned().unwrap_or_default()
}

fn enable(who: &str) -> R {
    request(json!({"op": "mailbox-enable", "identity": who}))
}

/// S0: "When you mailbox-enable an account … the mailbox GUID is automatically set on that account."
#[test]
fn enabling_a_mailbox_sets_its_guid() {
    let site = Site::new();
    for name in ["ann", "ben"] {
        site.ask(R::UserAdd(op::UserAdd { name: name.to_owned(), ..op::UserAdd::default() }));
        assert!(mailbox_guid(&site, name).is_empty());
        site.ask(enable(name));
        assert_eq!(mailbox_guid(&site, name).len(), 16);
    }
    assert_ne!(mailbox_guid(&site, "ann"), mailbox_guid(&site, "ben"));
}

/// S0: "We strongly recommend that you do not mailbox-enable user accounts that have domain administrator rights or that
/// are adminSDHolder protected."
#[test]
fn enabling_a_mailbox_on_a_protected_account_warns_and_names_the_recipe() {
    let site = Site::new();
    site.ask(R::UserAdd(op::UserAdd { name: "ann".to_owned(), ..op::UserAdd::default() }));
    site.administrator("ann");
    let said = site.done(enable("ann"));
    assert!(said.contains("AdminSDHolder") && said.contains("Full Mailbox Access and Send As on it"), "{said}");
}

/// S0: "This applies only to Exchange access, not to all Active Directory access": the owner's rights on the directory
/// object, such as writing Personal Information, are not the external account's.
#[test]
fn the_external_account_has_no_rights_on_the_directory_object() {
    let site = Site::new();
    other_forest(&site);
    site.ask(request(json!({"op": "user-set", "identity": "zoe", "enabled": false})));
    site.ask(request(json!({"op": "mailbox-link", "identity": "zoe", "account": "OTHER\\erin"})));
    assert!(site.may_send_as("OTHER\\erin", "zoe"));
    let snapshot = site.service.snapshot();
    let may_write = |who: &str, on: &str| {
        let token = snapshot.account_token(snapshot.resolve(who).unwrap()).unwrap();
        let path = [names::USER, names::PERSONAL_INFORMATION];
        may(&snapshot, &token, snapshot.resolve(on).unwrap(), Action::WriteProperty(&path))
    };
    assert!(may_write("max", "max"), "an owner may, on his own object");
    assert!(!may_write("OTHER\\erin", "zoe"), "the external account may not");
}

/// S0: "If you grant the Send As permission by this method, you may grant permissions for objects that you did not
/// intend": a trial lists all of them before.
#[test]
fn a_trial_of_a_grant_on_a_container_lists_everybody_whom_it_would_reach() {
    let site = Site::new();
    let simulated = site.simulated(grant("OU=Staff", "helper", "Send As", false, Some("user")));
    let mut reached: Vec<_> = simulated.gained.iter().map(|row| row.target.as_str()).collect();
    reached.sort_unstable();
    assert_eq!(reached, ["max@example.com", "zoe@example.com"]);
}

/// S0: "To process these accounts by using the script at a later date, you must remove the inherited Send As permission
/// first."
#[test]
fn without_the_inherited_grant_an_account_is_in_the_export_again() {
    let site = Site::new();
    site.ask(full_access("zoe", "max"));
    let exported = || match site.ask(R::SeparationExport(op::SeparationExport::default())) {
        Response::Separation(page) => page.rows.len(),
        other => panic!("{other:?}"),
    };
    site.ask(grant("OU=Staff", "max", "Send As", false, Some("user")));
    assert_eq!(exported(), 0);
    site.ask(request(json!({"op": "permission-remove", "identity": "OU=Staff", "trustee": "max", "rights": ["Send As"], "inherit_to": "user"})));
    assert_eq!(exported(), 1);
}

/// S0: "Permissions to access your mailbox folders are separate and must be granted in addition to delegation
/// permissions": a delegate does not open the mailbox.
#[test]
fn a_delegate_has_no_access_to_the_mailbox() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    let rows = site.holders(R::WhoCan(common::who_can("full-access", "zoe")));
    assert!(rows.iter().all(|row| row.trustee != "EXAMPLE\\max"), "{rows:?}");
}
