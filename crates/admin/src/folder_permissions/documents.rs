//! Documents of rights on folders.

use serde::{Deserialize, Serialize};

use crate::response::Page;
use crate::wanted::WantedFolderEntry;

/// What can be asked about folders of mailboxes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum FolderRequest {
    /// The entries of a folder, or of all folders that have some.
    Get(FolderGet),
    /// Give an account or a group an entry; refused where it has another.
    Add(FolderChange),
    /// Give it this entry, whatever it had.
    Set(FolderChange),
    /// Give the folder these entries of its own, and no others.
    Replace(FolderReplace),
    /// Take an entry away, or all.
    Remove(FolderRemove),
    /// What an account may do in a folder.
    Check(FolderCheck),
    /// The lists as Dovecot's ACL plugin reads them.
    Export(FolderExport),
}

/// Which entries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderGet {
    /// `alice@example.com:\Calendar`, or a mailbox: all its folders that have entries of their own.
    pub identity: String,
}

/// An entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderChange {
    /// `alice@example.com:\Calendar`; a mailbox alone means its root.
    pub identity: String,
    /// An account or a security group, `Default` or `Anonymous`.
    pub user: String,
    /// Roles and rights: `Editor`, `ReadAny,Create`.
    pub rights: Vec<String>,
}

/// All entries of a folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderReplace {
    /// `alice@example.com:\Calendar`; a mailbox alone means its root.
    pub identity: String,
    /// Each once. A SID that nobody has is taken where the folder has an entry for it.
    pub entries: Vec<WantedFolderEntry>,
}

/// An entry that goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderRemove {
    /// `alice@example.com:\Calendar`.
    pub identity: String,
    /// Whose; none: the folder has no entries of its own any more, and takes those above it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FolderCheck {
    /// `alice@example.com:\Calendar`.
    pub identity: String,
    /// The account, or `anonymous`.
    pub who: String,
    /// Roles and rights that are asked about; none: what it may at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rights: Vec<String>,
}

/// Which lists.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FolderExport {
    /// A mailbox, also by its GUID; none: all that have folders with entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// These folders of the mailbox, whether or not they have entries of their own; none: those that have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Members of groups by name instead of groups.
    #[serde(default)]
    pub expand: bool,
    /// Logon names instead of mail addresses.
    #[serde(default)]
    pub logon_names: bool,
    /// Continue here: `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<FolderPlace>,
}

/// A place among all lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderPlace {
    /// The owner, as an object.
    pub owner: u32,
    /// How many lists of its mailbox come before.
    pub lists: u32,
}

/// What was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub enum FolderResponse {
    /// Entries.
    Entries(Page<FolderEntryRow>),
    /// What an account may do.
    Checked(Box<FolderChecked>),
    /// Lists.
    Exported(FolderAclPage),
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderEntryRow {
    /// Owner of the mailbox, `EXAMPLE\alice`.
    pub mailbox: String,
    /// The folder.
    pub folder: String,
    /// `EXAMPLE\bob`, `Default`, `Anonymous`.
    pub user: String,
    /// SID.
    pub sid: String,
    /// `account`, `group`, `default`, `anonymous`.
    pub kind: String,
    /// `Editor`, or the rights with commas between them.
    pub rights: String,
    /// Each right.
    pub each: Vec<String>,
    /// The folder that it stands on, where that is one above; none: here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What an account may do in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderChecked {
    /// `EXAMPLE\bob`.
    pub who: String,
    /// Owner of the mailbox.
    pub mailbox: String,
    /// The folder.
    pub folder: String,
    /// All that was asked about is allowed; where nothing was: anything is.
    pub allowed: bool,
    /// What it may: a role, or the rights with commas between them.
    pub rights: String,
    /// `owner`, `full-access`, `entries`, `no-entries`; `unknown`: Active Directory does not answer.
    pub via: String,
    /// The folder whose entries decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Each right.
    pub rows: Vec<FolderRightRow>,
    /// What else is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What became of one right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderRightRow {
    /// `ReadAny`.
    pub right: String,
    /// It has it.
    pub allowed: bool,
    /// Why, or why not.
    pub why: String,
}

/// Lists of mailboxes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderAclPage {
    /// One for each folder.
    pub rows: Vec<FolderAclRow>,
    /// Where the next page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<FolderPlace>,
}

/// The list of one folder, as Dovecot's ACL plugin reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderAclRow {
    /// Owner of the mailbox, `EXAMPLE\alice`.
    pub mailbox: String,
    /// GUID of the mailbox: the name of its folder below `mail/`.
    pub guid: String,
    /// The folder.
    pub folder: String,
    /// The folder whose entries these are; none: there are none, and only the owner and Full Mailbox Access count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Lines of `dovecot-acl`.
    pub lines: Vec<String>,
    /// What they do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
