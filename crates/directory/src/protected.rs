//! AdminSDHolder (acl-algorithms 1.6): which objects are protected, and what the task would change.

use acl::{Ace, SecurityDescriptor, Sid, well_known};
use roaring::RoaringBitmap;

use crate::attributes::{ADMIN_COUNT, DESCRIPTOR, number};
use crate::{Change, Class, Domain, Object, ObjectId, Snapshot, dn};

/// RIDs in BUILTIN and the bit of dSHeuristics' 16th character that takes the group out: Administrators, Account,
/// Server, Print, Backup Operators, Replicator.
const BUILTIN: [(u32, u32); 6] = [(544, 0), (548, 1), (549, 2), (550, 4), (551, 8), (552, 0)];
/// RIDs of a domain's groups whose members are protected: Domain, Schema, Enterprise Admins.
const GROUPS: [u32; 3] = [512, 518, 519];
/// RIDs of what is protected itself: Administrator, krbtgt, Domain Controllers, Read-only Domain Controllers.
const ALONE: [u32; 4] = [500, 502, 516, 521];

/// All protected objects, by row: users, inetOrgPersons, computers and security groups with a SID of a domain (and the
/// BUILTIN groups themselves) that are transitive members of a protected group; through distribution groups too,
/// because those can be made security groups (KB 318180), and by primary group.
pub(crate) fn protected_set(snapshot: &Snapshot) -> RoaringBitmap {
    let mut reached = RoaringBitmap::new();
    let mut stack: Vec<ObjectId> = roots(snapshot);
    while let Some(id) = stack.pop() {
        if !reached.insert(id.0) {
            continue;
        }
        if snapshot.object(id).is_some_and(|object| object.class() == Class::Group) {
            stack.extend(snapshot.members(id));
            stack.extend(snapshot.primary_members(id));
        }
    }
    for domain in snapshot.domains() {
        let alone = ALONE.iter().filter_map(|rid| domain.sid.with_rid(*rid)).filter_map(|sid| snapshot.by_sid(&sid));
        reached.extend(alone.map(|id| id.0));
    }
    reached.into_iter().filter(|row| snapshot.object(ObjectId(*row)).is_some_and(can_be_protected)).collect()
}

/// Whether members of a group are protected, because it is a protected group or, by whatever way, in one.
pub(crate) fn protects(snapshot: &Snapshot, group: ObjectId) -> bool {
    let roots = roots(snapshot);
    roots.contains(&group) || roots.iter().any(|root| snapshot.is_member(group, *root))
}

/// The protected groups that exist.
fn roots(snapshot: &Snapshot) -> Vec<ObjectId> {
    let excluded = excluded_operators(snapshot);
    let builtin =
        BUILTIN.iter().filter(|(_, bit)| excluded & bit == 0).filter_map(|(rid, _)| well_known::BUILTIN.with_rid(*rid));
    let of_domain = |domain: &Domain| GROUPS.map(|rid| domain.sid.with_rid(rid));
    let groups = snapshot.domains().iter().flat_map(of_domain).flatten();
    // BUILTIN groups exist once in each domain, with the same SID.
    let with_sid = |sid: Sid| snapshot.sid_id(&sid).map(|sid| snapshot.with_sid(sid)).unwrap_or_default();
    builtin.chain(groups).flat_map(with_sid).collect()
}

fn can_be_protected(object: &Object) -> bool {
    object.sid().is_some() && (object.class().is_account() || object.is_security_group())
}

/// Bits of the 16th character of dSHeuristics (MS-ADTS 6.1.1.2.4.1.2, dwAdminSDExMask), a hexadecimal digit.
fn excluded_operators(snapshot: &Snapshot) -> u32 {
    let service = snapshot.domains().iter().find_map(|domain| {
        let root = snapshot.dn(domain.object);
        snapshot.by_dn(&format!("CN=Directory Service,CN=Windows NT,CN=Services,CN=Configuration,{root}"))
    });
    let text = service.and_then(|id| snapshot.object(id)).and_then(|object| object.text(number::DS_HEURISTICS));
    text.and_then(|text| text.chars().nth(15)).and_then(|digit| digit.to_digit(16)).unwrap_or(0)
}

/// The AdminSDHolder object of a domain.
pub fn template(snapshot: &Snapshot, domain: &Domain) -> Option<ObjectId> {
    let root = dn::parse(&snapshot.dn(domain.object)).ok()?;
    snapshot.by_dn(&format!("CN=AdminSDHolder,CN=System,{}", dn::join(&root)))
}

