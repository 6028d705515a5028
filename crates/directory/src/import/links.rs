//! Links of a dump: DNs within the file, in the directory, or foreign principals by SID.

use acl::{Guid, Sid};

use super::{Importer, key};
use crate::attributes;
use crate::dn;
use crate::record::{link_value, parse_link};
use crate::{Change, Class, Object, ObjectId, Value};

/// Links of one attribute of one object, as they stand in the file.
pub(super) struct Links<'a> {
    pub(super) line: usize,
    pub(super) dn: &'a str,
    pub(super) guid: Guid,
    /// Its row, when the directory had it before.
    pub(super) existing: Option<ObjectId>,
    pub(super) attribute: String,
    pub(super) values: Vec<Value>,
}

impl Importer<'_> {
    /// Resolves links; nothing when that changes nothing.
    pub(super) fn link(&mut self, links: Links<'_>) -> Option<Change> {
        let Links { line, dn, guid, existing, attribute, values } = links;
        if attribute == attributes::MEMBER && self.class_of(guid) != Some(Class::Group) {
            self.warn(line, dn, "member left out: the object is not a group");
            return None;
        }
        let mut add: Vec<Value> = Vec::with_capacity(values.len());
        for value in &values {
            match self.target(value).filter(|target| self.fits(&attribute, *target)) {
                Some(target) => add.push(link_value(&target)),
                None => {
                    let target = String::from_utf8_lossy(value);
                    self.warn(
                        line,
                        dn,
                        format!("{attribute}: “{target}” left out: there is no such object to link to"),
                    );
                }
            }
        }
        add.sort_unstable();
        add.dedup();
        if attributes::by_name(&attribute).is_some_and(|attribute| attribute.single) {
            add.truncate(1);
        }
        let mut remove = Vec::new();
        if let Some(id) = existing {
            let now = self.snapshot.attribute(id, &attribute);
            remove = now.iter().filter(|value| !add.contains(value)).cloned().collect();
            add.retain(|value| !now.contains(value));
        }
        (!add.is_empty() || !remove.is_empty()).then_some(Change::Values { guid, attribute, add, remove })
    }

    /// Mailboxes are in databases.
    fn fits(&self, attribute: &str, target: Guid) -> bool {
        attribute != attributes::HOME_MDB || self.class_of(target) == Some(Class::Database)
    }

    fn class_of(&self, guid: Guid) -> Option<Class> {
        let own = self.by_guid.get(&guid).copied();
        own.or_else(|| self.snapshot.by_guid(&guid).and_then(|id| self.snapshot.object(id)).map(Object::class))
    }

    /// The object that a link names: `<GUID=…>`, `<GUID=…>;<SID=…>;DN` as extended DNs are, or a DN.
    fn target(&self, value: &[u8]) -> Option<Guid> {
        let text = std::str::from_utf8(value).ok()?;
        let (first, rest) = text.split_once(">;").map_or((text, ""), |(first, rest)| (first, rest));
        if let Some(guid) = parse_link(format!("{}>", first.trim_end_matches('>')).as_bytes())
            && (self.by_guid.contains_key(&guid) || self.snapshot.by_guid(&guid).is_some())
        {
            return Some(guid);
        }
        let plain = if rest.is_empty() { text } else { rest.rsplit_once(">;").map_or(rest, |(_, dn)| dn) };
        let rdns = dn::parse(plain).ok().filter(|rdns| !rdns.is_empty())?;
        if let Some(guid) = self.locate(&key(&rdns)) {
            return Some(guid);
        }
        if let Some(id) = self.snapshot.by_dn(plain) {
            return self.guid_of(id);
        }
        // A foreign principal: the DN differs from domain to domain, the SID does not.
        let sid: Sid = rdns[0].value.parse().ok()?;
        self.by_sid.get(&sid).copied().or_else(|| self.guid_of(self.snapshot.by_sid(&sid)?))
    }
}
