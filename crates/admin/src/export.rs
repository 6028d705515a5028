//! The directory as LDIF, as an import takes it.

pub mod organization;

use directory::{ObjectId, ldif};

use crate::authorize::is_administrator;
use crate::error::{Fault, FaultKind};
use crate::operations::Export;
use crate::response::{Ldif, Response};
use crate::service::Asked;

/// A page ends after the object with which it has so many octets.
const PAGE: usize = 1 << 20;

pub fn export(asked: Asked<'_>, export: &Export) -> Result<Response, Fault> {
    let snapshot = asked.snapshot;
    if !is_administrator(snapshot, asked.caller) {
        return Err(Fault::new(FaultKind::Denied, format!("{} may not export the directory", asked.caller.name))
            .help("an export holds every object with its descriptor: only administrators may"));
    }
    let ids: Vec<ObjectId> = match &export.under {
        Some(under) => {
            let mut ids = snapshot.subtree(asked.find(under)?);
            ids.sort_unstable();
            ids
        }
        None => snapshot.objects().map(|(id, _)| id).collect(),
    };
    let mut page = Ldif::default();
    for id in ids.into_iter().filter(|id| export.after.is_none_or(|after| id.0 > after)) {
        let Some(record) = snapshot.record(id) else { continue };
        let text = ldif::write([(snapshot.dn(id).as_str(), &record)]);
        page.text.push_str(text.split_once('\n').map_or("", |(_, entry)| entry));
        if page.text.len() >= PAGE {
            page.next = Some(id.0);
            break;
        }
    }
    Ok(Response::Ldif(page))
}
