//! What is around a session, whatever it came by (a socket, or HTTP): what it looks up, where goes what it produces, and
//! how its messages become durable.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acl::Guid;
use directory::{ObjectId, Snapshot, Time};
use queue::{Beside, BodyWriter, Envelope, NewMessage, QueueError, Ticket};
use rights::pause::{Policy, REASON, account_name, event, event_name};
use rights::{DecisionRecord, VerdictKind};
use serde_json::{Value, json};
use session::{Answer, Host, LogEntry, Output, Pair, Pause, Sent, StoreOutcome, Submission};
use store::Webhook;
use tokio::sync::oneshot;
use ulid::Ulid;

use crate::accept::Intake;
use crate::events;
use crate::filtering::Filtered;
use crate::protocol_log::ConnectorLog;
use crate::shared::{Shared, now, steady};

/// What is kept of a submission for whoever made it, beside the message.
pub(crate) struct Slip {
    /// The key under which it is found again.
    pub(crate) key: Option<Vec<u8>>,
    /// Older keys do not count any more.
    pub(crate) keys_since: i64,
    /// What was submitted.
    pub(crate) fingerprint: Vec<u8>,
    /// What is answered.
    pub(crate) answer: String,
    /// What is queued together with the message, or not at all.
    pub(crate) reports: Vec<NewMessage>,
}

/// Somebody was faster with a submission of the same key.
pub(crate) struct Duplicate;

/// Shows a message to content filters and makes it durable; returns when it is, or when it is certain not to be kept.
pub(crate) async fn keep(
    shared: &Arc<Shared>,
    intake: &Intake,
    message: (Body, Box<Submission>),
    client: SocketAddr,
) -> Answer {
    keep_with(shared, intake, message, client, None).await.unwrap_or(Answer::Stored(StoreOutcome::Failed))
}

/// The same, with a slip.
pub(crate) async fn keep_with(
    shared: &Arc<Shared>,
    intake: &Intake,
    (body, submission): (Body, Box<Submission>),
    client: SocketAddr,
    mut slip: Option<Slip>,
) -> Result<Answer, Duplicate> {
    let body = match body {
        Body::Writing { queue_id, writer } if queue_id == submission.queue_id => writer,
        Body::Failed { queue_id, error } if queue_id == submission.queue_id => {
            return Ok(Answer::Stored(failed(&queue_id, &error)));
        }
        _ => {
            tracing::error!(queue_id = submission.queue_id, "a message without a body was submitted");
            return Ok(Answer::Stored(StoreOutcome::Failed));
        }
    };
    let (body, quarantine) = match shared.filters() {
        None => (body, None),
        Some(filters) => match filters.ask(shared, body, &submission, client).await {
            Filtered::On(body, hold) => (body, hold),
            Filtered::Refused(reply) => return Ok(Answer::Refused(reply)),
            Filtered::Failed(error) => return Ok(Answer::Stored(failed(&submission.queue_id, &error))),
        },
    };
    let mut envelope = match intake.envelope(&shared.snapshot(), &submission) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(queue_id = submission.queue_id, %error, "a message cannot be queued");
            return Ok(Answer::Stored(StoreOutcome::Failed));
        }
    };
    // What is paused is decided about again when the right is there, and waits until then in any case.
    envelope.hold = envelope.hold.or(quarantine);
    let seat = match &submission.pause {
        None => None,
        Some(pause) => {
            let snapshot = shared.snapshot();
            let account = snapshot.by_guid(&pause.pair.account);
            let policy = account.and_then(|account| Policy::of(&snapshot, account));
            let seat = shared.pauses().reserve(pause.pair, body.len(), envelope.received, policy.as_ref());
            let Some(seat) = seat else {
                tracing::warn!(client = %client, "as much mail of the service account is paused as may be");
                return Ok(Answer::Stored(StoreOutcome::PauseFull));
            };
            Some((seat, (!pause.behind).then_some(pause.snapshot)))
        }
    };
    let audited = envelope.audit.is_some();
    let recipients = envelope.recipients.len();
    let to = envelope.recipients.iter().map(|recipient| recipient.address.as_str());
    let introduction = shared.introduction(&submission, to, client, envelope.hold.as_ref());
    let reports = slip.as_mut().map(|slip| std::mem::take(&mut slip.reports)).unwrap_or_default();
    let reported: Vec<_> =
        reports.iter().map(|report| crate::tracking::report(&submission.queue_id, report, envelope.received)).collect();
    let beside = beside(shared, &submission, &envelope, slip);
    let (done, committed) = oneshot::channel();
    // Once committed, the message stays, whether or not its session is still there to hear it.
    let told = beside.as_ref().is_some_and(|beside| !beside.events.is_empty());
    let messages = [NewMessage { body, envelope }].into_iter().chain(reports).collect();
    shared.queue().commit_all(messages, beside, move |result| {
        if let (Ok(()), Some((seat, decided))) = (&result, seat) {
            seat.kept(decided);
        }
        drop(done.send(result));
    });
    match committed.await.unwrap_or(Err(QueueError::Closed)) {
        Ok(()) => {
            if audited {
                shared.audit().committed();
            }
            if told {
                shared.webhooks().noted();
            }
            let figures = shared.figures();
            figures.accepted.bump();
            figures.accepted_bytes.add(submission.size);
            figures.accepted_recipients.add(recipients as u64);
            introduction.into_iter().chain(reported).for_each(|event| shared.note(event));
            tracing::info!(
                queue_id = submission.queue_id,
                client = %client,
                sender = submission.sender.as_ref().map_or("", |sender| sender.as_str()),
                recipients,
                size = submission.size,
                // Of a message that was sent as somebody else, or on behalf: what `explain` asks for.
                decision = submission.audit.as_ref().map(|record| record.id.as_str()),
                "accepted"
            );
            Ok(Answer::Stored(StoreOutcome::Stored))
        }
        Err(QueueError::DuplicateKey) => Err(Duplicate),
        Err(error) => Ok(Answer::Stored(failed(&submission.queue_id, &error))),
    }
}

