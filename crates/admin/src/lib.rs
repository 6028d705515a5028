//! Administration: who owns the data directory, the one set of operations that change the organization, and the
//! socket through which every command reaches them.
//!
//! - [`DataDirectory`] is the exclusive owner of a data directory (`architecture.md`, "One process owns the data
//!   directory").
//! - [`Service`] holds the directory and publishes an immutable snapshot after each durable change. Every operation is
//!   checked on the objects that it touches, by the access check that decides about mail.
//! - [`Request`] and [`Response`] are the operations, as documents: one JSON line each way on `DIR/admin.sock`, and the
//!   same values in-process when no server runs.
//! - [`Endpoint`] is how a command finds the service: the socket of a running server, or else the service itself.

mod access;
mod accounts;
mod app_passwords;
mod apply;
mod authorize;
mod backup;
mod browse;
mod caller;
mod check;
mod connectors;
pub mod data;
mod databases;
mod delegation;
mod documents;
mod domains;
mod elsewhere;
mod endpoint;
pub mod error;
mod expiry;
mod explain;
mod export;
mod folder_permissions;
mod groups;
mod history;
mod import;
mod mailboxes;
mod moves;
mod observed;
pub mod operations;
mod ownership;
pub mod pause;
mod permissions;
mod protection;
mod queued;
pub mod random;
mod reach;
mod recipients;
mod reports;
mod response;
mod sd_edit;
pub mod separation;
pub(crate) mod servers;
mod service;
mod service_accounts;
pub mod sheet;
mod simulate;
pub mod socket;
mod status;
mod trace;
mod trust;
mod usage;
mod verify;
mod wanted;
mod words;

pub use caller::{Caller, Users};
pub use connectors::default_connectors;
pub use data::{Absent, DataDirectory, DataError};
pub use endpoint::Endpoint;
pub use error::{AdminError, Fault, FaultKind};
pub use operations::{Request, Response};
pub use servers::own_server;
pub use service::{Hashed, Hasher, Like, Options, Running, Service, audit_path, queue_directory, tracking_directory};
