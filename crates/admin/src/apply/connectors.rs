//! The requests that make connectors so.

use directory::{Class, ObjectId, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connectors::documents::{ReceiveSettings, SendSettings};
use crate::connectors::{receive, send};
use crate::error::{Fault, FaultKind};
use crate::operations::{ReceiveNew, ReceiveSet, Request, SendNew, SendSet, WantedReceive, WantedSend};
use crate::servers;

/// What makes a receive connector so.
pub(super) fn receive_connector(snapshot: &Snapshot, wanted: &WantedReceive) -> Result<Vec<Request>, Fault> {
    let WantedReceive { name, usage, server, mut permission_groups, mut settings, .. } = wanted.clone();
    let Some(id) = receive_there(snapshot, wanted)? else {
        return Ok(vec![Request::ReceiveConnectorNew(ReceiveNew { name, usage, server, permission_groups, settings })]);
    };
    let now = receive::row(snapshot, id);
    settings = other_settings(settings, &now.settings)?;
    permission_groups = permission_groups.filter(|groups| *groups != now.permission_groups);
    if settings == ReceiveSettings::default() && permission_groups.is_none() {
        return Ok(Vec::new());
    }
    let set = ReceiveSet { identity: snapshot.dn(id), permission_groups, settings, ..ReceiveSet::default() };
    Ok(vec![Request::ReceiveConnectorSet(set)])
}

/// What makes a send connector so.
pub(super) fn send_connector(snapshot: &Snapshot, wanted: &WantedSend) -> Result<Vec<Request>, Fault> {
    let WantedSend { name, usage, mut settings, .. } = wanted.clone();
    let Some(id) = connector(snapshot, Class::SendConnector, &name).next() else {
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

/// The receive connector of this name, on this server if the part names one.
pub(super) fn receive_there(snapshot: &Snapshot, wanted: &WantedReceive) -> Result<Option<ObjectId>, Fault> {
    let mut named = connector(snapshot, Class::ReceiveConnector, &wanted.name);
    if let Some(name) = &wanted.server {
        return match servers::server(snapshot, name) {
            Ok(server) => Ok(named.find(|id| snapshot.ancestor(*id, Class::Server) == Some(server))),
            Err(fault) if fault.kind == FaultKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
        };
    }
    let named: Vec<ObjectId> = named.collect();
    match named[..] {
        [] => Ok(None),
        [id] => Ok(Some(id)),
        _ => {
            let message = format!("{} connectors are called {}", named.len(), wanted.name);
            Err(Fault::new(FaultKind::Ambiguous, message).help("say the `server` that it is on"))
        }
    }
}

/// Connectors of this name.
pub(super) fn connector(snapshot: &Snapshot, class: Class, name: &str) -> impl Iterator<Item = ObjectId> {
    let name = directory::dn::folded(name);
    let configured = snapshot.configuration().filter_map(|(id, _)| Some((id, snapshot.object(id)?)));
    configured
        .filter(move |(_, object)| object.class() == class && directory::dn::folded(&object.name()) == name)
        .map(|(id, _)| id)
}
