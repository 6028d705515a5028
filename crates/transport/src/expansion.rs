//! Who gets a message: groups are replaced by their members, forwarding is followed, and copies are added. Done once, when the
//! message is accepted, with the directory as it is then; loops end.

use std::collections::HashSet;

use directory::{AddressOwner, Class, Object, ObjectId, Snapshot, attributes as a};
use message::{Address, CanonicalAddress};
use queue::Recipient;
use session::Submission;
use smtp::RcptParams;

use crate::facts::{Kind, RecipientFacts, Reports};
use crate::route::{Exits, Route};

/// Recipients that one message may have after its groups are expanded.
const MOST_RECIPIENTS: usize = 50_000;

/// The recipients of a message as the queue is to have them.
pub(crate) fn recipients(snapshot: &Snapshot, from: &Submission, exits: &Exits) -> Vec<Recipient> {
    let mut expansion = Expansion {
        snapshot,
        exits,
        size: from.size,
        groups: HashSet::new(),
        seen: HashSet::new(),
        waiting: Vec::new(),
        found: Vec::new(),
        journals: Vec::new(),
    };
    for recipient in &from.recipients {
        let facts = RecipientFacts { params: recipient.params.clone(), ..RecipientFacts::default() };
        expansion.add(&recipient.address, facts);
    }
    expansion.copies(from);
    expansion.journal(from);
    expansion.found
}

struct Expansion<'a> {
    snapshot: &'a Snapshot,
    exits: &'a Exits,
    size: u64,
    /// Groups that were expanded: each once.
    groups: HashSet<ObjectId>,
    /// Addresses that get the message.
    seen: HashSet<CanonicalAddress>,
    waiting: Vec<Waiting>,
    found: Vec<Recipient>,
    /// Where journal reports go, each once.
    journals: Vec<Address>,
}

/// An address that is to be looked at.
struct Waiting {
    address: Address,
    facts: RecipientFacts,
    /// Whose forwarding led here.
    forwarded_by: Vec<ObjectId>,
}

impl Expansion<'_> {
    /// Everybody whom mail for one address reaches.
    fn add(&mut self, address: &Address, facts: RecipientFacts) {
        let named = facts.clone();
        self.waiting.push(Waiting { address: address.clone(), facts, forwarded_by: Vec::new() });
        while let Some(next) = self.waiting.pop() {
            if self.found.len() >= MOST_RECIPIENTS {
                self.waiting.clear();
                tracing::warn!(
                    most = MOST_RECIPIENTS,
                    group = address.as_str(),
                    "a group is too large for one message"
                );
                // The group stays among the recipients, and fails: its sender is told that not all got the message.
                return self.take(address.clone(), address.canonical(), &named);
            }
            self.look_at(next);
        }
    }

    fn look_at(&mut self, at: Waiting) {
        let canonical = at.address.canonical();
        let snapshot = self.snapshot;
        let owner = match snapshot.recipient(&canonical) {
            AddressOwner::One(owner) => owner,
            AddressOwner::Several(_) | AddressOwner::Nobody => return self.take(at.address, canonical, &at.facts),
        };
        let Some(object) = snapshot.object(owner) else { return self.take(at.address, canonical, &at.facts) };
        self.journals_of(object);
        match object.class() {
            Class::Group | Class::DynamicGroup => self.expand(at, canonical, owner, object),
            _ => self.forward(at, canonical, owner, object),
        }
    }

    /// A group is replaced by its members. One without members stays, so that its sender is told.
    fn expand(&mut self, at: Waiting, canonical: CanonicalAddress, group: ObjectId, object: &Object) {
        if !self.groups.insert(group) {
            return;
        }
        let facts = of_members(self.snapshot, group, object, &at);
        let mut members: Vec<Waiting> = members(self.snapshot, group, object)
            .into_iter()
            .map(|address| Waiting { address, facts: facts.clone(), forwarded_by: Vec::new() })
            .collect();
        if members.is_empty() {
            return self.take(at.address, canonical, &at.facts);
        }
        members.reverse();
        self.waiting.extend(members);
    }

    /// A mailbox may forward its mail, and keep it or not. Forwarding that comes back to whom it began with ends there: the
    /// last one keeps the mail.
    fn forward(&mut self, at: Waiting, canonical: CanonicalAddress, owner: ObjectId, object: &Object) {
        let Waiting { address, facts, mut forwarded_by } = at;
        let target = forwarding_address(self.snapshot, owner, object)
            .filter(|(target, _)| target.is_none_or(|target| target != owner && !forwarded_by.contains(&target)))
            .filter(|(_, target)| target.canonical() != canonical);
        let Some((_, target)) = target else { return self.take(address, canonical, &facts) };
        forwarded_by.push(owner);
        self.waiting.push(Waiting { address: target, facts: facts.clone(), forwarded_by });
        if object.truth(a::DELIVER_AND_REDIRECT) == Some(true) && object.mailbox().is_some() {
            self.take(address, canonical, &facts);
        }
    }

    /// A recipient, once.
    fn take(&mut self, address: Address, canonical: CanonicalAddress, facts: &RecipientFacts) {
        if self.seen.insert(canonical.clone()) {
            self.push(&address, &canonical, facts);
        }
    }

    fn push(&mut self, address: &Address, canonical: &CanonicalAddress, facts: &RecipientFacts) {
        let route = Route::resolve(self.snapshot, canonical, self.size, self.exits);
        self.found.push(Recipient {
            address: address.as_str().to_owned(),
            destination: route.destination(canonical.domain()),
            parameters: facts.write(),
        });
    }

    /// Owners who want a copy of what others send as them, or on their behalf, unless they get the message anyway.
    fn copies(&mut self, from: &Submission) {
        for (owner, on_behalf) in &from.sent_for {
            let wish = if *on_behalf { a::COPY_SENT_ON_BEHALF } else { a::COPY_SENT_AS };
            let object = self.snapshot.by_guid(owner).and_then(|id| self.snapshot.object(id));
            let Some(object) = object.filter(|object| object.mailbox().is_some()) else { continue };
            let Some(address) = object.primary_address().filter(|_| object.truth(wish) == Some(true)) else { continue };
            let facts = RecipientFacts { reports: Reports::Nobody, kind: Kind::Copy, ..RecipientFacts::default() };
            let canonical = address.canonical();
            self.take(address, canonical, &facts);
        }
    }

    /// Journal reports of the organization, of the recipients that were met, and of whoever sent the message.
    fn journal(&mut self, from: &Submission) {
        let snapshot = self.snapshot;
        let sender = from.sender.as_ref().and_then(|sender| match snapshot.by_address(&sender.canonical()) {
            AddressOwner::One(owner) => Some(owner),
            _ => None,
        });
        let sent_for = from.sent_for.iter().filter_map(|(owner, _)| snapshot.by_guid(owner));
        let account = from.origin.account.and_then(|account| snapshot.by_guid(&account));
        let organization = snapshot.organization();
        for id in organization.into_iter().chain(sender).chain(account).chain(sent_for) {
            if let Some(object) = snapshot.object(id) {
                self.journals_of(object);
            }
        }
        let facts = RecipientFacts { reports: Reports::Nobody, kind: Kind::Journal, ..RecipientFacts::default() };
        for address in std::mem::take(&mut self.journals) {
            // Who gets the message too gets both.
            self.push(&address, &address.canonical(), &facts);
        }
    }

    /// Notes where the mail of an object is journaled.
    fn journals_of(&mut self, object: &Object) {
        let Some(address) = object.words(a::JOURNAL).and_then(|text| Address::parse(text).ok()) else { return };
        let canonical = address.canonical();
        if !self.journals.iter().any(|known| known.canonical() == canonical) {
            self.journals.push(address);
        }
    }
}

