//! How a command finds the service.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::data::{Absent, DataDirectory, DataError, socket_path};
use crate::error::{AdminError, Fault, FaultKind};
use crate::operations::{Call, PROTOCOL, Request, Response};
use crate::service::{Options, Service};
use crate::sheet::{Taker, TextFormat};
use crate::socket::Client;

/// Another command may own the directory for a moment, and a server may be about to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// The service as a command sees it.
pub enum Endpoint {
    /// A running server, through its socket.
    Remote(Client),
    /// No server runs: the service itself, in this process.
    Local(Box<Service>),
}

impl Endpoint {
    /// Connects to the server that owns the data directory; or owns it, if nobody does. `socket`: where the server
    /// listens, if not in the directory. `options` is asked, with the owner of the directory, when it is to be opened
    /// here.
    pub fn open(
        directory: &Path,
        socket: Option<&Path>,
        options: impl FnOnce(&DataDirectory) -> Options,
    ) -> Result<Endpoint, AdminError> {
        Self::open_within(PATIENCE, directory, socket, options)
    }

    fn open_within(
        patience: Duration,
        directory: &Path,
        socket: Option<&Path>,
        options: impl FnOnce(&DataDirectory) -> Options,
    ) -> Result<Endpoint, AdminError> {
        let socket = socket.map_or_else(|| socket_path(directory), Path::to_owned);
        let start = Instant::now();
        loop {
            if let Ok(client) = Client::connect(&socket) {
                return Ok(Endpoint::Remote(client));
            }
            match DataDirectory::open(directory, Absent::Refuse) {
                Ok(data) => {
                    let options = options(&data);
                    let service = Service::open(data, options)?;
                    // No reason to do nothing at all: what mends it may be the command.
                    if let Err(fault) = service.expire() {
                        tracing::warn!("time-bound grants: {fault}");
                    }
                    return Ok(Endpoint::Local(Box::new(service)));
                }
                Err(DataError::Locked { .. }) if start.elapsed() < patience => {
                    thread::sleep(Duration::from_millis(50));
                }
                Err(DataError::Locked { path, pid }) => {
                    return Err(AdminError::Unreachable { directory: path, socket, pid });
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Asks, and waits for the answer.
    pub fn call(&mut self, comment: &str, request: Request) -> Result<Response, AdminError> {
        match self {
            Endpoint::Remote(client) => {
                client.call(&Call { protocol: PROTOCOL, comment: comment.to_owned(), text: None, request })
            }
            Endpoint::Local(service) => Ok(service.call(service.own_uid(), comment, request)?),
        }
    }

    /// Asks for a report and hands its text to `take`, piece by piece; a piece ends with a row. The number of rows.
    ///
    /// # Errors
    /// [`AdminError::Output`] with what `take` returned; else why there is no report, or not all of it.
    pub fn write(&mut self, request: Request, format: TextFormat, take: &mut Taker<'_>) -> Result<u64, AdminError> {
        let response = match self {
            Endpoint::Remote(client) => {
                let call = Call { protocol: PROTOCOL, comment: String::new(), text: Some(format), request };
                client.write(&call, take)?
            }
            Endpoint::Local(service) => service.write(service.own_uid(), &request, format, take)?,
        };
        match response {
            Response::Written { rows } => Ok(rows),
            _ => Err(Fault::new(FaultKind::Unsupported, "the service answered something else").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_does_not_answer_is_named_with_its_socket() {
        let folder = tempfile::tempdir().unwrap();
        let _owner = DataDirectory::open(folder.path(), Absent::Create).unwrap();
        let opened = Endpoint::open_within(Duration::ZERO, folder.path(), None, |_| unreachable!());
        let said = opened.err().unwrap().to_string();
        let pid = std::process::id().to_string();
        assert!(said.contains(&pid) && said.contains("admin.sock"), "{said}");
    }
}
