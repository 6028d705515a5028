//! The record of a decision.

use rights::DecisionRecord;

use crate::authorize::require_organization;
use crate::error::{Fault, FaultKind};
use crate::response::Response;
use crate::service::Asked;

pub fn explain(asked: Asked<'_>, id: &str) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "read decisions of")?;
    let id = id.trim().to_ascii_uppercase();
    let entry = asked.service.decision(&id)?.ok_or_else(|| {
        Fault::new(FaultKind::NotFound, format!("there is no decision {id}")).help(
            "the id is in the reply (“decision …”) and in the log; old decisions are forgotten ([storage] audit_days)",
        )
    })?;
    let record: DecisionRecord = serde_json::from_str(&entry.json)
        .map_err(|e| Fault::new(FaultKind::Unavailable, format!("the record of decision {id} cannot be read: {e}")))?;
    Ok(Response::Decision(Box::new(record)))
}
