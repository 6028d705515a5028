//! `decide`: the one function behind every answer that Procura gives about permissions.
//!
//! SMTP, the command line, audits and release of held mail ask here and nowhere else; [`Transaction`](crate::Transaction)
//! is a sequence of these questions. The rules are those of `authorization.md` §3-§6.

use std::collections::BTreeSet;

use acl::{Outcome, Principals, SidId, SidSet};
use directory::{
    AddressOwner, Config, Descriptor, DomainKind, Object, ObjectId, ReceiveConnector, Snapshot, Time, Token, TokenKind,
};
use message::senders::{SenderFault, Senders};
use message::{Address, CanonicalAddress};

use crate::header::HeaderGrant;
use crate::recipient::RecipientGrant;
use crate::refusal::Refusal;
use crate::sender::Proof;
use crate::table::RightName;
use crate::trace::{DescriptorKind, NoTrace, Step, Trace, Wanted};

/// Where and when a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The receive connector that the session came in by.
    pub connector: ObjectId,
    /// The mailbox that the session logged on to, by its owner; not necessarily that of the account.
    pub logon: Option<ObjectId>,
    /// When; there is no other clock.
    pub time: Time,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub enum Question<'a> {
    /// Does the token hold this right on the connector?
    Right(RightName),
    /// May the session submit messages at all? Full Mailbox Access that a mailbox logon rests on is checked again.
    Submit,
    /// May the token log on to the mailbox of this owner?
    Logon(ObjectId),
    /// Does the token send as this owner (`as(R)`)?
    SendAs(ObjectId),
    /// Is the session's account a delegate of this owner (`on_behalf(R)`)?
    SendOnBehalf(ObjectId),
    /// May the token use this envelope sender (`authorization.md` §4, `allowed(A)`)?
    Sender(&'a Address),
    /// May a message with this envelope sender, so proven, go to this recipient?
    Recipient {
        /// The recipient.
        to: &'a Address,
        /// How the envelope sender was proven; `None` for the null reverse-path.
        sender: Option<&'a Proof>,
        /// The message was marked internal by an own server (see [`Question::Internal`]).
        internal: bool,
    },
    /// Does a message whose MAIL FROM carried this `AUTH=` count as marked internal by an own server?
    Internal {
        /// The parameter was `AUTH=<>`.
        anonymous: bool,
    },
    /// May the token use these header senders (`authorization.md` §5)?
    Header(Result<&'a Senders, &'a SenderFault>),
}

/// What was granted, with what the caller needs to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The right, the logon or the submission.
    Plain,
    /// The sender, proven so.
    Sender(Proof),
    /// The recipient.
    Recipient(RecipientGrant),
    /// The header senders, and how the header is to be edited.
    Header(HeaderGrant),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict<T> {
    /// `Allow` goes with `Ok`, the others with `Err`; `Deny` where an ACE says so, `None` where nothing grants.
    pub outcome: Outcome,
    /// What was granted, or why not.
    pub reason: Result<Grant, Refusal>,
    /// What it rests on.
    pub trace: T,
}

/// Decides one question for one token on one snapshot.
///
/// With [`NoTrace`](crate::NoTrace) nothing is recorded and nothing allocated beyond the answer; with
/// [`Steps`](crate::Steps) each ACE and delegate link that mattered is noted. Both run the same code.
pub fn decide<T: Trace + Default>(
    snapshot: &Snapshot,
    token: &Token,
    facts: &Facts,
    question: &Question<'_>,
) -> Verdict<T> {
    decide_assuming(snapshot, token, facts, question, &[])
}

/// Decides as if nothing spoke against Send As on `assumed` where nothing grants it; an explicit Deny stands. What a
/// message needs beside a missing right is found out so (`authorization.md` §8).
pub(crate) fn decide_assuming<T: Trace + Default>(
    snapshot: &Snapshot,
    token: &Token,
    facts: &Facts,
    question: &Question<'_>,
    assumed: &[ObjectId],
) -> Verdict<T> {
    let mut trace = T::default();
    let mut judge = Judge { snapshot, token, facts, trace: &mut trace, denied: false, unknown: false, assumed };
    let reason = judge.answer(question);
    // What is refused for want of something that nobody knows now is refused for now.
    let reason = if judge.unknown { reason.map_err(|_| Refusal::DirectoryUnavailable) } else { reason };
    let outcome = match (&reason, judge.denied) {
        (Ok(_), _) => Outcome::Allow,
        (Err(_), true) => Outcome::Deny,
        (Err(_), false) => Outcome::None,
    };
    Verdict { outcome, reason, trace }
}

