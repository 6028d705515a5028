//! Access control entries and lists (MS-DTYP 2.4.4, 2.4.5).

use std::fmt;
use std::ops::{BitOr, Deref};

use crate::{AccessMask, Guid, Sid};

/// The kind of an ACE (MS-DTYP 2.4.4.1). Unknown kinds are kept as they are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AceType(pub u8);

impl AceType {
    /// Allows (SDDL `A`).
    pub const ALLOWED: AceType = AceType(0x00);
    /// Denies (`D`).
    pub const DENIED: AceType = AceType(0x01);
    /// Audits (`AU`).
    pub const AUDIT: AceType = AceType(0x02);
    /// Reserved by Windows (`AL`).
    pub const ALARM: AceType = AceType(0x03);
    /// Allows, with GUIDs (`OA`).
    pub const ALLOWED_OBJECT: AceType = AceType(0x05);
    /// Denies, with GUIDs (`OD`).
    pub const DENIED_OBJECT: AceType = AceType(0x06);
    /// Audits, with GUIDs (`OU`).
    pub const AUDIT_OBJECT: AceType = AceType(0x07);
    /// Reserved by Windows (`OL`).
    pub const ALARM_OBJECT: AceType = AceType(0x08);
    /// Allows when its condition is true (`XA`).
    pub const ALLOWED_CALLBACK: AceType = AceType(0x09);
    /// Denies unless its condition is false (`XD`).
    pub const DENIED_CALLBACK: AceType = AceType(0x0A);
    /// Allows when its condition is true, with GUIDs (`ZA`).
    pub const ALLOWED_CALLBACK_OBJECT: AceType = AceType(0x0B);
    /// Denies unless its condition is false, with GUIDs (`ZD`).
    pub const DENIED_CALLBACK_OBJECT: AceType = AceType(0x0C);
    /// Audits when its condition is true (`XU`).
    pub const AUDIT_CALLBACK: AceType = AceType(0x0D);
    /// Reserved by Windows.
    pub const ALARM_CALLBACK: AceType = AceType(0x0E);
    /// Audits when its condition is true, with GUIDs (`ZU`).
    pub const AUDIT_CALLBACK_OBJECT: AceType = AceType(0x0F);
    /// Reserved by Windows.
    pub const ALARM_CALLBACK_OBJECT: AceType = AceType(0x10);
    /// Mandatory integrity label (`ML`).
    pub const MANDATORY_LABEL: AceType = AceType(0x11);
    /// A claim about the object (`RA`).
    pub const RESOURCE_ATTRIBUTE: AceType = AceType(0x12);
    /// Reference to a central access policy (`SP`).
    pub const SCOPED_POLICY: AceType = AceType(0x13);

    /// Whether the ACE carries object flags and GUIDs.
    pub const fn is_object(self) -> bool {
        matches!(self.0, 0x05..=0x08 | 0x0B | 0x0C | 0x0F | 0x10)
    }

    /// Whether the ACE may carry a condition.
    pub const fn is_callback(self) -> bool {
        matches!(self.0, 0x09..=0x10)
    }

    /// Whether the layout of the ACE is known here; else its body is kept as opaque [`Ace::data`].
    pub const fn is_known(self) -> bool {
        self.0 <= 0x13 && self.0 != 0x04
    }

    /// A, OA, XA, ZA.
    pub const fn is_allow(self) -> bool {
        matches!(self, AceType::ALLOWED | AceType::ALLOWED_OBJECT)
            || matches!(self, AceType::ALLOWED_CALLBACK | AceType::ALLOWED_CALLBACK_OBJECT)
    }

    /// D, OD, XD, ZD.
    pub const fn is_deny(self) -> bool {
        matches!(self, AceType::DENIED | AceType::DENIED_OBJECT)
            || matches!(self, AceType::DENIED_CALLBACK | AceType::DENIED_CALLBACK_OBJECT)
    }

    /// The SDDL letters; `None` for kinds that SDDL cannot write.
    pub const fn sddl(self) -> Option<&'static str> {
        Some(match self.0 {
            0x00 => "A",
            0x01 => "D",
            0x02 => "AU",
            0x03 => "AL",
            0x05 => "OA",
            0x06 => "OD",
            0x07 => "OU",
            0x08 => "OL",
            0x09 => "XA",
            0x0A => "XD",
            0x0B => "ZA",
            0x0C => "ZD",
            0x0D => "XU",
            0x0F => "ZU",
            0x11 => "ML",
            0x12 => "RA",
            0x13 => "SP",
            _ => return None,
        })
    }
}

impl fmt::Debug for AceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sddl() {
            Some(letters) => f.write_str(letters),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

/// Inheritance and audit flags of an ACE (MS-DTYP 2.4.4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AceFlags(pub u8);

impl AceFlags {
    /// No flag.
    pub const NONE: AceFlags = AceFlags(0);
    /// Inherited by leaf objects (`OI`).
    pub const OBJECT_INHERIT: AceFlags = AceFlags(0x01);
    /// Inherited by containers (`CI`); in a directory every object is one.
    pub const CONTAINER_INHERIT: AceFlags = AceFlags(0x02);
    /// Inherited by children, not by their children (`NP`).
    pub const NO_PROPAGATE: AceFlags = AceFlags(0x04);
    /// Has no effect on the object itself (`IO`).
    pub const INHERIT_ONLY: AceFlags = AceFlags(0x08);
    /// Came from the parent (`ID`).
    pub const INHERITED: AceFlags = AceFlags(0x10);
    /// Audits success (`SA`).
    pub const SUCCESSFUL_ACCESS: AceFlags = AceFlags(0x40);
    /// Audits failure (`FA`).
    pub const FAILED_ACCESS: AceFlags = AceFlags(0x80);

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: AceFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags without those of `other`.
    pub const fn without(self, other: AceFlags) -> AceFlags {
        AceFlags(self.0 & !other.0)
    }
}

impl BitOr for AceFlags {
    type Output = AceFlags;
    fn bitor(self, other: AceFlags) -> AceFlags {
        AceFlags(self.0 | other.0)
    }
}

impl fmt::Debug for AceFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Bytes that follow the SID of an ACE; nearly always none, so that an empty one costs one pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(clippy::box_collection, reason = "a thin pointer: an Ace has 80 bytes and there are millions")]
pub struct Coda(Option<Box<Vec<u8>>>);

