//! Rights on the folders of a mailbox (`authorization.md` §6): who may do what in `\Calendar` of a mailbox.
//!
//! They are apart from everything else (S0: “permissions to access your mailbox folders are separate and must be granted
//! in addition to delegation permissions”): a right on a folder gives no right to send and no Full Mailbox Access, and a
//! delegate has none for being one. The owner of the mailbox, and who has Full Mailbox Access, has all of them.
//!
//! A folder has a permission list ([`FolderList`]), as Outlook shows it, and a descriptor that is made of it, which an
//! access check decides by ([`access`]). A folder without entries of its own has those of the nearest folder above it
//! that has some ([`Folders::at`]).

mod access;
mod list;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use acl::SecurityDescriptor;
use directory::folders::{FolderDescriptor, is_path};
use directory::{ObjectId, Snapshot};
use thiserror::Error;

pub use access::{FolderAccess, FolderVia, RightAt, access};
pub use list::{FolderEntry, FolderList};
pub use words::{FOLDER_RIGHTS, FOLDER_ROLES, FolderRights, NoFolderRight};

/// A folder of a mailbox: `\Calendar`, `\Inbox\Orders`. `\` is the mailbox as a whole, above all its folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderPath(String);

/// Not the path of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no folder: write its path with a backslash before each name, as in \\Inbox\\Orders")]
pub struct NoFolderPath(pub String);

impl FolderPath {
    /// The mailbox as a whole.
    pub fn root() -> FolderPath {
        FolderPath("\\".to_owned())
    }

    /// The names from the top down; none for the mailbox as a whole.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('\\').filter(|name| !name.is_empty())
    }

    /// The folder above; none for the mailbox as a whole.
    pub fn parent(&self) -> Option<FolderPath> {
        let (above, name) = self.0.rsplit_once('\\')?;
        match (above, name) {
            (_, "") => None,
            ("", _) => Some(FolderPath::root()),
            (above, _) => Some(FolderPath(above.to_owned())),
        }
    }

    /// Whether both are one folder: case does not tell folders apart.
    pub fn is(&self, other: &FolderPath) -> bool {
        self.folded() == other.folded()
    }

    /// A text that is the same for all spellings of one folder, and another for any other.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl FromStr for FolderPath {
    type Err = NoFolderPath;

    fn from_str(text: &str) -> Result<FolderPath, NoFolderPath> {
        if is_path(text) { Ok(FolderPath(text.to_owned())) } else { Err(NoFolderPath(text.to_owned())) }
    }
}

impl fmt::Display for FolderPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The folders of one mailbox that have entries of their own.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// By their folded paths.
    own: BTreeMap<String, (FolderPath, SecurityDescriptor)>,
    unreadable: Vec<String>,
}

/// Some of what is kept of a mailbox's folders cannot be read: what counts on any of them is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("rights on folders of this mailbox cannot be read: {0}")]
pub struct Unreadable(pub String);

impl Folders {
    /// Those of the mailbox of an owner.
    pub fn of(snapshot: &Snapshot, owner: ObjectId) -> Folders {
        let mut folders = Folders::default();
        for found in snapshot.folder_descriptors(owner) {
            let parsed = found.and_then(|FolderDescriptor { path, descriptor }| {
                let path: FolderPath = path.parse().map_err(|error: NoFolderPath| error.to_string())?;
                Ok((path, descriptor))
            });
            match parsed {
                Ok((path, descriptor)) => drop(folders.own.insert(path.folded(), (path, descriptor))),
                Err(why) => folders.unreadable.push(why),
            }
        }
        folders
    }

    /// The folders, by path.
    pub fn own(&self) -> impl Iterator<Item = (&FolderPath, &SecurityDescriptor)> {
        self.own.values().map(|(path, descriptor)| (path, descriptor))
    }

    /// What counts on a folder, and the folder that it stands on: itself, or the nearest above it that has entries. None:
    /// no folder above it has any either, and nobody but the owner and who has Full Mailbox Access gets in.
    ///
    /// # Errors
    /// Something cannot be read, and it may be about this folder.
    pub fn at(&self, path: &FolderPath) -> Result<Option<(&FolderPath, &SecurityDescriptor)>, Unreadable> {
        if let Some(why) = self.unreadable.first() {
            return Err(Unreadable(why.clone()));
        }
        let mut here = Some(path.clone());
        while let Some(folder) = here {
            if let Some((own, descriptor)) = self.own.get(&folder.folded()) {
                return Ok(Some((own, descriptor)));
            }
            here = folder.parent();
        }
        Ok(None)
    }
}
