//! Certificates of the server: read from PEM files, or made and signed by ourselves for the demo and a first run.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not PEM, or lacks what is looked for.
    #[error("{}: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is of a kind that cannot be used, or does not belong to the certificate.
    #[error("the private key cannot be used with the certificate: {0}")]
    Key(rustls::Error),
    /// Making a certificate failed.
    #[error("making a certificate failed: {0}")]
    Generate(#[from] rcgen::Error),
}

/// A chain and its private key as two PEM texts, as written to `*.pem` files.
pub struct GeneratedCertificate {
    /// The certificate, PEM.
    pub certificate: String,
    /// The private key (PKCS #8), PEM.
    pub key: zeroize::Zeroizing<String>,
}

/// Reads a certificate chain (leaf first) and its private key from PEM files.
pub fn load(chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificateError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(chain).and_then(Iterator::collect).map_err(|error| read_error(chain, error))?;
    if certificates.is_empty() {
        return Err(CertificateError::Pem {
            path: chain.into(),
            reason: "there is no certificate in this file".into(),
        });
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            CertificateError::Pem { path: key.into(), reason: "there is no private key in this file".into() }
        }
        error => read_error(key, error),
    })?;
    let certified = CertifiedKey::from_der(certificates, key, &provider()).map_err(CertificateError::Key)?;
    Ok(Arc::new(certified))
}

/// Makes a self-signed certificate (ECDSA P-256) for these DNS names and IP addresses. The first name is the subject.
pub fn generate(names: &[String]) -> Result<GeneratedCertificate, CertificateError> {
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(names.to_vec())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(subject) = names.first() {
        params.distinguished_name.push(rcgen::DnType::CommonName, subject.as_str());
    }
    let certificate = params.self_signed(&key)?;
    Ok(GeneratedCertificate { certificate: certificate.pem(), key: zeroize::Zeroizing::new(key.serialize_pem()) })
}

/// Loads the pair of files, or makes a self-signed pair for `names` and writes it if neither file exists.
/// The key file is readable by its owner only. Returns the pair and whether it was made now.
pub fn load_or_generate(
    chain: &Path,
    key: &Path,
    names: &[String],
) -> Result<(Arc<CertifiedKey>, bool), CertificateError> {
    if chain.exists() || key.exists() {
        return Ok((load(chain, key)?, false));
    }
    let generated = generate(names)?;
    write_new(key, generated.key.as_bytes(), 0o600)?;
    write_new(chain, generated.certificate.as_bytes(), 0o644)?;
    Ok((load(chain, key)?, true))
}

/// A certificate that may be exchanged while it is in use.
#[derive(Debug)]
pub struct LiveCertificate {
    current: ArcSwap<CertifiedKey>,
    files: Mutex<Option<(PathBuf, PathBuf)>>,
    /// What the files looked like when they were read last, with or without success.
    seen: Mutex<Option<[Stamp; 2]>>,
}

/// Which state of a file: device, inode, length, time of its content and of its inode in nanoseconds.
type Stamp = (u64, u64, u64, i128, i128);

impl LiveCertificate {
    /// A certificate that stays what it is.
    pub fn fixed(certificate: Arc<CertifiedKey>) -> LiveCertificate {
        LiveCertificate { current: ArcSwap::new(certificate), files: Mutex::new(None), seen: Mutex::new(None) }
    }

    /// A certificate that was read from these files a moment ago, and follows them from now on.
    pub fn of_files(certificate: Arc<CertifiedKey>, chain: &Path, key: &Path) -> LiveCertificate {
        let files = Mutex::new(Some((chain.to_owned(), key.to_owned())));
        let seen = Mutex::new(stamps(chain, key).ok());
        LiveCertificate { current: ArcSwap::new(certificate), files, seen }
    }

    /// The certificate now.
    pub fn current(&self) -> Arc<CertifiedKey> {
        self.current.load_full()
    }

    /// The files that it is read from.
    pub fn files(&self) -> Option<(PathBuf, PathBuf)> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows these files from now on; they are read at the next [`LiveCertificate::reload`].
    pub fn follow(&self, chain: &Path, key: &Path) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Some((chain.to_owned(), key.to_owned()));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// When it ends, in seconds since the Unix epoch; `None` if it cannot be read.
    pub fn ends(&self) -> Option<i64> {
        validity(self.current().cert.first()?).map(|(_, end)| end)
    }

    /// Reads the files again, if they changed since they were read last or if `always`, and takes what is in them; whether
    /// it did. A pair that cannot be used is an error and changes nothing, and is not tried again before it changes.
    pub fn reload(&self, always: bool) -> Result<bool, CertificateError> {
        let Some((chain, key)) = &self.files() else { return Ok(false) };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before they are read: what changes in between is read the next time.
        let now = stamps(chain, key).ok();
        if !always && now == *seen {
            return Ok(false);
        }
        *seen = now;
        let read = load(chain, key)?;
        if read.cert == self.current().cert {
            return Ok(false);
        }
        self.current.store(read);
        Ok(true)
    }
}

