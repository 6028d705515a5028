//! Mailboxes without an owner (S0: “when you connect a disconnected mailbox to an Active Directory account”).
//!
//! Such a mailbox is an object of its own below its database. It keeps what belongs to the mailbox and not to the
//! account: GUID, mailbox descriptor and its backup copy, the ends of time-bound mailbox rights, the rights on its folders.
//! It has no owner, so nobody can open it and no mail reaches it; it stays until somebody connects or removes it.

use acl::{Guid, Sid};

use crate::attributes::{self as a, number};
use crate::dn::Rdn;
use crate::index::hash;
use crate::object::{Which, integer, whole_sid};
use crate::{Change, Class, Object, ObjectId, Record, Snapshot, Time, Value, link_value};

/// Attributes that go with the mailbox, from owner to owner.
pub const OF_MAILBOX: [&str; 4] =
    [a::MAILBOX_DESCRIPTOR, a::MAILBOX_DESCRIPTOR_COPY, a::EXPIRING_MAILBOX_GRANT, a::FOLDER_PERMISSION];
/// Attributes that an account has because it owns a mailbox, beside those.
const OF_OWNER: [&str; 5] = [a::MAILBOX_GUID, a::HOME_MDB, a::PROXY_ADDRESSES, a::MAIL, a::MASTER_ACCOUNT_SID];

/// A mailbox without an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnected {
    /// The object that stands for it.
    pub object: ObjectId,
    /// msExchMailboxGuid of its owner, when it had one.
    pub mailbox: Guid,
    /// Its database; none: it was in no database.
    pub database: Option<ObjectId>,
    /// Since when.
    pub since: Time,
    /// Who owned it, `EXAMPLE\zoe`.
    pub former_owner: String,
    /// SID of who owned it; that account may be gone.
    pub former_owner_sid: Option<Sid>,
    /// Addresses that the owner had, the primary one first, each with its type: `SMTP:zoe@example.com`.
    pub former_addresses: Vec<String>,
}

impl Snapshot {
    /// All mailboxes without an owner, those of one database together. Costs what there are, not what the directory has.
    pub fn disconnected_mailboxes(&self) -> impl Iterator<Item = Disconnected> + '_ {
        let containers = self.configuration().map(|(id, _)| id).filter(|id| {
            let class = self.object(*id).map(Object::class);
            matches!(class, Some(Class::Database | Class::Organization))
        });
        containers.flat_map(|container| self.children(container)).filter_map(|id| self.disconnected(id))
    }

    /// The mailbox without an owner that has this GUID.
    pub fn disconnected_mailbox(&self, mailbox: &Guid) -> Option<Disconnected> {
        let id = self.find(Which::Mailbox, hash(mailbox), |object| object.disconnected_mailbox() == Some(*mailbox))?;
        self.disconnected(id)
    }

    /// What an object says of a mailbox without an owner.
    pub fn disconnected(&self, id: ObjectId) -> Option<Disconnected> {
        let object = self.object(id)?;
        let mailbox = object.disconnected_mailbox()?;
        let is_database = |id: &ObjectId| self.object(*id).is_some_and(|above| above.class() == Class::Database);
        let since = object.values(number::DISCONNECTED_AT).next().and_then(integer).unwrap_or(0);
        let addresses = object.values(number::FORMER_ADDRESSES);
        Some(Disconnected {
            object: id,
            mailbox,
            database: object.parent().filter(is_database),
            since: Time(since),
            former_owner: object.text(number::FORMER_OWNER).unwrap_or_default().to_owned(),
            former_owner_sid: object.values(number::FORMER_OWNER_SID).next().and_then(whole_sid),
            former_addresses: addresses.map(|value| String::from_utf8_lossy(value).into_owned()).collect(),
        })
    }

    /// Whether somebody owns the mailbox.
    pub fn mailbox_owner(&self, mailbox: &Guid) -> Option<ObjectId> {
        self.find(Which::Mailbox, hash(mailbox), |object| object.mailbox().is_some_and(|own| own.guid == *mailbox))
    }
}

/// The changes that take the mailbox from its owner and keep it; `None`: no mailbox, or no place to keep it. `former` is
/// what people call the owner, `guid` a new objectGUID.
pub fn disconnect(snapshot: &Snapshot, owner: ObjectId, former: &str, guid: Guid, now: Time) -> Option<[Change; 2]> {
    let object = snapshot.object(owner)?;
    let kept = keep(snapshot, owner, former, guid, now)?;
    let has = |name: &&&str| !snapshot.attribute(owner, name).is_empty();
    let cleared = OF_OWNER.iter().chain(&OF_MAILBOX).filter(has).map(|name| ((*name).to_owned(), Vec::new()));
    Some([Change::Modify { guid: object.guid(), attributes: cleared.collect() }, Change::Add(kept)])
}

/// What stands for the mailbox of an owner who goes, to be added after he went.
pub fn keep(snapshot: &Snapshot, owner: ObjectId, former: &str, guid: Guid, now: Time) -> Option<Record> {
    let object = snapshot.object(owner)?;
    let mailbox = object.mailbox()?;
    let place = mailbox.database.or_else(|| snapshot.organization())?;
    let parent = snapshot.object(place)?.guid();
    let classes = Class::DisconnectedMailbox.object_classes().iter().map(|name| name.as_bytes().to_vec());
    let mut record = Record::new(guid, Some(parent), Rdn::new("CN", mailbox.guid.to_string()).to_string())
        .with_all(a::OBJECT_CLASS, classes)
        .with(a::DISCONNECTED_MAILBOX, mailbox.guid.0.to_vec())
        .with(a::DISCONNECTED_AT, now.0.to_string())
        .with(a::FORMER_OWNER, former);
    if let Some(sid) = object.sid() {
        record.set(a::FORMER_OWNER_SID, vec![snapshot.sid(sid).to_bytes()]);
    }
    let mut addresses = snapshot.attribute(owner, a::PROXY_ADDRESSES);
    if addresses.is_empty() {
        let only = snapshot.attribute(owner, a::MAIL);
        addresses = only.into_iter().map(|mail| [b"SMTP:".as_slice(), &mail].concat()).collect();
    }
    record.set(a::FORMER_ADDRESSES, addresses);
    for name in OF_MAILBOX {
        record.set(name, snapshot.attribute(owner, name));
    }
    Some(record)
}

/// The changes that give a mailbox without an owner to an account: the object that stood for it goes, its mailbox
/// descriptor comes along. `None`: it is gone.
pub fn connect(snapshot: &Snapshot, mailbox: &Disconnected, to: ObjectId) -> Option<[Change; 2]> {
    let standing = snapshot.object(mailbox.object)?.guid();
    let mut attributes: Vec<(String, Vec<Value>)> =
        vec![(a::MAILBOX_GUID.to_owned(), vec![mailbox.mailbox.0.to_vec()])];
    if let Some(database) = mailbox.database.and_then(|id| snapshot.object(id)) {
        attributes.push((a::HOME_MDB.to_owned(), vec![link_value(&database.guid())]));
    }
    let kept = OF_MAILBOX.iter().map(|name| ((*name).to_owned(), snapshot.attribute(mailbox.object, name)));
    attributes.extend(kept.filter(|(_, values)| !values.is_empty()));
    let guid = snapshot.object(to)?.guid();
    Some([Change::Delete { guid: standing }, Change::Modify { guid, attributes }])
}
