//! From an LDIF dump of a real directory to changes.
//!
//! What a dump has and we have not is dropped: back links, replication data, password hashes. What cannot be read is
//! left out and reported. Nothing that is missing ever becomes a grant: an object that came out of a directory (it
//! has an objectGUID or objectSid) without its security descriptor becomes unreadable, and only entries written by hand
//! get the default descriptor of their class.

mod linked;
mod links;
mod unknown;
mod values;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;

use acl::{Guid, SddlContext, SecurityDescriptor, Sid, well_known};

use crate::attributes::{self, Syntax};
use crate::descriptor::readable;
use crate::dn::{self, Rdn};
pub use crate::ldif::{Dump, DumpError};
use crate::ldif::{Entry, EntryChange, LdifError, Modification, Operation, Place, Texts};
use crate::object::{Identity, Which, rdn_key};
use crate::shared::Shared;
use crate::{Change, Class, Object, ObjectId, Record, Snapshot, Value};

/// How attributes of a dump become ours. An entry is used where the object lacks the attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributeMap {
    /// Ours, and where it comes from; of several for one attribute the first that gives a value.
    pub entries: Vec<(String, Source)>,
}

/// Where an attribute's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Another attribute of the object, `objectGUID` too.
    Attribute(String),
    /// Text with attributes in braces: `{sAMAccountName}@example.com`; for users only. Nothing when one of them is
    /// absent or the result is no value of the attribute.
    Template(String),
}

/// What an import will do and what it will not.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// To be applied in this order, in as many batches as one likes: objects with parents first, then links.
    pub changes: Vec<Change>,
    /// Number of new objects.
    pub added: usize,
    /// Number of changed objects.
    pub modified: usize,
    /// What was left out, and why, in words, with the line of the entry.
    pub warnings: Vec<Warning>,
}

/// Something left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line of the entry, from 1.
    pub line: usize,
    /// DN of the entry.
    pub dn: String,
    /// What and why.
    pub text: String,
}

/// What a plan amounts to, besides its changes.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Number of new objects.
    pub added: usize,
    /// Number of changed objects.
    pub modified: usize,
    /// What was left out, and why, in words, with the line of the entry.
    pub warnings: Vec<Warning>,
}

/// Turns LDIF into changes of `snapshot`. `new_guid` gives GUIDs to entries without one.
pub fn changes(
    ldif: &[u8],
    map: &AttributeMap,
    snapshot: &Snapshot,
    new_guid: &mut dyn FnMut() -> Guid,
) -> Result<Import, LdifError> {
    let mut changes = Vec::new();
    let mut take = |change| {
        changes.push(change);
        Ok(())
    };
    let mut ldif = ldif;
    match plan(&mut ldif, map, snapshot, new_guid, &mut take) {
        Ok(Summary { added, modified, warnings }) => Ok(Import { changes, added, modified, warnings }),
        Err(DumpError::Ldif(error)) => Err(error),
        // Memory can always be read.
        Err(DumpError::Io(error)) => Err(LdifError { line: 0, message: error.to_string() }),
    }
}

