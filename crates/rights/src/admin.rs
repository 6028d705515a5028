//! Who may administer what: the same access check, over the object that a change touches.

use acl::{AccessMask, Guid, Outcome, Principals, SidSet};
use directory::{Descriptor, ObjectId, Snapshot, Token};

/// A change, or a look, that an administrator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// Read the object.
    Read,
    /// Create an object of this class below; the class by its schemaIDGUID.
    CreateChild(Guid),
    /// Delete the object itself.
    Delete,
    /// Write a property; the path is class, property set where there is one, attribute, each by its schemaIDGUID.
    WriteProperty(&'a [Guid]),
    /// Change the descriptor.
    WriteDac,
    /// Change the owner of the object.
    WriteOwner,
    /// Exercise a control access right, such as Reset Password.
    ControlAccess(Guid),
}

/// Whether the token may do this to the object. An unreadable descriptor grants nothing.
pub fn may(snapshot: &Snapshot, token: &Token, on: ObjectId, action: Action<'_>) -> bool {
    let Some((descriptor, sids, who)) = subject(snapshot, token, on) else { return false };
    let dacl = descriptor.dacl();
    let plain = |mask| dacl.access(sids, who, mask).outcome;
    let on_path = |mask, path: &[Guid]| dacl.property_access(sids, who, mask, path).outcome;
    let outcome = match action {
        Action::Read => plain(AccessMask::READ_PROPERTY),
        Action::CreateChild(class) => on_path(AccessMask::CREATE_CHILD, &[class]),
        Action::Delete if plain(AccessMask::DELETE) == Outcome::Allow => Outcome::Allow,
        Action::Delete => delete_child(snapshot, token, on),
        Action::WriteProperty(path) => on_path(AccessMask::WRITE_PROPERTY, path),
        Action::WriteDac => plain(AccessMask::WRITE_DAC),
        Action::WriteOwner => plain(AccessMask::WRITE_OWNER),
        Action::ControlAccess(right) => dacl.control_access(sids, who, &right).outcome,
    };
    outcome == Outcome::Allow
}

/// DELETE_CHILD for the object's class on its parent does as well as DELETE on the object (MS-ADTS 3.1.1.5.5).
fn delete_child(snapshot: &Snapshot, token: &Token, on: ObjectId) -> Outcome {
    let Some(object) = snapshot.object(on) else { return Outcome::None };
    let Some(parent) = object.parent() else { return Outcome::None };
    let Some((descriptor, sids, who)) = subject(snapshot, token, parent) else { return Outcome::None };
    let class = object.class().schema_guid();
    descriptor.dacl().property_access(sids, who, AccessMask::DELETE_CHILD, &[class]).outcome
}

/// What a check on an object is about: its descriptor, the SIDs that count in its domain, whether they are its own.
fn subject<'a>(
    snapshot: &'a Snapshot,
    token: &'a Token,
    on: ObjectId,
) -> Option<(&'a Descriptor, &'a SidSet, Principals)> {
    let object = snapshot.object(on)?;
    let descriptor = snapshot.descriptor(on)?;
    let sids = token.sids_on(snapshot, on);
    let holds = |sid| sids.contains(sid);
    let owner = descriptor.sd().owner.as_ref().and_then(|owner| snapshot.sid_id(owner));
    Some((
        descriptor,
        sids,
        Principals { is_self: object.sid().is_some_and(holds), is_owner: owner.is_some_and(holds) },
    ))
}
