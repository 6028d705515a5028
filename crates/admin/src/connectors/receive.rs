//! Receive connectors: `procura connector receive new|get|set|remove`.

use acl::SecurityDescriptor;
use directory::organization::{default_descriptor, new_object, receive_connectors_of};
use directory::{
    AuthMechanisms, Change, Class, Config, HeaderFrom, IpRange, ObjectId, OnBehalf, ReceiveConnector, Snapshot,
    attributes as a,
};
use rights::{ConnectorUsage, PermissionGroup, ServerRole, assign_groups, permission_groups, role_of};

use super::documents::{ConnectorGet, ReceiveNew, ReceiveRow, ReceiveSet, ReceiveSettings};
use super::{Attributes, checked, checked_name, connector, flag, folders, free_name, guid, many, put, renamed, wanted};
use crate::error::{Fault, FaultKind};
use crate::permissions::unreadable;
use crate::random::new_guid;
use crate::response::Response;
use crate::service::{Asked, Plan};
use crate::{trust, words};

/// Names of mechanisms (F §3.4).
const MECHANISMS: [(&str, u32); 6] = [
    ("Tls", 0x1),
    ("Integrated", 0x2),
    ("BasicAuth", 0x4),
    ("BasicAuthRequireTLS", 0x8),
    ("ExchangeServer", 0x10),
    ("ExternalAuthoritative", 0x20),
];

pub fn new(asked: Asked<'_>, new: &ReceiveNew) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let server = server(snapshot, new.server.as_deref(), asked.service.node())?;
        let (changes, warnings) = creation(snapshot, server, new)?;
        let role = if role_of(snapshot, server) == ServerRole::Edge { "edge" } else { "hub" };
        let mut plan = Plan::new(format!("created the receive connector {} ({role})", new.name.trim()), changes);
        plan.done.warnings = warnings;
        checked(asked, snapshot, plan)
    })
}

/// The changes that make a connector on a server, and what to tell the one who asked.
pub(super) fn creation(
    snapshot: &Snapshot,
    server: ObjectId,
    new: &ReceiveNew,
) -> Result<(Vec<Change>, Vec<String>), Fault> {
    let usage = usage(new.usage.as_deref())?;
    let name = checked_name(&new.name)?;
    let role = role_of(snapshot, server);
    let usual = usage.permission_groups(role).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, "there are no connectors of usage Client on an edge: it has no accounts")
            .help("use Internal, Internet, Partner or Custom")
    })?;
    let mut settings = new.settings.clone();
    let is_folder = folders::is_wanted(&settings);
    let groups = match &new.permission_groups {
        Some(names) => self::groups(names, role)?,
        None if is_folder && new.usage.is_none() => {
            let groups = folders::groups(&settings);
            groups.into_iter().filter(|group| !group.grants(role).is_empty()).collect()
        }
        None => usual,
    };
    match is_folder {
        true => folders::complete(&mut settings)?,
        false => complete(&mut settings, usage)?,
    }
    let mechanisms = mechanisms(settings.auth.as_deref().unwrap_or_default())?;
    goes_with(mechanisms, &groups)?;

    let parent = receive_connectors_of(snapshot, server).ok_or_else(|| {
        Fault::new(FaultKind::Unavailable, format!("{} has no place for connectors", snapshot.dn(server)))
    })?;
    free_name(snapshot, parent, name)?;
    let mut descriptor = SecurityDescriptor::parse(&default_descriptor(snapshot, Class::ReceiveConnector, parent))
        .map_err(|e| Fault::new(FaultKind::Unavailable, e.to_string()))?;
    assign_groups(snapshot, parent, role, &mut descriptor, &groups);
    let mut record = new_object(new_guid(), guid(snapshot, parent)?, Class::ReceiveConnector, name)
        .with(a::CONNECTOR_USAGE, usage.name());
    for (attribute, values) in attributes(&settings)?.into_iter().chain(folders::attributes(snapshot, &settings)?) {
        record.set(&attribute, values);
    }
    // What a batch creates is the creator's: the descriptor follows, for the usual owner is somebody else.
    let write =
        Change::Modify { guid: record.guid, attributes: vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])] };
    let mut warnings = Vec::new();
    if groups.is_empty() {
        warnings.push(format!(
            "it takes no mail as yet: nobody may submit. Assign permission groups, or grant rights with \
             `procura permission add '{name}'`"
        ));
    }
    Ok((vec![Change::Add(record), write], warnings))
}

