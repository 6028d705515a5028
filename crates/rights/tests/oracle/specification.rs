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
        let own = self.own().and_then(|user| addresses(self.world, user).into_iter().next());
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
        let is_own = self.account.is_some() && self.owner(s) == self.own();
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

    /// as(R) = send_as(R) = Allow or send_as(R) = None and (owner(R) or super_delegate(R)) or legacy(R)
    pub fn sends_as(&self, r: usize) -> bool {
        let by_right = match self.send_as(r) {
            Answer::Allow => true,
            Answer::Deny => false,
            Answer::None => self.owns(r) || self.super_delegate(r),
        };
        by_right || self.legacy(r)
    }

    /// Whose name a stamp bears: the account's, or for a linked account without an address its owner object's (one only).
    fn own(&self) -> Option<usize> {
        let account = self.account?;
        let linked: Vec<usize> = (0..self.world.users.len()).filter(|r| self.is_linked(*r)).collect();
        match linked.as_slice() {
            [owner] if addresses(self.world, account).is_empty() => Some(*owner),
            _ => Some(account),
        }
    }

    /// owner(R) = the account is R, or R's linked account
    fn owns(&self, r: usize) -> bool {
        self.account == Some(r) || self.is_linked(r)
    }

    /// The link counts only while the owner is disabled.
    fn is_linked(&self, r: usize) -> bool {
        self.account.is_some() && self.world.users[r].master == self.account && self.world.users[r].disabled
    }

    /// legacy(R) = legacy policy for R's database and (full_access(R), or mailbox right 0x2 inherited)
    fn legacy(&self, r: usize) -> bool {
        let has_right = |entries: Vec<Entry>| self.check_mailbox(&entries, r) == Answer::Allow;
        self.account.is_some()
            && self.world.legacy_policy
            && self.world.users[r].has_mailbox
            && (self.full_access(r) || has_right(self.inherited_mailbox_entries(r, [0, 1, 2])))
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
            // Send As and mailbox rights: the linked account counts as SELF.
            (Trustee::Self_, account) => account == Some(r) || self.is_linked(r),
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

    /// One AccessCheck: explicit entries, then those inherited, where Receive As, all extended rights or full control
    /// count.
    pub fn full_access(&self, r: usize) -> bool {
        let user = &self.world.users[r];
        let explicit = user.mailbox_entries.iter().filter(|entry| entry.scope != 3 && !entry.inherit_only);
        let mut entries: Vec<Entry> = explicit.copied().collect();
        entries.extend(self.inherited_mailbox_entries(r, [3, 1, 2]));
        user.has_mailbox && self.check_mailbox(&entries, r) == Answer::Allow
    }

    fn inherited_mailbox_entries(&self, r: usize, scopes: [u8; 3]) -> Vec<Entry> {
        if !self.world.users[r].inherits {
            return Vec::new();
        }
        let entries = self.world.database_entries.iter();
        entries.filter(|entry| !entry.inherit_only && scopes.contains(&entry.scope)).copied().collect()
    }

    fn check_mailbox(&self, entries: &[Entry], r: usize) -> Answer {
        match entries.iter().find(|entry| self.matches(entry.trustee, r)) {
            Some(entry) if entry.deny => Answer::Deny,
            Some(_) => Answer::Allow,
            None => Answer::None,
        }
    }

    /// In the order of [`crate::world::CONNECTOR_RIGHTS`].
    pub fn connector_rights(&self) -> [bool; 5] {
        match self.account {
            Some(_) => self.world.authenticated,
            None => self.world.anonymous,
        }
    }

    /// Submit; and Full Mailbox Access again, where the session logged on to a mailbox.
    pub fn may_submit(&self) -> bool {
        let [_, _, submit, ..] = self.connector_rights();
        submit && (self.account.is_none() || self.logon.is_none_or(|r| self.full_access(r)))
    }

    /// RCPT TO without delivery restrictions.
    pub fn recipient(&self, a: &str) -> bool {
        let [_, _, _, any_recipient, _] = self.connector_rights();
        match a.ends_with("@example.com") {
            true => self.owner(a).is_some(),
            false => any_recipient,
        }
    }

    fn any_sender(&self, a: &str) -> bool {
        let [any_sender, authoritative, ..] = self.connector_rights();
        let ours =
            a.ends_with("@example.com") || self.claimants(a).into_iter().any(|user| self.world.users[user].has_mailbox);
        any_sender && (!ours || authoritative)
    }
}
