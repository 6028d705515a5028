//! Which sockets are listened on, and which receive connector a client gets (F §3.8).

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;

use acl::Guid;
use directory::{Folder, IpRange, ObjectId, ReceiveConnector, Snapshot};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use tokio::sync::watch;

use crate::certificate::LiveCertificate;
use crate::server::Stop;
use crate::tls::{Tls, TlsOptions};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A receive connector at work. It lives as long as the directory object is there and enabled, whatever its settings.
pub(crate) struct Connector {
    pub(crate) id: ObjectId,
    pub(crate) name: String,
    /// Tells its sessions to end.
    pub(crate) stop: watch::Sender<Stop>,
    certificate: Option<Arc<LiveCertificate>>,
    options: TlsOptions,
    /// Made for this connector alone, without asking for the client's certificate and with.
    tls: RefCell<[Option<Tls>; 2]>,
    open: RefCell<Open>,
}

/// Open connections of a connector.
#[derive(Default)]
struct Open {
    all: u32,
    by_source: HashMap<IpAddr, u32>,
}

/// Counts a connection for as long as it lives.
pub(crate) struct Seat {
    connector: Rc<Connector>,
    source: IpAddr,
}

impl Connector {
    pub(crate) fn new(
        id: ObjectId,
        name: String,
        certificate: Option<Arc<LiveCertificate>>,
        options: TlsOptions,
    ) -> Connector {
        let stop = watch::Sender::new(Stop::No);
        Connector { id, name, stop, certificate, options, tls: RefCell::default(), open: RefCell::default() }
    }

    /// TLS with the present certificate, made when it is first wanted. `ask`: the client is asked for a certificate.
    pub(crate) fn tls(&self, ask: bool) -> Option<Tls> {
        let certificate = self.certificate.as_ref()?.current();
        let mut made = self.tls.borrow_mut();
        let slot = &mut made[usize::from(ask)];
        if let Some(tls) = slot.as_ref().filter(|tls| tls.is_of(&certificate)) {
            return Some(tls.clone());
        }
        match Tls::new(certificate, &self.options, ask) {
            Ok(tls) => Some(slot.insert(tls).clone()),
            Err(error) => {
                tracing::error!(connector = self.name, %error, "TLS cannot be set up");
                None
            }
        }
    }

    /// Takes a seat, or says in a reply why there is none.
    pub(crate) fn seat(self: &Rc<Connector>, source: IpAddr, limits: &ReceiveConnector) -> Result<Seat, &'static str> {
        let mut open = self.open.borrow_mut();
        if open.all >= limits.max_connections {
            return Err("421 4.3.2 Too many connections\r\n");
        }
        let from_source = open.by_source.entry(source).or_default();
        if *from_source >= limits.max_connections_per_source {
            return Err("421 4.7.0 Too many connections from your address\r\n");
        }
        *from_source += 1;
        open.all += 1;
        Ok(Seat { connector: Rc::clone(self), source })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.connector.open.borrow_mut();
        open.all = open.all.saturating_sub(1);
        if let Some(count) = open.by_source.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.by_source.remove(&self.source);
            }
        }
    }
}

/// The enabled receive connectors of a node in a snapshot that take connections: those below its server object, or all of
/// them.
pub(crate) fn connectors_of(snapshot: &Snapshot, server: Option<Guid>) -> Vec<(ObjectId, Guid, &ReceiveConnector)> {
    enabled(snapshot, server).into_iter().filter(|(.., connector)| connector.folder.is_none()).collect()
}

/// The enabled receive connectors of a node that take files.
pub(crate) fn folders_of(
    snapshot: &Snapshot,
    server: Option<Guid>,
) -> Vec<(ObjectId, Guid, &ReceiveConnector, &Folder)> {
    let all = enabled(snapshot, server).into_iter();
    all.filter_map(|(id, guid, connector)| Some((id, guid, connector, connector.folder.as_ref()?))).collect()
}

fn enabled(snapshot: &Snapshot, server: Option<Guid>) -> Vec<(ObjectId, Guid, &ReceiveConnector)> {
    let server = server.map(|guid| snapshot.by_guid(&guid));
    snapshot
        .receive_connectors()
        .filter(|(_, connector)| connector.enabled)
        .filter_map(|(id, connector)| Some((id, snapshot.object(id)?, connector)))
        .filter(|(_, object, _)| {
            server.is_none_or(|server| server.is_some() && is_below(snapshot, object.parent(), server))
        })
        .map(|(id, object, connector)| (id, object.guid(), connector))
        .collect()
}

