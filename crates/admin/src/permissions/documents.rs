//! Documents of rights on objects and mailboxes.

use std::str::FromStr;

use acl::AceFlags;
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
    /// Inherit to objects of this class below (`user`, `group`, …; `all`: of every class), not to the object itself unless
    /// `inheritance` says so.
    #[serde(default)]
    pub inherit_to: Option<String>,
    /// What it is inherited by; by default nothing, or everything below where `inherit_to` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inheritance: Option<Inheritance>,
    /// It ends at this time, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
}

/// What an entry counts on: the object, what lies directly below it, all below it (ActiveDirectorySecurityInheritance).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inheritance {
    /// The object alone.
    None,
    /// The object and all below it.
    All,
    /// All below the object, not the object.
    Descendents,
    /// The object and what lies directly below it.
    SelfAndChildren,
    /// What lies directly below the object, not the object.
    Children,
}

impl Inheritance {
    const ALL: [(&str, Inheritance, AceFlags); 5] = {
        use AceFlags as F;
        let (below, only, once) = (F::CONTAINER_INHERIT.0, F::INHERIT_ONLY.0, F::NO_PROPAGATE.0);
        [
            ("none", Inheritance::None, F(0)),
            ("all", Inheritance::All, F(below)),
            ("descendents", Inheritance::Descendents, F(below | only)),
            ("self-and-children", Inheritance::SelfAndChildren, F(below | once)),
            ("children", Inheritance::Children, F(below | only | once)),
        ]
    };

    /// As flags of an entry.
    pub(crate) fn flags(self) -> AceFlags {
        Inheritance::ALL.iter().find(|(_, one, _)| *one == self).map_or(AceFlags(0), |(_, _, flags)| *flags)
    }

    /// What flags of an explicit entry come to, if it has a name.
    pub(crate) fn of(flags: AceFlags) -> Option<Inheritance> {
        Inheritance::ALL.iter().find(|(_, _, own)| *own == flags).map(|(_, one, _)| *one)
    }

    /// Its name: `self-and-children`.
    pub fn name(self) -> &'static str {
        Inheritance::ALL.iter().find(|(_, one, _)| *one == self).map_or("", |(name, _, _)| *name)
    }
}

impl FromStr for Inheritance {
    type Err = String;

    fn from_str(text: &str) -> Result<Inheritance, String> {
        let plain = |text: &str| text.replace('-', "").to_ascii_lowercase();
        let found = Inheritance::ALL.iter().find(|(name, _, _)| plain(name) == plain(text)).map(|(_, one, _)| *one);
        found.ok_or_else(|| format!("`{text}` is none of none, all, descendents, self-and-children, children"))
    }
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
