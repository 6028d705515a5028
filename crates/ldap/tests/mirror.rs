//! From what a domain controller says to our directory: one fact for each test.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use acl::{Guid, SddlContext, SecurityDescriptor, Sid, well_known};
use directory::{Change, Class, ObjectId, Snapshot, Time, Value, attributes as a, link_value};
use ldap::found::Found;
use ldap::mirror::{self, Wanted};

const DOMAIN: Guid = Guid([1; 16]);
const UNIT: Guid = Guid([2; 16]);
const HANNA: Guid = Guid([3; 16]);
const IVAN: Guid = Guid([4; 16]);
const GROUP: Guid = Guid([5; 16]);
const KIRA: Guid = Guid([6; 16]);
const SID: &str = "S-1-5-21-1-2-3";

fn object(guid: Guid, parent: Option<Guid>, dn: &str, class: Class, attributes: &[(&str, &[&str])]) -> Found {
    let sd = SecurityDescriptor::from_sddl("O:SYG:SYD:AI(A;;RP;;;WD)(A;ID;RC;;;AU)", &SddlContext::default()).unwrap();
    let values = |values: &[&str]| values.iter().map(|value| value.as_bytes().to_vec()).collect::<Vec<Value>>();
    let mut all: BTreeMap<String, Vec<Value>> =
        attributes.iter().map(|(name, own)| ((*name).to_owned(), values(own))).collect();
    all.insert(a::OBJECT_CLASS.to_owned(), values(class.object_classes()));
    all.insert(a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()]);
    Found { guid, parent, dn: dn.to_owned(), deleted: false, expires: None, attributes: all }
}

fn with_sid(mut found: Found, sid: &str) -> Found {
    found.attributes.insert(a::OBJECT_SID.to_owned(), vec![sid.parse::<Sid>().unwrap().to_bytes()]);
    found
}

fn user(guid: Guid, name: &str, rid: u32) -> Found {
    let dn = format!("CN={name},OU=People,DC=x,DC=test");
    let login = [(a::SAM_ACCOUNT_NAME, &[name][..]), (a::USER_ACCOUNT_CONTROL, &["512"])];
    with_sid(object(guid, Some(UNIT), &dn, Class::User, &login), &format!("{SID}-{rid}"))
}

fn unit(guid: Guid) -> Found {
    object(guid, Some(DOMAIN), "OU=People,DC=x,DC=test", Class::OrganizationalUnit, &[])
}

fn domain() -> Vec<Found> {
    let root = with_sid(object(DOMAIN, None, "DC=x,DC=test", Class::Domain, &[]), SID);
    let mut group = user(GROUP, "Staff", 1105);
    group.attributes.insert(
        a::OBJECT_CLASS.to_owned(),
        Class::Group.object_classes().iter().map(|name| name.as_bytes().to_vec()).collect(),
    );
    group.attributes.insert(a::GROUP_TYPE.to_owned(), vec![b"-2147483646".to_vec()]);
    group.attributes.insert(a::MEMBER.to_owned(), vec![link_value(&HANNA)]);
    vec![root, unit(UNIT), user(HANNA, "hanna", 1103), user(IVAN, "ivan", 1104), group]
}

fn theirs() -> BTreeSet<String> {
    [a::SAM_ACCOUNT_NAME, a::USER_ACCOUNT_CONTROL, a::MEMBER, a::MAIL, a::GROUP_TYPE].map(str::to_owned).into()
}

/// Takes over what was found, in as many rounds as it takes; what could not be, in the last one.
fn take(snapshot: &Snapshot, found: &[Found], gone: &[Guid], whole: bool) -> (Snapshot, Vec<String>) {
    let theirs = theirs();
    let wanted = Wanted { domain: DOMAIN, theirs: &theirs, found, gone, whole };
    let (mut now, mut problems) = (snapshot.clone(), Vec::new());
    for _ in 0..5 {
        let changes = mirror::changes(&now, &wanted);
        if changes.is_empty() {
            return (now, Vec::new());
        }
        let outcome = mirror::make(&now, &well_known::SYSTEM, Time(0), "", changes);
        (now, problems) = (outcome.snapshot, outcome.problems);
    }
    (now, problems)
}

fn loaded() -> Snapshot {
    let (snapshot, problems) = take(&Snapshot::empty(), &domain(), &[], true);
    assert_eq!(problems, Vec::<String>::new());
    snapshot
}

fn id(snapshot: &Snapshot, guid: Guid) -> ObjectId {
    snapshot.by_guid(&guid).unwrap()
}

