//! The organization as a document says: each part is compared with what is there, and becomes the requests that make it
//! so. All of them are tried out in order on a copy and then committed as one change.

use std::collections::BTreeSet;

use directory::{Class, NameError, Object, ObjectId, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::accounts::{addresses, container, guid_of};
use crate::connectors::documents::{ReceiveSettings, SendSettings};
use crate::connectors::{receive, send};
use crate::error::{Fault, FaultKind};
use crate::operations::{
    Apply, Delegates, DomainAdd, DomainKind, DomainRemove, DomainSet, GroupAdd, GroupSet, Item, MailboxEnable,
    MailboxPermissionChange, MailboxSet, Members, OuAdd, PermissionChange, ReceiveNew, ReceiveSet, Request, SendNew,
    SendSet, Target, UserAdd, UserSet, Wanted, WantedDelegates, WantedDomain, WantedGrant, WantedGroup,
    WantedMailboxGrant, WantedReceive, WantedSend, WantedUser,
};
use crate::response::{Done, Response};
use crate::service::{Asked, Plan, find};
use crate::simulate::Trial;

/// Setting of the directory: what documents have named, as JSON. Only that is pruned.
const MANAGED: &str = "apply.managed";

pub fn apply(asked: Asked<'_>, apply: &Apply) -> Result<Response, Fault> {
    let managed = managed(asked)?;
    let named: BTreeSet<String> = apply.items.iter().map(|item| item.wanted.key()).collect();
    let left: Vec<Wanted> = managed.into_iter().filter(|wanted| !named.contains(&wanted.key())).collect();
    let mut items = apply.items.clone();
    let mut kept_units = Vec::new();
    if apply.prune {
        for wanted in left.iter().cloned() {
            match wanted.clone().gone() {
                Some(gone) => items.push(Item { line: 0, wanted: gone }),
                None => kept_units.push(wanted),
            }
        }
    }
    let response = asked.change(|snapshot| plan(asked, snapshot, &items, &kept_units))?;
    if asked.trial.is_none() {
        let stays = if apply.prune { kept_units } else { left };
        let present = apply.items.iter().map(|item| &item.wanted).filter(|wanted| wanted.is_present()).cloned();
        let managed: Vec<Wanted> = stays.into_iter().chain(present).collect();
        let text = serde_json::to_string(&managed).map_err(|e| Fault::new(FaultKind::Invalid, e.to_string()))?;
        asked.service.set_setting(MANAGED, Some(&text))?;
    }
    Ok(response)
}

/// What documents applied before have named.
fn managed(asked: Asked<'_>) -> Result<Vec<Wanted>, Fault> {
    let text = asked.service.setting(MANAGED)?;
    // Written by another version: what it cannot say is not pruned.
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

fn plan(asked: Asked<'_>, snapshot: &Snapshot, items: &[Item], kept_units: &[Wanted]) -> Result<Plan, Fault> {
    let trial = Trial::on(snapshot);
    let mut lines = Vec::new();
    // What goes makes room first; then what is referred to: grants by name need the accounts, members the groups.
    for stage in 0..STAGES {
        for item in items {
            let made = step(asked, &trial, item, stage).map_err(|fault| at_line(item, fault))?;
            let place = if item.line == 0 { "no longer named".to_owned() } else { format!("line {}", item.line) };
            lines.extend(made.into_iter().map(|line| format!("{place}: {line}")));
        }
    }
    for unit in kept_units {
        if let Wanted::Ou(ou) = unit {
            lines.push(format!("no longer named: the unit {} stays, it may hold what no document names", ou.name));
        }
    }
    let changes = trial.into_changes();
    let summary = match changes.len() {
        0 => "everything is as the document says: nothing was changed".to_owned(),
        count => format!("applied: {count} change(s)"),
    };
    Ok(Plan { changes, done: Done { summary, warnings: lines }, authorized: true })
}

/// Grants that go, objects that go; objects; members; what refers to them.
const STAGES: u8 = 5;

/// Does what one part needs; what was done, in words.
fn step(asked: Asked<'_>, trial: &Trial, item: &Item, stage: u8) -> Result<Vec<String>, Fault> {
    let mut made = Vec::new();
    let now = trial.snapshot();
    let requests = match (item.wanted.is_present(), stage) {
        (true, 2..) => requests(&now, &item.wanted, stage - 2)?,
        (false, 0 | 1) => removal(&now, &item.wanted, stage)?,
        _ => Vec::new(),
    };
    for request in requests {
        let (now, before) = (trial.snapshot(), trial.count());
        let tried = Asked { trial: Some(trial), snapshot: &now, ..asked };
        let response = match tried.dispatch(request) {
            // What is to go and is not there is as it should be.
            Err(fault) if fault.kind == FaultKind::NotFound && !item.wanted.is_present() => continue,
            answered => answered?,
        };
        if let (Response::Done(done), true) = (response, trial.count() > before) {
            made.push(done.summary);
            made.extend(done.warnings.into_iter().filter(|warning| !warning.contains("password yet")));
        }
    }
    Ok(made)
}

/// What takes a part away that is not to be there.
fn removal(snapshot: &Snapshot, wanted: &Wanted, stage: u8) -> Result<Vec<Request>, Fault> {
    let target = |name: &String| Target { identity: name.clone() };
    let there = |name: &str| existing(snapshot, name).map(|found| found.is_some());
    Ok(match (wanted, stage) {
        (Wanted::Grant(grant), 0) => vec![Request::PermissionRemove(permission(grant))],
        (Wanted::MailboxGrant(grant), 0) => vec![Request::MailboxPermissionRemove(mailbox_permission(grant))],
        (Wanted::Delegates(wanted), 0) if there(&wanted.of)? => delegates(snapshot, wanted)?,
        (Wanted::User(user), 1) if there(&user.name)? => vec![Request::UserRemove(target(&user.name))],
        (Wanted::Group(group), 1) if there(&group.name)? => vec![Request::GroupRemove(target(&group.name))],
        (Wanted::Domain(domain), 1) => vec![Request::DomainRemove(DomainRemove { domain: domain.name.clone() })],
        (Wanted::ReceiveConnector(connector), 1) => vec![Request::ReceiveConnectorRemove(target(&connector.name))],
        (Wanted::SendConnector(connector), 1) => vec![Request::SendConnectorRemove(target(&connector.name))],
        _ => Vec::new(),
    })
}

fn permission(grant: &WantedGrant) -> PermissionChange {
    PermissionChange {
        identity: grant.on.clone(),
        trustee: grant.user.clone(),
        rights: vec![grant.right.clone()],
        deny: grant.deny,
        inherit_to: grant.inherit_to.clone(),
        until: None,
    }
}

fn mailbox_permission(grant: &WantedMailboxGrant) -> MailboxPermissionChange {
    MailboxPermissionChange {
        identity: grant.on.clone(),
        trustee: grant.user.clone(),
        rights: vec![grant.right.clone().unwrap_or_else(|| "full-access".to_owned())],
        deny: grant.deny,
        until: None,
    }
}

fn receive_connector(snapshot: &Snapshot, wanted: &WantedReceive) -> Result<Vec<Request>, Fault> {
    let WantedReceive { name, usage, server, mut permission_groups, mut settings, .. } = wanted.clone();
    let Some(id) = connector(snapshot, Class::ReceiveConnector, &name) else {
        return Ok(vec![Request::ReceiveConnectorNew(ReceiveNew { name, usage, server, permission_groups, settings })]);
    };
    let now = receive::row(snapshot, id);
    settings = other_settings(settings, &now.settings)?;
    permission_groups = permission_groups.filter(|groups| *groups != now.permission_groups);
    if settings == ReceiveSettings::default() && permission_groups.is_none() {
        return Ok(Vec::new());
    }
    let set = ReceiveSet { identity: name, permission_groups, settings, ..ReceiveSet::default() };
    Ok(vec![Request::ReceiveConnectorSet(set)])
}

fn send_connector(snapshot: &Snapshot, wanted: &WantedSend) -> Result<Vec<Request>, Fault> {
    let WantedSend { name, usage, mut settings, .. } = wanted.clone();
    let Some(id) = connector(snapshot, Class::SendConnector, &name) else {
        return Ok(vec![Request::SendConnectorNew(SendNew { name, usage, password: None, settings })]);
    };
    settings = other_settings(settings, &send::settings(snapshot, id))?;
    if settings == SendSettings::default() {
        return Ok(Vec::new());
    }
    Ok(vec![Request::SendConnectorSet(SendSet { identity: name, settings, ..SendSet::default() })])
}

/// The settings that are others than those of the connector: a default that is spelled out is no change.
fn other_settings<T: Serialize + DeserializeOwned>(wanted: T, now: &T) -> Result<T, Fault> {
    let other = || -> serde_json::Result<T> {
        let (mut wanted, now) = (serde_json::to_value(&wanted)?, serde_json::to_value(now)?);
        if let Some(wanted) = wanted.as_object_mut() {
            wanted.retain(|name, value| now.get(name) != Some(value));
        }
        serde_json::from_value(wanted)
    };
    other().map_err(|error| Fault::new(FaultKind::Invalid, error.to_string()))
}

fn connector(snapshot: &Snapshot, class: Class, name: &str) -> Option<ObjectId> {
    let name = directory::dn::folded(name);
    let named = |object: &Object| object.class() == class && directory::dn::folded(&object.name()) == name;
    snapshot.objects().find(|(_, object)| named(object)).map(|(id, _)| id)
}

fn at_line(item: &Item, fault: Fault) -> Fault {
    match item.line {
        0 => Fault { message: format!("no longer named by the document: {}", fault.message), ..fault },
        line => Fault { message: format!("line {line}: {}", fault.message), ..fault },
    }
}

fn requests(snapshot: &Snapshot, wanted: &Wanted, stage: u8) -> Result<Vec<Request>, Fault> {
    Ok(match (wanted, stage) {
        (Wanted::Domain(domain), 0) => self::domain(snapshot, domain),
        (Wanted::Ou(ou), 0) => {
            let under = match &ou.under {
                Some(under) => find(snapshot, under)?,
                None => snapshot.domains().first().map(|domain| domain.object).ok_or_else(no_domain)?,
            };
            let rdn = directory::dn::Rdn::new("OU", ou.name.as_str()).to_string();
            let add = OuAdd { name: ou.name.clone(), under: ou.under.clone(), protected: ou.protected };
            match snapshot.by_dn(&format!("{rdn},{}", snapshot.dn(under))) {
                Some(_) => Vec::new(),
                None => vec![Request::OuAdd(add)],
            }
        }
        (Wanted::Group(group), 0) => self::group(snapshot, group)?,
        (Wanted::User(user), 0) => self::user(snapshot, user)?,
        (Wanted::Group(group), 1) => self::members(snapshot, group)?,
        (Wanted::ReceiveConnector(connector), 1) => receive_connector(snapshot, connector)?,
        (Wanted::SendConnector(connector), 1) => send_connector(snapshot, connector)?,
        (Wanted::Grant(grant), 2) => vec![Request::PermissionAdd(permission(grant))],
        (Wanted::MailboxGrant(grant), 2) => vec![Request::MailboxPermissionAdd(mailbox_permission(grant))],
        (Wanted::Delegates(delegates), 2) => self::delegates(snapshot, delegates)?,
        _ => Vec::new(),
    })
}

fn no_domain() -> Fault {
    Fault::new(FaultKind::Unavailable, "there is no domain").help("create one with `procura init DIR`")
}

fn domain(snapshot: &Snapshot, wanted: &WantedDomain) -> Vec<Request> {
    let name = wanted.name.to_ascii_lowercase();
    let spelled = |domain: &directory::AcceptedDomain| match domain.wildcard {
        true => format!("*.{}", domain.name),
        false => domain.name.clone(),
    };
    let found = snapshot.accepted_domains().map(|(_, domain)| domain).find(|domain| spelled(domain) == name);
    let Some(found) = found else {
        return vec![Request::DomainAdd(DomainAdd {
            domain: wanted.name.clone(),
            kind: wanted.kind.unwrap_or(DomainKind::Authoritative),
            alias_of: wanted.alias_of.clone(),
            subaddressing: wanted.subaddressing.unwrap_or(false),
            recipient_lookup: None,
        })];
    };
    let kind = match found.kind {
        directory::DomainKind::Authoritative => DomainKind::Authoritative,
        directory::DomainKind::InternalRelay => DomainKind::InternalRelay,
        directory::DomainKind::ExternalRelay => DomainKind::ExternalRelay,
    };
    let set = DomainSet {
        domain: wanted.name.clone(),
        kind: wanted.kind.filter(|wanted| *wanted != kind),
        alias_of: wanted.alias_of.clone().filter(|wanted| found.alias_of.as_ref() != Some(wanted)),
        subaddressing: wanted.subaddressing.filter(|wanted| *wanted != found.subaddressing),
        recipient_lookup: None,
    };
    match (&set.kind, &set.alias_of, &set.subaddressing) {
        (None, None, None) => Vec::new(),
        _ => vec![Request::DomainSet(set)],
    }
}

/// The object of a name; none when there is no such object.
fn existing(snapshot: &Snapshot, name: &str) -> Result<Option<ObjectId>, Fault> {
    match snapshot.resolve(name) {
        Ok(id) => Ok(Some(id)),
        Err(NameError::Unknown(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The container, if it is another one than that of the object.
fn elsewhere(snapshot: &Snapshot, id: ObjectId, ou: Option<&String>) -> Result<Option<String>, Fault> {
    let Some(ou) = ou else { return Ok(None) };
    let wanted = container(snapshot, Some(ou))?;
    let parent = snapshot.object(id).and_then(|object| object.parent());
    Ok((parent != Some(wanted)).then(|| ou.clone()))
}

/// The addresses, if the object has others.
fn other_addresses(snapshot: &Snapshot, id: ObjectId, wanted: Option<&Vec<String>>) -> Option<Vec<String>> {
    let own = snapshot.object(id).map(addresses).unwrap_or_default();
    let folded = |all: &[String]| -> (Option<String>, BTreeSet<String>) {
        let all: Vec<String> = all.iter().map(|address| address.to_lowercase()).collect();
        (all.first().cloned(), all.into_iter().collect())
    };
    wanted.filter(|wanted| folded(wanted) != folded(&own)).cloned()
}

fn other_name(snapshot: &Snapshot, id: ObjectId, wanted: Option<&String>) -> Option<String> {
    let own = snapshot.object(id).and_then(|object| object.display_name());
    wanted.filter(|wanted| own != Some(wanted.as_str())).cloned()
}

fn user(snapshot: &Snapshot, wanted: &WantedUser) -> Result<Vec<Request>, Fault> {
    let Some(id) = existing(snapshot, &wanted.name)? else {
        return Ok(vec![Request::UserAdd(UserAdd {
            name: wanted.name.clone(),
            display_name: wanted.display_name.clone(),
            ou: wanted.ou.clone(),
            addresses: wanted.addresses.clone().unwrap_or_default(),
            mailbox: wanted.mailbox,
            database: wanted.database.clone(),
            disabled: wanted.enabled == Some(false),
            ..UserAdd::default()
        })]);
    };
    let Some(object) = snapshot.object(id) else { return Ok(Vec::new()) };
    let mut requests = Vec::new();
    let set = UserSet {
        identity: wanted.name.clone(),
        display_name: other_name(snapshot, id, wanted.display_name.as_ref()),
        addresses: other_addresses(snapshot, id, wanted.addresses.as_ref()),
        enabled: wanted.enabled.filter(|enabled| *enabled != object.enabled()),
        ou: elsewhere(snapshot, id, wanted.ou.as_ref())?,
        ..UserSet::default()
    };
    if set.display_name.is_some() || set.addresses.is_some() || set.enabled.is_some() || set.ou.is_some() {
        requests.push(Request::UserSet(set));
    }
    let (identity, database) = (wanted.name.clone(), wanted.database.clone());
    match (object.mailbox(), wanted.mailbox) {
        (None, true) => {
            requests.push(Request::MailboxEnable(MailboxEnable { identity, database, address: None, linked: None }))
        }
        (Some(own), _) if is_other_database(snapshot, own, database.as_deref())? => {
            requests.push(Request::MailboxSet(MailboxSet { identity, database, sending_limits: None }))
        }
        _ => {}
    }
    Ok(requests)
}

fn is_other_database(snapshot: &Snapshot, own: directory::Mailbox, wanted: Option<&str>) -> Result<bool, Fault> {
    let Some(wanted) = wanted else { return Ok(false) };
    let wanted = crate::mailboxes::database(snapshot, Some(wanted))?;
    Ok(own.database.and_then(|database| guid_of(snapshot, database)) != Some(wanted))
}

fn group(snapshot: &Snapshot, wanted: &WantedGroup) -> Result<Vec<Request>, Fault> {
    let Some(id) = existing(snapshot, &wanted.name)? else {
        return Ok(vec![Request::GroupAdd(GroupAdd {
            name: wanted.name.clone(),
            display_name: wanted.display_name.clone(),
            ou: wanted.ou.clone(),
            distribution: wanted.distribution,
            scope: wanted.scope,
            addresses: wanted.addresses.clone().unwrap_or_default(),
            ..GroupAdd::default()
        })]);
    };
    let set = GroupSet {
        identity: wanted.name.clone(),
        display_name: other_name(snapshot, id, wanted.display_name.as_ref()),
        addresses: other_addresses(snapshot, id, wanted.addresses.as_ref()),
        ou: elsewhere(snapshot, id, wanted.ou.as_ref())?,
    };
    let changed = set.display_name.is_some() || set.addresses.is_some() || set.ou.is_some();
    Ok(if changed { vec![Request::GroupSet(set)] } else { Vec::new() })
}

/// Names to add and to remove, so that objects become those of other names.
fn exchange(snapshot: &Snapshot, own: &[ObjectId], wanted: &[String]) -> Result<(Vec<String>, Vec<String>), Fault> {
    let wanted: BTreeSet<ObjectId> = wanted.iter().map(|name| find(snapshot, name)).collect::<Result<_, _>>()?;
    let own: BTreeSet<ObjectId> = own.iter().copied().collect();
    let names = |ids: &mut dyn Iterator<Item = &ObjectId>| ids.map(|id| snapshot.dn(*id)).collect::<Vec<_>>();
    Ok((names(&mut wanted.difference(&own)), names(&mut own.difference(&wanted))))
}

fn members(snapshot: &Snapshot, wanted: &WantedGroup) -> Result<Vec<Request>, Fault> {
    let Some(members) = &wanted.members else { return Ok(Vec::new()) };
    let id = find(snapshot, &wanted.name)?;
    let (add, remove) = exchange(snapshot, &snapshot.members(id), members)?;
    let change = |members| Members { group: wanted.name.clone(), members };
    let mut requests = Vec::new();
    if !add.is_empty() {
        requests.push(Request::MemberAdd(change(add)));
    }
    if !remove.is_empty() {
        requests.push(Request::MemberRemove(change(remove)));
    }
    Ok(requests)
}

fn delegates(snapshot: &Snapshot, wanted: &WantedDelegates) -> Result<Vec<Request>, Fault> {
    let id = find(snapshot, &wanted.of)?;
    let (add, remove) = exchange(snapshot, &snapshot.delegates(id), &wanted.users)?;
    let change = |delegates| Delegates { identity: wanted.of.clone(), delegates, until: None };
    let mut requests = Vec::new();
    if !add.is_empty() {
        requests.push(Request::DelegateAdd(change(add)));
    }
    if !remove.is_empty() {
        requests.push(Request::DelegateRemove(change(remove)));
    }
    Ok(requests)
}
