//! What a server counts while it runs, for metrics. Counters begin at zero with the process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The counters. Cheap to bump from any thread.
#[derive(Debug, Default)]
pub struct Figures {
    /// Connections that became sessions.
    pub sessions: Counter,
    /// Sessions that have ended.
    pub sessions_ended: Counter,
    /// Connections that were turned away before a session began.
    pub turned_away: Counter,
    /// Messages acknowledged after they were durable.
    pub accepted: Counter,
    /// Octets of those messages.
    pub accepted_bytes: Counter,
    /// Recipients of those messages, groups expanded.
    pub accepted_recipients: Counter,
    /// Decisions that a connector in `observe` only wrote down.
    pub observed: Counter,
    /// Recipients delivered.
    pub delivered: Counter,
    /// Attempts at a recipient that are to be repeated.
    pub deferred: Counter,
    /// Recipients given up.
    pub failed: Counter,
    /// Turns of the loop that serves sessions: as long as they go on, it is alive.
    pub turns: Counter,
    refused: Mutex<BTreeMap<String, u64>>,
    refusals: Family<String>,
    deliveries: Family<(&'static str, &'static str)>,
    logons: Family<(&'static str, &'static str)>,
    handshakes: Family<String>,
    filtered: Family<&'static str>,
    filed: Family<(&'static str, &'static str)>,
}

/// Counts by a label.
type Family<L> = Mutex<BTreeMap<L, u64>>;

fn count<L: Ord>(family: &Family<L>, label: L) {
    *family.lock().unwrap_or_else(PoisonError::into_inner).entry(label).or_default() += 1;
}

fn counts<L: Ord + Clone>(family: &Family<L>) -> Vec<(L, u64)> {
    let family = family.lock().unwrap_or_else(PoisonError::into_inner);
    family.iter().map(|(label, count)| (label.clone(), *count)).collect()
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn bump(&self) {
        self.add(1);
    }

    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figures {
    /// Counts a refusal by the status of its reply: `550 5.7.1` of `550 5.7.1 Client does not have permissions …`.
    pub fn refused(&self, reply: &str) {
        let mut words = reply.split_ascii_whitespace();
        let (code, enhanced) = (words.next().unwrap_or("000"), words.next().unwrap_or_default());
        let is_status =
            |word: &str| word.split('.').count() == 3 && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let status = if is_status(enhanced) { format!("{code} {enhanced}") } else { code.to_owned() };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    /// Refusals by status, in order.
    pub fn refusals(&self) -> Vec<(String, u64)> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(status, count)| (status.clone(), *count)).collect()
    }
}

impl Figures {
    /// Counts a refusal by its name, as in [`rights::Refusal::name`].
    pub fn refused_for(&self, refusal: &str) {
        count(&self.refusals, refusal.to_owned());
    }

    /// Refusals by name, in order.
    pub fn refusals_by_name(&self) -> Vec<(String, u64)> {
        counts(&self.refusals)
    }

    /// Counts what an attempt at a recipient came to: by the class of its destination (`mailbox`, `lmtp`, `connector`,
    /// `smart-host`, `domain`, `other`) and the result (`delivered`, `deferred`, `failed`).
    pub fn attempted(&self, destination: &str, result: &'static str) {
        let class = match destination.split(':').next() {
            Some("mailbox") => "mailbox",
            Some("connector") => "connector",
            Some("smart-host") => "smart-host",
            Some("domain") => "domain",
            Some("lmtp") => "lmtp",
            _ => "other",
        };
        count(&self.deliveries, (class, result));
    }

    /// Attempts at recipients by class of destination and result.
    pub fn attempts(&self) -> Vec<((&'static str, &'static str), u64)> {
        counts(&self.deliveries)
    }

    /// Counts a logon: by what it was tried with (`password`, `SCRAM`, `token`, `ticket`) and the result (`right`,
    /// `wrong`, `unanswered`).
    pub fn logged_on(&self, by: &'static str, result: &'static str) {
        count(&self.logons, (by, result));
    }

    /// Logons by means and result.
    pub fn logons(&self) -> Vec<((&'static str, &'static str), u64)> {
        counts(&self.logons)
    }

    /// Counts what content filters said of a message: `accepted`, `quarantined`, `refused`, `put-off`.
    pub fn filtered(&self, result: &'static str) {
        count(&self.filtered, result);
    }

    /// Messages by what content filters said of them.
    pub fn filter_results(&self) -> Vec<(&'static str, u64)> {
        counts(&self.filtered)
    }

    /// Counts what came of a file in a folder: by the kind of folder (`pickup`, `replay`, `drop`) and the result
    /// (`accepted`, `bad`, `put-off`; `written`).
    pub fn filed(&self, kind: &'static str, result: &'static str) {
        count(&self.filed, (kind, result));
    }

    /// Files by kind of folder and result.
    pub fn files(&self) -> Vec<((&'static str, &'static str), u64)> {
        counts(&self.filed)
    }

    /// Counts a TLS handshake with a client by its version, `failed` where it failed.
    pub fn handshake(&self, version: &str) {
        count(&self.handshakes, version.to_owned());
    }

    /// TLS handshakes by version.
    pub fn handshakes(&self) -> Vec<(String, u64)> {
        counts(&self.handshakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_code_and_enhanced_status() {
        let figures = Figures::default();
        figures.refused("550 5.7.1 Client does not have permissions to send as this sender");
        figures.refused("550 5.7.1 Something else");
        figures.refused("421 Too busy");
        assert_eq!(figures.refusals(), [("421".to_owned(), 1), ("550 5.7.1".to_owned(), 2)]);
    }
}
