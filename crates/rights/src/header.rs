//! The header senders, decided once per message over the whole set From, Sender and the newest Resent block
//! (`authorization.md` §5).

use acl::Outcome;
use directory::{ObjectId, OnBehalf, TokenKind};
use message::Address;
use message::rewrite::SenderEdit;
use message::senders::{Mailbox, SenderFault, Senders};

use crate::decide::Judge;
use crate::refusal::Refusal;
use crate::sender::Proof;
use crate::table::RightName;
use crate::trace::{Step, Trace};

/// Header senders that were allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderGrant {
    /// What becomes of Sender.
    pub sender: SenderEdit,
    /// What becomes of Resent-Sender in the newest Resent block.
    pub resent_sender: SenderEdit,
    /// How each mailbox of From was proven, in order.
    pub from: Vec<Proof>,
    /// How each mailbox of the newest Resent-From was proven, in order.
    pub resent_from: Vec<Proof>,
}

impl HeaderGrant {
    /// Whom the message is sent as, other than the account itself; each owner once.
    pub fn sent_as(&self) -> Vec<ObjectId> {
        self.owners(|proof| matches!(proof, Proof::SendAs(_) | Proof::SuperDelegate(_) | Proof::Legacy(_)))
    }

    /// Whether the message is sent as, or on behalf of, somebody other than the account itself.
    pub(crate) fn is_as_another(&self) -> bool {
        self.from.iter().chain(&self.resent_from).any(Proof::is_another)
    }

    /// Whom the message is sent on behalf of; each owner once.
    pub fn on_behalf_of(&self) -> Vec<ObjectId> {
        self.owners(|proof| matches!(proof, Proof::OnBehalf(_)))
    }

    fn owners(&self, wanted: impl Fn(&Proof) -> bool) -> Vec<ObjectId> {
        let mut owners = Vec::new();
        for proof in self.from.iter().chain(&self.resent_from).filter(|proof| wanted(proof)) {
            if let Some(owner) = proof.object()
                && !owners.contains(&owner)
            {
                owners.push(owner);
            }
        }
        owners
    }
}

