//! Records for a new organization and for the objects that administrators make.

use std::net::SocketAddr;

use acl::{AccessMask, Ace, AceFlags, Guid, SecurityDescriptor, Sid, names, well_known};

use crate::attributes as a;
use crate::config::{AuthMechanisms, IpRange};
use crate::dn::{self, Rdn};
use crate::object::Which;
use crate::record::link_value;
use crate::{Change, Class, GroupScope, GroupType, ObjectId, Record, Snapshot, Value, defaults};

/// What a new organization is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// DNS name of the domain: `example.com`.
    pub domain: String,
    /// Short name of the domain: `EXAMPLE`.
    pub netbios: String,
    /// SID of the domain: `S-1-5-21-…`, chosen at random by the caller.
    pub domain_sid: Sid,
    /// Name of the organization: `First Organization`.
    pub organization: String,
    /// Name of the server object: `MAIL`.
    pub server: String,
    /// Fully qualified name of the server.
    pub server_fqdn: String,
}

/// A connector of the new organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnector {
    /// `Client MAIL`.
    pub name: String,
    /// Usage type, which gives authentication and ranges.
    pub usage: Usage,
    /// Where it listens.
    pub bindings: Vec<SocketAddr>,
    /// Explicit ACEs: trustee and extended right, as permission groups have them.
    pub grants: Vec<(Sid, Guid)>,
}

/// Usage types of receive connectors (S2, facts 3.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// Mail clients: TLS, Basic after TLS.
    Client,
    /// Anybody: TLS.
    Internet,
    /// TLS, and nothing granted yet.
    Custom,
}

/// Name of the administrative group that Exchange 2007 and later has.
const ADMINISTRATIVE_GROUP: &str = "Exchange Administrative Group (FYDIBOHF23SPDLT)";
/// Name of its routing group.
const ROUTING_GROUP: &str = "Exchange Routing Group (DWBGZMFD01QNBJR)";
/// Where receive connectors are, below a server.
const RECEIVE_CONNECTORS: [&str; 2] = ["Protocols", "SMTP Receive Connectors"];
/// Where send connectors are, below it.
const CONNECTIONS: &str = "Connections";
/// RIDs of the organization's own groups, and the first that is free after them.
const ORGANIZATION_MANAGEMENT: u32 = 1101;
const EXCHANGE_SERVERS: u32 = 1102;
const LEGACY_INTEROP: u32 = 1103;
const NEXT_RID: u32 = 1104;

/// The changes that make an organization out of nothing: domain with its usual containers and groups, AdminSDHolder,
/// Configuration partition with organization, server, database and connectors, and the domain as accepted domain.
pub fn new_organization(names: &Names, connectors: &[NewConnector], new_guid: &mut dyn FnMut() -> Guid) -> Vec<Change> {
    Builder { names, edge: false, own_domain: true, new_guid, changes: Vec::new() }.build(connectors)
}

/// The same for a server at the border: its directory is its own, it holds no mailboxes, and the recipients of the domain
/// are somewhere behind it (internal relay).
pub fn new_edge_organization(names: &Names, new_guid: &mut dyn FnMut() -> Guid) -> Vec<Change> {
    Builder { names, edge: true, own_domain: true, new_guid, changes: Vec::new() }.build(&[])
}

/// The same in a domain that is there already, and is kept elsewhere: only what is below Configuration. `names.domain_sid`
/// is that domain's SID, `names.domain` the first accepted domain.
pub fn new_organization_in(domain: Guid, names: &Names, new_guid: &mut dyn FnMut() -> Guid) -> Vec<Change> {
    let mut builder = Builder { names, edge: false, own_domain: false, new_guid, changes: Vec::new() };
    builder.configuration(domain, &[]);
    builder.changes
}

struct Builder<'a> {
    names: &'a Names,
    edge: bool,
    /// The domain, with the organization's groups, is made too.
    own_domain: bool,
    new_guid: &'a mut dyn FnMut() -> Guid,
    changes: Vec<Change>,
}

