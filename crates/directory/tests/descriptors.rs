//! Effective descriptors of objects and mailboxes.

#![allow(clippy::unwrap_used)]

mod common;

use acl::{AccessMask, Ace, AceFlags, Acl, Outcome, Principals, SecurityDescriptor, names, well_known};
use common::{Organization, send_as_below};
use directory::{Change, Class, ObjectId, attributes, organization};

const USERS: &str = "example.com/Users";
const ROOT: &str = "DC=example,DC=com";

/// Whether the account holds a right on a mailbox by its descriptor.
fn mailbox_access(o: &Organization, who: ObjectId, owner: ObjectId, mask: u32) -> Outcome {
    let token = o.snapshot.account_token(who).unwrap();
    let principals = Principals { is_self: who == owner, is_owner: false };
    o.snapshot.mailbox_descriptor(owner).unwrap().dacl().access(&token.sids, principals, AccessMask(mask)).outcome
}

#[test]
fn a_user_may_send_as_itself_and_administrators_as_everybody() {
    let mut o = Organization::new();
    let (bob, eve, admin) = (o.user(USERS, "bob"), o.user(USERS, "eve"), o.user(USERS, "admin"));
    o.join(o.id("Domain Admins"), admin);
    assert_eq!(o.holds(bob, bob, &names::SEND_AS), Outcome::Allow);
    assert_eq!(o.holds(eve, bob, &names::SEND_AS), Outcome::None);
    assert_eq!(o.holds(admin, bob, &names::SEND_AS), Outcome::Allow);
}

#[test]
fn a_grant_on_a_unit_reaches_users_below_and_stops_at_a_protected_descriptor() {
    let mut o = Organization::new();
    let staff = o.ou(ROOT, "Staff");
    o.ou("example.com/Staff", "Inner");
    let closed = o.ou("example.com/Staff", "Closed");
    let (deep, shut) = (o.user("example.com/Staff/Inner", "deep"), o.user("example.com/Staff/Closed", "shut"));
    let service = o.user(USERS, "service");
    o.edit_descriptor(closed, |sd| sd.set_dacl_protected(true));
    let applied = o.grant(staff, send_as_below(o.sid(service)));
    assert_eq!(applied.log.changes.len(), 1, "one durable change");
    assert_eq!(o.holds(service, deep, &names::SEND_AS), Outcome::Allow);
    assert_eq!(o.holds(service, shut, &names::SEND_AS), Outcome::None);
    let token = o.snapshot.account_token(service).unwrap();
    let decision =
        o.snapshot.descriptor(deep).unwrap().dacl().control_access(&token.sids, Principals::default(), &names::SEND_AS);
    assert_eq!(o.snapshot.ace_origin(deep, decision.ace.unwrap()), staff);
}

#[test]
fn a_move_changes_what_is_inherited() {
    let mut o = Organization::new();
    let staff = o.ou(ROOT, "Staff");
    let service = o.user(USERS, "service");
    o.grant(staff, send_as_below(o.sid(service)));
    let bob = o.user(USERS, "bob");
    assert_eq!(o.holds(service, bob, &names::SEND_AS), Outcome::None);
    o.apply(vec![Change::Move { guid: o.guid_of(bob), parent: o.guid_of(staff), rdn: "CN=bob".into() }]);
    assert_eq!(o.holds(service, bob, &names::SEND_AS), Outcome::Allow);
}

#[test]
fn inheritance_does_not_cross_into_a_child_domain() {
    let mut o = Organization::new();
    let service = o.user(USERS, "service");
    let root = o.guid_of(o.root());
    let domain = organization::new_object(o.guids.next(), root, Class::Domain, "x")
        .with(attributes::OBJECT_SID, "S-1-5-21-4-5-6".parse::<acl::Sid>().unwrap().to_bytes());
    let domain = directory::Record { rdn: "DC=child".into(), ..domain };
    o.add(domain);
    let bob = organization::user(o.guids.next(), o.guid("DC=child,DC=example,DC=com"), "bob", "bob");
    let bob = o.add(bob);
    o.grant(o.root(), send_as_below(o.sid(service)));
    assert_eq!(o.holds(service, bob, &names::SEND_AS), Outcome::None);
    assert_eq!(o.snapshot.domain_of(bob).unwrap().dns_name, "child.example.com");
}

