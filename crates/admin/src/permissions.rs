//! Rights on objects and on mailboxes: grant, take away, list.

pub mod documents;

use acl::{AccessMask, Ace, AceFlags, Acl, Control, SecurityDescriptor, Sid, edit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::{Change, Descriptor, ObjectId, Snapshot, attributes as a};
use rights::admin::Action;

use crate::accounts::guid_of;
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::expiry;
use crate::mailboxes::owner;
use crate::operations::{Inheritance, MailboxPermissionChange, PermissionChange, PermissionGet};
use crate::response::{PermissionRow, Permissions, Response};
use crate::service::{Asked, Plan, find};
use crate::words;

pub fn change(asked: Asked<'_>, change: &PermissionChange, add: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &change.identity)?;
        let trustee = trustee(snapshot, &change.trustee)?;
        let aces = entries(change, &trustee)?;
        let mut descriptor = match snapshot.explicit_descriptor(id) {
            Some(descriptor) => SecurityDescriptor::clone(&descriptor),
            None => return Err(unreadable(snapshot, id)),
        };
        let changed = edit_dacl(&mut descriptor, &aces, add);
        let dn = snapshot.dn(id);
        let rights = change.rights.join(", ");
        let name = snapshot.sid_name(&trustee);
        if !changed && !add {
            let help = match of_other_reach(&descriptor, &aces) {
                Some(reach) => format!("it has one that reaches otherwise; add{reach}"),
                None => format!("`procura permission get '{dn}'` shows what there is, and from where it is inherited"),
            };
            let fault = Fault::new(FaultKind::NotFound, format!("{name} has no such entry on {dn} itself"));
            return Err(fault.help(help));
        }
        let word = match (add, change.deny) {
            (true, false) => "granted to",
            (true, true) => "denied to",
            (false, _) => "taken from",
        };
        let mut plan = Plan::new(format!("{rights} on {dn} {word} {name}"), Vec::new());
        let what: Vec<String> = aces.iter().map(expiry::of_ace).collect();
        let until = (change.until.filter(|_| add), asked.service.now());
        let end = expiry::schedule(snapshot, id, a::EXPIRING_GRANT, &what, |_| false, until)?;
        if !changed && end.is_none() {
            plan.done.warnings.push("the entry was there already: nothing changed".into());
            return Ok(plan);
        }
        let mut attributes = Vec::from_iter(end);
        if changed {
            attributes.push((a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()]));
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the object is gone"))?;
        plan.changes.push(Change::Modify { guid, attributes });
        if add {
            warn(asked, snapshot, id, change, &aces, &mut plan)?;
        }
        Ok(plan)
    })
}

/// The options that name the reach of an entry which says what one of these says of other objects, where there is one.
fn of_other_reach(descriptor: &SecurityDescriptor, aces: &[Ace]) -> Option<String> {
    let says = |ace: &Ace| (ace.is_allow(), ace.sid.clone(), ace.mask, ace.object_type);
    let wanted: Vec<_> = aces.iter().map(says).collect();
    let dacl = descriptor.dacl.as_ref()?;
    let found = dacl.aces.iter().find(|ace| wanted.contains(&says(ace)))?;
    let reach = crate::usage::scope(found)?;
    // An entry for this object alone is what is meant without them.
    Some(if reach.is_empty() { " --inheritance none".to_owned() } else { reach })
}

/// What will not come of a grant.
fn warn(
    asked: Asked<'_>,
    snapshot: &Snapshot,
    id: ObjectId,
    change: &PermissionChange,
    aces: &[Ace],
    plan: &mut Plan,
) -> Result<(), Fault> {
    let flags = inheritance(change).flags();
    if !flags.contains(AceFlags::INHERIT_ONLY) && snapshot.is_protected(id) {
        plan.done.warnings.push(format!(
            "{} is protected as an administrator's account (AdminSDHolder): the entry will be replaced within the \
             hour. Grant it on CN=AdminSDHolder,CN=System to make it last, for all protected accounts",
            snapshot.dn(id)
        ));
    }
    if !flags.contains(AceFlags::CONTAINER_INHERIT) {
        return Ok(());
    }
    // Of all classes, those who are sent as are people.
    let class = change.inherit_to.as_deref().filter(|class| *class != ALL).unwrap_or("user");
    let after = crate::simulate::apply(asked, snapshot, plan.changes.clone())?.0;
    plan.done.warnings.extend(crate::reach::warnings(&after, id, aces, words::class(class)?));
    Ok(())
}

/// What objects below of any class inherit.
const ALL: &str = "all";

/// What the entries of a change are inherited by.
fn inheritance(change: &PermissionChange) -> Inheritance {
    let usual = if change.inherit_to.is_some() { Inheritance::Descendents } else { Inheritance::None };
    change.inheritance.unwrap_or(usual)
}

