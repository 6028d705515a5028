//! Computed against stored: descriptors, tokens and indexes that decisions are made on, worked out once more from the
//! stored records and compared. Piece by piece, so that it can be interrupted and holds nobody up.

pub mod documents;

use directory::{Discrepancy, Snapshot};
use store::Place;

use crate::authorize::require_organization;
use crate::error::Fault;
use crate::response::Response;
use crate::service::Asked;
use documents::{Verify, VerifyPage, VerifyPlace, VerifyRow};

/// Records of a piece. The writer waits that long.
const RECORDS: usize = 500;

/// Characters of a text: all rows of a piece have to fit into a line of the socket.
const LONGEST: usize = 2_000;

pub fn verify(asked: Asked<'_>, wanted: &Verify) -> Result<Response, Fault> {
    require_organization(asked.snapshot, asked.caller, "check all objects of")?;
    // While the store is held, no change falls between the records and the snapshot.
    let store = asked.service.store();
    let snapshot = asked.service.snapshot();
    let of = store.count()? + u64::from(Snapshot::WHOLE_STEPS);
    let mut page = VerifyPage { of, ..VerifyPage::default() };
    match wanted.at.unwrap_or(VerifyPlace::Record(0)) {
        VerifyPlace::Record(after) => {
            let (records, end) = store.records_after(Place(after), RECORDS)?;
            page.done = records.len() as u64;
            page.next = Some(match records.len() < RECORDS {
                true => VerifyPlace::Step(0),
                false => VerifyPlace::Record(end.0),
            });
            let found = records.iter().flat_map(|record| snapshot.verify_record(record));
            page.rows = found.map(|row| shown(&snapshot, row)).collect();
            if page.next == Some(VerifyPlace::Step(0)) && store.count()? != snapshot.len() as u64 {
                let is_stored = |guid: &acl::Guid| store.holds(guid).unwrap_or(true);
                let extra = snapshot.verify_stored(is_stored);
                page.rows.extend(extra.into_iter().map(|row| shown(&snapshot, row)));
            }
        }
        VerifyPlace::Step(step) => {
            drop(store);
            page.done = 1;
            page.rows = snapshot.verify_whole(step).into_iter().map(|row| shown(&snapshot, row)).collect();
            page.next = (step + 1 < Snapshot::WHOLE_STEPS).then_some(VerifyPlace::Step(step + 1));
        }
    }
    Ok(Response::Verified(page))
}

fn shown(snapshot: &Snapshot, row: Discrepancy) -> VerifyRow {
    let dn = |guid: &acl::Guid| snapshot.by_guid(guid).map(|id| snapshot.dn(id));
    let short = |text: String| match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    let object = row.object.map(|guid| dn(&guid).unwrap_or_else(|| guid.to_string())).unwrap_or_default();
    VerifyRow { object, what: row.what.name(), computed: short(row.computed), held: short(row.held) }
}
