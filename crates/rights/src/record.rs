//! The record of a decision: what the audit keeps and `explain` prints.
//!
//! It is made at the moment of deciding and holds names as they were then, so that it can be read years later, when the
//! objects are gone; GUIDs and SIDs stand beside the names.

use acl::{AccessMask, Ace, AceFlags, Acl, Outcome, SddlContext, SecurityDescriptor, Sid, well_known};
use directory::{HostKind, ObjectId, Snapshot, Time, Token, TokenKind};
use serde::{Deserialize, Serialize};

use crate::decide::mailbox_place;
use crate::pause::Paused;
use crate::refusal::Refusal;
use crate::said::Said;
use crate::shortfall::{Reason, shortfall};
use crate::table::RightName;
use crate::trace::{DescriptorKind, Step, Wanted};
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
    /// Name of the refusal, as in [`Refusal::name`].
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

/// Whom an entry of an object names.
fn trustee_name(snapshot: &Snapshot, sid: &Sid, on: ObjectId, kind: DescriptorKind) -> String {
    let place = match kind {
        DescriptorKind::Object => on,
        DescriptorKind::Mailbox => mailbox_place(snapshot, on),
    };
    let group = is_in_each_domain(snapshot, sid).then(|| snapshot.principal_on(sid, place)).flatten();
    group.map_or_else(|| snapshot.sid_name(sid), |group| name(snapshot, group))
}

/// The steps of a decision in words.
pub fn lines(snapshot: &Snapshot, token: &Token, steps: &[Step]) -> Vec<TraceLine> {
    steps.iter().map(|step| line(snapshot, token, step)).collect()
}

fn line(snapshot: &Snapshot, token: &Token, step: &Step) -> TraceLine {
    let dn = |id: &ObjectId| snapshot.dn(*id);
    match step {
        Step::Ace { on, kind, index, wanted, outcome } => {
            ace_line(snapshot, token, *on, *kind, *index, *wanted, *outcome)
        }
        Step::NoAce { on, wanted, outcome: Outcome::Allow, .. } => {
            plain(snapshot, *on, format!("{} on {}: granted, there is no DACL", wanted_name(*wanted), dn(on)))
        }
        Step::NoAce { on, wanted, .. } => {
            plain(snapshot, *on, format!("{} on {}: no entry matches", wanted_name(*wanted), dn(on)))
        }
        Step::Unreadable { on, wanted, .. } => plain(
            snapshot,
            *on,
            format!("{} on {}: unknown, the descriptor could not be read", wanted_name(*wanted), dn(on)),
        ),
        Step::Unknown { on, wanted, .. } => plain(
            snapshot,
            *on,
            format!(
                "{} on {}: unknown, it rests on a domain that cannot be asked at present",
                wanted_name(*wanted),
                dn(on)
            ),
        ),
        Step::UnknownDelegates { of } => {
            let text =
                format!("Send on Behalf of {}: unknown, it rests on a domain that cannot be asked at present", dn(of));
            plain(snapshot, *of, text)
        }
        Step::UnknownObject { of } => {
            plain(snapshot, *of, format!("{} is of a domain that cannot be asked at present", dn(of)))
        }
        Step::AddressOf { address, owner } => {
            plain(snapshot, *owner, format!("{address} is an address of {}", dn(owner)))
        }
        Step::Nobody { address, authoritative: true } => {
            unattached(format!("{address}: nobody owns it, and its domain is authoritative"))
        }
        Step::Nobody { address, authoritative: false } => unattached(format!("{address}: not an address of ours")),
        Step::SeveralOwners { address, owners } => {
            let owners: Vec<String> = owners.iter().map(dn).collect();
            unattached(format!("{address}: no proof, several objects own it: {}", owners.join("; ")))
        }
        Step::Owner { of, linked: false } => plain(snapshot, *of, format!("the account is {} itself", dn(of))),
        Step::Owner { of, linked: true } => {
            plain(snapshot, *of, format!("the account is the Associated External Account of {}", dn(of)))
        }
        Step::LinkIgnored { of } => plain(
            snapshot,
            *of,
            format!("the Associated External Account of {} is ignored: the owner is enabled", dn(of)),
        ),
        Step::Delegate { of, path } => {
            let through = path_names(snapshot, path);
            let text = match through.len() {
                0 | 1 => format!("Send on Behalf of {}: delegate", dn(of)),
                _ => format!("Send on Behalf of {}: delegate through {}", dn(of), through.join(" > ")),
            };
            TraceLine { through, ..plain(snapshot, *of, text) }
        }
        Step::NoDelegate { of } => plain(snapshot, *of, format!("Send on Behalf of {}: not a delegate", dn(of))),
        Step::LoggedOn { to } => plain(snapshot, *to, format!("logged on to the mailbox of {}", dn(to))),
        Step::SuperDelegate { of } => plain(
            snapshot,
            *of,
            format!("super-delegate of {}: delegate with Full Mailbox Access, logged on to it", dn(of)),
        ),
        Step::Partner { domain } => unattached(format!("the certificate of the peer proves {domain}")),
        Step::Ours { address } => unattached(format!("{address} is ours: Accept any Sender alone does not cover it")),
        Step::NoOwnAddress => unattached("the account has no address of its own to put into Sender".to_owned()),
        Step::OnBehalfRejected => unattached("the connector takes no mail on behalf of others".to_owned()),
    }
}

