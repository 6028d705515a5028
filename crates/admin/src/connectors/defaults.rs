//! The connectors that a new server has (F §3.7).

use directory::{Change, Class, ObjectId, Snapshot};
use rights::{ServerRole, role_of};

use super::documents::{ReceiveNew, ReceiveSettings};
use super::receive::creation;
use crate::error::{Fault, FaultKind};

/// The changes that give a server its default connectors. A hub: `Client NAME` on port 587, for mail programs, and
/// `Default NAME` on port 25, for accounts and servers of the organization; strangers are not among them. An edge:
/// `Default internal receive connector NAME` on port 25, for strangers too.
pub fn default_connectors(snapshot: &Snapshot) -> Result<Vec<Change>, Fault> {
    let server = snapshot.objects().find(|(_, object)| object.class() == Class::Server).map(|(id, _)| id);
    let server = server.ok_or_else(|| Fault::new(FaultKind::Unavailable, "there is no server"))?;
    let mut changes = Vec::new();
    for connector in connectors(snapshot, server) {
        changes.extend(creation(snapshot, server, &connector)?.0);
    }
    Ok(changes)
}

fn connectors(snapshot: &Snapshot, server: ObjectId) -> Vec<ReceiveNew> {
    let name = snapshot.object(server).map(|object| object.name()).unwrap_or_default();
    let words = |all: &[&str]| Some(all.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let everybody = words(&["0.0.0.0/0", "::/0"]);
    let settings = |auth: &[&str]| ReceiveSettings {
        remote_ranges: everybody.clone(),
        auth: words(auth),
        ..ReceiveSettings::default()
    };
    match role_of(snapshot, server) {
        ServerRole::Hub => vec![
            ReceiveNew {
                name: format!("Client {name}"),
                usage: Some("Client".to_owned()),
                settings: settings(&["Tls", "BasicAuth", "BasicAuthRequireTLS", "Integrated"]),
                ..ReceiveNew::default()
            },
            ReceiveNew {
                name: format!("Default {name}"),
                usage: Some("Internal".to_owned()),
                permission_groups: words(&["ExchangeUsers", "ExchangeServers", "ExchangeLegacyServers"]),
                settings: settings(&["Tls", "BasicAuth", "BasicAuthRequireTLS", "ExchangeServer", "Integrated"]),
                ..ReceiveNew::default()
            },
        ],
        ServerRole::Edge => vec![ReceiveNew {
            name: format!("Default internal receive connector {name}"),
            usage: Some("Internal".to_owned()),
            permission_groups: words(&["AnonymousUsers", "ExchangeServers", "Partners"]),
            settings: ReceiveSettings { domain_secure: Some(true), ..settings(&["Tls", "ExchangeServer"]) },
            ..ReceiveNew::default()
        }],
    }
}
