//! What connectors that only observe would have refused, by who it was and as whom, and the grants that would mend it: what
//! has to be looked at before a connector enforces.

use std::collections::BTreeMap;

use rights::DecisionRecord;
use serde::{Deserialize, Serialize};
use store::{AuditFilter, AuditStore};

use crate::authorize::require_organization;
use crate::error::Fault;
use crate::operations::PermissionObserved;
use crate::queued::iso;
use crate::response::{Page, Response};
use crate::service::{Asked, audit_path};

/// Records that are read at a time.
const RECORDS: usize = 1_000;
/// Rows at most; those of most messages.
const ROWS: usize = 5_000;
const DAY: i64 = 24 * 3_600_000;

/// Messages of one account as one sender.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedRow {
    /// The connector that observed them.
    pub connector: String,
    /// Who: `EXAMPLE\bob`, or how the session was taken for.
    pub who: String,
    /// As whom: addresses of From, else the envelope sender.
    pub sender: String,
    /// How many.
    pub messages: u64,
    /// When the last was, ISO 8601.
    pub last: String,
    /// Its decision, for `procura explain`.
    pub decision: String,
    /// What is missing, and where.
    pub missing: String,
    /// The command that grants it; empty where no grant would.
    pub command: String,
}

/// Reads the audit.
pub fn observed(asked: Asked<'_>, wanted: &PermissionObserved) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "read the decisions of")?;
    let since = asked.service.now().0.saturating_sub(i64::from(wanted.days).saturating_mul(DAY));
    let path = audit_path(asked.service.directory());
    let mut found: BTreeMap<(String, String, String, String), ObservedRow> = BTreeMap::new();
    let mut before = None;
    while path.exists() {
        let audit = AuditStore::open(&path)?;
        let filter = AuditFilter {
            kind: Some("observed".to_owned()),
            since: Some(since),
            before: before.take(),
            limit: RECORDS,
            ..AuditFilter::default()
        };
        let page = audit.list(&filter)?;
        for entry in &page {
            if let Ok(record) = serde_json::from_str::<DecisionRecord>(&entry.json) {
                note(&mut found, &record);
            }
        }
        before = page.last().map(|entry| entry.id.clone());
        if page.len() < RECORDS {
            break;
        }
    }
    let mut rows: Vec<ObservedRow> = found.into_values().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.messages));
    rows.truncate(ROWS);
    Ok(Response::Observed(Page { rows, next: None, skip: None }))
}

/// Records come newest first.
fn note(found: &mut BTreeMap<(String, String, String, String), ObservedRow>, record: &DecisionRecord) {
    let who = record.who.account.clone().unwrap_or_else(|| record.who.token.clone());
    let sender = match record.asked.from.join(" ") {
        none if none.is_empty() => record.asked.mail_from.clone().unwrap_or_default(),
        from => from,
    };
    let missing = record.missing.as_ref();
    let command = missing.map(|missing| missing.command.clone()).unwrap_or_default();
    let key = (record.who.connector.clone(), who.clone(), sender.clone(), command.clone());
    let row = found.entry(key).or_insert_with(|| ObservedRow {
        connector: record.who.connector.clone(),
        who,
        sender,
        messages: 0,
        last: iso(record.time),
        decision: record.id.clone(),
        missing: missing.map_or_else(
            || record.reply.clone().unwrap_or_default(),
            |missing| format!("{} on {}", missing.right, missing.on),
        ),
        command,
    });
    row.messages += 1;
}
