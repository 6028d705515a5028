//! The header firewall: fields that only trusted hosts may set (F §3.11).

use crate::header::Field;
use crate::trace_fields::HOP_MARKER;

/// Which classes of firewalled fields stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// `Received` and `Resent-*`: the sender holds Accept-Headers-Routing.
    pub routing: bool,
    /// `X-MS-Exchange-Organization-*` and `X-Procura-*`: Accept-Headers-Organization.
    pub organization: bool,
    /// `X-MS-Exchange-Forest-*`: Accept-Headers-Forest.
    pub forest: bool,
}

/// A class of fields that the firewall knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldClass {
    /// Where the message came along.
    Routing,
    /// What servers of one organization tell each other.
    Organization,
    /// What servers of one forest tell each other.
    Forest,
}

impl Keep {
    /// Everything stays.
    pub const ALL: Keep = Keep { routing: true, organization: true, forest: true };
    /// Nothing that the firewall knows stays.
    pub const NONE: Keep = Keep { routing: false, organization: false, forest: false };

    /// Whether the field stays.
    pub fn keeps(&self, field: &Field<'_>) -> bool {
        match class(field.name) {
            None => true,
            Some(FieldClass::Routing) => self.routing,
            Some(FieldClass::Organization) => self.organization,
            Some(FieldClass::Forest) => self.forest,
        }
    }
}

/// The class of a field name; `None` when the firewall does not know it. Case is ignored, and `_` counts as `-`, because
/// some readers take them for the same. The hop marker belongs to no class, so loops are found across organizations.
pub fn class(name: &[u8]) -> Option<FieldClass> {
    if is(name, HOP_MARKER) {
        return None;
    }
    if is(name, "Received") || begins(name, "Resent-") {
        return Some(FieldClass::Routing);
    }
    PREFIXES.into_iter().find(|(prefix, _)| begins(name, prefix)).map(|(_, class)| class)
}

/// What the names of organization and forest fields begin with.
pub(crate) const PREFIXES: [(&str, FieldClass); 5] = [
    ("X-MS-Exchange-Organization", FieldClass::Organization),
    ("X-Microsoft-Exchange-Organization", FieldClass::Organization),
    ("X-Procura-", FieldClass::Organization),
    ("X-MS-Exchange-Forest", FieldClass::Forest),
    ("X-Microsoft-Exchange-Forest", FieldClass::Forest),
];

/// Whether a name begins so.
pub(crate) fn begins(name: &[u8], prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| is(start, prefix))
}

fn is(name: &[u8], known: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().zip(known.bytes()).all(|(a, b)| fold(*a) == fold(b))
}
