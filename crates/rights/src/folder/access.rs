//! What a token may do in a folder.

use std::collections::BTreeSet;

use acl::check::{Request, Token as Plain, check};
use acl::{Outcome, SecurityDescriptor, Sid, SidId};
use directory::{ObjectId, Snapshot, Time, Token};

use super::words::FolderRights;
use super::{FolderPath, Folders, Unreadable};
use crate::decide::{Facts, Judge, mailbox_place};
use crate::trace::NoTrace;

/// What a token may do in a folder, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderAccess {
    /// All that it may.
    pub rights: FolderRights,
    /// Through what.
    pub via: FolderVia,
    /// Each right, in the order of their bits.
    pub each: Vec<RightAt>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FolderVia {
    /// It is the owner of the mailbox, or the external account that stands for him.
    Owner,
    /// Full Mailbox Access.
    FullAccess,
    /// The entries of this folder: the one asked about, or one above it.
    Entries(FolderPath),
    /// Neither the folder nor one above it has entries.
    NoEntries,
    /// The account, or the owner, is of a domain that was not heard of for too long: nothing is granted, nothing refused.
    Unknown,
}

/// What became of one right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RightAt {
    /// The right.
    pub right: FolderRights,
    /// Allow, Deny by an entry, or None: no entry speaks of it.
    pub outcome: Outcome,
    /// Who the entry is for that decided.
    pub entry: Option<Sid>,
    /// It is not known now whether the token is in a group that matters (see [`directory::Doubt`]); taken for a refusal.
    pub unknown: bool,
}

/// What a token may do in a folder of the mailbox of an owner.
///
/// # Errors
/// What is kept of the mailbox's folders cannot be read. The owner, and who has Full Mailbox Access, is told all the same.
pub fn access(
    snapshot: &Snapshot,
    token: &Token,
    owner: ObjectId,
    path: &FolderPath,
) -> Result<FolderAccess, Unreadable> {
    Folders::of(snapshot, owner).access(snapshot, token, owner, path)
}

impl Folders {
    /// [`access`], for many questions about the folders of one mailbox.
    ///
    /// # Errors
    /// As there.
    pub fn access(
        &self,
        snapshot: &Snapshot,
        token: &Token,
        owner: ObjectId,
        path: &FolderPath,
    ) -> Result<FolderAccess, Unreadable> {
        let facts = Facts { connector: owner, logon: None, time: Time(0) };
        let (denied, unknown) = (false, false);
        let mut judge = Judge { snapshot, token, facts: &facts, trace: &mut NoTrace, denied, unknown, assumed: &[] };
        let account_unknown = token.account.is_some_and(|account| !snapshot.is_account_known(account));
        if snapshot.is_out_of_date() || account_unknown || snapshot.is_stale(owner) {
            return Ok(all(FolderVia::Unknown, Outcome::None, true));
        }
        if snapshot.object(owner).is_some_and(|object| object.mailbox().is_some()) && judge.owns(owner) {
            return Ok(all(FolderVia::Owner, Outcome::Allow, false));
        }
        if judge.full_access(owner) {
            return Ok(all(FolderVia::FullAccess, Outcome::Allow, false));
        }
        // Who may have Full Mailbox Access may have what the entries refuse.
        let doubt = judge.unknown;
        let Some((from, descriptor)) = self.at(path)? else {
            return Ok(all(FolderVia::NoEntries, Outcome::None, doubt));
        };
        let held = Held::of(snapshot, token, owner, descriptor);
        let mut each: Vec<RightAt> = FolderRights::ALL.each().map(|right| held.decide(descriptor, right)).collect();
        for at in each.iter_mut().filter(|at| at.outcome != Outcome::Allow) {
            at.unknown |= doubt;
        }
        let allowed = each.iter().filter(|at| at.outcome == Outcome::Allow);
        let rights = allowed.fold(FolderRights::NONE, |all, at| all | at.right);
        Ok(FolderAccess { rights, via: FolderVia::Entries(from.clone()), each })
    }
}

/// The same for every right.
fn all(via: FolderVia, outcome: Outcome, unknown: bool) -> FolderAccess {
    let each = FolderRights::ALL.each().map(|right| RightAt { right, outcome, entry: None, unknown });
    let rights = if outcome == Outcome::Allow { FolderRights::ALL } else { FolderRights::NONE };
    FolderAccess { rights, via, each: each.collect() }
}

/// The SIDs of a token where a mailbox is checked.
struct Held {
    certain: Plain,
    /// Of groups that nobody knows now whether it is in, those that the descriptor names.
    uncertain: Vec<Sid>,
}

impl Held {
    fn of(snapshot: &Snapshot, token: &Token, owner: ObjectId, descriptor: &SecurityDescriptor) -> Held {
        let place = mailbox_place(snapshot, owner);
        let held = token.sids_on(snapshot, place);
        let named = descriptor.dacl.iter().flat_map(|dacl| &dacl.aces).map(|ace| &ace.sid);
        let doubtful = named.filter(|sid| token.account.is_some() && snapshot.is_uncertain(sid, place));
        let uncertain: BTreeSet<SidId> = doubtful.filter_map(|sid| snapshot.sid_id(sid)).collect();
        Held {
            certain: Plain::of(held.iter().filter(|sid| !uncertain.contains(sid)).map(|sid| snapshot.sid(sid))),
            uncertain: uncertain.into_iter().map(|sid| snapshot.sid(sid)).collect(),
        }
    }

    /// One right is one bit: the first entry that matches and speaks of it decides, and what is uncertain matters if one
    /// more SID alone changes the verdict.
    fn decide(&self, descriptor: &SecurityDescriptor, right: FolderRights) -> RightAt {
        let ask = |token: &Plain| check(descriptor, token, &Request::new(right.mask()));
        let Ok(verdict) = ask(&self.certain) else {
            return RightAt { right, outcome: Outcome::None, entry: None, unknown: false };
        };
        let with = |sid: &Sid| {
            let more = Plain::of(self.certain.sids.iter().chain([sid]).cloned());
            ask(&more).map(|verdict| verdict.outcome)
        };
        let unknown = self.uncertain.iter().any(|sid| with(sid) != Ok(verdict.outcome));
        let aces = descriptor.dacl.as_ref().map_or(&[][..], |dacl| &dacl.aces);
        let entry = verdict.ace.and_then(|index| aces.get(index)).map(|ace| ace.sid.clone());
        let outcome = if unknown { Outcome::None } else { verdict.outcome };
        RightAt { right, outcome, entry, unknown }
    }
}