/// What commits together with a message: its ticket, and the news that it is paused.
fn beside(shared: &Shared, submission: &Submission, envelope: &Envelope, slip: Option<Slip>) -> Option<Box<Beside>> {
    let called = |to: &queue::Recipient| events::called(&to.address, &to.parameters).unwrap_or_default();
    let ticket = slip.map(|slip| Ticket {
        owner: submission.origin.account.map(|account| account.to_string()).unwrap_or_default(),
        key: slip.key,
        keys_since: slip.keys_since,
        fingerprint: slip.fingerprint,
        answer: slip.answer,
        recipients: envelope.recipients.iter().map(called).collect(),
    });
    let events = match &submission.pause {
        Some(pause) if shared.webhooks().wanted(&pause.pair.account, Webhook::PAUSED) => {
            let message = events::Message {
                queue_id: &submission.queue_id,
                account: &pause.pair.account,
                sender: submission.sender.as_ref().map(|sender| sender.as_str()),
            };
            let snapshot = shared.snapshot();
            let recipients = submission.recipients.iter().map(|to| json!({ "address": to.address.as_str() }));
            let mut data = message.data(&snapshot, recipients.collect());
            data["paused"] = paused(&snapshot, submission, pause);
            shared.webhooks().events(&pause.pair.account, Webhook::PAUSED, envelope.received, &data)
        }
        _ => Vec::new(),
    };
    (ticket.is_some() || !events.is_empty()).then(|| Box::new(Beside { time: envelope.received, ticket, events }))
}

/// Why a message waits, for whoever sent it.
pub(crate) fn paused(snapshot: &Snapshot, submission: &Submission, pause: &Pause) -> Value {
    let user = snapshot.by_guid(&pause.pair.user);
    let name = user.map(|user| event_name(snapshot, user)).unwrap_or_default();
    json!({
        "user": account_name(snapshot, &pause.pair.user),
        "since": events::instant(submission.received.0),
        "reason": REASON,
        "event": event(&name),
        "missing": "Send As",
        "decision": submission.audit.as_ref().map(|record| record.id.as_str()),
    })
}

/// What a session looks up: the newest snapshot, the clock, fresh ids.
pub(crate) struct Ambient<'a>(pub(crate) &'a Shared);

