//! One connection: the loop between a socket and the sans-io session.
//!
//! An idle session holds no buffer: bytes are read into one scratch buffer of the thread and given to the session at
//! once; only what it leaves over (a piece of a line, commands behind one that waits) is kept. Replies gather until the
//! session wants more input, and go out in one write.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use directory::{Snapshot, Time};
use rustls::ServerConfig;
use session::{Answer, Host, Peer, Session, Settings, Submission, TlsFacts, Wait};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::accept::Intake;
use crate::listener::Connector;
use crate::oauth::Tokens;
use crate::protocol_log::{Direction, ProtocolLog};
use crate::reception::{self, Ambient, Out};
use crate::server::Stop;
use crate::shared::{Shared, steady};

/// Bytes read at a time.
const SCRATCH: usize = 64 * 1024;
/// What a session leaves over is bounded by what one read brings and by its line limit; beyond this it is broken.
const MOST_PENDING: usize = SCRATCH + 32 * 1024;
/// A client that takes no replies for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A TLS handshake takes no longer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);
/// After the last reply, what a client still sends is read and thrown away for so long, lest the reply be lost.
const LINGER: Duration = Duration::from_secs(2);
/// ... and up to so many bytes.
const LINGER_BYTES: usize = 1 << 20;
/// Room for replies that an idle session may keep.
const KEEP_REPLIES: usize = 256;

thread_local! {
    static INPUT: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// What all connections of the loop share.
pub(crate) struct Ground {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) intake: Intake,
    /// Who judges access tokens, where somebody's are believed.
    pub(crate) tokens: Option<Arc<Tokens>>,
    pub(crate) protocol_log: Option<Arc<ProtocolLog>>,
    /// The keys for tickets.
    #[cfg(feature = "kerberos")]
    pub(crate) kerberos: Option<Arc<crate::kerberos::Kerberos>>,
}

mod logon;

/// One connection.
pub(crate) struct Connection {
    ground: Rc<Ground>,
    connector: Rc<Connector>,
    peer: SocketAddr,
    local: SocketAddr,
    /// TLS comes before the greeting (RFC 8314 §3.3).
    begins_with_tls: bool,
    /// The exchange of GSSAPI that goes on.
    #[cfg(feature = "kerberos")]
    gss: Option<Box<crate::kerberos::Context>>,
    socket: Socket,
    session: Session,
    out: Out,
    /// What the session left over.
    pending: Vec<u8>,
    /// The session has seen all of `pending` and needs more.
    starved: bool,
    stop: watch::Receiver<Stop>,
    stopping: bool,
}

/// The socket, before and after STARTTLS.
enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// While it is handed over, and after it broke.
    Gone,
}

/// What happened while a session waited for input.
enum Event {
    Input(Wait),
    Closed,
    Deadline,
    Stop,
}

/// The connection is of no use any more.
struct Broken;

impl Connection {
    /// A connection that was accepted for `connector`.
    pub(crate) fn new(
        ground: Rc<Ground>,
        connector: Rc<Connector>,
        stream: TcpStream,
        remote: SocketAddr,
        local: SocketAddr,
    ) -> Connection {
        let peer = Peer { remote, local, tls: None };
        let host = Ambient(&ground.shared);
        let begins_with_tls = begins_with_tls(&host.snapshot(), &connector);
        let session = Session::new(connector.id, peer, Arc::clone(&ground.settings), &host);
        let stop = connector.stop.subscribe();
        let log = ground.protocol_log.as_ref().map(|log| {
            let guid = host.snapshot().object(connector.id).map(|object| object.guid());
            let connector = (ground.settings.hostname.as_str(), connector.name.as_str(), guid);
            log.of_connector(Direction::Receive, connector, &ground.shared, (local.to_string(), remote.to_string()))
        });
        let out = Out::new(Arc::clone(&ground.shared), log);
        Connection {
            ground,
            connector,
            peer: remote,
            local,
            begins_with_tls,
            #[cfg(feature = "kerberos")]
            gss: None,
            socket: Socket::Plain(stream),
            session,
            out,
            pending: Vec::new(),
            starved: true,
            stop,
            stopping: false,
        }
    }

