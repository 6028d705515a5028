//! TLS of receive connectors: their configuration, what a connection can be bound to, and what a client's certificate
//! proves.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ServerConnection, ServerSessionMemoryCache};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CommonState, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};
use session::{PeerCertificate, TlsFacts};
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage};

use crate::certificate::provider;
use crate::der::element;

/// TLS 1.2 sessions remembered for a connector.
const TLS_SESSIONS: usize = 512;
/// Names of a client's certificate that are looked at.
const MOST_NAMES: usize = 256;

/// How TLS is spoken, on all receive connectors.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// TLS 1.3 only, instead of 1.2 and 1.3.
    pub only_13: bool,
    /// Whose certificates prove the domains of partners. Without it none does.
    pub partner_roots: Option<Arc<RootCertStore>>,
}

/// TLS of one connector with one certificate.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    certificate: Arc<CertifiedKey>,
    end_point: Option<Vec<u8>>,
    roots: Option<Arc<RootCertStore>>,
}

impl Tls {
    /// Own ticket keys and an own session cache each time: a ticket of one connector is worth nothing at another (attack
    /// 6), nor after the certificate was exchanged. `ask`: the client is asked for a certificate.
    pub(crate) fn new(certificate: Arc<CertifiedKey>, options: &TlsOptions, ask: bool) -> Result<Tls, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(provider());
        let builder = match options.only_13 {
            true => builder.with_protocol_versions(&[&rustls::version::TLS13])?,
            false => builder.with_safe_default_protocol_versions()?,
        };
        let builder = match ask {
            true => builder.with_client_cert_verifier(Arc::new(Ask(provider().signature_verification_algorithms))),
            false => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&certificate))));
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(TLS_SESSIONS);
        config.send_tls13_tickets = 1;
        let end_point = certificate.end_entity_cert().ok().and_then(|leaf| end_point(leaf));
        Ok(Tls { config: Arc::new(config), certificate, end_point, roots: options.partner_roots.clone() })
    }

    /// Whether it has this certificate.
    pub(crate) fn is_of(&self, certificate: &Arc<CertifiedKey>) -> bool {
        Arc::ptr_eq(&self.certificate, certificate)
    }

    /// What is worth telling about an established connection.
    pub(crate) fn facts(&self, connection: &ServerConnection) -> TlsFacts {
        let (version, cipher) = spoken(connection);
        // RFC 9266 §4.2: before TLS 1.3 it would need the extended master secret, of which rustls does not tell.
        let exporter = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => {
                connection.export_keying_material([0; 32], b"EXPORTER-Channel-Binding", Some(&[])).ok()
            }
            _ => None,
        };
        TlsFacts {
            version,
            cipher,
            exporter: exporter.map(|octets| octets.to_vec()),
            server_end_point: self.end_point.clone(),
            peer: connection.peer_certificates().and_then(|chain| proven(chain, self.roots.as_deref())),
        }
    }
}

/// Version and cipher suite of a connection, as in `TLS1.3` and `TLS_AES_256_GCM_SHA384`.
pub(crate) fn spoken(connection: &CommonState) -> (String, String) {
    let version = match connection.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS1.3".to_owned(),
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS1.2".to_owned(),
        other => format!("{other:?}"),
    };
    let cipher = connection
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str())
        .map(|name| name.replacen("TLS13_", "TLS_", 1))
        .unwrap_or_default();
    (version, cipher)
}

/// TLS of HTTP submission, with one certificate.
pub struct HttpTls(Tls);

impl HttpTls {
    /// TLS for HTTP/1.1 with this certificate; clients are not asked for theirs.
    ///
    /// # Errors
    /// Where the certificate cannot be used.
    pub fn new(certificate: Arc<CertifiedKey>, options: &TlsOptions) -> Result<HttpTls, rustls::Error> {
        let mut tls = Tls::new(certificate, options, false)?;
        let config = Arc::make_mut(&mut tls.config);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(HttpTls(tls))
    }

