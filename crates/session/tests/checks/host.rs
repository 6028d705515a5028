//! The program around the session: what it looks up, and what it makes of what the session says.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use directory::{Snapshot, Time};
use rights::DecisionRecord;
use session::{
    Answer, GssMessage, GssOutcome, Host, Identity, KeysOutcome, LogEntry, Output, PasswordCheck, PasswordOutcome,
    ScramKeys, StoreOutcome, TokenOutcome,
};

use super::world::{Confirmed, WORLD};

/// The state of everything around the session.
pub struct World {
    pub state: Cell<usize>,
    pub now: Cell<Time>,
    pub ids: Cell<u64>,
    pub store: Cell<StoreOutcome>,
    pub passwords_away: Cell<bool>,
    /// Whom the host has confirmed last.
    pub confirmed: RefCell<Option<Confirmed>>,
}

impl Host for World {
    fn snapshot(&self) -> Arc<Snapshot> {
        WORLD.states[self.state.get()].clone()
    }

    fn now(&self) -> Time {
        self.now.get()
    }

    fn new_id(&self) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("01JGAA0000{:016}", self.ids.get())
    }
}

impl World {
    pub fn new() -> World {
        World {
            state: Cell::new(0),
            now: Cell::new(Time(1_767_268_800_000)),
            ids: Cell::new(0),
            store: Cell::new(StoreOutcome::Stored),
            passwords_away: Cell::new(false),
            confirmed: RefCell::new(None),
        }
    }

    pub fn check_password(&self, check: &PasswordCheck) -> PasswordOutcome {
        let account = check.claimant.account.map(|(account, _)| account);
        let expected = account.and_then(|account| WORLD.passwords.password_of(account));
        match expected {
            _ if self.passwords_away.get() => PasswordOutcome::Unavailable,
            Some(expected) if expected.as_bytes() == check.password.as_slice() => {
                self.confirmed.replace(account.map(Confirmed));
                PasswordOutcome::Correct
            }
            _ => PasswordOutcome::Wrong,
        }
    }

    /// Keys that no client can prove.
    pub fn keys(&self) -> KeysOutcome {
        match self.passwords_away.get() {
            true => KeysOutcome::Unavailable,
            false => KeysOutcome::Keys {
                keys: ScramKeys::from_salted_password(&[1; 32], vec![1; 16], 4096),
                also: Vec::new(),
                nonce: "nonce".to_owned(),
            },
        }
    }

    /// `bob` stands for bob, anything with an `@` for the owner of the address; the rest is worth nothing.
    pub fn token(&self, token: &str) -> TokenOutcome {
        let identity = match token {
            _ if self.passwords_away.get() => return TokenOutcome::Unavailable,
            "bob" | "ceo" => Identity::Login(token.to_owned()),
            token if token.contains('@') => Identity::Address(token.to_owned()),
            _ => return TokenOutcome::Invalid,
        };
        self.confirm(&identity);
        TokenOutcome::Valid(identity)
    }

    /// `bob` and `ceo` end it, and may name a mailbox after a colon; `more` goes on.
    pub fn gss(&self, message: &GssMessage) -> GssOutcome {
        let text = String::from_utf8_lossy(&message.message).into_owned();
        let (name, mailbox) = text.split_once(':').map_or((&*text, None), |(name, mailbox)| (name, Some(mailbox)));
        match name {
            _ if self.passwords_away.get() => GssOutcome::Unavailable,
            "more" => GssOutcome::Continue(message.message.clone()),
            "bob" | "ceo" => {
                let identity = Identity::Login(name.to_owned());
                self.confirm(&identity);
                GssOutcome::Done { identity, mailbox: mailbox.map(str::to_owned) }
            }
            _ => GssOutcome::Refused,
        }
    }

    fn confirm(&self, identity: &Identity) {
        let snapshot = self.snapshot();
        let account = match identity {
            Identity::Login(name) => snapshot.resolve_login(name),
            Identity::Address(address) => match message::CanonicalAddress::parse(address) {
                Ok(address) => match snapshot.by_address(&address) {
                    directory::AddressOwner::One(owner) => Some(owner),
                    _ => None,
                },
                Err(_) => None,
            },
            Identity::Principal { .. } | Identity::Sid(_) => None,
        };
        self.confirmed.replace(account.map(Confirmed));
    }

    /// An answer to a question that nobody asked.
    pub fn some_answer(&self) -> Answer {
        match self.ids.get() % 4 {
            0 => Answer::Resume,
            1 => Answer::Stored(StoreOutcome::Stored),
            2 => Answer::Password(PasswordOutcome::Correct),
            _ => Answer::Gss(GssOutcome::Refused),
        }
    }
}

/// What the session has said.
#[derive(Default)]
pub struct Heard {
    pub replies: Vec<String>,
    pub body: Option<Vec<u8>>,
    pub closed: bool,
}

impl Output for Heard {
    fn reply(&mut self, bytes: &[u8]) {
        assert!(!self.closed, "a reply after the end");
        let text = std::str::from_utf8(bytes).expect("replies are text");
        let lines: Vec<&str> = text.strip_suffix("\r\n").expect("a whole line").split("\r\n").collect();
        let (last, others) = lines.split_last().unwrap();
        let code = &last[..3];
        assert!(code.parse::<u16>().is_ok_and(|code| (200..600).contains(&code)), "{text:?}");
        assert!(last[3..].starts_with(' ') || last.len() == 3, "{text:?}");
        assert!(others.iter().all(|line| line.starts_with(code) && line[3..].starts_with('-')), "{text:?}");
        assert!(!lines.iter().any(|line| line.chars().any(char::is_control)), "{text:?}");
        self.replies.push(text.to_owned());
    }

    fn begin_body(&mut self, _queue_id: &str) {
        assert!(self.body.replace(Vec::new()).is_none(), "a message is begun while another is on its way");
    }

    fn body(&mut self, bytes: &[u8]) {
        self.body.as_mut().expect("a body is begun before it is written").extend_from_slice(bytes);
    }

    fn drop_body(&mut self) {
        assert!(self.body.take().is_some(), "there is a body to drop");
    }

    fn record(&mut self, _record: DecisionRecord) {}

    fn log(&mut self, _entry: LogEntry<'_>) {}
}
