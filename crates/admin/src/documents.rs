//! Documents of reports, trials, the history and service accounts.

use serde::{Deserialize, Serialize};

use crate::operations::Request;
use crate::response::{Page, Response};

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Who holds a permission on an object, and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WhoCan {
    /// The object.
    pub identity: String,
    /// `send-as`, `send-on-behalf`, `full-access`; none: all three.
    #[serde(default)]
    pub rights: Vec<String>,
    /// One row for each account that is allowed, groups resolved to people.
    #[serde(default)]
    pub expand: bool,
    /// Also who holds a right that amounts to it.
    #[serde(default)]
    pub could_become: bool,
    /// Rows that pages before have shown: `skip` of the page before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
}

/// On whom somebody holds a permission, and why.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WhatCan {
    /// An account: what it can. A group or another SID: what is granted to it by name.
    pub identity: String,
    /// `send-as`, `send-on-behalf`, `full-access`; none: all three.
    #[serde(default)]
    pub rights: Vec<String>,
    /// Only owners below this container.
    #[serde(default)]
    pub under: Option<String>,
    /// Leave the account's own mailbox in.
    #[serde(default)]
    pub include_self: bool,
    /// Continue after this row: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// Rows about the first object that pages before have shown: `skip` of the page before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
}

/// All permissions on everybody, in pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditExport {
    /// `send-as`, `send-on-behalf`, `full-access`; none: all three.
    #[serde(default)]
    pub rights: Vec<String>,
    /// Only owners below this container.
    #[serde(default)]
    pub under: Option<String>,
    /// Groups resolved to people.
    #[serde(default)]
    pub expand: bool,
    /// Entries that do not decide anything, too.
    #[serde(default)]
    pub all: bool,
    /// What owners hold on themselves, too.
    #[serde(default)]
    pub include_self: bool,
    /// Continue after this row: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// Rows about the first object that pages before have shown: `skip` of the page before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u32,
}

/// One reason why somebody may, or may not, use somebody's mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HolderRow {
    /// Who: `EXAMPLE\bob`, or a SID.
    pub trustee: String,
    /// SID of who; empty for a group without one.
    pub trustee_sid: String,
    /// On whom: the mail address, or the distinguished name.
    pub target: String,
    /// Distinguished name of on whom.
    pub target_dn: String,
    /// `send-as`, `send-on-behalf`, `full-access`.
    pub right: String,
    /// It is a denial.
    pub deny: bool,
    /// It counts: no entry before it says otherwise, and the trustee can use it.
    pub effective: bool,
    /// `ace`, `null-dacl`, `owner`, `linked-account`, `delegate`, `super-delegate`, `legacy-policy`, `any-sender`; for
    /// `--could-become` the right that amounts to it: `write-dac`, `write-owner`, `write-proxy-addresses`, ….
    pub via: String,
    /// Distinguished name of the object that it is inherited from; none: it stands on the object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
    /// The entry in SDDL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ace: Option<String>,
    /// Place of the entry in the DACL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ace_index: Option<u32>,
    /// Account, groups between, and what the entry or link names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Only in a session that logged on to the mailbox.
    pub needs_logon: bool,
    /// The target is protected by AdminSDHolder: grants on it will be replaced.
    pub protected: bool,
    /// What else there is to know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What the separation of Full Mailbox Access and Send As breaks in one domain. The first page begins a run, which holds
/// the domain until its last page.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeparationExport {
    /// The domain; none: the root domain.
    #[serde(default)]
    pub domain: Option<String>,
    /// Accounts that hold Send As by inheritance only, too.
    #[serde(default)]
    pub inherited: bool,
    /// Accounts to leave out.
    #[serde(default)]
    pub suppress: Vec<String>,
    /// Name of an account to leave out in every domain.
    #[serde(default)]
    pub suppress_name: Option<String>,
    /// The run that this continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Continue after this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// Grants Send As to everybody whom an export would list, as one change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeparationSetAll {
    /// Where and what.
    #[serde(flatten)]
    pub search: SeparationExport,
    /// Super-delegates too: they will always send as the owner, and never on behalf.
    #[serde(default)]
    pub include_delegates: bool,
}

