//! The public keys of an issuer, kept and renewed.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rustls_pki_types::CertificateDer;
use serde_json::Value;
use thiserror::Error;

use super::{Fetch, KeyPlace};

/// Keys of a set that are looked at.
const MOST_KEYS: usize = 64;
/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;
/// A key that is not known may be new; but keys are not fetched more often than this, in seconds.
const PAUSE: u64 = 60;
/// Keys that could not be renewed for so long, in seconds, are no longer believed.
const LONGEST_TRUST: u64 = 24 * 3600;

/// Why there are no keys.
#[derive(Debug, Error)]
#[error("the keys of the issuer are not at hand: {0}")]
pub struct KeysUnavailable(String);

/// The keys of an issuer.
pub struct Keys {
    place: KeyPlace,
    refresh: u64,
    roots: Vec<CertificateDer<'static>>,
    held: Vec<Key>,
    /// When they were read, in seconds since 1970.
    read: Option<u64>,
    /// When that was last tried.
    tried: Option<u64>,
    /// What the file looked like.
    stamp: Option<(SystemTime, u64)>,
    trouble: String,
}

struct Key {
    kid: Option<String>,
    /// The algorithm that the key set names for it.
    algorithm: Option<String>,
    family: AlgorithmFamily,
    key: DecodingKey,
}

impl Keys {
    pub fn new(place: KeyPlace, refresh: Duration, roots: Vec<CertificateDer<'static>>) -> Keys {
        let (refresh, trouble) = (refresh.as_secs().max(PAUSE), String::new());
        Keys { place, refresh, roots, held: Vec::new(), read: None, tried: None, stamp: None, trouble }
    }

    /// Whether a key fits: one of that `kid` if there is one, of the algorithm's kind, for which `fits` says so. Keys are
    /// fetched first where they are old, or where none is called that.
    pub fn any(
        &mut self,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: u64,
        fetch: &mut Fetch,
        fits: impl Fn(&DecodingKey) -> bool,
    ) -> Result<bool, KeysUnavailable> {
        self.renew(now, false, fetch);
        if kid.is_some() && !self.held.iter().any(|key| key.kid.as_deref() == kid) {
            self.renew(now, true, fetch);
        }
        if self.read.is_none_or(|read| now.saturating_sub(read) > self.refresh.max(LONGEST_TRUST)) {
            return Err(KeysUnavailable(self.trouble.clone()));
        }
        let name = format!("{algorithm:?}");
        let may_be = |key: &&Key| {
            (kid.is_none() || key.kid.as_deref() == kid)
                && key.family == algorithm.family()
                && key.algorithm.as_deref().is_none_or(|own| own == name)
        };
        Ok(self.held.iter().filter(may_be).any(|key| fits(&key.key)))
    }

    /// Reads the keys again if it is time to, or if `missing` one.
    fn renew(&mut self, now: u64, missing: bool, fetch: &mut Fetch) {
        let octets = match &self.place {
            KeyPlace::File(path) => {
                let stamp = stamp(path);
                if self.read.is_some() && stamp.is_some() && stamp == self.stamp {
                    // The file is there and says what it said.
                    self.read = Some(now);
                    return;
                }
                self.stamp = stamp;
                read(path)
            }
            KeyPlace::Url(url) => {
                let old = self.read.is_none_or(|read| now.saturating_sub(read) >= self.refresh);
                let lately = self.tried.is_some_and(|tried| now.saturating_sub(tried) < PAUSE);
                if lately || !(old || missing) {
                    return;
                }
                fetch(url, &self.roots)
            }
        };
        self.tried = Some(now);
        match octets.and_then(|octets| parse(&octets)) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), place = ?self.place, "keys of an issuer read");
                (self.held, self.read) = (keys, Some(now));
            }
            Err(error) => {
                tracing::error!(error, "keys of an issuer cannot be read");
                self.trouble = error;
            }
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if std::fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(format!("{}: the file is too large", path.display()));
    }
    std::fs::read(path).map_err(failed)
}

/// The usable keys of a set. Keys of other kinds, for encryption, or broken are passed over (RFC 7517 §5).
fn parse(octets: &[u8]) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_slice(octets).map_err(|error| format!("it is no JSON: {error}"))?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or("it is no JSON Web Key Set: it has no `keys`")?;
    let usable: Vec<Key> = keys.iter().take(MOST_KEYS).filter_map(key).collect();
    if usable.is_empty() { Err("it has no key that can be used".to_owned()) } else { Ok(usable) }
}

fn key(value: &Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
    let signs = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| signs && key.family() != AlgorithmFamily::Hmac)?;
    let algorithm = value.get("alg").and_then(Value::as_str).map(str::to_owned);
    Some(Key { kid: jwk.common.key_id, algorithm, family: key.family(), key })
}
