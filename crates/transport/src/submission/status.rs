//! What became of a message that was submitted by HTTP.

use acl::Guid;
use queue::{Hold, KeptTicket, MessageDetail, QueueError, TicketFate, TicketRecipient};
use rights::pause::{Key, REASON, account_name};
use serde_json::{Value, json};

use super::Submissions;
use crate::events::instant;

impl Submissions {
    /// The state of a message of this account, JSON; `None`: it has no message with this id, or not any more.
    ///
    /// # Errors
    /// Faults of the queue.
    pub fn state(&self, account: &Guid, queue_id: &str) -> Result<Option<Value>, QueueError> {
        let owner = account.to_string();
        let of = |ticket: Option<KeptTicket>| ticket.filter(|ticket| ticket.owner == owner);
        let queue = self.shared.queue();
        let Some(ticket) = of(queue.ticket(queue_id)?) else { return Ok(None) };
        if ticket.ended.is_none() {
            match queue.show(queue_id) {
                Ok(detail) => return Ok(Some(self.waiting(&ticket, &detail))),
                // It left the queue meanwhile.
                Err(QueueError::UnknownMessage { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(of(queue.ticket(queue_id)?).map(|ticket| ended(&ticket)))
    }

    fn waiting(&self, ticket: &KeptTicket, detail: &MessageDetail) -> Value {
        let hold = detail.summary.hold.as_ref();
        let held = hold.map(held_state);
        let mut worst = "queued";
        let mut recipients = Vec::with_capacity(ticket.recipients.len());
        for (recipient, now) in ticket.recipients.iter().zip(&detail.recipients) {
            if is_hidden(recipient) {
                continue;
            }
            if recipient.fate != TicketFate::Waiting {
                recipients.push(settled(recipient));
                continue;
            }
            let down = self.shared.queue().destinations(Some(&now.destination)).into_iter();
            let down = down.filter(|state| state.failures > 0).map(|state| (state.reason, state.not_before)).next();
            let (reason, not_before) = match (&down, now.reason.as_str()) {
                (Some((reason, not_before)), _) => (reason.as_str(), *not_before),
                (None, reason) => (reason, None),
            };
            let state = match held {
                Some(held) => held,
                None if now.attempts > 0 || !reason.is_empty() => "deferred",
                None => "queued",
            };
            if state != "queued" {
                worst = state;
            }
            let mut shown = json!({ "address": recipient.address, "state": state });
            if state == "deferred" {
                let next = not_before.unwrap_or(now.next_attempt).max(now.next_attempt);
                shown["reason"] = reason.into();
                shown["attempts"] = now.attempts.into();
                shown["next_attempt"] = instant(next).into();
            }
            recipients.push(shown);
        }
        let mut answer = json!({
            "id": ticket.queue_id,
            "state": held.unwrap_or(worst),
            "accepted": instant(ticket.created),
            "expires": instant(detail.summary.expires),
            "recipients": recipients,
        });
        if let Some((hold, held)) = hold.zip(held) {
            answer[if held == "held" { "held" } else { "paused" }] = self.held(ticket, detail, hold);
        }
        answer
    }

    /// Why a message is held, and since when.
    fn held(&self, ticket: &KeptTicket, detail: &MessageDetail, hold: &Hold) -> Value {
        let Some(key) = Key::parse(&hold.key) else { return json!({ "reason": hold.reason }) };
        let facts: Value = serde_json::from_str(&detail.parameters).unwrap_or_default();
        let reason = if key.aside { hold.reason.as_str() } else { REASON };
        json!({
            "user": account_name(&self.shared.snapshot(), &key.user),
            "since": instant(ticket.created),
            "reason": reason,
            "event": hold.reason,
            "missing": "Send As",
            "decision": facts["pause"]["decision"],
        })
    }
}

/// The state of a message that is held.
fn held_state(hold: &Hold) -> &'static str {
    match Key::parse(&hold.key) {
        Some(key) if key.aside => "set-aside",
        Some(_) => "paused",
        None => "held",
    }
}

/// One that the sender is not told of.
fn is_hidden(recipient: &TicketRecipient) -> bool {
    recipient.address.is_empty()
}

fn settled(recipient: &TicketRecipient) -> Value {
    let state = match recipient.fate {
        TicketFate::Waiting => "queued",
        TicketFate::Delivered => "delivered",
        TicketFate::Failed => "failed",
        TicketFate::Removed => "removed",
    };
    let mut shown = json!({ "address": recipient.address, "state": state });
    if recipient.time > 0 {
        shown["time"] = instant(recipient.time).into();
    }
    if !recipient.reason.is_empty() {
        shown["reason"] = recipient.reason.as_str().into();
    }
    shown
}

/// The state of a message that left the queue.
fn ended(ticket: &KeptTicket) -> Value {
    let shown: Vec<&TicketRecipient> = ticket.recipients.iter().filter(|recipient| !is_hidden(recipient)).collect();
    let all = |fate| shown.iter().all(|recipient| recipient.fate == fate);
    let any = |fate| shown.iter().any(|recipient| recipient.fate == fate);
    let state = if all(TicketFate::Delivered) {
        "delivered"
    } else if any(TicketFate::Delivered) {
        "partly-delivered"
    } else if any(TicketFate::Failed) {
        "failed"
    } else {
        "removed"
    };
    json!({
        "id": ticket.queue_id,
        "state": state,
        "accepted": instant(ticket.created),
        "ended": ticket.ended.map(instant),
        "recipients": shown.into_iter().map(settled).collect::<Vec<_>>(),
    })
}