/// What the members of a group inherit of it.
fn of_members(snapshot: &Snapshot, group: ObjectId, object: &Object, at: &Waiting) -> RecipientFacts {
    let list = at.facts.list.clone().unwrap_or_else(|| at.address.as_str().to_owned());
    let owner = || {
        let owners = snapshot.links(group, a::MANAGED_BY);
        owners.into_iter().filter_map(|owner| snapshot.object(owner)).find_map(Object::primary_address)
    };
    let to_owner = object.truth(a::REPORT_TO_OWNER) == Some(true);
    let reports = match to_owner.then(owner).flatten() {
        Some(owner) => Reports::To(owner),
        None if object.truth(a::REPORT_TO_ORIGINATOR) == Some(false) => Reports::Nobody,
        None => at.facts.reports.clone(),
    };
    // RFC 3461 §5.2.7.2: what the sender wants to hear is not the owner's to be told.
    let params = if reports == Reports::Sender { at.facts.params.clone() } else { RcptParams::NONE };
    RecipientFacts { list: Some(list), params, reports, kind: at.facts.kind }
}

/// The addresses of a group's direct members, those without one left out.
fn members(snapshot: &Snapshot, group: ObjectId, object: &Object) -> Vec<Address> {
    let members = match object.class() {
        Class::DynamicGroup => snapshot.dynamic_members(group),
        _ => snapshot.members(group),
    };
    members.into_iter().filter_map(|member| snapshot.object(member)?.primary_address()).collect()
}

/// Where the mail of an object is forwarded to: altRecipient, or the targetAddress of what has no mailbox here. With the
/// object, where it is one of ours.
fn forwarding_address(snapshot: &Snapshot, owner: ObjectId, object: &Object) -> Option<(Option<ObjectId>, Address)> {
    let alternative = snapshot.links(owner, a::ALT_RECIPIENT).into_iter().find_map(|target| {
        let address = snapshot.object(target)?.primary_address()?;
        Some((Some(target), address))
    });
    let external = || {
        let text = object.words(a::TARGET_ADDRESS).filter(|_| object.mailbox().is_none())?;
        let address = match text.split_once(':') {
            Some((kind, address)) if kind.eq_ignore_ascii_case("smtp") => address,
            _ => text,
        };
        Some((None, Address::parse(address).ok()?))
    };
    alternative.or_else(external)
}
