//! One client connection: greeting, EHLO, STARTTLS, AUTH, and replies.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::LoadError;
use crate::plan::{Mechanism, Plan, Tls};

/// The longest reply that is read, all lines together. RFC 5321 §4.5.3.1.5 allows lines of 512; no server needs 128 of them.
const LONGEST_REPLY: usize = 64 * 1024;

/// A connection that is ready for MAIL.
pub(crate) struct Connection {
    target: SocketAddr,
    stream: Stream,
    input: Vec<u8>,
    timeout: Duration,
    capabilities: Vec<String>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While the handshake owns the socket.
    Nothing,
}

/// A whole reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub code: u16,
    /// The texts of its lines.
    pub lines: Vec<String>,
}

impl Reply {
    pub(crate) fn is_positive(&self) -> bool {
        self.code < 400
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" / "))
    }

    /// The reply without what differs from message to message (the bracket with address and decision id), to count by.
    pub(crate) fn kind(&self) -> String {
        let first = self.lines.first().map(String::as_str).unwrap_or_default();
        let first = first.split(" [").next().unwrap_or_default();
        format!("{} {first}", self.code)
    }
}

impl Connection {
    /// Connects and does everything that comes before MAIL.
    pub(crate) async fn open(
        plan: &Plan,
        tls: Option<&Arc<ClientConfig>>,
        account: Option<&(String, String)>,
    ) -> Result<Connection, LoadError> {
        let target = plan.target;
        let connected = tokio::time::timeout(plan.timeout, TcpStream::connect(target)).await;
        let stream = connected
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))
            .and_then(|result| result)
            .map_err(|source| LoadError::Connect { target, source })?;
        // Commands are small and wait for their replies: Nagle's delay would be measured instead of the server.
        stream.set_nodelay(true).map_err(|source| LoadError::Broken { target, source })?;
        let mut connection = Connection {
            target,
            stream: Stream::Plain(stream),
            input: Vec::with_capacity(1024),
            timeout: plan.timeout,
            capabilities: Vec::new(),
        };
        let greeting = connection.reply().await?;
        if greeting.code != 220 {
            return Err(LoadError::Greeting { target, reply: greeting.text() });
        }
        connection.hello(&plan.hello).await?;
        if let (Tls::StartTls { name, .. }, Some(config)) = (&plan.tls, tls) {
            connection.start_tls(config, name).await?;
            connection.hello(&plan.hello).await?;
        }
        if let (Some(auth), Some((login, password))) = (&plan.auth, account) {
            connection.log_on(auth.mechanism, login, password).await?;
        }
        Ok(connection)
    }

    /// Whether the server's last EHLO reply offered this keyword.
    pub(crate) fn offers(&self, keyword: &str) -> bool {
        self.capability(keyword).is_some()
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.send_all(&[bytes]).await
    }

    /// Sends pieces of bytes as they are, at once.
    pub(crate) async fn send_all(&mut self, pieces: &[&[u8]]) -> Result<(), LoadError> {
        let target = self.target;
        let writing = async {
            match &mut self.stream {
                Stream::Plain(stream) => write_all(stream, pieces).await,
                Stream::Tls(stream) => {
                    write_all(stream, pieces).await?;
                    stream.flush().await
                }
                Stream::Nothing => Err(io::ErrorKind::NotConnected.into()),
            }
        };
        let written = tokio::time::timeout(self.timeout, writing).await;
        written
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| LoadError::Broken { target, source })
    }

    /// Reads one reply, all its lines.
    pub(crate) async fn reply(&mut self) -> Result<Reply, LoadError> {
        let target = self.target;
        let reading = tokio::time::timeout(self.timeout, self.read_reply()).await;
        reading
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| LoadError::Broken { target, source })
    }

    /// Sends one command and reads its reply.
    pub(crate) async fn command(&mut self, line: &str) -> Result<Reply, LoadError> {
        self.send(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Says QUIT, and that nothing follows: Exim waits for that, up to 0.2 s, before it answers. Whatever the answer is, the
    /// connection is over.
    pub(crate) async fn quit(mut self) {
        let _ = self.send(b"QUIT\r\n").await;
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.shutdown().await,
            Stream::Tls(stream) => stream.shutdown().await,
            Stream::Nothing => Ok(()),
        };
        let _ = self.reply().await;
    }

    async fn hello(&mut self, name: &str) -> Result<(), LoadError> {
        let reply = self.command(&format!("EHLO {name}")).await?;
        if reply.code != 250 {
            return Err(LoadError::Ehlo { target: self.target, reply: reply.text() });
        }
        self.capabilities = reply.lines.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect();
        Ok(())
    }

    async fn start_tls(&mut self, config: &Arc<ClientConfig>, name: &str) -> Result<(), LoadError> {
        let target = self.target;
        if !self.offers("STARTTLS") {
            return Err(LoadError::NoStartTls { target });
        }
        let fault = |source: io::Error| LoadError::Tls { target, source };
        let reply = self.command("STARTTLS").await?;
        if reply.code != 220 {
            return Err(fault(io::Error::other(reply.text())));
        }
        let name = ServerName::try_from(name.to_owned()).map_err(|error| fault(io::Error::other(error)))?;
        let Stream::Plain(plain) = std::mem::replace(&mut self.stream, Stream::Nothing) else {
            return Err(fault(io::Error::other("TLS is already on")));
        };
        let handshake = TlsConnector::from(config.clone()).connect(name, plain);
        let encrypted = tokio::time::timeout(self.timeout, handshake).await;
        let encrypted = encrypted.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(fault)?;
        self.stream = Stream::Tls(Box::new(encrypted));
        Ok(())
    }

    async fn log_on(&mut self, mechanism: Mechanism, login: &str, password: &str) -> Result<(), LoadError> {
        let target = self.target;
        let offered = self.capability("AUTH").unwrap_or_default();
        if !offered.split_ascii_whitespace().any(|word| word == mechanism.name()) {
            let hint = match (&self.stream, self.offers("STARTTLS")) {
                (Stream::Plain(_), true) => "; it offers STARTTLS, and may offer AUTH after it",
                _ => "",
            };
            return Err(LoadError::NoAuth { target, mechanism: mechanism.name(), hint });
        }
        let reply = match mechanism {
            Mechanism::Plain => {
                let response = STANDARD.encode(format!("\0{login}\0{password}"));
                self.command(&format!("AUTH PLAIN {response}")).await?
            }
            Mechanism::Login => {
                let mut reply = self.command("AUTH LOGIN").await?;
                for answer in [login, password] {
                    if reply.code == 334 {
                        reply = self.command(&STANDARD.encode(answer)).await?;
                    }
                }
                reply
            }
        };
        if reply.code != 235 {
            return Err(LoadError::Login { target, login: login.to_owned(), reply: reply.text() });
        }
        Ok(())
    }

    /// The rest of the capability line that begins with `keyword`.
    fn capability(&self, keyword: &str) -> Option<&str> {
        self.capabilities.iter().find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            (word == keyword).then_some(rest)
        })
    }

    async fn read_reply(&mut self) -> io::Result<Reply> {
        let mut lines = Vec::new();
        let mut at = 0;
        loop {
            while let Some(end) = memchr::memchr(b'\n', &self.input[at..]) {
                let (code, last, text) = reply_line(&self.input[at..at + end])?;
                lines.push(text);
                at += end + 1;
                if last {
                    self.input.drain(..at);
                    return Ok(Reply { code, lines });
                }
            }
            if self.input.len() > LONGEST_REPLY {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the reply has no end"));
            }
            let read = match &mut self.stream {
                Stream::Plain(stream) => stream.read_buf(&mut self.input).await?,
                Stream::Tls(stream) => stream.read_buf(&mut self.input).await?,
                Stream::Nothing => 0,
            };
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

async fn write_all(stream: &mut (impl AsyncWrite + Unpin), pieces: &[&[u8]]) -> io::Result<()> {
    let mut pieces: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut left = pieces.as_mut_slice();
    while !left.is_empty() {
        match stream.write_vectored(left).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut left, written),
        }
    }
    Ok(())
}

