//! `[tls]`: the certificate, which is taken anew while the server runs, and how TLS is spoken; whom to trust about others.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use transport::TlsOptions;
use transport::certificate::{self, LiveCertificate};
use transport::delivery::Roots;

use crate::cli::fault::Failure;
use crate::node::Node;

/// Where Debian has the authorities that programs trust.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The certificate of `[tls]`, if one is configured.
pub fn configured_certificate(node: &Node) -> Result<Option<Arc<LiveCertificate>>, Failure> {
    let tls = &node.loaded.config.tls;
    let (Some(chain), Some(key)) = (&tls.certificate, &tls.key) else { return Ok(None) };
    let (chain, key) = (node.loaded.path(chain), node.loaded.path(key));
    let read =
        certificate::load(&chain, &key).map_err(|e| Failure::new(e.to_string()).help("check [tls] in procura.toml"))?;
    Ok(Some(Arc::new(LiveCertificate::of_files(read, &chain, &key))))
}

/// The certificate that the node signed itself, made now if it is not there.
pub fn own_certificate(directory: &Path, hostname: &str) -> Result<Arc<LiveCertificate>, Failure> {
    let (chain, key) = (directory.join("certificate.pem"), directory.join("certificate.key"));
    let names = [hostname.to_owned(), "localhost".to_owned(), "127.0.0.1".to_owned()];
    let (read, _) = certificate::load_or_generate(&chain, &key, &names).map_err(|e| {
        Failure::new(e.to_string()).help("remove both files, and new ones are made; or name others under [tls]")
    })?;
    Ok(Arc::new(LiveCertificate::of_files(read, &chain, &key)))
}

/// How TLS is spoken.
pub fn options(node: &Node) -> Result<TlsOptions, Failure> {
    let tls = &node.loaded.config.tls;
    let partner_roots = match &tls.partner_roots {
        Some(path) => {
            let roots = certificate::roots(&node.loaded.path(path))
                .map_err(|e| Failure::new(e.to_string()).help("check [tls] partner_roots in procura.toml"))?;
            Some(Arc::new(roots))
        }
        None => None,
    };
    Ok(TlsOptions { only_13: tls.min_version == "1.3", partner_roots })
}

/// The authorities of next hops: those of `[delivery]`, else those of the system, if it has any.
pub fn delivery_roots(node: &Node) -> Result<Option<Roots>, Failure> {
    let Some(path) = &node.loaded.config.delivery.roots else { return Ok(Roots::read(Path::new(SYSTEM_ROOTS)).ok()) };
    let path = node.loaded.path(path);
    let failed = |e| Failure::new(format!("{}: {e}", path.display())).help("check [delivery] roots in procura.toml");
    Roots::read(&path).map(Some).map_err(failed)
}

/// Looks at the files of the certificate every so many seconds, and whenever it is told to through what is returned. It ends
/// when that is dropped.
pub fn follow(certificate: Arc<LiveCertificate>, seconds: u32) -> Result<Sender<()>, Failure> {
    let (now, told) = channel::<()>();
    let pause = if seconds == 0 { Duration::MAX } else { Duration::from_secs(seconds.into()) };
    thread::Builder::new()
        .name("certificate".into())
        .spawn(move || {
            loop {
                let always = match told.recv_timeout(pause) {
                    Ok(()) => true,
                    Err(RecvTimeoutError::Timeout) => false,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                match certificate.reload(always) {
                    Ok(true) => tracing::info!("a new certificate is in use"),
                    Ok(false) if always => tracing::info!("the certificate is the one in use"),
                    Ok(false) => {}
                    Err(error) => tracing::error!(%error, "the new certificate cannot be used; the old one stays"),
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(now)
}