    /// A session of this connection that has said nothing yet.
    fn session_with(&self, tls: Option<TlsFacts>) -> Session {
        let peer = Peer { remote: self.peer, local: self.local, tls };
        let settings = Arc::clone(&self.ground.settings);
        Session::new(self.connector.id, peer, settings, &Ambient(&self.ground.shared))
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        self.out.event('+', "", "");
        self.ground.shared.figures().sessions.bump();
        if self.serve().await.is_err() {
            self.session.peer_closed(&mut self.out);
        }
        self.ground.shared.figures().sessions_ended.bump();
        self.out.event('-', "", "");
        tracing::debug!(client = %self.peer, "closed");
    }

    async fn serve(&mut self) -> Result<(), Broken> {
        if self.begins_with_tls {
            let facts = Box::pin(self.secure()).await?;
            self.session = self.session_with(Some(facts));
        }
        let mut wait = self.start();
        loop {
            wait = match wait {
                Wait::Nothing if !self.starved => self.feed_pending(),
                Wait::Nothing => {
                    self.flush().await?;
                    self.listen().await?
                }
                Wait::Tls => Box::pin(self.start_tls()).await?,
                Wait::Password(check) => {
                    self.flush().await?;
                    let outcome = Box::pin(self.check_password(check)).await;
                    self.answer(Answer::Password(outcome))
                }
                Wait::ScramKeys(claimant) => {
                    self.flush().await?;
                    let outcome = Box::pin(self.scram_keys(claimant)).await;
                    self.answer(Answer::ScramKeys(outcome))
                }
                Wait::Judged { claimant, proven } => {
                    self.flush().await?;
                    let outcome = Box::pin(self.count(claimant, proven)).await;
                    self.answer(Answer::Password(outcome))
                }
                Wait::Token(check) => {
                    self.flush().await?;
                    let outcome = Box::pin(self.check_token(check)).await;
                    self.answer(Answer::Token(outcome))
                }
                Wait::Gss(message) => {
                    self.flush().await?;
                    let outcome = Box::pin(self.gss(message)).await;
                    self.answer(Answer::Gss(outcome))
                }
                Wait::Store(submission) => {
                    let outcome = Box::pin(self.store(submission)).await;
                    self.answer(outcome)
                }
                Wait::Until(time) => {
                    self.flush().await?;
                    self.sleep_until(time).await?;
                    self.answer(Answer::Resume)
                }
                Wait::Close => {
                    self.flush().await?;
                    // Nothing is lost when it fails: the last reply was sent.
                    let _ = timeout(LINGER, Box::pin(self.close())).await;
                    return Ok(());
                }
            };
        }
    }

    /// Greets. What a client sent before it was greeted is shown to the session first.
    fn start(&mut self) -> Wait {
        let early = match &self.socket {
            Socket::Plain(stream) => INPUT.with_borrow_mut(|buffer| match stream.try_read(buffer) {
                Ok(count) if count > 0 => Some(buffer[..count].to_vec()),
                _ => None,
            }),
            _ => None,
        };
        if let Some(early) = early {
            self.pending = early;
            match self.feed_pending() {
                Wait::Nothing => {}
                wait => return wait,
            }
        }
        self.session.start(&Ambient(&self.ground.shared), &mut self.out)
    }

    fn answer(&mut self, answer: Answer) -> Wait {
        self.starved = self.pending.is_empty();
        self.session.answer(&Ambient(&self.ground.shared), answer, &mut self.out)
    }

    /// Gives the session what it left over before.
    fn feed_pending(&mut self) -> Wait {
        let mut input = std::mem::take(&mut self.pending);
        let progress = self.session.receive(&Ambient(&self.ground.shared), &input, &mut self.out);
        input.drain(..progress.consumed.min(input.len()));
        if !input.is_empty() {
            self.pending = input;
        }
        self.starved = true;
        progress.wait
    }

