//! [`Edit`]: a snapshot while a batch is applied to it.

mod attributes;
mod objects;

pub(crate) use objects::link_kind;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use acl::Guid;

use crate::attributes::number;
use crate::object::{Identity, Which, smtp_proxy};
use crate::{
    Applied, AttributeChange, Change, ChangeError, ChangeLog, Class, Object, ObjectChange, ObjectId, Problem, Snapshot,
    Value, dn, linked,
};

/// Changes rows, indexes and links at once and remembers what has to be derived again; [`Edit::finish`] derives it.
/// The snapshot that it began with is not touched, so a refused batch is simply dropped.
pub(crate) struct Edit {
    next: Snapshot,
    log: ChangeLog,
    problems: Vec<Problem>,
    /// Links of added objects, resolved when the run of additions ends.
    pending: Vec<(ObjectId, u16, Vec<Value>)>,
    /// Whose descriptor may have changed.
    descriptors: BTreeSet<ObjectId>,
    /// Whose mailbox descriptor may have changed.
    mailboxes: BTreeSet<ObjectId>,
    /// Domains and configuration objects that changed.
    configuration: BTreeSet<ObjectId>,
    /// Tokens may have changed.
    memberships: bool,
    /// Whether members of a primary group are protected by AdminSDHolder; right until memberships change.
    protecting: HashMap<ObjectId, bool>,
    /// Default descriptors by class and domain.
    defaults: HashMap<(Class, Option<ObjectId>), Vec<u8>>,
}

impl Edit {
    pub(crate) fn new(base: &Snapshot) -> Edit {
        Edit {
            next: Snapshot { kept: Arc::default(), ..base.clone() },
            log: ChangeLog::default(),
            problems: Vec::new(),
            pending: Vec::new(),
            descriptors: BTreeSet::new(),
            mailboxes: BTreeSet::new(),
            configuration: BTreeSet::new(),
            memberships: false,
            protecting: HashMap::new(),
            defaults: HashMap::new(),
        }
    }

    /// Makes one change.
    pub(crate) fn change(&mut self, change: &Change) -> Result<(), ChangeError> {
        if !matches!(change, Change::Add(_)) {
            self.link_added()?;
        }
        match change {
            Change::Add(record) => self.add(record),
            Change::Modify { guid, attributes } => self.modify(self.known(guid)?, attributes),
            Change::Values { guid, attribute, add, remove } => self.values(self.known(guid)?, attribute, add, remove),
            Change::Move { guid, parent, rdn } => self.rename(self.known(guid)?, parent, rdn),
            Change::Delete { guid } => self.delete(self.known(guid)?),
        }
    }

    /// Derives what follows from the changes.
    pub(crate) fn finish(mut self) -> Result<Applied, ChangeError> {
        self.link_added()?;
        let mut databases = Vec::new();
        for id in std::mem::take(&mut self.descriptors) {
            self.next.propagate(id, &mut databases);
        }
        for database in databases {
            self.next.derive_mailboxes_in(database);
        }
        for id in std::mem::take(&mut self.mailboxes) {
            self.next.derive_mailbox(id);
        }
        if !self.configuration.is_empty() {
            let objects: BTreeSet<ObjectId> =
                self.next.view.objects.iter().copied().chain(self.configuration).collect();
            let counts = |id: &ObjectId| {
                self.next.object(*id).is_some_and(|object| object.config().is_some() || object.class() == Class::Domain)
            };
            let objects = objects.into_iter().filter(counts).collect();
            self.next.view = Arc::new(self.next.config_view(objects));
        }
        if self.memberships {
            self.next.tokens = Arc::new(self.next.tokens.next());
        }
        self.next.indexes.iter_mut().for_each(crate::index::Index::settle);
        self.next.links.settle();
        self.next.version += 1;
        Ok(Applied { snapshot: self.next, log: self.log, problems: self.problems })
    }

