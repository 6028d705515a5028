//! Groups and their members.

use std::collections::HashSet;

use acl::Sid;
use directory::dn::Rdn;
use directory::{Change, Class, GroupScope as Scope, GroupType, Object, ObjectId, Record, Snapshot};
use directory::{attributes as a, link_value};

use crate::accounts::{
    account_name, address_attributes, addresses, changed_addresses, container, guid_of, moved, page, text, values,
};
use crate::error::{Fault, FaultKind};
use crate::operations::{GroupAdd, GroupScope, GroupSet, List, MemberList, Members};
use crate::random::new_guid;
use crate::response::{GroupRow, MemberRow, Response};
use crate::service::{Asked, Plan, find};

pub fn add(asked: Asked<'_>, add: GroupAdd) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let parent = container(snapshot, add.ou.as_deref())?;
        let scope = match add.scope {
            GroupScope::Global => Scope::Global,
            GroupScope::Universal => Scope::Universal,
            GroupScope::DomainLocal => Scope::DomainLocal,
        };
        let kind = if add.distribution { GroupType::distribution(scope) } else { GroupType::security(scope) };
        let mut record =
            Record::new(new_guid(), guid_of(snapshot, parent), Rdn::new("CN", add.name.as_str()).to_string())
                .with_all(a::OBJECT_CLASS, values(Class::Group.object_classes()))
                .with(a::SAM_ACCOUNT_NAME, add.sam_account_name.as_deref().unwrap_or(&add.name))
                .with(a::GROUP_TYPE, kind.0.to_string());
        if let Some(name) = &add.display_name {
            record.set(a::DISPLAY_NAME, text(name));
        }
        for (name, values) in address_attributes(snapshot, None, &add.addresses)? {
            record.set(&name, values);
        }
        record.set(a::MEMBER, links(snapshot, &add.members)?);
        let summary = format!("added {},{}", record.rdn, snapshot.dn(parent));
        Ok(Plan::new(summary, vec![Change::Add(record)]))
    })
}

pub fn set(asked: Asked<'_>, set: GroupSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let guid = group(snapshot, id)?.guid();
        let mut attributes = changed_addresses(snapshot, id, set.addresses.as_deref(), &[], &[])?;
        if let Some(name) = &set.display_name {
            attributes.push((a::DISPLAY_NAME.to_owned(), text(name)));
        }
        let mut changes = Vec::new();
        if !attributes.is_empty() {
            changes.push(Change::Modify { guid, attributes });
        }
        changes.extend(moved(snapshot, id, set.ou.as_deref())?);
        Ok(Plan::new(format!("changed {}", snapshot.dn(id)), changes))
    })
}

pub fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let object = group(snapshot, id)?;
        let dn = snapshot.dn(id);
        if object.sid().is_some_and(|sid| is_of_every_domain(&snapshot.sid(sid))) {
            return Err(Fault::new(FaultKind::Invalid, format!("{dn} is a group that every domain has: it stays"))
                .help(format!("take its members out with `procura group member remove '{dn}'`")));
        }
        Ok(Plan::new(format!("removed {dn}"), vec![Change::Delete { guid: object.guid() }]))
    })
}

/// Whether a SID is that of an account or group which a domain begins with and cannot be without (MS-DTYP 2.4.2.4): descriptors
/// everywhere name it.
pub(crate) fn is_of_every_domain(sid: &Sid) -> bool {
    const FIRST_OF_PEOPLE: u32 = 1000;
    sid.rid().is_some_and(|rid| rid < FIRST_OF_PEOPLE)
}

pub fn list(asked: Asked<'_>, list: &List) -> Result<Response, Fault> {
    let page = page(
        asked,
        list,
        |object| object.class() == Class::Group,
        |snapshot, id, object| GroupRow {
            name: account_name(snapshot, id, object),
            display_name: object.label(),
            addresses: addresses(object),
            security: object.is_security_group(),
            scope: match object.group_type().map(GroupType::scope) {
                Some(Scope::DomainLocal) => "domain-local",
                Some(Scope::Universal) => "universal",
                Some(Scope::Global) | None => "global",
            }
            .to_owned(),
            dn: snapshot.dn(id),
            sid: object.sid().map(|sid| snapshot.sid(sid).to_string()).unwrap_or_default(),
            guid: object.guid().to_string(),
        },
    )?;
    Ok(Response::Groups(page))
}

