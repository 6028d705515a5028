//! The listener and what it answers.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use thiserror::Error;
use tokio::sync::oneshot;
use transport::Shared;

use crate::metrics;

/// Why there is no HTTP.
#[derive(Debug, Error)]
pub enum WebError {
    /// The address cannot be listened on.
    #[error("HTTP cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The thread or its loop cannot be started.
    #[error("HTTP cannot be started: {0}")]
    Io(#[from] std::io::Error),
}

/// HTTP at work. Dropped, it stops; requests on their way get a moment to end.
pub struct Web {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Listens on `address` (port 0: any) and answers.
    pub fn start(address: SocketAddr, shared: Arc<Shared>) -> Result<Web, WebError> {
        let listener = TcpListener::bind(address).map_err(|source| WebError::Bind { address, source })?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("http".into()).spawn(move || {
            runtime.block_on(async {
                let served = match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let ended = async { drop(stopped.await) };
                        axum::serve(listener, routes(shared)).with_graceful_shutdown(ended).await
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = served {
                    tracing::error!(%error, "HTTP has ended");
                }
            });
        })?;
        Ok(Web { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // The loop ends when there is nobody left who could ask it to.
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of HTTP panicked");
        }
    }
}

fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route("/healthz", get(health)).route("/metrics", get(figures)).with_state(shared)
}

/// `200 ok` while mail can be accepted and found, `503` with the reason when it cannot.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    match shared.queue().counts() {
        Ok(_) if !shared.queue().has_room() => {
            (StatusCode::SERVICE_UNAVAILABLE, "the disk is full: mail is refused for want of space\n").into_response()
        }
        Ok(_) => (StatusCode::OK, "ok\n").into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("the queue: {error}\n")).into_response(),
    }
}

async fn figures(State(shared): State<Arc<Shared>>) -> Response {
    match metrics::text(&shared) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
