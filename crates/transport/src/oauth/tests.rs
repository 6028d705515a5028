use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;

/// An issuer, with the private half of its keys.
struct Issuer {
    p256: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    fn new() -> Issuer {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Issuer { p256, ed: Ed25519KeyPair::generate().unwrap() }
    }

    fn key_set(&self) -> Value {
        let (point, ed) = (self.p256.public_key().as_ref(), self.ed.public_key().as_ref());
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        json!({"keys": [
            {"kty": "EC", "crv": "P-256", "kid": "p", "x": encode(&point[1..33]), "y": encode(&point[33..65])},
            {"kty": "OKP", "crv": "Ed25519", "kid": "e", "alg": "EdDSA", "x": encode(ed)},
            {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
            {"kty": "unheard-of"},
        ]})
    }

    fn token(&self, header: Value, claims: Value) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = match header["alg"].as_str() {
            Some("EdDSA") => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            _ => self.p256.sign(&SystemRandom::new(), signed.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn claims() -> Value {
    json!({"iss": "https://login.example.com", "aud": "procura", "exp": NOW + 300, "nbf": NOW - 5, "iat": NOW - 5,
        "email": "bob@example.com", "email_verified": true, "upn": "bob@ad.example.com", "sid": "S-1-5-21-1-2-3-1105"})
}

fn provider(place: KeyPlace) -> Provider {
    Provider {
        name: "corp".into(),
        issuer: "https://login.example.com".into(),
        audiences: vec!["procura".into(), "smtp".into()],
        keys: place,
        claim: "email".into(),
        identity: ClaimKind::Address,
        algorithms: ALGORITHMS.to_vec(),
        skew: Duration::from_secs(60),
        refresh: Duration::from_secs(3600),
        roots: Vec::new(),
    }
}

/// A judge whose keys come from a URL, the time that it knows, and how often it fetched.
struct Bench {
    judge: Judge,
    now: Arc<AtomicU64>,
    fetched: Arc<AtomicUsize>,
    served: Arc<Mutex<Result<Value, String>>>,
}

impl Bench {
    fn new(issuer: &Issuer) -> Bench {
        Bench::with(issuer, |_| {})
    }

    fn with(issuer: &Issuer, change: impl FnOnce(&mut Provider)) -> Bench {
        let (now, fetched) = (Arc::new(AtomicU64::new(NOW)), Arc::new(AtomicUsize::new(0)));
        let served = Arc::new(Mutex::new(Ok(issuer.key_set())));
        let mut provider = provider(KeyPlace::Url("https://login.example.com/keys".into()));
        change(&mut provider);
        let (clock, count, serves) = (Arc::clone(&now), Arc::clone(&fetched), Arc::clone(&served));
        let fetch: Fetch = Box::new(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            serves.lock().unwrap().clone().map(|set: Value| set.to_string().into_bytes())
        });
        let judge = Judge::new(vec![provider], fetch, Arc::new(move || clock.load(Ordering::SeqCst)));
        Bench { judge, now, fetched, served }
    }

    fn valid(&mut self, token: &str) -> bool {
        matches!(self.judge.judge(token), TokenOutcome::Valid(_))
    }
}

fn es256() -> Value {
    json!({"alg": "ES256", "kid": "p", "typ": "JWT"})
}

#[test]
fn a_good_token_stands_for_whom_its_claim_names() {
    let issuer = Issuer::new();
    let token = issuer.token(es256(), claims());
    let outcome = |claim: &str, identity| {
        let mut bench = Bench::with(&issuer, |provider| {
            (provider.claim, provider.identity) = (claim.to_owned(), identity);
        });
        bench.judge.judge(&token)
    };
    let address = Identity::Address("bob@example.com".into());
    assert_eq!(outcome("email", ClaimKind::Address), TokenOutcome::Valid(address));
    let login = Identity::Login("bob@ad.example.com".into());
    assert_eq!(outcome("upn", ClaimKind::Login), TokenOutcome::Valid(login));
    let sid = Identity::Sid("S-1-5-21-1-2-3-1105".parse().unwrap());
    assert_eq!(outcome("sid", ClaimKind::Sid), TokenOutcome::Valid(sid));
    assert_eq!(outcome("upn", ClaimKind::Sid), TokenOutcome::Invalid);
    assert_eq!(outcome("oid", ClaimKind::Login), TokenOutcome::Invalid);
}

#[test]
fn both_kinds_of_keys_sign_and_a_key_need_not_be_named() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    assert!(bench.valid(&issuer.token(json!({"alg": "EdDSA", "kid": "e"}), claims())));
    assert!(bench.valid(&issuer.token(json!({"alg": "ES256"}), claims())));
}

#[test]
fn a_token_of_another_key_or_changed_after_it_was_signed_does_not_count() {
    let (issuer, forger) = (Issuer::new(), Issuer::new());
    let mut bench = Bench::new(&issuer);
    assert!(!bench.valid(&forger.token(es256(), claims())));
    let token = issuer.token(es256(), claims());
    let mut ceo = claims();
    ceo["email"] = json!("ceo@example.com");
    let parts: Vec<&str> = token.split('.').collect();
    let changed = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(ceo.to_string()), parts[2]);
    assert!(!bench.valid(&changed));
}

#[test]
fn an_algorithm_that_is_not_asked_for_does_not_count() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    for alg in ["none", "HS256", "ES384", "RS256", "es256", ""] {
        assert!(!bench.valid(&issuer.token(json!({"alg": alg, "kid": "p"}), claims())), "{alg}");
    }
    let unsigned = issuer.token(json!({"alg": "none"}), claims());
    assert!(!bench.valid(&format!("{}.", unsigned.rsplit_once('.').unwrap().0)));
    let mut only_ed = Bench::with(&issuer, |provider| provider.algorithms = vec![Algorithm::EdDSA]);
    assert!(!only_ed.valid(&issuer.token(es256(), claims())));
    assert_eq!(algorithm("HS256"), None);
}

