//! The requests that make a part of a document so, and those that take it away. None where it is so already.

use std::collections::{BTreeMap, BTreeSet};

use directory::{Class, Config, NameError, Object, ObjectId, Snapshot, Time, attributes as a};

use super::{connectors, folders};
use crate::accounts::{addresses, container, guid_of};
use crate::error::{Fault, FaultKind};
use crate::operations::{
    CatchAll, DatabaseNew, DatabaseSet, Delegates, DomainAdd, DomainKind, DomainRemove, DomainSet, GroupAdd, GroupSet,
    Journal, MailboxEnable, MailboxLink, MailboxPermissionChange, MailboxSet, Members, OuAdd, PermissionChange,
    RecipientNew, RecipientRequest, RecipientSet, RecipientSettings, Request, SecureDomains, ServerNew, ServerSet,
    Target, UserAdd, UserSet, Wanted, WantedContact, WantedDatabase, WantedDelegates, WantedDomain, WantedGrant,
    WantedGroup, WantedMailboxGrant, WantedOrganization, WantedOu, WantedServer, WantedUser,
};
use crate::service::find;
use crate::{databases, domains, expiry, ownership, recipients, servers};

/// What takes a part away that is not to be there.
pub(super) fn removing(snapshot: &Snapshot, now: Time, wanted: &Wanted, stage: u8) -> Result<Vec<Request>, Fault> {
    let target = |name: &String| Target { identity: name.clone() };
    let there = |name: &str| existing(snapshot, name).map(|found| found.is_some());
    Ok(match (wanted, stage) {
        (Wanted::Grant(grant), 0) => vec![Request::PermissionRemove(permission(grant)?)],
        (Wanted::MailboxGrant(grant), 0) => vec![Request::MailboxPermissionRemove(mailbox_permission(grant)?)],
        (Wanted::FolderPermission(wanted), 0) => folders::removing(snapshot, wanted)?,
        (Wanted::Delegates(wanted), 0) if there(&wanted.of)? => delegates(snapshot, now, wanted)?,
        (Wanted::User(user), 1) if there(&user.name)? => vec![Request::UserRemove(target(&user.name))],
        (Wanted::Group(group), 1) if there(&group.name)? => vec![Request::GroupRemove(target(&group.name))],
        (Wanted::Contact(own) | Wanted::DynamicGroup(own), 1) => match contact_there(snapshot, own)? {
            Some(id) => vec![Request::Recipient(RecipientRequest::Remove { identity: snapshot.dn(id) })],
            None => Vec::new(),
        },
        (Wanted::Domain(domain), 1) => vec![Request::DomainRemove(DomainRemove { domain: domain.name.clone() })],
        (Wanted::ReceiveConnector(wanted), 1) => match connectors::receive_there(snapshot, wanted)? {
            Some(id) => vec![Request::ReceiveConnectorRemove(target(&snapshot.dn(id)))],
            None => Vec::new(),
        },
        (Wanted::SendConnector(connector), 1) => vec![Request::SendConnectorRemove(target(&connector.name))],
        (Wanted::Server(server), 2) => vec![Request::ServerRemove(target(&server.name))],
        _ => Vec::new(),
    })
}

/// The object that a part is about, if it is there, and which folder of it; none for grants and delegates, which are about
/// two.
pub(super) fn subject(snapshot: &Snapshot, wanted: &Wanted) -> Option<(ObjectId, Option<String>)> {
    let object = match wanted {
        Wanted::FolderPermission(own) => return folders::subject(snapshot, own),
        Wanted::User(WantedUser { name, .. }) | Wanted::Group(WantedGroup { name, .. }) => find(snapshot, name).ok(),
        Wanted::Contact(own) | Wanted::DynamicGroup(own) => contact_there(snapshot, own).ok().flatten(),
        Wanted::Server(own) => servers::server(snapshot, &own.name).ok(),
        Wanted::Domain(own) => domains::named(snapshot, &own.name).ok(),
        Wanted::ReceiveConnector(own) => connectors::receive_there(snapshot, own).ok().flatten(),
        Wanted::SendConnector(own) => connectors::connector(snapshot, Class::SendConnector, &own.name).next(),
        Wanted::Organization(_)
        | Wanted::Database(_)
        | Wanted::Ou(_)
        | Wanted::Grant(_)
        | Wanted::MailboxGrant(_)
        | Wanted::Delegates(_) => None,
    };
    object.map(|object| (object, None))
}

