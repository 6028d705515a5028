//! Who the client of a load balancer is: the PROXY header in front of a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use smtp::proxy::{self, ProxyFault};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A load balancer sends its header at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no header.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    /// It is wrong, or none.
    #[error(transparent)]
    Header(#[from] ProxyFault),
    /// It could not be read.
    #[error("the PROXY header cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It did not come.
    #[error("no PROXY header came in time")]
    Timeout,
}

/// Reads the header, and nothing behind it. `None`: the load balancer speaks for itself, as in health checks.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let header = async {
        let mut input = Vec::new();
        loop {
            if let Some(header) = proxy::parse(&input)? {
                return Ok(header.addresses.map(|addresses| addresses.source));
            }
            let begun = input.len();
            input.resize(begun + proxy::wanted(&input), 0);
            stream.read_exact(&mut input[begun..]).await?;
        }
    };
    timeout(PATIENCE, header).await.unwrap_or(Err(ProxyError::Timeout))
}