/// What the usage type says where the command does not.
fn complete(settings: &mut ReceiveSettings, usage: ConnectorUsage) -> Result<(), Fault> {
    let name = usage.name();
    if settings.auth.is_none() {
        settings.auth = Some(mechanism_names(usage.authentication()));
    }
    // F §3.12.
    settings.tarpit_ms = settings.tarpit_ms.or(Some(5000));
    if settings.domain_secure.is_none() && usage.is_domain_secure() {
        settings.domain_secure = Some(true);
    }
    if settings.bindings.as_ref().is_none_or(Vec::is_empty) {
        let port = usage.port().ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("a connector of usage {name} needs --bindings"))
                .help("as in --bindings 0.0.0.0:25 --bindings '[::]:25'")
        })?;
        let everywhere = [IpRange::ALL_V4, IpRange::ALL_V6].map(|range| (range.first, port).into());
        settings.bindings = Some(everywhere.into());
    }
    if settings.remote_ranges.as_ref().is_none_or(Vec::is_empty) {
        if !usage.takes_everybody() {
            return Err(Fault::new(FaultKind::Invalid, format!("a connector of usage {name} needs --remote-ranges"))
                .help("as in --remote-ranges 192.0.2.0/24; everybody is 0.0.0.0/0 and ::/0"));
        }
        settings.remote_ranges = Some([IpRange::ALL_V4, IpRange::ALL_V6].map(|range| range.to_string()).into());
    }
    Ok(())
}

pub fn set(asked: Asked<'_>, set: &ReceiveSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = connector(snapshot, Class::ReceiveConnector, &set.identity)?;
        let (guid, role) = (guid(snapshot, id)?, role_of(snapshot, id));
        let mut attributes = attributes(&set.settings)?;
        attributes.extend(folders::attributes(snapshot, &set.settings)?);
        let mut plan = Plan::new(format!("changed the receive connector {}", name_of(snapshot, id)), Vec::new());
        let held = permission_groups(snapshot, id);
        let groups = wanted_groups(set, &held.groups, role)?;
        if let Some(groups) = &groups {
            let mut descriptor = match snapshot.explicit_descriptor(id) {
                Some(descriptor) => SecurityDescriptor::clone(&descriptor),
                None => return Err(unreadable(snapshot, id)),
            };
            assign_groups(snapshot, id, role, &mut descriptor, groups);
            attributes.push((a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()]));
            let others: Vec<String> = held.others.iter().filter_map(|place| entry(snapshot, id, *place)).collect();
            if !others.is_empty() {
                plan.done.warnings.push(format!(
                    "entries that belong to no group were left as they are, so the connector may read Custom: {}",
                    others.join("; ")
                ));
            }
        }
        if groups.is_some() || set.settings.auth.is_some() {
            let auth = match &set.settings.auth {
                Some(names) => mechanisms(names)?,
                None => settings_of(snapshot, id).map(|settings| settings.auth).unwrap_or_default(),
            };
            goes_with(auth, groups.as_ref().unwrap_or(&held.groups))?;
        }
        if !attributes.is_empty() {
            plan.changes.push(Change::Modify { guid, attributes });
        }
        if let Some(name) = &set.rename {
            plan.changes.push(renamed(snapshot, id, name)?);
        }
        if plan.changes.is_empty() {
            plan.done.warnings.push("there was nothing to change".into());
        }
        checked(asked, snapshot, plan)
    })
}

fn wanted_groups(
    set: &ReceiveSet,
    held: &[PermissionGroup],
    role: ServerRole,
) -> Result<Option<Vec<PermissionGroup>>, Fault> {
    if set.permission_groups.is_none() && set.add_groups.is_empty() && set.remove_groups.is_empty() {
        return Ok(None);
    }
    let mut groups = match &set.permission_groups {
        Some(names) => self::groups(names, role)?,
        None => held.to_vec(),
    };
    let away = self::groups(&set.remove_groups, ServerRole::Hub)?;
    groups.retain(|group| !away.contains(group));
    for group in self::groups(&set.add_groups, role)? {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(Some(groups))
}

pub fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = connector(snapshot, Class::ReceiveConnector, identity)?;
        let summary = format!("removed the receive connector {}", name_of(snapshot, id));
        Ok(Plan::new(summary, vec![Change::Delete { guid: guid(snapshot, id)? }]))
    })
}