#[test]
fn equal_descriptors_are_one() {
    let mut o = Organization::new();
    let (a, b) = (o.user(USERS, "a"), o.user(USERS, "b"));
    assert!(std::ptr::eq(o.snapshot.descriptor(a).unwrap(), o.snapshot.descriptor(b).unwrap()));
    assert_eq!(o.snapshot.descriptor(a).unwrap().hash(), o.snapshot.descriptor(b).unwrap().hash());
}

#[test]
fn an_owner_has_full_access_and_a_stranger_has_none() {
    let mut o = Organization::new();
    let (bob, eve) = (o.user(USERS, "bob"), o.user(USERS, "eve"));
    assert_eq!(mailbox_access(&o, bob, bob, 1), Outcome::Allow);
    assert_eq!(mailbox_access(&o, eve, bob, 1), Outcome::None);
}

#[test]
fn receive_as_on_the_database_is_full_access_and_not_send_as() {
    let mut o = Organization::new();
    let (bob, service) = (o.user(USERS, "bob"), o.user(USERS, "service"));
    let database = o.id("Mailbox Database");
    o.grant(database, Ace::allow_object(o.sid(service), AccessMask::CONTROL_ACCESS, names::RECEIVE_AS));
    assert_eq!(mailbox_access(&o, service, bob, 1), Outcome::Allow);
    assert_eq!(mailbox_access(&o, service, bob, 2), Outcome::None);
    assert_eq!(o.holds(service, bob, &names::SEND_AS), Outcome::None);
    let aces = &o.snapshot.mailbox_descriptor(bob).unwrap().sd().dacl.as_ref().unwrap().aces;
    let index = aces.iter().position(|ace| ace.sid == o.sid(service)).unwrap();
    assert_eq!(o.snapshot.mailbox_ace_origin(bob, index), database);
}

#[test]
fn send_as_on_the_server_is_a_mailbox_right_of_its_own() {
    let mut o = Organization::new();
    let (bob, service) = (o.user(USERS, "bob"), o.user(USERS, "service"));
    let server = organization::named(&o.snapshot, Class::Server, "MAIL").unwrap();
    let ace = Ace::allow_object(o.sid(service), AccessMask::CONTROL_ACCESS, names::SEND_AS);
    o.grant(server, ace.with_flags(AceFlags::CONTAINER_INHERIT));
    assert_eq!(mailbox_access(&o, service, bob, 2), Outcome::Allow);
    assert_eq!(mailbox_access(&o, service, bob, 1), Outcome::None);
    let aces = &o.snapshot.mailbox_descriptor(bob).unwrap().sd().dacl.as_ref().unwrap().aces;
    let index = aces.iter().position(|ace| ace.sid == o.sid(service)).unwrap();
    assert_eq!(o.snapshot.mailbox_ace_origin(bob, index), server);
}

#[test]
fn administrators_are_allowed_and_denied_by_inheritance_so_denied() {
    let mut o = Organization::new();
    let (bob, admin) = (o.user(USERS, "bob"), o.user(USERS, "admin"));
    o.join(o.id("Enterprise Admins"), admin);
    assert_eq!(mailbox_access(&o, admin, bob, 1), Outcome::Deny);
    let manager = o.user(USERS, "manager");
    o.join(o.id("Organization Management"), manager);
    assert_eq!(mailbox_access(&o, manager, bob, 1), Outcome::Deny);
}

