//! From what a session submits to what the queue keeps: routes for the recipients, groups expanded, the facts of the
//! session.

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::Snapshot;
use message::Address;
use queue::{Envelope, Hold, Recipient};
use rights::pause::{Key, event, event_name};
use serde_json::json;
use session::{Pair, Proven, Submission};

use crate::delivery::SmartHost;
use crate::pause::pause_parameters;
use crate::route::{self, Route};

/// Recipients that one message may have after its groups are expanded.
const MOST_RECIPIENTS: usize = 50_000;

/// How messages enter the queue.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    /// Given up after this time.
    pub(crate) expire: Duration,
    /// Takes what no send connector routes.
    pub(crate) smart_host: Option<SmartHost>,
}

impl Intake {
    /// The envelope of a submission. Fails only if an audit record cannot be encoded.
    pub(crate) fn envelope(&self, snapshot: &Snapshot, from: &Submission) -> Result<Envelope, serde_json::Error> {
        Ok(Envelope {
            queue_id: from.queue_id.clone(),
            sender: from.sender.as_ref().map(|sender| sender.as_str().to_owned()),
            recipients: self.recipients(snapshot, from),
            received: from.received.0,
            expires: self.expires(from.received.0),
            smtputf8: from.smtputf8,
            eight_bit: from.eight_bit,
            parameters: parameters(from),
            hold: hold(snapshot, from),
            lane: from.pair.map(|pair| key(pair).to_string()),
            audit: from.audit.as_ref().map(serde_json::to_vec).transpose()?,
        })
    }

    /// When a message that was received at `received` is given up; both in milliseconds since the Unix epoch.
    pub(crate) fn expires(&self, received: i64) -> i64 {
        received.saturating_add(i64::try_from(self.expire.as_millis()).unwrap_or(i64::MAX))
    }

    /// Each recipient with its destination. A group is replaced by its members as they are now; one without members
    /// stays, so that its sender is told.
    fn recipients(&self, snapshot: &Snapshot, from: &Submission) -> Vec<Recipient> {
        let mut seen = HashSet::new();
        let mut recipients = Vec::new();
        for recipient in &from.recipients {
            let route = Route::resolve(snapshot, &recipient.canonical, from.size, self.smart_host.as_ref());
            let members = match route {
                Route::Group(group) => route::expand(snapshot, group, MOST_RECIPIENTS),
                _ => Vec::new(),
            };
            if members.is_empty() {
                if seen.insert(recipient.canonical.clone()) {
                    recipients.push(entry(&recipient.address, &route, None));
                }
                continue;
            }
            for member in members {
                let canonical = member.canonical();
                if recipients.len() >= MOST_RECIPIENTS || seen.contains(&canonical) {
                    continue;
                }
                let route = Route::resolve(snapshot, &canonical, from.size, self.smart_host.as_ref());
                recipients.push(entry(&member, &route, Some(&recipient.address)));
                seen.insert(canonical);
            }
        }
        recipients
    }
}

/// `list` is the group that the recipient was found in.
fn entry(address: &Address, route: &Route, list: Option<&Address>) -> Recipient {
    Recipient {
        address: address.as_str().to_owned(),
        destination: route.destination(address.canonical().domain()),
        parameters: list.map(|list| json!({ "list": list.as_str() }).to_string()).unwrap_or_default(),
    }
}

/// The hold of a message that has to wait for a right.
fn hold(snapshot: &Snapshot, from: &Submission) -> Option<Hold> {
    let pair = from.pause.as_ref()?.pair;
    let user = snapshot.by_guid(&pair.user).map(|id| event_name(snapshot, id)).unwrap_or_default();
    Some(Hold { key: key(pair).to_string(), reason: event(&user) })
}

fn key(pair: Pair) -> Key {
    Key { account: pair.account, user: pair.user, aside: false }
}

/// The facts of the session, for a later decision about the same message.
fn parameters(from: &Submission) -> String {
    let origin = &from.origin;
    let mut facts = json!({
        "connector": origin.connector.to_string(),
        "remote": origin.remote.to_string(),
        "helo": origin.helo,
        "account": origin.account.map(|guid| guid.to_string()),
        "logon": origin.logon.map(|guid| guid.to_string()),
        "proven": match origin.proven {
            Proven::Anonymous => "anonymous",
            Proven::Account => "account",
            Proven::Address => "address",
            Proven::Server => "server",
            Proven::Partner => "partner",
        },
        "bypass_anti_spam": origin.bypass_anti_spam,
    });
    if let Some(exch50) = &from.exch50 {
        facts["exch50"] = STANDARD.encode(exch50).into();
    }
    if let Some(pause) = &from.pause {
        facts["pause"] = pause_parameters(from, pause);
    }
    facts.to_string()
}