impl Builder<'_> {
    fn build(mut self, connectors: &[NewConnector]) -> Vec<Change> {
        let domain = self.domain();
        self.builtin(domain);
        self.configuration(domain, connectors);
        self.changes
    }

    /// The domain, its containers and global groups.
    fn domain(&mut self) -> Guid {
        let guid = (self.new_guid)();
        let record = Record::new(guid, None, dn::of_domain(&self.names.domain));
        let record = of_class(record, Class::Domain)
            .with(a::OBJECT_SID, self.names.domain_sid.to_bytes())
            .with(a::NETBIOS_NAME, self.names.netbios.as_str())
            .with(a::NEXT_RID, NEXT_RID.to_string());
        self.changes.push(Change::Add(record));
        let users = self.container(guid, "Users");
        self.container(guid, "Computers");
        let system = self.container(guid, "System");
        let template = defaults::admin_sd_holder(&self.names.domain_sid, &self.names.domain_sid);
        self.add(system, Class::Container, "AdminSDHolder", |record| record.with(a::DESCRIPTOR, template));
        for (name, rid, scope) in [
            ("Domain Admins", 512, GroupScope::Global),
            ("Domain Users", 513, GroupScope::Global),
            ("Domain Guests", 514, GroupScope::Global),
            ("Domain Computers", 515, GroupScope::Global),
            ("Domain Controllers", 516, GroupScope::Global),
            ("Schema Admins", 518, GroupScope::Universal),
            ("Enterprise Admins", 519, GroupScope::Universal),
        ] {
            self.domain_group(users, name, rid, scope);
        }
        let unit = self.add(guid, Class::OrganizationalUnit, "Microsoft Exchange Security Groups", |record| record);
        for (name, rid) in [
            ("Organization Management", ORGANIZATION_MANAGEMENT),
            ("Exchange Servers", EXCHANGE_SERVERS),
            ("ExchangeLegacyInterop", LEGACY_INTEROP),
        ] {
            self.domain_group(unit, name, rid, GroupScope::Universal);
        }
        guid
    }

    /// CN=Builtin and CN=ForeignSecurityPrincipals.
    fn builtin(&mut self, domain: Guid) {
        let foreign = self.container(domain, "ForeignSecurityPrincipals");
        let everybody = well_known::AUTHENTICATED_USERS;
        let authenticated = self.add(foreign, Class::ForeignPrincipal, &everybody.to_string(), |record| {
            record.with(a::OBJECT_SID, everybody.to_bytes())
        });
        let builtin = self.add(domain, Class::BuiltinDomain, "Builtin", |record| record);
        let admins: Vec<Value> =
            [512, 519].iter().filter_map(|rid| self.names.domain_sid.with_rid(*rid)).map(by_sid).collect();
        let users = vec![link_value(&authenticated)].into_iter();
        let users: Vec<Value> = users.chain(self.names.domain_sid.with_rid(513).map(by_sid)).collect();
        for (name, sid, members) in [
            ("Administrators", well_known::BUILTIN_ADMINISTRATORS, admins),
            ("Users", well_known::BUILTIN_USERS, users),
            (
                "Guests",
                well_known::BUILTIN_GUESTS,
                self.names.domain_sid.with_rid(514).map(by_sid).into_iter().collect(),
            ),
            ("Account Operators", well_known::BUILTIN_ACCOUNT_OPERATORS, Vec::new()),
            ("Server Operators", well_known::BUILTIN_SERVER_OPERATORS, Vec::new()),
            ("Print Operators", well_known::BUILTIN_PRINT_OPERATORS, Vec::new()),
            ("Backup Operators", well_known::BUILTIN_BACKUP_OPERATORS, Vec::new()),
            ("Replicator", well_known::BUILTIN_REPLICATOR, Vec::new()),
            (
                "Pre-Windows 2000 Compatible Access",
                well_known::BUILTIN_PRE_WINDOWS_2000,
                vec![link_value(&authenticated)],
            ),
        ] {
            // 0x1: made by the system.
            let kind = GroupType(GroupType::security(GroupScope::DomainLocal).0 | 1);
            self.add(builtin, Class::Group, name, |record| {
                record
                    .with(a::OBJECT_SID, sid.to_bytes())
                    .with(a::SAM_ACCOUNT_NAME, name)
                    .with(a::GROUP_TYPE, kind.0.to_string())
                    .with_all(a::MEMBER, members)
            });
        }
    }

    /// CN=Configuration as S2 names it.
    fn configuration(&mut self, domain: Guid, connectors: &[NewConnector]) {
        let configuration = self.add(domain, Class::Configuration, "Configuration", |record| record);
        let services = self.container(configuration, "Services");
        let windows = self.container(services, "Windows NT");
        self.container(windows, "Directory Service");
        let exchange = self.container(services, "Microsoft Exchange");
        let descriptor = self.organization_descriptor();
        let organization = self.names.organization.clone();
        let organization =
            self.add(exchange, Class::Organization, &organization, |record| record.with(a::DESCRIPTOR, descriptor));
        let settings = self.container(organization, "Transport Settings");
        let domains = self.container(settings, "Accepted Domains");
        let name = self.names.domain.clone();
        // 4: the default domain; authoritative, or on an edge (2) internal relay.
        let flags = if self.edge { "6" } else { "4" };
        self.add(domains, Class::AcceptedDomain, &name, |record| {
            record.with(a::ACCEPTED_DOMAIN_NAME, name.as_str()).with(a::ACCEPTED_DOMAIN_FLAGS, flags)
        });
        let groups = self.container(organization, "Administrative Groups");
        let group = self.container(groups, ADMINISTRATIVE_GROUP);
        let routing_groups = self.container(group, "Routing Groups");
        let routing_group = self.container(routing_groups, ROUTING_GROUP);
        self.container(routing_group, CONNECTIONS);
        let servers = self.container(group, "Servers");
        let (server, address) = (self.names.server.clone(), format!("ncacn_ip_tcp:{}", self.names.server_fqdn));
        // 2 mailbox, 32 hub, 64 edge.
        let roles = if self.edge { "64" } else { "34" };
        let server = self.add(servers, Class::Server, &server, |record| {
            record.with(a::NETWORK_ADDRESS, address).with(a::SERVER_ROLES, roles)
        });
        if !self.edge {
            let store = self.container(server, "InformationStore");
            let storage_group = self.container(store, "First Storage Group");
            self.add(storage_group, Class::Database, "Mailbox Database", |record| record);
        }
        let parent = RECEIVE_CONNECTORS.iter().fold(server, |parent, name| self.container(parent, name));
        for connector in connectors {
            let guid = (self.new_guid)();
            let sid = &self.names.domain_sid;
            self.changes.push(Change::Add(connector_record(connector, guid, parent, Some(sid), Some(sid))));
        }
    }

    /// The class default, and Organization Management: full control below, but nobody's mailbox (facts 1.7).
    fn organization_descriptor(&self) -> Value {
        let domain = &self.names.domain_sid;
        let bytes = defaults::explicit(Class::Organization, Some(domain), Some(domain));
        if !self.own_domain {
            return bytes;
        }
        let (Ok(mut sd), Some(group)) = (SecurityDescriptor::parse(&bytes), domain.with_rid(ORGANIZATION_MANAGEMENT))
        else {
            return bytes;
        };
        let below = AceFlags::CONTAINER_INHERIT;
        let deny = |right| Ace::deny_object(group.clone(), AccessMask::CONTROL_ACCESS, right).with_flags(below);
        if let Some(dacl) = &mut sd.dacl {
            dacl.aces.splice(0..0, [deny(names::SEND_AS), deny(names::RECEIVE_AS)]);
            dacl.aces.push(Ace::allow(group, AccessMask::DS_FULL_CONTROL).with_flags(below));
        }
        sd.to_bytes()
    }

    fn domain_group(&mut self, parent: Guid, name: &str, rid: u32, scope: GroupScope) {
        let sid = self.names.domain_sid.with_rid(rid).map(|sid| sid.to_bytes());
        self.add(parent, Class::Group, name, |record| {
            record
                .with_all(a::OBJECT_SID, sid)
                .with(a::SAM_ACCOUNT_NAME, name)
                .with(a::GROUP_TYPE, GroupType::security(scope).0.to_string())
        });
    }

    fn container(&mut self, parent: Guid, name: &str) -> Guid {
        self.add(parent, Class::Container, name, |record| record)
    }

    fn add(&mut self, parent: Guid, class: Class, name: &str, fill: impl FnOnce(Record) -> Record) -> Guid {
        let guid = (self.new_guid)();
        self.changes.push(Change::Add(fill(new_object(guid, parent, class, name))));
        guid
    }
}

