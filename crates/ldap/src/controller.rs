//! Work with one domain controller: who it is, everything that it holds, and what changed there.

use std::collections::{BTreeMap, BTreeSet};

use acl::{Guid, Sid};
use directory::attributes as a;
use directory::import::{AttributeMap, Source};
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, LdapError};
use crate::controls;
use crate::found::{ACCOUNT_EXPIRES, Found, found, range};
use crate::message::{Entry, Filter, Scope, Search, code};

/// A domain, as a domain controller describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its DN.
    pub dn: String,
    /// objectGUID of the domain object, as text.
    pub guid: String,
    /// Its SID, as text.
    pub sid: String,
    /// Its short name.
    pub netbios: String,
    /// DN of the configuration partition of its forest.
    pub configuration: String,
    /// DN of the domain at the root of its forest.
    pub root: String,
    /// Attributes of ours that its forest's schema has, or the map gives.
    pub theirs: BTreeSet<String>,
    /// Wrong passwords after which it locks an account; 0: never.
    pub lockout_threshold: u32,
    /// Seconds after which it forgets a wrong password.
    pub lockout_window: u64,
}

impl Domain {
    /// objectGUID of the domain object.
    pub fn guid(&self) -> Guid {
        self.guid.parse().unwrap_or(Guid([0; 16]))
    }
}

/// What a domain controller says of itself right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootDse {
    /// DN of its domain.
    pub domain: String,
    /// DN of the configuration partition.
    pub configuration: String,
    /// DN of the schema partition.
    pub schema: String,
    /// DN of the forest's root domain.
    pub root: String,
    /// Its name.
    pub host: String,
    /// DN of its settings object.
    pub service: String,
    /// Number of its last change.
    pub usn: u64,
}

/// Attributes that are read of every object, where the schema has them.
const ATTRIBUTES: [&str; 29] = [
    a::OBJECT_CLASS,
    a::OBJECT_SID,
    a::SID_HISTORY,
    a::DESCRIPTOR,
    a::SAM_ACCOUNT_NAME,
    a::USER_PRINCIPAL_NAME,
    a::DISPLAY_NAME,
    a::MAIL,
    a::PROXY_ADDRESSES,
    a::TARGET_ADDRESS,
    a::USER_ACCOUNT_CONTROL,
    a::PRIMARY_GROUP_ID,
    a::GROUP_TYPE,
    a::ADMIN_COUNT,
    a::MEMBER,
    a::MANAGED_BY,
    a::PUBLIC_DELEGATES,
    a::DELEGATE_LIST,
    a::AUTH_ORIG,
    a::UNAUTH_ORIG,
    a::SUBMIT_PERMS,
    a::REJECT_PERMS,
    a::ALT_RECIPIENT,
    a::MAILBOX_GUID,
    a::MASTER_ACCOUNT_SID,
    a::RECIPIENT_TYPE_DETAILS,
    a::REQUIRE_AUTH_TO_SEND_TO,
    a::HIDE_FROM_ADDRESS_LISTS,
    a::DS_HEURISTICS,
];
/// Classes of which a domain may have very many objects, without any below them and without any meaning for mail.
const PASSED_OVER: [&str; 3] = ["dnsNode", "linkTrackOMTEntry", "printQueue"];
/// Objects that are read again in one search.
const TOGETHER: usize = 50;

/// What is asked of every object.
fn wanted(domain: &Domain, map: &AttributeMap) -> Vec<String> {
    let mut names: BTreeSet<String> = domain.theirs.iter().cloned().collect();
    for (ours, from) in &map.entries {
        let unmapped = a::canonical_name(ours).into_owned();
        // The map fills in what the object lacks.
        if !ATTRIBUTES.contains(&unmapped.as_str()) {
            names.remove(&unmapped);
        }
        names.extend(sources(from));
    }
    // Of a database only its name is of use: it is no attribute that the domain keeps for us.
    names.extend(["objectGUID", "parentGUID", ACCOUNT_EXPIRES, a::HOME_MDB].map(str::to_owned));
    names.into_iter().collect()
}

/// The attributes that an entry of the map takes values from.
fn sources(from: &Source) -> Vec<String> {
    match from {
        Source::Attribute(name) => vec![name.clone()],
        Source::Template(text) => {
            let inner = text.split('{').skip(1).filter_map(|piece| piece.split_once('}'));
            inner.map(|(name, _)| name.trim().to_owned()).collect()
        }
    }
}

fn kept() -> Filter {
    Filter::Not(Box::new(Filter::Or(PASSED_OVER.iter().map(|class| Filter::equal("objectClass", *class)).collect())))
}

