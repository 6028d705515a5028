//! The demo organization: made by the same operations as the commands, so that it shows nothing that they cannot do.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;

use admin::operations as op;
use admin::operations::Request as R;
use admin::{Hashed, Hasher, Service};
use directory::organization::Usage;
use directory::{Change, Snapshot, attributes as a};
use rights::PermissionGroup;
use store::DirectoryStore;

use crate::cli::fault::Failure;
use crate::init::{connector, organization, set_on_connector};

/// Name of the demo's server.
pub const HOSTNAME: &str = "mail.example.com";
/// The setting that marks a directory as the demo's.
const MARK: &str = "demo";
const BEGUN: &str = "begun";
/// Root's number: what the demo is built as.
const ROOT: u32 = 0;

/// Where the Client connector listens when nobody says otherwise.
pub const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2587);
/// Where the Internet connector listens when nobody says otherwise.
pub const INTERNET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2525);

/// An account of the demo. Its password is its name and `-demo`.
pub struct Account {
    /// Logon name, and mailbox at example.com.
    pub name: &'static str,
    /// Name for people.
    pub display_name: &'static str,
    /// Where it stands.
    pub ou: Option<&'static str>,
    /// What it is there to show.
    pub what: &'static str,
}

const fn account(
    name: &'static str,
    display_name: &'static str,
    ou: Option<&'static str>,
    what: &'static str,
) -> Account {
    Account { name, display_name, ou, what }
}

const STAFF: &str = "OU=Staff";
const PLANT: &str = "OU=Plant";

/// The accounts.
pub const ACCOUNTS: [Account; 13] = [
    account("ceo", "Carla Owens", Some(STAFF), "mailbox owner everybody asks about; also carla@"),
    account("alice", "Alice Adams", Some(STAFF), "delegate of ceo: Send on Behalf, nothing else"),
    account("bob", "Bob Brown", Some(STAFF), "plain user"),
    account("dave", "Dave Dunn", Some(STAFF), "super-delegate of ceo: delegate and Full Mailbox Access"),
    account("erin", "Erin Ellis", Some(STAFF), "Full Mailbox Access on ceo, no Send As"),
    account("frank", "Frank Fox", Some(STAFF), "Send As on sales@ through nested groups"),
    account("gina", "Gina Gray", Some(STAFF), "Send As on ceo by an inherited allow, but an explicit Deny there"),
    account("sales", "Sales Desk", Some("OU=Shared"), "shared mailbox"),
    account("goodadmin", "GoodAdmin", Some("OU=Service"), "inheritable Send As on users of OU=Staff and OU=Plant"),
    account(
        "besadmin",
        "BESAdmin",
        Some("OU=Service"),
        "Full Mailbox Access by Receive As on the database, no Send As",
    ),
    account("scanner1", "Scanner 1", Some(PLANT), "device"),
    account("press1", "Press 1", Some("OU=Protected,OU=Plant"), "device where inheritance is blocked"),
    account("admin", "Admin", None, "Domain Admins, so protected by AdminSDHolder"),
];

/// Forgets a demo that was interrupted while it was made: nobody could use it yet. The data directory is ours alone.
pub fn forget_unfinished(data: &Path) -> Result<(), Failure> {
    let database = data.join("directory.db");
    // What cannot be opened is reported where it is needed.
    let mark = || DirectoryStore::open(&database).and_then(|store| store.setting(MARK)).ok().flatten();
    if !database.exists() || mark().as_deref() != Some(BEGUN) {
        return Ok(());
    }
    for name in ["directory.db-wal", "directory.db-shm", "directory.db"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Failure::new(format!("{}: {error}", data.join(name).display())));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Creates the organization in an empty directory, or finds it there.
pub fn ensure(service: &Service, client: Option<SocketAddr>, internet: Option<SocketAddr>) -> Result<bool, Failure> {
    let mark = service.setting(MARK).map_err(admin::Fault::from)?;
    if mark.as_deref() == Some("complete") {
        listen(service, "Client", client)?;
        listen(service, "Internet", internet)?;
        return Ok(false);
    }
    if !service.snapshot().is_empty() {
        let path = service.directory().display();
        return Err(Failure::new(format!("{path} holds an organization that is not the demo"))
            .help("start it without --demo, or name another directory with --data"));
    }
    service.set_setting(MARK, Some(BEGUN)).map_err(admin::Fault::from)?;
    let hasher = service.hasher();
    let hashes = thread::scope(|scope| {
        let hashing = scope.spawn(|| hash_all(&*hasher));
        build(service, client.unwrap_or(CLIENT), internet.unwrap_or(INTERNET))?;
        hashing.join().map_err(|_| Failure::new("hashing the passwords failed"))?
    })?;
    let snapshot = service.snapshot();
    for (account, hashed) in ACCOUNTS.iter().zip(hashes) {
        let found = snapshot.resolve_login(account.name).and_then(|id| snapshot.object(id));
        let object = found.ok_or_else(|| Failure::new(format!("the account {} is not there", account.name)))?;
        service.set_password(&object.guid(), &hashed)?;
    }
    service.set_setting(MARK, Some("complete")).map_err(admin::Fault::from)?;
    Ok(true)
}

/// Hashes all passwords on all cores, with the cost that they have everywhere.
fn hash_all(hasher: &dyn Hasher) -> Result<Vec<Hashed>, Failure> {
    let threads = thread::available_parallelism().map_or(2, |n| n.get().min(4));
    let share = ACCOUNTS.len().div_ceil(threads);
    let hash = |account: &Account| {
        let password = format!("{}-demo", account.name);
        hasher.hashed(password.as_bytes(), None).map_err(Failure::new)
    };
    thread::scope(|scope| {
        let parts: Vec<_> = ACCOUNTS
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(hash).collect::<Result<Vec<_>, _>>()))
            .collect();
        let mut all = Vec::with_capacity(ACCOUNTS.len());
        for part in parts {
            all.extend(part.join().map_err(|_| Failure::new("hashing the passwords failed"))??);
        }
        Ok(all)
    })
}

