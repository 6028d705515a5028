//! Mailbox databases and servers: the legacy policy (S0: before the separation Full Mailbox Access implied Send As).

use std::collections::BTreeSet;

use directory::{Change, Class, ObjectId, Snapshot, attributes as a};
use rights::admin::Action;

use crate::authorize::require;
use crate::error::{Fault, FaultKind};
use crate::operations::DatabaseSet;
use crate::response::Response;
use crate::service::{Asked, Plan, find};

pub fn set(asked: Asked<'_>, set: &DatabaseSet) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let id = find(snapshot, &set.identity)?;
        let object = snapshot.object(id).filter(|object| matches!(object.class(), Class::Database | Class::Server));
        let object = object.ok_or_else(|| {
            Fault::new(FaultKind::Invalid, format!("{} is no mailbox database and no server", snapshot.dn(id)))
        })?;
        let Some(legacy) = set.legacy_send_as else {
            return Ok(Plan::new(format!("nothing to change on {}", snapshot.dn(id)), Vec::new()));
        };
        // The policy hands out Send As: it needs what granting Send As needs (authorization.md §6).
        for domain in domains_of_users(snapshot, id) {
            require(snapshot, asked.caller, domain, Action::WriteDac, "hand out Send As (the legacy policy) in")?;
        }
        let values = if legacy { vec![b"TRUE".to_vec()] } else { Vec::new() };
        let change = Change::Modify { guid: object.guid(), attributes: vec![(a::LEGACY_POLICY.to_owned(), values)] };
        let word = if legacy { "carries Send As again" } else { "no longer carries Send As" };
        let mut plan = Plan::new(format!("Full Mailbox Access on {} {word}", snapshot.dn(id)), vec![change]);
        if legacy {
            plan.done.warnings.push(
                "whoever can open a mailbox there can now send as its owner: S0 calls that a security concern".into(),
            );
        }
        Ok(plan)
    })
}

/// The domains of the users whose mailboxes are in a database, or in the databases of a server.
fn domains_of_users(snapshot: &Snapshot, id: ObjectId) -> BTreeSet<ObjectId> {
    let below: BTreeSet<ObjectId> = snapshot.subtree(id).into_iter().collect();
    let owners = snapshot.objects().filter(|(_, object)| {
        object.mailbox().and_then(|mailbox| mailbox.database).is_some_and(|database| below.contains(&database))
    });
    owners.filter_map(|(owner, _)| snapshot.domain_of(owner)).map(|domain| domain.object).collect()
}
