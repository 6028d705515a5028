//! The empty organization, and objects in it.

#![allow(clippy::unwrap_used)]

mod common;

use acl::{Outcome, Sid, names, well_known};
use common::Organization;
use directory::{AddressOwner, Change, ChangeError, Class, Config, DomainKind, NameError, Record, attributes};
use message::CanonicalAddress;

fn address(text: &str) -> CanonicalAddress {
    CanonicalAddress::parse(text).unwrap()
}

#[test]
fn a_new_organization_has_its_connectors_where_s2_names_them() {
    let o = Organization::new();
    let dn = "CN=Client,CN=SMTP Receive Connectors,CN=Protocols,CN=MAIL,CN=Servers,\
        CN=Exchange Administrative Group (FYDIBOHF23SPDLT),CN=Administrative Groups,CN=First Organization,\
        CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=example,DC=com";
    let id = o.snapshot.by_dn(dn).unwrap();
    assert_eq!(o.snapshot.dn(id), dn);
    let names: Vec<_> = o.snapshot.receive_connectors().map(|(_, connector)| connector.name.clone()).collect();
    assert_eq!(names, ["Client", "Internet"]);
    let (_, client) = o.snapshot.receive_connectors().next().unwrap();
    assert!(client.auth.basic_requires_tls && client.auth.tls && client.enabled);
    assert_eq!(client.bindings, ["127.0.0.1:2587".parse().unwrap()]);
    assert!(client.remote_ranges.iter().all(directory::IpRange::is_unbounded));
}

#[test]
fn the_grants_of_a_connector_are_aces_on_it() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let client = o.snapshot.receive_connectors().next().unwrap().0;
    assert_eq!(o.holds(bob, client, &names::SEND_TO), Outcome::Allow);
    assert_eq!(o.holds(bob, client, &names::SEND_AS), Outcome::None);
}

#[test]
fn the_domain_of_the_organization_is_accepted() {
    let o = Organization::new();
    let domain = o.snapshot.accepted_domain("Example.COM").unwrap();
    assert_eq!((domain.kind, domain.default, domain.wildcard), (DomainKind::Authoritative, true, false));
    assert!(o.snapshot.accepted_domain("sub.example.com").is_none());
}

fn accept(o: &mut Organization, name: &str, more: &[(&str, &str)]) {
    let parent = o.guid("CN=Accepted Domains,CN=Transport Settings,CN=First Organization,CN=Microsoft Exchange,CN=Services,CN=Configuration,DC=example,DC=com");
    let mut record = directory::organization::new_object(o.guids.next(), parent, Class::AcceptedDomain, name)
        .with(attributes::ACCEPTED_DOMAIN_NAME, name);
    for (attribute, value) in more {
        record.set(attribute, vec![value.as_bytes().to_vec()]);
    }
    o.add(record);
}

#[test]
fn a_wildcard_covers_what_is_below_it_and_the_longest_counts() {
    let mut o = Organization::new();
    accept(&mut o, "*.relay.test", &[(attributes::ACCEPTED_DOMAIN_FLAGS, "1")]);
    accept(&mut o, "*.deep.relay.test", &[(attributes::ACCEPTED_DOMAIN_FLAGS, "2")]);
    let kind = |name: &str| o.snapshot.accepted_domain(name).map(|domain| domain.kind);
    assert_eq!(kind("a.relay.test"), Some(DomainKind::ExternalRelay));
    assert_eq!(kind("a.b.relay.test"), Some(DomainKind::ExternalRelay));
    assert_eq!(kind("a.deep.relay.test"), Some(DomainKind::InternalRelay));
    assert_eq!(kind("relay.test"), None);
}

