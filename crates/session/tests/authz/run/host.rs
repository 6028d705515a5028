//! What scripts are run with: the directory, a clock, passwords and tokens; and what a session has said.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use directory::{Snapshot, Time};
use rights::DecisionRecord;
use session::{
    Claimant, GssMessage, GssOutcome, Host, Identity, KeysOutcome, Output, PasswordCheck, PasswordOutcome, ScramKeys,
    StoreOutcome, Submission, TokenOutcome,
};

use crate::organization::Organization;

/// 2026-01-01 12:00 UTC, when every script begins.
const BEGINNING: Time = Time(1_767_268_800_000);

/// The program around the sessions of a script.
pub(super) struct ScriptHost {
    pub(super) organization: RefCell<Organization>,
    pub(super) now: Cell<Time>,
    ids: Cell<u64>,
    pub(super) store: Cell<StoreOutcome>,
    pub(super) passwords_away: Cell<bool>,
    /// Names of service accounts and of users whose mail waits.
    pub(super) waiting: RefCell<Vec<(String, String)>>,
}

impl Host for ScriptHost {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.organization.borrow().snapshot()
    }

    fn now(&self) -> Time {
        self.now.get()
    }

    fn new_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("01JGAA0000{:016}", self.ids.get())
    }

    fn is_paused(&self, account: &acl::Guid, user: &acl::Guid) -> bool {
        let snapshot = self.snapshot();
        let is = |name: &str, guid: &acl::Guid| {
            snapshot.resolve(name).ok().and_then(|id| snapshot.object(id)).is_some_and(|object| object.guid() == *guid)
        };
        self.waiting.borrow().iter().any(|(service, owner)| is(service, account) && is(owner, user))
    }
}

impl ScriptHost {
    /// Before the first line of a script.
    pub(super) fn new() -> ScriptHost {
        ScriptHost {
            organization: RefCell::new(Organization::new()),
            now: Cell::new(BEGINNING),
            ids: Cell::new(0),
            store: Cell::new(StoreOutcome::Stored),
            passwords_away: Cell::new(false),
            waiting: RefCell::default(),
        }
    }

    pub(super) fn check(&self, check: &PasswordCheck) -> PasswordOutcome {
        let organization = self.organization.borrow();
        let password = check.claimant.account.and_then(|(account, _)| organization.password_of(account));
        match password {
            _ if self.passwords_away.get() => PasswordOutcome::Unavailable,
            Some(password) if password.as_bytes() == check.password.as_slice() => PasswordOutcome::Correct,
            _ => PasswordOutcome::Wrong,
        }
    }
}

/// Our part of the nonce, always the same: what is tested here is the exchange, not chance.
const NONCE: &str = "3rfcNHYJY1ZVvWVs7j";

impl ScriptHost {
    /// Keys of the account's password; of nobody, keys that nothing proves.
    pub(super) fn keys(&self, claimant: &Claimant) -> KeysOutcome {
        let password = claimant.account.and_then(|(account, _)| self.organization.borrow().password_of(account));
        if self.passwords_away.get() {
            return KeysOutcome::Unavailable;
        }
        let alike = claimant.alike.map_or_else(|| claimant.name.clone(), |guid| guid.to_string());
        let salt = crate::scram::salt(&alike);
        let mut keys = ScramKeys::from_salted_password(&[0; 32], salt.clone(), crate::scram::ITERATIONS);
        if let Some(password) = password {
            let salted = crate::scram::salted(&password, &salt, crate::scram::ITERATIONS);
            keys = ScramKeys::from_salted_password(&salted, salt, crate::scram::ITERATIONS);
        }
        KeysOutcome::Keys { keys, also: Vec::new(), nonce: NONCE.to_owned() }
    }

    /// A token that is believed says whom it stands for: `login.NAME`, `address.NAME`, `sid.SID`.
    pub(super) fn token(&self, token: &str) -> TokenOutcome {
        match token.split_once('.') {
            _ if self.passwords_away.get() => TokenOutcome::Unavailable,
            Some((kind, name)) => match identity(kind, name) {
                Some(identity) => TokenOutcome::Valid(identity),
                None => TokenOutcome::Invalid,
            },
            None => TokenOutcome::Invalid,
        }
    }

    /// A ticket is `ticket`, then the security layers: `login NAME` or `login NAME MAILBOX`.
    pub(super) fn gss(&self, message: &GssMessage) -> GssOutcome {
        let text = String::from_utf8_lossy(&message.message).into_owned();
        let words: Vec<&str> = text.split(' ').collect();
        let mailbox = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        match (message.first || words[0] != "ticket", words.as_slice()) {
            _ if self.passwords_away.get() => GssOutcome::Unavailable,
            (_, ["ticket"]) => GssOutcome::Continue(b"layers".to_vec()),
            (_, ["login", name]) => done(name, None),
            (_, ["login", name, logon]) => done(name, mailbox(logon)),
            _ => GssOutcome::Refused,
        }
    }
}

fn done(name: &str, mailbox: Option<String>) -> GssOutcome {
    let identity = match name.split_once('@') {
        Some((name, realm)) => Identity::Principal { name: name.to_owned(), realm: realm.to_owned() },
        None => Identity::Login(name.to_owned()),
    };
    GssOutcome::Done { identity, mailbox }
}

fn identity(kind: &str, name: &str) -> Option<Identity> {
    match kind {
        "login" => Some(Identity::Login(name.to_owned())),
        "address" => Some(Identity::Address(name.replace('~', "@"))),
        "sid" => name.parse().ok().map(Identity::Sid),
        _ => None,
    }
}

/// What a session has produced and no expectation has taken.
#[derive(Default)]
pub struct Heard {
    pub replies: Vec<String>,
    /// Every decision that is kept: refusals, observations, and what commits with a message.
    pub decisions: Vec<DecisionRecord>,
    pub accepted: Vec<(Submission, Vec<u8>)>,
    pub(super) body: Option<Vec<u8>>,
}

impl Output for Heard {
    fn reply(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).into_owned();
        assert!(text.ends_with("\r\n"), "a reply is made of whole lines: {text:?}");
        self.replies.extend(text.trim_end_matches("\r\n").split("\r\n").map(str::to_owned));
    }

    fn begin_body(&mut self, _queue_id: &str) {
        assert!(self.body.is_none(), "a message is begun while another is on its way");
        self.body = Some(Vec::new());
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.as_mut().expect("a body is begun before it is written").extend_from_slice(bytes);
    }

    fn drop_body(&mut self) {
        assert!(self.body.take().is_some(), "there is a body to drop");
    }

    fn record(&mut self, record: DecisionRecord) {
        self.decisions.push(record);
    }
}
