//! `procura serve`: one process owns the data directory and runs everything.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use acl::Guid;
use admin::operations::PauseFate;
use admin::pause::{PauseOutcome, PausedMail};
use admin::socket::SocketServer;
use admin::{Absent, DataDirectory, Fault, FaultKind, Running, Service, audit_path, queue_directory};
use directory::{SendingLimits, Snapshot};
use listenfd::ListenFd;
use queue::{Backoff, Queue, QueueOptions};
use store::{AuditEntry, AuditStore, Retention, StoreError, Webhook};
use tracking::{Event, Tracking, TrackingOptions};
use transport::certificate::LiveCertificate;
use transport::delivery::{MAILBOX, Roots};
use transport::pause::{Chosen, Order, Ordered, Pair};
use transport::{
    AuditLog, AuditOptions, ClientTimeouts, Credentials, DeliveryOptions, DnsOptions, Exits, LmtpHost, ProtocolLog,
    ProtocolLogOptions, Server, ServerOptions, Shared, SmartHost, StartError, StsOptions, TlsOptions,
};
use web::submission::SubmissionServer;
use web::{Poster, Web, Webhooks};

use crate::active_directory;
use crate::cli::args::{Global, Serve};
use crate::cli::fault::Failure;
use crate::config::Config;
use crate::demo;
use crate::http;
use crate::local::LocalSocket;
use crate::logging::Logging;
use crate::node::Node;
use crate::notify::notify;
use crate::passwords::{self, Passwords};
use crate::reload::Reloader;
use crate::{sandbox, tls, tokens, watch};

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
    let options = node.options(&data, node.users()?);
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
    let files = files.into_iter().chain([&config.delivery.roots]);
    let named = files.flatten().map(|path| loaded.path(path));
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
    let found = store::DirectoryStore::open(&path).and_then(|store| store.texts(&named));
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
        service.follow_active_directory(settings)?;
    }
    // What was changed between the first look at the directory and now.
    shared.publish(service.snapshot());
    shared.webhooks().set(service.webhooks());

    let certificate = match certificate {
        Some(certificate) => certificate,
        None => tls::own_certificate(directory, &hostname)?,
    };
    let mut options = server_options(node, service, hostname)?;
    options.certificate = Some(Arc::clone(&certificate));
    let http_tls = tls_options.clone();
    options.tls = tls_options;
    options.tokens = tokens::tokens(node)?.map(Arc::new);
    options.submission = http::submission(node, service);
    options.local = http::local(node);
    options.owners = node.local_users()?;
    options.protocol_log = protocol_log(node, directory)?;
    #[cfg(feature = "kerberos")]
    {
        options.kerberos = keytab(node)?;
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
        (Some(path), Some(submissions)) => {
            Some(LocalSocket::start(&node.loaded.path(path), node.local_users()?, submissions)?)
        }
        _ => None,
    };
    let webhooks = Webhooks::start(poster, Arc::clone(&shared)).map_err(|e| failed(&e))?;
    let web = match &config.http.listen {
        Some(listen) => Some(start_web(listen, &shared)?),
        None => None,
    };
    let protector = protect_regularly(Arc::clone(service), u64::from(config.admin.protect_minutes))?;
    let expirer = expire_in_time(Arc::clone(service))?;
    let follower = tls::follow(Arc::clone(&certificate), config.tls.reload_seconds)?;
    reloader.watch(Arc::clone(&certificate));
    shared.watch_certificate(certificate);
    let alarms = watch::alarms(Arc::clone(&shared), Arc::clone(reloader))?;
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

/// The record of messages, where `[storage]` wants one.
fn tracking(config: &Config, directory: &Path) -> Result<Option<Tracking>, Failure> {
    let storage = &config.storage;
    if storage.tracking_days == 0 {
        return Ok(None);
    }
    let options = TrackingOptions {
        keep: Duration::from_secs(u64::from(storage.tracking_days) * 24 * 3600),
        total_size: storage.tracking_mib << 20,
        ..TrackingOptions::new(admin::tracking_directory(directory))
    };
    Tracking::start(options).map(Some).map_err(|e| Failure::new(e.to_string()))
}

