//! Content filters on the way into the queue (`crates/content`): asked when a message is complete, before it is acknowledged.

use std::io::{self, BufReader, Cursor, Read};
use std::net::SocketAddr;
use std::sync::Arc;

use content::{Body, Examined, Facts, Filter, Verdict, examine};
use queue::{BodyWriter, Hold, Queue, QueueError};
use session::Submission;
use tokio::sync::Semaphore;
use tracking::{Event, Record};

use crate::shared::{Shared, now};

/// Messages that are shown to filters at the same time; the others wait for their turn.
const AT_ONCE: usize = 64;
/// The longest header that is held in memory.
const LONGEST_HEADER: u64 = 16 << 20;
/// Octets copied at a time.
const PIECE: usize = 64 * 1024;

/// The filters of a node.
pub(crate) struct Filters {
    filters: Arc<Vec<Filter>>,
    hostname: String,
    turns: Arc<Semaphore>,
}

/// What became of a message.
pub(crate) enum Filtered {
    /// It goes on, perhaps with another header, perhaps to be held.
    On(BodyWriter, Option<Hold>),
    /// It is refused with this reply.
    Refused(String),
    /// It cannot be read or written.
    Failed(QueueError),
}

impl Filters {
    pub(crate) fn new(filters: Vec<Filter>, hostname: String) -> Filters {
        Filters { filters: Arc::new(filters), hostname, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Shows a message to all filters that are to see it.
    pub(crate) async fn ask(
        &self,
        shared: &Arc<Shared>,
        body: BodyWriter,
        submission: &Submission,
        client: SocketAddr,
    ) -> Filtered {
        let bypass = submission.origin.bypass_anti_spam;
        if self.filters.iter().all(|filter| filter.bypass && bypass) {
            return Filtered::On(body, None);
        }
        let Ok(_turn) = self.turns.acquire().await else { return Filtered::On(body, None) };
        let facts = self.facts(shared, submission, client, body.len());
        let (filters, queue, queue_id) = (Arc::clone(&self.filters), shared.queue().clone(), facts.queue_id.clone());
        // The header of a paused message is written anew when it is released: changes of it would be lost, or break it.
        let may_edit = submission.pause.is_none();
        let asked = tokio::task::spawn_blocking(move || examined(&filters, &facts, &queue, body, may_edit)).await;
        let (examined, filtered) = match asked {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => return Filtered::Failed(error),
            Err(error) => {
                tracing::error!(queue_id, %error, "a filter broke off");
                return Filtered::Refused("451 4.7.1 Content filter unavailable, try again later".to_owned());
            }
        };
        for (filter, words) in &examined.said {
            tracing::info!(queue_id, filter, "{words}");
        }
        let result = match &examined.verdict {
            Verdict::Accept => "accepted",
            Verdict::Quarantine(..) => "quarantined",
            Verdict::Reject(_) => "refused",
            Verdict::Tempfail(_) => "put-off",
        };
        shared.figures().filtered(result);
        if let Filtered::Refused(reply) = &filtered {
            shared.figures().refused(reply);
            shared.note(refusal(submission, client, reply));
            tracing::info!(queue_id, %client, reply, "refused by a filter");
        }
        filtered
    }

    fn facts(&self, shared: &Shared, submission: &Submission, client: SocketAddr, size: u64) -> Facts {
        let snapshot = shared.snapshot();
        let account = submission.origin.account.map(|account| rights::pause::account_name(&snapshot, &account));
        Facts {
            queue_id: submission.queue_id.clone(),
            hostname: self.hostname.clone(),
            client,
            helo: submission.origin.helo.clone(),
            sender: submission.sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default(),
            recipients: submission.recipients.iter().map(|to| to.address.as_str().to_owned()).collect(),
            account,
            // Milters take whoever has none for a stranger.
            mechanism: submission.origin.mechanism.unwrap_or("EXTERNAL").to_owned(),
            bypass: submission.origin.bypass_anti_spam,
            size,
        }
    }
}

/// Blocks.
fn examined(
    filters: &[Filter],
    facts: &Facts,
    queue: &Queue,
    written: BodyWriter,
    may_edit: bool,
) -> Result<(Examined, Filtered), QueueError> {
    let unreadable = |error: io::Error| QueueError::Damaged {
        queue_id: facts.queue_id.clone(),
        detail: format!("it cannot be read again: {error}"),
    };
    let header = header(&written).map_err(unreadable)?;
    let text = Text { written: &written, header: header.len() as u64 };
    let mut examined = examine(filters, facts, &header, &text);
    if !may_edit && examined.header.is_changed() {
        examined.said.push(("procura".into(), "the header of a paused message stays as it was received".into()));
    }
    let hold = match &examined.verdict {
        Verdict::Reject(reply) | Verdict::Tempfail(reply) => {
            let reply = reply.clone();
            return Ok((examined, Filtered::Refused(reply)));
        }
        Verdict::Quarantine(filter, why) => {
            Some(Hold { key: format!("quarantine:{filter}"), reason: format!("{filter}: {why}") })
        }
        Verdict::Accept => None,
    };
    if !may_edit || !examined.header.is_changed() {
        return Ok((examined, Filtered::On(written, hold)));
    }
    let mut anew = queue.begin();
    anew.write(&examined.header.to_bytes())?;
    let mut rest = text.open().map_err(unreadable)?;
    let mut piece = vec![0; PIECE];
    loop {
        match rest.read(&mut piece).map_err(unreadable)? {
            0 => break,
            read => anew.write(&piece[..read])?,
        }
    }
    drop(rest);
    Ok((examined, Filtered::On(anew, hold)))
}

/// The header of a message with its empty line.
fn header(written: &BodyWriter) -> io::Result<Vec<u8>> {
    let mut header = Vec::new();
    let mut reader = BufReader::new(written.reread().take(LONGEST_HEADER));
    loop {
        let before = header.len();
        let read = io::BufRead::read_until(&mut reader, b'\n', &mut header)?;
        if read == 0 || header[before..] == *b"\r\n" {
            return Ok(header);
        }
    }
}

/// What follows the header.
struct Text<'a> {
    written: &'a BodyWriter,
    header: u64,
}

impl Body for Text<'_> {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        let mut reader = self.written.reread();
        io::copy(&mut Read::by_ref(&mut reader).take(self.header), &mut io::sink())?;
        Ok(Box::new(Cursor::new([]).chain(reader)))
    }
}

fn refusal(submission: &Submission, client: SocketAddr, reply: &str) -> Record {
    Record {
        time: now().0,
        event: Event::Refused,
        sender: Some(submission.sender.as_ref().map(|sender| sender.as_str().to_owned()).unwrap_or_default()),
        from: submission.header_from.clone(),
        to: submission.recipients.iter().take(20).map(|to| to.address.as_str().to_owned()).collect(),
        message_id: submission.message_id.clone().unwrap_or_default(),
        client: client.to_string(),
        reason: reply.to_owned(),
        size: submission.size,
        ..Record::default()
    }
}
