//! Effective descriptors: derived when explicit parts change, and passed down as far as they differ.

use std::sync::Arc;

use acl::{Acl, InheritContext, effective_descriptor, inherited_aces};

use crate::attributes::number;
use crate::descriptor::{Descriptor, Explicit};
use crate::{Class, Object, ObjectId, Snapshot, mailbox};

impl Snapshot {
    /// What the effective descriptor of an object is, given its parent's as it stands.
    fn derive(&self, object: &Object) -> Option<Arc<Descriptor>> {
        let explicit = object.explicit.as_ref()?;
        let class = object.class();
        let mut parent = None;
        if !class.is_naming_context()
            && let Some(above) = object.parent()
        {
            match self.descriptor(above) {
                Some(descriptor) => parent = Some(descriptor),
                // What an unreadable parent hands down, denies perhaps, is unknown; a protected child does not care.
                None if explicit.parse().is_some_and(|sd| sd.is_dacl_protected()) => {}
                None => return None,
            }
        }
        self.shared.descriptors.effective(&self.shared.sids, class as u16, parent, explicit, || {
            let explicit = explicit.parse()?;
            Some(effective_descriptor(parent.map(Descriptor::sd), &explicit, &[class.schema_guid()]))
        })
    }

    /// Derives the descriptor of an object anew, and those below it as far as they change. Databases that changed are
    /// added to `databases`.
    pub(crate) fn propagate(&mut self, from: ObjectId, databases: &mut Vec<ObjectId>) {
        let mut stack = vec![from];
        while let Some(id) = stack.pop() {
            let Some(object) = self.object(id) else { continue };
            let class = object.class();
            let new = self.derive(object);
            let Some(slot) = self.effective.get(id.0 as usize) else { continue };
            if same(slot.as_ref(), new.as_ref()) {
                continue;
            }
            if let Some(slot) = self.effective.get_mut(id.0 as usize) {
                *slot = new;
            }
            if class == Class::Database {
                databases.push(id);
            }
            stack.extend(self.children(id));
        }
    }

    /// Derives the descriptor of one object whose parent's is right.
    pub(crate) fn derive_one(&mut self, id: ObjectId) {
        let new = self.object(id).and_then(|object| self.derive(object));
        if let Some(slot) = self.effective.get_mut(id.0 as usize) {
            *slot = new;
        }
    }

    /// Derives the mailbox descriptor of an owner anew.
    pub(crate) fn derive_mailbox(&mut self, id: ObjectId) {
        let new = self.mailbox_of(id);
        let unchanged = self.mailbox.get(id.0 as usize).is_none_or(|old| same(old.as_ref(), new.as_ref()));
        if !unchanged && let Some(slot) = self.mailbox.get_mut(id.0 as usize) {
            *slot = new;
        }
    }

    fn mailbox_of(&self, id: ObjectId) -> Option<Arc<Descriptor>> {
        let object = self.object(id)?;
        let owned = object.mailbox()?;
        let database = match owned.database {
            Some(database) => Some(self.descriptor(database)?),
            None => None,
        };
        let explicit = match &object.mailbox_explicit {
            Some(explicit) => Arc::clone(explicit),
            None => self.default_mailbox(),
        };
        self.shared.descriptors.effective(&self.shared.sids, mailbox::RULE, database, &explicit, || {
            Some(mailbox::effective(&explicit.parse()?, database))
        })
    }

    fn default_mailbox(&self) -> Arc<Explicit> {
        Arc::clone(
            self.shared
                .default_mailbox
                .get_or_init(|| self.shared.descriptors.explicit(&mailbox::default_descriptor().to_bytes())),
        )
    }

    /// Derives the mailbox descriptors of all owners in a database anew.
    pub(crate) fn derive_mailboxes_in(&mut self, database: ObjectId) {
        for owner in self.links.sources(number::HOME_MDB, database) {
            self.derive_mailbox(owner);
        }
    }
}

fn same(a: Option<&Arc<Descriptor>>, b: Option<&Arc<Descriptor>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

/// The ancestor on which an ACE of an effective descriptor is explicit.
pub(crate) fn origin(snapshot: &Snapshot, id: ObjectId, ace: usize) -> ObjectId {
    let (mut id, mut ace) = (id, ace);
    while let Some((parent, index)) = step(snapshot, id, ace) {
        (id, ace) = (parent, index);
    }
    id
}

/// The parent and the index of the parent's ACE that an inherited ACE came through.
fn step(snapshot: &Snapshot, id: ObjectId, ace: usize) -> Option<(ObjectId, usize)> {
    let descriptor = snapshot.descriptor(id)?.sd();
    let wanted = descriptor.dacl.as_ref()?.aces.get(ace)?;
    if !wanted.is_inherited() || descriptor.is_dacl_protected() {
        return None;
    }
    let object = snapshot.object(id)?;
    let parent = object.parent()?;
    let classes = [object.class().schema_guid()];
    let context =
        InheritContext { classes: &classes, owner: descriptor.owner.as_ref(), group: descriptor.group.as_ref() };
    let above = &snapshot.descriptor(parent)?.sd().dacl.as_ref()?.aces;
    let gives = |above: &acl::Ace| inherited_aces(&Acl::new(vec![above.clone()]), &context).contains(wanted);
    above.iter().position(gives).map(|index| (parent, index))
}