#[test]
fn issuer_audience_and_times_are_checked() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    let mut with = |claim: &str, value: Value| {
        let mut changed = claims();
        changed[claim] = value;
        bench.valid(&issuer.token(es256(), changed))
    };
    assert!(with("aud", json!(["other", "smtp"])));
    assert!(with("exp", json!(NOW - 59)), "within the skew");
    assert!(with("nbf", json!(NOW + 60)), "within the skew");
    for (claim, value) in [
        ("iss", json!("https://login.example.com/")),
        ("iss", json!(null)),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!(null)),
        ("exp", json!(NOW - 60)),
        ("exp", json!("never")),
        ("exp", json!(null)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("now")),
        ("iat", json!(NOW + 61)),
        ("email", json!("")),
        ("email", json!(["bob@example.com"])),
        ("email_verified", json!(false)),
        ("email_verified", json!("false")),
    ] {
        assert!(!with(claim, value.clone()), "{claim}: {value}");
    }
}

#[test]
fn a_header_that_must_be_understood_and_is_not_is_refused() {
    let issuer = Issuer::new();
    let token = issuer.token(json!({"alg": "ES256", "kid": "p", "crit": ["b64"], "b64": true}), claims());
    assert!(!Bench::new(&issuer).valid(&token));
}

#[test]
fn keys_are_fetched_once_and_again_when_they_are_old() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    let lasting = |now| {
        let mut claims = claims();
        (claims["exp"], claims["iat"], claims["nbf"]) = (json!(now + 300), json!(now), json!(now));
        issuer.token(es256(), claims)
    };
    assert!(bench.valid(&lasting(NOW)) && bench.valid(&lasting(NOW)));
    assert_eq!(bench.fetched.load(Ordering::SeqCst), 1);
    bench.now.store(NOW + 3600, Ordering::SeqCst);
    assert!(bench.valid(&lasting(NOW + 3600)));
    assert_eq!(bench.fetched.load(Ordering::SeqCst), 2);
}

#[test]
fn a_new_key_is_found_but_unknown_ones_fetch_nothing_more_than_once_a_minute() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let mut bench = Bench::new(&old);
    assert!(bench.valid(&old.token(es256(), claims())));
    let renamed = |issuer: &Issuer| {
        let mut set = issuer.key_set();
        set["keys"][0]["kid"] = json!("q");
        set
    };
    *bench.served.lock().unwrap() = Ok(renamed(&new));
    let token = new.token(json!({"alg": "ES256", "kid": "q"}), claims());
    // A minute has not passed since the last time.
    assert!(!bench.valid(&token));
    bench.now.store(NOW + 60, Ordering::SeqCst);
    assert!(bench.valid(&token));
    for _ in 0..100 {
        assert!(!bench.valid(&new.token(json!({"alg": "ES256", "kid": "made up"}), claims())));
    }
    assert_eq!(bench.fetched.load(Ordering::SeqCst), 2);
}

#[test]
fn without_keys_nobody_is_told_that_the_token_is_wrong() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    *bench.served.lock().unwrap() = Err("no route to host".into());
    assert_eq!(bench.judge.judge(&issuer.token(es256(), claims())), TokenOutcome::Unavailable);
}

#[test]
fn keys_that_cannot_be_renewed_count_for_a_day() {
    let issuer = Issuer::new();
    let mut bench = Bench::new(&issuer);
    let mut lasting = claims();
    lasting["exp"] = json!(NOW + 1_000_000);
    let token = issuer.token(es256(), lasting);
    assert!(bench.valid(&token));
    *bench.served.lock().unwrap() = Err("no route to host".into());
    bench.now.store(NOW + 24 * 3600, Ordering::SeqCst);
    assert!(bench.valid(&token));
    bench.now.store(NOW + 24 * 3600 + 1, Ordering::SeqCst);
    assert_eq!(bench.judge.judge(&token), TokenOutcome::Unavailable);
}

#[test]
fn a_file_of_keys_is_read_again_when_it_changes() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.json");
    std::fs::write(&file, old.key_set().to_string()).unwrap();
    let place = KeyPlace::File(file.clone());
    let fetch: Fetch = Box::new(|_, _| Err("nothing is fetched".into()));
    let mut judge = Judge::new(vec![provider(place)], fetch, Arc::new(|| NOW));
    let token = new.token(es256(), claims());
    assert_eq!(judge.judge(&token), TokenOutcome::Invalid);
    // Longer by a blank, should the clock of the file system not have moved.
    std::fs::write(&file, new.key_set().to_string() + " ").unwrap();
    assert!(matches!(judge.judge(&token), TokenOutcome::Valid(_)));
}

#[test]
fn keys_are_believed_from_https_alone() {
    for url in ["http://login.example.com/keys", "ftp://127.0.0.1/keys", "file:///etc/passwd", "http://127.0.0.1.evil/"]
    {
        let error = https()(url, &[]).unwrap_err();
        assert!(error.contains("only https"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_counts(token in "\\PC{0,200}|[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,80}") {
        let fetch: Fetch = Box::new(|_, _| Err("nothing is fetched".into()));
        let mut judge = Judge::new(vec![provider(KeyPlace::Url("https://x".into()))], fetch, Arc::new(|| NOW));
        prop_assert_eq!(judge.judge(&token), TokenOutcome::Invalid);
    }
}
