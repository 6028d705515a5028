//! Records and changes as octets: length-prefixed, little-endian, descriptors by content hash.
//!
//! ```text
//! text   = length u32, octets
//! values = count u32, value*
//! value  = 0, length u32, octets  |  1, hash of a descriptor (16 octets)
//! ```

use std::collections::BTreeMap;

use ::directory::attributes::{Syntax, by_name};
use ::directory::{AttributeChange, ObjectChange, Record, Value};
use acl::Guid;
use sha2::{Digest, Sha256};

/// First 16 octets of SHA-256 over a descriptor's octets.
pub(crate) type Hash = [u8; 16];

pub(crate) fn hash(descriptor: &[u8]) -> Hash {
    let digest = Sha256::digest(descriptor);
    let mut hash = Hash::default();
    hash.copy_from_slice(&digest[..16]);
    hash
}

fn is_descriptor(attribute: &str) -> bool {
    by_name(attribute).is_some_and(|attribute| attribute.syntax == Syntax::Descriptor)
}

/// Whether the values of an attribute are links, which are stored in rows of their own.
pub(crate) fn is_link(attribute: &str) -> bool {
    by_name(attribute).is_some_and(|attribute| matches!(attribute.syntax, Syntax::Link(_)))
}

/// Writes; hands each descriptor out, to be stored once.
pub(crate) struct Writer<'a> {
    pub(crate) out: Vec<u8>,
    pub(crate) descriptors: &'a mut Vec<(Hash, Vec<u8>)>,
}

impl Writer<'_> {
    fn text(&mut self, text: &[u8]) {
        self.out.extend((text.len() as u32).to_le_bytes());
        self.out.extend(text);
    }

    fn values(&mut self, attribute: &str, values: &[Value]) {
        self.out.extend((values.len() as u32).to_le_bytes());
        let by_hash = is_descriptor(attribute);
        for value in values {
            if by_hash && !value.is_empty() {
                let hash = hash(value);
                self.out.push(1);
                self.out.extend(hash);
                self.descriptors.push((hash, value.clone()));
            } else {
                self.out.push(0);
                self.text(value);
            }
        }
    }

    /// Attributes; `links` says whether links are among them.
    pub(crate) fn attributes(&mut self, attributes: &BTreeMap<String, Vec<Value>>, links: bool) {
        let written = || attributes.iter().filter(|(name, _)| links || !is_link(name));
        self.out.extend((written().count() as u32).to_le_bytes());
        for (name, values) in written() {
            self.text(name.as_bytes());
            self.values(name, values);
        }
    }

    fn place(&mut self, (parent, rdn): &(Option<Guid>, String)) {
        self.out.extend(parent.map_or([0; 16], |parent| parent.0));
        self.text(rdn.as_bytes());
    }

    fn record(&mut self, record: &Record) {
        self.place(&(record.parent, record.rdn.clone()));
        self.attributes(&record.attributes, true);
    }

    /// One change, without its object's GUID.
    pub(crate) fn change(&mut self, change: &ObjectChange) {
        match change {
            ObjectChange::Added(record) => {
                self.out.push(b'A');
                self.record(record);
            }
            ObjectChange::Deleted(record) => {
                self.out.push(b'D');
                self.record(record);
            }
            ObjectChange::Moved { before, after, .. } => {
                self.out.push(b'M');
                self.place(before);
                self.place(after);
            }
            ObjectChange::Modified { attributes, .. } => {
                self.out.push(b'C');
                self.out.extend((attributes.len() as u32).to_le_bytes());
                for attribute in attributes {
                    let (kind, name, before, after) = match attribute {
                        AttributeChange::Replaced { name, before, after } => (b'R', name, before, after),
                        AttributeChange::Links { name, removed, added } => (b'L', name, removed, added),
                    };
                    self.out.push(kind);
                    self.text(name.as_bytes());
                    self.values(name, before);
                    self.values(name, after);
                }
            }
        }
    }
}

/// Reads what [`Writer`] wrote. `None`: the octets are damaged.
pub(crate) struct Reader<'a> {
    pub(crate) rest: &'a [u8],
    /// The descriptor with a hash.
    pub(crate) descriptor: &'a dyn Fn(&Hash) -> Option<Vec<u8>>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|taken| taken[0])
    }

    fn number(&mut self) -> Option<usize> {
        self.take(4)?.try_into().ok().map(|octets| u32::from_le_bytes(octets) as usize)
    }

    fn octets(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        self.octets().and_then(|octets| String::from_utf8(octets.to_vec()).ok())
    }

    fn values(&mut self) -> Option<Vec<Value>> {
        let count = self.number()?;
        let mut values = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            values.push(match self.byte()? {
                0 => self.octets()?.to_vec(),
                1 => (self.descriptor)(self.take(16)?.try_into().ok()?)?,
                _ => return None,
            });
        }
        Some(values)
    }

    pub(crate) fn attributes(&mut self) -> Option<BTreeMap<String, Vec<Value>>> {
        let count = self.number()?;
        (0..count).map(|_| Some((self.text()?, self.values()?))).collect()
    }

    fn place(&mut self) -> Option<(Option<Guid>, String)> {
        let parent: [u8; 16] = self.take(16)?.try_into().ok()?;
        let parent = (parent != [0; 16]).then_some(Guid(parent));
        Some((parent, self.text()?))
    }

    fn record(&mut self, guid: Guid) -> Option<Record> {
        let (parent, rdn) = self.place()?;
        Some(Record { guid, parent, rdn, attributes: self.attributes()? })
    }

    /// One change of the object `guid`.
    pub(crate) fn change(&mut self, guid: Guid) -> Option<ObjectChange> {
        Some(match self.byte()? {
            b'A' => ObjectChange::Added(self.record(guid)?),
            b'D' => ObjectChange::Deleted(self.record(guid)?),
            b'M' => ObjectChange::Moved { guid, before: self.place()?, after: self.place()? },
            b'C' => {
                let count = self.number()?;
                let attributes = (0..count).map(|_| self.attribute_change()).collect::<Option<_>>()?;
                ObjectChange::Modified { guid, attributes }
            }
            _ => return None,
        })
    }

    fn attribute_change(&mut self) -> Option<AttributeChange> {
        let kind = self.byte()?;
        let name = self.text()?;
        let (before, after) = (self.values()?, self.values()?);
        match kind {
            b'R' => Some(AttributeChange::Replaced { name, before, after }),
            b'L' => Some(AttributeChange::Links { name, removed: before, added: after }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_octets_are_a_change_or_damaged(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let descriptor = |_: &Hash| Some(Vec::new());
            let _ = Reader { rest: &octets, descriptor: &descriptor }.change(Guid::default());
        }

        #[test]
        fn attributes_read_back_as_they_were_written(
            attributes in proptest::collection::btree_map("[a-z]{1,8}|nTSecurityDescriptor", proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 0..20), 1..4), 0..6)
        ) {
            let mut descriptors = Vec::new();
            let mut writer = Writer { out: Vec::new(), descriptors: &mut descriptors };
            writer.attributes(&attributes, true);
            let out = writer.out;
            let descriptor = |wanted: &Hash| descriptors.iter().find(|(hash, _)| hash == wanted).map(|(_, octets)| octets.clone());
            let read = Reader { rest: &out, descriptor: &descriptor }.attributes();
            prop_assert_eq!(read, Some(attributes));
        }
    }
}
