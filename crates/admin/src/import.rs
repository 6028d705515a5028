//! Imports: a file is brought piece by piece, planned as a whole, and made durable a batch at a time. The file and the plan are
//! kept on the disk.

mod spool;

use std::collections::{HashMap, VecDeque};
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use directory::import::{AttributeMap, DumpError, Source, Summary};
use directory::{Change, ChangeBatch, Snapshot, Time};
use store::fail_point;

use self::spool::Spool;
use crate::authorize::{Created, is_administrator};
use crate::error::{Fault, FaultKind};
use crate::history::of_import;
use crate::operations::{ImportData, ImportRun};
use crate::random::{new_guid, new_token};
use crate::response::{Done, Imported, Response};
use crate::service::{Asked, Plan, lock};

/// Imports up to so many changes count together or not at all.
pub const BATCH: usize = if cfg!(feature = "failpoints") { 500 } else { 5_000 };
/// Larger ones are made durable so many changes at a time: mail that is being accepted waits for the same disk.
const STEP: usize = if cfg!(feature = "failpoints") { 500 } else { 100 };
/// Bytes of all files that are being brought.
const MAX_BYTES: u64 = 64 << 30;
/// Bytes of a file that somebody brings who is no administrator: it is kept before anything is checked.
const MAX_BYTES_OF_OTHERS: u64 = 64 << 20;
/// Imports of one person at the same time.
const MAX_OF_ONE: usize = 4;
/// An upload that nobody has touched for so long is forgotten, in milliseconds.
const FORGOTTEN: i64 = 15 * 60_000;
/// One that makes room for another one of the same person.
const LEFT_BEHIND: i64 = 60_000;
/// Warnings in one answer.
const WARNINGS: usize = 2_000;

/// Imports under way.
#[derive(Default)]
pub(crate) struct Uploads {
    files: HashMap<String, Upload>,
}

struct Upload {
    /// Who brings it: nobody else may add to it or run it.
    owner: acl::Sid,
    file: Spool,
    touched: Time,
    planned: Option<Planned>,
}

/// What an import will do.
struct Planned {
    /// Its changes, [`STEP`] of them after the other.
    changes: Spool,
    /// Where they lie there, and how many they are.
    steps: VecDeque<Step>,
    /// What nobody was told yet.
    warnings: VecDeque<String>,
    progress: Imported,
}

#[derive(Clone, Copy)]
struct Step {
    at: u64,
    length: usize,
    count: usize,
}

pub fn data(asked: Asked<'_>, piece: &ImportData) -> Result<Response, Fault> {
    let bytes = STANDARD
        .decode(&piece.data)
        .map_err(|e| Fault::new(FaultKind::Invalid, format!("the piece is not base64: {e}")))?;
    let now = asked.service.now();
    let mut uploads = lock(&asked.service.uploads);
    uploads.files.retain(|_, upload| now.0 - upload.touched.0 < FORGOTTEN);
    let total: u64 = uploads.files.values().map(|upload| upload.file.len()).sum();
    if total + bytes.len() as u64 > MAX_BYTES {
        return Err(Fault::new(FaultKind::Unavailable, "the files being imported are too large together")
            .help("import one after the other, or in parts"));
    }
    let name = match &piece.upload {
        Some(name) => name.clone(),
        None => {
            make_room(&mut uploads, asked)?;
            let owner = asked.caller.sid.clone();
            let file = Spool::create(asked.service.directory()).map_err(unkept)?;
            let name = new_token();
            uploads.files.insert(name.clone(), Upload { owner, file, touched: now, planned: None });
            name
        }
    };
    let upload = own(&mut uploads, asked, &name)?;
    if !is_administrator(asked.snapshot, asked.caller) && upload.file.len() + bytes.len() as u64 > MAX_BYTES_OF_OTHERS {
        return Err(Fault::new(FaultKind::Denied, "only administrators import files as large as this"));
    }
    upload.file.append(&bytes).map_err(unkept)?;
    upload.touched = now;
    Ok(Response::Upload { upload: name })
}

/// Room for one more import of the caller: what commands left behind that died goes first.
fn make_room(uploads: &mut Uploads, asked: Asked<'_>) -> Result<(), Fault> {
    let now = asked.service.now();
    let count = |uploads: &Uploads| uploads.files.values().filter(|upload| upload.owner == asked.caller.sid).count();
    if count(uploads) >= MAX_OF_ONE {
        uploads.files.retain(|_, upload| upload.owner != asked.caller.sid || now.0 - upload.touched.0 < LEFT_BEHIND);
    }
    if count(uploads) >= MAX_OF_ONE {
        let text = format!("{} has {MAX_OF_ONE} imports under way", asked.caller.name);
        return Err(Fault::new(FaultKind::Unavailable, text).help("wait until one of them has ended"));
    }
    Ok(())
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
        None => {
            // Read, the file has served.
            let empty = Spool::create(asked.service.directory()).map_err(unkept)?;
            plan(asked, run, std::mem::replace(&mut upload.file, empty))?
        }
    };
    if let Some(changes) = planned.next()? {
        let count = changes.len() as u64;
        let summary = format!("import: {count} changes");
        let comment = match &planned.progress.import {
            Some(import) => format!("{} {}", asked.comment, of_import(import)).trim_start().to_owned(),
            None => asked.comment.to_owned(),
        };
        asked.service.change(asked.caller, &comment, |_| {
            Ok(Plan { changes, done: Done { summary, ..Done::default() }, authorized: false })
        })?;
        planned.progress.done += count;
        fail_point("import.after_batch");
    }
    let told = planned.warnings.len().min(WARNINGS);
    let mut progress = planned.progress.clone();
    progress.warnings = planned.warnings.drain(..told).collect();
    progress.finished = planned.steps.is_empty() && planned.warnings.is_empty();
    if !progress.finished {
        upload.planned = Some(planned);
        upload.touched = asked.service.now();
        lock(&asked.service.uploads).files.insert(run.upload.clone(), upload);
    }
    Ok(Response::Imported(progress))
}

