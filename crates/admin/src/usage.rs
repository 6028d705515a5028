//! Grants that nobody has used for some time, by the decisions in the audit.

use std::collections::HashSet;

use acl::{Sid, names};
use directory::{ObjectId, Snapshot};
use rights::admin::{Action, may};
use rights::{DecisionRecord, DescriptorKind, Holding, Permission, Via};
use store::{AuditFilter, AuditStore};

use crate::authorize::require_organization;
use crate::error::Fault;
use crate::operations::PermissionUnused;
use crate::reports::holder_row;
use crate::response::Response;
use crate::service::{Asked, audit_path};

/// Records that are read at a time.
const PAGE: usize = 1_000;
const DAY: i64 = 24 * 3_600_000;

/// What decisions rested on: entries by the object on which they stand and the trustee, and delegates of an owner.
#[derive(Default)]
struct Used {
    entries: HashSet<(String, String)>,
    delegates: HashSet<(ObjectId, ObjectId)>,
}

pub fn unused(asked: Asked<'_>, unused: &PermissionUnused) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    require_organization(snapshot, asked.caller, "read the decisions of")?;
    let since = asked.service.now().0.saturating_sub(i64::from(unused.days).saturating_mul(DAY));
    let used = used(asked, since)?;
    let mut rows = Vec::new();
    for (id, _) in snapshot.objects() {
        let grants = grants(snapshot, id).into_iter().filter(|grant| !used.has(snapshot, grant)).collect::<Vec<_>>();
        if !grants.is_empty() && may(snapshot, &asked.caller.token, id, Action::Read) {
            rows.extend(grants.iter().map(|grant| holder_row(snapshot, grant)));
        }
    }
    Ok(Response::Holders(rows.into()))
}

fn used(asked: Asked<'_>, since: i64) -> Result<Used, Fault> {
    let path = audit_path(asked.service.directory());
    let mut used = Used::default();
    if !path.exists() {
        return Ok(used);
    }
    let audit = AuditStore::open(&path)?;
    for kind in ["sent-as", "sent-on-behalf"] {
        let mut before = None;
        loop {
            let filter = AuditFilter {
                kind: Some(kind.to_owned()),
                since: Some(since),
                before,
                limit: PAGE,
                ..AuditFilter::default()
            };
            let page = audit.list(&filter)?;
            for entry in &page {
                if let Ok(record) = serde_json::from_str::<DecisionRecord>(&entry.json) {
                    used.note(asked.snapshot, &record);
                }
            }
            before = page.last().map(|entry| entry.id.clone());
            if page.len() < PAGE {
                break;
            }
        }
    }
    Ok(used)
}

impl Used {
    fn note(&mut self, snapshot: &Snapshot, record: &DecisionRecord) {
        let account = record.who.sid.as_ref().and_then(|sid| snapshot.by_sid(&sid.parse::<Sid>().ok()?));
        for line in &record.trace {
            if let Some(ace) = line.ace.as_ref().filter(|ace| ace.outcome == "allow") {
                let stands_on = ace.inherited_from.as_ref().or(line.object.as_ref());
                self.entries.extend(stands_on.map(|dn| (dn.to_lowercase(), ace.sid.clone())));
            }
            let owner = line.guid.as_ref().and_then(|guid| snapshot.by_guid(&guid.parse().ok()?));
            if let (Some(owner), Some(account)) = (owner, account)
                && let Some(entry) = snapshot.is_delegate(owner, account).and_then(|path| path.last().copied())
            {
                self.delegates.insert((owner, entry));
            }
        }
    }

    fn has(&self, snapshot: &Snapshot, grant: &Holding) -> bool {
        match (&grant.trustee, grant.object) {
            (_, Some(delegate)) if grant.permission == Permission::SendOnBehalf => {
                self.delegates.contains(&(grant.target, delegate))
            }
            (Some(trustee), _) => {
                self.entries.contains(&(snapshot.dn(grant.target).to_lowercase(), trustee.to_string()))
            }
            _ => false,
        }
    }
}

/// Send As as it is granted on an object itself, and its delegates.
fn grants(snapshot: &Snapshot, id: ObjectId) -> Vec<Holding> {
    let row = |trustee: Option<Sid>, object: Option<ObjectId>, permission: Permission, via: Via| Holding {
        trustee,
        object,
        target: id,
        permission,
        via,
        effective: true,
    };
    let aces = snapshot.descriptor(id).and_then(|descriptor| descriptor.sd().dacl.as_ref()).map(|dacl| &dacl.aces);
    let explicit = aces.into_iter().flatten().enumerate().filter(|(_, ace)| {
        ace.is_allow()
            && !ace.is_inherited()
            && ace.object_type == Some(names::SEND_AS)
            && ace.sid != acl::well_known::SELF
    });
    let mut grants: Vec<Holding> = explicit
        .map(|(index, ace)| {
            let via = Via::Ace { kind: DescriptorKind::Object, index, deny: false, origin: id, inherited: false };
            row(Some(ace.sid.clone()), snapshot.by_sid(&ace.sid), Permission::SendAs, via)
        })
        .collect();
    grants.extend(snapshot.delegates(id).into_iter().map(|delegate| {
        let sid = snapshot.object(delegate).and_then(|object| object.sid()).map(|sid| snapshot.sid(sid));
        row(sid, Some(delegate), Permission::SendOnBehalf, Via::Delegate)
    }));
    grants
}
