//! Grants that end at a time, with a clock that the tests set.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::Cell;
use std::path::Path;

use admin::Service;
use admin::operations::{self as op, Request as R, Response};
use directory::{Time, attributes as a};
use rights::Permission;
use serde_json::json;
use tempfile::TempDir;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(1_000) };
}

fn open(path: &Path) -> Service {
    common::open(path, || Time(NOW.get()))
}

/// An organization with mailboxes of ceo and alice.
fn site() -> (TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let service = common::founded(folder.path(), || Time(NOW.get()));
    for name in ["ceo", "alice"] {
        let add = op::UserAdd { name: name.to_owned(), mailbox: true, ..op::UserAdd::default() };
        ask(&service, R::UserAdd(add));
    }
    (folder, service)
}

#[track_caller]
fn ask(service: &Service, request: R) -> Response {
    service.call(0, "", request).unwrap()
}

/// One of the three grants to alice on ceo, with or without an end.
fn grant(op: &str, until: Option<i64>) -> R {
    let mut request = json!({
        "op": op, "identity": "ceo", "trustee": "alice", "delegates": ["alice"], "until": until,
        "rights": [if op.starts_with("mailbox") { "full-access" } else { "Send As" }],
    });
    if until.is_none() {
        request.as_object_mut().unwrap().remove("until");
    }
    serde_json::from_value(request).unwrap()
}

fn may(service: &Service, permission: Permission) -> bool {
    let snapshot = service.snapshot();
    let (alice, ceo) = (snapshot.resolve("alice").unwrap(), snapshot.resolve("ceo").unwrap());
    rights::person(&snapshot, alice, ceo, permission).is_some_and(|person| !person.needs_logon)
}

const ALL: [(&str, Permission); 3] = [
    ("permission-add", Permission::SendAs),
    ("mailbox-permission-add", Permission::FullAccess),
    ("delegate-add", Permission::SendOnBehalf),
];

#[test]
fn a_grant_with_an_end_counts_until_then_and_not_afterwards() {
    for (op, permission) in ALL {
        NOW.set(1_000);
        let (_folder, service) = site();
        ask(&service, grant(op, Some(5_000)));
        NOW.set(4_999);
        assert_eq!(service.expire().unwrap(), 0);
        assert!(may(&service, permission), "{op}");
        assert_eq!(service.next_expiry(), Some(Time(5_000)));
        NOW.set(5_000);
        assert_eq!(service.expire().unwrap(), 1);
        assert!(!may(&service, permission), "{op}");
        assert_eq!(service.next_expiry(), None);
    }
}

#[test]
fn a_grant_that_ended_while_nothing_ran_is_taken_back_at_the_next_start() {
    let (folder, service) = site();
    ask(&service, grant("permission-add", Some(5_000)));
    drop(service);
    NOW.set(9_000);
    let service = open(folder.path());
    assert_eq!(service.next_expiry(), Some(Time(5_000)));
    assert_eq!(service.expire().unwrap(), 1);
    assert!(!may(&service, Permission::SendAs));
}

#[test]
fn the_end_of_a_grant_is_a_change_by_system_and_undoing_it_gives_the_grant_back_for_good() {
    let (_folder, service) = site();
    ask(&service, grant("permission-add", Some(5_000)));
    NOW.set(6_000);
    service.expire().unwrap();
    let Response::History(history) = ask(&service, serde_json::from_value(json!({"op": "history"})).unwrap()) else {
        panic!()
    };
    let ended = history.rows.iter().find(|row| row.comment == "time-bound grants that have ended").unwrap();
    assert!(format!("{ended:?}").contains("SYSTEM"), "{ended:?}");
    ask(&service, serde_json::from_value(json!({"op": "undo", "version": ended.version})).unwrap());
    assert!(may(&service, Permission::SendAs));
    assert_eq!(service.expire().unwrap(), 0);
    assert!(may(&service, Permission::SendAs));
}

#[test]
fn a_grant_that_is_made_again_without_an_end_stays() {
    for (op, permission) in ALL {
        NOW.set(1_000);
        let (_folder, service) = site();
        ask(&service, grant(op, Some(5_000)));
        ask(&service, grant(op, None));
        NOW.set(6_000);
        assert_eq!(service.expire().unwrap(), 0);
        assert!(may(&service, permission), "{op}");
    }
}

#[test]
fn a_grant_that_was_taken_back_by_hand_and_made_anew_does_not_end_with_the_old_one() {
    for (op, permission) in ALL {
        NOW.set(1_000);
        let (_folder, service) = site();
        ask(&service, grant(op, Some(5_000)));
        ask(&service, grant(&op.replace("add", "remove"), None));
        ask(&service, grant(op, None));
        NOW.set(6_000);
        service.expire().unwrap();
        assert!(may(&service, permission), "{op}");
    }
}

