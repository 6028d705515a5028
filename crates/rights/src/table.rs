//! The one table of rights: name, GUID, display name, what its absence does, and which permission groups carry it.
//!
//! The command line, the console, the documentation and the connectors' permission groups read this table; nothing
//! else in Procura spells a right. GUIDs are those of Exchange's schema, so that descriptors copied from a real forest
//! mean here what they meant there.
//!
//! Sources: S2 tables 3-8, the recovered GUIDs, `authorization.md` §4.

use acl::well_known;
use acl::{Guid, Sid};

use PermissionGroup::{AnonymousUsers, ExchangeLegacyServers, ExchangeServers, ExchangeUsers, Partners};

/// A control access right that Procura asks for, as an index into [`RIGHTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RightName {
    /// `ms-Exch-SMTP-Submit`
    Submit,
    /// `ms-Exch-SMTP-Accept-Any-Recipient`
    AcceptAnyRecipient,
    /// `ms-Exch-SMTP-Accept-Any-Sender`
    AcceptAnySender,
    /// `ms-Exch-SMTP-Accept-Authoritative-Domain-Sender`
    AcceptAuthoritativeDomainSender,
    /// `ms-Exch-SMTP-Accept-Authentication-Flag`
    AcceptAuthenticationFlag,
    /// `ms-Exch-Accept-Headers-Routing`
    AcceptHeadersRouting,
    /// `ms-Exch-Accept-Headers-Organization`
    AcceptHeadersOrganization,
    /// `ms-Exch-Accept-Headers-Forest`
    AcceptHeadersForest,
    /// `ms-Exch-SMTP-Accept-Exch50`
    AcceptExch50,
    /// `ms-Exch-Bypass-Message-Size-Limit`
    BypassMessageSizeLimit,
    /// `ms-Exch-Bypass-Anti-Spam`
    BypassAntiSpam,
    /// `ms-Exch-SMTP-Send-Exch50`
    SendExch50,
    /// `ms-Exch-Send-Headers-Routing`
    SendHeadersRouting,
    /// `ms-Exch-Send-Headers-Organization`
    SendHeadersOrganization,
    /// `ms-Exch-Send-Headers-Forest`
    SendHeadersForest,
    /// `Send-As`
    SendAs,
    /// `Receive-As`
    ReceiveAs,
}

/// The kind of object that a right is granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedOn {
    /// A receive connector, or anything above it from which the ACE is inherited.
    ReceiveConnector,
    /// A send connector, or anything above it.
    SendConnector,
    /// The directory object that owns an address: user, group, contact, public folder.
    Owner,
    /// A mailbox database, its server or the organization.
    MailboxStore,
}

/// One row of the table.
#[derive(Debug)]
pub struct Right {
    /// Which right this row is.
    pub id: RightName,
    /// Name as in the directory's schema (`rightsGuid` object), unique without regard to case.
    pub name: &'static str,
    /// The `rightsGuid`.
    pub guid: Guid,
    /// Name shown to people, accepted as input too.
    pub display: &'static str,
    /// Other spellings that are accepted as input.
    pub aliases: &'static [&'static str],
    /// Where it is granted.
    pub on: GrantedOn,
    /// What happens to a session, or to a message, that does not hold the right.
    pub absence: &'static str,
    /// Permission groups that carry it on a hub (S2 table 6).
    pub hub_groups: &'static [PermissionGroup],
    /// Permission groups that carry it on an edge (S2 table 6).
    pub edge_groups: &'static [PermissionGroup],
    /// Carried by Externally Secured servers when the group ExchangeServers is assigned.
    pub externally_secured: bool,
}

