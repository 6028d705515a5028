//! The answers of administration as documents.

use rights::DecisionRecord;
use serde::{Deserialize, Serialize};

use crate::access::documents::AccessResponse;
use crate::browse::TreeRow;
use crate::connectors::documents::{ConnectorTested, ReceiveRow, SendRow};
use crate::delegation::DelegationRow;
use crate::documents::{HistoryPage, Holders, SeparationApplied, SeparationPage, ServiceAccountReport, Simulated};
use crate::observed::ObservedRow;
use crate::operations::Secret;
use crate::ownership::documents::DisconnectedRow;
use crate::pause::documents::PauseResponse;
use crate::protection::documents::ProtectedReport;
use crate::queued::documents::{QueueAmount, QueueDetail, QueueOrdered, QueuePage};
use crate::sd_edit::SdText;
use crate::servers::ServerRow;
use crate::trace::TraceReport;
use crate::usage::UsageRow;
use crate::verify::documents::VerifyPage;

/// What was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Response {
    /// A change is durable and counts.
    Done(Done),
    /// What the server is and how it is.
    Status(Status),
    /// A page of users.
    Users(Page<UserRow>),
    /// An app password, for the only time.
    AppPassword(AppPasswordMade),
    /// The app passwords of an account.
    AppPasswords(Page<AppPasswordRow>),
    /// A page of groups.
    Groups(Page<GroupRow>),
    /// A page of mailboxes.
    Mailboxes(Page<MailboxRow>),
    /// Why an account is protected.
    Protected(Box<ProtectedReport>),
    /// A piece of the comparison of what is held with what is stored.
    Verified(VerifyPage),
    /// Mailboxes without an owner.
    Disconnected(Page<DisconnectedRow>),
    /// Members of a group.
    Members(Page<MemberRow>),
    /// Accepted domains.
    Domains(Page<DomainRow>),
    /// The upload that a piece went into.
    Upload {
        /// Its name.
        upload: String,
    },
    /// How far an import is.
    Imported(Imported),
    /// The versions of an import that are not undone, newest first.
    ImportSteps {
        /// What `undo` takes, in this order.
        versions: Vec<u64>,
        /// What would come of it, where it was only tried out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        simulated: Option<Box<crate::documents::Simulated>>,
    },
    /// Rights on an object or a mailbox.
    Permissions(Permissions),
    /// About rights on folders.
    FolderPermission(crate::folder_permissions::documents::FolderResponse),
    /// Who may send on behalf.
    Delegates(Page<MemberRow>),
    /// Delegates with what they hold beside.
    Delegation(Page<DelegationRow>),
    /// Grants and their use.
    Usage(Page<UsageRow>),
    /// What connectors that only observe would have refused.
    Observed(Page<ObservedRow>),
    /// A recorded decision, or the answer to a check.
    Decision(Box<DecisionRecord>),
    /// Messages that wait.
    Queue(QueuePage),
    /// How much of what waits is meant.
    QueueAmount(QueueAmount),
    /// What was done to messages that wait.
    QueueOrdered(QueueOrdered),
    /// What became of messages.
    Trace(TraceReport),
    /// One message that waits.
    QueueMessage(Box<QueueDetail>),
    /// Who holds which permission on whom.
    Holders(Holders),
    /// What the separation breaks.
    Separation(SeparationPage),
    /// What a run of the separation audit changed.
    SeparationApplied(SeparationApplied),
    /// Changes of the past.
    History(HistoryPage),
    /// How fit a service account is.
    ServiceAccount(ServiceAccountReport),
    /// Mail that waits for a missing right.
    Pause(PauseResponse),
    /// About tokens and webhooks.
    Access(AccessResponse),
    /// About recipients.
    Recipient(crate::recipients::RecipientResponse),
    /// A page of the directory.
    Ldif(Ldif),
    /// The organization as parts of a document.
    Organization(crate::wanted::OrganizationPage),
    /// Receive connectors.
    ReceiveConnectors(Page<ReceiveRow>),
    /// Send connectors.
    SendConnectors(Page<SendRow>),
    /// Servers.
    Servers(Page<ServerRow>),
    /// Domains whose mail needs their certificate.
    SecureDomains {
        /// The domains.
        domains: Vec<String>,
    },
    /// What would happen to a session.
    ConnectorTested(Box<ConnectorTested>),
    /// A page of the directory's tree.
    Tree(Page<TreeRow>),
    /// A descriptor as text.
    Sd(Box<SdText>),
    /// What a change would do.
    Simulated(Box<Simulated>),
    /// A report was written as text.
    Written {
        /// Its rows.
        rows: u64,
    },
}

/// A change that is durable and counts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in words.
    pub summary: String,
    /// Each step of it, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// What the one who asked should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A page of the directory as LDIF.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ldif {
    /// Entries, without the version line.
    pub text: String,
    /// `Export::after` of the next page; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// An app password that was made now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppPasswordMade {
    /// Whose: distinguished name.
    pub account: String,
    /// What it is called.
    pub name: String,
    /// The password. It is kept nowhere.
    pub password: Secret,
    /// What should be known about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// An app password, without itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppPasswordRow {
    /// What it is called.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When it was used last, to the minute; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<i64>,
}

/// Rows of a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins (`List::after`); with `skip` none, too: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
    /// Rows about the first object of the next page that were on this one and those before, where there are too many
    /// for a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
}