pub(crate) fn entries(change: &PermissionChange, trustee: &Sid) -> Result<Vec<Ace>, Fault> {
    let to = change.inherit_to.as_deref();
    let class = to.filter(|class| *class != ALL).map(words::class).transpose()?;
    let inheritance = inheritance(change);
    if to.is_some() && inheritance == Inheritance::None {
        return Err(Fault::new(FaultKind::Invalid, "an entry that nothing inherits cannot name who inherits it")
            .help("leave out the class, or choose all, descendents, self-and-children or children"));
    }
    let mut aces: Vec<Ace> = Vec::new();
    for text in &change.rights {
        let (mask, object_type) = words::right(text)?;
        let ace = match (object_type, change.deny) {
            (Some(right), false) => Ace::allow_object(trustee.clone(), mask, right),
            (Some(right), true) => Ace::deny_object(trustee.clone(), mask, right),
            (None, false) => Ace::allow(trustee.clone(), mask),
            (None, true) => Ace::deny(trustee.clone(), mask),
        };
        let ace = match class {
            Some(class) => ace.for_class(class),
            None => ace,
        };
        aces.push(ace.with_flags(inheritance.flags()));
    }
    Ok(aces)
}

pub(crate) fn mailbox_entry(change: &MailboxPermissionChange, trustee: &Sid) -> Result<Ace, Fault> {
    let mut mask = AccessMask::NONE;
    for text in &change.rights {
        mask = AccessMask(mask.0 | words::mailbox_right(text)?.0);
    }
    let ace = if change.deny { Ace::deny(trustee.clone(), mask) } else { Ace::allow(trustee.clone(), mask) };
    Ok(ace.with_flags(AceFlags::CONTAINER_INHERIT))
}

/// Adds or removes entries; whether anything changed.
pub(crate) fn edit_dacl(descriptor: &mut SecurityDescriptor, aces: &[Ace], add: bool) -> bool {
    descriptor.control.set(Control::DACL_PRESENT, true);
    let dacl = descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new()));
    let mut changed = false;
    for ace in aces {
        changed |= if add { edit::add(dacl, ace.clone()) } else { edit::remove(dacl, ace) > 0 };
    }
    changed
}

pub fn get(asked: Asked<'_>, get: &PermissionGet) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(&get.identity)?;
    require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    let descriptor = snapshot.descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
    let only = get.trustee.as_deref().map(|name| trustee(snapshot, name)).transpose()?;
    Ok(Response::Permissions(listed(snapshot, id, descriptor, only.as_ref(), false)))
}

pub fn change_mailbox(asked: Asked<'_>, change: &MailboxPermissionChange, add: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &change.identity)?;
        let guid = owner(snapshot, id)?.guid();
        let trustee = trustee(snapshot, &change.trustee)?;
        let ace = mailbox_entry(change, &trustee)?;
        let mask = ace.mask;
        let mut descriptor = match snapshot.explicit_mailbox_descriptor(id) {
            Some(descriptor) => SecurityDescriptor::clone(&descriptor),
            None => return Err(unreadable(snapshot, id)),
        };
        let end = (change.until.filter(|_| add), asked.service.now());
        let same = |other: &str| expiry::is_about(other, &ace);
        let end = expiry::schedule(snapshot, id, a::EXPIRING_MAILBOX_GRANT, &[expiry::of_ace(&ace)], same, end)?;
        let changed = if add {
            edit_dacl(&mut descriptor, &[ace], true)
        } else {
            take_away(&mut descriptor, &trustee, mask, change.deny)
        };
        let (dn, name, rights) = (snapshot.dn(id), snapshot.sid_name(&trustee), change.rights.join(", "));
        if !changed && !add {
            return Err(Fault::new(
                FaultKind::NotFound,
                format!("{name} has no such entry on the mailbox of {dn} itself"),
            )
            .help(format!("`procura mailbox-permission get '{dn}'` shows what there is")));
        }
        let word = match (add, change.deny) {
            (true, false) => "granted to",
            (true, true) => "denied to",
            (false, _) => "taken from",
        };
        let mut plan = Plan::new(format!("{rights} on the mailbox of {dn} {word} {name}"), Vec::new());
        let mut attributes = Vec::from_iter(end);
        if changed {
            attributes.extend(mailbox_descriptor(&descriptor));
        }
        if !attributes.is_empty() {
            plan.changes.push(Change::Modify { guid, attributes });
        } else {
            plan.done.warnings.push("the entry was there already: nothing changed".into());
        }
        Ok(plan)
    })
}

/// What sets the mailbox descriptor, and refreshes its backup copy on the owner's object (S0: “updated to match current
/// effective rights if administrators use supported interfaces to assign rights”).
pub(crate) fn mailbox_descriptor(descriptor: &SecurityDescriptor) -> [(String, Vec<directory::Value>); 2] {
    let bytes = descriptor.to_bytes();
    [(a::MAILBOX_DESCRIPTOR.to_owned(), vec![bytes.clone()]), (a::MAILBOX_DESCRIPTOR_COPY.to_owned(), vec![bytes])]
}

