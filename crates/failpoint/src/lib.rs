//! Points at which a test kills the process.
//!
//! With the feature `enabled` and `PROCURA_FAILPOINT=name[:nth]` in the environment, the process kills itself with
//! SIGKILL when it passes the named point for the `nth` time (1 if absent). Without the feature nothing is compiled in.

/// Passes the point `name`, one of `points`: kills the process if the environment asks for it.
#[cfg(feature = "enabled")]
pub fn pass(points: &'static [&'static str], name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    debug_assert!(points.contains(&name), "fail point {name} is not listed");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("PROCURA_FAILPOINT").ok()?;
        match text.split_once(':') {
            Some((name, nth)) => Some((name.to_owned(), nth.parse().unwrap_or(1))),
            None => Some((text, 1)),
        }
    });
    if let Some((wanted, nth)) = wanted
        && wanted == name
        && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *nth
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// Passes the point `name`, one of `points`; nothing, without the feature `enabled`.
#[cfg(not(feature = "enabled"))]
#[inline(always)]
pub fn pass(_points: &'static [&'static str], _name: &'static str) {}