#[test]
fn a_domain_that_was_taken_over_needs_no_change() {
    let snapshot = loaded();
    let theirs = theirs();
    let found = domain();
    let wanted = Wanted { domain: DOMAIN, theirs: &theirs, found: &found, gone: &[], whole: true };
    assert_eq!(snapshot.len(), 5);
    assert_eq!(mirror::changes(&snapshot, &wanted), []);
}

#[test]
fn accounts_may_exchange_their_logon_names() {
    let mut found = domain();
    found[2].attributes.insert(a::SAM_ACCOUNT_NAME.to_owned(), vec![b"ivan".to_vec()]);
    found[3].attributes.insert(a::SAM_ACCOUNT_NAME.to_owned(), vec![b"hanna".to_vec()]);
    let (snapshot, problems) = take(&loaded(), &found, &[], true);
    let name = |guid| snapshot.object(id(&snapshot, guid)).unwrap().sam_account_name().map(str::to_owned);
    assert_eq!((name(HANNA).as_deref(), name(IVAN).as_deref()), (Some("ivan"), Some("hanna")), "{problems:?}");
}

#[test]
fn objects_may_exchange_their_names() {
    let mut found = domain();
    (found[2].dn, found[3].dn) = (found[3].dn.clone(), found[2].dn.clone());
    let (snapshot, problems) = take(&loaded(), &found, &[], true);
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(snapshot.dn(id(&snapshot, HANNA)), "CN=ivan,OU=People,DC=x,DC=test");
    assert_eq!(snapshot.dn(id(&snapshot, IVAN)), "CN=hanna,OU=People,DC=x,DC=test");
}

#[test]
fn a_unit_that_was_deleted_and_made_again_holds_who_was_moved_into_it() {
    let other = Guid([6; 16]);
    let mut found = domain();
    found[1] = unit(other);
    for object in &mut found[2..] {
        object.parent = Some(other);
    }
    let (snapshot, problems) = take(&loaded(), &found, &[], true);
    assert_eq!(problems, Vec::<String>::new());
    assert!(snapshot.by_guid(&UNIT).is_none());
    assert_eq!(snapshot.dn(id(&snapshot, HANNA)), "CN=hanna,OU=People,DC=x,DC=test");
}

#[test]
fn who_is_gone_there_is_gone_here() {
    let (snapshot, _) = take(&loaded(), &[], &[HANNA], false);
    assert!(snapshot.by_guid(&HANNA).is_none());
    assert!(snapshot.links(id(&snapshot, GROUP), a::MEMBER).is_empty());
}

#[test]
fn nothing_outside_the_domain_is_ever_deleted() {
    let (snapshot, _) = take(&loaded(), &[], &[DOMAIN], false);
    assert!(snapshot.by_guid(&DOMAIN).is_some());
}

#[test]
fn an_object_whose_permissions_may_not_be_read_any_more_is_unreadable() {
    let mut hanna = user(HANNA, "hanna", 1103);
    hanna.attributes.insert(a::DESCRIPTOR.to_owned(), vec![Value::new()]);
    let before = loaded();
    assert!(before.descriptor(id(&before, HANNA)).is_some());
    let (after, _) = take(&before, &[hanna], &[], false);
    assert!(after.descriptor(id(&after, HANNA)).is_none());
}

#[test]
fn an_object_that_was_moved_where_nobody_may_look_is_unreadable() {
    let mut hanna = user(HANNA, "hanna", 1103);
    hanna.parent = Some(Guid([9; 16]));
    hanna.dn = "CN=hanna,OU=Hidden,DC=x,DC=test".to_owned();
    let (after, _) = take(&loaded(), &[hanna], &[], false);
    assert!(after.descriptor(id(&after, HANNA)).is_none());
}

#[test]
fn an_account_that_was_disabled_where_nobody_may_look_is_disabled() {
    let mut hanna = user(HANNA, "hanna", 1103);
    hanna.parent = Some(Guid([9; 16]));
    hanna.dn = "CN=hanna,OU=Hidden,DC=x,DC=test".to_owned();
    hanna.attributes.insert(a::USER_ACCOUNT_CONTROL.to_owned(), vec![b"514".to_vec()]);
    let (after, problems) = take(&loaded(), &[hanna], &[], false);
    assert!(!after.object(id(&after, HANNA)).unwrap().enabled(), "{problems:?}");
    assert!(after.descriptor(id(&after, HANNA)).is_none());
}

#[test]
fn who_left_a_group_that_is_where_nobody_may_look_is_no_member() {
    let mut group = domain().pop().unwrap();
    group.parent = Some(Guid([9; 16]));
    group.dn = "CN=Staff,OU=Hidden,DC=x,DC=test".to_owned();
    group.attributes.remove(a::MEMBER);
    let (after, problems) = take(&loaded(), &[group], &[], false);
    assert!(after.links(id(&after, GROUP), a::MEMBER).is_empty(), "{problems:?}");
}

