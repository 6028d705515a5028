//! The operations of administration as documents. Commands, the socket and later HTTP and console use the same types.

use serde::{Deserialize, Serialize};

pub use crate::access::documents::*;
pub use crate::browse::{Browse, TreeRow};
pub use crate::connectors::documents::*;
pub use crate::delegation::{Delegation, DelegationRow};
pub use crate::documents::*;
pub use crate::ownership::documents::*;
pub use crate::pause::documents::*;
pub use crate::protection::documents::*;
pub use crate::queued::documents::*;
pub use crate::recipients::{
    CatchAll, Journal, RecipientNew, RecipientRequest, RecipientResponse, RecipientRow, RecipientSet, RecipientSettings,
};
pub use crate::response::*;
pub use crate::sd_edit::{SdSet, SdText};
pub use crate::servers::{SecureDomains, ServerNew, ServerRow, ServerSet};
pub use crate::sheet::TextFormat;
pub use crate::trace::{Trace, TraceReport, TraceWaits, TracedMessage};
pub use crate::usage::UsageRow;
pub use crate::verify::documents::*;
pub use crate::wanted::*;

/// Version of the documents on the socket; a server refuses another one and says so.
pub const PROTOCOL: u32 = 1;

/// Longest line on the socket, in bytes, each way. Long lists come in pages, imports in batches.
pub const MAX_LINE: usize = 8 << 20;

/// One line from a command to the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Why, in the words of the person who asks: kept in the change log.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The answer, a report, is to be written as text of this format: [`Reply::Part`]s come before the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextFormat>,
    /// What is asked.
    pub request: Request,
}

