//! What can go wrong, for the one who asked.

use directory::{ChangeError, NameError};
use serde::{Deserialize, Serialize};
use store::StoreError;

/// A command that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The service refused or failed; nothing was changed.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The data directory cannot be used.
    #[error("{0}")]
    Data(#[from] crate::DataError),
    /// A server owns the directory and cannot be reached.
    #[error("process {pid} owns {} but does not answer on {}", directory.display(), socket.display())]
    Unreachable {
        /// The data directory.
        directory: std::path::PathBuf,
        /// Its administration socket.
        socket: std::path::PathBuf,
        /// The owner of the directory; 0 when unknown.
        pid: u32,
    },
    /// The text of a report could not be handed on.
    #[error("standard output: {0}")]
    Output(#[source] std::io::Error),
    /// The connection to the server broke.
    #[error("the connection to the server broke: {0}")]
    Io(#[from] std::io::Error),
}

impl AdminError {
    /// What to do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            AdminError::Fault(fault) => fault.help.clone(),
            AdminError::Data(error) => Some(error.help()),
            AdminError::Unreachable { pid, .. } => {
                Some(format!("wait a moment if it is starting or stopping; else look at process {pid}"))
            }
            AdminError::Output(_) => None,
            AdminError::Io(_) => Some("look at the server's log, then repeat the command".into()),
        }
    }
}

/// A fault as a document: what was wrong, and what to do about it.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// For programs.
    pub kind: FaultKind,
    /// For people: what was wrong and where.
    pub message: String,
    /// For people: what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Fault {
    /// A fault in words.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, message: message.into(), help: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

/// Kinds of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A name that nothing has.
    NotFound,
    /// A name that several objects have.
    Ambiguous,
    /// The one who asked lacks a right.
    Denied,
    /// The request is wrong.
    Invalid,
    /// It contradicts what is there: a taken address, name or mailbox.
    Conflict,
    /// Storage or another part of the service failed.
    Unavailable,
    /// The service does not offer it here: for instance the queue of a server that does not run.
    Unsupported,
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        let help = match error {
            StoreError::Corrupt { .. } | StoreError::NewerSchema { .. } => None,
            StoreError::Missing { .. } => Some(
                "create an organization with `procura init`, or restore a backup into a new directory: `procura --data DIR restore FILE`",
            ),
            StoreError::Empty { .. } => Some(
                "restore a backup into a new directory: `procura --data DIR restore FILE`; where nothing was ever in it, repeat `procura init`",
            ),
            StoreError::Foreign { .. } => Some("choose another data directory with --data"),
            StoreError::Full { .. } => Some("free some space, then repeat the command; nothing was changed"),
            StoreError::Conflict { .. } | StoreError::Database { .. } => Some("nothing was changed"),
        };
        let fault = Fault::new(FaultKind::Unavailable, error.to_string());
        match help {
            Some(help) => fault.help(help),
            None => fault,
        }
    }
}

impl From<ChangeError> for Fault {
    fn from(error: ChangeError) -> Fault {
        let kind = match error {
            ChangeError::UnknownObject(_) | ChangeError::UnknownParent { .. } | ChangeError::UnknownLink { .. } => {
                FaultKind::NotFound
            }
            ChangeError::Taken { .. } | ChangeError::NotLeaf { .. } | ChangeError::NoSid { .. } => FaultKind::Conflict,
            ChangeError::BadValue { .. } | ChangeError::ReadOnly { .. } | ChangeError::BadMove { .. } => {
                FaultKind::Invalid
            }
        };
        Fault::new(kind, error.to_string())
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Fault {
        let kind = match error {
            NameError::Unknown(_) => FaultKind::NotFound,
            NameError::Ambiguous { .. } => FaultKind::Ambiguous,
        };
        Fault::new(kind, error.to_string())
    }
}
