//! Timing single checks.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

/// Sorted times in nanoseconds, what the clock itself takes subtracted.
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// Times `check` on each input once, after a short warm-up on the same inputs.
    pub fn of<I, R>(inputs: &[I], mut check: impl FnMut(&I) -> R) -> Latencies {
        for input in &inputs[..inputs.len() / 10] {
            black_box(check(input));
        }
        let overhead = overhead();
        let mut times = Vec::with_capacity(inputs.len());
        for input in inputs {
            let begin = now();
            let result = black_box(check(black_box(input)));
            let end = now();
            times.push((end.wrapping_sub(begin) as f64 * *TICK - overhead).max(0.0));
            drop(result);
        }
        times.sort_by(f64::total_cmp);
        Latencies(times)
    }

    pub fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }
}

/// What a pair of clock readings takes, in nanoseconds.
pub fn overhead() -> f64 {
    let mut times: Vec<u64> = (0..100_000)
        .map(|_| {
            let begin = now();
            now().wrapping_sub(begin)
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2] as f64 * *TICK
}

/// Nanoseconds for one tick of the processor's counter.
static TICK: LazyLock<f64> = LazyLock::new(|| {
    let (clock, begin) = (Instant::now(), now());
    while clock.elapsed().as_millis() < 100 {}
    clock.elapsed().as_nanos() as f64 / now().wrapping_sub(begin) as f64
});

#[cfg(target_arch = "x86_64")]
fn now() -> u64 {
    use core::arch::x86_64::{_mm_lfence, _rdtsc};
    // SAFETY: both instructions are there on every x86-64 processor and touch no memory.
    unsafe {
        _mm_lfence();
        let ticks = _rdtsc();
        _mm_lfence();
        ticks
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_nanos() as u64
}