/// Whether a token holds a right on the connector: [`Question::Right`] without what else a verdict says.
pub(crate) fn holds(snapshot: &Snapshot, token: &Token, facts: &Facts, right: RightName) -> bool {
    Judge { snapshot, token, facts, trace: &mut NoTrace, denied: false, unknown: false, assumed: &[] }
        .connector_right(right)
}

/// One decision in the making.
pub(crate) struct Judge<'a, T> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) token: &'a Token,
    pub(crate) facts: &'a Facts,
    pub(crate) trace: &'a mut T,
    /// An ACE said Deny to something that mattered.
    pub(crate) denied: bool,
    /// Something that mattered is not known now (see [`directory::Doubt`]); it was taken for a refusal.
    pub(crate) unknown: bool,
    /// Owners on whom Send As is taken for granted where nothing is said.
    pub(crate) assumed: &'a [ObjectId],
}

impl<'a, T: Trace> Judge<'a, T> {
    fn answer(&mut self, question: &Question<'_>) -> Result<Grant, Refusal> {
        // What was granted long ago, and what was not, is not known to be so now.
        if self.snapshot.is_out_of_date() {
            return Err(Refusal::DirectoryUnavailable);
        }
        if let Some(account) = self.token.account.filter(|account| !self.snapshot.is_account_known(*account)) {
            self.trace.note(|| Step::UnknownObject { of: account });
            return Err(Refusal::DirectoryUnavailable);
        }
        match question {
            Question::Right(right) => match self.connector_right(*right) {
                true => Ok(Grant::Plain),
                false => Err(Refusal::NoSubmit),
            },
            Question::Submit => self.submit().map(|()| Grant::Plain),
            Question::Logon(mailbox) => match self.full_access(*mailbox) {
                true => Ok(Grant::Plain),
                false => Err(Refusal::AuthenticationFailed),
            },
            Question::SendAs(owner) => self.sends_as(*owner).map(Grant::Sender).ok_or(Refusal::NoSubmit),
            Question::SendOnBehalf(owner) => match self.on_behalf(*owner) {
                true => Ok(Grant::Sender(Proof::OnBehalf(*owner))),
                false => Err(Refusal::NoSubmit),
            },
            Question::Sender(address) => self.envelope_sender(address).map(Grant::Sender),
            Question::Recipient { to, sender, internal } => {
                self.recipient(to, *sender, *internal).map(Grant::Recipient)
            }
            Question::Internal { anonymous } => match self.is_internal(*anonymous) {
                true => Ok(Grant::Plain),
                false => Err(Refusal::NoSubmit),
            },
            Question::Header(senders) => self.header(*senders).map(Grant::Header),
        }
    }

    /// The stages AUTH and MAIL FROM of `authorization.md` §4.
    fn submit(&mut self) -> Result<(), Refusal> {
        let refusal = match self.token.kind {
            TokenKind::Anonymous => Refusal::NotAuthenticated,
            _ => Refusal::NoSubmit,
        };
        if !self.connector_right(RightName::Submit) {
            return Err(refusal);
        }
        if let (TokenKind::Account, Some(mailbox)) = (&self.token.kind, self.facts.logon)
            && !self.full_access(mailbox)
        {
            return Err(refusal);
        }
        Ok(())
    }

