//! Work with one domain controller: who it is, and everything that it holds.

use std::collections::{BTreeSet, HashSet};

use acl::{Guid, Sid};
use directory::attributes as a;
use directory::import::{AttributeMap, Source};
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, LdapError};
use crate::controls;
use crate::found::{ACCOUNT_EXPIRES, Found, found, range};
use crate::lockout::Policy;
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
    /// Policies of single accounts and groups.
    #[serde(default)]
    pub policies: Vec<Policy>,
    /// Attributes of ours that its forest's schema has and the global catalog, which is all that tells of it, does not hold.
    #[serde(default)]
    pub lacks: BTreeSet<String>,
    /// Partitions below it that are not it: child domains, the configuration. A global catalog finds them too.
    #[serde(default)]
    pub outside: Vec<String>,
}

impl Domain {
    /// objectGUID of the domain object.
    pub fn guid(&self) -> Guid {
        self.guid.parse().unwrap_or(Guid([0; 16]))
    }
}

/// A domain of a forest, as its configuration partition names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its DN.
    pub dn: String,
    /// Its short name.
    pub netbios: String,
    /// Its DNS name.
    pub dns: String,
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
/// Those of them that are links.
pub(crate) fn links() -> impl Iterator<Item = &'static str> {
    ATTRIBUTES.into_iter().filter(|name| crate::mirror::is_link(name))
}

/// Classes of which a domain may have very many objects, without any below them and without any meaning for mail.
const PASSED_OVER: [&str; 3] = ["dnsNode", "linkTrackOMTEntry", "printQueue"];
/// Objects that are read again in one search.
const TOGETHER: usize = 50;

/// What is asked of every object.
pub(crate) fn wanted(domain: &Domain, map: &AttributeMap) -> Vec<String> {
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

/// Reads what the domain of a domain controller is.
///
/// # Errors
/// The server failed, or the account may not read the domain object.
pub fn domain(connection: &mut Connection, dse: &RootDse, map: &AttributeMap) -> Result<Domain, LdapError> {
    let schema = schema(connection, dse, map)?;
    let mut domain = described(connection, dse, &dse.domain)?;
    domain.theirs = schema.known;
    domain.theirs.extend(map.entries.iter().map(|(ours, _)| a::canonical_name(ours).into_owned()));
    Ok(domain)
}

/// Reads what the global catalog knows of a domain of its forest.
///
/// # Errors
/// As [`domain`].
pub fn domain_in_catalog(
    connection: &mut Connection,
    dse: &RootDse,
    dn: &str,
    map: &AttributeMap,
) -> Result<Domain, LdapError> {
    let schema = schema(connection, dse, map)?;
    let mut domain = described(connection, dse, dn)?;
    domain.theirs = schema.known.intersection(&schema.in_catalog).cloned().collect();
    domain.lacks = schema.known.difference(&schema.in_catalog).cloned().collect();
    for (ours, from) in &map.entries {
        let ours = a::canonical_name(ours).into_owned();
        if sources(from).iter().all(|name| name.eq_ignore_ascii_case("objectGUID") || schema.in_catalog.contains(name))
        {
            domain.lacks.remove(&ours);
            domain.theirs.insert(ours);
        } else if !domain.theirs.contains(&ours) {
            domain.lacks.insert(ours);
        }
    }
    let below = format!(",{}", dn.to_ascii_lowercase());
    let partitions =
        partitions(connection, dse)?.into_iter().filter_map(|entry| entry.text(PARTITION).map(str::to_owned));
    domain.outside = partitions.filter(|own| own.to_ascii_lowercase().ends_with(&below)).collect();
    Ok(domain)
}

fn described(connection: &mut Connection, dse: &RootDse, dn: &str) -> Result<Domain, LdapError> {
    let names = ["objectGUID", "objectSid", "lockoutThreshold", "lockOutObservationWindow"];
    let entry = one(connection, dn, &names)?;
    let guid = entry.values("objectGUID").first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?)));
    let sid = entry.values("objectSid").first().and_then(|value| Sid::parse(value).ok());
    let (Some(guid), Some((sid, _))) = (guid, sid) else {
        return Err(LdapError::Nonsense(format!("the account may not read objectGUID and objectSid of {dn}")));
    };
    let netbios = members(connection, dse).unwrap_or_default();
    let netbios = netbios.into_iter().find(|member| member.dn.eq_ignore_ascii_case(dn)).map(|member| member.netbios);
    let window = entry.text("lockOutObservationWindow").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    Ok(Domain {
        dn: dn.to_owned(),
        guid: guid.to_string(),
        sid: sid.to_string(),
        netbios: netbios.unwrap_or_default(),
        configuration: dse.configuration.clone(),
        root: dse.root.clone(),
        lockout_threshold: entry.text("lockoutThreshold").and_then(|text| text.parse().ok()).unwrap_or(0),
        // Negative, in 100 nanoseconds.
        lockout_window: window.unsigned_abs() / 10_000_000,
        ..Domain::default()
    })
}

/// The DN of a partition, in the object that describes it.
const PARTITION: &str = "nCName";
/// systemFlags of such an object: it is a domain (MS-ADTS 2.2.10, FLAG_CR_NTDS_DOMAIN).
const IS_DOMAIN: i64 = 2;

