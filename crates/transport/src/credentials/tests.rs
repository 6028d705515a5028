use super::*;
use std::net::Ipv4Addr;
use std::sync::mpsc;

const ALICE: Guid = Guid([1; 16]);
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// One account with a password that can be changed.
#[derive(Clone, Default)]
struct Accounts(Arc<Mutex<HashMap<Guid, StoredCredentials>>>);

impl Accounts {
    fn with(password: &str) -> Accounts {
        let accounts = Accounts::default();
        accounts.set(password);
        accounts
    }

    fn set(&self, password: &str) {
        let scram = password::scram_keys(password.as_bytes(), 4096).unwrap();
        let password = Some(password::hash(password.as_bytes()).unwrap());
        let stored = StoredCredentials { password, scram, app_passwords: Vec::new() };
        lock(&self.0).insert(ALICE, stored);
    }
}

impl CredentialSource for Accounts {
    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }

    fn stored(&self, account: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
        Ok(lock(&self.0).get(account).cloned().unwrap_or_default())
    }
}

fn limits() -> CredentialLimits {
    CredentialLimits { threads: 1, ..CredentialLimits::default() }
}

fn check(credentials: &Credentials, account: Option<Guid>, password: &str, source: IpAddr) -> Check {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(credentials.check(who(account), Zeroizing::new(password.into()), source))
}

/// An account, or a name that nobody has.
fn who(account: Option<Guid>) -> Who {
    Who { account, alike: account, name: "nobody".to_owned() }
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
        fn secret(&self) -> [u8; 32] {
            [9; 32]
        }

        fn stored(&self, _: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
            let password = Some(self.phc.clone());
            self.asked.send(()).unwrap();
            lock(&self.go).recv().unwrap();
            Ok(StoredCredentials { password, ..StoredCredentials::default() })
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
    let credentials = Credentials::start(Accounts::with("right"), CredentialLimits { per_source, ..limits() }).unwrap();
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
        fn secret(&self) -> [u8; 32] {
            [9; 32]
        }

        fn stored(&self, _: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
            self.1.send(()).unwrap();
            let _ = lock(&self.0).recv();
            Ok(StoredCredentials::default())
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
                let check = checking.check(who(Some(ALICE)), Zeroizing::new(b"x".to_vec()), HOME).await;
                if check != Check::Unavailable {
                    return check;
                }
                tokio::task::yield_now().await;
            }
        });
        while was_asked.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        let second = credentials.check(who(Some(ALICE)), Zeroizing::new(b"x".to_vec()), AWAY).await;
        assert_eq!(second, Check::Unavailable);
        drop(release);
        assert!(matches!(first.await.unwrap(), Check::Wrong { .. }));
    });
}

#[test]
fn a_store_that_cannot_answer_is_temporary() {
    struct Broken;
    impl CredentialSource for Broken {
        fn secret(&self) -> [u8; 32] {
            [9; 32]
        }

        fn stored(&self, _: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
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
