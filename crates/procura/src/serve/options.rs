//! From the configuration of the node to the options of its parts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acl::Guid;
use admin::Service;
use directory::Snapshot;
use queue::Backoff;
use tracking::{Tracking, TrackingOptions};
use transport::{
    ClientTimeouts, DeliveryOptions, DnsOptions, Exits, LmtpHost, ProtocolLog, ProtocolLogOptions, ServerOptions,
    SmartHost, StartError, StsOptions,
};

use crate::cli::fault::Failure;
use crate::config::Config;
use crate::node::Node;
use crate::tls;

/// What the server is started with, but for certificates, tokens and sockets.
pub(super) fn server_options(node: &Node, service: &Service, hostname: String) -> Result<ServerOptions, Failure> {
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
        roots: tls::delivery_roots(node)?.map(Arc::new),
        ..usual
    })
}

/// The keys of `[kerberos]`.
#[cfg(feature = "kerberos")]
pub(super) fn keytab(node: &Node) -> Result<Option<transport::kerberos::Kerberos>, Failure> {
    let Some(path) = &node.loaded.config.kerberos.keytab else { return Ok(None) };
    transport::kerberos::Kerberos::open(&node.loaded.path(path))
        .map(Some)
        .map_err(|e| Failure::new(e.to_string()).help("check `keytab` under [kerberos] in procura.toml"))
}

/// The folder of the protocol log where `[log]` names none, for connectors that want to be in it.
const PROTOCOL_LOG: &str = "protocol";

/// The protocol log of `[log]`.
pub(super) fn protocol_log(node: &Node, directory: &Path) -> Result<ProtocolLog, Failure> {
    let log = &node.loaded.config.log;
    let options = ProtocolLogOptions {
        folder: directory.join(log.protocol.as_deref().unwrap_or(PROTOCOL_LOG)),
        usual: log.protocol.is_some(),
        file_size: log.protocol_file_mib << 20,
        keep: Duration::from_secs(u64::from(log.protocol_days) * 24 * 3600),
        total_size: log.protocol_mib << 20,
    };
    let shown = options.folder.display().to_string();
    ProtocolLog::start(options)
        .map_err(|e| Failure::new(format!("{shown}: {e}")).help("check `protocol` under [log] in procura.toml"))
}

/// The server object of this node: the one with its name, else the only one.
fn own_server(snapshot: &Snapshot, hostname: &str) -> Result<Option<Guid>, Failure> {
    if let Some(id) = admin::own_server(snapshot, hostname) {
        return Ok(snapshot.object(id).map(|object| object.guid()));
    }
    let servers = snapshot.objects().filter(|(_, object)| object.class() == directory::Class::Server);
    let names: Vec<String> = servers.map(|(_, object)| object.name()).collect();
    match names.as_slice() {
        [] => Ok(None),
        _ => Err(Failure::new(format!("none of the servers of the organization is called {hostname}"))
            .help(format!("set [node] hostname; there are: {}", names.join(", ")))),
    }
}

/// A server that did not start, with what mends it.
pub(super) fn start_failure(error: StartError) -> Failure {
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

/// The record of messages, where `[storage]` wants one.
pub(super) fn tracking(config: &Config, directory: &Path) -> Result<Option<Tracking>, Failure> {
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
