//! `procura serve`: one process owns the data directory and runs everything.

mod around;
mod options;
mod signals;
mod timers;

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;

use admin::socket::SocketServer;
use admin::{Absent, DataDirectory, Service, audit_path, queue_directory};
use directory::SendingLimits;
use listenfd::ListenFd;
use queue::{Queue, QueueOptions};
use store::{AuditStore, Retention};
use transport::certificate::LiveCertificate;
use transport::delivery::MAILBOX;
use transport::{AuditLog, AuditOptions, Credentials, LocalUsers, Server, Shared, TlsOptions};
use web::submission::SubmissionServer;
use web::{Web, Webhooks};

use crate::active_directory;
use crate::cli::args::{Global, Serve};
use crate::cli::fault::Failure;
use crate::demo;
use crate::http;
use crate::local::LocalSocket;
use crate::logging::Logging;
use crate::node::Node;
use crate::notify::notify;
use crate::passwords::{self, Passwords};
use crate::reload::Reloader;
use crate::{sandbox, tls, tokens, watch};

use around::Around;
use options::{protocol_log, server_options, start_failure, tracking};
use signals::{Signal, signals};

/// Runs a server until it is asked to stop.
pub fn serve(global: &Global, arguments: &Serve) -> miette::Result<()> {
    if arguments.demo && global.config.is_some() {
        let failure = Failure::new("--demo needs no configuration").help("leave --config away, or --demo");
        return Err(failure.into());
    }
    let mut node = Node::locate(global)?;
    if arguments.demo {
        node.loaded.config.node.hostname = Some(demo::HOSTNAME.to_owned());
    }
    let logging = Logging::start(&node.loaded.config.log, &node.data)?;
    // Before root is given up: the key may be root's alone.
    let certificate = tls::configured_certificate(&node)?;
    let tls_options = tls::options(&node)?;
    let source = active_directory::settings(&node)?;
    let absent = if arguments.demo { Absent::Create } else { Absent::Refuse };
    let data = DataDirectory::open(&node.data, absent).map_err(Failure::from)?;
    if arguments.demo {
        demo::forget_unfinished(data.path())?;
    }
    if node.loaded.config.node.sandbox {
        sandboxed(&node, data.path())?;
    }
    // From now on, so that no signal ends the process half way; and not before root is given up, for it takes a thread.
    let signals = signals()?;
    allow_files();
    let options = node.options(&data, node.users());
    let service = Arc::new(Service::open(data, options).map_err(Failure::from)?);
    let mut new = false;
    if arguments.demo {
        new = demo::ensure(&service, arguments.client_listen, arguments.internet_listen)?;
    } else if service.snapshot().organization().is_none() {
        let path = node.data.display();
        let failure = Failure::new(format!("there is no organization in {path}"))
            .help("create one with `procura init DIR`, or look around with `procura serve --demo`");
        return Err(failure.into());
    }
    for problem in service.problems() {
        tracing::warn!("directory: {problem}");
    }

    let reloader = Arc::new(Reloader::new(&node, arguments.demo, logging));
    if arguments.discard {
        tracing::warn!("messages are acknowledged and thrown away: this is for measuring only");
    }
    let running = start(&node, &service, (certificate, tls_options), source, &reloader, arguments.discard)?;
    let bindings = running.server.bindings();
    let mut out = std::io::stdout().lock();
    let mut say = |text: &str| {
        // Nobody may be listening; the server serves all the same.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    };
    if arguments.demo {
        let at = |name: &str, default| {
            let named = bindings.iter().find(|binding| binding.connectors.iter().any(|connector| connector == name));
            named.map_or(default, |binding| binding.actual)
        };
        let (client, internet) = (at("Client", demo::CLIENT), at("Internet", demo::INTERNET));
        say(&demo::welcome(service.directory(), new, client, internet));
        say("\n");
    } else {
        for binding in &bindings {
            say(&format!("{} listens on {}\n", binding.connectors.join(", "), binding.actual));
        }
    }
    say("ready\n");
    notify("READY=1");
    running.until_stopped(signals)
}

/// Enters the sandbox: from now on only the data, the logs and what the configuration names is written.
fn sandboxed(node: &Node, data: &Path) -> Result<(), Failure> {
    let (loaded, config) = (&node.loaded, &node.loaded.config);
    let folder_of = |path: PathBuf| path.parent().map(Path::to_owned).unwrap_or(path);
    let mut writable: Vec<PathBuf> = config.node.writable.iter().map(|path| loaded.path(path)).collect();
    writable.extend([data.to_owned(), data.join(&config.delivery.mailboxes)]);
    writable.extend(config.log.file.as_ref().map(|path| folder_of(data.join(path))));
    writable.extend(config.log.protocol.as_ref().map(|path| data.join(path)));
    writable.extend(node.socket().map(folder_of));
    writable.extend(config.local.socket.as_ref().map(|path| folder_of(loaded.path(path))));
    writable.extend(folders(data)?);
    let files = [&config.tls.certificate, &config.tls.key, &config.tls.partner_roots, &config.kerberos.keytab];
    let directory = &config.directory;
    let files = files.into_iter().chain([&config.delivery.roots, &directory.password_file, &directory.keytab]);
    let named = files.flatten().chain([&directory.roots]).map(|path| loaded.path(path));
    // What is a link is read where it leads to.
    let mut readable: Vec<PathBuf> = vec![loaded.base.clone()];
    readable.extend(named.flat_map(|path| [Some(path.clone()), path.canonicalize().ok()]).flatten().map(folder_of));
    sandbox::enter(&readable, &writable)
}

/// The folders that connectors name now: pickup, replay and drop folders.
fn folders(data: &Path) -> Result<Vec<PathBuf>, Failure> {
    let path = data.join("directory.db");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let named = [directory::attributes::FOLDER_PATH, directory::attributes::DROP_FOLDER];
    let found = store::DirectoryStore::open_existing(&path).and_then(|store| store.texts(&named));
    let found = found.map_err(|e| Failure::from(admin::Fault::from(e)))?;
    Ok(found.into_iter().map(PathBuf::from).collect())
}

/// As many files and connections at a time as the system allows: the usual limit is lower, for the sake of programs of old.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}

/// Everything that runs.
struct Everything {
    server: Server,
    socket: SocketServer,
    shared: Arc<Shared>,
    queue: Queue,
    web: Option<Web>,
    submission: Option<SubmissionServer>,
    local: Option<LocalSocket>,
    webhooks: Webhooks,
    /// They end when these are dropped.
    timers: Vec<Sender<()>>,
    reloader: Arc<Reloader>,
}

fn start(
    node: &Node,
    service: &Arc<Service>,
    (certificate, tls_options): (Option<Arc<LiveCertificate>>, TlsOptions),
    source: Option<ldap::Settings>,
    reloader: &Arc<Reloader>,
    discard: bool,
) -> Result<Everything, Failure> {
    let config = &node.loaded.config;
    let directory = service.directory();
    let hostname = node.hostname();
    let options = QueueOptions {
        node: hostname.clone(),
        min_free: config.storage.min_free_mib << 20,
        per_destination: config.delivery.connections_per_destination,
        first: 2,
        far: config.delivery.connections,
        near: vec![MAILBOX.to_owned()],
        discard,
        ..QueueOptions::default()
    };
    let failed = |e: &dyn std::fmt::Display| Failure::new(e.to_string());
    let (queue, recovery) = Queue::open(&queue_directory(directory), options).map_err(|e| failed(&e))?;
    tracing::info!(messages = recovery.messages, deliveries = recovery.deliveries, "queue opened");
    for message in &recovery.damaged {
        tracing::error!(message, "the body of a message is damaged: it is held");
    }
    let audit = AuditStore::open(&audit_path(directory)).map_err(|e| Failure::from(admin::Fault::from(e)))?;
    let retention =
        Retention { records: config.storage.audit_records, age: i64::from(config.storage.audit_days) * 24 * 3_600_000 };
    let audit_options = AuditOptions { retention, ..AuditOptions::default() };
    let audit = AuditLog::start(audit, queue.clone(), audit_options).map_err(|e| failed(&e))?;
    let passwords = Passwords::new(Arc::clone(service), config.directory.source == "ldap").map_err(|e| failed(&e))?;
    let limits = passwords::limits(&config.authentication);
    let credentials = Credentials::start(passwords, limits).map_err(|e| failed(&e))?;
    let shared = Shared::new(service.snapshot(), queue.clone(), credentials, audit);
    let usual = SendingLimits::parse(config.delivery.sending_limits.iter().map(String::as_str)).unwrap_or_default();
    if let Err(error) = shared.sending().set_up(usual, &directory.join("sending")) {
        tracing::warn!(%error, "what accounts have sent lately cannot be read: their limits count from now on");
    }
    let filters: Vec<_> = config.content.filters.iter().filter_map(|filter| filter.filter().ok()).collect();
    shared.filter_by(filters, &hostname);
    if let Some(tracking) = tracking(config, directory)? {
        shared.track_in(tracking);
    }
    let poster = http::poster(node)?;
    let around = Around { shared: Arc::downgrade(&shared), reloader: Arc::clone(reloader), poster: poster.clone() };
    service.attach(queue.clone(), Arc::new(around));
    if let Some(settings) = source {
        let live = active_directory::Live::new(service, node, &settings);
        service.follow_active_directory(settings)?;
        reloader.follow_directory(live);
    }
    // What was changed between the first look at the directory and now.
    shared.publish(service.snapshot());
    shared.webhooks().set(service.webhooks());

    let certificate = match certificate {
        Some(certificate) => certificate,
        None => tls::own_certificate(directory, &hostname)?,
    };
    let submission = http::submission(node, service, &hostname);
    let local = http::local(node, service, &hostname);
    let mut options = server_options(node, service, hostname)?;
    options.certificate = Some(Arc::clone(&certificate));
    let http_tls = tls_options.clone();
    options.tls = tls_options;
    options.tokens = tokens::tokens(node)?.map(Arc::new);
    (options.submission, options.local) = (submission, local);
    let users = LocalUsers::new(node.local_users());
    reloader.follow_local_users(users.clone());
    options.owners = users.clone();
    options.protocol_log = Some(protocol_log(node, directory)?);
    #[cfg(feature = "kerberos")]
    {
        options.kerberos = options::keytab(node)?;
    }
    options.listeners = given_sockets();
    let server = Server::start(options, Arc::clone(&shared)).map_err(start_failure)?;
    let (path, everybody) = match node.socket() {
        Some(path) => (path, true),
        None => (admin::data::socket_path(directory), false),
    };
    let answer: Arc<dyn admin::socket::Answer> = Arc::<Service>::clone(service);
    let socket = SocketServer::start(&path, everybody, answer)
        .map_err(|e| Failure::new(format!("{}: {e}", path.display())).help("check [admin] socket"))?;
    let submission = http::start(node, &server, &certificate, http_tls)?;
    let local = match (&config.local.socket, server.local()) {
        (Some(path), Some(submissions)) => Some(LocalSocket::start(&node.loaded.path(path), users, submissions)?),
        _ => None,
    };
    let webhooks = Webhooks::start(poster, Arc::clone(&shared)).map_err(|e| failed(&e))?;
    let web = match &config.http.listen {
        Some(listen) => Some(start_web(listen, &shared)?),
        None => None,
    };
    let protector = timers::protect_regularly(Arc::clone(service), u64::from(config.admin.protect_minutes))?;
    let expirer = timers::expire_in_time(Arc::clone(service))?;
    let follower = tls::follow(Arc::clone(&certificate), config.tls.reload_seconds)?;
    reloader.watch(Arc::clone(&certificate));
    shared.watch_certificate(certificate);
    let alarms = watch::alarms(Arc::clone(&shared), Arc::clone(reloader), Arc::downgrade(service))?;
    let mut timers = vec![protector, expirer, follower, alarms];
    timers.extend(watch::watchdog(Arc::clone(&shared))?);
    Ok(Everything {
        reloader: Arc::clone(reloader),
        server,
        socket,
        shared,
        queue,
        web,
        submission,
        local,
        webhooks,
        timers,
    })
}

/// Sockets that the service manager listens on for us (sd_listen_fds(3)): each serves the binding of its address.
fn given_sockets() -> Vec<(SocketAddr, TcpListener)> {
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        match given.take_tcp_listener(index) {
            Ok(Some(socket)) => match socket.local_addr() {
                Ok(address) => sockets.push((address, socket)),
                Err(error) => tracing::warn!(%error, "a socket of the service manager has no address"),
            },
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a socket of the service manager is none for TCP"),
        }
    }
    sockets
}

