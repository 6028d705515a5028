//! `[directory]`: domains of Active Directory as the source of people and permissions.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use admin::{Absent, DataDirectory, Service};
use directory::import::{AttributeMap, Source};
use directory::organization::{Names, new_organization_in};
use ldap::tickets::Tickets;
use ldap::{Address, Settings};
use zeroize::Zeroizing;

use crate::cli::args::Init;
use crate::cli::fault::Failure;
use crate::config::Loaded;
use crate::config::keys::Directory;
use crate::init;
use crate::node::{self, DEFAULT_DATA, Node};

/// What is wrong with the section: the key, what, and what to do.
pub fn fault(config: &Directory) -> Option<(&'static str, String, &'static str)> {
    if !["own", "ldap"].contains(&config.source.as_str()) {
        return Some(("source", format!("source is `{}`", config.source), "write \"own\" or \"ldap\""));
    }
    for server in &config.servers {
        if let Err(error) = Address::parse(server) {
            return Some(("servers", error.to_string(), "nothing is ever sent without TLS"));
        }
    }
    let seconds = [
        ("poll_seconds", config.poll_seconds),
        ("timeout_seconds", config.timeout_seconds),
        ("max_age_seconds", config.max_age_seconds),
        ("stale_limit_seconds", config.stale_limit_seconds),
        ("check_minutes", config.check_minutes),
    ];
    if config.list_seconds > 31_536_000 {
        let message = "list_seconds is out of range".to_owned();
        return Some(("list_seconds", message, "write 0 for never, or a number of seconds"));
    }
    if let Some((key, _)) = seconds.into_iter().find(|(_, count)| !(1..=31_536_000).contains(count)) {
        return Some((key, format!("{key} is out of range"), "write 1 or more"));
    }
    if config.source != "ldap" {
        return None;
    }
    if config.servers.is_empty() {
        let message = "no domain controller is named".to_owned();
        return Some(("source", message, "add `servers = [\"ldaps://dc1.example.com\"]`"));
    }
    if config.account.is_none() {
        return Some(("source", "nobody is named who reads the domain".into(), "add `account = \"…\"`"));
    }
    if config.password_file.is_none() && config.keytab.is_none() {
        let help = "add `password_file = \"…\"`, or `keytab = \"…\"` for Kerberos";
        return Some(("source", "the account has neither a password nor a keytab".into(), help));
    }
    let sealed = config.servers.iter().find(|server| server.starts_with("ldap+kerberos:"));
    if let (Some(server), None) = (sealed, &config.keytab) {
        return Some(("servers", format!("{server} takes Kerberos"), "add `keytab = \"…\"`"));
    }
    if config.keytab.is_some() && !cfg!(feature = "kerberos") {
        return Some((
            "keytab",
            "this procura was built without Kerberos".into(),
            "build it with `--features kerberos`",
        ));
    }
    None
}

/// The settings of the source; none where people come from the node's own directory. Files are read now.
pub fn settings(node: &Node) -> Result<Option<Settings>, Failure> {
    read(&node.loaded, None)
}

/// The same; `held` is what is in force, for files that were root's alone.
fn read(loaded: &Loaded, held: Option<&Taken>) -> Result<Option<Settings>, Failure> {
    let config = &loaded.config.directory;
    if config.source != "ldap" {
        return Ok(None);
    }
    let failed = |e: &dyn std::fmt::Display| Failure::new(e.to_string()).help("check [directory] in procura.toml");
    let servers = config.servers.iter().map(|text| Address::parse(text)).collect::<Result<Vec<_>, _>>();
    let path = loaded.path(config.password_file.as_deref().unwrap_or_default());
    let same = held.filter(|held| held.config.password_file == config.password_file);
    let password = match (fs::read_to_string(&path).map(Zeroizing::new), same) {
        _ if config.keytab.is_some() => Zeroizing::default(),
        (Ok(text), _) => Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()),
        (Err(error), Some(held)) if error.kind() == std::io::ErrorKind::PermissionDenied => held.password.clone(),
        (Err(error), _) => return Err(failed(&format!("{}: {error}", path.display()))),
    };
    if password.is_empty() && config.keytab.is_none() {
        return Err(failed(&format!("{} holds no password", path.display())));
    }
    let source = |theirs: &String| {
        if theirs.contains('{') { Source::Template(theirs.clone()) } else { Source::Attribute(theirs.clone()) }
    };
    let entries = config.map.iter().map(|(ours, theirs)| (ours.clone(), source(theirs))).collect();
    let seconds = |count: u32| Duration::from_secs(count.into());
    Ok(Some(Settings {
        servers: servers.map_err(|e| failed(&e))?,
        account: config.account.clone().unwrap_or_default(),
        password,
        tickets: tickets_or_held(loaded, held).map_err(|e| failed(&e))?,
        notify: config.notify,
        tls: ldap::tls(&loaded.path(&config.roots)).map_err(|e| failed(&e))?,
        map: AttributeMap { entries },
        patience: seconds(config.timeout_seconds),
        poll: seconds(config.poll_seconds),
        page: 1000,
        max_age: seconds(config.max_age_seconds),
        stale_limit: seconds(config.stale_limit_seconds),
        check: seconds(config.check_minutes) * 60,
        list: seconds(config.list_seconds),
    }))
}

