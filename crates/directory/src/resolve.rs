//! Finding objects by what people and messages call them.

use acl::{Guid, Sid, well_known};
use message::CanonicalAddress;
use thiserror::Error;

use crate::dn::folded;
use crate::index::hash;
use crate::object::Which;
use crate::{Class, Domain, Object, ObjectId, Snapshot, attributes, dn};

/// Whose address it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressOwner {
    /// Nobody's.
    Nobody,
    /// One object's.
    One(ObjectId),
    /// Claimed by several objects: no proof (authorization.md §4).
    Several(Vec<ObjectId>),
}

/// Why a name stands for no single object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is called that.
    #[error("nothing is called “{0}”")]
    Unknown(String),
    /// Several objects are.
    #[error("“{name}” is ambiguous: {} objects are called that", candidates.len())]
    Ambiguous {
        /// The name.
        name: String,
        /// The objects, at most 50.
        candidates: Vec<ObjectId>,
    },
}

/// Most candidates that an error carries.
const CANDIDATES: usize = 50;

impl Snapshot {
    /// Whose address it is: exact first, then without +tag where the domain has subaddressing, then by the domain that
    /// the accepted domain is an alias of.
    pub fn by_address(&self, address: &CanonicalAddress) -> AddressOwner {
        let exact = self.exact_address(address);
        if exact != AddressOwner::Nobody {
            return exact;
        }
        let Some(domain) = self.accepted_domain_of(address) else { return exact };
        let untagged = address.without_tag().filter(|_| domain.subaddressing);
        if let Some(untagged) = &untagged {
            let owner = self.exact_address(untagged);
            if owner != AddressOwner::Nobody {
                return owner;
            }
        }
        let Some(target) = &domain.alias_of else { return AddressOwner::Nobody };
        let subaddressing = domain.subaddressing || self.accepted_domain(target).is_some_and(|d| d.subaddressing);
        let owner = address.with_domain(target).map_or(AddressOwner::Nobody, |other| self.exact_address(&other));
        if owner != AddressOwner::Nobody || !subaddressing {
            return owner;
        }
        let untagged = address.without_tag().and_then(|address| address.with_domain(target));
        untagged.map_or(AddressOwner::Nobody, |other| self.exact_address(&other))
    }

    /// Who gets mail for an address: whose address it is, or else the catch-all of its accepted domain. Nobody sends as an
    /// address that a catch-all answers for: for senders ask [`Snapshot::by_address`].
    pub fn recipient(&self, address: &CanonicalAddress) -> AddressOwner {
        match self.by_address(address) {
            AddressOwner::Nobody => self.catch_all(address.domain()).map_or(AddressOwner::Nobody, AddressOwner::One),
            owner => owner,
        }
    }

    /// Who gets mail for addresses of a domain that nobody has, where the accepted domain names somebody.
    pub fn catch_all(&self, domain: &str) -> Option<ObjectId> {
        self.links(self.accepted_domain_id(domain)?, attributes::CATCH_ALL).first().copied()
    }

    fn exact_address(&self, address: &CanonicalAddress) -> AddressOwner {
        let mut owners = self.index(Which::Address).get(hash(address.as_str()));
        owners.retain(|row| self.object(ObjectId(*row)).is_some_and(|object| object.owns(address)));
        match owners.as_slice() {
            [] => AddressOwner::Nobody,
            [one] => AddressOwner::One(ObjectId(*one)),
            _ => AddressOwner::Several(owners.into_iter().map(ObjectId).collect()),
        }
    }

    /// By anything people use: DN, GUID, SID, mail address, `DOMAIN\name`, UPN, sAMAccountName, container path
    /// (`example.com/Staff/Carla Owens`), display name or name. The first of these that fits decides.
    pub fn resolve(&self, name: &str) -> Result<ObjectId, NameError> {
        let name = name.trim();
        let candidates = self.candidates(name);
        match candidates.as_slice() {
            [] => Err(NameError::Unknown(name.to_owned())),
            [one] => Ok(*one),
            _ => Err(NameError::Ambiguous {
                name: name.to_owned(),
                candidates: candidates.into_iter().take(CANDIDATES).collect(),
            }),
        }
    }

