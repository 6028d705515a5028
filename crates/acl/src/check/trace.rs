//! What decided a check.

use crate::AccessMask;

/// Something that had an effect on the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A privilege granted these rights.
    Privilege(AccessMask),
    /// A privilege is missing: ACCESS_SYSTEM_SECURITY was asked for.
    PrivilegeMissing,
    /// There is no DACL, or a NULL one: everything is granted.
    NullDacl,
    /// The token holds the owner: these rights are implied.
    Owner(AccessMask),
    /// An ACE decided rights that were open.
    Ace {
        /// Its index in the DACL.
        index: usize,
        /// The node of the tree that it is about; 0 is the whole object.
        node: usize,
        /// Rights that it granted on that node.
        allowed: AccessMask,
        /// Rights that it denied on that node.
        denied: AccessMask,
    },
    /// From here on: the same with the restricting SIDs.
    Restricting,
}

/// Receives the steps of a check. `()` drops them, and costs nothing.
pub trait Trace {
    /// One step, in order.
    fn step(&mut self, step: Step);
}

impl Trace for () {
    fn step(&mut self, _: Step) {}
}

impl Trace for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
