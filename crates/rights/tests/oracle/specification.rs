//! `authorization.md` §4-§5, read literally.

use std::collections::BTreeSet;

use crate::world::{Entry, Trustee, World, addresses};

/// What an access check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allow,
    Deny,
    None,
}

/// By which term an address is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    As,
    OnBehalf,
    Any,
}

/// What becomes of a Sender field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Keep,
    Remove,
    Set(String),
}

/// One session.
pub struct Specification<'a> {
    pub world: &'a World,
    /// `None`: anonymous.
    pub account: Option<usize>,
    pub logon: Option<usize>,
}

impl Specification<'_> {
    /// allowed(A) = as(R) or on_behalf(R) or partner(A) or Any-Sender and (A is not ours or
    /// Authoritative-Domain-Sender)
    pub fn allowed(&self, a: &str) -> Option<How> {
        match self.owner(a) {
            Some(r) if self.sends_as(r) => Some(How::As),
            Some(r) if self.on_behalf(r) => Some(How::OnBehalf),
            _ => self.any_sender(a).then_some(How::Any),
        }
    }

    /// Rules 1 to 4 for From and Sender; `None`: refused.
    pub fn header(&self, from: &[&str], sender: Option<&str>) -> Option<Edit> {
        if from.is_empty() && (self.account.is_some() || self.world.require_from) {
            return None;
        }
        self.pair(from, sender)
    }

    /// Rules 2 to 4.
    pub fn pair(&self, from: &[&str], sender: Option<&str>) -> Option<Edit> {
        let dropped = sender.is_some_and(|sender| from.contains(&sender));
        let sender = sender.filter(|_| !dropped);
        let strong = |a: &&str| self.owner(a).is_some_and(|r| self.sends_as(r)) || self.any_sender(a);
        let own = self.account.and_then(|account| addresses(self.world, account).into_iter().next());
        let stamped = |a: &&str| {
            self.owner(a).is_some_and(|r| self.on_behalf(r)) && !self.world.reject_on_behalf && own.is_some()
        };
        let several = from.len() > 1;
        let Some(s) = sender else {
            // 3. No Sender.
            if !from.iter().all(|f| strong(f) || stamped(f)) {
                return None;
            }
            let on_behalf = from.iter().any(|f| !strong(f));
            return Some(match (&own, self.account) {
                (Some(own), _) if on_behalf || several => Edit::Set(own.clone()),
                (None, Some(_)) if several => Edit::Set(from[0].to_owned()),
                (None, None) if several => Edit::Keep,
                _ if dropped => Edit::Remove,
                _ => Edit::Keep,
            });
        };
        // 4. A Sender.
        let is_own = self.account.is_some() && self.owner(s) == self.account;
        let chained = |f: &&str| {
            self.world.delegate_chain
                && !self.world.reject_on_behalf
                && self.account.is_some()
                && match (self.owner(s), self.owner(f)) {
                    (Some(named), Some(r)) => self.send_as(named) == Answer::Allow && self.is_delegate(r, named),
                    _ => false,
                }
        };
        let weak = |f: &&str| if is_own { stamped(f) } else { chained(f) };
        if !strong(&s) || !from.iter().all(|f| strong(f) || weak(f)) {
            return None;
        }
        let on_behalf = from.iter().any(|f| !strong(f));
        let all_as = from.iter().all(|f| self.owner(f).is_some_and(|r| self.sends_as(r)));
        Some(match own {
            Some(own) if is_own && (on_behalf || several) => Edit::Set(own),
            _ if is_own && all_as => Edit::Remove,
            _ => Edit::Keep,
        })
    }

    /// An address that two own has no owner.
    fn owner(&self, a: &str) -> Option<usize> {
        let owners: Vec<usize> = self.claimants(a);
        (owners.len() == 1).then(|| owners[0])
    }

    fn claimants(&self, a: &str) -> Vec<usize> {
        (0..self.world.users.len()).filter(|user| addresses(self.world, *user).iter().any(|own| own == a)).collect()
    }

    /// as(R) = send_as(R) = Allow or send_as(R) = None and (owner(R) or super_delegate(R))
    pub fn sends_as(&self, r: usize) -> bool {
        match self.send_as(r) {
            Answer::Allow => true,
            Answer::Deny => false,
            Answer::None => self.account == Some(r) || self.super_delegate(r),
        }
    }

    fn send_as(&self, r: usize) -> Answer {
        let user = &self.world.users[r];
        let mut entries: Vec<Entry> = user.entries.clone();
        if user.in_unit && !user.protected {
            entries.extend(self.world.unit_entries.iter().map(|entry| Entry { inherit_only: false, ..*entry }));
        }
        self.check(&entries, r)
    }

    fn check(&self, entries: &[Entry], r: usize) -> Answer {
        for entry in entries {
            if !entry.inherit_only && entry.scope != 3 && self.matches(entry.trustee, r) {
                return if entry.deny { Answer::Deny } else { Answer::Allow };
            }
        }
        Answer::None
    }

    fn matches(&self, trustee: Trustee, r: usize) -> bool {
        match (trustee, self.account) {
            (Trustee::User(user), account) => account == Some(user),
            (Trustee::Self_, account) => account == Some(r),
            (Trustee::Everyone, account) => account.is_some(),
            (Trustee::Anonymous, account) => account.is_none(),
            (Trustee::Group(group), Some(account)) => {
                self.groups_of(account, |group| self.world.groups[group].security).contains(&group)
            }
            (Trustee::Group(_), None) => false,
        }
    }

    /// Groups that hold the account, directly or nested, walking only through those that `counts`.
    fn groups_of(&self, account: usize, counts: impl Fn(usize) -> bool) -> BTreeSet<usize> {
        let groups = &self.world.groups;
        let mut found: BTreeSet<usize> =
            (0..groups.len()).filter(|group| counts(*group) && groups[*group].users.contains(&account)).collect();
        loop {
            let more: BTreeSet<usize> = (0..groups.len())
                .filter(|group| counts(*group) && groups[*group].groups.iter().any(|inner| found.contains(inner)))
                .filter(|group| !found.contains(group))
                .collect();
            if more.is_empty() {
                return found;
            }
            found.extend(more);
        }
    }

    /// The session's account is in R.publicDelegates, directly or through a group of any type.
    pub fn on_behalf(&self, r: usize) -> bool {
        self.account.is_some_and(|account| self.is_delegate(r, account))
    }

    fn is_delegate(&self, r: usize, account: usize) -> bool {
        let groups = self.groups_of(account, |_| true);
        self.world.users[r].delegates.iter().any(|delegate| match delegate {
            Trustee::User(user) => *user == account,
            Trustee::Group(group) => groups.contains(group),
            _ => false,
        })
    }

    /// super_delegate(R) = logon(R) and full_access(R) and on_behalf(R)
    fn super_delegate(&self, r: usize) -> bool {
        self.logon == Some(r) && self.full_access(r) && self.on_behalf(r)
    }

    pub fn full_access(&self, r: usize) -> bool {
        let user = &self.world.users[r];
        user.has_mailbox && self.check(&user.mailbox_entries, r) == Answer::Allow
    }

    fn any_sender(&self, a: &str) -> bool {
        let [any_sender, authoritative] = match self.account {
            Some(_) => self.world.authenticated,
            None => self.world.anonymous,
        };
        let ours =
            a.ends_with("@example.com") || self.claimants(a).into_iter().any(|user| self.world.users[user].has_mailbox);
        any_sender && (!ours || authoritative)
    }
}
