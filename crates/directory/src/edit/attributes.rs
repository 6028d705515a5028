//! Attributes and links of existing objects.

use std::collections::{BTreeMap, BTreeSet};

use super::Edit;
use super::objects::{link_kind, normal_descriptor};
use crate::attributes::{self, Syntax, number};
use crate::object::{Identity, integer};
use crate::record::{parse_link, parse_sid_link};
use crate::{AttributeChange, ChangeError, Class, Object, ObjectId, Problem, Value};

impl Edit {
    pub(super) fn modify(&mut self, id: ObjectId, changes: &[(String, Vec<Value>)]) -> Result<(), ChangeError> {
        let mut own = Vec::new();
        for (name, values) in changes {
            match link_kind(name) {
                Some((number, _)) => {
                    let wanted = self.resolve_links(id, number, values)?;
                    let now: BTreeSet<ObjectId> = self.next.links.targets(number, id).into_iter().collect();
                    let added = wanted.difference(&now).copied().collect();
                    let removed = now.difference(&wanted).copied().collect();
                    self.set_links(id, number, &added, &removed);
                }
                None => own.push((name.as_str(), values.clone())),
            }
        }
        self.replace_values(id, own)
    }

    pub(super) fn values(
        &mut self,
        id: ObjectId,
        name: &str,
        add: &[Value],
        remove: &[Value],
    ) -> Result<(), ChangeError> {
        let Some((number, _)) = link_kind(name) else {
            let mut values = self.next.attribute(id, name);
            values.retain(|value| !remove.contains(value));
            let new: Vec<Value> = add.iter().filter(|value| !values.contains(value)).cloned().collect();
            values.extend(new);
            return self.replace_values(id, vec![(name, values)]);
        };
        // Removing a link to what does not exist is done already.
        let known = remove.iter().filter_map(|value| self.link_target(value));
        let removed: BTreeSet<ObjectId> =
            known.filter(|target| self.next.links.contains(number, id, *target)).collect();
        let added = self.resolve_links_of(id, number, add)?;
        let added: BTreeSet<ObjectId> =
            added.into_iter().filter(|target| !self.next.links.contains(number, id, *target)).collect();
        let single = attributes::known(number).is_some_and(|attribute| attribute.single);
        if single && self.next.links.targets(number, id).len() + added.len() > removed.len() + 1 {
            return Err(self.bad(id, name, "may have one value"));
        }
        self.set_links(id, number, &added, &removed);
        Ok(())
    }

    fn replace_values(&mut self, id: ObjectId, changes: Vec<(&str, Vec<Value>)>) -> Result<(), ChangeError> {
        if changes.is_empty() {
            return Ok(());
        }
        let called = self.called(id);
        let Some(old) = self.next.object(id).cloned() else { return Ok(()) };
        let before = old.attributes(&self.next.shared);
        let mut after = before.clone();
        for (name, values) in changes {
            let name = self.next.shared.names.name(self.next.shared.names.number(name));
            let values = self.allowed(&old, &name, values, &before, &called)?;
            if values.is_empty() {
                after.remove(&name);
            } else {
                after.insert(name, values);
            }
        }
        let changed = difference(&before, &after);
        if changed.is_empty() {
            return Ok(());
        }
        let identity = Identity { guid: old.guid(), parent: old.parent(), rdn: old.rdn(), database: old.database };
        let new = self.build(identity, &after, &called)?;
        let domain = self.next.domain_of(id).map(|domain| domain.object);
        self.check_unique(&new, Some(id), domain, &called)?;
        self.note(id, &changed, &new);
        self.replace(id, new);
        self.record_attributes(old.guid(), changed);
        Ok(())
    }

    /// The values that an attribute will have, or why it cannot.
    fn allowed(
        &self,
        object: &Object,
        name: &str,
        values: Vec<Value>,
        before: &BTreeMap<String, Vec<Value>>,
        called: &str,
    ) -> Result<Vec<Value>, ChangeError> {
        let read_only = || ChangeError::ReadOnly { object: called.to_owned(), attribute: name.to_owned() };
        let now = before.get(name).map_or(&[][..], |values| values);
        let syntax = attributes::by_name(name).map(|attribute| attribute.syntax);
        if syntax == Some(Syntax::Derived) || attributes::by_back_link(name).is_some() {
            return Err(read_only());
        }
        match name {
            attributes::OBJECT_SID if !now.is_empty() && now != values => Err(read_only()),
            attributes::OBJECT_CLASS => {
                let class = Class::from_object_classes(&values);
                if class != object.class() {
                    return Err(read_only());
                }
                Ok(if class == Class::Other { values } else { now.to_vec() })
            }
            attributes::NEXT_RID => {
                let number = |values: &[Value]| values.first().and_then(|value| integer(value)).unwrap_or(0);
                if number(&values) < number(now) { Err(read_only()) } else { Ok(values) }
            }
            attributes::DESCRIPTOR if values.is_empty() => Err(ChangeError::BadValue {
                object: called.to_owned(),
                attribute: name.to_owned(),
                reason: "an object cannot be without a security descriptor".to_owned(),
            }),
            attributes::DESCRIPTOR | attributes::MAILBOX_DESCRIPTOR => {
                values.iter().map(|value| normal_descriptor(value, called, name)).collect()
            }
            attributes::FOLDER_PERMISSION => crate::folders::check(&values, called).map(|()| values),
            _ => Ok(values),
        }
    }

