//! A small organization with a running server: `example.com` with alice, bob and a list, an Internet and a client
//! connector, everything in a temporary directory.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use acl::{AccessMask, Ace, Guid, edit, well_known};
use directory::organization::{Names, NewConnector, Usage, new_organization, receive_connector};
use directory::{Change, ChangeBatch, Class, Config, ObjectId, Record, Snapshot, Time, Value, attributes, link_value};
use queue::{Queue, QueueOptions};
use rights::{GroupTrustee, PermissionGroup, RightName, ServerRole};
use store::AuditStore;
use transport::certificate::LiveCertificate;
use transport::{
    AuditLog, AuditOptions, CredentialLimits, CredentialSource, Credentials, Server, ServerOptions, Shared,
    SourceUnavailable, StoredCredentials, certificate, password,
};

/// Nothing in these tests takes longer, or it fails.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The binding of the Internet connector, as configured; the real port is another.
pub const INTERNET: &str = "127.0.0.1:2525";
/// The binding of the client connector.
pub const CLIENT: &str = "127.0.0.1:2587";

/// What send connectors with a user log on with.
pub const RELAY_PASSWORD: &str = "relay secret";

/// The directory under construction.
pub struct Directory {
    pub snapshot: Arc<Snapshot>,
    guids: u128,
}

/// Passwords by account: the logon name and `-demo`, hashed once.
#[derive(Clone, Default)]
pub struct Passwords(Arc<Mutex<HashMap<Guid, StoredCredentials>>>);

impl CredentialSource for Passwords {
    fn stored(&self, account: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
        Ok(self.0.lock().unwrap().get(account).cloned().unwrap_or_default())
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }
}

/// A site and how it is started.
pub struct Site {
    pub folder: tempfile::TempDir,
    pub directory: Directory,
    pub shared: Arc<Shared>,
    pub server: Option<Server>,
}

/// What a test may want otherwise.
pub struct Plan {
    pub queue: QueueOptions,
    pub options: Box<dyn FnOnce(&mut ServerOptions)>,
    pub directory: Box<dyn FnOnce(&mut Directory)>,
    pub limits: CredentialLimits,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan {
            queue: QueueOptions { segment_size: 4 << 20, min_free: 0, ..QueueOptions::default() },
            options: Box::new(|_| {}),
            directory: Box::new(|_| {}),
            limits: CredentialLimits { threads: 1, ..CredentialLimits::default() },
        }
    }
}

impl Site {
    /// The usual site.
    pub fn start() -> Site {
        Site::with(Plan::default())
    }

