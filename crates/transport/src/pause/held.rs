//! What is kept with a held message, and how it is read back to be decided about again.

use std::net::SocketAddr;

use acl::Guid;
use directory::{Snapshot, Time};
use message::{Address, HeaderBlock, HeaderProgress, HeaderReader};
use queue::{MessageDetail, Queue, QueueError};
use rights::HeldFor;
use rights::pause::account_name;
use serde_json::{Value, json};
use session::{HeldMessage, Judgement, Pause, Submission, Way};
use thiserror::Error;

use crate::shared::now;

/// The largest header block that is held in memory; what was accepted had to be smaller.
const HEADER_LIMIT: usize = 16 << 20;

/// The part of a message's parameters that says how it came and why it waits.
pub(crate) fn pause_parameters(from: &Submission, pause: &Pause) -> Value {
    let way = &pause.way;
    let audit = from.audit.as_ref();
    json!({
        "to": from.recipients.iter().map(|to| to.address.as_str()).collect::<Vec<_>>(),
        "header": pause.header,
        "behind": pause.behind,
        "decision": audit.map(|record| record.id.as_str()),
        "missing": audit.and_then(|record| record.missing.as_ref()),
        "helo": way.helo,
        "extended": way.extended,
        "tls": way.tls,
        "authenticated": way.authenticated,
        "marked_anonymous": way.marked_anonymous,
        "time": way.time.0,
        "http": way.http,
        "linked": way.linked,
    })
}

/// Why a held message cannot be decided about.
#[derive(Debug, Error)]
pub(crate) enum HeldError {
    /// The queue cannot give it.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What is kept with it does not say how it came.
    #[error("what was kept with the message cannot be read: {0}")]
    Facts(&'static str),
    /// It does not begin with a header block, although what was accepted did.
    #[error("the header of the stored message is damaged: {0}")]
    Header(#[from] message::HeaderFault),
}

/// A held message, read.
pub(crate) struct Held {
    pub(crate) detail: MessageDetail,
    /// Octets of its header block as received, with the empty line.
    pub(crate) header_octets: u64,
    pub(crate) connector: Guid,
    account: Guid,
    logon: Option<Guid>,
    sender: Option<Address>,
    recipients: Vec<Address>,
    way: Way,
    decision: String,
    missing: Option<rights::Missing>,
    header: HeaderBlock,
}

impl Held {
    /// Reads a message with its header.
    pub(crate) fn open(queue: &Queue, queue_id: &str) -> Result<Held, HeldError> {
        let detail = queue.show(queue_id)?;
        let facts: Value = serde_json::from_str(&detail.parameters).map_err(|_| HeldError::Facts("it is no JSON"))?;
        let pause = facts.get("pause").ok_or(HeldError::Facts("pause"))?;
        let guid = |name: &str| -> Option<Guid> { facts.get(name)?.as_str()?.parse().ok() };
        let text = |name: &str| pause.get(name).and_then(Value::as_str).map(str::to_owned);
        let flag = |name: &str| pause.get(name).and_then(Value::as_bool).unwrap_or_default();
        let address = |text: &str| Address::parse(text).map_err(|_| HeldError::Facts("an address"));
        let listed = pause.get("to").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let recipients: Vec<Address> =
            listed.iter().filter_map(Value::as_str).map(address).collect::<Result<_, _>>()?;
        let remote = facts.get("remote").and_then(Value::as_str);
        let remote: SocketAddr = remote.and_then(|text| text.parse().ok()).ok_or(HeldError::Facts("remote"))?;
        let header_octets = pause.get("header").and_then(Value::as_u64).ok_or(HeldError::Facts("header"))?;
        let time = pause.get("time").and_then(Value::as_i64).unwrap_or(detail.summary.received);
        Ok(Held {
            connector: guid("connector").ok_or(HeldError::Facts("connector"))?,
            account: guid("account").ok_or(HeldError::Facts("account"))?,
            logon: guid("logon"),
            sender: detail.summary.sender.as_deref().map(address).transpose()?,
            way: Way {
                helo: facts.get("helo").and_then(Value::as_str).unwrap_or_default().to_owned(),
                extended: flag("extended"),
                remote: remote.ip(),
                tls: text("tls"),
                authenticated: flag("authenticated"),
                smtputf8: detail.smtputf8,
                marked_anonymous: flag("marked_anonymous"),
                recipient: match &recipients[..] {
                    [only] => Some(only.clone()),
                    _ => None,
                },
                time: Time(time),
                http: flag("http"),
                linked: flag("linked"),
            },
            recipients,
            decision: text("decision").unwrap_or_default(),
            missing: pause.get("missing").and_then(|missing| serde_json::from_value(missing.clone()).ok()),
            header: header(queue, queue_id)?,
            header_octets,
            detail,
        })
    }

    /// Decides again. `granted_by`: somebody who may grant the right lets it go without.
    pub(crate) fn judge(
        &self,
        snapshot: &Snapshot,
        hostname: &str,
        user: Guid,
        id: String,
        granted_by: Option<&str>,
    ) -> Judgement {
        let held = HeldFor {
            user: account_name(snapshot, &user),
            since: self.detail.summary.received,
            decision: self.decision.clone(),
            missing: self.missing.clone(),
            by: granted_by.map(str::to_owned),
        };
        let message = HeldMessage {
            queue_id: &self.detail.summary.queue_id,
            sender: self.sender.as_ref(),
            recipients: &self.recipients,
            connector: self.connector,
            account: self.account,
            logon: self.logon,
            way: &self.way,
            held,
        };
        message.judge(snapshot, hostname, now(), &self.header, (id, granted_by.map(|_| user)))
    }
}

/// The header block of a message.
fn header(queue: &Queue, queue_id: &str) -> Result<HeaderBlock, HeldError> {
    let mut body = queue.read(queue_id)?;
    let mut reader = HeaderReader::new(HEADER_LIMIT);
    loop {
        let block = body.next_block()?;
        if block.is_empty() || matches!(reader.push(block)?, HeaderProgress::Complete { .. }) {
            return Ok(reader.finish()?);
        }
    }
}
