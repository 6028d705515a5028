//! Connections: TLS, who the client is behind a proxy, and how long it may take.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use session::TlsFacts;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use transport::HttpTls;
use transport::submission::Client;

use super::SubmissionServerOptions;

/// Connections at a time; more wait to be accepted.
const MOST_CONNECTIONS: usize = 1024;
/// Connections of one source, unless it is a proxy.
const MOST_OF_SOURCE: usize = 128;
/// A TLS handshake takes no longer.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A request has said what it wants after this time; an idle connection is closed then.
const HEADER: Duration = Duration::from_secs(30);
/// What is under way may take so long when the server stops.
const GRACE: Duration = Duration::from_secs(20);
/// Too many open files: wait before accepting again.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Serves until it is stopped.
pub(super) async fn serve(
    socket: std::net::TcpListener,
    options: SubmissionServerOptions,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "HTTP submission cannot listen"),
    };
    let door = Arc::new(Door { options, tls: Mutex::new(None), open: Mutex::default() });
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = stopped(&mut stop) => break,
            _ = connections.join_next(), if connections.len() >= MOST_CONNECTIONS => continue,
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => accepted,
        };
        match accepted {
            Ok((stream, remote)) => {
                let Some(seat) = door.seat(remote.ip().to_canonical()) else {
                    tracing::info!(client = %remote, "an HTTP connection was turned away");
                    continue;
                };
                connections.spawn(connection(Arc::clone(&door), stream, remote, router.clone(), stop.clone(), seat));
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::error!(%error, "HTTP submission cannot accept connections");
                sleep(EXHAUSTED).await;
            }
        }
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, ended).await.is_err() {
        tracing::warn!("HTTP submissions did not end in time");
    }
}

/// Resolves when the server is to stop, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Who may come in, and how.
struct Door {
    options: SubmissionServerOptions,
    /// With the present certificate.
    tls: Mutex<Option<Arc<HttpTls>>>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection of a source, for as long as it lives.
struct Seat {
    door: Arc<Door>,
    source: IpAddr,
}

impl Door {
    fn seat(self: &Arc<Door>, source: IpAddr) -> Option<Seat> {
        let proxy = self.options.proxies.contains(&source);
        if !proxy && !self.options.proxies.is_empty() {
            return None;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(source).or_default();
        if *count >= MOST_OF_SOURCE && !proxy {
            return None;
        }
        *count += 1;
        Some(Seat { door: Arc::clone(self), source })
    }

    /// TLS, with the certificate of now.
    fn tls(&self) -> Option<Result<Arc<HttpTls>, rustls::Error>> {
        let certificate = self.options.certificate.as_ref()?.current();
        let mut made = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tls) = made.as_ref().filter(|tls| tls.is_of(&certificate)) {
            return Some(Ok(Arc::clone(tls)));
        }
        Some(HttpTls::new(certificate, &self.options.tls).map(|tls| Arc::clone(made.insert(Arc::new(tls)))))
    }

    /// The client of a request: behind a proxy, the one that the proxy names last.
    fn client(&self, request: &Request, client: &Client) -> Client {
        let mut client = client.clone();
        if self.options.proxies.contains(&client.remote.ip().to_canonical()) {
            let named = request.headers().get_all("x-forwarded-for").iter().next_back();
            let last = named.and_then(|named| named.to_str().ok()?.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
            if let Some(address) = last {
                client.remote = SocketAddr::new(address.to_canonical(), 0);
            }
        }
        client
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.door.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.source);
            }
        }
    }
}

async fn connection(
    door: Arc<Door>,
    stream: TcpStream,
    remote: SocketAddr,
    router: Router,
    stop: watch::Receiver<bool>,
    seat: Seat,
) {
    let Ok(local) = stream.local_addr() else { return };
    let remote = SocketAddr::new(remote.ip().to_canonical(), remote.port());
    let _ = stream.set_nodelay(true);
    match door.tls() {
        None => http(&door, stream, Client { remote, local, tls: None }, router, stop).await,
        Some(Err(error)) => tracing::error!(%error, "TLS cannot be set up for HTTP submission"),
        Some(Ok(tls)) => match timeout(HANDSHAKE, TlsAcceptor::from(tls.config()).accept(stream)).await {
            Ok(Ok(stream)) => {
                let facts: TlsFacts = tls.facts(stream.get_ref().1);
                http(&door, stream, Client { remote, local, tls: Some(facts) }, router, stop).await;
            }
            Ok(Err(error)) => tracing::info!(client = %remote, %error, "the TLS handshake of HTTP failed"),
            Err(_) => tracing::info!(client = %remote, "the TLS handshake of HTTP took too long"),
        },
    }
    drop(seat);
}

async fn http(
    door: &Arc<Door>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let (door, of) = (Arc::clone(door), client.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(axum::body::Body::new);
        let client = door.client(&request, &of);
        request.extensions_mut().insert(client);
        let router = TowerToHyperService::new(router.clone());
        async move { router.call(request).await }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER).max_buf_size(64 << 10).half_close(false);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(client = %client.remote, %error, "an HTTP connection broke");
    }
}
