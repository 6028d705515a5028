//! Who gains and who loses between two snapshots: the answer to "what changes if I apply this?".
//!
//! A change is applied to a copy (`Snapshot::apply` costs what it changes) and the two are compared here. Only owners
//! and accounts that the change can have touched are looked at; each of them is put to [`decide`](crate::decide) on both
//! sides, by [`who_people`] and [`what_can`].

use std::collections::BTreeSet;

use directory::{Class, ObjectId, Snapshot};

use crate::sender::has_legacy_policy;
use crate::who::{Permission, Person, what_can, who_people};

/// One account that may do more, or less, to one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Who may what, on the side on which it holds.
    pub person: Person,
    /// It holds after; otherwise it held before.
    pub gained: bool,
}

/// Every difference between two snapshots of one history, by permission, owner and account. Somebody who keeps a
/// permission in another way (by Send As instead of ownership, say) is no difference; somebody who now needs a mailbox
/// logon for it, or no longer does, is one that is lost and one that is gained.
pub fn differences(before: &Snapshot, after: &Snapshot) -> Vec<Difference> {
    let (targets, accounts) = (changed_targets(before, after), changed_accounts(before, after));
    of(before, after, &targets, &accounts)
}

/// The same, where less is looked at than there may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SomeDifferences {
    /// What was found.
    pub found: Vec<Difference>,
    /// Owners whom the change touches that were not looked at.
    pub owners_left: usize,
    /// Accounts whose groups changed, or who came or went, of whom it was not looked at what they hold on everybody else.
    pub accounts_left: usize,
}

/// [`differences`] of so many owners, and of so many accounts, as can be found out in the time of `questions` decisions: what
/// an account holds takes one for each owner that there is.
pub fn some_differences(before: &Snapshot, after: &Snapshot, questions: usize) -> SomeDifferences {
    let (mut targets, mut accounts) = (changed_targets(before, after), changed_accounts(before, after));
    let everybody = before.len().max(after.len()).max(1);
    let owners_left = keep(&mut targets, questions / 100);
    let accounts_left = keep(&mut accounts, questions / everybody);
    SomeDifferences { found: of(before, after, &targets, &accounts), owners_left, accounts_left }
}

/// Keeps the first ones; how many go.
fn keep(ids: &mut BTreeSet<ObjectId>, most: usize) -> usize {
    match ids.iter().nth(most).copied() {
        Some(first) => ids.split_off(&first).len(),
        None => 0,
    }
}

fn of(
    before: &Snapshot,
    after: &Snapshot,
    targets: &BTreeSet<ObjectId>,
    accounts: &BTreeSet<ObjectId>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    for permission in Permission::ALL {
        let of_targets = |snapshot: &Snapshot| -> Vec<Person> {
            targets.iter().flat_map(|target| who_people(snapshot, *target, permission)).collect()
        };
        let of_accounts = |snapshot: &Snapshot| -> Vec<Person> {
            let elsewhere = |person: &Person| !targets.contains(&person.target);
            let people = accounts.iter().flat_map(|account| what_can(snapshot, *account, permission));
            people.filter(elsewhere).collect()
        };
        compare(of_targets(before), of_targets(after), &mut found);
        compare(of_accounts(before), of_accounts(after), &mut found);
    }
    found
}

fn compare(before: Vec<Person>, after: Vec<Person>, found: &mut Vec<Difference>) {
    let key = |person: &Person| (person.target, person.account, person.needs_logon);
    let keys = |people: &[Person]| -> BTreeSet<_> { people.iter().map(key).collect() };
    let (old, new) = (keys(&before), keys(&after));
    let lost = before.into_iter().filter(|person| !new.contains(&key(person)));
    let gained = after.into_iter().filter(|person| !old.contains(&key(person)));
    let mut differences: Vec<Difference> = lost.map(|person| Difference { person, gained: false }).collect();
    differences.extend(gained.map(|person| Difference { person, gained: true }));
    differences.sort_by_key(|difference| key(&difference.person));
    found.append(&mut differences);
}

fn all_ids(before: &Snapshot, after: &Snapshot) -> impl Iterator<Item = ObjectId> {
    let mut ids: Vec<ObjectId> = before.objects().map(|(id, _)| id).collect();
    ids.extend(after.objects().map(|(id, _)| id).filter(|id| before.object(*id).is_none()));
    ids.into_iter()
}

/// Owners whose descriptors, delegates, mailbox or legacy policy changed, who came or went, or who have a group among
/// their delegates while memberships changed.
fn changed_targets(before: &Snapshot, after: &Snapshot) -> BTreeSet<ObjectId> {
    let memberships = before.membership_version() != after.membership_version();
    all_ids(before, after).filter(|id| is_changed_target(before, after, *id, memberships)).collect()
}

fn is_changed_target(before: &Snapshot, after: &Snapshot, id: ObjectId, memberships: bool) -> bool {
    let (Some(old), Some(new)) = (before.object(id), after.object(id)) else { return true };
    if std::ptr::eq(old, new)
        && before.descriptor(id).map(|d| d.hash()) == after.descriptor(id).map(|d| d.hash())
        && before.mailbox_descriptor(id).map(|d| d.hash()) == after.mailbox_descriptor(id).map(|d| d.hash())
        && before.delegates(id) == after.delegates(id)
        && has_legacy_policy(before, id) == has_legacy_policy(after, id)
    {
        let is_group =
            |delegate: &ObjectId| after.object(*delegate).is_some_and(|object| object.class() == Class::Group);
        return memberships && after.delegates(id).iter().any(is_group);
    }
    true
}

/// Accounts whose token changed, or who came or went.
fn changed_accounts(before: &Snapshot, after: &Snapshot) -> BTreeSet<ObjectId> {
    let memberships = before.membership_version() != after.membership_version();
    let is_account = |id: &ObjectId| {
        let class = after.object(*id).or(before.object(*id)).map(|object| object.class());
        matches!(class, Some(Class::User | Class::InetOrgPerson | Class::Computer))
    };
    let changed = |id: &ObjectId| match (before.object(*id), after.object(*id)) {
        (Some(old), Some(new)) if old.enabled() == new.enabled() => {
            memberships
                && before.account_token(*id).ok().map(|t| (t.sids.clone(), t.elsewhere.clone()))
                    != after.account_token(*id).ok().map(|t| (t.sids.clone(), t.elsewhere.clone()))
        }
        _ => true,
    };
    all_ids(before, after).filter(is_account).filter(changed).collect()
}
