//! What the source has to be told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use directory::import::AttributeMap;
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::tickets::Tickets;

/// Settings of the source.
#[derive(Clone)]
pub struct Settings {
    /// Domain controllers, in the order in which they are tried. Each serves one domain; those of several domains of a
    /// forest make several domains here. A global catalog serves those of its forest for which no domain controller is named,
    /// as far as it knows them.
    pub servers: Vec<Address>,
    /// Who reads and writes: DN, user principal name or `DOMAIN\name`.
    pub account: String,
    /// The account's password.
    pub password: Zeroizing<String>,
    /// Where the account logs on by Kerberos instead: its tickets.
    pub tickets: Option<Arc<dyn Tickets>>,
    /// Whose certificates are believed.
    pub tls: Arc<ClientConfig>,
    /// Attributes of ours that have other names there.
    pub map: AttributeMap,
    /// How long a server may take for anything.
    pub patience: Duration,
    /// How often changes are looked for.
    pub poll: Duration,
    /// Domain controllers are asked to tell when something changes, so that it is looked for at once.
    pub notify: bool,
    /// Objects on a page.
    pub page: u32,
    /// After how long a state that could not be refreshed is called old.
    pub max_age: Duration,
    /// After how long nothing is decided on it any more.
    pub stale_limit: Duration,
    /// How often everything is read again and compared.
    pub check: Duration,
    /// How often at most it is asked which objects are still there, where deletions are not told for certain; zero: never.
    pub list: Duration,
}

/// Where a domain controller is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Its name, which its certificate must have, or IP address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What keeps what is said from others.
    pub security: Security,
}

/// What keeps what is said from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// TLS from the first octet (`ldaps://`).
    Tls,
    /// TLS by StartTLS on a plain connection (`ldap://`).
    StartTls,
    /// Kerberos, which seals everything (`ldap+kerberos://`).
    Kerberos,
}

/// Why a setting cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// It is no address of a domain controller.
    #[error(
        "`{0}` is no address of a domain controller: write ldaps://dc1.example.com, ldap://… for StartTLS, or \
         ldap+kerberos://… for what Kerberos seals"
    )]
    Address(String),
    /// A file cannot be read.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

impl Address {
    /// Reads `ldaps://host[:port]`, `ldap://host[:port]` or `ldap+kerberos://host[:port]`. Nothing is ever sent in clear.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse(text: &str) -> Result<Address, SettingsError> {
        let wrong = || SettingsError::Address(text.to_owned());
        let (security, rest) = match text.split_once("://") {
            Some(("ldaps", rest)) => (Security::Tls, rest),
            Some(("ldap", rest)) => (Security::StartTls, rest),
            Some(("ldap+kerberos", rest)) => (Security::Kerberos, rest),
            _ => return Err(wrong()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let usual = if security == Security::Tls { 636 } else { 389 };
        let port = port.map_or(Some(usual), |port| port.parse().ok().filter(|port| *port > 0)).ok_or_else(wrong)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(wrong());
        }
        Ok(Address { host: host.to_owned(), port, security })
    }
}

impl Settings {
    /// Hosts that answer for a realm of Kerberos: the domain controllers of that domain, by their names, else all of them.
    pub fn kdcs(&self, realm: &str) -> Vec<String> {
        let is_of = |host: &&String| host.split_once('.').is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(realm));
        let hosts = || self.servers.iter().map(|address| &address.host);
        let own: Vec<String> = hosts().filter(is_of).cloned().collect();
        let mut hosts = if own.is_empty() { hosts().cloned().collect() } else { own };
        hosts.dedup();
        hosts
    }
}

impl Address {
    /// Whether it is the port of a global catalog, where a domain controller answers for all domains of its forest
    /// (MS-ADTS 3.1.1.3.1.10).
    pub fn is_catalog(&self) -> bool {
        self.port == 3268 || self.port == 3269
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (scheme, usual) = match self.security {
            Security::Tls => ("ldaps", 636),
            Security::StartTls => ("ldap", 389),
            Security::Kerberos => ("ldap+kerberos", 389),
        };
        match self.port {
            port if port == usual => write!(f, "{scheme}://{}", self.host),
            port => write!(f, "{scheme}://{}:{port}", self.host),
        }
    }
}

/// TLS that believes the authorities in a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub fn tls(roots: &Path) -> Result<Arc<ClientConfig>, SettingsError> {
    let wrong = |reason: String| SettingsError::File { path: roots.to_owned(), reason };
    let mut store = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(roots).map_err(|e| wrong(e.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| wrong(e.to_string()))?;
        // A bundle of a system may hold what cannot be an authority here.
        let _ = store.add(certificate);
    }
    if store.is_empty() {
        return Err(wrong("it holds no certificate of an authority".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(config.with_root_certificates(store).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_and_without_port() {
        let read = |text: &str| Address::parse(text).map(|a| (a.host, a.port, a.security)).ok();
        assert_eq!(read("ldaps://dc1.example.com"), Some(("dc1.example.com".into(), 636, Security::Tls)));
        assert_eq!(read("ldap://dc1:3389/"), Some(("dc1".into(), 3389, Security::StartTls)));
        assert_eq!(read("ldaps://[::1]:1636"), Some(("::1".into(), 1636, Security::Tls)));
        assert_eq!(read("ldap+kerberos://dc1"), Some(("dc1".into(), 389, Security::Kerberos)));
        assert_eq!(read("dc1.example.com"), None);
        assert_eq!(read("ldaps://dc1/path"), None);
        assert_eq!(read("ldaps://:636"), None);
    }
}
