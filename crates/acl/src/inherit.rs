//! Inheritance of ACEs in a directory, where every object is a container (MS-ADTS 6.1.3).
//!
//! The rule is the one that reproduces a real Windows Server 2019 forest entry for entry; where the published
//! pseudo-code differs, a comment says so.

use crate::mask::GenericMapping;
use crate::{AccessMask, Ace, AceFlags, AceType, Acl, Control, Guid, SecurityDescriptor, Sid, well_known};

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

/// The ACEs that a child gets from its parent's DACL (or SACL), in order, redundant ones left out.
pub fn inherited_aces(parent_acl: &Acl, cx: &InheritContext<'_>) -> Vec<Ace> {
    let mut out = Vec::new();
    for ace in &parent_acl.aces {
        inherit_one(ace, cx, &mut out);
    }
    out
}

fn inherit_one(ace: &Ace, cx: &InheritContext<'_>, out: &mut Vec<Ace>) {
    // INHERIT_ONLY on the parent's ACE never stops inheritance, whatever the pseudo-code of MS-DTYP 2.5.3.4 says.
    let mut applies = ace.flags.contains(AceFlags::CONTAINER_INHERIT);
    if !applies && !ace.flags.contains(AceFlags::OBJECT_INHERIT) {
        return;
    }
    if ace.inherited_object_type.is_some_and(|class| !cx.classes.contains(&class)) {
        applies = false;
    }
    let last = ace.flags.contains(AceFlags::NO_PROPAGATE);
    if last && !applies {
        return;
    }
    if applies && (last || needs_expansion(ace)) {
        add(out, expanded(ace, cx));
        if !last {
            add(out, ace.clone().with_flags(ace.flags | AceFlags::INHERITED | AceFlags::INHERIT_ONLY));
        }
    } else {
        let flags = (ace.flags | AceFlags::INHERITED).without(AceFlags::INHERIT_ONLY);
        let flags = if applies { flags } else { flags | AceFlags::INHERIT_ONLY };
        add(out, ace.clone().with_flags(flags));
    }
}

/// Whether the effective copy differs from what is passed on to grandchildren.
fn needs_expansion(ace: &Ace) -> bool {
    ace.mask.intersects(AccessMask::GENERIC)
        || ace.sid == well_known::CREATOR_OWNER
        || ace.sid == well_known::CREATOR_GROUP
}

/// The copy that is effective on the child and goes no further.
fn expanded(ace: &Ace, cx: &InheritContext<'_>) -> Ace {
    let audit = AceFlags::SUCCESSFUL_ACCESS | AceFlags::FAILED_ACCESS;
    let mut copy = Ace {
        flags: AceFlags(ace.flags.0 & audit.0) | AceFlags::INHERITED,
        mask: effective_mask(ace.mask),
        sid: effective_sid(&ace.sid, cx).clone(),
        ..ace.clone()
    };
    // An object kind is needed no more when the only GUID was that of the class. Windows keeps the kind when there was
    // none to drop.
    if copy.inherited_object_type.take().is_some() && copy.object_type.is_none() {
        copy.ace_type = plain_kind(copy.ace_type);
    }
    copy
}

/// Generic bits mapped, and nothing that a directory object does not know.
fn effective_mask(mask: AccessMask) -> AccessMask {
    mask.map_generic(&GenericMapping::DIRECTORY) & AccessMask::DS_FULL_CONTROL
}

fn effective_sid<'a>(sid: &'a Sid, cx: &InheritContext<'a>) -> &'a Sid {
    let replacement = match sid {
        s if *s == well_known::CREATOR_OWNER => cx.owner,
        s if *s == well_known::CREATOR_GROUP => cx.group,
        _ => None,
    };
    replacement.unwrap_or(sid)
}

fn plain_kind(kind: AceType) -> AceType {
    match kind {
        AceType::ALLOWED_OBJECT => AceType::ALLOWED,
        AceType::DENIED_OBJECT => AceType::DENIED,
        AceType::AUDIT_OBJECT => AceType::AUDIT,
        AceType::ALLOWED_CALLBACK_OBJECT => AceType::ALLOWED_CALLBACK,
        AceType::DENIED_CALLBACK_OBJECT => AceType::DENIED_CALLBACK,
        AceType::AUDIT_CALLBACK_OBJECT => AceType::AUDIT_CALLBACK,
        other => other,
    }
}

/// Adds an inherited ACE unless one that is there already says as much.
fn add(out: &mut Vec<Ace>, ace: Ace) {
    if !out.iter().any(|there| covers(there, &ace)) {
        out.push(ace);
    }
}

