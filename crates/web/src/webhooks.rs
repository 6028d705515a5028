//! Posting events to webhooks, signed in the manner of Standard Webhooks.
//!
//! Events wait in the queue ([`transport::events`]); they are posted until the receiver says `2xx`, each webhook on its own, so
//! that one that does not answer keeps no other waiting. A receiver may get an event more than once, with the same id.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use queue::{KeptEvent, Millis, Told};
use rustls_pki_types::CertificateDer;
use sha2::Sha256;
use store::Webhook;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use transport::Shared;
use transport::certificate::provider;
use transport::events::event;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Webhooks that are posted to at a time.
const AT_ONCE: usize = 8;
/// Events posted to one in a row.
const IN_A_ROW: usize = 32;
/// Longer than this nobody waits for a receiver.
const PATIENCE: Duration = Duration::from_secs(15);
/// Octets of an answer that are read; what it says does not matter.
const ANSWER: u64 = 64 << 10;
/// Waiting times after failures of a webhook, in seconds; the last one goes on.
const BACKOFF: [u64; 9] = [5, 15, 60, 300, 900, 1800, 3600, 7200, 14_400];
/// The thread looks around at least this often.
const IDLE: Duration = Duration::from_secs(30);
/// Tickets of messages that left the queue are kept so long: what became of a message can be asked for so long.
pub const TICKETS: Duration = Duration::from_secs(7 * 24 * 3600);
/// Events that were given up are shown so long.
const GIVEN_UP: Duration = Duration::from_secs(7 * 24 * 3600);
/// What is old is tidied away so often.
const TIDY: Duration = Duration::from_secs(600);

/// How events are posted.
#[derive(Debug, Clone)]
pub struct PosterOptions {
    /// Authorities that vouch for receivers.
    pub roots: Vec<CertificateDer<'static>>,
    /// An event that could not be posted for so long is given up.
    pub give_up: Duration,
}

/// Why a receiver does not have an event.
#[derive(Debug, Error)]
pub enum PostError {
    /// The URL is neither https nor on this machine.
    #[error("only https is posted to, and http on this machine")]
    Insecure,
    /// It answered something else than success; redirections are not followed.
    #[error("status {0}")]
    Status(u16),
    /// It could not be reached, or did not answer in time.
    #[error("{0}")]
    Unreachable(String),
}

/// Posts one event.
#[derive(Debug, Clone)]
pub struct Poster {
    agent: Agent,
    give_up: Millis,
}

impl Poster {
    /// A poster with these authorities.
    pub fn new(options: &PosterOptions) -> Poster {
        let roots: Vec<Certificate<'static>> =
            options.roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .unversioned_rustls_crypto_provider(provider())
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(PATIENCE))
            // Who was named is told, and nobody else: neither whom a receiver points to, nor a proxy of the environment.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .http_status_as_error(false)
            .user_agent(concat!("Procura/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build();
        let give_up = i64::try_from(options.give_up.as_millis()).unwrap_or(i64::MAX);
        Poster { agent: config.new_agent(), give_up }
    }

    /// Posts a body; the status, if it is one of success. Blocks.
    ///
    /// # Errors
    /// Any other answer, or none.
    pub fn post(&self, webhook: &Webhook, id: &str, body: &str) -> Result<u16, PostError> {
        let local = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
        let is_local = local.iter().any(|prefix| {
            webhook.url.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/', '?']))
        });
        if !webhook.url.starts_with("https://") && !is_local {
            return Err(PostError::Insecure);
        }
        let seconds = now() / 1000;
        let signature = signature(&webhook.secret, id, seconds, body);
        let sent = self
            .agent
            .post(&webhook.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds.to_string())
            .header("webhook-signature", signature)
            .send(body);
        let mut response = sent.map_err(|error| PostError::Unreachable(error.to_string()))?;
        let status = response.status().as_u16();
        // Read, so that the connection can be used again; what does not fit ends it.
        let _ = response.body_mut().as_reader().take(ANSWER).read_to_end(&mut Vec::new());
        match (200..300).contains(&status) {
            true => Ok(status),
            false => Err(PostError::Status(status)),
        }
    }

    /// Posts a test; the status, or why there is none.
    ///
    /// # Errors
    /// As [`Poster::post`].
    pub fn test(&self, webhook: &Webhook) -> Result<u16, PostError> {
        let data = serde_json::json!({ "url": webhook.url });
        let event = event(webhook, Webhook::TEST, now(), &data);
        self.post(webhook, &event.id, &event.body)
    }
}

/// `v1` and the HMAC-SHA-256 of id, time and body, in base64 (Standard Webhooks).
fn signature(secret: &[u8], id: &str, seconds: i64, body: &str) -> String {
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret) {
        Ok(mac) => mac,
        // Keys of any length are taken.
        Err(_) => return String::new(),
    };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// Posting at work. Dropped, it ends after what is under way.
pub struct Webhooks {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Webhooks {
    /// Starts to post what waits.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start(poster: Poster, shared: Arc<Shared>) -> std::io::Result<Webhooks> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(AT_ONCE)
            .thread_name("webhook")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let thread = std::thread::Builder::new().name("webhooks".into()).spawn(move || {
            let round = Round { poster, shared, busy: JoinSet::new(), states: HashMap::new() };
            runtime.block_on(round.run(stopped));
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        Ok(Webhooks { stop, thread: Some(thread) })
    }
}

impl Drop for Webhooks {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of webhooks panicked");
        }
    }
}

struct Round {
    poster: Poster,
    shared: Arc<Shared>,
    /// Each gives the webhook's id, and whether it took what it was posted.
    busy: JoinSet<(String, bool)>,
    states: HashMap<String, State>,
}

/// What is known of a webhook.
#[derive(Debug, Default)]
struct State {
    busy: bool,
    failures: u32,
    /// Not before this time again.
    not_before: Millis,
}

impl Round {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let shared = Arc::clone(&self.shared);
        // Not at once: after a long outage, pickup folders look first for what they had taken before it.
        let mut tidied = now();
        loop {
            if now() - tidied >= TIDY.as_millis() as i64 {
                tidied = now();
                let before = |age: Duration| tidied - i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                drop(shared.queue().tidy(before(TICKETS), before(GIVEN_UP)));
            }
            let wait = self.begin();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = shared.webhooks().news() => {}
                Some(ended) = self.busy.join_next(), if !self.busy.is_empty() => self.ended(ended.ok()),
                () = sleep(wait) => {}
            }
        }
        // What was posted and not noted is posted again: the receiver knows it by its id.
        let ended = async { while self.busy.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
    }

