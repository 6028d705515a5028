//! Accounts that AdminSDHolder protects, those that it left behind, and what S0 says to do about both: “We strongly
//! recommend that you do not mailbox-enable user accounts that have domain administrator rights”.

pub mod documents;

use acl::{AccessMask, Ace, AceFlags, SecurityDescriptor, Sid, edit, names};
use directory::disconnected::OF_MAILBOX;
use directory::{Change, Class, Object, ObjectId, Record, Snapshot, Value, attributes as a, protected};
use rights::admin::{Action, may};

use crate::accounts::{Attributes, DISABLED, NORMAL_ACCOUNT, account, account_name, container, guid_of, values};
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::groups::member_row;
use crate::mailboxes::owner;
use crate::operations::PermissionChange;
use crate::permissions::{edit_dacl, entries, mailbox_descriptor, trustee, unreadable};
use crate::random::new_guid;
use crate::response::Response;
use crate::service::{Asked, Plan, find};
use documents::{ProtectedReport, ProtectedSeparate, ProtectedTemplate, ProtectedWay};

/// Names that a warning tells.
const TOLD: usize = 10;

pub fn list(asked: Asked<'_>) -> Result<Response, Fault> {
    Ok(rows(asked, protected::objects(asked.snapshot)))
}

pub fn orphans(asked: Asked<'_>) -> Result<Response, Fault> {
    Ok(rows(asked, protected::orphans(asked.snapshot)))
}

/// Those of the objects that the caller may read.
fn rows(asked: Asked<'_>, ids: impl Iterator<Item = ObjectId>) -> Response {
    let snapshot = asked.snapshot;
    let readable = ids.filter(|id| may(snapshot, &asked.caller.token, *id, Action::Read));
    let rows: Vec<_> = readable.filter_map(|id| Some(member_row(snapshot, id, snapshot.object(id)?))).collect();
    Response::Members(rows.into())
}

pub fn repair(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let dn = snapshot.dn(id);
        let Some(change) = protected::repair(snapshot, id) else {
            let reason = match snapshot.is_protected(id) {
                true => "is protected still: it is in a group of administrators",
                false => "was never protected, or its permissions cannot be read",
            };
            return Err(Fault::new(FaultKind::Invalid, format!("{dn} {reason}"))
                .help("`procura protected orphans` lists what can be repaired"));
        };
        Ok(Plan::new(format!("{dn} inherits permissions again"), vec![change]))
    })
}

/// Why an account is protected, and the ways to give rights on it that stay.
pub fn explain(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(identity)?;
    require(snapshot, asked.caller, id, Action::Read, "read")?;
    let object = snapshot.object(id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the object is gone"))?;
    let name = |id: &ObjectId| snapshot.object(*id).map(|object| account_name(snapshot, *id, object));
    let (dn, why) = (snapshot.dn(id), protected::reasons(snapshot, id));
    let mut report = ProtectedReport {
        protected: snapshot.is_protected(id),
        itself: why.itself,
        orphan: object.admin_count() && !snapshot.is_protected(id),
        mailbox: object.mailbox().is_some(),
        through: why.through.iter().map(|path| path.iter().filter_map(name).collect()).collect(),
        ..ProtectedReport::default()
    };
    let mut way = |way: &str, meaning: &str, command: String| {
        report.ways.push(ProtectedWay { way: way.to_owned(), meaning: meaning.to_owned(), command });
    };
    if report.orphan {
        let meaning = "it is protected no more: let it inherit permissions again, then grant on it as on any other";
        way("repair", meaning, format!("procura protected repair '{dn}'"));
    } else if report.protected {
        if report.mailbox {
            let meaning = "an ordinary, disabled account owns the mailbox; this one gets Full Mailbox Access and Send As \
                on it, and rights for others go on the ordinary account";
            way("separate", meaning, format!("procura protected separate '{dn}' --owner NAME --dry-run"));
        }
        if !report.itself && object.class().is_account() {
            let meaning =
                "take it out of the groups that protect it and let it inherit again: it is no administrator then";
            way("end", meaning, format!("procura protected end '{dn}' --dry-run"));
        }
        let meaning = "grant on the template: the right counts on every protected account of the domain. Only after a \
            complete review of what that means";
        let command = "procura protected template --user ACCOUNT --right 'Send As' --dry-run".to_owned();
        way("template", meaning, command);
    }
    report.dn = dn;
    Ok(Response::Protected(Box::new(report)))
}

/// S0's recipe: the mailbox goes to an ordinary account, and the protected one gets access to it.
pub fn separate(asked: Asked<'_>, wanted: &ProtectedSeparate) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &wanted.identity)?;
        let object = owner(snapshot, id)?;
        let dn = snapshot.dn(id);
        if !snapshot.is_protected(id) {
            return Err(Fault::new(FaultKind::Invalid, format!("{dn} is not protected: its own permissions stay")));
        }
        let sid = object.sid().map(|sid| snapshot.sid(sid));
        let sid = sid.ok_or_else(|| Fault::new(FaultKind::Invalid, format!("{dn} has no SID")))?;
        let (cleared, given) = handed_over(snapshot, id, &sid)?;
        let mut changes = vec![Change::Modify { guid: object.guid(), attributes: cleared }];
        let guid = match find(snapshot, &wanted.owner) {
            Ok(other) => {
                let ordinary = ordinary(snapshot, other)?;
                changes.push(Change::Modify { guid: ordinary, attributes: given });
                ordinary
            }
            Err(fault) if fault.kind == FaultKind::NotFound => {
                let record = new_owner(snapshot, id, wanted, given)?;
                let guid = record.guid;
                changes.push(Change::Add(record));
                guid
            }
            Err(fault) => return Err(fault),
        };
        // On the new owner's own descriptor, whatever the default of its class is.
        let after = crate::simulate::apply(asked, snapshot, changes.clone())?.0;
        let new = after.by_guid(&guid).ok_or_else(|| Fault::new(FaultKind::NotFound, "the owner is gone"))?;
        let explicit = after.explicit_descriptor(new).ok_or_else(|| unreadable(&after, new))?;
        let mut descriptor = SecurityDescriptor::clone(&explicit);
        edit_dacl(&mut descriptor, &[Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, names::SEND_AS)], true);
        let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        changes.push(Change::Modify { guid, attributes });
        let summary = format!("{} owns the mailbox of {dn} now, which may open it and send as it", after.dn(new));
        let mut plan = Plan::new(summary, changes);
        plan.done.warnings.push(
            "its addresses went with the mailbox; grant Send As for others on the new owner, where it stays".to_owned(),
        );
        Ok(plan)
    })
}

