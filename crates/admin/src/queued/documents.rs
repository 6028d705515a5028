//! What is asked of the queue, and what it answers.

use serde::{Deserialize, Serialize};

/// Which messages; what is absent does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueFilter {
    /// One of these queue ids, as far as there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// This reverse-path; `@example.com`: any of the domain; `<>`: the null one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// With this recipient, who still waits; `@example.com`: any of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// This text is in the reason of its hold or in the last answer of a destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Accepted before this time, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Accepted at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<QueueState>,
}

impl QueueFilter {
    /// Every message is meant.
    pub fn is_empty(&self) -> bool {
        *self == QueueFilter::default()
    }
}

/// How a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueState {
    /// No attempt was deferred yet.
    Waiting,
    /// An attempt was deferred.
    Deferred,
    /// Held, but not because mail of a service account is paused.
    Held,
    /// Paused, or set aside, for want of a right (`procura pause`).
    Paused,
    /// In quarantine by the verdict of a content filter.
    Quarantined,
}

impl QueueState {
    /// As it is written in documents.
    pub fn name(self) -> &'static str {
        match self {
            QueueState::Waiting => "waiting",
            QueueState::Deferred => "deferred",
            QueueState::Held => "held",
            QueueState::Paused => "paused",
            QueueState::Quarantined => "quarantined",
        }
    }
}

/// A page of the queue.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QueueList {
    /// Which messages.
    #[serde(default)]
    pub filter: QueueFilter,
    /// At most so many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Continue here: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
}

/// A message of the queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueMessage {
    /// Queue id.
    pub id: String,
}

/// Something is to be done to messages, a page at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueOrder {
    /// Which messages.
    #[serde(default)]
    pub filter: QueueFilter,
    /// What.
    pub what: QueueFate,
    /// An empty filter is meant so: all messages. Not for removing.
    #[serde(default)]
    pub all: bool,
    /// Continue here: `next` of the answer before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Do nothing: say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueFate {
    /// Keep it, and do not deliver it.
    Hold {
        /// Why, for people.
        reason: String,
    },
    /// Deliver it, although it was held.
    Release,
    /// Try now what waits for a later attempt.
    Retry,
    /// Drop it, without a bounce.
    Remove,
}

/// A page of messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QueuePage {
    /// The messages, in order of acceptance.
    pub rows: Vec<QueueRow>,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// How much a filter means.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QueueAmount {
    /// Messages.
    pub messages: u64,
    /// Octets of their bodies.
    pub bytes: u64,
    /// When the oldest was accepted, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
}

/// What was done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct QueueOrdered {
    /// In words.
    pub summary: String,
    /// Messages that it was done to.
    pub done: u64,
    /// Messages that were left as they are.
    pub left: u64,
    /// Why, without repetition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
    /// Where to go on; none: that was all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// A message that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueRow {
    /// Queue id.
    pub id: String,
    /// Reverse-path; empty: the null one.
    pub sender: String,
    /// When it was accepted, ISO 8601.
    pub received: String,
    /// Octets.
    pub size: u64,
    /// `waiting`, `deferred`, `held`, `paused` or `quarantined`.
    pub state: String,
    /// The first of the recipients.
    pub to: Vec<String>,
    /// Recipients that wait.
    pub pending: u32,
    /// All recipients.
    pub recipients: u32,
    /// Attempts so far.
    pub attempts: u32,
    /// Next attempt, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    /// Held, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What the destination said last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One message that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueDetail {
    /// As in the list.
    pub summary: QueueRow,
    /// When it is given up, ISO 8601.
    pub expires: String,
    /// Its recipients.
    pub recipients: Vec<QueueRecipient>,
}

/// A recipient of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueRecipient {
    /// Forward-path.
    pub address: String,
    /// Where it goes.
    pub destination: String,
    /// `pending`, `delivered`, `failed`.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Next attempt, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
    /// What the destination said last.
    pub reason: String,
}
