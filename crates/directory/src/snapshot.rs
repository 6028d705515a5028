//! The [`Snapshot`].

use std::sync::Arc;

use acl::{Guid, SecurityDescriptor, Sid, SidId};
use message::CanonicalAddress;

use crate::{
    AcceptedDomain, AddressOwner, ChangeBatch, ChangeError, ChangeLog, Class, Config, Descriptor, Domain, HostKind, LoadError, Loaded,
    NameError, Object, ObjectId, ReceiveConnector, Record, SendConnector, Token, TokenError, Value,
};

/// A snapshot and the log of the changes that led to it.
#[derive(Debug)]
pub struct Applied {
    /// The directory after the batch.
    pub snapshot: Snapshot,
    /// What happened; what a store makes durable.
    pub log: ChangeLog,
}

/// An immutable view of the whole directory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    version: u64,
}

#[allow(unused_variables)]
impl Snapshot {
    /// A directory with nothing in it, version 0.
    pub fn empty() -> Snapshot { todo!() }
    /// Builds a snapshot of all records, in any order. `version` is that of the store.
    pub fn load(records: impl IntoIterator<Item = Record>, version: u64) -> Result<Loaded, LoadError> { todo!() }
    /// The next snapshot; its version is one higher. All or nothing.
    pub fn apply(&self, batch: &ChangeBatch) -> Result<Applied, ChangeError> { todo!() }
    /// Counts up with each batch.
    pub fn version(&self) -> u64 { self.version }
    /// Number of objects.
    pub fn len(&self) -> usize { todo!() }
    /// No objects at all?
    pub fn is_empty(&self) -> bool { todo!() }
    /// All objects, in the order in which they came to be.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &Object)> + '_ { std::iter::empty() }
    /// The object in a row; none when it was deleted.
    pub fn object(&self, id: ObjectId) -> Option<&Object> { todo!() }
    /// The durable form of an object.
    pub fn record(&self, id: ObjectId) -> Option<Record> { todo!() }
    /// Values of one attribute, of back links too; links as `<GUID=…>`.
    pub fn attribute(&self, id: ObjectId, name: &str) -> Vec<Value> { todo!() }
    /// By objectGUID.
    pub fn by_guid(&self, guid: &Guid) -> Option<ObjectId> { todo!() }
    /// By distinguished name, any spelling.
    pub fn by_dn(&self, dn: &str) -> Option<ObjectId> { todo!() }
    /// By objectSid; none when several foreign principals share it.
    pub fn by_sid(&self, sid: &Sid) -> Option<ObjectId> { todo!() }
    /// The principal with that SID.
    pub fn by_sid_id(&self, sid: SidId) -> Option<ObjectId> { todo!() }
    /// The DN; empty when there is no such object.
    pub fn dn(&self, id: ObjectId) -> String { todo!() }
    /// For people: `example.com/Staff/Carla Owens`.
    pub fn canonical_name(&self, id: ObjectId) -> String { todo!() }
    /// Objects right below.
    pub fn children(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> + '_ { std::iter::empty() }
    /// The object and everything below it, parents first; stops at no border but those of naming contexts.
    pub fn subtree(&self, id: ObjectId) -> Vec<ObjectId> { todo!() }
    /// Whose address it is: exact first, then without +tag where the domain has subaddressing, then by domain alias.
    pub fn by_address(&self, address: &CanonicalAddress) -> AddressOwner { todo!() }
    /// By anything people use: DN, GUID, SID, mail address, `DOMAIN\name`, UPN, sAMAccountName, display name, name, container path.
    pub fn resolve(&self, name: &str) -> Result<ObjectId, NameError> { todo!() }
    /// The account that a logon name stands for: `DOMAIN\name`, UPN, primary address, or sAMAccountName in the default domain.
    pub fn resolve_login(&self, name: &str) -> Option<ObjectId> { todo!() }
    /// The effective descriptor; none when it could not be read (nothing is granted).
    pub fn descriptor(&self, id: ObjectId) -> Option<&Descriptor> { todo!() }
    /// The explicit part, as it is durable; none when it could not be read.
    pub fn explicit_descriptor(&self, id: ObjectId) -> Option<Arc<SecurityDescriptor>> { todo!() }
    /// The effective mailbox descriptor of a mailbox owner (authorization.md §6).
    pub fn mailbox_descriptor(&self, id: ObjectId) -> Option<&Descriptor> { todo!() }
    /// The explicit part of the mailbox descriptor.
    pub fn explicit_mailbox_descriptor(&self, id: ObjectId) -> Option<Arc<SecurityDescriptor>> { todo!() }
    /// The object on which an ACE of the effective descriptor is explicit: the object itself or an ancestor.
    pub fn ace_origin(&self, id: ObjectId, ace: usize) -> ObjectId { todo!() }
    /// The object on which an ACE of the effective mailbox descriptor is explicit: the owner, or database, server, organization, ….
    pub fn mailbox_ace_origin(&self, id: ObjectId, ace: usize) -> ObjectId { todo!() }
    /// The accepted domain that a canonical domain falls under: the exact one, else the longest wildcard.
    pub fn accepted_domain(&self, domain: &str) -> Option<&AcceptedDomain> { todo!() }
    /// All accepted domains.
    pub fn accepted_domains(&self) -> impl Iterator<Item = (ObjectId, &AcceptedDomain)> + '_ { std::iter::empty() }
    /// All receive connectors.
    pub fn receive_connectors(&self) -> impl Iterator<Item = (ObjectId, &ReceiveConnector)> + '_ { std::iter::empty() }
    /// All send connectors.
    pub fn send_connectors(&self) -> impl Iterator<Item = (ObjectId, &SendConnector)> + '_ { std::iter::empty() }
    /// Objects of the configuration partition that say something.
    pub fn configuration(&self) -> impl Iterator<Item = (ObjectId, &Config)> + '_ { std::iter::empty() }
    /// The domains, the root domain first.
    pub fn domains(&self) -> &[Domain] { todo!() }
    /// The domain that an object is in.
    pub fn domain_of(&self, id: ObjectId) -> Option<&Domain> { todo!() }
    /// The organization object, if there is one.
    pub fn organization(&self) -> Option<ObjectId> { todo!() }
    /// The nearest ancestor (or the object itself) of a class.
    pub fn ancestor(&self, id: ObjectId, class: Class) -> Option<ObjectId> { todo!() }
    /// The number of a SID; none when no descriptor or object ever named it.
    pub fn sid_id(&self, sid: &Sid) -> Option<SidId> { todo!() }
    /// The SID of a number.
    pub fn sid(&self, id: SidId) -> Sid { todo!() }
    /// `EXAMPLE\bob`, `NT AUTHORITY\SELF`, or the SID.
    pub fn sid_name(&self, sid: &Sid) -> String { todo!() }
    /// The token of every session.
    pub fn anonymous_token(&self) -> Arc<Token> { todo!() }
    /// The token of a proven host.
    pub fn host_token(&self, kind: HostKind) -> Arc<Token> { todo!() }
    /// The token of an account.
    pub fn account_token(&self, account: ObjectId) -> Result<Arc<Token>, TokenError> { todo!() }
    /// Changes whenever tokens may have changed: memberships, SIDs, primary groups, group types.
    pub fn membership_version(&self) -> u64 { todo!() }
    /// How the group's SID came into the account's token: account, groups between, the group.
    pub fn membership_path(&self, account: ObjectId, group: &Sid) -> Option<Vec<ObjectId>> { todo!() }
    /// Whether the account is a delegate of the owner, directly or through groups of any type: account, groups between, the entry of publicDelegates.
    pub fn is_delegate(&self, owner: ObjectId, account: ObjectId) -> Option<Vec<ObjectId>> { todo!() }
    /// Whether an object is a member of a group, directly, nested or by primary group, through groups of any type.
    pub fn is_member(&self, object: ObjectId, group: ObjectId) -> bool { todo!() }
    /// Direct members of a group (primary-group members not among them).
    pub fn members(&self, group: ObjectId) -> Vec<ObjectId> { todo!() }
    /// Groups that have the object as a direct member (the primary group not among them).
    pub fn member_of(&self, id: ObjectId) -> Vec<ObjectId> { todo!() }
    /// The primary group of an account.
    pub fn primary_group(&self, account: ObjectId) -> Option<ObjectId> { todo!() }
    /// Targets of a link attribute.
    pub fn links(&self, id: ObjectId, attribute: &str) -> Vec<ObjectId> { todo!() }
    /// Objects whose link attribute has this one as a target.
    pub fn linked_from(&self, id: ObjectId, attribute: &str) -> Vec<ObjectId> { todo!() }
    /// publicDelegates.
    pub fn delegates(&self, owner: ObjectId) -> Vec<ObjectId> { todo!() }
    /// Is the object protected by AdminSDHolder (acl-algorithms 1.6)?
    pub fn is_protected(&self, id: ObjectId) -> bool { todo!() }
}