/// Reads the root DSE: a question that costs nothing, and that tells whether anything changed.
///
/// # Errors
/// The server failed, or serves no domain.
pub fn root_dse(connection: &mut Connection) -> Result<RootDse, LdapError> {
    let names = [
        "defaultNamingContext",
        "configurationNamingContext",
        "schemaNamingContext",
        "rootDomainNamingContext",
        "dnsHostName",
        "dsServiceName",
        "highestCommittedUSN",
    ];
    let search = Search {
        base: String::new(),
        scope: Scope::Base,
        filter: Filter::everything(),
        attributes: names.map(str::to_owned).to_vec(),
    };
    let entry = connection.find(&search, &[])?.into_iter().next().unwrap_or_default();
    let text = |name: &str| entry.text(name).unwrap_or_default().to_owned();
    let usn = text("highestCommittedUSN").parse();
    let domain = text("defaultNamingContext");
    let Ok(usn) = usn else { return Err(no_domain()) };
    if domain.is_empty() {
        return Err(no_domain());
    }
    Ok(RootDse {
        domain,
        configuration: text("configurationNamingContext"),
        schema: text("schemaNamingContext"),
        root: text("rootDomainNamingContext"),
        host: text("dnsHostName"),
        service: text("dsServiceName"),
        usn,
    })
}

fn no_domain() -> LdapError {
    LdapError::Nonsense("it is no domain controller of Active Directory".to_owned())
}

/// Reads what a domain is.
///
/// # Errors
/// The server failed, or the account may not read the domain object.
pub fn domain(connection: &mut Connection, dse: &RootDse, map: &AttributeMap) -> Result<Domain, LdapError> {
    let names = ["objectGUID", "objectSid", "lockoutThreshold", "lockOutObservationWindow"];
    let entry = one(connection, &dse.domain, &names)?;
    let guid = entry.values("objectGUID").first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?)));
    let sid = entry.values("objectSid").first().and_then(|value| Sid::parse(value).ok());
    let (Some(guid), Some((sid, _))) = (guid, sid) else {
        return Err(LdapError::Nonsense(format!(
            "the account may not read objectGUID and objectSid of {}",
            dse.domain
        )));
    };
    let search = Search {
        base: format!("CN=Partitions,{}", dse.configuration),
        scope: Scope::One,
        filter: Filter::And(vec![
            Filter::equal("objectClass", "crossRef"),
            Filter::equal("nCName", dse.domain.as_str()),
        ]),
        attributes: vec![a::NETBIOS_NAME.to_owned()],
    };
    let netbios = connection.find(&search, &[]).unwrap_or_default();
    let netbios = netbios.first().and_then(|entry| entry.text(a::NETBIOS_NAME)).unwrap_or_default().to_owned();
    let mut theirs = schema(connection, dse)?;
    theirs.extend(map.entries.iter().map(|(ours, _)| a::canonical_name(ours).into_owned()));
    let window = entry.text("lockOutObservationWindow").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    Ok(Domain {
        dn: dse.domain.clone(),
        guid: guid.to_string(),
        sid: sid.to_string(),
        netbios,
        configuration: dse.configuration.clone(),
        root: dse.root.clone(),
        theirs,
        lockout_threshold: entry.text("lockoutThreshold").and_then(|text| text.parse().ok()).unwrap_or(0),
        // Negative, in 100 nanoseconds.
        lockout_window: window.unsigned_abs() / 10_000_000,
    })
}

/// Which of the attributes that we read the schema has.
fn schema(connection: &mut Connection, dse: &RootDse) -> Result<BTreeSet<String>, LdapError> {
    let search = Search {
        base: dse.schema.clone(),
        scope: Scope::One,
        filter: Filter::Or(ATTRIBUTES.iter().map(|name| Filter::equal("lDAPDisplayName", *name)).collect()),
        attributes: vec!["lDAPDisplayName".to_owned()],
    };
    let found = connection.find(&search, &[])?;
    let names = found.iter().filter_map(|entry| entry.text("lDAPDisplayName")).map(a::canonical_name);
    let names: BTreeSet<String> = names.map(std::borrow::Cow::into_owned).collect();
    if !names.contains(a::OBJECT_SID) {
        return Err(LdapError::Nonsense(format!("the account may not read the schema ({})", dse.schema)));
    }
    Ok(names)
}

/// What changes when the server is restored from a backup or another one answers in its place: numbers of changes mean
/// nothing across it.
///
/// # Errors
/// The server failed.
pub fn invocation(connection: &mut Connection, dse: &RootDse) -> Result<String, LdapError> {
    let own = match one(connection, &dse.service, &["invocationId"]) {
        Ok(entry) => entry.values("invocationId").first().map(|id| hex(id)).unwrap_or_default(),
        Err(LdapError::Refused { .. }) => String::new(),
        Err(error) => return Err(error),
    };
    Ok(format!("{} {own}", dse.service))
}

