//! Documents about paused mail.

use rights::Missing;
use serde::{Deserialize, Serialize};

use crate::response::Page;

/// What is asked about service accounts whose mail waits for a missing right.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "pause", rename_all = "kebab-case")]
pub enum PauseRequest {
    /// Let mail of a service account wait; replaces what was set before.
    Enable(PauseEnable),
    /// Refuse its mail again, as everybody's.
    Disable(PauseOf),
    /// How it is set, and how much waits.
    Policy(PauseOf),
    /// What waits.
    List(PauseList),
    /// Decide about what waits.
    Order(PauseOrder),
    /// Its users: for whom it can send, and whose mail waits.
    Users(PauseUsers),
    /// Decide for its users, as for a message, without sending.
    Decide(PauseDecide),
}

/// A service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseOf {
    /// Any of its names.
    pub account: String,
}

/// How a service account pauses.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseEnable {
    /// Any of its names.
    pub account: String,
    /// Users, groups, units or domains; none: the whole organization.
    #[serde(default)]
    pub scope: Vec<String>,
    /// Messages that may wait.
    #[serde(default)]
    pub max_messages: Option<u64>,
    /// Octets that may wait.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// Seconds after which a message that waits needs a person.
    #[serde(default)]
    pub max_age: Option<u64>,
    /// Mail addresses of those who are told.
    #[serde(default)]
    pub notify: Vec<String>,
}

/// Which paused mail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseList {
    /// Only of this service account.
    #[serde(default)]
    pub account: Option<String>,
    /// Only for this user.
    #[serde(default)]
    pub user: Option<String>,
    /// With its messages.
    #[serde(default)]
    pub messages: bool,
}

/// A decision about paused mail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseOrder {
    /// Which.
    #[serde(flatten)]
    pub which: PauseList,
    /// Only this message.
    #[serde(default)]
    pub id: Option<String>,
    /// Only what was accepted before this time, milliseconds since the Unix epoch.
    #[serde(default)]
    pub before: Option<i64>,
    /// Which of it.
    #[serde(default)]
    pub part: PausePart,
    /// What is to become of it.
    pub what: PauseFate,
}

/// Mail that waits for the right, or mail that was set aside for a person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PausePart {
    /// That waits for the right.
    Waiting,
    /// That was set aside.
    SetAside,
    /// Both.
    #[default]
    All,
}

/// What is to become of paused mail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseFate {
    /// It is decided about again, and goes if it may.
    #[default]
    Release,
    /// It goes although the right is missing: for those who may grant it.
    Override,
    /// It goes back to its senders.
    Return,
    /// It is removed. Nobody is told.
    Remove,
}

/// A page of the users of a service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseUsers {
    /// Any name of the service account.
    pub account: String,
    /// Continue after this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// Decides for a page of the users of a service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseDecide {
    /// Any name of the service account.
    pub account: String,
    /// The receive connector; default: the one that takes passwords.
    #[serde(default)]
    pub connector: Option<String>,
    /// Only users below this container.
    #[serde(default)]
    pub under: Option<String>,
    /// The recipient.
    #[serde(default)]
    pub to: Option<String>,
    /// Continue after this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// What was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "pause", rename_all = "kebab-case")]
pub enum PauseResponse {
    /// How an account is set.
    Policy(PausePolicy),
    /// What waits.
    List(Page<PauseRow>),
    /// What became of it.
    Ordered(PauseOrdered),
    /// Users.
    Users(Page<PauseUserRow>),
    /// Users for whom it cannot send.
    Decided(PauseDecided),
}

/// How a service account pauses, and how much waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PausePolicy {
    /// `EXAMPLE\goodadmin`.
    pub account: String,
    /// Its mail waits while a right is missing; else it is refused.
    pub enabled: bool,
    /// Distinguished names of users, groups, units, domains or the organization.
    pub scope: Vec<String>,
    /// Messages that may wait.
    pub max_messages: u64,
    /// Octets that may wait.
    pub max_bytes: u64,
    /// Seconds after which a message that waits needs a person.
    pub max_age: u64,
    /// Who is told.
    pub notify: Vec<String>,
    /// Users whose mail waits.
    pub paused_users: u64,
    /// Messages that wait for a right.
    pub messages: u64,
    /// Messages that need a person.
    pub set_aside: u64,
    /// Octets of both.
    pub bytes: u64,
}

/// Mail of a service account for one user that is held.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseRow {
    /// `EXAMPLE\goodadmin`.
    pub account: String,
    /// `EXAMPLE\johndoe`.
    pub user: String,
    /// `paused`: it waits for the right; `set-aside`: it needs a person.
    pub state: String,
    /// `Exchange Not Accessible`, or why it needs a person.
    pub reason: String,
    /// When the oldest message was accepted, ISO 8601.
    pub since: String,
    /// Messages.
    pub messages: u64,
    /// Octets.
    pub bytes: u64,
    /// The right that is missing; empty where none is.
    pub missing: String,
    /// The object that it is missing on.
    pub on: String,
    /// Why: `no-entry`, `explicit-deny`, `inheritance-blocked`, `admin-sd-holder`, `admin-sd-holder-orphan`,
    /// `other-domain`, `account-disabled`, `unreadable`; empty where none is.
    pub cause: String,
    /// In words: where.
    pub why: String,
    /// Whether a grant is there and does not reach the user, or would not last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outlook: String,
    /// The command that mends it.
    pub command: String,
    /// The event, as the log has it.
    pub event: String,
    /// The messages, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<PausedMessage>,
    /// Messages that are not listed for length.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A message that is held.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PausedMessage {
    /// Queue id.
    pub id: String,
    /// Reverse-path; empty: the null one.
    pub sender: String,
    /// Recipients.
    pub to: Vec<String>,
    /// When it was accepted, ISO 8601.
    pub received: String,
    /// Octets.
    pub size: u64,
    /// The decision by which it waits, for `procura explain`; empty where it waits only behind others.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// What was missing when it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
}

/// What became of paused mail.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseOrdered {
    /// In words.
    pub summary: String,
    /// Messages that are held no more; in a trial: that would be.
    pub done: u64,
    /// Messages that are still held.
    pub left: u64,
    /// Why the first of those are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub why: Vec<String>,
}

/// A user of a service account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseUserRow {
    /// `EXAMPLE\johndoe`.
    pub user: String,
    /// `active`: it can send; `paused`: mail waits; `not-covered`: it cannot send, and nothing waits.
    pub state: String,
    /// When the oldest message was accepted, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Messages that wait.
    pub messages: u64,
    /// Why it cannot send, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
}

/// Decisions for users of a service account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseDecided {
    /// `EXAMPLE\goodadmin`.
    pub account: String,
    /// Users for whom it cannot send, on this page.
    pub rows: Vec<PauseDecidedRow>,
    /// Users for whom it can, on this page.
    pub allowed: u64,
    /// All users.
    pub users: u64,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// A user for whom a service account cannot send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseDecidedRow {
    /// `EXAMPLE\johndoe`.
    pub user: String,
    /// The address that was tried.
    pub address: String,
    /// Distinguished name.
    pub dn: String,
    /// What a client would be told; its mail would wait where `pauses`.
    pub reply: String,
    /// Its mail would be accepted, and wait.
    pub pauses: bool,
    /// As [`PauseRow::cause`].
    pub cause: String,
    /// In words: where.
    pub why: String,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
}
