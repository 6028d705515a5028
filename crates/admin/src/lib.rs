//! Administration: who owns the data directory, the one set of operations that change the organization, and the
//! socket through which every command reaches them.
//!
//! - [`DataDirectory`] is the exclusive owner of a data directory (`architecture.md`, "One process owns the data
//!   directory").
//! - [`Request`] and [`Response`] are the operations, as documents: one JSON line each way on `DIR/admin.sock`, and the
//!   same values in-process when no server runs.

pub mod data;
pub mod error;
pub mod operations;
pub mod socket;

pub use data::{Absent, DataDirectory, DataError};
pub use error::{AdminError, Fault, FaultKind};
pub use operations::{Request, Response};
