//! Who can send as, send on behalf of, or open; and what an account can.
//!
//! Two views of the same decisions. [`who_can`] lists the reasons as they stand in the directory, one row for each entry
//! or link, groups as they are named. [`who_people`] and [`what_can`] list accounts and owners one by one, and hold
//! exactly what [`decide`] allows: candidates are gathered generously and each is put to `decide`.

use std::collections::{BTreeSet, VecDeque};

use acl::{AccessMask, AceFlags, Outcome, Principals, Sid, SidSet, well_known};
use directory::{Class, Descriptor, Holders, HostKind, ObjectId, Snapshot, Time, Token};

use crate::decide::{FULL_MAILBOX_ACCESS, Facts, MAILBOX_SEND_AS, Question, Verdict, decide, mailbox_place};
use crate::sender::{Proof, has_legacy_policy};
use crate::table::RightName;
use crate::trace::{DescriptorKind, NoTrace};
use crate::transaction::{AddressTrust, address_trust};

/// The three permissions on a mailbox that reports are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Send as the owner.
    SendAs,
    /// Send on behalf of the owner, visibly.
    SendOnBehalf,
    /// Open the mailbox.
    FullAccess,
}

impl Permission {
    /// All three, in the order of reports.
    pub const ALL: [Permission; 3] = [Permission::SendAs, Permission::SendOnBehalf, Permission::FullAccess];

    /// For people.
    pub fn display(self) -> &'static str {
        match self {
            Permission::SendAs => "Send As",
            Permission::SendOnBehalf => "Send on Behalf",
            Permission::FullAccess => "Full Mailbox Access",
        }
    }

    /// For machines and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Permission::SendAs => "send-as",
            Permission::SendOnBehalf => "send-on-behalf",
            Permission::FullAccess => "full-access",
        }
    }
}

/// Where a permission comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// An ACE.
    Ace {
        /// In which of the target's descriptors.
        kind: DescriptorKind,
        /// Its place in the DACL.
        index: usize,
        /// It denies.
        deny: bool,
        /// The object on which it is explicit: the target itself or an ancestor.
        origin: ObjectId,
        /// Whether it is inherited.
        inherited: bool,
    },
    /// There is no DACL: everybody is granted everything.
    NullDacl,
    /// The account is the owner.
    Owner,
    /// The account is the owner's Associated External Account.
    LinkedAccount,
    /// The account, or a group of it, is in publicDelegates.
    Delegate,
    /// Delegate with Full Mailbox Access: sends as the owner when it logs on to the owner's mailbox.
    SuperDelegate,
    /// The legacy policy of the owner's database.
    Legacy,
    /// On this connector, any sender is accepted, authoritative ones included.
    AnySender {
        /// The connector.
        connector: ObjectId,
    },
}

/// One reason, as it stands in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Whom it names, by SID; a delegate may have none (a dynamic group).
    pub trustee: Option<Sid>,
    /// Whom it names, by object; an entry may name a SID that has none.
    pub object: Option<ObjectId>,
    /// Whom it is about.
    pub target: ObjectId,
    /// Which permission.
    pub permission: Permission,
    /// Where it comes from.
    pub via: Via,
    /// Whether the trustee really is allowed (or denied, for an entry that denies): no earlier entry says otherwise, the
    /// trustee exists and, if it is an account, may log on.
    pub effective: bool,
}

/// One account that `decide` allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The account.
    pub account: ObjectId,
    /// Whom it is about.
    pub target: ObjectId,
    /// Which permission.
    pub permission: Permission,
    /// How; `None` for Full Mailbox Access.
    pub proof: Option<Proof>,
    /// Only in a session that logged on to the target's mailbox.
    pub needs_logon: bool,
}

