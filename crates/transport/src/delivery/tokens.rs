//! Access tokens to log on with (RFC 6749): fetched when needed, kept until shortly before they end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use acl::Guid;
use directory::{TokenGrant, TokenSource};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::web::{self, Roots};

/// A token is not used in the last part of its life.
const MARGIN: Duration = Duration::from_secs(60);
/// What a token that does not say so is good for.
const USUAL_LIFE: u64 = 300;

/// The tokens of send connectors, on the delivery loop's thread.
pub(super) struct Tokens {
    roots: Option<Arc<Roots>>,
    turn: Semaphore,
    kept: RefCell<HashMap<Guid, Kept>>,
}

struct Kept {
    source: TokenSource,
    token: Zeroizing<String>,
    until: Instant,
    /// A refresh token that came instead of the one that is stored (RFC 6749 §6).
    refresh: Option<Zeroizing<String>>,
}

/// What a token endpoint gave.
struct Granted {
    token: Zeroizing<String>,
    life: Duration,
    refresh: Option<Zeroizing<String>>,
}

impl Tokens {
    pub(super) fn new(roots: Option<Arc<Roots>>) -> Tokens {
        Tokens { roots, turn: Semaphore::new(web::AT_A_TIME), kept: RefCell::default() }
    }

    /// A token that is good now. `secret` is what is stored with the connector: the secret of the client, or a refresh token
    /// and, after a space, the secret of the client where there is one. The error is in words, without any of these.
    pub(super) async fn token(
        &self,
        connector: &Guid,
        source: &TokenSource,
        secret: Zeroizing<String>,
    ) -> Result<Zeroizing<String>, String> {
        let _turn = self.turn.acquire().await;
        let mut newer = None;
        if let Some(kept) = self.kept.borrow().get(connector).filter(|kept| kept.source == *source) {
            if kept.until > Instant::now() {
                return Ok(kept.token.clone());
            }
            newer = kept.refresh.clone();
        }
        let (asked, roots, renewed) = (source.clone(), self.roots.clone(), newer.clone());
        let fetched = tokio::task::spawn_blocking(move || fetch(&asked, &secret, renewed, roots.as_deref())).await;
        let granted = fetched.map_err(|error| error.to_string())??;
        if granted.refresh.is_some() {
            tracing::info!(connector = %connector, "the token endpoint gave another refresh token; it is kept until the end of the process");
        }
        let kept = Kept {
            source: source.clone(),
            token: granted.token.clone(),
            until: Instant::now() + granted.life,
            refresh: granted.refresh.or(newer),
        };
        self.kept.borrow_mut().insert(*connector, kept);
        Ok(granted.token)
    }

    /// The token is not taken: the next one is fetched.
    pub(super) fn forget(&self, connector: &Guid) {
        if let Some(kept) = self.kept.borrow_mut().get_mut(connector) {
            kept.until = Instant::now();
        }
    }
}

fn fetch(
    source: &TokenSource,
    secret: &str,
    newer: Option<Zeroizing<String>>,
    roots: Option<&Roots>,
) -> Result<Granted, String> {
    let mut form: Vec<(&str, &str)> = vec![("client_id", &source.client)];
    let (first, second) = secret.split_once(' ').unwrap_or((secret, ""));
    match source.grant {
        TokenGrant::ClientCredentials => form.extend([("grant_type", "client_credentials"), ("client_secret", secret)]),
        TokenGrant::RefreshToken => {
            let refresh = newer.as_deref().map_or(first, String::as_str);
            form.extend([("grant_type", "refresh_token"), ("refresh_token", refresh)]);
            if !second.is_empty() {
                form.push(("client_secret", second));
            }
        }
    }
    form.extend(source.scope.as_deref().map(|scope| ("scope", scope)));
    let answer = web::post(&source.url, &form, roots)?;
    let body = Zeroizing::new(answer.body);
    granted(answer.status, &body).map_err(|reason| format!("{}: {reason}", source.url))
}

fn granted(status: u16, body: &[u8]) -> Result<Granted, String> {
    let answer: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| format!("status {status}, and no JSON"))?;
    let text = |name: &str| answer.get(name).and_then(serde_json::Value::as_str);
    if status != 200 {
        let error = text("error").unwrap_or("no reason given");
        let description = text("error_description").map(|text| format!(": {text}")).unwrap_or_default();
        let said: String =
            format!("status {status}, {error}{description}").chars().filter(|c| !c.is_control()).collect();
        return Err(said.chars().take(300).collect());
    }
    let token = text("access_token").filter(|token| !token.is_empty()).ok_or("the answer has no access token")?;
    if token.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("the access token is none".to_owned());
    }
    let seconds = answer.get("expires_in").and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()));
    let life = Duration::from_secs(seconds.unwrap_or(USUAL_LIFE).min(86_400));
    Ok(Granted {
        token: Zeroizing::new(token.to_owned()),
        life: life.saturating_sub(MARGIN).max(life / 4),
        refresh: text("refresh_token").map(|token| Zeroizing::new(token.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_until_shortly_before_it_ends() {
        let life = |body: &str| granted(200, body.as_bytes()).map(|granted| granted.life.as_secs());
        assert_eq!(life(r#"{"access_token":"t","expires_in":3600}"#), Ok(3540));
        assert_eq!(life(r#"{"access_token":"t","expires_in":"3600"}"#), Ok(3540));
        assert_eq!(life(r#"{"access_token":"t","expires_in":20}"#), Ok(5));
        assert_eq!(life(r#"{"access_token":"t"}"#), Ok(240));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_endpoint_on_one_line() {
        let said = granted(400, b"{\"error\":\"invalid_client\",\"error_description\":\"no\\r\\nsuch client\"}")
            .err()
            .unwrap();
        assert_eq!(said, "status 400, invalid_client: nosuch client");
        assert!(granted(200, b"{}").is_err() && granted(502, b"<html>").is_err());
        assert!(granted(200, b"{\"access_token\":\"a\\nb\"}").is_err());
    }
}
