//! What is durable next to the mail queue: the directory with its history (`directory.db`) and decision records
//! (`audit.db`), both SQLite with one writer each.

mod access;
mod audit;
mod backup;
mod database;
mod directory;
mod encoding;
mod error;
mod failpoint;
mod secret;

pub use access::{ApiToken, Webhook};
pub use audit::{AuditEntry, AuditFilter, AuditStore, Retention};
pub use backup::{Backup, Part, copy};
pub use directory::{DirectoryStore, HistoryEntry, HistoryFilter, Place};
pub use error::StoreError;
pub use failpoint::{FAIL_POINTS, fail_point};
pub use secret::AppPassword;