#[test]
fn an_end_that_has_passed_is_refused() {
    let (_folder, service) = site();
    let fault = service.call(0, "", grant("permission-add", Some(1_000))).unwrap_err();
    assert!(fault.message.contains("has passed"), "{}", fault.message);
    assert!(!may(&service, Permission::SendAs));
}

#[test]
fn undoing_a_grant_with_an_end_takes_its_end_away_too() {
    let (_folder, service) = site();
    ask(&service, grant("permission-add", Some(5_000)));
    let version = service.snapshot().version();
    ask(&service, serde_json::from_value(json!({"op": "undo", "version": version})).unwrap());
    assert_eq!(service.next_expiry(), None);
    let snapshot = service.snapshot();
    assert!(snapshot.attribute(snapshot.resolve("ceo").unwrap(), a::EXPIRING_GRANT).is_empty());
}

#[test]
fn the_list_of_permissions_says_when_a_grant_ends() {
    let (_folder, service) = site();
    ask(&service, grant("permission-add", Some(86_400_000)));
    let get = op::PermissionGet { identity: "ceo".to_owned(), trustee: Some("alice".to_owned()) };
    let Response::Permissions(permissions) = ask(&service, R::PermissionGet(get)) else { panic!() };
    let ends: Vec<_> = permissions.rows.iter().map(|row| row.until.as_deref()).collect();
    assert_eq!(ends, [Some("1970-01-02T00:00:00Z")]);
}

#[test]
fn a_mailbox_right_ends_in_time_also_while_the_mailbox_has_no_owner() {
    let (_folder, service) = site();
    ask(&service, grant("mailbox-permission-add", Some(5_000)));
    ask(&service, R::MailboxDisable(op::Target { identity: "ceo".into() }));
    NOW.set(6_000);
    service.expire().unwrap();
    let connect = json!({"op": "mailbox-connect", "mailbox": "ceo", "to": "ceo"});
    ask(&service, serde_json::from_value(connect).unwrap());
    assert!(!may(&service, Permission::FullAccess));
    assert!(service.next_expiry().is_none());
}

#[test]
fn the_end_of_a_mailbox_right_comes_along_to_the_next_owner() {
    let (_folder, service) = site();
    ask(&service, grant("mailbox-permission-add", Some(5_000)));
    ask(&service, R::MailboxDisable(op::Target { identity: "ceo".into() }));
    let connect = json!({"op": "mailbox-connect", "mailbox": "ceo", "to": "ceo"});
    ask(&service, serde_json::from_value(connect).unwrap());
    assert!(may(&service, Permission::FullAccess));
    NOW.set(6_000);
    service.expire().unwrap();
    assert!(!may(&service, Permission::FullAccess));
}

/// A connector that trusts addresses, closed to strangers until 5,000: without that, it would take them.
fn closed_until(service: &Service) {
    let ask = |request: serde_json::Value| self::ask(service, serde_json::from_value(request).unwrap());
    ask(json!({"op": "receive-connector-new", "name": "C", "usage": "Custom", "bindings": ["127.0.0.1:2600"],
               "remote_ranges": ["10.0.0.0/8"], "auth": ["Tls", "ExternalAuthoritative"],
               "permission_groups": ["ExchangeServers"]}));
    for (deny, until) in [(true, Some(5_000)), (false, None)] {
        let mut entry = json!({"op": "permission-add", "identity": "C", "trustee": "ANONYMOUS LOGON",
                               "rights": ["ms-Exch-SMTP-Submit"], "deny": deny});
        if let Some(until) = until {
            entry["until"] = json!(until);
        }
        ask(entry);
    }
}

#[test]
fn what_cannot_end_keeps_nothing_else_from_ending() {
    let (_folder, service) = site();
    closed_until(&service);
    ask(&service, grant("permission-add", Some(5_000)));
    NOW.set(6_000);
    let fault = service.expire().unwrap_err();
    assert!(fault.message.contains("ExternalAuthoritative"), "{fault:?}");
    assert!(!may(&service, Permission::SendAs));
    // It is not tried all the time.
    assert_eq!(service.expire().unwrap(), 0);
    NOW.set(6_000 + 30_000);
    service.expire().unwrap_err();
}

#[test]
fn a_command_does_not_fail_because_something_cannot_end() {
    let (folder, service) = site();
    closed_until(&service);
    drop(service);
    NOW.set(6_000);
    let options = |_: &admin::DataDirectory| common::options(|| Time(NOW.get()));
    let mut alone = admin::Endpoint::open(folder.path(), None, options).unwrap();
    alone.call("", R::Status).unwrap();
}
