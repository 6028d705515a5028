//! Domain-local groups in reports: who-can, what-can and the audit agree with decisions in every domain.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use acl::{AccessMask, Ace, Guid, Sid, names, well_known};
use directory::organization::{self, Names};
use directory::{
    Change, ChangeBatch, Class, Doubt, GroupScope, GroupType, ObjectId, Record, Snapshot, Time, attributes as a,
    link_value,
};
use rights::{
    Facts, Permission, Question, Refusal, SendAsAudit, Steps, Via, decide, lines, what_can, who_can, who_people,
};

struct Forest {
    snapshot: Snapshot,
    next: u128,
}

impl Forest {
    /// example.com with Alice, its child domain with Junior.
    fn new() -> Forest {
        let mut forest = Forest { snapshot: Snapshot::empty(), next: 0 };
        let names = Names {
            domain: "example.com".into(),
            netbios: "EXAMPLE".into(),
            domain_sid: "S-1-5-21-1-2-3".parse().unwrap(),
            organization: "First".into(),
            server: "MAIL".into(),
            server_fqdn: "mail.example.com".into(),
        };
        let changes = organization::new_organization(&names, &[], &mut || forest.guid());
        forest.apply(changes);
        let (child, root) = (forest.guid(), forest.guid_of("DC=example,DC=com"));
        let sid: Sid = "S-1-5-21-4-5-6".parse().unwrap();
        let classes = Class::Domain.object_classes().iter().map(|name| name.as_bytes().to_vec());
        let domain = Record::new(child, Some(root), "DC=child")
            .with_all(a::OBJECT_CLASS, classes)
            .with(a::OBJECT_SID, sid.to_bytes());
        forest.apply(vec![Change::Add(domain)]);
        for (name, parent) in [("alice", root), ("junior", child)] {
            let user = organization::user(forest.guid(), parent, name, name);
            let (mailbox, database) = (forest.guid(), forest.guid_of("Mailbox Database"));
            let address = format!("{name}@example.com");
            let user = organization::with_mailbox(user, mailbox, &database, &[&address]);
            forest.apply(vec![Change::Add(user)]);
        }
        forest
    }

    fn guid(&mut self) -> Guid {
        self.next += 1;
        Guid::from_u128(self.next)
    }

    fn apply(&mut self, changes: Vec<Change>) {
        let batch = ChangeBatch { author: well_known::SYSTEM, time: Time(0), comment: String::new(), changes };
        self.snapshot = self.snapshot.apply(&batch).unwrap().snapshot;
    }

    fn id(&self, name: &str) -> ObjectId {
        self.snapshot.resolve(name).unwrap()
    }

    fn guid_of(&self, name: &str) -> Guid {
        self.snapshot.object(self.id(name)).unwrap().guid()
    }

    /// A domain-local group of a domain with both users, granted Send As on both.
    fn grant_to_local_group_of(&mut self, domain: &str) {
        let (guid, parent) = (self.guid(), self.guid_of(domain));
        let members = ["alice", "junior"].map(|name| link_value(&self.guid_of(name)));
        let kind = GroupType::security(GroupScope::DomainLocal);
        let group = organization::group(guid, parent, "Local", kind).with_all(a::MEMBER, members);
        self.apply(vec![Change::Add(group)]);
        let sid = self.snapshot.object(self.id("Local")).unwrap().sid().unwrap();
        let ace = Ace::allow_object(self.snapshot.sid(sid), AccessMask::CONTROL_ACCESS, names::SEND_AS);
        for name in ["alice", "junior"] {
            let mut sd = (*self.snapshot.explicit_descriptor(self.id(name)).unwrap()).clone();
            sd.dacl.as_mut().unwrap().aces.insert(0, ace.clone());
            let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()])];
            self.apply(vec![Change::Modify { guid: self.guid_of(name), attributes }]);
        }
    }

    /// Whether decisions let somebody send as somebody.
    fn sends_as(&self, who: &str, on: &str) -> bool {
        rights::person(&self.snapshot, self.id(who), self.id(on), Permission::SendAs).is_some()
    }
}

