//! What a host has to prove by its certificate before it gets mail.

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificate::provider;
use crate::tls::key_digest;

/// What a host has to prove.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum Proof {
    /// Nothing.
    #[default]
    None,
    /// Its own name, or its address where it has none (RFC 9525).
    Itself,
    /// That it is this domain or below it. The name of a host that an MX record gave proves nothing: without DNSSEC anybody
    /// may have given it.
    Domain(String),
    /// That it has one of these keys: SHA-256 of SubjectPublicKeyInfo.
    Key(Vec<[u8; 32]>),
}

impl Proof {
    /// Checks the certificates that `host` showed, its own first; the error is in words.
    pub(crate) fn check(
        &self,
        chain: &[CertificateDer<'_>],
        host: &str,
        roots: Option<&RootCertStore>,
    ) -> Result<(), String> {
        if *self == Proof::None {
            return Ok(());
        }
        let Some((leaf, intermediates)) = chain.split_first() else {
            return Err("the host showed no certificate".to_owned());
        };
        if let Proof::Key(keys) = self {
            return match key_digest(leaf).is_some_and(|key| keys.contains(&key)) {
                true => Ok(()),
                false => Err("the key of the host's certificate is none of those pinned".to_owned()),
            };
        }
        let roots = roots.filter(|roots| !roots.is_empty());
        let roots = roots.ok_or("there are no authorities to verify the host's certificate by")?;
        let leaf = EndEntityCert::try_from(leaf).map_err(|error| format!("the host's certificate: {error}"))?;
        let algorithms = provider().signature_verification_algorithms.all;
        let usage = KeyUsage::server_auth();
        leaf.verify_for_usage(algorithms, &roots.roots, intermediates, UnixTime::now(), usage, None, None)
            .map_err(|error| format!("the host's certificate is not to be trusted: {error}"))?;
        let is_for = |name: &str| {
            ServerName::try_from(name).is_ok_and(|name| leaf.verify_is_valid_for_subject_name(&name).is_ok())
        };
        match self {
            Proof::None | Proof::Key(_) => Ok(()),
            Proof::Itself if is_for(host) => Ok(()),
            Proof::Itself => Err(format!("the host's certificate is not for {host}")),
            Proof::Domain(domain) if is_for(domain) || (is_below(host, domain) && is_for(host)) => Ok(()),
            Proof::Domain(domain) => {
                Err(format!("the host's certificate is neither for {domain} nor for a host below it"))
            }
        }
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    struct Authority {
        issuer: CertifiedIssuer<'static, KeyPair>,
        roots: RootCertStore,
    }

    impl Authority {
        fn new() -> Authority {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(issuer.der().clone()).unwrap();
            Authority { issuer, roots }
        }

        fn chain(&self, name: &str) -> Vec<CertificateDer<'static>> {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()]
        }
    }

    #[test]
    fn a_host_proves_its_name_to_who_trusts_its_authority() {
        let (ours, other) = (Authority::new(), Authority::new());
        let chain = ours.chain("mx.example.net");
        let check = |host, roots| Proof::Itself.check(&chain, host, roots);
        assert_eq!(check("mx.example.net", Some(&ours.roots)), Ok(()));
        assert!(check("mx2.example.net", Some(&ours.roots)).is_err());
        assert!(check("mx.example.net", Some(&other.roots)).is_err());
        assert!(check("mx.example.net", None).is_err());
        assert!(check("mx.example.net", Some(&RootCertStore::empty())).is_err());
        assert!(Proof::Itself.check(&[], "mx.example.net", Some(&ours.roots)).is_err());
    }

    #[test]
    fn an_address_is_proven_by_a_certificate_for_the_address() {
        let ours = Authority::new();
        assert_eq!(Proof::Itself.check(&ours.chain("127.0.0.1"), "127.0.0.1", Some(&ours.roots)), Ok(()));
        assert!(Proof::Itself.check(&ours.chain("127.0.0.1"), "127.0.0.2", Some(&ours.roots)).is_err());
    }

    #[test]
    fn the_name_of_a_host_of_an_mx_record_counts_below_the_domain_only() {
        let ours = Authority::new();
        let proof = Proof::Domain("example.net".into());
        let check = |certificate: &str, host| proof.check(&ours.chain(certificate), host, Some(&ours.roots));
        assert_eq!(check("mx.example.net", "mx.example.net"), Ok(()));
        assert_eq!(check("example.net", "mx.provider.test"), Ok(()));
        assert!(check("mx.provider.test", "mx.provider.test").is_err());
        assert!(check("mx.notexample.net", "mx.notexample.net").is_err());
    }

    #[test]
    fn a_pinned_key_counts_without_authorities() {
        let ours = Authority::new();
        let chain = ours.chain("anything.test");
        let key = key_digest(&chain[0]).unwrap();
        assert_eq!(Proof::Key(vec![[0; 32], key]).check(&chain, "x", None), Ok(()));
        assert!(Proof::Key(vec![[0; 32]]).check(&chain, "x", Some(&ours.roots)).is_err());
    }

    #[test]
    fn who_has_nothing_to_prove_needs_no_certificate() {
        assert_eq!(Proof::None.check(&[], "x", None), Ok(()));
    }
}
