//! What an organization is to be like: the parts of the document that `procura apply` takes. The names are those of the
//! file.

use serde::{Deserialize, Serialize};

use crate::operations::{DomainKind, GroupScope};

/// An organization as a document says.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Apply {
    /// In the order of the document; containers, groups and users count before what refers to them.
    pub items: Vec<Item>,
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
pub enum Wanted {
    /// An accepted domain.
    Domain(WantedDomain),
    /// An organizational unit.
    Ou(WantedOu),
    /// A group.
    Group(WantedGroup),
    /// An account.
    User(WantedUser),
    /// A receive connector.
    Connector(WantedConnector),
    /// A right on an object.
    Grant(WantedGrant),
    /// A right on a mailbox.
    MailboxGrant(WantedMailboxGrant),
    /// Delegates of an owner: these, and no others.
    Delegates(WantedDelegates),
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

/// A receive connector that exists; connectors come with `procura init`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedConnector {
    /// Its name.
    pub name: String,
    /// Where it listens: these, and no others.
    #[serde(default)]
    pub bindings: Option<Vec<std::net::SocketAddr>>,
    /// It listens.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// `enforce`, `observe` or `off`.
    #[serde(default)]
    pub header_from: Option<String>,
    /// `stamp` or `reject`.
    #[serde(default)]
    pub on_behalf: Option<String>,
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
}

/// A right on a mailbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedMailboxGrant {
    /// The owner.
    pub on: String,
    /// Who.
    pub user: String,
    /// The right; `full-access` where nothing is said.
    #[serde(default)]
    pub right: Option<String>,
    /// Deny instead of allow.
    #[serde(default)]
    pub deny: bool,
}

/// Delegates of an owner.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedDelegates {
    /// The owner.
    pub of: String,
    /// Who may send on behalf: these, and no others.
    pub users: Vec<String>,
}
