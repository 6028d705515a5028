//! Usage types: what a connector is made with (S2 tables 7 and 8, F §3.6). A usage type is chosen once, at creation;
//! afterwards it is a word.

use acl::well_known;
use directory::{AuthMechanisms, SendAuth};

use crate::table::{GroupTrustee, PermissionGroup, RightName, ServerRole};

/// Usage types of connectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectorUsage {
    /// Mail programs of people with accounts; receive connectors of hubs only.
    Client,
    /// Nothing is granted: whoever makes it sets it up.
    Custom,
    /// Servers of the organization.
    Internal,
    /// Strangers.
    Internet,
    /// Servers that prove a domain by their certificate.
    Partner,
}

impl ConnectorUsage {
    /// All usage types, as S2 lists them.
    pub const ALL: [ConnectorUsage; 5] = [
        ConnectorUsage::Client,
        ConnectorUsage::Custom,
        ConnectorUsage::Internal,
        ConnectorUsage::Internet,
        ConnectorUsage::Partner,
    ];

    /// As the directory keeps it.
    pub fn name(self) -> &'static str {
        match self {
            ConnectorUsage::Client => "Client",
            ConnectorUsage::Custom => "Custom",
            ConnectorUsage::Internal => "Internal",
            ConnectorUsage::Internet => "Internet",
            ConnectorUsage::Partner => "Partner",
        }
    }

    /// Finds a usage type by its name, in any case.
    pub fn parse(text: &str) -> Option<ConnectorUsage> {
        Self::ALL.into_iter().find(|usage| usage.name().eq_ignore_ascii_case(text))
    }

    /// The permission groups of a new receive connector (S2 table 7). `None`: there are no connectors of this usage on
    /// servers of this role.
    pub fn permission_groups(self, role: ServerRole) -> Option<Vec<PermissionGroup>> {
        use PermissionGroup::{AnonymousUsers, ExchangeLegacyServers, ExchangeServers, ExchangeUsers, Partners};
        match (self, role) {
            (ConnectorUsage::Client, ServerRole::Hub) => Some(vec![ExchangeUsers]),
            (ConnectorUsage::Client, ServerRole::Edge) => None,
            (ConnectorUsage::Custom, _) => Some(Vec::new()),
            (ConnectorUsage::Internal, ServerRole::Hub) => Some(vec![ExchangeServers, ExchangeLegacyServers]),
            (ConnectorUsage::Internal, ServerRole::Edge) => Some(vec![ExchangeServers]),
            (ConnectorUsage::Internet, _) => Some(vec![AnonymousUsers, Partners]),
            (ConnectorUsage::Partner, _) => Some(vec![Partners]),
        }
    }

    /// The authentication that a new receive connector offers (S2 table 7; F §3.6 where the table is blank).
    pub fn authentication(self) -> AuthMechanisms {
        let tls = AuthMechanisms { tls: true, ..AuthMechanisms::default() };
        match self {
            ConnectorUsage::Client => AuthMechanisms { integrated: true, basic: true, basic_requires_tls: true, ..tls },
            ConnectorUsage::Internal => AuthMechanisms { exchange_server: true, ..tls },
            ConnectorUsage::Custom | ConnectorUsage::Internet | ConnectorUsage::Partner => tls,
        }
    }

    /// The port of a new receive connector whose bindings are not named; `None`: they must be.
    pub fn port(self) -> Option<u16> {
        match self {
            ConnectorUsage::Client => Some(587),
            ConnectorUsage::Internal => Some(25),
            ConnectorUsage::Custom | ConnectorUsage::Internet | ConnectorUsage::Partner => None,
        }
    }

    /// Whether a new receive connector takes every client where nobody says which.
    pub fn takes_everybody(self) -> bool {
        self == ConnectorUsage::Internet
    }

    /// Domain Security from the beginning: mutual TLS is what the usage is about.
    pub fn is_domain_secure(self) -> bool {
        self == ConnectorUsage::Partner
    }

    /// Who is granted what on a new send connector (S2 table 8). `None`: there are no send connectors of this usage.
    pub fn send_grants(self) -> Option<Vec<(GroupTrustee, Vec<RightName>)>> {
        let known = |sid: &acl::Sid| GroupTrustee::WellKnown(sid.clone());
        let routing = vec![RightName::SendHeadersRouting];
        match self {
            ConnectorUsage::Client => None,
            ConnectorUsage::Custom => Some(Vec::new()),
            ConnectorUsage::Internet => Some(vec![(known(&well_known::ANONYMOUS_LOGON), routing)]),
            ConnectorUsage::Partner => Some(vec![(known(&well_known::PARTNER_SERVERS), routing)]),
            ConnectorUsage::Internal => {
                let all = vec![
                    RightName::SendExch50,
                    RightName::SendHeadersRouting,
                    RightName::SendHeadersOrganization,
                    RightName::SendHeadersForest,
                ];
                let trustees = [
                    known(&well_known::HUB_SERVERS),
                    known(&well_known::EDGE_SERVERS),
                    GroupTrustee::ExchangeServers,
                    known(&well_known::EXTERNALLY_SECURED_SERVERS),
                    GroupTrustee::ExchangeLegacyInterop,
                    known(&well_known::LEGACY_EXCHANGE_SERVERS),
                ];
                Some(trustees.map(|trustee| (trustee, all.clone())).into())
            }
        }
    }

    /// How a new send connector and its smart hosts trust each other (S2 table 8).
    pub fn send_authentication(self) -> SendAuth {
        match self {
            ConnectorUsage::Internal => SendAuth::ExchangeServer,
            _ => SendAuth::None,
        }
    }

    /// The largest message of a new send connector, in KiB (F §3.9: 35 MB, Internal without a limit).
    pub fn send_limit_kib(self) -> Option<u64> {
        (self != ConnectorUsage::Internal).then_some(35 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usage_type_is_found_by_its_name_in_any_case() {
        assert_eq!(ConnectorUsage::parse("internet"), Some(ConnectorUsage::Internet));
        assert_eq!(ConnectorUsage::parse("Partner"), Some(ConnectorUsage::Partner));
        assert_eq!(ConnectorUsage::parse("outer"), None);
    }

    #[test]
    fn receive_usage_types_have_the_groups_and_the_authentication_of_table_7() {
        let row = |usage: ConnectorUsage| {
            let groups = usage.permission_groups(ServerRole::Hub).unwrap_or_default();
            let groups: Vec<&str> = groups.iter().map(|group| group.name()).collect();
            (usage.name(), groups.join(" "), usage.authentication().flags())
        };
        assert_eq!(
            ConnectorUsage::ALL.map(row),
            [
                ("Client", "ExchangeUsers".to_owned(), 0x1 | 0x2 | 0x4 | 0x8),
                ("Custom", String::new(), 0x1),
                ("Internal", "ExchangeServers ExchangeLegacyServers".to_owned(), 0x1 | 0x10),
                ("Internet", "AnonymousUsers Partners".to_owned(), 0x1),
                ("Partner", "Partners".to_owned(), 0x1),
            ]
        );
    }

    #[test]
    fn only_clients_and_internal_connectors_have_a_port_of_their_own() {
        assert_eq!(ConnectorUsage::ALL.map(ConnectorUsage::port), [Some(587), None, Some(25), None, None]);
    }

    #[test]
    fn the_internet_takes_everybody_and_a_partner_begins_with_domain_security() {
        let row = |usage: ConnectorUsage| (usage.takes_everybody(), usage.is_domain_secure());
        let neither = (false, false);
        assert_eq!(ConnectorUsage::ALL.map(row), [neither, neither, neither, (true, false), (false, true)]);
    }

    #[test]
    fn only_internal_send_connectors_authenticate_as_servers_and_have_no_limit() {
        let row = |usage: ConnectorUsage| (usage.send_authentication(), usage.send_limit_kib());
        let others = (SendAuth::None, Some(35_840));
        let internal = (SendAuth::ExchangeServer, None);
        assert_eq!(ConnectorUsage::ALL.map(row), [others, others, internal, others, others]);
    }

    #[test]
    fn an_edge_has_no_clients_and_no_legacy_servers() {
        assert_eq!(ConnectorUsage::Client.permission_groups(ServerRole::Edge), None);
        let internal = ConnectorUsage::Internal.permission_groups(ServerRole::Edge);
        assert_eq!(internal, Some(vec![PermissionGroup::ExchangeServers]));
    }

    #[test]
    fn send_usage_types_grant_what_table_8_prints() {
        let count = |usage: ConnectorUsage| {
            usage.send_grants().map(|grants| (grants.len(), grants.iter().map(|(_, rights)| rights.len()).sum()))
        };
        assert_eq!(count(ConnectorUsage::Client), None);
        assert_eq!(count(ConnectorUsage::Custom), Some((0, 0)));
        assert_eq!(count(ConnectorUsage::Internal), Some((6, 24)));
        let routing = vec![RightName::SendHeadersRouting];
        let to = |sid: &acl::Sid| Some(vec![(GroupTrustee::WellKnown(sid.clone()), routing.clone())]);
        assert_eq!(ConnectorUsage::Internet.send_grants(), to(&well_known::ANONYMOUS_LOGON));
        assert_eq!(ConnectorUsage::Partner.send_grants(), to(&well_known::PARTNER_SERVERS));
    }
}
