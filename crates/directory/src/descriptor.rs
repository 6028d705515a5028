//! Security descriptors, each stored once.

use std::fmt;

use acl::{CompiledDacl, SecurityDescriptor};

/// The first 16 octets of SHA-256 over the descriptor in Windows layout: names a descriptor in history and traces.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DescriptorHash(pub [u8; 16]);

impl fmt::Display for DescriptorHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DescriptorHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An effective security descriptor: explicit ACEs, then inherited ones. Objects with equal ones share it.
#[derive(Debug)]
pub struct Descriptor {
    number: u64,
    sd: SecurityDescriptor,
    dacl: CompiledDacl,
    hash: DescriptorHash,
}

impl Descriptor {
    /// The descriptor.
    pub fn sd(&self) -> &SecurityDescriptor {
        &self.sd
    }

    /// Its DACL, prepared for checks; entry numbers are those of `sd().dacl`.
    pub fn dacl(&self) -> &CompiledDacl {
        &self.dacl
    }

    /// Its name by content.
    pub fn hash(&self) -> DescriptorHash {
        self.hash
    }
}
