//! `procura init`: a data directory with a commented configuration and an empty organization.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use acl::{Guid, Sid};
use admin::random::{new_domain_sid, new_guid};
use admin::{Absent, DataDirectory, Service};
use directory::organization::{Names, NewConnector, Usage, new_organization};
use directory::{Change, attributes as a};
use rights::{GroupTrustee, PermissionGroup, ServerRole};

use crate::cli::args::Init;
use crate::cli::fault::Failure;
use crate::config::{self, Loaded};
use crate::node::{self, DEFAULT_DATA, Node};

/// Creates the directory.
pub fn init(arguments: &Init) -> Result<(), Failure> {
    let path = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let domain = message_domain(&arguments.domain)?;
    let hostname = match &arguments.hostname {
        Some(name) => name.clone(),
        None => qualified(&node::system_hostname(), &domain),
    };
    if ["directory.db", "procura.toml"].iter().any(|name| path.join(name).exists()) {
        return Err(Failure::new(format!("{} holds an organization already", path.display()))
            .help("start it with `procura serve --data`, or create another one elsewhere"));
    }
    let data = DataDirectory::open(&path, Absent::Create)?;
    let file = data.path().join("procura.toml");
    let set = [("node.hostname", format!("\"{hostname}\"")), ("node.data", "\".\"".to_owned())];
    write_new(&file, &config::keys::commented(&set))?;
    let shown = path.display();

    let loaded = Loaded { config: config::Config::default(), base: data.path().to_owned() };
    let node = Node { loaded, data: data.path().to_owned() };
    let options = node.options(&data, Default::default());
    let service = Service::open(data, options)?;
    let netbios = arguments.netbios.clone().unwrap_or_else(|| netbios_of(&domain));
    let connectors = [
        connector("Client", Usage::Client, everywhere(587), PermissionGroup::ExchangeUsers),
        connector("Internet", Usage::Internet, everywhere(25), PermissionGroup::AnonymousUsers),
    ];
    let mut changes = organization(&domain, &netbios, &hostname, &connectors)?;
    // Nobody's mail is refused for its header before somebody has looked at what would be.
    set_on_connector(&mut changes, "Internet", a::HEADER_FROM, "observe");
    service.commit_as_system("procura init", changes)?;

    println!("created {shown}: organization of {domain}, server {hostname}");
    println!("  configuration  {}", file.display());
    println!(
        "  connectors     Client (port 587: STARTTLS, passwords), Internet (port 25: anonymous, header senders observed)"
    );
    println!("next:");
    println!("  procura --data {shown} user add alice --mailbox");
    println!("  procura --data {shown} password set alice");
    println!("  procura --data {shown} serve");
    Ok(())
}

/// The changes that make an organization with these connectors.
pub fn organization(
    domain: &str,
    netbios: &str,
    hostname: &str,
    connectors: &[NewConnector],
) -> Result<Vec<Change>, Failure> {
    let names = Names {
        domain: domain.to_owned(),
        netbios: netbios.to_owned(),
        domain_sid: new_domain_sid(),
        organization: "First Organization".to_owned(),
        server: hostname.split('.').next().unwrap_or(hostname).to_ascii_uppercase(),
        server_fqdn: hostname.to_owned(),
    };
    Ok(new_organization(&names, connectors, &mut new_guid))
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

fn message_domain(domain: &str) -> Result<String, Failure> {
    message::canonical_domain(domain)
        .filter(|domain| domain.contains('.'))
        .ok_or_else(|| Failure::new(format!("`{domain}` is not a domain")).help("write it as in --domain example.com"))
}

/// The first label, as NetBIOS names are: upper case, 15 characters.
fn netbios_of(domain: &str) -> String {
    domain.split('.').next().unwrap_or(domain).chars().take(15).collect::<String>().to_ascii_uppercase()
}

fn qualified(name: &str, domain: &str) -> String {
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
