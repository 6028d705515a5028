//! Documents about tokens and webhooks.

use serde::{Deserialize, Serialize};

use crate::operations::Secret;
use crate::response::Page;

/// What is asked about tokens and webhooks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "kebab-case")]
pub enum AccessRequest {
    /// Make a token.
    TokenNew(TokenNew),
    /// Show tokens, without themselves.
    TokenList(AccessOf),
    /// Take a token back.
    TokenRevoke(TokenName),
    /// Tell somebody what becomes of an account's mail.
    WebhookAdd(WebhookAdd),
    /// Webhooks, and what waits to be told.
    WebhookList(AccessOf),
    /// Tell no more; what waits is forgotten.
    WebhookRemove(WebhookId),
    /// Post a test now.
    WebhookTest(WebhookId),
}

/// An account, or all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AccessOf {
    /// Any of its names; none: all accounts.
    #[serde(default)]
    pub account: Option<String>,
}

/// A new token.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenNew {
    /// The account: any of its names.
    pub account: String,
    /// What it is for.
    pub name: String,
    /// When it ceases to count, in milliseconds since 1970.
    #[serde(default)]
    pub until: Option<i64>,
}

/// A token by its name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenName {
    /// The account: any of its names.
    pub account: String,
    /// What the token is called.
    pub name: String,
}

/// A new webhook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookAdd {
    /// The account whose mail it tells of: any of its names.
    pub account: String,
    /// Where to post.
    pub url: String,
    /// Kinds of events; none: delivered, failed, paused and released messages.
    #[serde(default)]
    pub events: Vec<String>,
}

/// A webhook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookId {
    /// Its id, or the beginning of it.
    pub id: String,
}

/// What is answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "access", rename_all = "kebab-case")]
pub enum AccessResponse {
    /// A token, this once.
    TokenMade(TokenMade),
    /// Tokens, without themselves.
    Tokens(Page<TokenRow>),
    /// A webhook with its secret, this once.
    WebhookMade(WebhookMade),
    /// Webhooks.
    Webhooks(Page<WebhookRow>),
}

/// A token that was made now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenMade {
    /// Whose.
    pub account: String,
    /// What it is called.
    pub name: String,
    /// The token. It is kept nowhere.
    pub token: Secret,
    /// When it ceases to count, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// What should be known about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A token, without itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRow {
    /// Whose.
    pub account: String,
    /// What it is called.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it ceases to count; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// When it was used last, to the minute; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<i64>,
}

/// A webhook that was made now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WebhookMade {
    /// Whose mail it tells of.
    pub account: String,
    /// Its id.
    pub id: String,
    /// Where it posts.
    pub url: String,
    /// What it tells.
    pub events: Vec<String>,
    /// The key of its signatures, as `whsec_` and base64.
    pub secret: Secret,
}

/// A webhook.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// Whose mail it tells of.
    pub account: String,
    /// Where it posts.
    pub url: String,
    /// What it tells.
    pub events: Vec<String>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Events that wait to be told.
    pub waiting: u64,
    /// When the oldest of them happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<i64>,
    /// Events that were given up; they are shown for a week.
    pub given_up: u64,
    /// Why the last one that could not be told could not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The first of those that were given up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_given_up: Vec<GivenUpEvent>,
}

/// An event that was given up.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GivenUpEvent {
    /// Its id.
    pub id: String,
    /// What kind of event.
    pub kind: String,
    /// When it happened.
    pub created: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it could not be told.
    pub reason: String,
    /// What would have been told.
    pub body: String,
}
