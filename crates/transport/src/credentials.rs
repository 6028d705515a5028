//! Password checks for sessions: a bounded pool of hashing threads, a short memory of what was right, and limits on what
//! was wrong.
//!
//! A check costs about 30 ms of a core and 19 MiB, so it never runs on the I/O loop, the number of waiting checks is
//! bounded, and a credential that was right is remembered for some minutes: not the password, but an HMAC-SHA-256 of it
//! under a random key of this process. Failures are limited per source network and per account (`architecture.md`;
//! attacks: password guessing, enumeration of accounts by time).
//!
//! Who guesses learns something from as many answers as the limits allow, and from no more: once a limit is reached, a right
//! password is answered as a wrong one is. A name that nobody has is limited, delayed and salted as one that somebody has.

mod homes;
mod limits;
mod scram;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use acl::Guid;
use hmac::{Hmac, KeyInit, Mac};
use session::{MIN_ITERATIONS, ScramKeys};
use sha2::Sha256;
use store::AppPassword;
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::buckets::Rate;
use crate::certificate::provider;
use crate::password;
use homes::Homes;
use limits::{Failures, network};

/// Where credentials come from, by objectGUID. Asked on a hashing thread, so it may block.
pub trait CredentialSource: Send + Sync + 'static {
    /// What is kept of an account's passwords; the default for an account that has none, or that there is not.
    fn stored(&self, account: &Guid) -> Result<StoredCredentials, SourceUnavailable>;

    /// An app password was used.
    fn used(&self, account: &Guid, app_password: &AppPassword) {
        let _ = (account, app_password);
    }

    /// Asks whoever keeps the password of an account elsewhere whether that is it; none where nobody does. It blocks.
    fn elsewhere(&self, account: &Guid, password: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        let _ = (account, password);
        None
    }

    /// The same for a name that nobody has, or that may not log on; whatever is said, the answer is no. Where passwords are kept
    /// elsewhere, that takes its time, and is not asked about without end: a name without an account must look alike.
    fn elsewhere_of_nobody(&self, subject: &Guid, password: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        let _ = (subject, password);
        None
    }

    /// How many accounts have SCRAM keys of how many rounds, fewest rounds first; empty where nobody counts them. What a
    /// name that nobody has pretends to have is drawn from these.
    fn rounds(&self) -> Result<Vec<(u32, u64)>, SourceUnavailable> {
        Ok(Vec::new())
    }

    /// Whether SCRAM may be offered: not where passwords are kept elsewhere, which gives nobody their keys.
    fn scram(&self) -> bool {
        true
    }

    /// A secret of this organization that stays the same: from it come the salts of names that nobody has, which must not
    /// change when the server restarts.
    fn secret(&self) -> [u8; 32];
}

/// What is kept of an account's passwords.
#[derive(Debug, Clone, Default)]
pub struct StoredCredentials {
    /// The PHC string of its password.
    pub password: Option<String>,
    /// The SCRAM keys of the same password.
    pub scram: Option<ScramKeys>,
    /// Its app passwords.
    pub app_passwords: Vec<AppPassword>,
}

/// The store of credentials cannot answer; the client gets `454 4.7.0`.
#[derive(Debug, Error)]
#[error("credentials cannot be read: {0}")]
pub struct SourceUnavailable(pub String);

/// Who wants to log on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The account; `None` when there is none that may log on: the same work is done, and the answer is no.
    pub account: Option<Guid>,
    /// The account that answers for the name where the first does not.
    pub alike: Option<Guid>,
    /// The name, for where no account answers for it.
    pub name: String,
}

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
    /// Rounds of PBKDF2 that a name without SCRAM keys pretends to have where no account has keys: those of new keys.
    pub scram_iterations: u32,
}

impl Default for CredentialLimits {
    fn default() -> Self {
        CredentialLimits {
            threads: std::thread::available_parallelism().map_or(2, |cores| cores.get().clamp(1, 8)),
            waiting: 256,
            remember: Duration::from_secs(300),
            remembered: 65_536,
            per_source: Rate { burst: 20, refill: Duration::from_secs(6) },
            // More than per source, so that one source alone cannot shut others out.
            per_account: Rate { burst: 60, refill: Duration::from_secs(6) },
            watched: 16_384,
            scram_iterations: MIN_ITERATIONS,
        }
    }
}

