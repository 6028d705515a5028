//! Names of what ACEs refer to by GUID: control access rights, property sets, validated writes, classes, attributes.

mod table;

pub use table::NAMES;

use crate::{Guid, guid};

/// The right Send As.
pub const SEND_AS: Guid = guid!("ab721a54-1e2f-11d0-9819-00aa0040529b");
/// Receive As.
pub const RECEIVE_AS: Guid = guid!("ab721a56-1e2f-11d0-9819-00aa0040529b");
/// Send To.
pub const SEND_TO: Guid = guid!("ab721a55-1e2f-11d0-9819-00aa0040529b");
/// Property set Personal Information; publicDelegates is in it.
pub const PERSONAL_INFORMATION: Guid = guid!("77b5b886-944a-11d1-aebd-0000f80367c1");
/// Property set Public Information.
pub const PUBLIC_INFORMATION: Guid = guid!("e48d0154-bcf8-11d1-8702-00c04fb96050");
/// Class user.
pub const USER: Guid = guid!("bf967aba-0de6-11d0-a285-00aa003049e2");
/// Class group.
pub const GROUP: Guid = guid!("bf967a9c-0de6-11d0-a285-00aa003049e2");
/// Class contact.
pub const CONTACT: Guid = guid!("5cb41ed0-0e4c-11d0-a286-00aa003049e2");
/// Class computer.
pub const COMPUTER: Guid = guid!("bf967a86-0de6-11d0-a285-00aa003049e2");
/// Class inetOrgPerson.
pub const INET_ORG_PERSON: Guid = guid!("4828cc14-1437-45bc-9b07-ad6f015e5f28");
/// Class organizationalUnit.
pub const ORGANIZATIONAL_UNIT: Guid = guid!("bf967aa5-0de6-11d0-a285-00aa003049e2");
/// Class container.
pub const CONTAINER: Guid = guid!("bf967a8b-0de6-11d0-a285-00aa003049e2");
/// Class domainDNS.
pub const DOMAIN_DNS: Guid = guid!("19195a5b-6da0-11d0-afd3-00c04fd930c9");
/// Class publicFolder.
pub const PUBLIC_FOLDER: Guid = guid!("f0f8ffac-1191-11d0-a060-00aa006c33ed");
/// Class msExchDynamicDistributionList.
pub const DYNAMIC_DISTRIBUTION_LIST: Guid = guid!("018849b0-a981-11d2-a9ff-00c04f8eedd8");

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A control access (extended) right.
    ControlAccessRight,
    /// A set of properties, granted together.
    PropertySet,
    /// A write that the directory checks.
    ValidatedWrite,
    /// A class of objects.
    Class,
    /// An attribute.
    Attribute,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The GUID in the ACE.
    pub guid: Guid,
    /// What it is.
    pub kind: Kind,
    /// Common name in the directory (`Send-As`, `user`).
    pub name: &'static str,
    /// For people (`Send As`).
    pub display_name: &'static str,
}

/// What a GUID stands for. Of the few that are both, a property set comes before a validated write.
pub fn by_guid(guid: &Guid) -> Option<&'static Name> {
    NAMES.iter().find(|row| row.guid == *guid)
}

/// What a GUID stands for, of one kind.
pub fn by_guid_of(kind: Kind, guid: &Guid) -> Option<&'static Name> {
    NAMES.iter().find(|row| row.kind == kind && row.guid == *guid)
}

/// By name or display name, whatever the case.
pub fn by_name(name: &str) -> Option<&'static Name> {
    let named = |row: &&Name| row.name.eq_ignore_ascii_case(name) || row.display_name.eq_ignore_ascii_case(name);
    NAMES.iter().find(named)
}
