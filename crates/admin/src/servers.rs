//! Servers of the organization and the domains of partners: who is believed by certificate (`authorization.md` §2).

use directory::organization::new_object;
use directory::{Change, Class, Config, ObjectId, Server, Snapshot, attributes as a, dn};
use rights::admin::Action;
use serde::{Deserialize, Serialize};

use crate::accounts::{guid_of, text};
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::random::new_guid;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

/// A server of the organization that this directory is to know.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServerNew {
    /// Its name.
    pub name: String,
    /// `hub` (default) or `edge`.
    #[serde(default)]
    pub role: Option<String>,
    /// Fully qualified name.
    #[serde(default)]
    pub fqdn: Option<String>,
    /// Keys of its certificates: SHA-256 of the public key, 64 hexadecimal digits.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// Changes to a server.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ServerSet {
    /// Which.
    pub identity: String,
    /// Keys that it has from now on.
    #[serde(default)]
    pub add_keys: Vec<String>,
    /// Keys that count no longer.
    #[serde(default)]
    pub remove_keys: Vec<String>,
    /// Fully qualified name.
    #[serde(default)]
    pub fqdn: Option<String>,
}

/// A server as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRow {
    /// Its name.
    pub name: String,
    /// `hub` or `edge`.
    pub role: String,
    /// Fully qualified names.
    pub names: Vec<String>,
    /// Keys by which it is known.
    pub keys: Vec<String>,
    /// Receive connectors below it.
    pub connectors: u64,
    /// Distinguished name.
    pub dn: String,
}

/// Changes to the domains whose mail must come with their certificate (S2 Domain Security).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SecureDomains {
    /// To be added.
    #[serde(default)]
    pub add: Vec<String>,
    /// To be removed.
    #[serde(default)]
    pub remove: Vec<String>,
}

pub fn new(asked: Asked<'_>, new: &ServerNew) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let roles = match new.role.as_deref().unwrap_or("hub") {
            role if role.eq_ignore_ascii_case("hub") => "32",
            role if role.eq_ignore_ascii_case("edge") => "64",
            role => {
                return Err(
                    Fault::new(FaultKind::Invalid, format!("there is no role `{role}`")).help("roles are hub and edge")
                );
            }
        };
        let name = new.name.trim();
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Fault::new(FaultKind::Invalid, "a server needs a name"));
        }
        if servers(snapshot).any(|(_, own)| dn::folded(&own) == dn::folded(name)) {
            return Err(Fault::new(FaultKind::Conflict, format!("there is a server {name} already")));
        }
        let beside = servers(snapshot).find_map(|(id, _)| snapshot.object(id)?.parent());
        let parent = beside.and_then(|parent| guid_of(snapshot, parent)).ok_or_else(|| {
            Fault::new(FaultKind::Unavailable, "there is no organization").help("create one with `procura init`")
        })?;
        let keys = keys(&new.keys)?;
        free(snapshot, &keys, None)?;
        let mut record = new_object(new_guid(), parent, Class::Server, name)
            .with(a::SERVER_ROLES, roles)
            .with_all(a::SERVER_KEYS, values(&keys));
        if let Some(fqdn) = &new.fqdn {
            record.set(a::NETWORK_ADDRESS, text(&address(fqdn)?));
        }
        Ok(Plan::new(format!("the organization has a server {name} now"), vec![Change::Add(record)]))
    })
}

