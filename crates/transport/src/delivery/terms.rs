//! On which terms we speak with another host, and what the host is to us once it has proven itself.
//!
//! Header rights are those of the receiver's token: ANONYMOUS LOGON, unless the host was proven. That we log on to it proves
//! nothing about it (`authorization.md` §4; S2 "Send Connector Permissions").

use std::sync::Arc;

use acl::Guid;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{Config, HostKind, ObjectId, SendAuth, SendConnector, SendTls, Snapshot, TokenSource};
use message::Keep;
use queue::Delivery;
use rights::{Receiver, send_exch50, send_headers};
use rustls::sign::CertifiedKey;
use session::PeerCertificate;
use zeroize::Zeroizing;

use super::SmartHost;
use super::proof::Proof;
use crate::shared::now;

/// What a host has to agree to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Terms {
    /// How we and the host come to trust each other.
    pub auth: SendAuth,
    /// The name to log on with.
    pub user: Option<String>,
    /// TLS, or no mail.
    pub require_tls: bool,
    /// No TLS, even where the host offers it.
    pub never_tls: bool,
    /// What the host has to prove by its certificate.
    pub proof: Proof,
    /// The policy that the domain publishes counts (MTA-STS).
    pub mta_sts: bool,
    /// Where the token comes from that we log on with.
    pub token: Option<TokenSource>,
    /// The domain that the host's certificate has to prove (Domain Security).
    pub secure_domain: Option<String>,
}

/// Connections to a host that are worth the same: kept together in the pool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Station {
    pub(crate) host: SmartHost,
    pub(crate) connector: Option<Guid>,
    pub(crate) terms: Terms,
}

/// What is shown to a host.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    /// Our certificate, where the host may want to know who we are.
    pub(crate) certificate: Option<Arc<CertifiedKey>>,
    /// What goes with [`Terms::user`].
    pub(crate) secret: Option<Secret>,
}

/// What we log on with.
#[derive(Clone)]
pub(crate) enum Secret {
    /// A password.
    Password(Zeroizing<String>),
    /// An access token.
    Token(Zeroizing<String>),
}

impl Terms {
    /// The terms of a connector for mail to this domain.
    pub(crate) fn of(snapshot: &Snapshot, connector: &SendConnector, domain: &str) -> Terms {
        let is_secure = connector.domain_secure && is_secure_domain(snapshot, domain);
        Terms {
            auth: connector.auth,
            user: connector.user.clone(),
            require_tls: connector.require_tls || matches!(connector.tls, SendTls::Required | SendTls::Verified),
            never_tls: connector.tls == SendTls::None,
            proof: match (connector.tls, connector.smart_hosts.is_empty()) {
                (SendTls::Verified, _) if !connector.pins.is_empty() => Proof::Key(connector.pins.clone()),
                (SendTls::Verified, true) => Proof::Domain(domain.to_owned()),
                (SendTls::Verified, false) => Proof::Itself,
                _ => Proof::None,
            },
            mta_sts: connector.tls == SendTls::MtaSts,
            token: connector.token.clone().filter(|_| connector.auth == SendAuth::Oauth),
            secure_domain: is_secure.then(|| domain.to_owned()),
        }
    }

    /// TLS is a must: because it was said so, or because something is proven by it or told in it.
    pub(crate) fn needs_tls(&self) -> bool {
        self.require_tls
            || self.proof != Proof::None
            || self.secure_domain.is_some()
            || matches!(self.auth, SendAuth::BasicRequiresTls | SendAuth::Oauth | SendAuth::ExchangeServer)
    }

    /// Whether we log on.
    pub(crate) fn logs_on(&self) -> bool {
        matches!(self.auth, SendAuth::Basic | SendAuth::BasicRequiresTls | SendAuth::Oauth)
    }

    /// Whether the host is shown our certificate.
    pub(crate) fn shows_certificate(&self) -> bool {
        self.auth == SendAuth::ExchangeServer || self.secure_domain.is_some()
    }

    /// What the host is, by what it proved; or why it gets no mail.
    pub(crate) fn receiver(
        &self,
        snapshot: &Snapshot,
        certificate: Option<&PeerCertificate>,
    ) -> Result<Receiver, String> {
        if let Some(domain) = &self.secure_domain {
            return match certificate.is_some_and(|certificate| certificate.domains.contains(domain)) {
                true => Ok(Receiver::Host(HostKind::Partner { domain: domain.clone() })),
                false => Err(format!("the host's certificate does not prove {domain} (Domain Security)")),
            };
        }
        match self.auth {
            SendAuth::ExternalAuthoritative => Ok(Receiver::Host(HostKind::ExternallySecured)),
            SendAuth::ExchangeServer => match certificate.and_then(|certificate| own_server(snapshot, certificate)) {
                Some(kind) => Ok(Receiver::Host(kind)),
                None => Err("5.7.3 Cannot achieve Exchange Server authentication: the host did not prove to be a \
                             server of the organization"
                    .to_owned()),
            },
            SendAuth::None | SendAuth::Basic | SendAuth::BasicRequiresTls | SendAuth::Oauth => Ok(Receiver::Anonymous),
        }
    }
}