    fn known(&self, guid: &Guid) -> Result<ObjectId, ChangeError> {
        self.next.by_guid(guid).ok_or(ChangeError::UnknownObject(*guid))
    }

    /// What errors call an object.
    fn called(&self, id: ObjectId) -> String {
        self.next.dn(id)
    }

    /// Replaces the object in a row, indexes included, and notes what that touches.
    fn replace(&mut self, id: ObjectId, new: Object) {
        let new = Arc::new(new);
        let mut before = Vec::new();
        let mut after = Vec::new();
        let old = self.next.objects.get(id.0 as usize).cloned().flatten();
        if let Some(old) = &old {
            old.keys(&mut |which, key| before.push((which, key)));
            self.touch(id, old);
        }
        new.keys(&mut |which, key| after.push((which, key)));
        for (which, key) in before.iter().filter(|key| !after.contains(key)) {
            self.next.indexes[*which as usize].remove(*key, id.0);
        }
        for (which, key) in after.iter().filter(|key| !before.contains(key)) {
            self.next.indexes[*which as usize].insert(*key, id.0);
        }
        self.touch(id, &new);
        if let Some(slot) = self.next.objects.get_mut(id.0 as usize) {
            *slot = Some(new);
        }
    }

    /// Empties a row.
    fn clear(&mut self, id: ObjectId) {
        let Some(old) = self.next.objects.get(id.0 as usize).cloned().flatten() else { return };
        old.keys(&mut |which, key| self.next.indexes[which as usize].remove(key, id.0));
        self.touch(id, &old);
        for column in [&mut self.next.effective, &mut self.next.mailbox] {
            if let Some(slot) = column.get_mut(id.0 as usize) {
                *slot = None;
            }
        }
        if let Some(slot) = self.next.objects.get_mut(id.0 as usize) {
            *slot = None;
        }
        self.next.live -= 1;
    }

    /// A new row.
    fn insert(&mut self, object: Object) -> ObjectId {
        let id = ObjectId(self.next.objects.len() as u32);
        self.next.objects.push(None);
        self.next.effective.push(None);
        self.next.mailbox.push(None);
        self.next.live += 1;
        self.replace(id, object);
        id
    }

    fn touch(&mut self, id: ObjectId, object: &Object) {
        if object.config().is_some() || object.class() == Class::Domain {
            self.configuration.insert(id);
        }
        if object.mailbox().is_some() {
            self.mailboxes.insert(id);
        }
    }

    /// Builds an object, refusing values that it cannot hold.
    fn build(
        &self,
        identity: Identity<'_>,
        attributes: &BTreeMap<String, Vec<Value>>,
        called: &str,
    ) -> Result<Object, ChangeError> {
        let mut fault = None;
        let object = Object::build(&self.next.shared, identity, attributes, &mut |attribute, reason| {
            let error = || ChangeError::BadValue { object: called.to_owned(), attribute: attribute.to_owned(), reason };
            fault.get_or_insert_with(error);
        });
        fault.map_or(Ok(object), Err)
    }