/// Tickets of the account; those that are in force where they are the same and the keytab may not be read any more.
fn tickets_or_held(loaded: &Loaded, held: Option<&Taken>) -> Result<Option<Arc<dyn Tickets>>, String> {
    let config = &loaded.config.directory;
    let of = |config: &Directory| (config.keytab.clone(), config.account.clone());
    let same = held.filter(|held| of(&held.config) == of(config)).and_then(|held| held.tickets.clone());
    let path = loaded.path(config.keytab.as_deref().unwrap_or_default());
    let is_denied = || fs::File::open(&path).is_err_and(|e| e.kind() == std::io::ErrorKind::PermissionDenied);
    match same.filter(|_| is_denied()) {
        Some(held) => Ok(Some(held)),
        None => tickets(loaded),
    }
}

/// Tickets of the account, where it logs on by Kerberos.
#[cfg(feature = "kerberos")]
fn tickets(loaded: &Loaded) -> Result<Option<Arc<dyn Tickets>>, String> {
    let config = &loaded.config.directory;
    let Some(keytab) = &config.keytab else { return Ok(None) };
    let account = config.account.as_deref().unwrap_or_default();
    ldap::tickets::of_keytab(&loaded.path(keytab), account).map(Some)
}

#[cfg(not(feature = "kerberos"))]
fn tickets(_: &Loaded) -> Result<Option<Arc<dyn Tickets>>, String> {
    Ok(None)
}

/// The section as it is in force while the server runs.
pub struct Live {
    service: Weak<Service>,
    taken: Mutex<Taken>,
}

/// What was taken: the section, its files in short, and what they held.
struct Taken {
    mark: u64,
    config: Directory,
    password: Zeroizing<String>,
    tickets: Option<Arc<dyn Tickets>>,
}

impl Taken {
    fn of(loaded: &Loaded, settings: &Settings) -> Taken {
        Taken {
            mark: mark(loaded),
            config: loaded.config.directory.clone(),
            password: settings.password.clone(),
            tickets: settings.tickets.clone(),
        }
    }
}

impl Live {
    /// As it was when the server started.
    pub fn new(service: &Arc<Service>, node: &Node, settings: &Settings) -> Live {
        Live { service: Arc::downgrade(service), taken: Mutex::new(Taken::of(&node.loaded, settings)) }
    }

    /// Follows the domains by the section and its files as they are now; whether they are others than before.
    ///
    /// # Errors
    /// They cannot be used; those before stay in force.
    pub fn reload(&self, newest: &Loaded) -> Result<bool, Failure> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(service) = self.service.upgrade().filter(|_| mark(newest) != taken.mark) else { return Ok(false) };
        // After root was given up.
        let Some(settings) = read(newest, Some(&taken))? else { return Ok(false) };
        let next = Taken::of(newest, &settings);
        service.follow_active_directory(settings)?;
        *taken = next;
        Ok(true)
    }
}

/// Tells one state of the section and its files from another.
fn mark(loaded: &Loaded) -> u64 {
    let config = &loaded.config.directory;
    let mut hasher = DefaultHasher::new();
    format!("{config:?}").hash(&mut hasher);
    let [password, keytab] = [&config.password_file, &config.keytab].map(|path| path.as_deref().unwrap_or_default());
    for path in [password, keytab, &config.roots] {
        fs::read(loaded.path(path)).ok().map(Zeroizing::new).as_deref().hash(&mut hasher);
    }
    hasher.finish()
}