#[test]
fn a_grant_to_a_domain_local_group_counts_on_owners_of_its_domain_only() {
    let mut forest = Forest::new();
    forest.grant_to_local_group_of("DC=child,DC=example,DC=com");
    assert!(forest.sends_as("alice", "junior"));
    assert!(!forest.sends_as("junior", "alice"));
}

#[test]
fn who_can_shows_the_entry_of_a_domain_local_group_of_another_domain_as_without_effect() {
    let mut forest = Forest::new();
    forest.grant_to_local_group_of("DC=child,DC=example,DC=com");
    let effective = |on: &str| {
        let rows = who_can(&forest.snapshot, forest.id(on), Permission::SendAs);
        let local = Some(forest.id("Local"));
        rows.into_iter().find(|row| row.object == local && matches!(row.via, Via::Ace { .. })).unwrap().effective
    };
    assert!(effective("junior") && !effective("alice"));
}

#[test]
fn reports_list_whom_decisions_allow_in_every_domain() {
    for domain in ["DC=example,DC=com", "DC=child,DC=example,DC=com"] {
        let mut forest = Forest::new();
        forest.grant_to_local_group_of(domain);
        let snapshot = &forest.snapshot;
        let mut audit = SendAsAudit::new(snapshot);
        for on in ["alice", "junior"] {
            let people = who_people(snapshot, forest.id(on), Permission::SendAs);
            let audited: Vec<ObjectId> = audit.people(forest.id(on)).collect();
            for who in ["alice", "junior"] {
                let (id, target) = (forest.id(who), forest.id(on));
                let decided = forest.sends_as(who, on);
                assert_eq!(people.iter().any(|person| person.account == id), decided, "{who} as {on}");
                let can = what_can(snapshot, id, Permission::SendAs).iter().any(|person| person.target == target);
                assert_eq!(can, decided, "{who} as {on}");
                if who != on {
                    assert_eq!(audited.contains(&id), decided, "{who} as {on}");
                }
            }
        }
    }
}

#[test]
fn an_explanation_says_which_domain_a_builtin_group_is_of() {
    let mut forest = Forest::new();
    let (guid, parent) = (forest.guid(), forest.guid_of("DC=child,DC=example,DC=com"));
    let group = organization::group(guid, parent, "Account Operators", GroupType::security(GroupScope::DomainLocal))
        .with(a::OBJECT_SID, well_known::BUILTIN_ACCOUNT_OPERATORS.to_bytes())
        .with_all(a::MEMBER, [link_value(&forest.guid_of("alice"))]);
    forest.apply(vec![Change::Add(group)]);
    let mut sd = (*forest.snapshot.explicit_descriptor(forest.id("junior")).unwrap()).clone();
    let ace = Ace::allow_object(well_known::BUILTIN_ACCOUNT_OPERATORS, AccessMask::CONTROL_ACCESS, names::SEND_AS);
    sd.dacl.as_mut().unwrap().aces.insert(0, ace);
    let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()])];
    forest.apply(vec![Change::Modify { guid: forest.guid_of("junior"), attributes }]);
    let (snapshot, junior) = (&forest.snapshot, forest.id("junior"));
    let token = snapshot.account_token(forest.id("alice")).unwrap();
    let facts = Facts { connector: junior, logon: None, time: Time(0) };
    let verdict = decide::<Steps>(snapshot, &token, &facts, &Question::SendAs(junior));
    let text = lines(snapshot, &token, &verdict.trace.0).remove(0).text;
    assert!(text.contains("allowed to BUILTIN\\Account Operators of child.example.com, explicit"), "{text}");
}

#[test]
fn an_explanation_says_no_domain_of_other_groups() {
    let mut forest = Forest::new();
    forest.grant_to_local_group_of("DC=child,DC=example,DC=com");
    let (snapshot, junior) = (&forest.snapshot, forest.id("junior"));
    let token = snapshot.account_token(forest.id("alice")).unwrap();
    let facts = Facts { connector: junior, logon: None, time: Time(0) };
    let verdict = decide::<Steps>(snapshot, &token, &facts, &Question::SendAs(junior));
    let text = lines(snapshot, &token, &verdict.trace.0).remove(0).text;
    assert!(text.contains("\\Local, explicit"), "{text}");
}

