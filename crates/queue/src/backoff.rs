//! How long to wait before the next attempt.

use crate::Millis;

/// Exponential waiting times: `first`, `first × 2`, … up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure, in milliseconds.
    pub first: Millis,
    /// Upper bound in milliseconds.
    pub longest: Millis,
}

impl Backoff {
    /// Milliseconds to wait after `failures` failures in a row (1 is the first). `spread` (0 to 255, any number that
    /// differs between messages) moves the result by up to a quarter, so that messages deferred together do not come
    /// back together.
    pub fn delay(&self, failures: u32, spread: u8) -> Millis {
        let doubled = self.first.saturating_mul(1_i64 << failures.saturating_sub(1).min(30));
        let base = doubled.min(self.longest).max(1);
        base.saturating_add(base / 4 * i64::from(spread) / 255)
    }
}

impl Default for Backoff {
    /// 1 minute, doubling up to 1 hour (RFC 5321 §4.5.4.1 asks for 30 minutes at least once the first attempts failed).
    fn default() -> Backoff {
        Backoff { first: 60_000, longest: 3_600_000 }
    }
}
