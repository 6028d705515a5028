//! Mailboxes with and without an owner (S0, “Mailbox owners”).

#![allow(clippy::unwrap_used)]

mod common;

use acl::{AccessMask, Ace, Acl, Guid, SecurityDescriptor};
use common::Organization;
use directory::disconnected::{self, Disconnected};
use directory::folders::FolderDescriptor;
use directory::{AddressOwner, Applied, Change, ChangeError, ObjectId, Record, Snapshot, Time, Value, attributes as a};
use message::{Address, CanonicalAddress};

fn disconnect(o: &mut Organization, owner: ObjectId) -> Applied {
    let guid = o.guids.next();
    let changes = disconnected::disconnect(&o.snapshot, owner, "EXAMPLE\\zoe", guid, Time(7)).unwrap();
    o.apply(changes.into())
}

fn connect(o: &mut Organization, mailbox: &Guid, to: ObjectId) -> Applied {
    let found = o.snapshot.disconnected_mailbox(mailbox).unwrap();
    let changes = disconnected::connect(&o.snapshot, &found, to).unwrap();
    o.apply(changes.into())
}

fn mailbox(o: &Organization, id: ObjectId) -> Option<Guid> {
    o.snapshot.object(id).unwrap().mailbox().map(|mailbox| mailbox.guid)
}

/// Gives somebody Full Mailbox Access.
fn open_to(o: &mut Organization, owner: ObjectId, who: ObjectId) {
    let mut sd = (*o.snapshot.explicit_mailbox_descriptor(owner).unwrap()).clone();
    sd.dacl.as_mut().unwrap().aces.push(Ace::allow(o.sid(who), AccessMask(1)));
    o.set(owner, a::MAILBOX_DESCRIPTOR, sd.to_bytes());
}

fn records(snapshot: &Snapshot) -> Vec<Record> {
    let mut records: Vec<Record> = snapshot.objects().filter_map(|(id, _)| snapshot.record(id)).collect();
    records.iter_mut().for_each(|record| drop(record.attributes.remove(a::NEXT_RID)));
    records.sort_by_key(|record| record.guid);
    records
}

#[test]
fn a_disconnected_mailbox_keeps_guid_database_descriptor_and_backup_copy() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    open_to(&mut o, zoe, max);
    o.set(zoe, a::MAILBOX_DESCRIPTOR_COPY, b"copy".to_vec());
    let (guid, database) = (mailbox(&o, zoe).unwrap(), o.id("Mailbox Database"));
    let descriptor = o.snapshot.attribute(zoe, a::MAILBOX_DESCRIPTOR);
    disconnect(&mut o, zoe);
    let found: Vec<Disconnected> = o.snapshot.disconnected_mailboxes().collect();
    let [only] = &found[..] else { panic!("{found:?}") };
    assert_eq!((only.mailbox, only.database, only.since), (guid, Some(database), Time(7)));
    assert_eq!((only.former_owner.as_str(), only.former_owner_sid.clone()), ("EXAMPLE\\zoe", Some(o.sid(zoe))));
    assert_eq!(only.former_addresses, ["SMTP:zoe@example.com"]);
    assert_eq!(o.snapshot.attribute(only.object, a::MAILBOX_DESCRIPTOR), descriptor);
    assert_eq!(o.snapshot.attribute(only.object, a::MAILBOX_DESCRIPTOR_COPY), [b"copy".to_vec()]);
}

#[test]
fn who_lost_the_mailbox_keeps_neither_its_addresses_nor_its_rights() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    disconnect(&mut o, zoe);
    assert!(mailbox(&o, zoe).is_none() && o.snapshot.mailbox_descriptor(zoe).is_none());
    let address = CanonicalAddress::parse("zoe@example.com").unwrap();
    assert_eq!(o.snapshot.by_address(&address), AddressOwner::Nobody);
    assert_eq!(o.snapshot.object(zoe).unwrap().primary_address(), None::<Address>);
}

