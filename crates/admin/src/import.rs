//! Imports: a file is brought piece by piece, read as a whole, and made durable a batch at a time.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::import::{AttributeMap, Source, changes};
use directory::{Change, Snapshot, Time};
use store::fail_point;

use crate::authorize::{authorize, is_administrator};
use crate::error::{Fault, FaultKind};
use crate::operations::{ImportData, ImportRun};
use crate::random::{new_guid, new_token};
use crate::response::{Done, Imported, Response};
use crate::service::{Asked, Plan, lock};

/// Imports up to so many changes count together or not at all.
pub const BATCH: usize = if cfg!(feature = "failpoints") { 500 } else { 5_000 };
/// Larger ones are made durable so many changes at a time: mail that is being accepted waits for the same disk.
const STEP: usize = if cfg!(feature = "failpoints") { 500 } else { 100 };
/// Bytes of all files that are being brought.
const MAX_BYTES: usize = 4 << 30;
/// Bytes of a file that somebody brings who is no administrator: it is kept in memory before anything is checked.
const MAX_BYTES_OF_OTHERS: usize = 64 << 20;
/// An upload that nobody has touched for so long is forgotten, in milliseconds.
const FORGOTTEN: i64 = 15 * 60_000;

/// Imports under way.
#[derive(Default)]
pub(crate) struct Uploads {
    files: HashMap<String, Upload>,
}

struct Upload {
    /// Who brings it: nobody else may add to it or run it.
    owner: acl::Sid,
    data: Vec<u8>,
    touched: Time,
    planned: Option<Planned>,
}

struct Planned {
    batches: std::vec::IntoIter<Vec<Change>>,
    progress: Imported,
}

pub fn data(asked: Asked<'_>, piece: &ImportData) -> Result<Response, Fault> {
    let bytes = STANDARD
        .decode(&piece.data)
        .map_err(|e| Fault::new(FaultKind::Invalid, format!("the piece is not base64: {e}")))?;
    let now = asked.service.now();
    let mut uploads = lock(&asked.service.uploads);
    uploads.files.retain(|_, upload| now.0 - upload.touched.0 < FORGOTTEN);
    let total: usize = uploads.files.values().map(|upload| upload.data.len()).sum();
    if total + bytes.len() > MAX_BYTES {
        return Err(Fault::new(FaultKind::Unavailable, "the files being imported are too large together")
            .help("import one after the other, or in parts"));
    }
    let name = match &piece.upload {
        Some(name) => name.clone(),
        None => {
            // One at a time for each person: what was left behind by a command that died goes.
            uploads.files.retain(|_, upload| upload.owner != asked.caller.sid);
            let owner = asked.caller.sid.clone();
            let upload = Upload { owner, data: Vec::new(), touched: now, planned: None };
            let name = new_token();
            uploads.files.insert(name.clone(), upload);
            name
        }
    };
    let upload = own(&mut uploads, asked, &name)?;
    if !is_administrator(asked.snapshot, asked.caller) && upload.data.len() + bytes.len() > MAX_BYTES_OF_OTHERS {
        return Err(Fault::new(FaultKind::Denied, "only administrators import files as large as this"));
    }
    upload.data.extend_from_slice(&bytes);
    upload.touched = now;
    Ok(Response::Upload { upload: name })
}

pub fn run(asked: Asked<'_>, run: &ImportRun) -> Result<Response, Fault> {
    let upload = {
        let mut uploads = lock(&asked.service.uploads);
        own(&mut uploads, asked, &run.upload)?;
        uploads.files.remove(&run.upload)
    };
    let Some(mut upload) = upload else { return Err(unknown()) };
    let mut planned = match upload.planned.take() {
        Some(planned) => planned,
        None => plan(asked, run, &std::mem::take(&mut upload.data))?,
    };
    if let Some(batch) = planned.batches.next() {
        let count = batch.len() as u64;
        let summary = format!("import: {count} changes");
        asked.service.change(asked.caller, asked.comment, |_| {
            Ok(Plan { changes: batch, done: Done { summary, warnings: Vec::new() }, authorized: false })
        })?;
        planned.progress.done += count;
        fail_point("import.after_batch");
    }
    planned.progress.finished = planned.batches.len() == 0;
    let mut progress = planned.progress.clone();
    if planned.progress.finished {
        return Ok(Response::Imported(progress));
    }
    progress.warnings.clear();
    upload.planned = Some(planned);
    upload.touched = asked.service.now();
    lock(&asked.service.uploads).files.insert(run.upload.clone(), upload);
    Ok(Response::Imported(progress))
}

fn plan(asked: Asked<'_>, run: &ImportRun, data: &[u8]) -> Result<Planned, Fault> {
    let entries = run.map.iter().map(|(ours, theirs)| {
        let source =
            if theirs.contains('{') { Source::Template(theirs.clone()) } else { Source::Attribute(theirs.clone()) };
        (ours.clone(), source)
    });
    let map = AttributeMap { entries: entries.collect() };
    let import = changes(data, &map, asked.snapshot, &mut new_guid)
        .map_err(|e| Fault::new(FaultKind::Invalid, e.to_string()).help("nothing was imported; correct the file"))?;
    let warnings = import.warnings.iter().map(|w| format!("line {}: {}: {}", w.line, w.dn, w.text)).collect();
    let mut progress = Imported {
        added: import.added as u64,
        modified: import.modified as u64,
        changes: import.changes.len() as u64,
        warnings,
        ..Imported::default()
    };
    authorize(asked.snapshot, asked.caller, &import.changes)?;
    if run.dry_run {
        // Everything that would refuse it refuses it now.
        try_out(asked, asked.snapshot, import.changes)?;
        progress.finished = true;
        return Ok(Planned { batches: Vec::new().into_iter(), progress });
    }
    let batches = batches(import.changes);
    progress.changes = batches.iter().map(|batch| batch.len() as u64).sum();
    Ok(Planned { batches: batches.into_iter(), progress })
}

fn try_out(asked: Asked<'_>, snapshot: &Snapshot, changes: Vec<Change>) -> Result<(), Fault> {
    let (author, time) = (asked.caller.sid.clone(), asked.service.now());
    snapshot.apply(&directory::ChangeBatch { author, time, comment: String::new(), changes })?;
    Ok(())
}

/// Cuts changes into batches; the order holds across them.
fn batches(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let size = if changes.len() > BATCH { STEP } else { BATCH };
    let mut batches = Vec::with_capacity(changes.len() / size + 1);
    let mut rest = changes.into_iter();
    loop {
        let batch: Vec<Change> = rest.by_ref().take(size).collect();
        if batch.is_empty() {
            return batches;
        }
        batches.push(batch);
    }
}

fn own<'a>(uploads: &'a mut Uploads, asked: Asked<'_>, name: &str) -> Result<&'a mut Upload, Fault> {
    uploads.files.get_mut(name).filter(|upload| upload.owner == asked.caller.sid).ok_or_else(unknown)
}

fn unknown() -> Fault {
    Fault::new(FaultKind::NotFound, "there is no such upload").help("start the import again")
}
