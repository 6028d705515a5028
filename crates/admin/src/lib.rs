//! Administration: who owns the data directory, the one set of operations that change the organization, and the
//! socket through which every command reaches them.
//!
//! - [`DataDirectory`] is the exclusive owner of a data directory (`architecture.md`, "One process owns the data
//!   directory").
//! - [`Service`] holds the directory and publishes an immutable snapshot after each durable change.
//! - [`Request`] and [`Response`] are the operations, as documents: one JSON line each way on `DIR/admin.sock`, and the
//!   same values in-process when no server runs.
//! - [`Endpoint`] is how a command finds the service: the socket of a running server, or else the service itself.

pub mod data;
pub mod error;
pub mod operations;

pub use data::{DataDirectory, DataError};
pub use error::{AdminError, Fault};
pub use operations::{Request, Response};
