//! Windows access control: SIDs, access control entries, security descriptors (bytes and SDDL), AccessCheck with
//! trace, inheritance and canonical order.
//!
//! The crate is pure: no I/O, no clock, no mail. Numbers in comments such as `MS-DTYP 2.5.3.2` name the section of the
//! Microsoft Open Specification that a rule comes from.
//!
//! - [`SecurityDescriptor`] reads and writes bytes ([`SecurityDescriptor::parse`]) and SDDL
//!   ([`SecurityDescriptor::from_sddl`]); [`describe`] puts its entries into words, [`names`] knows the GUIDs.
//! - [`check`] is AccessCheck in full; [`CompiledDacl`] the same for tokens of interned SIDs, in nanoseconds.
//! - [`inherit`] computes what a child gets from its parent; [`edit`] changes a DACL and keeps its order.
//! - [`condition`] holds conditional ACEs and claims.
//!
//! ```
//! use acl::check::{Token, check_right};
//! use acl::{Outcome, SddlContext, SecurityDescriptor, Sid, describe::Description, names, well_known};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let bob: Sid = "S-1-5-21-1-2-3-1104".parse()?;
//!     let helpdesk: Sid = "S-1-5-21-1-2-3-1200".parse()?;
//!     let mailbox = SecurityDescriptor::from_sddl(
//!         "O:BAG:BAD:(OD;;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;S-1-5-21-1-2-3-1200)\
//!          (OA;CIID;CR;ab721a54-1e2f-11d0-9819-00aa0040529b;;S-1-5-21-1-2-3-1104)",
//!         &SddlContext::default(),
//!     )?;
//!     for (token, expected) in [
//!         (Token::of([bob.clone(), well_known::EVERYONE]), Outcome::Allow),
//!         (Token::of([bob, helpdesk]), Outcome::Deny),
//!         (Token::of([well_known::EVERYONE]), Outcome::None),
//!     ] {
//!         let verdict = check_right(&mailbox, &token, names::SEND_AS, None);
//!         assert_eq!(verdict.outcome, expected);
//!         if let (Some(dacl), Some(index)) = (&mailbox.dacl, verdict.ace) {
//!             println!("{}: {}", dacl.aces[index].sid, Description::of(&dacl.aces[index]));
//!         }
//!     }
//!     Ok(())
//! }
//! ```

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