/// A record of a class, named `CN=name` (`OU=name` for organizational units), without further attributes.
pub fn new_object(guid: Guid, parent: Guid, class: Class, name: &str) -> Record {
    let naming = if class == Class::OrganizationalUnit { "OU" } else { "CN" };
    of_class(Record::new(guid, Some(parent), Rdn::new(naming, name).to_string()), class)
}

/// An enabled user with a logon name. The SID comes when it is added.
pub fn user(guid: Guid, parent: Guid, name: &str, sam_account_name: &str) -> Record {
    new_object(guid, parent, Class::User, name)
        .with(a::SAM_ACCOUNT_NAME, sam_account_name)
        .with(a::USER_ACCOUNT_CONTROL, "512")
        .with(a::PRIMARY_GROUP_ID, "513")
}

/// A group with a logon name.
pub fn group(guid: Guid, parent: Guid, name: &str, kind: GroupType) -> Record {
    new_object(guid, parent, Class::Group, name).with(a::SAM_ACCOUNT_NAME, name).with(a::GROUP_TYPE, kind.0.to_string())
}

/// Makes a record own a mailbox, with these addresses, the first the primary one.
pub fn with_mailbox(record: Record, mailbox: Guid, database: &Guid, addresses: &[&str]) -> Record {
    with_addresses(record, addresses).with(a::MAILBOX_GUID, mailbox.0.to_vec()).with(a::HOME_MDB, link_value(database))
}

