//! What a client is by its certificate (`authorization.md` §2).

use directory::{Config, HostKind, Organization, ReceiveConnector, Snapshot};
use message::Address;

use crate::session::{Context, Session};

impl Session {
    /// An own server, by its key; else a partner, by a domain that the organization wants proven. A certificate that proves
    /// neither proves nothing.
    pub(crate) fn host_by_certificate(&self, snapshot: &Snapshot, settings: &ReceiveConnector) -> Option<HostKind> {
        let certificate = self.tls.as_ref()?.peer.as_ref()?;
        if settings.auth.exchange_server
            && let Some(edge) = snapshot.configuration().find_map(|(_, config)| match config {
                Config::Server(server) if server.keys.contains(&certificate.key) => Some(server.edge),
                _ => None,
            })
        {
            return Some(if edge { HostKind::Edge } else { HostKind::Hub });
        }
        if !settings.domain_secure {
            return None;
        }
        let proven = organization(snapshot)?.secure_domains.iter().find(|domain| certificate.domains.contains(domain));
        proven.map(|domain| HostKind::Partner { domain: domain.clone() })
    }

    /// Domain Security (S2): mail from a domain of the organization's list is believed only with its certificate. Those who
    /// proved themselves otherwise, an account or an own server, may send it on.
    pub(crate) fn lacks_certificate(&self, cx: &Context<'_>, sender: &Address) -> bool {
        if !cx.connector.domain_secure || self.authority.account.is_some() {
            return false;
        }
        let canonical = sender.canonical();
        let secure = organization(cx.snapshot)
            .is_some_and(|organization| organization.secure_domains.iter().any(|domain| domain == canonical.domain()));
        secure
            && match &self.authority.host {
                Some(HostKind::Partner { domain }) => domain != canonical.domain(),
                Some(HostKind::Hub | HostKind::Edge) => false,
                Some(HostKind::ExternallySecured) | None => true,
            }
    }
}

fn organization(snapshot: &Snapshot) -> Option<&Organization> {
    match snapshot.object(snapshot.organization()?)?.config() {
        Some(Config::Organization(organization)) => Some(organization),
        _ => None,
    }
}
