//! Password checks for sessions: a bounded pool of hashing threads, a short memory of what was right, and limits on what
//! was wrong.
//!
//! A check costs about 30 ms of a core and 19 MiB, so it never runs on the I/O loop, the number of waiting checks is
//! bounded, and a credential that was right is remembered for some minutes: not the password, but an HMAC-SHA-256 of it
//! under a random key of this process. Failures are limited per source network and per account (`architecture.md`;
//! attacks: password guessing, enumeration of accounts by time).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use acl::Guid;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::buckets::{Buckets, Rate};
use crate::certificate::provider;
use crate::password;

/// Where password hashes come from, by objectGUID. Asked on a hashing thread, so it may block.
pub trait CredentialSource: Send + Sync + 'static {
    /// The PHC string of an account; `None` when it has no password.
    fn credential(&self, account: &Guid) -> Result<Option<String>, SourceUnavailable>;
}

/// The store of credentials cannot answer; the client gets `454 4.7.0`.
#[derive(Debug, Error)]
#[error("credentials cannot be read: {0}")]
pub struct SourceUnavailable(pub String);

/// Limits of the service.
#[derive(Debug, Clone, Copy)]
pub struct CredentialLimits {
    /// Hashing threads.
    pub threads: usize,
    /// Checks that may wait for a thread; more are answered [`Check::Unavailable`].
    pub waiting: usize,
    /// How long a correct credential is remembered; zero remembers nothing, more than five minutes is cut.
    pub remember: Duration,
    /// How many correct credentials are remembered.
    pub remembered: usize,
    /// Failures allowed from one source network (an IPv4 address, an IPv6 /64).
    pub per_source: Rate,
    /// Failures allowed for one account, from whatever source.
    pub per_account: Rate,
    /// How many sources, and how many accounts, are watched.
    pub watched: usize,
}

impl Default for CredentialLimits {
    fn default() -> Self {
        CredentialLimits {
            threads: std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(1, 8)),
            waiting: 256,
            remember: Duration::from_secs(300),
            remembered: 65_536,
            per_source: Rate { burst: 20, refill: Duration::from_secs(6) },
            // More than per source, else one source could tell real accounts by being refused earlier.
            per_account: Rate { burst: 60, refill: Duration::from_secs(6) },
            watched: 16_384,
        }
    }
}

/// The longest time for which a correct credential may be remembered.
pub const LONGEST_MEMORY: Duration = Duration::from_secs(300);

/// Failures that are answered at once; each further one delays the answer a second, up to [`LONGEST_DELAY`].
const PROMPT_FAILURES: u32 = 5;
/// The longest delay of a negative answer.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The password is right.
    Correct,
    /// It is wrong, or the account has none; the answer is to be held back this long.
    Wrong {
        /// Delay before the client is told.
        delay: Duration,
    },
    /// Too many failures, too many checks waiting, or the store cannot answer: `454 4.7.0`.
    Unavailable,
}

/// Counters of the service since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CredentialCounts {
    /// Checks answered from memory.
    pub remembered: u64,
    /// Checks that were hashed.
    pub hashed: u64,
    /// Checks refused because of overload or of too many failures.
    pub refused: u64,
}

/// The service. Cheap to share; dropped, it ends its threads.
pub struct Credentials {
    core: Arc<Core>,
    jobs: Option<std::sync::mpsc::SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Core {
    source: Box<dyn CredentialSource>,
    key: Zeroizing<[u8; 64]>,
    limits: CredentialLimits,
    /// Changes whenever something is forgotten: a check that began before must not be remembered after.
    generation: AtomicU64,
    state: Mutex<State>,
    remembered: AtomicU64,
    hashed: AtomicU64,
    refused: AtomicU64,
}

struct State {
    memory: HashMap<Guid, Remembered>,
    sources: Buckets<IpAddr>,
    accounts: Buckets<Guid>,
}

struct Remembered {
    mac: [u8; 32],
    until: Instant,
    /// The network that it came from last: it may go on when others exhaust the account's failures.
    source: IpAddr,
}

struct Job {
    account: Option<Guid>,
    password: Zeroizing<Vec<u8>>,
    source: IpAddr,
    answer: oneshot::Sender<Check>,
}

impl Credentials {
    /// Starts the hashing threads.
    pub fn start(source: impl CredentialSource, limits: CredentialLimits) -> std::io::Result<Credentials> {
        let mut key = Zeroizing::new([0u8; 64]);
        provider().secure_random.fill(&mut key[..]).map_err(|_| std::io::Error::other("no randomness"))?;
        let core = Arc::new(Core {
            source: Box::new(source),
            key,
            limits: CredentialLimits { remember: limits.remember.min(LONGEST_MEMORY), ..limits },
            generation: AtomicU64::new(0),
            state: Mutex::new(State {
                memory: HashMap::new(),
                sources: Buckets::new(limits.per_source, limits.watched),
                accounts: Buckets::new(limits.per_account, limits.watched),
            }),
            remembered: AtomicU64::new(0),
            hashed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        let (jobs, waiting) = std::sync::mpsc::sync_channel::<Job>(limits.waiting);
        let waiting = Arc::new(Mutex::new(waiting));
        let mut threads = Vec::new();
        for number in 0..limits.threads.max(1) {
            let (core, waiting) = (Arc::clone(&core), Arc::clone(&waiting));
            let thread = std::thread::Builder::new().name(format!("password-{number}")).spawn(move || {
                loop {
                    let job = lock(&waiting).recv();
                    let Ok(job) = job else { return };
                    if !job.answer.is_closed() {
                        let check = core.work(job.account, &job.password, job.source);
                        // The session may have gone meanwhile.
                        let _ = job.answer.send(check);
                    }
                }
            })?;
            threads.push(thread);
        }
        Ok(Credentials { core, jobs: Some(jobs), threads })
    }

    /// Checks a password that came from `source`. `account` is the objectGUID; `None` when there is no account that may
    /// log on: the same work is done, and the answer is [`Check::Wrong`].
    pub async fn check(&self, account: Option<Guid>, password: Zeroizing<Vec<u8>>, source: IpAddr) -> Check {
        let source = network(source);
        if let Some(check) = self.core.at_once(account, &password, source) {
            return check;
        }
        let (answer, answered) = oneshot::channel();
        let queued = self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Job { account, password, source, answer }).is_ok());
        if !queued {
            self.core.refused.fetch_add(1, Ordering::Relaxed);
            return Check::Unavailable;
        }
        answered.await.unwrap_or(Check::Unavailable)
    }

