//! Objects come, go and move.

use std::collections::{BTreeMap, BTreeSet};

use acl::{Guid, Sid};

use super::Edit;
use crate::attributes::{self, NEXT_RID, Syntax, number};
use crate::descriptor::readable;
use crate::object::{Identity, integer, rdn_key};
use crate::{
    AttributeChange, ChangeError, Class, Object, ObjectChange, ObjectId, Problem, Record, Value, defaults, dn, links,
    protected,
};

/// The first RID that a domain gives out; below it are those of well-known principals.
const FIRST_RID: u32 = 1000;
/// RIDs have 30 bits (MS-ADTS 3.1.1.1.1 note on ridAvailablePool).
const LAST_RID: u32 = (1 << 30) - 1;

impl Edit {
    pub(super) fn add(&mut self, record: &Record) -> Result<(), ChangeError> {
        let called = self.called_new(record);
        let parent = match &record.parent {
            None => None,
            Some(guid) => Some(
                self.next
                    .by_guid(guid)
                    .ok_or_else(|| ChangeError::UnknownParent { object: called.clone(), parent: *guid })?,
            ),
        };
        if let Some(holder) = self.next.by_guid(&record.guid) {
            return Err(self.taken(&called, "objectGUID", record.guid.to_string(), holder));
        }
        let mut own = self.own_attributes(record, &called)?;
        let class = Class::from_object_classes(own.get(attributes::OBJECT_CLASS).map_or(&[][..], |values| values));
        let chain = class.object_classes();
        let is_usual = |value: &Value| chain.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(value));
        if class != Class::Other && own.get(attributes::OBJECT_CLASS).is_none_or(|given| given.iter().all(is_usual)) {
            let chain = chain.iter().map(|name| name.as_bytes().to_vec()).collect();
            own.insert(attributes::OBJECT_CLASS.to_owned(), chain);
        }
        let rdn = self.checked_name(None, parent, &record.rdn, class, &called)?;
        let domain = parent.and_then(|parent| self.next.domain_of(parent)).map(|domain| domain.object);
        if class.is_principal() && !own.contains_key(attributes::OBJECT_SID) {
            let sid = self.allocate_sid(domain, &called)?;
            own.insert(attributes::OBJECT_SID.to_owned(), vec![sid.to_bytes()]);
        }
        self.complete_descriptor(&mut own, class, domain, &called)?;
        let identity = Identity { guid: record.guid, parent, rdn: &rdn, database: None };
        let object = self.build(identity, &own, &called)?;
        self.check_unique(&object, None, domain, &called)?;
        if object.explicit.as_ref().is_none_or(|explicit| !explicit.is_readable()) {
            self.problems.push(Problem::Unreadable { object: record.guid });
        }
        let id = self.insert(object);
        self.descriptors.insert(id);
        // A new group may be the primary group of accounts, a foreign principal may stand for everybody.
        self.memberships |= matches!(class, Class::Group | Class::ForeignPrincipal | Class::Domain);
        // Others are in nobody's token; what AdminSDHolder protects may change with these.
        self.memberships = self.memberships || self.is_special(id);
        if class == Class::Domain {
            self.refresh_domains();
        }
        let attributes = self.next.object(id).map(|object| object.attributes(&self.next.shared)).unwrap_or_default();
        let logged = Record { guid: record.guid, parent: record.parent, rdn, attributes };
        self.log.changes.push(ObjectChange::Added(logged));
        for (name, values) in &record.attributes {
            if let Some((number, _)) = link_kind(name).filter(|_| !values.is_empty()) {
                self.pending.push((id, number, values.clone()));
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, id: ObjectId) -> Result<(), ChangeError> {
        let called = self.called(id);
        let children = self.next.children(id).count();
        if children > 0 {
            return Err(ChangeError::NotLeaf { object: called, children });
        }
        self.keep_rid(id);
        let Some(record) = self.next.record(id) else { return Ok(()) };
        for (number, _) in links::kinds() {
            for source in self.next.links.sources(number, id) {
                if source != id {
                    self.set_links(source, number, &BTreeSet::new(), &BTreeSet::from([id]));
                }
            }
            for target in self.next.links.targets(number, id) {
                self.next.links.remove(number, id, target);
                self.memberships |= number == number::MEMBER;
            }
        }
        self.memberships |= self.next.object(id).is_some_and(|object| object.class() == Class::Group);
        // Older snapshots, where it is still there, must not share what is reckoned without it.
        self.memberships = self.memberships || self.is_special(id);
        self.clear(id);
        self.log.changes.push(ObjectChange::Deleted(record));
        Ok(())
    }

    pub(super) fn rename(&mut self, id: ObjectId, parent: &Guid, rdn: &str) -> Result<(), ChangeError> {
        let called = self.called(id);
        let Some(object) = self.next.object(id).cloned() else { return Ok(()) };
        let target = self
            .next
            .by_guid(parent)
            .ok_or_else(|| ChangeError::UnknownParent { object: called.clone(), parent: *parent })?;
        let refuse = |edit: &Edit, reason: &str| ChangeError::BadMove {
            object: called.clone(),
            target: edit.called(target),
            reason: reason.to_owned(),
        };
        if object.class().is_naming_context() {
            return Err(refuse(self, "the root of a naming context stays where it is"));
        }
        if self.next.path(target).contains(&id) {
            return Err(refuse(self, "that is the object itself or below it"));
        }
        let domain = |edit: &Edit, id: ObjectId| edit.next.domain_of(id).map(|domain| domain.object);
        let (from, to) = (domain(self, id), domain(self, target));
        if from != to && self.next.subtree(id).iter().any(|id| self.has_domain_sid(*id)) {
            return Err(refuse(self, "accounts and groups keep the SID of their domain and cannot leave it"));
        }
        let rdn = self.checked_name(Some(id), Some(target), rdn, object.class(), &called)?;
        if object.parent() == Some(target) && object.rdn() == rdn {
            return Ok(());
        }
        let before = (object.parent().and_then(|id| self.next.object(id)).map(Object::guid), object.rdn().to_owned());
        let attributes = object.attributes(&self.next.shared);
        let identity = Identity { guid: object.guid(), parent: Some(target), rdn: &rdn, database: object.database };
        let moved = self.build(identity, &attributes, &called)?;
        self.replace(id, moved);
        self.descriptors.insert(id);
        self.log.changes.push(ObjectChange::Moved { guid: object.guid(), before, after: (Some(*parent), rdn) });
        Ok(())
    }

    /// What is not a link, under canonical names.
    fn own_attributes(&self, record: &Record, called: &str) -> Result<BTreeMap<String, Vec<Value>>, ChangeError> {
        let mut own = BTreeMap::new();
        for (name, values) in record.attributes.iter().filter(|(_, values)| !values.is_empty()) {
            if attributes::by_back_link(name).is_some() {
                return Err(ChangeError::ReadOnly { object: called.to_owned(), attribute: name.clone() });
            }
            let derived =
                attributes::by_name(name).is_some_and(|a| matches!(a.syntax, Syntax::Derived | Syntax::Link(_)));
            if !derived {
                own.insert(self.next.shared.names.name(self.next.shared.names.number(name)), values.clone());
            }
        }
        Ok(own)
    }

    /// Sets the class default where there is no descriptor, and takes inherited ACEs out of one that is given.
    fn complete_descriptor(
        &mut self,
        own: &mut BTreeMap<String, Vec<Value>>,
        class: Class,
        domain: Option<ObjectId>,
        called: &str,
    ) -> Result<(), ChangeError> {
        let bytes = match own.get(attributes::DESCRIPTOR).and_then(|values| values.first()) {
            Some(given) => normal_descriptor(given, called, attributes::DESCRIPTOR)?,
            None => self.default_descriptor(own, class, domain),
        };
        own.insert(attributes::DESCRIPTOR.to_owned(), vec![bytes]);
        if let Some(given) = own.get(attributes::MAILBOX_DESCRIPTOR).and_then(|values| values.first()) {
            let bytes = normal_descriptor(given, called, attributes::MAILBOX_DESCRIPTOR)?;
            own.insert(attributes::MAILBOX_DESCRIPTOR.to_owned(), vec![bytes]);
        }
        if let Some(given) = own.get(attributes::FOLDER_PERMISSION) {
            crate::folders::check(given, called)?;
        }
        Ok(())
    }

    fn default_descriptor(
        &mut self,
        own: &BTreeMap<String, Vec<Value>>,
        class: Class,
        domain: Option<ObjectId>,
    ) -> Vec<u8> {
        // A domain's own default names its own groups, and those of the root if it is not the first.
        let own_sid =
            own.get(attributes::OBJECT_SID).and_then(|values| Sid::parse(values.first()?).ok()).map(|(sid, _)| sid);
        let of = |id: ObjectId| {
            self.next.domains().iter().find(|domain| domain.object == id).map(|domain| domain.sid.clone())
        };
        let root = domain.and_then(|domain| self.next.forest_root(domain)).map(|domain| domain.sid.clone());
        if class == Class::Domain {
            return defaults::explicit(class, own_sid.as_ref(), root.as_ref().or(own_sid.as_ref()));
        }
        let sid = domain.and_then(of);
        self.defaults
            .entry((class, domain))
            .or_insert_with(|| defaults::explicit(class, sid.as_ref(), root.as_ref()))
            .clone()
    }

    /// A name that is one, and free.
    fn checked_name(
        &self,
        own: Option<ObjectId>,
        parent: Option<ObjectId>,
        rdn: &str,
        class: Class,
        called: &str,
    ) -> Result<String, ChangeError> {
        let bad = |reason: String| ChangeError::BadValue {
            object: called.to_owned(),
            attribute: attributes::DISTINGUISHED_NAME.to_owned(),
            reason,
        };
        let rdns = dn::parse(rdn).map_err(|error| bad(error.to_string()))?;
        match (parent, rdns.len()) {
            (_, 0) => return Err(bad("the name is empty".to_owned())),
            (None, _) if !class.is_naming_context() => {
                return Err(bad("only a domain or a configuration partition has no parent".to_owned()));
            }
            (Some(_), 2..) => return Err(bad(format!("“{rdn}” is more than one name"))),
            _ => {}
        }
        let text = dn::join(&rdns);
        match self.next.child(parent, &rdn_key(&text)) {
            Some(holder) if Some(holder) != own => {
                Err(self.taken(called, attributes::DISTINGUISHED_NAME, self.called(holder), holder))
            }
            _ => Ok(text),
        }
    }

    fn taken(&self, object: &str, attribute: &str, value: String, holder: ObjectId) -> ChangeError {
        let (object, attribute) = (object.to_owned(), attribute.to_owned());
        ChangeError::Taken { object, attribute, value, holder: self.called(holder) }
    }

    fn called_new(&self, record: &Record) -> String {
        let above = record.parent.and_then(|guid| self.next.by_guid(&guid)).map(|id| self.called(id));
        above.map_or(record.rdn.clone(), |above| format!("{},{above}", record.rdn))
    }

    /// A well-known account, one with former SIDs, one that AdminSDHolder protects by its primary group, or the object
    /// with the forest's switches.
    fn is_special(&mut self, id: ObjectId) -> bool {
        let Some(object) = self.next.object(id) else { return false };
        let rid = object.sid().and_then(|sid| self.next.sid(sid).rid());
        let well_known = object.class().is_principal() && rid.is_some_and(|rid| rid < FIRST_RID);
        if well_known || object.sid_history().next().is_some() || object.text(number::DS_HEURISTICS).is_some() {
            return true;
        }
        if !object.class().is_account() {
            return false;
        }
        let Some(group) = self.next.primary_group(id) else { return false };
        let next = &self.next;
        *self.protecting.entry(group).or_insert_with(|| protected::protects(next, group))
    }

    fn has_domain_sid(&self, id: ObjectId) -> bool {
        let sid = self.next.object(id).and_then(Object::sid);
        sid.is_some_and(|sid| self.next.sid(sid).is_domain_relative())
    }

    /// The next SID of a domain. The counter on the domain object moves in the same batch.
    fn allocate_sid(&mut self, domain: Option<ObjectId>, called: &str) -> Result<Sid, ChangeError> {
        let fail = |reason: &str| ChangeError::NoSid { object: called.to_owned(), reason: reason.to_owned() };
        let domain = domain.ok_or_else(|| fail("there is no domain above it to give it a SID"))?;
        let domain_sid = self.next.domain_of(domain).map(|domain| domain.sid.clone());
        let domain_sid = domain_sid.ok_or_else(|| fail("its domain has no SID"))?;
        let mut rid = self.next_rid(domain, &domain_sid);
        let sid = loop {
            if rid > LAST_RID {
                return Err(fail("its domain has no more RIDs"));
            }
            let sid = domain_sid.with_rid(rid).ok_or_else(|| fail("its domain's SID is too long"))?;
            rid += 1;
            if self.next.sid_id(&sid).is_none_or(|id| self.next.with_sid(id).is_empty()) {
                break sid;
            }
        };
        self.set_next_rid(domain, rid);
        Ok(sid)
    }

    /// The counter; above all RIDs in use where a domain never gave one out (an imported one).
    fn next_rid(&self, domain: ObjectId, domain_sid: &Sid) -> u32 {
        let counter = self.next.object(domain).and_then(|object| integer(object.values(number::NEXT_RID).next()?));
        if let Some(counter) = counter.and_then(|n| u32::try_from(n).ok()) {
            return counter.max(FIRST_RID);
        }
        let used = self.next.objects().filter_map(|(_, object)| object.sid()).map(|id| self.next.sid(id));
        let used = used.filter(|sid| sid.domain().as_ref() == Some(domain_sid)).filter_map(|sid| sid.rid());
        used.max().map_or(FIRST_RID, |highest| highest.saturating_add(1).max(FIRST_RID))
    }

    fn set_next_rid(&mut self, domain: ObjectId, rid: u32) {
        let Some(object) = self.next.object(domain).cloned() else { return };
        let mut attributes = object.attributes(&self.next.shared);
        let after = vec![rid.to_string().into_bytes()];
        let before = attributes.insert(NEXT_RID.to_owned(), after.clone()).unwrap_or_default();
        let identity =
            Identity { guid: object.guid(), parent: object.parent(), rdn: object.rdn(), database: object.database };
        let new = Object::build(&self.next.shared, identity, &attributes, &mut |_, _| {});
        // Straight into the row: the counter is in no index and in no view.
        if let Some(slot) = self.next.objects.get_mut(domain.0 as usize) {
            *slot = Some(std::sync::Arc::new(new));
        }
        self.record_attributes(
            object.guid(),
            vec![AttributeChange::Replaced { name: NEXT_RID.to_owned(), before, after }],
        );
    }

    /// A SID that goes with its object is not given out again: an ACE somewhere may still name it.
    fn keep_rid(&mut self, id: ObjectId) {
        let sid = self.next.object(id).filter(|object| object.class().is_principal()).and_then(Object::sid);
        let Some((sid, domain)) = sid.map(|sid| self.next.sid(sid)).zip(self.next.domain_of(id)) else { return };
        let (domain, domain_sid) = (domain.object, domain.sid.clone());
        if let Some(rid) = sid.rid().filter(|rid| sid.domain().as_ref() == Some(&domain_sid) && *rid <= LAST_RID)
            && self.next_rid(domain, &domain_sid) <= rid.saturating_add(1)
        {
            let known = self.next.object(domain).is_some_and(|object| object.values(number::NEXT_RID).next().is_some());
            if !known || self.next_rid(domain, &domain_sid) <= rid {
                self.set_next_rid(domain, rid + 1);
            }
        }
    }

    /// A domain counts from the moment it exists: its children need SIDs and default descriptors.
    fn refresh_domains(&mut self) {
        let objects: BTreeSet<ObjectId> =
            self.next.view.objects.iter().copied().chain(self.configuration.iter().copied()).collect();
        let alive = objects.into_iter().filter(|id| self.next.object(*id).is_some()).collect();
        self.next.view = std::sync::Arc::new(self.next.config_view(alive));
    }
}

/// Number and canonical name of a link attribute.
pub(crate) fn link_kind(name: &str) -> Option<(u16, &'static str)> {
    let attribute = attributes::by_name(name).filter(|attribute| matches!(attribute.syntax, Syntax::Link(_)))?;
    Some((attributes::number_of(name)?, attribute.name))
}

/// A descriptor as it becomes durable: without inherited ACEs. Empty stays empty: unreadable, and known to be.
pub(super) fn normal_descriptor(given: &[u8], called: &str, attribute: &str) -> Result<Value, ChangeError> {
    if given.is_empty() {
        return Ok(Value::new());
    }
    let bad = |reason: &str| ChangeError::BadValue {
        object: called.to_owned(),
        attribute: attribute.to_owned(),
        reason: reason.to_owned(),
    };
    let sd = acl::SecurityDescriptor::parse(given).map_err(|error| bad(&error.to_string()))?;
    if readable(given).is_none() {
        return Err(bad("the descriptor has no DACL, which would grant everything to everybody"));
    }
    let explicit = acl::explicit_part(&sd);
    Ok(if explicit == sd { given.to_vec() } else { explicit.to_bytes() })
}