/// The longest time for which a correct credential may be remembered.
pub const LONGEST_MEMORY: Duration = Duration::from_secs(300);

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

/// What came of looking up SCRAM keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// Keys of the account, or of nobody.
    Found {
        /// The keys.
        keys: ScramKeys,
        /// Those of the account's app passwords.
        also: Vec<ScramKeys>,
        /// A fresh nonce of 192 bits, hexadecimal.
        nonce: String,
    },
    /// As [`Check::Unavailable`].
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

/// The clock of limits and of the memory.
pub type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The service. Cheap to share; dropped, it ends its threads.
pub struct Credentials {
    core: Arc<Core>,
    jobs: Option<std::sync::mpsc::SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

struct Core {
    source: Box<dyn CredentialSource>,
    key: Zeroizing<[u8; 64]>,
    secret: Zeroizing<[u8; 32]>,
    rounds: scram::Rounds,
    limits: CredentialLimits,
    clock: Clock,
    /// Changes whenever something is forgotten: a check that began before must not be remembered after.
    generation: AtomicU64,
    state: Mutex<State>,
    remembered: AtomicU64,
    hashed: AtomicU64,
    refused: AtomicU64,
}

struct State {
    memory: HashMap<Guid, Remembered>,
    homes: Homes,
    failures: Failures,
}

struct Remembered {
    mac: [u8; 32],
    until: Instant,
}

/// Work for a hashing thread.
type Job = Box<dyn FnOnce(&Core) + Send>;

impl Credentials {
    /// Starts the hashing threads.
    pub fn start(source: impl CredentialSource, limits: CredentialLimits) -> std::io::Result<Credentials> {
        Credentials::start_by(source, limits, Arc::new(Instant::now))
    }

    /// The same with another clock.
    pub fn start_by(
        source: impl CredentialSource,
        limits: CredentialLimits,
        clock: Clock,
    ) -> std::io::Result<Credentials> {
        let mut key = Zeroizing::new([0u8; 64]);
        provider().secure_random.fill(&mut key[..]).map_err(|_| std::io::Error::other("no randomness"))?;
        let core = Arc::new(Core {
            secret: Zeroizing::new(source.secret()),
            rounds: scram::Rounds::default(),
            source: Box::new(source),
            key,
            limits: CredentialLimits { remember: limits.remember.min(LONGEST_MEMORY), ..limits },
            clock,
            generation: AtomicU64::new(0),
            state: Mutex::new(State {
                memory: HashMap::new(),
                homes: Homes::new(limits.watched),
                failures: Failures::new(&limits),
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
                    job(&core);
                }
            })?;
            threads.push(thread);
        }
        Ok(Credentials { core, jobs: Some(jobs), threads })
    }

    /// A password that is not hashed, because it is to be said to somebody else: that of a send connector. Blocks.
    pub(crate) fn password_to_say(&self, object: &Guid) -> Result<Option<Zeroizing<String>>, SourceUnavailable> {
        let kept = self.core.source.stored(object)?.password.map(Zeroizing::new);
        Ok(kept.and_then(|kept| kept.strip_prefix("{CLEAR}").map(|password| Zeroizing::new(password.to_owned()))))
    }

    /// Checks a password, or an app password, that came from `source`.
    pub async fn check(&self, who: Who, password: Zeroizing<Vec<u8>>, source: IpAddr) -> Check {
        let source = network(source);
        if let Some(check) = self.core.at_once(&who, &password, source) {
            return check;
        }
        self.work(move |core| core.work(&who, &password, source)).await.unwrap_or(Check::Unavailable)
    }

    /// The SCRAM keys of an account. Of one that has none, or of none at all, keys that nobody can prove: always the same
    /// for one name.
    pub async fn keys(&self, who: Who, source: IpAddr) -> Keys {
        let source = network(source);
        if self.core.is_exhausted(&who, source) {
            return Keys::Unavailable;
        }
        self.work(move |core| core.keys(&who)).await.unwrap_or(Keys::Unavailable)
    }

