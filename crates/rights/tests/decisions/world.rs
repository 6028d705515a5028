//! A small organization that grants nothing to anybody but what a test writes down.

use std::collections::BTreeSet;
use std::sync::Arc;

use acl::{AccessMask, Ace, Acl, Guid, SecurityDescriptor, Sid, names};
use directory::{
    Change, ChangeBatch, Class, GroupScope, GroupType, HostKind, ObjectId, Record, Snapshot, Time, Token, Value,
    attributes as a, link_value,
};
use message::Address;
use message::senders::{Mailbox, Senders};
use rights::{Facts, NoTrace, Question, RightName, Steps, Verdict, decide};

/// The domain's SID; principals get RIDs from 1000 in the order in which they are added.
const DOMAIN_SID: &str = "S-1-5-21-1-2-3";

/// Records by name, not yet loaded.
#[derive(Clone)]
pub struct World {
    records: Vec<Record>,
    names: Vec<String>,
}

/// A world as a directory.
pub struct Directory {
    pub snapshot: Snapshot,
    names: Vec<String>,
}

impl World {
    /// example.com, authoritative, with the container Store, in it the server Mail, in it the database Mailboxes; a
    /// receive connector and a send connector.
    pub fn new() -> World {
        let mut world = World { records: Vec::new(), names: Vec::new() };
        let domain = Record::new(id(0), None, "DC=example,DC=com");
        world.push("domain", of_class(domain, Class::Domain).with(a::NETBIOS_NAME, "EXAMPLE"));
        world.set("domain", a::OBJECT_SID, vec![sid(DOMAIN_SID).to_bytes()]).acl("domain", &[]);
        world.add("example.com", Class::AcceptedDomain, "domain");
        world.set("example.com", a::ACCEPTED_DOMAIN_NAME, vec![b"example.com".to_vec()]);
        world.add("Mail", Class::Server, "domain");
        world.add("Mailboxes", Class::Database, "Mail");
        world.add("Receive", Class::ReceiveConnector, "domain");
        world.add("Send", Class::SendConnector, "domain");
        world
    }

    /// An object with an empty DACL.
    pub fn add(&mut self, name: &str, class: Class, parent: &str) -> &mut World {
        let naming = if class == Class::OrganizationalUnit { "OU" } else { "CN" };
        let record = Record::new(id(self.records.len()), Some(self.guid(parent)), format!("{naming}={name}"));
        self.push(name, of_class(record, class));
        self.acl(name, &[])
    }

    /// An account with the address NAME@example.com and a mailbox in Mailboxes; the mailbox descriptor is empty.
    pub fn user(&mut self, name: &str) -> &mut World {
        self.add_user(name, "domain")
    }

    /// The same, below a container.
    pub fn add_user(&mut self, name: &str, parent: &str) -> &mut World {
        self.account_below(name, parent);
        self.set(name, a::PROXY_ADDRESSES, vec![format!("SMTP:{name}@example.com").into_bytes()]);
        let mailbox = Guid::from_u128(0x4000 + self.records.len() as u128);
        self.set(name, a::MAILBOX_GUID, vec![mailbox.0.to_vec()]);
        let database = link_value(&self.guid("Mailboxes"));
        self.set(name, a::HOME_MDB, vec![database]);
        self.mailbox_acl(name, &[])
    }

    /// An account without an address.
    pub fn account(&mut self, name: &str) -> &mut World {
        self.account_below(name, "domain")
    }

    fn account_below(&mut self, name: &str, parent: &str) -> &mut World {
        self.add(name, Class::User, parent).principal(name);
        self.set(name, a::USER_ACCOUNT_CONTROL, vec![b"512".to_vec()])
    }

    /// A security group.
    pub fn group(&mut self, name: &str, members: &[&str]) -> &mut World {
        self.add(name, Class::Group, "domain").principal(name);
        let kind = GroupType::security(GroupScope::Global).0.to_string();
        self.set(name, a::GROUP_TYPE, vec![kind.into_bytes()]);
        self.link(name, a::MEMBER, members)
    }

    /// A domain below example.com. Its principals have SIDs of the domain above.
    pub fn child_domain(&mut self, name: &str) -> &mut World {
        let record = Record::new(id(self.records.len()), Some(self.guid("domain")), format!("DC={name}"));
        let sid = sid("S-1-5-21-4-5-6").to_bytes();
        self.push(name, of_class(record, Class::Domain).with(a::NETBIOS_NAME, name).with(a::OBJECT_SID, sid));
        self.acl(name, &[])
    }

    /// Makes a group one that carries permissions.
    pub fn security(&mut self, name: &str) -> &mut World {
        self.principal(name);
        let kind = GroupType::security(GroupScope::Universal).0.to_string();
        self.text(name, a::GROUP_TYPE, &kind)
    }

    /// The explicit DACL of an object, protected.
    pub fn acl(&mut self, name: &str, aces: &[Ace]) -> &mut World {
        self.set(name, a::DESCRIPTOR, vec![descriptor(aces)])
    }

    /// The explicit DACL of a mailbox, protected.
    pub fn mailbox_acl(&mut self, name: &str, aces: &[Ace]) -> &mut World {
        self.set(name, a::MAILBOX_DESCRIPTOR, vec![descriptor(aces)])
    }

    pub fn link(&mut self, name: &str, attribute: &str, to: &[&str]) -> &mut World {
        let links = to.iter().map(|to| link_value(&self.guid(to))).collect();
        self.set(name, attribute, links)
    }

