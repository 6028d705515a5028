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
        let scram = password::scram_keys(password.as_bytes(), None, 4096).unwrap();
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

/// A clock that a test moves.
#[derive(Clone)]
struct Hands(Arc<Mutex<Instant>>);

impl Hands {
    fn new() -> Hands {
        Hands(Arc::new(Mutex::new(Instant::now())))
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Arc::new(move || *lock(&hands.0))
    }

    fn pass(&self, time: Duration) {
        *lock(&self.0) += time;
    }
}

/// What one guess told: `None`, that it was not listened to.
fn guess(credentials: &Credentials, who: &Who, password: &str, source: IpAddr) -> Option<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(credentials.check(who.clone(), Zeroizing::new(password.into()), source)) {
        Check::Correct => Some(true),
        Check::Wrong { .. } => Some(false),
        Check::Unavailable => None,
    }
}

/// Guesses from as many sources as there are, for so many seconds, and counts what was told.
fn besiege(who: &Who, sources: u8, seconds: u64, limits: CredentialLimits) -> usize {
    let hands = Hands::new();
    let credentials = Credentials::start_by(Accounts::with("right"), limits, hands.clock()).unwrap();
    let mut told = 0;
    for _ in 0..seconds {
        for source in 0..sources {
            let source = IpAddr::V4(Ipv4Addr::new(203, 0, 113, source));
            told += usize::from(guess(&credentials, who, "wrong", source).is_some());
        }
        hands.pass(Duration::from_secs(1));
    }
    told
}

fn siege_limits() -> CredentialLimits {
    let per_source = Rate { burst: 3, refill: Duration::from_secs(10) };
    CredentialLimits { per_source, per_account: Rate { burst: 5, refill: Duration::from_secs(10) }, ..limits() }
}

#[test]
fn a_source_is_told_no_more_guesses_than_its_limit_says() {
    // 3 at once, and one for each 10 seconds that passed before the last one: 3 + 2.
    assert_eq!(besiege(&who(Some(ALICE)), 1, 30, siege_limits()), 5);
}

#[test]
fn many_sources_together_are_told_no_more_guesses_about_an_account_than_its_limit_says() {
    assert_eq!(besiege(&who(Some(ALICE)), 20, 30, siege_limits()), 7);
}

#[test]
fn a_name_that_nobody_has_is_shut_off_after_as_many_guesses_as_one_that_somebody_has() {
    let nobody = Who { account: None, alike: None, name: "nobody".into() };
    let disabled = Who { account: None, alike: Some(ALICE), name: "alice".into() };
    let known = besiege(&who(Some(ALICE)), 20, 30, siege_limits());
    assert_eq!(besiege(&nobody, 20, 30, siege_limits()), known);
    assert_eq!(besiege(&disabled, 20, 30, siege_limits()), known);
}

#[test]
fn the_right_password_is_not_told_from_a_wrong_one_once_a_limit_is_reached() {
    let hands = Hands::new();
    let credentials = Credentials::start_by(Accounts::with("right"), siege_limits(), hands.clock()).unwrap();
    for _ in 0..3 {
        guess(&credentials, &who(Some(ALICE)), "wrong", AWAY);
    }
    assert_eq!(guess(&credentials, &who(Some(ALICE)), "wrong", AWAY), None);
    assert_eq!(guess(&credentials, &who(Some(ALICE)), "right", AWAY), None);
    hands.pass(Duration::from_secs(10));
    assert_eq!(guess(&credentials, &who(Some(ALICE)), "right", AWAY), Some(true));
}

#[test]
fn proofs_of_scram_count_against_the_same_limits_as_passwords() {
    let credentials = Credentials::start(Accounts::with("right"), siege_limits()).unwrap();
    let alice = who(Some(ALICE));
    let right = keys(&credentials, &alice, AWAY);
    for _ in 0..2 {
        assert!(matches!(prove(&credentials, &alice, None, AWAY), Check::Wrong { .. }));
    }
    assert_eq!(guess(&credentials, &alice, "wrong", AWAY), Some(false));
    // A right proof tells no more than a right password would.
    assert_eq!(prove(&credentials, &alice, right, AWAY), Check::Unavailable);
    assert_eq!(keys(&credentials, &alice, AWAY), None);
}

fn keys(credentials: &Credentials, who: &Who, source: IpAddr) -> Option<ScramKeys> {
    all_keys(credentials, who, source).map(|(keys, _)| keys)
}

/// Keys as SCRAM is given them: those that are asked about, and the others of the account.
fn all_keys(credentials: &Credentials, who: &Who, source: IpAddr) -> Option<(ScramKeys, Vec<ScramKeys>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    match runtime.block_on(credentials.keys(who.clone(), source)) {
        Keys::Found { keys, also, nonce } => {
            assert!(nonce.len() >= 32, "{nonce}");
            Some((keys, also))
        }
        Keys::Unavailable => None,
    }
}

