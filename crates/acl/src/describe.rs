//! ACEs in words: "Send As, allowed, inherited, applies to user objects".

use std::fmt;

use crate::names::{self, Kind};
use crate::{AccessMask, Ace, AceFlags, AceType, Guid};

/// An ACE in words, without its trustee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// What it is about: `Send As`, `Full Control`, `Read and write Personal Information`.
    pub rights: String,
    /// What it does: `allowed`, `denied`, `audited`, …
    pub effect: &'static str,
    /// Whether it came from above.
    pub inherited: bool,
    /// Where it counts: `this object only`, `applies to user objects`, …
    pub scope: String,
    /// Whether a condition decides too.
    pub conditional: bool,
}

impl Description {
    /// Puts an ACE into words.
    pub fn of(ace: &Ace) -> Description {
        Description {
            rights: rights(ace),
            effect: effect(ace.ace_type),
            inherited: ace.is_inherited(),
            scope: scope(ace),
            conditional: ace.ace_type.is_callback() && !ace.data.is_empty(),
        }
    }

    /// The line, with where an inherited ACE comes from if that is known.
    pub fn from_parent<'a>(&'a self, parent: Option<&'a str>) -> impl fmt::Display + 'a {
        fmt::from_fn(move |f| {
            write!(f, "{}, {}", self.rights, self.effect)?;
            match (self.inherited, parent) {
                (true, Some(parent)) => write!(f, ", inherited from {parent}")?,
                (true, None) => write!(f, ", inherited")?,
                (false, _) => {}
            }
            write!(f, ", {}", self.scope)?;
            if self.conditional { f.write_str(", if its condition holds") } else { Ok(()) }
        })
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.from_parent(None), f)
    }
}

fn effect(kind: AceType) -> &'static str {
    match kind {
        kind if kind.is_allow() => "allowed",
        kind if kind.is_deny() => "denied",
        AceType::AUDIT | AceType::AUDIT_OBJECT | AceType::AUDIT_CALLBACK | AceType::AUDIT_CALLBACK_OBJECT => "audited",
        AceType::MANDATORY_LABEL => "integrity label",
        AceType::RESOURCE_ATTRIBUTE => "claim about the object",
        AceType::SCOPED_POLICY => "central access policy",
        _ => "of unknown kind",
    }
}

/// Rights of a whole object, in the words of the directory's own tools.
const WHOLE: [(AccessMask, &str); 11] = [
    (AccessMask::LIST_CHILDREN, "List Contents"),
    (AccessMask::LIST_OBJECT, "List Object"),
    (AccessMask::DELETE, "Delete"),
    (AccessMask::DELETE_TREE, "Delete Subtree"),
    (AccessMask::READ_CONTROL, "Read Permissions"),
    (AccessMask::WRITE_DAC, "Modify Permissions"),
    (AccessMask::WRITE_OWNER, "Modify Owner"),
    (AccessMask::GENERIC_ALL, "Generic All"),
    (AccessMask::GENERIC_READ, "Generic Read"),
    (AccessMask::GENERIC_WRITE, "Generic Write"),
    (AccessMask::GENERIC_EXECUTE, "Generic Execute"),
];

/// The rights of an ACE in words; bits without a name as a number.
pub fn rights(ace: &Ace) -> String {
    let object = ace.object_type.as_ref();
    if object.is_none() && ace.mask.contains(AccessMask::DS_FULL_CONTROL) {
        return rest("Full Control".into(), AccessMask(ace.mask.0 & !AccessMask::DS_FULL_CONTROL.0));
    }
    let mut words: Vec<String> = Vec::new();
    let has = |right| ace.mask.intersects(right);
    if has(AccessMask::CONTROL_ACCESS) {
        words.push(object.map_or("All Extended Rights".into(), |guid| named(guid, &[Kind::ControlAccessRight])));
    }
    if has(AccessMask::SELF_WRITE) {
        words.push(object.map_or("All Validated Writes".into(), |guid| named(guid, &[Kind::ValidatedWrite])));
    }
    let pair = |first, second, both: &str, one: &str, other: &str| match (has(first), has(second)) {
        (true, true) => Some(both.to_owned()),
        (true, false) => Some(one.to_owned()),
        (false, true) => Some(other.to_owned()),
        (false, false) => None,
    };
    let properties =
        || object.map_or("All Properties".into(), |guid| named(guid, &[Kind::PropertySet, Kind::Attribute]));
    if let Some(verb) = pair(AccessMask::READ_PROPERTY, AccessMask::WRITE_PROPERTY, "Read and Write", "Read", "Write") {
        words.push(format!("{verb} {}", properties()));
    }
    let children =
        || object.map_or("All Child Objects".into(), |guid| format!("{} Objects", named(guid, &[Kind::Class])));
    if let Some(verb) =
        pair(AccessMask::CREATE_CHILD, AccessMask::DELETE_CHILD, "Create and Delete", "Create", "Delete")
    {
        words.push(format!("{verb} {}", children()));
    }
    let mut known = 0x13B;
    for (right, name) in WHOLE {
        known |= right.0;
        if has(right) {
            words.push(name.into());
        }
    }
    let unnamed = AccessMask(ace.mask.0 & !known);
    match words.is_empty() && unnamed.is_empty() {
        true => "No Rights".into(),
        false => rest(words.join(", "), unnamed),
    }
}

fn rest(words: String, unnamed: AccessMask) -> String {
    match (words.is_empty(), unnamed.is_empty()) {
        (_, true) => words,
        (true, false) => unnamed.to_string(),
        (false, false) => format!("{words}, {unnamed}"),
    }
}

/// The display name of a GUID, of the first kind that knows it; else the GUID.
fn named(guid: &Guid, kinds: &[Kind]) -> String {
    let exact = kinds.iter().find_map(|kind| names::by_guid_of(*kind, guid));
    exact.or_else(|| names::by_guid(guid)).map_or_else(|| guid.to_string(), |row| row.display_name.to_owned())
}

fn scope(ace: &Ace) -> String {
    let class = ace.inherited_object_type.as_ref().map(|guid| format!("{} objects", named(guid, &[Kind::Class])));
    let passed_on = ace.flags.0 & (AceFlags::CONTAINER_INHERIT | AceFlags::OBJECT_INHERIT).0 != 0;
    let once = if ace.flags.contains(AceFlags::NO_PROPAGATE) { ", one level down" } else { "" };
    match (ace.is_effective(), passed_on, class) {
        (true, false, _) => "this object only".into(),
        (true, true, None) => format!("this object and all below{once}"),
        (true, true, Some(class)) => format!("applies to {class}{once}"),
        (false, true, None) => format!("all objects below{once}"),
        (false, true, Some(class)) => format!("applies to {class} below{once}"),
        (false, false, _) => "nowhere".into(),
    }
}
