//! `procura sd edit`: the explicit descriptor of any object, read and written as a whole, as S2 uses ADSI Edit.

use acl::{Acl, Control, SddlContext, SecurityDescriptor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{Change, ObjectId, Snapshot, attributes as a};
use rights::admin::{Action, may};
use serde::{Deserialize, Serialize};

use crate::accounts::guid_of;
use crate::authorize::{is_administrator, require};
use crate::error::{Fault, FaultKind};
use crate::permissions::unreadable;
use crate::response::Response;
use crate::service::{Asked, Plan, find};
use crate::words;

/// A descriptor as text, to be edited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SdText {
    /// The object.
    pub dn: String,
    /// Its class.
    pub class: String,
    /// Owner, group, flags and explicit entries, each on a line of its own, with comments.
    pub lines: String,
    /// The same as one line of SDDL.
    pub sddl: String,
    /// The explicit descriptor as it is, in base64: what a change was made from.
    pub descriptor: String,
}

/// A new explicit descriptor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SdSet {
    /// The object.
    pub identity: String,
    /// SDDL; several lines, comments from `#` on and blanks between its parts are taken too.
    pub sddl: String,
    /// Refuse if the descriptor is no longer this one, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

pub fn get(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = find(snapshot, identity)?;
    require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    let explicit = snapshot.explicit_descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
    Ok(Response::Sd(Box::new(SdText {
        dn: snapshot.dn(id),
        class: snapshot.object(id).map(|object| object.class().ldap_name().to_owned()).unwrap_or_default(),
        lines: lines(snapshot, id, &explicit),
        sddl: explicit.to_sddl(&context(snapshot, id)),
        descriptor: STANDARD.encode(explicit.to_bytes()),
    })))
}

pub fn set(asked: Asked<'_>, set: &SdSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let before = snapshot.explicit_descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
        let dn = snapshot.dn(id);
        if set.from.as_ref().is_some_and(|from| *from != STANDARD.encode(before.to_bytes())) {
            return Err(Fault::new(
                FaultKind::Conflict,
                format!("somebody else changed the permissions of {dn} meanwhile"),
            )
            .help("read them again; nothing was written"));
        }
        let mut plan = Plan::new(format!("wrote the permissions of {dn}"), Vec::new());
        let mut after = SecurityDescriptor::from_sddl(&joined(&set.sddl)?, &context(snapshot, id))
            .map_err(|e| Fault::new(FaultKind::Invalid, format!("this is no SDDL: {e}")))?;
        if after.dacl.is_none() {
            return Err(Fault::new(
                FaultKind::Invalid,
                "there is no D: part: that would grant everything to everybody",
            )
            .help("write D: alone for a descriptor that grants nothing"));
        }
        if let Some(dacl) = &mut after.dacl {
            let all = dacl.aces.len();
            dacl.aces.retain(|ace| !ace.is_inherited());
            if dacl.aces.len() < all {
                plan.done
                    .warnings
                    .push(format!("{} inherited entries were left out: they come from above", all - dacl.aces.len()));
            }
            dacl.update_revision();
        }
        // What the text does not say stays.
        after.owner = after.owner.or_else(|| before.owner.clone());
        after.group = after.group.or_else(|| before.group.clone());
        if after.sacl.is_none() {
            after.sacl.clone_from(&before.sacl);
            after.control.set(Control::SACL_PRESENT, before.control.contains(Control::SACL_PRESENT));
        }
        owner_and_audit(asked, snapshot, id, &before, &after)?;
        if same(&before, &after) {
            plan.done.summary = format!("the permissions of {dn} are so already");
            return Ok(plan);
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the object is gone"))?;
        let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![after.to_bytes()])];
        plan.changes.push(Change::Modify { guid, attributes });
        if snapshot.is_protected(id) {
            plan.done.warnings.push(format!(
                "{dn} is protected as an administrator's account (AdminSDHolder): this will be replaced within the hour"
            ));
        }
        Ok(plan)
    })
}

/// Owner and audit entries need rights of their own, beside WRITE_DAC: WRITE_OWNER to oneself or one's groups, and an
/// administrator for anybody else (MS-ADTS 5.1.3.2) or for the SACL.
fn owner_and_audit(
    asked: Asked<'_>,
    snapshot: &Snapshot,
    id: ObjectId,
    before: &SecurityDescriptor,
    after: &SecurityDescriptor,
) -> Result<(), Fault> {
    let is_admin = is_administrator(snapshot, asked.caller);
    if after.owner != before.owner && !is_admin {
        require(snapshot, asked.caller, id, Action::WriteOwner, "change the owner of")?;
        let own = after.owner.as_ref().and_then(|sid| snapshot.sid_id(sid));
        if !own.is_some_and(|sid| asked.caller.token.sids.contains(sid)) {
            let message = format!("{} may not give {} to another owner", asked.caller.name, snapshot.dn(id));
            return Err(Fault::new(FaultKind::Denied, message));
        }
    }
    if after.sacl != before.sacl && !(is_admin && may(snapshot, &asked.caller.token, id, Action::WriteDac)) {
        let message = format!("{} may not change the audit entries (S:) of {}", asked.caller.name, snapshot.dn(id));
        return Err(Fault::new(FaultKind::Denied, message).help("leave the S: part as it is, or away"));
    }
    Ok(())
}

