//! [`Record`]: the durable form of an object.

use std::collections::BTreeMap;

use acl::{Guid, Sid};

use crate::attributes;

/// One value of an attribute, as octets. Text attributes hold UTF-8; integers their decimal text; `TRUE`/`FALSE`;
/// SIDs, GUIDs and descriptors their binary form; links `<GUID=…>` (see [`link_value`]).
pub type Value = Vec<u8>;

/// What is durable of one object. Attribute names are spelled as in [`attributes::ATTRIBUTES`] where they are known
/// there; the values of a link attribute are `<GUID=…>` references, sorted.
///
/// `nTSecurityDescriptor` holds the explicit part only (everything, when the DACL is protected); a single empty value
/// means "could not be read". Naming attributes (`cn`, `ou`, `name`, `distinguishedName`), `objectGUID` and
/// back links are derived and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// objectGUID.
    pub guid: Guid,
    /// The object above; `None` for the root of a naming context (whose `rdn` is then its whole DN).
    pub parent: Option<Guid>,
    /// The relative distinguished name in RFC 4514 text, such as `CN=Carla Owens`.
    pub rdn: String,
    /// Attribute values by name.
    pub attributes: BTreeMap<String, Vec<Value>>,
}

impl Record {
    /// A record without attributes.
    pub fn new(guid: Guid, parent: Option<Guid>, rdn: impl Into<String>) -> Record {
        Record { guid, parent, rdn: rdn.into(), attributes: BTreeMap::new() }
    }

    /// Sets one value of an attribute and gives the record back, for building.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Record {
        self.set(name, vec![value.into()]);
        self
    }

    /// Sets all values of an attribute and gives the record back, for building. No values: the attribute is absent.
    pub fn with_all(mut self, name: &str, values: impl IntoIterator<Item = Value>) -> Record {
        self.set(name, values.into_iter().collect());
        self
    }

    /// Replaces the values of an attribute; no values removes it. The name may be in any case.
    pub fn set(&mut self, name: &str, values: Vec<Value>) {
        let name = attributes::canonical_name(name);
        if values.is_empty() {
            self.attributes.remove(name.as_ref());
        } else {
            self.attributes.insert(name.into_owned(), values);
        }
    }

    /// Adds a value to an attribute.
    pub fn push(&mut self, name: &str, value: impl Into<Value>) {
        let name = attributes::canonical_name(name).into_owned();
        self.attributes.entry(name).or_default().push(value.into());
    }

    /// The values of an attribute, none when absent. The name may be in any case.
    pub fn values(&self, name: &str) -> &[Value] {
        self.attributes.get(attributes::canonical_name(name).as_ref()).map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute, as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.values(name).first().and_then(|value| std::str::from_utf8(value).ok())
    }
}

/// The durable form of a link to an object: `<GUID=6ba7b810-9dad-11d1-80b4-00c04fd430c8>`.
pub fn link_value(target: &Guid) -> Value {
    format!("<GUID={target}>").into_bytes()
}

/// A link by SID, accepted in changes: `<SID=S-1-5-11>`.
pub fn link_by_sid(target: &Sid) -> Value {
    format!("<SID={target}>").into_bytes()
}

/// Reads the durable form of a link.
pub fn parse_link(value: &[u8]) -> Option<Guid> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<GUID=")?.strip_suffix('>')?.parse().ok()
}

/// Reads a link by SID.
pub(crate) fn parse_sid_link(value: &[u8]) -> Option<Sid> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<SID=")?.strip_suffix('>')?.parse().ok()
}
