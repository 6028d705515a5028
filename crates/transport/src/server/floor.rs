//! Taking connections: which connector a client gets, and who is turned away.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use acl::Guid;
use directory::ReceiveConnector;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};

use crate::connection::{Connection, Ground};
use crate::listener::{Connector, connectors_of, is_proxy, normal, select};
use crate::shared::Shared;

/// Too many open files: wait before accepting again.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What accepting needs, on the loop's thread.
pub(super) struct Floor {
    pub(super) ground: Rc<Ground>,
    pub(super) server: Option<Guid>,
    pub(super) connectors: RefCell<HashMap<Guid, Rc<Connector>>>,
    pub(super) sessions: RefCell<JoinSet<()>>,
    pub(super) max_sessions: usize,
}

/// Accepts the connections of one listener.
pub(super) async fn accept(floor: Rc<Floor>, socket: tokio::net::TcpListener, binding: SocketAddr) {
    loop {
        let (stream, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_client(&error) => continue,
            Err(error) => {
                tracing::error!(%binding, %error, "cannot accept connections");
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        floor.receive(stream, normal(remote), binding);
    }
}

/// The client was gone before it was accepted.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

impl Floor {
    /// Takes a connection: of a client, or of a load balancer that says who the client is.
    fn receive(self: &Rc<Floor>, stream: TcpStream, remote: SocketAddr, binding: SocketAddr) {
        let Ok(local) = stream.local_addr().map(normal) else { return };
        // Without it, replies wait for the client's acknowledgement of earlier ones.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let mut sessions = self.sessions.borrow_mut();
        while sessions.try_join_next().is_some() {}
        if sessions.len() >= self.max_sessions {
            return turn_away(&self.ground.shared, stream, "421 4.3.2 Too many connections\r\n");
        }
        let snapshot = self.ground.shared.snapshot();
        let connectors = connectors_of(&snapshot, self.server);
        let listed = is_proxy(connectors.iter().map(|(_, _, settings)| *settings), (binding, local), remote.ip());
        if !listed {
            if let Some(session) = self.welcome(stream, (remote, local), binding, None) {
                sessions.spawn_local(session);
            }
            return;
        }
        let floor = Rc::clone(self);
        sessions.spawn_local(async move {
            let mut stream = stream;
            match crate::proxy::read(&mut stream).await {
                Ok(client) => {
                    let client = client.unwrap_or(remote);
                    tracing::debug!(proxy = %remote, %client, "a connection by PROXY");
                    if let Some(session) = floor.welcome(stream, (client, local), binding, Some(remote.ip())) {
                        session.await;
                    }
                }
                Err(error) => {
                    tracing::warn!(proxy = %remote, %error, "a connection of a load balancer is refused");
                    turn_away(&floor.ground.shared, stream, "554 5.5.0 A PROXY header is expected here\r\n");
                }
            }
        });
    }

    /// Finds the connector for a client and begins its session. Of a client that a load balancer named, only the connectors
    /// that believe it are looked at.
    fn welcome(
        &self,
        stream: TcpStream,
        (remote, local): (SocketAddr, SocketAddr),
        binding: SocketAddr,
        proxy: Option<IpAddr>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let snapshot = self.ground.shared.snapshot();
        let candidates = connectors_of(&snapshot, self.server);
        let believes = |settings: &ReceiveConnector| {
            proxy.is_none_or(|proxy| settings.proxy_from.iter().any(|range| range.contains(proxy)))
        };
        let candidates = candidates
            .iter()
            .filter(|(_, _, settings)| believes(settings))
            .map(|(_, guid, settings)| ((*guid, *settings), *settings));
        let selected = select(candidates, binding, local, remote.ip());
        let connectors = self.connectors.borrow();
        let Some((connector, settings)) =
            selected.and_then(|(guid, settings)| Some((connectors.get(&guid)?, settings)))
        else {
            tracing::info!(client = %remote, "no receive connector takes this address");
            turn_away(&self.ground.shared, stream, "421 4.3.2 Service not available\r\n");
            return None;
        };
        match connector.seat(remote.ip(), settings) {
            Ok(seat) => {
                tracing::debug!(client = %remote, connector = connector.name, "connected");
                let connection = Connection::new(Rc::clone(&self.ground), Rc::clone(connector), stream, remote, local);
                Some(async move {
                    let _seat = seat;
                    connection.run().await;
                })
            }
            Err(reply) => {
                turn_away(&self.ground.shared, stream, reply);
                None
            }
        }
    }
}

/// Says why there is no session, in one packet, and closes.
fn turn_away(shared: &Shared, mut stream: TcpStream, reply: &'static str) {
    shared.figures().turned_away.bump();
    spawn_local(async move {
        // A client that takes no reply is gone all the same.
        let say = async {
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(5), say).await;
    });
}
