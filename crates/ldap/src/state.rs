//! What is remembered of the source between two runs, and what it shows of itself.

use acl::{Guid, Sid};
use directory::Snapshot;
use serde::{Deserialize, Serialize};

use crate::changes::{Mark, Method};
use crate::controller::{Domain, hex, unhex};

/// What is remembered, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The domains that were loaded.
    pub domains: Vec<Kept>,
}

/// A domain that was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// What it is.
    pub domain: Domain,
    /// Domain controllers that serve it, as configured.
    pub servers: Vec<String>,
    /// Which run of which server the mark is of.
    pub invocation: String,
    /// How changes are followed.
    pub method: Method,
    /// The cookie of DirSync, hexadecimal.
    pub cookie: String,
    /// The last change by number.
    pub usn: u64,
    /// When it was known to be up to date, milliseconds since the Unix epoch.
    pub heard: i64,
    /// When everything of it was read and compared.
    pub checked: i64,
    /// Under which attribute map.
    pub map: String,
    /// Only a global catalog tells of it, in part.
    pub partial: bool,
}

impl State {
    /// Reads what was remembered of the domains in a directory; none: it was damaged, or is of others, and nothing of it
    /// counts.
    pub fn of(snapshot: &Snapshot, text: &str) -> Option<State> {
        let is_held = |kept: &Kept| snapshot.by_guid(&kept.domain.guid()).is_some();
        State::parse(text).filter(|state| state.domains.iter().all(is_held))
    }

    /// Reads what was remembered; none: it was damaged.
    pub fn parse(text: &str) -> Option<State> {
        let state: State = serde_json::from_str(text).ok()?;
        let is_whole = |kept: &Kept| {
            let domain = &kept.domain;
            !domain.dn.is_empty() && domain.guid.parse::<Guid>().is_ok() && domain.sid.parse::<Sid>().is_ok()
        };
        state.domains.iter().all(is_whole).then_some(state)
    }
}

impl Kept {
    /// Up to where changes were followed; none: everything has to be read.
    pub fn mark(&self) -> Option<Mark> {
        let cookie = unhex(&self.cookie)?;
        (self.usn > 0).then_some(Mark { cookie, usn: self.usn })
    }

    /// Notes up to where changes were followed.
    pub fn set_mark(&mut self, mark: &Mark) {
        self.cookie = hex(&mark.cookie);
        self.usn = mark.usn;
    }
}

/// How the source is, for people and programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whether decisions are made on what is known: it is not too old.
    pub available: bool,
    /// Seconds after which what could not be refreshed is called old.
    pub max_age_seconds: u64,
    /// Seconds after which nothing is decided on it.
    pub stale_limit_seconds: u64,
    /// Domains.
    pub domains: Vec<DomainStatus>,
    /// Domain controllers as configured.
    pub servers: Vec<ServerStatus>,
}

impl Status {
    /// How things stand where nothing runs; none where nothing was ever followed.
    pub fn remembered(state: &State, now: i64) -> Option<Status> {
        if state.domains.is_empty() {
            return None;
        }
        let domains = state.domains.iter().map(|kept| DomainStatus {
            dn: kept.domain.dn.clone(),
            netbios: kept.domain.netbios.clone(),
            state: "not followed now".to_owned(),
            heard: kept.heard,
            age_seconds: now.saturating_sub(kept.heard).max(0) as u64 / 1000,
            usn: kept.usn,
            cookie_octets: kept.cookie.len() as u64 / 2,
            checked: kept.checked,
            partial: kept.partial,
            ..DomainStatus::default()
        });
        Some(Status { domains: domains.collect(), ..Status::default() })
    }
}

/// How a domain is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Its DN.
    pub dn: String,
    /// Its short name.
    pub netbios: String,
    /// `fresh`, `old` (older than `max_age`), `expired` (older than `stale_limit`) or `unknown` (never loaded).
    pub state: String,
    /// When it was known to be up to date, milliseconds since the Unix epoch.
    pub heard: i64,
    /// Seconds since then.
    pub age_seconds: u64,
    /// Which domain controller it is followed on; none at the moment.
    pub server: Option<String>,
    /// Only a global catalog tells of it: who is in its global and domain-local groups, and when its accounts end, is
    /// unknown.
    #[serde(default)]
    pub partial: bool,
    /// The domain controller tells when something changes; else that is looked for now and then.
    #[serde(default)]
    pub notified: bool,
    /// How changes are followed: `dir-sync`, `dir-sync-as-seen`, `usn`.
    pub method: String,
    /// How deletions are seen, in words.
    #[serde(default)]
    pub deletions: String,
    /// The last change by number on that server.
    pub usn: u64,
    /// Octets of the cookie.
    pub cookie_octets: u64,
    /// When everything was last read and compared.
    pub checked: i64,
    /// Objects held.
    pub objects: u64,
    /// Objects whose descriptor cannot be read.
    pub unreadable: u64,
    /// Objects whose stored descriptor is not the one that inheritance gives, when that was last compared.
    pub differing: u64,
    /// Some of them.
    pub differences: Vec<String>,
    /// What could not be taken over, some of it.
    pub problems: Vec<String>,
    /// Milliseconds from seeing that something changed to the new snapshot, the last time.
    pub last_took_ms: u64,
    /// Whether the forest's schema knows delegates (`publicDelegates`), in words.
    pub delegates: String,
}

/// How a domain controller is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Where it is.
    pub address: String,
    /// The domain that it serves, once it was asked.
    pub domain: Option<String>,
    /// Whether the last attempt was good.
    pub good: bool,
    /// What was wrong with the last attempt.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_remembered() {
        let mut kept = Kept::default();
        assert_eq!(kept.mark(), None);
        let mark = Mark { cookie: vec![0, 255, 16], usn: 7 };
        kept.set_mark(&mark);
        assert_eq!(kept.mark(), Some(mark));
    }

    #[test]
    fn what_is_remembered_in_part_is_damaged() {
        let domain = Domain {
            dn: "DC=x".to_owned(),
            guid: Guid([7; 16]).to_string(),
            sid: "S-1-5-21-1-2-3".to_owned(),
            ..Domain::default()
        };
        let state = State { domains: vec![Kept { domain, ..Kept::default() }] };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(State::parse(&text), Some(state));
        for length in 0..text.len() {
            assert_eq!(State::parse(&text[..length]), None, "{}", &text[..length]);
        }
        for other in ["{}", "{\"domains\":[{}]}", "[]"] {
            assert_eq!(State::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_damaged_cookie_is_no_mark() {
        let kept = Kept { cookie: "zz".to_owned(), usn: 7, ..Kept::default() };
        assert_eq!(kept.mark(), None);
    }
}
