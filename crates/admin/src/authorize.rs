//! May the caller do it? Every change is checked on the objects that it touches, by the same access check that decides
//! about mail (`architecture.md`: "Who may administer what is decided by the same AccessCheck").

use std::collections::{HashMap, HashSet};

use acl::names::{self, Kind};
use acl::{AccessMask, Guid, Outcome, Principals, guid, well_known};
use directory::disconnected::{OF_MAILBOX, keep};
use directory::{Change, ChangeLog, Class, ObjectChange, ObjectId, Record, Snapshot, Time, attributes};
use rights::admin::{Action, may};

use crate::caller::Caller;
use crate::error::{Fault, FaultKind};

/// `User-Force-Change-Password`: reset without knowing the old one.
pub const RESET_PASSWORD: Guid = guid!("00299570-246d-11d0-a768-00aa006e0529");

/// Attributes that only administrators write, whatever the descriptor says: they amount to other people's rights.
const RESERVED: [&str; 5] = [
    attributes::OBJECT_SID,
    attributes::SID_HISTORY,
    attributes::PRIMARY_GROUP_ID,
    attributes::ADMIN_COUNT,
    attributes::NEXT_RID,
];

/// Property sets of attributes (attributeSecurityGUID of AD's schema).
const PROPERTY_SETS: [(&str, Guid); 10] = [
    (attributes::EXPIRING_DELEGATE, names::PERSONAL_INFORMATION),
    (attributes::PUBLIC_DELEGATES, names::PERSONAL_INFORMATION),
    (attributes::PROXY_ADDRESSES, names::PUBLIC_INFORMATION),
    (attributes::MAIL, names::PUBLIC_INFORMATION),
    (attributes::USER_PRINCIPAL_NAME, names::PUBLIC_INFORMATION),
    (attributes::MANAGER, names::PUBLIC_INFORMATION),
    (attributes::DISPLAY_NAME, guid!("59ba2f42-79a2-11d0-9020-00c04fc2d3cf")),
    (attributes::SAM_ACCOUNT_NAME, guid!("59ba2f42-79a2-11d0-9020-00c04fc2d3cf")),
    (attributes::USER_ACCOUNT_CONTROL, guid!("4c164200-20c0-11d0-a768-00aa006e0529")),
    (attributes::MEMBER, guid!("bc0ac240-79a9-11d0-9020-00c04fc2d4cf")),
];

/// Checks one right on one object.
pub fn require(
    snapshot: &Snapshot,
    caller: &Caller,
    on: ObjectId,
    action: Action<'_>,
    what: &str,
) -> Result<(), Fault> {
    if may(snapshot, &caller.token, on, action) { Ok(()) } else { Err(denied(snapshot, caller, on, what)) }
}

fn denied(snapshot: &Snapshot, caller: &Caller, on: ObjectId, what: &str) -> Fault {
    Fault::new(FaultKind::Denied, format!("{} may not {what} {}", caller.name, snapshot.dn(on)))
        .help(format!("`procura permission get '{}'` shows who may", snapshot.dn(on)))
}

/// What concerns the organization as a whole (decisions of others, the queue): who may change the organization.
pub fn require_organization(snapshot: &Snapshot, caller: &Caller, what: &str) -> Result<(), Fault> {
    let Some(organization) = snapshot.organization() else {
        return Err(
            Fault::new(FaultKind::Unavailable, "there is no organization").help("create one with `procura init DIR`")
        );
    };
    let class = [Class::Organization.schema_guid()];
    require(snapshot, caller, organization, Action::WriteProperty(&class), what)
}

/// Checks every change of a batch on the snapshot before it. What the batch itself creates is the creator's.
pub fn authorize(snapshot: &Snapshot, caller: &Caller, changes: &[Change]) -> Result<(), Fault> {
    authorize_batch(snapshot, caller, changes, &created_by(changes), false)
}

