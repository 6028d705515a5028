//! The server: one thread with the I/O loop of listeners and sessions, one with the delivery loop.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use acl::Guid;
use directory::{ObjectId, Snapshot};
use session::{Mechanisms, Settings};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};

use crate::accept::Intake;
use crate::certificate::LiveCertificate;
use crate::connection::Ground;
use crate::delivery::{self, DeliveryOptions};
use crate::folders;
use crate::listener::{Connector, connectors_of, sockets_for};
use crate::local_users::LocalUsers;
use crate::oauth::Tokens;
use crate::pause;
use crate::protocol_log::ProtocolLog;
use crate::shared::Shared;
use crate::submission::{SubmissionOptions, Submissions};
use crate::tls::{Tls, TlsOptions};

mod floor;
mod sockets;

use floor::{Floor, accept};
use sockets::{Sockets, names};

/// What a node's server is started with.
pub struct ServerOptions {
    /// The fully qualified name of this host.
    pub hostname: String,
    /// This node's server object; its receive connectors are those below it. `None`: all receive connectors.
    pub server: Option<Guid>,
    /// The certificate for STARTTLS; without it STARTTLS is not offered.
    pub certificate: Option<Arc<LiveCertificate>>,
    /// How TLS is spoken.
    pub tls: TlsOptions,
    /// Who judges access tokens; without it none is taken.
    pub tokens: Option<Arc<Tokens>>,
    /// Submission by HTTP; without it there is none.
    pub submission: Option<SubmissionOptions>,
    /// Submission by programs of this machine.
    pub local: Option<SubmissionOptions>,
    /// Accounts of users of this machine, by number: whose a file in a folder is.
    pub owners: LocalUsers,
    /// The keys for tickets; without them AUTH GSSAPI is not offered.
    #[cfg(feature = "kerberos")]
    pub kerberos: Option<crate::kerberos::Kerberos>,
    /// Where sessions are logged.
    pub protocol_log: Option<ProtocolLog>,
    /// Sockets that listen already (from systemd, from a test), each for the binding of that address.
    pub listeners: Vec<(SocketAddr, TcpListener)>,
    /// Sessions at the same time over all connectors; more are answered `421 4.3.2`.
    pub max_sessions: usize,
    /// How long a graceful stop waits for what is in flight.
    pub grace: Duration,
    /// Delivery. It also says when messages expire and where those without a send connector go.
    pub delivery: DeliveryOptions,
}