/// What the protected account loses, and what the new owner of its mailbox gets.
fn handed_over(snapshot: &Snapshot, id: ObjectId, sid: &Sid) -> Result<(Attributes, Attributes), Fault> {
    let explicit = snapshot.explicit_mailbox_descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
    let mut mailbox = SecurityDescriptor::clone(&explicit);
    if let Some(dacl) = &mut mailbox.dacl {
        let ace = Ace::allow(sid.clone(), rights::FULL_MAILBOX_ACCESS).with_flags(AceFlags::CONTAINER_INHERIT);
        edit::add(dacl, ace);
    }
    let with_mailbox =
        [a::MAILBOX_GUID, a::HOME_MDB, a::PROXY_ADDRESSES, a::MAIL, a::PUBLIC_DELEGATES, a::DELEGATE_LIST];
    let with_mailbox = with_mailbox.into_iter().chain([a::EXPIRING_DELEGATE]).chain(OF_MAILBOX);
    let there: Vec<(String, Vec<Value>)> = with_mailbox
        .map(|name| (name.to_owned(), snapshot.attribute(id, name)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let cleared = there.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
    let descriptors = [a::MAILBOX_DESCRIPTOR, a::MAILBOX_DESCRIPTOR_COPY];
    let kept = there.into_iter().filter(|(name, _)| !descriptors.contains(&name.as_str()));
    Ok((cleared, kept.chain(mailbox_descriptor(&mailbox)).collect()))
}

/// An account that may own the mailbox.
fn ordinary(snapshot: &Snapshot, id: ObjectId) -> Result<acl::Guid, Fault> {
    let object = account(snapshot, id)?;
    let refuse = |why: &str| Err(Fault::new(FaultKind::Conflict, format!("{} {why}", snapshot.dn(id))));
    if object.mailbox().is_some() {
        return refuse("has a mailbox already");
    }
    if snapshot.is_protected(id) || object.admin_count() {
        return refuse("is protected itself, or was");
    }
    Ok(object.guid())
}

/// A new, disabled account for the mailbox: nobody logs on to it.
fn new_owner(
    snapshot: &Snapshot,
    of: ObjectId,
    wanted: &ProtectedSeparate,
    given: Attributes,
) -> Result<Record, Fault> {
    let parent = match &wanted.ou {
        Some(ou) => container(snapshot, Some(ou))?,
        None => {
            let domain = snapshot.domain_of(of).map(|domain| snapshot.dn(domain.object)).unwrap_or_default();
            container(snapshot, Some(&format!("CN=Users,{domain}")))?
        }
    };
    let rdn = directory::dn::Rdn::new("CN", wanted.owner.as_str()).to_string();
    let mut record = Record::new(new_guid(), guid_of(snapshot, parent), rdn)
        .with_all(a::OBJECT_CLASS, values(Class::User.object_classes()))
        .with(a::SAM_ACCOUNT_NAME, wanted.owner.as_str())
        .with(a::USER_ACCOUNT_CONTROL, (NORMAL_ACCOUNT | DISABLED).to_string());
    if let Some(label) = snapshot.object(of).and_then(Object::display_name) {
        record.set(a::DISPLAY_NAME, vec![label.as_bytes().to_vec()]);
    }
    for (name, values) in given {
        record.set(&name, values);
    }
    Ok(record)
}

/// Takes an account out of all groups that protect it and lets it inherit again.
pub fn end(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let dn = snapshot.dn(id);
        let refuse = |why: String| Err(Fault::new(FaultKind::Invalid, format!("{dn} {why}")));
        if !snapshot.is_protected(id) {
            return refuse("is not protected".to_owned());
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the object is gone"))?;
        let mut changes = Vec::new();
        let mut left = Vec::new();
        let mut after = snapshot.clone();
        loop {
            let why = protected::reasons(&after, id);
            if why.itself {
                return refuse(
                    "is protected itself, whatever it is a member of; use `procura protected separate`".into(),
                );
            }
            // From the account into the first group of the way up.
            let Some(group) = why.through.first().and_then(|path| path.get(1).copied()) else { break };
            if !after.members(group).contains(&id) {
                return refuse(format!("has {} as its primary group; give it another one first", after.dn(group)));
            }
            left.push(after.dn(group));
            let remove = vec![directory::link_value(&guid)];
            let group = guid_of(&after, group).unwrap_or(guid);
            changes.push(Change::Values { guid: group, attribute: a::MEMBER.to_owned(), add: Vec::new(), remove });
            after = crate::simulate::apply(asked, snapshot, changes.clone())?.0;
        }
        changes.extend(protected::repair(&after, id));
        let mut plan = Plan::new(format!("{dn} is protected no more and inherits permissions"), changes);
        plan.done.warnings.push(format!("it left {}, and what those may do", left.join("; ")));
        Ok(plan)
    })
}

/// Changes the template of a domain, and with it every protected account of the domain, at once.
pub fn template(asked: Asked<'_>, wanted: &ProtectedTemplate) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let domain = match &wanted.domain {
            Some(name) => {
                let id = find(snapshot, name)?;
                snapshot.domains().iter().find(|domain| domain.object == id)
            }
            None => snapshot.domains().first(),
        };
        let domain = domain.ok_or_else(|| Fault::new(FaultKind::NotFound, "there is no such domain"))?;
        let id = protected::template(snapshot, domain).ok_or_else(|| {
            Fault::new(FaultKind::NotFound, format!("{} has no CN=AdminSDHolder,CN=System", domain.dns_name))
        })?;
        // Whoever may change the template changes what carries it.
        require(snapshot, asked.caller, id, Action::WriteDac, "change permissions of")?;
        let trustee = trustee(snapshot, &wanted.trustee)?;
        let change = PermissionChange {
            identity: snapshot.dn(id),
            trustee: wanted.trustee.clone(),
            rights: wanted.rights.clone(),
            deny: false,
            inherit_to: None,
            inheritance: None,
            until: None,
        };
        let aces = entries(&change, &trustee)?;
        let explicit = snapshot.explicit_descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
        let mut descriptor = SecurityDescriptor::clone(&explicit);
        let (name, rights) = (snapshot.sid_name(&trustee), wanted.rights.join(", "));
        if !edit_dacl(&mut descriptor, &aces, !wanted.remove) {
            let what = if wanted.remove { "does not have" } else { "has" };
            return Err(Fault::new(
                FaultKind::Conflict,
                format!("the template of {} {what} this entry for {name}", domain.dns_name),
            ));
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the template is gone"))?;
        let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        let mut changes = vec![Change::Modify { guid, attributes }];
        let after = crate::simulate::apply(asked, snapshot, changes.clone())?.0;
        let mut carried: Vec<(ObjectId, Change)> = protected::objects(&after)
            .filter(|object| after.domain_of(*object).map(|own| own.object) == Some(domain.object))
            .filter_map(|object| Some((object, protected::change(&after, object)?)))
            .collect();
        // Accounts first: they are what it is about.
        carried.sort_by_key(|(object, _)| !after.object(*object).is_some_and(|object| object.class().is_account()));
        let word = if wanted.remove { "taken from" } else { "granted to" };
        let summary = format!("{rights} {word} {name} on the template of {} and all that carry it", domain.dns_name);
        let mut plan = Plan::new(summary, Vec::new());
        let names: Vec<String> = carried.iter().take(TOLD).map(|(object, _)| after.dn(*object)).collect();
        let more = carried.len().saturating_sub(TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        plan.done.warnings.push(format!(
            "the permissions of {} protected accounts and groups change: {}{more}",
            carried.len(),
            names.join("; ")
        ));
        changes.extend(carried.into_iter().map(|(_, change)| change));
        plan.changes = changes;
        plan.authorized = true;
        Ok(plan)
    })
}
