//! From an LDIF dump to a [`ChangeBatch`](crate::ChangeBatch).

use acl::Guid;

use crate::ldif::LdifError;
use crate::{Change, Snapshot};

/// How attributes of a dump become ours. An entry is used where the object lacks the attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeMap {
    /// Ours, and where it comes from.
    pub entries: Vec<(String, Source)>,
}

/// Where an attribute's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another attribute of the object.
    Attribute(String),
    /// Text with attributes in braces: `{sAMAccountName}@example.com`. Nothing when one of them is absent.
    Template(String),
}

/// What an import will do and what it will not.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// To put into a batch; parents first.
    pub changes: Vec<Change>,
    /// Number of new objects.
    pub added: usize,
    /// Number of changed objects.
    pub modified: usize,
    /// What was left out, and why, in words, with the line of the entry.
    pub warnings: Vec<Warning>,
}

/// Something left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of the entry, from 1.
    pub line: usize,
    /// DN of the entry.
    pub dn: String,
    /// What and why.
    pub text: String,
}

/// Turns LDIF into changes of `snapshot`. `new_guid` gives GUIDs to entries without one.
pub fn changes(ldif: &[u8], map: &AttributeMap, snapshot: &Snapshot, new_guid: &mut dyn FnMut() -> Guid) -> Result<Import, LdifError> {
    let _ = (ldif, map, snapshot, new_guid);
    todo!()
}