fn is_below(snapshot: &Snapshot, mut object: Option<ObjectId>, ancestor: Option<ObjectId>) -> bool {
    while object.is_some() && object != ancestor {
        object = object.and_then(|id| snapshot.object(id)).and_then(|object| object.parent());
    }
    object.is_some()
}

/// The sockets that these bindings need: a binding to all addresses of a port covers those to one address.
pub(crate) fn sockets_for(bindings: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = bindings.into_iter().map(normal).collect();
    all.sort_unstable();
    all.dedup();
    let covered = |binding: &SocketAddr| {
        binding.port() != 0
            && !binding.ip().is_unspecified()
            && all.iter().any(|other| {
                other.ip().is_unspecified() && other.port() == binding.port() && other.is_ipv4() == binding.is_ipv4()
            })
    };
    all.iter().filter(|binding| !covered(binding)).copied().collect()
}

/// The connector for a client: of those with a binding that covers this socket and local address, the one with the
/// smallest range that holds the client; of equals, the one bound to the address itself.
pub(crate) fn select<'a, T>(
    connectors: impl IntoIterator<Item = (T, &'a ReceiveConnector)>,
    socket: SocketAddr,
    local: SocketAddr,
    remote: IpAddr,
) -> Option<T> {
    let (local, remote) = (normal(local), remote.to_canonical());
    connectors
        .into_iter()
        .filter_map(|(key, connector)| {
            let exact =
                connector.bindings.iter().filter_map(|binding| covers(normal(*binding), socket, local)).max()?;
            let size =
                connector.remote_ranges.iter().filter(|range| range.contains(remote)).map(IpRange::size).min()?;
            Some((size, !exact, key))
        })
        .min_by_key(|(size, wild, _)| (*size, *wild))
        .map(|(_, _, key)| key)
}

/// Whether a peer of this socket is a load balancer: a connector that is bound to it says so. Its connections begin with a
/// PROXY header; those of everybody else never do.
pub(crate) fn is_proxy<'a>(
    connectors: impl IntoIterator<Item = &'a ReceiveConnector>,
    (socket, local): (SocketAddr, SocketAddr),
    peer: IpAddr,
) -> bool {
    connectors.into_iter().any(|connector| {
        connector.proxy_from.iter().any(|range| range.contains(peer))
            && connector.bindings.iter().any(|binding| covers(normal(*binding), socket, normal(local)).is_some())
    })
}

/// Does a connector's binding cover a client of this socket that connected to `local`? `Some(true)`: it names the address.
fn covers(binding: SocketAddr, socket: SocketAddr, local: SocketAddr) -> Option<bool> {
    if binding == socket || binding == local {
        return Some(!binding.ip().is_unspecified());
    }
    None
}

