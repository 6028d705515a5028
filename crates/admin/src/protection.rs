//! Accounts that AdminSDHolder protects, and those that it left behind.

use directory::{ObjectId, protected};
use rights::admin::{Action, may};

use crate::error::{Fault, FaultKind};
use crate::groups::member_row;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

pub fn list(asked: Asked<'_>) -> Result<Response, Fault> {
    Ok(rows(asked, protected::objects(asked.snapshot)))
}

pub fn orphans(asked: Asked<'_>) -> Result<Response, Fault> {
    Ok(rows(asked, protected::orphans(asked.snapshot)))
}

/// Those of the objects that the caller may read.
fn rows(asked: Asked<'_>, ids: impl Iterator<Item = ObjectId>) -> Response {
    let snapshot = asked.snapshot;
    let readable = ids.filter(|id| may(snapshot, &asked.caller.token, *id, Action::Read));
    let rows: Vec<_> = readable.filter_map(|id| Some(member_row(snapshot, id, snapshot.object(id)?))).collect();
    Response::Members(rows.into())
}

pub fn repair(asked: Asked<'_>, identity: &str) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, identity)?;
        let dn = snapshot.dn(id);
        let Some(change) = protected::repair(snapshot, id) else {
            let reason = match snapshot.is_protected(id) {
                true => "is protected still: it is in a group of administrators",
                false => "was never protected, or its permissions cannot be read",
            };
            return Err(Fault::new(FaultKind::Invalid, format!("{dn} {reason}"))
                .help("`procura protected orphans` lists what can be repaired"));
        };
        Ok(Plan::new(format!("{dn} inherits permissions again"), vec![change]))
    })
}
