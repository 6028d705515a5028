//! MTA-STS (RFC 8461): what a domain says of the TLS of its hosts, fetched over https and kept as long as it says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::policy::{Demand, policy_id};
use super::web::{self, Roots};
use crate::dns::Dns;

/// Domains of which something is kept.
const MOST_KEPT: usize = 20_000;
/// A policy that could not be fetched is not asked for again for so long.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(300);

/// Where policies come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StsOptions {
    /// The server that all policies are fetched from, instead of `mta-sts.DOMAIN` port 443: a proxy that passes TLS on, or
    /// a test.
    pub server: Option<SocketAddr>,
}

/// The policies that are known, on the delivery loop's thread.
pub(super) struct Sts {
    options: StsOptions,
    roots: Option<Arc<Roots>>,
    turn: Semaphore,
    kept: RefCell<HashMap<String, Kept>>,
}

/// What is known of a domain's policy.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard {
    /// What is demanded, as far as is known.
    pub(super) demand: Demand,
    /// Why there may be a policy, or a newer one, that is not known.
    pub(super) unheard: Option<String>,
}

struct Kept {
    /// The id of the TXT record that the policy came with.
    id: String,
    policy: Option<(Demand, Instant)>,
    /// Not fetched again before.
    again: Instant,
    /// Why the last attempt to fetch it failed.
    failed: Option<String>,
}

impl Sts {
    pub(super) fn new(options: StsOptions, roots: Option<Arc<Roots>>) -> Sts {
        Sts { options, roots, turn: Semaphore::new(web::AT_A_TIME), kept: RefCell::default() }
    }

    /// What a domain demands now. A policy that was fetched counts until its end, whatever the DNS says since
    /// (RFC 8461 §5.1); one that cannot be fetched, and was not before, demands nothing.
    pub(super) async fn demand(&self, dns: &Dns, domain: &str) -> Heard {
        // An address literal is no domain (RFC 8461 §3): there is nobody who could have a policy.
        if domain.starts_with('[') {
            return Heard::default();
        }
        let id = match dns.texts(&format!("_mta-sts.{domain}")).await {
            Ok(texts) => policy_id(&texts),
            Err(fault) => return Heard { unheard: Some(fault.to_string()), ..self.known(domain) },
        };
        let Some(id) = id else { return Heard { unheard: None, ..self.known(domain) } };
        if !self.wants(domain, &id) {
            return self.known(domain);
        }
        let fetched = self.fetch(dns, domain).await;
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, kept| kept.policy.as_ref().is_some_and(|(_, until)| *until > Instant::now()));
        }
        if kept.len() >= MOST_KEPT && !kept.contains_key(domain) {
            return match fetched {
                Ok((demand, _)) => Heard { demand, unheard: None },
                Err(reason) => Heard { demand: Demand::default(), unheard: Some(reason) },
            };
        }
        let now = Instant::now();
        let place = kept.entry(domain.to_owned()).or_insert_with(|| Kept {
            id: String::new(),
            policy: None,
            again: now,
            failed: None,
        });
        match fetched {
            Ok((demand, age)) => {
                tracing::info!(domain, mode = ?demand.mode, "MTA-STS policy fetched");
                *place = Kept { id, policy: Some((demand, now + age)), again: now, failed: None };
            }
            Err(reason) => {
                tracing::warn!(domain, reason, "the MTA-STS policy of the domain cannot be fetched");
                place.again = now + WAIT_AFTER_FAILURE;
                place.failed = Some(reason);
            }
        }
        drop(kept);
        self.known(domain)
    }

    fn known(&self, domain: &str) -> Heard {
        let kept = self.kept.borrow();
        let Some(kept) = kept.get(domain) else { return Heard::default() };
        let in_force = kept.policy.as_ref().filter(|(_, until)| *until > Instant::now());
        let demand = in_force.map(|(demand, _)| demand.clone()).unwrap_or_default();
        Heard { demand, unheard: kept.failed.clone() }
    }

    /// Whether the policy is to be fetched: another one, or none known.
    fn wants(&self, domain: &str, id: &str) -> bool {
        let now = Instant::now();
        match self.kept.borrow().get(domain) {
            Some(kept) if kept.again > now => false,
            Some(kept) => kept.id != id || kept.policy.as_ref().is_none_or(|(_, until)| *until <= now),
            None => true,
        }
    }

    async fn fetch(&self, dns: &Dns, domain: &str) -> Result<(Demand, Duration), String> {
        let _turn = self.turn.acquire().await;
        let host = format!("mta-sts.{domain}");
        let addresses = match self.options.server {
            Some(server) => vec![server],
            None => web::https(dns.addresses(&host).await.map_err(|fault| fault.to_string())?),
        };
        let (url, roots) = (format!("https://{host}/.well-known/mta-sts.txt"), self.roots.clone());
        let answer = tokio::task::spawn_blocking(move || web::get(&url, addresses, roots.as_deref()));
        let answer = answer.await.map_err(|error| error.to_string())??;
        if answer.status != 200 {
            return Err(format!("{host} answers with status {}", answer.status));
        }
        let text = String::from_utf8(answer.body).map_err(|_| format!("the policy of {host} is no text"))?;
        Demand::parse(&text).map_err(|reason| format!("the policy of {host}: {reason}"))
    }
}
