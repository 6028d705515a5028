//! Inheritance of ACEs in a directory, where every object is a container (MS-ADTS 6.1.3, as a real forest does it).

use crate::{Ace, Acl, Guid, SecurityDescriptor, Sid};

/// What inheritance needs to know of the child.
#[derive(Clone, Copy, Debug, Default)]
pub struct InheritContext<'a> {
    /// The structural class and the dynamic auxiliary classes, not the superclasses (schemaIDGUID).
    pub classes: &'a [Guid],
    /// Replaces CREATOR OWNER.
    pub owner: Option<&'a Sid>,
    /// Replaces CREATOR GROUP.
    pub group: Option<&'a Sid>,
}

/// The ACEs that a child gets from its parent's DACL, in order, redundant ones left out.
pub fn inherited_aces(parent_dacl: &Acl, cx: &InheritContext<'_>) -> Vec<Ace> {
    let _ = (parent_dacl, cx);
    todo!()
}

/// The descriptor that counts: explicit ACEs, then inherited ones, with `AI` set. A protected one is the explicit part
/// alone. Owner, group and SACL are those of `explicit`.
pub fn effective_descriptor(
    parent: Option<&SecurityDescriptor>,
    explicit: &SecurityDescriptor,
    classes: &[Guid],
) -> SecurityDescriptor {
    let _ = (parent, explicit, classes);
    todo!()
}

/// The descriptor without inherited ACEs; a protected one as it is.
pub fn explicit_part(sd: &SecurityDescriptor) -> SecurityDescriptor {
    let _ = sd;
    todo!()
}
