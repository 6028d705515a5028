//! Mailbox databases and servers: the legacy policy (S0: before the separation Full Mailbox Access implied Send As).

use std::collections::BTreeSet;

use directory::organization::new_object;
use directory::{Change, Class, Object, ObjectId, Snapshot, attributes as a, dn};
use rights::admin::Action;

use crate::accounts::guid_of;
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::operations::{DatabaseNew, DatabaseSet};
use crate::random::new_guid;
use crate::response::Response;
use crate::servers;
use crate::service::{Asked, Plan, find};

pub fn new(asked: Asked<'_>, new: &DatabaseNew) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let name = new.name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Fault::new(FaultKind::Invalid, "a mailbox database needs a name"));
        }
        let server = server(snapshot, new.server.as_deref())?;
        if let Some(there) = named(snapshot, name, Some(server)) {
            return Err(Fault::new(FaultKind::Conflict, format!("there is {} already", snapshot.dn(there))));
        }
        let parent = storage_group(snapshot, server);
        let guid = guid_of(snapshot, parent).ok_or_else(|| Fault::new(FaultKind::NotFound, "the server is gone"))?;
        let record = new_object(new_guid(), guid, Class::Database, name);
        let summary = format!("added the mailbox database {},{}", record.rdn, snapshot.dn(parent));
        Ok(Plan::new(summary, vec![Change::Add(record)]))
    })
}

/// The mailbox database of a name, on a server or anywhere.
pub(crate) fn named(snapshot: &Snapshot, name: &str, server: Option<ObjectId>) -> Option<ObjectId> {
    let is_it = |object: &Object| object.class() == Class::Database && dn::folded(&object.name()) == dn::folded(name);
    let mut own = snapshot.configuration().filter(|(id, _)| snapshot.object(*id).is_some_and(is_it));
    own.find(|(id, _)| server.is_none() || snapshot.ancestor(*id, Class::Server) == server).map(|(id, _)| id)
}

/// The server of a name; without one the only server that has mailbox databases, or the only one there is.
pub(crate) fn server(snapshot: &Snapshot, name: Option<&str>) -> Result<ObjectId, Fault> {
    if let Some(name) = name {
        return servers::server(snapshot, name);
    }
    let all: Vec<ObjectId> = servers::servers(snapshot).map(|(id, _)| id).collect();
    let holds = |id: &ObjectId| databases_of(snapshot, *id).next().is_some();
    let holding: Vec<ObjectId> = all.iter().copied().filter(holds).collect();
    match (holding.as_slice(), all.as_slice()) {
        ([one], _) | ([], [one]) => Ok(*one),
        ([], []) => Err(Fault::new(FaultKind::Unavailable, "there is no server").help("`procura server new` adds one")),
        _ => Err(Fault::new(FaultKind::Ambiguous, "there are several servers").help("say which one it is on")),
    }
}

fn databases_of(snapshot: &Snapshot, server: ObjectId) -> impl Iterator<Item = ObjectId> {
    let is_database = |id: &ObjectId| snapshot.object(*id).is_some_and(|object| object.class() == Class::Database);
    snapshot.subtree(server).into_iter().filter(is_database)
}

/// Where new databases of a server stand: beside the others; else in its first storage group, or below the server itself.
fn storage_group(snapshot: &Snapshot, server: ObjectId) -> ObjectId {
    let parent = |id: ObjectId| snapshot.object(id).and_then(Object::parent);
    let beside = databases_of(snapshot, server).find_map(parent);
    let is_group = |id: &ObjectId| snapshot.object(*id).is_some_and(|object| object.name() == "First Storage Group");
    beside.or_else(|| snapshot.subtree(server).into_iter().find(is_group)).unwrap_or(server)
}

pub fn set(asked: Asked<'_>, set: &DatabaseSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let object = snapshot.object(id).filter(|object| matches!(object.class(), Class::Database | Class::Server));
        let object = object.ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("{} is no mailbox database and no server", snapshot.dn(id)))
        })?;
        let Some(legacy) = set.legacy_send_as else {
            return Ok(Plan::new(format!("nothing to change on {}", snapshot.dn(id)), Vec::new()));
        };
        // The policy hands out Send As: it needs what granting Send As needs (authorization.md §6).
        for domain in domains_of_users(snapshot, id) {
            require(snapshot, asked.caller, domain, Action::WriteDac, "hand out Send As (the legacy policy) in")?;
        }
        let values = if legacy { vec![b"TRUE".to_vec()] } else { Vec::new() };
        let change = Change::Modify { guid: object.guid(), attributes: vec![(a::LEGACY_POLICY.to_owned(), values)] };
        let word = if legacy { "carries Send As again" } else { "no longer carries Send As" };
        let mut plan = Plan::new(format!("Full Mailbox Access on {} {word}", snapshot.dn(id)), vec![change]);
        if legacy {
            plan.done.warnings.push(
                "whoever can open a mailbox there can now send as its owner: S0 calls that a security concern".into(),
            );
        }
        Ok(plan)
    })
}

/// The domains of the users whose mailboxes are in a database, or in the databases of a server.
fn domains_of_users(snapshot: &Snapshot, id: ObjectId) -> BTreeSet<ObjectId> {
    let below: BTreeSet<ObjectId> = snapshot.subtree(id).into_iter().collect();
    let owners = snapshot.objects().filter(|(_, object)| {
        object.mailbox().and_then(|mailbox| mailbox.database).is_some_and(|database| below.contains(&database))
    });
    owners.filter_map(|(owner, _)| snapshot.domain_of(owner)).map(|domain| domain.object).collect()
}
