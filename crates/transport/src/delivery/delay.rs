//! Telling senders that a message is late (RFC 3461 §6.2): once, after a while, unless they asked not to be told.

use std::rc::Rc;
use std::time::Duration;

use message::Address;
use message::bounce::Action;
use queue::{MessageDetail, Millis, QueueError, RecipientDetail, RecipientState};
use tokio::sync::watch;
use tokio::time::sleep;

use super::bounce::{self, Desk, Original, Said};
use super::worker::Courier;
use crate::facts::{MessageFacts, RecipientFacts, Wanted};
use crate::server::Stop;
use crate::shared::now;

/// How often late messages are looked for, at the longest.
const LOOK: Duration = Duration::from_secs(60);
/// Messages told of at a time.
const AT_A_TIME: usize = 500;

impl Courier {
    /// Looks for late messages until the server stops.
    pub(super) async fn warn_of_delays(self: Rc<Self>, mut stop: watch::Receiver<Stop>) {
        let Some(after) = self.options.warn_after.filter(|after| *after < self.options.expire) else { return };
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => return,
                () = sleep(LOOK.min(after)) => {}
            }
            if let Err(error) = self.warn(after).await {
                tracing::error!(%error, "senders cannot be told of late messages; trying again later");
            }
        }
    }

    async fn warn(&self, after: Duration) -> Result<(), QueueError> {
        let millis = |duration: Duration| Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX);
        // A message that was held expires so long after its release, and is late from there too.
        let before = now().0.saturating_add(millis(self.options.expire)).saturating_sub(millis(after));
        for queue_id in self.shared.queue().late(before, AT_A_TIME)? {
            let noted = match self.shared.queue().show(&queue_id) {
                Ok(detail) => self.warn_of(&detail).await,
                Err(error) => Err(error),
            };
            match noted {
                // It was delivered meanwhile.
                Ok(()) | Err(QueueError::UnknownMessage { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn warn_of(&self, detail: &MessageDetail) -> Result<(), QueueError> {
        let (queue, snapshot) = (self.shared.queue(), self.shared.snapshot());
        let desk = Desk { queue, snapshot: &snapshot, intake: &self.intake, hostname: &self.hostname, time: now().0 };
        let mut by_sender: Vec<(Address, Vec<Said>)> = Vec::new();
        for recipient in detail.recipients.iter().filter(|recipient| recipient.state == RecipientState::Pending) {
            let Some((sender, said)) = self.late(detail, recipient) else { continue };
            match by_sender.iter_mut().find(|(other, _)| *other == sender) {
                Some((_, all)) => all.push(said),
                None => by_sender.push((sender, vec![said])),
            }
        }
        let about = Original {
            queue_id: &detail.summary.queue_id,
            received: detail.summary.received,
            smtputf8: detail.smtputf8,
            asked: MessageFacts::read(&detail.parameters).0,
        };
        let mut reports = Vec::with_capacity(by_sender.len());
        for (sender, said) in &by_sender {
            let Some(report) = bounce::write(&desk, &about, sender, said)? else { continue };
            tracing::info!(queue_id = about.queue_id, to = sender.as_str(), "the sender is told that it is late");
            reports.push(report);
        }
        // In one step, so that whoever is told is told once.
        queue.warned(&detail.summary.queue_id, reports).await
    }

    /// Who is told of a recipient, and what.
    fn late(&self, detail: &MessageDetail, recipient: &RecipientDetail) -> Option<(Address, Said)> {
        let facts = RecipientFacts::read(&recipient.parameters);
        let sender = facts.reverse_path(detail.summary.sender.as_deref()).filter(|_| facts.wants(Wanted::Delay))?;
        let waited_for = self.shared.queue().destinations(Some(&recipient.destination)).pop();
        let reason = match (recipient.reason.as_str(), waited_for) {
            ("", Some(state)) if !state.reason.is_empty() => state.reason,
            ("", _) => "it has not been its turn yet".to_owned(),
            (reason, _) => reason.to_owned(),
        };
        let said = Said {
            address: Address::parse(&recipient.address).ok()?,
            original: facts.params.orcpt.as_ref().map(ToString::to_string),
            action: Action::Delayed,
            status: (4, 4, 7),
            reason,
            host: None,
            reply: None,
            retry_until: Some(detail.summary.expires),
        };
        Some((Address::parse(sender).ok()?, said))
    }
}
