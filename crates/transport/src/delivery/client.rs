//! The SMTP client: a connection to another host, and one message over it.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use session::PeerCertificate;
use smtp::Reply;
use smtp::client::{
    Capabilities, ClientTransaction, ConnectionState, DotStuffer, Envelope, Outcome, Protocol, ReplyParser, Step,
    Unsendable, write,
};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::fate::one_line;
use super::outgoing::{OpenError, Outgoing};
use super::terms::{Credentials, Secret, Terms};
use super::{ClientTimeouts, SmartHost};
use crate::certificate::provider;
use crate::protocol_log::ConnectorLog;

/// Bytes read at a time; replies are short.
const READ: usize = 4096;
/// Stuffed data is written in pieces of about this size.
const CHUNK: usize = 64 * 1024;
/// What is said to log on.
const AUTH: &str = "AUTH";
/// How long a host is waited for that is told goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A connection to a host that has had its EHLO.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    parser: ReplyParser,
    /// Bytes received that belong to a later reply.
    input: Vec<u8>,
    capabilities: Capabilities,
    timeouts: ClientTimeouts,
    messages: u32,
    protocol: Protocol,
    /// The certificates that the host showed, its own first; none without TLS.
    chain: Vec<CertificateDer<'static>>,
    log: Log,
}

/// The session in the protocol log, which notes when it ends.
struct Log(Option<ConnectorLog>);

impl Log {
    fn event(&mut self, event: char, data: &str, context: &str) {
        if let Some(log) = &mut self.0 {
            log.event(event, data, context);
        }
    }