/// Gives a record mail addresses, the first the primary one.
pub fn with_addresses(record: Record, addresses: &[&str]) -> Record {
    let kinds = std::iter::once("SMTP").chain(std::iter::repeat("smtp"));
    let proxies = kinds.zip(addresses).map(|(kind, address)| format!("{kind}:{address}").into_bytes());
    let primary = addresses.first().map(|address| address.as_bytes().to_vec());
    record.with_all(a::PROXY_ADDRESSES, proxies).with_all(a::MAIL, primary)
}

/// A receive connector below a server. None: the server has no place for connectors.
pub fn receive_connector(
    snapshot: &Snapshot,
    server: ObjectId,
    connector: &NewConnector,
    guid: Guid,
) -> Option<Record> {
    let parent = receive_connectors_of(snapshot, server)?;
    let domain = snapshot.domain_of(server).map(|domain| &domain.sid);
    let root = snapshot.forest_root(server).map(|domain| &domain.sid);
    Some(connector_record(connector, guid, snapshot.object(parent)?.guid(), domain, root))
}

/// Where the receive connectors of a server stand (S2).
pub fn receive_connectors_of(snapshot: &Snapshot, server: ObjectId) -> Option<ObjectId> {
    below(snapshot, server, &RECEIVE_CONNECTORS)
}

/// Where the send connectors of the organization stand (S2): below its routing group.
pub fn send_connectors_of(snapshot: &Snapshot) -> Option<ObjectId> {
    let organization = snapshot.organization()?;
    let usual = ["Administrative Groups", ADMINISTRATIVE_GROUP, "Routing Groups", ROUTING_GROUP, CONNECTIONS];
    below(snapshot, organization, &usual).or_else(|| {
        let called = |id: &ObjectId| snapshot.object(*id).is_some_and(|object| object.name() == CONNECTIONS);
        snapshot.subtree(organization).into_iter().find(called)
    })
}

/// The explicit descriptor that a new object of a class gets at a place.
pub fn default_descriptor(snapshot: &Snapshot, class: Class, parent: ObjectId) -> Value {
    let sid = |domain: Option<&crate::Domain>| domain.map(|domain| domain.sid.clone());
    let (domain, root) = (sid(snapshot.domain_of(parent)), sid(snapshot.forest_root(parent)));
    defaults::explicit(class, domain.as_ref(), root.as_ref())
}

fn below(snapshot: &Snapshot, from: ObjectId, names: &[&str]) -> Option<ObjectId> {
    names.iter().try_fold(from, |at, name| snapshot.child(Some(at), &Rdn::new("CN", *name).key()))
}

fn connector_record(
    connector: &NewConnector,
    guid: Guid,
    parent: Guid,
    domain: Option<&Sid>,
    root: Option<&Sid>,
) -> Record {
    let bytes = defaults::explicit(Class::ReceiveConnector, domain, root);
    let descriptor = match SecurityDescriptor::parse(&bytes) {
        Ok(mut sd) => {
            let grants = connector.grants.iter();
            let aces = grants.map(|(sid, right)| Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, *right));
            if let Some(dacl) = &mut sd.dacl {
                dacl.aces.splice(0..0, aces);
                dacl.update_revision();
            }
            sd.to_bytes()
        }
        Err(_) => bytes,
    };
    let (usage, auth) = match connector.usage {
        Usage::Client => {
            ("Client", AuthMechanisms { tls: true, basic: true, basic_requires_tls: true, ..AuthMechanisms::default() })
        }
        Usage::Internet => ("Internet", AuthMechanisms { tls: true, ..AuthMechanisms::default() }),
        Usage::Custom => ("Custom", AuthMechanisms { tls: true, ..AuthMechanisms::default() }),
    };
    let ranges = [IpRange::ALL_V4, IpRange::ALL_V6].map(|range| range.to_string().into_bytes());
    new_object(guid, parent, Class::ReceiveConnector, &connector.name)
        .with(a::CONNECTOR_USAGE, usage)
        .with(a::RECEIVE_SECURITY, auth.flags().to_string())
        .with_all(a::RECEIVE_BINDINGS, connector.bindings.iter().map(|binding| binding.to_string().into_bytes()))
        .with_all(a::RECEIVE_RANGES, ranges)
        .with(a::DESCRIPTOR, descriptor)
}

/// The object of a class and name (caseless), for finding what [`new_organization`] made.
pub fn named(snapshot: &Snapshot, class: Class, name: &str) -> Option<ObjectId> {
    let wanted = dn::folded(name);
    snapshot.find(Which::Label, crate::index::hash(wanted.as_str()), |object| {
        object.class() == class && dn::folded(&object.name()) == wanted
    })
}

fn by_sid(sid: Sid) -> Value {
    crate::record::link_by_sid(&sid)
}

fn of_class(record: Record, class: Class) -> Record {
    record.with_all(a::OBJECT_CLASS, class.object_classes().iter().map(|name| name.as_bytes().to_vec()))
}
