//! Computed against stored: the running service held against its records.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response, VerifyPage, VerifyPlace};
use common::{HELPER, Site, full_access, grant, send_as};
use directory::{AttributeChange, ChangeBatch, ChangeLog, ObjectChange, Time, attributes as a};

fn pages(site: &Site) -> Vec<VerifyPage> {
    let (mut at, mut pages) = (None, Vec::new());
    loop {
        let Response::Verified(page) = site.ask(R::Verify(op::Verify { at })) else { panic!("not verified") };
        at = page.next;
        pages.push(page);
        if at.is_none() {
            return pages;
        }
    }
}

#[test]
fn what_came_of_many_changes_is_what_the_records_say() {
    let site = Site::new();
    site.group("Desk", &["max"]);
    site.ask(grant("OU=Staff", "Desk", "Send As", false, Some("user")));
    site.ask(full_access("zoe", "Desk"));
    site.ask(send_as("max", "helper"));
    site.administrator("helper");
    site.ask(common::moved("zoe", "OU=Plant"));
    site.ask(R::MailboxDisable(op::Target { identity: "max".into() }));
    site.ask(R::UserRemove(op::Target { identity: "zoe".into() }));
    let pages = pages(&site);
    assert!(pages.iter().all(|page| page.rows.is_empty()), "{pages:?}");
    assert_eq!(pages.iter().map(|page| page.done).sum::<u64>(), pages[0].of);
}

#[test]
fn many_records_are_checked_piece_by_piece_and_each_once() {
    let site = Site::new();
    for n in 0..60 {
        for m in 0..10 {
            site.ask(R::OuAdd(op::OuAdd { name: format!("Unit {n} {m}"), under: None, protected: false }));
        }
    }
    let pages = pages(&site);
    assert!(matches!(pages[0].next, Some(VerifyPlace::Record(_))), "{pages:?}");
    assert_eq!(pages.iter().map(|page| page.done).sum::<u64>(), pages[0].of);
    assert!(pages.iter().all(|page| page.rows.is_empty()), "{pages:?}");
}

/// Changes a record behind the back of the service.
fn stored(site: &Site, who: &str, attribute: &str, after: Vec<u8>) {
    let snapshot = site.service.snapshot();
    let id = snapshot.resolve(who).unwrap();
    let before = snapshot.attribute(id, attribute);
    let guid = snapshot.object(id).unwrap().guid();
    let name = attribute.to_owned();
    let attributes = vec![AttributeChange::Replaced { name, before, after: vec![after] }];
    let log = ChangeLog { changes: vec![ObjectChange::Modified { guid, attributes }] };
    let author = acl::well_known::SYSTEM;
    let batch = ChangeBatch { author, time: Time(0), comment: String::new(), changes: Vec::new() };
    let mut store = store::DirectoryStore::open(&site.service.directory().join("directory.db")).unwrap();
    store.commit(&batch, &log).unwrap();
}

fn found(site: &Site) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> =
        pages(site).into_iter().flat_map(|page| page.rows).map(|row| (row.object, row.what)).collect();
    found.sort();
    found
}

#[test]
fn a_record_that_says_something_else_is_found_with_the_object() {
    let site = Site::new();
    stored(&site, "zoe", a::DESCRIPTION, b"something else".to_vec());
    let zoe = "CN=zoe,OU=Staff,DC=example,DC=com".to_owned();
    assert_eq!(found(&site), [(zoe, "attribute description".to_owned())]);
}

#[test]
fn a_descriptor_that_is_stored_and_not_held_is_found() {
    let site = Site::new();
    let snapshot = site.service.snapshot();
    let mut sd = (*snapshot.explicit_descriptor(snapshot.resolve("zoe").unwrap()).unwrap()).clone();
    sd.dacl.as_mut().unwrap().aces.remove(0);
    stored(&site, "zoe", a::DESCRIPTOR, sd.to_bytes());
    let kinds: Vec<String> = found(&site).into_iter().map(|(_, what)| what).collect();
    assert_eq!(kinds, ["attribute nTSecurityDescriptor", "descriptor"]);
}

#[test]
fn checking_everything_is_for_those_who_administer_the_organization() {
    let site = Site::new();
    assert_eq!(site.fault(HELPER, R::Verify(op::Verify::default())).0, FaultKind::Denied);
}
