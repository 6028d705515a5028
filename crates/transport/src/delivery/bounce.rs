//! Telling senders what became of their messages (RFC 3461, RFC 3464).

use directory::Snapshot;
use message::Address;
use message::bounce::{Action, RecipientReport, Report};
use queue::{Delivery, Envelope, NewMessage, Queue, QueueError, Recipient};
use session::Extensions;
use smtp::ReturnContent;
use ulid::Ulid;

use super::fate::{Failure, Fate};
use super::outgoing::Outgoing;
use crate::accept::Intake;
use crate::facts::{MessageFacts, RecipientFacts, Wanted};
use crate::route::Route;

/// The largest message that goes back as a whole where its sender asks for that; of larger ones the header does.
const LARGEST_RETURNED: u64 = 1 << 20;

/// The reports that come of a delivery.
#[derive(Default)]
pub(crate) struct Reports {
    /// One for each reverse-path.
    pub(crate) messages: Vec<NewMessage>,
    /// Failures that nobody can be told of: their reverse-path is null or no address (RFC 5321 §4.5.5).
    pub(crate) untold: Vec<(u32, Failure)>,
}

/// What a report says of one recipient.
pub(crate) struct Said {
    pub(crate) address: Address,
    /// What the sender called it, `type;address`.
    pub(crate) original: Option<String>,
    pub(crate) action: Action,
    pub(crate) status: (u8, u16, u16),
    pub(crate) reason: String,
    pub(crate) host: Option<String>,
    pub(crate) reply: Option<String>,
    pub(crate) retry_until: Option<i64>,
}

/// Where reports come from: the queue, the directory, and this host.
pub(crate) struct Desk<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) intake: &'a Intake,
    pub(crate) hostname: &'a str,
    /// Now.
    pub(crate) time: i64,
}

/// The reports of a delivery to those who want them: on what was given up, and on what has arrived where the sender asked
/// for that.
pub(crate) fn reports(desk: &Desk<'_>, delivery: &Delivery, fates: &[(u32, Fate)]) -> Result<Reports, QueueError> {
    let mut reports = Reports::default();
    let mut by_sender: Vec<(Address, Vec<Said>)> = Vec::new();
    for (index, fate) in fates {
        let Some(due) = delivery.recipients.iter().find(|due| due.index == *index) else { continue };
        let facts = RecipientFacts::read(&due.parameters);
        let sender = facts.reverse_path(delivery.sender.as_deref()).and_then(|sender| Address::parse(sender).ok());
        let (Some(sender), Ok(address)) = (sender, Address::parse(&due.address)) else {
            if let Fate::Failed(failure) = fate {
                reports.untold.push((*index, failure.clone()));
            }
            continue;
        };
        let Some(said) = Said::of(address, &facts, fate) else { continue };
        match by_sender.iter_mut().find(|(other, _)| *other == sender) {
            Some((_, all)) => all.push(said),
            None => by_sender.push((sender, vec![said])),
        }
    }
    let about = Original {
        queue_id: &delivery.queue_id,
        received: delivery.received,
        smtputf8: delivery.smtputf8,
        asked: MessageFacts::read(&delivery.parameters).0,
    };
    for (sender, said) in &by_sender {
        reports.messages.extend(write(desk, &about, sender, said)?);
    }
    Ok(reports)
}

impl Said {
    /// What is said of a recipient; nothing where its sender does not want to hear it, or nothing has been decided.
    fn of(address: Address, facts: &RecipientFacts, fate: &Fate) -> Option<Said> {
        let said = Said {
            address,
            original: facts.params.orcpt.as_ref().map(ToString::to_string),
            action: Action::Delivered,
            status: (2, 0, 0),
            reason: String::new(),
            host: None,
            reply: None,
            retry_until: None,
        };
        match fate {
            Fate::Failed(failure) if facts.wants(Wanted::Failure) => Some(said.failed(failure)),
            Fate::Delivered if facts.wants(Wanted::Success) => {
                Some(Said { reason: "It is in the mailbox.".to_owned(), status: (2, 1, 5), ..said })
            }
            // A host that offers DSN reports itself.
            Fate::Relayed { host, reports: false } if facts.wants(Wanted::Success) => {
                let reason = format!("{host} has it, and will not report what becomes of it.");
                Some(Said { action: Action::Relayed, reason, host: Some(host.clone()), ..said })
            }
            _ => None,
        }
    }

    fn failed(self, failure: &Failure) -> Said {
        let Failure { status, reason, host, reply } = failure.clone();
        Said { action: Action::Failed, status, reason, host, reply, ..self }
    }
}

/// The message that a report is about.
pub(crate) struct Original<'a> {
    pub(crate) queue_id: &'a str,
    pub(crate) received: i64,
    pub(crate) smtputf8: bool,
    pub(crate) asked: Extensions,
}

