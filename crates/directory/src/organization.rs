//! Records for a new organization and for the objects that administrators make.

use std::net::SocketAddr;

use acl::{Guid, Sid};

use crate::{Change, Record, Snapshot};

/// What a new organization is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// DNS name of the domain: `example.com`.
    pub domain: String,
    /// Short name of the domain: `EXAMPLE`.
    pub netbios: String,
    /// SID of the domain: `S-1-5-21-…`, chosen at random by the caller.
    pub domain_sid: Sid,
    /// Name of the organization: `First Organization`.
    pub organization: String,
    /// Name of the server object: `MAIL`.
    pub server: String,
    /// Fully qualified name of the server.
    pub server_fqdn: String,
}

/// A connector of the new organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnector {
    /// `Client MAIL`.
    pub name: String,
    /// Usage type, which gives authentication and ranges.
    pub usage: Usage,
    /// Where it listens.
    pub bindings: Vec<SocketAddr>,
    /// Explicit ACEs: trustee and right (none: all extended rights), as permission groups have them.
    pub grants: Vec<(Sid, Guid)>,
}

/// Usage types of receive connectors (S2, facts 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Mail clients: TLS, Basic after TLS.
    Client,
    /// Anybody: TLS.
    Internet,
    /// Nothing yet.
    Custom,
}

/// The changes that make an organization out of nothing: domain with its usual containers and groups, AdminSDHolder,
/// Configuration partition with organization, server, database and connectors, and the domain as accepted domain.
pub fn new_organization(names: &Names, connectors: &[NewConnector], new_guid: &mut dyn FnMut() -> Guid) -> Vec<Change> {
    let _ = (names, connectors, new_guid);
    todo!()
}

/// A receive connector below a server.
pub fn receive_connector(snapshot: &Snapshot, server: crate::ObjectId, connector: &NewConnector, guid: Guid) -> Option<Record> {
    let _ = (snapshot, server, connector, guid);
    todo!()
}
