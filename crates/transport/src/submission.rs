//! HTTP submission as far as it is mail: who submits, by which token; the session that decides; the answer, and what becomes
//! of a message afterwards. What HTTP itself asks is `crates/web`'s.
//!
//! There is no second way in: a submission is driven through a [`Session`], as one of a client that has logged on, at the
//! receive connector that the node's configuration names. Decisions, limits, pauses, the audit and the protocol log are
//! those of SMTP.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acl::Guid;
use directory::{FolderKind, IpRange, ObjectId, ReceiveConnector};
use queue::{KeptTicket, QueueError};
use session::{Identity, Mechanisms, MessageRate, Peer, Session, Settings, Submitter, TlsFacts, TokenOutcome, Wait};
use sha2::{Digest, Sha256};
use store::ApiToken;
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::accept::Intake;
use crate::credentials::Check;
use crate::listener::connectors_of;
use crate::oauth::Tokens;
use crate::protocol_log::{Direction, ProtocolLog};
use crate::reception::{Ambient, Out};
use crate::shared::{Shared, now, steady};

mod message;
mod status;

pub use message::{Accepted, Envelope, Logon, RefusedRecipient};

/// Accounts whose rate is remembered; one that is not may send.
const WATCHED: usize = 65_536;
/// Seconds to wait, for who has shown too many wrong tokens, or sent too much in a minute.
const WAIT: u32 = 30;

/// How submission by HTTP is set up.
pub struct SubmissionOptions {
    /// Name of the receive connector whose rights, limits and settings count.
    pub connector: String,
    /// Messages a minute of one account; 0: no limit.
    pub per_minute: u32,
    /// How long an idempotency key counts.
    pub keys_last: Duration,
    /// Where tokens come from.
    pub tokens: Box<dyn TokenSource>,
}

/// Where tokens come from. Asked on the thread that serves HTTP, so it must not block for long.
pub trait TokenSource: Send + Sync + 'static {
    /// The token with this digest, whether or not it counts still.
    fn find(&self, digest: &[u8; 32]) -> Option<ApiToken>;
    /// A token was used.
    fn used(&self, token: &ApiToken) {
        let _ = token;
    }
}

/// Where a request comes from.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client.
    pub remote: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
    /// Present where it spoke TLS with us.
    pub tls: Option<TlsFacts>,
}

/// Why a request is not answered as it was meant.
#[derive(Debug)]
pub enum Refusal {
    /// The token does not count.
    Unauthorized,
    /// The account may not submit on the connector, or not open the mailbox that was named, or there is none: all alike
    /// (`authorization.md` §6). The audit knows.
    Logon,
    /// Too many wrong tokens from there, or too many messages: seconds to wait.
    TooMany(u32),
    /// Not now; in words.
    Unavailable(String),
    /// The client's address is none that the connector takes.
    Range,
    /// The rules, or the message itself.
    Refused(Box<Refused>),
    /// Another message with the same idempotency key was accepted meanwhile.
    Duplicate,
}

/// A refusal, as SMTP would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reply.
    pub reply: smtp::Reply,
    /// The name of the refusal in the authorization model, as in the audit.
    pub word: Option<String>,
    /// The id of the decision, for `procura explain`.
    pub decision: Option<String>,
    /// Recipients that were refused.
    pub recipients: Vec<RefusedRecipient>,
}

/// Submission at work. Share it in an [`Arc`].
pub struct Submissions {
    pub(crate) shared: Arc<Shared>,
    pub(crate) intake: Intake,
    settings: Arc<Settings>,
    tokens: Option<Arc<Tokens>>,
    protocol_log: Option<Arc<ProtocolLog>>,
    server: Option<Guid>,
    options: SubmissionOptions,
    under_way: Mutex<HashSet<[u8; 32]>>,
    rates: Mutex<HashMap<Guid, MessageRate>>,
}

/// A submission with this key is under way: no other one begins. Dropped, it is over.
pub struct UnderWay {
    submissions: Arc<Submissions>,
    key: [u8; 32],
}

/// Who was proven.
enum Proven {
    Token(ApiToken),
    Identity(Identity),
}

impl Submissions {
    pub(crate) fn new(
        shared: Arc<Shared>,
        hostname: &str,
        (intake, server): (Intake, Option<Guid>),
        (tokens, protocol_log): (Option<Arc<Tokens>>, Option<Arc<ProtocolLog>>),
        options: SubmissionOptions,
    ) -> Submissions {
        let settings =
            Settings { hostname: hostname.to_owned(), tls_available: false, mechanisms: Mechanisms::default() };
        Submissions {
            shared,
            intake,
            settings: Arc::new(settings),
            tokens,
            protocol_log,
            server,
            options,
            under_way: Mutex::default(),
            rates: Mutex::default(),
        }
    }