/// What makes a part so: objects first, then what they consist of, then what refers to others.
pub(super) fn making(snapshot: &Snapshot, now: Time, wanted: &Wanted, stage: u8) -> Result<Vec<Request>, Fault> {
    Ok(match (wanted, stage) {
        (Wanted::Server(server), 0) => self::server(snapshot, server)?,
        (Wanted::Database(database), 0) => self::database(snapshot, database)?,
        (Wanted::Domain(domain), 0) => self::domain(snapshot, domain),
        (Wanted::Ou(ou), 0) => unit(snapshot, ou)?,
        (Wanted::Group(group), 0) => self::group(snapshot, group)?,
        (Wanted::User(user), 0) => self::user(snapshot, user)?,
        (Wanted::Contact(own), 0) => contact(snapshot, own, false)?,
        (Wanted::DynamicGroup(own), 0) => contact(snapshot, own, true)?,
        (Wanted::Group(group), 1) => members(snapshot, group)?,
        (Wanted::User(user), 1) => mailbox(snapshot, user)?,
        (Wanted::ReceiveConnector(connector), 1) => connectors::receive_connector(snapshot, connector)?,
        (Wanted::SendConnector(connector), 1) => connectors::send_connector(snapshot, connector)?,
        (Wanted::Server(wanted), 2) => {
            legacy(snapshot, servers::server(snapshot, &wanted.name)?, wanted.legacy_send_as)
        }
        (Wanted::Database(wanted), 2) => match database_there(snapshot, wanted)? {
            Some(id) => legacy(snapshot, id, wanted.legacy_send_as),
            None => Vec::new(),
        },
        (Wanted::Organization(wanted), 2) => organization(snapshot, wanted)?,
        (Wanted::Domain(domain), 2) => catch_all(snapshot, domain)?,
        (Wanted::Group(group), 2) => settings(snapshot, find(snapshot, &group.name)?, &group.settings)?,
        (Wanted::User(user), 2) => settings(snapshot, find(snapshot, &user.name)?, &user.settings)?,
        (Wanted::Contact(own) | Wanted::DynamicGroup(own), 2) => match contact_there(snapshot, own)? {
            Some(id) => settings(snapshot, id, &own.settings)?,
            None => Vec::new(),
        },
        (Wanted::Grant(grant), 2) => vec![Request::PermissionAdd(permission(grant)?)],
        (Wanted::MailboxGrant(grant), 2) => vec![Request::MailboxPermissionAdd(mailbox_permission(grant)?)],
        (Wanted::FolderPermission(wanted), 2) => folders::making(snapshot, wanted)?,
        (Wanted::Delegates(delegates), 2) => self::delegates(snapshot, now, delegates)?,
        _ => Vec::new(),
    })
}

/// The end of a grant, in milliseconds since the Unix epoch. It does not depend on where the document is applied: a time
/// has its zone, and a date begins at midnight UTC.
pub(super) fn end(text: &str) -> Result<i64, Fault> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let date = text.parse::<jiff::civil::Date>().ok().filter(|_| !text.contains([':', 'T', ' ']));
    let midnight = date.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    midnight.map(|midnight| midnight.timestamp().as_millisecond()).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("`{text}` is no end of a grant")).help(
            "write a time with its zone (2027-01-31T18:00:00Z), or a date (2027-01-31), which begins at midnight UTC",
        )
    })
}

fn permission(grant: &WantedGrant) -> Result<PermissionChange, Fault> {
    Ok(PermissionChange {
        identity: grant.on.clone(),
        trustee: grant.user.clone(),
        rights: vec![grant.right.clone()],
        deny: grant.deny,
        inherit_to: grant.inherit_to.clone(),
        inheritance: grant.inheritance,
        until: grant.until.as_deref().map(end).transpose()?,
    })
}

fn mailbox_permission(grant: &WantedMailboxGrant) -> Result<MailboxPermissionChange, Fault> {
    let rights = grant.right.as_deref().unwrap_or("full-access").split(',').map(|right| right.trim().to_owned());
    Ok(MailboxPermissionChange {
        identity: grant.on.clone(),
        trustee: grant.user.clone(),
        rights: rights.collect(),
        deny: grant.deny,
        until: grant.until.as_deref().map(end).transpose()?,
    })
}

