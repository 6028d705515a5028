//! HTTPS for what delivery needs to know: tokens and policies. No redirection is followed: who is asked is who answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use crate::certificate::provider;

/// Nobody waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Requests at the same time.
pub(super) const AT_A_TIME: usize = 8;
/// The largest answer that is read, in octets.
const LARGEST: u64 = 256 << 10;

/// Authorities whose certificates prove names.
#[derive(Debug, Clone)]
pub struct Roots {
    store: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Roots {
    /// Reads authorities from a file, PEM. Those that cannot be used are left out.
    ///
    /// # Errors
    /// The file cannot be read, or there is none in it.
    pub fn read(path: &Path) -> io::Result<Roots> {
        let certificates = CertificateDer::pem_slice_iter(&std::fs::read(path)?).collect::<Result<Vec<_>, _>>();
        let certificates =
            certificates.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let roots = Roots::new(certificates);
        match roots.store.is_empty() {
            true => Err(io::Error::new(io::ErrorKind::InvalidData, "there is no certificate of an authority in it")),
            false => Ok(roots),
        }
    }

    /// These authorities.
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Roots {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(certificates.iter().cloned());
        Roots { store, certificates }
    }

    pub(super) fn store(&self) -> &RootCertStore {
        &self.store
    }
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Gets what stands at a URL, from one of these addresses, whatever the URL says of its port. Blocks.
pub(super) fn get(url: &str, addresses: Vec<SocketAddr>, roots: Option<&Roots>) -> Result<Answer, String> {
    let agent = Agent::with_parts(config(roots), DefaultConnector::new(), Fixed(addresses));
    read(url, agent.get(url).call())
}

/// Sends a form. Blocks.
pub(super) fn post(url: &str, form: &[(&str, &str)], roots: Option<&Roots>) -> Result<Answer, String> {
    read(url, config(roots).new_agent().post(url).send_form(form.iter().copied()))
}

fn read(url: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, String> {
    let failed = |error: ureq::Error| format!("{url}: {error}");
    let mut response = answer.map_err(failed)?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)?;
    Ok(Answer { status, body })
}

fn config(roots: Option<&Roots>) -> Config {
    let certificates = roots.map(|roots| roots.certificates.iter()).into_iter().flatten();
    let certificates: Vec<Certificate<'static>> =
        certificates.map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certificates)))
        .unversioned_rustls_crypto_provider(provider())
        .build();
    Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .http_status_as_error(false)
        .proxy(None)
        .tls_config(tls)
        .build()
}

/// Addresses that were asked for before.
#[derive(Debug)]
struct Fixed(Vec<SocketAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut addresses = self.empty();
        self.0.iter().take(8).for_each(|address| addresses.push(*address));
        match addresses.is_empty() {
            true => Err(ureq::Error::HostNotFound),
            false => Ok(addresses),
        }
    }
}

/// The addresses of a server, at the usual port of https.
pub(super) fn https(addresses: Vec<IpAddr>) -> Vec<SocketAddr> {
    addresses.into_iter().map(|ip| SocketAddr::new(ip, 443)).collect()
}