    /// Counts a proof that was judged elsewhere: SCRAM's, by [`Credentials::keys`]. `proven` are the keys that it was right
    /// for; keys that the account does not have any more prove nothing.
    pub async fn count(&self, who: Who, proven: Option<Box<ScramKeys>>, source: IpAddr) -> Check {
        let source = network(source);
        match proven {
            None => self.core.judge(&mut lock(&self.core.state), Some(&who), false, source),
            Some(keys) => self.work(move |core| core.proven(&who, &keys, source)).await.unwrap_or(Check::Unavailable),
        }
    }

    /// Counts a token or ticket that was judged elsewhere. It is nothing to guess, so only its source is watched.
    pub fn count_unnamed(&self, right: bool, source: IpAddr) -> Check {
        self.core.judge(&mut lock(&self.core.state), None, right, network(source))
    }

    /// Whether a source has failed too often to be listened to now.
    pub fn is_shut_out(&self, source: IpAddr) -> bool {
        let shut_out = lock(&self.core.state).failures.shut_out(&network(source), (self.core.clock)());
        if shut_out {
            self.core.refused.fetch_add(1, Ordering::Relaxed);
        }
        shut_out
    }

    /// Forgets what is remembered of an account, its failures too: to be called when its password changes, or when it is
    /// disabled or deleted. A check under way with the old password is not remembered either.
    pub fn forget(&self, account: &Guid) {
        let mut state = lock(&self.core.state);
        self.core.generation.fetch_add(1, Ordering::SeqCst);
        state.memory.remove(account);
        state.homes.forget(account);
        state.failures.forgive(account);
    }

    /// Forgets that a password of an account was right. Its failures are not forgiven: somebody else says that something
    /// changed.
    pub fn forget_password(&self, account: &Guid) {
        let mut state = lock(&self.core.state);
        self.core.generation.fetch_add(1, Ordering::SeqCst);
        state.memory.remove(account);
    }

    /// Whether SCRAM may be offered.
    pub fn offers_scram(&self) -> bool {
        self.core.source.scram()
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

    /// Has something done on a hashing thread; `None` when too much waits already.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Core) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |core| {
            // The session may have gone meanwhile.
            if !answer.is_closed() {
                let _ = answer.send(work(core));
            }
        });
        if self.jobs.as_ref().is_none_or(|jobs| jobs.try_send(job).is_err()) {
            self.core.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        answered.await.ok()
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
    fn at_once(&self, who: &Who, password: &[u8], source: IpAddr) -> Option<Check> {
        let now = (self.clock)();
        let mut state = lock(&self.state);
        if self.exhausted(&state, Some(who), source, now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Some(Check::Unavailable);
        }
        let account = who.account?;
        let known = state.memory.get(&account)?;
        if known.until <= now {
            state.memory.remove(&account);
            return None;
        }
        if self.mac(&account, password).verify_slice(&known.mac).is_err() {
            return None;
        }
        state.homes.note(account, source, now);
        self.remembered.fetch_add(1, Ordering::Relaxed);
        Some(Check::Correct)
    }

    /// The whole check, on a hashing thread.
    fn work(&self, who: &Who, password: &[u8], source: IpAddr) -> Check {
        // Several sessions of one account may have asked at the same moment, or the limit was reached while waiting.
        if let Some(check) = self.at_once(who, password, source) {
            return check;
        }
        let generation = self.generation.load(Ordering::SeqCst);
        // Asked for nobody too: the way there must be as long, and as often blocked.
        let stored = match self.source.stored(&self.subject(who)) {
            Ok(stored) if who.account.is_some() => stored,
            Ok(_) => StoredCredentials::default(),
            Err(error) => {
                tracing::error!(%error, "a password cannot be checked");
                return Check::Unavailable;
            }
        };
        if let Some(account) = who.account
            && let Some(used) = app_password(&account, &stored.app_passwords, password)
        {
            let check = self.judge(&mut lock(&self.state), Some(who), true, source);
            if check == Check::Correct {
                self.source.used(&account, used);
            }
            return check;
        }
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let elsewhere = match who.account {
            Some(account) => self.source.elsewhere(&account, password),
            None => self.source.elsewhere_of_nobody(&self.subject(who), password),
        };
        let correct = match (who.account, stored.password) {
            _ if elsewhere.is_some() => match elsewhere {
                Some(Ok(correct)) => correct && who.account.is_some(),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a password cannot be checked");
                    return Check::Unavailable;
                }
                None => false,
            },
            (Some(account), Some(phc)) => match password::verify(password, &phc) {
                Ok(correct) => correct,
                Err(error) => {
                    tracing::error!(%account, %error, "a stored credential is damaged");
                    return Check::Unavailable;
                }
            },
            _ => {
                password::burn(password);
                false
            }
        };
        let mut state = lock(&self.state);
        let check = self.judge(&mut state, Some(who), correct, source);
        if let (Check::Correct, Some(account)) = (check, who.account)
            && self.generation.load(Ordering::SeqCst) == generation
        {
            self.remember(&mut state, account, password);
        }
        check
    }

