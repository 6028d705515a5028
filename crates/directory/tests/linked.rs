//! msExchMasterAccountSid (S0, “Associated external accounts”): what may be linked, wherever it is written.

#![allow(clippy::unwrap_used)]

mod common;

use acl::Sid;
use common::{Organization, batch};
use directory::import::{self, AttributeMap};
use directory::{Change, ChangeError, ObjectId, Snapshot, attributes as a, organization};

/// A domain of another forest, with the account `erin` and the group `Crew`.
fn other_forest(o: &mut Organization) -> (Sid, Sid) {
    let root = o.domain(None, "DC=other,DC=test", "S-1-5-21-7-8-9");
    let (domain, erin, crew) = (o.guid_of(root), o.guids.next(), o.guids.next());
    let account = organization::user(erin, domain, "erin", "erin");
    let kind = directory::GroupType::security(directory::GroupScope::Global);
    o.apply(vec![Change::Add(account), Change::Add(organization::group(crew, domain, "Crew", kind))]);
    let of = |o: &Organization, guid| o.sid(o.snapshot.by_guid(&guid).unwrap());
    (of(o, erin), of(o, crew))
}

fn link(o: &mut Organization, owner: ObjectId, sid: &Sid) -> Result<(), String> {
    let attributes = vec![(a::MASTER_ACCOUNT_SID.to_owned(), vec![sid.to_bytes()])];
    let change = Change::Modify { guid: o.guid_of(owner), attributes };
    o.try_apply(vec![change]).map(drop).map_err(|error| error.to_string())
}

#[test]
fn an_account_of_another_forest_may_be_linked_and_is_found_by_its_sid() {
    let mut o = Organization::new();
    let (erin, _) = other_forest(&mut o);
    let zoe = o.user("example.com/Users", "zoe");
    link(&mut o, zoe, &erin).unwrap();
    let number = o.snapshot.sid_id(&erin).unwrap();
    assert_eq!(o.snapshot.linked_to(number), [zoe]);
    let attributes = vec![(a::MASTER_ACCOUNT_SID.to_owned(), vec![])];
    let guid = o.guid_of(zoe);
    o.apply(vec![Change::Modify { guid, attributes }]);
    assert!(o.snapshot.linked_to(number).is_empty());
}

#[test]
fn an_account_of_a_forest_that_is_not_known_may_be_linked() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    assert_eq!(link(&mut o, zoe, &"S-1-5-21-90-91-92-1105".parse().unwrap()), Ok(()));
}

#[test]
fn self_may_be_linked_on_any_number_of_owners_and_nobody_is_found_by_it() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    link(&mut o, zoe, &acl::well_known::SELF).unwrap();
    link(&mut o, max, &acl::well_known::SELF).unwrap();
    assert_eq!(o.snapshot.object(zoe).unwrap().master_account(), o.snapshot.sid_id(&acl::well_known::SELF));
}

#[test]
fn an_account_of_the_same_forest_is_refused() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    let max = o.sid(max);
    let error = link(&mut o, zoe, &max).unwrap_err();
    assert!(error.contains("CN=max") && error.contains("same forest"), "{error}");
}

#[test]
fn a_sid_of_a_child_domain_that_no_account_has_is_refused() {
    let mut o = Organization::new();
    let root = o.root();
    o.domain(Some(root), "DC=child", "S-1-5-21-4-5-6");
    let zoe = o.user("example.com/Users", "zoe");
    let error = link(&mut o, zoe, &"S-1-5-21-4-5-6-1500".parse().unwrap()).unwrap_err();
    assert!(error.contains("child.example.com"), "{error}");
}

#[test]
fn a_group_of_another_forest_is_refused() {
    let mut o = Organization::new();
    let (_, crew) = other_forest(&mut o);
    let zoe = o.user("example.com/Users", "zoe");
    let error = link(&mut o, zoe, &crew).unwrap_err();
    assert!(error.contains("CN=Crew,DC=other,DC=test") && error.contains("group"), "{error}");
}

#[test]
fn well_known_sids_and_those_of_groups_in_every_domain_are_refused() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    for sid in ["S-1-1-0", "S-1-5-11", "S-1-5-7", "S-1-5-32-544", "S-1-5-18", "S-1-5-21-7-8-9", "S-1-5-21-7-8-9-512"] {
        let error = link(&mut o, zoe, &sid.parse().unwrap()).unwrap_err();
        assert!(error.contains(sid) && error.contains("only an account's SID"), "{error}");
    }
}

#[test]
fn an_external_account_is_linked_to_one_owner_only() {
    let mut o = Organization::new();
    let (erin, _) = other_forest(&mut o);
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    link(&mut o, zoe, &erin).unwrap();
    let error = link(&mut o, max, &erin).unwrap_err();
    assert!(error.contains("CN=zoe"), "{error}");
}

