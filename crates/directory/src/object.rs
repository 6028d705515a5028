//! One object in memory.

use acl::{Guid, SidId};
use message::{Address, CanonicalAddress};

use crate::{Class, Config, GroupType};

/// The row of an object in the snapshots of a process. Stable while the process lives; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

/// A mailbox that an object owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// msExchMailboxGuid.
    pub guid: Guid,
    /// homeMDB.
    pub database: Option<ObjectId>,
}

/// An object of the directory: what decisions need, typed, and its other attributes packed.
#[derive(Debug)]
pub struct Object {
    guid: Guid,
}

impl Object {
    /// objectGUID.
    pub fn guid(&self) -> Guid { self.guid }
    /// The object above; none for a naming context without one.
    pub fn parent(&self) -> Option<ObjectId> { todo!() }
    /// Structural class.
    pub fn class(&self) -> Class { todo!() }
    /// RDN as RFC 4514 text: `CN=Owens\, Carla`.
    pub fn rdn(&self) -> &str { todo!() }
    /// Value of the RDN, unescaped: `Owens, Carla`.
    pub fn name(&self) -> String { todo!() }
    /// displayName.
    pub fn display_name(&self) -> Option<&str> { todo!() }
    /// displayName, else the name.
    pub fn label(&self) -> String { todo!() }
    /// sAMAccountName.
    pub fn sam_account_name(&self) -> Option<&str> { todo!() }
    /// userPrincipalName.
    pub fn upn(&self) -> Option<&str> { todo!() }
    /// objectSid.
    pub fn sid(&self) -> Option<SidId> { todo!() }
    /// Not disabled (userAccountControl 0x2). True for what is no account.
    pub fn enabled(&self) -> bool { todo!() }
    /// The `SMTP:` proxy address, else `mail`.
    pub fn primary_address(&self) -> Option<Address> { todo!() }
    /// All SMTP addresses, the primary one first.
    pub fn addresses(&self) -> Vec<CanonicalAddress> { todo!() }
    /// The mailbox that it owns.
    pub fn mailbox(&self) -> Option<Mailbox> { todo!() }
    /// msExchMasterAccountSid.
    pub fn master_account(&self) -> Option<SidId> { todo!() }
    /// groupType; groups only.
    pub fn group_type(&self) -> Option<GroupType> { todo!() }
    /// A security-enabled group.
    pub fn is_security_group(&self) -> bool { todo!() }
    /// RID of the primary group; accounts only.
    pub fn primary_group_rid(&self) -> Option<u32> { todo!() }
    /// adminCount.
    pub fn admin_count(&self) -> bool { todo!() }
    /// msExchHideFromAddressLists.
    pub fn hidden(&self) -> bool { todo!() }
    /// msExchRequireAuthToSendTo.
    pub fn requires_authenticated_sender(&self) -> bool { todo!() }
    /// What it configures.
    pub fn config(&self) -> Option<&Config> { todo!() }
}