pub fn set(asked: Asked<'_>, set: &ServerSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = server(snapshot, &set.identity)?;
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the server is gone"))?;
        let mut own: Vec<String> =
            settings(snapshot, id).map(|server| server.keys.iter().map(hexadecimal).collect()).unwrap_or_default();
        let before = own.clone();
        let (add, away) = (keys(&set.add_keys)?, keys(&set.remove_keys)?);
        free(snapshot, &add, Some(id))?;
        if let Some(unknown) = away.iter().find(|key| !own.contains(key)) {
            return Err(Fault::new(FaultKind::NotFound, format!("{unknown} is no key of {}", set.identity)));
        }
        own.retain(|key| !away.contains(key));
        own.extend(add.into_iter().filter(|key| !before.contains(key)));
        let mut attributes = Vec::new();
        if own != before {
            attributes.push((a::SERVER_KEYS.to_owned(), values(&own)));
        }
        if let Some(fqdn) = &set.fqdn {
            attributes.push((a::NETWORK_ADDRESS.to_owned(), text(&address(fqdn)?)));
        }
        let mut plan = Plan::new(format!("changed the server {}", snapshot.dn(id)), Vec::new());
        match attributes.is_empty() {
            true => plan.done.warnings.push("there was nothing to change".into()),
            false => plan.changes.push(Change::Modify { guid, attributes }),
        }
        Ok(plan)
    })
}

pub fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = server(snapshot, identity)?;
        if snapshot.children(id).next().is_some() {
            return Err(Fault::new(FaultKind::Conflict, format!("{} holds connectors or mailboxes", snapshot.dn(id)))
                .help("only servers that have nothing here are removed"));
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the server is gone"))?;
        Ok(Plan::new(format!("removed the server {}", snapshot.dn(id)), vec![Change::Delete { guid }]))
    })
}

pub fn get(asked: Asked<'_>, identity: Option<&str>) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    let ids: Vec<ObjectId> = match identity {
        Some(identity) => vec![server(snapshot, identity)?],
        None => servers(snapshot).map(|(id, _)| id).collect(),
    };
    let mut rows = Vec::new();
    for id in ids {
        require(snapshot, asked.caller, id, Action::Read, "read")?;
        rows.extend(row(snapshot, id));
    }
    Ok(Response::Servers(rows.into()))
}

/// A server as it is.
pub(crate) fn row(snapshot: &Snapshot, id: ObjectId) -> Option<ServerRow> {
    let server = settings(snapshot, id)?;
    let below = |connector: &ObjectId| snapshot.ancestor(*connector, Class::Server) == Some(id);
    Some(ServerRow {
        name: snapshot.object(id).map(|object| object.name()).unwrap_or_default(),
        role: if server.edge { "edge" } else { "hub" }.to_owned(),
        names: server.names.clone(),
        keys: server.keys.iter().map(hexadecimal).collect(),
        connectors: snapshot.receive_connectors().filter(|(connector, _)| below(connector)).count() as u64,
        dn: snapshot.dn(id),
    })
}

pub fn secure_domains(asked: Asked<'_>, wanted: &SecureDomains) -> Result<Response, Fault> {
    if wanted.add.is_empty() && wanted.remove.is_empty() {
        let snapshot = asked.snapshot;
        if let Some(id) = snapshot.organization() {
            require(snapshot, asked.caller, id, Action::Read, "read")?;
        }
        return Ok(Response::SecureDomains { domains: secure(snapshot) });
    }
    asked.change(|snapshot| {
        let organization = snapshot.organization().ok_or_else(|| {
            Fault::new(FaultKind::Unavailable, "there is no organization").help("create one with `procura init`")
        })?;
        let guid = guid_of(snapshot, organization).ok_or_else(|| Fault::new(FaultKind::NotFound, "it is gone"))?;
        let mut domains = secure(snapshot);
        for domain in &wanted.remove {
            let domain = canonical(domain)?;
            let place = domains.iter().position(|own| *own == domain);
            let place = place.ok_or_else(|| Fault::new(FaultKind::NotFound, format!("{domain} is not in the list")))?;
            domains.remove(place);
        }
        for domain in &wanted.add {
            let domain = canonical(domain)?;
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        let summary = match domains.as_slice() {
            [] => "no domain needs its certificate".to_owned(),
            domains => format!("mail of these domains needs their certificate: {}", domains.join(", ")),
        };
        let attributes = vec![(a::SECURE_DOMAINS.to_owned(), values(&domains))];
        Ok(Plan::new(summary, vec![Change::Modify { guid, attributes }]))
    })
}

/// Domains whose mail needs their certificate.
pub(crate) fn secure(snapshot: &Snapshot) -> Vec<String> {
    match snapshot.organization().and_then(|id| snapshot.object(id)).and_then(|object| object.config()) {
        Some(Config::Organization(organization)) => organization.secure_domains.clone(),
        _ => Vec::new(),
    }
}

pub(crate) fn canonical(domain: &str) -> Result<String, Fault> {
    message::canonical_domain(domain)
        .ok_or_else(|| Fault::new(FaultKind::Invalid, format!("`{domain}` is not a domain")).help("write example.net"))
}

pub(crate) fn servers(snapshot: &Snapshot) -> impl Iterator<Item = (ObjectId, String)> + '_ {
    snapshot.objects().filter(|(_, object)| object.class() == Class::Server).map(|(id, object)| (id, object.name()))
}

