//! Who can, what can, and all of it: reports for auditors. The rows say what the decisions rest on; nothing is decided
//! here (`authorization.md` §1).

use std::collections::{HashMap, HashSet};

use acl::{Ace, Sid, well_known};
use directory::{Class, ObjectId, Snapshot, Time};
use rights::admin::Action;
use rights::{
    DescriptorKind, Facts, Holding, Permission, Person, Proof, Question, SendAsAudit, Steps, Via, any_sender, decide,
    has_legacy_policy, person, standing, who_can as reasons, who_people,
};

use crate::accounts::account_name;
use crate::authorize::require;
use crate::documents::{AuditExport, HolderRow, WhatCan, WhoCan};
use crate::error::{Fault, FaultKind};
use crate::permissions::trustee;
use crate::response::{Page, Response};
use crate::service::{Asked, find};
use crate::words;

/// A page ends after the owner with which it has so many rows.
const PAGE: usize = 8_000;

pub fn who_can(asked: Asked<'_>, who: &WhoCan) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let target = asked.find(&who.identity)?;
    require(snapshot, asked.caller, target, Action::Read, "read the permissions of")?;
    let mut rows = Vec::new();
    for permission in permissions(&who.rights)? {
        if who.expand {
            rows.extend(who_people(snapshot, target, permission).iter().map(|person| person_row(snapshot, person)));
            let beyond = any_sender(snapshot, target).into_iter().filter(|_| permission == Permission::SendAs);
            rows.extend(beyond.map(|holding| holder_row(snapshot, &holding)));
        } else {
            rows.extend(reasons(snapshot, target, permission).iter().map(|holding| holder_row(snapshot, holding)));
        }
    }
    if who.could_become {
        rows.extend(could_become(snapshot, target));
    }
    Ok(Response::Holders(rows.into()))
}

pub fn what_can(asked: Asked<'_>, what: &WhatCan) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let named = &trustee_or_object(snapshot, &what.identity)?;
    let account = named.object.filter(|id| snapshot.object(*id).is_some_and(|object| object.class().is_account()));
    if let Some(id) = named.object.filter(|id| asked.caller.token.account != Some(*id)) {
        require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    }
    let permissions = permissions(&what.rights)?;
    let by_name = |target: ObjectId, permission: Permission| {
        let holds = move |row: &Holding| match (&row.trustee, &named.sid) {
            (Some(sid), Some(wanted)) => sid == wanted,
            _ => row.object.is_some() && row.object == named.object,
        };
        let rows = standing(snapshot, target, permission).into_iter().filter(holds);
        rows.map(|row| holder_row(snapshot, &row)).collect()
    };
    let page = pages(asked, what.under.as_deref(), what.after, |target, rows| {
        for permission in &permissions {
            match account {
                Some(account) if account == target && !what.include_self => {}
                Some(account) => {
                    let held = person(snapshot, account, target, *permission);
                    rows.extend(held.map(|person| person_row(snapshot, &person)));
                }
                None => {
                    let held: Vec<HolderRow> = by_name(target, *permission);
                    rows.extend(held);
                }
            }
        }
    })?;
    Ok(Response::Holders(page))
}

pub fn export(asked: Asked<'_>, export: &AuditExport) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let permissions = permissions(&export.rights)?;
    let itself = |row: &Holding| row.object == Some(row.target);
    let mut shared = Shared::new(snapshot);
    let mut page = pages(asked, export.under.as_deref(), export.after, |target, rows| {
        for permission in &permissions {
            if export.expand {
                if !export.include_self && *permission == Permission::SendAs && shared.senders(target, rows) {
                    continue;
                }
                let people = who_people(snapshot, target, *permission).into_iter();
                let wanted = people.filter(|person| export.include_self || person.account != target);
                rows.extend(wanted.map(|person| shared.person(&person)));
                continue;
            }
            if !export.include_self && !export.all && shared.holders(target, *permission, rows) {
                continue;
            }
            let held = standing(snapshot, target, *permission).into_iter();
            let wanted = held.filter(|row| (row.effective || export.all) && (export.include_self || !itself(row)));
            rows.extend(wanted.map(|row| holder_row(snapshot, &row)));
        }
    })?;
    // Whoever may use any sender sends as everybody: said once for each connector, not once for each mailbox.
    if export.after.is_none()
        && export.under.is_none()
        && permissions.contains(&Permission::SendAs)
        && let Some(organization) = snapshot.organization()
    {
        let everybody = any_sender(snapshot, organization).into_iter().map(|holding| HolderRow {
            target: "*".to_owned(),
            target_dn: "*".to_owned(),
            ..holder_row(snapshot, &holding)
        });
        page.rows.splice(0..0, everybody);
    }
    Ok(Response::Holders(page))
}

