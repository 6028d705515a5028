//! Send connectors: `procura connector send new|get|set|remove`.

use acl::{AccessMask, Ace, Acl, SecurityDescriptor};
use directory::organization::{default_descriptor, new_object, send_connectors_of};
use directory::{
    AddressSpace, Change, Class, Config, ObjectId, SendAuth, SendConnector, SendTls, Snapshot, TokenGrant,
    attributes as a,
};
use rights::{ConnectorUsage, GrantedOn, RIGHTS, trustee_sid};
use zeroize::Zeroizing;

use super::documents::{ConnectorGet, SendNew, SendRow, SendSet, SendSettings};
use super::{Attributes, checked, checked_name, connector, flag, free_name, guid, many, put, renamed, wanted};
use crate::error::{Fault, FaultKind};
use crate::operations::Secret;
use crate::random::new_guid;
use crate::response::Response;
use crate::service::{Asked, Plan};
use crate::words;

/// Begins a stored password that is not hashed, because it is to be said to somebody else.
pub const CLEAR: &str = "{CLEAR}";

pub fn new(asked: Asked<'_>, new: &SendNew) -> Result<Response, Fault> {
    let created = new_guid();
    let response = asked.change(|snapshot| {
        let usage = usage(new.usage.as_deref())?;
        let grants = usage.send_grants().ok_or_else(|| {
            Fault::new(FaultKind::Invalid, "there are no send connectors of usage Client")
                .help("use Custom, Internal, Internet or Partner")
        })?;
        let name = checked_name(&new.name)?;
        let mut settings = new.settings.clone();
        complete(&mut settings, usage)?;
        let parent = send_connectors_of(snapshot)
            .ok_or_else(|| Fault::new(FaultKind::Unavailable, "the organization has no place for send connectors"))?;
        free_name(snapshot, parent, name)?;
        let mut descriptor = SecurityDescriptor::parse(&default_descriptor(snapshot, Class::SendConnector, parent))
            .map_err(|e| Fault::new(FaultKind::Unavailable, e.to_string()))?;
        let dacl = descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new()));
        for (trustee, rights) in &grants {
            let Some(sid) = trustee_sid(snapshot, parent, trustee) else { continue };
            for right in rights {
                acl::edit::add(dacl, Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid()));
            }
        }
        let mut record = new_object(created, guid(snapshot, parent)?, Class::SendConnector, name)
            .with(a::CONNECTOR_USAGE, usage.name());
        for (attribute, values) in attributes(&settings)? {
            record.set(&attribute, values);
        }
        let write = Change::Modify {
            guid: record.guid,
            attributes: vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])],
        };
        let mut plan = Plan::new(format!("created the send connector {name}"), vec![Change::Add(record), write]);
        if grants.is_empty() {
            plan.done.warnings.push(format!(
                "nobody holds a right on it, so routing headers are removed too. Grant rights with \
                 `procura permission add '{name}' --user … --right 'Send Routing Headers'`"
            ));
        }
        checked(asked, snapshot, plan)
    })?;
    keep_password(asked, created, new.password.as_ref())?;
    Ok(response)
}

fn complete(settings: &mut SendSettings, usage: ConnectorUsage) -> Result<(), Fault> {
    if settings.address_spaces.as_ref().is_none_or(Vec::is_empty) {
        return Err(Fault::new(FaultKind::Invalid, "a send connector needs --address-space")
            .help("as in --address-space '*' for everything, or --address-space 'SMTP:*.example.net;1'"));
    }
    if settings.auth.is_none() {
        settings.auth = Some(usage.send_authentication().name().to_owned());
    }
    if settings.max_message_size.is_none() {
        settings.max_message_size = usage.send_limit_kib().map(|kib| kib * 1024);
    }
    if settings.domain_secure.is_none() && usage.is_domain_secure() {
        settings.domain_secure = Some(true);
    }
    Ok(())
}