/// The server that a node of this host name is: by one of its names, by the first label, or because there is no other.
pub fn own_server(snapshot: &Snapshot, hostname: &str) -> Option<ObjectId> {
    let label = hostname.split('.').next().unwrap_or(hostname);
    let is_named = |id: ObjectId, name: &str| {
        let names = settings(snapshot, id).map(|server| &server.names[..]).unwrap_or_default();
        names.iter().any(|name| name.eq_ignore_ascii_case(hostname)) || name.eq_ignore_ascii_case(label)
    };
    let all: Vec<(ObjectId, String)> = servers(snapshot).collect();
    match (all.iter().find(|(id, name)| is_named(*id, name)), all.as_slice()) {
        (Some((id, _)), _) | (None, [(id, _)]) => Some(*id),
        (None, _) => None,
    }
}

/// The server of a name.
pub(crate) fn server(snapshot: &Snapshot, identity: &str) -> Result<ObjectId, Fault> {
    let named = servers(snapshot).find(|(_, name)| dn::folded(name) == dn::folded(identity));
    if let Some((id, _)) = named {
        return Ok(id);
    }
    let id = find(snapshot, identity)?;
    match settings(snapshot, id) {
        Some(_) => Ok(id),
        None => Err(Fault::new(FaultKind::NotFound, format!("{} is no server", snapshot.dn(id)))),
    }
}

pub(crate) fn settings(snapshot: &Snapshot, id: ObjectId) -> Option<&Server> {
    match snapshot.object(id)?.config()? {
        Config::Server(server) => Some(server),
        _ => None,
    }
}

fn address(fqdn: &str) -> Result<String, Fault> {
    canonical(fqdn).map(|name| format!("ncacn_ip_tcp:{name}"))
}

fn values(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn hexadecimal(key: &[u8; 32]) -> String {
    key.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Keys as 64 hexadecimal digits; colons between them are passed over.
pub(crate) fn keys(texts: &[String]) -> Result<Vec<String>, Fault> {
    let read = |text: &String| {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect::<String>().to_ascii_lowercase();
        match digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            true => Ok(digits),
            false => Err(Fault::new(FaultKind::Invalid, format!("`{text}` is no SHA-256 of a key"))
                .help("`procura server key CERTIFICATE.pem` prints it: 64 hexadecimal digits")),
        }
    };
    texts.iter().map(read).collect()
}

/// A key stands for one server: else nobody could say which role it proves.
fn free(snapshot: &Snapshot, keys: &[String], own: Option<ObjectId>) -> Result<(), Fault> {
    for (id, name) in servers(snapshot).filter(|(id, _)| Some(*id) != own) {
        let held: Vec<String> =
            settings(snapshot, id).map(|server| server.keys.iter().map(hexadecimal).collect()).unwrap_or_default();
        if let Some(key) = keys.iter().find(|key| held.contains(key)) {
            return Err(Fault::new(FaultKind::Conflict, format!("{key} is a key of {name} already")));
        }
    }
    Ok(())
}
