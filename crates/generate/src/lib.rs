//! Forests for tests and benchmarks: any number of mailboxes, the same from the same seed, shaped like a real one.
//!
//! A [`Forest`] gives [`Record`]s, parents before children and links after what they point at, for a store or an LDIF
//! file. For each 1,000,000 mailboxes there are 5,000 organizational units, 50,000 groups nested 6 deep, 2 % of users
//! with grants of their own, 1 % with denials, 5 % with a protected DACL, 2 % each with delegates and with others who
//! have Full Mailbox Access. Effective descriptors of users have 40 to 60 ACEs.

mod descriptors;
mod draw;
mod groups;
mod names;
mod users;

use acl::{Guid, Sid};
use directory::organization::{Names, NewConnector, new_organization};
use directory::{Applied, Change, ChangeBatch, ChangeError, Class, ObjectId, Record, Snapshot, Time, attributes as a};

use descriptors::Descriptors;
use draw::Draw;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The same seed gives the same forest.
    pub seed: u64,
    /// Number of users with a mailbox.
    pub mailboxes: u32,
    /// Domain of the forest and of all addresses.
    pub domain: String,
    /// Fully qualified name of the server.
    pub server: String,
    /// Receive connectors of the organization.
    pub connectors: Vec<NewConnector>,
}

impl Plan {
    /// A forest of `example.com` without connectors.
    pub fn new(seed: u64, mailboxes: u32) -> Plan {
        Plan {
            seed,
            mailboxes,
            domain: "example.com".to_owned(),
            server: "mail.example.com".to_owned(),
            connectors: Vec::new(),
        }
    }
}

/// Mailboxes for each organizational unit, the divisions among them counted.
const MAILBOXES_PER_UNIT: u32 = 200;
/// Units of a division, itself included: a division has about 10,000 users below it.
const UNITS_PER_DIVISION: u32 = 50;
/// Mailboxes for each group.
const MAILBOXES_PER_GROUP: u32 = 20;
/// First RID of a generated user.
const FIRST_RID: u32 = 10_000;

/// A forest, generated as it is read.
pub struct Forest {
    plan: Plan,
    base: Snapshot,
    domain: Guid,
    domain_sid: Sid,
    database: Guid,
    units: u32,
    groups: u32,
    descriptors: Descriptors,
}

/// What kind of object a generated GUID is for.
#[derive(Clone, Copy)]
enum Kind {
    Base = 1,
    Unit,
    User,
    Mailbox,
    Group,
}

impl Forest {
    /// Prepares a forest.
    ///
    /// # Errors
    /// A domain, server or connector that no organization can have.
    pub fn new(plan: Plan) -> Result<Forest, ChangeError> {
        let mut draw = Draw::new(plan.seed, 0);
        let domain_sid = Sid::new(5, &[21, draw.word(), draw.word(), draw.word()]);
        let names = Names {
            domain: plan.domain.clone(),
            netbios: plan.domain.split('.').next().unwrap_or("EXAMPLE").to_ascii_uppercase(),
            domain_sid: domain_sid.clone(),
            organization: "First Organization".to_owned(),
            server: plan.server.split('.').next().unwrap_or("MAIL").to_ascii_uppercase(),
            server_fqdn: plan.server.clone(),
        };
        let mut number = 0;
        let mut new_guid = || {
            number += 1;
            guid(plan.seed, Kind::Base, number)
        };
        let mut changes = new_organization(&names, &plan.connectors, &mut new_guid);
        let units = (plan.mailboxes / MAILBOXES_PER_UNIT).max(2);
        let groups = plan.mailboxes / MAILBOXES_PER_GROUP;
        let last_rid = FIRST_RID + plan.mailboxes + groups;
        if let Some(Change::Add(domain)) = changes.first_mut() {
            domain.set(a::NEXT_RID, vec![(last_rid + 1).to_string().into_bytes()]);
        }
        let base = apply(&Snapshot::empty(), changes)?.snapshot;
        let of_class = |class: Class| base.objects().find(|(_, object)| object.class() == class);
        let guid_of = |class: Class| of_class(class).map_or(Guid([0; 16]), |(_, object)| object.guid());
        let (domain, database) = (guid_of(Class::Domain), guid_of(Class::Database));
        let descriptors = Descriptors::new(&base, domain, &mut new_guid)?;
        Ok(Forest { base, domain, domain_sid, database, units, groups, descriptors, plan })
    }