pub fn change_members(asked: Asked<'_>, members: &Members, add: bool) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &members.group)?;
        let guid = group(snapshot, id)?.guid();
        let links = links(snapshot, &members.members)?;
        let (changed, unchanged) = parted(snapshot, &members.members, &snapshot.members(id), add)?;
        let count = changed.len();
        let (added, removed) = if add { (links, Vec::new()) } else { (Vec::new(), links) };
        let change = Change::Values { guid, attribute: a::MEMBER.to_owned(), add: added, remove: removed };
        let (verb, word) = if add { ("added", "to") } else { ("removed", "from") };
        let mut plan = Plan::new(format!("{verb} {count} member(s) {word} {}", snapshot.dn(id)), vec![change]);
        let is = if add { "a member already" } else { "no member itself" };
        plan.done.warnings.extend(unchanged.iter().map(|name| format!("{name} is {is}: nothing changed for it")));
        for name in members.members.iter().filter(|_| add) {
            let member = find(snapshot, name)?;
            if snapshot.is_protected(id) && !snapshot.is_protected(member) {
                let label = snapshot.dn(member);
                plan.done.warnings.push(format!(
                    "{label} comes under the protection of administrators' accounts (AdminSDHolder): grants on it, or \
                     inherited by it, will be replaced"
                ));
            }
        }
        Ok(plan)
    })
}

pub fn list_members(asked: Asked<'_>, list: &MemberList) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let root = asked.find(&list.group)?;
    group(snapshot, root)?;
    let mut rows = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut waiting = vec![(root, Vec::new())];
    while let Some((id, via)) = waiting.pop() {
        for member in snapshot.members(id) {
            let Some(object) = snapshot.object(member) else { continue };
            if list.recursive && object.class() == Class::Group {
                if seen.insert(member) {
                    let mut via: Vec<String> = via.clone();
                    via.push(account_name(snapshot, member, object));
                    waiting.push((member, via));
                }
                continue;
            }
            if !list.recursive || seen.insert(member) {
                rows.push(MemberRow { via: via.clone(), ..member_row(snapshot, member, object) });
            }
        }
    }
    Ok(Response::Members(rows.into()))
}

pub(crate) fn member_row(snapshot: &Snapshot, id: ObjectId, object: &Object) -> MemberRow {
    MemberRow {
        name: account_name(snapshot, id, object),
        class: object.class().ldap_name().to_owned(),
        dn: snapshot.dn(id),
        via: Vec::new(),
        until: None,
    }
}

/// Of names of links to be added or removed, those that change something and those that do not.
pub(crate) fn parted<'n>(
    snapshot: &Snapshot,
    names: &'n [String],
    held: &[ObjectId],
    add: bool,
) -> Result<(Vec<&'n str>, Vec<&'n str>), Fault> {
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for name in names {
        let is_held = held.contains(&find(snapshot, name)?);
        if is_held == add { &mut unchanged } else { &mut changed }.push(name.as_str());
    }
    Ok((changed, unchanged))
}

pub(crate) fn links(snapshot: &Snapshot, names: &[String]) -> Result<Vec<Vec<u8>>, Fault> {
    names
        .iter()
        .map(|name| {
            let id = find(snapshot, name)?;
            let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, name.clone()))?;
            Ok(link_value(&guid))
        })
        .collect()
}

fn group(snapshot: &Snapshot, id: ObjectId) -> Result<&Object, Fault> {
    let object = snapshot.object(id).filter(|object| object.class() == Class::Group);
    object.ok_or_else(|| Fault::new(FaultKind::Invalid, format!("{} is not a group", snapshot.dn(id))))
}
