//! Getting a key set from a URL.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::certificate::provider;

/// Gets what stands at a URL, vouched for by these authorities; the error is in words.
pub type Fetch = Box<dyn FnMut(&str, &[CertificateDer<'static>]) -> Result<Vec<u8>, String> + Send>;

/// The largest key set that is read, in octets.
const LARGEST: u64 = 1 << 20;
/// Longer than this nobody waits for keys.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fetches by HTTPS; from the loopback addresses by HTTP as well.
pub fn https() -> Fetch {
    Box::new(get)
}

fn get(url: &str, roots: &[CertificateDer<'static>]) -> Result<Vec<u8>, String> {
    let local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
    if !url.starts_with("https://") && !local.iter().any(|prefix| url.starts_with(prefix)) {
        return Err(format!("{url}: only https is believed"));
    }
    let roots: Vec<Certificate<'static>> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider())
        .build();
    // Not redirected: whoever is configured is asked.
    let config = Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(0).tls_config(tls).build();
    let failed = |error: ureq::Error| format!("{url}: {error}");
    let mut response = config.new_agent().get(url).call().map_err(failed)?;
    if response.status() != 200 {
        return Err(format!("{url}: status {}", response.status().as_u16()));
    }
    response.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(failed)
}
