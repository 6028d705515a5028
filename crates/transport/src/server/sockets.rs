//! What is listened on: the sockets of the bindings of receive connectors.

use std::io;
use std::net::{SocketAddr, TcpListener};

use acl::Guid;
use directory::Snapshot;

use super::{Binding, StartError};
use crate::listener::{self, connectors_of, normal, sockets_for};

/// Listening sockets by the binding that they were made for.
pub(super) struct Sockets {
    pub(super) given: Vec<(SocketAddr, TcpListener)>,
    pub(super) bound: Vec<(SocketAddr, TcpListener)>,
}

impl Sockets {
    /// Listens for every connector of the snapshot that is not listened for yet.
    pub(super) fn bind_all(&mut self, snapshot: &Snapshot, server: Option<Guid>) -> Result<(), StartError> {
        let connectors = connectors_of(snapshot, server);
        for address in sockets_for(connectors.iter().flat_map(|(_, _, connector)| connector.bindings.iter().copied())) {
            let socket = self.take(address).map_err(|source| StartError::Bind {
                connector: names(snapshot, server, address).join(", "),
                address,
                source,
            })?;
            self.bound.push((address, socket));
        }
        Ok(())
    }

    /// The socket that was given for this binding, or a new one.
    pub(super) fn take(&mut self, address: SocketAddr) -> io::Result<TcpListener> {
        let given = self.given.iter().position(|(binding, _)| normal(*binding) == address);
        let socket = match given {
            Some(index) => self.given.swap_remove(index).1,
            None => listener::listen(address)?,
        };
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    pub(super) fn report(&self, snapshot: &Snapshot, server: Option<Guid>) -> Vec<Binding> {
        let binding = |(configured, socket): &(SocketAddr, TcpListener)| Binding {
            connectors: names(snapshot, server, *configured),
            configured: *configured,
            actual: socket.local_addr().unwrap_or(*configured),
        };
        self.bound.iter().map(binding).collect()
    }
}

/// The connectors that use a socket.
pub(super) fn names(snapshot: &Snapshot, server: Option<Guid>, socket: SocketAddr) -> Vec<String> {
    let uses = |binding: &SocketAddr| {
        let binding = normal(*binding);
        binding == socket
            || (socket.ip().is_unspecified()
                && binding.port() == socket.port()
                && binding.is_ipv4() == socket.is_ipv4())
    };
    connectors_of(snapshot, server)
        .into_iter()
        .filter(|(_, _, connector)| connector.bindings.iter().any(uses))
        .map(|(_, _, connector)| connector.name.clone())
        .collect()
}