#[test]
fn an_address_is_found_exactly_then_without_tag_then_through_the_alias() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let tagged = o.user("example.com/Users", "tagged");
    o.set(tagged, attributes::PROXY_ADDRESSES, "SMTP:bob+x@example.com");
    accept(&mut o, "old.example", &[(attributes::ALIAS_OF, "example.com"), (attributes::SUBADDRESSING, "TRUE")]);
    assert_eq!(o.snapshot.by_address(&address("BOB@Example.com")), AddressOwner::One(bob));
    assert_eq!(o.snapshot.by_address(&address("bob@old.example")), AddressOwner::One(bob));
    assert_eq!(o.snapshot.by_address(&address("bob+x@old.example")), AddressOwner::One(tagged));
    assert_eq!(o.snapshot.by_address(&address("bob+y@old.example")), AddressOwner::One(bob));
    // example.com has no subaddressing itself.
    assert_eq!(o.snapshot.by_address(&address("bob+y@example.com")), AddressOwner::Nobody);
    assert_eq!(o.snapshot.by_address(&address("bob+x@example.com")), AddressOwner::One(tagged));
}

#[test]
fn an_address_of_two_objects_is_reported_and_belongs_to_several() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let eve = o.user("example.com/Users", "eve");
    let applied = o.set(eve, attributes::PROXY_ADDRESSES, "SMTP:bob@example.com");
    assert_eq!(applied.problems.len(), 1);
    assert_eq!(o.snapshot.by_address(&address("bob@example.com")), AddressOwner::Several(vec![bob, eve]));
    assert_eq!(o.snapshot.by_address(&address("eve@example.com")), AddressOwner::Nobody);
}

#[test]
fn mail_is_an_address_only_where_no_proxy_is_primary() {
    let mut o = Organization::new();
    let parent = o.guid("example.com/Users");
    let record = directory::organization::user(o.guids.next(), parent, "x", "x")
        .with(attributes::MAIL, "x@example.com")
        .with(attributes::PROXY_ADDRESSES, "smtp:y@example.com");
    let x = o.add(record);
    assert_eq!(o.snapshot.object(x).unwrap().primary_address().unwrap().to_string(), "x@example.com");
    assert_eq!(o.snapshot.by_address(&address("y@example.com")), AddressOwner::One(x));
    o.set(x, attributes::PROXY_ADDRESSES, "SMTP:y@example.com");
    assert_eq!(o.snapshot.by_address(&address("x@example.com")), AddressOwner::Nobody);
}

#[test]
fn every_kind_of_name_finds_the_object() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    o.set(bob, attributes::DISPLAY_NAME, "Bob Büttner");
    o.set(bob, attributes::USER_PRINCIPAL_NAME, "robert@corp.example");
    let guid = o.guid_of(bob).to_string();
    let sid = o.sid(bob).to_string();
    for name in [
        "cn=BOB,cn=users,dc=EXAMPLE,dc=com",
        &guid,
        &format!("{{{guid}}}"),
        &sid,
        "bob@example.com",
        "EXAMPLE\\Bob",
        "example.com\\bob",
        "robert@CORP.example",
        "bob",
        "BOB BÜTTNER",
        "example.com/Users/bob",
    ] {
        assert_eq!(o.snapshot.resolve(name), Ok(bob), "{name}");
    }
    assert_eq!(o.snapshot.resolve("nobody"), Err(NameError::Unknown("nobody".into())));
}

#[test]
fn an_ambiguous_name_lists_its_candidates() {
    let mut o = Organization::new();
    let a = o.user("example.com/Users", "a");
    let b = o.user("example.com/Users", "b");
    o.set(a, attributes::DISPLAY_NAME, "Twin");
    o.set(b, attributes::DISPLAY_NAME, "twin");
    assert_eq!(o.snapshot.resolve("Twin"), Err(NameError::Ambiguous { name: "Twin".into(), candidates: vec![a, b] }));
}

