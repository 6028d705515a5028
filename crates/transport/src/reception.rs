//! What is around a session, whatever it came by (a socket, or HTTP): what it looks up, where goes what it produces, and
//! how its messages become durable.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use acl::Guid;
use directory::{Snapshot, Time};
use queue::{BodyWriter, QueueError};
use rights::pause::Policy;
use rights::{DecisionRecord, VerdictKind};
use session::{Host, LogEntry, Output, Pair, StoreOutcome, Submission};
use tokio::sync::oneshot;
use ulid::Ulid;

use crate::accept::Intake;
use crate::protocol_log::SessionLog;
use crate::shared::{Shared, now};

/// Makes a message durable; returns when it is, or when it is certain not to be kept.
pub(crate) async fn keep(
    shared: &Arc<Shared>,
    intake: &Intake,
    (body, submission): (Body, Box<Submission>),
    client: SocketAddr,
) -> StoreOutcome {
    let body = match body {
        Body::Writing { queue_id, writer } if queue_id == submission.queue_id => writer,
        Body::Failed { queue_id, error } if queue_id == submission.queue_id => return failed(&queue_id, &error),
        _ => {
            tracing::error!(queue_id = submission.queue_id, "a message without a body was submitted");
            return StoreOutcome::Failed;
        }
    };
    let envelope = match intake.envelope(&shared.snapshot(), &submission) {
        Ok(envelope) => envelope,
        Err(error) => {
            tracing::error!(queue_id = submission.queue_id, %error, "a message cannot be queued");
            return StoreOutcome::Failed;
        }
    };
    let seat = match &submission.pause {
        None => None,
        Some(pause) => {
            let snapshot = shared.snapshot();
            let account = snapshot.by_guid(&pause.pair.account);
            let policy = account.and_then(|account| Policy::of(&snapshot, account));
            let seat = shared.pauses().reserve(pause.pair, body.len(), envelope.received, policy.as_ref());
            let Some(seat) = seat else {
                tracing::warn!(client = %client, "as much mail of the service account is paused as may be");
                return StoreOutcome::PauseFull;
            };
            Some((seat, (!pause.behind).then_some(pause.snapshot)))
        }
    };
    let audited = envelope.audit.is_some();
    let recipients = envelope.recipients.len();
    let to = envelope.recipients.iter().map(|recipient| recipient.address.as_str());
    let introduction = shared.introduction(&submission, to, client);
    let (done, committed) = oneshot::channel();
    // Once committed, the message stays, whether or not its session is still there to hear it.
    shared.queue().commit(body, envelope, move |result| {
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
            let figures = shared.figures();
            figures.accepted.bump();
            figures.accepted_bytes.add(submission.size);
            figures.accepted_recipients.add(recipients as u64);
            introduction.into_iter().for_each(|introduction| shared.note(introduction));
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
            StoreOutcome::Stored
        }
        Err(error) => failed(&submission.queue_id, &error),
    }
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

    fn new_id(&self) -> String {
        Ulid::generate().to_string()
    }

    fn admits_message(&self, connector: &Guid, source: IpAddr, per_minute: u32) -> bool {
        self.0.rates().admits(connector, source, per_minute, now())
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
    log: Option<SessionLog>,
}

/// The message on its way into the queue.
pub(crate) enum Body {
    /// None is.
    None,
    /// It is being written.
    Writing {
        queue_id: String,
        writer: BodyWriter,
    },
    /// It could not be written; the session is told when it wants it stored.
    Failed {
        queue_id: String,
        error: QueueError,
    },
}

impl Out {
    /// Nothing yet.
    pub(crate) fn new(shared: Arc<Shared>, log: Option<SessionLog>) -> Out {
        Out { shared, replies: Vec::new(), body: Body::None, log }
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
                self.shared.note_refusal(&record);
                tracing::info!(decision, client, reply = record.reply, "refused");
            }
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
        self.log.is_some() || tracing::enabled!(target: "procura::protocol", tracing::Level::DEBUG)
    }
}

fn failed(queue_id: &str, error: &QueueError) -> StoreOutcome {
    tracing::error!(queue_id, %error, "a message cannot be stored");
    match error {
        QueueError::Full { .. } => StoreOutcome::Full,
        _ => StoreOutcome::Failed,
    }
}

