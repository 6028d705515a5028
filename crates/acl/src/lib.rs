//! Windows access control: SIDs, access control entries, security descriptors (bytes and SDDL), AccessCheck with
//! trace, inheritance and canonical order.
//!
//! The crate is pure: no I/O, no clock, no mail. Numbers in comments such as `MS-DTYP 2.5.3.2` name the section of the
//! Microsoft Open Specification that a rule comes from.

mod ace;
mod bytes;
pub mod check;
mod compiled;
pub mod condition;
pub mod describe;
mod descriptor;
pub mod edit;
mod guid;
pub mod inherit;
mod mask;
pub mod names;
mod sddl;
mod sid;
mod sid_set;
pub mod well_known;

pub use ace::{Ace, AceFlags, AceType, Acl, Coda};
pub use bytes::{ParseError, ParseFault, Section};
pub use compiled::{CompiledDacl, Decision, Outcome, Principals};
pub use descriptor::{Control, SecurityDescriptor};
pub use guid::{Guid, GuidError};
pub use inherit::{
    InheritContext, create_descriptor, created_aces, effective_descriptor, explicit_part, inherited_aces,
};
pub use mask::{AccessMask, GenericMapping};
pub use sddl::{SddlContext, SddlError};
pub use sid::{Sid, SidError};
pub use sid_set::{SidId, SidSet};