/// A user in a unit that may not be seen.
fn hidden() -> Found {
    let mut kira = user(KIRA, "kira", 1106);
    kira.parent = Some(Guid([9; 16]));
    kira.dn = "CN=kira,OU=Hidden,DC=x,DC=test".to_owned();
    kira
}

#[test]
fn a_member_that_may_not_be_seen_leaves_the_others_members() {
    let mut found = domain();
    let group = found.len() - 1;
    found[group].attributes.insert(a::MEMBER.to_owned(), vec![link_value(&HANNA), link_value(&KIRA)]);
    found.push(hidden());
    let (all, problems) = take(&Snapshot::empty(), &found, &[], true);
    assert_eq!(all.links(id(&all, GROUP), a::MEMBER), [id(&all, HANNA)], "{problems:?}");

    found[group].attributes.insert(a::MEMBER.to_owned(), vec![link_value(&KIRA)]);
    let (none, problems) = take(&all, &found, &[], true);
    assert!(none.links(id(&none, GROUP), a::MEMBER).is_empty(), "{problems:?}");
    assert_eq!(problems, Vec::<String>::new());
}

#[test]
fn a_member_that_cannot_be_taken_over_leaves_the_others_members() {
    let mut found = domain();
    let group = found.len() - 1;
    found[group].attributes.insert(a::MEMBER.to_owned(), vec![link_value(&HANNA), link_value(&KIRA)]);
    // Somebody else's SID.
    found.push(user(KIRA, "kira", 1104));
    let (all, problems) = take(&Snapshot::empty(), &found, &[], true);
    assert!(!problems.is_empty() && all.by_guid(&KIRA).is_none());
    assert_eq!(all.links(id(&all, GROUP), a::MEMBER), [id(&all, HANNA)], "{problems:?}");
}

#[test]
fn an_object_that_cannot_be_moved_as_it_was_there_is_unreadable() {
    let mut found = domain();
    // A unit that cannot be taken over, for it has somebody else's SID, and who was moved into it.
    let mut other = with_sid(unit(Guid([6; 16])), &format!("{SID}-1104"));
    other.dn = "OU=Other,DC=x,DC=test".to_owned();
    found[2].parent = Some(other.guid);
    found[2].dn = "CN=hanna,OU=Other,DC=x,DC=test".to_owned();
    found.push(other);
    let (mut now, mut problems) = (loaded(), Vec::new());
    // However often it is tried.
    for _ in 0..2 {
        (now, problems) = take(&now, &found, &[], true);
        assert!(!problems.is_empty());
        assert!(now.descriptor(id(&now, HANNA)).is_none(), "{problems:?}");
        found[1].attributes.insert(a::MAIL.to_owned(), vec![b"x".to_vec()]);
    }
    let _ = problems;
}

#[test]
fn inherited_entries_are_worked_out_here() {
    let snapshot = loaded();
    let sddl = snapshot.descriptor(id(&snapshot, HANNA)).unwrap().sd().to_sddl(&SddlContext::default());
    assert!(!sddl.contains("ID"), "the parent hands nothing down: {sddl}");
}

#[test]
fn attributes_that_the_domain_does_not_keep_stay() {
    let before = loaded();
    let own = Change::Modify {
        guid: HANNA,
        attributes: vec![
            (a::MAILBOX_GUID.to_owned(), vec![vec![7; 16]]),
            (a::MAIL.to_owned(), vec![b"hanna@x.test".to_vec()]),
        ],
    };
    let before = mirror::make(&before, &well_known::SYSTEM, Time(0), "", vec![own]).snapshot;
    let (after, _) = take(&before, &domain(), &[], true);
    let hanna = after.object(id(&after, HANNA)).unwrap();
    assert!(hanna.mailbox().is_some());
    assert!(hanna.primary_address().is_none(), "what it does keep goes when it is not there");
}

#[test]
fn a_member_that_is_not_there_yet_is_a_member_once_it_is() {
    let mut found = domain();
    let hanna = found.remove(2);
    let (without, _) = take(&Snapshot::empty(), &found, &[], true);
    assert!(without.links(id(&without, GROUP), a::MEMBER).is_empty());
    let group = found.remove(3);
    let (with, _) = take(&without, &[hanna, group], &[], false);
    assert_eq!(with.links(id(&with, GROUP), a::MEMBER), [id(&with, HANNA)]);
}

#[test]
fn a_domain_of_which_most_is_missing_is_noticed() {
    let theirs = theirs();
    let found = domain();
    let wanted = Wanted { domain: DOMAIN, theirs: &theirs, found: &found[..1], gone: &[], whole: true };
    assert_eq!(mirror::loss(&loaded(), &wanted), (5, 4));
}
