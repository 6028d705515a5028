//! Copies of a message for local mailboxes.

use std::io;
use std::sync::Arc;

use acl::Guid;
use queue::Millis;

use super::errand::Manner;
use super::fate::Fate;
use super::maildir::{CopyError, CopyName, MailStore};
use super::outgoing::OpenError;
use super::worker::{cannot_open, looping};
use crate::shared::Shared;

/// One copy for one local mailbox.
pub(super) struct LocalCopy {
    pub(super) index: u32,
    pub(super) mailbox: Guid,
    /// The address that the folder is linked to.
    pub(super) folder: Option<String>,
    pub(super) recipient: String,
    /// As what it gets the message.
    pub(super) manner: Manner,
    pub(super) may_be_read: bool,
}

/// What the blocking thread needs to file copies of one message.
pub(super) struct Filing {
    pub(super) shared: Arc<Shared>,
    pub(super) mail: MailStore,
    pub(super) hostname: String,
    pub(super) max_hops: u32,
    pub(super) queue_id: String,
    pub(super) received: Millis,
}

impl Filing {
    pub(super) fn file(&self, copy: &LocalCopy) -> Fate {
        let opened = copy.manner.open(self.shared.queue(), &self.queue_id, &self.hostname, &copy.recipient);
        let mut message = match opened {
            Ok(message) if message.loops(self.max_hops) => return looping(),
            Ok(message) if message.was_delivered_to(&copy.recipient) => return looping(),
            Ok(message) => message,
            Err(error) => return cannot_open(&self.queue_id, &error),
        };
        let header = message.for_mailbox(copy.manner.sender.as_deref(), &copy.recipient);
        let name = CopyName::new(self.received, &self.queue_id, copy.index, &self.hostname);
        let filed = self.mail.file(&copy.mailbox, copy.folder.as_deref(), &name, copy.may_be_read, |out| {
            out.write_all(&header)?;
            loop {
                let block = message.next_block().map_err(|error| match error {
                    OpenError::Queue(error) => CopyError::Body(error),
                    error => CopyError::Write(io::Error::other(error.to_string())),
                })?;
                if block.is_empty() {
                    return Ok::<(), CopyError>(());
                }
                out.write_all(&block)?;
            }
        });
        match filed {
            Ok(_) => Fate::Delivered,
            Err(error) => {
                tracing::error!(queue_id = self.queue_id, %error, "a message cannot be filed");
                Fate::later(format!("the mailbox cannot be written: {error}"))
            }
        }
    }
}
