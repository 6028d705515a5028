//! Connectors: directory objects with a descriptor and properties (S2). One operation for each thing that people do with
//! them; the rules that hold for connectors however they were made are in [`rules`].

mod cross_forest;
mod defaults;
pub(crate) mod documents;
mod folders;
pub(crate) mod receive;
pub(crate) mod rules;
pub(crate) mod send;
mod trial;

use acl::Guid;
use directory::{Change, Class, ObjectId, ProtocolLogging, Rewrite, Snapshot, Value, dn};

use crate::accounts::guid_of;
use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::service::{Asked, Plan, find};

pub use cross_forest::enable as enable_cross_forest;
pub use defaults::default_connectors;
pub use receive::{get as get_receive, new as new_receive, remove as remove_receive, set as set_receive};
pub use send::{get as get_send, new as new_send, remove as remove_send, set as set_send};
pub use trial::test;

/// Attributes to write, by name.
type Attributes = Vec<(String, Vec<Value>)>;

/// The connector of a class by its name, distinguished name, objectGUID or path.
fn connector(snapshot: &Snapshot, class: Class, identity: &str) -> Result<ObjectId, Fault> {
    let all = || snapshot.objects().filter(move |(_, object)| object.class() == class);
    let folded = dn::folded(identity);
    let named: Vec<ObjectId> =
        all().filter(|(_, object)| dn::folded(&object.name()) == folded).map(|(id, _)| id).collect();
    match named[..] {
        [id] => return Ok(id),
        [] => {}
        _ => {
            let listed: Vec<String> = named.iter().map(|id| snapshot.dn(*id)).collect();
            let message = format!("{} connectors are called {identity}: {}", named.len(), listed.join("; "));
            return Err(Fault::new(FaultKind::Ambiguous, message).help("use the distinguished name"));
        }
    }
    if let Ok(id) = find(snapshot, identity)
        && snapshot.object(id).is_some_and(|object| object.class() == class)
    {
        return Ok(id);
    }
    let names: Vec<String> = all().map(|(_, object)| object.name()).collect();
    let there = match names.as_slice() {
        [] => format!("there is none; make one with `procura connector {} new`", word(class)),
        names => format!("there are: {}", names.join(", ")),
    };
    Err(Fault::new(FaultKind::NotFound, format!("there is no {} connector {identity}", word(class))).help(there))
}

/// The connector of either class.
fn either(snapshot: &Snapshot, identity: &str) -> Result<(ObjectId, Class), Fault> {
    let receive = connector(snapshot, Class::ReceiveConnector, identity);
    let send = connector(snapshot, Class::SendConnector, identity);
    match (receive, send) {
        (Ok(id), Err(_)) => Ok((id, Class::ReceiveConnector)),
        (Err(_), Ok(id)) => Ok((id, Class::SendConnector)),
        (Ok(_), Ok(_)) => Err(Fault::new(
            FaultKind::Ambiguous,
            format!("a receive connector and a send connector are called {identity}"),
        )
        .help("use the distinguished name of the one you mean")),
        (Err(fault), Err(_)) => Err(Fault { message: format!("there is no connector {identity}"), ..fault }),
    }
}

fn word(class: Class) -> &'static str {
    if class == Class::SendConnector { "send" } else { "receive" }
}

/// The connectors of a class that the caller may read: the one that is named, or all.
fn wanted(asked: Asked<'_>, class: Class, identity: Option<&str>) -> Result<Vec<ObjectId>, Fault> {
    let snapshot = asked.snapshot;
    let ids = match identity {
        Some(identity) => vec![connector(snapshot, class, identity)?],
        None => snapshot.objects().filter(|(_, object)| object.class() == class).map(|(id, _)| id).collect(),
    };
    for id in &ids {
        require(snapshot, asked.caller, *id, rights::admin::Action::Read, "read")?;
    }
    Ok(ids)
}

