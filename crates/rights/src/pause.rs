//! Service accounts whose mail waits for a missing right instead of being refused (`authorization.md` §8, S1).
//!
//! Whether an account is set up for it, and for which users, stands in the directory with the account: attributes
//! `procuraPause…`. What is missing is found out by deciding as if the right were there.

use std::fmt;

use acl::{Guid, Outcome};
use directory::{Object, ObjectId, Snapshot, Token, TokenKind, attributes as a};
use message::Address;

use crate::decide::{Facts, Grant, Question, Verdict, decide, decide_assuming};
use crate::refusal::Refusal;
use crate::table::RightName;
use crate::trace::{DescriptorKind, NoTrace, Step, Steps, Wanted};
use crate::transaction::Denied;

/// Why a user is paused, in the manner of the Good Management Console (KB 18280).
pub const REASON: &str = "Exchange Not Accessible";

/// Messages that may wait where nothing is said.
pub const MAX_MESSAGES: u64 = 100_000;
/// Octets that may wait where nothing is said.
pub const MAX_BYTES: u64 = 10 << 30;
/// Milliseconds after which a message that waits needs a person, where nothing is said: 7 days.
pub const MAX_AGE: i64 = 7 * 24 * 3_600_000;

/// The event of S1 (Good KB 17540): what a log says when a user is paused.
pub fn event(user: &str) -> String {
    format!(
        "Failed to submit mail message for user {user}. (HRESULT:-2147024891) Pausing user {user}. \
         (Security error - Cannot access the users mailbox.)"
    )
}

/// The name of a user in the event: the logon name, as in S1.
pub fn event_name(snapshot: &Snapshot, user: ObjectId) -> String {
    snapshot
        .object(user)
        .map(|object| object.sam_account_name().map_or_else(|| object.name(), str::to_owned))
        .unwrap_or_default()
}

/// The key under which the queue holds mail of a service account for one user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// objectGUID of the service account.
    pub account: Guid,
    /// objectGUID of the user.
    pub user: Guid,
    /// It needs a person; else it waits for a right.
    pub aside: bool,
}

impl Key {
    /// Keys of mail that waits for a right begin so.
    pub const PAUSED: &str = "pause:";
    /// Keys of mail that needs a person begin so.
    pub const ASIDE: &str = "aside:";

    /// Reads a key of the queue; `None`: it is held for something else.
    pub fn parse(text: &str) -> Option<Key> {
        let (pair, aside) = match text.strip_prefix(Key::PAUSED) {
            Some(pair) => (pair, false),
            None => (text.strip_prefix(Key::ASIDE)?, true),
        };
        let (account, user) = pair.split_once(':')?;
        Some(Key { account: account.parse().ok()?, user: user.parse().ok()?, aside })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.aside { Key::ASIDE } else { Key::PAUSED };
        write!(f, "{prefix}{}:{}", self.account, self.user)
    }
}

/// A message that has to wait.
#[derive(Clone, Debug)]
pub struct Paused {
    /// The user for whom a right is missing.
    pub user: ObjectId,
    /// The refusal that it would have been.
    pub denied: Box<Denied>,
}

/// How a service account pauses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Users, groups, containers, or the organization.
    pub scope: Vec<ObjectId>,
    /// Messages that may wait.
    pub max_messages: u64,
    /// Octets that may wait.
    pub max_bytes: u64,
    /// Milliseconds after which a message that waits needs a person.
    pub max_age: i64,
    /// Who is told.
    pub notify: Vec<String>,
}

impl Policy {
    /// The policy of an account; `None` where its mail is refused as everybody's.
    pub fn of(snapshot: &Snapshot, account: ObjectId) -> Option<Policy> {
        let scope = snapshot.links(account, a::PAUSE_SCOPE);
        if scope.is_empty() {
            return None;
        }
        let number = |name: &str| -> Option<u64> {
            std::str::from_utf8(snapshot.attribute(account, name).first()?).ok()?.trim().parse().ok()
        };
        let seconds = number(a::PAUSE_MAX_AGE).and_then(|seconds| i64::try_from(seconds).ok());
        let notify = snapshot.attribute(account, a::PAUSE_NOTIFY);
        Some(Policy {
            scope,
            max_messages: number(a::PAUSE_MAX_MESSAGES).unwrap_or(MAX_MESSAGES),
            max_bytes: number(a::PAUSE_MAX_BYTES).unwrap_or(MAX_BYTES),
            max_age: seconds.map_or(MAX_AGE, |seconds| seconds.saturating_mul(1000)),
            notify: notify.into_iter().filter_map(|value| String::from_utf8(value).ok()).collect(),
        })
    }

