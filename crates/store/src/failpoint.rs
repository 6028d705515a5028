//! The directory's points at which a test kills the process.

/// Every point on the way of a change into `directory.db`, in order, those of the administration service included.
pub const FAIL_POINTS: &[&str] = &[
    "open.before_schema",
    "open.after_schema",
    "large.before_journal",
    "large.after_journal",
    "commit.before_begin",
    "commit.after_head",
    "commit.after_history",
    "commit.after_object",
    "commit.after_link",
    "commit.after_descriptor",
    "commit.before_commit",
    "commit.after_commit",
    "large.before_log",
    "large.after_log",
    "credential.before",
    "credential.after",
    "change.before_publish",
    "change.after_publish",
    "import.after_batch",
];

/// Passes the point `name`: kills the process if the environment asks for it (see the crate `failpoint`).
#[inline(always)]
pub fn fail_point(name: &'static str) {
    failpoint::pass(FAIL_POINTS, name);
}