pub fn get(asked: Asked<'_>, get: &ConnectorGet) -> Result<Response, Fault> {
    let ids = wanted(asked, Class::ReceiveConnector, get.identity.as_deref())?;
    let shown = |id| {
        let mut row = row(asked.snapshot, id);
        row.notes.extend(folders::closed(asked, id));
        row
    };
    let rows: Vec<ReceiveRow> = ids.into_iter().map(shown).collect();
    Ok(Response::ReceiveConnectors(rows.into()))
}

pub(crate) fn row(snapshot: &Snapshot, id: ObjectId) -> ReceiveRow {
    let held = permission_groups(snapshot, id);
    let settings = settings_of(snapshot, id);
    let mut notes: Vec<String> = Vec::new();
    if settings.is_none() {
        notes.push("its settings cannot be read: it is out of service".to_owned());
    }
    if let Some(because) = trust::ignored_because(snapshot, id) {
        notes.push(format!("ExternalAuthoritative is ignored: {because}"));
    }
    notes.extend(folders::notes(snapshot, id));
    if held.is_custom() {
        let others: Vec<String> = held.others.iter().filter_map(|place| entry(snapshot, id, *place)).collect();
        notes.push(format!("entries of no permission group: {}", others.join("; ")));
    }
    let server = snapshot.ancestor(id, Class::Server).and_then(|server| snapshot.object(server));
    ReceiveRow {
        name: name_of(snapshot, id),
        server: server.map(|server| server.name()).unwrap_or_default(),
        role: if role_of(snapshot, id) == ServerRole::Edge { "edge" } else { "hub" }.to_owned(),
        usage: settings.and_then(|settings| settings.usage.clone()).unwrap_or_default(),
        permission_groups: held.names().into_iter().map(str::to_owned).collect(),
        complete_groups: held.groups.iter().map(|group| group.name().to_owned()).collect(),
        dn: snapshot.dn(id),
        guid: snapshot.object(id).map(|object| object.guid().to_string()).unwrap_or_default(),
        settings: {
            let mut shown = settings.map(shown).unwrap_or_default();
            folders::show(snapshot, id, &mut shown);
            shown
        },
        notes,
    }
}

/// An entry of a connector's own in words: `allow NT AUTHORITY\ANONYMOUS LOGON ms-Exch-SMTP-Submit`.
fn entry(snapshot: &Snapshot, id: ObjectId, place: usize) -> Option<String> {
    let descriptor = snapshot.explicit_descriptor(id)?;
    let ace = descriptor.dacl.as_ref()?.aces.get(place)?;
    let word = if ace.is_deny() { "deny" } else { "allow" };
    Some(format!("{word} {} {}", snapshot.sid_name(&ace.sid), words::rights(ace).join(", ")))
}