/// HTTP, where `[http]` wants it.
fn start_web(listen: &str, shared: &Arc<Shared>) -> Result<Web, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::new(e.to_string()).help("check [http] listen in procura.toml");
    let address = listen.parse().map_err(|e: std::net::AddrParseError| failed(&e))?;
    let web = Web::start(address, Arc::clone(shared)).map_err(|e| failed(&e))?;
    tracing::info!(address = %web.address(), "HTTP listens");
    Ok(web)
}

fn server_options(node: &Node, service: &Service, hostname: String) -> Result<ServerOptions, Failure> {
    let config = &node.loaded.config;
    let directory = service.directory();
    let mut options = ServerOptions::new(hostname.clone(), directory.join(&config.delivery.mailboxes));
    options.server = own_server(&service.snapshot(), &hostname)?;
    options.delivery = delivery_options(node, options.delivery)?;
    Ok(options)
}

/// What `[delivery]` and `[dns]` say.
fn delivery_options(node: &Node, usual: DeliveryOptions) -> Result<DeliveryOptions, Failure> {
    let config = &node.loaded.config;
    let delivery = &config.delivery;
    let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
    let smart_host = match &delivery.smart_host {
        Some(text) => Some(SmartHost::parse(text, 25).ok_or_else(|| {
            Failure::new(format!("smart_host `{text}` is not host:port")).help("check [delivery] in procura.toml")
        })?),
        None => None,
    };
    let usual_roots = Path::new("/etc/ssl/certs/ca-certificates.crt");
    let roots = match &delivery.roots {
        Some(path) => {
            let path = node.loaded.path(path);
            let failed =
                |e| Failure::new(format!("{}: {e}", path.display())).help("check [delivery] roots in procura.toml");
            Some(Roots::read(&path).map_err(failed)?)
        }
        None => Roots::read(usual_roots).ok(),
    };
    let reply = seconds(delivery.reply_seconds);
    Ok(DeliveryOptions {
        exits: Exits { smart_host, lmtp: delivery.lmtp.as_deref().and_then(LmtpHost::parse) },
        expire: Duration::from_secs(u64::from(delivery.expire_hours) * 3600),
        warn_after: (delivery.warn_hours > 0).then(|| Duration::from_secs(u64::from(delivery.warn_hours) * 3600)),
        backoff: Backoff { first: i64::from(delivery.retry_seconds) * 1000, ..Backoff::default() },
        leases: delivery.connections as usize * 2,
        timeouts: ClientTimeouts {
            connect: seconds(delivery.connect_seconds),
            greeting: reply,
            command: reply,
            data: reply * 2,
            ..usual.timeouts
        },
        dns: DnsOptions {
            servers: config.dns.servers.iter().filter_map(|server| server.parse().ok()).collect(),
            patience: seconds(config.dns.seconds),
        },
        sts: StsOptions { server: delivery.mta_sts_server.as_deref().and_then(|server| server.parse().ok()) },
        roots: roots.map(Arc::new),
        ..usual
    })
}

/// The keys of `[kerberos]`.
#[cfg(feature = "kerberos")]
fn keytab(node: &Node) -> Result<Option<transport::kerberos::Kerberos>, Failure> {
    let Some(path) = &node.loaded.config.kerberos.keytab else { return Ok(None) };
    transport::kerberos::Kerberos::open(&node.loaded.path(path))
        .map(Some)
        .map_err(|e| Failure::new(e.to_string()).help("check `keytab` under [kerberos] in procura.toml"))
}

/// The protocol log of `[log]`.
fn protocol_log(node: &Node, directory: &Path) -> Result<Option<ProtocolLog>, Failure> {
    let log = &node.loaded.config.log;
    let Some(folder) = &log.protocol else { return Ok(None) };
    let options = ProtocolLogOptions {
        folder: directory.join(folder),
        file_size: log.protocol_file_mib << 20,
        keep: Duration::from_secs(u64::from(log.protocol_days) * 24 * 3600),
        total_size: log.protocol_mib << 20,
    };
    let shown = options.folder.display().to_string();
    ProtocolLog::start(options)
        .map(Some)
        .map_err(|e| Failure::new(format!("{shown}: {e}")).help("check `protocol` under [log] in procura.toml"))
}