#[test]
fn logon_names_stand_for_one_account_or_none() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let eve = o.user("example.com/Users", "eve");
    o.set(bob, attributes::USER_PRINCIPAL_NAME, "robert@example.com");
    for name in ["bob", "BOB", "EXAMPLE\\bob", "robert@example.com", "Bob@Example.com"] {
        assert_eq!(o.snapshot.resolve_login(name), Some(bob), "{name}");
    }
    // Eve's address is Bob's UPN: neither.
    o.set(eve, attributes::PROXY_ADDRESSES, "SMTP:robert@example.com");
    for name in ["robert@example.com", "Domain Admins", "nobody", "OTHER\\bob", ""] {
        assert_eq!(o.snapshot.resolve_login(name), None, "{name}");
    }
}

#[test]
fn sids_have_names() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    assert_eq!(o.snapshot.sid_name(&o.sid(bob)), "EXAMPLE\\bob");
    assert_eq!(o.snapshot.sid_name(&well_known::SELF), "NT AUTHORITY\\SELF");
    assert_eq!(o.snapshot.sid_name(&well_known::BUILTIN_ADMINISTRATORS), "BUILTIN\\Administrators");
    assert_eq!(o.snapshot.sid_name(&well_known::EVERYONE), "Everyone");
    let unknown: Sid = "S-1-5-21-9-9-9-9".parse().unwrap();
    assert_eq!(o.snapshot.sid_name(&unknown), unknown.to_string());
    assert_eq!(o.snapshot.resolve_sid("EXAMPLE\\bob"), Ok(o.sid(bob)));
    assert_eq!(o.snapshot.resolve_sid("NT AUTHORITY\\self"), Ok(well_known::SELF));
    assert_eq!(o.snapshot.resolve_sid("S-1-5-21-9-9-9-9"), Ok(unknown));
}

#[test]
fn what_must_be_unique_is_refused_by_name() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let parent = o.guid("example.com/Users");
    let mailbox = o.snapshot.object(bob).unwrap().mailbox().unwrap().guid;
    o.set(bob, attributes::USER_PRINCIPAL_NAME, "bob@corp");
    let new = |o: &mut Organization, name: &str| directory::organization::user(o.guids.next(), parent, name, name);
    let records: Vec<(&str, Record)> = vec![
        ("distinguishedName", {
            let mut r = new(&mut o, "BOB");
            r.set(attributes::SAM_ACCOUNT_NAME, vec![b"other".to_vec()]);
            r
        }),
        ("sAMAccountName", {
            let mut r = new(&mut o, "carl");
            r.set(attributes::SAM_ACCOUNT_NAME, vec![b"Bob".to_vec()]);
            r
        }),
        ("userPrincipalName", new(&mut o, "carl").with(attributes::USER_PRINCIPAL_NAME, "BOB@corp")),
        ("objectSid", new(&mut o, "carl").with(attributes::OBJECT_SID, o.sid(bob).to_bytes())),
        ("msExchMailboxGuid", new(&mut o, "carl").with(attributes::MAILBOX_GUID, mailbox.0.to_vec())),
        ("objectGUID", Record { guid: o.guid_of(bob), ..new(&mut o, "carl") }),
    ];
    for (attribute, record) in records {
        match o.try_apply(vec![Change::Add(record)]).unwrap_err() {
            ChangeError::Taken { attribute: named, holder, .. } => {
                assert_eq!(named, attribute);
                assert_eq!(holder, "CN=bob,CN=Users,DC=example,DC=com");
            }
            other => panic!("{attribute}: {other}"),
        }
    }
}

#[test]
fn a_sid_is_never_given_out_twice() {
    let mut o = Organization::new();
    let first = o.user("example.com/Users", "first");
    let sid = o.sid(first);
    o.apply(vec![Change::Delete { guid: o.guid_of(first) }]);
    let second = o.user("example.com/Users", "second");
    assert_ne!(o.sid(second), sid);
    // Nor one that was chosen by hand and is beyond the counter.
    let chosen = common::domain_sid().with_rid(5000).unwrap();
    let parent = o.guid("example.com/Users");
    let record = directory::organization::user(o.guids.next(), parent, "third", "third");
    let third = o.add(record.with(attributes::OBJECT_SID, chosen.to_bytes()));
    o.apply(vec![Change::Delete { guid: o.guid_of(third) }]);
    let fourth = o.user("example.com/Users", "fourth");
    assert_eq!(o.sid(fourth).rid(), Some(5001));
}

