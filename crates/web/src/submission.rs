//! Submission of mail by HTTP: a listener of its own, `POST /v1/messages`, `GET /v1/messages/{id}` and the description of
//! both (`/v1/openapi.json`). What is decided is decided in [`transport::submission`].

mod api;
mod body;
mod draft;
mod envelope;
mod listener;
mod problem;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use transport::certificate::LiveCertificate;
use transport::submission::Submissions;
use transport::{HttpTls, TlsOptions};

#[doc(hidden)]
pub use draft::compose_for_tests;

/// The description of the interface, OpenAPI 3.1.
pub const OPENAPI: &str = include_str!("../../../docs/src/openapi.json");

/// Octets of JSON that are held in memory at a time, over all requests.
const JSON_BUDGET: usize = 96 << 20;

/// Where and how submission by HTTP is served.
pub struct SubmissionServerOptions {
    /// The address.
    pub address: SocketAddr,
    /// The certificate for TLS; `None`: plain HTTP.
    pub certificate: Option<Arc<LiveCertificate>>,
    /// How TLS is spoken.
    pub tls: TlsOptions,
    /// Reverse proxies: they name their client in `X-Forwarded-For`. Where there are any, nobody else may connect.
    pub proxies: Vec<IpAddr>,
}

/// Why submission is not served.
#[derive(Debug, Error)]
pub enum SubmissionError {
    /// The address cannot be listened on.
    #[error("HTTP submission cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Tokens would go over the network for everybody to read.
    #[error("plain HTTP on {0} would show tokens to the network")]
    Plain(SocketAddr),
    /// The certificate cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The thread or its loop cannot be started.
    #[error("HTTP submission cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// Submission at work. Dropped, it takes no more, and ends after what is under way.
pub struct SubmissionServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What all requests share.
pub(crate) struct Site {
    pub(crate) submissions: Arc<Submissions>,
    /// In KiB.
    pub(crate) memory: Semaphore,
}

impl SubmissionServer {
    /// Listens and answers.
    ///
    /// # Errors
    /// [`SubmissionError::Plain`] for an address that others than this machine reach, without TLS and without proxies.
    pub fn start(
        options: SubmissionServerOptions,
        submissions: Arc<Submissions>,
    ) -> Result<SubmissionServer, SubmissionError> {
        let asked = options.address;
        if options.certificate.is_none() && options.proxies.is_empty() && !asked.ip().is_loopback() {
            return Err(SubmissionError::Plain(asked));
        }
        if let Some(certificate) = &options.certificate {
            HttpTls::new(certificate.current(), &options.tls)?;
        }
        let bind = |source| SubmissionError::Bind { address: asked, source };
        let socket = std::net::TcpListener::bind(asked).map_err(bind)?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let site = Arc::new(Site { submissions, memory: Semaphore::new(JSON_BUDGET >> 10) });
        let thread = std::thread::Builder::new().name("submission".into()).spawn(move || {
            runtime.block_on(listener::serve(socket, options, api::routes(site), stopped));
        })?;
        Ok(SubmissionServer { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for SubmissionServer {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of HTTP submission panicked");
        }
    }
}
