//! Decisions, refusals, records and reports on small organizations written out by hand: one fact for each test.

#![allow(clippy::unwrap_used)]

mod amounts;
mod audits;
mod differences;
mod doubts;
mod folders;
mod groups;
mod holders;
mod pauses;
mod reasons;
mod records;
mod refusals;
mod said;
mod senders;
mod transactions;
mod world;