fn server(snapshot: &Snapshot, wanted: &WantedServer) -> Result<Vec<Request>, Fault> {
    let WantedServer { name, role, fqdn, keys, .. } = wanted.clone();
    let id = match servers::server(snapshot, &name) {
        Ok(id) => id,
        Err(fault) if fault.kind == FaultKind::NotFound => {
            let keys = keys.unwrap_or_default();
            return Ok(vec![Request::ServerNew(ServerNew { name, role, fqdn, keys })]);
        }
        Err(fault) => return Err(fault),
    };
    let Some(now) = servers::row(snapshot, id) else { return Ok(Vec::new()) };
    let wanted_keys = keys.as_deref().map(servers::keys).transpose()?.unwrap_or_else(|| now.keys.clone());
    let without = |keys: &[String], others: &[String]| -> Vec<String> {
        keys.iter().filter(|key| !others.contains(key)).cloned().collect()
    };
    let fqdn = match fqdn {
        Some(fqdn) => Some(servers::canonical(&fqdn)?).filter(|fqdn| now.names != std::slice::from_ref(fqdn)),
        None => None,
    };
    let set = ServerSet {
        identity: now.dn,
        add_keys: without(&wanted_keys, &now.keys),
        remove_keys: without(&now.keys, &wanted_keys),
        fqdn,
    };
    let changed = set.fqdn.is_some() || !set.add_keys.is_empty() || !set.remove_keys.is_empty();
    Ok(if changed { vec![Request::ServerSet(set)] } else { Vec::new() })
}

fn database_there(snapshot: &Snapshot, wanted: &WantedDatabase) -> Result<Option<ObjectId>, Fault> {
    let server = wanted.server.as_deref().map(|name| servers::server(snapshot, name)).transpose()?;
    Ok(databases::named(snapshot, &wanted.name, server))
}

fn database(snapshot: &Snapshot, wanted: &WantedDatabase) -> Result<Vec<Request>, Fault> {
    let WantedDatabase { name, server, .. } = wanted.clone();
    Ok(match database_there(snapshot, wanted)? {
        Some(_) => Vec::new(),
        None => vec![Request::DatabaseNew(DatabaseNew { name, server })],
    })
}

/// The legacy policy of a database or server.
fn legacy(snapshot: &Snapshot, id: ObjectId, wanted: Option<bool>) -> Vec<Request> {
    let now = match snapshot.object(id).and_then(Object::config) {
        Some(Config::Database(database)) => database.legacy_policy,
        Some(Config::Server(server)) => server.legacy_policy,
        _ => false,
    };
    match wanted.filter(|wanted| *wanted != now) {
        Some(_) => vec![Request::DatabaseSet(DatabaseSet { identity: snapshot.dn(id), legacy_send_as: wanted })],
        None => Vec::new(),
    }
}

fn organization(snapshot: &Snapshot, wanted: &WantedOrganization) -> Result<Vec<Request>, Fault> {
    let mut requests = Vec::new();
    if let Some(domains) = &wanted.secure_domains {
        let domains: Vec<String> = domains.iter().map(|domain| servers::canonical(domain)).collect::<Result<_, _>>()?;
        let own = servers::secure(snapshot);
        let change = SecureDomains {
            add: domains.iter().filter(|domain| !own.contains(domain)).cloned().collect(),
            remove: own.iter().filter(|domain| !domains.contains(domain)).cloned().collect(),
        };
        if !change.add.is_empty() || !change.remove.is_empty() {
            requests.push(Request::SecureDomains(change));
        }
    }
    let own = snapshot.organization().and_then(|id| snapshot.object(id)?.words(a::JOURNAL)).unwrap_or_default();
    if let Some(address) = wanted.journal_to.as_ref().filter(|address| *address != own) {
        requests.push(Request::Recipient(RecipientRequest::Journal(Journal { address: Some(address.clone()) })));
    }
    Ok(requests)
}

fn unit(snapshot: &Snapshot, ou: &WantedOu) -> Result<Vec<Request>, Fault> {
    let under = match &ou.under {
        Some(under) => find(snapshot, under)?,
        None => snapshot.domains().first().map(|domain| domain.object).ok_or_else(no_domain)?,
    };
    let rdn = directory::dn::Rdn::new("OU", ou.name.as_str()).to_string();
    let add = OuAdd { name: ou.name.clone(), under: ou.under.clone(), protected: ou.protected };
    Ok(match snapshot.by_dn(&format!("{rdn},{}", snapshot.dn(under))) {
        Some(_) => Vec::new(),
        None => vec![Request::OuAdd(add)],
    })
}