/// The server object of this node: the one with its name, else the only one.
fn own_server(snapshot: &Snapshot, hostname: &str) -> Result<Option<Guid>, Failure> {
    let servers: Vec<_> = snapshot.objects().filter(|(_, object)| object.class() == directory::Class::Server).collect();
    let label = hostname.split('.').next().unwrap_or(hostname);
    let named = servers.iter().find(|(_, object)| {
        let names = match object.config() {
            Some(directory::Config::Server(server)) => &server.names[..],
            _ => &[],
        };
        names.iter().any(|name| name.eq_ignore_ascii_case(hostname)) || object.name().eq_ignore_ascii_case(label)
    });
    match (named, &servers[..]) {
        (Some((_, object)), _) | (None, [(_, object)]) => Ok(Some(object.guid())),
        (None, []) => Ok(None),
        (None, several) => {
            let names: Vec<String> = several.iter().map(|(_, object)| object.name()).collect();
            Err(Failure::new(format!("none of the servers of the organization is called {hostname}"))
                .help(format!("set [node] hostname; there are: {}", names.join(", "))))
        }
    }
}

fn start_failure(error: StartError) -> Failure {
    let help = match &error {
        StartError::Bind { address, source, .. } => match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("another program listens on {address}: stop it, or let the connector listen elsewhere")
            }
            std::io::ErrorKind::PermissionDenied => {
                "ports below 1024 need root, or the capability CAP_NET_BIND_SERVICE".to_owned()
            }
            std::io::ErrorKind::AddrNotAvailable => format!("{} is no address of this machine", address.ip()),
            _ => "let the connector listen elsewhere".to_owned(),
        },
        StartError::Tls(_) => "check [tls] in procura.toml".to_owned(),
        StartError::Io(_) => "look at the limits of the system".to_owned(),
    };
    Failure::new(error.to_string()).help(help)
}

