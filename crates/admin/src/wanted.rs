//! What an organization is to be like: the parts of the document that `procura apply` takes. The names are those of the
//! file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::connectors::documents::{ReceiveSettings, SendSettings};
use crate::operations::{DomainKind, GroupScope, Inheritance};
use crate::recipients::RecipientSettings;

/// An organization as a document says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Apply {
    /// In the order of the document; containers, groups and users count before what refers to them.
    pub items: Vec<Item>,
    /// What documents applied before named, and this one does not, goes. Nothing else does.
    #[serde(default)]
    pub prune: bool,
}

/// The organization as it is, in pages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExportOrganization {
    /// Continue after this object: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u32>,
}

/// A page of the organization as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OrganizationPage {
    /// What is there.
    pub items: Vec<Wanted>,
    /// Entries that a document cannot say: of other forms than commands make.
    pub entries_left_out: u64,
    /// Where the next page begins; none: this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u32>,
}

/// One part of the document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// Its line, from 1.
    pub line: u32,
    /// What is to be.
    pub wanted: Wanted,
}

/// What is to be. What the document does not name stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "as many as a file has lines, for one command")]
pub enum Wanted {
    /// What concerns the organization as a whole.
    Organization(WantedOrganization),
    /// A server of the organization.
    Server(WantedServer),
    /// A mailbox database.
    Database(WantedDatabase),
    /// An accepted domain.
    Domain(WantedDomain),
    /// An organizational unit.
    Ou(WantedOu),
    /// A group.
    Group(WantedGroup),
    /// An account.
    User(WantedUser),
    /// A contact: an address of ours whose mail goes elsewhere.
    Contact(WantedContact),
    /// A group whose members follow a filter.
    DynamicGroup(WantedContact),
    /// A receive connector.
    #[serde(alias = "connector")]
    ReceiveConnector(WantedReceive),
    /// A send connector.
    SendConnector(WantedSend),
    /// A right on an object.
    Grant(WantedGrant),
    /// A right on a mailbox.
    MailboxGrant(WantedMailboxGrant),
    /// Rights on a folder of a mailbox.
    FolderPermission(WantedFolderPermission),
    /// Delegates of an owner: these, and no others.
    Delegates(WantedDelegates),
}

/// What concerns the organization as a whole.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedOrganization {
    /// Domains whose mail needs their certificate: these, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure_domains: Option<Vec<String>>,
    /// Every message is reported to this address; an empty text: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_to: Option<String>,
}

/// A server of the organization.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedServer {
    /// Its name.
    pub name: String,
    /// `hub` (default) or `edge`, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Fully qualified name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// Keys of its certificates: these, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// Full Mailbox Access carries Send As there, as before the separation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_send_as: Option<bool>,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A mailbox database.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDatabase {
    /// Its name.
    pub name: String,
    /// Its server; default: the only one with mailboxes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Full Mailbox Access carries Send As there, as before the separation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_send_as: Option<bool>,
}

/// An accepted domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDomain {
    /// `example.com` or `*.example.com`.
    pub name: String,
    /// How its mail is treated; authoritative where nothing is said.
    #[serde(default)]
    pub kind: Option<DomainKind>,
    /// Its addresses are those of this domain.
    #[serde(default)]
    pub alias_of: Option<String>,
    /// `user+tag@` is `user@`.
    #[serde(default)]
    pub subaddressing: Option<bool>,
    /// Recipients that are not in the directory are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_lookup: Option<bool>,
    /// Who gets mail for addresses that nobody has; an empty text: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_all: Option<String>,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// An organizational unit.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedOu {
    /// Its name.
    pub name: String,
    /// Where; default: the domain.
    #[serde(default)]
    pub under: Option<String>,
    /// Inheritance is blocked when it is made.
    #[serde(default)]
    pub protected: bool,
}

