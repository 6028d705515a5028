//! How far a grant on a container reaches (`authorization.md` §6).

use std::collections::BTreeMap;

use acl::{Ace, Guid};
use directory::{Class, ObjectId, Snapshot};
pub(crate) use rights::reach::{Obstacle, blocked, denial, hands_down};

/// Names shown for one reason.
const SHOWN: usize = 10;

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