    /// Whether an account pauses at all; cheaper than [`Policy::of`].
    pub fn exists(snapshot: &Snapshot, account: ObjectId) -> bool {
        !snapshot.links(account, a::PAUSE_SCOPE).is_empty()
    }

    /// The policy of a token's account.
    pub(crate) fn of_token(snapshot: &Snapshot, token: &Token) -> Option<Policy> {
        match token.kind {
            TokenKind::Account => Policy::of(snapshot, token.account?),
            _ => None,
        }
    }

    /// Whether mail for this user may wait: an existing mailbox owner in scope.
    pub fn covers(&self, snapshot: &Snapshot, user: ObjectId) -> bool {
        let owns = |object: &Object| object.mailbox().is_some() && object.class().is_account();
        snapshot.object(user).is_some_and(owns) && self.scope.iter().any(|scope| is_within(snapshot, user, *scope))
    }

    /// What a question comes to when Send As is taken for granted on users for whom mail may wait; and on whom it was. `None`
    /// where something else is in the way: an explicit Deny, an address that is foreign or nobody's, a user out of scope.
    pub(crate) fn assume(
        &self,
        snapshot: &Snapshot,
        token: &Token,
        facts: &Facts,
        question: &Question<'_>,
    ) -> Option<(Vec<ObjectId>, Grant)> {
        let mut assumed = Vec::new();
        loop {
            match decide_assuming::<NoTrace>(snapshot, token, facts, question, &assumed).reason {
                Ok(grant) => return Some((assumed, grant)),
                Err(refusal) => {
                    let user = self.lacking(snapshot, token, facts, &refusal)?;
                    if assumed.contains(&user) {
                        return None;
                    }
                    assumed.push(user);
                }
            }
        }
    }

    /// The user for whom a right is missing, if mail for it may wait.
    fn lacking(&self, snapshot: &Snapshot, token: &Token, facts: &Facts, refusal: &Refusal) -> Option<ObjectId> {
        let (Refusal::Sender(address) | Refusal::From(address)) = refusal else { return None };
        let user = owner(snapshot, address)?;
        (self.covers(snapshot, user) && !is_denied(snapshot, token, facts, user)).then_some(user)
    }
}

fn owner(snapshot: &Snapshot, address: &Address) -> Option<ObjectId> {
    match snapshot.by_address(&address.canonical()) {
        directory::AddressOwner::One(owner) => Some(owner),
        _ => None,
    }
}

/// Whether an entry denies Send As on the owner to the token.
pub fn is_denied(snapshot: &Snapshot, token: &Token, facts: &Facts, owner: ObjectId) -> bool {
    let Verdict { trace: Steps(steps), .. } = decide(snapshot, token, facts, &Question::SendAs(owner));
    steps.iter().any(|step| {
        let Step::Ace { on, kind: DescriptorKind::Object, wanted: Wanted::Right(RightName::SendAs), outcome, .. } =
            step
        else {
            return false;
        };
        *on == owner && *outcome == Outcome::Deny
    })
}

/// Whether a user is the scope, a member of it, or below it in the same domain; everybody is in the organization.
fn is_within(snapshot: &Snapshot, user: ObjectId, scope: ObjectId) -> bool {
    if user == scope || snapshot.organization() == Some(scope) || snapshot.is_member(user, scope) {
        return true;
    }
    let mut at = Some(user);
    while let Some(object) = at.and_then(|id| snapshot.object(id)) {
        if object.class().is_naming_context() {
            return false;
        }
        if object.parent() == Some(scope) {
            return true;
        }
        at = object.parent();
    }
    false
}

/// A user by objectGUID, as `DOMAIN\name`; the GUID where it is gone.
pub fn account_name(snapshot: &Snapshot, user: &Guid) -> String {
    let object = snapshot.by_guid(user).and_then(|id| Some((id, snapshot.object(id)?)));
    match object {
        Some((_, object)) if object.sid().is_some() => {
            object.sid().map(|sid| snapshot.sid_name(&snapshot.sid(sid))).unwrap_or_default()
        }
        Some((id, _)) => snapshot.dn(id),
        None => user.to_string(),
    }
}