pub fn set(asked: Asked<'_>, set: &SendSet) -> Result<Response, Fault> {
    let mut changed = None;
    let response = asked.change(|snapshot| {
        let id = connector(snapshot, Class::SendConnector, &set.identity)?;
        let guid = guid(snapshot, id)?;
        changed = Some(guid);
        let attributes = attributes(&set.settings)?;
        let name = snapshot.object(id).map(|object| object.name()).unwrap_or_default();
        let mut plan = Plan::new(format!("changed the send connector {name}"), Vec::new());
        if !attributes.is_empty() {
            plan.changes.push(Change::Modify { guid, attributes });
        }
        if let Some(name) = &set.rename {
            plan.changes.push(renamed(snapshot, id, name)?);
        }
        if set.password.is_some() {
            // No attribute changes, but the right to change one is needed.
            let class = [Class::SendConnector.schema_guid()];
            let write = rights::admin::Action::WriteProperty(&class);
            crate::authorize::require(snapshot, asked.caller, id, write, "set the password of")?;
        } else if plan.changes.is_empty() {
            plan.done.warnings.push("there was nothing to change".into());
        }
        checked(asked, snapshot, plan)
    })?;
    if let Some(guid) = changed {
        keep_password(asked, guid, set.password.as_ref())?;
    }
    Ok(response)
}

/// The password goes where those of accounts are, and nowhere else: not into the change log, not into an export.
fn keep_password(asked: Asked<'_>, connector: acl::Guid, password: Option<&Secret>) -> Result<(), Fault> {
    match password.filter(|_| asked.trial.is_none()) {
        Some(password) => {
            let kept = Zeroizing::new(format!("{CLEAR}{}", password.0.as_str()));
            asked.service.set_credential(&connector, &kept)
        }
        None => Ok(()),
    }
}

pub fn remove(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = connector(snapshot, Class::SendConnector, identity)?;
        let name = snapshot.object(id).map(|object| object.name()).unwrap_or_default();
        let change = Change::Delete { guid: guid(snapshot, id)? };
        Ok(Plan::new(format!("removed the send connector {name}"), vec![change]))
    })
}

pub fn get(asked: Asked<'_>, get: &ConnectorGet) -> Result<Response, Fault> {
    let ids = wanted(asked, Class::SendConnector, get.identity.as_deref())?;
    let rows: Vec<SendRow> = ids.into_iter().map(|id| row(asked, id)).collect::<Result<_, _>>()?;
    Ok(Response::SendConnectors(rows.into()))
}

pub(crate) fn row(asked: Asked<'_>, id: ObjectId) -> Result<SendRow, Fault> {
    let snapshot = asked.snapshot;
    let guid = guid(snapshot, id)?;
    let settings = match snapshot.object(id).and_then(|object| object.config()) {
        Some(Config::SendConnector(settings)) => Some(settings),
        _ => None,
    };
    let has_password = asked.service.credential(&guid)?.is_some();
    let mut notes = Vec::new();
    match settings {
        None => notes.push("its settings cannot be read: it is out of service".to_owned()),
        Some(settings) => {
            let logs_on = matches!(settings.auth, SendAuth::Basic | SendAuth::BasicRequiresTls | SendAuth::Oauth);
            if logs_on && !has_password {
                let what = if settings.auth == SendAuth::Oauth { "secret for tokens" } else { "password" };
                notes.push(format!("there is no {what}: mail waits until `procura connector send set` gives one"));
            }
            let plain = !settings.require_tls && !matches!(settings.tls, SendTls::Required | SendTls::Verified);
            if settings.auth == SendAuth::Basic && plain {
                notes.push("name and password go in plain text where a host offers no TLS".to_owned());
            }
        }
    }
    Ok(SendRow {
        name: snapshot.object(id).map(|object| object.name()).unwrap_or_default(),
        usage: settings.and_then(|settings| settings.usage.clone()).unwrap_or_default(),
        rights: rights(snapshot, id),
        has_password,
        dn: snapshot.dn(id),
        guid: guid.to_string(),
        settings: settings.map(shown).unwrap_or_default(),
        notes,
    })
}

/// The connector's own entries about rights of send connectors.
fn rights(snapshot: &Snapshot, id: ObjectId) -> Vec<String> {
    let Some(descriptor) = snapshot.explicit_descriptor(id) else { return Vec::new() };
    let about = |ace: &&Ace| {
        ace.mask.contains(AccessMask::CONTROL_ACCESS)
            && ace.object_type.is_none_or(|guid| {
                RIGHTS.iter().any(|right| right.on == GrantedOn::SendConnector && right.guid == guid)
            })
    };
    let line = |ace: &Ace| {
        let deny = if ace.is_deny() { "deny " } else { "" };
        format!("{deny}{}: {}", snapshot.sid_name(&ace.sid), words::rights(ace).join(", "))
    };
    descriptor.dacl.iter().flat_map(|dacl| &dacl.aces).filter(about).map(line).collect()
}

