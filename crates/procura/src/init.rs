//! `procura init`: a data directory with a commented configuration and an empty organization.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use acl::{Guid, SecurityDescriptor, Sid, well_known};
use admin::random::{new_domain_sid, new_guid};
use admin::{Absent, DataDirectory, DataError, Service, default_connectors};
use directory::organization::{Names, NewConnector, Usage, new_edge_organization, new_organization};
use directory::{Change, ChangeBatch, Snapshot, attributes as a};
use rights::{GroupTrustee, PermissionGroup, ServerRole, assign_groups, permission_groups, role_of};

use crate::cli::args::{Global, Init, Role};
use crate::cli::fault::Failure;
use crate::config::{self, Loaded};
use crate::node::{self, DEFAULT_DATA, Node};

/// Creates the directory.
pub fn init(global: &Global, arguments: &Init) -> miette::Result<()> {
    if !arguments.ldap.is_empty() {
        return Ok(crate::active_directory::init(arguments)?);
    }
    // A configuration that is there already, as that of the package, says where, and stays as it is.
    let configured = match (&arguments.dir, &global.config, &global.data) {
        (None, None, None) if !Path::new(node::SYSTEM_CONFIG).exists() => None,
        (None, _, None) => Some(Node::locate(global)?.loaded),
        _ => None,
    };
    create(arguments, configured, global.data.clone())
}

/// What an organization begins with.
const BEGUN: [&str; 2] = ["directory.db", "procura.toml"];

/// Creates the organization. The directory gets it as one change, so that an `init` that was interrupted is repeated.
fn create(arguments: &Init, configured: Option<Loaded>, data: Option<PathBuf>) -> miette::Result<()> {
    let default = configured.as_ref().map(Loaded::data).or(data).unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let path = arguments.dir.clone().unwrap_or(default);
    let shown = path.display();
    let there = |name: &str| path.join(name).exists();
    let taken = || {
        Failure::new(format!("{shown} holds an organization already"))
            .help("start it with `procura serve --data`, or create another one elsewhere")
    };
    if BEGUN.iter().any(|name| there(name)) && DataDirectory::was_at_work(&path) {
        return Err(taken().into());
    }
    let configured = match configured {
        None if there(BEGUN[1]) => Some(left_behind(&path)?),
        configured => configured,
    };
    let domain = message_domain(arguments.domain.as_deref().unwrap_or("example.com"))?;
    let hostname = match &arguments.hostname {
        Some(name) => name.clone(),
        None => match configured.as_ref().and_then(|loaded| loaded.config.node.hostname.clone()) {
            Some(name) => name,
            None => qualified(&node::system_hostname(), &domain),
        },
    };
    let data = match DataDirectory::open(&path, Absent::Create) {
        Err(DataError::Locked { .. }) if there(BEGUN[0]) => return Err(taken().into()),
        data => data.map_err(Failure::from)?,
    };
    let is_new = configured.is_none();
    let loaded = configured.unwrap_or_else(|| {
        let file = Some(data.path().join(BEGUN[1]));
        Loaded { config: config::Config::default(), base: data.path().to_owned(), file }
    });
    let of_system = loaded.file.as_deref() == Some(Path::new(node::SYSTEM_CONFIG));
    let file = loaded.file.clone().unwrap_or_default();
    let node = Node { loaded, data: data.path().to_owned() };
    let options = node.options(&data, Default::default());
    let service = Service::open(data, options).map_err(Failure::from)?;
    if service.snapshot().version() > 0 {
        return Err(taken().into());
    }
    if is_new {
        let set = [("node.hostname", format!("\"{hostname}\"")), ("node.data", "\".\"".to_owned())];
        write_new(&file, &config::keys::commented(&set))?;
    }
    let netbios = arguments.netbios.clone().unwrap_or_else(|| netbios_of(&domain));
    let names = names(&domain, &netbios, &hostname);
    let changes = founding(arguments, &names)?;
    service.commit_as_system("procura init", changes).map_err(Failure::from)?;

    println!("created {shown}: organization of {domain}, server {hostname}");
    println!("  configuration  {}", file.display());
    for (_, connector) in service.snapshot().receive_connectors() {
        let ports: Vec<String> = connector.bindings.iter().map(|binding| binding.to_string()).collect();
        println!("  connector      {}: {}", connector.name, ports.join(", "));
    }
    let command = if of_system { "procura".to_owned() } else { format!("procura --data {shown}") };
    println!("next:");
    match arguments.role {
        Role::Hub => {
            println!("  {command} user add alice --mailbox");
            println!("  {command} password set alice");
            if !arguments.internet {
                println!("  # to take mail from the Internet:");
                println!(
                    "  {command} connector receive set 'Default {}' --add-permission-groups AnonymousUsers",
                    names.server
                );
            }
        }
        Role::Edge => {
            println!("  {command} connector send new Inside --usage internal --address-space {domain} --smart-host HUB")
        }
    }
    match of_system {
        true => println!("  systemctl start procura"),
        false => println!("  {command} serve"),
    }
    Ok(())
}