/// The same for a file of any size, whose changes are handed to `take` as they are found, in their order: neither the file
/// nor the changes are held in memory.
///
/// # Errors
/// What is wrong with the file, what its medium says, what `take` returns.
pub fn plan(
    dump: &mut dyn Dump,
    map: &AttributeMap,
    snapshot: &Snapshot,
    new_guid: &mut dyn FnMut() -> Guid,
    take: &mut dyn FnMut(Change) -> io::Result<()>,
) -> Result<Summary, DumpError> {
    let mut importer = Importer::new(snapshot, map);
    let mut places: Vec<(usize, Place)> = Vec::new();
    let mut modified: Vec<Place> = Vec::new();
    let mut telling: Vec<values::Source> = Vec::new();
    let mut texts = Texts::of(dump);
    while let Some(place) = texts.next()? {
        let Some(entry) = place.entry(texts.bytes())? else { continue };
        if !matches!(entry.change, EntryChange::Add(_)) {
            modified.push(place);
            continue;
        }
        let Some(source) = importer.read(entry) else { continue };
        places.push((source.rdns.len(), place));
        telling.extend(importer.telling(source));
    }
    // Parents first; entries of one depth as they came.
    places.sort_by_key(|(depth, _)| *depth);
    telling.sort_by_key(|source| source.rdns.len());
    importer.note_netbios_names(&telling);
    importer.note_forests(&telling);
    drop(telling);
    let mut buffer = Vec::new();
    // The objects of the file with links, and which of them the directory had.
    let mut linking: Vec<(Place, Guid, Option<ObjectId>)> = Vec::new();
    for (_, place) in places {
        let Some(source) = importer.read_again(place.read(dump, &mut buffer)?) else { continue };
        let Some(Planned { guid, existing, has_links, change }) = importer.object(source, new_guid) else { continue };
        change.map_or(Ok(()), &mut *take)?;
        if has_links {
            linking.push((place, guid, existing));
        }
    }
    // Links when all objects are known.
    for (place, guid, existing) in linking {
        let Some(mut source) = importer.read_again(place.read(dump, &mut buffer)?) else { continue };
        importer.apply_map(&mut source);
        for (attribute, values) in source.take_links() {
            let links = links::Links { line: source.line, dn: &source.dn, guid, existing, attribute, values };
            importer.link(links).map_or(Ok(()), &mut *take)?;
        }
    }
    importer.tell_unknown();
    for place in modified {
        if let Some(entry) = place.read(dump, &mut buffer)? {
            importer.change(&entry).into_iter().try_for_each(&mut *take)?;
        }
    }
    Ok(importer.summary)
}

/// What becomes of an object of the file, its links apart.
struct Planned {
    guid: Guid,
    /// Its row, when the directory had it before.
    existing: Option<ObjectId>,
    has_links: bool,
    change: Option<Change>,
}

struct Importer<'a> {
    snapshot: &'a Snapshot,
    map: &'a AttributeMap,
    summary: Summary,
    /// Objects of the file by the key of their DN.
    by_name: HashMap<String, Guid>,
    by_guid: HashMap<Guid, Class>,
    by_sid: HashMap<Sid, Guid>,
    /// Logon names by domain, UPNs and mailboxes of the file.
    taken: HashSet<(&'static str, Guid, String)>,
    /// SID of each domain of the file.
    domains: HashMap<Guid, Sid>,
    /// The forest root of each domain of the file, by their SIDs: what EA and SA stand for in SDDL.
    roots: HashMap<Sid, Sid>,
    netbios: HashMap<String, Value>,
    forests: linked::Forests,
    unknown: unknown::Unknown,
    /// For building objects on trial.
    scratch: Shared,
}