/// What a proof is worth that is right for these keys, or for none.
fn prove(credentials: &Credentials, who: &Who, keys: Option<ScramKeys>, source: IpAddr) -> Check {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(credentials.count(who.clone(), keys.map(Box::new), source))
}

#[test]
fn a_proof_for_keys_that_the_account_has_no_longer_is_wrong() {
    let accounts = Accounts::with("old");
    let credentials = Credentials::start(accounts.clone(), limits()).unwrap();
    let alice = who(Some(ALICE));
    let old = keys(&credentials, &alice, HOME);
    assert_eq!(prove(&credentials, &alice, old.clone(), HOME), Check::Correct);
    accounts.set("new");
    assert!(matches!(prove(&credentials, &alice, old, HOME), Check::Wrong { .. }));
}

#[test]
fn an_account_under_attack_stays_open_to_whoever_proved_its_password_by_scram_before() {
    let per_account = Rate { burst: 1, refill: Duration::from_secs(3600) };
    let credentials =
        Credentials::start(Accounts::with("right"), CredentialLimits { per_account, ..limits() }).unwrap();
    let alice = who(Some(ALICE));
    let right = keys(&credentials, &alice, HOME);
    assert_eq!(prove(&credentials, &alice, right.clone(), HOME), Check::Correct);
    assert!(matches!(prove(&credentials, &alice, None, AWAY), Check::Wrong { .. }));
    assert_eq!(prove(&credentials, &alice, right.clone(), AWAY), Check::Unavailable);
    assert_eq!(prove(&credentials, &alice, right, HOME), Check::Correct);
}

#[test]
fn a_name_that_nobody_has_has_a_salt_that_never_changes() {
    let nobody = |name: &str| Who { account: None, alike: None, name: name.into() };
    let salt = |who: Who| {
        // A new server each time.
        let credentials = Credentials::start(Accounts::default(), limits()).unwrap();
        keys(&credentials, &who, AWAY).unwrap()
    };
    assert_eq!(salt(nobody("nobody")), salt(nobody("nobody")));
    assert_ne!(salt(nobody("nobody")).salt, salt(nobody("somebody")).salt);
    assert_eq!(salt(nobody("nobody")).salt.len(), 16);
    assert_eq!(salt(nobody("nobody")).iterations, limits().scram_iterations);
}

#[test]
fn a_disabled_account_keeps_its_salt_and_has_nothing_to_prove() {
    let credentials = Credentials::start(Accounts::with("right"), limits()).unwrap();
    let enabled = keys(&credentials, &who(Some(ALICE)), HOME).unwrap();
    let disabled = Who { account: None, alike: Some(ALICE), name: "alice".into() };
    let disabled = keys(&credentials, &disabled, HOME).unwrap();
    assert_eq!((&disabled.salt, disabled.iterations), (&enabled.salt, enabled.iterations));
    assert_ne!(disabled.stored_key, enabled.stored_key);
}

/// Alice with an app password, and how often it was used.
#[derive(Clone)]
struct WithAppPassword(StoredCredentials, Arc<Mutex<Vec<String>>>);

impl CredentialSource for WithAppPassword {
    fn stored(&self, account: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
        Ok(if *account == ALICE { self.0.clone() } else { StoredCredentials::default() })
    }

    fn used(&self, _: &Guid, app_password: &AppPassword) {
        lock(&self.1).push(app_password.name.clone());
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }
}

#[test]
fn an_app_password_counts_beside_the_own_one_and_its_use_is_noted() {
    let secret = AppPassword::from_random([5; AppPassword::LETTERS]);
    let digest = AppPassword::digest(&ALICE, secret.as_bytes()).unwrap();
    let phone = AppPassword { name: "phone".into(), digest, scram: None, created: directory::Time(0), last_used: None };
    let stored = StoredCredentials {
        password: Some(password::hash(b"right").unwrap()),
        scram: None,
        app_passwords: vec![phone],
    };
    let source = WithAppPassword(stored, Arc::default());
    let used = Arc::clone(&source.1);
    let credentials = Credentials::start(source, limits()).unwrap();
    assert_eq!(check(&credentials, Some(ALICE), &secret.to_uppercase(), HOME), Check::Correct);
    assert_eq!(check(&credentials, Some(ALICE), "right", HOME), Check::Correct);
    let another = AppPassword::from_random([6; AppPassword::LETTERS]);
    assert!(matches!(check(&credentials, Some(ALICE), &another, HOME), Check::Wrong { .. }));
    assert_eq!(*lock(&used), ["phone"]);
    // It is quick, and an account under attack is as closed to it as to the other.
    assert_eq!(credentials.counts().hashed, 2);
}

