//! Which grants were used, and by whom, by the decisions in the audit.
//!
//! Grants are the entries that allow Send As where they stand (an owner, a unit, a domain), and delegate links. What is
//! granted to a group is used when a member uses it; the row says who did. Full Mailbox Access is among them where that is asked
//! for: of its use, only the mail is known that it carried (super-delegates, the legacy policy); the mailbox itself is opened
//! elsewhere.

use std::collections::{BTreeMap, HashMap};

use acl::{Ace, Sid, names, well_known};
use directory::{ObjectId, Snapshot};
use rights::admin::{Action, may};
use rights::{DecisionRecord, DescriptorKind, FULL_MAILBOX_ACCESS, Facts, Permission, Question, Step, Steps, decide};
use serde::{Deserialize, Serialize};
use store::{AuditFilter, AuditStore};

use crate::authorize::require_organization;
use crate::error::Fault;
use crate::operations::{Inheritance, PermissionUnused};
use crate::reports::{principal, target_name};
use crate::response::{Page, Response};
use crate::service::{Asked, audit_path};
use crate::words;

/// Records that are read at a time.
const RECORDS: usize = 1_000;
/// Rows of a page.
const PAGE: usize = 5_000;
/// Names of a row.
const NAMES: usize = 20;
const DAY: i64 = 24 * 3_600_000;

/// A grant and its use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// Who: `EXAMPLE\bob`, or a SID.
    pub trustee: String,
    /// SID of who; empty for a group without one.
    pub trustee_sid: String,
    /// Where it stands: a mail address, or the distinguished name.
    pub target: String,
    /// Distinguished name of where it stands.
    pub target_dn: String,
    /// `send-as`, `send-on-behalf`, `full-access`.
    pub right: String,
    /// `ace`, `delegate`.
    pub via: String,
    /// The entry in SDDL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ace: Option<String>,
    /// Messages that were sent by it.
    pub uses: u64,
    /// When the last was, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// Who sent them: the trustee itself or members of it, twenty at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_by: Vec<String>,
    /// The command that takes it away; empty where none does: the entry has flags that no command gives.
    pub command: String,
}

/// How a grant was used.
#[derive(Default)]
struct Use {
    count: u64,
    last: i64,
    by: BTreeMap<ObjectId, u64>,
}

/// Where a grant stands and whom it names: the trustee of an entry, or a delegate.
type Key = (ObjectId, Trustee);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Trustee {
    Entry(Sid),
    /// Of an entry of the mailbox.
    Mailbox(Sid),
    Delegate(ObjectId),
}

pub fn unused(asked: Asked<'_>, unused: &PermissionUnused) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    require_organization(snapshot, asked.caller, "read the decisions of")?;
    let since = asked.service.now().0.saturating_sub(i64::from(unused.days).saturating_mul(DAY));
    let used = used(asked, since)?;
    let mut rows = Vec::new();
    let mut next = None;
    for (id, _) in snapshot.objects_after(unused.after.map(ObjectId)) {
        let mut grants = grants(snapshot, id);
        if unused.full_access {
            grants.extend(mailbox_grants(snapshot, id));
        }
        if grants.is_empty() || !may(snapshot, &asked.caller.token, id, Action::Read) {
            continue;
        }
        for (trustee, ace) in grants {
            let found = used.get(&(id, trustee.clone()));
            if unused.all || found.is_none() {
                rows.push(row(snapshot, id, &trustee, ace, found));
            }
        }
        if rows.len() >= PAGE {
            next = Some(id.0);
            break;
        }
    }
    Ok(Response::Usage(Page { rows, next, skip: None }))
}

/// Grants on an object itself: entries that allow Send As, SELF's left out, and delegates.
fn grants(snapshot: &Snapshot, id: ObjectId) -> Vec<(Trustee, Option<&Ace>)> {
    let aces = snapshot.descriptor(id).and_then(|descriptor| descriptor.sd().dacl.as_ref()).map(|dacl| &dacl.aces);
    let explicit = aces.into_iter().flatten().filter(|ace| {
        ace.is_allow() && !ace.is_inherited() && ace.object_type == Some(names::SEND_AS) && ace.sid != well_known::SELF
    });
    let delegates = snapshot.delegates(id).into_iter().map(|delegate| (Trustee::Delegate(delegate), None));
    explicit.map(|ace| (Trustee::Entry(ace.sid.clone()), Some(ace))).chain(delegates).collect()
}

