//! Rows of owners that share a descriptor, worked out once: of a million owners some ten thousand differ.

use std::collections::{HashMap, HashSet};
use std::io;

use acl::{AceFlags, Sid, SidId, well_known};
use directory::{Class, ObjectId, Snapshot};
use rights::{
    Allowed, DescriptorKind, Holding, Permission, Person, Proof, SendAsAudit, Via, has_legacy_policy, standing,
    who_people,
};

use super::rows::{ace, holder_row, person_row, principal, row, target_name};
use crate::documents::HolderRow;
use crate::sheet::{Block, Sheet};
use crate::words;

/// Octets of rows that are kept at most. Owners with the same descriptor mostly stand together.
const MAX_KEPT: usize = 64 << 20;
/// Names, and ways through groups, that are kept at most.
const MAX_NAMES: usize = 256 << 10;

/// Where rows go: to a page, or as text.
pub(crate) trait Rows {
    /// Rows that targets have in common.
    type Kept;

    /// Keeps rows, `accounts` being whom they are about, in ascending order, or nothing.
    fn keep(&self, rows: Vec<HolderRow>, accounts: Vec<ObjectId>) -> Self::Kept;

    /// Octets that these take, about.
    fn size(kept: &Self::Kept) -> usize;

    /// One row.
    fn row(&mut self, row: HolderRow) -> io::Result<()>;

    /// Rows about a target, but for the target's own.
    fn kept(&mut self, kept: &Self::Kept, target: ObjectId, about: &HolderRow) -> io::Result<()>;
}

/// Rows of a page.
impl Rows for Vec<HolderRow> {
    type Kept = (Vec<HolderRow>, Vec<ObjectId>);

    fn keep(&self, rows: Vec<HolderRow>, accounts: Vec<ObjectId>) -> Self::Kept {
        (rows, accounts)
    }

    fn size(kept: &Self::Kept) -> usize {
        kept.0.len() * 512
    }

    fn row(&mut self, row: HolderRow) -> io::Result<()> {
        self.push(row);
        Ok(())
    }

    fn kept(&mut self, (rows, accounts): &Self::Kept, target: ObjectId, about: &HolderRow) -> io::Result<()> {
        let own = accounts.binary_search(&target).ok();
        let others = rows.iter().enumerate().filter(|(number, _)| own != Some(*number));
        self.extend(others.map(|(_, row)| HolderRow {
            target: about.target.clone(),
            target_dn: about.target_dn.clone(),
            protected: about.protected,
            ..row.clone()
        }));
        Ok(())
    }
}

impl Rows for Sheet<'_> {
    type Kept = Block;

    fn keep(&self, rows: Vec<HolderRow>, accounts: Vec<ObjectId>) -> Block {
        Block::new(self.format(), rows.into_iter(), accounts)
    }

    fn size(kept: &Block) -> usize {
        kept.size()
    }

    fn row(&mut self, row: HolderRow) -> io::Result<()> {
        Sheet::row(self, &row)
    }

    fn kept(&mut self, kept: &Block, target: ObjectId, about: &HolderRow) -> io::Result<()> {
        self.block(kept, target, about)
    }
}

/// What to say about each owner.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    /// Groups resolved to people.
    pub expand: bool,
    /// Entries that decide nothing, too.
    pub all: bool,
    /// What owners hold on themselves, too.
    pub include_self: bool,
}

/// Works out rows about owners, one after the other, and remembers what they have in common. For one snapshot.
pub(super) struct Shared<'a, R: Rows> {
    snapshot: &'a Snapshot,
    send_as: SendAsAudit<'a>,
    entries: HashMap<Key, Option<Entries<R::Kept>>>,
    people: HashMap<Key, R::Kept>,
    /// Octets in `entries` and `people`.
    size: usize,
    one_by_one: HashMap<(Key, ObjectId), HolderRow>,
    names: HashMap<ObjectId, (String, String)>,
    ways: HashMap<(ObjectId, SidId), Vec<String>>,
    above: Option<(ObjectId, String)>,
}

/// Permission, descriptor by its place in memory (the snapshot keeps it), and what else the origin of an entry depends
/// on.
type Key = (Permission, usize, Option<ObjectId>, Class);

/// Rows of the entries of a descriptor, and whom they name.
struct Entries<K> {
    named: HashSet<Sid>,
    rows: K,
}