    /// Notes what has to be derived again because of these attributes.
    fn note(&mut self, id: ObjectId, changed: &[AttributeChange], new: &Object) {
        for change in changed {
            match change.name() {
                attributes::DESCRIPTOR => {
                    self.descriptors.insert(id);
                    if new.explicit.as_ref().is_none_or(|explicit| !explicit.is_readable()) {
                        self.problems.push(Problem::Unreadable { object: new.guid() });
                    }
                }
                attributes::GROUP_TYPE
                | attributes::SID_HISTORY
                | attributes::PRIMARY_GROUP_ID
                | attributes::OBJECT_SID => {
                    self.memberships = true;
                }
                // ExchangeLegacyInterop is known by its name.
                attributes::SAM_ACCOUNT_NAME => self.memberships |= new.class() == Class::Group,
                attributes::DS_HEURISTICS => self.memberships = true,
                _ => {}
            }
        }
    }

    /// Sets and removes links, the database of a mailbox owner included, and writes the log.
    pub(super) fn set_links(
        &mut self,
        id: ObjectId,
        number: u16,
        added: &BTreeSet<ObjectId>,
        removed: &BTreeSet<ObjectId>,
    ) {
        if added.is_empty() && removed.is_empty() {
            return;
        }
        for target in removed {
            self.next.links.remove(number, id, *target);
        }
        for target in added {
            self.next.links.insert(number, id, *target);
        }
        self.memberships |= number == number::MEMBER;
        let Some(object) = self.next.object(id).cloned() else { return };
        let guid = object.guid();
        if number == number::HOME_MDB {
            let mut object = object;
            object.database = self.next.links.targets(number, id).first().copied();
            self.replace(id, object);
        }
        let values = |ids: &BTreeSet<ObjectId>| {
            let objects = ids.iter().filter_map(|id| self.next.object(*id));
            let mut values: Vec<Value> = objects.map(|object| crate::record::link_value(&object.guid())).collect();
            values.sort_unstable();
            values
        };
        let name = attributes::known(number).map_or(String::new(), |attribute| attribute.name.to_owned());
        let change = AttributeChange::Links { name, removed: values(removed), added: values(added) };
        self.record_attributes(guid, vec![change]);
    }

    /// The targets of all values of a link attribute.
    pub(super) fn resolve_links(
        &self,
        id: ObjectId,
        number: u16,
        values: &[Value],
    ) -> Result<BTreeSet<ObjectId>, ChangeError> {
        let targets = self.resolve_links_of(id, number, values)?;
        match attributes::known(number) {
            Some(attribute) if attribute.single && targets.len() > 1 => {
                Err(self.bad(id, attribute.name, "may have one value"))
            }
            _ => Ok(targets),
        }
    }

    fn resolve_links_of(&self, id: ObjectId, number: u16, values: &[Value]) -> Result<BTreeSet<ObjectId>, ChangeError> {
        let name = attributes::known(number).map_or("", |attribute| attribute.name);
        let target = |value: &Value| {
            self.link_target(value).ok_or_else(|| ChangeError::UnknownLink {
                object: self.called(id),
                attribute: name.to_owned(),
                target: String::from_utf8_lossy(value).into_owned(),
            })
        };
        let targets: BTreeSet<ObjectId> = values.iter().map(target).collect::<Result<_, _>>()?;
        let class = |id: ObjectId| self.next.object(id).map(Object::class);
        if number == number::HOME_MDB && targets.iter().any(|target| class(*target) != Some(Class::Database)) {
            return Err(self.bad(id, name, "is not a mailbox database"));
        }
        if number == number::MEMBER && !targets.is_empty() && class(id) != Some(Class::Group) {
            return Err(self.bad(id, name, "only groups have members"));
        }
        Ok(targets)
    }

    fn link_target(&self, value: &[u8]) -> Option<ObjectId> {
        if let Some(guid) = parse_link(value) {
            return self.next.by_guid(&guid);
        }
        if let Some(sid) = parse_sid_link(value) {
            return self.next.by_sid(&sid);
        }
        self.next.by_dn(std::str::from_utf8(value).ok()?)
    }

    fn bad(&self, id: ObjectId, attribute: &str, reason: &str) -> ChangeError {
        ChangeError::BadValue { object: self.called(id), attribute: attribute.to_owned(), reason: reason.to_owned() }
    }
}

fn difference(before: &BTreeMap<String, Vec<Value>>, after: &BTreeMap<String, Vec<Value>>) -> Vec<AttributeChange> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let values = |map: &BTreeMap<String, Vec<Value>>, name: &String| map.get(name).cloned().unwrap_or_default();
    let pairs = names.into_iter().map(|name| (name, values(before, name), values(after, name)));
    pairs
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| AttributeChange::Replaced { name: name.clone(), before, after })
        .collect()
}