/// Entries of an owner's mailbox that allow Full Mailbox Access, SELF's left out.
fn mailbox_grants(snapshot: &Snapshot, id: ObjectId) -> impl Iterator<Item = (Trustee, Option<&Ace>)> {
    let dacl = snapshot.mailbox_descriptor(id).and_then(|descriptor| descriptor.sd().dacl.as_ref());
    let explicit = dacl.into_iter().flat_map(|dacl| &dacl.aces).filter(|ace| {
        ace.is_allow()
            && !ace.is_inherited()
            && ace.object_type.is_none()
            && ace.mask.contains(FULL_MAILBOX_ACCESS)
            && ace.sid != well_known::SELF
    });
    explicit.map(|ace| (Trustee::Mailbox(ace.sid.clone()), Some(ace)))
}

fn row(snapshot: &Snapshot, id: ObjectId, trustee: &Trustee, ace: Option<&Ace>, used: Option<&Use>) -> UsageRow {
    let (name, sid) = match trustee {
        Trustee::Entry(sid) | Trustee::Mailbox(sid) => (snapshot.sid_name(sid), sid.to_string()),
        Trustee::Delegate(delegate) => principal(snapshot, *delegate),
    };
    let target_dn = snapshot.dn(id);
    let (right, via, command) = match (trustee, ace) {
        (Trustee::Delegate(delegate), _) => {
            let command = format!("procura send-on-behalf remove '{target_dn}' '{}'", snapshot.dn(*delegate));
            (Permission::SendOnBehalf, "delegate", command)
        }
        (Trustee::Mailbox(_), _) => {
            let command = format!("procura mailbox-permission remove '{target_dn}' --user '{name}'");
            (Permission::FullAccess, "ace", command)
        }
        (Trustee::Entry(_), ace) => {
            let scope = ace.and_then(scope).map(|scope| {
                format!("procura permission remove '{target_dn}' --user '{name}' --right 'Send As'{scope}")
            });
            (Permission::SendAs, "ace", scope.unwrap_or_default())
        }
    };
    let by = used.into_iter().flat_map(|used| used.by.keys()).take(NAMES);
    UsageRow {
        trustee: name,
        trustee_sid: sid,
        target: target_name(snapshot, id),
        target_dn,
        right: right.name().to_owned(),
        via: via.to_owned(),
        ace: ace.map(|ace| words::sddl(snapshot, ace)),
        uses: used.map_or(0, |used| used.count),
        last_used: used.and_then(|used| jiff::Timestamp::from_millisecond(used.last).ok()).map(|time| time.to_string()),
        used_by: by.map(|id| principal(snapshot, *id).0).collect(),
        command,
    }
}

/// How `permission remove` names an entry's scope; none where it has no name for it.
pub(crate) fn scope(ace: &Ace) -> Option<String> {
    Inheritance::of(ace.flags)?;
    let class = words::inherited_by(ace).map(|class| format!(" --inherit-to {class}")).unwrap_or_default();
    let reach = words::inheritance(ace).map(|reach| format!(" --inheritance {}", reach.name())).unwrap_or_default();
    Some(class + &reach)
}

/// The grants that messages since a time were sent by.
fn used(asked: Asked<'_>, since: i64) -> Result<HashMap<Key, Use>, Fault> {
    let path = audit_path(asked.service.directory());
    let mut known = Known { snapshot: asked.snapshot, ways: HashMap::new(), used: HashMap::new() };
    if !path.exists() {
        return Ok(known.used);
    }
    let audit = AuditStore::open(&path)?;
    for kind in ["sent-as", "sent-on-behalf"] {
        let mut before = None;
        loop {
            let filter = AuditFilter {
                kind: Some(kind.to_owned()),
                since: Some(since),
                before,
                limit: RECORDS,
                ..AuditFilter::default()
            };
            let page = audit.list(&filter)?;
            for entry in &page {
                if let Ok(record) = serde_json::from_str::<DecisionRecord>(&entry.json) {
                    known.note(&record, kind == "sent-on-behalf");
                }
            }
            before = page.last().map(|entry| entry.id.clone());
            if page.len() < RECORDS {
                break;
            }
        }
    }
    Ok(known.used)
}

