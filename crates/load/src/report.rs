//! What came of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Different replies or errors that are counted one by one; the rest is counted together.
const KINDS: usize = 50;

/// The figures of a run. Serializes to JSON; displays as a short table.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// From the first connection attempt to the last reply, in seconds.
    pub seconds: f64,
    /// Messages whose transaction was begun.
    pub attempted: u64,
    /// Messages that the server answered with 250 after end of data.
    pub accepted: u64,
    /// Recipients accepted within accepted messages.
    pub recipients: u64,
    /// Bytes of the accepted messages, header included.
    pub bytes: u64,
    /// Accepted messages a second.
    pub accepted_per_second: f64,
    /// Connections that got as far as MAIL.
    pub connections: u64,
    /// From the last byte of a message to its 250.
    pub end_of_data: Latency,
    /// From the connection attempt until MAIL can be sent: TCP, greeting, EHLO, TLS and login.
    pub connect: Latency,
    /// Refusals by stage and reply, such as `MAIL: 550 5.7.1 …`, without addresses and decision ids.
    pub refused: BTreeMap<String, u64>,
    /// Connections that failed or broke, by reason.
    pub errors: BTreeMap<String, u64>,
    /// With a rate: how late the latest message began, in milliseconds. Large means that the sessions could not keep the pace.
    pub late_ms: f64,
}

impl Report {
    /// All refused messages together.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// The report as one JSON object.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = self.bytes as f64 / 1e6;
        writeln!(f, "accepted    {} of {} in {:.2} s", self.accepted, self.attempted, self.seconds)?;
        writeln!(f, "rate        {:.1} messages/s, {:.1} MB/s", self.accepted_per_second, mb / self.seconds.max(1e-9))?;
        writeln!(f, "end of data {}", self.end_of_data)?;
        writeln!(f, "connect     {} ({} connections)", self.connect, self.connections)?;
        if self.late_ms >= 1.0 {
            writeln!(f, "late        up to {:.0} ms behind the rate asked for", self.late_ms)?;
        }
        for (reply, count) in &self.refused {
            writeln!(f, "refused     {count} × {reply}")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "error       {count} × {error}")?;
        }
        Ok(())
    }
}

/// A distribution of times, in milliseconds. All 0 where nothing was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// Arithmetic mean.
    pub mean_ms: f64,
    /// Half were at most this.
    pub p50_ms: f64,
    /// 90 % were at most this.
    pub p90_ms: f64,
    /// 99 % were at most this.
    pub p99_ms: f64,
    /// 99.9 % were at most this.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms, max {:.2} ms",
            self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms
        )
    }
}

/// Collected while the run goes on; times in microseconds.
#[derive(Debug)]
pub(crate) struct Tally {
    pub attempted: u64,
    pub accepted: u64,
    pub recipients: u64,
    pub bytes: u64,
    pub connections: u64,
    pub late: Duration,
    end_of_data: Histogram<u64>,
    connect: Histogram<u64>,
    refused: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally {
            attempted: 0,
            accepted: 0,
            recipients: 0,
            bytes: 0,
            connections: 0,
            late: Duration::ZERO,
            end_of_data: histogram(),
            connect: histogram(),
            refused: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    pub(crate) fn end_of_data(&mut self, time: Duration) {
        self.end_of_data.saturating_record(time.as_micros() as u64);
    }

    pub(crate) fn connected(&mut self, time: Duration) {
        self.connections += 1;
        self.connect.saturating_record(time.as_micros() as u64);
    }

    pub(crate) fn refused(&mut self, stage: &str, kind: String) {
        count(&mut self.refused, format!("{stage}: {kind}"));
    }

    pub(crate) fn error(&mut self, reason: String) {
        count(&mut self.errors, reason);
    }

    pub(crate) fn report(self, elapsed: Duration) -> Report {
        let seconds = elapsed.as_secs_f64();
        Report {
            seconds,
            attempted: self.attempted,
            accepted: self.accepted,
            recipients: self.recipients,
            bytes: self.bytes,
            accepted_per_second: self.accepted as f64 / seconds.max(1e-9),
            connections: self.connections,
            end_of_data: latency(&self.end_of_data),
            connect: latency(&self.connect),
            refused: self.refused,
            errors: self.errors,
            late_ms: self.late.as_secs_f64() * 1e3,
        }
    }
}

/// 1 µs to 10 minutes with three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are valid constants")
}

fn latency(histogram: &Histogram<u64>) -> Latency {
    if histogram.is_empty() {
        return Latency::default();
    }
    let quantile = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    Latency {
        count: histogram.len(),
        mean_ms: histogram.mean() / 1e3,
        p50_ms: quantile(0.5),
        p90_ms: quantile(0.9),
        p99_ms: quantile(0.99),
        p999_ms: quantile(0.999),
        max_ms: histogram.max() as f64 / 1e3,
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: String) {
    let key = if counts.len() >= KINDS && !counts.contains_key(&key) { "other".to_owned() } else { key };
    *counts.entry(key).or_insert(0) += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_out_in_milliseconds() {
        let mut tally = Tally::new();
        for ms in 1..=1000 {
            tally.end_of_data(Duration::from_millis(ms));
        }
        let latency = tally.report(Duration::from_secs(1)).end_of_data;
        assert!((499.0..=501.0).contains(&latency.p50_ms) && (989.0..=991.0).contains(&latency.p99_ms), "{latency}");
    }

    #[test]
    fn ever_new_replies_do_not_grow_the_report_without_end() {
        let mut tally = Tally::new();
        for number in 0..1000 {
            tally.refused("MAIL", format!("550 {number}"));
        }
        let report = tally.report(Duration::from_secs(1));
        assert_eq!((report.refused.len() <= KINDS + 1, report.refused_total()), (true, 1000));
    }
}