#[test]
fn a_disconnected_mailbox_is_connected_to_another_account_with_its_descriptor() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    open_to(&mut o, zoe, max);
    let (guid, database) = (mailbox(&o, zoe).unwrap(), o.id("Mailbox Database"));
    let descriptor = o.snapshot.attribute(zoe, a::MAILBOX_DESCRIPTOR);
    disconnect(&mut o, zoe);
    disconnect(&mut o, max);
    connect(&mut o, &guid, max);
    let owned = o.snapshot.object(max).unwrap().mailbox().unwrap();
    assert_eq!((owned.guid, owned.database), (guid, Some(database)));
    assert_eq!(o.snapshot.attribute(max, a::MAILBOX_DESCRIPTOR), descriptor);
    assert!(o.snapshot.mailbox_descriptor(max).is_some());
    assert_eq!(o.snapshot.mailbox_owner(&guid), Some(max));
    assert!(o.snapshot.disconnected_mailboxes().all(|left| left.mailbox != guid));
}

#[test]
fn nobody_else_takes_the_guid_of_a_disconnected_mailbox() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    let guid = mailbox(&o, zoe).unwrap();
    disconnect(&mut o, zoe);
    let attributes = vec![(a::MAILBOX_GUID.to_owned(), vec![guid.0.to_vec()])];
    let change = Change::Modify { guid: o.guid_of(max), attributes };
    let error = o.try_apply(vec![change]).unwrap_err();
    assert!(matches!(&error, ChangeError::Taken { holder, .. } if holder.contains("CN=Mailbox Database")), "{error}");
}

#[test]
fn a_mailbox_that_somebody_owns_cannot_be_said_to_be_disconnected() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    let kept = disconnected::keep(&o.snapshot, zoe, "zoe", o.guids.next(), Time(0)).unwrap();
    assert!(matches!(o.try_apply(vec![Change::Add(kept)]), Err(ChangeError::Taken { .. })));
}

#[test]
fn disconnecting_and_connecting_are_undone_byte_for_byte() {
    let mut o = Organization::new();
    let (zoe, max) = (o.user("example.com/Users", "zoe"), o.user("example.com/Users", "max"));
    open_to(&mut o, zoe, max);
    let guid = mailbox(&o, zoe).unwrap();
    let before = records(&o.snapshot);
    let disconnected = disconnect(&mut o, zoe);
    let between = records(&o.snapshot);
    let connected = connect(&mut o, &guid, zoe);
    o.apply(connected.log.inverse());
    assert_eq!(records(&o.snapshot), between);
    o.apply(disconnected.log.inverse());
    assert_eq!(records(&o.snapshot), before);
}

#[test]
fn a_disconnected_mailbox_is_still_one_after_the_directory_was_loaded() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    let guid = mailbox(&o, zoe).unwrap();
    disconnect(&mut o, zoe);
    let loaded = Snapshot::load(records(&o.snapshot), 1).unwrap().snapshot;
    assert_eq!(loaded.disconnected_mailbox(&guid).unwrap().former_addresses, ["SMTP:zoe@example.com"]);
}

#[test]
fn a_directory_where_an_owned_mailbox_is_disconnected_too_is_not_loaded() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    let kept = disconnected::keep(&o.snapshot, zoe, "zoe", o.guids.next(), Time(0)).unwrap();
    let mut all = records(&o.snapshot);
    all.push(kept);
    assert!(Snapshot::load(all, 1).is_err());
}

#[test]
fn entries_of_folders_are_readable_and_those_of_one_folder_are_one_value() {
    let mut o = Organization::new();
    let zoe = o.user("example.com/Users", "zoe");
    let guid = o.guid_of(zoe);
    let at = |path: &str| {
        let descriptor = SecurityDescriptor::with_dacl(Acl::new(Vec::new()));
        FolderDescriptor { path: path.to_owned(), descriptor }.to_value()
    };
    let mut set = |values: &[Value]| {
        let attributes = vec![(a::FOLDER_PERMISSION.to_owned(), values.to_vec())];
        o.try_apply(vec![Change::Modify { guid, attributes }]).map(drop)
    };
    for wrong in [
        vec![at("\\Entwürfe"), at("\\Calendar"), at("\\ENTWÜRFE")],
        vec![b"nonsense \\Calendar".to_vec()],
        vec![at("Calendar")],
    ] {
        assert!(matches!(set(&wrong).unwrap_err(), ChangeError::BadValue { .. }));
    }
    let many: Vec<Value> = (0..2_000).map(|number| at(&format!("\\{number}"))).collect();
    set(&many).unwrap();
}