/// Clears bits in a trustee's explicit entries of one kind; entries without bits go. Whether anything changed.
pub(crate) fn take_away(descriptor: &mut SecurityDescriptor, trustee: &Sid, mask: AccessMask, deny: bool) -> bool {
    let Some(dacl) = &mut descriptor.dacl else { return false };
    let mut changed = false;
    for ace in dacl.aces.iter_mut().filter(|ace| ace.sid == *trustee && ace.is_deny() == deny) {
        changed |= ace.mask.intersects(mask);
        ace.mask = AccessMask(ace.mask.0 & !mask.0);
    }
    dacl.aces.retain(|ace| !ace.mask.is_empty());
    changed
}

pub fn get_mailbox(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let id = asked.find(identity)?;
    owner(snapshot, id)?;
    require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    let descriptor = snapshot.mailbox_descriptor(id).ok_or_else(|| unreadable(snapshot, id))?;
    Ok(Response::Permissions(listed(snapshot, id, descriptor, None, true)))
}

fn listed(
    snapshot: &Snapshot,
    id: ObjectId,
    descriptor: &Descriptor,
    only: Option<&Sid>,
    mailbox: bool,
) -> Permissions {
    let sd = descriptor.sd();
    let aces = sd.dacl.iter().flat_map(|dacl| &dacl.aces).enumerate();
    let ends = if mailbox { a::EXPIRING_MAILBOX_GRANT } else { a::EXPIRING_GRANT };
    let until = |ace: &Ace| {
        let time = expiry::until(snapshot, id, ends, &expiry::of_ace(ace))?;
        jiff::Timestamp::from_millisecond(time).ok().map(|time| time.to_string())
    };
    let rows = aces
        .filter(|(_, ace)| only.is_none_or(|sid| ace.sid == *sid))
        .map(|(index, ace)| {
            let origin = if mailbox { snapshot.mailbox_ace_origin(id, index) } else { snapshot.ace_origin(id, index) };
            PermissionRow {
                trustee: snapshot.sid_name(&ace.sid),
                sid: ace.sid.to_string(),
                deny: ace.is_deny(),
                rights: if mailbox { words::mailbox_rights(ace) } else { words::rights(ace) },
                inherited_from: ace.is_inherited().then(|| snapshot.dn(origin)),
                effective: ace.is_effective(),
                inherited_by: if mailbox { None } else { words::inherited_by(ace) },
                sddl: words::sddl(snapshot, ace),
                until: (!ace.is_inherited()).then(|| until(ace)).flatten(),
            }
        })
        .collect();
    Permissions {
        dn: snapshot.dn(id),
        owner: sd.owner.as_ref().map(|owner| snapshot.sid_name(owner)).unwrap_or_default(),
        protected: sd.is_dacl_protected(),
        admin: snapshot.is_protected(id),
        rows,
        descriptor: STANDARD.encode(sd.to_bytes()),
    }
}

/// The SID of a trustee: a SID, a well-known name, or an object.
pub(crate) fn trustee(snapshot: &Snapshot, name: &str) -> Result<Sid, Fault> {
    if let Ok(sid) = name.parse::<Sid>() {
        return Ok(sid);
    }
    let bare = name.rsplit('\\').next().unwrap_or(name);
    let folded = bare.to_ascii_lowercase().replace(['-', ' '], "");
    let well_known = match folded.as_str() {
        "self" => Some(acl::well_known::SELF),
        "everyone" => Some(acl::well_known::EVERYONE),
        "anonymous" | "anonymouslogon" => Some(acl::well_known::ANONYMOUS_LOGON),
        "authenticatedusers" => Some(acl::well_known::AUTHENTICATED_USERS),
        "system" => Some(acl::well_known::SYSTEM),
        "partnerservers" => Some(acl::well_known::PARTNER_SERVERS),
        "hubtransportservers" | "hubservers" => Some(acl::well_known::HUB_SERVERS),
        "edgetransportservers" | "edgeservers" => Some(acl::well_known::EDGE_SERVERS),
        "externallysecuredservers" => Some(acl::well_known::EXTERNALLY_SECURED_SERVERS),
        "legacyexchangeservers" => Some(acl::well_known::LEGACY_EXCHANGE_SERVERS),
        _ => None,
    };
    if let Some(sid) = well_known {
        return Ok(sid);
    }
    let id = find(snapshot, name)?;
    let sid = snapshot.object(id).and_then(|object| object.sid()).map(|sid| snapshot.sid(sid));
    sid.ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("{} has no SID: it cannot hold rights", snapshot.dn(id)))
            .help("rights go to accounts and security groups")
    })
}

pub(crate) fn unreadable(snapshot: &Snapshot, id: ObjectId) -> Fault {
    Fault::new(FaultKind::Unavailable, format!("the security descriptor of {} could not be read", snapshot.dn(id)))
        .help("import it again by an account that may read it")
}