    /// Forgets what is remembered of an account: to be called when its password changes, or when it is disabled or
    /// deleted. A check under way with the old password is not remembered either.
    pub fn forget(&self, account: &Guid) {
        let mut state = lock(&self.core.state);
        self.core.generation.fetch_add(1, Ordering::SeqCst);
        state.memory.remove(account);
        state.accounts.forgive(account);
    }

    /// Forgets every remembered credential.
    pub fn forget_all(&self) {
        let mut state = lock(&self.core.state);
        self.core.generation.fetch_add(1, Ordering::SeqCst);
        state.memory.clear();
    }

    /// What was done since the start.
    pub fn counts(&self) -> CredentialCounts {
        CredentialCounts {
            remembered: self.core.remembered.load(Ordering::Relaxed),
            hashed: self.core.hashed.load(Ordering::Relaxed),
            refused: self.core.refused.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A panicked thread has nothing to tell that was not logged.
            let _ = thread.join();
        }
    }
}

impl Core {
    /// What can be said without hashing: remembered credentials and exhausted limits.
    fn at_once(&self, account: Option<Guid>, password: &[u8], source: IpAddr) -> Option<Check> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let exhausted = state.sources.is_empty(&source, now)
            || account.is_some_and(|account| {
                state.accounts.is_empty(&account, now)
                    && state.memory.get(&account).is_none_or(|known| known.source != source || known.until <= now)
            });
        if exhausted {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Some(Check::Unavailable);
        }
        let account = account?;
        let known = state.memory.get_mut(&account)?;
        if known.until <= now {
            state.memory.remove(&account);
            return None;
        }
        if self.mac(&account, password).verify_slice(&known.mac).is_err() {
            return None;
        }
        known.source = source;
        self.remembered.fetch_add(1, Ordering::Relaxed);
        Some(Check::Correct)
    }

    /// The whole check, on a hashing thread.
    fn work(&self, account: Option<Guid>, password: &[u8], source: IpAddr) -> Check {
        // Several sessions of one account may have asked at the same moment, or the limit was reached while waiting.
        if let Some(check) = self.at_once(account, password, source) {
            return check;
        }
        let generation = self.generation.load(Ordering::SeqCst);
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let correct = match account.map(|account| (account, self.source.credential(&account))) {
            Some((account, Ok(Some(phc)))) => match password::verify(password, &phc) {
                Ok(correct) => correct,
                Err(error) => {
                    tracing::error!(%account, %error, "a stored credential is damaged");
                    return Check::Unavailable;
                }
            },
            Some((account, Err(error))) => {
                tracing::error!(%account, %error, "a password cannot be checked");
                return Check::Unavailable;
            }
            None | Some((_, Ok(None))) => {
                password::burn(password);
                false
            }
        };
        let now = Instant::now();
        let mut state = lock(&self.state);
        match account {
            Some(account) if correct => {
                if self.generation.load(Ordering::SeqCst) == generation {
                    self.remember(&mut state, account, password, source, now);
                }
                Check::Correct
            }
            _ => Check::Wrong { delay: record_failure(&mut state, account, source, now) },
        }
    }

    fn remember(&self, state: &mut State, account: Guid, password: &[u8], source: IpAddr, now: Instant) {
        if self.limits.remember.is_zero() || self.limits.remembered == 0 {
            return;
        }
        if state.memory.len() >= self.limits.remembered && !state.memory.contains_key(&account) {
            state.memory.retain(|_, known| known.until > now);
            if state.memory.len() >= self.limits.remembered
                && let Some(victim) = state.memory.keys().next().copied()
            {
                state.memory.remove(&victim);
            }
        }
        let mac = self.mac(&account, password).finalize().into_bytes().into();
        state.memory.insert(account, Remembered { mac, until: now + self.limits.remember, source });
    }

    /// The keyed hash over account and password. That the credential has not changed since is seen to by
    /// [`Credentials::forget`].
    fn mac(&self, account: &Guid, password: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&(*self.key).into());
        mac.update(&account.0);
        mac.update(password);
        mac
    }
}

fn record_failure(state: &mut State, account: Option<Guid>, source: IpAddr, now: Instant) -> Duration {
    state.sources.take(source, now);
    let mut spent = state.sources.spent(&source, now);
    if let Some(account) = account {
        state.accounts.take(account, now);
        spent = spent.max(state.accounts.spent(&account, now));
    }
    Duration::from_secs(spent.saturating_sub(PROMPT_FAILURES).into()).min(LONGEST_DELAY)
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address (one customer holds at least that).
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

/// A panic while the lock was held cannot leave these maps in a wrong state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
