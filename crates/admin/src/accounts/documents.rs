//! Documents of users, groups, mailboxes, units and passwords.

use serde::{Deserialize, Serialize};

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
