//! `procura cross-forest enable`: what Enable-CrossForestConnector.ps1 did (S2, F §3.13).

use acl::{AccessMask, Ace, Acl, SecurityDescriptor};
use directory::{Change, Class, attributes as a};
use rights::{GrantedOn, RIGHTS, RightName};

use super::documents::CrossForest;
use super::{either, guid};
use crate::error::{Fault, FaultKind};
use crate::permissions::{trustee, unreadable};
use crate::response::Response;
use crate::service::{Asked, Plan};

/// Grants the rights of a cross-forest connector on a connector to a trustee: all send rights on a send connector, all
/// receive rights on a receive connector, or those that are named.
pub fn enable(asked: Asked<'_>, wanted: &CrossForest) -> Result<Response, Fault> {
    asked.change(|snapshot| {
        let (id, class) = either(snapshot, &wanted.identity)?;
        let on = if class == Class::SendConnector { GrantedOn::SendConnector } else { GrantedOn::ReceiveConnector };
        let rights = rights(wanted, on)?;
        let sid = trustee(snapshot, &wanted.user)?;
        let mut descriptor = match snapshot.explicit_descriptor(id) {
            Some(descriptor) => SecurityDescriptor::clone(&descriptor),
            None => return Err(unreadable(snapshot, id)),
        };
        let dacl = descriptor.dacl.get_or_insert_with(|| Acl::new(Vec::new()));
        let mut granted = Vec::new();
        for right in &rights {
            let ace = Ace::allow_object(sid.clone(), AccessMask::CONTROL_ACCESS, right.guid());
            if acl::edit::add(dacl, ace) {
                granted.push(right.right().name);
            }
        }
        let (who, dn) = (snapshot.sid_name(&sid), snapshot.dn(id));
        let mut plan = Plan::new(format!("cross-forest rights on {dn} for {who}: {}", granted.join(", ")), Vec::new());
        if granted.is_empty() {
            plan.done.summary = format!("{who} holds the cross-forest rights on {dn} already");
            return Ok(plan);
        }
        if sid == acl::well_known::ANONYMOUS_LOGON && on == GrantedOn::ReceiveConnector {
            plan.done.warnings.push(
                "every client of this connector that proves nothing now holds these rights: keep its remote IP ranges to \
                 the other forest's servers"
                    .into(),
            );
        }
        if sid == acl::well_known::ANONYMOUS_LOGON && on == GrantedOn::SendConnector {
            plan.done.warnings.push(
                "whatever host answers at its smart hosts now gets these headers: ANONYMOUS LOGON is any receiver that \
                 proved nothing"
                    .into(),
            );
        }
        let attributes = vec![(a::DESCRIPTOR.to_owned(), vec![descriptor.to_bytes()])];
        plan.changes.push(Change::Modify { guid: guid(snapshot, id)?, attributes });
        Ok(plan)
    })
}

fn rights(wanted: &CrossForest, on: GrantedOn) -> Result<Vec<RightName>, Fault> {
    let usual = || RIGHTS.iter().filter(|right| right.on == on).map(|right| right.id).collect();
    if wanted.rights.is_empty() {
        return Ok(usual());
    }
    let mut rights = Vec::new();
    for name in &wanted.rights {
        let right = RightName::parse(name.trim()).filter(|right| right.right().on == on).ok_or_else(|| {
            let known: Vec<&str> = usual().iter().map(|right: &RightName| right.right().name).collect();
            Fault::new(FaultKind::Invalid, format!("`{name}` is no right on such a connector"))
                .help(format!("rights there are {}", known.join(", ")))
        })?;
        rights.push(right);
    }
    Ok(rights)
}