fn plan(asked: Asked<'_>, run: &ImportRun, mut file: Spool) -> Result<Planned, Fault> {
    let entries = run.map.iter().map(|(ours, theirs)| {
        let source =
            if theirs.contains('{') { Source::Template(theirs.clone()) } else { Source::Attribute(theirs.clone()) };
        (ours.clone(), source)
    });
    let map = AttributeMap { entries: entries.collect() };
    let mut changes = Spool::create(asked.service.directory()).map_err(unkept)?;
    let mut steps = VecDeque::new();
    let mut step: Vec<Change> = Vec::with_capacity(STEP);
    let mut keep = |step: &mut Vec<Change>| -> io::Result<()> {
        let octets = postcard::to_stdvec(&step).map_err(io::Error::other)?;
        steps.push_back(Step { at: changes.len(), length: octets.len(), count: step.len() });
        step.clear();
        changes.append(&octets)
    };
    let planned = directory::import::plan(&mut file, &map, asked.snapshot, &mut new_guid, &mut |change| {
        step.push(change);
        if step.len() == STEP { keep(&mut step) } else { Ok(()) }
    });
    let Summary { added, modified, warnings } = planned.map_err(|error| match error {
        DumpError::Ldif(error) => {
            Fault::new(FaultKind::Invalid, error.to_string()).help("nothing was imported; correct the file")
        }
        DumpError::Io(error) => unkept(error),
    })?;
    drop(file);
    if !step.is_empty() {
        keep(&mut step).map_err(unkept)?;
    }
    let warnings = warnings.iter().map(|w| format!("line {}: {}: {}", w.line, w.dn, w.text)).collect();
    let changes_in_all: u64 = steps.iter().map(|step: &Step| step.count as u64).sum();
    let progress = Imported {
        added: added as u64,
        modified: modified as u64,
        changes: changes_in_all,
        import: (changes_in_all > BATCH as u64 && !run.dry_run).then(|| new_token()[..8].to_owned()),
        ..Imported::default()
    };
    let mut planned = Planned { changes, steps, warnings, progress };
    planned.check(asked, run.dry_run)?;
    if run.dry_run {
        planned.steps.clear();
    }
    Ok(planned)
}

impl Planned {
    /// The changes that count together next.
    fn next(&mut self) -> Result<Option<Vec<Change>>, Fault> {
        let whole = self.progress.changes <= BATCH as u64;
        let mut changes = Vec::new();
        while let Some(step) = self.steps.pop_front() {
            let octets = self.changes.read_exact_at(step.at, step.length).map_err(unkept)?;
            let read: Vec<Change> = postcard::from_bytes(&octets).map_err(|e| unkept(io::Error::other(e)))?;
            changes.extend(read);
            if !whole {
                break;
            }
        }
        Ok((!changes.is_empty()).then_some(changes))
    }

    /// Whether the caller may do all of it; `try_out`: and everything else that would refuse it refuses it now.
    fn check(&mut self, asked: Asked<'_>, try_out: bool) -> Result<(), Fault> {
        let steps = self.steps.clone();
        let mut created = Created::default();
        let mut now: Option<Snapshot> = None;
        while let Some(changes) = self.next()? {
            created.authorize(asked.snapshot, asked.caller, &changes)?;
            if try_out {
                let (author, time) = (asked.caller.sid.clone(), asked.service.now());
                let batch = ChangeBatch { author, time, comment: String::new(), changes };
                let before = now.as_ref().unwrap_or(asked.snapshot);
                let after = before.apply(&batch)?.snapshot;
                crate::trust::check(before, &after)?;
                now = Some(after);
            }
        }
        self.steps = steps;
        Ok(())
    }
}

fn unkept(error: io::Error) -> Fault {
    Fault::new(FaultKind::Unavailable, format!("the import cannot be kept in the data directory: {error}"))
        .help("see to it that there is room: about a tenth of the file's size for the file and as much for the plan")
}

fn own<'a>(uploads: &'a mut Uploads, asked: Asked<'_>, name: &str) -> Result<&'a mut Upload, Fault> {
    uploads.files.get_mut(name).filter(|upload| upload.owner == asked.caller.sid).ok_or_else(unknown)
}

fn unknown() -> Fault {
    Fault::new(FaultKind::NotFound, "there is no such upload").help("start the import again")
}