/// Checks changes that follow one another, part after part, on the snapshot before all of them.
#[derive(Default)]
pub struct Created(HashSet<Guid>);

impl Created {
    /// Checks the next part.
    pub fn authorize(&mut self, snapshot: &Snapshot, caller: &Caller, changes: &[Change]) -> Result<(), Fault> {
        self.0.extend(created_by(changes));
        authorize_batch(snapshot, caller, changes, &self.0, false)
    }
}

fn created_by(changes: &[Change]) -> HashSet<Guid> {
    let created = changes.iter().filter_map(|change| match change {
        Change::Add(record) => Some(record.guid),
        _ => None,
    });
    created.collect()
}

/// Taking changes back needs, now, the rights that making them needed (`authorization.md` §8), and those that the way
/// back needs: whoever may create objects may not delete those of others by undoing their creation.
pub fn authorize_undo(
    snapshot: &Snapshot,
    caller: &Caller,
    log: &ChangeLog,
    inverse: &[Change],
    after: &Snapshot,
) -> Result<(), Fault> {
    authorize_batch(snapshot, caller, inverse, &created_by(inverse), true)?;
    for change in &log.changes {
        match change {
            ObjectChange::Added(record) => {
                if let Some(parent) = record.parent.and_then(|parent| snapshot.by_guid(&parent)) {
                    let class = Action::CreateChild(class_of(record).schema_guid());
                    require(snapshot, caller, parent, class, "create an object below")?;
                }
            }
            ObjectChange::Moved { after: (Some(parent), _), guid, .. } => {
                if let (Some(parent), Some(object)) =
                    (snapshot.by_guid(parent), snapshot.by_guid(guid).and_then(|id| snapshot.object(id)))
                {
                    let class = Action::CreateChild(object.class().schema_guid());
                    require(snapshot, caller, parent, class, "create an object below")?;
                }
            }
            ObjectChange::Deleted(record) => {
                if let Some(id) = after.by_guid(&record.guid) {
                    require(after, caller, id, Action::Delete, "delete")?;
                }
            }
            // The way back is the same kind of change.
            ObjectChange::Modified { .. } | ObjectChange::Moved { .. } => {}
        }
    }
    Ok(())
}

/// What a mailbox takes along when it loses its owner or gets one in a batch: no right is made that was not there, so it
/// takes what moving the mailbox takes and nothing more.
struct Mailboxes<'a> {
    snapshot: &'a Snapshot,
    changes: &'a [Change],
}

impl Mailboxes<'_> {
    /// Whether a new object keeps a mailbox that its owner loses in the same batch: whoever may take the mailbox from the
    /// owner, or delete the owner, leaves it behind where it is.
    fn is_left_behind(&self, record: &Record) -> bool {
        class_of(record) == Class::DisconnectedMailbox
            && self.changes.iter().any(|change| {
                let loses = match change {
                    Change::Delete { .. } => true,
                    Change::Modify { attributes, .. } => attributes
                        .iter()
                        .any(|(name, values)| name.eq_ignore_ascii_case(attributes::MAILBOX_GUID) && values.is_empty()),
                    _ => false,
                };
                let owner = self.snapshot.by_guid(&target(change)).filter(|_| loses);
                // Just what Procura itself would keep of it.
                let kept = owner.and_then(|id| keep(self.snapshot, id, "", record.guid, Time(0)));
                kept.is_some_and(|kept| {
                    kept.parent == record.parent
                        && [attributes::DISCONNECTED_MAILBOX, attributes::DESCRIPTOR]
                            .iter()
                            .chain(&OF_MAILBOX)
                            .all(|name| kept.values(name) == record.values(name))
                })
            })
    }

    fn has_none(&self, id: ObjectId) -> bool {
        self.snapshot.object(id).is_some_and(|object| object.mailbox().is_none())
    }

    /// Whether an attribute of the mailbox only moves: to what keeps it, or to its new owner from there.
    fn moves(&self, on: ObjectId, name: &str, values: &[directory::Value]) -> bool {
        let before = self.snapshot.attribute(on, name);
        self.changes.iter().any(|change| match change {
            Change::Add(record) if values.is_empty() => {
                self.is_left_behind(record) && record.values(name) == before.as_slice()
            }
            Change::Delete { guid } if before.is_empty() && self.has_none(on) => {
                let gone = self.snapshot.by_guid(guid).filter(|id| self.snapshot.disconnected(*id).is_some());
                gone.is_some_and(|id| self.snapshot.attribute(id, name).as_slice() == values)
            }
            _ => false,
        })
    }
}