/// One line from the service back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Ok(Box<Response>),
    /// Refused or failed; nothing was changed.
    Err(crate::Fault),
    /// A part of a text: its octets follow the line. Another reply comes after them.
    Part {
        /// Number of octets.
        octets: u32,
        /// Rows of the text up to the end of this part.
        rows: u64,
    },
}

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Request {
    /// What the server is and how it is.
    Status,
    /// Create a user.
    UserAdd(UserAdd),
    /// Change a user.
    UserSet(UserSet),
    /// Delete a user.
    UserRemove(Target),
    /// List users.
    UserList(List),
    /// Create a group.
    GroupAdd(GroupAdd),
    /// Change a group.
    GroupSet(GroupSet),
    /// Delete a group.
    GroupRemove(Target),
    /// List groups.
    GroupList(List),
    /// Add members to a group.
    MemberAdd(Members),
    /// Remove members from a group.
    MemberRemove(Members),
    /// Who is in a group.
    MemberList(MemberList),
    /// Give a user a mailbox.
    MailboxEnable(MailboxEnable),
    /// Change a mailbox.
    MailboxSet(MailboxSet),
    /// Take the mailbox away from a user; it is kept without an owner.
    MailboxDisable(Target),
    /// List mailboxes.
    MailboxList(List),
    /// List mailboxes without an owner.
    MailboxDisconnected(List),
    /// Give a mailbox without an owner to an account.
    MailboxConnect(MailboxConnect),
    /// Forget a mailbox without an owner for good.
    MailboxPurge(Target),
    /// Link a mailbox to an account of another forest, or end that.
    MailboxLink(MailboxLink),
    /// Add an accepted domain.
    DomainAdd(DomainAdd),
    /// Change an accepted domain.
    DomainSet(DomainSet),
    /// Remove an accepted domain.
    DomainRemove(DomainRemove),
    /// List accepted domains.
    DomainList,
    /// Create an organizational unit.
    OuAdd(OuAdd),
    /// Set a password.
    PasswordSet(PasswordSet),
    /// Make an app password.
    AppPasswordAdd(AppPasswordName),
    /// The app passwords of an account.
    AppPasswordList(Target),
    /// Take an app password back.
    AppPasswordRemove(AppPasswordName),
    /// Write a backup.
    Backup(Backup),
    /// Move an object to another container.
    Move(Move),
    /// Accounts and groups that AdminSDHolder protects.
    ProtectedList,
    /// Those that were protected, and still do not inherit.
    ProtectedOrphans,
    /// Makes such a one ordinary again.
    ProtectedRepair(Target),
    /// Why an account is protected, and what can be done about it.
    ProtectedExplain(Target),
    /// Take the mailbox of a protected account to an ordinary owner.
    ProtectedSeparate(ProtectedSeparate),
    /// Take an account out of the groups that protect it.
    ProtectedEnd(Target),
    /// Change what all protected accounts carry.
    ProtectedTemplate(ProtectedTemplate),
    /// Hold what decisions are made on against what is stored.
    Verify(Verify),
    /// Grants and their use.
    PermissionUnused(PermissionUnused),
    /// A page of the directory as LDIF.
    Export(Export),
    /// The organization as parts of a document that [`Request::Apply`] takes.
    ExportOrganization(ExportOrganization),
    /// Make the organization as a document says.
    Apply(Apply),
    /// Bring a piece of an LDIF file.
    ImportData(ImportData),
    /// Import what was brought, a batch at a time.
    ImportRun(ImportRun),
    /// Grant or deny a right on an object.
    PermissionAdd(PermissionChange),
    /// Take a grant or a denial away.
    PermissionRemove(PermissionChange),
    /// Who has which right on an object.
    PermissionGet(PermissionGet),
    /// Grant or deny a mailbox right.
    MailboxPermissionAdd(MailboxPermissionChange),
    /// Take a mailbox right away.
    MailboxPermissionRemove(MailboxPermissionChange),
    /// Who has which right on a mailbox.
    MailboxPermissionGet(Target),
    /// Add delegates.
    DelegateAdd(Delegates),
    /// Remove delegates.
    DelegateRemove(Delegates),
    /// Who may send on behalf.
    DelegateGet(Target),
    /// Add delegates with what they hold beside.
    DelegationAdd(Delegation),
    /// Remove delegates with what they hold beside.
    DelegationRemove(Delegation),
    /// Delegates with what they hold beside.
    DelegationGet(Target),
    /// The record of a decision.
    Explain(Explain),
    /// Ask for a decision without sending.
    Check(Check),
    /// What waits for delivery.
    QueueList(QueueList),
    /// One message that waits.
    QueueShow(QueueMessage),
    /// How much of what waits is meant.
    QueueAmount(QueueFilter),
    /// Hold, release, try again or drop messages.
    QueueOrder(QueueOrder),
    /// What became of messages.
    Trace(Trace),
    /// Take configuration and certificate anew.
    Reload,
    /// Who holds a permission on an object, and why.
    WhoCan(WhoCan),
    /// On whom somebody holds a permission, and why.
    WhatCan(WhatCan),
    /// All permissions on everybody.
    AuditExport(AuditExport),
    /// What the separation of Full Mailbox Access and Send As breaks.
    SeparationExport(SeparationExport),
    /// Grant what a reviewed export lists.
    SeparationImport(SeparationImport),
    /// Grant what an export would list.
    SeparationSetAll(SeparationSetAll),
    /// Changes of the past.
    History(History),
    /// Take a change back.
    Undo(Undo),
    /// The steps of a large import, to be undone one by one.
    ImportSteps(ImportSteps),
    /// Is a service account fit to send for its users?
    ServiceAccountCheck(ServiceAccountCheck),
    /// Let a service account send for users.
    ServiceAccountGrant(ServiceAccountGrant),
    /// Tokens and webhooks.
    Access(AccessRequest),
    /// Service accounts whose mail waits for a missing right.
    Pause(PauseRequest),
    /// What becomes of mail for recipients.
    Recipient(RecipientRequest),
    /// Change a mailbox database or server.
    DatabaseSet(DatabaseSet),
    /// Create a receive connector.
    ReceiveConnectorNew(ReceiveNew),
    /// Change a receive connector.
    ReceiveConnectorSet(ReceiveSet),
    /// Receive connectors as they are.
    ReceiveConnectorGet(ConnectorGet),
    /// Delete a receive connector.
    ReceiveConnectorRemove(Target),
    /// Create a send connector.
    SendConnectorNew(SendNew),
    /// Change a send connector.
    SendConnectorSet(SendSet),
    /// Send connectors as they are.
    SendConnectorGet(ConnectorGet),
    /// Delete a send connector.
    SendConnectorRemove(Target),
    /// Let the directory know a server of the organization.
    ServerNew(ServerNew),
    /// Change a server.
    ServerSet(ServerSet),
    /// Servers as they are.
    ServerGet(ConnectorGet),
    /// Forget a server.
    ServerRemove(Target),
    /// Domains whose mail needs their certificate: list, or change.
    SecureDomains(SecureDomains),
    /// What would happen to a session, stage by stage.
    ConnectorTest(ConnectorTest),
    /// Give the servers of another forest their rights.
    CrossForestEnable(CrossForest),
    /// The directory as a tree.
    Browse(Browse),
    /// The explicit descriptor of an object as text.
    SdGet(Target),
    /// Write the explicit descriptor of an object.
    SdSet(SdSet),
    /// Try a request out on a copy: what would change, who would gain and who lose. Nothing is done.
    Simulate(Trial),
}