    /// The settings of the connector; `None` when it is gone.
    pub(crate) fn connector(&self) -> Option<&'a ReceiveConnector> {
        receive_connector(self.snapshot, self.facts.connector)
    }

    /// Whether the token holds `right` on the connector.
    pub(crate) fn connector_right(&mut self, right: RightName) -> bool {
        self.control_right(self.facts.connector, right) == Outcome::Allow
    }

    /// AccessCheck for a control access right on an object. An unreadable descriptor grants nothing.
    pub(crate) fn control_right(&mut self, on: ObjectId, right: RightName) -> Outcome {
        let Some(object) = self.snapshot.object(on) else { return Outcome::None };
        let wanted = Wanted::Right(right);
        let Some(descriptor) = self.snapshot.descriptor(on) else {
            return self.unreadable(on, DescriptorKind::Object, wanted);
        };
        // The account link is for mail only (S0): of the rights on a directory object it reaches Send As alone.
        let linked = right == RightName::SendAs && self.is_linked(object);
        let guid = right.guid();
        let decision = self.settled(on, on, descriptor, |sids| {
            descriptor.dacl().control_access(sids, principals(sids, object, descriptor, linked), &guid)
        });
        self.decided(on, DescriptorKind::Object, wanted, decision)
    }

    /// `full_access(R)`: AccessCheck for mailbox right 0x1 over the mailbox descriptor of `owner`.
    pub(crate) fn full_access(&mut self, owner: ObjectId) -> bool {
        let Some(object) = self.snapshot.object(owner) else { return false };
        if object.mailbox().is_none() {
            return false;
        }
        self.mailbox_right(owner, object, Wanted::FullMailboxAccess) == Outcome::Allow
    }

    /// AccessCheck over the mailbox descriptor of `owner`.
    pub(crate) fn mailbox_right(&mut self, owner: ObjectId, object: &Object, wanted: Wanted) -> Outcome {
        let mask = match wanted {
            Wanted::InheritedSendAs => MAILBOX_SEND_AS,
            _ => FULL_MAILBOX_ACCESS,
        };
        let Some(descriptor) = self.snapshot.mailbox_descriptor(owner) else {
            return self.unreadable(owner, DescriptorKind::Mailbox, wanted);
        };
        let linked = self.is_linked(object);
        let place = mailbox_place(self.snapshot, owner);
        let decision = self.settled(owner, place, descriptor, |sids| {
            descriptor.dacl().access(sids, principals(sids, object, descriptor, linked), mask)
        });
        self.decided(owner, DescriptorKind::Mailbox, wanted, decision)
    }

    /// What a check says with the SIDs that count at `place`; `None` where it would say something else if somebody were, or
    /// were not, in a group whose members nobody knows now, or where nobody knows the object.
    ///
    /// The right is one bit, so that the first entry decides that matches: it is settled if no uncertain SID alone changes
    /// the verdict.
    fn settled(
        &self,
        on: ObjectId,
        place: ObjectId,
        descriptor: &Descriptor,
        check: impl Fn(&SidSet) -> acl::Decision,
    ) -> Option<acl::Decision> {
        let snapshot = self.snapshot;
        let held = self.token.sids_on(snapshot, place);
        if snapshot.doubt().is_none() {
            return Some(check(held));
        }
        if snapshot.is_stale(on) {
            return None;
        }
        // Without an account there are no groups.
        if self.token.account.is_none() {
            return Some(check(held));
        }
        let named = descriptor.sd().dacl.iter().flat_map(|dacl| &dacl.aces).map(|ace| &ace.sid);
        // Whoever holds the object's own SID is SELF there.
        let own = snapshot.object(on).and_then(Object::sid).map(|sid| snapshot.sid(sid));
        let named = named.chain(&descriptor.sd().owner).chain(&own).filter(|sid| snapshot.is_uncertain(sid, place));
        let uncertain: BTreeSet<SidId> = named.filter_map(|sid| snapshot.sid_id(sid)).collect();
        let certain: SidSet = held.iter().filter(|sid| !uncertain.contains(sid)).collect();
        let decision = check(&certain);
        let with = |sid: SidId| check(&certain.iter().chain([sid]).collect()).outcome;
        uncertain.into_iter().all(|sid| with(sid) == decision.outcome).then_some(decision)
    }

    /// Whether the token's user is the Associated External Account of `object`. The link counts only while the owner is
    /// disabled (KB 300456), and for the user SID alone.
    pub(crate) fn is_linked(&mut self, object: &Object) -> bool {
        if object.master_account() != Some(self.token.user) {
            return false;
        }
        if object.enabled()
            && let Some(of) = self.snapshot.by_guid(&object.guid())
        {
            self.trace.note(|| Step::LinkIgnored { of });
        }
        !object.enabled()
    }

    fn unreadable(&mut self, on: ObjectId, kind: DescriptorKind, wanted: Wanted) -> Outcome {
        self.trace.note(|| Step::Unreadable { on, kind, wanted });
        Outcome::None
    }

    fn decided(
        &mut self,
        on: ObjectId,
        kind: DescriptorKind,
        wanted: Wanted,
        decision: Option<acl::Decision>,
    ) -> Outcome {
        let Some(decision) = decision else {
            self.unknown = true;
            self.trace.note(|| Step::Unknown { on, kind, wanted });
            return Outcome::Deny;
        };
        let outcome = decision.outcome;
        self.denied |= outcome == Outcome::Deny;
        self.trace.note(|| match decision.ace {
            Some(index) => Step::Ace { on, kind, index, wanted, outcome },
            None => Step::NoAce { on, kind, wanted, outcome },
        });
        outcome
    }

    /// The one object that owns `address`, noted in the trace; `None` where nobody or several do.
    pub(crate) fn owner_of(&mut self, address: &Address) -> Option<ObjectId> {
        let snapshot = self.snapshot;
        let canonical = address.as_canonical();
        match snapshot.by_address(canonical) {
            AddressOwner::One(owner) => {
                self.trace.note(|| Step::AddressOf { address: canonical.clone(), owner });
                Some(owner)
            }
            AddressOwner::Nobody => {
                // It may be somebody's there by now. Of strangers nothing hangs on that.
                self.unknown |= self.token.account.is_some() && !snapshot.doubt().stale.is_empty();
                let authoritative = || is_authoritative(snapshot, canonical);
                self.trace.note(|| Step::Nobody { address: canonical.clone(), authoritative: authoritative() });
                None
            }
            AddressOwner::Several(owners) => {
                self.unknown |= owners.iter().any(|owner| snapshot.is_stale(*owner));
                self.trace.note(|| Step::SeveralOwners { address: canonical.clone(), owners });
                None
            }
        }
    }

    /// The account of the session.
    pub(crate) fn account(&self) -> Option<ObjectId> {
        match self.token.kind {
            TokenKind::Account => self.token.account,
            _ => None,
        }
    }
}

