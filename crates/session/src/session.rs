//! The session itself: input in, replies out, and the order in which things happen.

use std::sync::Arc;

use directory::{ObjectId, Time};

use crate::host::{Answer, Host, Output, Peer, Progress, Settings, Wait};

/// One SMTP connection, from greeting to close.
pub struct Session {
    _connector: ObjectId,
    _peer: Peer,
    _settings: Arc<Settings>,
}

impl Session {
    /// A session of a client that has connected. `connector` is the receive connector that was selected for it.
    pub fn new(connector: ObjectId, peer: Peer, settings: Arc<Settings>, host: &dyn Host) -> Session {
        let _ = host;
        Session { _connector: connector, _peer: peer, _settings: settings }
    }

    /// Greets the client. A client that talks before it was greeted is told so and disconnected: give what it sent to
    /// [`Session::receive`] before this is called.
    pub fn start(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        let _ = (host, out);
        todo!()
    }

    /// Takes bytes of the client, pipelined commands too, until they are used up or something has to happen first.
    pub fn receive(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> Progress {
        let _ = (host, input, out);
        todo!()
    }

    /// Takes the result of the last [`Wait`].
    pub fn answer(&mut self, host: &dyn Host, answer: Answer, out: &mut dyn Output) -> Wait {
        let _ = (host, answer, out);
        todo!()
    }

    /// When [`Session::timeout`] is to be called, unless the client says something before.
    pub fn deadline(&self) -> Option<Time> {
        todo!()
    }

    /// The deadline has passed: `421 4.4.2` and close, if it really has.
    pub fn timeout(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        let _ = (host, out);
        todo!()
    }

    /// The server is about to stop: `421 4.3.2` at once, or after the message whose text is on its way.
    pub fn shut_down(&mut self, host: &dyn Host, out: &mut dyn Output) -> Wait {
        let _ = (host, out);
        todo!()
    }

    /// The client is gone. A message begun is dropped.
    pub fn peer_closed(&mut self, out: &mut dyn Output) {
        let _ = out;
        todo!()
    }
}
