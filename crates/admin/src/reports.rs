//! Who can, what can, and all of it: reports for auditors. The rows say what the decisions rest on; nothing is decided
//! here (`authorization.md` §1).
//!
//! A report is answered in pages, or written as text from beginning to end ([`write`]): the same rows.

mod rows;
mod shared;

use std::io;

use acl::Sid;
use directory::{ObjectId, Snapshot};
use rights::admin::Action;
use rights::{Holding, Permission, any_sender, person, standing, who_can as reasons, who_people};

use crate::authorize::require;
use crate::documents::{AuditExport, HolderRow, WhatCan, WhoCan};
use crate::error::{AdminError, Fault, FaultKind};
use crate::operations::Request;
use crate::permissions::trustee;
use crate::response::{Page, Response};
use crate::service::{Asked, find};
use crate::sheet::{Sheet, Taker, TextFormat};

pub(crate) use rows::{could_become, holder_row, person_row, person_via, principal, target_name};
use shared::{Rows, Shared, Wanted};

/// Rows of a page at most.
const PAGE: usize = 8_000;

pub fn who_can(asked: Asked<'_>, who: &WhoCan) -> Result<Response, Fault> {
    let mut rows = Vec::new();
    who_can_rows(asked, who, &mut rows)?.map_err(memory)?;
    let from = who.skip as usize;
    let skip = u32::try_from(from + PAGE).ok().filter(|_| rows.len() > from + PAGE);
    let rows = rows.into_iter().skip(from).take(PAGE).collect();
    Ok(Response::Holders(Page { rows, next: None, skip }))
}

fn who_can_rows(asked: Asked<'_>, who: &WhoCan, out: &mut impl Rows) -> Result<io::Result<()>, Fault> {
    let snapshot = asked.snapshot;
    let target = asked.find(&who.identity)?;
    require(snapshot, asked.caller, target, Action::Read, "read the permissions of")?;
    let permissions = permissions(&who.rights)?;
    Ok(permissions
        .into_iter()
        .try_for_each(|permission| {
            if who.expand {
                let mut people = who_people(snapshot, target, permission).into_iter();
                people.try_for_each(|person| out.row(person_row(snapshot, &person)))?;
                let mut beyond = any_sender(snapshot, target).into_iter().filter(|_| permission == Permission::SendAs);
                beyond.try_for_each(|holding| out.row(holder_row(snapshot, &holding)))
            } else {
                let mut reasons = reasons(snapshot, target, permission).into_iter();
                reasons.try_for_each(|holding| out.row(holder_row(snapshot, &holding)))
            }
        })
        .and_then(|()| match who.could_become {
            true => could_become(snapshot, target).into_iter().try_for_each(|row| out.row(row)),
            false => Ok(()),
        }))
}

pub fn what_can(asked: Asked<'_>, what: &WhatCan) -> Result<Response, Fault> {
    let mut about = about_somebody(asked, what)?;
    page(asked, what.under.as_deref(), (what.after, what.skip), |target, rows| about(target, rows))
        .map(Response::Holders)
}

/// What somebody can to a target, as rows.
fn about_somebody<'a, R: Rows>(
    asked: Asked<'a>,
    what: &'a WhatCan,
) -> Result<impl FnMut(ObjectId, &mut R) -> io::Result<()> + use<'a, R>, Fault> {
    let snapshot = asked.snapshot;
    let named = trustee_or_object(snapshot, &what.identity)?;
    let account = named.object.filter(|id| snapshot.object(*id).is_some_and(|object| object.class().is_account()));
    if let Some(id) = named.object.filter(|id| asked.caller.token.account != Some(*id)) {
        require(snapshot, asked.caller, id, Action::Read, "read the permissions of")?;
    }
    let permissions = permissions(&what.rights)?;
    Ok(move |target: ObjectId, out: &mut R| {
        for permission in &permissions {
            match account {
                Some(account) if account == target && !what.include_self => {}
                Some(account) => {
                    if let Some(person) = person(snapshot, account, target, *permission) {
                        out.row(person_row(snapshot, &person))?;
                    }
                }
                None => {
                    let holds = |row: &Holding| match (&row.trustee, &named.sid) {
                        (Some(sid), Some(wanted)) => sid == wanted,
                        _ => row.object.is_some() && row.object == named.object,
                    };
                    let rows = standing(snapshot, target, *permission);
                    rows.iter().filter(|row| holds(row)).try_for_each(|row| out.row(holder_row(snapshot, row)))?;
                }
            }
        }
        Ok(())
    })
}