#[test]
fn values_that_an_attribute_cannot_hold_are_refused() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let guid = o.guid_of(bob);
    for (attribute, value) in [
        (attributes::PROXY_ADDRESSES, "smtp:not an address"),
        (attributes::MAIL, "nor@this@"),
        (attributes::USER_ACCOUNT_CONTROL, "many"),
        (attributes::HIDE_FROM_ADDRESS_LISTS, "yes"),
        (attributes::MAILBOX_GUID, "short"),
        (attributes::MASTER_ACCOUNT_SID, "S-1-5-10"),
        (attributes::SAM_ACCOUNT_NAME, "a\\b"),
        (attributes::DESCRIPTOR, "D:"),
    ] {
        let change = Change::Modify { guid, attributes: vec![(attribute.into(), vec![value.into()])] };
        let error = o.try_apply(vec![change]).unwrap_err();
        assert!(matches!(&error, ChangeError::BadValue { attribute: named, .. } if named == attribute), "{error}");
    }
    for attribute in ["memberOf", "distinguishedName", "objectSid", "objectGUID", "cn"] {
        let change = Change::Modify { guid, attributes: vec![(attribute.into(), vec![b"x".to_vec()])] };
        assert!(matches!(o.try_apply(vec![change]).unwrap_err(), ChangeError::ReadOnly { .. }), "{attribute}");
    }
}

#[test]
fn a_connector_that_cannot_be_read_is_refused_with_the_reason() {
    let mut o = Organization::new();
    let (id, _) = o.snapshot.receive_connectors().next().unwrap();
    for (attribute, value) in [
        (attributes::RECEIVE_BINDINGS, "port 25"),
        (attributes::RECEIVE_RANGES, "10.0.0.9-10.0.0.1"),
        (attributes::HEADER_FROM, "maybe"),
        (attributes::LOGON_SEPARATOR, "\\"),
    ] {
        let change = Change::Modify { guid: o.guid_of(id), attributes: vec![(attribute.into(), vec![value.into()])] };
        let error = o.try_apply(vec![change]).unwrap_err();
        assert!(matches!(&error, ChangeError::BadValue { attribute: named, .. } if named == attribute), "{error}");
    }
    o.set(id, attributes::HEADER_FROM, "observe");
    let Some(Config::ReceiveConnector(connector)) = o.snapshot.object(id).unwrap().config() else {
        panic!("no connector")
    };
    assert_eq!(connector.header_from, directory::HeaderFrom::Observe);
}

#[test]
fn a_moved_object_is_found_under_its_new_name_only() {
    let mut o = Organization::new();
    o.ou("DC=example,DC=com", "Staff");
    let bob = o.user("example.com/Users", "bob");
    let staff = o.guid("example.com/Staff");
    o.apply(vec![Change::Move { guid: o.guid_of(bob), parent: staff, rdn: "CN=Owens\\, Bob".into() }]);
    assert_eq!(o.snapshot.dn(bob), "CN=Owens\\, Bob,OU=Staff,DC=example,DC=com");
    assert_eq!(o.snapshot.by_dn("cn=owens\\2C bob,ou=staff,dc=example,dc=com"), Some(bob));
    assert_eq!(o.snapshot.by_dn("CN=bob,CN=Users,DC=example,DC=com"), None);
    assert_eq!(o.snapshot.canonical_name(bob), "example.com/Staff/Owens, Bob");
    assert_eq!(o.snapshot.children(o.id("example.com/Staff")).collect::<Vec<_>>(), [bob]);
}

