//! The rights on folders: MAPI's bits, and the roles of Outlook and Exchange that are several of them.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

use acl::AccessMask;
use thiserror::Error;

/// Rights on a folder, PidTagMemberRights (MS-OXCPERM 2.2.7; `facts` §4): the access mask of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FolderRights(u32);

impl FolderRights {
    /// Nothing.
    pub const NONE: FolderRights = FolderRights(0);
    /// frightsReadAny: read the items.
    pub const READ_ANY: FolderRights = FolderRights(0x1);
    /// frightsCreate: make items.
    pub const CREATE: FolderRights = FolderRights(0x2);
    /// frightsEditOwned: change items that one has made.
    pub const EDIT_OWNED: FolderRights = FolderRights(0x8);
    /// frightsDeleteOwned: delete items that one has made.
    pub const DELETE_OWNED: FolderRights = FolderRights(0x10);
    /// frightsEditAny: change any item.
    pub const EDIT_ANY: FolderRights = FolderRights(0x20);
    /// frightsDeleteAny: delete any item.
    pub const DELETE_ANY: FolderRights = FolderRights(0x40);
    /// frightsCreateSubfolder: make folders in it.
    pub const CREATE_SUBFOLDER: FolderRights = FolderRights(0x80);
    /// frightsOwner: change the folder itself.
    pub const OWNER: FolderRights = FolderRights(0x100);
    /// frightsContact: who is asked about the folder. No access.
    pub const CONTACT: FolderRights = FolderRights(0x200);
    /// frightsVisible: see that the folder is there.
    pub const VISIBLE: FolderRights = FolderRights(0x400);
    /// frightsFreeBusySimple: see in a calendar when the owner is free and when busy.
    pub const FREE_BUSY_SIMPLE: FolderRights = FolderRights(0x800);
    /// frightsFreeBusyDetailed: and with what, and where.
    pub const FREE_BUSY_DETAILED: FolderRights = FolderRights(0x1000);
    /// All of them.
    pub const ALL: FolderRights = FolderRights(0x1FFB);

    /// The rights in a mask; other bits are left out.
    pub const fn of_mask(mask: AccessMask) -> FolderRights {
        FolderRights(mask.0 & FolderRights::ALL.0)
    }

    /// The mask of an entry that grants them.
    pub const fn mask(self) -> AccessMask {
        AccessMask(self.0)
    }

    /// Those that these are not.
    pub const fn others(self) -> FolderRights {
        FolderRights(FolderRights::ALL.0 & !self.0)
    }

    /// Whether all of `other` are among them.
    pub const fn contains(self, other: FolderRights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each of them.
    pub fn each(self) -> impl Iterator<Item = FolderRights> {
        FOLDER_RIGHTS.iter().map(|(_, _, right)| *right).filter(move |right| self.contains(*right))
    }

    /// The role that is just these rights.
    pub fn role(self) -> Option<&'static str> {
        FOLDER_ROLES.iter().find(|(_, rights)| *rights == self).map(|(name, _)| *name)
    }

    /// The rights with those that they come with: who may edit any item may edit his own.
    const fn completed(self) -> FolderRights {
        let mut rights = self.0;
        if rights & FolderRights::EDIT_ANY.0 != 0 {
            rights |= FolderRights::EDIT_OWNED.0;
        }
        if rights & FolderRights::DELETE_ANY.0 != 0 {
            rights |= FolderRights::DELETE_OWNED.0;
        }
        if rights & FolderRights::FREE_BUSY_DETAILED.0 != 0 {
            rights |= FolderRights::FREE_BUSY_SIMPLE.0;
        }
        FolderRights(rights)
    }
}

impl BitOr for FolderRights {
    type Output = FolderRights;

    fn bitor(self, other: FolderRights) -> FolderRights {
        FolderRights(self.0 | other.0)
    }
}

/// `Editor`, or `ReadAny,Create`.
impl fmt::Display for FolderRights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(role) = self.role() {
            return f.write_str(role);
        }
        let names = FOLDER_RIGHTS.iter().filter(|(_, _, right)| self.contains(*right)).map(|(name, ..)| *name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

/// There is no such right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no role and no right on folders called `{0}`")]
pub struct NoFolderRight(pub String);

/// A role, or rights, or both, with commas between them. Case, blanks, `-` and `_` do not matter.
impl FromStr for FolderRights {
    type Err = NoFolderRight;

    fn from_str(text: &str) -> Result<FolderRights, NoFolderRight> {
        let mut all = FolderRights::NONE;
        for word in text.split(',') {
            let folded = fold(word);
            let role = FOLDER_ROLES.iter().find(|(name, _)| fold(name) == folded).map(|(_, rights)| *rights);
            let of_name = |(own, other, _): &&(&str, &str, FolderRights)| fold(own) == folded || fold(other) == folded;
            let found = role.or_else(|| FOLDER_RIGHTS.iter().find(of_name).map(|(_, _, right)| *right));
            all = all | found.ok_or_else(|| NoFolderRight(word.trim().to_owned()))?;
        }
        Ok(all.completed())
    }
}

fn fold(text: &str) -> String {
    let kept = text.trim().chars().filter(|letter| !matches!(letter, ' ' | '-' | '_'));
    kept.collect::<String>().to_ascii_lowercase()
}

/// Each right: as MAPI calls it, as Add-MailboxFolderPermission does, and its bit.
pub const FOLDER_RIGHTS: [(&str, &str, FolderRights); 12] = [
    ("ReadAny", "ReadItems", FolderRights::READ_ANY),
    ("Create", "CreateItems", FolderRights::CREATE),
    ("EditOwned", "EditOwnedItems", FolderRights::EDIT_OWNED),
    ("DeleteOwned", "DeleteOwnedItems", FolderRights::DELETE_OWNED),
    ("EditAny", "EditAllItems", FolderRights::EDIT_ANY),
    ("DeleteAny", "DeleteAllItems", FolderRights::DELETE_ANY),
    ("CreateSubfolder", "CreateSubfolders", FolderRights::CREATE_SUBFOLDER),
    // `Owner` is the role.
    ("FolderOwner", "FolderOwner", FolderRights::OWNER),
    ("Contact", "FolderContact", FolderRights::CONTACT),
    ("Visible", "FolderVisible", FolderRights::VISIBLE),
    ("FreeBusySimple", "FreeBusyTimeOnly", FolderRights::FREE_BUSY_SIMPLE),
    ("FreeBusyDetailed", "FreeBusyTimeAndSubjectAndLocation", FolderRights::FREE_BUSY_DETAILED),
];

/// The roles of Outlook and Exchange (Add-MailboxFolderPermission; FolderPermissionLevel of the EWS Managed API).
pub const FOLDER_ROLES: [(&str, FolderRights); 11] = [
    ("None", FolderRights::NONE),
    ("AvailabilityOnly", FolderRights::FREE_BUSY_SIMPLE),
    ("LimitedDetails", FolderRights(0x1800)),
    ("Contributor", FolderRights(0x402)),
    ("Reviewer", FolderRights(0x401)),
    ("NonEditingAuthor", FolderRights(0x413)),
    ("Author", FolderRights(0x41B)),
    ("PublishingAuthor", FolderRights(0x49B)),
    ("Editor", FolderRights(0x47B)),
    ("PublishingEditor", FolderRights(0x4FB)),
    ("Owner", FolderRights(0x7FB)),
];