/// `procura init --ldap`: an organization whose people are those of a domain.
pub fn init(arguments: &Init) -> Result<(), Failure> {
    let path = arguments.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let taken = || {
        Failure::new(format!("{} holds an organization already", path.display())).help("create another one elsewhere")
    };
    // A directory in which nothing is yet is of an `init` that failed: it is repeated.
    let is_begun = path.join("directory.db").exists();
    if path.join("procura.toml").exists() || is_begun && DataDirectory::was_at_work(&path) {
        return Err(taken());
    }
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let config = Directory {
        source: "ldap".to_owned(),
        servers: arguments.ldap.clone(),
        account: arguments.ldap_account.clone(),
        password_file: arguments.ldap_password_file.as_deref().map(absolute),
        keytab: arguments.ldap_keytab.as_deref().map(absolute),
        roots: arguments.ldap_roots.as_deref().map_or_else(|| Directory::default().roots, absolute),
        ..Directory::default()
    };
    if let Some((_, message, help)) = fault(&config) {
        return Err(Failure::new(message).help(help));
    }
    let mut loaded = Loaded::defaults(&path);
    loaded.config.directory = config.clone();
    let mut node = Node { loaded, data: path.clone() };
    let settings = settings(&node)?.ok_or_else(|| Failure::new("no domain controller is named"))?;
    // Nothing is made before the domain answers.
    let found = ldap::look(&settings)
        .map_err(|error| Failure::new(error).help("`procura directory test` says more; nothing was created"))?;
    let dns = directory::dn::parse(&found.dn).map(|rdns| directory::dn::domain_name(&rdns)).unwrap_or_default();
    let mail = init::message_domain(arguments.domain.as_deref().unwrap_or(&dns))?;
    let hostname = match &arguments.hostname {
        Some(name) => name.clone(),
        None => init::qualified(&node::system_hostname(), &mail),
    };
    let data = DataDirectory::open(&path, Absent::Create)?;
    node.data = data.path().to_owned();
    let options = node.options(&data, Default::default());
    let service = Arc::new(Service::open(data, options)?);
    if service.snapshot().version() > 0 {
        return Err(taken());
    }
    let status = service.load_active_directory(settings)?;
    let names = Names {
        domain: mail,
        netbios: found.netbios.clone(),
        domain_sid: found.sid.parse().map_err(|_| Failure::new("the domain has no SID"))?,
        organization: "First Organization".to_owned(),
        server: hostname.split('.').next().unwrap_or(&hostname).to_ascii_uppercase(),
        server_fqdn: hostname.clone(),
    };
    let root = service
        .snapshot()
        .domains()
        .first()
        .and_then(|domain| service.snapshot().object(domain.object).map(directory::Object::guid));
    let root = root.ok_or_else(|| Failure::new("no domain was read"))?;
    let snapshot =
        service.commit_as_system("procura init", new_organization_in(root, &names, &mut admin::random::new_guid))?;
    let snapshot = service.commit_as_system("default connectors", admin::default_connectors(&snapshot)?)?;
    if arguments.internet {
        init::take_strangers(&service, &snapshot)?;
    }
    // Last: a configuration says that the directory is whole.
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = toml::Value::Array(config.servers.iter().cloned().map(toml::Value::String).collect()).to_string();
    let credential = match &config.keytab {
        Some(keytab) => ("directory.keytab", quoted(keytab)),
        None => ("directory.password_file", quoted(config.password_file.as_deref().unwrap_or_default())),
    };
    let set = [
        ("node.hostname", quoted(&hostname)),
        ("node.data", quoted(".")),
        ("directory.source", quoted("ldap")),
        ("directory.servers", list),
        ("directory.account", quoted(config.account.as_deref().unwrap_or_default())),
        credential,
        ("directory.roots", quoted(&config.roots)),
    ];
    let file = service.directory().join("procura.toml");
    init::write_new(&file, &crate::config::keys::commented(&set))?;
    let shown = path.display();
    println!("created {shown}: organization of {}, server {hostname}", names.domain);
    for domain in &status.domains {
        println!("  {}: {} objects, {} with unreadable permissions", domain.dn, domain.objects, domain.unreadable);
    }
    for (_, connector) in service.snapshot().receive_connectors() {
        let ports: Vec<String> = connector.bindings.iter().map(|binding| binding.to_string()).collect();
        println!("  connector      {}: {}", connector.name, ports.join(", "));
    }
    println!("next:\n  procura --data {shown} directory test\n  procura --data {shown} serve");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_section_that_was_changed_is_another_state() {
        let folder = tempfile::tempdir().unwrap();
        let mut loaded = Loaded::defaults(folder.path());
        let file = |name: &str| folder.path().join(name).display().to_string();
        let config = &mut loaded.config.directory;
        (config.password_file, config.keytab, config.roots) =
            (Some(file("password")), Some(file("keytab")), file("roots"));
        for name in ["password", "keytab", "roots"] {
            fs::write(file(name), "before").unwrap();
            let before = mark(&loaded);
            assert_eq!(mark(&loaded), before);
            fs::write(file(name), "after").unwrap();
            assert_ne!(mark(&loaded), before, "{name}");
        }
    }
}