    pub fn text(&mut self, name: &str, attribute: &str, value: &str) -> &mut World {
        self.set(name, attribute, vec![value.as_bytes().to_vec()])
    }

    pub fn set(&mut self, name: &str, attribute: &str, values: Vec<Value>) -> &mut World {
        let at = position(&self.names, name);
        self.records[at].set(attribute, values);
        self
    }

    pub fn sid(&self, name: &str) -> Sid {
        principal_sid(&self.names, name)
    }

    /// Lets somebody send as, by an entry.
    pub fn send_as(&self, who: &str) -> Ace {
        allow(&self.sid(who), RightName::SendAs)
    }

    /// Lets somebody open a mailbox.
    pub fn full_access(&self, who: &str) -> Ace {
        Ace::allow(self.sid(who), rights::FULL_MAILBOX_ACCESS)
    }

    pub fn load(&self) -> Directory {
        self.load_as(1)
    }

    /// The directory as one of its versions.
    pub fn load_as(&self, version: u64) -> Directory {
        let snapshot = Snapshot::load(self.records.clone(), version).unwrap().snapshot;
        Directory { snapshot, names: self.names.clone() }
    }

    fn principal(&mut self, name: &str) {
        let sid = self.sid(name).to_bytes();
        self.set(name, a::OBJECT_SID, vec![sid]).text(name, a::SAM_ACCOUNT_NAME, name);
    }

    fn push(&mut self, name: &str, record: Record) {
        self.records.push(record);
        self.names.push(name.to_owned());
    }

    fn guid(&self, name: &str) -> Guid {
        id(position(&self.names, name))
    }
}

impl Directory {
    pub fn id(&self, name: &str) -> ObjectId {
        self.snapshot.by_guid(&id(position(&self.names, name))).unwrap()
    }

    pub fn guid(&self, name: &str) -> Guid {
        id(position(&self.names, name))
    }

    pub fn sid(&self, name: &str) -> Sid {
        principal_sid(&self.names, name)
    }

    pub fn account(&self, name: &str) -> Arc<Token> {
        self.snapshot.account_token(self.id(name)).unwrap()
    }

    pub fn host(&self, kind: HostKind) -> Arc<Token> {
        self.snapshot.host_token(kind)
    }

    /// The version after this one, in which all is as in another world.
    pub fn becomes(&self, world: &World) -> Directory {
        let mut changes = Vec::new();
        for record in &world.records {
            let Some(now) = self.snapshot.by_guid(&record.guid).and_then(|id| self.snapshot.record(id)) else {
                changes.push(Change::Add(record.clone()));
                continue;
            };
            let names: BTreeSet<&String> = now.attributes.keys().chain(record.attributes.keys()).collect();
            let differ = names.into_iter().filter(|name| now.values(name) != record.values(name));
            let attributes: Vec<_> = differ.map(|name| (name.clone(), record.values(name).to_vec())).collect();
            if !attributes.is_empty() {
                changes.push(Change::Modify { guid: record.guid, attributes });
            }
        }
        let stays = |guid: &Guid| world.records.iter().any(|record| record.guid == *guid);
        let gone = self.snapshot.objects().map(|(_, object)| object.guid()).filter(|guid| !stays(guid));
        changes.extend(gone.map(|guid| Change::Delete { guid }));
        let batch = ChangeBatch { author: acl::well_known::SYSTEM, time: Time(0), comment: String::new(), changes };
        Directory { snapshot: self.snapshot.apply(&batch).unwrap().snapshot, names: world.names.clone() }
    }

    /// Asks without a mailbox logon, on the receive connector.
    pub fn ask(&self, token: &Token, question: &Question<'_>) -> Verdict<Steps> {
        let fast = decide::<NoTrace>(&self.snapshot, token, &self.facts(), question);
        let traced = decide::<Steps>(&self.snapshot, token, &self.facts(), question);
        assert_eq!(fast.reason, traced.reason, "the trace changed the verdict");
        traced
    }

    pub fn facts(&self) -> Facts {
        Facts { connector: self.id("Receive"), logon: None, time: Time(0) }
    }
}

/// Lets a trustee have a right.
pub fn allow(trustee: &Sid, right: RightName) -> Ace {
    Ace::allow_object(trustee.clone(), AccessMask::CONTROL_ACCESS, right.guid())
}

/// Denies a trustee Send As.
pub fn deny_send_as(trustee: &Sid) -> Ace {
    Ace::deny_object(trustee.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS)
}

pub fn descriptor(aces: &[Ace]) -> Vec<u8> {
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(aces.to_vec()));
    sd.set_dacl_protected(true);
    sd.to_bytes()
}

pub fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A header with one From address, and a Sender if there is one.
pub fn header(from: &str, sender: Option<&str>) -> Senders {
    let mailbox = |text: &str| Mailbox { display_name: None, address: address(text) };
    Senders { from: vec![mailbox(from)], sender: sender.map(mailbox), resent: None }
}

pub fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

fn id(at: usize) -> Guid {
    Guid::from_u128(0x2000_0000_0000_4000_8000_0000_0000_0000 + at as u128)
}

fn position(names: &[String], name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| panic!("no {name} in this world"))
}

fn principal_sid(names: &[String], name: &str) -> Sid {
    sid(DOMAIN_SID).with_rid(1000 + position(names, name) as u32).unwrap()
}

fn of_class(record: Record, class: Class) -> Record {
    record.with_all(a::OBJECT_CLASS, class.object_classes().iter().map(|name| name.as_bytes().to_vec()))
}