    /// Number of organizational units.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Number of groups.
    pub fn groups(&self) -> u32 {
        self.groups
    }

    /// Number of users, each with a mailbox.
    pub fn mailboxes(&self) -> u32 {
        self.plan.mailboxes
    }

    /// Number of records.
    pub fn len(&self) -> u64 {
        self.base.len() as u64 + u64::from(self.units) + u64::from(self.plan.mailboxes) + u64::from(self.groups)
    }

    /// A forest has an organization at least.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All records.
    pub fn records(&self) -> impl Iterator<Item = Record> + '_ {
        self.records_with_dn().map(|(_, record)| record)
    }

    /// All records with their distinguished names.
    pub fn records_with_dn(&self) -> impl Iterator<Item = (String, Record)> + '_ {
        let base = self.base.objects().map(|(id, _)| id);
        let base = base.filter_map(|id: ObjectId| Some((self.base.dn(id), self.base.record(id)?)));
        let units = (0..self.units).map(|unit| self.unit(unit));
        base.chain(units).chain(self.users()).chain((0..self.groups).map(|group| self.group(group)))
    }

    fn domain_dn(&self) -> String {
        directory::dn::of_domain(&self.plan.domain)
    }

    fn guid(&self, kind: Kind, number: u32) -> Guid {
        guid(self.plan.seed, kind, u64::from(number))
    }

    fn draw(&self, kind: Kind, number: u32) -> Draw {
        Draw::new(self.plan.seed, (kind as u64) << 32 | u64::from(number))
    }

    fn sid(&self, rid: u32) -> Sid {
        self.domain_sid.with_rid(rid).unwrap_or(acl::well_known::NULL)
    }

    fn user_sid(&self, user: u32) -> Sid {
        self.sid(FIRST_RID + user)
    }

    fn group_sid(&self, group: u32) -> Sid {
        self.sid(FIRST_RID + self.plan.mailboxes + group)
    }

    /// The division that a unit is in; itself for a division.
    fn division_of(unit: u32) -> u32 {
        unit - unit % UNITS_PER_DIVISION
    }

    /// Name of an organizational unit: divisions below the domain, departments below divisions.
    fn unit_dn(&self, unit: u32) -> String {
        let division = Forest::division_of(unit);
        let above = format!("OU=Division {division},{}", self.domain_dn());
        if unit == division { above } else { format!("OU=Department {unit},{above}") }
    }

    fn unit(&self, unit: u32) -> (String, Record) {
        let division = Forest::division_of(unit);
        let (parent, name) = match unit == division {
            true => (self.domain, format!("Division {unit}")),
            false => (self.guid(Kind::Unit, division), format!("Department {unit}")),
        };
        let record =
            directory::organization::new_object(self.guid(Kind::Unit, unit), parent, Class::OrganizationalUnit, &name);
        (self.unit_dn(unit), record.with(a::DESCRIPTOR, self.unit_descriptor(unit).to_bytes()))
    }
}

/// Applies changes to a snapshot as nobody in particular.
fn apply(snapshot: &Snapshot, changes: Vec<Change>) -> Result<Applied, ChangeError> {
    let batch = ChangeBatch { author: acl::well_known::SYSTEM, time: Time(0), comment: String::new(), changes };
    snapshot.apply(&batch)
}

/// A GUID of version 4 (random) as RFC 9562 writes it, of the seed.
fn guid(seed: u64, kind: Kind, number: u64) -> Guid {
    let mut draw = Draw::new(seed ^ (kind as u64) << 56, number);
    let high = u128::from(draw.next_number()) & !0xF000 | 0x4000;
    let low = u128::from(draw.next_number()) & !(3 << 62) | 2 << 62;
    Guid::from_u128(high << 64 | low)
}