/// An object by any of its names: DN, objectGUID, SID, mail address, `DOMAIN\name`, UPN, sAMAccountName, display name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Target {
    /// The name.
    pub identity: String,
}

/// A page of a list.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct List {
    /// Only below this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// Continue after this row: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
    /// At most so many rows; the service may send fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A new user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserAdd {
    /// Logon name, also the common name where no display name is given.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Container; default `CN=Users` of the domain.
    #[serde(default)]
    pub ou: Option<String>,
    /// sAMAccountName; default: `name`.
    #[serde(default)]
    pub sam_account_name: Option<String>,
    /// Addresses, the primary one first.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Initial password. Without one the account exists but cannot log on with a password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The account is disabled.
    #[serde(default)]
    pub disabled: bool,
    /// Give a mailbox too.
    #[serde(default)]
    pub mailbox: bool,
    /// Mailbox database; default: the only one.
    #[serde(default)]
    pub database: Option<String>,
}

/// Changes to a user; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserSet {
    /// Which user.
    pub identity: String,
    /// New name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// New sAMAccountName.
    #[serde(default)]
    pub sam_account_name: Option<String>,
    /// Replaces all addresses, the primary one first.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// Adds addresses.
    #[serde(default)]
    pub add_addresses: Vec<String>,
    /// Removes addresses.
    #[serde(default)]
    pub remove_addresses: Vec<String>,
    /// Enable or disable the account.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Move to another container.
    #[serde(default)]
    pub ou: Option<String>,
}

/// A new group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupAdd {
    /// Common name.
    pub name: String,
    /// sAMAccountName; default: `name`.
    #[serde(default)]
    pub sam_account_name: Option<String>,
    /// Name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Container; default `CN=Users` of the domain.
    #[serde(default)]
    pub ou: Option<String>,
    /// A distribution group: carries no permissions, only mail.
    #[serde(default)]
    pub distribution: bool,
    /// `global` (default), `universal` or `domain-local`.
    #[serde(default)]
    pub scope: GroupScope,
    /// Addresses, the primary one first.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// First members.
    #[serde(default)]
    pub members: Vec<String>,
}

/// Scope of a group (groupType).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupScope {
    /// Members of its own domain, counts everywhere.
    #[default]
    Global,
    /// Members of the forest, counts everywhere.
    Universal,
    /// Members from anywhere, counts in its domain.
    DomainLocal,
}

/// Changes to a group; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupSet {
    /// Which group.
    pub identity: String,
    /// New name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Replaces all addresses, the primary one first.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// Move to another container.
    #[serde(default)]
    pub ou: Option<String>,
}

/// Members of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Members {
    /// The group.
    pub group: String,
    /// The members.
    pub members: Vec<String>,
}

/// Who is in a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberList {
    /// The group.
    pub group: String,
    /// Through nested groups too, down to people.
    #[serde(default)]
    pub recursive: bool,
}

/// A mailbox for an existing user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxEnable {
    /// The user.
    pub identity: String,
    /// Mailbox database; default: the only one.
    #[serde(default)]
    pub database: Option<String>,
    /// Address to add when the user has none; default `name@` the default domain.
    #[serde(default)]
    pub address: Option<String>,
    /// The Associated External Account, of another forest: a SID, or a name that the directory knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<String>,
}

/// Changes to a mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxSet {
    /// The owner.
    pub identity: String,
    /// Move to this database.
    #[serde(default)]
    pub database: Option<String>,
    /// What the account may send, as `100 messages/hour`; `none`: no limit; empty: what the node says.
    #[serde(default)]
    pub sending_limits: Option<Vec<String>>,
}

/// How mail for a domain is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DomainKind {
    /// All its recipients are in the directory.
    Authoritative,
    /// Some are, the rest is relayed inside.
    InternalRelay,
    /// Relayed to somebody else.
    ExternalRelay,
}

/// A new accepted domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainAdd {
    /// `example.com` or `*.example.com` for everything below.
    pub domain: String,
    /// How its mail is treated.
    pub kind: DomainKind,
    /// Its addresses are those of this domain.
    #[serde(default)]
    pub alias_of: Option<String>,
    /// `user+tag@` is `user@`.
    #[serde(default)]
    pub subaddressing: bool,
    /// Recipients that are not in the directory are refused; none: of authoritative domains only.
    #[serde(default)]
    pub recipient_lookup: Option<bool>,
}