/// Listens. Without `SO_REUSEADDR` a restarted server would not get its port back; IPv6 sockets are for IPv6 alone, so
/// that `0.0.0.0` and `::` can be bound side by side.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// `::ffff:192.0.2.1` is `192.0.2.1`.
pub(crate) fn normal(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{AuthMechanisms, HeaderFrom, OnBehalf};

    fn connector(name: &str, bindings: &[&str], ranges: &[&str]) -> ReceiveConnector {
        ReceiveConnector {
            name: name.into(),
            enabled: true,
            bindings: bindings.iter().map(|binding| binding.parse().unwrap()).collect(),
            remote_ranges: ranges.iter().map(|range| IpRange::parse(range).unwrap()).collect(),
            auth: AuthMechanisms::default(),
            fqdn: None,
            banner: None,
            max_message_size: 0,
            max_header_size: 0,
            max_recipients: 0,
            max_hops: 0,
            max_errors: 0,
            max_logon_failures: 0,
            max_connections: 2,
            max_connections_per_source: 1,
            command_timeout_ms: 0,
            data_timeout_ms: 0,
            session_lifetime_ms: 0,
            tarpit_ms: 0,
            header_from: HeaderFrom::Enforce,
            on_behalf: OnBehalf::Stamp,
            delegate_chain: false,
            require_from: true,
            logon_separator: '*',
            usage: None,
            require_tls: false,
            domain_secure: false,
            rate_per_source: 0,
            unknown_per_source: 60,
            rate_per_connection: 0,
            implicit_tls: false,
            chunking: true,
            binary_mime: false,
            status_notification: true,
            proxy_from: Vec::new(),
            tolerant: false,
            complete_headers: false,
            keep_attached: false,
            logging: directory::ProtocolLogging::Usual,
            rewrites: Vec::new(),
            rewrite_headers: directory::RewriteHeaders::None,
            folder: None,
        }
    }

    fn selected(connectors: &[ReceiveConnector], socket: &str, local: &str, remote: &str) -> Option<String> {
        let (socket, local) = (socket.parse().unwrap(), local.parse().unwrap());
        let candidates = connectors.iter().map(|connector| (connector.name.clone(), connector));
        select(candidates, socket, local, remote.parse().unwrap())
    }

    #[test]
    fn the_most_specific_range_wins() {
        let all = [
            connector("any", &["0.0.0.0:25"], &["0.0.0.0-255.255.255.255"]),
            connector("one", &["0.0.0.0:25"], &["192.168.1.75"]),
            connector("network", &["0.0.0.0:25"], &["192.168.1.0-192.168.1.255"]),
        ];
        let select = |remote| selected(&all, "0.0.0.0:25", "10.0.0.1:25", remote).unwrap();
        assert_eq!(select("192.168.1.75"), "one");
        assert_eq!(select("192.168.1.100"), "network");
        assert_eq!(select("203.0.113.9"), "any");
    }

    #[test]
    fn a_mapped_address_counts_as_the_ipv4_address_that_it_is() {
        let all = [connector("network", &["0.0.0.0:25"], &["192.168.1.0/24"])];
        assert_eq!(selected(&all, "0.0.0.0:25", "[::ffff:10.0.0.1]:25", "::ffff:192.168.1.7").unwrap(), "network");
    }

    #[test]
    fn a_client_outside_all_ranges_gets_no_connector() {
        let all = [connector("network", &["0.0.0.0:25"], &["192.168.1.0/24"])];
        assert_eq!(selected(&all, "0.0.0.0:25", "10.0.0.1:25", "203.0.113.9"), None);
    }

    #[test]
    fn a_connector_bound_to_one_address_is_not_used_on_another() {
        let all = [
            connector("inside", &["10.0.0.1:25"], &["0.0.0.0/0"]),
            connector("outside", &["0.0.0.0:25"], &["0.0.0.0/0"]),
        ];
        assert_eq!(selected(&all, "0.0.0.0:25", "10.0.0.1:25", "203.0.113.9").unwrap(), "inside");
        assert_eq!(selected(&all, "0.0.0.0:25", "10.0.0.2:25", "203.0.113.9").unwrap(), "outside");
    }

    #[test]
    fn a_socket_for_all_addresses_serves_bindings_to_one() {
        let bindings = ["0.0.0.0:25", "10.0.0.1:25", "10.0.0.1:587", "[::]:25", "[::1]:25", "127.0.0.1:0"];
        let sockets = sockets_for(bindings.map(|binding| binding.parse().unwrap()));
        let expected = ["0.0.0.0:25", "10.0.0.1:587", "127.0.0.1:0", "[::]:25"];
        assert_eq!(sockets, expected.map(|socket| socket.parse().unwrap()));
    }

    #[test]
    fn a_seat_is_free_again_when_its_connection_ends() {
        let settings = connector("c", &[], &[]);
        let at_work = Rc::new(Connector::new(ObjectId(1), "c".into(), None, TlsOptions::default()));
        let first = at_work.seat("192.0.2.1".parse().unwrap(), &settings).ok().unwrap();
        let reply = at_work.seat("192.0.2.1".parse().unwrap(), &settings).err().unwrap();
        assert!(reply.starts_with("421 4.7.0"), "{reply}");
        let _second = at_work.seat("192.0.2.2".parse().unwrap(), &settings).ok().unwrap();
        let reply = at_work.seat("192.0.2.3".parse().unwrap(), &settings).err().unwrap();
        assert!(reply.starts_with("421 4.3.2"), "{reply}");
        drop(first);
        assert!(at_work.seat("192.0.2.1".parse().unwrap(), &settings).is_ok());
    }

    #[test]
    fn both_families_can_be_listened_on_side_by_side() {
        let four = listen("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = four.local_addr().unwrap().port();
        // Where the machine has no IPv6 there is nothing to show.
        match listen(format!("[::]:{port}").parse().unwrap()) {
            Ok(six) => assert_eq!(six.local_addr().unwrap().port(), port),
            Err(error) => assert_eq!(error.raw_os_error(), Some(97), "{error}"),
        }
    }
}
