//! The queue's points at which a test kills the process.

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
    "relay.before_send",
    "relay.after_send",
];

/// Passes the point `name`: kills the process if the environment asks for it (see the crate `failpoint`).
#[inline(always)]
pub fn fail_point(name: &'static str) {
    failpoint::pass(FAIL_POINTS, name);
}