impl Host for Ambient<'_> {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot()
    }

    fn now(&self) -> Time {
        now()
    }

    fn steady(&self) -> Time {
        steady()
    }

    fn new_id(&self) -> String {
        Ulid::generate().to_string()
    }

    fn admits_message(&self, connector: &Guid, source: IpAddr, per_minute: u32) -> bool {
        self.0.rates().admits(connector, source, per_minute, steady())
    }

    fn tells_recipients(&self, connector: &Guid, source: IpAddr, per_minute: u32, unknown: bool) -> bool {
        self.0.guesses().admits_guess(connector, source, (per_minute, unknown), steady())
    }

    fn admits_sending(&self, snapshot: &Snapshot, account: ObjectId, what: Sent) -> Result<(), String> {
        self.0.sending().admits(snapshot, account, what, now())
    }

    fn is_paused(&self, account: &Guid, user: &Guid) -> bool {
        self.0.pauses().is_paused(Pair { account: *account, user: *user })
    }
}

/// What a session produces: replies in a small buffer, bodies straight to the queue.
pub(crate) struct Out {
    shared: Arc<Shared>,
    pub(crate) replies: Vec<u8>,
    body: Body,
    log: Option<ConnectorLog>,
    /// The last refusal, where somebody wants it.
    pub(crate) refusal: Option<Box<DecisionRecord>>,
    keeps_refusals: bool,
}

/// The message on its way into the queue.
pub(crate) enum Body {
    /// None is.
    None,
    /// It is being written.
    Writing { queue_id: String, writer: BodyWriter },
    /// It could not be written; the session is told when it wants it stored.
    Failed { queue_id: String, error: QueueError },
}

impl Out {
    /// Nothing yet.
    pub(crate) fn new(shared: Arc<Shared>, log: Option<ConnectorLog>) -> Out {
        Out { shared, replies: Vec::new(), body: Body::None, log, refusal: None, keeps_refusals: false }
    }

    /// The last refusal is kept in [`Out::refusal`].
    pub(crate) fn keeping_refusals(self) -> Out {
        Out { keeps_refusals: true, ..self }
    }

    /// The message that was written.
    pub(crate) fn take_body(&mut self) -> Body {
        std::mem::replace(&mut self.body, Body::None)
    }

    /// One event of the protocol log.
    pub(crate) fn event(&mut self, event: char, data: &str, context: &str) {
        tracing::debug!(target: "procura::protocol", context, "{event} {data}");
        if let Some(log) = &mut self.log {
            log.event(event, data, context);
        }
    }
}

impl Output for Out {
    fn reply(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }

    fn begin_body(&mut self, queue_id: &str) {
        self.body = Body::Writing { queue_id: queue_id.to_owned(), writer: self.shared.queue().begin() };
    }

    fn body(&mut self, bytes: &[u8]) {
        let Body::Writing { queue_id, writer } = &mut self.body else { return };
        if let Err(error) = writer.write(bytes) {
            self.body = Body::Failed { queue_id: std::mem::take(queue_id), error };
        }
    }

    fn end_of_held_header(&mut self) {
        if let Body::Writing { writer, .. } = &mut self.body {
            writer.boundary();
        }
    }

    fn drop_body(&mut self) {
        self.body = Body::None;
    }

    fn record(&mut self, record: DecisionRecord) {
        let (decision, client) = (&record.id, &record.who.remote);
        match record.verdict {
            VerdictKind::Observed => {
                self.shared.figures().observed.bump();
                tracing::info!(decision, client, reply = record.reply, "would be refused");
            }
            _ => {
                self.shared.figures().refused(record.reply.as_deref().unwrap_or_default());
                if let Some(refusal) = &record.refusal {
                    self.shared.figures().refused_for(refusal);
                }
                self.shared.note_refusal(&record);
                tracing::info!(decision, client, reply = record.reply, "refused");
            }
        }
        if self.keeps_refusals && record.verdict == VerdictKind::Refused {
            self.refusal = Some(Box::new(record.clone()));
        }
        self.shared.audit().record(record);
    }

    fn log(&mut self, entry: LogEntry<'_>) {
        match entry {
            LogEntry::Client(line) => self.event('<', line, ""),
            LogEntry::Server(line) => self.event('>', line, ""),
            LogEntry::Information { context, data } => self.event('*', data, context),
        }
    }

    fn logs(&self) -> bool {
        self.log.as_ref().is_some_and(ConnectorLog::is_on)
            || tracing::enabled!(target: "procura::protocol", tracing::Level::DEBUG)
    }
}

fn failed(queue_id: &str, error: &QueueError) -> StoreOutcome {
    tracing::error!(queue_id, %error, "a message cannot be stored");
    match error {
        QueueError::Full { .. } => StoreOutcome::Full,
        _ => StoreOutcome::Failed,
    }
}