fn shown(connector: &ReceiveConnector) -> ReceiveSettings {
    let seconds = |ms: u64| Some(u32::try_from(ms / 1000).unwrap_or(u32::MAX));
    ReceiveSettings {
        bindings: Some(connector.bindings.clone()),
        remote_ranges: Some(connector.remote_ranges.iter().map(ToString::to_string).collect()),
        auth: Some(mechanism_names(connector.auth)),
        enabled: Some(connector.enabled),
        fqdn: Some(connector.fqdn.clone().unwrap_or_default()),
        banner: Some(connector.banner.clone().unwrap_or_default()),
        require_tls: Some(connector.require_tls),
        implicit_tls: Some(connector.implicit_tls),
        domain_secure: Some(connector.domain_secure),
        max_message_size: Some(connector.max_message_size),
        max_header_size: Some(connector.max_header_size),
        max_recipients: Some(connector.max_recipients),
        max_hops: Some(connector.max_hops),
        max_errors: Some(connector.max_errors),
        max_logon_failures: Some(connector.max_logon_failures),
        max_connections: Some(connector.max_connections),
        max_connections_per_source: Some(connector.max_connections_per_source),
        rate_per_source: Some(connector.rate_per_source),
        unknown_per_source: Some(connector.unknown_per_source),
        rate_per_connection: Some(connector.rate_per_connection),
        command_timeout: seconds(connector.command_timeout_ms),
        data_timeout: seconds(connector.data_timeout_ms),
        session_lifetime: seconds(connector.session_lifetime_ms),
        tarpit_ms: Some(u32::try_from(connector.tarpit_ms).unwrap_or(u32::MAX)),
        header_from: Some(
            match connector.header_from {
                HeaderFrom::Enforce => "enforce",
                HeaderFrom::Observe => "observe",
                HeaderFrom::Off => "off",
            }
            .to_owned(),
        ),
        on_behalf: Some(if connector.on_behalf == OnBehalf::Stamp { "stamp" } else { "reject" }.to_owned()),
        delegate_chain: Some(connector.delegate_chain),
        require_from: Some(connector.require_from),
        logon_separator: Some(connector.logon_separator),
        chunking: Some(connector.chunking),
        binary_mime: Some(connector.binary_mime),
        dsn: Some(connector.status_notification),
        proxy_from: Some(connector.proxy_from.iter().map(ToString::to_string).collect()),
        tolerant: Some(connector.tolerant),
        complete_headers: Some(connector.complete_headers),
        keep_attached_messages: Some(connector.keep_attached),
        protocol_log: Some(connector.logging.name().to_owned()),
        rewrite: Some(connector.rewrites.iter().map(ToString::to_string).collect()),
        rewrite_headers: Some(connector.rewrite_headers.name().to_owned()),
        pickup: None,
        replay: None,
        submit_as: None,
        files_per_minute: None,
    }
}

fn attributes(settings: &ReceiveSettings) -> Result<Attributes, Fault> {
    let mut all = Attributes::new();
    if let Some(bindings) = &settings.bindings {
        if bindings.is_empty() {
            return Err(
                Fault::new(FaultKind::Invalid, "a connector needs a binding").help("to stop it: --enabled false")
            );
        }
        let values: Vec<String> = bindings.iter().map(ToString::to_string).collect();
        many(&mut all, a::RECEIVE_BINDINGS, Some(&values));
    }
    if let Some(ranges) = &settings.remote_ranges {
        let mut values = Vec::new();
        for range in ranges {
            let range = IpRange::parse(range).map_err(|reason| {
                Fault::new(FaultKind::Invalid, reason).help("write 192.0.2.1, 192.0.2.1-192.0.2.9 or 192.0.2.0/24")
            })?;
            values.push(range.to_string());
        }
        if values.is_empty() {
            return Err(Fault::new(FaultKind::Invalid, "a connector needs a range of clients"));
        }
        many(&mut all, a::RECEIVE_RANGES, Some(&values));
    }
    if let Some(auth) = &settings.auth {
        put(&mut all, a::RECEIVE_SECURITY, Some(mechanisms(auth)?.flags()));
    }
    super::host_name(settings.fqdn.as_deref())?;
    if let Some(banner) = &settings.banner
        && (banner.chars().any(char::is_control) || banner.len() > 256)
    {
        return Err(Fault::new(FaultKind::Invalid, "a banner is one line of at most 256 characters"));
    }
    flag(&mut all, a::RECEIVE_ENABLED, settings.enabled);
    put(&mut all, a::RECEIVE_FQDN, settings.fqdn.as_ref());
    put(&mut all, a::RECEIVE_BANNER, settings.banner.as_ref());
    flag(&mut all, a::REQUIRE_TLS, settings.require_tls);
    flag(&mut all, a::IMPLICIT_TLS, settings.implicit_tls);
    flag(&mut all, a::DOMAIN_SECURE, settings.domain_secure);
    put(&mut all, a::RECEIVE_MAX_MESSAGE, settings.max_message_size);
    put(&mut all, a::RECEIVE_MAX_HEADER, settings.max_header_size);
    put(&mut all, a::RECEIVE_MAX_RECIPIENTS, settings.max_recipients);
    put(&mut all, a::RECEIVE_MAX_HOPS, settings.max_hops);
    put(&mut all, a::RECEIVE_MAX_ERRORS, settings.max_errors);
    put(&mut all, a::RECEIVE_MAX_LOGON_FAILURES, settings.max_logon_failures);
    put(&mut all, a::RECEIVE_MAX_CONNECTIONS, settings.max_connections);
    put(&mut all, a::RECEIVE_MAX_PER_SOURCE, settings.max_connections_per_source);
    put(&mut all, a::RATE_PER_SOURCE, settings.rate_per_source);
    put(&mut all, a::UNKNOWN_PER_SOURCE, settings.unknown_per_source);
    put(&mut all, a::RATE_PER_CONNECTION, settings.rate_per_connection);
    put(&mut all, a::COMMAND_TIMEOUT, settings.command_timeout);
    put(&mut all, a::DATA_TIMEOUT, settings.data_timeout);
    put(&mut all, a::RECEIVE_TIMEOUT, settings.session_lifetime);
    put(&mut all, a::RECEIVE_TARPIT, settings.tarpit_ms);
    put(&mut all, a::HEADER_FROM, settings.header_from.as_ref());
    put(&mut all, a::ON_BEHALF, settings.on_behalf.as_ref());
    flag(&mut all, a::DELEGATE_CHAIN, settings.delegate_chain);
    flag(&mut all, a::REQUIRE_FROM, settings.require_from);
    put(&mut all, a::LOGON_SEPARATOR, settings.logon_separator);
    flag(&mut all, a::CHUNKING, settings.chunking);
    flag(&mut all, a::BINARY_MIME, settings.binary_mime);
    flag(&mut all, a::STATUS_NOTIFICATION, settings.dsn);
    if let Some(ranges) = &settings.proxy_from {
        many(&mut all, a::PROXY_FROM, Some(&proxies(ranges)?));
    }
    flag(&mut all, a::TOLERANT, settings.tolerant);
    flag(&mut all, a::COMPLETE_HEADERS, settings.complete_headers);
    flag(&mut all, a::KEEP_ATTACHED, settings.keep_attached_messages);
    put(&mut all, a::RECEIVE_LOGGING, super::logging(settings.protocol_log.as_deref())?);
    if let Some(rules) = &settings.rewrite {
        many(&mut all, a::REWRITES, Some(&super::rewrites(rules)?));
    }
    put(&mut all, a::REWRITE_HEADERS, settings.rewrite_headers.as_ref());
    Ok(all)
}

