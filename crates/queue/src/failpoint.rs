//! Points at which a test kills the process.
//!
//! With the feature `failpoints` and `PROCURA_FAILPOINT=name[:nth]` in the environment, the process kills itself with
//! SIGKILL when it passes the named point for the `nth` time (1 if absent). Without the feature nothing is compiled in.

/// Every point in the queue and in those who deliver from it.
pub const FAIL_POINTS: &[&str] = &[
    "segment.before_create",
    "segment.after_create",
    "segment.after_allocate",
    "segment.after_file_sync",
    "segment.after_directory_sync",
    "segment.before_recycle",
    "segment.after_recycle",
    "segment.before_remove",
    "segment.after_remove",
    "spill.before_write",
    "spill.after_write",
    "body.before_write",
    "body.after_write",
    "body.before_sync",
    "body.after_sync",
    "schedule.before_begin",
    "schedule.before_commit",
    "schedule.after_commit",
    "accept.before_acknowledge",
    "accept.after_acknowledge",
    "outcome.before_commit",
    "outcome.after_commit",
    "checkpoint.before",
    "checkpoint.after",
    "delivery.before_write",
    "delivery.after_write",
    "delivery.before_rename",
    "delivery.after_rename",
    "delivery.after_directory_sync",
    "delivery.before_outcome",
];

/// Passes the point `name`: kills the process if the environment asks for it.
#[cfg(feature = "failpoints")]
pub fn fail_point(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    debug_assert!(FAIL_POINTS.contains(&name), "fail point {name} is not listed");
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

/// Passes the point `name`; nothing, without the feature `failpoints`.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn fail_point(_name: &'static str) {}