/// `restored`: new objects come back as they once were, SID and owner included.
fn authorize_batch(
    snapshot: &Snapshot,
    caller: &Caller,
    changes: &[Change],
    created: &HashSet<Guid>,
    restored: bool,
) -> Result<(), Fault> {
    let mailboxes = Mailboxes { snapshot, changes };
    // Imports create and change thousands of objects alike; a check depends on the descriptor, not on the object.
    let mut known: HashMap<(ObjectId, Guid), bool> = HashMap::new();
    for change in changes {
        lent(snapshot, caller, change)?;
        match change {
            Change::Add(record) => {
                let names = record.attributes.keys();
                reserved(snapshot, caller, names.filter(|name| !restored || *name != attributes::OBJECT_SID))?;
                if !restored {
                    descriptor_owner(snapshot, caller, record)?;
                }
                match record.parent {
                    Some(parent) if created.contains(&parent) => {}
                    Some(_) if mailboxes.is_left_behind(record) => {}
                    Some(parent) => {
                        let parent = existing(snapshot, &parent)?;
                        let class = class_of(record).schema_guid();
                        let allowed = *known
                            .entry((parent, class))
                            .or_insert_with(|| may(snapshot, &caller.token, parent, Action::CreateChild(class)));
                        if !allowed {
                            return Err(denied(snapshot, caller, parent, "create an object below"));
                        }
                    }
                    None => naming_context(snapshot, caller)?,
                }
            }
            _ if created.contains(&target(change)) => {}
            Change::Modify { guid, attributes } => {
                let on = existing(snapshot, guid)?;
                reserved(snapshot, caller, attributes.iter().map(|(name, _)| name))?;
                for (name, values) in attributes {
                    if is_of_mailbox(name) && mailboxes.moves(on, name, values) {
                        continue;
                    }
                    write(snapshot, caller, on, name)?;
                }
            }
            Change::Values { guid, attribute, .. } => {
                write(snapshot, caller, existing(snapshot, guid)?, attribute)?;
            }
            Change::Move { guid, parent, .. } => {
                let on = existing(snapshot, guid)?;
                let Some(object) = snapshot.object(on) else { continue };
                write(snapshot, caller, on, attributes::NAME)?;
                let to = existing(snapshot, parent)?;
                if object.parent() != Some(to) {
                    require(snapshot, caller, on, Action::Delete, "move (delete)")?;
                    let class = Action::CreateChild(object.class().schema_guid());
                    require(snapshot, caller, to, class, "create an object below")?;
                }
            }
            Change::Delete { guid } => {
                require(snapshot, caller, existing(snapshot, guid)?, Action::Delete, "delete")?;
            }
        }
    }
    Ok(())
}