fn no_domain() -> Fault {
    Fault::new(FaultKind::Unavailable, "there is no domain").help("create one with `procura init DIR`")
}

fn domain(snapshot: &Snapshot, wanted: &WantedDomain) -> Vec<Request> {
    let there = domains::named(snapshot, &wanted.name).ok().and_then(|id| snapshot.object(id));
    let Some((object, Config::AcceptedDomain(found))) = there.and_then(|object| Some((object, object.config()?)))
    else {
        return vec![Request::DomainAdd(DomainAdd {
            domain: wanted.name.clone(),
            kind: wanted.kind.unwrap_or(DomainKind::Authoritative),
            alias_of: wanted.alias_of.clone().filter(|original| !original.is_empty()),
            subaddressing: wanted.subaddressing.unwrap_or(false),
            recipient_lookup: wanted.recipient_lookup,
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
        recipient_lookup: wanted.recipient_lookup.filter(|wanted| object.truth(a::RECIPIENT_LOOKUP) != Some(*wanted)),
    };
    match (&set.kind, &set.alias_of, &set.subaddressing, &set.recipient_lookup) {
        (None, None, None, None) => Vec::new(),
        _ => vec![Request::DomainSet(set)],
    }
}

fn catch_all(snapshot: &Snapshot, wanted: &WantedDomain) -> Result<Vec<Request>, Fault> {
    let Some(name) = &wanted.catch_all else { return Ok(Vec::new()) };
    let id = domains::named(snapshot, &wanted.name)?;
    let target = if name.is_empty() { None } else { Some(find(snapshot, name)?) };
    if snapshot.links(id, a::CATCH_ALL).first().copied() == target {
        return Ok(Vec::new());
    }
    let change = CatchAll { domain: wanted.name.clone(), recipient: Some(name.clone()) };
    Ok(vec![Request::Recipient(RecipientRequest::CatchAll(change))])
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

/// How mail for a recipient goes.
fn settings(snapshot: &Snapshot, id: ObjectId, wanted: &RecipientSettings) -> Result<Vec<Request>, Fault> {
    if *wanted == RecipientSettings::default() {
        return Ok(Vec::new());
    }
    let settings = recipients::others(snapshot, id, wanted)?;
    if settings == RecipientSettings::default() {
        return Ok(Vec::new());
    }
    let set = RecipientSet { identity: snapshot.dn(id), addresses: None, settings };
    Ok(vec![Request::Recipient(RecipientRequest::Set(Box::new(set)))])
}

/// The contact or dynamic group of this name in this container.
fn contact_there(snapshot: &Snapshot, wanted: &WantedContact) -> Result<Option<ObjectId>, Fault> {
    let parent = match &wanted.ou {
        Some(ou) => match find(snapshot, ou) {
            Ok(parent) => parent,
            Err(fault) if fault.kind == FaultKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        },
        None => container(snapshot, None)?,
    };
    let rdn = directory::dn::Rdn::new("CN", wanted.name.as_str()).to_string();
    Ok(snapshot.by_dn(&format!("{rdn},{}", snapshot.dn(parent))))
}

/// Refuses to make an object what its class is not.
fn of_class(snapshot: &Snapshot, id: ObjectId, what: &str, fits: impl Fn(Class) -> bool) -> Result<(), Fault> {
    match snapshot.object(id).filter(|object| !fits(object.class())) {
        Some(object) => {
            let message = format!("{} is no {what}, but of class {}", snapshot.dn(id), object.class().ldap_name());
            Err(Fault::new(FaultKind::Conflict, message).help("choose another name, or remove the other object first"))
        }
        None => Ok(()),
    }
}

fn contact(snapshot: &Snapshot, wanted: &WantedContact, dynamic_group: bool) -> Result<Vec<Request>, Fault> {
    let Some(id) = contact_there(snapshot, wanted)? else {
        let WantedContact { name, ou, addresses, settings, .. } = wanted.clone();
        // What names others comes when they are there.
        let RecipientSettings { target, filter, .. } = settings;
        let new = RecipientNew {
            name,
            dynamic_group,
            ou,
            addresses: addresses.unwrap_or_default(),
            settings: RecipientSettings { target, filter, ..RecipientSettings::default() },
        };
        return Ok(vec![Request::Recipient(RecipientRequest::New(Box::new(new)))]);
    };
    match dynamic_group {
        true => of_class(snapshot, id, "dynamic group", |class| class == Class::DynamicGroup)?,
        false => of_class(snapshot, id, "contact", |class| class == Class::Contact)?,
    }
    Ok(match other_addresses(snapshot, id, wanted.addresses.as_ref()) {
        None => Vec::new(),
        addresses => {
            let set = RecipientSet { identity: snapshot.dn(id), addresses, ..RecipientSet::default() };
            vec![Request::Recipient(RecipientRequest::Set(Box::new(set)))]
        }
    })
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
    of_class(snapshot, id, "account", Class::is_account)?;
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

/// What belongs to the mailbox, or to what the account may send.
fn mailbox(snapshot: &Snapshot, wanted: &WantedUser) -> Result<Vec<Request>, Fault> {
    let mut requests = Vec::new();
    if wanted.linked.is_none() && wanted.sending_limits.is_none() {
        return Ok(requests);
    }
    let id = find(snapshot, &wanted.name)?;
    let Some(object) = snapshot.object(id) else { return Ok(requests) };
    let identity = snapshot.dn(id);
    if let Some(name) = &wanted.linked {
        let account = Some(name.clone()).filter(|name| !name.is_empty());
        let sid = account.as_deref().map(|name| ownership::external(snapshot, name)).transpose()?;
        if sid != object.master_account().map(|sid| snapshot.sid(sid)) {
            let identity = identity.clone();
            requests.push(Request::MailboxLink(MailboxLink { identity, account, disable: false }));
        }
    }
    if let Some(limits) = &wanted.sending_limits {
        let sorted = |limits: &[String]| limits.iter().cloned().collect::<BTreeSet<String>>();
        if sorted(limits) != sorted(&object.sending_limit_texts()) {
            let sending_limits = Some(limits.clone());
            requests.push(Request::MailboxSet(MailboxSet { identity, database: None, sending_limits }));
        }
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
    of_class(snapshot, id, "group", |class| class == Class::Group)?;
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

fn delegates(snapshot: &Snapshot, now: Time, wanted: &WantedDelegates) -> Result<Vec<Request>, Fault> {
    let id = find(snapshot, &wanted.of)?;
    let mut ends: BTreeMap<ObjectId, i64> = BTreeMap::new();
    for (name, text) in &wanted.until {
        ends.insert(find(snapshot, name)?, end(text)?);
    }
    let mut users: BTreeSet<ObjectId> =
        wanted.users.iter().map(|name| find(snapshot, name)).collect::<Result<_, _>>()?;
    if let Some(other) = ends.keys().find(|delegate| !users.contains(delegate)) {
        let message = format!("{} has an end and is none of the delegates", snapshot.dn(*other));
        return Err(Fault::new(FaultKind::Invalid, message).help("name everybody in `users`"));
    }
    users.retain(|delegate| ends.get(delegate).is_none_or(|end| *end > now.0));
    let own: BTreeSet<ObjectId> = snapshot.delegates(id).into_iter().collect();
    let ends_now = |delegate: &ObjectId| {
        let guid = guid_of(snapshot, *delegate)?.to_string();
        expiry::until(snapshot, id, a::EXPIRING_DELEGATE, &guid)
    };
    let change = |delegates: &[ObjectId], until| Delegates {
        identity: wanted.of.clone(),
        delegates: delegates.iter().map(|delegate| snapshot.dn(*delegate)).collect(),
        until,
    };
    let mut add: BTreeMap<Option<i64>, Vec<ObjectId>> = BTreeMap::new();
    for delegate in &users {
        let until = ends.get(delegate).copied();
        if !own.contains(delegate) || ends_now(delegate) != until {
            add.entry(until).or_default().push(*delegate);
        }
    }
    let mut requests: Vec<Request> =
        add.iter().map(|(until, delegates)| Request::DelegateAdd(change(delegates, *until))).collect();
    let remove: Vec<ObjectId> = own.difference(&users).copied().collect();
    if !remove.is_empty() {
        requests.push(Request::DelegateRemove(change(&remove, None)));
    }
    Ok(requests)
}
