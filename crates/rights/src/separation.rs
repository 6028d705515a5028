//! What the separation of Full Mailbox Access and Send As breaks (S0, "Finding accounts that have the Full Mailbox Access
//! permission without the Send As permission").

use acl::{Outcome, Sid, well_known};
use directory::{Class, ObjectId, Snapshot};

use crate::trace::DescriptorKind;
use crate::who::{Holding, Permission, Via, who_can};

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Accounts that are left out wherever they appear (S0, `FMA_EXCLUSIVE_LIST`).
    pub suppressed: Vec<Sid>,
    /// The name of one account that is left out in every domain in which it exists, without its domain and without
    /// regard to case (S0, `FMA_EXCLUSIVE_EXSVC`).
    pub suppressed_name: Option<String>,
    /// Also those that hold Send As by inheritance only, and so lose it when the owner is moved.
    pub inherited: bool,
}

/// One trustee with Full Mailbox Access on a mailbox and without effective Send As on its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The mailbox owner.
    pub owner: ObjectId,
    /// The trustee of the entry, a group as a group.
    pub trustee: Sid,
    /// Its object, if there is one.
    pub object: Option<ObjectId>,
    /// Whether the owner has delegates.
    pub has_delegates: bool,
    /// Whether this trustee is one of them: a super-delegate, who usually should not be granted Send As (S0).
    pub is_delegate: bool,
    /// Whether the owner's account is enabled.
    pub owner_enabled: bool,
    /// Where the Full Mailbox Access stands: the owner itself, or database, server, organization.
    pub access_from: ObjectId,
    /// Why there is no Send As.
    pub missing: Missing,
}

/// Why a trustee has no Send As on an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nothing grants it.
    NoEntry,
    /// An entry denies it.
    Denied {
        /// Where it stands.
        origin: ObjectId,
    },
    /// The owner is protected by AdminSDHolder: a grant on it would be undone.
    Protected,
    /// The descriptor of the owner could not be read.
    Unreadable,
    /// It is there, but by inheritance only ([`Search::inherited`]).
    OnlyInherited {
        /// Where it stands.
        origin: ObjectId,
    },
}

/// The gaps of every mailbox in `domain` (the domain's object), by the order of owners.
pub fn separation<'a>(snapshot: &'a Snapshot, domain: ObjectId, search: &'a Search) -> impl Iterator<Item = Gap> + 'a {
    snapshot
        .subtree(domain)
        .into_iter()
        .filter(|id| snapshot.object(*id).is_some_and(|object| object.mailbox().is_some()))
        .flat_map(move |owner| gaps(snapshot, owner, search))
}

/// The gaps of one mailbox.
pub fn gaps(snapshot: &Snapshot, owner: ObjectId, search: &Search) -> Vec<Gap> {
    let Some(object) = snapshot.object(owner) else { return Vec::new() };
    let send_as = who_can(snapshot, owner, Permission::SendAs);
    let delegates = snapshot.delegates(owner);
    let mut found: Vec<Gap> = Vec::new();
    for holding in who_can(snapshot, owner, Permission::FullAccess) {
        let (Via::Ace { deny: false, origin, .. }, Some(trustee)) = (&holding.via, &holding.trustee) else { continue };
        let is_owner = holding.object == Some(owner);
        if !holding.effective || is_owner || found.iter().any(|gap| gap.trustee == *trustee) {
            continue;
        }
        if is_suppressed(snapshot, search, &holding) {
            continue;
        }
        let Some(missing) = missing(snapshot, owner, &holding, &send_as, search.inherited) else { continue };
        found.push(Gap {
            owner,
            trustee: trustee.clone(),
            object: holding.object,
            has_delegates: !delegates.is_empty(),
            is_delegate: holding.object.is_some_and(|trustee| {
                delegates.iter().any(|delegate| *delegate == trustee || snapshot.is_member(trustee, *delegate))
            }),
            owner_enabled: object.enabled(),
            access_from: *origin,
            missing,
        });
    }
    found
}

fn missing(
    snapshot: &Snapshot,
    owner: ObjectId,
    access: &Holding,
    send_as: &[Holding],
    inherited: bool,
) -> Option<Missing> {
    if snapshot.descriptor(owner).is_none() {
        return Some(Missing::Unreadable);
    }
    let trustee = access.trustee.as_ref()?;
    match crate::who::effective_send_as(snapshot, owner, trustee)? {
        (Outcome::Allow, index) => {
            let row = send_as.iter().find(|row| {
                matches!(&row.via, Via::Ace { kind: DescriptorKind::Object, index: at, .. } if Some(*at) == index)
            });
            match row.map(|row| &row.via) {
                Some(Via::Ace { inherited: true, origin, .. }) if inherited => {
                    Some(Missing::OnlyInherited { origin: *origin })
                }
                _ => None,
            }
        }
        (Outcome::Deny, Some(index)) => Some(Missing::Denied { origin: snapshot.ace_origin(owner, index) }),
        (_, _) if snapshot.is_protected(owner) => Some(Missing::Protected),
        (_, _) => Some(Missing::NoEntry),
    }
}

fn is_suppressed(snapshot: &Snapshot, search: &Search, access: &Holding) -> bool {
    let Some(trustee) = &access.trustee else { return true };
    let built_in = [well_known::SELF, well_known::SYSTEM, well_known::CREATOR_OWNER];
    if built_in.contains(trustee) || search.suppressed.contains(trustee) {
        return true;
    }
    let Some(name) = &search.suppressed_name else { return false };
    access.object.and_then(|id| snapshot.object(id)).is_some_and(|object| {
        object.class() != Class::Group
            && object
                .sam_account_name()
                .is_some_and(|account| account.eq_ignore_ascii_case(name.trim_start_matches('\\')))
    })
}