/// Whoever puts files into a folder sends as the account that is assigned to it. To say which folder, and which account,
/// amounts to granting rights on the account.
fn lent(snapshot: &Snapshot, caller: &Caller, change: &Change) -> Result<(), Fault> {
    const OF_FOLDER: [&str; 3] = [attributes::FOLDER_ACCOUNT, attributes::FOLDER_PATH, attributes::FOLDER_IDENTITY];
    let is_of_folder = |name: &str| OF_FOLDER.iter().any(|own| name.eq_ignore_ascii_case(own));
    let is_account = |name: &str| name.eq_ignore_ascii_case(attributes::FOLDER_ACCOUNT);
    let empty = Vec::new();
    let (touched, named) = match change {
        Change::Add(record) => {
            (record.attributes.keys().any(|name| is_of_folder(name)), Some(record.values(attributes::FOLDER_ACCOUNT)))
        }
        Change::Modify { attributes, .. } => (
            attributes.iter().any(|(name, _)| is_of_folder(name)),
            attributes.iter().find(|(name, _)| is_account(name)).map(|(_, values)| values.as_slice()),
        ),
        Change::Values { attribute, add, .. } => {
            (is_of_folder(attribute), is_account(attribute).then_some(add.as_slice()))
        }
        Change::Move { .. } | Change::Delete { .. } => (false, None),
    };
    if !touched {
        return Ok(());
    }
    let accounts = match named {
        Some(values) => values.iter().filter_map(|value| linked(snapshot, value)).collect(),
        None => snapshot.by_guid(&target(change)).map_or(empty, |id| snapshot.links(id, attributes::FOLDER_ACCOUNT)),
    };
    accounts
        .into_iter()
        .try_for_each(|account| require(snapshot, caller, account, Action::WriteDac, "lend to a folder the rights of"))
}

/// The object that a link means, as it is written.
fn linked(snapshot: &Snapshot, value: &[u8]) -> Option<ObjectId> {
    match directory::parse_link(value) {
        Some(guid) => snapshot.by_guid(&guid),
        None => snapshot.resolve(std::str::from_utf8(value).ok()?).ok(),
    }
}

fn target(change: &Change) -> Guid {
    match change {
        Change::Add(record) => record.guid,
        Change::Modify { guid, .. }
        | Change::Values { guid, .. }
        | Change::Move { guid, .. }
        | Change::Delete { guid } => *guid,
    }
}

fn existing(snapshot: &Snapshot, guid: &Guid) -> Result<ObjectId, Fault> {
    snapshot.by_guid(guid).ok_or_else(|| Fault::new(FaultKind::NotFound, format!("there is no object {guid}")))
}

fn class_of(record: &Record) -> Class {
    Class::from_object_classes(record.values(attributes::OBJECT_CLASS))
}

fn write(snapshot: &Snapshot, caller: &Caller, on: ObjectId, name: &str) -> Result<(), Fault> {
    // The end of a grant is a change of permissions as the grant is.
    if [attributes::DESCRIPTOR, attributes::EXPIRING_GRANT].iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return require(snapshot, caller, on, Action::WriteDac, "change permissions of");
    }
    if name.eq_ignore_ascii_case(attributes::FOLDER_PERMISSION) && owns_mailbox(snapshot, caller, on) {
        return Ok(());
    }
    if is_of_mailbox(name) {
        return mailbox_permissions(snapshot, caller, on);
    }
    let Some(object) = snapshot.object(on) else { return Ok(()) };
    let mut path = vec![object.class().schema_guid()];
    path.extend(PROPERTY_SETS.iter().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name)).map(|(_, set)| *set));
    path.extend(names::by_name(name).filter(|row| row.kind == Kind::Attribute).map(|row| row.guid));
    require(snapshot, caller, on, Action::WriteProperty(&path), &format!("write {name} of"))
}

/// Who has Full Mailbox Access may use all folders, and hand none on; the owner of the mailbox may.
fn owns_mailbox(snapshot: &Snapshot, caller: &Caller, on: ObjectId) -> bool {
    caller.token.account == Some(on) && snapshot.object(on).is_some_and(|object| object.mailbox().is_some())
}

/// May the caller change the rights on folders of a mailbox? Its owner may, and who may change its permissions.
pub fn may_change_folders(snapshot: &Snapshot, caller: &Caller, owner: ObjectId) -> bool {
    write(snapshot, caller, owner, attributes::FOLDER_PERMISSION).is_ok()
}