/// Rows of owners that share a descriptor, worked out once: of a million owners some ten thousand differ.
struct Shared<'a> {
    snapshot: &'a Snapshot,
    send_as: SendAsAudit<'a>,
    entries: HashMap<Key, Option<Entries>>,
    people: HashMap<(Key, ObjectId), HolderRow>,
}

/// Permission, descriptor by its place in memory (the snapshot keeps it), and what else the origin of an entry depends
/// on.
type Key = (Permission, usize, Option<ObjectId>, Class);

/// Rows of the entries of a descriptor, and whom they name.
struct Entries {
    named: HashSet<Sid>,
    rows: Vec<HolderRow>,
}

impl<'a> Shared<'a> {
    fn new(snapshot: &'a Snapshot) -> Shared<'a> {
        let send_as = SendAsAudit::new(snapshot);
        Shared { snapshot, send_as, entries: HashMap::new(), people: HashMap::new() }
    }

    fn key(&self, target: ObjectId, permission: Permission) -> Option<Key> {
        let object = self.snapshot.object(target)?;
        let (descriptor, above) = match permission {
            Permission::SendAs => (self.snapshot.descriptor(target)?, object.parent()),
            Permission::FullAccess => (self.snapshot.mailbox_descriptor(target)?, object.mailbox()?.database),
            Permission::SendOnBehalf => return None,
        };
        Some((permission, std::ptr::from_ref(descriptor) as usize, above, object.class()))
    }

    /// The effective rows about a target, the target's own left out; false where they have to be worked out for the
    /// target alone: it is named by an entry, has delegates or an external account, or is under the legacy policy.
    fn holders(&mut self, target: ObjectId, permission: Permission, rows: &mut Vec<HolderRow>) -> bool {
        let snapshot = self.snapshot;
        let (Some(key), Some(object)) = (self.key(target, permission), snapshot.object(target)) else { return false };
        if self.is_special(target, permission) {
            return false;
        }
        let known = self.entries.entry(key).or_insert_with(|| entries(snapshot, target, permission));
        let own = object.sid().map(|sid| snapshot.sid(sid));
        let Some(known) = known.as_ref().filter(|known| own.is_none_or(|own| !known.named.contains(&own))) else {
            return false;
        };
        let about = row(snapshot, target, permission);
        rows.extend(known.rows.iter().map(|row| of(row, &about)));
        true
    }

    /// Whether there are reasons beside the entries, or the target's SID is in the tokens of others.
    fn is_special(&self, target: ObjectId, permission: Permission) -> bool {
        let snapshot = self.snapshot;
        let Some(object) = snapshot.object(target) else { return true };
        let in_others = matches!(object.class(), Class::Group | Class::ForeignPrincipal)
            || object.sid().is_some_and(|own| snapshot.is_former_sid(own));
        let beside = permission == Permission::SendAs
            && (object.master_account().is_some()
                || !snapshot.delegates(target).is_empty()
                || has_legacy_policy(snapshot, target));
        in_others || beside
    }

    /// All who send as a target but itself; false where there is more to it than the entries.
    fn senders(&mut self, target: ObjectId, rows: &mut Vec<HolderRow>) -> bool {
        let permission = Permission::SendAs;
        let Some(key) = self.key(target, permission).filter(|_| !self.is_special(target, permission)) else {
            return false;
        };
        let snapshot = self.snapshot;
        let about = row(snapshot, target, permission);
        for account in self.send_as.people(target) {
            let known = self.people.entry((key, account)).or_insert_with(|| {
                let proof = Some(Proof::SendAs(target));
                person_row(snapshot, &Person { account, target, permission, proof, needs_logon: false })
            });
            rows.push(of(known, &about));
        }
        true
    }

    /// One account that is allowed; what allows it is traced once for each descriptor.
    fn person(&mut self, person: &Person) -> HolderRow {
        let by_entry = matches!(person.proof, Some(Proof::SendAs(_)) | None) && person.account != person.target;
        let key = self.key(person.target, person.permission).filter(|_| by_entry);
        let Some(key) = key else { return person_row(self.snapshot, person) };
        let snapshot = self.snapshot;
        let known = self.people.entry((key, person.account)).or_insert_with(|| person_row(snapshot, person));
        of(known, &row(snapshot, person.target, person.permission))
    }
}

/// A row about another target.
fn of(row: &HolderRow, about: &HolderRow) -> HolderRow {
    HolderRow {
        target: about.target.clone(),
        target_dn: about.target_dn.clone(),
        protected: about.protected,
        ..row.clone()
    }
}

/// The effective rows of a target's entries but for SELF's; none where an entry names the target itself.
fn entries(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> Option<Entries> {
    let (mut named, mut rows) = (HashSet::new(), Vec::new());
    for holding in standing(snapshot, target, permission) {
        if !matches!(holding.via, Via::Ace { .. } | Via::NullDacl) || holding.trustee == Some(well_known::SELF) {
            continue;
        }
        if holding.object == Some(target) {
            return None;
        }
        named.extend(holding.trustee.clone());
        if holding.effective {
            rows.push(holder_row(snapshot, &holding));
        }
    }
    Some(Entries { named, rows })
}

/// Rows about all objects that mail can come from, of those that the caller may read, by the order of objects.
fn pages(
    asked: Asked<'_>,
    under: Option<&str>,
    after: Option<u32>,
    mut about: impl FnMut(ObjectId, &mut Vec<HolderRow>),
) -> Result<Page<HolderRow>, Fault> {
    let snapshot = asked.snapshot;
    let below = match under {
        Some(under) => {
            let mut ids = snapshot.subtree(find(snapshot, under)?);
            ids.sort_unstable();
            Some(ids)
        }
        None => None,
    };
    let all: Box<dyn Iterator<Item = ObjectId>> = match &below {
        Some(ids) => Box::new(ids.iter().copied()),
        None => Box::new(snapshot.objects().map(|(id, _)| id)),
    };
    let (mut rows, mut next) = (Vec::new(), None);
    for id in all.skip_while(|id| after.is_some_and(|after| id.0 <= after)) {
        let Some(object) = snapshot.object(id) else { continue };
        if object.mailbox().is_none() && object.primary_address().is_none() {
            continue;
        }
        if !rights::admin::may(snapshot, &asked.caller.token, id, Action::Read) {
            continue;
        }
        about(id, &mut rows);
        if rows.len() >= PAGE {
            next = Some(id.0);
            break;
        }
    }
    Ok(Page { rows, next })
}

/// The permissions of these names; all three where none is named.
pub(crate) fn permissions(names: &[String]) -> Result<Vec<Permission>, Fault> {
    if names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return Ok(Permission::ALL.to_vec());
    }
    let one = |name: &String| {
        let folded = name.trim().to_ascii_lowercase().replace([' ', '_'], "-");
        let folded = if folded == "full-mailbox-access" { "full-access".to_owned() } else { folded };
        Permission::ALL.into_iter().find(|permission| permission.name() == folded).ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("there is no permission `{name}`"))
                .help("permissions are: send-as, send-on-behalf, full-access, all")
        })
    };
    names.iter().map(one).collect()
}

