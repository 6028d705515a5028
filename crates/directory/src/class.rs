//! Object classes and group types.

use acl::Guid;

/// The structural class of an object. What it means for decisions is fixed here; objects of other classes are kept,
/// as [`Class::Other`], so that inheritance flows through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A domain, root of a naming context (`domainDNS`).
    Domain,
    /// The root of the configuration partition (`configuration`).
    Configuration,
    /// The root of the schema partition (`dMD`).
    Schema,
    /// `organizationalUnit`
    OrganizationalUnit,
    /// `container`
    Container,
    /// `builtinDomain`, the container of the BUILTIN aliases.
    BuiltinDomain,
    /// `user`
    User,
    /// `inetOrgPerson`
    InetOrgPerson,
    /// `computer`
    Computer,
    /// `group`
    Group,
    /// `contact`
    Contact,
    /// `publicFolder`
    PublicFolder,
    /// `msExchDynamicDistributionList`
    DynamicGroup,
    /// `foreignSecurityPrincipal`
    ForeignPrincipal,
    /// `msExchOrganizationContainer`
    Organization,
    /// `msExchExchangeServer`
    Server,
    /// `msExchPrivateMDB`, a mailbox database.
    Database,
    /// `msExchSmtpReceiveConnector`
    ReceiveConnector,
    /// `msExchRoutingSMTPConnector`, a send connector.
    SendConnector,
    /// `msExchAcceptedDomain`
    AcceptedDomain,
    /// `procuraDisconnectedMailbox`, a mailbox without an owner, below its database.
    DisconnectedMailbox,
    /// Any other class.
    Other,
}

struct ClassData {
    class: Class,
    name: &'static str,
    guid: Guid,
    /// objectClass values, `top` first, the structural class last.
    chain: &'static [&'static str],
}

const fn data(class: Class, name: &'static str, guid: u128, chain: &'static [&'static str]) -> ClassData {
    ClassData { class, name, guid: Guid::from_u128(guid), chain }
}

// schemaIDGUIDs of the base schema: MS-ADSC; of msExch classes: the Exchange 2007 schema where facts.md has them, our
// own elsewhere (nothing but inheritance within our own configuration partition looks at those).
static CLASSES: [ClassData; 22] = [
    data(Class::Domain, "domainDNS", 0x19195a5b_6da0_11d0_afd3_00c04fd930c9, &["top", "domain", "domainDNS"]),
    data(Class::Configuration, "configuration", 0xbf967a87_0de6_11d0_a285_00aa003049e2, &["top", "configuration"]),
    data(Class::Schema, "dMD", 0xbf967a8f_0de6_11d0_a285_00aa003049e2, &["top", "dMD"]),
    data(
        Class::OrganizationalUnit,
        "organizationalUnit",
        0xbf967aa5_0de6_11d0_a285_00aa003049e2,
        &["top", "organizationalUnit"],
    ),
    data(Class::Container, "container", 0xbf967a8b_0de6_11d0_a285_00aa003049e2, &["top", "container"]),
    data(Class::BuiltinDomain, "builtinDomain", 0xbf967a81_0de6_11d0_a285_00aa003049e2, &["top", "builtinDomain"]),
    data(
        Class::User,
        "user",
        0xbf967aba_0de6_11d0_a285_00aa003049e2,
        &["top", "person", "organizationalPerson", "user"],
    ),
    data(
        Class::InetOrgPerson,
        "inetOrgPerson",
        0x4828cc14_1437_45bc_9b07_ad6f015e5f28,
        &["top", "person", "organizationalPerson", "user", "inetOrgPerson"],
    ),
    data(
        Class::Computer,
        "computer",
        0xbf967a86_0de6_11d0_a285_00aa003049e2,
        &["top", "person", "organizationalPerson", "user", "computer"],
    ),
    data(Class::Group, "group", 0xbf967a9c_0de6_11d0_a285_00aa003049e2, &["top", "group"]),
    data(
        Class::Contact,
        "contact",
        0x5cb41ed0_0e4c_11d0_a286_00aa003049e2,
        &["top", "person", "organizationalPerson", "contact"],
    ),
    data(Class::PublicFolder, "publicFolder", 0xf0f8ffac_1191_11d0_a060_00aa006c33ed, &["top", "publicFolder"]),
    data(
        Class::DynamicGroup,
        "msExchDynamicDistributionList",
        0x018849b0_a981_11d2_a9ff_00c04f8eedd8,
        &["top", "msExchBaseClass", "msExchDynamicDistributionList"],
    ),
    data(
        Class::ForeignPrincipal,
        "foreignSecurityPrincipal",
        0x89e31c12_8530_11d0_afda_00c04fd930c9,
        &["top", "foreignSecurityPrincipal"],
    ),
    data(
        Class::Organization,
        "msExchOrganizationContainer",
        0x366a319c_a982_11d2_a9ff_00c04f8eedd8,
        &["top", "container", "msExchContainer", "msExchOrganizationContainer"],
    ),
    data(
        Class::Server,
        "msExchExchangeServer",
        0x01a9aa9c_a981_11d2_a9ff_00c04f8eedd8,
        &["top", "server", "msExchExchangeServer"],
    ),
    data(
        Class::Database,
        "msExchPrivateMDB",
        0x36145cf4_a982_11d2_a9ff_00c04f8eedd8,
        &["top", "msExchMDB", "msExchPrivateMDB"],
    ),
    data(
        Class::ReceiveConnector,
        "msExchSmtpReceiveConnector",
        0x8fd7b3b1_57c1_4b0e_8a44_d43a26a8ef11,
        &["top", "msExchSmtpReceiveConnector"],
    ),
    data(
        Class::SendConnector,
        "msExchRoutingSMTPConnector",
        0x89652316_b09e_11d2_aa06_00c04f8eedd8,
        &["top", "msExchConnector", "mailGateway", "msExchRoutingSMTPConnector"],
    ),
    data(
        Class::AcceptedDomain,
        "msExchAcceptedDomain",
        0x8fd7b3b2_57c1_4b0e_8a44_d43a26a8ef11,
        &["top", "msExchAcceptedDomain"],
    ),
    data(
        Class::DisconnectedMailbox,
        "procuraDisconnectedMailbox",
        0x8fd7b3b3_57c1_4b0e_8a44_d43a26a8ef11,
        &["top", "procuraDisconnectedMailbox"],
    ),
    data(Class::Other, "top", 0xbf967ab7_0de6_11d0_a285_00aa003049e2, &["top"]),
];

impl Class {
    /// lDAPDisplayName of the class; `top` for [`Class::Other`].
    pub fn ldap_name(self) -> &'static str {
        self.data().name
    }

    /// schemaIDGUID: what inheritedObjectType of an ACE is compared with.
    pub fn schema_guid(self) -> Guid {
        self.data().guid
    }

    /// The class that a list of objectClass values names: the most derived known one (AD lists it last), in any case.
    pub fn from_object_classes<T: AsRef<[u8]>>(values: &[T]) -> Class {
        values.iter().rev().find_map(|value| Class::from_ldap_name(value.as_ref())).unwrap_or(Class::Other)
    }

    /// The class of an lDAPDisplayName, in any case.
    pub fn from_ldap_name(name: &[u8]) -> Option<Class> {
        CLASSES
            .iter()
            .filter(|data| data.class != Class::Other)
            .find(|data| data.name.as_bytes().eq_ignore_ascii_case(name))
            .map(|data| data.class)
    }

    /// All objectClass values of an object of this class, most general first.
    pub fn object_classes(self) -> &'static [&'static str] {
        self.data().chain
    }

    /// Accounts can log on: user, inetOrgPerson, computer.
    pub fn is_account(self) -> bool {
        matches!(self, Class::User | Class::InetOrgPerson | Class::Computer)
    }

    /// Accounts and groups: objects with a SID of their domain.
    pub fn is_principal(self) -> bool {
        self.is_account() || self == Class::Group
    }

    /// The root of a naming context: inherits nothing (acl-algorithms 1.4).
    pub fn is_naming_context(self) -> bool {
        matches!(self, Class::Domain | Class::Configuration | Class::Schema)
    }

    fn data(self) -> &'static ClassData {
        &CLASSES[self as usize]
    }
}

