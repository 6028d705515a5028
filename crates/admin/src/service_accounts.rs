//! Service accounts: accounts that send for many users (S0, "Special tasks for BlackBerry Enterprise Server"; S1). Are
//! they fit for it, for whom can they not send, why, and what mends it (`authorization.md` §8).

use acl::{AccessMask, Ace, AceFlags, Acl, Control, SecurityDescriptor, Sid, SidSet, edit, names};
use directory::{Change, ObjectId, Snapshot, attributes as a};
use rights::admin::{Action, may};
use rights::shortfall;

use crate::accounts::account;
use crate::authorize::require;
use crate::documents::{
    GrantRow, ServiceAccountCheck, ServiceAccountGrant, ServiceAccountReport, TaskRow, UncoveredRow,
};
use crate::error::{Fault, FaultKind};
use crate::groups::is_of_every_domain;
use crate::reach;
use crate::reports::principal;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

/// Users for whom it cannot send, on a page.
const PAGE: usize = 2_000;
/// Users that a grant names as not reached.
const SHOWN: usize = 20;
/// RID of Domain Users.
const DOMAIN_USERS: u32 = 513;

pub fn check(asked: Asked<'_>, check: &ServiceAccountCheck) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let service = Service::find(snapshot, &check.identity)?;
    if asked.caller.token.account != Some(service.id) {
        require(snapshot, asked.caller, service.id, Action::Read, "read the permissions of")?;
    }
    let mut report =
        ServiceAccountReport { account: service.name.clone(), sid: service.sid.to_string(), ..Default::default() };
    let scope = scope(snapshot, check.user.as_deref(), check.under.as_deref())?;
    if check.after.is_none() {
        report.tasks = tasks(snapshot, &service);
        if check.user.is_none() {
            report.grants = grants(snapshot, &service, &scope);
        }
    }
    for owner in scope.owners {
        if owner == service.id || check.after.is_some_and(|after| owner.0 <= after) {
            continue;
        }
        if !may(snapshot, &asked.caller.token, owner, Action::Read) {
            continue;
        }
        match uncovered(snapshot, &service, owner) {
            None => report.covered += 1,
            Some(row) => report.rows.push(row),
        }
        if report.rows.len() == PAGE {
            report.next = Some(owner.0);
            break;
        }
    }
    Ok(Response::ServiceAccount(report))
}

pub fn grant(asked: Asked<'_>, grant: &ServiceAccountGrant) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let service = Service::find(snapshot, &grant.identity)?;
        let scope = scope(snapshot, grant.user.as_deref(), grant.under.as_deref())?;
        let right = Ace::allow_object(service.sid.clone(), AccessMask::CONTROL_ACCESS, names::SEND_AS);
        let (places, ace) = match &grant.user {
            Some(_) => (scope.owners.clone(), right),
            None => {
                let flags = AceFlags(AceFlags::CONTAINER_INHERIT.0 | AceFlags::INHERIT_ONLY.0);
                let rows = places(snapshot, &scope).into_iter().map(|(id, _)| id).collect();
                (rows, right.for_class(names::USER).with_flags(flags))
            }
        };
        let mut changes = Vec::new();
        for id in &places {
            changes.extend(granted(snapshot, *id, &ace)?);
        }
        let count = changes.len();
        let summary = format!("{} may send as users: granted in {count} place(s)", service.name);
        let mut plan = Plan::new(summary, changes);
        let tried = crate::simulate::apply(asked, snapshot, plan.changes.clone())?.0;
        let left: Vec<UncoveredRow> = scope
            .owners
            .iter()
            .filter(|owner| **owner != service.id)
            .filter_map(|owner| uncovered(&tried, &service, *owner))
            .collect();
        for row in left.iter().take(SHOWN) {
            plan.done.warnings.push(format!("{} is not reached: {}", row.user, row.detail));
        }
        if left.len() > SHOWN {
            plan.done.warnings.push(format!(
                "{} more are not reached: `procura service-account check '{}'` lists all",
                left.len() - SHOWN,
                service.name
            ));
        }
        if grant.user.is_none() {
            // S0: "this method is not preferred and may have security implications".
            plan.done.warnings.push(
                "it counts for every user there now and later, and is lost by users who are moved away (S0)".into(),
            );
        }
        Ok(plan)
    })
}

/// A service account.
struct Service {
    id: ObjectId,
    sid: Sid,
    sids: SidSet,
    name: String,
    enabled: bool,
}

impl Service {
    fn find(snapshot: &Snapshot, name: &str) -> Result<Service, Fault> {
        let id = find(snapshot, name)?;
        let object = account(snapshot, id)?;
        let token = snapshot.token_of(id).map_err(|e| Fault::new(FaultKind::Invalid, e.to_string()))?;
        let (name, _) = principal(snapshot, id);
        Ok(Service { id, sid: snapshot.sid(token.user), sids: token.sids.clone(), name, enabled: object.enabled() })
    }
}

/// Which users, and which containers they are below.
struct Scope {
    roots: Vec<ObjectId>,
    owners: Vec<ObjectId>,
}

fn scope(snapshot: &Snapshot, user: Option<&str>, under: Option<&str>) -> Result<Scope, Fault> {
    if let Some(user) = user {
        let id = find(snapshot, user)?;
        crate::mailboxes::owner(snapshot, id)?;
        return Ok(Scope { roots: Vec::new(), owners: vec![id] });
    }
    let roots = match under {
        Some(under) => vec![find(snapshot, under)?],
        None => snapshot.domains().iter().map(|domain| domain.object).collect(),
    };
    let mut owners: Vec<ObjectId> = roots.iter().flat_map(|root| snapshot.subtree(*root)).collect();
    owners.retain(|id| {
        snapshot.object(*id).is_some_and(|object| object.mailbox().is_some() && object.class().is_account())
    });
    owners.sort_unstable();
    owners.dedup();
    Ok(Scope { roots, owners })
}

