//! Token buckets by key with bounded memory: how often may something fail from one source, or for one account.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How fast a bucket drains and fills.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Tokens of a full bucket: so many failures are free in a row.
    pub burst: u32,
    /// One token comes back after this time.
    pub refill: Duration,
}

/// Buckets by key. A key that is not held has a full bucket, so full buckets are never kept.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    capacity: usize,
    held: HashMap<K, Bucket>,
}

/// A bucket is the moment at which it will be full again (generic cell rate algorithm).
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    /// Buckets that hold at most `capacity` keys.
    pub fn new(rate: Rate, capacity: usize) -> Self {
        Buckets { rate, capacity: capacity.max(1), held: HashMap::new() }
    }

    /// How many tokens `key` has spent that have not come back yet.
    pub fn spent(&self, key: &K, now: Instant) -> u32 {
        let Some(bucket) = self.held.get(key) else { return 0 };
        let owed = bucket.full_at.saturating_duration_since(now).as_nanos();
        let refill = self.rate.refill.as_nanos().max(1);
        u32::try_from(owed.div_ceil(refill)).unwrap_or(u32::MAX)
    }

    /// Has `key` no token left?
    pub fn is_empty(&self, key: &K, now: Instant) -> bool {
        self.spent(key, now) >= self.rate.burst
    }

    /// Takes a token of `key`; the bucket never owes more than it holds.
    pub fn take(&mut self, key: K, now: Instant) {
        if self.held.len() >= self.capacity && !self.held.contains_key(&key) {
            self.make_room(now);
        }
        let full = self.rate.refill.saturating_mul(self.rate.burst);
        let bucket = self.held.entry(key).or_insert(Bucket { full_at: now });
        let from = bucket.full_at.max(now);
        bucket.full_at = (from + self.rate.refill).min(now + full);
    }

    /// Gives `key` a full bucket.
    pub fn forgive(&mut self, key: &K) {
        self.held.remove(key);
    }

    /// Drops full buckets; if all are in use, the eighth that is nearest to full.
    fn make_room(&mut self, now: Instant) {
        self.held.retain(|_, bucket| bucket.full_at > now);
        if self.held.len() < self.capacity {
            return;
        }
        let mut moments: Vec<Instant> = self.held.values().map(|bucket| bucket.full_at).collect();
        moments.sort_unstable();
        let limit = moments[moments.len() / 8];
        self.held.retain(|_, bucket| bucket.full_at > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: Duration::from_secs(10) };

    #[test]
    fn a_bucket_is_empty_after_its_burst_and_refills_by_time() {
        let start = Instant::now();
        let mut buckets = Buckets::new(RATE, 16);
        for _ in 0..3 {
            assert!(!buckets.is_empty(&"a", start));
            buckets.take("a", start);
        }
        assert!(buckets.is_empty(&"a", start));
        assert!(!buckets.is_empty(&"b", start));
        assert!(!buckets.is_empty(&"a", start + Duration::from_secs(10)));
        assert_eq!(buckets.spent(&"a", start + Duration::from_secs(30)), 0);
    }

    #[test]
    fn memory_stays_bounded_and_the_worst_key_is_kept() {
        let start = Instant::now();
        let mut buckets = Buckets::new(RATE, 64);
        for _ in 0..3 {
            buckets.take(u32::MAX, start);
        }
        for key in 0..10_000 {
            buckets.take(key, start);
        }
        assert!(buckets.held.len() <= 64, "{}", buckets.held.len());
        assert!(buckets.is_empty(&u32::MAX, start));
    }
}
