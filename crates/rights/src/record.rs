//! The record of a decision: what the audit keeps and `explain` prints.
//!
//! It is made at the moment of deciding and holds names as they were then, so that it can be read years later, when the
//! objects are gone; GUIDs and SIDs stand beside the names.

mod missing;
mod steps;

use acl::{Outcome, Sid, well_known};
use directory::{HostKind, ObjectId, Snapshot, Time, Token, TokenKind};
use serde::{Deserialize, Serialize};

use self::missing::missing;
pub use self::steps::lines;
use crate::pause::Paused;
use crate::said::Said;
use crate::shortfall::{Reason, shortfall};
use crate::trace::Step;
use crate::transaction::{Accepted, Authority, Denied};

/// A decision as it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Its id, a ULID; the one in the reply and the log.
    pub id: String,
    /// When, in milliseconds since the Unix epoch, UTC.
    pub time: i64,
    /// The version of the directory that was decided on.
    pub snapshot: u64,
    /// What was decided.
    pub verdict: VerdictKind,
    /// `allow`, `deny` (an ACE says so) or `none` (nothing grants it).
    pub outcome: String,
    /// The reply, with its codes, for a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Name of the refusal, as in [`Refusal::name`](crate::Refusal::name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Who asked.
    pub who: Who,
    /// For what.
    pub asked: Asked,
    /// What it rests on, in the order of deciding.
    pub trace: Vec<TraceLine>,
    /// What would have to be granted, for a refusal that a grant can mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// The message in the queue, where one was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// What the message waited for, when this is the decision that let it go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldFor>,
}

/// What a paused message waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFor {
    /// For whom it was sent, as `DOMAIN\name`.
    pub user: String,
    /// Since when, milliseconds since the Unix epoch, UTC.
    pub since: i64,
    /// The decision by which it had to wait.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub decision: String,
    /// What was missing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// Who released it by hand, as `DOMAIN\name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Refused.
    Refused,
    /// Accepted, but would be refused if the connector enforced.
    Observed,
    /// Accepted and sent as somebody else.
    SentAs,
    /// Accepted and sent on behalf of somebody else.
    SentOnBehalf,
    /// Allowed, asked without sending.
    Allowed,
    /// Accepted, and held until a right is there.
    Paused,
    /// Was held, and was let go although the right is missing, by somebody who may grant it.
    Overridden,
    /// Was held, and went back to its sender or was removed, by a person's decision.
    GivenUp,
}

/// Who asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The receive connector's name.
    pub connector: String,
    /// Address and port of the client; empty where nobody connected.
    pub remote: String,
    /// `anonymous`, `account`, `trusted by address`, `partner certificate`, `own server`: whose permissions decided.
    pub token: String,
    /// The account that logged on, as `DOMAIN\name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its SID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// The owner of the mailbox that it logged on to, if not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logon: Option<String>,
}

/// For what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The envelope sender; `<>` for the null reverse-path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail_from: Option<String>,
    /// The recipient in question, for a refused recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// From addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// The Sender address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// Resent-From and Resent-Sender addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resent: Vec<String>,
}

/// One step, in words and in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceLine {
    /// For people.
    pub text: String,
    /// Distinguished name of the object that the step is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Its objectGUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// The ACE that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ace: Option<AceLine>,
    /// From the trustee or delegate named there to the account, through groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<String>,
}

/// An ACE in a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AceLine {
    /// As SDDL, with SIDs in full.
    pub sddl: String,
    /// Its place in the DACL, from 0.
    pub index: usize,
    /// `allow` or `deny`.
    pub outcome: String,
    /// The trustee's name.
    pub trustee: String,
    /// The trustee's SID.
    pub sid: String,
    /// Where it is inherited from; absent for an explicit ACE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
}

/// The grant that would mend a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The right's name.
    pub right: String,
    /// The object that it would be granted on.
    pub on: String,
    /// To whom.
    pub trustee: String,
    /// The command that grants it; where a denial stands in the way, the one that takes that away.
    pub command: String,
    /// What stands in the way of the grant, as an explicit Deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
}

/// What a session knows beside the decision itself, to make a record of it.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// A fresh ULID.
    pub id: String,
    /// When the question was decided.
    pub time: Time,
    /// Address and port of the client; empty where nobody connected.
    pub remote: String,
    /// Who asked.
    pub authority: &'a Authority,
    /// For what.
    pub asked: Asked,
}

impl DecisionRecord {
    /// The record of a refusal, or of what `observe` would have refused.
    pub fn refused(
        snapshot: &Snapshot,
        circumstances: Circumstances<'_>,
        denied: &Denied,
        observed: bool,
    ) -> DecisionRecord {
        let Circumstances { id, time, remote, authority, asked } = circumstances;
        let reply = denied.refusal.reply();
        let (a, b, c) = reply.enhanced;
        DecisionRecord {
            time: time.0,
            snapshot: snapshot.version(),
            verdict: if observed { VerdictKind::Observed } else { VerdictKind::Refused },
            outcome: outcome_name(denied.outcome).to_owned(),
            reply: Some(format!("{} {a}.{b}.{c} {}", reply.code, reply.text)),
            refusal: Some(denied.refusal.name().to_owned()),
            who: who(snapshot, authority, &denied.token, remote),
            asked,
            trace: lines(snapshot, &denied.token, &denied.steps),
            missing: missing(snapshot, authority, denied),
            queue_id: None,
            held: None,
            id,
        }
    }