/// The tasks of S0.
fn tasks(snapshot: &Snapshot, service: &Service) -> Vec<TaskRow> {
    let task = |task: &str, ok: bool, detail: String| TaskRow { task: task.to_owned(), ok, detail };
    vec![
        {
            let faults = not_separate(snapshot, service);
            let said = if faults.is_empty() { "an account of its own".to_owned() } else { faults.join("; ") };
            task("separate-account", faults.is_empty(), said)
        },
        memberships(snapshot, service),
        task("cache", true, "a change counts within 1 s: there is no cache to clear and nothing to restart".to_owned()),
    ]
}

/// Why it is not an account made for the service alone.
fn not_separate(snapshot: &Snapshot, service: &Service) -> Vec<String> {
    let mut faults = Vec::new();
    if !service.enabled {
        faults.push("the account is disabled: it cannot send at all".to_owned());
    }
    if is_of_every_domain(&service.sid) {
        faults.push("it is a built-in account: create one for the service alone".to_owned());
    }
    let linked: Vec<ObjectId> = snapshot.sid_id(&service.sid).map(|sid| snapshot.linked_to(sid)).unwrap_or_default();
    if !linked.is_empty() {
        faults.push(format!(
            "somebody's own account: it is the external account of {}",
            reach::listed(snapshot, &linked)
        ));
    }
    let delegate_of = snapshot.linked_from(service.id, a::PUBLIC_DELEGATES);
    if !delegate_of.is_empty() {
        faults.push(format!("somebody's own account: it is a delegate of {}", reach::listed(snapshot, &delegate_of)));
    }
    faults
}

/// S0: "make sure that the account is a member of only the Domain Users group. On a domain controller, the account
/// should be member of the Built-in Administrators group."
fn memberships(snapshot: &Snapshot, service: &Service) -> TaskRow {
    let mut groups = snapshot.member_of(service.id);
    groups.extend(snapshot.primary_group(service.id));
    groups.retain(|group| {
        let rid = snapshot.object(*group).and_then(|object| object.sid()).and_then(|sid| snapshot.sid(sid).rid());
        rid != Some(DOMAIN_USERS)
    });
    let names: Vec<String> = groups.iter().map(|group| principal(snapshot, *group).0).collect();
    let mut detail = match names.is_empty() {
        true => "member of Domain Users only".to_owned(),
        false => format!("member of {}, beside Domain Users", names.join(", ")),
    };
    if snapshot.is_protected(service.id) {
        detail += "; that makes it protected by AdminSDHolder. On a domain controller S0 wants it in the built-in \
                   Administrators all the same";
    }
    TaskRow { task: "memberships".to_owned(), ok: names.is_empty(), detail }
}

/// Where a grant has to stand so that it reaches all owners of a scope: its roots, and what inherits nothing between
/// them and an owner. With whether inheritance is blocked there.
fn places(snapshot: &Snapshot, scope: &Scope) -> Vec<(ObjectId, bool)> {
    let mut places: Vec<(ObjectId, bool)> = scope.roots.iter().map(|root| (*root, false)).collect();
    let has_owners = |container: ObjectId| {
        let below = snapshot.subtree(container);
        below.iter().skip(1).any(|id| scope.owners.binary_search(id).is_ok())
    };
    for root in &scope.roots {
        for id in snapshot.subtree(*root).into_iter().skip(1) {
            if snapshot.object(id).is_none_or(|object| object.class().is_principal()) {
                continue;
            }
            let blocked = snapshot.explicit_descriptor(id).is_some_and(|descriptor| descriptor.is_dacl_protected());
            if blocked && has_owners(id) {
                places.push((id, true));
            }
        }
    }
    places
}

/// Whether each of those places grants it.
fn grants(snapshot: &Snapshot, service: &Service, scope: &Scope) -> Vec<GrantRow> {
    let rows = places(snapshot, scope).into_iter().map(|(id, blocked)| {
        let granted = gives(snapshot, service, id);
        let container = snapshot.dn(id);
        let command = if granted { String::new() } else { inheritable(&container, service) };
        GrantRow { container, blocked, granted, command }
    });
    rows.collect()
}

/// Whether a container hands Send As down to the service account.
fn gives(snapshot: &Snapshot, service: &Service, container: ObjectId) -> bool {
    shortfall::gives(snapshot, &service.sids, container)
}

fn inheritable(container: &str, service: &Service) -> String {
    shortfall::inheritable(container, &service.name)
}

/// Why a service account cannot send for an owner, and what mends it; none where it can.
fn uncovered(snapshot: &Snapshot, service: &Service, owner: ObjectId) -> Option<UncoveredRow> {
    let found = shortfall::shortfall(snapshot, service.id, owner)?;
    let (user, _) = principal(snapshot, owner);
    let (reason, dn) = (found.reason.name().to_owned(), snapshot.dn(owner));
    Some(UncoveredRow { user, dn, reason, detail: found.detail, command: found.command })
}

/// The change that adds an entry to an object; none where it is there.
fn granted(snapshot: &Snapshot, id: ObjectId, ace: &Ace) -> Result<Option<Change>, Fault> {
    let mut descriptor = match snapshot.explicit_descriptor(id) {
        Some(descriptor) => SecurityDescriptor::clone(&descriptor),
        None => return Err(crate::permissions::unreadable(snapshot, id)),
    };
    descriptor.control.set(Control::DACL_PRESENT, true);
    if !edit::add(descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new())), ace.clone()) {
        return Ok(None);
    }
    let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
    Ok(snapshot.object(id).map(|object| Change::Modify { guid: object.guid(), attributes }))
}