/// Somebody by name: an object, or a SID that has none.
struct Named {
    object: Option<ObjectId>,
    sid: Option<Sid>,
}

fn trustee_or_object(snapshot: &Snapshot, name: &str) -> Result<Named, Fault> {
    match find(snapshot, name) {
        Ok(id) => {
            let sid = snapshot.object(id).and_then(|object| object.sid()).map(|sid| snapshot.sid(sid));
            Ok(Named { object: Some(id), sid })
        }
        Err(fault) if fault.kind == FaultKind::Ambiguous => Err(fault),
        Err(fault) => match trustee(snapshot, name) {
            Ok(sid) => Ok(Named { object: snapshot.by_sid(&sid), sid: Some(sid) }),
            Err(_) => Err(fault),
        },
    }
}

/// Name and SID of an object.
pub(crate) fn principal(snapshot: &Snapshot, id: ObjectId) -> (String, String) {
    let Some(object) = snapshot.object(id) else { return (String::new(), String::new()) };
    match object.sid() {
        Some(sid) => {
            let sid = snapshot.sid(sid);
            (snapshot.sid_name(&sid), sid.to_string())
        }
        None => (account_name(snapshot, id, object), String::new()),
    }
}

/// What a row calls its target: the mail address, or the distinguished name.
pub(crate) fn target_name(snapshot: &Snapshot, id: ObjectId) -> String {
    let address = snapshot.object(id).and_then(|object| object.primary_address());
    address.map_or_else(|| snapshot.dn(id), |address| address.to_string())
}