#[test]
fn an_explicit_mailbox_grant_counts_before_an_inherited_deny() {
    let mut o = Organization::new();
    let (bob, admin) = (o.user(USERS, "bob"), o.user(USERS, "admin"));
    o.join(o.id("Enterprise Admins"), admin);
    let mut sd = (*o.snapshot.explicit_mailbox_descriptor(bob).unwrap()).clone();
    sd.dacl.as_mut().unwrap().aces.push(Ace::allow(o.sid(admin), AccessMask(1)));
    o.set(bob, attributes::MAILBOX_DESCRIPTOR, sd.to_bytes());
    assert_eq!(mailbox_access(&o, admin, bob, 1), Outcome::Allow);
    assert_eq!(mailbox_access(&o, bob, bob, 1), Outcome::Allow);
}

#[test]
fn a_protected_mailbox_descriptor_inherits_nothing() {
    let mut o = Organization::new();
    let (bob, service) = (o.user(USERS, "bob"), o.user(USERS, "service"));
    o.grant(o.id("Mailbox Database"), Ace::allow_object(o.sid(service), AccessMask::CONTROL_ACCESS, names::RECEIVE_AS));
    let mut sd = (*o.snapshot.explicit_mailbox_descriptor(bob).unwrap()).clone();
    sd.set_dacl_protected(true);
    o.set(bob, attributes::MAILBOX_DESCRIPTOR, sd.to_bytes());
    assert_eq!(mailbox_access(&o, service, bob, 1), Outcome::None);
}

#[test]
fn the_backup_copy_of_the_mailbox_descriptor_is_never_read() {
    let mut o = Organization::new();
    let (bob, eve) = (o.user(USERS, "bob"), o.user(USERS, "eve"));
    let sd = SecurityDescriptor::with_dacl(Acl::new(vec![Ace::allow(o.sid(eve), AccessMask(3))]));
    o.set(bob, attributes::MAILBOX_DESCRIPTOR_COPY, sd.to_bytes());
    assert_eq!(mailbox_access(&o, eve, bob, 1), Outcome::None);
}

#[test]
fn nothing_is_granted_on_and_below_an_unreadable_descriptor() {
    let mut o = Organization::new();
    let staff = o.ou(ROOT, "Staff");
    let bob = o.user("example.com/Staff", "bob");
    let own = o.user("example.com/Staff", "own");
    o.edit_descriptor(own, |sd| sd.set_dacl_protected(true));
    let applied = o.set(staff, attributes::DESCRIPTOR, "");
    assert_eq!(applied.problems, [directory::Problem::Unreadable { object: o.guid_of(staff) }]);
    assert!(o.snapshot.descriptor(staff).is_none());
    assert!(o.snapshot.descriptor(bob).is_none());
    assert!(o.snapshot.descriptor(own).is_some(), "a protected one inherits nothing, so it is known");
}

#[test]
fn a_descriptor_loses_its_inherited_part_when_it_is_written() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let effective = o.snapshot.descriptor(bob).unwrap().sd().to_bytes();
    let before = o.snapshot.explicit_descriptor(bob).unwrap();
    let applied = o.set(bob, attributes::DESCRIPTOR, effective);
    let after = o.snapshot.explicit_descriptor(bob).unwrap();
    assert_eq!(before.dacl, after.dacl);
    assert!(applied.log.changes.len() <= 1);
    assert!(o.snapshot.descriptor(bob).unwrap().sd().dacl.as_ref().unwrap().aces.iter().any(Ace::is_inherited));
}

#[test]
fn a_user_made_in_a_unit_is_owned_by_domain_admins() {
    let mut o = Organization::new();
    let bob = o.user(USERS, "bob");
    let sd = o.snapshot.explicit_descriptor(bob).unwrap();
    assert_eq!(sd.owner, common::domain_sid().with_rid(512));
    assert!(sd.dacl.as_ref().unwrap().aces.iter().any(|ace| ace.sid == well_known::SYSTEM));
}