    /// Whether anybody reads what would be logged.
    fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(ConnectorLog::is_on)
    }

    /// Commands as they are sent, a line each; what proves who we are is left out.
    fn commands(&mut self, bytes: &[u8], what: &str) {
        if !self.is_on() {
            return;
        }
        for line in String::from_utf8_lossy(bytes).trim_end_matches("\r\n").split("\r\n") {
            let mut words = line.splitn(3, ' ');
            match (what, words.next(), words.next(), words.next()) {
                (AUTH, Some("AUTH"), Some(mechanism), None) => self.event('>', &format!("AUTH {mechanism}"), ""),
                (AUTH, Some("AUTH"), Some(mechanism), Some(_)) => self.event('>', &format!("AUTH {mechanism} *"), ""),
                (AUTH, ..) => self.event('>', "*", ""),
                _ => self.event('>', line, ""),
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        if self.is_on() {
            self.event('<', &reply.to_string().replace('\n', "\r\n"), "");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.event('-', "", "");
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reach {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// How a host is gone to.
pub(crate) struct Approach<'a> {
    pub(crate) host: &'a SmartHost,
    pub(crate) reach: &'a Reach,
    pub(crate) protocol: Protocol,
    /// What we call ourselves.
    pub(crate) name: &'a str,
    /// STARTTLS is used where it is offered.
    pub(crate) tls: bool,
    pub(crate) timeouts: ClientTimeouts,
    pub(crate) terms: &'a Terms,
    pub(crate) credentials: &'a Credentials,
    /// Whose certificates prove the names of hosts.
    pub(crate) roots: Option<&'a RootCertStore>,
}

/// Why there is no connection, or no longer one.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// The system or the network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came, or nothing was taken, in time.
    #[error("no answer in time ({0})")]
    Timeout(&'static str),
    /// The host closed the connection.
    #[error("the host closed the connection")]
    Closed,
    /// The host does not want to talk to us.
    #[error("the host said: {0}")]
    Unwilling(String),
    /// The TLS handshake failed; without TLS it might work.
    #[error("the TLS handshake failed: {0}")]
    Tls(String),
    /// The host does not offer what our terms ask for.
    #[error("{0}")]
    Terms(&'static str),
    /// The host takes our credentials for wrong ones.
    #[error("the host refused the logon: {0}")]
    Logon(String),
    /// The host did not prove who it is.
    #[error("{0}")]
    Unproven(String),
    /// What the host sent is not SMTP.
    #[error("{0}")]
    Protocol(String),
    /// The message could not be read from the queue, or not be written as the host takes it.
    #[error(transparent)]
    Message(#[from] OpenError),
}

impl Client {
    /// Connects to a host: greeting, EHLO or LHLO, STARTTLS where it is offered and wanted, AUTH where the terms say so.
    pub(crate) async fn connect(to: &Approach<'_>, log: Option<ConnectorLog>) -> Result<Client, ClientError> {
        let mut log = Log(log);
        log.event('*', "", "attempting to connect");
        let Approach { host, terms, timeouts, credentials, .. } = to;
        let dialled =
            timeout(timeouts.connect, dial(to.reach)).await.unwrap_or(Err(ClientError::Timeout("connecting")));
        let (stream, local) = match dialled {
            Ok(dialled) => dialled,
            Err(error) => {
                log.event('*', &error.to_string(), "not connected");
                return Err(error);
            }
        };
        if let (Some(log), Some(local)) = (&mut log.0, local) {
            log.connected(local.to_string());
        }
        log.event('+', "", "");
        let mut client = Client {
            stream,
            parser: ReplyParser::new(),
            input: Vec::new(),
            capabilities: Capabilities::default(),
            timeouts: *timeouts,
            messages: 0,
            protocol: to.protocol,
            chain: Vec::new(),
            log,
        };
        let greeting = client.read(timeouts.greeting, "greeting").await?;
        if !greeting.is_positive() {
            return Err(ClientError::Unwilling(one_line(&greeting)));
        }
        client.greet(to.name).await?;
        if to.tls && client.capabilities.starttls {
            client = client.start_tls(host, to.name, credentials.certificate.clone()).await?;
        }
        if terms.needs_tls() && client.chain.is_empty() {
            return Err(ClientError::Terms("TLS is required and the host offers none"));
        }
        terms.proof.check(&client.chain, &host.host, to.roots).map_err(ClientError::Unproven)?;
        if terms.logs_on() {
            client.log_on(terms.user.as_deref().unwrap_or_default(), credentials).await?;
        }
        Ok(client)
    }

    /// AUTH PLAIN, else LOGIN (RFC 4954); with a token XOAUTH2.
    async fn log_on(&mut self, user: &str, credentials: &Credentials) -> Result<(), ClientError> {
        let offers = |mechanism: &str| self.capabilities.auth.iter().any(|offered| offered == mechanism);
        let reply = match &credentials.secret {
            None => return Err(ClientError::Terms("there is no password to log on with")),
            Some(Secret::Token(token)) if offers("XOAUTH2") => self.show_token(user, token).await?,
            Some(Secret::Token(_)) => {
                return Err(ClientError::Terms("we are to log on with a token and the host takes no XOAUTH2"));
            }
            Some(Secret::Password(password)) if offers("PLAIN") => {
                let mut command = Zeroizing::new(Vec::new());
                write::auth_plain(&mut command, "", user, password.as_bytes());
                self.ask(&command, AUTH).await?
            }
            Some(Secret::Password(password)) if offers("LOGIN") => {
                let mut reply = self.ask(b"AUTH LOGIN\r\n", AUTH).await?;
                for answer in [user, password.as_str()] {
                    if reply.is_intermediate() {
                        let line = Zeroizing::new(format!("{}\r\n", STANDARD.encode(answer)));
                        reply = self.ask(line.as_bytes(), AUTH).await?;
                    }
                }
                reply
            }
            Some(Secret::Password(_)) => {
                return Err(ClientError::Terms("we are to log on and the host takes neither PLAIN nor LOGIN"));
            }
        };
        match reply.is_positive() {
            true => Ok(()),
            false if reply.is_permanent() => Err(ClientError::Logon(one_line(&reply))),
            false => Err(ClientError::Unwilling(one_line(&reply))),
        }
    }

    /// AUTH XOAUTH2: the host answers a token that it does not take with 334 and a reason, and its reply comes after an
    /// empty line of ours.
    async fn show_token(&mut self, user: &str, token: &str) -> Result<Reply, ClientError> {
        let response = Zeroizing::new(format!("user={user}\x01auth=Bearer {token}\x01\x01"));
        let encoded = Zeroizing::new(STANDARD.encode(response.as_bytes()));
        let command = Zeroizing::new(format!("AUTH XOAUTH2 {}\r\n", encoded.as_str()));
        let reply = self.ask(command.as_bytes(), AUTH).await?;
        match reply.is_intermediate() {
            true => self.ask(b"\r\n", AUTH).await,
            false => Ok(reply),
        }
    }

    /// What the host proved by its certificate.
    pub(crate) fn proven(&self, roots: Option<&RootCertStore>) -> Option<PeerCertificate> {
        crate::tls::proven(&self.chain, roots)
    }

    /// Whether the host reports itself what becomes of a message (RFC 3461). A server of LMTP keeps the mailboxes: what it
    /// has is delivered.
    pub(crate) fn reports(&self) -> Option<bool> {
        (self.protocol == Protocol::Smtp).then_some(self.capabilities.dsn)
    }

    /// The most recipients that the host takes in one transaction, where it says so (RFC 9422).
    pub(crate) fn most_recipients(&self) -> Option<usize> {
        self.capabilities.limits.recipients.and_then(|most| usize::try_from(most).ok())
    }

    /// Whether the host takes no more messages over this connection (RFC 9422).
    pub(crate) fn is_spent(&self) -> bool {
        self.capabilities.limits.transactions.is_some_and(|most| self.messages >= most)
    }

    /// Whether the host takes binary messages as they are.
    pub(crate) fn takes_binary(&self) -> bool {
        self.capabilities.takes_binary()
    }

    /// Whether the host takes XEXCH50.
    pub(crate) fn takes_exch50(&self) -> bool {
        self.capabilities.xexch50
    }

    /// EHLO, or HELO where the host does not know it; LHLO with LMTP (RFC 2033 §4.1).
    async fn greet(&mut self, name: &str) -> Result<(), ClientError> {
        let mut command = Vec::new();
        match self.protocol {
            Protocol::Smtp => write::ehlo(&mut command, name),
            Protocol::Lmtp => write::lhlo(&mut command, name),
        }
        let reply = self.ask(&command, "EHLO").await?;
        if reply.is_positive() {
            self.capabilities = Capabilities::parse(&reply);
            return Ok(());
        }
        if !reply.is_permanent() || self.protocol == Protocol::Lmtp {
            return Err(ClientError::Unwilling(one_line(&reply)));
        }
        command.clear();
        write::helo(&mut command, name);
        let reply = self.ask(&command, "HELO").await?;
        self.capabilities = Capabilities::default();
        if reply.is_positive() { Ok(()) } else { Err(ClientError::Unwilling(one_line(&reply))) }
    }

    /// Opportunistic TLS (RFC 7435): it protects against listeners, so any certificate will do.
    async fn start_tls(
        mut self,
        host: &SmartHost,
        name: &str,
        certificate: Option<Arc<CertifiedKey>>,
    ) -> Result<Client, ClientError> {
        let mut command = Vec::new();
        write::starttls(&mut command);
        let reply = self.ask(&command, "STARTTLS").await?;
        if !reply.is_positive() {
            return Ok(self);
        }
        if !self.input.is_empty() || self.parser.has_partial() {
            return Err(ClientError::Protocol("the host sent more before the TLS handshake".into()));
        }
        let config = opportunistic(certificate).map_err(|error| ClientError::Tls(error.to_string()))?;
        let server = ServerName::try_from(host.host.clone())
            .or_else(|_| ServerName::try_from("smart-host.invalid"))
            .map_err(|error| ClientError::Tls(error.to_string()))?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(server, self.stream);
        let stream = match timeout(self.timeouts.command, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(ClientError::Tls(error.to_string())),
            Err(_) => return Err(ClientError::Tls("no answer in time".into())),
        };
        if self.log.is_on() {
            let (version, cipher) = crate::tls::spoken(stream.get_ref().1);
            self.log.event('*', &format!("{version} {cipher}"), "TLS");
        }
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let mut client = Client { stream: Box::new(stream), capabilities: Capabilities::default(), chain, ..self };
        client.greet(name).await?;
        Ok(client)
    }

    /// Sends one message. `header` is its header block with the empty line.
    pub(crate) async fn send(
        &mut self,
        envelope: Envelope,
        header: &[u8],
        message: &mut Outgoing,
    ) -> Result<(Vec<Outcome>, ConnectionState), Unsendable> {
        let mut transaction = ClientTransaction::new(self.protocol, &self.capabilities, envelope)?;
        self.messages += 1;
        let carried = timeout(self.timeouts.message, self.carry(&mut transaction, header, message)).await;
        let reason = match carried.unwrap_or(Err(ClientError::Timeout("the whole message"))) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        Ok(transaction.finish(&reason))
    }

    async fn carry(
        &mut self,
        transaction: &mut ClientTransaction,
        header: &[u8],
        message: &mut Outgoing,
    ) -> Result<(), ClientError> {
        let mut patience = self.timeouts.command;
        // After XEXCH50 come its octets, which are no command.
        let mut octets = false;
        loop {
            match transaction.step() {
                Step::Send(bytes) => {
                    self.unasked().await?;
                    match octets {
                        true => self.log.event('>', "", "data of XEXCH50"),
                        false => self.log.commands(&bytes, "commands"),
                    }
                    octets = bytes.starts_with(b"XEXCH50 ");
                    self.write(&bytes, "commands").await?;
                }
                Step::Read => {
                    let reply = self.read(patience, "a reply").await?;
                    octets &= reply.is_intermediate();
                    transaction.reply(reply).map_err(|error| ClientError::Protocol(error.to_string()))?;
                }
                step @ (Step::Body | Step::Octets) => {
                    self.unasked().await?;
                    self.write_message(header, message, step == Step::Body).await?;
                    transaction.body_sent();
                    patience = self.timeouts.data;
                }
                Step::Done => return Ok(()),
            }
        }
    }

    async fn write_message(&mut self, header: &[u8], message: &mut Outgoing, stuffed: bool) -> Result<(), ClientError> {
        let mut stuffer = DotStuffer::new();
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 8);
        let mut push = |bytes: &[u8], chunk: &mut Vec<u8>| match stuffed {
            true => stuffer.push(bytes, &mut |bytes| chunk.extend_from_slice(bytes)),
            false => chunk.extend_from_slice(bytes),
        };
        push(header, &mut chunk);
        loop {
            let block = message.next_block()?;
            if block.is_empty() {
                break;
            }
            push(&block, &mut chunk);
            if chunk.len() >= CHUNK {
                self.write(&chunk, "data").await?;
                chunk.clear();
            }
        }
        if stuffed {
            stuffer.finish(&mut |bytes| chunk.extend_from_slice(bytes));
        }
        // Whoever answers before the end cannot have taken the message.
        self.unasked().await?;
        self.write(&chunk, "data").await
    }

    /// Nothing may have been said that was not asked for: it would be taken for the answer to what is said next, and a
    /// message for delivered that is not.
    async fn unasked(&mut self) -> Result<(), ClientError> {
        if self.input.is_empty() && !self.parser.has_partial() {
            let mut buffer = [0; READ];
            let mut read = ReadBuf::new(&mut buffer);
            match Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut read) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if read.filled().is_empty() => return Err(ClientError::Closed),
                Poll::Ready(Ok(())) => self.input.extend_from_slice(read.filled()),
                Poll::Ready(Err(error)) => return Err(error.into()),
            }
        }
        let reply = self.read(self.timeouts.command, "a reply").await?;
        match reply.is_positive() || reply.is_intermediate() {
            true => Err(ClientError::Protocol("the host answered before it was asked".into())),
            false => Err(ClientError::Unwilling(one_line(&reply))),
        }
    }

    /// After a transaction that ended early: RSET. True if the connection is of use again.
    pub(crate) async fn reset(&mut self) -> bool {
        let mut command = Vec::new();
        write::rset(&mut command);
        self.ask(&command, "RSET").await.is_ok_and(|reply| reply.is_positive())
    }

    /// Messages sent so far.
    pub(crate) fn messages(&self) -> u32 {
        self.messages
    }

    /// Has the host said or closed anything since the last message? Then the connection is of no use.
    pub(crate) fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        matches!(Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)), Poll::Pending)
    }

    /// Says goodbye.
    pub(crate) async fn quit(mut self) {
        let mut command = Vec::new();
        write::quit(&mut command);
        // A host that does not answer is left all the same.
        let _ = timeout(GOODBYE, self.ask(&command, "QUIT")).await;
    }

    /// Notes in the protocol log what the connection is used for.
    pub(crate) fn note(&mut self, data: &str, context: &str) {
        self.log.event('*', data, context);
    }

    async fn ask(&mut self, command: &[u8], what: &'static str) -> Result<Reply, ClientError> {
        self.log.commands(command, what);
        self.write(command, what).await?;
        self.read(self.timeouts.command, what).await
    }

    async fn write(&mut self, bytes: &[u8], what: &'static str) -> Result<(), ClientError> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(self.timeouts.command, write).await.map_err(|_| ClientError::Timeout(what))?.map_err(ClientError::from)
    }

    /// Reads one reply; all of it within `patience`.
    async fn read(&mut self, patience: Duration, what: &'static str) -> Result<Reply, ClientError> {
        let read = timeout(patience, self.read_reply()).await.unwrap_or(Err(ClientError::Timeout(what)));
        match &read {
            Ok(reply) => self.log.reply(reply),
            Err(error) => self.log.event('*', &error.to_string(), "no reply"),
        }
        read
    }

    async fn read_reply(&mut self) -> Result<Reply, ClientError> {
        loop {
            let (taken, reply) =
                self.parser.push(&self.input).map_err(|fault| ClientError::Protocol(fault.to_string()))?;
            self.input.drain(..taken);
            if let Some(reply) = reply {
                return Ok(reply);
            }
            let mut buffer = [0; READ];
            let count = self.stream.read(&mut buffer).await?;
            if count == 0 {
                return Err(ClientError::Closed);
            }
            self.input.extend_from_slice(&buffer[..count]);
        }
    }
}

/// A connection, and where it was made from.
async fn dial(reach: &Reach) -> Result<(Box<dyn Stream>, Option<SocketAddr>), ClientError> {
    Ok(match reach {
        Reach::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let local = stream.local_addr().ok();
            (Box::new(stream), local)
        }
        Reach::Unix(path) => (Box::new(UnixStream::connect(path).await?), None),
    })
}

/// `certificate` is shown to a host that asks for one.
fn opportunistic(certificate: Option<Arc<CertifiedKey>>) -> Result<ClientConfig, rustls::Error> {
    let provider = provider();
    let verifier = AnyCertificate(Arc::clone(&provider));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match certificate {
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate))),
        None => builder.with_no_client_auth(),
    })
}

/// Takes any certificate: encryption without proof of who the host is (RFC 7435). The signatures of the handshake are
/// verified all the same, so that the host has the key of what it shows; what that proves is looked at afterwards, by those
/// whose terms ask for it.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
