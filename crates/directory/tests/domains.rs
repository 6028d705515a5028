//! Several domains: domain-local groups, BUILTIN groups, and what each domain's objects make of a token.

#![allow(clippy::unwrap_used)]

mod common;

use acl::{AccessMask, Ace, Outcome, Sid, names};
use common::{Organization, batch};
use directory::import::{self, AttributeMap};
use directory::{Change, ChangeError, Class, GroupScope, GroupType, ObjectId, Record, Snapshot, attributes as a};
use directory::{organization, protected};

struct Forest {
    o: Organization,
    child: ObjectId,
    /// A user of the root domain.
    alice: ObjectId,
    /// A user of the child domain.
    junior: ObjectId,
}

impl Forest {
    /// example.com with Alice and child.example.com with Junior.
    fn new() -> Forest {
        let mut o = Organization::new();
        let root = o.root();
        let child = o.domain(Some(root), "DC=child", "S-1-5-21-4-5-6");
        let alice = o.user("example.com/Users", "alice");
        let (guid, domain) = (o.guids.next(), o.guid_of(child));
        let junior = o.add(organization::user(guid, domain, "junior", "junior"));
        Forest { o, child, alice, junior }
    }

    fn group(&mut self, domain: ObjectId, name: &str, scope: GroupScope, members: &[ObjectId]) -> ObjectId {
        let (guid, parent) = (self.o.guids.next(), self.o.guid_of(domain));
        let group = self.o.add(organization::group(guid, parent, name, GroupType::security(scope)));
        members.iter().for_each(|member| self.o.join(group, *member));
        group
    }

    /// Whether Send As for a group on an object lets somebody send as it.
    fn counts(&self, who: ObjectId, group: ObjectId, on: ObjectId) -> bool {
        let mut copy = Organization { snapshot: self.o.snapshot.clone(), guids: common::Guids(9_000) };
        let sid = copy.sid(group);
        copy.grant(on, Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS));
        allows(&copy.snapshot, who, on)
    }
}

fn allows(snapshot: &Snapshot, who: ObjectId, on: ObjectId) -> bool {
    let token = snapshot.account_token(who).unwrap();
    let dacl = snapshot.descriptor(on).unwrap().dacl();
    let sids = token.sids_on(snapshot, on);
    dacl.control_access(sids, acl::Principals::default(), &names::SEND_AS).outcome == Outcome::Allow
}

#[test]
fn a_domain_local_group_counts_for_objects_of_its_own_domain_only() {
    let mut f = Forest::new();
    let (root, child) = (f.o.root(), f.child);
    let of_root = f.group(root, "Root Local", GroupScope::DomainLocal, &[f.alice, f.junior]);
    let of_child = f.group(child, "Child Local", GroupScope::DomainLocal, &[f.alice, f.junior]);
    for who in [f.alice, f.junior] {
        assert!(f.counts(who, of_root, f.alice) && !f.counts(who, of_root, f.junior));
        assert!(f.counts(who, of_child, f.junior) && !f.counts(who, of_child, f.alice));
    }
}

#[test]
fn universal_and_global_groups_count_in_every_domain() {
    let mut f = Forest::new();
    let child = f.child;
    for scope in [GroupScope::Universal, GroupScope::Global] {
        let group = f.group(child, &format!("{scope:?}"), scope, &[f.junior]);
        assert!(f.counts(f.junior, group, f.alice) && f.counts(f.junior, group, f.junior), "{scope:?}");
    }
}

#[test]
fn what_is_nested_in_a_domain_local_group_comes_with_it_in_its_own_domain_only() {
    let mut f = Forest::new();
    let child = f.child;
    let inner = f.group(child, "Inner", GroupScope::Universal, &[f.alice]);
    let outer = f.group(child, "Outer", GroupScope::DomainLocal, &[inner]);
    let around = f.group(child, "Around", GroupScope::DomainLocal, &[outer]);
    assert!(f.counts(f.alice, inner, f.alice) && f.counts(f.alice, inner, f.junior));
    assert!(f.counts(f.alice, around, f.junior) && !f.counts(f.alice, around, f.alice));
}

#[test]
fn with_one_domain_domain_local_groups_count_everywhere() {
    let mut o = Organization::new();
    let (alice, root) = (o.user("example.com/Users", "alice"), o.root());
    let (guid, parent) = (o.guids.next(), o.guid_of(root));
    let group = o.add(organization::group(guid, parent, "Local", GroupType::security(GroupScope::DomainLocal)));
    o.join(group, alice);
    let token = o.snapshot.account_token(alice).unwrap();
    let number = o.snapshot.sid_id(&o.sid(group)).unwrap();
    let database = o.id("Mailbox Database");
    for on in [alice, root, database] {
        assert!(token.sids_on(&o.snapshot, on).contains(number));
    }
}

