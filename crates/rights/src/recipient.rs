//! The stage RCPT TO of `authorization.md` §4.

use directory::attributes::{AUTH_ORIG, REJECT_PERMS, REQUIRE_AUTH_TO_SEND_TO, SUBMIT_PERMS, UNAUTH_ORIG};
use directory::{AddressOwner, Class, DomainKind, HostKind, ObjectId, TokenKind};
use message::Address;

use crate::decide::Judge;
use crate::refusal::Refusal;
use crate::sender::Proof;
use crate::table::RightName;
use crate::trace::{Step, Trace};

/// A recipient that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientGrant {
    /// The object that owns the address, where one does.
    pub object: Option<ObjectId>,
    /// Why the session may send there.
    pub by: RecipientBy,
}

/// Why a recipient was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientBy {
    /// Its domain is an accepted domain of this kind.
    AcceptedDomain(DomainKind),
    /// The session may relay to any recipient.
    AnyRecipient,
}

/// What restricts who may send to a recipient.
const RESTRICTIONS: [&str; 5] = [AUTH_ORIG, UNAUTH_ORIG, SUBMIT_PERMS, REJECT_PERMS, REQUIRE_AUTH_TO_SEND_TO];

impl<T: Trace> Judge<'_, T> {
    pub(crate) fn recipient(
        &mut self,
        to: &Address,
        sender: Option<&Proof>,
        internal: bool,
    ) -> Result<RecipientGrant, Refusal> {
        let canonical = to.as_canonical();
        let domain = self.snapshot.accepted_domain_of(canonical);
        // Recipient lookup: by default where the domain is authoritative (F §3.10).
        let looked_up = domain.is_some_and(|domain| domain.recipient_lookup);
        let by = match domain {
            Some(domain) => RecipientBy::AcceptedDomain(domain.kind),
            None if self.connector_right(RightName::AcceptAnyRecipient) => RecipientBy::AnyRecipient,
            None => return Err(Refusal::UnableToRelay(to.clone())),
        };
        let object = match self.snapshot.recipient(canonical) {
            AddressOwner::One(object) if self.snapshot.is_stale(object) => {
                self.trace.note(|| Step::UnknownObject { of: object });
                return Err(Refusal::DirectoryUnavailable);
            }
            AddressOwner::One(object) => Some(object),
            AddressOwner::Several(owners) if looked_up => {
                self.unknown |= owners.iter().any(|owner| self.snapshot.is_stale(*owner));
                self.trace.note(|| Step::SeveralOwners { address: canonical.clone(), owners });
                return Err(Refusal::AmbiguousRecipient(to.clone()));
            }
            AddressOwner::Nobody if looked_up => {
                // There may be such a recipient by now.
                self.unknown |= !self.snapshot.doubt().stale.is_empty();
                let authoritative = domain.is_some_and(|domain| domain.kind == DomainKind::Authoritative);
                self.trace.note(|| Step::Nobody { address: canonical.clone(), authoritative });
                return Err(Refusal::UserUnknown(to.clone()));
            }
            _ => None,
        };
        if let Some(object) = object {
            self.delivery_restrictions(to, object, sender, internal)?;
        }
        Ok(RecipientGrant { object, by })
    }

    /// "Authenticated senders only", and the lists of accepted and rejected senders. They look at proven senders: the
    /// owner whom the envelope sender was proven to be, and for a delegate the delegate too.
    fn delivery_restrictions(
        &mut self,
        to: &Address,
        recipient: ObjectId,
        sender: Option<&Proof>,
        internal: bool,
    ) -> Result<(), Refusal> {
        let proven: Vec<ObjectId> = match sender {
            Some(Proof::OnBehalf(owner)) => [Some(*owner), self.account()].into_iter().flatten().collect(),
            Some(proof) => proof.object().into_iter().collect(),
            None => Vec::new(),
        };
        let is_proven = !proven.is_empty() || matches!(sender, Some(Proof::Partner)) || internal;
        if RESTRICTIONS.iter().any(|attribute| self.snapshot.lacks(recipient, attribute)) {
            self.trace.note(|| Step::UnknownObject { of: recipient });
            return Err(Refusal::DirectoryUnavailable);
        }
        let only_proven = self.snapshot.object(recipient).is_some_and(|object| object.requires_authenticated_sender());
        if only_proven && !is_proven {
            return Err(Refusal::AuthenticationRequired(to.clone()));
        }
        if !self.snapshot.has_sender_lists(recipient) {
            return Ok(());
        }
        let list = |people: &str, groups: &str| {
            let mut entries = self.snapshot.links(recipient, people);
            entries.extend(self.snapshot.links(recipient, groups));
            entries
        };
        let accepted_list = list(AUTH_ORIG, SUBMIT_PERMS);
        let rejected_list = list(UNAUTH_ORIG, REJECT_PERMS);
        let uncertain = |id: &ObjectId| self.snapshot.has_uncertain_members(*id);
        if accepted_list.iter().chain(&rejected_list).any(uncertain) && !proven.is_empty() {
            self.trace.note(|| Step::UnknownObject { of: recipient });
            return Err(Refusal::DirectoryUnavailable);
        }
        let is_on = |list: &[ObjectId]| {
            proven
                .iter()
                .any(|sender| list.iter().any(|entry| entry == sender || self.snapshot.is_member(*sender, *entry)))
        };
        let rejected = is_on(&rejected_list);
        let accepted = accepted_list.is_empty() || is_on(&accepted_list);
        match accepted && !rejected {
            true => Ok(()),
            false => Err(Refusal::NotAuthorized(to.clone())),
        }
    }

    /// Whether a message of this session, with this `AUTH=` parameter, counts as internal: a proven server that holds
    /// Accept Authentication Flag says so, unless it passes on `AUTH=<>`. Never proof of an address.
    pub(crate) fn is_internal(&mut self, marked_anonymous: bool) -> bool {
        let host =
            matches!(self.token.kind, TokenKind::Host(HostKind::Hub | HostKind::Edge | HostKind::ExternallySecured));
        (host || self.is_server_account())
            && !marked_anonymous
            && self.connector_right(RightName::AcceptAuthenticationFlag)
    }

    /// Servers that log on with an account: computers, and those of Exchange 2003 (S2: the flag is theirs above all), who
    /// are members of ExchangeLegacyInterop.
    fn is_server_account(&self) -> bool {
        let account = self.token.account.and_then(|account| self.snapshot.object(account));
        account.is_some_and(|account| account.class() == Class::Computer)
            || self.token.sids.contains(self.snapshot.legacy_exchange_servers())
    }
}