/// Every reason for `permission` on `target`, those that deny included, in the order of the descriptor.
pub fn who_can(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> Vec<Holding> {
    let mut rows = standing(snapshot, target, permission);
    if permission == Permission::SendAs && snapshot.object(target).is_some() {
        any_sender_rows(snapshot, target, &mut rows);
    }
    rows
}

/// Who may use any sender on a receive connector, ours included: they can send as everybody there. `target` is whom the
/// rows are to name.
pub fn any_sender(snapshot: &Snapshot, target: ObjectId) -> Vec<Holding> {
    let mut rows = Vec::new();
    any_sender_rows(snapshot, target, &mut rows);
    rows
}

/// The reasons of [`who_can`] that stand on the target, its mailbox and what those inherit from: all but those of
/// [`any_sender`].
pub fn standing(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> Vec<Holding> {
    let mut rows = Vec::new();
    let Some(object) = snapshot.object(target) else { return rows };
    let row = |object: Option<ObjectId>, trustee: Option<Sid>, via: Via, effective: bool| Holding {
        trustee,
        object,
        target,
        permission,
        via,
        effective,
    };
    let delegates = || snapshot.delegates(target).into_iter();
    match permission {
        Permission::SendAs => {
            if let Some(descriptor) = snapshot.descriptor(target) {
                ace_rows(snapshot, target, permission, DescriptorKind::Object, descriptor, &mut rows);
            }
            if let Some(sid) = object.sid() {
                let effective = person(snapshot, target, target, permission).is_some();
                rows.push(row(Some(target), Some(snapshot.sid(sid)), Via::Owner, effective));
            }
            if let Some(linked) = object.master_account() {
                let trustee = snapshot.sid(linked);
                rows.push(row(snapshot.by_sid(&trustee), Some(trustee), Via::LinkedAccount, !object.enabled()));
            }
            for delegate in delegates() {
                let people = members_of(snapshot, delegate);
                if people.iter().any(|person| super_delegate(snapshot, *person, target)) {
                    rows.push(row(Some(delegate), sid_of(snapshot, delegate), Via::SuperDelegate, true));
                }
            }
            if has_legacy_policy(snapshot, target) {
                legacy_rows(snapshot, target, &mut rows);
            }
        }
        Permission::SendOnBehalf => {
            for delegate in delegates() {
                rows.push(row(Some(delegate), sid_of(snapshot, delegate), Via::Delegate, true));
            }
        }
        Permission::FullAccess => {
            if let Some(descriptor) = snapshot.mailbox_descriptor(target) {
                ace_rows(snapshot, target, permission, DescriptorKind::Mailbox, descriptor, &mut rows);
            }
        }
    }
    rows
}

/// Every account that `decide` allows `permission` on `target`, by the order of accounts.
pub fn who_people(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> Vec<Person> {
    let mut candidates = Accounts::default();
    candidates.add_object(snapshot, target);
    // SELF means the Associated External Account too.
    if let Some(linked) = snapshot.object(target).and_then(|object| object.master_account()) {
        candidates.add(snapshot, &snapshot.sid(linked));
    }
    // Who may use any sender on a connector has no right on the target.
    for row in standing(snapshot, target, permission) {
        candidates.add_row(snapshot, &row);
    }
    let people = |accounts: &mut dyn Iterator<Item = ObjectId>| {
        accounts.filter_map(|account| person(snapshot, account, target, permission)).collect()
    };
    match candidates.all {
        true => people(&mut snapshot.objects().map(|(id, _)| id)),
        false => people(&mut candidates.some.into_iter()),
    }
}

/// Every owner on whom `decide` allows `permission` to `account`, by the order of objects.
pub fn what_can(snapshot: &Snapshot, account: ObjectId, permission: Permission) -> Vec<Person> {
    let Ok(token) = snapshot.account_token(account) else { return Vec::new() };
    let targets = snapshot.objects().filter(|(_, object)| match permission {
        Permission::FullAccess => object.mailbox().is_some(),
        _ => object.primary_address().is_some(),
    });
    targets.filter_map(|(target, _)| person_with(snapshot, &token, account, target, permission)).collect()
}

/// Whether, and how, `decide` allows `permission` on `target` to an account.
pub fn person(snapshot: &Snapshot, account: ObjectId, target: ObjectId, permission: Permission) -> Option<Person> {
    let token = snapshot.account_token(account).ok()?;
    person_with(snapshot, &token, account, target, permission)
}

fn person_with(
    snapshot: &Snapshot,
    token: &Token,
    account: ObjectId,
    target: ObjectId,
    permission: Permission,
) -> Option<Person> {
    let without = ask(snapshot, token, target, permission, None);
    let (verdict, needs_logon) = match (&without.reason, permission) {
        (Err(_), Permission::SendAs) => (ask(snapshot, token, target, permission, Some(target)), true),
        _ => (without, false),
    };
    let proof = match verdict.reason {
        Ok(crate::Grant::Sender(proof)) => Some(proof),
        Ok(_) => None,
        Err(_) => return None,
    };
    Some(Person { account, target, permission, proof, needs_logon })
}

/// Whether the account sends as the owner when it logged on to the owner's mailbox, and only then.
fn super_delegate(snapshot: &Snapshot, account: ObjectId, target: ObjectId) -> bool {
    person(snapshot, account, target, Permission::SendAs)
        .is_some_and(|person| matches!(person.proof, Some(Proof::SuperDelegate(_))))
}

/// The question about an owner; no connector has a say in it.
fn ask(
    snapshot: &Snapshot,
    token: &Token,
    target: ObjectId,
    permission: Permission,
    logon: Option<ObjectId>,
) -> Verdict<NoTrace> {
    let facts = Facts { connector: target, logon, time: Time(0) };
    let question = match permission {
        Permission::SendAs => Question::SendAs(target),
        Permission::SendOnBehalf => Question::SendOnBehalf(target),
        Permission::FullAccess => Question::Logon(target),
    };
    decide(snapshot, token, &facts, &question)
}

/// The rows of [`standing`] that are entries of the object's descriptor.
pub(crate) fn send_as_entries(snapshot: &Snapshot, owner: ObjectId) -> Vec<Holding> {
    let mut rows = Vec::new();
    if let Some(descriptor) = snapshot.descriptor(owner) {
        ace_rows(snapshot, owner, Permission::SendAs, DescriptorKind::Object, descriptor, &mut rows);
    }
    rows
}

fn ace_rows(
    snapshot: &Snapshot,
    target: ObjectId,
    permission: Permission,
    kind: DescriptorKind,
    descriptor: &Descriptor,
    rows: &mut Vec<Holding>,
) {
    let row = |trustee: Sid, via: Via, effective: bool| {
        let object = match trustee == well_known::SELF {
            true => Some(target),
            false => snapshot.principal_on(&trustee, target),
        };
        Holding { trustee: Some(trustee), object, target, permission, via, effective }
    };
    let Some(dacl) = &descriptor.sd().dacl else {
        rows.push(row(well_known::EVERYONE.clone(), Via::NullDacl, true));
        return;
    };
    for (index, ace) in dacl.aces.iter().enumerate() {
        let speaks = match permission {
            Permission::FullAccess => ace.mask.contains(FULL_MAILBOX_ACCESS) && ace.object_type.is_none(),
            _ => {
                ace.mask.contains(AccessMask::CONTROL_ACCESS)
                    && ace.object_type.is_none_or(|object_type| object_type == RightName::SendAs.guid())
            }
        };
        if !speaks || !ace.is_effective() || !(ace.is_allow() || ace.is_deny()) {
            continue;
        }
        let origin = match kind {
            DescriptorKind::Object => snapshot.ace_origin(target, index),
            DescriptorKind::Mailbox => snapshot.mailbox_ace_origin(target, index),
        };
        let inherited = ace.flags.contains(AceFlags::INHERITED);
        let via = Via::Ace { kind, index, deny: ace.is_deny(), origin, inherited };
        let effective = is_effective(snapshot, target, permission, descriptor, &ace.sid, ace.is_deny());
        rows.push(row(ace.sid.clone(), via, effective));
    }
}

/// Whether a token that holds the trustee's SID, its groups' and those of every account gets what the entry says.
fn is_effective(
    snapshot: &Snapshot,
    target: ObjectId,
    permission: Permission,
    descriptor: &Descriptor,
    trustee: &Sid,
    deny: bool,
) -> bool {
    let decision = as_trustee(snapshot, target, descriptor, trustee, |sids, who| match permission {
        Permission::FullAccess => descriptor.dacl().access(sids, who, FULL_MAILBOX_ACCESS),
        _ => descriptor.dacl().control_access(sids, who, &RightName::SendAs.guid()),
    });
    decision.is_some_and(|decision| decision.outcome == if deny { Outcome::Deny } else { Outcome::Allow })
}

/// What Send As on `owner` comes to for a trustee, and the deciding entry; `None` for a trustee that nobody can be or an
/// owner whose descriptor could not be read.
pub fn effective_send_as(snapshot: &Snapshot, owner: ObjectId, trustee: &Sid) -> Option<(Outcome, Option<usize>)> {
    let descriptor = snapshot.descriptor(owner)?;
    let decision = as_trustee(snapshot, owner, descriptor, trustee, |sids, who| {
        descriptor.dacl().control_access(sids, who, &RightName::SendAs.guid())
    })?;
    Some((decision.outcome, decision.ace))
}

/// A check with the trustee's SIDs; `None` for a trustee that nobody can be.
fn as_trustee(
    snapshot: &Snapshot,
    target: ObjectId,
    descriptor: &Descriptor,
    trustee: &Sid,
    check: impl FnOnce(&SidSet, Principals) -> acl::Decision,
) -> Option<acl::Decision> {
    // The descriptor of a mailbox is checked where its database is.
    let of_mailbox = snapshot.mailbox_descriptor(target).is_some_and(|mailbox| std::ptr::eq(mailbox, descriptor));
    let place = if of_mailbox { mailbox_place(snapshot, target) } else { target };
    let (sids, is_self) = trustee_sids_at(snapshot, target, place, trustee)?;
    let owner = descriptor.sd().owner.as_ref().and_then(|owner| snapshot.sid_id(owner));
    let who = Principals { is_self, is_owner: owner.is_some_and(|owner| sids.contains(owner)) };
    Some(check(&sids, who))
}

/// The SIDs of a trustee as if it asked itself, and whether SELF matches; `None` for a trustee that nobody can be: an
/// orphaned SID, or an account that cannot log on.
pub(crate) fn trustee_sids(snapshot: &Snapshot, target: ObjectId, trustee: &Sid) -> Option<(SidSet, bool)> {
    trustee_sids_at(snapshot, target, target, trustee)
}

/// The same, with the domain-local groups of the domain that `place` is in.
fn trustee_sids_at(snapshot: &Snapshot, target: ObjectId, place: ObjectId, trustee: &Sid) -> Option<(SidSet, bool)> {
    let object = match *trustee == well_known::SELF {
        true => Some(target),
        false => snapshot.principal_on(trustee, place),
    };
    let domain = snapshot.domain_of(place).map(|domain| domain.object);
    let own = snapshot.object(target).and_then(|object| object.sid());
    let is_self = |sids: &SidSet| own.is_some_and(|own| sids.contains(own));
    if let Some(id) = object
        && is_account(snapshot, id)
    {
        let token = snapshot.account_token(id).ok()?;
        let sids = token.sids_on(snapshot, place);
        return Some((sids.clone(), is_self(sids)));
    }
    let everybody = [well_known::EVERYONE, well_known::AUTHENTICATED_USERS, well_known::NETWORK];
    if *trustee == well_known::ANONYMOUS_LOGON {
        return Some((snapshot.anonymous_token().sids.clone(), false));
    }
    let is_everybody = everybody.contains(trustee);
    if object.is_none() && !is_everybody || object.is_some_and(|group| !snapshot.counts_in(group, domain)) {
        return None;
    }
    let mut ids: BTreeSet<_> = everybody.iter().filter_map(|sid| snapshot.sid_id(sid)).collect();
    let mut waiting: VecDeque<ObjectId> = object.into_iter().collect();
    let mut seen: BTreeSet<ObjectId> = waiting.iter().copied().collect();
    while let Some(id) = waiting.pop_front() {
        ids.extend(snapshot.object(id).and_then(|object| object.sid()));
        for group in snapshot.member_of(id) {
            let security = snapshot.object(group).is_some_and(|group| group.is_security_group());
            if security && snapshot.counts_in(group, domain) && seen.insert(group) {
                waiting.push_back(group);
            }
        }
    }
    let sids: SidSet = ids.into_iter().collect();
    let is_self = is_self(&sids);
    Some((sids, is_self))
}

/// Entries of the mailbox descriptor that carry Send As under the legacy policy: mailbox rights 0x1 and 0x2.
fn legacy_rows(snapshot: &Snapshot, target: ObjectId, rows: &mut Vec<Holding>) {
    let Some(descriptor) = snapshot.mailbox_descriptor(target) else { return };
    let aces = descriptor.sd().dacl.iter().flat_map(|dacl| &dacl.aces);
    let carries = |mask: AccessMask| mask.intersects(FULL_MAILBOX_ACCESS | MAILBOX_SEND_AS);
    for ace in aces.filter(|ace| ace.is_allow() && ace.is_effective() && carries(ace.mask)) {
        let is_self = ace.sid == well_known::SELF;
        let object = if is_self { Some(target) } else { snapshot.by_sid(&ace.sid) };
        let holds = |mask| {
            let decision = as_trustee(snapshot, target, descriptor, &ace.sid, |sids, who| {
                descriptor.dacl().access(sids, who, mask)
            });
            decision.is_some_and(acl::Decision::is_allowed)
        };
        rows.push(Holding {
            trustee: Some(ace.sid.clone()),
            object,
            target,
            permission: Permission::SendAs,
            via: Via::Legacy,
            effective: holds(FULL_MAILBOX_ACCESS) || holds(MAILBOX_SEND_AS),
        });
    }
    if descriptor.sd().dacl.is_none() {
        let trustee = well_known::EVERYONE.clone();
        let permission = Permission::SendAs;
        rows.push(Holding {
            trustee: Some(trustee),
            object: None,
            target,
            permission,
            via: Via::Legacy,
            effective: true,
        });
    }
}

fn any_sender_rows(snapshot: &Snapshot, target: ObjectId, rows: &mut Vec<Holding>) {
    for (connector, _) in snapshot.receive_connectors() {
        let Some(descriptor) = snapshot.descriptor(connector) else { continue };
        let Some(dacl) = &descriptor.sd().dacl else { continue };
        let trustees: BTreeSet<&Sid> = dacl.aces.iter().filter(|ace| ace.is_allow()).map(|ace| &ace.sid).collect();
        for trustee in trustees {
            let Some(sids) = connector_sids(snapshot, connector, trustee) else { continue };
            let holds = |right: RightName| {
                let decision = descriptor.dacl().control_access(&sids, Principals::default(), &right.guid());
                decision.outcome == Outcome::Allow
            };
            if holds(RightName::Submit)
                && holds(RightName::AcceptAnySender)
                && holds(RightName::AcceptAuthoritativeDomainSender)
            {
                rows.push(Holding {
                    trustee: Some(trustee.clone()),
                    object: snapshot.by_sid(trustee),
                    target,
                    permission: Permission::SendAs,
                    via: Via::AnySender { connector },
                    effective: true,
                });
            }
        }
    }
}

fn connector_sids(snapshot: &Snapshot, connector: ObjectId, trustee: &Sid) -> Option<SidSet> {
    let host = [
        (well_known::HUB_SERVERS, HostKind::Hub),
        (well_known::EDGE_SERVERS, HostKind::Edge),
        (well_known::EXTERNALLY_SECURED_SERVERS, HostKind::ExternallySecured),
    ];
    if let Some((_, kind)) = host.into_iter().find(|(sid, _)| sid == trustee) {
        let believed = address_trust(snapshot, connector) == AddressTrust::Believed;
        // An ACE for Externally Secured servers reaches nobody on a connector that believes no address.
        if kind == HostKind::ExternallySecured && !believed {
            return None;
        }
        return Some(snapshot.host_token(kind).sids.clone());
    }
    trustee_sids(snapshot, connector, trustee).map(|(sids, _)| sids)
}

/// Accounts, or all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Every account: the trustee is Everyone or Authenticated Users.
    pub all: bool,
    /// These.
    pub some: BTreeSet<ObjectId>,
}

/// The accounts whose tokens hold a SID, and perhaps more.
pub fn expand(snapshot: &Snapshot, trustee: &Sid) -> Accounts {
    let mut accounts = Accounts::default();
    accounts.add(snapshot, trustee);
    accounts
}

impl Accounts {
    fn add_row(&mut self, snapshot: &Snapshot, row: &Holding) {
        if let Some(object) = row.object {
            self.add_object(snapshot, object);
        }
        if let Some(trustee) = &row.trustee {
            self.add(snapshot, trustee);
        }
    }

    fn add(&mut self, snapshot: &Snapshot, trustee: &Sid) {
        // SELF is the target, which every caller adds by itself.
        if *trustee == well_known::SELF {
            return;
        }
        // Whoever holds the SID of a descriptor's owner, and this does not know which descriptor.
        if *trustee == well_known::OWNER_RIGHTS {
            self.all = true;
        }
        match snapshot.holders(trustee) {
            Holders::Everybody => self.all = true,
            Holders::These(objects) => objects.into_iter().for_each(|object| self.add_object(snapshot, object)),
        }
    }

    fn add_object(&mut self, snapshot: &Snapshot, object: ObjectId) {
        let mut seen = BTreeSet::from([object]);
        let mut waiting = VecDeque::from([object]);
        while let Some(id) = waiting.pop_front() {
            let Some(found) = snapshot.object(id) else { continue };
            match found.class() {
                Class::Group => {
                    waiting.extend(members(snapshot, id).into_iter().filter(|member| seen.insert(*member)));
                }
                // Stands for accounts elsewhere, for those that have its SID from there, or for a well-known group.
                Class::ForeignPrincipal => match found.sid().map(|sid| snapshot.holders(&snapshot.sid(sid))) {
                    Some(Holders::Everybody) => self.all = true,
                    Some(Holders::These(others)) => {
                        self.some.insert(id);
                        waiting.extend(others.into_iter().filter(|other| seen.insert(*other)));
                    }
                    None => {}
                },
                _ => {
                    self.some.insert(id);
                }
            }
        }
    }
}

/// The object itself if it is no group, else its members of every depth, members by primary group among them.
fn members_of(snapshot: &Snapshot, object: ObjectId) -> BTreeSet<ObjectId> {
    let mut people = BTreeSet::new();
    let mut seen = BTreeSet::from([object]);
    let mut waiting = VecDeque::from([object]);
    while let Some(id) = waiting.pop_front() {
        match snapshot.object(id) {
            Some(found) if found.class() == Class::Group => {
                waiting.extend(members(snapshot, id).into_iter().filter(|member| seen.insert(*member)));
            }
            Some(_) => {
                people.insert(id);
            }
            None => {}
        }
    }
    people
}

/// Direct members of a group, those by primary group among them.
fn members(snapshot: &Snapshot, group: ObjectId) -> Vec<ObjectId> {
    let mut members = snapshot.members(group);
    members.extend(snapshot.primary_members(group));
    members
}

fn is_account(snapshot: &Snapshot, id: ObjectId) -> bool {
    let class = snapshot.object(id).map(|object| object.class());
    matches!(class, Some(Class::User | Class::InetOrgPerson | Class::Computer))
}

fn sid_of(snapshot: &Snapshot, id: ObjectId) -> Option<Sid> {
    snapshot.object(id)?.sid().map(|sid| snapshot.sid(sid))
}
