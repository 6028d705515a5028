//! Events for webhooks: what became of a message, told to whoever has a webhook for the account that sent it.
//!
//! An event is noted in the queue's transaction with the change that it tells of, so that none is lost and none is told of
//! what did not happen; who posts it takes it from there.

use std::sync::Arc;

use acl::Guid;
use arc_swap::ArcSwap;
use directory::Snapshot;
use jiff::Timestamp;
use queue::{Event, Millis};
use rights::pause::account_name;
use serde_json::{Value, json};
use store::Webhook;
use tokio::sync::Notify;
use ulid::Ulid;

/// The webhooks, and the news that there may be something to post.
#[derive(Debug, Default)]
pub struct Webhooks {
    all: ArcSwap<Vec<Webhook>>,
    news: Notify,
}

impl Webhooks {
    /// All of them.
    pub fn all(&self) -> Arc<Vec<Webhook>> {
        self.all.load_full()
    }

    /// They were changed.
    pub fn set(&self, webhooks: Arc<Vec<Webhook>>) {
        self.all.store(webhooks);
        self.news.notify_one();
    }

    /// Events were noted.
    pub(crate) fn noted(&self) {
        self.news.notify_one();
    }

    /// Resolves when there may be something to post, or other webhooks.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Whether anybody wants to be told of this.
    pub(crate) fn wanted(&self, account: &Guid, kind: &str) -> bool {
        self.all.load().iter().any(|webhook| wants(webhook, account, kind))
    }

    /// An event of the account for everybody who wants it.
    pub(crate) fn events(&self, account: &Guid, kind: &str, time: Millis, data: &Value) -> Vec<Event> {
        let all = self.all.load();
        let wanting = all.iter().filter(|webhook| wants(webhook, account, kind));
        wanting.map(|webhook| event(webhook, kind, time, data)).collect()
    }
}

fn wants(webhook: &Webhook, account: &Guid, kind: &str) -> bool {
    webhook.account == *account && webhook.events.iter().any(|event| event == kind)
}

/// An event for a webhook: type, time and data, as Standard Webhooks has it.
pub fn event(webhook: &Webhook, kind: &str, time: Millis, data: &Value) -> Event {
    let body = json!({ "type": kind, "timestamp": instant(time), "data": data }).to_string();
    Event { id: Ulid::generate().to_string(), target: webhook.id.clone(), kind: kind.to_owned(), body }
}

/// A time as RFC 3339 has it, to the millisecond.
pub fn instant(time: Millis) -> String {
    Timestamp::from_millisecond(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}

/// What events say of a message.
pub(crate) struct Message<'a> {
    pub(crate) queue_id: &'a str,
    pub(crate) account: &'a Guid,
    /// Reverse-path; `None` is the null reverse-path.
    pub(crate) sender: Option<&'a str>,
}

impl Message<'_> {
    /// The data of an event about recipients, each with what became of it.
    pub(crate) fn data(&self, snapshot: &Snapshot, recipients: Vec<Value>) -> Value {
        json!({
            "id": self.queue_id,
            "account": account_name(snapshot, self.account),
            "from": self.sender.unwrap_or_default(),
            "recipients": recipients,
        })
    }
}

/// How a recipient of the queue is called to whoever sent to it: members of a group by the group's address. `None`: it is one
/// that the sender has not named and is not told of, as one that gets a copy.
pub(crate) fn called(address: &str, parameters: &str) -> Option<String> {
    let facts: Value = serde_json::from_str(parameters).unwrap_or_default();
    let named = ["copy", "journal"].iter().all(|kind| facts[*kind] != true);
    named.then(|| facts["list"].as_str().unwrap_or(address).to_owned())
}

/// The account that sent a message, from what the queue keeps with it.
pub(crate) fn account_of(parameters: &str) -> Option<Guid> {
    let facts: Value = serde_json::from_str(parameters).ok()?;
    facts["account"].as_str()?.parse().ok()
}