fn covers(there: &Ace, ace: &Ace) -> bool {
    there.ace_type == ace.ace_type
        && there.mask.contains(ace.mask)
        && (there.flags == ace.flags || (ace.flags == AceFlags::INHERITED && there.is_effective()))
        && there.sid == ace.sid
        && there.object_type == ace.object_type
        && there.inherited_object_type == ace.inherited_object_type
        && there.data == ace.data
}

/// The descriptor that counts: explicit ACEs, then inherited ones, with `AI` set. A protected one is the explicit part
/// alone.
///
/// Owner, group and SACL are those of `explicit`. A NULL DACL stays NULL (it grants everything, and nothing inherited
/// could change that); an absent one counts as empty, so that nothing is granted which nobody granted.
pub fn effective_descriptor(
    parent: Option<&SecurityDescriptor>,
    explicit: &SecurityDescriptor,
    classes: &[Guid],
) -> SecurityDescriptor {
    let mut result = explicit.clone();
    if explicit.dacl.is_none() && explicit.control.contains(Control::DACL_PRESENT) {
        return result;
    }
    let mut dacl = result.dacl.take().unwrap_or_default();
    if !explicit.is_dacl_protected() {
        dacl.aces.retain(|ace| !ace.is_inherited());
        if let Some(parent_dacl) = parent.and_then(|sd| sd.dacl.as_ref()) {
            let cx = InheritContext { classes, owner: explicit.owner.as_ref(), group: explicit.group.as_ref() };
            let mut inherited = inherited_aces(parent_dacl, &cx);
            dacl.aces.append(&mut inherited);
        }
        dacl.trailing.clear();
        dacl.update_revision();
        result.control.set(Control::DACL_AUTO_INHERITED, true);
    }
    dacl.aces.shrink_to_fit();
    result.dacl = Some(dacl);
    result.control.set(Control::DACL_PRESENT, true);
    result
}

/// The descriptor without inherited ACEs; a protected one as it is.
pub fn explicit_part(sd: &SecurityDescriptor) -> SecurityDescriptor {
    let mut result = sd.clone();
    if sd.is_dacl_protected() {
        return result;
    }
    if let Some(dacl) = &mut result.dacl {
        dacl.aces.retain(|ace| !ace.is_inherited());
        dacl.aces.shrink_to_fit();
        dacl.trailing.clear();
        dacl.update_revision();
    }
    result.control.set(Control::DACL_AUTO_INHERITED, false);
    result
}

/// The explicit DACL that a new object gets from the one its creator (or its class's default) supplies
/// (MS-ADTS 6.1.3).
///
/// Inherited ACEs are left out, or become explicit when `protected`. INHERIT_ONLY ACEs that nothing can inherit go
/// away. Generic rights, CREATOR OWNER and CREATOR GROUP are replaced; when children inherit the ACE, the original stays
/// as INHERIT_ONLY and the effective copy follows it.
pub fn created_aces(creator: &Acl, protected: bool, cx: &InheritContext<'_>) -> Vec<Ace> {
    let inheritable = AceFlags::CONTAINER_INHERIT | AceFlags::OBJECT_INHERIT;
    let mut out = Vec::with_capacity(creator.aces.len());
    for ace in &creator.aces {
        if ace.is_inherited() && !protected {
            continue;
        }
        let ace = ace.clone().with_flags(ace.flags.without(AceFlags::INHERITED));
        let passes_on = ace.flags.0 & inheritable.0 != 0;
        if !ace.is_effective() {
            if passes_on {
                out.push(ace);
            }
        } else if !needs_expansion(&ace) {
            out.push(ace);
        } else {
            let copy = Ace {
                flags: ace.flags.without(inheritable | AceFlags::NO_PROPAGATE),
                mask: effective_mask(ace.mask),
                sid: effective_sid(&ace.sid, cx).clone(),
                ..ace.clone()
            };
            if passes_on {
                let flags = ace.flags | AceFlags::INHERIT_ONLY;
                out.push(ace.with_flags(flags));
            }
            out.push(copy);
        }
    }
    out
}

/// The descriptor of a new object: explicit ACEs of the creator's descriptor, then what the parent passes on
/// (MS-ADTS 6.1.3). `creator` is the class's default descriptor when none was supplied; it needs an owner and a group.
pub fn create_descriptor(
    parent: Option<&SecurityDescriptor>,
    creator: &SecurityDescriptor,
    classes: &[Guid],
) -> SecurityDescriptor {
    let cx = InheritContext { classes, owner: creator.owner.as_ref(), group: creator.group.as_ref() };
    let mut explicit = creator.clone();
    if let Some(dacl) = &mut explicit.dacl {
        dacl.aces = created_aces(dacl, creator.is_dacl_protected(), &cx);
        dacl.trailing.clear();
        dacl.update_revision();
    }
    effective_descriptor(parent, &explicit, classes)
}
