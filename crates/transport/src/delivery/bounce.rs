//! Telling the sender that a message was given up (RFC 3464).

use directory::Snapshot;
use message::Address;
use message::bounce::{Action, RecipientReport, Report};
use queue::{Delivery, Envelope, NewMessage, Queue, QueueError, Recipient};
use ulid::Ulid;

use super::fate::Failure;
use super::outgoing::Outgoing;
use crate::accept::Intake;
use crate::route::Route;

/// A report to the sender of a message about recipients that were given up. `None` where nobody can be told: the null
/// reverse-path (RFC 5321 §4.5.5), or an address that cannot be read.
pub(crate) fn report(
    queue: &Queue,
    snapshot: &Snapshot,
    intake: &Intake,
    hostname: &str,
    delivery: &Delivery,
    failures: &[(u32, Failure)],
    time: i64,
) -> Result<Option<NewMessage>, QueueError> {
    let addresses: Vec<(Address, &Failure)> = failures
        .iter()
        .filter_map(|(index, failure)| {
            let due = delivery.recipients.iter().find(|due| due.index == *index)?;
            Some((Address::parse(&due.address).ok()?, failure))
        })
        .collect();
    let original = Original {
        queue_id: &delivery.queue_id,
        sender: delivery.sender.as_deref(),
        received: delivery.received,
        smtputf8: delivery.smtputf8,
    };
    returned(queue, snapshot, intake, hostname, &original, &addresses, time)
}

/// The message that a report is about.
pub(crate) struct Original<'a> {
    pub(crate) queue_id: &'a str,
    /// Reverse-path; `None` is the null reverse-path.
    pub(crate) sender: Option<&'a str>,
    pub(crate) received: i64,
    pub(crate) smtputf8: bool,
}

/// As [`report`], of a message in the queue and these of its recipients.
pub(crate) fn returned(
    queue: &Queue,
    snapshot: &Snapshot,
    intake: &Intake,
    hostname: &str,
    about: &Original<'_>,
    addresses: &[(Address, &Failure)],
    time: i64,
) -> Result<Option<NewMessage>, QueueError> {
    let Some(sender) = about.sender.and_then(|sender| Address::parse(sender).ok()) else {
        return Ok(None);
    };
    let Some(postmaster) = postmaster(snapshot, hostname) else { return Ok(None) };
    let original = match Outgoing::open(queue, about.queue_id) {
        Ok(message) => message.for_report(),
        // The report is worth more without the header than not at all.
        Err(error) => {
            tracing::warn!(queue_id = about.queue_id, %error, "a report goes out without the original header");
            Vec::new()
        }
    };
    let id = Ulid::generate().to_string();
    let text = Report {
        reporting_mta: hostname,
        from: &postmaster,
        to: &sender,
        message_id: &format!("{id}@{hostname}"),
        boundary: &format!("report{id}"),
        time,
        arrival: about.received,
        envelope_id: None,
        queue_id: Some(about.queue_id),
        recipients: addresses.iter().map(|(address, failure)| of_recipient(address, failure, time)).collect(),
        original_header: &original,
        original_body: None,
    }
    .to_bytes();
    let mut body = queue.begin();
    body.write(&text)?;
    let canonical = sender.canonical();
    let route = Route::resolve(snapshot, &canonical, text.len() as u64, &intake.exits);
    let envelope = Envelope {
        queue_id: id,
        sender: None,
        recipients: vec![Recipient {
            address: sender.as_str().to_owned(),
            destination: route.destination(canonical.domain()),
            parameters: String::new(),
        }],
        received: time,
        expires: intake.expires(time),
        smtputf8: about.smtputf8,
        eight_bit: !text.is_ascii(),
        parameters: String::new(),
        hold: None,
        lane: None,
        audit: None,
    };
    Ok(Some(NewMessage { body, envelope }))
}

fn of_recipient<'a>(address: &'a Address, failure: &'a Failure, time: i64) -> RecipientReport<'a> {
    RecipientReport {
        recipient: address,
        original: None,
        action: Action::Failed,
        status: failure.status,
        reason: &failure.reason,
        remote_mta: failure.host.as_deref(),
        diagnostic: failure.reply.as_deref(),
        last_attempt: Some(time),
        retry_until: None,
    }
}

/// The postmaster of the default accepted domain (F §3.10), else of this host.
fn postmaster(snapshot: &Snapshot, hostname: &str) -> Option<Address> {
    let domain = snapshot
        .accepted_domains()
        .find(|(_, domain)| domain.default && !domain.wildcard)
        .map_or(hostname, |(_, domain)| domain.name.as_str());
    Address::parse(&format!("postmaster@{domain}")).ok()
}