const CHILD: &str = "DC=child,DC=example,DC=com";

impl Forest {
    /// Send As on somebody is allowed, or denied, to a new group of a domain with these members.
    fn group_on(&mut self, domain: &str, scope: GroupScope, members: &[&str], on: &str, allowed: bool) {
        let (guid, parent) = (self.guid(), self.guid_of(domain));
        let members: Vec<_> = members.iter().map(|name| link_value(&self.guid_of(name))).collect();
        let group = organization::group(guid, parent, &format!("Group {}", self.next), GroupType::security(scope));
        self.apply(vec![Change::Add(group.with_all(a::MEMBER, members))]);
        let sid = self.snapshot.object(self.snapshot.by_guid(&guid).unwrap()).unwrap().sid().unwrap();
        let ace = match allowed {
            true => Ace::allow_object(self.snapshot.sid(sid), AccessMask::CONTROL_ACCESS, names::SEND_AS),
            false => Ace::deny_object(self.snapshot.sid(sid), AccessMask::CONTROL_ACCESS, names::SEND_AS),
        };
        let mut sd = (*self.snapshot.explicit_descriptor(self.id(on)).unwrap()).clone();
        sd.dacl.as_mut().unwrap().aces.insert(0, ace);
        let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![sd.to_bytes()])];
        self.apply(vec![Change::Modify { guid: self.guid_of(on), attributes }]);
    }

    /// What is decided about Send As where the child domain is away, or only a global catalog tells of it: `None` where it is
    /// put off.
    fn decided(&self, partial: bool, who: &str, on: &str) -> Option<bool> {
        let child = self.guid_of(CHILD);
        let doubt = match partial {
            true => Doubt { partial: [(child, BTreeSet::new())].into(), ..Doubt::default() },
            false => Doubt { stale: [child].into(), ..Doubt::default() },
        };
        let snapshot = self.snapshot.clone().doubting(doubt);
        let token = snapshot.account_token(self.id(who)).unwrap();
        let facts = Facts { connector: self.id(on), logon: None, time: Time(0) };
        match decide::<Steps>(&snapshot, &token, &facts, &Question::SendAs(self.id(on))).reason {
            Ok(_) => Some(true),
            Err(Refusal::DirectoryUnavailable) => None,
            Err(_) => Some(false),
        }
    }
}

#[test]
fn what_an_account_or_an_object_of_a_domain_that_is_away_may_is_unknown() {
    let forest = Forest::new();
    assert_eq!(forest.decided(false, "alice", "alice"), Some(true));
    assert_eq!(forest.decided(false, "alice", "junior"), None);
    assert_eq!(forest.decided(false, "junior", "alice"), None);
}

#[test]
fn a_group_with_members_that_nobody_knows_puts_off_what_it_could_change() {
    let mut forest = Forest::new();
    forest.group_on(CHILD, GroupScope::Universal, &["junior"], "alice", true);
    // Allowed either way.
    assert_eq!(forest.decided(false, "alice", "alice"), Some(true));
    forest.group_on(CHILD, GroupScope::Universal, &["junior"], "alice", false);
    assert_eq!(forest.decided(false, "alice", "alice"), None);
    // Their members are known to the catalog.
    assert_eq!(forest.decided(true, "alice", "alice"), Some(true));
}

#[test]
fn a_domain_local_group_of_a_domain_that_is_away_does_not_count_elsewhere_as_before() {
    let mut forest = Forest::new();
    forest.group_on(CHILD, GroupScope::DomainLocal, &["junior"], "alice", false);
    assert_eq!(forest.decided(false, "alice", "alice"), Some(true));
}

#[test]
fn of_a_domain_in_a_catalog_universal_groups_are_known_and_domain_local_ones_are_not() {
    let mut forest = Forest::new();
    forest.group_on(CHILD, GroupScope::Universal, &["alice"], "junior", true);
    assert_eq!(forest.decided(true, "alice", "junior"), Some(true));
    assert_eq!(forest.decided(true, "junior", "junior"), None);
    forest.group_on(CHILD, GroupScope::DomainLocal, &[], "junior", false);
    assert_eq!(forest.decided(true, "alice", "junior"), None);
}