/// The settings of a connector; none where they cannot be read.
pub(crate) fn settings(snapshot: &Snapshot, id: ObjectId) -> SendSettings {
    match snapshot.object(id).and_then(|object| object.config()) {
        Some(Config::SendConnector(settings)) => shown(settings),
        _ => SendSettings::default(),
    }
}

fn shown(connector: &SendConnector) -> SendSettings {
    let space = |space: &AddressSpace| {
        let star = match (space.wildcard, space.domain.is_empty()) {
            (true, true) => "*",
            (true, false) => "*.",
            _ => "",
        };
        format!("SMTP:{star}{};{}", space.domain, space.cost)
    };
    SendSettings {
        address_spaces: Some(connector.spaces.iter().map(space).collect()),
        smart_hosts: Some(connector.smart_hosts.clone()),
        port: Some(connector.port),
        auth: Some(connector.auth.name().to_owned()),
        user: Some(connector.user.clone().unwrap_or_default()),
        enabled: Some(connector.enabled),
        max_message_size: Some(connector.max_message_size.unwrap_or(0)),
        fqdn: Some(connector.fqdn.clone().unwrap_or_default()),
        require_tls: Some(connector.require_tls),
        domain_secure: Some(connector.domain_secure),
        tls: Some(connector.tls.name().to_owned()),
        tls_pins: Some(connector.pins.iter().map(hexadecimal).collect()),
        max_connections: Some(connector.max_connections),
        rate: Some(connector.rate),
        token_url: Some(connector.token.as_ref().map(|token| token.url.clone()).unwrap_or_default()),
        token_client: Some(connector.token.as_ref().map(|token| token.client.clone()).unwrap_or_default()),
        token_scope: Some(connector.token.as_ref().and_then(|token| token.scope.clone()).unwrap_or_default()),
        token_grant: connector.token.as_ref().map(|token| token.grant.name().to_owned()),
        protocol_log: Some(connector.logging.name().to_owned()),
        rewrite: Some(connector.rewrites.iter().map(ToString::to_string).collect()),
        drop_folder: connector.drop_folder.clone(),
    }
}