/// What belongs to the mailbox. The backup copy is written together with what it is a copy of.
fn is_of_mailbox(name: &str) -> bool {
    OF_MAILBOX.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Mailbox rights live in the store: who may change permissions there (0x40000 on the mailbox), or on the database that
/// holds the mailbox, changes them.
fn mailbox_permissions(snapshot: &Snapshot, caller: &Caller, owner: ObjectId) -> Result<(), Fault> {
    let Some(object) = snapshot.object(owner) else { return Ok(()) };
    let place = object.mailbox().and_then(|mailbox| mailbox.database).unwrap_or(owner);
    let sids = caller.token.sids_on(snapshot, place);
    let who = Principals { is_self: object.sid().is_some_and(|sid| sids.contains(sid)), is_owner: false };
    let on_mailbox = snapshot
        .mailbox_descriptor(owner)
        .is_some_and(|descriptor| descriptor.dacl().access(sids, who, AccessMask::WRITE_DAC).outcome == Outcome::Allow);
    let store = object.mailbox().and_then(|mailbox| mailbox.database).or_else(|| snapshot.organization());
    let on_store = store.is_some_and(|store| may(snapshot, &caller.token, store, Action::WriteDac));
    if on_mailbox || on_store { Ok(()) } else { Err(denied(snapshot, caller, owner, "change mailbox permissions of")) }
}

/// Holds `BUILTIN\Administrators`.
pub fn is_administrator(snapshot: &Snapshot, caller: &Caller) -> bool {
    // In a directory that is empty yet, no descriptor has given their SID a number.
    caller.sid == well_known::BUILTIN_ADMINISTRATORS
        || snapshot.sid_id(&well_known::BUILTIN_ADMINISTRATORS).is_some_and(|sid| caller.token.sids.contains(sid))
}

fn reserved<'a>(
    snapshot: &Snapshot,
    caller: &Caller,
    mut names: impl Iterator<Item = &'a String>,
) -> Result<(), Fault> {
    let name = names.find(|name| RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name)));
    match name {
        Some(name) if !is_administrator(snapshot, caller) => {
            Err(Fault::new(FaultKind::Denied, format!("{} may not set {name}: only administrators may", caller.name)))
        }
        _ => Ok(()),
    }
}

/// A new object belongs to its creator, unless an administrator gives it to somebody (MS-ADTS 5.1.3.2).
fn descriptor_owner(snapshot: &Snapshot, caller: &Caller, record: &Record) -> Result<(), Fault> {
    let Some(bytes) = record.values(attributes::DESCRIPTOR).first().filter(|bytes| !bytes.is_empty()) else {
        return Ok(());
    };
    let owner = acl::SecurityDescriptor::parse(bytes)
        .map_err(|e| Fault::new(FaultKind::Invalid, format!("{}: nTSecurityDescriptor: {e}", record.rdn)))?
        .owner;
    let own = owner.is_none_or(|sid| snapshot.sid_id(&sid).is_some_and(|sid| caller.token.sids.contains(sid)));
    if own || is_administrator(snapshot, caller) {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Denied, format!("{} may not create {} for another owner", caller.name, record.rdn)))
}

/// A new domain is registered in the Configuration partition: who may create objects there may add one.
fn naming_context(snapshot: &Snapshot, caller: &Caller) -> Result<(), Fault> {
    let configuration = snapshot.objects().find(|(_, object)| object.class() == Class::Configuration).map(|(id, _)| id);
    match configuration {
        Some(id) => require(snapshot, caller, id, Action::CreateChild(Class::Domain.schema_guid()), "add a domain, in"),
        None if caller.sid == well_known::BUILTIN_ADMINISTRATORS => Ok(()),
        None => Err(Fault::new(FaultKind::Denied, format!("{} may not add a domain", caller.name))),
    }
}
