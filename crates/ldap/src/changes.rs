//! What changed at a domain controller: by DirSync (MS-ADTS 3.1.1.3.4.1.3), or by the number of each change.

use std::collections::BTreeMap;

use acl::Guid;
use directory::import::AttributeMap;
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, LdapError};
use crate::controller::{Domain, RootDse, wanted};
use crate::controls;
use crate::message::{Entry, Filter, Scope, Search};

/// How changes are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// DirSync with the right to replicate: deletions are seen at once.
    #[default]
    DirSync,
    /// DirSync with what the account may see: of deletions it is told where the account may see deleted objects, which by
    /// default administrators alone may (Microsoft's KB 892806).
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
pub fn since(
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
    let mut objects = all_that(connection, domain, since_number(mark.usn.saturating_add(1)))?;
    // Whether a password is among the changes is not said.
    objects.values_mut().for_each(|touched| touched.password = true);
    Ok(Changed { objects, mark: Mark { cookie: Vec::new(), usn: dse.usn } })
}

/// How many deleted accounts of a domain can be seen as [`since`] would see them by their numbers.
///
/// # Errors
/// The server failed.
pub fn tombstones(connection: &mut Connection, domain: &Domain) -> Result<usize, LdapError> {
    let deleted = Filter::equal("isDeleted", "TRUE");
    let filter = Filter::And(vec![deleted, Filter::equal("objectClass", "user"), since_number(1)]);
    Ok(all_that(connection, domain, filter)?.values().filter(|touched| touched.deleted).count())
}

fn since_number(usn: u64) -> Filter {
    Filter::AtLeast("uSNChanged".to_owned(), usn.to_string().into_bytes())
}

/// What of a domain this holds for, what was deleted too.
fn all_that(
    connection: &mut Connection,
    domain: &Domain,
    filter: Filter,
) -> Result<BTreeMap<Guid, Touched>, LdapError> {
    let search = Search {
        base: domain.dn.clone(),
        scope: Scope::Subtree,
        filter,
        attributes: ["objectGUID", "isDeleted"].map(str::to_owned).to_vec(),
    };
    let mut objects = BTreeMap::new();
    connection.search(&search, &controls::show_deleted(), Some(500), &mut |entry| {
        note(&mut objects, &entry);
        Ok(())
    })?;
    Ok(objects)
}

fn note(objects: &mut BTreeMap<Guid, Touched>, entry: &Entry) {
    let guid = entry.values("objectGUID").first().and_then(|value| Some(Guid(value.as_slice().try_into().ok()?)));
    let Some(guid) = guid else { return };
    let touched = objects.entry(guid).or_default();
    touched.deleted |= entry.text("isDeleted").is_some_and(|text| text.eq_ignore_ascii_case("TRUE"));
    touched.password |= !entry.values("pwdLastSet").is_empty();
}
