//! Descriptors of the folders of a mailbox (`authorization.md` §6, folder rights), as they stand with its owner.
//!
//! Each value of procuraFolderPermission is one folder that has entries of its own: the security descriptor in base64, a
//! space, the path. The rights in it are decided elsewhere; here is only what a value must be to be kept.

use std::collections::HashMap;

use acl::{Control, SecurityDescriptor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::attributes::{self as a, number};
use crate::{ChangeError, Object, ObjectId, Snapshot, Value};

/// A folder that has entries of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderDescriptor {
    /// `\Calendar`, `\Inbox\Orders`; `\` is the mailbox as a whole.
    pub path: String,
    /// Its descriptor. The mask of an entry has MAPI's frights bits (`facts` §4).
    pub descriptor: SecurityDescriptor,
}

impl FolderDescriptor {
    /// Takes a value apart.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(value: &[u8]) -> Result<FolderDescriptor, String> {
        let text = std::str::from_utf8(value).map_err(|_| "it is not text".to_owned())?;
        let (descriptor, path) = text.split_once(' ').ok_or("it is no descriptor and path")?;
        if !is_path(path) {
            return Err(format!("`{path}` is no path of a folder"));
        }
        let bytes = STANDARD.decode(descriptor).map_err(|error| error.to_string())?;
        let descriptor = SecurityDescriptor::parse(&bytes).map_err(|error| error.to_string())?;
        if descriptor.dacl.is_none() || !descriptor.control.contains(Control::DACL_PRESENT) {
            return Err("the descriptor has no DACL, which would grant everything to everybody".to_owned());
        }
        Ok(FolderDescriptor { path: path.to_owned(), descriptor })
    }

    /// The value.
    pub fn to_value(&self) -> Value {
        format!("{} {}", STANDARD.encode(self.descriptor.to_bytes()), self.path).into_bytes()
    }
}

/// Longest path, in octets.
const LONGEST: usize = 1024;

/// `\`, or names each with a backslash before it; no name is empty or blank at an end, none has control characters.
pub fn is_path(path: &str) -> bool {
    let Some(names) = path.strip_prefix('\\') else { return false };
    let is_name = |name: &str| !name.is_empty() && name.trim() == name && !name.chars().any(char::is_control);
    path.len() <= LONGEST && (names.is_empty() || names.split('\\').all(is_name))
}

impl Snapshot {
    /// Mailbox owners with folders that have entries of their own, in the order of objects, from this one on.
    pub fn owners_of_folders(&self, from: Option<ObjectId>) -> impl Iterator<Item = ObjectId> + '_ {
        let has = |object: &Object| object.values(number::FOLDER_PERMISSION).next().is_some();
        let later = self.objects().filter(move |(id, _)| from.is_none_or(|from| *id >= from));
        later.filter(move |(_, object)| object.mailbox().is_some() && has(object)).map(|(id, _)| id)
    }

    /// Folders of the mailbox of an owner that have entries of their own, by their paths. A value that cannot be read is
    /// an error with its words: what it says of its folder is unknown.
    pub fn folder_descriptors(&self, owner: ObjectId) -> Vec<Result<FolderDescriptor, String>> {
        let values = self.attribute(owner, a::FOLDER_PERMISSION);
        let mut found: Vec<_> = values.iter().map(|value| FolderDescriptor::parse(value)).collect();
        found.sort_by_cached_key(|folder| folder.as_ref().map(|folder| folder.path.to_lowercase()).ok());
        found
    }
}

/// Refuses values that cannot be read, and two of one folder: case does not tell folders apart.
pub(crate) fn check(values: &[Value], called: &str) -> Result<(), ChangeError> {
    let bad = |reason: String| ChangeError::BadValue {
        object: called.to_owned(),
        attribute: a::FOLDER_PERMISSION.to_owned(),
        reason,
    };
    let mut seen: HashMap<String, String> = HashMap::new();
    for value in values {
        let path = FolderDescriptor::parse(value).map_err(bad)?.path;
        if let Some(other) = seen.get(&path.to_lowercase()) {
            return Err(bad(format!("{other} and {path} are one folder")));
        }
        seen.insert(path.to_lowercase(), path);
    }
    Ok(())
}