fn unattached(text: String) -> TraceLine {
    TraceLine { text, object: None, guid: None, ace: None, through: Vec::new() }
}

fn plain(snapshot: &Snapshot, on: ObjectId, text: String) -> TraceLine {
    let guid = snapshot.object(on).map(|object| object.guid().to_string());
    TraceLine { object: Some(snapshot.dn(on)), guid, ..unattached(text) }
}

fn path_names(snapshot: &Snapshot, path: &[ObjectId]) -> Vec<String> {
    path.iter().map(|id| name(snapshot, *id)).collect()
}

fn wanted_name(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Right(right) => right.right().display,
        Wanted::FullMailboxAccess => "Full Mailbox Access",
        Wanted::InheritedSendAs => "Send As on the mailbox store",
    }
}

fn ace_line(
    snapshot: &Snapshot,
    token: &Token,
    on: ObjectId,
    kind: DescriptorKind,
    index: usize,
    wanted: Wanted,
    outcome: Outcome,
) -> TraceLine {
    let descriptor = match kind {
        DescriptorKind::Object => snapshot.descriptor(on).map(|descriptor| descriptor.sd().clone()),
        DescriptorKind::Mailbox => snapshot.mailbox_descriptor(on).map(|descriptor| descriptor.sd().clone()),
    };
    let ace = descriptor.and_then(|sd| sd.dacl).and_then(|dacl| dacl.aces.into_iter().nth(index));
    let Some(ace) = ace else {
        return plain(snapshot, on, format!("{} on {}: decided", wanted_name(wanted), snapshot.dn(on)));
    };
    let inherited_from = ace.flags.contains(AceFlags::INHERITED).then(|| {
        snapshot.dn(match kind {
            DescriptorKind::Object => snapshot.ace_origin(on, index),
            DescriptorKind::Mailbox => snapshot.mailbox_ace_origin(on, index),
        })
    });
    let trustee = trustee_name(snapshot, &ace.sid, on, kind);
    let through = token.account.and_then(|account| snapshot.membership_path(account, &ace.sid));
    let through = through.map(|path| path_names(snapshot, &path)).unwrap_or_default();
    let mut text = format!(
        "{} on {}: {} {trustee}, {}",
        wanted_name(wanted),
        snapshot.dn(on),
        if outcome == Outcome::Allow { "allowed to" } else { "denied to" },
        match &inherited_from {
            Some(origin) => format!("inherited from {origin}"),
            None => "explicit".to_owned(),
        }
    );
    if through.len() > 1 {
        text.push_str(&format!(", through {}", through.join(" > ")));
    }
    let ace_line = AceLine {
        sddl: ace_sddl(&ace),
        index,
        outcome: outcome_name(outcome).to_owned(),
        trustee,
        sid: ace.sid.to_string(),
        inherited_from,
    };
    TraceLine { ace: Some(ace_line), through, ..plain(snapshot, on, text) }
}

fn ace_sddl(ace: &Ace) -> String {
    let sd = SecurityDescriptor::with_dacl(Acl::new(vec![ace.clone()]));
    let text = sd.to_sddl(&SddlContext::default());
    text.trim_start_matches("D:").to_owned()
}