pub fn export(asked: Asked<'_>, export: &AuditExport) -> Result<Response, Fault> {
    let permissions = permissions(&export.rights)?;
    let mut shared: Shared<'_, Vec<HolderRow>> = Shared::new(asked.snapshot);
    let begin = (export.after, export.skip);
    let mut page = page(asked, export.under.as_deref(), begin, |target, rows| {
        shared.about(target, &permissions, wanted(export), rows)
    })?;
    if begin == (None, 0) {
        page.rows.splice(0..0, everybody(asked.snapshot, export, &permissions));
    }
    Ok(Response::Holders(page))
}

fn wanted(export: &AuditExport) -> Wanted {
    Wanted { expand: export.expand, all: export.all, include_self: export.include_self }
}

/// Whoever may use any sender sends as everybody: said once for each connector, not once for each mailbox.
fn everybody(snapshot: &Snapshot, export: &AuditExport, permissions: &[Permission]) -> Vec<HolderRow> {
    let all = export.under.is_none() && permissions.contains(&Permission::SendAs);
    let Some(organization) = snapshot.organization().filter(|_| all) else { return Vec::new() };
    let everybody = any_sender(snapshot, organization).into_iter().map(|holding| HolderRow {
        target: "*".to_owned(),
        target_dn: "*".to_owned(),
        ..holder_row(snapshot, &holding)
    });
    everybody.collect()
}

/// Writes a report as text, from beginning to end, on one snapshot; the number of rows.
///
/// # Errors
/// What the report itself is refused for, a request that is no report, and what `take` returns.
pub fn write(asked: Asked<'_>, request: &Request, format: TextFormat, take: &mut Taker<'_>) -> Result<u64, AdminError> {
    let mut sheet = Sheet::new(format, take);
    let written = match request {
        Request::WhoCan(who) => who_can_rows(asked, who, &mut sheet)?,
        Request::WhatCan(what) => {
            let mut about = about_somebody(asked, what)?;
            let mut targets = targets(asked, what.under.as_deref(), None)?;
            targets.try_for_each(|target| about(target, &mut sheet))
        }
        Request::AuditExport(export) => {
            let permissions = permissions(&export.rights)?;
            let mut shared = Shared::new(asked.snapshot);
            let mut targets = targets(asked, export.under.as_deref(), None)?;
            let first = everybody(asked.snapshot, export, &permissions);
            first.iter().try_for_each(|row| sheet.row(row)).and_then(|()| {
                targets.try_for_each(|target| shared.about(target, &permissions, wanted(export), &mut sheet))
            })
        }
        _ => {
            let fault = Fault::new(FaultKind::Unsupported, "only reports are written as text");
            return Err(fault.help("ask without `text`").into());
        }
    };
    written.and_then(|()| sheet.finish()).map_err(AdminError::Output)
}

/// All objects that mail can come from, of those that the caller may read, after one, in the order in which they came to
/// be.
fn targets<'a>(
    asked: Asked<'a>,
    under: Option<&str>,
    after: Option<ObjectId>,
) -> Result<Box<dyn Iterator<Item = ObjectId> + 'a>, Fault> {
    let snapshot = asked.snapshot;
    let all: Box<dyn Iterator<Item = ObjectId>> = match under {
        Some(under) => {
            let mut ids = snapshot.subtree(find(snapshot, under)?);
            ids.sort_unstable();
            Box::new(ids.into_iter().filter(move |id| after.is_none_or(|after| *id > after)))
        }
        None => Box::new(snapshot.objects_after(after).map(|(id, _)| id)),
    };
    Ok(Box::new(all.filter(move |id| {
        let object = snapshot.object(*id);
        object.is_some_and(|object| object.mailbox().is_some() || object.primary_address().is_some())
            && rights::admin::may(snapshot, &asked.caller.token, *id, Action::Read)
    })))
}

/// A page of rows. It begins with the first object after `after`, without the first `skip` of its rows.
fn page(
    asked: Asked<'_>,
    under: Option<&str>,
    (after, skip): (Option<u32>, u32),
    mut about: impl FnMut(ObjectId, &mut Vec<HolderRow>) -> io::Result<()>,
) -> Result<Page<HolderRow>, Fault> {
    let mut rows = Vec::new();
    let (mut before, mut skip) = (after, skip as usize);
    for id in targets(asked, under, after.map(ObjectId))? {
        let start = rows.len();
        about(id, &mut rows).map_err(memory)?;
        rows.drain(start..rows.len().min(start + skip));
        if rows.len() > PAGE {
            // More than a page about this one: it goes on with the next.
            let given = skip + PAGE - start;
            rows.truncate(PAGE);
            return Ok(Page { rows, next: before, skip: u32::try_from(given).ok() });
        }
        (before, skip) = (Some(id.0), 0);
        if rows.len() == PAGE {
            return Ok(Page { rows, next: before, skip: None });
        }
    }
    Ok(Page { rows, next: None, skip: None })
}

/// Rows in memory are always taken.
fn memory(error: io::Error) -> Fault {
    Fault::new(FaultKind::Unavailable, error.to_string())
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
