//! Documents about accounts that AdminSDHolder protects.

use serde::{Deserialize, Serialize};

/// Takes the mailbox of a protected account to an ordinary owner, and gives the account access to it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProtectedSeparate {
    /// The protected account.
    pub identity: String,
    /// The ordinary owner: an account without a mailbox, or the logon name of a new, disabled one.
    pub owner: String,
    /// Container of a new owner; default: `CN=Users` of the domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ou: Option<String>,
}

/// Changes the template that all protected accounts of a domain carry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ProtectedTemplate {
    /// The domain; default: the root domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Who.
    pub trustee: String,
    /// Rights by any of their names.
    pub rights: Vec<String>,
    /// Take the entry away instead.
    #[serde(default)]
    pub remove: bool,
}

/// Why an account is protected, and what can be done about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedReport {
    /// Distinguished name.
    pub dn: String,
    /// It is protected.
    pub protected: bool,
    /// It is protected itself, whatever it is a member of (Administrator, krbtgt, …).
    pub itself: bool,
    /// It is protected no more and still does not inherit.
    pub orphan: bool,
    /// It owns a mailbox.
    pub mailbox: bool,
    /// Groups from the account up to a protected one, once for each protected group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<Vec<String>>,
    /// What can be done, the recommended way first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<ProtectedWay>,
}

/// A way to give rights on a protected account that stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedWay {
    /// `separate`, `end`, `template`, `repair`.
    pub way: String,
    /// What it does.
    pub meaning: String,
    /// The command.
    pub command: String,
}
