//! Reading the body of a request: bounded in size and in time, and hashed on the way.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::problem::Problem;

/// A client that sends nothing for so long is gone.
const IDLE: Duration = Duration::from_secs(60);
/// What a client still sends of a request that was refused is read for so long, lest it miss the answer.
const LINGER: Duration = Duration::from_secs(2);
/// ... and up to so many octets.
const LINGER_OCTETS: u64 = 4 << 20;

/// The body of a request.
pub(super) struct Reading {
    body: Body,
    hash: Sha256,
    read: u64,
    limit: u64,
}

impl Reading {
    /// Reads up to `limit` octets. `about`: what else makes the request what it is.
    pub(super) fn new(body: Body, limit: u64, about: &str) -> Reading {
        let mut hash = Sha256::new();
        hash.update(about);
        hash.update([0]);
        Reading { body, hash, read: 0, limit }
    }

    /// The next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            let frame = match timeout(IDLE, self.body.frame()).await {
                Err(_) => return Err(Problem::timed_out()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(Problem::bad_request(format!("the body broke off: {error}"))),
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            self.read = self.read.saturating_add(data.len() as u64);
            if self.read > self.limit {
                return Err(Problem::too_large(self.limit));
            }
            self.hash.update(&data);
            return Ok(Some(data));
        }
    }

    /// All of it.
    pub(super) async fn collect(&mut self, expected: Option<u64>) -> Result<Vec<u8>, Problem> {
        let room = expected.unwrap_or(0).min(self.limit);
        let mut all = Vec::with_capacity(usize::try_from(room).unwrap_or(0));
        while let Some(data) = self.next().await? {
            all.extend_from_slice(&data);
        }
        Ok(all)
    }

    /// Reads to the end and keeps nothing.
    pub(super) async fn skip(&mut self) -> Result<(), Problem> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// What was read, and what it was about: one request is the same as another where this is.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// Takes for a moment what a client still sends.
    pub(super) async fn linger(mut self) {
        self.limit = self.read.saturating_add(LINGER_OCTETS);
        let _ = timeout(LINGER, self.skip()).await;
    }
}
