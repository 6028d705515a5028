//! [`ChangeBatch`]: what is asked; [`ChangeLog`]: what became of it, and how to undo it.

use acl::{Guid, Sid};
use thiserror::Error;

use crate::{Record, Time, Value};

/// Changes that count together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeBatch {
    /// Who made it.
    pub author: Sid,
    /// When.
    pub time: Time,
    /// Why, in words, for the history.
    pub comment: String,
    /// In order; each sees the effect of those before it. Links of added objects may point at objects added later
    /// in the same run of [`Change::Add`].
    pub changes: Vec<Change>,
}

/// One change. Objects are named by objectGUID.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Change {
    /// A new object. A security principal without `objectSid` gets the next RID of its domain, an object without
    /// `nTSecurityDescriptor` the default of its class, a link may be a DN, `<GUID=…>` or `<SID=…>`.
    Add(Record),
    /// Replaces the values of attributes; no values removes the attribute.
    Modify {
        /// The object.
        guid: Guid,
        /// Attribute and all its new values.
        attributes: Vec<(String, Vec<Value>)>,
    },
    /// Adds and removes single values of one attribute, at a cost that does not depend on how many there are (for
    /// link attributes such as `member`). Removing an absent or adding a present value changes nothing.
    Values {
        /// The object.
        guid: Guid,
        /// The attribute.
        attribute: String,
        /// Values to add.
        add: Vec<Value>,
        /// Values to remove.
        remove: Vec<Value>,
    },
    /// A new parent, a new name, or both.
    Move {
        /// The object.
        guid: Guid,
        /// Its parent from now on.
        parent: Guid,
        /// Its RDN from now on, RFC 4514 text.
        rdn: String,
    },
    /// Removes an object without children, and every link to it.
    Delete {
        /// The object.
        guid: Guid,
    },
}

/// What a batch did, in the order in which it happened, down to attribute values. This, not the batch, is what a
/// store makes durable: it holds allocated SIDs, default descriptors, resolved links, and the links that went with a
/// deleted object. Each entry is to be applied after the one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeLog {
    /// One entry per change of one object; an object can have several.
    pub changes: Vec<ObjectChange>,
}

/// What happened to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectChange {
    /// The object is new. Its links may follow as [`AttributeChange::Links`] in later entries.
    Added(Record),
    /// Attributes changed.
    Modified {
        /// The object.
        guid: Guid,
        /// Each attribute that changed.
        attributes: Vec<AttributeChange>,
    },
    /// Parent or RDN changed.
    Moved {
        /// The object.
        guid: Guid,
        /// Parent and RDN before. `None`: the root of a naming context.
        before: (Option<Guid>, String),
        /// Parent and RDN after.
        after: (Option<Guid>, String),
    },
    /// The object is gone; this is what it was (its links to others included; links of others to it were removed by
    /// entries before this one).
    Deleted(Record),
}

impl ObjectChange {
    /// The object that changed.
    pub fn guid(&self) -> Guid {
        match self {
            ObjectChange::Added(record) | ObjectChange::Deleted(record) => record.guid,
            ObjectChange::Modified { guid, .. } | ObjectChange::Moved { guid, .. } => *guid,
        }
    }
}

/// What happened to one attribute of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeChange {
    /// All values were replaced.
    Replaced {
        /// The attribute.
        name: String,
        /// Values before, none when it was absent.
        before: Vec<Value>,
        /// Values after, none when it is absent now.
        after: Vec<Value>,
    },
    /// Links were removed and added; the others stay. Values are `<GUID=…>`.
    Links {
        /// The attribute.
        name: String,
        /// Links that are gone.
        removed: Vec<Value>,
        /// Links that are new.
        added: Vec<Value>,
    },
}

impl AttributeChange {
    /// The attribute that changed.
    pub fn name(&self) -> &str {
        match self {
            AttributeChange::Replaced { name, .. } | AttributeChange::Links { name, .. } => name,
        }
    }
}

impl ChangeLog {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes that lead back, byte for byte, to where the log began. The one exception is the domain's RID
    /// counter (`rIDNextRID`): a SID that was given out is never given out again, because an ACE elsewhere may name it.
    pub fn inverse(&self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.changes.len());
        for entry in self.changes.iter().rev() {
            match entry {
                ObjectChange::Added(record) => changes.push(Change::Delete { guid: record.guid }),
                ObjectChange::Deleted(record) => changes.push(Change::Add(record.clone())),
                ObjectChange::Moved { guid, before: (Some(parent), rdn), .. } => {
                    changes.push(Change::Move { guid: *guid, parent: *parent, rdn: rdn.clone() });
                }
                ObjectChange::Moved { .. } => {}
                ObjectChange::Modified { guid, attributes } => invert_attributes(*guid, attributes, &mut changes),
            }
        }
        changes
    }
}

fn invert_attributes(guid: Guid, attributes: &[AttributeChange], changes: &mut Vec<Change>) {
    let mut replaced = Vec::new();
    for attribute in attributes {
        match attribute {
            AttributeChange::Replaced { name, .. } if name == crate::attributes::NEXT_RID => {}
            AttributeChange::Replaced { name, before, .. } => replaced.push((name.clone(), before.clone())),
            AttributeChange::Links { name, removed, added } => changes.push(Change::Values {
                guid,
                attribute: name.clone(),
                add: removed.clone(),
                remove: added.clone(),
            }),
        }
    }
    if !replaced.is_empty() {
        changes.push(Change::Modify { guid, attributes: replaced });
    }
}

/// Why a batch was refused. Nothing of it was done. `object` is a DN where there is one, else the GUID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The object to change does not exist.
    #[error("there is no object {0}")]
    UnknownObject(Guid),
    /// The parent of an added or moved object does not exist (parents come before their children).
    #[error("{object}: its parent {parent} does not exist")]
    UnknownParent {
        /// The object.
        object: String,
        /// The parent.
        parent: Guid,
    },
    /// Something that must be unique is taken.
    #[error("{object}: {attribute} “{value}” already belongs to {holder}")]
    Taken {
        /// The object.
        object: String,
        /// The attribute (`distinguishedName` for the name itself).
        attribute: String,
        /// The value.
        value: String,
        /// Who has it.
        holder: String,
    },
    /// A value that the attribute cannot hold.
    #[error("{object}: {attribute}: {reason}")]
    BadValue {
        /// The object.
        object: String,
        /// The attribute.
        attribute: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A link to an object that does not exist.
    #[error("{object}: {attribute} refers to “{target}”, which does not exist")]
    UnknownLink {
        /// The object.
        object: String,
        /// The attribute.
        attribute: String,
        /// The link as given.
        target: String,
    },
    /// The attribute is given by the directory and cannot be set.
    #[error("{object}: {attribute} cannot be changed")]
    ReadOnly {
        /// The object.
        object: String,
        /// The attribute.
        attribute: String,
    },
    /// An object with children cannot be deleted.
    #[error("{object} has {children} objects below it; delete or move those first")]
    NotLeaf {
        /// The object.
        object: String,
        /// How many children.
        children: usize,
    },
    /// A move that the directory does not allow.
    #[error("{object} cannot be moved to {target}: {reason}")]
    BadMove {
        /// The object.
        object: String,
        /// Its new place.
        target: String,
        /// Why not.
        reason: String,
    },
    /// No domain above the object to give it a SID, or its RIDs are used up.
    #[error("{object}: {reason}")]
    NoSid {
        /// The object.
        object: String,
        /// Why.
        reason: String,
    },
}
