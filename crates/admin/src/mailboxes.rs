//! Mailboxes and delegates.

use acl::Guid;
use directory::{Change, Class, Object, ObjectId, SendingLimits, Snapshot, attributes as a, link_value};

use crate::accounts::{account, account_name, address_attributes, addresses, default_address, guid_of, page};
use crate::error::{Fault, FaultKind};
use crate::groups::{links, member_row, parted};
use crate::operations::{Delegates, List, MailboxEnable, MailboxSet};
use crate::ownership;
use crate::random::new_guid;
use crate::response::{MailboxRow, MemberRow, Response};
use crate::service::{Asked, Plan, find};

pub fn enable(asked: Asked<'_>, enable: &MailboxEnable) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &enable.identity)?;
        let object = account(snapshot, id)?;
        if object.mailbox().is_some() {
            return Err(Fault::new(FaultKind::Conflict, format!("{} has a mailbox already", snapshot.dn(id))));
        }
        let database = database(snapshot, enable.database.as_deref())?;
        let mut attributes = vec![
            (a::MAILBOX_GUID.to_owned(), vec![new_guid().0.to_vec()]),
            (a::HOME_MDB.to_owned(), vec![link_value(&database)]),
        ];
        let address = match (&enable.address, object.primary_address()) {
            (Some(address), _) => Some(address.clone()),
            (None, Some(_)) => None,
            (None, None) => Some(default_address(snapshot, object.sam_account_name().unwrap_or(&object.name()))?),
        };
        if let Some(address) = address {
            let mut all = vec![address];
            all.extend(addresses(object));
            attributes.extend(address_attributes(snapshot, Some(id), &all)?);
        }
        let external = enable.linked.as_deref().map(|name| ownership::external(snapshot, name)).transpose()?;
        attributes.extend(external.iter().flat_map(ownership::linked));
        let change = Change::Modify { guid: object.guid(), attributes };
        let mut plan = Plan::new(format!("enabled the mailbox of {}", snapshot.dn(id)), vec![change]);
        plan.done.warnings.extend(protected_owner(snapshot, id));
        let enabled = object.enabled();
        let link = external.iter().filter_map(|sid| ownership::link_warning(snapshot, id, sid, enabled));
        plan.done.warnings.extend(link);
        Ok(plan)
    })
}

pub fn set(asked: Asked<'_>, set: &MailboxSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        // What limits the sending of an account needs no mailbox: service accounts have none.
        let object = if set.database.is_some() { owner(snapshot, id)? } else { account(snapshot, id)? };
        let mut changes = Vec::new();
        if let Some(limits) = &set.sending_limits {
            SendingLimits::parse(limits.iter().map(String::as_str)).map_err(|wrong| {
                Fault::new(FaultKind::Invalid, wrong).help("hours and days, messages and recipients; or none")
            })?;
            let values = limits.iter().map(|limit| limit.as_bytes().to_vec()).collect();
            changes
                .push(Change::Modify { guid: object.guid(), attributes: vec![(a::SENDING_LIMITS.to_owned(), values)] });
        }
        if let Some(name) = &set.database {
            let attributes = vec![(a::HOME_MDB.to_owned(), vec![link_value(&database(snapshot, Some(name))?)])];
            changes.push(Change::Modify { guid: object.guid(), attributes });
        }
        Ok(Plan::new(format!("changed the mailbox of {}", snapshot.dn(id)), changes))
    })
}

/// The warning for an account whose permissions AdminSDHolder replaces (S0: “We strongly recommend that you do not
/// mailbox-enable user accounts that have domain administrator rights”).
pub(crate) fn protected_owner(snapshot: &Snapshot, id: ObjectId) -> Option<String> {
    snapshot.is_protected(id).then(|| {
        "the account is protected as an administrator's (AdminSDHolder): grants on it will be replaced. Better give \
         the mailbox to an ordinary account, and this one Full Mailbox Access and Send As on it: \
         `procura protected separate` does that"
            .to_owned()
    })
}

