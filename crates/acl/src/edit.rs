//! Changing a DACL: add, remove, purge, protect; canonical order.
//!
//! What was read is never sorted again: only *where a new ACE goes* follows the canonical order (MS-DTYP 2.4.5). Real
//! directories keep explicit before inherited and explicit denies before allows, nothing finer.

use crate::{Ace, AceFlags, Acl, SecurityDescriptor, Sid};

/// What happens to inherited ACEs when a DACL becomes protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherited {
    /// They become explicit ones.
    Keep,
    /// They go away.
    Drop,
}

/// Adds an explicit ACE in its canonical place, after those that rank with it. Returns whether the list changed: an
/// equal explicit ACE is not added twice.
pub fn add(acl: &mut Acl, ace: Ace) -> bool {
    let flags = ace.flags.without(AceFlags::INHERITED);
    let ace = ace.with_flags(flags);
    if acl.aces.contains(&ace) {
        return false;
    }
    let place = acl.aces.iter().position(|other| other.is_inherited() || rank(other) > rank(&ace));
    acl.aces.insert(place.unwrap_or(acl.aces.len()), ace);
    changed(acl);
    true
}

/// Removes every explicit ACE equal to `ace` (its INHERITED flag is not looked at). Returns how many went.
pub fn remove(acl: &mut Acl, ace: &Ace) -> usize {
    let wanted = ace.clone().with_flags(ace.flags.without(AceFlags::INHERITED));
    remove_where(acl, |other| *other == wanted)
}

/// Removes every explicit ACE of a trustee. Returns how many went.
pub fn purge(acl: &mut Acl, sid: &Sid) -> usize {
    remove_where(acl, |ace| ace.sid == *sid)
}

/// Removes the explicit ACEs that `which` selects. Returns how many went.
pub fn remove_where(acl: &mut Acl, mut which: impl FnMut(&Ace) -> bool) -> usize {
    let before = acl.aces.len();
    acl.aces.retain(|ace| ace.is_inherited() || !which(ace));
    let removed = before - acl.aces.len();
    if removed > 0 {
        changed(acl);
    }
    removed
}

/// Protects the DACL against inheritance. `AI` stays as it is: Windows has protected descriptors with it (`PAI`).
pub fn protect(sd: &mut SecurityDescriptor, inherited: Inherited) {
    sd.set_dacl_protected(true);
    let Some(dacl) = &mut sd.dacl else { return };
    match inherited {
        Inherited::Keep => {
            for ace in &mut dacl.aces {
                ace.flags = ace.flags.without(AceFlags::INHERITED);
            }
        }
        Inherited::Drop => dacl.aces.retain(|ace| !ace.is_inherited()),
    }
    changed(dacl);
}

/// Whether explicit ACEs come before inherited ones and explicit denies before explicit allows.
pub fn is_canonical(acl: &Acl) -> bool {
    acl.aces.is_sorted_by_key(|ace| (ace.is_inherited(), !ace.is_inherited() && !ace.is_deny()))
}

/// Sorts explicit ACEs stably by (deny first, plain before object); inherited ones follow in their order. For lists
/// that we write; never for what was read.
pub fn sort_canonical(acl: &mut Acl) {
    acl.aces.sort_by_key(|ace| (ace.is_inherited(), if ace.is_inherited() { (false, false) } else { rank(ace) }));
}

/// Place among the explicit ACEs: denies first, then whole-object before object ACEs.
fn rank(ace: &Ace) -> (bool, bool) {
    (!ace.is_deny(), ace.ace_type.is_object())
}

/// After a change the list is written anew: revision as its entries need it, no trailing bytes.
fn changed(acl: &mut Acl) {
    acl.trailing.clear();
    acl.update_revision();
}
