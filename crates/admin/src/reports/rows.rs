//! Rows of reports: who, on whom, which right, and why.

use acl::Ace;
use directory::{ObjectId, Snapshot, Time};
use rights::{DescriptorKind, Facts, Holding, Permission, Person, Proof, Question, Steps, Via, decide};

use crate::accounts::account_name;
use crate::documents::HolderRow;
use crate::words;

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

/// A row that only says on whom it is.
pub(super) fn row(snapshot: &Snapshot, target: ObjectId, permission: Permission) -> HolderRow {
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

/// An entry of a target's descriptor.
pub(super) fn ace(snapshot: &Snapshot, target: ObjectId, kind: DescriptorKind, index: usize) -> Option<&Ace> {
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
    let kind = match (person.permission, &person.proof) {
        (Permission::FullAccess, _) | (_, Some(Proof::SuperDelegate(_) | Proof::Legacy(_))) => DescriptorKind::Mailbox,
        _ => DescriptorKind::Object,
    };
    let verdict = decide::<Steps>(snapshot, &token, &facts, &question);
    for line in rights::lines(snapshot, &token, &verdict.trace.0) {
        if let Some(ace) = line.ace.filter(|ace| ace.outcome == "allow") {
            row.inherited_from = ace.inherited_from;
            row.ace = self::ace(snapshot, person.target, kind, ace.index).map(|ace| words::sddl(snapshot, ace));
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