impl<'a> Importer<'a> {
    fn new(snapshot: &'a Snapshot, map: &'a AttributeMap) -> Importer<'a> {
        Importer {
            snapshot,
            map,
            summary: Summary::default(),
            by_name: HashMap::new(),
            by_guid: HashMap::new(),
            by_sid: HashMap::new(),
            taken: HashSet::new(),
            domains: HashMap::new(),
            roots: HashMap::new(),
            netbios: HashMap::new(),
            forests: linked::Forests::default(),
            unknown: unknown::Unknown::default(),
            scratch: Shared::default(),
        }
    }

    fn warn(&mut self, line: usize, dn: &str, text: impl Into<String>) {
        self.summary.warnings.push(Warning { line, dn: dn.to_owned(), text: text.into() });
    }

    /// Reads an entry once more: what there is to say about it was said the first time.
    fn read_again(&mut self, entry: Option<Entry>) -> Option<values::Source> {
        let said = self.summary.warnings.len();
        let source = entry.and_then(|entry| self.read(entry));
        self.summary.warnings.truncate(said);
        source
    }

    /// What has to be known of an entry before any object is made: which SIDs are groups, which are domains, and their
    /// short names. Nothing of most entries.
    fn telling(&mut self, mut source: values::Source) -> Option<values::Source> {
        self.forests.are_wanted |= source.attributes.contains_key(attributes::MASTER_ACCOUNT_SID);
        if !matches!(source.class, Class::Group | Class::Domain) && !source.attributes.contains_key("nCName") {
            return None;
        }
        let kept = ["nCName", attributes::NETBIOS_NAME, attributes::OBJECT_SID];
        source.attributes.retain(|name, _| kept.contains(&name.as_str()));
        Some(source)
    }

    /// The short names of domains stand on crossRef objects of the configuration partition.
    fn note_netbios_names(&mut self, sources: &[values::Source]) {
        for source in sources {
            let names = source.attributes.get("nCName").and_then(|values| values.first());
            let context = names.and_then(|name| std::str::from_utf8(name).ok()).and_then(|name| dn::parse(name).ok());
            let short = source.attributes.get(attributes::NETBIOS_NAME).and_then(|values| values.first());
            if let (Some(context), Some(short)) = (context, short) {
                self.netbios.insert(key(&context), short.clone());
            }
        }
    }

    /// One object of the file.
    fn object(&mut self, mut source: values::Source, new_guid: &mut dyn FnMut() -> Guid) -> Option<Planned> {
        let (line, name) = (source.line, source.dn.clone());
        let known = source.guid.and_then(|guid| self.snapshot.by_guid(&guid)).or_else(|| self.snapshot.by_dn(&name));
        let own_key = key(&source.rdns);
        if self.by_name.contains_key(&own_key) {
            self.warn(line, &name, "the file has this object twice; the first counts");
            return None;
        }
        self.count_unknown(&source);
        self.apply_map(&mut source);
        if source.class == Class::Domain
            && let Some(short) = self.netbios.get(&own_key)
        {
            source.attributes.entry(attributes::NETBIOS_NAME.to_owned()).or_insert_with(|| vec![short.clone()]);
        }
        match known {
            Some(id) => self.existing(id, source, own_key),
            None => self.new_object(source, own_key, new_guid),
        }
    }

    fn new_object(
        &mut self,
        mut source: values::Source,
        own_key: String,
        new_guid: &mut dyn FnMut() -> Guid,
    ) -> Option<Planned> {
        let (line, name) = (source.line, source.dn.clone());
        let above = &source.rdns[1..];
        let parent =
            self.locate(&key(above)).or_else(|| self.snapshot.by_dn(&dn::join(above)).and_then(|id| self.guid_of(id)));
        if parent.is_none()
            && !(source.class.is_naming_context() && source.is_from_directory())
            && source.class != Class::Domain
        {
            let text = format!("left out: its parent {} is neither in the file nor in the directory", dn::join(above));
            self.warn(line, &name, text);
            return None;
        }
        let guid = source.guid.filter(|guid| !self.by_guid.contains_key(guid)).unwrap_or_else(new_guid);
        let domain = self.domain_above(parent);
        if !self.free_sid(&mut source, guid, domain) {
            return None;
        }
        self.drop_taken(&mut source, domain, None);
        self.drop_refused_link(&mut source, guid, domain, None);
        self.complete_descriptor(&mut source, domain);
        let rdn = if parent.is_some() { source.rdns[0].to_string() } else { dn::join(&source.rdns) };
        self.drop_unreadable_configuration(&mut source, guid, &rdn);
        self.register(&source, guid, own_key, domain);
        let has_links = !source.take_links().is_empty();
        let record = Record { guid, parent, rdn, attributes: source.attributes };
        self.summary.added += 1;
        Some(Planned { guid, existing: None, has_links, change: Some(Change::Add(record)) })
    }

    /// An object that the directory has: attributes of the file replace its own.
    fn existing(&mut self, id: ObjectId, mut source: values::Source, own_key: String) -> Option<Planned> {
        let guid = self.guid_of(id)?;
        let (line, name) = (source.line, source.dn.clone());
        let domain = self.snapshot.domain_of(id).and_then(|domain| self.guid_of(domain.object));
        let now = self.snapshot.record(id).map(|record| record.attributes).unwrap_or_default();
        let sid = |attributes: &BTreeMap<String, Vec<Value>>| attributes.get(attributes::OBJECT_SID).cloned();
        if let (Some(theirs), Some(ours)) = (sid(&source.attributes), sid(&now))
            && theirs != ours
        {
            let text = "the directory has another object of this name, with another SID; left out (start from an \
                organization without that domain, or rename it)";
            self.warn(line, &name, text);
            return None;
        }
        self.register(&source, guid, own_key, domain);
        self.drop_taken(&mut source, domain, Some(id));
        self.drop_refused_link(&mut source, guid, domain, Some(id));
        if source.attributes.contains_key(attributes::DESCRIPTOR) {
            self.complete_descriptor(&mut source, domain);
        }
        source.attributes.remove(attributes::OBJECT_CLASS);
        let rdn = self.snapshot.object(id).map_or(String::new(), |object| object.rdn().to_owned());
        self.drop_unreadable_configuration(&mut source, guid, &rdn);
        let has_links = !source.take_links().is_empty();
        let changed: Vec<(String, Vec<Value>)> =
            source.attributes.into_iter().filter(|(name, values)| now.get(name) != Some(values)).collect();
        let change = (!changed.is_empty()).then_some(Change::Modify { guid, attributes: changed });
        self.summary.modified += usize::from(change.is_some());
        Some(Planned { guid, existing: Some(id), has_links, change })
    }

    fn register(&mut self, source: &values::Source, guid: Guid, own_key: String, domain: Option<Guid>) {
        self.by_name.insert(own_key, guid);
        self.by_guid.insert(guid, source.class);
        let sid = source.sid();
        if let Some(sid) = &sid {
            self.by_sid.entry(sid.clone()).or_insert(guid);
        }
        let above = self.domain_sid(domain);
        match (source.class, sid, above) {
            (Class::Domain, Some(sid), _) => drop(self.domains.insert(guid, sid)),
            // So that objects below find their domain in one step.
            (_, _, Some(sid)) => drop(self.domains.insert(guid, sid)),
            _ => {}
        }
    }

    /// The root of the forest that a domain is in: the topmost domain above it.
    fn forest_root(&self, sid: &Sid) -> Sid {
        if let Some(root) = self.roots.get(sid) {
            return root.clone();
        }
        let domain = self.snapshot.domains().iter().find(|domain| domain.sid == *sid);
        domain
            .and_then(|domain| self.snapshot.forest_root(domain.object))
            .map_or_else(|| sid.clone(), |root| root.sid.clone())
    }

    /// The domain's SID stands with every object of the file below it; this is whose it is.
    fn domain_above(&self, parent: Option<Guid>) -> Option<Guid> {
        let parent = parent?;
        if self.domains.contains_key(&parent) {
            return Some(parent);
        }
        let id = self.snapshot.by_guid(&parent)?;
        self.snapshot.domain_of(id).and_then(|domain| self.guid_of(domain.object))
    }

    fn domain_sid(&self, domain: Option<Guid>) -> Option<Sid> {
        let domain = domain?;
        if let Some(sid) = self.domains.get(&domain) {
            return Some(sid.clone());
        }
        let id = self.snapshot.by_guid(&domain)?;
        self.snapshot.domain_of(id).map(|domain| domain.sid.clone())
    }

    /// A SID belongs to one object, foreign principals aside, and BUILTIN groups, which exist once in each domain with the
    /// same SIDs and count in their own domain only.
    fn free_sid(&mut self, source: &mut values::Source, guid: Guid, domain: Option<Guid>) -> bool {
        let Some(sid) = source.sid() else { return true };
        if source.class == Class::ForeignPrincipal {
            return true;
        }
        let builtin = sid.domain() == Some(well_known::BUILTIN);
        let scope = self.scope(domain);
        let in_file = match builtin {
            true => !self.taken.insert((attributes::OBJECT_SID, scope, sid.to_string())),
            false => self.by_sid.get(&sid).is_some_and(|other| *other != guid),
        };
        let own = self.domain_sid(domain);
        let apart = |id: ObjectId| builtin && self.snapshot.domain_of(id).map(|domain| &domain.sid) != own.as_ref();
        let held = self.snapshot.sid_id(&sid).map(|sid| self.snapshot.with_sid(sid)).unwrap_or_default();
        let held = held.into_iter().any(|id| {
            let other = |object: &Object| object.class() != Class::ForeignPrincipal && object.guid() != guid;
            self.snapshot.object(id).is_some_and(other) && !apart(id)
        });
        if !in_file && !held {
            return true;
        }
        let (line, name) = (source.line, source.dn.clone());
        self.warn(line, &name, format!("left out: another object has the SID {sid}"));
        false
    }

    /// What stands for a domain where names are unique in a domain only.
    fn scope(&self, domain: Option<Guid>) -> Guid {
        let mut scope = [0; 16];
        if let Some(sid) = self.domain_sid(domain) {
            scope[..8].copy_from_slice(&crate::index::hash(&sid).to_le_bytes());
        }
        Guid(scope)
    }

    /// Drops logon names, UPNs and mailboxes that belong to another object.
    fn drop_taken(&mut self, source: &mut values::Source, domain: Option<Guid>, own: Option<ObjectId>) {
        let anywhere = Guid([0; 16]);
        let scope = self.scope(domain);
        for (attribute, scope, which) in [
            (attributes::SAM_ACCOUNT_NAME, scope, Which::Sam),
            (attributes::USER_PRINCIPAL_NAME, anywhere, Which::Upn),
            (attributes::MAILBOX_GUID, anywhere, Which::Mailbox),
        ] {
            let Some(value) = source.attributes.get(attribute).and_then(|values| values.first()).cloned() else {
                continue;
            };
            let text = match attribute {
                attributes::MAILBOX_GUID => value.iter().map(|byte| format!("{byte:02x}")).collect(),
                _ => dn::folded(&String::from_utf8_lossy(&value)),
            };
            let rival = self.holder(which, &value, &text, domain).filter(|id| Some(*id) != own);
            if rival.is_none() && self.taken.insert((attribute, scope, text)) {
                continue;
            }
            source.attributes.remove(attribute);
            let (line, name) = (source.line, source.dn.clone());
            self.warn(line, &name, format!("{attribute} left out: another object has the same"));
        }
    }

    /// Who has that value in the directory.
    fn holder(&self, which: Which, value: &[u8], folded: &str, domain: Option<Guid>) -> Option<ObjectId> {
        if which == Which::Mailbox {
            let guid = Guid(value.try_into().ok()?);
            return self
                .snapshot
                .find(which, crate::index::hash(&guid), |object| object.carried_mailbox() == Some(guid));
        }
        let text = |object: &Object| match which {
            Which::Sam => object.sam_account_name().map(dn::folded),
            _ => object.upn().map(dn::folded),
        };
        let found = self.snapshot.find_all(which, crate::index::hash(folded), |o| text(o).as_deref() == Some(folded));
        let wanted = self.domain_sid(domain);
        found
            .into_iter()
            .find(|id| which == Which::Upn || self.snapshot.domain_of(*id).map(|domain| domain.sid.clone()) == wanted)
    }

    /// The explicit part of the descriptor, in binary; empty when it is missing or cannot be read.
    fn complete_descriptor(&mut self, source: &mut values::Source, domain: Option<Guid>) {
        let given = source.attributes.remove(attributes::DESCRIPTOR).and_then(|values| values.into_iter().next());
        let own_sid = if source.class == Class::Domain { source.sid() } else { None };
        let bytes = match given {
            None if source.is_from_directory() => {
                let (line, name) = (source.line, source.dn.clone());
                self.warn(
                    line,
                    &name,
                    "has no nTSecurityDescriptor (dump it with the right to read it): nothing is granted on it",
                );
                Value::new()
            }
            None => return,
            Some(given) => {
                let above = self.domain_sid(domain);
                if let Some(own) = &own_sid {
                    let root = above.as_ref().map_or_else(|| own.clone(), |above| self.forest_root(above));
                    self.roots.insert(own.clone(), root);
                }
                let domain = own_sid.or(above);
                let root = domain.as_ref().map(|domain| self.forest_root(domain));
                let context = SddlContext { domain, root_domain: root, lenient: true };
                match descriptor(&given, &context) {
                    Ok(bytes) => bytes,
                    Err(reason) => {
                        let (line, name) = (source.line, source.dn.clone());
                        self.warn(
                            line,
                            &name,
                            format!("the nTSecurityDescriptor cannot be read ({reason}): nothing is granted on it"),
                        );
                        Value::new()
                    }
                }
            }
        };
        source.attributes.insert(attributes::DESCRIPTOR.to_owned(), vec![bytes]);
    }

    /// Configuration of a real Exchange may say what we cannot do; such attributes are left out.
    fn drop_unreadable_configuration(&mut self, source: &mut values::Source, guid: Guid, rdn: &str) {
        loop {
            let identity = Identity { guid, parent: None, rdn, database: None };
            let mut fault = None;
            Object::build(&self.scratch, identity, &source.attributes, &mut |attribute, reason| {
                fault.get_or_insert((attribute.to_owned(), reason));
            });
            let Some((attribute, reason)) = fault else { return };
            let (line, name) = (source.line, source.dn.clone());
            self.warn(line, &name, format!("{attribute} left out: {reason}"));
            if source.attributes.remove(&attribute).is_none() {
                // What the name alone makes unreadable is no configuration.
                source.attributes.insert(attributes::OBJECT_CLASS.to_owned(), vec![b"top".to_vec()]);
                source.class = Class::Other;
            }
        }
    }

    /// `modify`, `delete` and `modrdn` records.
    fn change(&mut self, entry: &Entry) -> Vec<Change> {
        let rdns = dn::parse(&entry.dn).unwrap_or_default();
        let Some(guid) =
            self.locate(&key(&rdns)).or_else(|| self.snapshot.by_dn(&entry.dn).and_then(|id| self.guid_of(id)))
        else {
            self.warn(entry.line, &entry.dn, "left out: there is no such object");
            return Vec::new();
        };
        let changes = match &entry.change {
            EntryChange::Add(_) => Vec::new(),
            EntryChange::Delete => vec![Change::Delete { guid }],
            EntryChange::Rename { rdn, parent, .. } => {
                let above = parent.clone().unwrap_or_else(|| dn::join(rdns.get(1..).unwrap_or_default()));
                let found = dn::parse(&above).ok().and_then(|rdns| self.locate(&key(&rdns)));
                let found = found.or_else(|| self.snapshot.by_dn(&above).and_then(|id| self.guid_of(id)));
                let Some(parent) = found else {
                    self.warn(entry.line, &entry.dn, format!("left out: there is no {above}"));
                    return Vec::new();
                };
                vec![Change::Move { guid, parent, rdn: rdn.clone() }]
            }
            EntryChange::Modify(modifications) => {
                modifications.iter().for_each(|modification| self.tell_copy_written(entry, &modification.attribute));
                modifications.iter().map(|modification| modified(guid, modification)).collect()
            }
        };
        self.summary.modified += 1;
        changes
    }

    fn locate(&self, key: &str) -> Option<Guid> {
        self.by_name.get(key).copied()
    }

    fn guid_of(&self, id: ObjectId) -> Option<Guid> {
        self.snapshot.object(id).map(Object::guid)
    }
}