fn hexadecimal(octets: &[u8; 32]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn attributes(settings: &SendSettings) -> Result<Attributes, Fault> {
    let mut all = Attributes::new();
    for space in settings.address_spaces.iter().flatten() {
        AddressSpace::parse(space).map_err(|reason| {
            Fault::new(FaultKind::Invalid, reason).help("write *, example.net, *.example.net or SMTP:*.example.net;10")
        })?;
    }
    if settings.address_spaces.as_ref().is_some_and(Vec::is_empty) {
        return Err(Fault::new(FaultKind::Invalid, "a send connector needs an address space"));
    }
    for host in settings.smart_hosts.iter().flatten() {
        smart_host(host)?;
    }
    if let Some(auth) = &settings.auth
        && !SendAuth::ALL.iter().any(|known| known.name().eq_ignore_ascii_case(auth))
    {
        let known = SendAuth::ALL.map(SendAuth::name).join(", ");
        return Err(Fault::new(FaultKind::Invalid, format!("`{auth}` is no authentication of a send connector"))
            .help(format!("it is one of {known}")));
    }
    super::host_name(settings.fqdn.as_deref())?;
    known("TLS policy", settings.tls.as_deref(), &SendTls::ALL.map(SendTls::name))?;
    known("way to get a token", settings.token_grant.as_deref(), &TokenGrant::ALL.map(TokenGrant::name))?;
    let pins =
        settings.tls_pins.as_ref().map(|pins| pins.iter().map(|pin| self::pin(pin)).collect::<Result<Vec<_>, _>>());
    let pins = pins.transpose()?;
    if let Some(url) = settings.token_url.as_deref().filter(|url| !url.is_empty()) {
        let local = ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"];
        if !url.starts_with("https://") && !local.iter().any(|prefix| url.starts_with(prefix)) {
            return Err(Fault::new(FaultKind::Invalid, format!("`{url}` is no https URL"))
                .help("a secret is sent there: plain http is for the loopback address only"));
        }
    }
    many(&mut all, a::SEND_SPACES, settings.address_spaces.as_deref());
    many(&mut all, a::SEND_SMART_HOSTS, settings.smart_hosts.as_deref());
    put(&mut all, a::SEND_PORT, settings.port);
    put(&mut all, a::SEND_AUTH, settings.auth.as_ref().map(|auth| auth.to_ascii_lowercase()));
    put(&mut all, a::SEND_USER, settings.user.as_ref());
    flag(&mut all, a::SEND_ENABLED, settings.enabled);
    put(&mut all, a::SEND_MAX_MESSAGE, settings.max_message_size.map(|octets| octets.div_ceil(1024)));
    put(&mut all, a::SEND_FQDN, settings.fqdn.as_ref());
    flag(&mut all, a::REQUIRE_TLS, settings.require_tls);
    flag(&mut all, a::DOMAIN_SECURE, settings.domain_secure);
    put(&mut all, a::SEND_TLS, settings.tls.as_ref().map(|tls| tls.to_ascii_lowercase()));
    many(&mut all, a::SEND_PINS, pins.as_deref());
    put(&mut all, a::SEND_MAX_CONNECTIONS, settings.max_connections);
    put(&mut all, a::SEND_RATE, settings.rate);
    put(&mut all, a::SEND_TOKEN_URL, settings.token_url.as_ref());
    put(&mut all, a::SEND_TOKEN_CLIENT, settings.token_client.as_ref());
    put(&mut all, a::SEND_TOKEN_SCOPE, settings.token_scope.as_ref());
    put(&mut all, a::SEND_LOGGING, super::logging(settings.protocol_log.as_deref())?);
    if let Some(rules) = &settings.rewrite {
        many(&mut all, a::REWRITES, Some(&super::rewrites(rules)?));
    }
    if let Some(path) = &settings.drop_folder {
        let path = if path.is_empty() { path } else { super::folders::absolute(path)? };
        put(&mut all, a::DROP_FOLDER, Some(path));
    }
    put(&mut all, a::SEND_TOKEN_GRANT, settings.token_grant.as_ref().map(|grant| grant.to_ascii_lowercase()));
    Ok(all)
}

/// Refuses a word that is not one of these.
fn known(what: &str, word: Option<&str>, words: &[&str]) -> Result<(), Fault> {
    match word.filter(|word| !words.iter().any(|known| known.eq_ignore_ascii_case(word))) {
        Some(word) => Err(Fault::new(FaultKind::Invalid, format!("`{word}` is no {what}"))
            .help(format!("it is one of {}", words.join(", ")))),
        None => Ok(()),
    }
}

/// The SHA-256 of a public key, colons left out.
fn pin(text: &str) -> Result<String, Fault> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(digits.to_ascii_lowercase());
    }
    Err(Fault::new(FaultKind::Invalid, format!("`{text}` is no SHA-256 of a public key"))
        .help("write 64 hexadecimal digits, as `procura server key FILE` prints it"))
}

/// `host`, `host:port`, `address`, `[address]`, `[address]:port`, as delivery reads them.
fn smart_host(text: &str) -> Result<(), Fault> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => ("", None),
        },
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    let is_host = host.parse::<std::net::IpAddr>().is_ok() || message::canonical_domain(host).is_some();
    if is_port && is_host {
        return Ok(());
    }
    Err(Fault::new(FaultKind::Invalid, format!("`{text}` is no host"))
        .help("write mail.example.net, mail.example.net:2525, 192.0.2.1 or [2001:db8::1]:25"))
}

fn usage(name: Option<&str>) -> Result<ConnectorUsage, Fault> {
    let Some(name) = name else { return Ok(ConnectorUsage::Custom) };
    ConnectorUsage::parse(name).ok_or_else(|| {
        Fault::new(FaultKind::Invalid, format!("there is no usage type `{name}`"))
            .help("usage types of send connectors are Custom, Internal, Internet, Partner")
    })
}
