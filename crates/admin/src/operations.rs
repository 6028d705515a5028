//! The operations of administration as documents. Commands, the socket and later HTTP and console use the same types.

use serde::{Deserialize, Serialize};

pub use crate::access::documents::*;
pub use crate::accounts::documents::*;
pub use crate::browse::{Browse, TreeRow};
pub use crate::connectors::documents::*;
pub use crate::delegation::{Delegation, DelegationRow};
pub use crate::documents::*;
pub use crate::folder_permissions::documents::*;
pub use crate::observed::ObservedRow;
pub use crate::ownership::documents::*;
pub use crate::pause::documents::*;
pub use crate::permissions::documents::*;
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
    /// What connectors that only observe would have refused.
    PermissionObserved(PermissionObserved),
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
    /// Rights on folders of mailboxes.
    FolderPermission(FolderRequest),
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
    /// Create a mailbox database.
    DatabaseNew(DatabaseNew),
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
