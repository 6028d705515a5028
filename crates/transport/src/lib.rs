//! The mail transport at work: listeners per receive connector, TLS, the loop around the sans-io session, password
//! checks, delivery with retries, and bounces (`architecture.md`, "The way of a message").

mod accept;
mod alarms;
mod audit;
mod buckets;
pub mod certificate;
mod connection;
mod credentials;
pub mod delivery;
mod der;
mod dns;
pub mod events;
mod expansion;
mod facts;
mod figures;
mod filtering;
mod folders;
#[cfg(feature = "kerberos")]
pub mod kerberos;
mod listener;
mod local_users;
pub mod oauth;
pub mod password;
pub mod pause;
mod protocol_log;
mod proxy;
pub mod rates;
mod reception;
mod route;
mod sending;
mod server;
mod shared;
pub mod submission;
mod tls;
mod tracking;

pub use alarms::{Alarm, Alarms};
pub use audit::{AuditLog, AuditOptions};
pub use buckets::Rate;
pub use credentials::{
    Check, Clock, CredentialCounts, CredentialLimits, CredentialSource, Credentials, Keys, SourceUnavailable,
    StoredCredentials, Who,
};
pub use delivery::{ClientTimeouts, DeliveryOptions, DnsOptions, Exits, LmtpHost, SmartHost, StsOptions};
pub use figures::{Counter, Figures};
pub use local_users::LocalUsers;
pub use protocol_log::{ProtocolLog, ProtocolLogOptions};
pub use sending::SendingCounts;
pub use server::{Binding, Server, ServerOptions, StartError, Stopper};
pub use shared::{ClosedFolder, Shared};
pub use tls::{HttpTls, TlsOptions, key_digest};