impl ServerOptions {
    /// Options with the usual limits; `mail` is the directory of the local mailboxes.
    pub fn new(hostname: impl Into<String>, mail: impl Into<PathBuf>) -> ServerOptions {
        ServerOptions {
            hostname: hostname.into(),
            server: None,
            certificate: None,
            tls: TlsOptions::default(),
            tokens: None,
            submission: None,
            local: None,
            owners: LocalUsers::default(),
            #[cfg(feature = "kerberos")]
            kerberos: None,
            protocol_log: None,
            listeners: Vec::new(),
            max_sessions: 20_000,
            grace: Duration::from_secs(30),
            delivery: DeliveryOptions::new(mail),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A binding of a receive connector cannot be listened on.
    #[error("receive connector {connector} cannot listen on {address}: {source}")]
    Bind {
        /// Name of the connector.
        connector: String,
        /// Its binding.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// A thread or the I/O loop cannot be started.
    #[error("the server cannot be started: {0}")]
    Io(#[from] io::Error),
}

/// A binding that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The names of the connectors that share it.
    pub connectors: Vec<String>,
    /// As configured; its port may be 0.
    pub configured: SocketAddr,
    /// The real address.
    pub actual: SocketAddr,
}

/// How urgently something is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Not at all.
    No,
    /// After what is in flight.
    Gracefully,
    /// At once.
    Now,
}

/// A running server. Dropped, it stops at once.
pub struct Server {
    bindings: Arc<Mutex<Vec<Binding>>>,
    stopper: Stopper,
    threads: Vec<JoinHandle<()>>,
    submissions: Option<Arc<Submissions>>,
    local: Option<Arc<Submissions>>,
}

/// A binding that cannot be listened on is tried again so often.
const RETRY: Duration = Duration::from_secs(10);
/// How often the loop shows that it turns.
const TURN: Duration = Duration::from_secs(1);

impl Server {
    /// Binds every enabled receive connector of the node and starts to serve. A binding that fails later, when connectors
    /// are changed, is logged and tried again; at the start it is an error.
    pub fn start(options: ServerOptions, shared: Arc<Shared>) -> Result<Server, StartError> {
        if let Some(certificate) = &options.certificate {
            Tls::new(certificate.current(), &options.tls, false)?;
        }
        let (certificate, partner_roots) = (options.certificate.clone(), options.tls.partner_roots.clone());
        let stop = Stopper(Arc::new(watch::Sender::new(Stop::No)));
        let bindings = Arc::new(Mutex::new(Vec::new()));
        let mut sockets = Sockets { given: options.listeners, bound: Vec::new() };
        sockets.bind_all(&shared.snapshot(), options.server)?;
        for (address, _) in &sockets.given {
            tracing::warn!(%address, "a socket was given that no receive connector is bound to");
        }

        let protocol_log = options.protocol_log.map(Arc::new);
        let submissions = |submission: SubmissionOptions| {
            let intake = Intake { expire: options.delivery.expire, exits: options.delivery.exits.clone() };
            let (place, logs) = ((intake, options.server), (options.tokens.clone(), protocol_log.clone()));
            Arc::new(Submissions::new(Arc::clone(&shared), &options.hostname, place, logs, submission))
        };
        let (submissions, local) = (options.submission.map(submissions), options.local.map(submissions));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let reception = Reception {
            shared: Arc::clone(&shared),
            hostname: options.hostname.clone(),
            server: options.server,
            certificate: options.certificate,
            tls: options.tls,
            tokens: options.tokens.clone(),
            #[cfg(feature = "kerberos")]
            kerberos: options.kerberos.map(Arc::new),
            protocol_log: protocol_log.clone(),
            max_sessions: options.max_sessions,
            grace: options.grace,
            intake: Intake { expire: options.delivery.expire, exits: options.delivery.exits.clone() },
            stop: stop.clone(),
            bindings: Arc::clone(&bindings),
        };
        *bindings.lock().unwrap_or_else(PoisonError::into_inner) = sockets.report(&shared.snapshot(), options.server);
        let io = std::thread::Builder::new().name("smtp".into()).spawn(move || {
            LocalSet::new().block_on(&runtime, reception.run(sockets));
            runtime.shutdown_timeout(Duration::from_secs(1));
        })?;
        let mut server = Server { bindings, stopper: stop, threads: vec![io], submissions, local };
        let intake = Intake { expire: options.delivery.expire, exits: options.delivery.exits.clone() };
        let (hostname, stopped) = (options.hostname.clone(), server.stopper.0.subscribe());
        server.threads.push(pause::start(hostname, intake, Arc::clone(&shared), stopped)?);
        let folders = folders::Ground {
            shared: Arc::clone(&shared),
            hostname: options.hostname.clone(),
            server: options.server,
            intake: Intake { expire: options.delivery.expire, exits: options.delivery.exits.clone() },
            protocol_log: protocol_log.clone(),
            owners: options.owners,
        };
        server.threads.push(folders::start(folders, server.stopper.0.subscribe())?);
        let own = delivery::Own {
            names: own_names(&shared.snapshot(), options.server, &options.hostname),
            bindings: Arc::clone(&server.bindings),
        };
        let mut outgoing = options.delivery;
        outgoing.certificate = outgoing.certificate.or(certificate);
        outgoing.partner_roots = outgoing.partner_roots.or(partner_roots);
        outgoing.protocol_log = outgoing.protocol_log.or(protocol_log);
        let delivery =
            delivery::start(options.hostname, outgoing, shared, server.stopper.0.subscribe(), options.grace, own)?;
        server.threads.push(delivery);
        Ok(server)
    }

    /// Submission by HTTP, where it is set up.
    pub fn submissions(&self) -> Option<Arc<Submissions>> {
        self.submissions.clone()
    }

    /// Submission by programs of this machine, where it is set up.
    pub fn local(&self) -> Option<Arc<Submissions>> {
        self.local.clone()
    }

    /// What is listened on now.
    pub fn bindings(&self) -> Vec<Binding> {
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the server to stop: the first call lets it finish what is in flight (see [`ServerOptions::grace`]) and says
    /// 421 to idle sessions; the second ends everything at once. Returns immediately.
    pub fn stop(&self) {
        self.stopper.stop();
    }

    /// A handle by which another thread, or a signal, can stop the server.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until the server has stopped. Blocks.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the server panicked");
                self.stopper.end();
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.stopper.end();
            self.join();
        }
    }
}

/// Stops a server, as [`Server::stop`]. Cheap to clone; safe to use from any thread.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<watch::Sender<Stop>>);

impl Stopper {
    /// As [`Server::stop`].
    pub fn stop(&self) {
        self.0.send_modify(|stop| {
            *stop = match stop {
                Stop::No => Stop::Gracefully,
                Stop::Gracefully | Stop::Now => Stop::Now,
            };
        });
    }

