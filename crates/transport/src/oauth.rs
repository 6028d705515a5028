//! Access tokens (OAUTHBEARER, XOAUTH2): JSON Web Tokens (RFC 7519) of issuers that the node believes.
//!
//! A token counts when one of the issuer's public keys signed it, it names the issuer, is meant for us, is in force, and has
//! the claim that says whom it stands for. Everything else is "no", without a reason for the client.
//!
//! One thread judges all tokens: a signature takes some ten microseconds, and when keys have to be fetched first, other
//! logons (passwords, tickets) do not wait for it.

mod fetch;
mod keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value};
use session::{Identity, TokenOutcome};
use thiserror::Error;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub use fetch::{Fetch, https};
use keys::{Keys, KeysUnavailable};

/// Tokens that may wait to be judged.
const WAITING: usize = 256;
/// The longest token that is looked at, in octets.
const LONGEST: usize = 16 * 1024;

/// An issuer that is believed.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What it is called here, for the log.
    pub name: String,
    /// `iss`, exactly.
    pub issuer: String,
    /// One of these must be in `aud`.
    pub audiences: Vec<String>,
    /// Where its public keys are.
    pub keys: KeyPlace,
    /// The claim that says whom a token stands for: `email`, `upn`, `preferred_username`, `sub`, …
    pub claim: String,
    /// How that claim is read.
    pub identity: ClaimKind,
    /// Which signatures count.
    pub algorithms: Vec<Algorithm>,
    /// By how much clocks may differ.
    pub skew: Duration,
    /// Keys from a URL are fetched again after this time.
    pub refresh: Duration,
    /// Authorities that vouch for the server of the URL.
    pub roots: Vec<CertificateDer<'static>>,
}

/// Where the public keys of an issuer are: a JSON Web Key Set (RFC 7517 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file, which is read again when it changes.
    File(PathBuf),
    /// At a URL.
    Url(String),
}

/// How the claim about an account is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimKind {
    /// A mail address of the account. A token that says `email_verified: false` does not count.
    Address,
    /// A logon name, as one types it: UPN, `DOMAIN\name`, sAMAccountName.
    Login,
    /// A SID: of the account.
    Sid,
}

/// The algorithms that are believed unless others are named.
pub const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// An algorithm by its name in `alg` (RFC 7518 §3.1); none for those with a shared secret, which would let everybody who
/// checks a token also make one.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    let algorithm: Algorithm = name.parse().ok()?;
    (!matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512)).then_some(algorithm)
}

/// Seconds since 1970.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The judge of tokens. Dropped, it ends its thread.
pub struct Tokens {
    jobs: Option<std::sync::mpsc::SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = (Zeroizing<String>, oneshot::Sender<TokenOutcome>);

impl Tokens {
    /// Starts with these issuers. `fetch` gets keys from URLs.
    pub fn start(providers: Vec<Provider>, fetch: Fetch) -> std::io::Result<Tokens> {
        let clock: WallClock = Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs());
        let mut judge = Judge::new(providers, fetch, clock);
        let (jobs, waiting) = std::sync::mpsc::sync_channel::<Job>(WAITING);
        let thread = std::thread::Builder::new().name("tokens".into()).spawn(move || {
            while let Ok((token, answer)) = waiting.recv() {
                // The session may have gone meanwhile.
                if !answer.is_closed() {
                    let _ = answer.send(judge.judge(&token));
                }
            }
        })?;
        Ok(Tokens { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Judges a token.
    pub async fn judge(&self, token: Zeroizing<String>) -> TokenOutcome {
        let (answer, answered) = oneshot::channel();
        if self.jobs.as_ref().is_none_or(|jobs| jobs.try_send((token, answer)).is_err()) {
            return TokenOutcome::Unavailable;
        }
        answered.await.unwrap_or(TokenOutcome::Unavailable)
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panicked thread has nothing to tell that was not logged.
            let _ = thread.join();
        }
    }
}

/// Judges tokens, without a thread of its own.
struct Judge {
    providers: Vec<(Provider, Keys)>,
    fetch: Fetch,
    clock: WallClock,
}

/// What is said of a token at this time, in seconds since 1970, with this set of keys.
#[doc(hidden)]
pub fn judge_for_tests(provider: Provider, key_set: Vec<u8>, now: u64, token: &str) -> TokenOutcome {
    let fetch: Fetch = Box::new(move |_, _| Ok(key_set.clone()));
    Judge::new(vec![provider], fetch, Arc::new(move || now)).judge(token)
}

/// Why a token does not count.
#[derive(Debug, Error)]
enum Fault {
    #[error("it is no JSON Web Token")]
    Malformed,
    #[error("nobody who is believed issued it")]
    Issuer,
    #[error("it is signed by {0}, which is not believed")]
    Algorithm(String),
    #[error("it says `crit`: {0}")]
    Critical(String),
    #[error("no key of the issuer signed it")]
    Signature,
    #[error("it is meant for others")]
    Audience,
    #[error("it expired")]
    Expired,
    #[error("it is not in force yet")]
    Early,
    #[error("it has no usable claim `{0}`")]
    Claim(String),
    #[error(transparent)]
    Keys(#[from] KeysUnavailable),
}

impl Judge {
    fn new(providers: Vec<Provider>, fetch: Fetch, clock: WallClock) -> Judge {
        let keys = |provider: &Provider| Keys::new(provider.keys.clone(), provider.refresh, provider.roots.clone());
        let providers = providers.into_iter().map(|provider| (keys(&provider), provider)).map(|(k, p)| (p, k));
        Judge { providers: providers.collect(), fetch, clock }
    }