/// A report on a message in the queue that was given up by somebody's order, for these of its recipients.
pub(crate) fn returned(
    desk: &Desk<'_>,
    about: &Original<'_>,
    sender: Option<&str>,
    recipients: &[(Address, RecipientFacts)],
    failure: &Failure,
) -> Result<Option<NewMessage>, QueueError> {
    let Some(sender) = sender.and_then(|sender| Address::parse(sender).ok()) else { return Ok(None) };
    let fate = Fate::Failed(failure.clone());
    let said: Vec<Said> =
        recipients.iter().filter_map(|(address, facts)| Said::of(address.clone(), facts, &fate)).collect();
    if said.is_empty() { Ok(None) } else { write(desk, about, &sender, &said) }
}

/// Writes a report as a message of its own, from the null reverse-path.
pub(crate) fn write(
    desk: &Desk<'_>,
    about: &Original<'_>,
    to: &Address,
    said: &[Said],
) -> Result<Option<NewMessage>, QueueError> {
    let failed = said.iter().any(|said| said.action == Action::Failed);
    // RFC 3461 §4.3: RET=FULL is for failures; RFC 8689 §5: text that had to be kept from others is not sent about.
    let whole =
        failed && about.asked.ret == Some(ReturnContent::Full) && !about.asked.require_tls && !about.asked.binary;
    let (header, body) = match original(desk.queue, about.queue_id, whole) {
        Ok(original) => original,
        // The report is worth more without the header than not at all.
        Err(error) => {
            tracing::warn!(queue_id = about.queue_id, %error, "a report goes out without the original header");
            (Vec::new(), None)
        }
    };
    compose(desk, about, (&header, body.as_deref()), to, said)
}

/// The same, of a message whose header, and body where it goes back too, are at hand.
pub(crate) fn compose(
    desk: &Desk<'_>,
    about: &Original<'_>,
    (header, body): (&[u8], Option<&[u8]>),
    to: &Address,
    said: &[Said],
) -> Result<Option<NewMessage>, QueueError> {
    let Some(postmaster) = postmaster(desk.snapshot, desk.hostname) else { return Ok(None) };
    let id = Ulid::generate().to_string();
    let text = Report {
        reporting_mta: desk.hostname,
        from: &postmaster,
        to,
        message_id: &format!("{id}@{}", desk.hostname),
        boundary: &format!("report{id}"),
        time: desk.time,
        arrival: about.received,
        envelope_id: about.asked.envid.as_deref(),
        queue_id: Some(about.queue_id),
        recipients: said.iter().map(|said| said.report(desk.time)).collect(),
        original_header: header,
        original_body: body,
    }
    .to_bytes();
    let mut body = desk.queue.begin();
    body.write(&text)?;
    let canonical = to.canonical();
    let route = Route::resolve(desk.snapshot, &canonical, text.len() as u64, &desk.intake.exits);
    let mut parameters = serde_json::json!({});
    // RFC 8689 §5: a report on such a message is one itself.
    MessageFacts(Extensions { require_tls: about.asked.require_tls, ..Extensions::default() }).write(&mut parameters);
    let envelope = Envelope {
        queue_id: id,
        sender: None,
        recipients: vec![Recipient {
            address: to.as_str().to_owned(),
            destination: route.destination(canonical.domain()),
            parameters: String::new(),
        }],
        received: desk.time,
        expires: desk.intake.expires(desk.time),
        smtputf8: about.smtputf8,
        eight_bit: !text.is_ascii(),
        parameters: if about.asked.require_tls { parameters.to_string() } else { String::new() },
        hold: None,
        lane: None,
        audit: None,
    };
    Ok(Some(NewMessage { body, envelope }))
}

/// The header of a message as it goes back, and its body where the whole is wanted and is not too large.
fn original(
    queue: &Queue,
    queue_id: &str,
    whole: bool,
) -> Result<(Vec<u8>, Option<Vec<u8>>), super::outgoing::OpenError> {
    let mut message = Outgoing::open(queue, queue_id)?;
    let header = message.for_report();
    if !whole || message.body_len() > LARGEST_RETURNED {
        return Ok((header, None));
    }
    let mut body = Vec::new();
    loop {
        let block = message.next_block()?;
        if block.is_empty() {
            return Ok((header, Some(body)));
        }
        body.extend_from_slice(&block);
    }
}

impl Said {
    fn report(&self, time: i64) -> RecipientReport<'_> {
        RecipientReport {
            recipient: &self.address,
            original: self.original.as_deref(),
            action: self.action,
            status: self.status,
            reason: &self.reason,
            remote_mta: self.host.as_deref(),
            diagnostic: self.reply.as_deref(),
            last_attempt: Some(time),
            retry_until: self.retry_until,
        }
    }
}

/// The postmaster of the default accepted domain (F §3.10), else of this host.
pub(crate) fn postmaster(snapshot: &Snapshot, hostname: &str) -> Option<Address> {
    let domain = snapshot
        .accepted_domains()
        .find(|(_, domain)| domain.default && !domain.wildcard)
        .map_or(hostname, |(_, domain)| domain.name.as_str());
    Address::parse(&format!("postmaster@{domain}")).ok()
}