/// Code, whether it is the last line, and text (RFC 5321 §4.2.1).
fn reply_line(line: &[u8]) -> io::Result<(u16, bool, String)> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches('\r');
    let fault = || io::Error::new(io::ErrorKind::InvalidData, format!("not an SMTP reply: {text:?}"));
    let code: u16 = text.get(..3).and_then(|digits| digits.parse().ok()).ok_or_else(fault)?;
    let last = match text.as_bytes().get(3) {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return Err(fault()),
    };
    Ok((code, last, text.get(4..).unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_line_with_a_hyphen_goes_on() {
        assert_eq!(reply_line(b"250-SIZE 100\r").unwrap(), (250, false, "SIZE 100".to_owned()));
    }

    #[test]
    fn a_bare_code_is_a_reply() {
        assert_eq!(reply_line(b"354\r").unwrap(), (354, true, String::new()));
    }

    #[test]
    fn something_else_than_smtp_is_shown_as_it_came() {
        let error = reply_line(b"HTTP/1.1 400 Bad Request\r").unwrap_err();
        assert!(error.to_string().contains("HTTP/1.1 400"), "{error}");
    }

    #[test]
    fn replies_are_counted_without_address_and_decision() {
        let line = "5.7.1 Client does not have permissions to send as this sender [ceo@example.com; decision 01J]";
        let reply = Reply { code: 550, lines: vec![line.to_owned()] };
        assert_eq!(reply.kind(), "550 5.7.1 Client does not have permissions to send as this sender");
    }
}
