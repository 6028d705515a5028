//! The service by its requests: who may do what, and what comes of it.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use admin::operations::{self as op, Request as R, Response};
use admin::{FaultKind, Service};
use common::{HELPER, ROOT};
use directory::Time;
use tempfile::TempDir;

const STRANGER: u32 = 1002;

fn open(path: &Path) -> Service {
    common::open(path, || Time(1_000))
}

/// An organization with the account `helper` and OU=Staff.
fn organization() -> (TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let service = common::founded(folder.path(), || Time(1_000));
    ask(&service, ROOT, R::OuAdd(op::OuAdd { name: "Staff".to_owned(), under: None, protected: false }));
    ask(&service, ROOT, user("helper", None));
    (folder, service)
}

fn user(name: &str, ou: Option<&str>) -> R {
    R::UserAdd(op::UserAdd {
        name: name.to_owned(),
        ou: ou.map(str::to_owned),
        addresses: vec![format!("{name}@example.com")],
        mailbox: true,
        ..op::UserAdd::default()
    })
}

fn grant(on: &str, right: &str, deny: bool, inherit_to: Option<&str>) -> op::PermissionChange {
    op::PermissionChange {
        identity: on.to_owned(),
        trustee: "helper".to_owned(),
        rights: vec![right.to_owned()],
        deny,
        inherit_to: inherit_to.map(str::to_owned),
        inheritance: None,
        until: None,
    }
}

#[track_caller]
fn ask(service: &Service, uid: u32, request: R) -> Response {
    service.call(uid, "", request).unwrap()
}

#[track_caller]
fn refused(service: &Service, uid: u32, request: R) {
    let fault = service.call(uid, "", request).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Denied, "{fault}");
}

#[test]
fn a_user_of_the_machine_who_is_not_listed_may_not_even_look() {
    let (_folder, service) = organization();
    refused(&service, STRANGER, R::Status);
}

#[test]
fn creating_needs_create_child_on_the_container() {
    let (_folder, service) = organization();
    refused(&service, HELPER, user("zoe", Some("OU=Staff")));
    ask(&service, ROOT, R::PermissionAdd(grant("OU=Staff", "create-child", false, None)));
    ask(&service, HELPER, user("zoe", Some("OU=Staff")));
}

#[test]
fn granting_needs_write_dac_on_the_object() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", Some("OU=Staff")));
    let send_as = || R::PermissionAdd(grant("zoe", "Send As", false, None));
    refused(&service, HELPER, send_as());
    ask(&service, ROOT, R::PermissionAdd(grant("zoe", "write-property", false, None)));
    refused(&service, HELPER, send_as());
    ask(&service, ROOT, R::PermissionAdd(grant("zoe", "write-dac", false, None)));
    ask(&service, HELPER, send_as());
}

#[test]
fn changing_needs_write_property_and_a_denial_comes_first() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", Some("OU=Staff")));
    let disable = || R::UserSet(op::UserSet { identity: "zoe".into(), enabled: Some(false), ..op::UserSet::default() });
    refused(&service, HELPER, disable());
    ask(&service, ROOT, R::PermissionAdd(grant("OU=Staff", "write-property", false, Some("user"))));
    ask(&service, HELPER, disable());
    ask(&service, ROOT, R::PermissionAdd(grant("zoe", "write-property", true, None)));
    refused(&service, HELPER, disable());
}

#[test]
fn an_entry_reaches_as_far_as_its_inheritance_says() {
    use op::Inheritance::{All, Children, Descendents, None, SelfAndChildren};
    let (_dir, service) = organization();
    let inner = op::OuAdd { name: "Inner".to_owned(), under: Some("OU=Staff".to_owned()), protected: false };
    ask(&service, ROOT, R::OuAdd(inner));
    let (outer, inner) = ("OU=Staff,DC=example,DC=com", "OU=Inner,OU=Staff,DC=example,DC=com");
    ask(&service, ROOT, user("leaf", Some(inner)));
    let mut number = 0;
    // Whether it counts on the unit, on the unit below, and on a user in that.
    for (reach, expected) in [
        (None, [true, false, false]),
        (All, [true, true, true]),
        (Descendents, [false, true, true]),
        (SelfAndChildren, [true, true, false]),
        (Children, [false, true, false]),
    ] {
        let change =
            op::PermissionChange { inheritance: Some(reach), ..grant(outer, "full-control", false, Option::None) };
        ask(&service, ROOT, R::PermissionAdd(change.clone()));
        let mut counts = |on: &str| {
            number += 1;
            service.call(HELPER, "", user(&format!("new{number}"), Some(on))).is_ok()
        };
        let leaf = R::UserSet(op::UserSet {
            identity: "leaf".to_owned(),
            display_name: Some(format!("{reach:?}")),
            ..op::UserSet::default()
        });
        let found = [counts(outer), counts(inner), service.call(HELPER, "", leaf).is_ok()];
        assert_eq!(found, expected, "{reach:?}");
        ask(&service, ROOT, R::PermissionRemove(change));
        assert!(service.call(HELPER, "", user("late", Some(outer))).is_err(), "{reach:?}");
    }
    let wrong = op::PermissionChange { inheritance: Some(None), ..grant(outer, "full-control", false, Some("user")) };
    let fault = service.call(ROOT, "", R::PermissionAdd(wrong)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Invalid, "{fault}");
}

#[test]
fn an_owner_names_his_own_delegates() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", Some("OU=Staff")));
    let delegates = |owner: &str| op::Delegates { identity: owner.into(), delegates: vec!["zoe".into()], until: None };
    ask(&service, HELPER, R::DelegateAdd(delegates("helper")));
    refused(&service, HELPER, R::DelegateAdd(delegates("zoe")));
}