fn build(service: &Service, client: SocketAddr, internet: SocketAddr) -> Result<(), Failure> {
    let connectors = [
        connector("Client", Usage::Client, vec![client], PermissionGroup::ExchangeUsers),
        connector("Internet", Usage::Internet, vec![internet], PermissionGroup::AnonymousUsers),
    ];
    let mut changes = organization("example.com", "EXAMPLE", HOSTNAME, &connectors)?;
    for name in ["Client", "Internet"] {
        set_on_connector(&mut changes, name, a::HEADER_FROM, "enforce");
    }
    service.commit_as_system("demo: organization", changes)?;
    let ask = |request: R| service.call(ROOT, "demo", request).map(|_| ()).map_err(Failure::from);
    for request in units().into_iter().chain(domains()).chain(accounts()) {
        ask(request)?;
    }
    for request in groups().into_iter().chain(grants(&service.snapshot())?) {
        ask(request)?;
    }
    service.protect()?;
    Ok(())
}

fn units() -> Vec<R> {
    let ou = |name: &str, under: Option<&str>, protected| {
        R::OuAdd(op::OuAdd { name: name.to_owned(), under: under.map(str::to_owned), protected })
    };
    vec![
        ou("Staff", None, false),
        ou("Shared", None, false),
        ou("Service", None, false),
        ou("Plant", None, false),
        ou("Protected", Some(PLANT), true),
    ]
}

fn domains() -> Vec<R> {
    let add = |domain: &str, kind| {
        let domain = domain.to_owned();
        let add = op::DomainAdd { domain, kind, alias_of: None, subaddressing: false, recipient_lookup: None };
        R::DomainAdd(add)
    };
    vec![add("partner.test", op::DomainKind::InternalRelay), add("*.relay.test", op::DomainKind::ExternalRelay)]
}

fn accounts() -> Vec<R> {
    ACCOUNTS
        .iter()
        .map(|account| {
            let mut addresses = vec![format!("{}@example.com", account.name)];
            if account.name == "ceo" {
                addresses.push("carla@example.com".to_owned());
            }
            // Whoever accepts mail has a postmaster (RFC 5321 §4.5.1).
            if account.name == "admin" {
                addresses.push("postmaster@example.com".to_owned());
            }
            R::UserAdd(op::UserAdd {
                name: account.name.to_owned(),
                display_name: Some(account.display_name.to_owned()),
                ou: account.ou.map(str::to_owned),
                addresses,
                mailbox: true,
                ..op::UserAdd::default()
            })
        })
        .collect()
}

fn groups() -> Vec<R> {
    let group = |name: &str, logon: &str, members: &[&str]| {
        R::GroupAdd(op::GroupAdd {
            name: name.to_owned(),
            sam_account_name: Some(logon.to_owned()),
            ou: Some(STAFF.to_owned()),
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            ..op::GroupAdd::default()
        })
    };
    let seniors = "Sales Seniors";
    vec![
        group(seniors, seniors, &["EXAMPLE\\frank"]),
        // The logon name `sales` is the shared mailbox's.
        group("Sales", "Sales Team", &[seniors]),
        R::MemberAdd(op::Members { group: "Domain Admins".to_owned(), members: vec!["EXAMPLE\\admin".to_owned()] }),
    ]
}

