//! How long the disk takes: counts of durations between bounds, as a histogram of metrics has them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the counts, in seconds; the last count has none.
pub const LATENCY_BOUNDS: [f64; 12] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

/// Durations since the queue was opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LatencyCounts {
    /// How many there were up to each bound of [`LATENCY_BOUNDS`] and above the one before, then those above all.
    pub counts: Vec<u64>,
    /// All of them together, in seconds.
    pub sum: f64,
}

/// What the committer measures.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    counts: [AtomicU64; LATENCY_BOUNDS.len() + 1],
    microseconds: AtomicU64,
}

impl Latency {
    pub(crate) fn measured(&self, taken: Duration) {
        let seconds = taken.as_secs_f64();
        let at = LATENCY_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(LATENCY_BOUNDS.len());
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.microseconds.fetch_add(u64::try_from(taken.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> LatencyCounts {
        LatencyCounts {
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.microseconds.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_below_the_first_bound_that_holds_it() {
        let latency = Latency::default();
        latency.measured(Duration::from_micros(500));
        latency.measured(Duration::from_micros(501));
        latency.measured(Duration::from_secs(60));
        let LatencyCounts { counts, sum } = latency.counts();
        assert_eq!((counts[0], counts[1], counts[12]), (1, 1, 1));
        assert!((sum - 60.001_001).abs() < 1e-9, "{sum}");
    }
}
