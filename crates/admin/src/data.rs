//! The data directory and its one owner.

use std::path::{Path, PathBuf};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process owns it.
    #[error("{path} is in use by process {pid}")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its owner; 0 when unknown.
        pid: u32,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The exclusive owner of a data directory; the lock ends with it.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