/// Everything of a domain.
///
/// # Errors
/// The server failed half way: nothing of it counts then.
pub fn load(
    connection: &mut Connection,
    domain: &Domain,
    map: &AttributeMap,
    page: u32,
    now: i64,
) -> Result<Vec<Found>, LdapError> {
    let search =
        Search { base: domain.dn.clone(), scope: Scope::Subtree, filter: kept(), attributes: wanted(domain, map) };
    read(connection, domain, &search, Some(page), map, now)
}

/// Some objects again, as they are now; those that are gone or may not be seen are missing.
///
/// # Errors
/// The server failed.
pub fn again(
    connection: &mut Connection,
    domain: &Domain,
    map: &AttributeMap,
    guids: &[Guid],
    now: i64,
) -> Result<Vec<Found>, LdapError> {
    let mut all = Vec::new();
    for some in guids.chunks(TOGETHER) {
        let these = some.iter().map(|guid| Filter::equal("objectGUID", guid.0)).collect();
        let search = Search {
            base: domain.dn.clone(),
            scope: Scope::Subtree,
            filter: Filter::And(vec![Filter::Or(these), kept()]),
            attributes: wanted(domain, map),
        };
        all.extend(read(connection, domain, &search, None, map, now)?);
    }
    Ok(all)
}

fn read(
    connection: &mut Connection,
    domain: &Domain,
    search: &Search,
    page: Option<u32>,
    map: &AttributeMap,
    now: i64,
) -> Result<Vec<Found>, LdapError> {
    let others = [controls::descriptor_parts(controls::OWNER_GROUP_DACL), controls::extended_dn()];
    let mut entries = Vec::new();
    let mut cut = Vec::new();
    connection.search(search, &others, page, &mut |entry| {
        if entry.attributes.iter().any(|(name, _)| range(name).is_some_and(|(_, upper)| upper.is_some())) {
            cut.push(entry);
        } else {
            entries.extend(found(&entry, map, now));
        }
        Ok(())
    })?;
    for mut entry in cut {
        complete(connection, &mut entry)?;
        entries.extend(found(&entry, map, now));
    }
    let guid = domain.guid();
    if let Some(root) = entries.iter_mut().find(|found| found.guid == guid)
        && !domain.netbios.is_empty()
    {
        root.attributes.insert(a::NETBIOS_NAME.to_owned(), vec![domain.netbios.clone().into_bytes()]);
    }
    Ok(entries)
}

/// Reads the rest of attributes with very many values (MS-ADTS 3.1.1.3.1.3.3).
fn complete(connection: &mut Connection, entry: &mut Entry) -> Result<(), LdapError> {
    let cut: Vec<(String, u32)> = entry
        .attributes
        .iter()
        .filter_map(|(name, _)| range(name).and_then(|(name, upper)| Some((name.to_owned(), upper?))))
        .collect();
    let dn = crate::found::plain_dn(&entry.dn).to_owned();
    for (name, mut upper) in cut {
        loop {
            let search = Search {
                base: dn.clone(),
                scope: Scope::Base,
                filter: Filter::everything(),
                attributes: vec![format!("{name};range={}-*", upper + 1)],
            };
            let found = connection.find(&search, &[controls::extended_dn()])?.into_iter().next().unwrap_or_default();
            let next = found
                .attributes
                .into_iter()
                .find(|(own, _)| range(own).is_some_and(|(own, _)| own.eq_ignore_ascii_case(&name)));
            let Some((description, values)) = next else { break };
            let end = range(&description).and_then(|(_, upper)| upper);
            entry.attributes.push((description, values));
            match end {
                Some(next) if next > upper => upper = next,
                Some(_) => return Err(LdapError::Nonsense(format!("the values of {name} of {dn} do not end"))),
                None => break,
            }
        }
    }
    Ok(())
}

/// How changes are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// DirSync with the right to replicate: deletions are seen at once.
    #[default]
    DirSync,
    /// DirSync with what the account may see: deletions may be seen at the next check only.
    DirSyncAsSeen,
    /// By uSNChanged: the same.
    Usn,
}

/// Up to where changes were followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The cookie of DirSync.
    pub cookie: Vec<u8>,
    /// The last change by number.
    pub usn: u64,
}

/// What changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Objects that are different now, or gone.
    pub objects: BTreeMap<Guid, Touched>,
    /// Up to there.
    pub mark: Mark,
}

/// What is known of a change before the object is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// It was deleted.
    pub deleted: bool,
    /// Its password changed.
    pub password: bool,
}