impl<T: Trace> Judge<'_, T> {
    /// Rules 1 to 6 of `authorization.md` §5. The null reverse-path excuses nothing, so the envelope is not looked at.
    pub(crate) fn header(&mut self, senders: Result<&Senders, &SenderFault>) -> Result<HeaderGrant, Refusal> {
        let senders = senders.map_err(|fault| Refusal::MalformedHeader(*fault))?;
        if senders.from_missing() && self.needs_from() {
            return Err(Refusal::FromMissing);
        }
        let (sender, from) = self.pair(&senders.from, senders.sender.as_ref())?;
        let (resent_sender, resent_from) = match &senders.resent {
            Some(resent) => self.pair(&resent.from, resent.sender.as_ref())?,
            None => (SenderEdit::Keep, Vec::new()),
        };
        Ok(HeaderGrant { sender, resent_sender, from, resent_from })
    }

    fn needs_from(&self) -> bool {
        match self.token.kind {
            TokenKind::Account => true,
            _ => self.connector().is_none_or(|connector| connector.require_from),
        }
    }

    /// From and Sender, or Resent-From and Resent-Sender: rules 2 to 4.
    fn pair(&mut self, from: &[Mailbox], sender: Option<&Mailbox>) -> Result<(SenderEdit, Vec<Proof>), Refusal> {
        let repeats = sender.is_some_and(|sender| {
            let sender = sender.address.as_canonical();
            from.iter().any(|from| from.address.as_canonical() == sender)
        });
        match sender {
            Some(sender) if !repeats => self.with_sender(from, sender),
            _ => self.without_sender(from, repeats),
        }
    }

    /// Rule 3. `repeats`: there was a Sender, equal to one of the From addresses.
    fn without_sender(&mut self, from: &[Mailbox], repeats: bool) -> Result<(SenderEdit, Vec<Proof>), Refusal> {
        let mut proofs = Vec::with_capacity(from.len());
        for mailbox in from {
            let owner = self.owner_of(&mailbox.address);
            let proof = match self.header_proof(&mailbox.address, owner) {
                Some(proof) => proof,
                None => self.stamped_on_behalf(&mailbox.address, owner)?,
            };
            proofs.push(proof);
        }
        let on_behalf = proofs.iter().any(|proof| matches!(proof, Proof::OnBehalf(_)));
        let needed = on_behalf || from.len() > 1;
        let edit = match (needed, needed.then(|| self.own_mailbox()).flatten()) {
            (true, Some(own)) => SenderEdit::Set(own),
            // Several authors need a Sender (RFC 5322 §3.6.2). An account without an address takes the first author,
            // whom it was found to send as; a session without an account has only what it wrote itself.
            (true, None) if self.account().is_some() => match from.first() {
                Some(first) => SenderEdit::Set(first.clone()),
                None => SenderEdit::Keep,
            },
            (true, None) => SenderEdit::Keep,
            (false, _) if repeats => SenderEdit::Remove,
            (false, _) => SenderEdit::Keep,
        };
        Ok((edit, proofs))
    }

    /// Rule 4.
    fn with_sender(&mut self, from: &[Mailbox], sender: &Mailbox) -> Result<(SenderEdit, Vec<Proof>), Refusal> {
        let named = self.owner_of(&sender.address);
        let own = named.is_some() && named == self.own_object();
        if self.header_proof(&sender.address, named).is_none() {
            return Err(self.not_allowed(&sender.address, named, Refusal::From));
        }
        let mut proofs = Vec::with_capacity(from.len());
        for mailbox in from {
            let owner = self.owner_of(&mailbox.address);
            let proof = match self.header_proof(&mailbox.address, owner) {
                Some(proof) => proof,
                None if own => self.stamped_on_behalf(&mailbox.address, owner)?,
                None => match owner.filter(|owner| self.chained(named, *owner)) {
                    Some(owner) => Proof::OnBehalf(owner),
                    None => return Err(self.not_allowed(&mailbox.address, owner, Refusal::From)),
                },
            };
            proofs.push(proof);
        }
        let on_behalf = proofs.iter().any(|proof| matches!(proof, Proof::OnBehalf(_)));
        let edit = match own {
            // The name in Sender is ours to vouch for: it says who really sent.
            true if on_behalf || from.len() > 1 => self.own_mailbox().map_or(SenderEdit::Keep, SenderEdit::Set),
            // Send As wins over Send on Behalf (S0).
            true if proofs.iter().all(Proof::is_as) => SenderEdit::Remove,
            _ => SenderEdit::Keep,
        };
        Ok((edit, proofs))
    }

    /// `as(F)`, `partner(F)` or Accept any Sender.
    fn header_proof(&mut self, address: &Address, owner: Option<ObjectId>) -> Option<Proof> {
        if let Some(owner) = owner
            && let Some(proof) = self.sends_as(owner)
        {
            return Some(proof);
        }
        self.partner_or_any_sender(address, owner)
    }

    /// `on_behalf(F)` where nothing stronger holds, for a message that will name the session's own address in Sender.
    fn stamped_on_behalf(&mut self, address: &Address, owner: Option<ObjectId>) -> Result<Proof, Refusal> {
        let Some(delegator) = owner.filter(|owner| self.on_behalf(*owner)) else {
            return Err(self.not_allowed(address, owner, Refusal::From));
        };
        if self.connector().is_none_or(|connector| connector.on_behalf == OnBehalf::Reject) {
            self.trace.note(|| Step::OnBehalfRejected);
            return Err(Refusal::From(address.clone()));
        }
        if self.own_mailbox().is_none() {
            self.trace.note(|| Step::NoOwnAddress);
            return Err(Refusal::From(address.clone()));
        }
        Ok(Proof::OnBehalf(delegator))
    }

    /// Option `delegate_chain`: the account that Sender names, which the session may send as by an ACE, is a delegate
    /// of the owner of the From address. One hop.
    fn chained(&mut self, named: Option<ObjectId>, owner: ObjectId) -> bool {
        let Some(named) = named else { return false };
        if !self.connector().is_some_and(|connector| connector.delegate_chain && connector.on_behalf == OnBehalf::Stamp)
            || self.account().is_none()
            || self.control_right(named, RightName::SendAs) != Outcome::Allow
        {
            return false;
        }
        self.is_delegate(owner, named)
    }

    /// The object whose name and address the authenticating account goes by: its own, or, for an account without an address
    /// that one mailbox is linked with, the owner of that mailbox (§5, rule 3).
    fn own_object(&self) -> Option<ObjectId> {
        let account = self.account()?;
        if self.snapshot.object(account)?.primary_address().is_some() {
            return Some(account);
        }
        let disabled = |owner: &ObjectId| self.snapshot.object(*owner).is_some_and(|object| !object.enabled());
        let linked: Vec<ObjectId> = self.snapshot.linked_to(self.token.user).into_iter().filter(disabled).collect();
        match linked.as_slice() {
            [owner] => Some(*owner),
            _ => Some(account),
        }
    }

    /// Display name and primary address of the authenticating account, never of the logon mailbox.
    fn own_mailbox(&self) -> Option<Mailbox> {
        let object = self.snapshot.object(self.own_object()?)?;
        let address = object.primary_address()?;
        Some(Mailbox { display_name: Some(object.label()), address })
    }
}