#[test]
fn for_the_organization_and_its_servers_the_root_domains_groups_count() {
    let mut f = Forest::new();
    let (root, child) = (f.o.root(), f.child);
    let of_root = f.group(root, "Root Local", GroupScope::DomainLocal, &[f.junior]);
    let of_child = f.group(child, "Child Local", GroupScope::DomainLocal, &[f.junior]);
    let database = f.o.id("Mailbox Database");
    let token = f.o.snapshot.account_token(f.junior).unwrap();
    let held = |group| token.sids_on(&f.o.snapshot, database).contains(f.o.snapshot.sid_id(&f.o.sid(group)).unwrap());
    assert!(held(of_root) && !held(of_child));
}

/// BUILTIN\Administrators of a domain.
fn administrators(o: &mut Organization, domain: ObjectId, member: Option<ObjectId>) -> Result<ObjectId, ChangeError> {
    let (guid, parent) = (o.guids.next(), o.guid_of(domain));
    let mut record =
        organization::group(guid, parent, "BUILTIN Administrators", GroupType::security(GroupScope::DomainLocal))
            .with(a::OBJECT_SID, acl::well_known::BUILTIN_ADMINISTRATORS.to_bytes())
            .with(a::SAM_ACCOUNT_NAME, "Builtin Administrators");
    if let Some(member) = member {
        record.set(a::MEMBER, vec![directory::link_value(&o.guid_of(member))]);
    }
    o.try_apply(vec![Change::Add(record)])?;
    Ok(o.snapshot.by_guid(&guid).unwrap())
}

#[test]
fn each_domain_has_its_own_builtin_groups() {
    let mut f = Forest::new();
    let child = f.child;
    let ours = f.o.snapshot.by_sid(&acl::well_known::BUILTIN_ADMINISTRATORS).unwrap();
    let theirs = administrators(&mut f.o, child, Some(f.junior)).unwrap();
    let sid: Sid = acl::well_known::BUILTIN_ADMINISTRATORS;
    assert_eq!(f.o.snapshot.by_sid(&sid), Some(ours), "the root domain's is meant where no domain is said");
    assert_eq!(f.o.snapshot.principal_on(&sid, f.junior), Some(theirs));
    assert_eq!(f.o.snapshot.principal_on(&sid, f.alice), Some(ours));
}

#[test]
fn an_administrator_of_one_domain_is_none_of_another() {
    let mut f = Forest::new();
    let child = f.child;
    let theirs = administrators(&mut f.o, child, Some(f.junior)).unwrap();
    assert!(f.counts(f.junior, theirs, f.junior), "in his own domain");
    assert!(!f.counts(f.junior, theirs, f.alice), "in the root domain");
    assert!(f.o.snapshot.is_protected(f.junior));
    assert!(protected::objects(&f.o.snapshot).any(|id| id == theirs));
}

#[test]
fn a_domain_has_each_builtin_group_once() {
    let mut f = Forest::new();
    let root = f.o.root();
    assert!(matches!(administrators(&mut f.o, root, None), Err(ChangeError::Taken { .. })));
}

#[test]
fn builtin_groups_of_several_domains_are_loaded_again() {
    let mut f = Forest::new();
    let child = f.child;
    administrators(&mut f.o, child, Some(f.junior)).unwrap();
    let records: Vec<Record> = f.o.snapshot.objects().filter_map(|(id, _)| f.o.snapshot.record(id)).collect();
    let loaded = Snapshot::load(records, 1).unwrap().snapshot;
    assert_eq!(loaded.len(), f.o.snapshot.len());
}

#[test]
fn an_import_keeps_the_builtin_groups_of_another_domain_apart() {
    let mut o = Organization::new();
    let ldif = "dn: DC=other,DC=test\nobjectClass: domainDNS\nobjectSid: S-1-5-21-30-31-32\n\n\
        dn: CN=eve,DC=other,DC=test\nobjectClass: user\nsAMAccountName: eve\nobjectSid: S-1-5-21-30-31-32-1200\n\n\
        dn: CN=Builtin,DC=other,DC=test\nobjectClass: builtinDomain\n\n\
        dn: CN=Administrators,CN=Builtin,DC=other,DC=test\nobjectClass: group\ngroupType: -2147483643\n\
        sAMAccountName: Administrators\nobjectSid: S-1-5-32-544\nmember: CN=eve,DC=other,DC=test\n";
    let import =
        import::changes(ldif.as_bytes(), &AttributeMap::default(), &o.snapshot, &mut || o.guids.next()).unwrap();
    let texts: Vec<&str> = import.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert!(!texts.iter().any(|text| text.contains("S-1-5-32")), "{texts:?}");
    let after = o.snapshot.apply(&batch(import.changes)).unwrap().snapshot;
    let group = after.by_dn("CN=Administrators,CN=Builtin,DC=other,DC=test").unwrap();
    assert_eq!(after.object(group).unwrap().class(), Class::Group);
    let eve = after.by_dn("CN=eve,DC=other,DC=test").unwrap();
    let number = after.sid_id(&acl::well_known::BUILTIN_ADMINISTRATORS).unwrap();
    let token = after.token_of(eve).unwrap();
    assert!(token.sids_on(&after, eve).contains(number));
    assert!(!token.sids_on(&after, after.domains()[0].object).contains(number) && !token.sids.contains(number));
}