/// Load balancers: whoever connects from there is believed about who the client is, so that it cannot be everybody.
fn proxies(ranges: &[String]) -> Result<Vec<String>, Fault> {
    let range = |text: &String| {
        IpRange::parse(text).map_err(|reason| {
            Fault::new(FaultKind::Invalid, reason).help("write 192.0.2.1, 192.0.2.1-192.0.2.9 or 192.0.2.0/24")
        })
    };
    let ranges: Vec<IpRange> = ranges.iter().map(range).collect::<Result<_, _>>()?;
    if IpRange::are_unbounded(&ranges) {
        return Err(Fault::new(FaultKind::Invalid, "every address would be a load balancer and could claim any other")
            .help("name the addresses of the load balancers"));
    }
    Ok(ranges.iter().map(ToString::to_string).collect())
}

fn settings_of(snapshot: &Snapshot, id: ObjectId) -> Option<&ReceiveConnector> {
    match snapshot.object(id)?.config()? {
        Config::ReceiveConnector(settings) => Some(settings),
        _ => None,
    }
}

fn name_of(snapshot: &Snapshot, id: ObjectId) -> String {
    snapshot.object(id).map(|object| object.name()).unwrap_or_default()
}

fn mechanism_names(auth: AuthMechanisms) -> Vec<String> {
    let set: Vec<String> =
        MECHANISMS.iter().filter(|(_, bit)| auth.flags() & bit != 0).map(|(name, _)| (*name).to_owned()).collect();
    if set.is_empty() { vec!["None".to_owned()] } else { set }
}