/// How far a group reaches (groupType bits 2, 4, 8; MS-ADTS 2.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GroupScope {
    /// 0x2
    Global,
    /// 0x4; also the BUILTIN aliases.
    DomainLocal,
    /// 0x8
    Universal,
}

/// groupType as AD stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupType(pub i32);

impl GroupType {
    /// The bit that makes a group security-enabled (0x80000000).
    pub const SECURITY: i32 = i32::MIN;

    /// A security group.
    pub const fn security(scope: GroupScope) -> GroupType {
        GroupType(GroupType::SECURITY | scope_bit(scope))
    }

    /// A distribution group: its SID never enters a token.
    pub const fn distribution(scope: GroupScope) -> GroupType {
        GroupType(scope_bit(scope))
    }

    /// Security-enabled?
    pub fn is_security(self) -> bool {
        self.0 & GroupType::SECURITY != 0
    }

    /// The scope; a group without any scope bit counts as global.
    pub fn scope(self) -> GroupScope {
        if self.0 & 0x8 != 0 {
            GroupScope::Universal
        } else if self.0 & 0x4 != 0 {
            GroupScope::DomainLocal
        } else {
            GroupScope::Global
        }
    }
}

const fn scope_bit(scope: GroupScope) -> i32 {
    match scope {
        GroupScope::Global => 0x2,
        GroupScope::DomainLocal => 0x4,
        GroupScope::Universal => 0x8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_table_is_in_the_order_of_the_enum() {
        for data in &CLASSES {
            assert_eq!(data.class.data().name, data.name);
        }
    }

    #[test]
    fn the_most_derived_known_class_counts() {
        let classes = ["top", "person", "organizationalPerson", "USER", "computer", "vendorExtension"];
        assert_eq!(Class::from_object_classes(&classes), Class::Computer);
        assert_eq!(Class::from_object_classes(&["top", "vendorExtension"]), Class::Other);
    }
}