    /// Gives the session new bytes.
    fn feed(&mut self, input: &[u8]) -> Wait {
        if !self.pending.is_empty() {
            self.pending.extend_from_slice(input);
            return self.feed_pending();
        }
        let progress = self.session.receive(&Ambient(&self.ground.shared), input, &mut self.out);
        if let Some(rest) = input.get(progress.consumed..).filter(|rest| !rest.is_empty()) {
            self.pending.extend_from_slice(rest);
        }
        self.starved = true;
        progress.wait
    }

    /// Waits for input, the session's deadline or the end of the server.
    async fn listen(&mut self) -> Result<Wait, Broken> {
        if self.pending.len() > MOST_PENDING {
            tracing::error!(client = %self.peer, "the session takes no input");
            return Err(Broken);
        }
        let deadline = self.session.deadline().map(instant);
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(self.timed_out());
        }
        let mut stop = self.stop.clone();
        let seen = if self.stopping { Stop::Gracefully } else { Stop::No };
        let event = tokio::select! {
            biased;
            () = beyond(&mut stop, seen) => Event::Stop,
            event = std::future::poll_fn(|context| self.poll_input(context)) => event,
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => Event::Deadline,
        };
        match event {
            Event::Input(wait) => Ok(wait),
            Event::Closed => Err(Broken),
            Event::Deadline => Ok(self.timed_out()),
            Event::Stop if self.stopping || *self.stop.borrow() == Stop::Now => Err(Broken),
            Event::Stop => {
                self.stopping = true;
                Ok(self.session.shut_down(&Ambient(&self.ground.shared), &mut self.out))
            }
        }
    }

    fn timed_out(&mut self) -> Wait {
        match self.session.timeout(&Ambient(&self.ground.shared), &mut self.out) {
            // A session that lets its deadline pass and names the same again would be asked for ever.
            Wait::Nothing if self.session.deadline().is_some_and(|deadline| deadline <= steady()) => Wait::Close,
            wait => wait,
        }
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        INPUT.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match self.socket.poll_read(context, &mut read) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Err(error)) => {
                    tracing::debug!(client = %self.peer, %error, "reading failed");
                    Poll::Ready(Event::Closed)
                }
                Poll::Ready(Ok(())) if read.filled().is_empty() => Poll::Ready(Event::Closed),
                Poll::Ready(Ok(())) => Poll::Ready(Event::Input(self.feed(read.filled()))),
            }
        })
    }

    /// Sends what was replied.
    async fn flush(&mut self) -> Result<(), Broken> {
        if self.out.replies.is_empty() {
            return Ok(());
        }
        let write = async {
            self.socket.write_all(&self.out.replies).await?;
            self.socket.flush().await
        };
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(client = %self.peer, %error, "writing failed");
                return Err(Broken);
            }
            Err(_) => {
                tracing::info!(client = %self.peer, "the client takes no replies");
                return Err(Broken);
            }
        }
        self.out.replies.clear();
        self.out.replies.shrink_to(KEEP_REPLIES);
        Ok(())
    }

    /// STARTTLS: nothing that came before the handshake may count after it (attack 16: commands injected in plain text).
    async fn start_tls(&mut self) -> Result<Wait, Broken> {
        if !self.pending.is_empty() {
            tracing::info!(client = %self.peer, "plain text after STARTTLS");
            self.out.replies.clear();
            self.out.replies.extend_from_slice(b"554 5.5.1 Commands after STARTTLS\r\n");
            self.pending.clear();
            return Ok(Wait::Close);
        }
        self.flush().await?;
        let facts = self.secure().await?;
        Ok(self.answer(Answer::TlsEstablished(facts)))
    }

    /// The server's part of a TLS handshake.
    async fn secure(&mut self) -> Result<TlsFacts, Broken> {
        let Some(tls) = self.connector.tls(self.asks_for_certificate()) else {
            tracing::error!(connector = self.connector.name, "TLS was offered without a certificate");
            return Err(Broken);
        };
        let Socket::Plain(stream) = std::mem::replace(&mut self.socket, Socket::Gone) else { return Err(Broken) };
        match self.handshake(stream, Arc::clone(&tls.config)).await {
            Ok(stream) => {
                let facts = tls.facts(stream.get_ref().1);
                self.ground.shared.figures().handshake(&facts.version);
                let negotiated = format!("{} {}", facts.version, facts.cipher);
                self.out.event('*', &negotiated, "TLS negotiation succeeded");
                self.socket = Socket::Tls(Box::new(stream));
                Ok(facts)
            }
            Err(error) => {
                self.ground.shared.figures().handshake("failed");
                tracing::info!(client = %self.peer, connector = self.connector.name, %error, "the TLS handshake failed");
                Err(Broken)
            }
        }
    }

    /// Only where a certificate can prove something: some mail clients ask their user about it.
    fn asks_for_certificate(&self) -> bool {
        let snapshot = self.ground.shared.snapshot();
        let settings = snapshot.object(self.connector.id).and_then(|object| object.config());
        match settings {
            Some(directory::Config::ReceiveConnector(settings)) => {
                settings.domain_secure || settings.auth.exchange_server
            }
            _ => false,
        }
    }

    async fn handshake(&self, stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsStream<TcpStream>> {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = beyond(&mut stop, Stop::Gracefully) => Err(io::ErrorKind::Interrupted.into()),
            result = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)) => {
                result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }

    /// Makes a message durable; returns when it is, or when it is certain not to be kept.
    async fn store(&mut self, submission: Box<Submission>) -> Answer {
        let body = self.out.take_body();
        let Ground { shared, intake, .. } = &*self.ground;
        reception::keep(shared, intake, (body, submission), self.peer).await
    }

    async fn sleep_until(&self, time: Time) -> Result<(), Broken> {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = beyond(&mut stop, Stop::Gracefully) => Err(Broken),
            () = sleep_until(instant(time)) => Ok(()),
        }
    }

    /// Ends the connection so that the last reply arrives although the client may still be sending.
    async fn close(&mut self) {
        if self.socket.shutdown().await.is_err() {
            return;
        }
        let mut left = LINGER_BYTES;
        while let Some(count) = std::future::poll_fn(|context| self.socket.poll_discard(context)).await {
            left = left.saturating_sub(count);
            if left == 0 {
                return;
            }
        }
    }
}

