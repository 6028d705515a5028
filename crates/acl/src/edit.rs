//! Changing a DACL: add, remove, purge, protect; canonical order.

use crate::{Ace, Acl, SecurityDescriptor, Sid};

/// What happens to inherited ACEs when a DACL becomes protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// They become explicit ones.
    Keep,
    /// They go away.
    Drop,
}

/// Adds an explicit ACE in its canonical place: after the last explicit one that sorts before it. Returns whether the
/// DACL changed; an equal explicit ACE is not added twice.
pub fn add(acl: &mut Acl, ace: Ace) -> bool {
    let _ = (acl, ace);
    todo!()
}

/// Removes every explicit ACE equal to `ace`. Returns how many went.
pub fn remove(acl: &mut Acl, ace: &Ace) -> usize {
    let _ = (acl, ace);
    todo!()
}

/// Removes every explicit ACE of a trustee. Returns how many went.
pub fn purge(acl: &mut Acl, sid: &Sid) -> usize {
    let _ = (acl, sid);
    todo!()
}

/// Protects the DACL against inheritance.
pub fn protect(sd: &mut SecurityDescriptor, inherited: Inherited) {
    let _ = (sd, inherited);
    todo!()
}

/// Whether explicit ACEs come before inherited ones and explicit denies before explicit allows.
pub fn is_canonical(acl: &Acl) -> bool {
    let _ = acl;
    todo!()
}

/// Sorts explicit ACEs stably by (deny first, plain before object); inherited ones follow in their order.
pub fn sort_canonical(acl: &mut Acl) {
    let _ = acl;
    todo!()
}
