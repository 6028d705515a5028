//! The [`Snapshot`]: the whole directory at one version.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use acl::{Guid, SecurityDescriptor, Sid, SidId, well_known};
use message::CanonicalAddress;

use crate::attributes::{self, Syntax, number};
use crate::column::Paged;
use crate::doubt::Doubt;
use crate::edit::Edit;
use crate::index::{Index, hash};
use crate::kept::Kept;
use crate::links::Links;
use crate::object::{INDEXES, Which, name_key, rdn_key};
use crate::record::link_value;
use crate::shared::Shared;
use crate::token::TokenCache;
use crate::{
    AcceptedDomain, ChangeBatch, ChangeError, ChangeLog, Class, Config, Descriptor, Domain, LoadError, Loaded, Object,
    ObjectId, Problem, ReceiveConnector, Record, SendConnector, Time, Value, dn,
};

/// A snapshot and the log of the changes that led to it.
#[derive(Debug)]
pub struct Applied {
    /// The directory after the batch.
    pub snapshot: Snapshot,
    /// What happened; what a store makes durable.
    pub log: ChangeLog,
    /// What the batch leaves in a state that does not count: addresses with several owners, unreadable descriptors.
    pub problems: Vec<Problem>,
}

/// An immutable view of the whole directory. A copy is cheap, and so is the snapshot after a change: both share what
/// did not change.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) version: u64,
    pub(crate) out_of_date: bool,
    pub(crate) doubt: Arc<Doubt>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) objects: Paged<Option<Arc<Object>>>,
    pub(crate) live: usize,
    pub(crate) effective: Paged<Option<Arc<Descriptor>>>,
    pub(crate) mailbox: Paged<Option<Arc<Descriptor>>>,
    pub(crate) indexes: [Index; INDEXES],
    pub(crate) links: Links,
    pub(crate) view: Arc<ConfigView>,
    pub(crate) tokens: Arc<TokenCache>,
    pub(crate) kept: Arc<Kept>,
}

/// What is rebuilt whenever a domain or an object of the configuration changes.
#[derive(Debug, Default)]
pub(crate) struct ConfigView {
    /// Domains and objects with a [`Config`], in ascending order.
    pub(crate) objects: Vec<ObjectId>,
    pub(crate) domains: Vec<Domain>,
    /// Accepted domains by canonical name.
    pub(crate) accepted: HashMap<String, ObjectId, foldhash::fast::FixedState>,
    /// Those for everything below a domain, by its canonical name.
    pub(crate) wildcards: HashMap<String, ObjectId, foldhash::fast::FixedState>,
    pub(crate) organization: Option<ObjectId>,
}

impl Snapshot {
    /// A directory with nothing in it, version 0.
    pub fn empty() -> Snapshot {
        Snapshot {
            version: 0,
            out_of_date: false,
            doubt: Arc::default(),
            shared: Arc::default(),
            objects: Paged::new(),
            live: 0,
            effective: Paged::new(),
            mailbox: Paged::new(),
            indexes: Default::default(),
            links: Links::default(),
            view: Arc::default(),
            tokens: Arc::default(),
            kept: Arc::default(),
        }
    }

    /// Builds a snapshot of all records, in any order. `version` is that of the store.
    pub fn load(records: impl IntoIterator<Item = Record>, version: u64) -> Result<Loaded, LoadError> {
        crate::load::load(records, version)
    }

    /// The next snapshot; its version is one higher. All or nothing. Costs what the batch changes, inheritance and all.
    pub fn apply(&self, batch: &ChangeBatch) -> Result<Applied, ChangeError> {
        let mut edit = Edit::new(self);
        for change in &batch.changes {
            edit.change(change)?;
        }
        edit.finish()
    }

    /// Counts up with each batch.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether what it was taken from has not been heard of for too long: nothing may be decided on it.
    pub fn is_out_of_date(&self) -> bool {
        self.out_of_date
    }

    /// The same directory, out of date or not. Snapshots that follow from it are as it is.
    pub fn dated(mut self, out_of_date: bool) -> Snapshot {
        self.out_of_date = out_of_date;
        self
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.live
    }

