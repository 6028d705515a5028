//! HTTP of a node: whether it is well (`/healthz`), and what it counts (`/metrics`, OpenMetrics text); on an address of its
//! own, submission of mail (`/v1/messages`); and webhooks, which tell others what became of it.
//!
//! Each is served by a thread of its own: what a client of HTTP does cannot hold up mail.

mod metrics;
mod server;
pub mod submission;
mod webhooks;

pub use server::{Web, WebError};
pub use webhooks::{PostError, Poster, PosterOptions, Webhooks};
