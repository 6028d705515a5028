//! Renames, moves and deletions: links follow, and what is unique stays so, across all domains.

#![allow(clippy::unwrap_used)]

mod common;

use common::Organization;
use directory::{AddressOwner, Change, ChangeError, Class, ObjectId, Record, Snapshot, attributes as a, organization};
use message::CanonicalAddress;

const USERS: &str = "example.com/Users";

/// Every link attribute but homeMDB, and whether the source is a group.
const LINKS: [(&str, bool); 10] = [
    (a::MEMBER, true),
    (a::PUBLIC_DELEGATES, false),
    (a::DELEGATE_LIST, false),
    (a::MANAGED_BY, true),
    (a::MANAGER, false),
    (a::AUTH_ORIG, false),
    (a::UNAUTH_ORIG, false),
    (a::SUBMIT_PERMS, false),
    (a::REJECT_PERMS, false),
    (a::ALT_RECIPIENT, false),
];

/// A source that links to a target by every attribute but homeMDB.
fn linked(o: &mut Organization) -> (ObjectId, ObjectId, ObjectId) {
    let (group, user, target) = (o.group(USERS, "g", true), o.user(USERS, "u"), o.user(USERS, "t"));
    for (attribute, of_group) in LINKS {
        o.link(if of_group { group } else { user }, attribute, target);
    }
    (group, user, target)
}

fn targets(o: &Organization, group: ObjectId, user: ObjectId) -> Vec<(&'static str, Vec<ObjectId>)> {
    let of = |(attribute, of_group)| (attribute, o.snapshot.links(if of_group { group } else { user }, attribute));
    LINKS.into_iter().map(of).collect()
}

fn change_name(o: &mut Organization, id: ObjectId, parent: &str, rdn: &str) -> Result<(), ChangeError> {
    let (guid, parent) = (o.guid_of(id), o.guid(parent));
    o.try_apply(vec![Change::Move { guid, parent, rdn: rdn.into() }]).map(drop)
}

#[test]
fn links_follow_an_object_that_is_renamed_or_moved() {
    let mut o = Organization::new();
    o.ou("example.com", "Plant");
    let (group, user, target) = linked(&mut o);
    change_name(&mut o, target, "example.com/Plant", "CN=renamed").unwrap();
    for (attribute, found) in targets(&o, group, user) {
        assert_eq!(found, [target], "{attribute}");
    }
    assert_eq!(o.snapshot.by_dn("CN=renamed,OU=Plant,DC=example,DC=com"), Some(target));
    assert_eq!(o.snapshot.by_dn("CN=t,CN=Users,DC=example,DC=com"), None);
}

#[test]
fn links_go_with_an_object_that_is_deleted_and_come_back_when_that_is_undone() {
    let mut o = Organization::new();
    let (group, user, target) = linked(&mut o);
    let before = targets(&o, group, user).len();
    let guid = o.guid_of(target);
    let deleted = o.apply(vec![Change::Delete { guid }]);
    for (attribute, found) in targets(&o, group, user) {
        assert!(found.is_empty(), "{attribute}");
    }
    o.apply(deleted.log.inverse());
    let again = o.snapshot.by_guid(&guid).unwrap();
    let back = targets(&o, group, user).into_iter().filter(|(_, found)| found == &[again]);
    assert_eq!(back.count(), before);
}

#[test]
fn a_database_that_is_deleted_leaves_its_mailboxes_without_one() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let guid = o.guid("Mailbox Database");
    o.apply(vec![Change::Delete { guid }]);
    assert_eq!(o.snapshot.object(zoe).unwrap().mailbox().unwrap().database, None);
    assert!(o.snapshot.links(zoe, a::HOME_MDB).is_empty());
}

#[test]
fn a_unit_is_moved_with_everything_below_it() {
    let mut o = Organization::new();
    o.ou("example.com", "Plant");
    o.ou("example.com", "Staff");
    let zoe = o.user("example.com/Staff", "zoe");
    let staff = o.id("example.com/Staff");
    change_name(&mut o, staff, "example.com/Plant", "OU=Crew").unwrap();
    assert_eq!(o.snapshot.dn(zoe), "CN=zoe,OU=Crew,OU=Plant,DC=example,DC=com");
    assert_eq!(o.snapshot.by_dn("cn=zoe,ou=crew,ou=plant,dc=example,dc=com"), Some(zoe));
}

#[test]
fn a_name_that_another_object_of_the_container_has_is_refused_in_any_spelling() {
    let mut o = Organization::new();
    let (_, max) = (o.user(USERS, "zoe"), o.user(USERS, "max"));
    let error = change_name(&mut o, max, USERS, "CN=ZOE").unwrap_err();
    assert!(matches!(&error, ChangeError::Taken { attribute, .. } if attribute == a::DISTINGUISHED_NAME), "{error}");
}

