//! What a decision rested on, step by step.
//!
//! The fast path runs with [`NoTrace`], which costs nothing: steps are closures that are never called. A refusal, and a
//! message sent as somebody else, is decided a second time by the same code with [`Steps`].

use acl::Outcome;
use directory::ObjectId;
use message::CanonicalAddress;

use crate::table::RightName;

/// Takes the steps of a decision.
pub trait Trace {
    /// Notes one step; `step` is called only by implementations that keep it.
    fn note(&mut self, step: impl FnOnce() -> Step);
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTrace;

impl Trace for NoTrace {
    #[inline(always)]
    fn note(&mut self, _: impl FnOnce() -> Step) {}
}

/// Keeps each step once, in the order of deciding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<Step>);

impl Trace for Steps {
    fn note(&mut self, step: impl FnOnce() -> Step) {
        let step = step();
        if !self.0.contains(&step) {
            self.0.push(step);
        }
    }
}

/// Which of an object's two descriptors an ACE stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DescriptorKind {
    /// The directory object's own (`nTSecurityDescriptor`).
    Object,
    /// The mailbox's, in the store.
    Mailbox,
}

/// What was asked of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A control access right.
    Right(RightName),
    /// Mailbox right 0x1.
    FullMailboxAccess,
    /// Mailbox right 0x2, asked under the legacy policy only.
    InheritedSendAs,
}

/// One step of a decision. Objects are rows of the snapshot that was decided on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// An access check was made and an ACE decided it.
    Ace {
        /// The object whose descriptor was checked.
        on: ObjectId,
        /// Which descriptor.
        kind: DescriptorKind,
        /// Index of the ACE in its DACL.
        index: usize,
        /// What was asked.
        wanted: Wanted,
        /// What the ACE said.
        outcome: Outcome,
    },
    /// An access check was made and no ACE matched; or there is no DACL, and everything is granted (`Outcome::Allow`).
    NoAce {
        /// The object whose descriptor was checked.
        on: ObjectId,
        /// Which descriptor.
        kind: DescriptorKind,
        /// What was asked.
        wanted: Wanted,
        /// `Allow` for a NULL DACL, else `None`.
        outcome: Outcome,
    },
    /// The descriptor could not be read from its directory; it grants nothing.
    Unreadable {
        /// The object.
        on: ObjectId,
        /// Which descriptor.
        kind: DescriptorKind,
        /// What was asked.
        wanted: Wanted,
    },
    /// What the check rests on is held of a domain that cannot be asked now: its object, or who is in groups that its
    /// entries name. It grants nothing, and refuses for now.
    Unknown {
        /// The object.
        on: ObjectId,
        /// Which descriptor.
        kind: DescriptorKind,
        /// What was asked.
        wanted: Wanted,
    },
    /// Who is a delegate of the object is not known now: it, or groups among its delegates, are of a domain that cannot be
    /// asked.
    UnknownDelegates {
        /// The object.
        of: ObjectId,
    },
    /// The account, or the recipient, is of a domain that cannot be asked now.
    UnknownObject {
        /// The object.
        of: ObjectId,
    },
    /// An address was looked up and one object owns it.
    AddressOf {
        /// The canonical address.
        address: CanonicalAddress,
        /// Its owner.
        owner: ObjectId,
    },
    /// An address was looked up and nobody owns it.
    Nobody {
        /// The canonical address.
        address: CanonicalAddress,
        /// Whether its domain is authoritative.
        authoritative: bool,
    },
    /// An address was looked up and several objects claim it: no proof.
    SeveralOwners {
        /// The canonical address.
        address: CanonicalAddress,
        /// Those that claim it.
        owners: Vec<ObjectId>,
    },
    /// The account of the session owns the object.
    Owner {
        /// The object.
        of: ObjectId,
        /// By the link of `msExchMasterAccountSid`, not by being the object itself.
        linked: bool,
    },
    /// An account link is set on an enabled owner, and is therefore ignored (S0, "Associated external accounts").
    LinkIgnored {
        /// The owner.
        of: ObjectId,
    },
    /// The account is a delegate (Send on Behalf).
    Delegate {
        /// Whose delegate.
        of: ObjectId,
        /// From the account, through groups, to the delegate named there; at least one entry.
        path: Vec<ObjectId>,
    },
    /// The account is no delegate.
    NoDelegate {
        /// Of whom.
        of: ObjectId,
    },
    /// The session logged on to this mailbox.
    LoggedOn {
        /// The mailbox's owner.
        to: ObjectId,
    },
    /// Delegate, Full Mailbox Access and logged on: a super-delegate, who sends as the owner (S0).
    SuperDelegate {
        /// Of whom.
        of: ObjectId,
    },
    /// The peer's certificate proved the domain of the address.
    Partner {
        /// The domain.
        domain: String,
    },
    /// An address is ours and Accept any Sender does not cover it without Accept Authoritative Domain Sender.
    Ours {
        /// The canonical address.
        address: CanonicalAddress,
    },
    /// The account has no address of its own to put into Sender.
    NoOwnAddress,
    /// The connector does not take mail on behalf of others (`on_behalf = reject`).
    OnBehalfRejected,
}