    /// No objects at all?
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// All objects, in the order in which they came to be.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &Object)> + '_ {
        self.objects_after(None)
    }

    /// The objects that came to be after one, in the same order as [`Snapshot::objects`]; all objects after none. For
    /// pages: the next page costs what is on it, however many objects were before. The object to begin after may be gone
    /// by now, and a later snapshot may be asked: what was seen does not come again, and nothing is left out.
    pub fn objects_after(&self, after: Option<ObjectId>) -> impl Iterator<Item = (ObjectId, &Object)> + '_ {
        let first = after.map_or(0, |after| after.0.saturating_add(1));
        let rows = self.objects.iter_from(first as usize).zip(first..);
        rows.filter_map(|(object, row)| object.as_deref().map(|object| (ObjectId(row), object)))
    }

    /// The object in a row; none when it was deleted.
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0 as usize)?.as_deref()
    }

    /// The durable form of an object.
    pub fn record(&self, id: ObjectId) -> Option<Record> {
        let object = self.object(id)?;
        let mut attributes = object.attributes(&self.shared);
        for (number, name) in crate::links::kinds() {
            let values = self.link_values(id, number);
            if !values.is_empty() {
                attributes.insert(name.to_owned(), values);
            }
        }
        let parent = object.parent().and_then(|parent| self.object(parent)).map(Object::guid);
        Some(Record { guid: object.guid(), parent, rdn: object.rdn().to_owned(), attributes })
    }

    /// Values of one attribute, of back links and derived ones too; links as `<GUID=…>`.
    pub fn attribute(&self, id: ObjectId, name: &str) -> Vec<Value> {
        let Some(object) = self.object(id) else { return Vec::new() };
        if let Some(attribute) = attributes::by_back_link(name) {
            let sources = self.linked_from(id, attribute.name);
            return sources.iter().filter_map(|id| self.object(*id)).map(|object| link_value(&object.guid())).collect();
        }
        match attributes::by_name(name) {
            Some(attribute) if matches!(attribute.syntax, Syntax::Link(_)) => {
                attributes::number_of(name).map_or(Vec::new(), |number| self.link_values(id, number))
            }
            Some(attribute) if attribute.syntax == Syntax::Derived => match attribute.name {
                attributes::OBJECT_GUID => vec![object.guid().0.to_vec()],
                attributes::DISTINGUISHED_NAME => vec![self.dn(id).into_bytes()],
                attributes::NAME => vec![object.name().into_bytes()],
                naming => {
                    let matches = object.rdn().split('=').next().is_some_and(|own| own.eq_ignore_ascii_case(naming));
                    if matches { vec![object.name().into_bytes()] } else { Vec::new() }
                }
            },
            Some(attribute) => object.attributes(&self.shared).remove(attribute.name).unwrap_or_default(),
            None => object
                .attributes(&self.shared)
                .into_iter()
                .find(|(own, _)| own.eq_ignore_ascii_case(name))
                .map_or(Vec::new(), |(_, values)| values),
        }
    }

    /// By objectGUID.
    pub fn by_guid(&self, guid: &Guid) -> Option<ObjectId> {
        self.find(Which::Guid, hash(guid), |object| object.guid() == *guid)
    }

    /// By distinguished name, any spelling.
    pub fn by_dn(&self, dn: &str) -> Option<ObjectId> {
        let keys: Vec<String> = dn::parse(dn).ok()?.iter().map(dn::Rdn::key).collect();
        // The root of a naming context has several components; find it from the end, then go down.
        let (mut at, mut left) = (0..keys.len()).find_map(|split| {
            let root = keys[split..].join(",");
            Some((self.child(None, &root)?, split))
        })?;
        while left > 0 {
            left -= 1;
            at = self.child(Some(at), &keys[left])?;
        }
        Some(at)
    }

    /// The object of that name right below a parent. `key` is as [`rdn_key`] gives it.
    pub(crate) fn child(&self, parent: Option<ObjectId>, key: &str) -> Option<ObjectId> {
        self.find(Which::Name, name_key(parent, key), |object| {
            object.parent() == parent && rdn_key(object.rdn()) == key
        })
    }

    /// By objectSid; none when only foreign principals have it, several. Of the BUILTIN groups of several domains that of
    /// the root domain.
    pub fn by_sid(&self, sid: &Sid) -> Option<ObjectId> {
        self.by_sid_id(self.sid_id(sid)?)
    }

    /// The principal with that SID.
    pub fn by_sid_id(&self, sid: SidId) -> Option<ObjectId> {
        self.with_sid_in(sid, self.domains().first().map(|domain| domain.object))
    }

    /// The principal that a SID means on an object: BUILTIN groups exist in each domain, with the same SIDs.
    pub fn principal_on(&self, sid: &Sid, object: ObjectId) -> Option<ObjectId> {
        self.with_sid_in(self.sid_id(sid)?, self.domain_of(object).map(|domain| domain.object))
    }

    fn with_sid_in(&self, sid: SidId, domain: Option<ObjectId>) -> Option<ObjectId> {
        let all = self.with_sid(sid);
        if let [one] = all[..] {
            return Some(one);
        }
        let own = |id: &&ObjectId| self.object(**id).is_some_and(|object| object.class() != Class::ForeignPrincipal);
        let mut own = all.iter().filter(own);
        match (own.next(), own.next()) {
            (Some(one), None) => Some(*one),
            (Some(_), Some(_)) => all.into_iter().find(|id| self.domain_of(*id).map(|domain| domain.object) == domain),
            (None, _) => None,
        }
    }

    /// All objects with that SID: one, or foreign principals of several domains.
    pub(crate) fn with_sid(&self, sid: SidId) -> Vec<ObjectId> {
        self.index(Which::Sid).get(u64::from(sid.0)).into_iter().map(ObjectId).collect()
    }

    /// The DN; empty when there is no such object.
    pub fn dn(&self, id: ObjectId) -> String {
        let rdns: Vec<&str> = self.path(id).into_iter().filter_map(|id| self.object(id)).map(Object::rdn).collect();
        rdns.join(",")
    }

    /// For people: `example.com/Staff/Carla Owens`.
    pub fn canonical_name(&self, id: ObjectId) -> String {
        let path = self.path(id);
        let at = |id: &ObjectId| self.object(*id);
        let domain = path.iter().position(|id| at(id).is_some_and(|object| object.class() == Class::Domain));
        let domain = domain.unwrap_or(path.len());
        let names = path[..domain].iter().rev().filter_map(at).map(|object| object.name().replace('/', "\\/"));
        let root = path.get(domain).map(|id| dn::domain_name(&dn::parse(&self.dn(*id)).unwrap_or_default()));
        root.into_iter().chain(names).collect::<Vec<_>>().join("/")
    }

    /// The object and its ancestors, itself first.
    pub(crate) fn path(&self, id: ObjectId) -> Vec<ObjectId> {
        let mut path = Vec::new();
        let mut at = self.object(id).map(|_| id);
        while let Some(id) = at {
            path.push(id);
            at = self.object(id).and_then(Object::parent);
        }
        path
    }

    /// Whether an object is another one or somewhere below it.
    pub fn is_below(&self, id: ObjectId, above: ObjectId) -> bool {
        self.path(id).contains(&above)
    }

    /// Objects right below.
    pub fn children(&self, id: ObjectId) -> impl Iterator<Item = ObjectId> + '_ {
        self.index(Which::Children).get(u64::from(id.0)).into_iter().map(ObjectId)
    }

    /// The object and everything below it, parents first, other naming contexts (child domains) left out.
    pub fn subtree(&self, id: ObjectId) -> Vec<ObjectId> {
        let mut found = vec![id];
        let mut next = 0;
        while let Some(id) = found.get(next).copied() {
            next += 1;
            let inner = self
                .children(id)
                .filter(|child| self.object(*child).is_some_and(|child| !child.class().is_naming_context()));
            found.extend(inner);
        }
        found
    }

    /// When the next time-bound grant ends; none when there is no such grant.
    pub fn next_expiry(&self) -> Option<Time> {
        let index = self.index(Which::Expiring);
        let first = index.keys(0, u64::MAX).find(|key| !index.get(*key).is_empty())?;
        Some(Time(i64::try_from(first).unwrap_or(i64::MAX)))
    }

    /// Objects with time-bound grants that have ended at a time.
    pub fn expired(&self, now: Time) -> BTreeSet<ObjectId> {
        let index = self.index(Which::Expiring);
        let Ok(now) = u64::try_from(now.0) else { return BTreeSet::new() };
        index.keys(0, now).flat_map(|key| index.get(key)).map(ObjectId).collect()
    }

    /// The effective descriptor; none when it could not be read (nothing is granted).
    pub fn descriptor(&self, id: ObjectId) -> Option<&Descriptor> {
        self.effective.get(id.0 as usize)?.as_deref()
    }

    /// The explicit part, as it is durable; none when it could not be read.
    pub fn explicit_descriptor(&self, id: ObjectId) -> Option<Arc<SecurityDescriptor>> {
        self.object(id)?.explicit.as_ref()?.parse().map(Arc::new)
    }

    /// The effective mailbox descriptor of a mailbox owner (authorization.md §6).
    pub fn mailbox_descriptor(&self, id: ObjectId) -> Option<&Descriptor> {
        self.mailbox.get(id.0 as usize)?.as_deref()
    }

    /// The explicit part of the mailbox descriptor, also of a mailbox without an owner: SELF where nothing was ever set.
    /// None: no mailbox, or unreadable.
    pub fn explicit_mailbox_descriptor(&self, id: ObjectId) -> Option<Arc<SecurityDescriptor>> {
        let object = self.object(id)?;
        object.carried_mailbox()?;
        match &object.mailbox_explicit {
            Some(explicit) => explicit.parse().map(Arc::new),
            None => Some(Arc::new(crate::mailbox::default_descriptor())),
        }
    }

    /// The object on which an ACE of the effective descriptor is explicit: the object itself or an ancestor.
    pub fn ace_origin(&self, id: ObjectId, ace: usize) -> ObjectId {
        crate::inheritance::origin(self, id, ace)
    }

    /// The object on which an ACE of the effective mailbox descriptor is explicit: the owner, or database, server,
    /// organization, ….
    pub fn mailbox_ace_origin(&self, id: ObjectId, ace: usize) -> ObjectId {
        crate::mailbox::origin(self, id, ace)
    }

    /// The accepted domain that a domain (any spelling) falls under: the exact one, else the longest wildcard.
    pub fn accepted_domain(&self, domain: &str) -> Option<&AcceptedDomain> {
        match self.object(self.accepted_domain_id(domain)?)?.config() {
            Some(Config::AcceptedDomain(domain)) => Some(domain),
            _ => None,
        }
    }

    /// The object of [`Snapshot::accepted_domain`].
    pub fn accepted_domain_id(&self, domain: &str) -> Option<ObjectId> {
        if self.view.accepted.is_empty() && self.view.wildcards.is_empty() {
            return None;
        }
        self.accepted_id(&message::canonical_domain(domain)?)
    }

    /// The accepted domain that an address falls under.
    pub fn accepted_domain_of(&self, address: &CanonicalAddress) -> Option<&AcceptedDomain> {
        match self.object(self.accepted_id(address.domain())?)?.config() {
            Some(Config::AcceptedDomain(domain)) => Some(domain),
            _ => None,
        }
    }

    /// By canonical name.
    fn accepted_id(&self, name: &str) -> Option<ObjectId> {
        let wildcard = || {
            if self.view.wildcards.is_empty() {
                return None;
            }
            let mut parent = name;
            loop {
                parent = &parent[parent.bytes().position(|byte| byte == b'.')? + 1..];
                if let Some(found) = self.view.wildcards.get(parent) {
                    return Some(*found);
                }
            }
        };
        self.view.accepted.get(name).copied().or_else(wildcard)
    }

    /// All accepted domains.
    pub fn accepted_domains(&self) -> impl Iterator<Item = (ObjectId, &AcceptedDomain)> + '_ {
        self.configuration().filter_map(|(id, config)| match config {
            Config::AcceptedDomain(domain) => Some((id, domain)),
            _ => None,
        })
    }

    /// All receive connectors.
    pub fn receive_connectors(&self) -> impl Iterator<Item = (ObjectId, &ReceiveConnector)> + '_ {
        self.configuration().filter_map(|(id, config)| match config {
            Config::ReceiveConnector(connector) => Some((id, connector)),
            _ => None,
        })
    }

    /// All send connectors.
    pub fn send_connectors(&self) -> impl Iterator<Item = (ObjectId, &SendConnector)> + '_ {
        self.configuration().filter_map(|(id, config)| match config {
            Config::SendConnector(connector) => Some((id, connector)),
            _ => None,
        })
    }

    /// Objects of the configuration partition that say something.
    pub fn configuration(&self) -> impl Iterator<Item = (ObjectId, &Config)> + '_ {
        self.view.objects.iter().filter_map(|id| Some((*id, self.object(*id)?.config()?)))
    }

    /// The domains, the root domain first.
    pub fn domains(&self) -> &[Domain] {
        &self.view.domains
    }

    /// The domain that an object is in; the root domain for objects of the configuration partition.
    pub fn domain_of(&self, id: ObjectId) -> Option<&Domain> {
        let mut at = Some(id);
        while let Some(id) = at {
            if let Some(domain) = self.view.domains.iter().find(|domain| domain.object == id) {
                return Some(domain);
            }
            at = self.object(id)?.parent();
        }
        None
    }

    /// The root of the forest that an object is in: the topmost domain above it. A directory may hold several forests
    /// (an imported one beside its own).
    pub fn forest_root(&self, id: ObjectId) -> Option<&Domain> {
        let path = self.path(id);
        path.iter().rev().find_map(|id| self.view.domains.iter().find(|domain| domain.object == *id))
    }

    /// The organization object, if there is one.
    pub fn organization(&self) -> Option<ObjectId> {
        self.view.organization
    }

    /// The nearest object of a class on the way up, the object itself included.
    pub fn ancestor(&self, id: ObjectId, class: Class) -> Option<ObjectId> {
        self.path(id).into_iter().find(|id| self.object(*id).is_some_and(|object| object.class() == class))
    }

    /// The number of a SID; none when no descriptor or object ever named it.
    pub fn sid_id(&self, sid: &Sid) -> Option<SidId> {
        self.shared.sids.get(sid)
    }

    /// The number of the SID of Exchange 2003 servers, which tokens of members of ExchangeLegacyInterop hold.
    pub fn legacy_exchange_servers(&self) -> SidId {
        *self.shared.legacy_servers.get_or_init(|| self.shared.sids.intern(&well_known::LEGACY_EXCHANGE_SERVERS))
    }

    /// The SID of a number.
    pub fn sid(&self, id: SidId) -> Sid {
        self.shared.sids.sid(id)
    }

    /// Whether an object has lists of senders that may, or may not, send to it (`authOrig` and its kin).
    pub fn has_sender_lists(&self, id: ObjectId) -> bool {
        const LISTS: [u16; 4] = [number::AUTH_ORIG, number::UNAUTH_ORIG, number::SUBMIT_PERMS, number::REJECT_PERMS];
        LISTS.iter().any(|number| self.links.has(*number, id))
    }

    /// Targets of a link attribute.
    pub fn links(&self, id: ObjectId, attribute: &str) -> Vec<ObjectId> {
        attributes::number_of(attribute).map_or(Vec::new(), |number| self.links.targets(number, id))
    }

    /// Objects whose link attribute has this one as a target.
    pub fn linked_from(&self, id: ObjectId, attribute: &str) -> Vec<ObjectId> {
        attributes::number_of(attribute).map_or(Vec::new(), |number| self.links.sources(number, id))
    }

    /// publicDelegates.
    pub fn delegates(&self, owner: ObjectId) -> Vec<ObjectId> {
        self.links.targets(number::PUBLIC_DELEGATES, owner)
    }

    /// Links as `<GUID=…>`, sorted.
    pub(crate) fn link_values(&self, id: ObjectId, number: u16) -> Vec<Value> {
        let targets = self.links.targets(number, id);
        let mut values: Vec<Value> =
            targets.iter().filter_map(|id| self.object(*id)).map(|object| link_value(&object.guid())).collect();
        values.sort_unstable();
        values
    }

    pub(crate) fn index(&self, which: Which) -> &Index {
        &self.indexes[which as usize]
    }

    /// The first object with that key that really is it.
    pub(crate) fn find(&self, which: Which, key: u64, is_it: impl Fn(&Object) -> bool) -> Option<ObjectId> {
        let rows = self.index(which).get(key);
        rows.into_iter().map(ObjectId).find(|id| self.object(*id).is_some_and(&is_it))
    }

    /// All objects with that key that really are it.
    pub(crate) fn find_all(&self, which: Which, key: u64, is_it: impl Fn(&Object) -> bool) -> Vec<ObjectId> {
        let rows = self.index(which).get(key);
        rows.into_iter().map(ObjectId).filter(|id| self.object(*id).is_some_and(&is_it)).collect()
    }

    /// The view for these domains and configuration objects.
    pub(crate) fn config_view(&self, objects: Vec<ObjectId>) -> ConfigView {
        let mut view = ConfigView { objects, ..ConfigView::default() };
        for id in &view.objects {
            let Some(object) = self.object(*id) else { continue };
            match object.config() {
                Some(Config::AcceptedDomain(domain)) => {
                    let names = if domain.wildcard { &mut view.wildcards } else { &mut view.accepted };
                    names.entry(domain.name.clone()).or_insert(*id);
                }
                Some(Config::Organization(_)) => view.organization = view.organization.or(Some(*id)),
                _ => {}
            }
            if let (Class::Domain, Some(sid)) = (object.class(), object.sid()) {
                let dns_name = dn::domain_name(&dn::parse(&self.dn(*id)).unwrap_or_default());
                let short = || dns_name.split('.').next().unwrap_or("").to_uppercase();
                let netbios_name = object.text(number::NETBIOS_NAME).map_or_else(short, str::to_owned);
                view.domains.push(Domain { object: *id, dns_name, netbios_name, sid: self.sid(sid), is_root: false });
            }
        }
        // The root domain is the one that holds the organization, else the topmost and oldest.
        let home = view.organization.map(|id| self.path(id)).unwrap_or_default();
        view.domains
            .sort_by_key(|domain| (!home.contains(&domain.object), self.path(domain.object).len(), domain.object));
        if let Some(root) = view.domains.first_mut() {
            root.is_root = true;
        }
        view
    }
}
