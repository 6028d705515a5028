//! One event in the life of a message.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = i64;

/// One line of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When.
    pub time: Millis,
    /// The message; empty for one that was refused.
    #[serde(default)]
    pub id: String,
    /// What happened.
    pub event: Event,
    /// The message that this one is about: a bounce is about what could not be delivered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// Reverse-path; empty is the null one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Addresses of the header From.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// Recipients that it concerns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Recipients beyond those that are listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// `Message-ID` of the header.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message_id: String,
    /// The receive connector.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub connector: String,
    /// The client, address and port.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// What the client called itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub helo: String,
    /// The account that logged on, as `DOMAIN\name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// By what the right to send was shown: `anonymous`, `account`, `address`, `server`, `partner`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proven: String,
    /// A decision that `procura explain` shows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// Octets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Where it went: a mailbox, a host, a domain.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub destination: String,
    /// Why, or what was answered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Which attempt it was, from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u64,
    /// Who decided so, as `DOMAIN\name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

/// What happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// Accepted and on stable storage.
    #[default]
    Received,
    /// Refused before it was accepted.
    Refused,
    /// Accepted, and held until a right is there.
    Paused,
    /// Accepted, and held by the verdict of a content filter.
    Quarantined,
    /// Held by a person.
    Held,
    /// Not held any more.
    Released,
    /// To be tried again at once, by a person's order.
    Retried,
    /// Dropped by a person.
    Removed,
    /// The mailbox or the next hop has it.
    Delivered,
    /// To be tried again.
    Deferred,
    /// Given up.
    Failed,
    /// A report about another message, made here.
    Bounced,
}

impl Event {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Event::Received => "received",
            Event::Refused => "refused",
            Event::Paused => "paused",
            Event::Quarantined => "quarantined",
            Event::Held => "held",
            Event::Released => "released",
            Event::Retried => "retried",
            Event::Removed => "removed",
            Event::Delivered => "delivered",
            Event::Deferred => "deferred",
            Event::Failed => "failed",
            Event::Bounced => "bounced",
        }
    }

    /// Says who sent it, and to whom: a message is found by such an event.
    pub(crate) fn introduces(self) -> bool {
        matches!(self, Event::Received | Event::Refused | Event::Paused | Event::Quarantined | Event::Bounced)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