    /// Refuses an object that has what belongs to another. `own` is its row, if it has one.
    fn check_unique(
        &mut self,
        object: &Object,
        own: Option<ObjectId>,
        domain: Option<ObjectId>,
        called: &str,
    ) -> Result<(), ChangeError> {
        let taken = |attribute: &str, value: String, holder: ObjectId| ChangeError::Taken {
            object: called.to_owned(),
            attribute: attribute.to_owned(),
            value,
            holder: self.called(holder),
        };
        let next = &self.next;
        if let Some(sid) = object.sid()
            && object.class() != Class::ForeignPrincipal
        {
            let others = next.with_sid(sid).into_iter().filter(|id| Some(*id) != own);
            // BUILTIN groups exist once in each domain (acl-algorithms 1.7).
            let builtin = next.sid(sid).domain().as_ref() == Some(&acl::well_known::BUILTIN);
            let apart = |id: ObjectId| builtin && next.domain_of(id).map(|other| other.object) != domain;
            let rival = others
                .into_iter()
                .find(|id| next.object(*id).is_some_and(|o| o.class() != Class::ForeignPrincipal) && !apart(*id));
            if let Some(holder) = rival {
                return Err(taken(crate::attributes::OBJECT_SID, next.sid(sid).to_string(), holder));
            }
        }
        let rival = |which: Which, key: u64, same: &dyn Fn(ObjectId, &Object) -> bool| {
            let rows = next.index(which).get(key).into_iter().map(ObjectId).filter(|id| Some(*id) != own);
            rows.into_iter().find(|id| next.object(*id).is_some_and(|object| same(*id, object)))
        };
        let hashed = |text: &str| crate::index::hash(dn::folded(text).as_str());
        if let Some(name) = object.sam_account_name() {
            let folded = dn::folded(name);
            let same = |id: ObjectId, other: &Object| {
                other.sam_account_name().is_some_and(|other| dn::folded(other) == folded)
                    && next.domain_of(id).map(|domain| domain.object) == domain
            };
            if let Some(holder) = rival(Which::Sam, hashed(name), &same) {
                return Err(taken(crate::attributes::SAM_ACCOUNT_NAME, name.to_owned(), holder));
            }
        }
        if let Some(name) = object.upn() {
            let folded = dn::folded(name);
            let same = |_: ObjectId, other: &Object| other.upn().is_some_and(|other| dn::folded(other) == folded);
            if let Some(holder) = rival(Which::Upn, hashed(name), &same) {
                return Err(taken(crate::attributes::USER_PRINCIPAL_NAME, name.to_owned(), holder));
            }
        }
        if let Some(mailbox) = object.carried_mailbox() {
            let same = |_: ObjectId, other: &Object| other.carried_mailbox() == Some(mailbox);
            if let Some(holder) = rival(Which::Mailbox, crate::index::hash(&mailbox), &same) {
                return Err(taken(crate::attributes::MAILBOX_GUID, mailbox.to_string(), holder));
            }
        }
        let before = own.and_then(|id| next.object(id)).and_then(Object::master_account);
        if let Some(account) = object.master_account().filter(|account| Some(*account) != before) {
            let sid = next.sid(account);
            linked::check(next, &sid, domain, own).map_err(|refusal| {
                let attribute = crate::attributes::MASTER_ACCOUNT_SID;
                match refusal {
                    linked::Refusal::Taken(holder) => taken(attribute, sid.to_string(), holder),
                    linked::Refusal::Unfit(reason) => {
                        ChangeError::BadValue { object: called.to_owned(), attribute: attribute.to_owned(), reason }
                    }
                }
            })?;
        }
        let mut shared = Vec::new();
        let has_addresses = object.values(number::PROXY_ADDRESSES).any(|value| smtp_proxy(value).is_some())
            || object.text(number::MAIL).is_some();
        if has_addresses {
            for address in object.addresses() {
                let owners = next.find_all(Which::Address, crate::index::hash(address.as_str()), |o| o.owns(&address));
                let others = owners.into_iter().filter(|id| Some(*id) != own).filter_map(|id| next.object(id));
                let mut guids: Vec<Guid> = others.map(Object::guid).collect();
                if !guids.is_empty() {
                    guids.push(object.guid());
                    shared.push(Problem::SharedAddress { address: address.to_string(), objects: guids });
                }
            }
        }
        self.problems.extend(shared);
        Ok(())
    }

    /// Resolves and sets the links of objects added so far.
    fn link_added(&mut self) -> Result<(), ChangeError> {
        for (id, number, values) in std::mem::take(&mut self.pending) {
            let targets = self.resolve_links(id, number, &values)?;
            self.set_links(id, number, &targets, &BTreeSet::new());
        }
        Ok(())
    }

    fn record_attributes(&mut self, guid: Guid, attributes: Vec<AttributeChange>) {
        if !attributes.is_empty() {
            self.log.changes.push(ObjectChange::Modified { guid, attributes });
        }
    }
}