/// Changes to an accepted domain; what is absent stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainSet {
    /// Which domain.
    pub domain: String,
    /// New treatment.
    #[serde(default)]
    pub kind: Option<DomainKind>,
    /// New original; an empty text removes it.
    #[serde(default)]
    pub alias_of: Option<String>,
    /// `user+tag@` is `user@`, or no longer.
    #[serde(default)]
    pub subaddressing: Option<bool>,
    /// Recipients that are not in the directory are refused, or no longer.
    #[serde(default)]
    pub recipient_lookup: Option<bool>,
}

/// Which accepted domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainRemove {
    /// Which.
    pub domain: String,
}

/// A new organizational unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OuAdd {
    /// Its name.
    pub name: String,
    /// Where; default: the domain.
    #[serde(default)]
    pub under: Option<String>,
    /// Inheritance is blocked.
    #[serde(default)]
    pub protected: bool,
}

/// A password on its way: never shown by `Debug`.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub zeroize::Zeroizing<String>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An object to another container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Move {
    /// The object.
    pub identity: String,
    /// The container.
    pub to: String,
}

/// Grants that nobody used for so long.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PermissionUnused {
    /// Days.
    pub days: u32,
    /// Those that were used, too.
    #[serde(default)]
    pub all: bool,
    /// Full Mailbox Access, too: of its use, only the mail is known that it carried.
    #[serde(default)]
    pub full_access: bool,
    /// Continue after this object: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// A page of the directory as LDIF.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Export {
    /// Only this object and what is below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// Continue after this object: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// Writes a backup, on the machine of the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Backup {
    /// The new file, absolute.
    pub file: std::path::PathBuf,
}

/// A new password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PasswordSet {
    /// The account.
    pub identity: String,
    /// The password.
    pub password: Secret,
}

/// An app password of an account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppPasswordName {
    /// The account.
    pub identity: String,
    /// What it is called.
    pub name: String,
}

/// A piece of an LDIF file on its way to the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportData {
    /// The upload it belongs to; none begins a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload: Option<String>,
    /// Bytes of the file, base64.
    pub data: String,
}

/// Runs an uploaded import, a batch of changes per call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportRun {
    /// The upload.
    pub upload: String,
    /// Ours, and what it comes from: an attribute of the file, or text with attributes in braces.
    #[serde(default)]
    pub map: Vec<(String, String)>,
    /// Check everything, change nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A right on an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PermissionChange {
    /// The object.
    pub identity: String,
    /// Who.
    pub trustee: String,
    /// Rights by any of their names: `Send As`, `ms-Exch-SMTP-Submit`, `full-control`, `read-property`, …
    pub rights: Vec<String>,
    /// Deny instead of allow.
    #[serde(default)]
    pub deny: bool,
    /// Inherit to objects of this class below (`user`, `group`, …), not to the object itself.
    #[serde(default)]
    pub inherit_to: Option<String>,
    /// It ends at this time, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Who has which right on an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PermissionGet {
    /// The object.
    pub identity: String,
    /// Only this trustee.
    #[serde(default)]
    pub trustee: Option<String>,
}

/// A mailbox right.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MailboxPermissionChange {
    /// The mailbox.
    pub identity: String,
    /// Who.
    pub trustee: String,
    /// Rights: `full-access`, `read-permission`, `change-permission`, `change-owner`, `delete-item`.
    pub rights: Vec<String>,
    /// Deny instead of allow.
    #[serde(default)]
    pub deny: bool,
    /// It ends at this time, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Delegates of an owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delegates {
    /// The owner.
    pub identity: String,
    /// Who may send on behalf.
    pub delegates: Vec<String>,
    /// It ends at this time, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// Which decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explain {
    /// The id that the reply or the log showed.
    pub id: String,
}

/// A question without a message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Check {
    /// The account, or `anonymous`.
    pub who: String,
    /// Header From addresses.
    #[serde(default)]
    pub from: Vec<String>,
    /// Header Sender.
    #[serde(default)]
    pub sender: Option<String>,
    /// Envelope sender; default: the account's own address, or the first From.
    #[serde(default)]
    pub mail_from: Option<String>,
    /// The mailbox that the session logged on to.
    #[serde(default)]
    pub logon: Option<String>,
    /// The receive connector; default: the only one that takes such a session.
    #[serde(default)]
    pub connector: Option<String>,
    /// Recipients.
    #[serde(default)]
    pub to: Vec<String>,
}
