//! MTA-STS (RFC 8461): what a domain says of the TLS of its hosts, fetched over https and kept as long as it says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::web::{self, Roots};
use crate::dns::Dns;

/// Domains of which something is kept.
const MOST_KEPT: usize = 20_000;
/// A policy that could not be fetched is not asked for again for so long.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(300);
/// A policy is valid no longer than a year (RFC 8461 §3.2).
const LONGEST: u64 = 31_557_600;
/// Patterns of hosts in a policy.
const MOST_PATTERNS: usize = 200;

/// Where policies come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StsOptions {
    /// The server that all policies are fetched from, instead of `mta-sts.DOMAIN` port 443: a proxy that passes TLS on, or
    /// a test.
    pub server: Option<SocketAddr>,
}

/// What is to be done where a host does not fit the policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// There is no policy, or it asks for nothing.
    #[default]
    None,
    /// Deliver all the same, and say so.
    Testing,
    /// Do not deliver.
    Enforce,
}

/// What a domain demands of the hosts that take its mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) mode: Mode,
    /// Names of hosts; `*.` stands for one label.
    patterns: Vec<String>,
}

/// The policies that are known, on the delivery loop's thread.
pub(super) struct Sts {
    options: StsOptions,
    roots: Option<Arc<Roots>>,
    turn: Semaphore,
    kept: RefCell<HashMap<String, Kept>>,
}

struct Kept {
    /// The id of the TXT record that the policy came with.
    id: String,
    policy: Option<(Demand, Instant)>,
    /// Not fetched again before.
    again: Instant,
}

impl Demand {
    /// Whether the policy names the host (RFC 8461 §4.1).
    pub(super) fn allows(&self, host: &str) -> bool {
        self.patterns.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
            None => pattern == host,
        })
    }

    /// Reads a policy; its lifetime with it.
    fn parse(text: &str) -> Result<(Demand, Duration), &'static str> {
        let (mut version, mut mode, mut age, mut patterns) = (None, None, None, Vec::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once(':').ok_or("a line has no colon")?;
            let value = value.trim();
            match key.trim() {
                "version" => version = version.or(Some(value)),
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err("its mode is unknown"),
                    });
                }
                "max_age" => age = age.or(Some(value.parse::<u64>().map_err(|_| "its max_age is no number")?)),
                "mx" if patterns.len() < MOST_PATTERNS => {
                    patterns.push(value.trim_end_matches('.').to_ascii_lowercase());
                }
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("it is not of version STSv1");
        }
        let mode = mode.ok_or("it has no mode")?;
        let age = age.ok_or("it has no max_age")?.min(LONGEST);
        if mode != Mode::None && patterns.is_empty() {
            return Err("it names no host");
        }
        Ok((Demand { mode, patterns }, Duration::from_secs(age)))
    }
}

impl Sts {
    pub(super) fn new(options: StsOptions, roots: Option<Arc<Roots>>) -> Sts {
        Sts { options, roots, turn: Semaphore::new(web::AT_A_TIME), kept: RefCell::default() }
    }

    /// What a domain demands now. A policy that was fetched counts until its end, whatever the DNS says since
    /// (RFC 8461 §5.1); one that cannot be fetched, and was not before, demands nothing.
    pub(super) async fn demand(&self, dns: &Dns, domain: &str) -> Demand {
        let id = match dns.texts(&format!("_mta-sts.{domain}")).await {
            Ok(texts) => policy_id(&texts),
            Err(_) => None,
        };
        let Some(id) = id else { return self.known(domain) };
        if !self.wants(domain, &id) {
            return self.known(domain);
        }
        let fetched = self.fetch(dns, domain).await;
        let mut kept = self.kept.borrow_mut();
        if kept.len() >= MOST_KEPT {
            kept.retain(|_, kept| kept.policy.as_ref().is_some_and(|(_, until)| *until > Instant::now()));
        }
        if kept.len() >= MOST_KEPT && !kept.contains_key(domain) {
            return fetched.map(|(demand, _)| demand).unwrap_or_default();
        }
        let now = Instant::now();
        let place =
            kept.entry(domain.to_owned()).or_insert_with(|| Kept { id: String::new(), policy: None, again: now });
        match fetched {
            Ok((demand, age)) => {
                tracing::info!(domain, mode = ?demand.mode, "MTA-STS policy fetched");
                *place = Kept { id, policy: Some((demand, now + age)), again: now };
            }
            Err(reason) => {
                tracing::warn!(domain, reason, "the MTA-STS policy of the domain cannot be fetched");
                place.again = now + WAIT_AFTER_FAILURE;
            }
        }
        drop(kept);
        self.known(domain)
    }

    fn known(&self, domain: &str) -> Demand {
        match self.kept.borrow().get(domain).and_then(|kept| kept.policy.as_ref()) {
            Some((demand, until)) if *until > Instant::now() => demand.clone(),
            _ => Demand::default(),
        }
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

/// The id in the TXT record of a domain; none where there is not exactly one such record (RFC 8461 §3.1).
fn policy_id(texts: &[String]) -> Option<String> {
    let mut records =
        texts.iter().filter(|text| text.strip_prefix("v=STSv1").is_some_and(|rest| rest.trim_start().starts_with(';')));
    let record = records.next().filter(|_| records.next().is_none())?;
    let id = record.split(';').filter_map(|field| field.trim().strip_prefix("id=")).next()?;
    let is_id = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmax_age: 604800\r\n";

    #[test]
    fn a_policy_names_its_hosts() {
        let (demand, age) = Demand::parse(POLICY).unwrap();
        assert_eq!((demand.mode, age.as_secs()), (Mode::Enforce, 604_800));
        for (host, allowed) in [
            ("mail.example.com", true),
            ("a.example.net", true),
            ("example.net", false),
            ("a.b.example.net", false),
            ("xmail.example.com", false),
            (".example.net", false),
        ] {
            assert_eq!(demand.allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn what_is_no_policy_is_none() {
        for wrong in [
            "",
            "version: STSv2\nmode: none\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmax_age: 1\n",
            "version: STSv1\nmode: forced\nmx: a\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmx: a\n",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: long\n",
            "<html>",
        ] {
            assert!(Demand::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_record_of_a_domain_gives_the_id_of_its_policy() {
        let id = |texts: &[&str]| policy_id(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        assert_eq!(id(&["v=spf1 -all", "v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        for wrong in
            [&["v=STSv1; id=a;", "v=STSv1; id=b;"][..], &["v=STSv10; id=a;"], &["v=STSv1;"], &["v=STSv1; id=a-b"]]
        {
            assert_eq!(id(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(
            text in "((version|mode|mx|max_age|x)?:? ?(STSv1|enforce|none|[*.a-z]{0,8}|[0-9]{0,25})\r?\n){0,6}|\\PC*",
        ) {
            if let Ok((demand, age)) = Demand::parse(&text) {
                prop_assert!(demand.mode == Mode::None || !demand.patterns.is_empty());
                prop_assert!(age.as_secs() <= LONGEST);
            }
        }
    }
}