fn grants(snapshot: &Snapshot) -> Result<Vec<R>, Failure> {
    let database = snapshot
        .objects()
        .find(|(_, object)| object.class() == directory::Class::Database)
        .map(|(id, _)| snapshot.dn(id))
        .ok_or_else(|| Failure::new("the organization has no mailbox database"))?;
    let permission = |on: &str, trustee: &str, right: &str, deny, inherit_to: Option<&str>| {
        R::PermissionAdd(op::PermissionChange {
            identity: on.to_owned(),
            trustee: trustee.to_owned(),
            rights: vec![right.to_owned()],
            deny,
            inherit_to: inherit_to.map(str::to_owned),
            inheritance: None,
            until: None,
        })
    };
    let full_access = |trustee: &str| {
        R::MailboxPermissionAdd(op::MailboxPermissionChange {
            identity: "ceo@example.com".to_owned(),
            trustee: trustee.to_owned(),
            rights: vec!["full-access".to_owned()],
            deny: false,
            until: None,
        })
    };
    Ok(vec![
        R::DelegateAdd(op::Delegates {
            identity: "ceo@example.com".to_owned(),
            delegates: vec!["EXAMPLE\\alice".to_owned(), "EXAMPLE\\dave".to_owned()],
            until: None,
        }),
        full_access("EXAMPLE\\dave"),
        full_access("EXAMPLE\\erin"),
        permission("sales@example.com", "EXAMPLE\\Sales Team", "Send As", false, None),
        permission(STAFF, "EXAMPLE\\gina", "Send As", false, Some("user")),
        permission("ceo@example.com", "EXAMPLE\\gina", "Send As", true, None),
        permission(STAFF, "EXAMPLE\\goodadmin", "Send As", false, Some("user")),
        permission(PLANT, "EXAMPLE\\goodadmin", "Send As", false, Some("user")),
        permission(&database, "EXAMPLE\\besadmin", "Receive As", false, None),
    ])
}

/// Moves a connector of the demo to another address, if one is asked for.
fn listen(service: &Service, name: &str, address: Option<SocketAddr>) -> Result<(), Failure> {
    let Some(address) = address else { return Ok(()) };
    let snapshot = service.snapshot();
    let mut connectors = snapshot.receive_connectors();
    let Some((id, connector)) = connectors.find(|(_, connector)| connector.name == name) else {
        return Err(Failure::new(format!("the demo has no connector {name} any more"))
            .help("remove the data directory to begin the demo anew"));
    };
    let Some(object) = snapshot.object(id).filter(|_| connector.bindings != [address]) else { return Ok(()) };
    let attributes = vec![(a::RECEIVE_BINDINGS.to_owned(), vec![address.to_string().into_bytes()])];
    let change = Change::Modify { guid: object.guid(), attributes };
    service.commit_as_system(&format!("serve --demo: {name} listens on {address}"), vec![change])?;
    Ok(())
}

/// What a newcomer is told: what listens where, who is there, and what to try.
pub fn welcome(data: &std::path::Path, new: bool, client: SocketAddr, internet: SocketAddr) -> String {
    let state = if new { "new" } else { "as it was left" };
    let mut text = format!(
        "Procura demo: the organization of example.com, data in {} ({state})\n\n\
         \x20 Client    {client}  STARTTLS, then AUTH PLAIN or LOGIN\n\
         \x20 Internet  {internet}  anonymous\n\n\
         Accounts (the password of bob is bob-demo, and so on):\n",
        data.display()
    );
    for account in &ACCOUNTS {
        text += &format!("  {:<10} {}\n", account.name, account.what);
    }
    let (host, port) = (client.ip(), client.port());
    let shown = data.display();
    text += &format!(
        "\nTry, in another terminal:\n\
         \n1. Allowed: bob writes as himself.\n\
         \x20 swaks --server {host} --port {port} --tls --auth PLAIN --auth-user bob --auth-password bob-demo \\\n\
         \x20     --from bob@example.com --to ceo@example.com\n\
         \n2. On behalf: alice is a delegate of ceo; the message gets a Sender header with her name.\n\
         \x20 printf 'From: Carla Owens <ceo@example.com>\\r\\nTo: bob@example.com\\r\\nSubject: on behalf\\r\\n\\r\\nHello\\r\\n' |\n\
         \x20     curl --silent --show-error --ssl-reqd --insecure --url smtp://{client} --user alice:alice-demo \\\n\
         \x20     --mail-from alice@example.com --mail-rcpt bob@example.com --upload-file -\n\
         \n3. Refused: bob may not send as ceo.\n\
         \x20 swaks --server {host} --port {port} --tls --auth PLAIN --auth-user bob --auth-password bob-demo \\\n\
         \x20     --from ceo@example.com --to alice@example.com\n\
         \nThe refusal names a decision; ask why, and what is there:\n\
         \x20 procura --data {shown} explain DECISION\n\
         \x20 procura --data {shown} check --as bob --from ceo@example.com\n\
         \x20 cat {shown}/mail/*/new/*\n"
    );
    text
}
