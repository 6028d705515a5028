//! `allowed(A)`: may this token use this address as a sender? (`authorization.md` §4)

use acl::Outcome;
use directory::attributes::PUBLIC_DELEGATES;
use directory::{Class, Config, HostKind, ObjectId, Snapshot, TokenKind};
use message::Address;

use crate::decide::{Judge, is_authoritative};
use crate::refusal::Refusal;
use crate::table::RightName;
use crate::trace::{Step, Trace, Wanted};

/// How an address was proven to be the session's to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is an address of the account itself, or of the mailbox that it is linked to.
    Owner(ObjectId),
    /// Send As on its owner.
    SendAs(ObjectId),
    /// Delegate with Full Mailbox Access, logged on to the owner's mailbox.
    SuperDelegate(ObjectId),
    /// The legacy policy of the owner's database, under which Full Mailbox Access carries Send As.
    Legacy(ObjectId),
    /// Send on Behalf of its owner.
    OnBehalf(ObjectId),
    /// The peer's certificate proved its domain.
    Partner,
    /// Nothing was proven: the session may use any sender.
    AnySender,
}

impl Proof {
    /// The directory object whose address was proven.
    pub fn object(&self) -> Option<ObjectId> {
        match self {
            Proof::Owner(owner)
            | Proof::SendAs(owner)
            | Proof::SuperDelegate(owner)
            | Proof::Legacy(owner)
            | Proof::OnBehalf(owner) => Some(*owner),
            Proof::Partner | Proof::AnySender => None,
        }
    }

    /// Whether it makes the session send as, or on behalf of, somebody else.
    pub(crate) fn is_another(&self) -> bool {
        matches!(self, Proof::SendAs(_) | Proof::SuperDelegate(_) | Proof::Legacy(_) | Proof::OnBehalf(_))
    }

    /// Whether it makes the session send as the address, not on behalf of it.
    pub fn is_as(&self) -> bool {
        matches!(self, Proof::Owner(_) | Proof::SendAs(_) | Proof::SuperDelegate(_) | Proof::Legacy(_))
    }
}