fn modified(guid: Guid, modification: &Modification) -> Change {
    let (attribute, values) = (modification.attribute.clone(), modification.values.clone());
    match modification.operation {
        Operation::Replace => Change::Modify { guid, attributes: vec![(attribute, values)] },
        Operation::Delete if values.is_empty() => Change::Modify { guid, attributes: vec![(attribute, values)] },
        Operation::Delete => Change::Values { guid, attribute, add: Vec::new(), remove: values },
        Operation::Add => Change::Values { guid, attribute, add: values, remove: Vec::new() },
    }
}

/// What DNs are compared by.
fn key(rdns: &[Rdn]) -> String {
    rdn_key(&dn::join(rdns))
}

/// A descriptor as AD gives it, binary or SDDL, without what it inherits.
fn descriptor(given: &[u8], context: &SddlContext) -> Result<Value, String> {
    let text = std::str::from_utf8(given).ok().filter(|text| {
        let text = text.trim_start();
        ["O:", "G:", "D:", "S:"].iter().any(|start| text.starts_with(start))
    });
    let sd = match text {
        Some(text) => SecurityDescriptor::from_sddl(text.trim(), context).map_err(|error| error.to_string())?,
        None => SecurityDescriptor::parse(given).map_err(|error| error.to_string())?,
    };
    let mut bytes = acl::explicit_part(&sd).to_bytes();
    bytes.shrink_to_fit();
    if readable(&bytes).is_none() {
        return Err("it has no DACL".to_owned());
    }
    Ok(bytes)
}

/// Whether an attribute is a link.
fn is_link(name: &str) -> bool {
    attributes::by_name(name).is_some_and(|attribute| matches!(attribute.syntax, Syntax::Link(_)))
}
