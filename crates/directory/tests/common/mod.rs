//! A small organization to test on.

#![allow(dead_code, clippy::unwrap_used)]

use acl::{AccessMask, Ace, AceFlags, Guid, SecurityDescriptor, Sid, names};
use directory::organization::{self, Names, NewConnector, Usage};
use directory::{
    Applied, Change, ChangeBatch, ChangeError, Class, GroupScope, GroupType, ObjectId, Record, Snapshot, Time,
    attributes,
};

pub const SYSTEM: Sid = acl::well_known::SYSTEM;

/// GUIDs in the order in which they are asked for.
pub struct Guids(pub u128);

impl Guids {
    pub fn next(&mut self) -> Guid {
        self.0 += 1;
        Guid::from_u128(0x1000_0000_0000_4000_8000_0000_0000_0000 + self.0)
    }
}

pub fn batch(changes: Vec<Change>) -> ChangeBatch {
    ChangeBatch { author: SYSTEM, time: Time(0), comment: String::new(), changes }
}

pub fn domain_sid() -> Sid {
    "S-1-5-21-1000-2000-3000".parse().unwrap()
}

/// A directory that changes, and GUIDs for it.
pub struct Organization {
    pub snapshot: Snapshot,
    pub guids: Guids,
}

impl Organization {
    /// example.com with the connectors Client and Internet.
    pub fn new() -> Organization {
        let mut guids = Guids(0);
        let names = Names {
            domain: "example.com".into(),
            netbios: "EXAMPLE".into(),
            domain_sid: domain_sid(),
            organization: "First Organization".into(),
            server: "MAIL".into(),
            server_fqdn: "mail.example.com".into(),
        };
        let connector = |name: &str, usage, port: u16| NewConnector {
            name: name.into(),
            usage,
            bindings: vec![([127, 0, 0, 1], port).into()],
            grants: vec![(acl::well_known::AUTHENTICATED_USERS, names::SEND_TO)],
        };
        let connectors = [connector("Client", Usage::Client, 2587), connector("Internet", Usage::Internet, 2525)];
        let changes = organization::new_organization(&names, &connectors, &mut || guids.next());
        let snapshot = Snapshot::empty().apply(&batch(changes)).unwrap().snapshot;
        Organization { snapshot, guids }
    }

    pub fn try_apply(&mut self, changes: Vec<Change>) -> Result<Applied, ChangeError> {
        let applied = self.snapshot.apply(&batch(changes))?;
        self.snapshot = applied.snapshot.clone();
        Ok(applied)
    }

    pub fn apply(&mut self, changes: Vec<Change>) -> Applied {
        self.try_apply(changes).unwrap()
    }

    pub fn add(&mut self, record: Record) -> ObjectId {
        let guid = record.guid;
        self.apply(vec![Change::Add(record)]);
        self.snapshot.by_guid(&guid).unwrap()
    }

    pub fn id(&self, name: &str) -> ObjectId {
        self.snapshot.resolve(name).unwrap()
    }

    pub fn guid(&self, name: &str) -> Guid {
        self.guid_of(self.id(name))
    }

    pub fn guid_of(&self, id: ObjectId) -> Guid {
        self.snapshot.object(id).unwrap().guid()
    }

    pub fn root(&self) -> ObjectId {
        self.snapshot.domains()[0].object
    }

    pub fn ou(&mut self, parent: &str, name: &str) -> ObjectId {
        let parent = self.guid(parent);
        let guid = self.guids.next();
        self.add(organization::new_object(guid, parent, Class::OrganizationalUnit, name))
    }

    /// A domain: a child of another one, or the root of another forest (`rdn` is its whole DN then).
    pub fn domain(&mut self, parent: Option<ObjectId>, rdn: &str, sid: &str) -> ObjectId {
        let guid = self.guids.next();
        let classes = Class::Domain.object_classes().iter().map(|name| name.as_bytes().to_vec());
        let record = Record::new(guid, parent.map(|parent| self.guid_of(parent)), rdn)
            .with_all(attributes::OBJECT_CLASS, classes)
            .with(attributes::OBJECT_SID, sid.parse::<Sid>().unwrap().to_bytes());
        self.add(record)
    }

    /// A user with a mailbox `name@example.com`.
    pub fn user(&mut self, parent: &str, name: &str) -> ObjectId {
        let (parent, database) = (self.guid(parent), self.guid("Mailbox Database"));
        let record = organization::user(self.guids.next(), parent, name, name);
        let address = format!("{name}@example.com");
        let mailbox = self.guids.next();
        self.add(organization::with_mailbox(record, mailbox, &database, &[&address]))
    }

    pub fn group(&mut self, parent: &str, name: &str, security: bool) -> ObjectId {
        let kind = if security { GroupType::security } else { GroupType::distribution };
        let parent = self.guid(parent);
        let guid = self.guids.next();
        self.add(organization::group(guid, parent, name, kind(GroupScope::Universal)))
    }

    pub fn join(&mut self, group: ObjectId, member: ObjectId) {
        self.link(group, attributes::MEMBER, member);
    }

    pub fn link(&mut self, source: ObjectId, attribute: &str, target: ObjectId) -> Applied {
        let add = vec![directory::link_value(&self.guid_of(target))];
        self.apply(vec![Change::Values {
            guid: self.guid_of(source),
            attribute: attribute.into(),
            add,
            remove: vec![],
        }])
    }

    pub fn unlink(&mut self, source: ObjectId, attribute: &str, target: ObjectId) -> Applied {
        let remove = vec![directory::link_value(&self.guid_of(target))];
        self.apply(vec![Change::Values {
            guid: self.guid_of(source),
            attribute: attribute.into(),
            add: vec![],
            remove,
        }])
    }

    pub fn set(&mut self, id: ObjectId, attribute: &str, value: impl Into<Vec<u8>>) -> Applied {
        let attributes = vec![(attribute.to_owned(), vec![value.into()])];
        self.apply(vec![Change::Modify { guid: self.guid_of(id), attributes }])
    }

    pub fn sid(&self, id: ObjectId) -> Sid {
        self.snapshot.sid(self.snapshot.object(id).unwrap().sid().unwrap())
    }

    /// Puts an ACE in front of the explicit ones.
    pub fn grant(&mut self, id: ObjectId, ace: Ace) -> Applied {
        let mut sd = (*self.snapshot.explicit_descriptor(id).unwrap()).clone();
        sd.dacl.as_mut().unwrap().aces.insert(0, ace);
        sd.dacl.as_mut().unwrap().update_revision();
        self.set(id, attributes::DESCRIPTOR, sd.to_bytes())
    }

    pub fn edit_descriptor(&mut self, id: ObjectId, edit: impl FnOnce(&mut SecurityDescriptor)) -> Applied {
        let mut sd = (*self.snapshot.explicit_descriptor(id).unwrap()).clone();
        edit(&mut sd);
        self.set(id, attributes::DESCRIPTOR, sd.to_bytes())
    }

    /// Whether `who` holds an extended right on `on`, by AccessCheck alone.
    pub fn holds(&self, who: ObjectId, on: ObjectId, right: &Guid) -> acl::Outcome {
        let token = self.snapshot.account_token(who).unwrap();
        let is_self = self.snapshot.object(on).unwrap().sid() == Some(token.user);
        let who = acl::Principals { is_self, is_owner: false };
        self.snapshot.descriptor(on).unwrap().dacl().control_access(&token.sids, who, right).outcome
    }
}

/// Send As for objects below, users only.
pub fn send_as_below(sid: Sid) -> Ace {
    Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS)
        .with_flags(AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0))
        .for_class(names::USER)
}