/// Lines of a reviewed export, to be granted as one change. A long file comes in pieces.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeparationImport {
    /// The domain; none: the root domain.
    #[serde(default)]
    pub domain: Option<String>,
    /// The run that this continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// A piece of the file.
    pub lines: Vec<ImportLine>,
    /// This is the last piece: grant.
    pub last: bool,
}

/// A line of a reviewed export.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImportLine {
    /// Its number in the file.
    pub line: u32,
    /// Display name of the owner.
    pub owner: String,
    /// Distinguished name of the owner; may be empty in a file of another origin.
    #[serde(default)]
    pub owner_dn: String,
    /// `DOMAIN\name` of the account.
    pub account: String,
    /// SID of the account; may be empty.
    #[serde(default)]
    pub account_sid: String,
}

/// A page of what the separation breaks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeparationPage {
    /// The domain.
    pub domain: String,
    /// Accounts with Full Mailbox Access and without Send As.
    pub rows: Vec<SeparationRow>,
    /// What could not be looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<SeparationError>,
    /// The run, for the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// An account with Full Mailbox Access on a mailbox and without Send As.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeparationRow {
    /// Display name of the mailbox owner.
    pub owner: String,
    /// `DOMAIN\logon name` of the account.
    pub account: String,
    /// Display name of the account.
    pub account_name: String,
    /// The owner has delegates.
    pub has_delegates: bool,
    /// The owner's account is enabled.
    pub enabled: bool,
    /// Distinguished name of the owner.
    pub owner_dn: String,
    /// SID of the account.
    pub account_sid: String,
    /// Where the Full Mailbox Access comes from.
    pub access_from: String,
    /// Why there is no Send As.
    pub missing: String,
    /// The account is a delegate of the owner: a super-delegate.
    pub is_delegate: bool,
}

/// Something that a run could not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeparationError {
    /// Line of the file; 0 where there is none.
    pub line: u32,
    /// The owner.
    pub owner: String,
    /// The account.
    pub account: String,
    /// Why not.
    pub reason: String,
}

/// What a run changed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeparationApplied {
    /// In words.
    pub summary: String,
    /// The domain.
    pub domain: String,
    /// Grants made.
    pub granted: u64,
    /// Pairs that had Send As already.
    pub unchanged: u64,
    /// Super-delegates that were left as they are.
    pub delegates_skipped: u64,
    /// What was not done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<SeparationError>,
    /// Version of the directory since then, for `undo`; none: nothing changed, or it was a trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The run, while pieces are missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// What a change would do: nothing of it was done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Simulated {
    /// What would have been answered.
    pub outcome: Box<Response>,
    /// What would become durable.
    pub changes: Vec<ChangeLine>,
    /// Changes that are not listed for length.
    #[serde(default)]
    pub more_changes: u64,
    /// Who could do more.
    pub gained: Vec<DifferenceRow>,
    /// Who could do less.
    pub lost: Vec<DifferenceRow>,
    /// Rows that are not listed for length.
    #[serde(default)]
    pub more_rows: u64,
    /// What else follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Somebody who could do more, or less, to somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceRow {
    /// Who.
    pub trustee: String,
    /// SID of who.
    pub trustee_sid: String,
    /// On whom: the mail address, or the distinguished name.
    pub target: String,
    /// `send-as`, `send-on-behalf`, `full-access`.
    pub right: String,
    /// How.
    pub via: String,
    /// Only in a session that logged on to the mailbox.
    pub needs_logon: bool,
}

/// One attribute of one object that changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    /// Distinguished name, or the objectGUID of what is gone.
    pub object: String,
    /// objectGUID.
    pub guid: String,
    /// `added`, `deleted`, `moved`, `changed`.
    pub what: String,
    /// The attribute.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub attribute: String,
    /// Values, or entries of a descriptor, that go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Values, or entries of a descriptor, that come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
}