fn row(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> HolderRow {
    HolderRow {
        target: target_name(snapshot, target),
        target_dn: snapshot.dn(target),
        right: permission.name().to_owned(),
        protected: snapshot.is_protected(target),
        ..HolderRow::default()
    }
}

/// A reason as it stands in the directory.
pub(crate) fn holder_row(snapshot: &Snapshot, holding: &Holding) -> HolderRow {
    let (trustee, trustee_sid) = match (&holding.trustee, holding.object) {
        (Some(sid), _) => (snapshot.sid_name(sid), sid.to_string()),
        (None, Some(object)) => principal(snapshot, object),
        (None, None) => (String::new(), String::new()),
    };
    let mut row = HolderRow {
        trustee,
        trustee_sid,
        effective: holding.effective,
        ..row(snapshot, holding.target, holding.permission)
    };
    row.via = match &holding.via {
        Via::Ace { kind, index, deny, origin, inherited } => {
            row.deny = *deny;
            row.inherited_from = inherited.then(|| snapshot.dn(*origin));
            row.ace = ace(snapshot, holding.target, *kind, *index).map(|ace| words::sddl(snapshot, ace));
            row.ace_index = u32::try_from(*index).ok();
            "ace"
        }
        Via::NullDacl => "null-dacl",
        Via::Owner => "owner",
        Via::LinkedAccount => "linked-account",
        Via::Delegate => "delegate",
        Via::SuperDelegate => {
            row.needs_logon = true;
            "super-delegate"
        }
        Via::Legacy => "legacy-policy",
        Via::AnySender { connector } => {
            row.inherited_from = Some(snapshot.dn(*connector));
            row.note = "any sender is accepted on this connector, ours included".to_owned();
            "any-sender"
        }
    }
    .to_owned();
    row
}

fn ace(snapshot: &Snapshot, target: ObjectId, kind: DescriptorKind, index: usize) -> Option<&Ace> {
    let descriptor = match kind {
        DescriptorKind::Object => snapshot.descriptor(target),
        DescriptorKind::Mailbox => snapshot.mailbox_descriptor(target),
    };
    descriptor?.sd().dacl.as_ref()?.aces.get(index)
}

/// How an account comes by a permission, for machines.
pub(crate) fn person_via(person: &Person) -> &'static str {
    match &person.proof {
        Some(Proof::Owner(_)) if person.account == person.target => "owner",
        Some(Proof::Owner(_)) => "linked-account",
        Some(Proof::SuperDelegate(_)) => "super-delegate",
        Some(Proof::Legacy(_)) => "legacy-policy",
        Some(Proof::OnBehalf(_)) => "delegate",
        _ => "ace",
    }
}

/// One account that is allowed, with what allows it: the trace of the decision itself.
pub(crate) fn person_row(snapshot: &Snapshot, person: &Person) -> HolderRow {
    let (trustee, trustee_sid) = principal(snapshot, person.account);
    let mut row = HolderRow {
        trustee,
        trustee_sid,
        effective: true,
        via: person_via(person).to_owned(),
        needs_logon: person.needs_logon,
        ..row(snapshot, person.target, person.permission)
    };
    let Ok(token) = snapshot.account_token(person.account) else { return row };
    let logon = person.needs_logon.then_some(person.target);
    let facts = Facts { connector: person.target, logon, time: Time(0) };
    let question = match person.permission {
        Permission::SendAs => Question::SendAs(person.target),
        Permission::SendOnBehalf => Question::SendOnBehalf(person.target),
        Permission::FullAccess => Question::Logon(person.target),
    };
    let verdict = decide::<Steps>(snapshot, &token, &facts, &question);
    for line in rights::lines(snapshot, &token, &verdict.trace.0) {
        if let Some(ace) = line.ace.filter(|ace| ace.outcome == "allow") {
            row.inherited_from = ace.inherited_from;
            row.ace = Some(ace.sddl);
            row.ace_index = u32::try_from(ace.index).ok();
            row.path = line.through;
        } else if !line.through.is_empty() {
            row.path = line.through;
        }
    }
    row
}

/// Who holds a right on the object that amounts to Send As.
pub(crate) fn could_become(snapshot: &Snapshot, target: ObjectId) -> Vec<HolderRow> {
    let rows = rights::could_become(snapshot, target).into_iter();
    rows.map(|found| HolderRow {
        trustee: snapshot.sid_name(&found.trustee),
        trustee_sid: found.trustee.to_string(),
        effective: found.effective,
        via: found.amount.name().to_owned(),
        inherited_from: found.inherited.then(|| snapshot.dn(found.origin)),
        ace: found
            .ace
            .and_then(|index| ace(snapshot, target, DescriptorKind::Object, index))
            .map(|ace| words::sddl(snapshot, ace)),
        ace_index: found.ace.and_then(|index| u32::try_from(index).ok()),
        note: found.amount.meaning().to_owned(),
        right: "could-become".to_owned(),
        ..row(snapshot, target, Permission::SendAs)
    })
    .collect()
}
