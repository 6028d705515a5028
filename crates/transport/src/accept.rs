//! From what a session submits to what the queue keeps: routes for the recipients, groups expanded, the facts of the
//! session.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::Snapshot;
use queue::{Envelope, Hold};
use rights::pause::{Key, event, event_name};
use serde_json::json;
use session::{Pair, Proven, Submission};

use crate::expansion;
use crate::facts::MessageFacts;
use crate::pause::pause_parameters;
use crate::route::Exits;

/// How messages enter the queue.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    /// Given up after this time.
    pub(crate) expire: Duration,
    /// The ways that mail takes beside those of the directory.
    pub(crate) exits: Exits,
}

impl Intake {
    /// The envelope of a submission. Fails only if an audit record cannot be encoded.
    pub(crate) fn envelope(&self, snapshot: &Snapshot, from: &Submission) -> Result<Envelope, serde_json::Error> {
        Ok(Envelope {
            queue_id: from.queue_id.clone(),
            sender: from.sender.as_ref().map(|sender| sender.as_str().to_owned()),
            recipients: expansion::recipients(snapshot, from, &self.exits),
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
    MessageFacts(from.extensions.clone()).write(&mut facts);
    if let Some(exch50) = &from.exch50 {
        facts["exch50"] = STANDARD.encode(exch50).into();
    }
    if let Some(pause) = &from.pause {
        facts["pause"] = pause_parameters(from, pause);
    }
    facts.to_string()
}
