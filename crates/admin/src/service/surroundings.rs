//! What the service needs from its surroundings, and what it tells them.

use std::sync::Arc;

use acl::Guid;
use directory::{Snapshot, Time};
use store::{AuditEntry, StoreError, Webhook};

use crate::caller::Users;
use crate::error::{Fault, FaultKind};
use crate::pause::documents::PauseFate;
use crate::pause::{PauseOutcome, PausedMail};

/// What is kept of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hashed {
    /// A PHC string.
    pub phc: String,
    /// SCRAM keys as text; none where no client could send the password so that all agree on its octets.
    pub scram: Option<String>,
}

/// SCRAM keys of an account that new ones are to be like. SCRAM asks before it is known which password the client has, so
/// all passwords of an account have one salt; it stays when the password changes, so that a stranger does not see that.
#[derive(Debug, Clone, Copy)]
pub struct Like<'a> {
    /// The keys as text.
    pub keys: &'a str,
    /// Their rounds are used again, too.
    pub rounds: bool,
}

/// Makes what is kept of a password. Errors are in words.
pub trait Hasher: Send + Sync {
    /// A PHC string. Takes its time.
    fn phc(&self, password: &[u8]) -> Result<String, String>;

    /// SCRAM keys as text; none where no client could send the password so that all agree on its octets.
    fn scram(&self, password: &[u8], like: Option<Like<'_>>) -> Result<Option<String>, String>;

    /// Both.
    fn hashed(&self, password: &[u8], like: Option<Like<'_>>) -> Result<Hashed, String> {
        Ok(Hashed { phc: self.phc(password)?, scram: self.scram(password, like)? })
    }
}

/// What the service needs from its surroundings.
#[derive(Clone)]
pub struct Options {
    /// Which users of the machine may administer.
    pub users: Users,
    /// Makes what is kept of a password. Takes its time.
    pub hash: Arc<dyn Hasher>,
    /// The time now.
    pub clock: fn() -> Time,
    /// Fully qualified name of this node, for the queue's rows.
    pub node: String,
}

/// A running server around the service: what it wants to know, and what only it can answer.
pub trait Running: Send + Sync {
    /// A new snapshot is there.
    fn published(&self, snapshot: &Arc<Snapshot>);
    /// The password of an account changed, or the account was disabled or deleted: forget what was verified.
    fn credential_changed(&self, account: &Guid);
    /// The password of an account that is kept elsewhere may have changed: forget that it was right.
    fn password_changed(&self, account: &Guid) {
        let _ = account;
    }
    /// A decision by its id, also when it was made a moment ago.
    fn decision(&self, id: &str) -> Result<Option<AuditEntry>, StoreError>;
    /// Carries out what somebody (`by`, as `DOMAIN\name`) decided about paused mail; or says what would become of it.
    fn order_paused(&self, mail: &PausedMail, what: PauseFate, by: &str, dry_run: bool) -> Result<PauseOutcome, Fault>;
    /// Somebody (`by`) held, released or removed a message of the queue.
    fn message_ordered(&self, queue_id: &str, what: &str, by: &str) {
        let _ = (queue_id, what, by);
    }
    /// Takes configuration and certificate anew; in words, what came of it.
    fn reload(&self) -> Result<Vec<String>, Fault> {
        Err(Fault::new(FaultKind::Unsupported, "this server cannot reload"))
    }
    /// Why nothing is taken from the folder of a receive connector now; none: it is in service, or is no folder.
    fn closed_folder(&self, connector: &Guid) -> Option<String> {
        let _ = connector;
        None
    }
    /// Writes what of the record of messages is not written yet.
    fn flush_tracking(&self) {}
    /// Webhooks were added or removed.
    fn webhooks_changed(&self, webhooks: &Arc<Vec<Webhook>>) {
        let _ = webhooks;
    }
    /// Posts a test to a webhook; what was answered.
    fn test_webhook(&self, webhook: &Webhook) -> Result<String, Fault> {
        let _ = webhook;
        Err(Fault::new(FaultKind::Unsupported, "this server posts nothing"))
    }
}