impl Everything {
    /// Does what signals ask. After SIGHUP the certificate is read again. Waits for SIGTERM or SIGINT, then finishes what is in flight; a second signal ends everything at once.
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

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signal {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
}

/// One message for each SIGTERM, SIGINT or SIGHUP.
fn signals() -> Result<Receiver<Signal>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let failed = |e: std::io::Error| Failure::new(format!("signals: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (mut terminate, mut interrupt, mut hang_up) = {
        let _guard = runtime.enter();
        (
            signal(SignalKind::terminate()).map_err(failed)?,
            signal(SignalKind::interrupt()).map_err(failed)?,
            signal(SignalKind::hangup()).map_err(failed)?,
        )
    };
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("signal".into())
        .spawn(move || {
            runtime.block_on(async {
                loop {
                    let signal = tokio::select! {
                        _ = terminate.recv() => Signal::Stop,
                        _ = interrupt.recv() => Signal::Stop,
                        _ = hang_up.recv() => Signal::Reload,
                    };
                    if sender.send(signal).is_err() {
                        return;
                    }
                }
            });
        })
        .map_err(failed)?;
    Ok(receiver)
}

/// The AdminSDHolder task: now, and every `minutes`. It ends when what is returned is dropped.
fn protect_regularly(service: Arc<Service>, minutes: u64) -> Result<Sender<()>, Failure> {
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("adminsdholder".into())
        .spawn(move || {
            loop {
                match service.protect() {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "AdminSDHolder: descriptors replaced"),
                    Err(fault) => tracing::error!("AdminSDHolder: {fault}"),
                }
                match stopped.recv_timeout(Duration::from_secs(minutes * 60)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(stop)
}

/// Takes time-bound grants back when they end. It ends when what is returned is dropped.
fn expire_in_time(service: Arc<Service>) -> Result<Sender<()>, Failure> {
    /// A grant that is made meanwhile may end before the one that is waited for.
    const LOOK: Duration = Duration::from_millis(500);
    let (stop, stopped) = channel::<()>();
    thread::Builder::new()
        .name("expiry".into())
        .spawn(move || {
            let mut said = String::new();
            loop {
                match service.expire() {
                    Ok(0) => {}
                    Ok(count) => tracing::info!(count, "time-bound grants ended"),
                    // Once: a domain that is away may be away for long.
                    Err(fault) if said != fault.to_string() => {
                        said = fault.to_string();
                        tracing::error!("time-bound grants: {fault}");
                    }
                    Err(_) => {}
                }
                let next = service.next_expiry().map(|next| next.0.saturating_sub(service.now().0).max(1) as u64);
                let wait = next.map_or(LOOK, |left| Duration::from_millis(left).min(LOOK));
                match stopped.recv_timeout(wait) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })
        .map_err(|e| Failure::new(e.to_string()))?;
    Ok(stop)
}

/// What the running server does for the service. It does not keep the server alive.
struct Around {
    shared: Weak<Shared>,
    reloader: Arc<Reloader>,
    poster: Poster,
}

impl Running for Around {
    fn webhooks_changed(&self, webhooks: &Arc<Vec<Webhook>>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.webhooks().set(Arc::clone(webhooks));
        }
    }

    fn test_webhook(&self, webhook: &Webhook) -> Result<String, Fault> {
        let posted = self.poster.test(webhook).map(|status| status.to_string());
        posted.map_err(|e| {
            Fault::new(FaultKind::Unavailable, format!("{} does not take a test: {e}", webhook.url))
                .help("look at the receiver, then test again; events that wait are posted again by themselves")
        })
    }

    fn published(&self, snapshot: &Arc<Snapshot>) {
        if let Some(shared) = self.shared.upgrade() {
            shared.publish(Arc::clone(snapshot));
        }
    }

    fn credential_changed(&self, account: &Guid) {
        if let Some(shared) = self.shared.upgrade() {
            shared.credentials().forget(account);
        }
    }

    fn message_ordered(&self, queue_id: &str, what: &str, by: &str) {
        let event = match what {
            "held" => Event::Held,
            "released" => Event::Released,
            "removed" => Event::Removed,
            _ => Event::Retried,
        };
        if let Some(shared) = self.shared.upgrade() {
            shared.note_order(queue_id, event, by, "");
        }
    }

    fn reload(&self) -> Result<Vec<String>, Fault> {
        self.reloader.reload()
    }

    fn flush_tracking(&self) {
        if let Some(tracking) = self.shared.upgrade().as_ref().and_then(|shared| shared.tracking()) {
            tracking.flush();
        }
    }

    fn password_changed(&self, account: &Guid) {
        if let Some(shared) = self.shared.upgrade() {
            shared.credentials().forget_password(account);
        }
    }

    fn decision(&self, id: &str) -> Result<Option<AuditEntry>, StoreError> {
        match self.shared.upgrade() {
            Some(shared) => shared.audit().find(id),
            None => Ok(None),
        }
    }

    fn order_paused(&self, mail: &PausedMail, what: PauseFate, by: &str, dry_run: bool) -> Result<PauseOutcome, Fault> {
        let Some(shared) = self.shared.upgrade() else {
            return Err(Fault::new(FaultKind::Unavailable, "the server is stopping"));
        };
        let chosen = Chosen {
            pair: Pair { account: mail.account, user: mail.user },
            aside: mail.aside,
            message: mail.message.clone(),
            before: mail.before,
        };
        let order = match what {
            PauseFate::Release => Order::Release { granted: false },
            PauseFate::Override => Order::Release { granted: true },
            PauseFate::Return => Order::Return,
            PauseFate::Remove => Order::Remove,
        };
        let Ordered { done, left, why } = shared.order(&chosen, &order, by, dry_run).map_err(Fault::from)?;
        Ok(PauseOutcome { done, left, why })
    }
}