/// Every right, in the order of [`RightName`].
pub static RIGHTS: [Right; 17] = [
    Right {
        id: RightName::Submit,
        name: "ms-Exch-SMTP-Submit",
        guid: Guid::from_u128(0xa18293f1_0685_4540_aa63_e32df421b3a2),
        display: "Submit Messages to Server",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "AUTH and MAIL FROM are refused",
        hub_groups: &[AnonymousUsers, ExchangeUsers, ExchangeServers, ExchangeLegacyServers, Partners],
        edge_groups: &[AnonymousUsers, ExchangeServers, Partners],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptAnyRecipient,
        name: "ms-Exch-SMTP-Accept-Any-Recipient",
        guid: Guid::from_u128(0x5c82f031_4e4c_4326_88e1_8c4f0cad9de5),
        display: "Submit Messages to any Recipient",
        aliases: &["Accept any Recipient"],
        on: GrantedOn::ReceiveConnector,
        absence: "RCPT TO is refused when the domain is no accepted domain",
        hub_groups: &[ExchangeUsers, ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptAnySender,
        name: "ms-Exch-SMTP-Accept-Any-Sender",
        guid: Guid::from_u128(0xb857b50b_94a2_4b53_93f6_41cebd2fced0),
        display: "Accept any Sender",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "each sender address needs a proof: Send As, Send on Behalf, ownership or the peer's certificate",
        hub_groups: &[AnonymousUsers, ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[AnonymousUsers, ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptAuthoritativeDomainSender,
        name: "ms-Exch-SMTP-Accept-Authoritative-Domain-Sender",
        guid: Guid::from_u128(0xc22841f4_96cb_498a_ac02_f9a87c74eb14),
        display: "Accept Authoritative Domain Sender",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "Accept any Sender does not cover addresses that are ours",
        hub_groups: &[ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptAuthenticationFlag,
        name: "ms-Exch-SMTP-Accept-Authentication-Flag",
        guid: Guid::from_u128(0x1c75aca8_b56b_48b3_a021_858a29fa877b),
        display: "Accept Authentication Flag",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "the AUTH= parameter of MAIL FROM is ignored",
        hub_groups: &[ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptHeadersRouting,
        name: "ms-Exch-Accept-Headers-Routing",
        guid: Guid::from_u128(0x04031f4f_7c36_43ea_9b49_4bd0f5f1e6af),
        display: "Accept Routing Headers",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "Received and Resent-* fields are removed",
        hub_groups: &[AnonymousUsers, ExchangeServers, ExchangeLegacyServers, Partners],
        edge_groups: &[AnonymousUsers, ExchangeServers, Partners],
        externally_secured: true,
    },
    Right {
        id: RightName::AcceptHeadersOrganization,
        name: "ms-Exch-Accept-Headers-Organization",
        guid: Guid::from_u128(0xc307dccd_6676_4d19_95c8_d1567fab9820),
        display: "Accept Organization Headers",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "fields with the prefix X-MS-Exchange-Organization- are removed",
        hub_groups: &[ExchangeServers],
        edge_groups: &[ExchangeServers],
        externally_secured: false,
    },
    Right {
        id: RightName::AcceptHeadersForest,
        name: "ms-Exch-Accept-Headers-Forest",
        guid: Guid::from_u128(0xa7a9ea66_e08c_4e23_8fe7_68c40e49c6c0),
        display: "Accept Forest Headers",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "fields with the prefix X-MS-Exchange-Forest- are removed",
        hub_groups: &[ExchangeServers],
        edge_groups: &[ExchangeServers],
        externally_secured: false,
    },
    Right {
        id: RightName::AcceptExch50,
        name: "ms-Exch-SMTP-Accept-Exch50",
        guid: Guid::from_u128(0xe373fb21_d851_4d15_af23_982f09f2400b),
        display: "Accept Exch50",
        aliases: &["ms-Exch-Accept-Exch50"],
        on: GrantedOn::ReceiveConnector,
        absence: "the message is accepted, the XEXCH50 blob is dropped",
        hub_groups: &[ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::BypassMessageSizeLimit,
        name: "ms-Exch-Bypass-Message-Size-Limit",
        guid: Guid::from_u128(0x6760cfc5_70f4_4ae8_bc39_9522d86ac69b),
        display: "Bypass Message Size Limit",
        aliases: &[],
        on: GrantedOn::ReceiveConnector,
        absence: "the connector's message size limit applies",
        hub_groups: &[ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::BypassAntiSpam,
        name: "ms-Exch-Bypass-Anti-Spam",
        guid: Guid::from_u128(0xd19299b4_86c2_4c9a_8fa7_acb70c63023a),
        display: "Bypass Anti-Spam",
        aliases: &["Bypass anti-spam filters"],
        on: GrantedOn::ReceiveConnector,
        absence: "the anti-spam agent examines the message",
        hub_groups: &[ExchangeUsers, ExchangeServers, ExchangeLegacyServers],
        edge_groups: &[ExchangeServers],
        externally_secured: true,
    },
    Right {
        id: RightName::SendExch50,
        name: "ms-Exch-SMTP-Send-Exch50",
        guid: Guid::from_u128(0x11716db4_9647_4bce_8922_1f99e526cb41),
        display: "Send Exch50",
        aliases: &["ms-Exch-Send-Exch50"],
        on: GrantedOn::SendConnector,
        absence: "the message is sent without its XEXCH50 blob",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
    Right {
        id: RightName::SendHeadersRouting,
        name: "ms-Exch-Send-Headers-Routing",
        guid: Guid::from_u128(0xeb8c07ad_b5ad_49c3_831e_bc439cca4c2a),
        display: "Send Routing Headers",
        aliases: &[],
        on: GrantedOn::SendConnector,
        absence: "Received and Resent-* fields are removed before sending",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
    Right {
        id: RightName::SendHeadersOrganization,
        name: "ms-Exch-Send-Headers-Organization",
        guid: Guid::from_u128(0x2f7d0e23_f951_4ed0_8e71_39b6a22fa298),
        display: "Send Organization Headers",
        aliases: &[],
        on: GrantedOn::SendConnector,
        absence: "fields with the prefix X-MS-Exchange-Organization- are removed before sending",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
    Right {
        id: RightName::SendHeadersForest,
        name: "ms-Exch-Send-Headers-Forest",
        guid: Guid::from_u128(0xb3f9f977_552c_4ee6_9781_59280a81417b),
        display: "Send Forest Headers",
        aliases: &[],
        on: GrantedOn::SendConnector,
        absence: "fields with the prefix X-MS-Exchange-Forest- are removed before sending",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
    Right {
        id: RightName::SendAs,
        name: "Send-As",
        guid: Guid::from_u128(0xab721a54_1e2f_11d0_9819_00aa0040529b),
        display: "Send As",
        aliases: &["SendAs"],
        on: GrantedOn::Owner,
        absence: "the address is no sender for this account, unless Send on Behalf or ownership allows it",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
    Right {
        id: RightName::ReceiveAs,
        name: "Receive-As",
        guid: Guid::from_u128(0xab721a56_1e2f_11d0_9819_00aa0040529b),
        display: "Receive As",
        aliases: &["ReceiveAs"],
        on: GrantedOn::MailboxStore,
        absence: "no Full Mailbox Access is inherited from the database, server or organization",
        hub_groups: &[],
        edge_groups: &[],
        externally_secured: false,
    },
];

impl RightName {
    /// The row of the table.
    pub fn right(self) -> &'static Right {
        &RIGHTS[self as usize]
    }

    /// The `rightsGuid`.
    pub fn guid(self) -> Guid {
        self.right().guid
    }

    /// Finds a right by schema name, display name, alias or GUID, without regard to case; blanks and hyphens are
    /// interchangeable, as both "Send As" and "Send-As" are in use.
    pub fn parse(text: &str) -> Option<RightName> {
        let same = |name: &str| {
            name.len() == text.len()
                && name.bytes().zip(text.bytes()).all(|(a, b)| {
                    let fold = |c: u8| if c == b' ' { b'-' } else { c.to_ascii_lowercase() };
                    fold(a) == fold(b)
                })
        };
        let guid = text.trim_matches(['{', '}']).parse::<Guid>().ok();
        RIGHTS
            .iter()
            .find(|right| {
                same(right.name)
                    || same(right.display)
                    || right.aliases.iter().any(|alias| same(alias))
                    || guid == Some(right.guid)
            })
            .map(|right| right.id)
    }
}

/// The role of the server that a connector belongs to; the permission groups differ by it (S2 table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ServerRole {
    /// Inside the organization.
    #[default]
    Hub,
    /// At the border, with a directory of its own.
    Edge,
}

/// A predefined set of rights for predefined trustees on a receive connector (S2 table 6).
///
/// A group is nothing but its ACEs: assigning it writes them, and a connector whose ACEs match no union of groups reads
/// `Custom`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PermissionGroup {
    /// Sessions that proved nothing.
    AnonymousUsers,
    /// Sessions with an account.
    ExchangeUsers,
    /// Servers of the organization, and those secured by other means.
    ExchangeServers,
    /// Exchange 2003 and Exchange 2000 servers.
    ExchangeLegacyServers,
    /// Servers of domains configured for Domain Security.
    Partners,
}

/// Whom a permission group names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupTrustee {
    /// A well-known SID.
    WellKnown(Sid),
    /// The security group `Exchange Servers` of the organization's root domain.
    ExchangeServers,
    /// The security group `ExchangeLegacyInterop` of the organization's root domain.
    ExchangeLegacyInterop,
}

impl PermissionGroup {
    /// All groups, in the order in which they are listed to people.
    pub const ALL: [PermissionGroup; 5] =
        [AnonymousUsers, ExchangeUsers, ExchangeServers, ExchangeLegacyServers, Partners];

    /// The name as `-PermissionGroups` of the connector commands takes it.
    pub fn name(self) -> &'static str {
        match self {
            AnonymousUsers => "AnonymousUsers",
            ExchangeUsers => "ExchangeUsers",
            ExchangeServers => "ExchangeServers",
            ExchangeLegacyServers => "ExchangeLegacyServers",
            Partners => "Partners",
        }
    }

    /// Finds a group by its name without regard to case; `Anonymous` and `Partner`, as S2 prints them, are accepted.
    pub fn parse(text: &str) -> Option<PermissionGroup> {
        let alias = match text.to_ascii_lowercase().as_str() {
            "anonymous" => Some(AnonymousUsers),
            "partner" => Some(Partners),
            _ => None,
        };
        alias.or_else(|| Self::ALL.into_iter().find(|group| group.name().eq_ignore_ascii_case(text)))
    }

    /// Who is named, each with the rights granted to it on a connector of a server of this role.
    ///
    /// Empty where the group is not available on the role.
    pub fn grants(self, role: ServerRole) -> Vec<(GroupTrustee, Vec<RightName>)> {
        let carried = |right: &&Right| match role {
            ServerRole::Hub => right.hub_groups.contains(&self),
            ServerRole::Edge => right.edge_groups.contains(&self),
        };
        let rights: Vec<RightName> = RIGHTS.iter().filter(carried).map(|right| right.id).collect();
        if rights.is_empty() {
            return Vec::new();
        }
        let well_known = |sid: &Sid| GroupTrustee::WellKnown(sid.clone());
        match self {
            AnonymousUsers => vec![(well_known(&well_known::ANONYMOUS_LOGON), rights)],
            ExchangeUsers => vec![(well_known(&well_known::AUTHENTICATED_USERS), rights)],
            Partners => vec![(well_known(&well_known::PARTNER_SERVERS), rights)],
            ExchangeLegacyServers => vec![
                (GroupTrustee::ExchangeLegacyInterop, rights.clone()),
                (well_known(&well_known::LEGACY_EXCHANGE_SERVERS), rights),
            ],
            ExchangeServers => {
                let secured = rights.iter().copied().filter(|right| right.right().externally_secured).collect();
                vec![
                    (GroupTrustee::ExchangeServers, rights.clone()),
                    (well_known(&well_known::HUB_SERVERS), rights.clone()),
                    (well_known(&well_known::EDGE_SERVERS), rights),
                    (well_known(&well_known::EXTERNALLY_SECURED_SERVERS), secured),
                ]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enumeration() {
        for (index, right) in RIGHTS.iter().enumerate() {
            assert_eq!(right.id as usize, index, "{}", right.name);
        }
    }

    #[test]
    fn names_guids_and_aliases_are_unambiguous() {
        let mut seen = std::collections::HashSet::new();
        for right in &RIGHTS {
            let folded = |text: &str| text.to_ascii_lowercase().replace(' ', "-");
            let mut own: Vec<String> = [right.name, right.display].into_iter().map(folded).collect();
            own.extend(right.aliases.iter().map(|alias| folded(alias)));
            own.push(right.guid.to_string());
            own.sort();
            own.dedup();
            for name in own {
                assert!(seen.insert(name.clone()), "{name} names two rights");
                assert_eq!(RightName::parse(&name), Some(right.id), "{name}");
            }
        }
        assert_eq!(RightName::parse("Send"), None);
    }

    #[test]
    fn permission_groups_are_found_by_their_names_and_by_those_of_s2_in_any_case() {
        for group in PermissionGroup::ALL {
            assert_eq!(PermissionGroup::parse(&group.name().to_ascii_uppercase()), Some(group));
        }
        assert_eq!(PermissionGroup::parse("Anonymous"), Some(AnonymousUsers));
        assert_eq!(PermissionGroup::parse("partner"), Some(Partners));
        assert_eq!(PermissionGroup::parse("Custom"), None);
    }

    #[test]
    fn a_right_is_found_by_its_guid_in_braces_and_by_a_name_with_blanks_or_hyphens() {
        let guid = RightName::SendAs.guid();
        assert_eq!(RightName::parse(&format!("{{{guid}}}")), Some(RightName::SendAs));
        assert_eq!(RightName::parse("send as"), RightName::parse("Send-As"));
        assert_eq!(RightName::parse("Send_As"), None);
    }

    #[test]
    fn anonymous_users_hold_what_table_6_prints() {
        let grants = AnonymousUsers.grants(ServerRole::Hub);
        assert_eq!(
            grants,
            vec![(
                GroupTrustee::WellKnown(well_known::ANONYMOUS_LOGON.clone()),
                vec![RightName::Submit, RightName::AcceptAnySender, RightName::AcceptHeadersRouting]
            )]
        );
        assert_eq!(AnonymousUsers.grants(ServerRole::Edge), grants);
    }

    #[test]
    fn exchange_users_and_legacy_servers_are_not_available_on_an_edge() {
        assert!(ExchangeUsers.grants(ServerRole::Edge).is_empty());
        assert!(ExchangeLegacyServers.grants(ServerRole::Edge).is_empty());
    }

    #[test]
    fn externally_secured_servers_get_no_organization_or_forest_headers() {
        let grants = ExchangeServers.grants(ServerRole::Hub);
        let (_, secured) = grants
            .iter()
            .find(|(who, _)| *who == GroupTrustee::WellKnown(well_known::EXTERNALLY_SECURED_SERVERS.clone()))
            .expect("the group names them");
        assert!(!secured.contains(&RightName::AcceptHeadersOrganization));
        assert!(!secured.contains(&RightName::AcceptHeadersForest));
        let (_, hub) = grants
            .iter()
            .find(|(who, _)| *who == GroupTrustee::WellKnown(well_known::HUB_SERVERS.clone()))
            .expect("the group names them");
        assert_eq!(hub.len(), 11, "a hub holds all receive rights");
        assert_eq!(secured.len(), 9);
    }
}
