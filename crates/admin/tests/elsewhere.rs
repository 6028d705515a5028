//! A domain that is kept elsewhere, without a domain controller.
#![allow(clippy::unwrap_used)]

mod common;

use admin::operations::{self as op, Request as R, Response};
use admin::{Fault, Service};
use directory::Time;
use serde_json::json;
use tempfile::TempDir;

/// The organization example.com, whose domain was followed when the server ran last.
fn followed() -> (TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let service = common::founded(folder.path(), || Time(1_000));
    service.call(common::ROOT, "", user("anna")).unwrap();
    let snapshot = service.snapshot();
    let domain = &snapshot.domains()[0];
    let guid = snapshot.object(domain.object).unwrap().guid().to_string();
    let domain = json!({
        "dn": snapshot.dn(domain.object), "guid": guid, "sid": domain.sid.to_string(), "netbios": "EXAMPLE",
        "configuration": "CN=Configuration,DC=example,DC=com", "root": "DC=example,DC=com", "theirs": ["description"],
        "lockout_threshold": 0, "lockout_window": 0,
    });
    let state = json!({"domains": [{"domain": domain}]}).to_string();
    service.set_setting("active directory", Some(&state)).unwrap();
    drop(service);
    let service = common::open(folder.path(), || Time(1_000));
    (folder, service)
}

fn user(name: &str) -> R {
    R::UserAdd(op::UserAdd { name: name.to_owned(), ..op::UserAdd::default() })
}

fn refused(service: &Service, request: R) -> Fault {
    service.call(common::ROOT, "", request).unwrap_err()
}

#[test]
fn a_trial_says_what_such_a_domain_does_not_take() {
    let (_folder, service) = followed();
    let message = refused(&service, user("bert")).message;
    assert!(message.contains("tools of Active Directory"), "{message}");
    let Response::Simulated(tried) = service.call(common::ROOT, "", R::Simulate(user("bert").into())).unwrap() else {
        panic!()
    };
    assert!(tried.notes.iter().any(|note| note.contains(&message)), "{:?}", tried.notes);
    // What is ours is ours.
    let domain = R::DomainAdd(op::DomainAdd {
        domain: "example.org".to_owned(),
        kind: op::DomainKind::Authoritative,
        alias_of: None,
        subaddressing: false,
        recipient_lookup: None,
    });
    let Response::Simulated(tried) = service.call(common::ROOT, "", R::Simulate(domain.into())).unwrap() else {
        panic!()
    };
    assert!(tried.notes.is_empty(), "{:?}", tried.notes);
}

#[test]
fn a_trial_leaves_the_protection_of_accounts_to_their_domain() {
    let (_folder, service) = followed();
    let members = op::Members { group: "Domain Admins".to_owned(), members: vec!["anna".to_owned()] };
    let Response::Simulated(tried) = service.call(common::ROOT, "", R::Simulate(R::MemberAdd(members).into())).unwrap()
    else {
        panic!()
    };
    assert!(!tried.notes.iter().any(|note| note.contains("AdminSDHolder task")), "{:?}", tried.notes);
}