/// From when to when a certificate is valid, in seconds since the Unix epoch.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let validity = parsed.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// The DNS names that a certificate is for.
pub fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, parsed)) = x509_parser::parse_x509_certificate(certificate) else { return Vec::new() };
    let names = parsed.subject_alternative_name().ok().flatten().map(|names| &names.value.general_names);
    let dns = |name: &x509_parser::extensions::GeneralName<'_>| match name {
        x509_parser::extensions::GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.into_iter().flatten().filter_map(dns).collect()
}

/// Whether a certificate is signed by itself.
pub fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    x509_parser::parse_x509_certificate(certificate).is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}

fn stamps(chain: &Path, key: &Path) -> io::Result<[Stamp; 2]> {
    let stamp = |path: &Path| -> io::Result<Stamp> {
        let of = std::fs::metadata(path)?;
        let time = |seconds: i64, nanoseconds: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Ok((of.dev(), of.ino(), of.len(), time(of.mtime(), of.mtime_nsec()), time(of.ctime(), of.ctime_nsec())))
    };
    Ok([stamp(chain)?, stamp(key)?])
}

/// Certificates of authorities from a PEM file.
pub fn roots(path: &Path) -> Result<RootCertStore, CertificateError> {
    let certificates: Vec<CertificateDer<'static>> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| read_error(path, error))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(CertificateError::Pem { path: path.into(), reason: "there is no certificate in this file".into() });
    }
    Ok(roots)
}

/// The one cryptography provider of the process.
pub fn provider() -> Arc<CryptoProvider> {
    if let Some(provider) = CryptoProvider::get_default() {
        return Arc::clone(provider);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // Losing the race means that another thread installed the same provider.
    let _ = CryptoProvider::install_default(provider.as_ref().clone());
    CryptoProvider::get_default().map_or(provider, Arc::clone)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> Result<(), CertificateError> {
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content)?;
        file.sync_all()?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    };
    write().map_err(|source| CertificateError::File { path: path.into(), source })
}

fn read_error(path: &Path, error: pem::Error) -> CertificateError {
    match error {
        pem::Error::Io(source) => CertificateError::File { path: path.into(), source },
        other => CertificateError::Pem { path: path.into(), reason: other.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_pair_is_written_once_and_loaded_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        let names = ["mail.example.com".to_owned(), "127.0.0.1".to_owned()];
        let (first, made) = load_or_generate(&chain, &key, &names).unwrap();
        assert!(made);
        let (second, made) = load_or_generate(&chain, &key, &names).unwrap();
        assert!(!made);
        assert_eq!(first.cert, second.cert);
    }

    #[test]
    fn the_key_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        load_or_generate(&chain, &key, &["localhost".to_owned()]).unwrap();
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_without_a_certificate_is_named_in_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        load_or_generate(&chain, &key, &["localhost".to_owned()]).unwrap();
        std::fs::write(&chain, "nothing here").unwrap();
        let error = load(&chain, &key).unwrap_err().to_string();
        assert!(error.contains("server.pem") && error.contains("no certificate"), "{error}");
        let error = load(&folder.path().join("absent.pem"), &key).unwrap_err().to_string();
        assert!(error.contains("absent.pem"), "{error}");
    }

    #[test]
    fn a_new_pair_of_files_is_taken_and_a_bad_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("server.pem"), folder.path().join("server.key"));
        let (first, _) = load_or_generate(&chain, &key, &["localhost".to_owned()]).unwrap();
        let live = LiveCertificate::of_files(Arc::clone(&first), &chain, &key);
        assert!(!live.reload(false).unwrap(), "nothing changed");

        // Half of a new pair, as it is between two writes.
        let other = generate(&["localhost".to_owned()]).unwrap();
        std::fs::write(&chain, &other.certificate).unwrap();
        assert!(matches!(live.reload(false), Err(CertificateError::Key(_))));
        assert_eq!(live.current().cert, first.cert);
        assert!(!live.reload(false).unwrap(), "the same bad pair is not complained of again");

        std::fs::write(&key, other.key.as_bytes()).unwrap();
        assert!(live.reload(false).unwrap());
        assert_ne!(live.current().cert, first.cert);

        std::fs::remove_file(&key).unwrap();
        let kept = live.current();
        assert!(live.reload(true).is_err());
        assert_eq!(live.current().cert, kept.cert);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = (folder.path().join("a.pem"), folder.path().join("a.key"));
        let (_, other) = (folder.path().join("b.pem"), folder.path().join("b.key"));
        load_or_generate(&chain, &key, &["localhost".to_owned()]).unwrap();
        load_or_generate(&folder.path().join("b.pem"), &other, &["localhost".to_owned()]).unwrap();
        assert!(matches!(load(&chain, &other), Err(CertificateError::Key(_))));
    }
}