/// Refuses a plan after which an object would not be what it is meant to be: a value that cannot be read would make it
/// count for nothing.
fn checked(asked: Asked<'_>, snapshot: &Snapshot, plan: Plan) -> Result<Plan, Fault> {
    let batch = directory::ChangeBatch {
        author: asked.caller.sid.clone(),
        time: asked.service.now(),
        comment: String::new(),
        changes: plan.changes.clone(),
    };
    match snapshot.apply(&batch)?.problems.first() {
        Some(problem) => Err(Fault::new(FaultKind::Invalid, problem.to_string()).help("nothing was changed")),
        None => Ok(plan),
    }
}

/// A new name, as a change.
fn renamed(snapshot: &Snapshot, id: ObjectId, name: &str) -> Result<Change, Fault> {
    let parent = snapshot.object(id).and_then(|object| object.parent()).and_then(|id| guid_of(snapshot, id));
    let parent = parent.ok_or_else(gone)?;
    let rdn = dn::Rdn::new("CN", checked_name(name)?).to_string();
    Ok(Change::Move { guid: guid(snapshot, id)?, parent, rdn })
}

/// Refuses a name that another object has at the same place.
fn free_name(snapshot: &Snapshot, parent: ObjectId, name: &str) -> Result<(), Fault> {
    let wanted = dn::folded(name);
    let taken = snapshot.children(parent).filter_map(|id| snapshot.object(id)).map(|object| object.name());
    match taken.into_iter().find(|own| dn::folded(own) == wanted) {
        Some(own) => Err(Fault::new(FaultKind::Conflict, format!("there is a connector {own} already"))
            .help("change it with `procura connector receive set` or `send set`, or choose another name")),
        None => Ok(()),
    }
}

fn checked_name(name: &str) -> Result<&str, Fault> {
    let name = name.trim();
    if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
        return Err(Fault::new(FaultKind::Invalid, "a connector needs a name of 1 to 64 characters"));
    }
    Ok(name)
}

fn guid(snapshot: &Snapshot, id: ObjectId) -> Result<Guid, Fault> {
    guid_of(snapshot, id).ok_or_else(gone)
}

fn gone() -> Fault {
    Fault::new(FaultKind::NotFound, "the connector is gone")
}

/// An attribute with one text, or with none.
fn put(attributes: &mut Attributes, name: &str, value: Option<impl ToString>) {
    if let Some(value) = value {
        attributes.push((name.to_owned(), crate::accounts::text(&value.to_string())));
    }
}

/// TRUE or FALSE.
fn flag(attributes: &mut Attributes, name: &str, value: Option<bool>) {
    put(attributes, name, value.map(|value| if value { "TRUE" } else { "FALSE" }));
}

/// A name to greet with; an empty text: the node's.
fn host_name(fqdn: Option<&str>) -> Result<(), Fault> {
    match fqdn.filter(|fqdn| !fqdn.is_empty() && message::canonical_domain(fqdn).is_none()) {
        Some(fqdn) => Err(Fault::new(FaultKind::Invalid, format!("`{fqdn}` is not a host name"))
            .help("write mx1.example.com; an empty text is the node's own name")),
        None => Ok(()),
    }
}

/// The level of the protocol log as it is kept: an empty text for the usual one.
fn logging(level: Option<&str>) -> Result<Option<&'static str>, Fault> {
    let Some(level) = level else { return Ok(None) };
    match ProtocolLogging::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(level)) {
        Some(ProtocolLogging::Usual) => Ok(Some("")),
        Some(ProtocolLogging::None) => Ok(Some("0")),
        Some(ProtocolLogging::Verbose) => Ok(Some("1")),
        None => Err(Fault::new(FaultKind::Invalid, format!("`{level}` is no level of the protocol log"))
            .help("it is none, verbose, or default: what `[log] protocol` says for all connectors")),
    }
}

/// Rules of address rewriting as they are kept.
fn rewrites(rules: &[String]) -> Result<Vec<String>, Fault> {
    let rule = |text: &String| {
        Rewrite::parse(text).map(|rule| rule.to_string()).map_err(|reason| {
            Fault::new(FaultKind::Invalid, reason)
                .help("write old@example.com:new@example.net or old.example:new.example")
        })
    };
    rules.iter().map(rule).collect()
}

fn many(attributes: &mut Attributes, name: &str, values: Option<&[String]>) {
    if let Some(values) = values {
        let values = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        attributes.push((name.to_owned(), values));
    }
}
