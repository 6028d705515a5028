//! `[submission]` and `[webhooks]`: mail that comes by HTTP, and the news of what became of mail.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use admin::Service;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use store::ApiToken;
use transport::certificate::LiveCertificate;
use transport::submission::{SubmissionOptions, TokenSource};
use transport::{Server, TlsOptions};
use web::submission::{SubmissionError, SubmissionServer, SubmissionServerOptions};
use web::{Poster, PosterOptions};

use crate::cli::fault::Failure;
use crate::node::{self, Node};
use crate::tokens::SYSTEM_ROOTS;

/// Milliseconds during which the use of a token is noted once.
const NOTED_AGAIN: i64 = 60_000;

/// How submission is set up, where `[submission] listen` wants it.
pub fn submission(node: &Node, service: &Arc<Service>, hostname: &str) -> Option<SubmissionOptions> {
    let config = &node.loaded.config.submission;
    config.listen.as_ref()?;
    Some(SubmissionOptions {
        connector: connector("submission", config.connector.as_deref(), service, hostname),
        per_minute: config.per_minute,
        keys_last: Duration::from_secs(u64::from(config.idempotency_hours) * 3600),
        tokens: Box::new(KnownTokens(Arc::clone(service))),
    })
}

/// How submission by programs of this machine is set up, where `[local] socket` wants it.
pub fn local(node: &Node, service: &Service, hostname: &str) -> Option<SubmissionOptions> {
    let config = &node.loaded.config.local;
    config.socket.as_ref()?;
    Some(SubmissionOptions {
        connector: connector("local", config.connector.as_deref(), service, hostname),
        per_minute: config.per_minute,
        keys_last: Duration::ZERO,
        tokens: Box::new(NoTokens),
    })
}

/// The receive connector that counts: the configured one, else that for mail programs. `procura init` calls it `Client NAME`,
/// the demo `Client`.
fn connector(section: &str, configured: Option<&str>, service: &Service, hostname: &str) -> String {
    let snapshot = service.snapshot();
    let is_there = |name: &str| snapshot.receive_connectors().any(|(_, one)| one.name.eq_ignore_ascii_case(name));
    let usual = format!("Client {}", hostname.split('.').next().unwrap_or(hostname).to_ascii_uppercase());
    let name = match configured {
        Some(name) => name,
        None if !is_there(&usual) && is_there("Client") => "Client",
        None => &usual,
    };
    if !is_there(name) {
        tracing::warn!(
            "there is no receive connector {name}: name one under [{section}] connector; until then nothing is taken"
        );
    }
    name.to_owned()
}

/// Programs of this machine have none.
struct NoTokens;

impl TokenSource for NoTokens {
    fn find(&self, _digest: &[u8; 32]) -> Option<ApiToken> {
        None
    }
}

/// Serves submission, where it is set up.
pub fn start(
    node: &Node,
    server: &Server,
    certificate: &Arc<LiveCertificate>,
    tls: TlsOptions,
) -> Result<Option<SubmissionServer>, Failure> {
    let config = &node.loaded.config.submission;
    let (Some(listen), Some(submissions)) = (&config.listen, server.submissions()) else { return Ok(None) };
    let failed = |e: &dyn std::fmt::Display| Failure::new(e.to_string()).help("check [submission] in procura.toml");
    let address: SocketAddr = listen.parse().map_err(|e: std::net::AddrParseError| failed(&e))?;
    let proxies = config.proxies.iter().map(|proxy| proxy.parse::<IpAddr>()).collect::<Result<_, _>>();
    let options = SubmissionServerOptions {
        address,
        certificate: (!config.plain).then(|| Arc::clone(certificate)),
        tls,
        proxies: proxies.map_err(|e| failed(&e))?,
    };
    let served = SubmissionServer::start(options, submissions).map_err(|e| match e {
        SubmissionError::Plain(_) => failed(&e).help(
            "leave `plain` away, listen on a loopback address, or name the reverse proxies under [submission] proxies",
        ),
        e => failed(&e),
    })?;
    tracing::info!(address = %served.address(), tls = !config.plain, "HTTP submission listens");
    Ok(Some(served))
}

/// What posts events.
pub fn poster(node: &Node) -> Result<Poster, Failure> {
    let config = &node.loaded.config.webhooks;
    let path = match &config.roots {
        Some(path) => Some(node.loaded.path(path)),
        None => SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned),
    };
    // Without authorities no receiver can be proven: what waits for one says so.
    let roots = match path {
        None => Vec::new(),
        Some(path) => CertificateDer::pem_file_iter(&path).and_then(Iterator::collect).map_err(|error| {
            Failure::new(format!("{}: {error}", path.display())).help("check `roots` under [webhooks] in procura.toml")
        })?,
    };
    let give_up = Duration::from_secs(u64::from(config.give_up_hours) * 3600);
    Ok(Poster::new(&PosterOptions { roots, give_up }))
}

/// The tokens of the service.
struct KnownTokens(Arc<Service>);

impl TokenSource for KnownTokens {
    fn find(&self, digest: &[u8; 32]) -> Option<ApiToken> {
        self.0.api_token(digest)
    }

    fn used(&self, token: &ApiToken) {
        if token.last_used.is_some_and(|last| node::now().0 - last.0 < NOTED_AGAIN) {
            return;
        }
        let (service, token) = (Arc::clone(&self.0), token.clone());
        // The store may be busy for a while; a request does not wait for that.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = service.api_token_used(&token.digest) {
                tracing::warn!(name = token.name, %error, "the use of a token cannot be noted");
            }
        });
    }
}
