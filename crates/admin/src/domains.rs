//! Accepted domains.

use directory::dn::Rdn;
use directory::{Change, Class, ObjectId, Record, Snapshot, attributes as a};
use message::canonical_domain;

use crate::accounts::{guid_of, text, values};
use crate::error::{Fault, FaultKind};
use crate::operations::{DomainAdd, DomainKind, DomainSet};
use crate::random::new_guid;
use crate::response::{DomainRow, Response};
use crate::service::{Asked, Plan};

pub fn add(asked: Asked<'_>, add: &DomainAdd) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let name = written(&add.domain)?;
        if by_name(snapshot, &name).is_ok() {
            return Err(Fault::new(FaultKind::Conflict, format!("{name} is an accepted domain already"))
                .help(format!("change it with `procura domain set {name}`")));
        }
        let parent = parent(snapshot)?;
        let mut record = Record::new(new_guid(), guid_of(snapshot, parent), Rdn::new("CN", name.as_str()).to_string())
            .with_all(a::OBJECT_CLASS, values(Class::AcceptedDomain.object_classes()))
            .with(a::ACCEPTED_DOMAIN_NAME, name.as_str())
            .with(a::ACCEPTED_DOMAIN_FLAGS, flags(add.kind, false).to_string());
        if let Some(original) = &add.alias_of {
            record.set(a::ALIAS_OF, text(&original_domain(snapshot, original)?));
        }
        if let Some(on) = add.recipient_lookup {
            record.set(a::RECIPIENT_LOOKUP, text(if on { "TRUE" } else { "FALSE" }));
        }
        if add.subaddressing {
            record.set(a::SUBADDRESSING, text("TRUE"));
        }
        Ok(Plan::new(format!("added the accepted domain {name}"), vec![Change::Add(record)]))
    })
}

pub fn set(asked: Asked<'_>, set: &DomainSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let name = written(&set.domain)?;
        let id = by_name(snapshot, &name)?;
        let mut attributes = Vec::new();
        if let Some(kind) = set.kind {
            let default = snapshot.accepted_domains().any(|(other, domain)| other == id && domain.default);
            attributes.push((a::ACCEPTED_DOMAIN_FLAGS.to_owned(), text(&flags(kind, default).to_string())));
        }
        if let Some(original) = &set.alias_of {
            let value = if original.is_empty() { String::new() } else { original_domain(snapshot, original)? };
            attributes.push((a::ALIAS_OF.to_owned(), text(&value)));
        }
        if let Some(on) = set.subaddressing {
            attributes.push((a::SUBADDRESSING.to_owned(), text(if on { "TRUE" } else { "" })));
        }
        if let Some(on) = set.recipient_lookup {
            attributes.push((a::RECIPIENT_LOOKUP.to_owned(), text(if on { "TRUE" } else { "FALSE" })));
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the domain is gone"))?;
        let changes = if attributes.is_empty() { Vec::new() } else { vec![Change::Modify { guid, attributes }] };
        Ok(Plan::new(format!("changed the accepted domain {name}"), changes))
    })
}

pub fn remove(asked: Asked<'_>, domain: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let name = written(domain)?;
        let id = by_name(snapshot, &name)?;
        if snapshot.accepted_domains().any(|(other, domain)| other == id && domain.default) {
            return Err(Fault::new(FaultKind::Conflict, format!("{name} is the default domain: it cannot be removed")));
        }
        let guid = guid_of(snapshot, id).ok_or_else(|| Fault::new(FaultKind::NotFound, "the domain is gone"))?;
        Ok(Plan::new(format!("removed the accepted domain {name}"), vec![Change::Delete { guid }]))
    })
}

pub fn list(asked: Asked<'_>) -> Result<Response, Fault> {
    let mut rows: Vec<DomainRow> = asked
        .snapshot
        .accepted_domains()
        .map(|(_, domain)| DomainRow {
            domain: if domain.wildcard { format!("*.{}", domain.name) } else { domain.name.clone() },
            kind: match domain.kind {
                directory::DomainKind::Authoritative => "authoritative",
                directory::DomainKind::InternalRelay => "internal-relay",
                directory::DomainKind::ExternalRelay => "external-relay",
            }
            .to_owned(),
            alias_of: domain.alias_of.clone(),
            subaddressing: domain.subaddressing,
            default: domain.default,
            recipient_lookup: domain.recipient_lookup,
        })
        .collect();
    rows.sort_by(|x, y| x.domain.cmp(&y.domain));
    Ok(Response::Domains(rows.into()))
}

/// msExchAcceptedDomainFlags.
fn flags(kind: DomainKind, default: bool) -> u32 {
    let kind = match kind {
        DomainKind::Authoritative => 0,
        DomainKind::ExternalRelay => 1,
        DomainKind::InternalRelay => 2,
    };
    kind + if default { 4 } else { 0 }
}

/// The canonical text of a domain, with its `*.` where it has one.
fn written(domain: &str) -> Result<String, Fault> {
    let (star, name) = match domain.strip_prefix("*.") {
        Some(name) => ("*.", name),
        None => ("", domain),
    };
    match canonical_domain(name) {
        Some(name) => Ok(format!("{star}{name}")),
        None => Err(Fault::new(FaultKind::Invalid, format!("`{domain}` is not a domain"))
            .help("write example.com, or *.example.com for everything below it")),
    }
}

fn original_domain(snapshot: &Snapshot, name: &str) -> Result<String, Fault> {
    let name = written(name)?;
    by_name(snapshot, &name).map(|_| name)
}

/// The accepted domain of exactly this name, however it is spelled.
pub(crate) fn named(snapshot: &Snapshot, domain: &str) -> Result<ObjectId, Fault> {
    by_name(snapshot, &written(domain)?)
}

fn by_name(snapshot: &Snapshot, name: &str) -> Result<ObjectId, Fault> {
    let (wildcard, bare) = match name.strip_prefix("*.") {
        Some(bare) => (true, bare),
        None => (false, name),
    };
    snapshot
        .accepted_domains()
        .find(|(_, domain)| domain.wildcard == wildcard && domain.name == bare)
        .map(|(id, _)| id)
        .ok_or_else(|| {
            Fault::new(FaultKind::NotFound, format!("{name} is no accepted domain"))
                .help("`procura domain list` shows those that are")
        })
}

/// Where accepted domains stand: beside the others, else in the container of their name.
fn parent(snapshot: &Snapshot) -> Result<ObjectId, Fault> {
    let beside = snapshot.accepted_domains().find_map(|(id, _)| snapshot.object(id)?.parent());
    let named = || {
        let organization = snapshot.organization()?;
        snapshot
            .subtree(organization)
            .into_iter()
            .find(|id| snapshot.object(*id).is_some_and(|object| object.name() == "Accepted Domains"))
            .or(Some(organization))
    };
    beside.or_else(named).ok_or_else(|| {
        Fault::new(FaultKind::Unavailable, "there is no organization").help("create one with `procura init DIR`")
    })
}
