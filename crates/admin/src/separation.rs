//! The separation audit: find, for every mailbox of a domain, who can open it and cannot send as its owner
//! (`authorization.md` §7).

pub mod file;
pub(crate) mod runs;