    /// The name of this host.
    pub fn hostname(&self) -> &str {
        &self.settings.hostname
    }

    /// What all parts of the server share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The largest message that the connector takes, in octets, of those who have no right to more.
    pub fn max_message_size(&self) -> Option<u64> {
        let snapshot = self.shared.snapshot();
        let found = connectors_of(&snapshot, self.server).into_iter().find(|(.., connector)| self.is_named(connector));
        found.map(|(.., connector)| connector.max_message_size)
    }

    /// Logs on by a bearer token, to a mailbox where one is named.
    pub async fn log_on(
        self: &Arc<Self>,
        token: Zeroizing<String>,
        mailbox: Option<&str>,
        client: &Client,
    ) -> Result<Logon, Refusal> {
        let source = client.remote.ip();
        if self.shared.credentials().is_shut_out(source) {
            return Err(Refusal::TooMany(WAIT));
        }
        let Some(proven) = self.prove(token).await? else { return Err(self.wrong(client).await) };
        let snapshot = self.shared.snapshot();
        let (connector, log_name) = {
            let connectors = connectors_of(&snapshot, self.server);
            let found = connectors.into_iter().find(|(.., connector)| self.is_named(connector));
            let Some((connector, _, settings)) = found else {
                tracing::error!(connector = self.options.connector, "there is no such receive connector for HTTP");
                return Err(Refusal::Unavailable(format!("connector {} is not in service", self.options.connector)));
            };
            if !takes(&settings.remote_ranges, client.remote) {
                return Err(Refusal::Range);
            }
            (connector, settings.name.clone())
        };
        let mut logon = self.session(connector, &log_name, client);
        let submitter = match &proven {
            Proven::Token(token) => snapshot.by_guid(&token.account).map(Submitter::Account),
            Proven::Identity(identity) => Some(Submitter::Identity(identity)),
        };
        let Some(submitter) = submitter else { return Err(self.wrong(client).await) };
        // Of a disabled account no token counts.
        if let Submitter::Account(account) = submitter
            && snapshot.account_token(account).is_err()
        {
            return Err(self.wrong(client).await);
        }
        logon.begin(submitter, mailbox)?;
        let Some(account) = logon.account_id().and_then(|id| snapshot.object(id)).map(|object| object.guid()) else {
            return Err(Refusal::Logon);
        };
        if let Proven::Token(token) = &proven {
            self.options.tokens.used(token);
        }
        Ok(logon.of(account))
    }

    /// Logs a program of this machine on that was proven by other means, as the kernel's word.
    ///
    /// # Errors
    /// [`Refusal::Logon`], [`Refusal::Unavailable`].
    pub fn log_on_locally(self: &Arc<Self>, account: ObjectId) -> Result<Logon, Refusal> {
        let snapshot = self.shared.snapshot();
        let connectors = connectors_of(&snapshot, self.server);
        let found = connectors.into_iter().find(|(.., connector)| self.is_named(connector));
        let Some((connector, _, settings)) = found else {
            tracing::error!(connector = self.options.connector, "there is no such receive connector for local mail");
            return Err(Refusal::Unavailable(format!("connector {} is not in service", self.options.connector)));
        };
        if snapshot.account_token(account).is_err() {
            return Err(Refusal::Logon);
        }
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let client = Client { remote: here, local: here, tls: None };
        let mut logon = self.session(connector, &settings.name, &client);
        logon.begin_locally(account)?;
        let Some(account) = logon.account_id().and_then(|id| snapshot.object(id)).map(|object| object.guid()) else {
            return Err(Refusal::Logon);
        };
        Ok(logon.of(account))
    }

    /// Begins the session of a file in a folder, for an account or for nobody.
    ///
    /// # Errors
    /// [`Refusal::Logon`]: the account may not submit on the connector, or is disabled; [`Refusal::Unavailable`]: that is not
    /// known now.
    pub(crate) fn log_on_by_folder(
        self: &Arc<Self>,
        (connector, name): (ObjectId, &str),
        kind: FolderKind,
        account: Option<ObjectId>,
    ) -> Result<Logon, Refusal> {
        let snapshot = self.shared.snapshot();
        let guid = account.and_then(|account| snapshot.object(account)).map(|object| object.guid());
        let here = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut logon = self.session(connector, name, &Client { remote: here, local: here, tls: None });
        logon.begin_by_folder(kind, account)?;
        match (account, guid) {
            (None, _) => Ok(logon),
            (Some(_), Some(guid)) if logon.account_id() == account => Ok(logon.of(guid)),
            (Some(_), _) => Err(Refusal::Logon),
        }
    }