impl<T: Trace> Judge<'_, T> {
    /// The stage MAIL FROM for a sender that is not null.
    pub(crate) fn envelope_sender(&mut self, address: &Address) -> Result<Proof, Refusal> {
        let owner = self.owner_of(address);
        if let Some(owner) = owner {
            if let Some(proof) = self.sends_as(owner) {
                return Ok(proof);
            }
            if self.on_behalf(owner) {
                return Ok(Proof::OnBehalf(owner));
            }
        }
        match self.partner_or_any_sender(address, owner) {
            Some(proof) => Ok(proof),
            None => Err(self.not_allowed(address, owner, Refusal::Sender)),
        }
    }

    /// The refusal for an address that nothing allows; temporary where the descriptor that would tell is unreadable.
    pub(crate) fn not_allowed(
        &self,
        address: &Address,
        owner: Option<ObjectId>,
        refusal: fn(Address) -> Refusal,
    ) -> Refusal {
        let unreadable =
            owner.is_some_and(|owner| self.account().is_some() && self.snapshot.descriptor(owner).is_none());
        match unreadable {
            true => Refusal::Unreadable(address.clone()),
            false => refusal(address.clone()),
        }
    }

    /// `as(R)`.
    pub(crate) fn sends_as(&mut self, owner: ObjectId) -> Option<Proof> {
        // Only accounts and servers with an account can be named by an ACE on a mailbox owner; the check itself is the
        // same for all tokens: nothing is exempt from an explicit Deny.
        match self.control_right(owner, RightName::SendAs) {
            Outcome::Allow if self.owns(owner) => Some(Proof::Owner(owner)),
            Outcome::Allow => Some(Proof::SendAs(owner)),
            Outcome::None if self.owns(owner) => {
                let linked = self.account() != Some(owner);
                self.trace.note(|| Step::Owner { of: owner, linked });
                Some(Proof::Owner(owner))
            }
            Outcome::None if self.super_delegate(owner) => Some(Proof::SuperDelegate(owner)),
            Outcome::None if self.assumed.contains(&owner) => Some(Proof::SendAs(owner)),
            Outcome::None | Outcome::Deny => self.legacy(owner).then_some(Proof::Legacy(owner)),
        }
    }

    /// `owner(R)`: the account is R, or R's linked account. Holds also where AdminSDHolder took R's own SELF entry.
    pub(crate) fn owns(&mut self, owner: ObjectId) -> bool {
        let Some(account) = self.account() else { return false };
        if account == owner {
            return true;
        }
        match self.snapshot.object(owner) {
            Some(object) => self.is_linked(object),
            None => false,
        }
    }

    /// `on_behalf(R)`: the account is in R's publicDelegates, directly or through a group of any type.
    pub(crate) fn on_behalf(&mut self, owner: ObjectId) -> bool {
        self.account().is_some_and(|account| self.is_delegate(owner, account))
    }

    /// Whether `account` is a delegate of `owner`, noted in the trace.
    pub(crate) fn is_delegate(&mut self, owner: ObjectId, account: ObjectId) -> bool {
        let path = self.snapshot.is_delegate(owner, account);
        if !self.snapshot.doubt().is_none() && !self.delegates_are_known(owner, path.as_deref()) {
            self.unknown = true;
            self.trace.note(|| Step::UnknownDelegates { of: owner });
            return false;
        }
        let is_delegate = path.is_some();
        self.trace.note(|| match path {
            Some(path) => Step::Delegate { of: owner, path },
            None => Step::NoDelegate { of: owner },
        });
        is_delegate
    }

    /// Whether it is known that an account, by this path or by none, is or is no delegate of `owner`.
    fn delegates_are_known(&self, owner: ObjectId, path: Option<&[ObjectId]>) -> bool {
        let snapshot = self.snapshot;
        let uncertain = |group: &ObjectId| snapshot.has_uncertain_members(*group);
        if snapshot.is_stale(owner) {
            return false;
        }
        match path {
            Some(path) => !path.iter().any(uncertain),
            None => !snapshot.lacks(owner, PUBLIC_DELEGATES) && !snapshot.delegates(owner).iter().any(uncertain),
        }
    }

    /// `super_delegate(R)`: logged on to R, with Full Mailbox Access, and delegate (S0, "About mailbox owners that have
    /// delegates").
    fn super_delegate(&mut self, owner: ObjectId) -> bool {
        if self.account().is_none() || self.facts.logon != Some(owner) {
            return false;
        }
        self.trace.note(|| Step::LoggedOn { to: owner });
        let holds = self.full_access(owner) && self.on_behalf(owner);
        if holds {
            self.trace.note(|| Step::SuperDelegate { of: owner });
        }
        holds
    }

    /// `legacy(R)`: under the legacy policy of R's database, Full Mailbox Access carries Send As, and so does Send As on
    /// the database, its server or the organization.
    fn legacy(&mut self, owner: ObjectId) -> bool {
        if self.account().is_none() || !has_legacy_policy(self.snapshot, owner) {
            return false;
        }
        let Some(object) = self.snapshot.object(owner) else { return false };
        self.full_access(owner) || self.mailbox_right(owner, object, Wanted::InheritedSendAs) == Outcome::Allow
    }

    /// The last two terms of `allowed(A)`: the certificate's domain; Accept any Sender, which covers our own addresses
    /// only together with Accept Authoritative Domain Sender.
    pub(crate) fn partner_or_any_sender(&mut self, address: &Address, owner: Option<ObjectId>) -> Option<Proof> {
        if let TokenKind::Host(HostKind::Partner { domain }) = &self.token.kind
            && address.as_canonical().domain() == domain.as_str()
        {
            self.trace.note(|| Step::Partner { domain: domain.to_string() });
            return Some(Proof::Partner);
        }
        if !self.connector_right(RightName::AcceptAnySender) {
            return None;
        }
        if !self.is_ours(address, owner) {
            return Some(Proof::AnySender);
        }
        self.trace.note(|| Step::Ours { address: address.canonical() });
        self.connector_right(RightName::AcceptAuthoritativeDomainSender).then_some(Proof::AnySender)
    }

    /// Whether the domain is authoritative, or the address one of our mailbox objects'.
    fn is_ours(&self, address: &Address, owner: Option<ObjectId>) -> bool {
        let canonical = address.as_canonical();
        let has_mailbox = |id: &ObjectId| self.snapshot.object(*id).is_some_and(|object| object.mailbox().is_some());
        if is_authoritative(self.snapshot, canonical) {
            return true;
        }
        match owner {
            Some(owner) => has_mailbox(&owner),
            // Claimed by several: ours if any of them is a mailbox.
            None => match self.snapshot.by_address(canonical) {
                directory::AddressOwner::Several(owners) => owners.iter().any(has_mailbox),
                _ => false,
            },
        }
    }
}

/// Whether the owner's mailbox is in a database, or on a server, under the legacy policy.
pub fn has_legacy_policy(snapshot: &Snapshot, owner: ObjectId) -> bool {
    let mailbox = snapshot.object(owner).and_then(|object| object.mailbox());
    let Some(database) = mailbox.and_then(|mailbox| mailbox.database) else { return false };
    let server = snapshot.ancestor(database, Class::Server);
    [Some(database), server].into_iter().flatten().any(|id| {
        match snapshot.object(id).and_then(|object| object.config()) {
            Some(Config::Database(database)) => database.legacy_policy,
            Some(Config::Server(server)) => server.legacy_policy,
            _ => false,
        }
    })
}