/// Finds a way to follow changes that the server allows to the account, and where it stands now.
///
/// # Errors
/// The server failed.
pub fn begin(connection: &mut Connection, domain: &Domain, dse: &RootDse) -> Result<(Method, Mark), LdapError> {
    for method in [Method::DirSync, Method::DirSyncAsSeen] {
        // Nothing is asked for: the cookie alone is of interest.
        let nothing = Filter::And(vec![Filter::equal("objectClass", "domainDNS"), Filter::equal("cn", "?")]);
        match sync(connection, domain, method, &[], nothing, &["objectGUID".to_owned()]) {
            Ok(changed) => return Ok((method, Mark { usn: dse.usn, ..changed.mark })),
            Err(LdapError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((Method::Usn, Mark { cookie: Vec::new(), usn: dse.usn }))
}

/// What changed since a mark.
///
/// # Errors
/// The server failed, or does not know the mark any more ([`LdapError::Refused`]).
pub fn changes(
    connection: &mut Connection,
    domain: &Domain,
    map: &AttributeMap,
    method: Method,
    mark: &Mark,
    dse: &RootDse,
) -> Result<Changed, LdapError> {
    if method == Method::Usn {
        return by_number(connection, domain, mark, dse);
    }
    let mut names = wanted(domain, map);
    names.retain(|name| name != "parentGUID");
    names.extend(["isDeleted", "pwdLastSet", "name"].map(str::to_owned));
    let mut changed = sync(connection, domain, method, &mark.cookie, Filter::everything(), &names)?;
    changed.mark.usn = dse.usn;
    Ok(changed)
}

/// Answers to one question about changes.
const ROUNDS: usize = 100_000;

fn sync(
    connection: &mut Connection,
    domain: &Domain,
    method: Method,
    cookie: &[u8],
    filter: Filter,
    attributes: &[String],
) -> Result<Changed, LdapError> {
    let flags = match method {
        Method::DirSync => controls::ANCESTORS_FIRST,
        Method::DirSyncAsSeen | Method::Usn => controls::ANCESTORS_FIRST | controls::OBJECT_SECURITY,
    };
    let search = Search { base: domain.dn.clone(), scope: Scope::Subtree, filter, attributes: attributes.to_vec() };
    let mut changed = Changed { mark: Mark { cookie: cookie.to_vec(), usn: 0 }, ..Changed::default() };
    for _ in 0..ROUNDS {
        let others = [controls::dirsync(flags, &changed.mark.cookie)];
        let objects = &mut changed.objects;
        let said = connection.search(&search, &others, None, &mut |entry| {
            note(objects, &entry);
            Ok(())
        })?;
        let synced = controls::synced(&said)?.ok_or_else(|| LdapError::Nonsense("it forgot the cookie".to_owned()))?;
        let is_stuck = synced.cookie == changed.mark.cookie;
        changed.mark.cookie = synced.cookie;
        if !synced.more {
            return Ok(changed);
        }
        if is_stuck {
            break;
        }
    }
    Err(LdapError::Nonsense("its changes do not end".to_owned()))
}

fn by_number(connection: &mut Connection, domain: &Domain, mark: &Mark, dse: &RootDse) -> Result<Changed, LdapError> {
    let search = Search {
        base: domain.dn.clone(),
        scope: Scope::Subtree,
        filter: Filter::AtLeast("uSNChanged".to_owned(), (mark.usn + 1).to_string().into_bytes()),
        attributes: ["objectGUID", "isDeleted"].map(str::to_owned).to_vec(),
    };
    let mut objects = BTreeMap::new();
    connection.search(&search, &[controls::show_deleted()], Some(500), &mut |entry| {
        note(&mut objects, &entry);
        Ok(())
    })?;
    // Whether a password is among the changes is not said.
    objects.values_mut().for_each(|touched: &mut Touched| touched.password = true);
    Ok(Changed { objects, mark: Mark { cookie: Vec::new(), usn: dse.usn } })
}

fn note(objects: &mut BTreeMap<Guid, Touched>, entry: &Entry) {
    let guid = entry.values("objectGUID").first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?)));
    let Some(guid) = guid else { return };
    let touched = objects.entry(guid).or_default();
    touched.deleted |= entry.text("isDeleted").is_some_and(|text| text.eq_ignore_ascii_case("TRUE"));
    touched.password |= !entry.values("pwdLastSet").is_empty();
}

/// Attributes of one object.
///
/// # Errors
/// The server failed, or has no such object for this account.
pub fn one(connection: &mut Connection, dn: &str, names: &[&str]) -> Result<Entry, LdapError> {
    let search = Search {
        base: dn.to_owned(),
        scope: Scope::Base,
        filter: Filter::everything(),
        attributes: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let entry = connection.find(&search, &[])?.into_iter().next();
    entry.ok_or_else(|| {
        let message = format!("{dn} cannot be seen");
        LdapError::Refused { what: "read", outcome: crate::message::Outcome { code: code::NO_SUCH_OBJECT, message } }
    })
}

/// Octets in hexadecimal.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Octets of hexadecimal text; none where it is none.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
