//! What stands in the way of a grant on a container (`authorization.md` §6).

use acl::{Ace, AceFlags, Outcome, Sid, names};
use directory::{ObjectId, Snapshot};

use crate::who::effective_send_as;

/// What keeps a grant on a container from an object below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
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
pub fn blocked(snapshot: &Snapshot, object: ObjectId, container: Option<ObjectId>) -> Option<ObjectId> {
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

/// The denial that stands before a grant of Send As to a trustee.
pub fn denial(snapshot: &Snapshot, object: ObjectId, trustee: &Sid) -> Option<Obstacle> {
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
pub fn hands_down(ace: &Ace) -> bool {
    let for_users = ace.inherited_object_type.is_none_or(|class| class == names::USER);
    let send_as = ace.mask.contains(acl::AccessMask::CONTROL_ACCESS)
        && ace.object_type.is_none_or(|right| right == names::SEND_AS);
    ace.is_allow() && ace.flags.contains(AceFlags::CONTAINER_INHERIT) && for_users && send_as
}
