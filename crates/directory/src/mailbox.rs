//! Mailbox descriptors (authorization.md §6, facts §4): what is explicit stands with the owner, the rest comes from
//! database, server and organization.
//!
//! Of an ACE of the database's effective descriptor (its own, then those of the server, the organization and above) a
//! mailbox inherits: *Receive As*, all extended rights or full control as full access (0x1); *Send As*, all extended
//! rights or full control as 0x2, which has no effect but under the legacy policy; the standard rights. Denies likewise.
//! ACEs for children of some class other than mailboxes do not count.

use acl::{AccessMask, Ace, AceFlags, AceType, Acl, Control, SecurityDescriptor, names, well_known};

use crate::descriptor::Descriptor;
use crate::{ObjectId, Snapshot};

/// fsdrightMailboxOwner: Full Mailbox Access.
const FULL_ACCESS: u32 = 0x1;
/// fsdrightMailboxSendAs.
const SEND_AS: u32 = 0x2;
/// DELETE, READ_CONTROL, WRITE_DAC, WRITE_OWNER.
const STANDARD: u32 = 0xF_0000;

/// Rule number of the derivation; classes have theirs below.
pub(crate) const RULE: u16 = 0x100;

/// Where nothing was set: SELF has full access and may read the permissions.
pub(crate) fn default_descriptor() -> SecurityDescriptor {
    let mask = AccessMask(FULL_ACCESS | AccessMask::READ_CONTROL.0);
    let mut sd = SecurityDescriptor::with_dacl(Acl::new(vec![Ace::allow(well_known::SELF, mask)]));
    sd.owner = Some(well_known::SELF);
    sd.group = Some(well_known::SELF);
    sd
}

/// What a mailbox inherits through one ACE of its database.
fn inherited(ace: &Ace) -> Option<Ace> {
    let own = ace.is_effective();
    let below = ace.flags.contains(AceFlags::CONTAINER_INHERIT) || ace.flags.contains(AceFlags::OBJECT_INHERIT);
    let for_mailboxes = ace.inherited_object_type.is_none();
    // Plain and object ACEs only: a condition is about a directory object, not about a mailbox.
    let plain =
        matches!(ace.ace_type, AceType::ALLOWED | AceType::DENIED | AceType::ALLOWED_OBJECT | AceType::DENIED_OBJECT);
    if !plain || !(own || below && for_mailboxes) {
        return None;
    }
    let extended = ace.mask.0 & AccessMask::CONTROL_ACCESS.0 != 0 || ace.mask.0 & AccessMask::GENERIC_ALL.0 != 0;
    let mut mask = match ace.object_type {
        None if extended => FULL_ACCESS | SEND_AS,
        Some(right) if extended && right == names::RECEIVE_AS => FULL_ACCESS,
        Some(right) if extended && right == names::SEND_AS => SEND_AS,
        _ => 0,
    };
    if ace.object_type.is_none() {
        let all = ace.mask.0 & AccessMask::GENERIC_ALL.0 != 0;
        mask |= if all { STANDARD } else { ace.mask.0 & STANDARD };
    }
    if mask == 0 {
        return None;
    }
    let kind = if ace.is_deny() { AceType::DENIED } else { AceType::ALLOWED };
    Some(Ace::new(kind, ace.sid.clone(), AccessMask(mask)).with_flags(AceFlags::INHERITED))
}

/// The effective mailbox descriptor.
pub(crate) fn effective(explicit: &SecurityDescriptor, database: Option<&Descriptor>) -> SecurityDescriptor {
    let mut sd = explicit.clone();
    let (false, Some(database), Some(dacl)) = (sd.is_dacl_protected(), database, &mut sd.dacl) else { return sd };
    let parent = database.sd().dacl.iter().flat_map(|dacl| &dacl.aces);
    dacl.aces.extend(parent.filter_map(inherited));
    dacl.update_revision();
    sd.control = sd.control | Control::DACL_AUTO_INHERITED;
    sd
}

/// Where an ACE of the effective mailbox descriptor is explicit.
pub(crate) fn origin(snapshot: &Snapshot, owner: ObjectId, ace: usize) -> ObjectId {
    let found = || {
        let mailbox = snapshot.mailbox_descriptor(owner)?.sd().dacl.as_ref()?;
        let before = mailbox.aces.get(..ace)?.iter().filter(|ace| ace.is_inherited()).count();
        if !mailbox.aces.get(ace)?.is_inherited() {
            return None;
        }
        let database = snapshot.object(owner)?.database?;
        let aces = &snapshot.descriptor(database)?.sd().dacl.as_ref()?.aces;
        let (index, _) = aces.iter().enumerate().filter(|(_, ace)| inherited(ace).is_some()).nth(before)?;
        Some(snapshot.ace_origin(database, index))
    };
    found().unwrap_or(owner)
}