    /// The record of a message that has to wait for a right.
    pub fn paused(
        snapshot: &Snapshot,
        circumstances: Circumstances<'_>,
        paused: &Paused,
        queue_id: &str,
    ) -> DecisionRecord {
        let mut record = DecisionRecord::refused(snapshot, circumstances, &paused.denied, false);
        record.verdict = VerdictKind::Paused;
        record.reply = None;
        record.queue_id = Some(queue_id.to_owned());
        let account = paused.denied.token.account;
        if let Some(found) = account.and_then(|account| shortfall(snapshot, account, paused.user))
            && let Some(missing) = &mut record.missing
        {
            missing.command = found.command;
            missing.obstacle = (found.reason != Reason::NoEntry).then_some(found.detail);
        }
        record
    }

    /// The record of a message sent as or on behalf of somebody else; `None` when it was sent as nobody but its own
    /// account.
    pub fn accepted(
        snapshot: &Snapshot,
        circumstances: Circumstances<'_>,
        accepted: &Accepted,
        queue_id: &str,
    ) -> Option<DecisionRecord> {
        let verdict = match (accepted.header.on_behalf_of().is_empty(), accepted.header.sent_as().is_empty()) {
            (false, _) => VerdictKind::SentOnBehalf,
            (true, false) => VerdictKind::SentAs,
            (true, true) => return None,
        };
        let mut record = DecisionRecord::allowed(snapshot, circumstances, &accepted.token, &accepted.steps);
        record.verdict = verdict;
        record.queue_id = Some(queue_id.to_owned());
        Some(record)
    }

    /// The record of a question that was answered with yes, without sending.
    pub fn allowed(
        snapshot: &Snapshot,
        circumstances: Circumstances<'_>,
        token: &Token,
        steps: &[Step],
    ) -> DecisionRecord {
        let Circumstances { id, time, remote, authority, asked } = circumstances;
        let said = Said::of(snapshot, authority, token, steps);
        DecisionRecord {
            id,
            time: time.0,
            snapshot: snapshot.version(),
            verdict: VerdictKind::Allowed,
            outcome: outcome_name(Outcome::Allow).to_owned(),
            reply: None,
            refusal: None,
            who: Who { remote, ..said.who.clone() },
            asked,
            trace: said.trace.clone(),
            missing: None,
            queue_id: None,
            held: None,
        }
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Allow => "allow",
        Outcome::Deny => "deny",
        Outcome::None => "none",
    }
}

pub(crate) fn who(snapshot: &Snapshot, authority: &Authority, token: &Token, remote: String) -> Who {
    let connector = snapshot.object(authority.connector);
    let account = authority.account.and_then(|account| snapshot.object(account));
    let sid = account.and_then(|account| account.sid()).map(|sid| snapshot.sid(sid));
    let logon = authority.logon.filter(|logon| Some(*logon) != authority.account);
    Who {
        connector: connector.map(|object| object.name()).unwrap_or_default(),
        remote,
        token: token_name(token).to_owned(),
        account: sid.as_ref().map(|sid| snapshot.sid_name(sid)),
        sid: sid.as_ref().map(Sid::to_string),
        logon: logon.map(|logon| name(snapshot, logon)),
    }
}

pub(crate) fn token_name(token: &Token) -> &'static str {
    match &token.kind {
        TokenKind::Anonymous => "anonymous",
        TokenKind::Account => "account",
        TokenKind::Host(HostKind::ExternallySecured) => "trusted by address",
        TokenKind::Host(HostKind::Partner { .. }) => "partner certificate",
        TokenKind::Host(HostKind::Hub | HostKind::Edge) => "own server",
    }
}

/// The name by which people know an object: its SID's name for a principal, else its distinguished name.
fn name(snapshot: &Snapshot, id: ObjectId) -> String {
    let Some(sid) = snapshot.object(id).and_then(|object| object.sid()) else { return snapshot.dn(id) };
    let sid = snapshot.sid(sid);
    match snapshot.domain_of(id) {
        Some(domain) if is_in_each_domain(snapshot, &sid) => {
            format!("{} of {}", snapshot.sid_name(&sid), domain.dns_name)
        }
        _ => snapshot.sid_name(&sid),
    }
}

/// BUILTIN groups have the same SIDs in each domain, and count in their own only.
fn is_in_each_domain(snapshot: &Snapshot, sid: &Sid) -> bool {
    snapshot.domains().len() > 1 && sid.domain() == Some(well_known::BUILTIN)
}
