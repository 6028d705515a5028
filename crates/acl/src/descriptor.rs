//! Security descriptors (MS-DTYP 2.4.6).

use std::fmt;
use std::ops::BitOr;

use crate::condition::Claim;
use crate::{AceType, Acl, Sid};

/// Control bits of a security descriptor (MS-DTYP 2.4.6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Control(pub u16);

impl Control {
    /// The owner was set by default.
    pub const OWNER_DEFAULTED: Control = Control(0x0001);
    /// The group was set by default.
    pub const GROUP_DEFAULTED: Control = Control(0x0002);
    /// There is a DACL, be it NULL.
    pub const DACL_PRESENT: Control = Control(0x0004);
    /// The DACL was set by default.
    pub const DACL_DEFAULTED: Control = Control(0x0008);
    /// There is a SACL.
    pub const SACL_PRESENT: Control = Control(0x0010);
    /// The SACL was set by default.
    pub const SACL_DEFAULTED: Control = Control(0x0020);
    /// The DACL came from a trusted source.
    pub const DACL_TRUSTED: Control = Control(0x0040);
    /// Server security.
    pub const SERVER_SECURITY: Control = Control(0x0080);
    /// Inheritance to the DACL is required (`AR`).
    pub const DACL_AUTO_INHERIT_REQUIRED: Control = Control(0x0100);
    /// Inheritance to the SACL is required (`AR`).
    pub const SACL_AUTO_INHERIT_REQUIRED: Control = Control(0x0200);
    /// The DACL holds what its parent passes on (`AI`).
    pub const DACL_AUTO_INHERITED: Control = Control(0x0400);
    /// The SACL holds what its parent passes on (`AI`).
    pub const SACL_AUTO_INHERITED: Control = Control(0x0800);
    /// The DACL inherits nothing (`P`).
    pub const DACL_PROTECTED: Control = Control(0x1000);
    /// The SACL inherits nothing (`P`).
    pub const SACL_PROTECTED: Control = Control(0x2000);
    /// The second byte of the descriptor means something to the resource manager.
    pub const RM_CONTROL_VALID: Control = Control(0x4000);
    /// The descriptor lies in one block with offsets.
    pub const SELF_RELATIVE: Control = Control(0x8000);

    /// Whether every bit of `other` is set.
    pub const fn contains(self, other: Control) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets or clears bits.
    pub fn set(&mut self, bits: Control, on: bool) {
        if on {
            self.0 |= bits.0;
        } else {
            self.0 &= !bits.0;
        }
    }
}

impl BitOr for Control {
    type Output = Control;
    fn bitor(self, other: Control) -> Control {
        Control(self.0 | other.0)
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#06x}", self.0)
    }
}

/// A security descriptor.
///
/// A DACL has three states that grant different things: *absent* ([`Control::DACL_PRESENT`] clear) and *NULL* (set, and
/// `dacl` is `None`) grant everything, *empty* (`Some` without ACEs) grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct SecurityDescriptor {
    /// Control bits. `DACL_PRESENT`, `SACL_PRESENT` and `SELF_RELATIVE` are set by the writer where they follow from
    /// the other fields.
    pub control: Control,
    /// Resource manager control, second byte of the descriptor.
    pub rm_control: u8,
    /// Who owns the object.
    pub owner: Option<Sid>,
    /// Primary group; without meaning for access.
    pub group: Option<Sid>,
    /// Who may do what; see above for `None`.
    pub dacl: Option<Acl>,
    /// What is audited, integrity label, claims about the object.
    pub sacl: Option<Acl>,
}

impl SecurityDescriptor {
    /// A descriptor with a DACL and nothing else.
    pub fn with_dacl(dacl: Acl) -> SecurityDescriptor {
        SecurityDescriptor {
            control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
            dacl: Some(dacl),
            ..SecurityDescriptor::default()
        }
    }

    /// Whether the DACL inherits nothing from the parent.
    pub fn is_dacl_protected(&self) -> bool {
        self.control.contains(Control::DACL_PROTECTED)
    }

    /// Sets or clears the protection of the DACL; the ACEs stay as they are (see [`crate::edit`] to convert them).
    pub fn set_dacl_protected(&mut self, protected: bool) {
        self.control.set(Control::DACL_PROTECTED, protected);
    }

    /// The claims about the object: effective RESOURCE_ATTRIBUTE ACEs of the SACL. Malformed ones are left out, so that
    /// conditions on them are unknown.
    pub fn resource_claims(&self) -> Vec<Claim> {
        let aces = self.sacl.iter().flat_map(|sacl| &sacl.aces);
        let resource = aces.filter(|ace| ace.ace_type == AceType::RESOURCE_ATTRIBUTE && ace.is_effective());
        resource.filter_map(|ace| Claim::parse(&ace.data).ok()).collect()
    }
}