    /// Its configuration.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.config)
    }

    /// Whether it has this certificate.
    pub fn is_of(&self, certificate: &Arc<CertifiedKey>) -> bool {
        self.0.is_of(certificate)
    }

    /// What is worth telling about an established connection.
    pub fn facts(&self, connection: &ServerConnection) -> TlsFacts {
        self.0.facts(connection)
    }
}

/// Asks for a certificate and takes any, or none: what one proves is decided later, by [`proven`], and a certificate that
/// proves nothing must not keep mail from coming. That the client has its key is seen to here.
#[derive(Debug)]
struct Ask(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for Ask {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

/// What a client's chain proves: its key, and where it leads to one of the roots, the DNS names of the certificate.
pub(crate) fn proven(chain: &[CertificateDer<'_>], roots: Option<&RootCertStore>) -> Option<PeerCertificate> {
    let (leaf, intermediates) = chain.split_first()?;
    let leaf = EndEntityCert::try_from(leaf).ok()?;
    let key = Sha256::digest(leaf.subject_public_key_info().as_ref()).into();
    let trusted = |usage: KeyUsage| {
        let algorithms = provider().signature_verification_algorithms.all;
        roots.is_some_and(|roots| {
            let now = UnixTime::now();
            leaf.verify_for_usage(algorithms, &roots.roots, intermediates, now, usage, None, None).is_ok()
        })
    };
    // Public authorities no longer issue certificates for clients; mail servers show those that they have as servers.
    let domains = match trusted(KeyUsage::client_auth()) || trusted(KeyUsage::server_auth()) {
        true => leaf.valid_dns_names().take(MOST_NAMES).filter_map(message::canonical_domain).collect(),
        false => Vec::new(),
    };
    Some(PeerCertificate { key, domains })
}

/// SHA-256 of the public key of a certificate: what direct trust pins.
pub fn key_digest(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let leaf = EndEntityCert::try_from(certificate).ok()?;
    Some(Sha256::digest(leaf.subject_public_key_info().as_ref()).into())
}

/// `tls-server-end-point` (RFC 5929 §4.1): the certificate, hashed as its signature is, but never by MD5 or SHA-1. `None`
/// for signatures without a hash of their own, where the binding is not defined.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OID, … }, signatureValue }
    let (body, _) = element(certificate, 0x30)?;
    let (_, rest) = element(body, 0x30)?;
    let (algorithm, _) = element(rest, 0x30)?;
    let (oid, _) = element(algorithm, 0x06)?;
    const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04];
    let (family, kind) = match (oid.strip_prefix(RSA), oid.strip_prefix(ECDSA)) {
        (Some(kind), _) => ('r', kind),
        (_, Some(kind)) => ('e', kind),
        _ => return None,
    };
    match (family, kind) {
        ('r', [4 | 5 | 11]) | ('e', [1] | [3, 2]) => Some(Sha256::digest(certificate).to_vec()),
        ('r', [12]) | ('e', [3, 3]) => Some(Sha384::digest(certificate).to_vec()),
        ('r', [13]) | ('e', [3, 4]) => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(algorithm: &'static rcgen::SignatureAlgorithm) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_is_hashed_as_it_was_signed() {
        let p256 = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&p256), Some(Sha256::digest(&p256).to_vec()));
        let p384 = certificate(&rcgen::PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&p384), Some(Sha384::digest(&p384).to_vec()));
    }

    #[test]
    fn a_signature_without_a_hash_gives_no_binding() {
        assert_eq!(end_point(&certificate(&rcgen::PKCS_ED25519)), None);
    }

    #[test]
    fn what_is_no_certificate_gives_no_binding() {
        for octets in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x03\x30\x00\x30", b"\x30\x84\xff\xff\xff\xff\x30"] {
            assert_eq!(end_point(octets), None);
        }
    }

    #[test]
    fn a_certificate_of_nobody_we_trust_proves_its_key_and_no_name() {
        let own = certificate(&rcgen::PKCS_ECDSA_P256_SHA256);
        let proven = proven(std::slice::from_ref(&own), None).unwrap();
        assert_eq!(Some(proven.key), key_digest(&own));
        assert_eq!(proven.domains, Vec::<String>::new());
    }
}