/// A group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WantedGroup {
    /// Logon name and common name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Container.
    #[serde(default)]
    pub ou: Option<String>,
    /// For mail only, when it is made.
    #[serde(default)]
    pub distribution: bool,
    /// Scope, when it is made.
    #[serde(default)]
    pub scope: GroupScope,
    /// Its addresses: these, and no others.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// Its members: these, and no others.
    #[serde(default)]
    pub members: Option<Vec<String>>,
    /// How mail for it goes; what is not named stays.
    #[serde(flatten)]
    pub settings: RecipientSettings,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// An account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WantedUser {
    /// Logon name.
    pub name: String,
    /// Name for people.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Container.
    #[serde(default)]
    pub ou: Option<String>,
    /// Its addresses: these, and no others.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// It has a mailbox.
    #[serde(default)]
    pub mailbox: bool,
    /// Mailbox database.
    #[serde(default)]
    pub database: Option<String>,
    /// It may log on.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// The Associated External Account of its mailbox: a SID, or a name that the directory knows; an empty text: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linked: Option<String>,
    /// What it may send, as `100 messages/hour`: these limits, and no others; `none`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sending_limits: Option<Vec<String>>,
    /// How mail for it goes; what is not named stays.
    #[serde(flatten)]
    pub settings: RecipientSettings,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A contact, or a group whose members follow a filter.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WantedContact {
    /// Its name.
    pub name: String,
    /// Container; the same name in another one is another object.
    #[serde(default)]
    pub ou: Option<String>,
    /// Its addresses: these, and no others.
    #[serde(default)]
    pub addresses: Option<Vec<String>>,
    /// How mail for it goes; what is not named stays. A dynamic group needs a filter when it is made.
    #[serde(flatten)]
    pub settings: RecipientSettings,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A receive connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WantedReceive {
    /// Its name.
    pub name: String,
    /// Usage type, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Its server, when it is made; default: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its permission groups: these, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_groups: Option<Vec<String>>,
    /// The rest; what is not named stays.
    #[serde(flatten)]
    pub settings: ReceiveSettings,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A send connector. Its password is no part of a document: `procura connector send set --password-stdin`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WantedSend {
    /// Its name.
    pub name: String,
    /// Usage type, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// The rest; what is not named stays.
    #[serde(flatten)]
    pub settings: SendSettings,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A right on an object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedGrant {
    /// The object.
    pub on: String,
    /// Who.
    pub user: String,
    /// The right.
    pub right: String,
    /// Deny instead of allow.
    #[serde(default)]
    pub deny: bool,
    /// Inherit to objects of this class below.
    #[serde(default)]
    pub inherit_to: Option<String>,
    /// What it is inherited by, as in [`crate::operations::PermissionChange::inheritance`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inheritance: Option<Inheritance>,
    /// It ends then: a time with its zone (`2027-01-31T18:00:00Z`), or a date, which begins at midnight UTC. Once that has
    /// passed, it is not to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// A right on a mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedMailboxGrant {
    /// The owner.
    pub on: String,
    /// Who.
    pub user: String,
    /// The right, or several separated by commas; `full-access` where nothing is said.
    #[serde(default)]
    pub right: Option<String>,
    /// Deny instead of allow.
    #[serde(default)]
    pub deny: bool,
    /// It ends then, as a right on an object does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// It is not to be there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// Rights on a folder of a mailbox. It has these entries of its own, and no others.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedFolderPermission {
    /// The owner of the mailbox.
    pub on: String,
    /// Its path, as `\Calendar`; `\` is the mailbox as a whole.
    pub folder: String,
    /// Who may do what in it; Default and Anonymous may nothing where they are not named. Needed where the folder is to have
    /// entries of its own: none of them is a list that lets nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<WantedFolderEntry>>,
    /// It is to have no entries of its own, and so those of the folder above it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// What somebody may do in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedFolderEntry {
    /// An account or a security group, `Default` or `Anonymous`.
    pub user: String,
    /// A role, or rights separated by commas: `Editor`, `ReadAny, Create`.
    pub right: String,
}

/// Delegates of an owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDelegates {
    /// The owner.
    pub of: String,
    /// Who may send on behalf: these, and no others.
    pub users: Vec<String>,
    /// Those of them who are delegates for a time, and its end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub until: BTreeMap<String, String>,
}

impl Wanted {
    /// What makes two parts of documents speak of the same.
    pub(crate) fn key(&self) -> String {
        let of = |parts: &[&str]| parts.join("\u{0}").to_lowercase();
        match self {
            Wanted::Organization(_) => of(&["organization"]),
            Wanted::Server(server) => of(&["server", &server.name]),
            Wanted::Database(database) => {
                of(&["database", &database.name, database.server.as_deref().unwrap_or_default()])
            }
            Wanted::Domain(domain) => of(&["domain", &domain.name]),
            Wanted::Ou(ou) => of(&["ou", &ou.name, ou.under.as_deref().unwrap_or_default()]),
            Wanted::Group(group) => of(&["group", &group.name]),
            Wanted::User(user) => of(&["user", &user.name]),
            Wanted::Contact(own) | Wanted::DynamicGroup(own) => {
                of(&["contact", &own.name, own.ou.as_deref().unwrap_or_default()])
            }
            Wanted::ReceiveConnector(connector) => {
                of(&["receive", &connector.name, connector.server.as_deref().unwrap_or_default()])
            }
            Wanted::SendConnector(connector) => of(&["send", &connector.name]),
            Wanted::Grant(grant) => {
                let (deny, below) = (if grant.deny { "deny" } else { "" }, grant.inherit_to.as_deref());
                let reach = grant.inheritance.map_or("", Inheritance::name);
                of(&["grant", &grant.on, &grant.user, &grant.right, deny, below.unwrap_or_default(), reach])
            }
            Wanted::MailboxGrant(grant) => {
                let (deny, right) = (if grant.deny { "deny" } else { "" }, grant.right.as_deref());
                of(&["mailbox", &grant.on, &grant.user, right.unwrap_or("full-access"), deny])
            }
            Wanted::FolderPermission(wanted) => of(&["folder", &wanted.on, &wanted.folder]),
            Wanted::Delegates(delegates) => of(&["delegates", &delegates.of]),
        }
    }

    /// It is to be there.
    pub(crate) fn is_present(&self) -> bool {
        match self {
            Wanted::Organization(_) | Wanted::Database(_) | Wanted::Ou(_) => true,
            Wanted::Delegates(delegates) => !delegates.users.is_empty(),
            Wanted::Server(WantedServer { absent, .. })
            | Wanted::Domain(WantedDomain { absent, .. })
            | Wanted::Group(WantedGroup { absent, .. })
            | Wanted::User(WantedUser { absent, .. })
            | Wanted::Contact(WantedContact { absent, .. })
            | Wanted::DynamicGroup(WantedContact { absent, .. })
            | Wanted::ReceiveConnector(WantedReceive { absent, .. })
            | Wanted::SendConnector(WantedSend { absent, .. })
            | Wanted::Grant(WantedGrant { absent, .. })
            | Wanted::MailboxGrant(WantedMailboxGrant { absent, .. })
            | Wanted::FolderPermission(WantedFolderPermission { absent, .. }) => !absent,
        }
    }

    /// The same, gone; none for what may hold what no document names, and for the organization.
    pub(crate) fn gone(mut self) -> Option<Wanted> {
        match &mut self {
            Wanted::Organization(_) | Wanted::Database(_) | Wanted::Ou(_) => return None,
            Wanted::Delegates(delegates) => {
                delegates.users.clear();
                delegates.until.clear();
            }
            Wanted::Server(WantedServer { absent, .. })
            | Wanted::Domain(WantedDomain { absent, .. })
            | Wanted::Group(WantedGroup { absent, .. })
            | Wanted::User(WantedUser { absent, .. })
            | Wanted::Contact(WantedContact { absent, .. })
            | Wanted::DynamicGroup(WantedContact { absent, .. })
            | Wanted::ReceiveConnector(WantedReceive { absent, .. })
            | Wanted::SendConnector(WantedSend { absent, .. })
            | Wanted::Grant(WantedGrant { absent, .. })
            | Wanted::MailboxGrant(WantedMailboxGrant { absent, .. })
            | Wanted::FolderPermission(WantedFolderPermission { absent, .. }) => *absent = true,
        }
        Some(self)
    }
}