    fn end(&self) {
        self.0.send_replace(Stop::Now);
    }
}

/// By what other hosts call this one.
fn own_names(snapshot: &Snapshot, server: Option<Guid>, hostname: &str) -> Vec<String> {
    let object = server.and_then(|guid| snapshot.by_guid(&guid)).and_then(|id| snapshot.object(id));
    let mut names = vec![hostname.to_owned()];
    if let Some(directory::Config::Server(server)) = object.and_then(|object| object.config()) {
        names.extend(server.names.iter().cloned());
    }
    names.extend(connectors_of(snapshot, server).into_iter().filter_map(|(_, _, connector)| connector.fqdn.clone()));
    names
}

/// The I/O loop: listeners and their sessions.
struct Reception {
    shared: Arc<Shared>,
    hostname: String,
    server: Option<Guid>,
    certificate: Option<Arc<LiveCertificate>>,
    tls: TlsOptions,
    tokens: Option<Arc<Tokens>>,
    #[cfg(feature = "kerberos")]
    kerberos: Option<Arc<crate::kerberos::Kerberos>>,
    protocol_log: Option<Arc<ProtocolLog>>,
    max_sessions: usize,
    grace: Duration,
    intake: Intake,
    stop: Stopper,
    bindings: Arc<Mutex<Vec<Binding>>>,
}

/// A listener at work.
struct Listening {
    actual: SocketAddr,
    accepting: tokio::task::JoinHandle<()>,
}

impl Reception {
    async fn run(mut self, mut sockets: Sockets) {
        let settings = Settings {
            hostname: self.hostname.clone(),
            tls_available: self.certificate.is_some(),
            mechanisms: Mechanisms {
                scram: self.shared.credentials().offers_scram(),
                bearer: self.tokens.is_some(),
                kerberos: self.has_keytab(),
                spnego: self.has_keytab(),
            },
        };
        let ground = Ground {
            shared: Arc::clone(&self.shared),
            settings: Arc::new(settings),
            intake: self.intake.clone(),
            tokens: self.tokens.take(),
            #[cfg(feature = "kerberos")]
            kerberos: self.kerberos.clone(),
            protocol_log: self.protocol_log.take(),
        };
        let floor = Rc::new(Floor {
            ground: Rc::new(ground),
            server: self.server,
            connectors: RefCell::default(),
            sessions: RefCell::default(),
            max_sessions: self.max_sessions,
        });
        let mut listening: HashMap<SocketAddr, Listening> = HashMap::new();
        let mut versions = self.shared.subscribe();
        let mut stop = self.stop.0.subscribe();
        let turning = Arc::clone(&self.shared);
        let turns = spawn_local(async move {
            loop {
                turning.figures().turns.bump();
                tokio::time::sleep(TURN).await;
            }
        });
        loop {
            let complete = self.reconcile(&floor, &mut listening, &mut sockets);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop > Stop::No) => break,
                changed = versions.changed() => if changed.is_err() { break },
                () = tokio::time::sleep(RETRY), if !complete => {}
            }
        }
        turns.abort();
        for listener in listening.values() {
            listener.accepting.abort();
        }
        self.finish(&floor, stop).await;
    }

    /// Brings connectors and listeners in line with the newest snapshot. False: a binding could not be listened on.
    fn reconcile(
        &self,
        floor: &Rc<Floor>,
        listening: &mut HashMap<SocketAddr, Listening>,
        sockets: &mut Sockets,
    ) -> bool {
        let snapshot = self.shared.snapshot();
        let wanted = connectors_of(&snapshot, self.server);
        let mut connectors = floor.connectors.borrow_mut();
        let present: HashSet<Guid> = wanted.iter().map(|(_, guid, _)| *guid).collect();
        connectors.retain(|guid, connector| {
            let stays = present.contains(guid);
            if !stays {
                tracing::info!(connector = connector.name, "receive connector closed");
                connector.stop.send_replace(Stop::Gracefully);
            }
            stays
        });
        for (id, guid, connector) in &wanted {
            connectors.entry(*guid).or_insert_with(|| Rc::new(self.connector(*id, connector.name.clone())));
        }
        drop(connectors);

        let mut complete = true;
        let needed = sockets_for(wanted.iter().flat_map(|(_, _, connector)| connector.bindings.iter().copied()));
        listening.retain(|address, listener| {
            let stays = needed.contains(address);
            if !stays {
                tracing::info!(%address, "no longer listening");
                listener.accepting.abort();
            }
            stays
        });
        for address in needed {
            if listening.contains_key(&address) {
                continue;
            }
            let bound = sockets.bound.iter().position(|(binding, _)| *binding == address);
            let socket = match bound {
                Some(index) => Ok(sockets.bound.swap_remove(index).1),
                None => sockets.take(address),
            };
            let started = socket.and_then(|socket| {
                let actual = socket.local_addr()?;
                let socket = tokio::net::TcpListener::from_std(socket)?;
                let accepting = spawn_local(accept(Rc::clone(floor), socket, address));
                Ok(Listening { actual, accepting })
            });
            match started {
                Ok(listener) => {
                    tracing::info!(address = %listener.actual, "listening");
                    listening.insert(address, listener);
                }
                Err(error) => {
                    tracing::error!(%address, %error, "cannot listen; trying again");
                    complete = false;
                }
            }
        }
        let mut bindings: Vec<Binding> = listening
            .iter()
            .map(|(configured, listener)| Binding {
                connectors: names(&snapshot, self.server, *configured),
                configured: *configured,
                actual: listener.actual,
            })
            .collect();
        bindings.sort_unstable_by_key(|binding| binding.configured);
        *self.bindings.lock().unwrap_or_else(PoisonError::into_inner) = bindings;
        complete
    }

    #[cfg(feature = "kerberos")]
    fn has_keytab(&self) -> bool {
        self.kerberos.is_some()
    }

    #[cfg(not(feature = "kerberos"))]
    fn has_keytab(&self) -> bool {
        false
    }

    fn connector(&self, id: ObjectId, name: String) -> Connector {
        Connector::new(id, name, self.certificate.clone(), self.tls.clone())
    }

    /// Ends all sessions: gracefully within the limit, then, or when asked again, at once.
    async fn finish(&self, floor: &Floor, mut stop: watch::Receiver<Stop>) {
        let tell = |stop: Stop| {
            for connector in floor.connectors.borrow().values() {
                connector.stop.send_replace(stop);
            }
        };
        let mut sessions = std::mem::take(&mut *floor.sessions.borrow_mut());
        tell(Stop::Gracefully);
        let ended = async { while sessions.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => return,
            () = tokio::time::sleep(self.grace) => tracing::warn!("sessions did not end in time"),
            _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
        }
        tell(Stop::Now);
        sessions.abort_all();
        while sessions.join_next().await.is_some() {}
    }
}
