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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    // Written by hand: a large directory is full of links, and formatting them was a tenth of the time of loading it.
    let mut value = *b"<GUID=00000000-0000-0000-0000-000000000000>";
    for (octet, at) in target.0.iter().zip(PLACES) {
        value[at] = HEX[usize::from(octet >> 4)];
        value[at + 1] = HEX[usize::from(octet & 15)];
    }
    value.to_vec()
}

/// Digits.
const HEX: &[u8; 16] = b"0123456789abcdef";
/// Where the digits of each octet of a GUID are in a link: the first three groups are little-endian (MS-DTYP 2.3.4).
const PLACES: [usize; 16] = [12, 10, 8, 6, 17, 15, 22, 20, 25, 27, 30, 32, 34, 36, 38, 40];

/// A link by SID, accepted in changes: `<SID=S-1-5-11>`.
pub fn link_by_sid(target: &Sid) -> Value {
    format!("<SID={target}>").into_bytes()
}

/// Reads the durable form of a link.
pub fn parse_link(value: &[u8]) -> Option<Guid> {
    if let Some(guid) = parse_plain_link(value) {
        return Some(guid);
    }
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<GUID=")?.strip_suffix('>')?.parse().ok()
}

/// Reads what [`link_value`] writes.
fn parse_plain_link(value: &[u8]) -> Option<Guid> {
    let dashes = [14, 19, 24, 29].iter().all(|at| value.get(*at) == Some(&b'-'));
    if value.len() != 43 || !value.starts_with(b"<GUID=") || value[42] != b'>' || !dashes {
        return None;
    }
    let digit = |at: usize| match value[at] {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut guid = [0; 16];
    for (octet, at) in guid.iter_mut().zip(PLACES) {
        *octet = digit(at)? << 4 | digit(at + 1)?;
    }
    Some(Guid(guid))
}

/// Reads a link by SID.
pub(crate) fn parse_sid_link(value: &[u8]) -> Option<Sid> {
    let text = std::str::from_utf8(value).ok()?;
    text.strip_prefix("<SID=")?.strip_suffix('>')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_link_is_the_guid_in_angle_brackets_and_reads_back(octets in any::<[u8; 16]>()) {
            let guid = Guid(octets);
            prop_assert_eq!(link_value(&guid), format!("<GUID={guid}>").into_bytes());
            prop_assert_eq!(parse_link(&link_value(&guid)), Some(guid));
            let upper = format!("<GUID={}>", guid.to_string().to_uppercase());
            prop_assert_eq!(parse_link(upper.as_bytes()), Some(guid));
        }

        #[test]
        fn any_octets_are_a_link_or_none(octets in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_link(&octets);
        }
    }
}
