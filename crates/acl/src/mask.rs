//! Access masks (MS-DTYP 2.4.3, MS-ADTS 5.1.3.2).

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};

/// A set of access rights, as bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AccessMask(pub u32);

impl AccessMask {
    /// No right.
    pub const NONE: AccessMask = AccessMask(0);
    /// Create child objects.
    pub const CREATE_CHILD: AccessMask = AccessMask(0x1);
    /// Delete child objects.
    pub const DELETE_CHILD: AccessMask = AccessMask(0x2);
    /// List the children.
    pub const LIST_CHILDREN: AccessMask = AccessMask(0x4);
    /// Validated write.
    pub const SELF_WRITE: AccessMask = AccessMask(0x8);
    /// Read properties.
    pub const READ_PROPERTY: AccessMask = AccessMask(0x10);
    /// Write properties.
    pub const WRITE_PROPERTY: AccessMask = AccessMask(0x20);
    /// Delete the object with its whole subtree.
    pub const DELETE_TREE: AccessMask = AccessMask(0x40);
    /// See that the object is there.
    pub const LIST_OBJECT: AccessMask = AccessMask(0x80);
    /// Control access (extended) right: the one that the ACE names, or all.
    pub const CONTROL_ACCESS: AccessMask = AccessMask(0x100);
    /// Delete the object.
    pub const DELETE: AccessMask = AccessMask(0x1_0000);
    /// Read owner, group and DACL.
    pub const READ_CONTROL: AccessMask = AccessMask(0x2_0000);
    /// Change the DACL.
    pub const WRITE_DAC: AccessMask = AccessMask(0x4_0000);
    /// Take ownership.
    pub const WRITE_OWNER: AccessMask = AccessMask(0x8_0000);
    /// Wait on the object (files).
    pub const SYNCHRONIZE: AccessMask = AccessMask(0x10_0000);
    /// Read and write the SACL; needs SeSecurityPrivilege.
    pub const ACCESS_SYSTEM_SECURITY: AccessMask = AccessMask(0x100_0000);
    /// Ask for all that would be granted.
    pub const MAXIMUM_ALLOWED: AccessMask = AccessMask(0x200_0000);
    /// Generic all; see [`AccessMask::map_generic`].
    pub const GENERIC_ALL: AccessMask = AccessMask(0x1000_0000);
    /// Generic execute.
    pub const GENERIC_EXECUTE: AccessMask = AccessMask(0x2000_0000);
    /// Generic write.
    pub const GENERIC_WRITE: AccessMask = AccessMask(0x4000_0000);
    /// Generic read.
    pub const GENERIC_READ: AccessMask = AccessMask(0x8000_0000);
    /// Every generic bit.
    pub const GENERIC: AccessMask = AccessMask(0xF000_0000);
    /// Every right on a directory object: what GENERIC_ALL maps to (MS-ADTS 5.1.3.2).
    pub const DS_FULL_CONTROL: AccessMask = AccessMask(0xF_01FF);

    /// Whether every bit of `other` is in this mask.
    pub const fn contains(self, other: AccessMask) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a bit of `other` is in this mask.
    pub const fn intersects(self, other: AccessMask) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Replaces generic bits by what they mean on an object of that kind.
    pub const fn map_generic(self, mapping: &GenericMapping) -> AccessMask {
        let mut mask = self.0 & !AccessMask::GENERIC.0;
        if self.0 & AccessMask::GENERIC_READ.0 != 0 {
            mask |= mapping.read.0;
        }
        if self.0 & AccessMask::GENERIC_WRITE.0 != 0 {
            mask |= mapping.write.0;
        }
        if self.0 & AccessMask::GENERIC_EXECUTE.0 != 0 {
            mask |= mapping.execute.0;
        }
        if self.0 & AccessMask::GENERIC_ALL.0 != 0 {
            mask |= mapping.all.0;
        }
        AccessMask(mask)
    }
}

/// What the four generic bits mean on a kind of object (MS-DTYP 2.5.3.2, `GENERIC_MAPPING`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenericMapping {
    /// Meaning of [`AccessMask::GENERIC_READ`].
    pub read: AccessMask,
    /// Meaning of [`AccessMask::GENERIC_WRITE`].
    pub write: AccessMask,
    /// Meaning of [`AccessMask::GENERIC_EXECUTE`].
    pub execute: AccessMask,
    /// Meaning of [`AccessMask::GENERIC_ALL`].
    pub all: AccessMask,
}

impl GenericMapping {
    /// Directory objects (MS-ADTS 5.1.3.2).
    pub const DIRECTORY: GenericMapping = GenericMapping {
        read: AccessMask(0x2_0094),
        write: AccessMask(0x2_0028),
        execute: AccessMask(0x2_0004),
        all: AccessMask::DS_FULL_CONTROL,
    };
    /// Files.
    pub const FILE: GenericMapping = GenericMapping {
        read: AccessMask(0x12_0089),
        write: AccessMask(0x12_0116),
        execute: AccessMask(0x12_00A0),
        all: AccessMask(0x1F_01FF),
    };
    /// Generic bits keep no meaning: what asks for them is never granted.
    pub const NONE: GenericMapping = GenericMapping {
        read: AccessMask::NONE,
        write: AccessMask::NONE,
        execute: AccessMask::NONE,
        all: AccessMask::NONE,
    };
}

impl BitOr for AccessMask {
    type Output = AccessMask;
    fn bitor(self, other: AccessMask) -> AccessMask {
        AccessMask(self.0 | other.0)
    }
}

impl BitOrAssign for AccessMask {
    fn bitor_assign(&mut self, other: AccessMask) {
        self.0 |= other.0;
    }
}

impl BitAnd for AccessMask {
    type Output = AccessMask;
    fn bitand(self, other: AccessMask) -> AccessMask {
        AccessMask(self.0 & other.0)
    }
}

impl BitAndAssign for AccessMask {
    fn bitand_assign(&mut self, other: AccessMask) {
        self.0 &= other.0;
    }
}

impl Not for AccessMask {
    type Output = AccessMask;
    fn not(self) -> AccessMask {
        AccessMask(!self.0)
    }
}

impl fmt::Debug for AccessMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for AccessMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
