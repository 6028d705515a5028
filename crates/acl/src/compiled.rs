//! AccessCheck on interned SIDs: the hot path, without allocation.

use crate::{AccessMask, Guid, SecurityDescriptor, Sid, SidId, SidSet};

/// What the caller knows of the token's relation to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Principals {
    /// The token holds the object's own SID: ACEs for PRINCIPAL SELF match.
    pub is_self: bool,
    /// The token holds the owner's SID: READ_CONTROL and WRITE_DAC are implied, OWNER RIGHTS match.
    pub is_owner: bool,
}

/// What a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything that was asked for is granted.
    Allow,
    /// An ACE denies it.
    Deny,
    /// Nothing speaks of it, or not of all of it: not granted.
    None,
}

/// A verdict, and the ACE that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The verdict.
    pub outcome: Outcome,
    /// Index in `SecurityDescriptor.dacl.aces` of the ACE that denied, or that granted the last missing bit. `None` for a
    /// NULL DACL, implicit owner rights, or when nothing decided.
    pub ace: Option<usize>,
}

/// A DACL prepared for checks. Small: about 20 bytes for each ACE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompiledDacl {}

impl CompiledDacl {
    /// Prepares the DACL of `sd`. `intern` gives the number of a SID, a new one for one never seen.
    pub fn compile(sd: &SecurityDescriptor, intern: &mut dyn FnMut(&Sid) -> SidId) -> CompiledDacl {
        let _ = (sd, intern);
        todo!()
    }

    /// A control access right such as Send As: the first effective ACE that matches, holds CONTROL_ACCESS and names
    /// that right or none decides (MS-ADTS 5.1.3.3.4). Plain ACEs count.
    pub fn control_access(&self, token: &SidSet, who: Principals, right: &Guid) -> Decision {
        let _ = (token, who, right);
        todo!()
    }

    /// AccessCheck without an object type list (MS-DTYP 2.5.3.2). Of the ACEs with an object type, those that allow are
    /// ignored and those that deny count.
    pub fn access(&self, token: &SidSet, who: Principals, wanted: AccessMask) -> Decision {
        let _ = (token, who, wanted);
        todo!()
    }

    /// AccessCheck for one property: `path` is class, property set (if it has one), attribute (MS-ADTS 5.1.3.3.3). ACEs
    /// count that name no type or one of the path.
    pub fn property_access(&self, token: &SidSet, who: Principals, wanted: AccessMask, path: &[Guid]) -> Decision {
        let _ = (token, who, wanted, path);
        todo!()
    }
}