    fn judge(&mut self, token: &str) -> TokenOutcome {
        match self.identity(token) {
            Ok(identity) => TokenOutcome::Valid(identity),
            Err(Fault::Keys(error)) => {
                tracing::error!(%error, "a token cannot be judged");
                TokenOutcome::Unavailable
            }
            Err(fault) => {
                tracing::info!(reason = %fault, "a token does not count");
                TokenOutcome::Invalid
            }
        }
    }

    fn identity(&mut self, token: &str) -> Result<Identity, Fault> {
        let now = (self.clock)();
        let (signed, signature) = token.rsplit_once('.').ok_or(Fault::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Fault::Malformed)?;
        if token.len() > LONGEST || payload.contains('.') {
            return Err(Fault::Malformed);
        }
        let (header, claims) = (object(header)?, object(payload)?);
        // Which issuer's keys to try; that it is the issuer is known once one of them fits.
        let issuer = text(&claims, "iss").ok_or(Fault::Issuer)?;
        let (provider, keys) =
            self.providers.iter_mut().find(|(provider, _)| provider.issuer == issuer).ok_or(Fault::Issuer)?;
        let named = text(&header, "alg").unwrap_or_default();
        let algorithm = algorithm(named)
            .filter(|algorithm| provider.algorithms.contains(algorithm))
            .ok_or_else(|| Fault::Algorithm(named.to_owned()))?;
        // RFC 7515 §4.1.11: what must be understood and is not.
        if let Some(critical) = header.get("crit") {
            return Err(Fault::Critical(critical.to_string()));
        }
        let is_signed = |key: &jsonwebtoken::DecodingKey| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm).unwrap_or(false)
        };
        let kid = text(&header, "kid");
        if !keys.any(kid, algorithm, now, &mut self.fetch, is_signed)? {
            return Err(Fault::Signature);
        }
        check(provider, &claims, now)?;
        whom(provider, &claims)
    }
}

/// Audience and times (RFC 7519 §4.1). A token that never expires is none.
fn check(provider: &Provider, claims: &Map<String, Value>, now: u64) -> Result<(), Fault> {
    let ours = |value: &Value| value.as_str().is_some_and(|audience| provider.audiences.iter().any(|a| a == audience));
    let meant = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().any(ours),
        Some(one) => ours(one),
        None => false,
    };
    if !meant {
        return Err(Fault::Audience);
    }
    let (now, skew) = (now as f64, provider.skew.as_secs_f64());
    let expires = claims.get("exp").and_then(Value::as_f64).ok_or(Fault::Expired)?;
    if now >= expires + skew {
        return Err(Fault::Expired);
    }
    for claim in ["nbf", "iat"] {
        match claims.get(claim) {
            None => {}
            Some(value) if value.as_f64().is_some_and(|begins| begins <= now + skew) => {}
            Some(_) => return Err(Fault::Early),
        }
    }
    Ok(())
}

fn whom(provider: &Provider, claims: &Map<String, Value>) -> Result<Identity, Fault> {
    let unusable = || Fault::Claim(provider.claim.clone());
    let claim = text(claims, &provider.claim).filter(|text| !text.is_empty()).ok_or_else(unusable)?;
    Ok(match provider.identity {
        ClaimKind::Address if says_no(claims.get("email_verified")) => return Err(unusable()),
        ClaimKind::Address => Identity::Address(claim.to_owned()),
        ClaimKind::Login => Identity::Login(claim.to_owned()),
        ClaimKind::Sid => Identity::Sid(claim.parse().map_err(|_| unusable())?),
    })
}

/// `false`, which some issuers write as text.
fn says_no(claim: Option<&Value>) -> bool {
    match claim {
        Some(Value::Bool(value)) => !value,
        Some(Value::String(text)) => !text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

/// A JSON object in base64url.
fn object(part: &str) -> Result<Map<String, Value>, Fault> {
    let octets = URL_SAFE_NO_PAD.decode(part).map_err(|_| Fault::Malformed)?;
    serde_json::from_slice(&octets).map_err(|_| Fault::Malformed)
}

fn text<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    map.get(name)?.as_str()
}

#[cfg(test)]
mod tests;
