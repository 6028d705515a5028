//! Any object to another container: with what is below it, and with what it inherits from then on.

use crate::accounts::moved;
use crate::error::Fault;
use crate::operations::Move;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

pub fn to(asked: Asked<'_>, wanted: &Move) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &wanted.identity)?;
        let to = snapshot.dn(find(snapshot, &wanted.to)?);
        let changes: Vec<_> = moved(snapshot, id, Some(&wanted.to))?.into_iter().collect();
        let summary = match changes.is_empty() {
            true => format!("{} is in {to} already: nothing was changed", snapshot.dn(id)),
            false => format!("moved {} to {to}", snapshot.dn(id)),
        };
        let warnings = crate::simulate::warnings(asked, snapshot, changes.clone())?;
        let mut plan = Plan::new(summary, changes);
        plan.done.warnings = warnings;
        Ok(plan)
    })
}