#[test]
fn an_object_with_others_below_it_is_not_deleted() {
    let mut o = Organization::new();
    o.ou("example.com", "Staff");
    o.user("example.com/Staff", "zoe");
    let guid = o.guid("example.com/Staff");
    assert!(matches!(o.try_apply(vec![Change::Delete { guid }]), Err(ChangeError::NotLeaf { children: 1, .. })));
}

/// A user of a child domain.
fn of_child(o: &mut Organization, name: &str) -> Record {
    let root = o.root();
    let child = o.snapshot.by_dn("DC=child,DC=example,DC=com");
    let child = child.unwrap_or_else(|| o.domain(Some(root), "DC=child", "S-1-5-21-4-5-6"));
    let (guid, parent) = (o.guids.next(), o.guid_of(child));
    organization::user(guid, parent, name, name)
}

fn is_taken(result: Result<directory::Applied, ChangeError>, wanted: &str) -> bool {
    matches!(result, Err(ChangeError::Taken { attribute, .. }) if attribute == wanted)
}

#[test]
fn a_sid_belongs_to_one_object_in_all_domains() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let record = of_child(&mut o, "junior").with(a::OBJECT_SID, o.sid(zoe).to_bytes());
    assert!(is_taken(o.try_apply(vec![Change::Add(record)]), a::OBJECT_SID));
}

#[test]
fn a_user_principal_name_belongs_to_one_object_in_all_domains_and_a_logon_name_to_one_in_each() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    o.set(zoe, a::USER_PRINCIPAL_NAME, "zoe@example.com");
    let record = of_child(&mut o, "zoe").with(a::USER_PRINCIPAL_NAME, "ZOE@example.com");
    assert!(is_taken(o.try_apply(vec![Change::Add(record)]), a::USER_PRINCIPAL_NAME));
    let record = of_child(&mut o, "zoe");
    o.apply(vec![Change::Add(record)]);
    let mut record = of_child(&mut o, "zoe two");
    record.set(a::SAM_ACCOUNT_NAME, vec![b"ZOE".to_vec()]);
    assert!(is_taken(o.try_apply(vec![Change::Add(record)]), a::SAM_ACCOUNT_NAME));
}

#[test]
fn a_mailbox_belongs_to_one_object_in_all_domains() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let mailbox = o.snapshot.object(zoe).unwrap().mailbox().unwrap().guid;
    let record = of_child(&mut o, "junior").with(a::MAILBOX_GUID, mailbox.0.to_vec());
    assert!(is_taken(o.try_apply(vec![Change::Add(record)]), a::MAILBOX_GUID));
}

#[test]
fn an_address_of_objects_in_two_domains_is_reported_and_proves_nothing() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let record = of_child(&mut o, "junior").with(a::PROXY_ADDRESSES, "smtp:ZOE@example.com");
    let junior = record.guid;
    let applied = o.apply(vec![Change::Add(record)]);
    assert_eq!(applied.problems.len(), 1);
    let junior = o.snapshot.by_guid(&junior).unwrap();
    let address = CanonicalAddress::parse("zoe@example.com").unwrap();
    assert_eq!(o.snapshot.by_address(&address), AddressOwner::Several(vec![zoe, junior]));
}

#[test]
fn accounts_do_not_leave_their_domain_and_contacts_may() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let (guid, parent) = (o.guids.next(), o.guid(USERS));
    let contact = o.add(organization::new_object(guid, parent, Class::Contact, "partner"));
    of_child(&mut o, "nobody");
    let child = "DC=child,DC=example,DC=com";
    assert!(matches!(change_name(&mut o, zoe, child, "CN=zoe"), Err(ChangeError::BadMove { .. })));
    change_name(&mut o, contact, child, "CN=partner").unwrap();
    assert_eq!(o.snapshot.dn(contact), "CN=partner,DC=child,DC=example,DC=com");
}

#[test]
fn a_load_refuses_what_a_change_would_have_refused() {
    let mut o = Organization::new();
    let zoe = o.user(USERS, "zoe");
    let mailbox = o.snapshot.object(zoe).unwrap().mailbox().unwrap().guid;
    let record = of_child(&mut o, "junior");
    let sid = o.sid(zoe);
    let all: Vec<Record> = o.snapshot.objects().filter_map(|(id, _)| o.snapshot.record(id)).collect();
    let with = |attribute: &str, value: Vec<u8>| {
        let mut records = all.clone();
        records.push(record.clone().with(attribute, value));
        Snapshot::load(records, 1)
    };
    assert!(with(a::MAILBOX_GUID, mailbox.0.to_vec()).is_err());
    assert!(with(a::OBJECT_SID, sid.to_bytes()).is_err());
    assert!(with(a::DESCRIPTION, b"harmless".to_vec()).is_ok());
}
