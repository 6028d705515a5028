//! Documents of rights on objects and mailboxes.

use serde::{Deserialize, Serialize};

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

/// What connectors that only observe would have refused.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PermissionObserved {
    /// In the last so many days.
    pub days: u32,
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