/// Reads names of mechanisms. `None` stands alone.
fn mechanisms(names: &[String]) -> Result<AuthMechanisms, Fault> {
    let mut flags = 0;
    let folded = |name: &str| name.trim().to_ascii_lowercase().replace(['-', '_'], "");
    let is_none = |name: &String| folded(name) == "none";
    if names.iter().any(is_none) && names.len() > 1 {
        return Err(Fault::new(FaultKind::Invalid, "the mechanism None stands alone").help("leave the others away"));
    }
    for name in names.iter().filter(|name| !is_none(name)) {
        let short = match folded(name).as_str() {
            "basic" => "basicauth".to_owned(),
            "basicrequirestls" | "basicrequiretls" | "basicauthrequirestls" => "basicauthrequiretls".to_owned(),
            "external" => "externalauthoritative".to_owned(),
            other => other.to_owned(),
        };
        let found = MECHANISMS.iter().find(|(known, _)| folded(known) == short);
        let (_, bit) = found.ok_or_else(|| {
            let known: Vec<&str> = MECHANISMS.iter().map(|(name, _)| *name).collect();
            Fault::new(FaultKind::Invalid, format!("there is no mechanism `{name}`"))
                .help(format!("mechanisms are None, or some of {}", known.join(", ")))
        })?;
        flags |= bit;
    }
    Ok(AuthMechanisms::from_flags(flags))
}

/// Mechanisms and groups that exclude or need each other (F §3.4, `authorization.md` §2).
fn goes_with(auth: AuthMechanisms, groups: &[PermissionGroup]) -> Result<(), Fault> {
    if auth.external_authoritative && !groups.contains(&PermissionGroup::ExchangeServers) {
        return Err(Fault::new(
            FaultKind::Invalid,
            "ExternalAuthoritative needs the permission group ExchangeServers: those who connect are such servers",
        )
        .help("add --permission-groups ExchangeServers"));
    }
    if auth.external_authoritative && groups.contains(&PermissionGroup::AnonymousUsers) {
        return Err(Fault::new(
            FaultKind::Invalid,
            "ExternalAuthoritative and the permission group AnonymousUsers exclude each other",
        )
        .help("strangers get a connector of their own"));
    }
    Ok(())
}

/// Reads names of permission groups; `None` stands alone.
fn groups(names: &[String], role: ServerRole) -> Result<Vec<PermissionGroup>, Fault> {
    let mut groups = Vec::new();
    for name in names.iter().map(|name| name.trim()) {
        if name.eq_ignore_ascii_case("none") {
            if names.len() > 1 {
                return Err(Fault::new(FaultKind::Invalid, "None stands alone: leave the other groups away"));
            }
            continue;
        }
        if name.eq_ignore_ascii_case("custom") {
            return Err(Fault::new(FaultKind::Invalid, "Custom is no group: it is what other permissions read as")
                .help("grant single rights with `procura permission add CONNECTOR --user … --right …`"));
        }
        let group = PermissionGroup::parse(name).ok_or_else(|| {
            let known: Vec<&str> = PermissionGroup::ALL.iter().map(|group| group.name()).collect();
            Fault::new(FaultKind::Invalid, format!("there is no permission group `{name}`"))
                .help(format!("permission groups are None, or some of {}", known.join(", ")))
        })?;
        if group.grants(role).is_empty() {
            return Err(Fault::new(FaultKind::Invalid, format!("{} is not available on an edge", group.name()))
                .help("an edge has no accounts: use AnonymousUsers, ExchangeServers, Partners"));
        }
        groups.push(group);
    }
    Ok(groups)
}

fn usage(name: Option<&str>) -> Result<ConnectorUsage, Fault> {
    let Some(name) = name else { return Ok(ConnectorUsage::Custom) };
    ConnectorUsage::parse(name).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("there is no usage type `{name}`"))
            .help("usage types are Client, Custom, Internal, Internet, Partner")
    })
}

/// The server of a name; that of this node where none is named.
fn server(snapshot: &Snapshot, name: Option<&str>, node: &str) -> Result<ObjectId, Fault> {
    if let Some(name) = name {
        return crate::servers::server(snapshot, name);
    }
    crate::servers::own_server(snapshot, node).ok_or_else(|| {
        let names: Vec<String> = crate::servers::servers(snapshot).map(|(_, name)| name).collect();
        match names.as_slice() {
            [] => Fault::new(FaultKind::Unavailable, "there is no server").help("create one with `procura init`"),
            _ => Fault::new(FaultKind::Ambiguous, format!("none of the servers is this node: {}", names.join(", ")))
                .help("name one with --server"),
        }
    })
}