/// What a receiver may be told beside the message itself.
pub(super) struct Allowed {
    pub(super) keep: Keep,
    pub(super) exch50: bool,
}

impl Allowed {
    /// By the rights of the receiver on the send connector. The smart host of the node's configuration has no connector:
    /// it is told where a message came along, and nothing that is ours.
    pub(super) fn of(snapshot: &Snapshot, connector: Option<ObjectId>, receiver: &Receiver) -> Allowed {
        match connector {
            Some(connector) => Allowed {
                keep: send_headers(snapshot, connector, receiver, now()),
                exch50: send_exch50(snapshot, connector, receiver, now()),
            },
            None => Allowed { keep: Keep { routing: true, organization: false, forest: false }, exch50: false },
        }
    }
}

/// The data of XEXCH50 that came with a message.
pub(super) fn exch50(delivery: &Delivery) -> Option<Vec<u8>> {
    let facts: serde_json::Value = serde_json::from_str(&delivery.parameters).ok()?;
    STANDARD.decode(facts.get("exch50")?.as_str()?).ok()
}

/// The domain is one of those whose mail goes with their certificate only.
fn is_secure_domain(snapshot: &Snapshot, domain: &str) -> bool {
    let organization = snapshot.organization().and_then(|id| snapshot.object(id)).and_then(|object| object.config());
    match organization {
        Some(Config::Organization(organization)) => organization.secure_domains.iter().any(|secure| secure == domain),
        _ => false,
    }
}

/// An own server, by its key.
fn own_server(snapshot: &Snapshot, certificate: &PeerCertificate) -> Option<HostKind> {
    snapshot.configuration().find_map(|(_, config): (ObjectId, &Config)| match config {
        Config::Server(server) if server.keys.contains(&certificate.key) => {
            Some(if server.edge { HostKind::Edge } else { HostKind::Hub })
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(auth: SendAuth) -> Terms {
        Terms { auth, ..Terms::default() }
    }

    #[test]
    fn logging_on_to_a_host_proves_nothing_about_it() {
        let receiver = terms(SendAuth::BasicRequiresTls).receiver(&Snapshot::empty(), None);
        assert_eq!(receiver, Ok(Receiver::Anonymous));
    }

    #[test]
    fn a_host_that_is_secured_by_other_means_is_believed() {
        let receiver = terms(SendAuth::ExternalAuthoritative).receiver(&Snapshot::empty(), None);
        assert_eq!(receiver, Ok(Receiver::Host(HostKind::ExternallySecured)));
    }

    #[test]
    fn a_stranger_is_no_server_of_the_organization() {
        let certificate = PeerCertificate { key: [7; 32], domains: vec!["mail.example.com".into()] };
        let refused = terms(SendAuth::ExchangeServer).receiver(&Snapshot::empty(), Some(&certificate));
        assert!(refused.unwrap_err().contains("Cannot achieve Exchange Server authentication"));
    }

    #[test]
    fn a_partner_is_who_proves_the_domain_of_the_recipient() {
        let terms = Terms { secure_domain: Some("partner.test".into()), ..Terms::default() };
        let proving = |domain: &str| {
            let certificate = PeerCertificate { key: [0; 32], domains: vec![domain.to_owned()] };
            terms.receiver(&Snapshot::empty(), Some(&certificate))
        };
        let partner = HostKind::Partner { domain: "partner.test".into() };
        assert_eq!(proving("partner.test"), Ok(Receiver::Host(partner)));
        assert!(proving("other.test").is_err() && terms.receiver(&Snapshot::empty(), None).is_err());
    }

    #[test]
    fn tls_is_a_must_where_something_is_proven_by_it_or_told_in_it() {
        assert!(!terms(SendAuth::None).needs_tls() && !terms(SendAuth::Basic).needs_tls());
        assert!(terms(SendAuth::BasicRequiresTls).needs_tls() && terms(SendAuth::ExchangeServer).needs_tls());
        assert!(Terms { require_tls: true, ..Terms::default() }.needs_tls());
    }
}