impl<T> From<Vec<T>> for Page<T> {
    fn from(rows: Vec<T>) -> Self {
        Page { rows, next: None, skip: None }
    }
}

/// What the server is and how it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// A server runs; else a command looks at a stopped one.
    pub running: bool,
    /// Process that answers.
    pub pid: u32,
    /// Data directory.
    pub data: String,
    /// Version of the directory: changes committed so far.
    pub directory_version: u64,
    /// Objects in the directory.
    pub objects: u64,
    /// Accounts among them.
    pub accounts: u64,
    /// Mailboxes among them.
    pub mailboxes: u64,
    /// The longest time until a change of the directory counts, in seconds.
    pub change_counts_within_seconds: u32,
    /// Problems found when the directory was loaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Receive connectors: name and where they listen.
    pub connectors: Vec<ConnectorRow>,
    /// The queue, when a server runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueCounts>,
    /// How Active Directory is followed, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<ldap::state::Status>,
}

/// A receive connector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectorRow {
    /// Its name.
    pub name: String,
    /// Its server.
    pub server: String,
    /// Addresses it is bound to.
    pub bindings: Vec<String>,
    /// It is enabled.
    pub enabled: bool,
    /// What becomes of header senders without a right: `enforce`, `observe`, `off`.
    pub header_from: String,
}

/// Figures of the queue.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct QueueCounts {
    /// Messages.
    pub messages: u64,
    /// Held messages among them.
    pub held: u64,
    /// Destinations that wait after a failure.
    pub destinations_down: u64,
    /// Octets of bodies.
    pub body_bytes: u64,
}

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserRow {
    /// `EXAMPLE\alice`.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// Addresses, the primary one first.
    pub addresses: Vec<String>,
    /// May log on.
    pub enabled: bool,
    /// Has a mailbox.
    pub mailbox: bool,
    /// Distinguished name.
    pub dn: String,
    /// objectSid.
    pub sid: String,
    /// objectGUID.
    pub guid: String,
}

/// A group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupRow {
    /// `EXAMPLE\Sales`.
    pub name: String,
    /// Name for people.
    pub display_name: String,
    /// Addresses, the primary one first.
    pub addresses: Vec<String>,
    /// Carries permissions; else it is for mail only.
    pub security: bool,
    /// `global`, `universal`, `domain-local`.
    pub scope: String,
    /// Distinguished name.
    pub dn: String,
    /// objectSid.
    pub sid: String,
    /// objectGUID.
    pub guid: String,
}

/// A mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxRow {
    /// Its owner, `EXAMPLE\alice`.
    pub owner: String,
    /// Addresses, the primary one first.
    pub addresses: Vec<String>,
    /// Mailbox database.
    pub database: Option<String>,
    /// The owner may log on.
    pub enabled: bool,
    /// Distinguished name of the owner.
    pub dn: String,
    /// msExchMailboxGuid.
    pub guid: String,
    /// What its owner may send, where it was said for the account.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sending_limits: Vec<String>,
    /// The Associated External Account; it counts only while the owner is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<String>,
}

/// A member of a group, or a delegate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberRow {
    /// `EXAMPLE\alice`.
    pub name: String,
    /// `user`, `group`, …
    pub class: String,
    /// Distinguished name.
    pub dn: String,
    /// Groups between, for a recursive list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub via: Vec<String>,
    /// Of a delegate: when it is one no longer, ISO 8601; none: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// An accepted domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainRow {
    /// The domain; `*.` in front: everything below it.
    pub domain: String,
    /// How its mail is treated.
    pub kind: String,
    /// Its addresses are those of this domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias_of: Option<String>,
    /// `user+tag@` is `user@`.
    pub subaddressing: bool,
    /// The default domain.
    pub default: bool,
    /// Recipients that are not in the directory are refused.
    #[serde(default)]
    pub recipient_lookup: bool,
}

/// How far an import is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Imported {
    /// Objects that are new.
    pub added: u64,
    /// Objects that were there and changed.
    pub modified: u64,
    /// Changes in all.
    pub changes: u64,
    /// Changes that are durable.
    pub done: u64,
    /// Nothing is left to do.
    pub finished: bool,
    /// What it is called, where it is made in steps: for `undo --import`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
    /// What was left out, with lines of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Rights on an object or a mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Permissions {
    /// Distinguished name of the object.
    pub dn: String,
    /// Owner of the descriptor.
    pub owner: String,
    /// Inheritance is blocked.
    pub protected: bool,
    /// The account is protected as an administrator's (AdminSDHolder).
    pub admin: bool,
    /// The entries, in the order in which they decide.
    pub rows: Vec<PermissionRow>,
    /// The whole effective descriptor, self-relative, base64.
    pub descriptor: String,
}

/// One access control entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PermissionRow {
    /// `EXAMPLE\alice`, or a SID.
    pub trustee: String,
    /// SID.
    pub sid: String,
    /// Denies.
    pub deny: bool,
    /// Rights in words.
    pub rights: Vec<String>,
    /// Distinguished name of the object it is inherited from; none: it stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
    /// It counts here; else it is only handed down.
    pub effective: bool,
    /// Which objects below inherit it: `user`, `all`, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_by: Option<String>,
    /// The entry in SDDL.
    pub sddl: String,
    /// When it ends, ISO 8601; none: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}