fn principals(sids: &SidSet, object: &Object, descriptor: &Descriptor, linked: bool) -> Principals {
    let holds = |sid| sids.contains(sid);
    Principals { is_self: linked || object.sid().is_some_and(holds), is_owner: descriptor.owner().is_some_and(holds) }
}

/// Where the mailbox of an owner is checked: in its database, whose server's domain decides which domain-local groups
/// count. A mailbox in no database: with its owner.
pub(crate) fn mailbox_place(snapshot: &Snapshot, owner: ObjectId) -> ObjectId {
    let mailbox = snapshot.object(owner).and_then(Object::mailbox);
    mailbox.and_then(|mailbox| mailbox.database).unwrap_or(owner)
}

/// Mailbox right 0x1, `fsdrightMailboxOwner`.
pub const FULL_MAILBOX_ACCESS: acl::AccessMask = acl::AccessMask(0x1);
/// Mailbox right 0x2, `fsdrightMailboxSendAs`; counts under the legacy policy only.
pub const MAILBOX_SEND_AS: acl::AccessMask = acl::AccessMask(0x2);

/// The settings of a receive connector; `None` when the object is gone or is none.
pub(crate) fn receive_connector(snapshot: &Snapshot, id: ObjectId) -> Option<&ReceiveConnector> {
    match snapshot.object(id)?.config()? {
        Config::ReceiveConnector(connector) => Some(connector),
        _ => None,
    }
}

/// Whether an address falls under an authoritative accepted domain.
pub(crate) fn is_authoritative(snapshot: &Snapshot, address: &CanonicalAddress) -> bool {
    snapshot.accepted_domain_of(address).is_some_and(|domain| domain.kind == DomainKind::Authoritative)
}
