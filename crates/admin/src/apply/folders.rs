//! The requests that make the list of a folder so, and those that take it away.

use directory::{ObjectId, Snapshot};

use crate::error::{Fault, FaultKind};
use crate::folder_permissions::path;
use crate::mailboxes::owner;
use crate::operations::{FolderRemove, FolderReplace, FolderRequest, Request, WantedFolderPermission};
use crate::service::find;

/// What takes the entries of a folder away; nothing where there is no such mailbox.
pub(super) fn removing(snapshot: &Snapshot, wanted: &WantedFolderPermission) -> Result<Vec<Request>, Fault> {
    match identity(snapshot, wanted) {
        Ok(identity) => {
            Ok(vec![Request::FolderPermission(FolderRequest::Remove(FolderRemove { identity, user: None }))])
        }
        Err(fault) if fault.kind == FaultKind::NotFound => Ok(Vec::new()),
        Err(fault) => Err(fault),
    }
}

/// What gives a folder its entries. Whether they are other ones says the answer: not everybody may know it.
pub(super) fn making(snapshot: &Snapshot, wanted: &WantedFolderPermission) -> Result<Vec<Request>, Fault> {
    let Some(entries) = wanted.entries.clone() else {
        return Err(Fault::new(FaultKind::Invalid, format!("nothing is said of {}", wanted.folder)).help(
            "name its `entries` ([] lets nobody in), or say `absent = true`: those of the folder above it count then",
        ));
    };
    let identity = identity(snapshot, wanted)?;
    Ok(vec![Request::FolderPermission(FolderRequest::Replace(FolderReplace { identity, entries }))])
}

/// The owner of the mailbox and the folder, however they are spelled.
pub(super) fn subject(snapshot: &Snapshot, wanted: &WantedFolderPermission) -> Option<(ObjectId, Option<String>)> {
    let (id, path) = (find(snapshot, &wanted.on).ok()?, path(&wanted.folder).ok()?);
    Some((id, Some(path.folded())))
}

/// The folder as requests name it. The mailbox has its GUID there, in which there is no colon.
fn identity(snapshot: &Snapshot, wanted: &WantedFolderPermission) -> Result<String, Fault> {
    let path = path(&wanted.folder)?;
    let object = owner(snapshot, find(snapshot, &wanted.on)?)?;
    Ok(format!("{}:{path}", object.mailbox().map(|mailbox| mailbox.guid).unwrap_or_default()))
}