/// Which changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// Only changes of this object; an objectGUID for one that is gone.
    #[serde(default)]
    pub object: Option<String>,
    /// Only changes by this author.
    #[serde(default)]
    pub author: Option<String>,
    /// Not before this time, milliseconds since 1970.
    #[serde(default)]
    pub since: Option<i64>,
    /// Before this time, milliseconds since 1970.
    #[serde(default)]
    pub until: Option<i64>,
    /// Only this version.
    #[serde(default)]
    pub version: Option<u64>,
    /// At most so many versions.
    #[serde(default)]
    pub limit: Option<u32>,
    /// Only versions before this one: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
}

/// A page of the history.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HistoryPage {
    /// Versions, newest first.
    pub rows: Vec<HistoryRow>,
    /// `before` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// One batch of changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Version of the directory since then; what `undo` takes.
    pub version: u64,
    /// When, milliseconds since 1970.
    pub time: i64,
    /// Who.
    pub author: String,
    /// SID of who.
    pub author_sid: String,
    /// Why.
    pub comment: String,
    /// What.
    pub changes: Vec<ChangeLine>,
    /// Changes that are not listed for length.
    #[serde(default)]
    pub more: u64,
}

/// Takes a batch of changes back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Undo {
    /// Its version.
    pub version: u64,
}

/// Which versions an import was made in that was too large for one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ImportSteps {
    /// The import, as its answer named it.
    pub import: String,
    /// See to it that all of them can be taken back.
    #[serde(default)]
    pub try_out: bool,
}

/// Is a service account fit to send for its users?
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServiceAccountCheck {
    /// The service account.
    pub identity: String,
    /// Only this user.
    #[serde(default)]
    pub user: Option<String>,
    /// Only users below this container.
    #[serde(default)]
    pub under: Option<String>,
    /// Continue after this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// Grants a service account Send As on users.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServiceAccountGrant {
    /// The service account.
    pub identity: String,
    /// On this user alone.
    #[serde(default)]
    pub user: Option<String>,
    /// On users below this container; default: each domain of the forest.
    #[serde(default)]
    pub under: Option<String>,
}

/// How fit a service account is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServiceAccountReport {
    /// The service account.
    pub account: String,
    /// SID of the service account.
    pub sid: String,
    /// The tasks of S0.
    pub tasks: Vec<TaskRow>,
    /// Grants on domains and on containers that inherit nothing.
    pub grants: Vec<GrantRow>,
    /// Users for whom it cannot send, and why.
    pub rows: Vec<UncoveredRow>,
    /// Users for whom it can send, on this page.
    pub covered: u64,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// One task of S0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Which: `separate-account`, `memberships`, `cache`.
    pub task: String,
    /// It is done.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// Whether a container hands the grant down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRow {
    /// Distinguished name of the domain or unit.
    pub container: String,
    /// Inheritance from above is blocked there.
    pub blocked: bool,
    /// It grants Send As to users below.
    pub granted: bool,
    /// The command that grants it; empty where it is granted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
}

/// A user for whom a service account cannot send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncoveredRow {
    /// The user.
    pub user: String,
    /// Distinguished name of the user.
    pub dn: String,
    /// `no-entry`, `explicit-deny`, `inheritance-blocked`, `admin-sd-holder`, `admin-sd-holder-orphan`, `other-domain`,
    /// `unreadable`.
    pub reason: String,
    /// In words: where.
    pub detail: String,
    /// The command that mends it; empty where none does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
}

/// A new mailbox database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DatabaseNew {
    /// Its name.
    pub name: String,
    /// Its server; default: the only one with mailboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// Changes to a mailbox database or a server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DatabaseSet {
    /// Which database or server.
    pub identity: String,
    /// Full Mailbox Access carries Send As, as before the separation; or no longer.
    #[serde(default)]
    pub legacy_send_as: Option<bool>,
}

/// A request that is to be tried out only.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trial {
    /// The request.
    pub request: Box<Request>,
}

impl From<Request> for Trial {
    fn from(request: Request) -> Trial {
        Trial { request: Box::new(request) }
    }
}

/// Rows of a report.
pub type Holders = Page<HolderRow>;
