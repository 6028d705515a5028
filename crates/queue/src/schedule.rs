//! What is due when: a small index in memory over the deliveries in the database.

/// A delivery that was handed out; returns to the schedule when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    _private: (),
}