impl<'a, R: Rows> Shared<'a, R> {
    pub fn new(snapshot: &'a Snapshot) -> Shared<'a, R> {
        Shared {
            snapshot,
            send_as: SendAsAudit::new(snapshot),
            entries: HashMap::new(),
            people: HashMap::new(),
            size: 0,
            one_by_one: HashMap::new(),
            names: HashMap::new(),
            ways: HashMap::new(),
            above: None,
        }
    }

    /// All rows about a target.
    pub fn about(
        &mut self,
        target: ObjectId,
        permissions: &[Permission],
        wanted: Wanted,
        out: &mut R,
    ) -> io::Result<()> {
        if self.size > MAX_KEPT {
            self.entries.clear();
            self.people.clear();
            self.size = 0;
        }
        let about = self.target(target);
        for permission in permissions {
            match wanted.expand {
                true => self.people(target, *permission, &about, wanted, out)?,
                false => self.reasons(target, *permission, &about, wanted, out)?,
            }
        }
        Ok(())
    }

    /// A row that only says on whom it is.
    fn target(&mut self, target: ObjectId) -> HolderRow {
        let snapshot = self.snapshot;
        let object = snapshot.object(target);
        let target_dn = match object.and_then(|object| Some((object.rdn(), object.parent()?))) {
            Some((rdn, parent)) => {
                if self.above.as_ref().is_none_or(|(above, _)| *above != parent) {
                    self.above = Some((parent, snapshot.dn(parent)));
                }
                let above = self.above.as_ref().map_or("", |(_, dn)| dn.as_str());
                format!("{rdn},{above}")
            }
            None => snapshot.dn(target),
        };
        HolderRow {
            target: target_name(snapshot, target),
            target_dn,
            protected: snapshot.is_protected(target),
            ..HolderRow::default()
        }
    }

    fn reasons(
        &mut self,
        target: ObjectId,
        permission: Permission,
        about: &HolderRow,
        wanted: Wanted,
        out: &mut R,
    ) -> io::Result<()> {
        if !wanted.include_self && !wanted.all && self.entries(target, permission, about, out)? {
            return Ok(());
        }
        let itself = |row: &Holding| row.object == Some(row.target);
        let mut rows = standing(self.snapshot, target, permission).into_iter();
        let wanted = |row: &Holding| (row.effective || wanted.all) && (wanted.include_self || !itself(row));
        rows.try_for_each(|row| if wanted(&row) { out.row(holder_row(self.snapshot, &row)) } else { Ok(()) })
    }

    fn people(
        &mut self,
        target: ObjectId,
        permission: Permission,
        about: &HolderRow,
        wanted: Wanted,
        out: &mut R,
    ) -> io::Result<()> {
        if permission == Permission::SendAs && !wanted.include_self && !self.has_more_than_entries(target) {
            return self.senders(target, about, out);
        }
        for person in who_people(self.snapshot, target, permission) {
            if wanted.include_self || person.account != target {
                let row = self.person(&person);
                out.row(row)?;
            }
        }
        Ok(())
    }

    fn key(&self, target: ObjectId, permission: Permission) -> Option<Key> {
        let object = self.snapshot.object(target)?;
        let (descriptor, above) = match permission {
            Permission::SendAs => (self.snapshot.descriptor(target)?, object.parent()),
            Permission::FullAccess => (self.snapshot.mailbox_descriptor(target)?, object.mailbox()?.database),
            Permission::SendOnBehalf => return None,
        };
        Some((permission, std::ptr::from_ref(descriptor) as usize, above, object.class()))
    }

    /// The effective rows about a target, the target's own left out; false where they have to be worked out for the
    /// target alone: it is named by an entry, has delegates or an external account, or is under the legacy policy.
    fn entries(
        &mut self,
        target: ObjectId,
        permission: Permission,
        about: &HolderRow,
        out: &mut R,
    ) -> io::Result<bool> {
        let snapshot = self.snapshot;
        let (Some(key), Some(object)) = (self.key(target, permission), snapshot.object(target)) else {
            return Ok(false);
        };
        let in_others = matches!(object.class(), Class::Group | Class::ForeignPrincipal)
            || object.sid().is_some_and(|own| snapshot.is_former_sid(own));
        if in_others || permission == Permission::SendAs && self.has_more_than_entries(target) {
            return Ok(false);
        }
        let known = self.entries.entry(key).or_insert_with(|| {
            let (named, rows) = entries(snapshot, target, permission)?;
            let rows = out.keep(rows, Vec::new());
            self.size += R::size(&rows);
            Some(Entries { named, rows })
        });
        let own = object.sid().map(|sid| snapshot.sid(sid));
        let Some(known) = known.as_ref().filter(|known| own.is_none_or(|own| !known.named.contains(&own))) else {
            return Ok(false);
        };
        out.kept(&known.rows, target, about)?;
        Ok(true)
    }

    /// Whether there are reasons to send as a target beside the entries of its descriptor.
    fn has_more_than_entries(&self, target: ObjectId) -> bool {
        let snapshot = self.snapshot;
        snapshot.object(target).is_none_or(|object| object.master_account().is_some())
            || !snapshot.delegates(target).is_empty()
            || has_legacy_policy(snapshot, target)
    }

    /// All who send as a target by the entries of its descriptor, but itself.
    fn senders(&mut self, target: ObjectId, about: &HolderRow, out: &mut R) -> io::Result<()> {
        let Some(key) = self.key(target, Permission::SendAs) else { return Ok(()) };
        if let Some(known) = self.people.get(&key)
            && self.send_as.is_shared(target)
        {
            return out.kept(known, target, about);
        }
        let people = self.send_as.allowed(target);
        let entries = self.deciding(target, &people.allowed);
        let rows: Vec<HolderRow> = people.allowed.iter().map(|one| self.sender(&entries, *one)).collect();
        let kept = out.keep(rows, people.allowed.iter().map(|one| one.account).collect());
        out.kept(&kept, target, about)?;
        if people.shared {
            self.size += R::size(&kept);
            self.people.insert(key, kept);
        }
        Ok(())
    }

    /// What is said of each entry of a target's descriptor that decides about one of these.
    fn deciding(&self, target: ObjectId, people: &[Allowed]) -> HashMap<u32, (Option<SidId>, HolderRow)> {
        let snapshot = self.snapshot;
        let mut entries = HashMap::new();
        for index in people.iter().filter_map(|one| one.ace) {
            entries.entry(index).or_insert_with(|| {
                let ace = ace(snapshot, target, DescriptorKind::Object, index as usize);
                let inherited = ace.is_some_and(|ace| ace.flags.contains(AceFlags::INHERITED));
                let row = HolderRow {
                    inherited_from: inherited.then(|| snapshot.dn(snapshot.ace_origin(target, index as usize))),
                    ace: ace.map(|ace| words::sddl(snapshot, ace)),
                    ace_index: Some(index),
                    ..HolderRow::default()
                };
                (ace.and_then(|ace| snapshot.sid_id(&ace.sid)), row)
            });
        }
        entries
    }

    fn sender(&mut self, entries: &HashMap<u32, (Option<SidId>, HolderRow)>, one: Allowed) -> HolderRow {
        let (trustee, trustee_sid) = self.name(one.account).clone();
        let entry = one.ace.and_then(|ace| entries.get(&ace));
        let path = entry.and_then(|(sid, _)| *sid).map(|sid| self.way(one.account, sid).clone());
        HolderRow {
            trustee,
            trustee_sid,
            right: Permission::SendAs.name().to_owned(),
            effective: true,
            via: "ace".to_owned(),
            path: path.unwrap_or_default(),
            ..entry.map(|(_, row)| row.clone()).unwrap_or_default()
        }
    }

    fn name(&mut self, id: ObjectId) -> &(String, String) {
        if self.names.len() > MAX_NAMES {
            self.names.clear();
        }
        self.names.entry(id).or_insert_with(|| principal(self.snapshot, id))
    }

    /// The groups through which an account holds a SID, both ends included; nothing where it is none of its groups.
    fn way(&mut self, account: ObjectId, sid: SidId) -> &Vec<String> {
        if self.ways.len() > MAX_NAMES {
            self.ways.clear();
        }
        if !self.ways.contains_key(&(account, sid)) {
            let path = self.snapshot.membership_path(account, &self.snapshot.sid(sid)).unwrap_or_default();
            let names = path.into_iter().map(|id| self.name(id).0.clone()).collect();
            self.ways.insert((account, sid), names);
        }
        &self.ways[&(account, sid)]
    }

    /// One account that is allowed; what allows it is traced once for each descriptor.
    fn person(&mut self, person: &Person) -> HolderRow {
        let by_entry = matches!(person.proof, Some(Proof::SendAs(_)) | None) && person.account != person.target;
        let key = self.key(person.target, person.permission).filter(|_| by_entry);
        let Some(key) = key else { return person_row(self.snapshot, person) };
        if self.one_by_one.len() > MAX_NAMES {
            self.one_by_one.clear();
        }
        let snapshot = self.snapshot;
        let known = self.one_by_one.entry((key, person.account)).or_insert_with(|| person_row(snapshot, person));
        let about = row(snapshot, person.target, person.permission);
        HolderRow { target: about.target, target_dn: about.target_dn, protected: about.protected, ..known.clone() }
    }
}

/// Whom a target's entries name, and their effective rows but for SELF's; none where an entry names the target itself.
fn entries(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> Option<(HashSet<Sid>, Vec<HolderRow>)> {
    let (mut named, mut rows) = (HashSet::new(), Vec::new());
    for holding in standing(snapshot, target, permission) {
        if !matches!(holding.via, Via::Ace { .. } | Via::NullDacl) || holding.trustee == Some(well_known::SELF) {
            continue;
        }
        if holding.object == Some(target) {
            return None;
        }
        named.extend(holding.trustee.clone());
        if holding.effective {
            rows.push(holder_row(snapshot, &holding));
        }
    }
    Some((named, rows))
}