/// HTTP, where `[http]` wants it.
fn start_web(listen: &str, shared: &Arc<Shared>) -> Result<Web, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(e.to_string()).help("check [http] listen in procura.toml");
    let address = listen.parse().map_err(|e: std::net::AddrParseError| failed(&e))?;
    let web = Web::start(address, Arc::clone(shared)).map_err(|e| failed(&e))?;
    tracing::info!(address = %web.address(), "HTTP listens");
    Ok(web)
}

impl Everything {
    /// Does what signals ask. After SIGHUP the certificate is read again. Waits for SIGTERM or SIGINT, then finishes what is
    /// in flight; a second signal ends everything at once.
    fn until_stopped(self, signals: Receiver<Signal>) -> miette::Result<()> {
        let stopper = self.server.stopper();
        let reloader = self.reloader;
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                while let Ok(signal) = signals.recv() {
                    if signal == Signal::Reload {
                        // What came of it is logged.
                        let _ = reloader.reload();
                        continue;
                    }
                    notify("STOPPING=1");
                    tracing::info!("stopping");
                    stopper.stop();
                }
            })
            .map_err(|e| Failure::new(e.to_string()))?;
        self.server.wait();
        drop(self.submission);
        drop(self.local);
        drop(self.webhooks);
        drop(self.web);
        drop(self.timers);
        drop(self.socket);
        self.shared.audit().flush();
        self.queue.close();
        tracing::info!("stopped");
        Ok(())
    }
}