/// The configuration in a data directory without an organization: of an `init` that was interrupted, or written by hand.
fn left_behind(path: &Path) -> miette::Result<Loaded> {
    let file = path.join(BEGUN[1]);
    let loaded = Loaded::read(&file)?;
    let same = |data: &Path| data.canonicalize().ok() == path.canonicalize().ok();
    if !same(&loaded.data()) {
        let failure = Failure::new(format!("{}: the data are in {}", file.display(), loaded.data().display()));
        return Err(failure.help("name that directory, or write `data = \".\"` under [node]").into());
    }
    Ok(loaded)
}

/// The changes that make a new organization, its connectors included.
fn founding(arguments: &Init, names: &Names) -> Result<Vec<Change>, Failure> {
    let mut changes = match arguments.role {
        Role::Hub => new_organization(names, &[], &mut new_guid),
        Role::Edge => new_edge_organization(names, &mut new_guid),
    };
    let founded = after(&Snapshot::empty(), &changes)?;
    let connectors = default_connectors(&founded)?;
    let equipped = after(&founded, &connectors)?;
    changes.extend(connectors);
    if arguments.internet || arguments.role == Role::Edge {
        changes.extend(strangers(&equipped));
    }
    Ok(changes)
}

fn after(snapshot: &Snapshot, changes: &[Change]) -> Result<Snapshot, Failure> {
    let changes = changes.to_vec();
    let batch = ChangeBatch { author: well_known::SYSTEM.clone(), time: node::now(), comment: String::new(), changes };
    Ok(snapshot.apply(&batch).map_err(admin::Fault::from)?.snapshot)
}

/// The connector on port 25 takes strangers. Nobody's mail is refused for its header before somebody has looked at what
/// would be.
pub fn take_strangers(service: &Service, snapshot: &Snapshot) -> Result<(), Failure> {
    let changes: Vec<Change> = strangers(snapshot).into_iter().collect();
    service.commit_as_system("mail from strangers", changes)?;
    Ok(())
}

fn strangers(snapshot: &Snapshot) -> Option<Change> {
    let (id, _) = snapshot.receive_connectors().find(|(_, connector)| connector.name.starts_with("Default "))?;
    let guid = snapshot.object(id)?.guid();
    let mut groups = permission_groups(snapshot, id).groups;
    if !groups.contains(&PermissionGroup::AnonymousUsers) {
        groups.push(PermissionGroup::AnonymousUsers);
    }
    let mut descriptor = SecurityDescriptor::clone(&*snapshot.explicit_descriptor(id)?);
    assign_groups(snapshot, id, role_of(snapshot, id), &mut descriptor, &groups);
    let attributes = vec![
        (a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()]),
        (a::HEADER_FROM.to_owned(), vec![b"observe".to_vec()]),
    ];
    Some(Change::Modify { guid, attributes })
}

/// The changes that make an organization with these connectors.
pub fn organization(
    domain: &str,
    netbios: &str,
    hostname: &str,
    connectors: &[NewConnector],
) -> Result<Vec<Change>, Failure> {
    Ok(new_organization(&names(domain, netbios, hostname), connectors, &mut new_guid))
}

fn names(domain: &str, netbios: &str, hostname: &str) -> Names {
    Names {
        domain: domain.to_owned(),
        netbios: netbios.to_owned(),
        domain_sid: new_domain_sid(),
        organization: "First Organization".to_owned(),
        server: hostname.split('.').next().unwrap_or(hostname).to_ascii_uppercase(),
        server_fqdn: hostname.to_owned(),
    }
}

/// A connector whose permissions are those of a permission group.
pub fn connector(name: &str, usage: Usage, bindings: Vec<SocketAddr>, group: PermissionGroup) -> NewConnector {
    let grants: Vec<(Sid, Guid)> = group
        .grants(ServerRole::Hub)
        .into_iter()
        .filter_map(|(trustee, rights)| match trustee {
            GroupTrustee::WellKnown(sid) => Some((sid, rights)),
            // Groups of the domain, which these two permission groups do not name.
            GroupTrustee::ExchangeServers | GroupTrustee::ExchangeLegacyInterop => None,
        })
        .flat_map(|(sid, rights)| rights.into_iter().map(move |right| (sid.clone(), right.guid())))
        .collect();
    NewConnector { name: name.to_owned(), usage, bindings, grants }
}

/// Sets an attribute on the connector of a name, among the changes that create it.
pub fn set_on_connector(changes: &mut [Change], name: &str, attribute: &str, value: &str) {
    let rdn = format!("CN={name}");
    for change in changes {
        if let Change::Add(record) = change
            && record.rdn == rdn
        {
            record.set(attribute, vec![value.as_bytes().to_vec()]);
        }
    }
}

/// All addresses of the machine, both families.
pub fn everywhere(port: u16) -> Vec<SocketAddr> {
    vec![
        SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port),
        SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port),
    ]
}

/// A mail domain in its canonical form.
pub fn message_domain(domain: &str) -> Result<String, Failure> {
    message::canonical_domain(domain)
        .filter(|domain| domain.contains('.'))
        .ok_or_else(|| Failure::new(format!("`{domain}` is not a domain")).help("write it as in --domain example.com"))
}

/// The first label, as NetBIOS names are: upper case, 15 characters.
fn netbios_of(domain: &str) -> String {
    domain.split('.').next().unwrap_or(domain).chars().take(15).collect::<String>().to_ascii_uppercase()
}

/// A host name with its domain.
pub fn qualified(name: &str, domain: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("{name}.{domain}") }
}

/// Writes a file that does not exist yet, for its owner only.
pub fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
