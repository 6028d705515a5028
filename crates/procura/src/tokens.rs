//! `[oauth]`: whose access tokens are believed.

use std::path::Path;
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use transport::oauth::{self, ClaimKind, KeyPlace, Provider, Tokens};

use crate::cli::fault::Failure;
use crate::config;
use crate::node::Node;

/// Where systems keep the authorities that they trust.
pub const SYSTEM_ROOTS: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The judge of tokens, where an issuer is configured.
pub fn tokens(node: &Node) -> Result<Option<Tokens>, Failure> {
    let configured = &node.loaded.config.oauth.providers;
    if configured.is_empty() {
        return Ok(None);
    }
    let providers = configured.iter().map(|(name, of)| provider(node, name, of)).collect::<Result<_, _>>()?;
    Tokens::start(providers, oauth::https()).map(Some).map_err(|e| Failure::new(e.to_string()))
}

fn provider(node: &Node, name: &str, of: &config::provider::Provider) -> Result<Provider, Failure> {
    let remote = of.keys.contains("://");
    let keys = if remote { KeyPlace::Url(of.keys.clone()) } else { KeyPlace::File(node.loaded.path(&of.keys)) };
    if let KeyPlace::File(path) = &keys
        && let Err(error) = std::fs::metadata(path)
    {
        return Err(Failure::new(format!("{}: {error}", path.display()))
            .help(format!("check `keys` of {name} under [oauth] in procura.toml")));
    }
    Ok(Provider {
        name: name.to_owned(),
        issuer: of.issuer.clone(),
        audiences: of.audience.clone(),
        keys,
        claim: of.claim.clone(),
        identity: match of.kind.as_str() {
            "login" => ClaimKind::Login,
            "sid" => ClaimKind::Sid,
            _ => ClaimKind::Address,
        },
        algorithms: of.algorithms.iter().filter_map(|name| oauth::algorithm(name)).collect(),
        skew: Duration::from_secs(of.skew_seconds.into()),
        refresh: Duration::from_secs(of.refresh_seconds.into()),
        roots: if of.keys.starts_with("https://") { roots(node, name, of)? } else { Vec::new() },
    })
}

/// The authorities that vouch for the server of the keys.
fn roots(node: &Node, name: &str, of: &config::provider::Provider) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let path = match &of.roots {
        Some(path) => node.loaded.path(path),
        None => match SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()) {
            Some(path) => path.to_owned(),
            None => {
                return Err(Failure::new(format!("[oauth] {name}: this system has no list of authorities"))
                    .help("name a PEM file with `roots`"));
            }
        },
    };
    CertificateDer::pem_file_iter(&path).and_then(Iterator::collect).map_err(|error| {
        Failure::new(format!("{}: {error}", path.display())).help(format!("check `roots` of {name} under [oauth]"))
    })
}