fn same(before: &SecurityDescriptor, after: &SecurityDescriptor) -> bool {
    before.to_bytes() == after.to_bytes()
}

fn context(snapshot: &Snapshot, id: ObjectId) -> SddlContext {
    let domain = snapshot.domain_of(id).or_else(|| snapshot.domains().first()).map(|domain| domain.sid.clone());
    let root_domain = snapshot.forest_root(id).map(|domain| domain.sid.clone()).or_else(|| domain.clone());
    SddlContext { domain, root_domain, lenient: false }
}

/// The text for an editor: parts of SDDL, one a line, and in comments what they mean and what is inherited.
fn lines(snapshot: &Snapshot, id: ObjectId, explicit: &SecurityDescriptor) -> String {
    let context = context(snapshot, id);
    let mut out = format!("# {}\n", snapshot.dn(id));
    out.push_str(
        "# One part on a line; what follows # is a comment. Order decides: the first entry that matches counts.\n\n",
    );
    let part = |descriptor: SecurityDescriptor| descriptor.to_sddl(&context);
    if let Some(owner) = &explicit.owner {
        let text = part(SecurityDescriptor { owner: Some(owner.clone()), ..SecurityDescriptor::default() });
        out.push_str(&format!("{text}  # owner: {}\n", snapshot.sid_name(owner)));
    }
    if let Some(group) = &explicit.group {
        let text = part(SecurityDescriptor { group: Some(group.clone()), ..SecurityDescriptor::default() });
        out.push_str(&format!("{text}  # group: {}\n", snapshot.sid_name(group)));
    }
    let empty = SecurityDescriptor {
        control: explicit.control,
        dacl: explicit.dacl.as_ref().map(|_| Acl::new(Vec::new())),
        ..SecurityDescriptor::default()
    };
    let flags = part(empty);
    let flags = flags.split("S:").next().unwrap_or_default();
    let note = if explicit.is_dacl_protected() { "  # P: inheritance is blocked" } else { "" };
    out.push_str(&format!("{flags}{note}\n"));
    for ace in explicit.dacl.iter().flat_map(|dacl| &dacl.aces) {
        let word = if ace.is_deny() { "deny" } else { "allow" };
        let who = snapshot.sid_name(&ace.sid);
        let below = words::inherited_by(ace).map(|class| format!(", inherited by {class}")).unwrap_or_default();
        let sddl = words::sddl(snapshot, ace);
        out.push_str(&format!("{sddl}  # {word} {who}: {}{below}\n", words::rights(ace).join(", ")));
    }
    if let Some(sacl) = &explicit.sacl {
        let audit =
            SecurityDescriptor { control: explicit.control, sacl: Some(sacl.clone()), ..SecurityDescriptor::default() };
        let text = part(audit);
        let start = text.find("S:").unwrap_or(0);
        out.push_str(&format!("{}  # audit entries\n", &text[start..]));
    }
    inherited(snapshot, id, &mut out);
    out
}

/// What comes from above, as comments: it is changed where it stands.
fn inherited(snapshot: &Snapshot, id: ObjectId, out: &mut String) {
    let Some(descriptor) = snapshot.descriptor(id) else { return };
    let aces = descriptor.sd().dacl.iter().flat_map(|dacl| &dacl.aces).enumerate();
    let mut first = true;
    for (index, ace) in aces.filter(|(_, ace)| ace.is_inherited()) {
        if std::mem::take(&mut first) {
            out.push_str("\n# Inherited, to be changed where it stands:\n");
        }
        let word = if ace.is_deny() { "deny" } else { "allow" };
        let origin = snapshot.dn(snapshot.ace_origin(id, index));
        let (who, rights) = (snapshot.sid_name(&ace.sid), words::rights(ace).join(", "));
        out.push_str(&format!("#   {word} {who}: {rights}  (from {origin})\n"));
    }
}

/// The parts of a text on one line, without comments: those begin with a `#` outside of entries. Within an entry it is
/// part of a condition.
fn joined(text: &str) -> Result<String, Fault> {
    let mut joined = String::with_capacity(text.len());
    for line in text.lines() {
        let mut depth = 0;
        let comment = line.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == '#' && depth == 0
        });
        joined.push_str(line[..comment.unwrap_or(line.len())].trim());
    }
    if joined.is_empty() {
        return Err(Fault::new(FaultKind::Invalid, "the text is empty: nothing was written"));
    }
    Ok(joined)
}
