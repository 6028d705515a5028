//! The mail transport at work: listeners per receive connector, TLS, the loop around the sans-io session, password
//! checks, delivery with retries, and bounces (`architecture.md`, "The way of a message").

mod accept;
mod audit;
mod buckets;
pub mod certificate;
mod connection;
mod credentials;
pub mod delivery;
mod figures;
#[cfg(feature = "kerberos")]
pub mod kerberos;
mod listener;
pub mod oauth;
pub mod password;
pub mod pause;
mod protocol_log;
pub mod rates;
mod reception;
mod route;
mod server;
mod shared;
mod tls;
mod tracking;

pub use audit::{AuditLog, AuditOptions};
pub use buckets::Rate;
pub use credentials::{
    Check, Clock, CredentialCounts, CredentialLimits, CredentialSource, Credentials, Keys, SourceUnavailable,
    StoredCredentials, Who,
};
pub use delivery::{ClientTimeouts, DeliveryOptions, SmartHost};
pub use figures::{Counter, Figures};
pub use protocol_log::{ProtocolLog, ProtocolLogOptions};
pub use server::{Binding, Server, ServerOptions, StartError, Stopper};
pub use shared::Shared;
pub use tls::{TlsOptions, key_digest};