impl Coda {
    /// No bytes.
    pub const EMPTY: Coda = Coda(None);
}

impl Deref for Coda {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |bytes| bytes.as_slice())
    }
}

impl From<Vec<u8>> for Coda {
    fn from(bytes: Vec<u8>) -> Coda {
        Coda((!bytes.is_empty()).then(|| Box::new(bytes)))
    }
}

impl From<&[u8]> for Coda {
    #[inline]
    fn from(bytes: &[u8]) -> Coda {
        if bytes.is_empty() { Coda::EMPTY } else { Coda::from(bytes.to_vec()) }
    }
}

impl fmt::Debug for Coda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An access control entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ace {
    /// What the entry does.
    pub ace_type: AceType,
    /// How it is inherited.
    pub flags: AceFlags,
    /// The rights it speaks of.
    pub mask: AccessMask,
    /// Object kinds: the right, property set, attribute or child class that it is about.
    pub object_type: Option<Guid>,
    /// Object kinds: the class of objects that inherit it.
    pub inherited_object_type: Option<Guid>,
    /// The trustee. [`crate::well_known::NULL`] for kinds without one ([`AceType::is_known`] is false).
    pub sid: Sid,
    /// What follows the SID: a conditional program (`artx…`), a claim, padding; the whole body of an unknown kind.
    pub data: Coda,
}

impl Ace {
    /// An ACE without flags, GUIDs and data.
    pub const fn new(ace_type: AceType, sid: Sid, mask: AccessMask) -> Ace {
        Ace {
            ace_type,
            flags: AceFlags::NONE,
            mask,
            object_type: None,
            inherited_object_type: None,
            sid,
            data: Coda::EMPTY,
        }
    }

    /// `(A;;mask;;;sid)`
    pub const fn allow(sid: Sid, mask: AccessMask) -> Ace {
        Ace::new(AceType::ALLOWED, sid, mask)
    }

    /// `(D;;mask;;;sid)`
    pub const fn deny(sid: Sid, mask: AccessMask) -> Ace {
        Ace::new(AceType::DENIED, sid, mask)
    }

    /// `(OA;;mask;object_type;;sid)`
    pub fn allow_object(sid: Sid, mask: AccessMask, object_type: Guid) -> Ace {
        Ace { object_type: Some(object_type), ..Ace::new(AceType::ALLOWED_OBJECT, sid, mask) }
    }

    /// `(OD;;mask;object_type;;sid)`
    pub fn deny_object(sid: Sid, mask: AccessMask, object_type: Guid) -> Ace {
        Ace { object_type: Some(object_type), ..Ace::new(AceType::DENIED_OBJECT, sid, mask) }
    }

    /// The same with these flags.
    #[must_use]
    pub fn with_flags(mut self, flags: AceFlags) -> Ace {
        self.flags = flags;
        self
    }

    /// The same, inherited by objects of this class only. A plain kind becomes its object kind.
    #[must_use]
    pub fn for_class(mut self, class: Guid) -> Ace {
        self.ace_type = match self.ace_type {
            AceType::ALLOWED => AceType::ALLOWED_OBJECT,
            AceType::DENIED => AceType::DENIED_OBJECT,
            AceType::AUDIT => AceType::AUDIT_OBJECT,
            other => other,
        };
        self.inherited_object_type = Some(class);
        self
    }

    /// A, OA, XA, ZA.
    pub const fn is_allow(&self) -> bool {
        self.ace_type.is_allow()
    }

    /// D, OD, XD, ZD.
    pub const fn is_deny(&self) -> bool {
        self.ace_type.is_deny()
    }

    /// Came from the parent.
    pub const fn is_inherited(&self) -> bool {
        self.flags.contains(AceFlags::INHERITED)
    }

    /// Has effect on the object itself: not INHERIT_ONLY.
    pub const fn is_effective(&self) -> bool {
        !self.flags.contains(AceFlags::INHERIT_ONLY)
    }
}

/// An access control list (MS-DTYP 2.4.5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    /// 2, or 4 when object ACEs are present; kept as read.
    pub revision: u8,
    /// The entries; their order is their meaning.
    pub aces: Vec<Ace>,
    /// Bytes within AclSize after the last ACE; Windows leaves zeros there when it merges duplicates.
    pub trailing: Vec<u8>,
}

impl Acl {
    /// Revision of a list with plain ACEs only.
    pub const REVISION: u8 = 2;
    /// Revision of a list that holds object ACEs.
    pub const REVISION_DS: u8 = 4;

    /// A list with the revision that Windows gives it: 4 when an object ACE is in it, else 2.
    pub fn new(aces: Vec<Ace>) -> Acl {
        let mut acl = Acl { revision: Acl::REVISION, aces, trailing: Vec::new() };
        acl.update_revision();
        acl
    }

    /// Sets the revision that Windows gives a list of these entries.
    pub fn update_revision(&mut self) {
        let object = self.aces.iter().any(|ace| ace.ace_type.is_object());
        self.revision = if object { Acl::REVISION_DS } else { Acl::REVISION };
    }
}

impl Default for Acl {
    fn default() -> Acl {
        Acl::new(Vec::new())
    }
}
