//! How far a grant on a container reaches, and what stands in its way (`authorization.md` §6).

use std::collections::BTreeMap;

use acl::{Ace, AceFlags, Guid, Outcome, Sid, names};
use directory::{Class, ObjectId, Snapshot};
use rights::effective_send_as;

/// Names shown for one reason.
const SHOWN: usize = 10;

/// What keeps a grant on a container from an object below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Obstacle {
    /// The object is protected by AdminSDHolder: what it inherits or is granted is replaced.
    Protected,
    /// It was protected once, and still inherits nothing.
    Orphan,
    /// Inheritance is blocked on the object itself or between.
    Blocked(ObjectId),
    /// An entry denies it.
    Denied {
        /// Where it is explicit.
        origin: ObjectId,
        /// Whom it names.
        trustee: Sid,
    },
    /// The descriptor could not be read.
    Unreadable,
}

impl Obstacle {
    /// For people.
    pub fn words(&self, snapshot: &Snapshot) -> String {
        match self {
            Obstacle::Protected => "protected by AdminSDHolder: the entry is replaced within the hour".to_owned(),
            Obstacle::Orphan => {
                "inheritance is blocked since the account was an administrator's (AdminSDHolder orphan)".to_owned()
            }
            Obstacle::Blocked(at) => format!("inheritance is blocked at {}", snapshot.dn(*at)),
            Obstacle::Denied { origin, trustee } => {
                format!("denied to {} by an entry on {}", snapshot.sid_name(trustee), snapshot.dn(*origin))
            }
            Obstacle::Unreadable => "the descriptor could not be read".to_owned(),
        }
    }
}

/// The first place, from the object up to the container (left out), that inherits nothing.
pub(crate) fn blocked(snapshot: &Snapshot, object: ObjectId, container: Option<ObjectId>) -> Option<ObjectId> {
    let mut at = Some(object);
    while let Some(id) = at.filter(|id| Some(*id) != container) {
        // An unreadable descriptor hands nothing down either.
        if snapshot.explicit_descriptor(id).is_none_or(|descriptor| descriptor.is_dacl_protected()) {
            return Some(id);
        }
        let object = snapshot.object(id)?;
        at = object.parent().filter(|_| !object.class().is_naming_context());
    }
    None
}

/// What keeps an inheritable entry on `container` from `object`, on the snapshot that has the entry.
pub(crate) fn obstacle(snapshot: &Snapshot, object: ObjectId, container: ObjectId) -> Option<Obstacle> {
    if snapshot.descriptor(object).is_none() {
        return Some(Obstacle::Unreadable);
    }
    if snapshot.is_protected(object) {
        return Some(Obstacle::Protected);
    }
    let at = blocked(snapshot, object, Some(container))?;
    let orphan = at == object && snapshot.object(object).is_some_and(|object| object.admin_count());
    Some(if orphan { Obstacle::Orphan } else { Obstacle::Blocked(at) })
}

/// The denial that stands before a grant of Send As to a trustee.
pub(crate) fn denial(snapshot: &Snapshot, object: ObjectId, trustee: &Sid) -> Option<Obstacle> {
    match effective_send_as(snapshot, object, trustee)? {
        (Outcome::Deny, Some(index)) => {
            let aces = &snapshot.descriptor(object)?.sd().dacl.as_ref()?.aces;
            let trustee = aces.get(index)?.sid.clone();
            Some(Obstacle::Denied { origin: snapshot.ace_origin(object, index), trustee })
        }
        _ => None,
    }
}

/// Whether an entry hands Send As down to users.
pub(crate) fn hands_down(ace: &Ace) -> bool {
    let for_users = ace.inherited_object_type.is_none_or(|class| class == names::USER);
    let send_as = ace.mask.contains(acl::AccessMask::CONTROL_ACCESS)
        && ace.object_type.is_none_or(|right| right == names::SEND_AS);
    ace.is_allow() && ace.flags.contains(AceFlags::CONTAINER_INHERIT) && for_users && send_as
}

/// Warnings about objects of a class below a container that new inheritable entries do not reach. `after` has them.
pub(crate) fn warnings(after: &Snapshot, container: ObjectId, aces: &[Ace], class: Guid) -> Vec<String> {
    let mut by: BTreeMap<Obstacle, Vec<ObjectId>> = BTreeMap::new();
    let grants_send_as = aces.iter().any(hands_down);
    let trustee = aces.first().map(|ace| ace.sid.clone());
    for id in after.subtree(container).into_iter().skip(1) {
        if after.object(id).is_none_or(|object| object.class().schema_guid() != class) {
            continue;
        }
        let denied = || denial(after, id, trustee.as_ref()?).filter(|_| grants_send_as);
        if let Some(obstacle) = obstacle(after, id, container).or_else(denied) {
            by.entry(obstacle).or_default().push(id);
        }
    }
    let mut warnings: Vec<String> = by
        .iter()
        .map(|(obstacle, ids)| format!("not reached, {}: {}", obstacle.words(after), listed(after, ids)))
        .collect();
    let children: Vec<ObjectId> = after
        .children(container)
        .filter(|id| after.object(*id).is_some_and(|object| object.class() == Class::Domain))
        .collect();
    if !children.is_empty() {
        warnings.push(format!(
            "not reached, inheritance ends at the border of a domain: {}; repeat the grant there",
            listed(after, &children)
        ));
    }
    warnings
}

/// Some names, and how many more there are.
pub(crate) fn listed(snapshot: &Snapshot, ids: &[ObjectId]) -> String {
    let shown: Vec<String> = ids.iter().take(SHOWN).map(|id| snapshot.dn(*id)).collect();
    let more = if ids.len() > SHOWN { format!("; and {} more", ids.len() - SHOWN) } else { String::new() };
    format!("{}{more}", shown.join("; "))
}