struct Known<'a> {
    snapshot: &'a Snapshot,
    /// The grants by which an account sends as, or on behalf of, an owner now.
    ways: HashMap<(ObjectId, ObjectId), Vec<Key>>,
    used: HashMap<Key, Use>,
}

impl Known<'_> {
    /// A message that somebody sent. It used the grants that the record names, and those that would carry it now: the
    /// record has names of its day, and objects are moved and renamed.
    fn note(&mut self, record: &DecisionRecord, on_behalf: bool) {
        let snapshot = self.snapshot;
        let Some(account) = record.who.sid.as_ref().and_then(|sid| snapshot.by_sid(&sid.parse::<Sid>().ok()?)) else {
            return;
        };
        let mut keys: Vec<Key> = Vec::new();
        for line in &record.trace {
            if let Some(ace) = line.ace.as_ref().filter(|ace| ace.outcome == "allow")
                && let Some(dn) = ace.inherited_from.as_ref().or(line.object.as_ref())
                && let (Some(on), Ok(sid)) = (snapshot.by_dn(dn), ace.sid.parse::<Sid>())
            {
                let of_mailbox = line.text.starts_with(Permission::FullAccess.display());
                keys.push((on, if of_mailbox { Trustee::Mailbox(sid) } else { Trustee::Entry(sid) }));
            }
            // A delegate's link carries what is sent on behalf, and what a super-delegate sends.
            let by_logon = line.text.starts_with("super-delegate of ");
            let carries = |trustee: &Trustee| match trustee {
                Trustee::Delegate(_) => on_behalf || by_logon,
                Trustee::Mailbox(_) => by_logon,
                Trustee::Entry(_) => !on_behalf && !by_logon,
            };
            if let Some(owner) = line.guid.as_ref().and_then(|guid| snapshot.by_guid(&guid.parse().ok()?)) {
                let ways = self.ways(account, owner).iter();
                keys.extend(ways.filter(|(_, trustee)| carries(trustee)).cloned());
            }
        }
        let mut counted: Vec<Key> = Vec::new();
        for key in keys {
            if counted.contains(&key) {
                continue;
            }
            let used = self.used.entry(key.clone()).or_default();
            used.count += 1;
            used.last = used.last.max(record.time);
            *used.by.entry(account).or_default() += 1;
            counted.push(key);
        }
    }

    fn ways(&mut self, account: ObjectId, owner: ObjectId) -> &[Key] {
        let snapshot = self.snapshot;
        self.ways.entry((account, owner)).or_insert_with(|| ways(snapshot, account, owner))
    }
}

fn ways(snapshot: &Snapshot, account: ObjectId, owner: ObjectId) -> Vec<Key> {
    let mut keys = Vec::new();
    if account == owner {
        return keys;
    }
    if let Some(entry) = snapshot.is_delegate(owner, account).and_then(|path| path.last().copied()) {
        keys.push((owner, Trustee::Delegate(entry)));
    }
    let Ok(token) = snapshot.account_token(account) else { return keys };
    let facts = Facts { connector: owner, logon: Some(owner), time: directory::Time(0) };
    let verdict = decide::<Steps>(snapshot, &token, &facts, &Question::SendAs(owner));
    for step in &verdict.trace.0 {
        let Step::Ace { on, kind, index, outcome: acl::Outcome::Allow, .. } = step else { continue };
        let descriptor = match kind {
            DescriptorKind::Object => snapshot.descriptor(*on),
            DescriptorKind::Mailbox => snapshot.mailbox_descriptor(*on),
        };
        let dacl = descriptor.and_then(|descriptor| descriptor.sd().dacl.as_ref());
        let Some(ace) = dacl.and_then(|dacl| dacl.aces.get(*index)) else { continue };
        keys.push(match kind {
            DescriptorKind::Object => (snapshot.ace_origin(*on, *index), Trustee::Entry(ace.sid.clone())),
            DescriptorKind::Mailbox => (snapshot.mailbox_ace_origin(*on, *index), Trustee::Mailbox(ace.sid.clone())),
        });
    }
    keys
}