    fn candidates(&self, name: &str) -> Vec<ObjectId> {
        if let Ok(guid) = name.trim_matches(['{', '}']).parse::<Guid>() {
            return self.by_guid(&guid).into_iter().collect();
        }
        if let Ok(sid) = name.parse::<Sid>() {
            return self.sid_id(&sid).map(|sid| self.with_sid(sid)).unwrap_or_default();
        }
        if name.contains('=')
            && let Some(id) = self.by_dn(name)
        {
            return vec![id];
        }
        if let Some((domain, user)) = name.split_once('\\') {
            return self.qualified(domain, user);
        }
        type Finder = fn(&Snapshot, &str) -> Vec<ObjectId>;
        let finders: [Finder; 5] = [
            Snapshot::candidates_by_address,
            Snapshot::with_upn,
            |snapshot, name| snapshot.with_sam(name, None),
            |snapshot, path| snapshot.by_path(path).into_iter().collect(),
            Snapshot::with_label,
        ];
        finders.iter().map(|find| find(self, name)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn candidates_by_address(&self, name: &str) -> Vec<ObjectId> {
        let Some(address) = name.contains('@').then(|| CanonicalAddress::parse(name).ok()).flatten() else {
            return Vec::new();
        };
        match self.by_address(&address) {
            AddressOwner::Nobody => Vec::new(),
            AddressOwner::One(id) => vec![id],
            AddressOwner::Several(ids) => ids,
        }
    }

    /// The account that a logon name stands for: `DOMAIN\name`, UPN, primary address, or sAMAccountName in the root
    /// domain. None where it stands for nothing, for several accounts, or for something that cannot log on.
    pub fn resolve_login(&self, name: &str) -> Option<ObjectId> {
        let mut found = match name.split_once('\\') {
            Some((domain, user)) => self.qualified(domain, user),
            None if name.contains('@') => {
                let mut found = self.with_upn(name);
                if let Ok(address) = CanonicalAddress::parse(name) {
                    let primary =
                        |object: &Object| object.primary_address().is_some_and(|own| own.canonical() == address);
                    found.extend(self.find_all(Which::Address, hash(address.as_str()), primary));
                }
                found
            }
            None => self.with_sam(name, self.domains().first()),
        };
        found.retain(|id| self.object(*id).is_some_and(|object| object.class().is_account()));
        found.sort_unstable();
        found.dedup();
        match found.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The account that has this SID as its own (not in its history); none where several claim it.
    pub fn account_with_sid(&self, sid: &Sid) -> Option<ObjectId> {
        let wanted = self.sid_id(sid)?;
        let mut found = self.with_sid(wanted);
        found.retain(|id| self.object(*id).is_some_and(|o| o.class().is_account() && o.sid() == Some(wanted)));
        match found.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The SID that a trustee's name stands for: an object's by any name, or a well-known one (`NT AUTHORITY\SELF`,
    /// `SELF`, `MS Exchange\Partner Servers`). A SID in text needs no object.
    pub fn resolve_sid(&self, name: &str) -> Result<Sid, NameError> {
        let name = name.trim();
        if let Ok(sid) = name.parse::<Sid>() {
            return Ok(sid);
        }
        if let Some((sid, ..)) = well_known_names().find(|(_, domain, short)| {
            short.eq_ignore_ascii_case(name)
                || name
                    .split_once('\\')
                    .is_some_and(|(d, n)| d.eq_ignore_ascii_case(domain) && n.eq_ignore_ascii_case(short))
        }) {
            return Ok(sid);
        }
        let sid = self.resolve(name).map(|id| self.object(id).and_then(Object::sid))?;
        sid.map(|sid| self.sid(sid)).ok_or_else(|| NameError::Unknown(name.to_owned()))
    }

    /// `EXAMPLE\bob`, `NT AUTHORITY\SELF`, or the SID where nothing has it.
    pub fn sid_name(&self, sid: &Sid) -> String {
        if let Some((_, domain, name)) = well_known_names().find(|(known, ..)| known == sid) {
            return if domain.is_empty() { name.to_owned() } else { format!("{domain}\\{name}") };
        }
        let standing = self.sid_id(sid).map(|sid| self.with_sid(sid)).unwrap_or_default();
        let named = standing
            .into_iter()
            .filter(|id| self.object(*id).is_some_and(|object| object.class() != Class::ForeignPrincipal));
        let Some((id, object)) = named.filter_map(|id| Some((id, self.object(id)?))).next() else {
            return sid.to_string();
        };
        let name = object.sam_account_name().map_or_else(|| object.name(), str::to_owned);
        if well_known::BUILTIN == sid.domain().unwrap_or(well_known::NULL) {
            return format!("BUILTIN\\{name}");
        }
        match self.domain_of(id) {
            Some(domain) => format!("{}\\{name}", domain.netbios_name),
            None => name,
        }
    }

    /// `DOMAIN\name`, where the domain is named by its short or its DNS name; `BUILTIN\name`.
    fn qualified(&self, domain: &str, name: &str) -> Vec<ObjectId> {
        if domain.eq_ignore_ascii_case("BUILTIN") {
            let builtin = |id: &ObjectId| {
                let sid = self.object(*id).and_then(Object::sid).map(|sid| self.sid(sid));
                sid.and_then(|sid| sid.domain()) == Some(well_known::BUILTIN)
            };
            return self.with_sam(name, None).into_iter().filter(builtin).collect();
        }
        let named =
            |own: &&Domain| own.netbios_name.eq_ignore_ascii_case(domain) || own.dns_name.eq_ignore_ascii_case(domain);
        self.domains().iter().find(named).map_or(Vec::new(), |domain| self.with_sam(name, Some(domain)))
    }

    fn with_sam(&self, name: &str, domain: Option<&Domain>) -> Vec<ObjectId> {
        let wanted = folded(name);
        let is_it = |object: &Object| object.sam_account_name().is_some_and(|own| folded(own) == wanted);
        let mut found = self.find_all(Which::Sam, hash(wanted.as_str()), is_it);
        if let Some(domain) = domain {
            found.retain(|id| self.domain_of(*id).is_some_and(|own| own.object == domain.object));
        }
        found
    }

    fn with_upn(&self, name: &str) -> Vec<ObjectId> {
        let wanted = folded(name);
        self.find_all(Which::Upn, hash(wanted.as_str()), |object| object.upn().is_some_and(|own| folded(own) == wanted))
    }

    fn with_label(&self, name: &str) -> Vec<ObjectId> {
        let wanted = folded(name);
        self.find_all(Which::Label, hash(wanted.as_str()), |object| {
            object.display_name().is_some_and(|own| folded(own) == wanted) || folded(&object.name()) == wanted
        })
    }

    /// `example.com/Staff/Carla Owens`; `\/` stands for a slash in a name.
    fn by_path(&self, path: &str) -> Option<ObjectId> {
        let mut parts = split_path(path).into_iter();
        let domain = parts.next()?;
        let mut at = self.domains().iter().find(|own| own.dns_name.eq_ignore_ascii_case(&domain))?.object;
        for part in parts.filter(|part| !part.is_empty()) {
            let below = ["CN", "OU", "DC"].into_iter();
            at =
                below.map(|kind| dn::Rdn::new(kind, part.as_str()).key()).find_map(|key| self.child(Some(at), &key))?;
        }
        Some(at)
    }
}

fn split_path(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = path.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            ('\\', Some(part)) if chars.peek() == Some(&'/') => {
                chars.next();
                part.push('/');
            }
            ('/', _) => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// SIDs whose names do not come from objects: SID, domain, name.
fn well_known_names() -> impl Iterator<Item = (Sid, &'static str, &'static str)> {
    const NT: &str = "NT AUTHORITY";
    const MS: &str = "MS Exchange";
    const BUILTIN: &str = "BUILTIN";
    [
        (well_known::EVERYONE, "", "Everyone"),
        (well_known::CREATOR_OWNER, "", "CREATOR OWNER"),
        (well_known::CREATOR_GROUP, "", "CREATOR GROUP"),
        (well_known::OWNER_RIGHTS, "", "OWNER RIGHTS"),
        (well_known::NETWORK, NT, "NETWORK"),
        (well_known::ANONYMOUS_LOGON, NT, "ANONYMOUS LOGON"),
        (well_known::ENTERPRISE_DOMAIN_CONTROLLERS, NT, "ENTERPRISE DOMAIN CONTROLLERS"),
        (well_known::SELF, NT, "SELF"),
        (well_known::AUTHENTICATED_USERS, NT, "Authenticated Users"),
        (well_known::THIS_ORGANIZATION, NT, "This Organization"),
        (well_known::SYSTEM, NT, "SYSTEM"),
        (well_known::BUILTIN_ADMINISTRATORS, BUILTIN, "Administrators"),
        (well_known::BUILTIN_USERS, BUILTIN, "Users"),
        (well_known::BUILTIN_GUESTS, BUILTIN, "Guests"),
        (well_known::BUILTIN_ACCOUNT_OPERATORS, BUILTIN, "Account Operators"),
        (well_known::BUILTIN_SERVER_OPERATORS, BUILTIN, "Server Operators"),
        (well_known::BUILTIN_PRINT_OPERATORS, BUILTIN, "Print Operators"),
        (well_known::BUILTIN_BACKUP_OPERATORS, BUILTIN, "Backup Operators"),
        (well_known::BUILTIN_REPLICATOR, BUILTIN, "Replicator"),
        (well_known::BUILTIN_PRE_WINDOWS_2000, BUILTIN, "Pre-Windows 2000 Compatible Access"),
        (well_known::BUILTIN_WINDOWS_AUTHORIZATION, BUILTIN, "Windows Authorization Access Group"),
        (well_known::PARTNER_SERVERS, MS, "Partner Servers"),
        (well_known::HUB_SERVERS, MS, "Hub Transport Servers"),
        (well_known::EDGE_SERVERS, MS, "Edge Transport Servers"),
        (well_known::EXTERNALLY_SECURED_SERVERS, MS, "Externally Secured Servers"),
        (well_known::LEGACY_EXCHANGE_SERVERS, MS, "Legacy Exchange Servers"),
    ]
    .into_iter()
}