/// Why an object is protected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// It is protected whatever it is a member of: it is one of the groups, Administrator, krbtgt, ….
    pub itself: bool,
    /// The shortest way up to each protected group that it is in: the object, groups between, the protected group.
    pub through: Vec<Vec<ObjectId>>,
}

/// Why an object is protected; nothing for one that is not.
pub fn reasons(snapshot: &Snapshot, id: ObjectId) -> Reasons {
    if !snapshot.is_protected(id) {
        return Reasons::default();
    }
    let roots = roots(snapshot);
    let sid = snapshot.object(id).and_then(Object::sid).map(|sid| snapshot.sid(sid));
    let of_a_domain = |sid: &Sid| snapshot.domains().iter().any(|domain| sid.domain().as_ref() == Some(&domain.sid));
    let alone = sid.is_some_and(|sid| of_a_domain(&sid) && sid.rid().is_some_and(|rid| ALONE.contains(&rid)));
    let through = roots.iter().filter(|root| **root != id).filter_map(|root| snapshot.path_into(id, *root)).collect();
    Reasons { itself: alone || roots.contains(&id), through }
}

/// All protected objects.
pub fn objects(snapshot: &Snapshot) -> impl Iterator<Item = ObjectId> + '_ {
    snapshot.protected_set().iter().map(ObjectId)
}

/// Objects that were protected, are no longer, and still carry adminCount and a descriptor that inherits nothing.
pub fn orphans(snapshot: &Snapshot) -> impl Iterator<Item = ObjectId> + '_ {
    let counted = snapshot.objects().filter(|(_, object)| object.admin_count());
    counted.map(|(id, _)| id).filter(|id| !snapshot.is_protected(*id))
}

/// What makes an orphan an ordinary object again: it inherits, has the entries of its class and those of its own that
/// the template does not have, and no adminCount. `None`: it is no orphan, or its descriptor cannot be read.
pub fn repair(snapshot: &Snapshot, id: ObjectId) -> Option<Change> {
    let object = snapshot.object(id).filter(|object| object.admin_count() && !snapshot.is_protected(id))?;
    let own = object.explicit.as_ref()?.parse()?;
    let domain = snapshot.domain_of(id)?;
    let root = snapshot.forest_root(id).map(|root| &root.sid);
    let bytes = crate::defaults::explicit(object.class(), Some(&domain.sid), root);
    let mut sd = SecurityDescriptor::parse(&bytes).ok()?;
    sd.owner = own.owner.clone();
    sd.group = own.group.clone();
    let template = template(snapshot, domain).and_then(|id| snapshot.object(id)?.explicit.as_ref()?.parse());
    let of_template =
        |ace: &Ace| template.as_ref().is_some_and(|sd| sd.dacl.iter().any(|dacl| dacl.aces.contains(ace)));
    if let (Some(dacl), Some(own)) = (&mut sd.dacl, own.dacl) {
        for ace in own.aces.into_iter().filter(|ace| !of_template(ace)) {
            acl::edit::add(dacl, ace);
        }
    }
    let attributes = vec![(DESCRIPTOR.to_owned(), vec![sd.to_bytes()]), (ADMIN_COUNT.to_owned(), Vec::new())];
    Some(Change::Modify { guid: object.guid(), attributes })
}

/// What the AdminSDHolder task would change now; none when all protected objects carry the template of their domain and
/// adminCount.
pub fn changes(snapshot: &Snapshot) -> Vec<Change> {
    objects(snapshot).filter_map(|id| change(snapshot, id)).collect()
}

/// What the task would change on one object now.
pub fn change(snapshot: &Snapshot, id: ObjectId) -> Option<Change> {
    let object = snapshot.object(id)?;
    let template = snapshot.object(template(snapshot, snapshot.domain_of(id)?)?)?.explicit.as_ref()?;
    // An unreadable template is no template; one that is not protected is made so, or its copies would inherit.
    let mut sd = template.parse()?;
    let mut bytes = template.bytes.to_vec();
    if !sd.is_dacl_protected() {
        sd.set_dacl_protected(true);
        bytes = sd.to_bytes();
    }
    let mut attributes = Vec::new();
    if object.explicit.as_ref().is_none_or(|own| *own.bytes != *bytes) {
        attributes.push((DESCRIPTOR.to_owned(), vec![bytes]));
    }
    if !object.admin_count() {
        attributes.push((ADMIN_COUNT.to_owned(), vec![b"1".to_vec()]));
    }
    (!attributes.is_empty()).then(|| Change::Modify { guid: object.guid(), attributes })
}
