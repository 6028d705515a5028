//! Opening a queue: what a crash left behind is put in order before anybody gets a handle.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};

use crate::committer::{Committer, Shared};
use crate::keeper::{Keeper, Log};
use crate::queue::Inner;
use crate::reader::{self, Readers};
use crate::schedule::Schedule;
use crate::segment::{self, Segments};
use crate::sqlite::Sqlite;
use crate::storage::{Operation, Storage};
use crate::{Hold, QueueError, QueueOptions, Recovery, schema};

/// Key under which messages with a lost body are held.
const DAMAGED: &str = "damaged";

pub(crate) fn open(dir: &Path, options: &QueueOptions) -> Result<(Inner, Recovery), QueueError> {
    let lock = directories(dir)?;
    let path = dir.join("queue.db");
    let files = segment::segment_files(&dir.join("segments"))?;
    let mut lengths = BTreeMap::new();
    for (id, file) in &files {
        lengths.insert(*id, file.metadata().map_err(|error| QueueError::io("examine", file, &error))?.len());
    }

    let writer = schema::open_writer(&path, !files.is_empty())?;
    let all = reader::everything(&writer, &path, |id| lengths.get(&id).copied())?;
    let gate = Arc::new(Mutex::new(()));
    let mut storage = Sqlite::new(&path, writer, &options.node, gate.clone())?;
    // The names of the database and its log, before anything that depends on them is acknowledged.
    segment::sync_directory(dir)?;

    let (segments, found) = Segments::open(dir, options, &all.referenced)?;
    let damaged = hold_damaged(&mut storage, &all.damaged);
    let schedule = Arc::new(Schedule::new(crate::pace::Shares::of(options)));
    let deliveries: Vec<_> = all.deliveries.into_iter().filter(|due| !damaged.contains(&due.message)).collect();
    let waiting: HashSet<String> = deliveries.iter().map(|due| due.destination.clone()).collect();
    let recovery = Recovery {
        messages: all.messages,
        deliveries: deliveries.len() as u64,
        segments_reclaimed: found.reclaimed,
        unreferenced_bytes: found.unreferenced,
        damaged: all.damaged,
    };
    schedule.insert(deliveries);
    let (known, forgotten): (Vec<_>, Vec<_>) =
        all.destinations.into_iter().partition(|state| waiting.contains(&state.destination));
    known.into_iter().for_each(|state| schedule.restore(state));
    let forget = forgotten.into_iter().map(|state| crate::DestinationState { failures: 0, ..state });
    storage.commit(forget.map(|state| Operation::Destination { state }).collect(), Box::new(|_| ()));

    let pages = storage.pages();
    let (requests, receive_requests) = mpsc::channel();
    let (chores, receive_chores) = mpsc::channel();
    let shared = Arc::new(Shared {
        segments: Arc::new(segments),
        schedule,
        body_bytes: AtomicU64::new(all.body_bytes),
        min_free: options.min_free,
        chores,
        syncs: Default::default(),
        commits: Default::default(),
    });
    let log = Log {
        path: path.clone(),
        connection: schema::open_checkpointer(&path)?,
        pages,
        gate,
        size: options.wal_size,
        seen: 0,
    };
    let keeper = Keeper { chores: receive_chores, requests: requests.clone(), segments: shared.segments.clone(), log };
    let committer = Committer {
        requests: receive_requests,
        storage: Box::new(storage),
        shared: shared.clone(),
        next_message: all.last_message + 1,
        parked: Arc::default(),
        discard: options.discard,
    };
    let threads =
        [spawn(dir, "queue-keeper", move || keeper.run())?, spawn(dir, "queue-committer", move || committer.run())?];
    let inner = Inner { shared, readers: Readers::new(&path), requests, threads: Mutex::new(threads.into()), lock };
    Ok((inner, recovery))
}

/// Makes the directories, durably, and locks the queue.
fn directories(dir: &Path) -> Result<File, QueueError> {
    let segments = dir.join("segments");
    let existed = segments.is_dir();
    std::fs::create_dir_all(&segments).map_err(|error| QueueError::io("create", &segments, &error))?;
    if !existed {
        segment::sync_directory(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            segment::sync_directory(parent)?;
        }
    }
    let path = dir.join("queue.lock");
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let lock = lock.map_err(|error| QueueError::io("open", &path, &error))?;
    match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(QueueError::InUse { dir: dir.to_owned() }),
        Err(error) => Err(QueueError::io("lock", &path, &error.into())),
    }
}

/// Holds the messages whose body is lost; their rows.
fn hold_damaged(storage: &mut Sqlite, damaged: &[String]) -> HashSet<i64> {
    let reason = "the segment that holds the body is missing or too short".to_owned();
    let hold = Hold { key: DAMAGED.to_owned(), reason };
    let batch = damaged.iter().map(|queue_id| Operation::Hold { queue_id: queue_id.clone(), hold: hold.clone() });
    let (sender, receiver) = mpsc::channel();
    storage.commit(batch.collect(), Box::new(move |answers| drop(sender.send(answers))));
    let answers = receiver.recv().unwrap_or_default();
    answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok(crate::storage::Effect::Held { message }) => Some(message),
            _ => None,
        })
        .collect()
}

fn spawn(
    dir: &Path,
    name: &str,
    run: impl FnOnce() + Send + 'static,
) -> Result<std::thread::JoinHandle<()>, QueueError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|error| QueueError::io("start a thread for", dir, &error))
}
