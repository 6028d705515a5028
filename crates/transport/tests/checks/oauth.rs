//! Access tokens and the keys of those who issue them.

use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use session::{Identity, TokenOutcome};
use transport::oauth::{ALGORITHMS, ClaimKind, KeyPlace, Provider, judge_for_tests};

const NOW: u64 = 1_800_000_000;
const SKEW: u64 = 60;
const ISSUER: &str = "https://login.example.com";

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
static KEY_SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"e","x":"{x}"}}]}}"#).into_bytes()
});

fn provider() -> Provider {
    Provider {
        name: "corp".into(),
        issuer: ISSUER.into(),
        audiences: vec!["procura".into()],
        keys: KeyPlace::Url("https://login.example.com/keys".into()),
        claim: "email".into(),
        identity: ClaimKind::Address,
        algorithms: ALGORITHMS.to_vec(),
        skew: Duration::from_secs(SKEW),
        refresh: Duration::from_secs(3600),
        roots: Vec::new(),
    }
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let said = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(said.as_bytes()));
    format!("{said}.{signature}")
}

/// A token of the octets; or, where they begin with `+`, one that the issuer signed, with the header and the claims that are
/// the first line and the rest. One that the issuer did not sign never counts; one that he did, exactly when the claims say
/// what RFC 7519 wants, read one after the other, and it then stands for whom they name.
pub fn tokens_hold(input: &[u8]) {
    let judge = |token: &str| judge_for_tests(provider(), KEY_SET.clone(), NOW, token);
    let Some(text) = input.strip_prefix(b"+") else {
        let token = String::from_utf8_lossy(input);
        return assert_eq!(judge(&token), TokenOutcome::Invalid, "{token}");
    };
    let at = text.iter().position(|octet| *octet == b'\n').unwrap_or(text.len());
    let (header, claims) = (&text[..at], text.get(at + 1..).unwrap_or_default());
    let outcome = judge(&signed(header, claims));
    let expected = literal(header, claims);
    match expected {
        Some(address) => assert_eq!(outcome, TokenOutcome::Valid(Identity::Address(address))),
        None => assert_eq!(outcome, TokenOutcome::Invalid, "{}", String::from_utf8_lossy(text)),
    }
}

/// Whom a token that is signed stands for.
fn literal(header: &[u8], claims: &[u8]) -> Option<String> {
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(claims).ok()?;
    if header.get("alg") != Some(&Value::from("EdDSA")) || header.contains_key("crit") {
        return None;
    }
    if header.get("kid").is_some_and(|kid| kid.is_string() && kid != "e") {
        return None;
    }
    let ours = Value::from("procura");
    let audience = claims.get("aud")?;
    if claims.get("iss")? != ISSUER || !(*audience == ours || audience.as_array().is_some_and(|a| a.contains(&ours))) {
        return None;
    }
    if claims.get("exp")?.as_f64()? + SKEW as f64 <= NOW as f64 {
        return None;
    }
    for claim in ["nbf", "iat"] {
        if let Some(begins) = claims.get(claim)
            && begins.as_f64()? > (NOW + SKEW) as f64
        {
            return None;
        }
    }
    match claims.get("email_verified") {
        Some(Value::Bool(false)) => return None,
        Some(Value::String(text)) if !text.eq_ignore_ascii_case("true") => return None,
        _ => {}
    }
    claims.get("email")?.as_str().filter(|address| !address.is_empty()).map(str::to_owned)
}

/// Whatever the issuer publishes as its keys: a token counts only where the key that signed it is among them.
pub fn key_sets_hold(input: &[u8]) {
    let claims = format!(r#"{{"iss":"{ISSUER}","aud":"procura","exp":{},"email":"b@example.com"}}"#, NOW + 60);
    let outcome = judge_for_tests(provider(), input.to_vec(), NOW, &signed(br#"{"alg":"EdDSA"}"#, claims.as_bytes()));
    let text = String::from_utf8_lossy(input);
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    // JSON may write any letter as an escape.
    let named = text.contains(&x) || text.contains("\\u");
    assert!(named || !matches!(outcome, TokenOutcome::Valid(_)), "{text}");
}