    async fn prove(&self, token: Zeroizing<String>) -> Result<Option<Proven>, Refusal> {
        if let Some(digest) = ApiToken::digest(&token) {
            let counts = |token: &ApiToken| token.until.is_none_or(|until| until > now());
            return Ok(self.options.tokens.find(&digest).filter(counts).map(Proven::Token));
        }
        let Some(tokens) = &self.tokens else { return Ok(None) };
        match tokens.judge(token).await {
            TokenOutcome::Valid(identity) => Ok(Some(Proven::Identity(identity))),
            TokenOutcome::Invalid => Ok(None),
            TokenOutcome::Unavailable => Err(Refusal::Unavailable("the token cannot be judged now".to_owned())),
        }
    }

    /// Counts a wrong token, and holds the answer back as long as it is to be. A source that shows one after the other
    /// guesses; whether one of them is right it does not learn any more then.
    async fn wrong(&self, client: &Client) -> Refusal {
        tracing::info!(client = %client.remote, by = "bearer", "logon failed");
        match self.shared.credentials().count_unnamed(false, client.remote.ip()) {
            Check::Wrong { delay } => {
                sleep(delay).await;
                Refusal::Unauthorized
            }
            Check::Correct | Check::Unavailable => Refusal::TooMany(WAIT),
        }
    }

    fn is_named(&self, connector: &ReceiveConnector) -> bool {
        connector.name.eq_ignore_ascii_case(&self.options.connector)
    }

    fn session(self: &Arc<Self>, connector: ObjectId, name: &str, client: &Client) -> Logon {
        let Client { remote, local, tls } = client.clone();
        let log = self.protocol_log.as_ref().map(|log| {
            let guid = self.shared.snapshot().object(connector).map(|object| object.guid());
            let connector = (self.settings.hostname.as_str(), name, guid);
            log.of_connector(Direction::Receive, connector, &self.shared, (local.to_string(), remote.to_string()))
        });
        let peer = Peer { remote, local, tls };
        let session = Session::new(connector, peer, Arc::clone(&self.settings), &Ambient(&self.shared));
        let out = Out::new(Arc::clone(&self.shared), log).keeping_refusals();
        Logon::new(Arc::clone(self), session, out, remote)
    }

    /// Counts a message of the account, if one more may come in this minute.
    pub(crate) fn admits(&self, account: Guid) -> bool {
        let mut rates = lock(&self.rates);
        if rates.len() >= WATCHED && !rates.contains_key(&account) {
            rates.retain(|_, rate| !rate.is_idle(steady()));
            if rates.len() >= WATCHED {
                rates.clear();
            }
        }
        rates.entry(account).or_default().admits(steady(), self.options.per_minute)
    }

    /// What was submitted before by an account with this idempotency key.
    ///
    /// # Errors
    /// Faults of the queue.
    pub fn submitted(&self, account: &Guid, key: &str) -> Result<Option<KeptTicket>, QueueError> {
        self.shared.queue().ticket_of_key(&digest(account, key), self.keys_since())
    }

    /// Says that a submission with this key begins; `None`: one is under way.
    pub fn begin_key(self: &Arc<Self>, account: &Guid, key: &str) -> Option<UnderWay> {
        let key = digest(account, key);
        lock(&self.under_way).insert(key).then(|| UnderWay { submissions: Arc::clone(self), key })
    }

    pub(crate) fn keys_since(&self) -> i64 {
        let age = i64::try_from(self.options.keys_last.as_millis()).unwrap_or(i64::MAX);
        now().0.saturating_sub(age)
    }
}

impl UnderWay {
    pub(crate) fn key(&self) -> [u8; 32] {
        self.key
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.submissions.under_way).remove(&self.key);
    }
}

/// Keys of one account are nothing to another.
fn digest(account: &Guid, key: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(account.0);
    hash.update(key.as_bytes());
    hash.finalize().into()
}

fn takes(ranges: &[IpRange], remote: SocketAddr) -> bool {
    ranges.is_empty() || ranges.iter().any(|range| range.contains(remote.ip().to_canonical()))
}

/// After a step, the session wants nothing but to go on.
pub(crate) fn goes_on(wait: &Wait) -> bool {
    matches!(wait, Wait::Nothing)
}

/// A panic while the lock was held cannot leave these maps in a wrong state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