pub fn list(asked: Asked<'_>, list: &List) -> Result<Response, Fault> {
    let page = page(
        asked,
        list,
        |object| object.mailbox().is_some(),
        |snapshot, id, object| MailboxRow {
            owner: account_name(snapshot, id, object),
            addresses: addresses(object),
            database: object.mailbox().and_then(|m| m.database).and_then(|db| snapshot.object(db)).map(Object::name),
            enabled: object.enabled(),
            dn: snapshot.dn(id),
            guid: object.mailbox().map(|mailbox| mailbox.guid.to_string()).unwrap_or_default(),
            sending_limits: object.sending_limit_texts(),
            linked: object.master_account().map(|sid| snapshot.sid_name(&snapshot.sid(sid))),
        },
    )?;
    Ok(Response::Mailboxes(page))
}

pub fn change_delegates(asked: Asked<'_>, delegates: &Delegates, add: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &delegates.identity)?;
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the object is gone"))?;
        let links = links(snapshot, &delegates.delegates)?;
        let targets = links.iter().filter_map(|link| directory::parse_link(link));
        let what: Vec<String> = targets.map(|guid| guid.to_string()).collect();
        let until = (delegates.until.filter(|_| add), asked.service.now());
        let end = crate::expiry::schedule(snapshot, id, a::EXPIRING_DELEGATE, &what, |_| false, until)?;
        let (mut changed, mut unchanged) = parted(snapshot, &delegates.delegates, &snapshot.delegates(id), add)?;
        if end.is_some() {
            // When it ends is another now.
            changed.append(&mut unchanged);
        }
        let (added, removed) = if add { (links, Vec::new()) } else { (Vec::new(), links) };
        let change = Change::Values { guid, attribute: a::PUBLIC_DELEGATES.to_owned(), add: added, remove: removed };
        let word = if add { "may now" } else { "may no longer" };
        let end = end.map(|end| Change::Modify { guid, attributes: vec![end] });
        let changes = std::iter::once(change).chain(end).collect();
        let dn = snapshot.dn(id);
        let summary = match changed.is_empty() {
            true => format!("the delegates of {dn} are who they were"),
            false => format!("{} {word} send on behalf of {dn}", changed.join(", ")),
        };
        let mut plan = Plan::new(summary, changes);
        let is = if add { "a delegate already" } else { "no delegate itself" };
        plan.done.warnings.extend(unchanged.iter().map(|name| format!("{name} is {is}")));
        Ok(plan)
    })
}

pub fn delegates(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    let id = asked.find(identity)?;
    crate::authorize::require(asked.snapshot, asked.caller, id, rights::admin::Action::Read, "read")?;
    let row = |delegate| {
        let row = member_row(asked.snapshot, delegate, asked.snapshot.object(delegate)?);
        Some(MemberRow { until: crate::delegation::until(asked.snapshot, id, delegate), ..row })
    };
    let rows: Vec<MemberRow> = asked.snapshot.delegates(id).into_iter().filter_map(row).collect();
    Ok(Response::Delegates(rows.into()))
}

/// The mailbox database of a name; without one the only database there is.
pub(crate) fn database(snapshot: &Snapshot, name: Option<&str>) -> Result<Guid, Fault> {
    let objects = snapshot.configuration().filter_map(|(id, _)| Some((id, snapshot.object(id)?)));
    let all: Vec<(ObjectId, &Object)> = objects.filter(|(_, object)| object.class() == Class::Database).collect();
    let names = || all.iter().map(|(_, object)| object.name()).collect::<Vec<_>>().join(", ");
    let found: Vec<_> = match name {
        Some(name) => all
            .iter()
            .filter(|(id, object)| {
                object.name().eq_ignore_ascii_case(name) || snapshot.dn(*id).eq_ignore_ascii_case(name)
            })
            .collect(),
        None => all.iter().collect(),
    };
    match found[..] {
        [(_, object)] => Ok(object.guid()),
        [] => {
            Err(Fault::new(FaultKind::NotFound, format!("there is no mailbox database {}", name.unwrap_or_default()))
                .help(format!("there are: {}", names())))
        }
        _ => Err(Fault::new(FaultKind::Ambiguous, "there are several mailbox databases")
            .help(format!("choose one with --database: {}", names()))),
    }
}

pub(crate) fn owner(snapshot: &Snapshot, id: ObjectId) -> Result<&Object, Fault> {
    let object = snapshot.object(id).filter(|object| object.mailbox().is_some());
    object.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("{} has no mailbox", snapshot.dn(id)))
            .help("give it one with `procura mailbox add`")
    })
}
