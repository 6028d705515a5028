//! HTTP of a node: whether it is well (`/healthz`), and what it counts (`/metrics`, OpenMetrics text).
//!
//! Requests are served by a thread of their own: what a client of HTTP does cannot hold up mail.

mod metrics;
mod server;

pub use server::{Web, WebError};