#[test]
fn an_object_cannot_move_below_itself_nor_be_deleted_with_children() {
    let mut o = Organization::new();
    o.ou("DC=example,DC=com", "Staff");
    o.ou("OU=Staff,DC=example,DC=com", "Inner");
    let (outer, inner) = (o.guid("example.com/Staff"), o.guid("example.com/Staff/Inner"));
    let error = o.try_apply(vec![Change::Move { guid: outer, parent: inner, rdn: "OU=Staff".into() }]).unwrap_err();
    assert!(matches!(error, ChangeError::BadMove { .. }));
    let error = o.try_apply(vec![Change::Delete { guid: outer }]).unwrap_err();
    assert_eq!(error, ChangeError::NotLeaf { object: "OU=Staff,DC=example,DC=com".into(), children: 1 });
}

#[test]
fn deleting_an_object_removes_the_links_to_it_and_says_so() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let team = o.group("example.com/Users", "team", true);
    o.join(team, bob);
    let applied = o.apply(vec![Change::Delete { guid: o.guid_of(bob) }]);
    assert!(o.snapshot.members(team).is_empty());
    let touched: Vec<_> = applied.log.changes.iter().map(directory::ObjectChange::guid).collect();
    assert!(touched.contains(&o.guid_of(team)));
    assert!(o.snapshot.object(bob).is_none());
}

#[test]
fn a_link_to_nothing_is_refused() {
    let mut o = Organization::new();
    let team = o.group("example.com/Users", "team", true);
    let guid = o.guid_of(team);
    let change = Change::Values {
        guid,
        attribute: "member".into(),
        add: vec![b"CN=ghost,DC=example,DC=com".to_vec()],
        remove: vec![],
    };
    let error = o.try_apply(vec![change]).unwrap_err();
    assert!(matches!(error, ChangeError::UnknownLink { target, .. } if target.starts_with("CN=ghost")));
}

#[test]
fn a_refused_batch_changes_nothing() {
    let mut o = Organization::new();
    let parent = o.guid("example.com/Users");
    let good = directory::organization::user(o.guids.next(), parent, "good", "good");
    let bad = directory::organization::user(o.guids.next(), parent, "good", "other");
    let version = o.snapshot.version();
    assert!(o.try_apply(vec![Change::Add(good), Change::Add(bad)]).is_err());
    assert_eq!(o.snapshot.version(), version);
    assert!(o.snapshot.resolve("good").is_err());
}

#[test]
fn the_database_of_a_mailbox_is_known_and_must_be_one() {
    let mut o = Organization::new();
    let bob = o.user("example.com/Users", "bob");
    let database = o.id("Mailbox Database");
    assert_eq!(o.snapshot.object(bob).unwrap().mailbox().unwrap().database, Some(database));
    assert_eq!(o.snapshot.linked_from(database, attributes::HOME_MDB), [bob]);
    let add = vec![directory::link_value(&o.guid("example.com/Users"))];
    let guid = o.guid_of(bob);
    let change = Change::Modify { guid, attributes: vec![("homeMDB".into(), add)] };
    assert!(matches!(o.try_apply(vec![change]).unwrap_err(), ChangeError::BadValue { .. }));
}

#[test]
fn classes_that_are_not_ours_are_kept() {
    let mut o = Organization::new();
    let parent = o.guid("example.com/Users");
    let classes = ["top", "person", "organizationalPerson", "user", "computer", "msDS-GroupManagedServiceAccount"];
    let values = classes.map(|name| name.as_bytes().to_vec());
    let record =
        directory::organization::user(o.guids.next(), parent, "gmsa", "gmsa$").with_all("objectClass", values.clone());
    let id = o.add(record);
    assert_eq!(o.snapshot.object(id).unwrap().class(), Class::Computer);
    assert_eq!(o.snapshot.attribute(id, "objectClass"), values);
    // A short list is completed.
    let record = directory::organization::user(o.guids.next(), parent, "u", "u").with("objectClass", "USER");
    let id = o.add(record);
    assert_eq!(o.snapshot.attribute(id, "objectClass").len(), 4);
}