    /// What a logon is worth now that it is judged. A right one that comes when a limit is reached is not told from a wrong
    /// one, else the limit would not limit guessing.
    fn judge(&self, state: &mut State, who: Option<&Who>, right: bool, source: IpAddr) -> Check {
        let now = (self.clock)();
        if self.exhausted(state, who, source, now) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Check::Unavailable;
        }
        if !right {
            return Check::Wrong { delay: state.failures.count(who.map(|who| self.subject(who)), source, now) };
        }
        if let Some(account) = who.and_then(|who| who.account) {
            state.homes.note(account, source, now);
        }
        Check::Correct
    }

    fn is_exhausted(&self, who: &Who, source: IpAddr) -> bool {
        let exhausted = self.exhausted(&lock(&self.state), Some(who), source, (self.clock)());
        if exhausted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        exhausted
    }

    fn exhausted(&self, state: &State, who: Option<&Who>, source: IpAddr, now: Instant) -> bool {
        let besieged = |who: &Who| {
            let at_home = |account| state.homes.has(&account, source, now);
            state.failures.besieged(&self.subject(who), now) && !who.account.is_some_and(at_home)
        };
        state.failures.shut_out(&source, now) || who.is_some_and(besieged)
    }

    /// By what a name is limited and salted, the same for all its spellings.
    fn subject(&self, who: &Who) -> Guid {
        if let Some(guid) = who.account.or(who.alike) {
            return guid;
        }
        let mut mac = Hmac::<Sha256>::new(&padded(&self.secret).into());
        mac.update(b"name");
        mac.update(who.name.as_bytes());
        let mut guid = [0; 16];
        guid.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        Guid(guid)
    }

    fn remember(&self, state: &mut State, account: Guid, password: &[u8]) {
        if self.limits.remember.is_zero() || self.limits.remembered == 0 {
            return;
        }
        let now = (self.clock)();
        if state.memory.len() >= self.limits.remembered && !state.memory.contains_key(&account) {
            state.memory.retain(|_, known| known.until > now);
            if state.memory.len() >= self.limits.remembered
                && let Some(victim) = state.memory.keys().next().copied()
            {
                state.memory.remove(&victim);
            }
        }
        let mac = self.mac(&account, password).finalize().into_bytes().into();
        state.memory.insert(account, Remembered { mac, until: now + self.limits.remember });
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

/// The app password that this is. All are looked at, so that time does not tell which.
fn app_password<'p>(account: &Guid, passwords: &'p [AppPassword], presented: &[u8]) -> Option<&'p AppPassword> {
    let digest = AppPassword::digest(account, presented)?;
    let mut found = None;
    for password in passwords {
        if password.digest.ct_eq(&digest).into() {
            found = Some(password);
        }
    }
    found
}

fn padded(secret: &[u8; 32]) -> [u8; 64] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(secret);
    block
}

/// A panic while the lock was held cannot leave these maps in a wrong state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "credentials/tests.rs"]
mod tests;
