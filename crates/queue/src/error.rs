//! What can go wrong in the queue.

use std::path::{Path, PathBuf};

/// A fault of the queue. Cheap to clone, because one failed sync fails every message of its group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// No space on the queue's file system, or the configured capacity is used up. Nothing of the message was kept;
    /// the sender is told `452 4.3.1` and tries again.
    #[error("no space left for the queue in {}: free space or raise the queue's capacity", dir.display())]
    Full {
        /// The queue directory.
        dir: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {detail}", path.display())]
    Io {
        /// What was tried: "write", "sync", …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The schedule database is damaged, or missing while bodies are there.
    #[error("{} is damaged: {detail}. {advice}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
        /// What the operator can do.
        advice: &'static str,
    },
    /// The schedule database was written by a newer version.
    #[error("{} has schema version {found}; this program knows versions up to {known}: run the newer version", path.display())]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// Version in the file.
        found: i64,
        /// Newest version this program can read.
        known: i64,
    },
    /// Another process has this queue open.
    #[error("the queue in {} is in use by another process", dir.display())]
    InUse {
        /// The queue directory.
        dir: PathBuf,
    },
    /// No message with this queue id.
    #[error("no message {queue_id} in the queue")]
    UnknownMessage {
        /// The id asked for.
        queue_id: String,
    },
    /// A message with this queue id is already queued.
    #[error("message {queue_id} is already in the queue")]
    DuplicateId {
        /// The id.
        queue_id: String,
    },
    /// A message with the same [`crate::Ticket::key`] was accepted before.
    #[error("a submission with the same key was accepted before")]
    DuplicateKey,
    /// The body of a message is not what was accepted. It is never delivered.
    #[error("the body of message {queue_id} is damaged: {detail}")]
    Damaged {
        /// The message.
        queue_id: String,
        /// Which part of it, and how.
        detail: String,
    },
    /// The envelope cannot be queued as it is (no recipient, for example).
    #[error("message {queue_id} cannot be queued: {detail}")]
    Envelope {
        /// The message.
        queue_id: String,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The schedule database refused an operation for another reason.
    #[error("{}: {detail}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The queue was closed before the operation was done.
    #[error("the queue is closed")]
    Closed,
}

impl QueueError {
    /// A failed file operation; no space becomes [`QueueError::Full`].
    pub(crate) fn io(action: &'static str, path: &Path, error: &std::io::Error) -> QueueError {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                QueueError::Full { dir: path.parent().unwrap_or(path).to_owned() }
            }
            _ => QueueError::Io { action, path: path.to_owned(), detail: error.to_string() },
        }
    }
}
