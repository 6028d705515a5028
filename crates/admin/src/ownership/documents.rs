//! Documents about who owns a mailbox.

use serde::{Deserialize, Serialize};

/// Gives a mailbox without an owner to an account.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MailboxConnect {
    /// Its GUID, or the name or an address of its former owner.
    pub mailbox: String,
    /// The account.
    pub to: String,
    /// Address to add when the account has none; default `name@` the default domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Give it the former owner's addresses too, as far as nobody has them by now.
    #[serde(default)]
    pub former_addresses: bool,
}

/// Makes an account of another forest the owner of a mailbox for mail, or ends that.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MailboxLink {
    /// The account that owns the mailbox.
    pub identity: String,
    /// The Associated External Account: its SID, or any of its names where the directory knows it. None ends the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Disable the owner too: the link counts only while it is disabled.
    #[serde(default)]
    pub disable: bool,
}

/// A mailbox without an owner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisconnectedRow {
    /// Its GUID.
    pub mailbox: String,
    /// Mailbox database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Since when, ISO 8601.
    pub since: String,
    /// Who owned it, `EXAMPLE\zoe`.
    pub former_owner: String,
    /// SID of who owned it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub former_owner_sid: String,
    /// Distinguished name of who owned it; none: that account is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_owner_dn: Option<String>,
    /// Addresses that the owner had, the primary one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_addresses: Vec<String>,
    /// Whom the mailbox descriptor names beside the owner: they keep their rights when it is connected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
    /// Distinguished name of the object that stands for it.
    pub dn: String,
}