impl Socket {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Socket::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
            Socket::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Reads and throws away; `None` at the end.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        INPUT.with_borrow_mut(|buffer| {
            let mut read = ReadBuf::new(buffer);
            match self.poll_read(context, &mut read) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(())) if !read.filled().is_empty() => Poll::Ready(Some(read.filled().len())),
                Poll::Ready(_) => Poll::Ready(None),
            }
        })
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Socket::Plain(stream) => stream.write_all(bytes).await,
            Socket::Tls(stream) => stream.write_all(bytes).await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(_) => Ok(()),
            Socket::Tls(stream) => stream.flush().await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Socket::Plain(stream) => stream.shutdown().await,
            Socket::Tls(stream) => stream.shutdown().await,
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

fn begins_with_tls(snapshot: &Snapshot, connector: &Connector) -> bool {
    match snapshot.object(connector.id).and_then(|object| object.config()) {
        Some(directory::Config::ReceiveConnector(settings)) => settings.implicit_tls,
        _ => false,
    }
}

/// Resolves when the server is to stop more urgently than `seen`, or is gone.
async fn beyond(stop: &mut watch::Receiver<Stop>, seen: Stop) {
    let _ = stop.wait_for(|stop| *stop > seen).await;
}

/// A moment of a session as one of the runtime's clock.
fn instant(time: Time) -> Instant {
    let wait = time.0.saturating_sub(steady().0).clamp(0, 24 * 3_600_000);
    Instant::now() + Duration::from_millis(wait.unsigned_abs())
}