#[test]
fn resetting_a_password_is_a_right_of_its_own() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", Some("OU=Staff")));
    let set = || {
        let password = op::Secret(zeroize::Zeroizing::new("new".to_owned()));
        R::PasswordSet(op::PasswordSet { identity: "zoe".into(), password })
    };
    refused(&service, HELPER, set());
    ask(&service, ROOT, R::PermissionAdd(grant("zoe", "extended-right", false, None)));
    ask(&service, HELPER, set());
    let snapshot = service.snapshot();
    let guid = snapshot.object(snapshot.resolve("zoe").unwrap()).unwrap().guid();
    assert_eq!(service.credential(&guid).unwrap().as_deref(), Some("hash of new"));
}

#[test]
fn mailbox_rights_are_not_the_owners_to_give() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", None));
    let full_access = |mailbox: &str| {
        R::MailboxPermissionAdd(op::MailboxPermissionChange {
            identity: mailbox.into(),
            trustee: "zoe".into(),
            rights: vec!["full-access".into()],
            deny: false,
            until: None,
        })
    };
    refused(&service, HELPER, full_access("helper"));
    ask(&service, ROOT, full_access("helper"));
}

#[test]
fn nobody_but_administrators_gives_an_object_a_sid() {
    let (_folder, service) = organization();
    ask(&service, ROOT, R::PermissionAdd(grant("OU=Staff", "create-child", false, None)));
    let snapshot = service.snapshot();
    let admins = snapshot.domains()[0].sid.with_rid(512).unwrap();
    let import = |uid, text: &str| {
        use base64::Engine;
        let data = base64::engine::general_purpose::STANDARD.encode(text);
        let Response::Upload { upload } = ask(&service, uid, R::ImportData(op::ImportData { upload: None, data }))
        else {
            panic!()
        };
        service.call(uid, "", R::ImportRun(op::ImportRun { upload, map: Vec::new(), dry_run: false }))
    };
    let entry = "dn: CN=Mallory,OU=Staff,DC=example,DC=com\nobjectClass: user\nsAMAccountName: mallory\n";
    let history = format!("{entry}sIDHistory: {admins}\n");
    assert_eq!(import(HELPER, &history).unwrap_err().kind, FaultKind::Denied);
    import(HELPER, entry).unwrap();
}

#[test]
fn decisions_and_the_queue_are_for_those_who_run_the_organization() {
    let (_folder, service) = organization();
    refused(&service, HELPER, R::QueueList(op::QueueList::default()));
    refused(&service, HELPER, R::Explain(op::Explain { id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".into() }));
    ask(&service, ROOT, R::QueueList(op::QueueList::default()));
}

#[test]
fn everybody_may_ask_what_he_may_do_himself() {
    let (_folder, service) = organization();
    let check = |who: &str| {
        R::Check(op::Check { who: who.into(), from: vec!["helper@example.com".into()], ..op::Check::default() })
    };
    ask(&service, HELPER, check("helper"));
    refused(&service, HELPER, check("anonymous"));
}

#[test]
fn every_change_is_there_when_the_directory_is_opened_again() {
    let (folder, service) = organization();
    ask(&service, ROOT, user("zoe", Some("OU=Staff")));
    let before = service.snapshot().version();
    drop(service);
    let service = open(folder.path());
    assert_eq!(service.snapshot().version(), before);
    assert!(service.snapshot().resolve("zoe").is_ok());
}

#[test]
fn a_name_of_several_objects_lists_them() {
    let (_folder, service) = organization();
    for (name, shown) in [("zoe1", "Zoe Zander"), ("zoe2", "Zoe Zander")] {
        let ou = if name == "zoe1" { None } else { Some("OU=Staff".to_owned()) };
        let add = op::UserAdd { name: name.into(), display_name: Some(shown.into()), ou, ..op::UserAdd::default() };
        ask(&service, ROOT, R::UserAdd(add));
    }
    let get = op::Target { identity: "Zoe Zander".into() };
    let fault = service.call(ROOT, "", R::DelegateGet(get)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Ambiguous);
    assert!(fault.message.contains("CN=Zoe Zander,OU=Staff"), "{fault}");
}

#[test]
fn protected_accounts_get_the_template_and_lose_grants() {
    let (_folder, service) = organization();
    ask(&service, ROOT, user("zoe", None));
    let members = op::Members { group: "Domain Admins".into(), members: vec!["zoe".into()] };
    ask(&service, ROOT, R::MemberAdd(members));
    ask(&service, ROOT, R::PermissionAdd(grant("zoe", "Send As", false, None)));
    assert!(service.protect().unwrap() > 0);
    assert_eq!(service.protect().unwrap(), 0, "a second run finds nothing to do");
    let get = op::PermissionGet { identity: "zoe".into(), trustee: Some("helper".into()) };
    let Response::Permissions(permissions) = ask(&service, ROOT, R::PermissionGet(get)) else { panic!() };
    assert!(permissions.protected && permissions.admin && permissions.rows.is_empty());
}

#[test]
fn a_deleted_account_leaves_no_password_behind() {
    let (_folder, service) = organization();
    let secret = op::Secret(zeroize::Zeroizing::new("secret".to_owned()));
    let add = op::UserAdd { name: "zoe".into(), password: Some(secret), ..op::UserAdd::default() };
    ask(&service, ROOT, R::UserAdd(add));
    let snapshot = service.snapshot();
    let guid = snapshot.object(snapshot.resolve("zoe").unwrap()).unwrap().guid();
    assert!(service.credential(&guid).unwrap().is_some());
    ask(&service, ROOT, R::UserRemove(op::Target { identity: "zoe".into() }));
    assert!(service.credential(&guid).unwrap().is_none());
}