#[test]
fn an_object_cannot_be_created_with_a_link_that_is_refused() {
    let mut o = Organization::new();
    let parent = o.guid("example.com/Users");
    let record = organization::user(o.guids.next(), parent, "zoe", "zoe")
        .with(a::MASTER_ACCOUNT_SID, acl::well_known::EVERYONE.to_bytes());
    assert!(matches!(o.try_apply(vec![Change::Add(record)]), Err(ChangeError::BadValue { .. })));
}

#[test]
fn a_link_that_was_taken_meanwhile_does_not_come_back_with_an_undone_change() {
    let mut o = Organization::new();
    let (erin, _) = other_forest(&mut o);
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    link(&mut o, zoe, &erin).unwrap();
    let guid = o.guid_of(zoe);
    let cleared = o.apply(vec![Change::Modify { guid, attributes: vec![(a::MASTER_ACCOUNT_SID.to_owned(), vec![])] }]);
    link(&mut o, max, &erin).unwrap();
    assert!(matches!(o.try_apply(cleared.log.inverse()), Err(ChangeError::Taken { .. })));
}

#[test]
fn an_owner_is_not_in_the_way_of_its_own_link() {
    let mut o = Organization::new();
    let (erin, _) = other_forest(&mut o);
    let zoe = o.user("example.com/Users", "zoe");
    link(&mut o, zoe, &erin).unwrap();
    assert_eq!(link(&mut o, zoe, &erin), Ok(()));
    assert_eq!(o.set(zoe, a::DISPLAY_NAME, "Zoe").problems, []);
}

fn imported(o: &mut Organization, ldif: &str) -> (Snapshot, Vec<String>) {
    let import =
        import::changes(ldif.as_bytes(), &AttributeMap::default(), &o.snapshot, &mut || o.guids.next()).unwrap();
    let after = o.snapshot.apply(&batch(import.changes)).unwrap().snapshot;
    (after, import.warnings.into_iter().map(|warning| warning.text).collect())
}

#[test]
fn an_import_leaves_out_links_that_are_refused_and_says_so() {
    let mut o = Organization::new();
    let ldif = "dn: DC=third,DC=test\nobjectClass: domainDNS\nobjectSid: S-1-5-21-30-31-32\n\n\
        dn: CN=a,DC=third,DC=test\nobjectClass: user\nsAMAccountName: a\nmsExchMasterAccountSid: S-1-5-21-50-51-52-1200\n\n\
        dn: CN=b,DC=third,DC=test\nobjectClass: user\nsAMAccountName: b\nmsExchMasterAccountSid: S-1-5-21-30-31-32-1300\n\n\
        dn: CN=c,DC=third,DC=test\nobjectClass: user\nsAMAccountName: c\nmsExchMasterAccountSid: S-1-5-21-50-51-52-1200\n\n\
        dn: CN=d,DC=third,DC=test\nobjectClass: user\nsAMAccountName: d\nmsExchMasterAccountSid: S-1-5-11\n\n\
        dn: CN=e,DC=third,DC=test\nobjectClass: user\nsAMAccountName: e\nmsExchMasterAccountSid: S-1-5-21-40-41-42-1400\n\n\
        dn: DC=fourth,DC=test\nobjectClass: domainDNS\nobjectSid: S-1-5-21-40-41-42\n\n\
        dn: CN=g,DC=fourth,DC=test\nobjectClass: group\nsAMAccountName: g\nobjectSid: S-1-5-21-40-41-42-1400\n";
    let (after, warnings) = imported(&mut o, ldif);
    let linked = |name: &str| {
        let id = after.by_dn(&format!("CN={name},DC=third,DC=test")).unwrap();
        after.object(id).unwrap().master_account().map(|sid| after.sid(sid).to_string())
    };
    assert_eq!(linked("a").as_deref(), Some("S-1-5-21-50-51-52-1200"));
    assert_eq!(["b", "c", "d", "e"].map(linked), [const { None::<String> }; 4]);
    for text in ["same forest", "another object of the file", "well-known", "is a group"] {
        assert!(warnings.iter().any(|warning| warning.contains(text)), "{text}: {warnings:?}");
    }
}

#[test]
fn an_import_of_a_whole_forest_refuses_links_into_its_child_domains() {
    let mut o = Organization::new();
    let ldif = "dn: CN=a,DC=third,DC=test\nobjectClass: user\nsAMAccountName: a\nmsExchMasterAccountSid: S-1-5-21-60-61-62-1200\n\n\
        dn: DC=third,DC=test\nobjectClass: domainDNS\nobjectSid: S-1-5-21-30-31-32\n\n\
        dn: DC=child,DC=third,DC=test\nobjectClass: domainDNS\nobjectSid: S-1-5-21-60-61-62\n";
    let (after, warnings) = imported(&mut o, ldif);
    assert_eq!(after.object(after.by_dn("CN=a,DC=third,DC=test").unwrap()).unwrap().master_account(), None);
    assert!(warnings.iter().any(|warning| warning.contains("same forest")), "{warnings:?}");
}