    pub fn with(plan: Plan) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let mut directory = Directory::demo();
        (plan.directory)(&mut directory);
        let (queue, _) = Queue::open(&folder.path().join("queue"), plan.queue).unwrap();
        let store = AuditStore::open(&folder.path().join("audit.db")).unwrap();
        let audit = AuditLog::start(store, queue.clone(), AuditOptions::default()).unwrap();
        let passwords = Passwords::default();
        for name in ["alice", "bob"] {
            let account = directory.snapshot.resolve_login(name).unwrap();
            let guid = directory.snapshot.object(account).unwrap().guid();
            let (chosen, app_passwords) = (format!("{name}-demo"), Vec::new());
            let password = Some(password::hash(chosen.as_bytes()).unwrap());
            let scram = password::scram_keys(chosen.as_bytes(), None, 4096).unwrap();
            passwords.0.lock().unwrap().insert(guid, StoredCredentials { password, scram, app_passwords });
        }
        for (id, _) in directory.snapshot.send_connectors().filter(|(_, connector)| connector.user.is_some()) {
            let guid = directory.snapshot.object(id).unwrap().guid();
            let password = Some(format!("{{CLEAR}}{RELAY_PASSWORD}"));
            passwords.0.lock().unwrap().insert(guid, StoredCredentials { password, ..StoredCredentials::default() });
        }
        let credentials = Credentials::start(passwords, plan.limits).unwrap();
        let shared = Shared::new(Arc::clone(&directory.snapshot), queue, credentials, audit);
        let mut site = Site { folder, directory, shared, server: None };
        site.serve(plan.options);
        site
    }

    /// Starts a server on the site.
    pub fn serve(&mut self, change: impl FnOnce(&mut ServerOptions)) {
        let mut options = ServerOptions::new("mail.example.com", self.folder.path().join("mail"));
        let (chain, key) = (self.folder.path().join("server.pem"), self.folder.path().join("server.key"));
        let (certificate, _) = certificate::load_or_generate(&chain, &key, &["localhost".to_owned()]).unwrap();
        options.certificate = Some(Arc::new(LiveCertificate::of_files(certificate, &chain, &key)));
        for binding in [INTERNET, CLIENT] {
            options.listeners.push((binding.parse().unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()));
        }
        change(&mut options);
        self.server = Some(Server::start(options, Arc::clone(&self.shared)).unwrap());
    }

    /// Where a binding really listens.
    pub fn address(&self, binding: &str) -> SocketAddr {
        let configured: SocketAddr = binding.parse().unwrap();
        let bindings = self.server().bindings();
        bindings.iter().find(|binding| binding.configured == configured).unwrap().actual
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// Changes the directory of the running server.
    pub fn change(&mut self, change: impl FnOnce(&mut Directory)) {
        change(&mut self.directory);
        self.shared.publish(Arc::clone(&self.directory.snapshot));
    }

    /// The messages in a mailbox, in no order.
    pub fn mailbox(&self, name: &str) -> Vec<String> {
        let new = self.folder.path().join("mail").join(format!("{name}@example.com")).join("new");
        let Ok(files) = std::fs::read_dir(new) else { return Vec::new() };
        let paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    /// Waits until a mailbox holds so many messages, and the queue has heard of it.
    pub fn await_mail(&self, name: &str, count: usize) -> Vec<String> {
        eventually(&format!("{count} messages for {name}"), || {
            let messages = self.mailbox(name);
            (messages.len() >= count).then_some(messages)
        })
    }

    /// Waits until nothing is queued.
    pub fn await_empty_queue(&self) {
        eventually("an empty queue", || (self.shared.queue().counts().unwrap().messages == 0).then_some(()));
    }
}

/// Waits, with a bound, until `look` sees what it looks for.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what}: not in {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

impl Directory {
    fn demo() -> Directory {
        let mut directory = Directory { snapshot: Arc::new(Snapshot::empty()), guids: 0 };
        let names = Names {
            domain: "example.com".into(),
            netbios: "EXAMPLE".into(),
            domain_sid: "S-1-5-21-1000-2000-3000".parse().unwrap(),
            organization: "First Organization".into(),
            server: "MAIL".into(),
            server_fqdn: "mail.example.com".into(),
        };
        let guids = &mut directory.guids;
        let changes = new_organization(&names, &[], &mut || next_guid(guids));
        directory.apply(changes);
        directory.user("alice");
        directory.user("bob");
        directory.receive("internet", PermissionGroup::AnonymousUsers, &[INTERNET], &[]);
        directory.receive("client", PermissionGroup::ExchangeUsers, &[CLIENT], &[(attributes::RECEIVE_SECURITY, "13")]);
        directory
    }

    pub fn apply(&mut self, changes: Vec<Change>) {
        let batch = ChangeBatch { author: well_known::SYSTEM, time: Time(0), comment: "test".into(), changes };
        self.snapshot = Arc::new(self.snapshot.apply(&batch).unwrap().snapshot);
    }

    pub fn user(&mut self, name: &str) {
        let database = self.first(|config| matches!(config, Config::Database(_)));
        let domain = self.snapshot.domains()[0].object;
        let users = self.snapshot.by_dn(&format!("CN=Users,{}", self.snapshot.dn(domain))).unwrap();
        let mailbox = next_guid(&mut self.guids);
        let record = self
            .record(Class::User, users, name)
            .with(attributes::SAM_ACCOUNT_NAME, name)
            .with(attributes::DISPLAY_NAME, name)
            .with(attributes::USER_ACCOUNT_CONTROL, "512")
            .with(attributes::PROXY_ADDRESSES, format!("SMTP:{name}@example.com"))
            .with(attributes::MAILBOX_GUID, mailbox.0.to_vec())
            .with(attributes::HOME_MDB, link_value(&self.guid(database)));
        self.apply(vec![Change::Add(record)]);
    }

    /// A mail-enabled group.
    pub fn group(&mut self, name: &str, members: &[&str]) {
        let domain = self.snapshot.domains()[0].object;
        let users = self.snapshot.by_dn(&format!("CN=Users,{}", self.snapshot.dn(domain))).unwrap();
        let members: Vec<Value> =
            members.iter().map(|name| link_value(&self.guid(self.snapshot.resolve(name).unwrap()))).collect();
        let record = self
            .record(Class::Group, users, name)
            .with(attributes::SAM_ACCOUNT_NAME, name)
            .with(attributes::GROUP_TYPE, "-2147483640")
            .with(attributes::PROXY_ADDRESSES, format!("SMTP:{name}@example.com"))
            .with_all(attributes::MEMBER, members);
        self.apply(vec![Change::Add(record)]);
    }

    /// A receive connector for a permission group.
    pub fn receive(&mut self, name: &str, group: PermissionGroup, bindings: &[&str], settings: &[(&str, &str)]) {
        let server = self.first(|config| matches!(config, Config::Server(_)));
        let mut grants = Vec::new();
        for (trustee, rights) in group.grants(ServerRole::Hub) {
            if let GroupTrustee::WellKnown(sid) = trustee {
                grants.extend(rights.iter().map(|right| (sid.clone(), right.guid())));
            }
        }
        let bindings = bindings.iter().map(|binding| binding.parse().unwrap()).collect();
        let connector = NewConnector { name: name.into(), usage: Usage::Custom, bindings, grants };
        let guid = next_guid(&mut self.guids);
        let mut record = receive_connector(&self.snapshot, server, &connector, guid).unwrap();
        let usual = [
            (attributes::RECEIVE_TARPIT, "0"),
            (attributes::RECEIVE_SECURITY, "1"),
            (attributes::RECEIVE_RANGES, "127.0.0.0/8"),
        ];
        for (attribute, value) in usual.iter().chain(settings) {
            record.set(attribute, vec![value.as_bytes().to_vec()]);
        }
        self.apply(vec![Change::Add(record)]);
    }

    /// Gives a receive connector the entries of one more permission group.
    pub fn permit(&mut self, name: &str, group: PermissionGroup) {
        let (id, _) = self.snapshot.receive_connectors().find(|(_, connector)| connector.name == name).unwrap();
        let mut descriptor = (*self.snapshot.explicit_descriptor(id).unwrap()).clone();
        for (trustee, rights) in group.grants(ServerRole::Hub) {
            let GroupTrustee::WellKnown(sid) = trustee else { continue };
            for right in rights {
                let ace = Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid());
                edit::add(descriptor.dacl.get_or_insert_default(), ace);
            }
        }
        let attributes = vec![(attributes::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        self.apply(vec![Change::Modify { guid: self.guid(id), attributes }]);
    }

    /// A send connector for an address space.
    pub fn send(&mut self, name: &str, space: &str, host: SocketAddr) {
        let organization = self.snapshot.organization().unwrap();
        let record = self
            .record(Class::SendConnector, organization, name)
            .with(attributes::SEND_SPACES, space)
            .with(attributes::SEND_SMART_HOSTS, host.to_string());
        self.apply(vec![Change::Add(record)]);
    }

    /// A send connector for an address space, by MX records, to this port.
    pub fn send_by_mx(&mut self, name: &str, space: &str, port: u16) {
        let organization = self.snapshot.organization().unwrap();
        let record = self
            .record(Class::SendConnector, organization, name)
            .with(attributes::SEND_SPACES, space)
            .with(attributes::SEND_PORT, port.to_string());
        self.apply(vec![Change::Add(record)]);
    }

    /// An accepted domain of a kind: 1 external relay, 2 internal relay.
    pub fn accept(&mut self, name: &str, flags: &str) {
        let parent = self.snapshot.accepted_domains().next().map(|(id, _)| id).unwrap();
        let parent = self.snapshot.object(parent).unwrap().parent().unwrap();
        let record = self
            .record(Class::AcceptedDomain, parent, name)
            .with(attributes::ACCEPTED_DOMAIN_NAME, name)
            .with(attributes::ACCEPTED_DOMAIN_FLAGS, flags);
        self.apply(vec![Change::Add(record)]);
    }

    /// Grants a right on the object of one account to another account.
    pub fn grant(&mut self, right: RightName, owner: &str, trustee: &str) {
        let [owner, trustee] = [owner, trustee].map(|name| self.snapshot.resolve_login(name).unwrap());
        let sid = self.snapshot.sid(self.snapshot.object(trustee).unwrap().sid().unwrap());
        let mut descriptor = (*self.snapshot.explicit_descriptor(owner).unwrap()).clone();
        let ace = Ace::allow_object(sid, AccessMask::CONTROL_ACCESS, right.guid());
        assert!(edit::add(descriptor.dacl.get_or_insert_default(), ace));
        let attributes = vec![(attributes::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        self.apply(vec![Change::Modify { guid: self.guid(owner), attributes }]);
    }

    /// Sets one attribute of a receive connector.
    pub fn set_connector(&mut self, name: &str, attribute: &str, value: &str) {
        let (id, _) = self.snapshot.receive_connectors().find(|(_, connector)| connector.name == name).unwrap();
        let attributes = vec![(attribute.to_owned(), vec![value.as_bytes().to_vec()])];
        self.apply(vec![Change::Modify { guid: self.guid(id), attributes }]);
    }

    pub fn record(&mut self, class: Class, parent: ObjectId, name: &str) -> Record {
        let classes = class.object_classes().iter().map(|name| name.as_bytes().to_vec());
        let parent = self.guid(parent);
        Record::new(next_guid(&mut self.guids), Some(parent), format!("CN={name}"))
            .with_all(attributes::OBJECT_CLASS, classes)
    }

    fn guid(&self, id: ObjectId) -> Guid {
        self.snapshot.object(id).unwrap().guid()
    }

    fn first(&self, wanted: impl Fn(&Config) -> bool) -> ObjectId {
        self.snapshot.configuration().find(|(_, config)| wanted(config)).unwrap().0
    }
}

fn next_guid(count: &mut u128) -> Guid {
    *count += 1;
    Guid::from_u128(0x7e57_0000_0000_4000_8000_0000_0000_0000 | *count)
}