    /// Begins to post to whoever has something due; how long there is nothing else to do.
    fn begin(&mut self) -> Duration {
        let time = now();
        let all = self.shared.webhooks().all();
        self.states.retain(|id, state| state.busy || all.iter().any(|webhook| webhook.id == *id));
        let mut next = time.saturating_add(IDLE.as_millis() as i64);
        for webhook in all.iter() {
            let state = self.states.entry(webhook.id.clone()).or_default();
            if state.busy {
                continue;
            }
            let due = match self.shared.queue().next_event(&webhook.id) {
                Ok(Some(due)) => due.max(state.not_before),
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(%error, "events cannot be read");
                    continue;
                }
            };
            if due > time {
                next = next.min(due);
            } else if self.busy.len() < AT_ONCE {
                state.busy = true;
                let (poster, shared, webhook) = (self.poster.clone(), Arc::clone(&self.shared), webhook.clone());
                self.busy.spawn_blocking(move || {
                    let took = post_due(&poster, &shared, &webhook);
                    (webhook.id, took)
                });
            }
        }
        Duration::from_millis(next.saturating_sub(time).max(1).unsigned_abs())
    }

    fn ended(&mut self, ended: Option<(String, bool)>) {
        let Some((id, took)) = ended else {
            // It panicked: nobody knows which. All may begin again.
            self.states.values_mut().for_each(|state| state.busy = false);
            return;
        };
        if let Some(state) = self.states.get_mut(&id) {
            state.busy = false;
            state.failures = if took { 0 } else { state.failures.saturating_add(1) };
            state.not_before = if took { 0 } else { now().saturating_add(backoff(state.failures)) };
        }
    }
}

/// Posts what is due to a webhook, until it does not take something. False: it did not.
fn post_due(poster: &Poster, shared: &Shared, webhook: &Webhook) -> bool {
    let due = match shared.queue().events_due(&webhook.id, now(), IN_A_ROW) {
        Ok(due) => due,
        Err(error) => {
            tracing::error!(%error, "events cannot be read");
            return false;
        }
    };
    for kept in due {
        let posted = poster.post(webhook, &kept.event.id, &kept.event.body);
        let took = posted.is_ok();
        let told = match posted {
            Ok(_) => Told::Yes,
            Err(error) => fate(&kept, &error.to_string(), now(), poster.give_up),
        };
        match &told {
            Told::Yes => tracing::debug!(event = kept.event.id, kind = kept.event.kind, "event posted"),
            Told::Later { reason, .. } => {
                tracing::info!(
                    event = kept.event.id,
                    url = webhook.url,
                    reason,
                    "an event cannot be posted; later again"
                );
            }
            Told::GivenUp { reason } => {
                let (event, kind, attempts) = (&kept.event.id, &kept.event.kind, kept.attempts + 1);
                tracing::error!(event, kind, url = webhook.url, attempts, reason, "an event is given up");
            }
        }
        if let Err(error) = shared.queue().event_told(kept.number, told).wait() {
            tracing::error!(%error, "what became of an event cannot be noted; it will be posted again");
            return false;
        }
        if !took {
            return false;
        }
    }
    true
}

/// What becomes of an event that could not be posted.
fn fate(kept: &KeptEvent, reason: &str, time: Millis, give_up: Millis) -> Told {
    let reason = reason.chars().take(300).collect();
    if kept.created.saturating_add(give_up) <= time {
        return Told::GivenUp { reason };
    }
    Told::Later { until: time.saturating_add(backoff(kept.attempts + 1)), reason }
}

/// Milliseconds to wait after so many failures in a row.
fn backoff(failures: u32) -> Millis {
    let at = (failures.max(1) as usize - 1).min(BACKOFF.len() - 1);
    i64::try_from(BACKOFF[at]).unwrap_or(i64::MAX).saturating_mul(1000)
}

fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_standard_webhooks() {
        // The example of the specification.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signed = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    fn kept(created: Millis, attempts: u32) -> KeptEvent {
        let event = queue::Event { id: "1".into(), target: "h".into(), kind: "k".into(), body: String::new() };
        KeptEvent { number: 1, event, created, attempts, next_attempt: 0, reason: String::new(), given_up: false }
    }

    #[test]
    fn an_event_is_tried_less_and_less_often() {
        let until = |attempts| match fate(&kept(0, attempts), "refused", 0, 1000) {
            Told::Later { until, .. } => until,
            other => panic!("{other:?}"),
        };
        let waits: Vec<Millis> = (0..12).map(until).collect();
        assert!(waits.is_sorted() && waits[0] == 5_000 && waits[11] == 14_400_000, "{waits:?}");
    }

    #[test]
    fn an_event_is_given_up_after_its_time() {
        let given_up = |time| matches!(fate(&kept(100, 3), "refused", time, 1000), Told::GivenUp { .. });
        assert!(!given_up(1099) && given_up(1100));
    }
}