/// Alice with the password `right` and app passwords of these names, which are their passwords too.
fn with_app_passwords(names: &[&str]) -> WithAppPassword {
    let own = password::scram_keys(b"right", None, 4096).unwrap();
    let salt = own.as_ref().map(|keys| keys.salt.clone());
    let app = |name: &&str| {
        let keys = password::scram_keys(name.as_bytes(), salt.clone(), 4096).unwrap();
        let scram = keys.map(|keys| keys.to_text());
        AppPassword { name: (*name).into(), digest: [0; 32], scram, created: directory::Time(0), last_used: None }
    };
    let app_passwords = names.iter().map(app).collect();
    WithAppPassword(StoredCredentials { password: None, scram: own, app_passwords }, Arc::default())
}

#[test]
fn scram_is_given_the_keys_of_all_passwords_of_an_account_and_notes_which_was_proven() {
    let source = with_app_passwords(&["phone", "printer"]);
    let used = Arc::clone(&source.1);
    let credentials = Credentials::start(source, limits()).unwrap();
    let alice = who(Some(ALICE));
    let (own, also) = all_keys(&credentials, &alice, HOME).unwrap();
    assert!(also.len() == 2 && also.iter().all(|keys| (&keys.salt, keys.iterations) == (&own.salt, own.iterations)));
    assert_eq!(prove(&credentials, &alice, Some(own), HOME), Check::Correct);
    assert_eq!(*lock(&used), Vec::<String>::new());
    assert_eq!(prove(&credentials, &alice, Some(also[1].clone()), HOME), Check::Correct);
    assert_eq!(*lock(&used), ["printer"]);
}

#[test]
fn an_account_without_a_password_of_its_own_proves_its_app_password() {
    let mut source = with_app_passwords(&["phone"]);
    source.0.scram = None;
    let credentials = Credentials::start(source, limits()).unwrap();
    let alice = who(Some(ALICE));
    let phone = keys(&credentials, &alice, HOME);
    assert_eq!(prove(&credentials, &alice, phone, HOME), Check::Correct);
}

#[test]
fn a_disabled_account_has_no_app_password_to_prove() {
    let credentials = Credentials::start(with_app_passwords(&["phone"]), limits()).unwrap();
    let (enabled, _) = all_keys(&credentials, &who(Some(ALICE)), HOME).unwrap();
    let disabled = Who { account: None, alike: Some(ALICE), name: "alice".into() };
    let (shown, also) = all_keys(&credentials, &disabled, HOME).unwrap();
    assert_eq!((&shown.salt, also), (&enabled.salt, Vec::new()));
    assert!(matches!(prove(&credentials, &disabled, Some(enabled), HOME), Check::Wrong { .. }));
}

#[test]
fn a_name_that_nobody_has_has_as_many_rounds_as_accounts_have() {
    /// Passwords were set before `scram_iterations` was raised.
    struct Old;
    impl CredentialSource for Old {
        fn stored(&self, _: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
            Ok(StoredCredentials::default())
        }

        fn rounds(&self) -> Result<Vec<(u32, u64)>, SourceUnavailable> {
            Ok(vec![(4096, 12)])
        }

        fn secret(&self) -> [u8; 32] {
            [9; 32]
        }
    }
    let credentials = Credentials::start(Old, CredentialLimits { scram_iterations: 20_000, ..limits() }).unwrap();
    let nobody = Who { account: None, alike: None, name: "nobody".into() };
    assert_eq!(keys(&credentials, &nobody, AWAY).unwrap().iterations, 4096);
}

/// Passwords are kept by a domain that is asked about no name more than twice.
#[derive(Clone, Default)]
struct Domain(Arc<Mutex<HashMap<Guid, u32>>>);

impl Domain {
    fn ask(&self, subject: &Guid) -> Option<Result<bool, SourceUnavailable>> {
        let mut asked = lock(&self.0);
        let times = asked.entry(*subject).or_default();
        *times += 1;
        Some(if *times > 2 { Err(SourceUnavailable("spared".into())) } else { Ok(false) })
    }
}

impl CredentialSource for Domain {
    fn stored(&self, _: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
        Ok(StoredCredentials::default())
    }

    fn elsewhere(&self, account: &Guid, _: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        self.ask(account)
    }

    fn elsewhere_of_nobody(&self, subject: &Guid, _: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        self.ask(subject)
    }

    fn secret(&self) -> [u8; 32] {
        [9; 32]
    }
}

#[test]
fn a_name_that_nobody_has_is_put_off_where_an_account_of_a_domain_is_spared() {
    let nobody = Who { account: None, alike: None, name: "nobody".into() };
    let disabled = Who { account: None, alike: Some(ALICE), name: "alice".into() };
    for who in [who(Some(ALICE)), nobody, disabled] {
        let credentials = Credentials::start(Domain::default(), limits()).unwrap();
        let told = [1, 2, 3, 4].map(|_| guess(&credentials, &who, "wrong", AWAY));
        assert_eq!(told, [Some(false), Some(false), None, None], "{who:?}");
    }
}