/// The grant that would mend a refusal, if one would.
fn missing(snapshot: &Snapshot, authority: &Authority, denied: &Denied) -> Option<Missing> {
    let account = denied.token.account;
    let trustee = match account {
        Some(account) => name(snapshot, account),
        None => snapshot.sid_name(&snapshot.sid(denied.token.user)),
    };
    let connector = || snapshot.dn(authority.connector);
    let on_connector = |right: RightName| (right, connector());
    let (right, on) = match &denied.refusal {
        Refusal::Sender(address) | Refusal::From(address) => match (account, snapshot.by_address(&address.canonical()))
        {
            (Some(_), directory::AddressOwner::One(owner)) => (RightName::SendAs, snapshot.dn(owner)),
            (None, directory::AddressOwner::One(_)) => on_connector(RightName::AcceptAuthoritativeDomainSender),
            (_, directory::AddressOwner::Nobody)
                if crate::decide::is_authoritative(snapshot, address.as_canonical()) =>
            {
                on_connector(RightName::AcceptAuthoritativeDomainSender)
            }
            (_, directory::AddressOwner::Nobody) => on_connector(RightName::AcceptAnySender),
            (_, _) => return None,
        },
        Refusal::NoSubmit | Refusal::NotAuthenticated => match full_access_failed(&denied.steps) {
            Some(mailbox) => return Some(missing_full_access(snapshot, mailbox, trustee)),
            None => on_connector(RightName::Submit),
        },
        Refusal::AuthenticationFailed => match full_access_failed(&denied.steps) {
            Some(mailbox) => return Some(missing_full_access(snapshot, mailbox, trustee)),
            None if account.is_some() => on_connector(RightName::Submit),
            None => return None,
        },
        Refusal::UnableToRelay(_) => on_connector(RightName::AcceptAnyRecipient),
        Refusal::TooLarge { .. } => on_connector(RightName::BypassMessageSizeLimit),
        _ => return None,
    };
    let name = right.right().name;
    let denial = denied.steps.iter().find_map(|step| match step {
        Step::Ace { on, index, wanted: Wanted::Right(denied), outcome: Outcome::Deny, .. } if *denied == right => {
            Some((*on, *index))
        }
        _ => None,
    });
    let grant = || format!("procura permission add '{on}' --user '{trustee}' --right {name}");
    let (obstacle, command) = match denial {
        None => (None, grant()),
        Some((denied_on, index)) => match snapshot.ace_origin(denied_on, index) {
            // A grant would stand behind the denial: that has to go.
            origin if origin == denied_on => (
                Some(format!("an entry on {} denies it and comes first", snapshot.dn(denied_on))),
                without_denial(snapshot, denied_on, index, right),
            ),
            // An explicit grant stands before what is inherited, which goes on to deny it to everybody else.
            origin => (
                Some(format!(
                    "an entry inherited from {} denies it; one on the object comes first",
                    snapshot.dn(origin)
                )),
                grant(),
            ),
        },
    };
    Some(Missing { right: name.to_owned(), on, trustee, command, obstacle })
}

/// The command that takes away an explicit entry which denies a right: by its words where it says this right of this object
/// and nothing else, else by hand.
fn without_denial(snapshot: &Snapshot, on: ObjectId, index: usize, right: RightName) -> String {
    let dn = snapshot.dn(on);
    let dacl = snapshot.descriptor(on).and_then(|descriptor| descriptor.sd().dacl.as_ref());
    match dacl.and_then(|dacl| dacl.aces.get(index)) {
        Some(ace) if *ace == Ace::deny_object(ace.sid.clone(), AccessMask::CONTROL_ACCESS, right.guid()) => {
            let (denied_to, right) = (snapshot.sid_name(&ace.sid), right.right().name);
            format!("procura permission remove '{dn}' --user '{denied_to}' --right {right} --deny")
        }
        _ => format!("procura sd edit '{dn}'"),
    }
}

fn full_access_failed(steps: &[Step]) -> Option<ObjectId> {
    steps.iter().find_map(|step| match step {
        Step::Ace { on, wanted: Wanted::FullMailboxAccess, outcome, .. }
        | Step::NoAce { on, wanted: Wanted::FullMailboxAccess, outcome, .. }
            if *outcome != Outcome::Allow =>
        {
            Some(*on)
        }
        _ => None,
    })
}

fn missing_full_access(snapshot: &Snapshot, mailbox: ObjectId, trustee: String) -> Missing {
    let on = snapshot.dn(mailbox);
    let command = format!("procura mailbox-permission add '{on}' --user '{trustee}' --right full-access");
    Missing { right: "Full Mailbox Access".to_owned(), on, trustee, command, obstacle: None }
}
