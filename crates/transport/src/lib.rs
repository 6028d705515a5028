//! The mail transport at work: listeners per receive connector, TLS, the loop around the sans-io session, password
//! checks, delivery with retries, and bounces (`architecture.md`, "The way of a message").

mod accept;
mod audit;
mod buckets;
pub mod certificate;
mod connection;
mod credentials;
pub mod delivery;
mod listener;
pub mod password;
pub mod route;
mod server;
mod shared;

pub use audit::{AuditLog, AuditOptions};
pub use buckets::Rate;
pub use credentials::{Check, CredentialCounts, CredentialLimits, CredentialSource, Credentials, SourceUnavailable};
pub use delivery::{ClientTimeouts, DeliveryOptions, SmartHost};
pub use server::{Binding, Server, ServerOptions, StartError, Stopper};
pub use shared::Shared;
