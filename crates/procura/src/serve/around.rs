//! The running server, as the admin service sees it.

use std::sync::{Arc, Weak};

use acl::Guid;
use admin::operations::PauseFate;
use admin::pause::{PauseOutcome, PausedMail};
use admin::{Fault, FaultKind, Running};
use directory::Snapshot;
use store::{AuditEntry, StoreError, Webhook};
use tracking::Event;
use transport::Shared;
use transport::pause::{Chosen, Order, Ordered, Pair};
use web::Poster;

use crate::reload::Reloader;

/// What the running server does for the service. It does not keep the server alive.
pub(super) struct Around {
    pub(super) shared: Weak<Shared>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) poster: Poster,
}

impl Running for Around {
    fn webhooks_changed(&self, webhooks: &Arc<Vec<Webhook>>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.webhooks().set(Arc::clone(webhooks));
        }
    }

    fn test_webhook(&self, webhook: &Webhook) -> Result<String, Fault> {
        let posted = self.poster.test(webhook).map(|status| status.to_string());
        posted.map_err(|e| {
            Fault::new(FaultKind::Unavailable, format!("{} does not take a test: {e}", webhook.url))
                .help("look at the receiver, then test again; events that wait are posted again by themselves")
        })
    }

    fn closed_folder(&self, connector: &Guid) -> Option<String> {
        self.shared.upgrade()?.folder_out_of_service(connector).map(|folder| folder.why)
    }

    fn published(&self, snapshot: &Arc<Snapshot>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.publish(Arc::clone(snapshot));
        }
    }

    fn credential_changed(&self, account: &Guid) {
        if let Some(shared) = self.shared.upgrade() {
            shared.credentials().forget(account);
        }
    }

    fn message_ordered(&self, queue_id: &str, what: &str, by: &str) {
        let event = match what {
            "held" => Event::Held,
            "released" => Event::Released,
            "removed" => Event::Removed,
            _ => Event::Retried,
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.note_order(queue_id, event, by, "");
        }
    }

    fn reload(&self) -> Result<Vec<String>, Fault> {
        self.reloader.reload()
    }

    fn flush_tracking(&self) {
        if let Some(tracking) = self.shared.upgrade().as_ref().and_then(|shared| shared.tracking()) {
            tracking.flush();
        }
    }

    fn password_changed(&self, account: &Guid) {
        if let Some(shared) = self.shared.upgrade() {
            shared.credentials().forget_password(account);
        }
    }

    fn decision(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        match self.shared.upgrade() {
            Some(shared) => shared.audit().find(id),
            None => Ok(None),
        }
    }

    fn order_paused(&self, mail: &PausedMail, what: PauseFate, by: &str, dry_run: bool) -> Result<PauseOutcome, Fault> {
        let Some(shared) = self.shared.upgrade() else {
            return Err(Fault::new(FaultKind::Unavailable, "the server is stopping"));
        };
        let chosen = Chosen {
            pair: Pair { account: mail.account, user: mail.user },
            aside: mail.aside,
            message: mail.message.clone(),
            before: mail.before,
        };
        let order = match what {
            PauseFate::Release => Order::Release { granted: false },
            PauseFate::Override => Order::Release { granted: true },
            PauseFate::Return => Order::Return,
            PauseFate::Remove => Order::Remove,
        };
        let Ordered { done, left, why } = shared.order(&chosen, &order, by, dry_run).map_err(Fault::from)?;
        Ok(PauseOutcome { done, left, why })
    }
}
