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
        let queued =
            self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Job { account, password, source, answer }).is_ok());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    const ALICE: Guid = Guid([1; 16]);
    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

    /// One account with a password that can be changed.
    #[derive(Clone, Default)]
    struct Accounts(Arc<Mutex<HashMap<Guid, String>>>);

    impl Accounts {
        fn with(password: &str) -> Accounts {
            let accounts = Accounts::default();
            accounts.set(password);
            accounts
        }

        fn set(&self, password: &str) {
            lock(&self.0).insert(ALICE, password::hash(password.as_bytes()).unwrap());
        }
    }

    impl CredentialSource for Accounts {
        fn credential(&self, account: &Guid) -> Result<Option<String>, SourceUnavailable> {
            Ok(lock(&self.0).get(account).cloned())
        }
    }

    fn limits() -> CredentialLimits {
        CredentialLimits { threads: 1, ..CredentialLimits::default() }
    }

    fn check(credentials: &Credentials, account: Option<Guid>, password: &str, source: IpAddr) -> Check {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(credentials.check(account, Zeroizing::new(password.into()), source))
    }

    #[test]
    fn a_correct_password_is_hashed_once_and_remembered() {
        let credentials = Credentials::start(Accounts::with("right"), limits()).unwrap();
        for _ in 0..3 {
            assert_eq!(check(&credentials, Some(ALICE), "right", HOME), Check::Correct);
        }
        assert_eq!(credentials.counts(), CredentialCounts { hashed: 1, remembered: 2, refused: 0 });
    }

    #[test]
    fn a_wrong_password_is_hashed_although_the_right_one_is_remembered() {
        let credentials = Credentials::start(Accounts::with("right"), limits()).unwrap();
        check(&credentials, Some(ALICE), "right", HOME);
        assert!(matches!(check(&credentials, Some(ALICE), "wrong", HOME), Check::Wrong { .. }));
        assert_eq!(credentials.counts().hashed, 2);
    }

    #[test]
    fn an_account_that_does_not_exist_costs_the_same_work() {
        let credentials = Credentials::start(Accounts::default(), limits()).unwrap();
        assert!(matches!(check(&credentials, None, "x", HOME), Check::Wrong { .. }));
        assert!(matches!(check(&credentials, Some(ALICE), "x", HOME), Check::Wrong { .. }));
        assert_eq!(credentials.counts().hashed, 2);
    }

    #[test]
    fn a_changed_password_counts_at_once() {
        let accounts = Accounts::with("old");
        let credentials = Credentials::start(accounts.clone(), limits()).unwrap();
        check(&credentials, Some(ALICE), "old", HOME);
        accounts.set("new");
        credentials.forget(&ALICE);
        assert!(matches!(check(&credentials, Some(ALICE), "old", HOME), Check::Wrong { .. }));
        assert_eq!(check(&credentials, Some(ALICE), "new", HOME), Check::Correct);
    }

    #[test]
    fn a_check_that_began_before_the_change_is_not_remembered() {
        /// Says when it was asked, and answers with the old hash when it is told to.
        struct Slow {
            asked: mpsc::Sender<()>,
            go: Mutex<mpsc::Receiver<()>>,
            phc: String,
        }
        impl CredentialSource for Slow {
            fn credential(&self, _: &Guid) -> Result<Option<String>, SourceUnavailable> {
                let phc = self.phc.clone();
                self.asked.send(()).unwrap();
                lock(&self.go).recv().unwrap();
                Ok(Some(phc))
            }
        }
        let (asked, was_asked) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let source = Slow { asked, go: Mutex::new(wait), phc: password::hash(b"old").unwrap() };
        let credentials = Arc::new(Credentials::start(source, limits()).unwrap());
        let checking = Arc::clone(&credentials);
        let check_old = std::thread::spawn(move || check(&checking, Some(ALICE), "old", HOME));
        was_asked.recv().unwrap();
        credentials.forget(&ALICE);
        go.send(()).unwrap();
        assert_eq!(check_old.join().unwrap(), Check::Correct);
        go.send(()).unwrap();
        check(&credentials, Some(ALICE), "old", HOME);
        assert_eq!(credentials.counts().hashed, 2);
    }

    #[test]
    fn a_source_that_guesses_is_refused_after_its_burst_and_others_are_not() {
        let per_source = Rate { burst: 2, refill: Duration::from_secs(3600) };
        let credentials =
            Credentials::start(Accounts::with("right"), CredentialLimits { per_source, ..limits() }).unwrap();
        for _ in 0..2 {
            assert!(matches!(check(&credentials, Some(ALICE), "wrong", AWAY), Check::Wrong { .. }));
        }
        assert_eq!(check(&credentials, Some(ALICE), "right", AWAY), Check::Unavailable);
        assert_eq!(check(&credentials, Some(ALICE), "right", HOME), Check::Correct);
    }

    #[test]
    fn an_account_under_attack_stays_open_to_the_source_it_was_used_from() {
        let per_account = Rate { burst: 1, refill: Duration::from_secs(3600) };
        let credentials =
            Credentials::start(Accounts::with("right"), CredentialLimits { per_account, ..limits() }).unwrap();
        assert_eq!(check(&credentials, Some(ALICE), "right", HOME), Check::Correct);
        assert!(matches!(check(&credentials, Some(ALICE), "wrong", AWAY), Check::Wrong { .. }));
        assert_eq!(check(&credentials, Some(ALICE), "right", AWAY), Check::Unavailable);
        assert_eq!(check(&credentials, Some(ALICE), "right", HOME), Check::Correct);
    }

    #[test]
    fn an_overload_is_answered_and_not_queued() {
        /// Blocks until its channel is closed.
        struct Stuck(Mutex<mpsc::Receiver<()>>, mpsc::Sender<()>);
        impl CredentialSource for Stuck {
            fn credential(&self, _: &Guid) -> Result<Option<String>, SourceUnavailable> {
                self.1.send(()).unwrap();
                let _ = lock(&self.0).recv();
                Ok(None)
            }
        }
        let (release, stuck) = mpsc::channel();
        let (asked, was_asked) = mpsc::channel();
        let source = Stuck(Mutex::new(stuck), asked);
        let credentials = Arc::new(Credentials::start(source, CredentialLimits { waiting: 0, ..limits() }).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            // With room for none, a check is taken only once the thread waits for it.
            let checking = Arc::clone(&credentials);
            let first = tokio::spawn(async move {
                loop {
                    let check = checking.check(Some(ALICE), Zeroizing::new(b"x".to_vec()), HOME).await;
                    if check != Check::Unavailable {
                        return check;
                    }
                    tokio::task::yield_now().await;
                }
            });
            while was_asked.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            let second = credentials.check(Some(ALICE), Zeroizing::new(b"x".to_vec()), AWAY).await;
            assert_eq!(second, Check::Unavailable);
            drop(release);
            assert!(matches!(first.await.unwrap(), Check::Wrong { .. }));
        });
    }

    #[test]
    fn a_store_that_cannot_answer_is_temporary() {
        struct Broken;
        impl CredentialSource for Broken {
            fn credential(&self, _: &Guid) -> Result<Option<String>, SourceUnavailable> {
                Err(SourceUnavailable("locked".into()))
            }
        }
        let credentials = Credentials::start(Broken, limits()).unwrap();
        assert_eq!(check(&credentials, Some(ALICE), "x", HOME), Check::Unavailable);
    }

    #[test]
    fn repeated_failures_are_answered_later_and_later() {
        let credentials = Credentials::start(Accounts::with("right"), limits()).unwrap();
        let delays: Vec<_> = (0..8)
            .map(|_| match check(&credentials, None, "x", HOME) {
                Check::Wrong { delay } => delay.as_secs(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let one = network("2001:db8:1:2::1".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2:ffff::9".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), HOME);
    }
}