/// The domains of the forest, as far as the account may read which there are.
///
/// # Errors
/// The server failed.
pub fn members(connection: &mut Connection, dse: &RootDse) -> Result<Vec<Member>, LdapError> {
    let is_domain = |entry: &Entry| {
        entry.text("systemFlags").and_then(|text| text.parse::<i64>().ok()).is_some_and(|flags| flags & IS_DOMAIN != 0)
    };
    let text = |entry: &Entry, name: &str| entry.text(name).unwrap_or_default().to_owned();
    let found = partitions(connection, dse)?.into_iter().filter(is_domain).map(|entry| Member {
        dn: text(&entry, PARTITION),
        netbios: text(&entry, a::NETBIOS_NAME),
        dns: text(&entry, "dnsRoot"),
    });
    Ok(found.filter(|member| !member.dn.is_empty()).collect())
}

/// What the configuration says of the forest's partitions.
fn partitions(connection: &mut Connection, dse: &RootDse) -> Result<Vec<Entry>, LdapError> {
    let search = Search {
        base: format!("CN=Partitions,{}", dse.configuration),
        scope: Scope::One,
        filter: Filter::equal("objectClass", "crossRef"),
        attributes: [PARTITION, a::NETBIOS_NAME, "dnsRoot", "systemFlags"].map(str::to_owned).to_vec(),
    };
    connection.find(&search, &[])
}

/// Attributes that we read.
struct Schema {
    /// Those of ours that the schema has.
    known: BTreeSet<String>,
    /// Those of them and of the map's sources that a global catalog holds of objects of other domains.
    in_catalog: BTreeSet<String>,
}

fn schema(connection: &mut Connection, dse: &RootDse, map: &AttributeMap) -> Result<Schema, LdapError> {
    const NAME: &str = "lDAPDisplayName";
    let mapped: BTreeSet<String> = map.entries.iter().flat_map(|(_, from)| sources(from)).collect();
    let names = ATTRIBUTES.iter().copied().chain(mapped.iter().map(String::as_str));
    let search = Search {
        base: dse.schema.clone(),
        scope: Scope::One,
        filter: Filter::Or(names.map(|name| Filter::equal(NAME, name)).collect()),
        attributes: [NAME, "isMemberOfPartialAttributeSet"].map(str::to_owned).to_vec(),
    };
    let found = connection.find(&search, &[])?;
    let mut schema = Schema { known: BTreeSet::new(), in_catalog: BTreeSet::new() };
    for entry in &found {
        let Some(name) = entry.text(NAME) else { continue };
        let in_catalog = entry.text("isMemberOfPartialAttributeSet").is_some_and(|is| is.eq_ignore_ascii_case("TRUE"));
        let ours = a::canonical_name(name).into_owned();
        if in_catalog {
            schema.in_catalog.extend([ours.clone()]);
            schema.in_catalog.extend(mapped.iter().filter(|own| own.eq_ignore_ascii_case(name)).cloned());
        }
        if ATTRIBUTES.contains(&ours.as_str()) {
            schema.known.insert(ours);
        }
    }
    if !schema.known.contains(a::OBJECT_SID) {
        return Err(LdapError::Nonsense(format!("the account may not read the schema ({})", dse.schema)));
    }
    Ok(schema)
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

/// The objectGUIDs of everything that [`load`] would find, which costs a third of it.
///
/// # Errors
/// The server failed half way: nothing of it counts then.
pub fn present(connection: &mut Connection, domain: &Domain, page: u32) -> Result<HashSet<Guid>, LdapError> {
    let search = Search {
        base: domain.dn.clone(),
        scope: Scope::Subtree,
        filter: kept(),
        attributes: vec!["objectGUID".to_owned()],
    };
    let outside = outside(domain);
    let mut there = HashSet::new();
    connection.search(&search, &[], Some(page), &mut |entry| {
        if !is_outside(&outside, &entry) {
            there.extend(
                entry.values("objectGUID").first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?))),
            );
        }
        Ok(())
    })?;
    Ok(there)
}

/// The ends of DNs of what a catalog finds below a domain and is not of it.
fn outside(domain: &Domain) -> Vec<String> {
    domain.outside.iter().map(|dn| format!(",{}", dn.to_ascii_lowercase())).collect()
}

fn is_outside(outside: &[String], entry: &Entry) -> bool {
    // Only a catalog finds what is below other partitions.
    let dn = if outside.is_empty() { return false } else { format!(",{}", crate::found::plain_dn(&entry.dn)) };
    outside.iter().any(|below| dn.to_ascii_lowercase().ends_with(below))
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
    let outside = outside(domain);
    connection.search(search, &others, page, &mut |entry| {
        if is_outside(&outside, &entry) {
            return Ok(());
        }
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
        let endless = || LdapError::Nonsense(format!("the values of {name} of {dn} do not end"));
        loop {
            let from = upper.checked_add(1).ok_or_else(endless)?;
            let search = Search {
                base: dn.clone(),
                scope: Scope::Base,
                filter: Filter::everything(),
                attributes: vec![format!("{name};range={from}-*")],
            };
            let found = connection.find(&search, &[controls::extended_dn()])?.into_iter().next().unwrap_or_default();
            let next = found
                .attributes
                .into_iter()
                .find(|(own, _)| range(own).is_some_and(|(own, _)| own.eq_ignore_ascii_case(&name)));
            // Some of the values are not all of them: whom they leave out, a denial would not reach.
            let Some((description, values)) = next else {
                return Err(LdapError::Nonsense(format!("it does not tell the rest of the values of {name} of {dn}")));
            };
            let end = range(&description).and_then(|(_, upper)| upper);
            entry.attributes.push((description, values));
            match end {
                Some(next) if next > upper => upper = next,
                Some(_) => return Err(endless()),
                None => break,
            }
        }
    }
    Ok(())
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
