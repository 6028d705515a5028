//! Writing the record: a thread of its own, so that nobody waits for the disk.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::file::{self, TrackingError};
use crate::record::{Millis, Record};

/// Records that may wait to be written; more are lost and counted.
const WAITING: usize = 131_072;
/// Records that are written at once.
const GROUP: usize = 1024;
/// How long what was written may wait to be synced.
const SYNC: Duration = Duration::from_secs(1);

/// Where the record goes and how much of it is kept.
#[derive(Debug, Clone)]
pub struct TrackingOptions {
    /// The folder; made if it is not there.
    pub folder: PathBuf,
    /// A file that has grown beyond so many octets is followed by another.
    pub file_size: u64,
    /// Older files are removed.
    pub keep: Duration,
    /// The oldest files are removed while all together are larger.
    pub total_size: u64,
}

impl TrackingOptions {
    /// The usual amounts: files of 64 MiB, 30 days, 20 GiB.
    pub fn new(folder: impl Into<PathBuf>) -> TrackingOptions {
        TrackingOptions {
            folder: folder.into(),
            file_size: 64 << 20,
            keep: Duration::from_secs(30 * 24 * 3600),
            total_size: 20 << 30,
        }
    }
}

/// The record. Clones share it; the last one that is dropped writes what waits and ends the thread.
#[derive(Debug, Clone)]
pub struct Tracking(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    records: Mutex<Option<SyncSender<Asked>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    lost: Arc<AtomicU64>,
    folder: PathBuf,
}

enum Asked {
    Write(Box<Record>),
    /// Answers when everything before is written.
    Flush(SyncSender<()>),
}

impl Tracking {
    /// Opens the record: the folder must be writable.
    ///
    /// # Errors
    /// [`TrackingError::Io`].
    pub fn start(options: TrackingOptions) -> Result<Tracking, TrackingError> {
        let folder = options.folder.clone();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(&folder)
            .map_err(|error| TrackingError::io("create", &folder, error))?;
        let mut writer = Writer { options, file: None };
        writer.resume()?;
        let (sender, waiting) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new()
            .name("tracking".into())
            .spawn(move || writer.run(&waiting))
            .map_err(|error| TrackingError::io("start a thread for", &folder, error))?;
        let (records, thread) = (Mutex::new(Some(sender)), Mutex::new(Some(thread)));
        Ok(Tracking(Arc::new(Inner { records, thread, lost, folder })))
    }

    /// Notes an event. Does not wait; what a slow disk cannot take is lost, and counted.
    pub fn note(&self, record: Record) {
        let records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = records.as_ref().is_some_and(|records| records.try_send(Asked::Write(Box::new(record))).is_ok());
        if !taken && self.0.lost.fetch_add(1, Ordering::Relaxed).is_multiple_of(10_000) {
            tracing::warn!("the record of messages cannot keep up with its disk: events are lost");
        }
    }

    /// Events that were lost since the process began.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// The folder of the files.
    pub fn folder(&self) -> &std::path::Path {
        &self.0.folder
    }

    /// Waits until everything noted before can be read.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        let records = self.0.records.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if records.is_some_and(|records| records.send(Asked::Flush(done)).is_ok()) {
            let _ = written.recv();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panicked thread has nothing to tell that was not logged.
            let _ = thread.join();
        }
    }
}

/// The thread's side.
struct Writer {
    options: TrackingOptions,
    file: Option<Current>,
}

struct Current {
    file: fs::File,
    day: Millis,
    size: u64,
    /// Since when something in it is not synced.
    unsynced: Option<Instant>,
}

impl Writer {
    fn run(mut self, asked: &Receiver<Asked>) {
        let mut lines = Vec::new();
        loop {
            let wait =
                self.file.as_ref().and_then(|file| file.unsynced).map(|since| SYNC.saturating_sub(since.elapsed()));
            let first = match wait {
                Some(wait) => asked.recv_timeout(wait),
                None => asked.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut flushes = Vec::new();
            match first {
                Ok(first) => {
                    let mut time = 0;
                    let mut next = Some(first);
                    let mut count = 0;
                    while let Some(asked_for) = next {
                        match asked_for {
                            Asked::Write(record) => {
                                time = record.time;
                                line(&record, &mut lines);
                            }
                            Asked::Flush(done) => flushes.push(done),
                        }
                        count += 1;
                        next = if count < GROUP { asked.try_recv().ok() } else { None };
                    }
                    self.report(time, &lines);
                    lines.clear();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.sync();
                    return;
                }
            }
            if self.file.as_ref().and_then(|file| file.unsynced).is_some_and(|since| since.elapsed() >= SYNC) {
                self.sync();
            }
            for done in flushes {
                // Whoever asked may be gone.
                let _ = done.send(());
            }
        }
    }

    fn report(&mut self, time: Millis, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        if let Err(error) = self.write(time, lines) {
            tracing::error!(%error, "the record of messages cannot be written");
            self.file = None;
        }
    }

    fn write(&mut self, time: Millis, lines: &[u8]) -> Result<(), TrackingError> {
        let most = self.options.file_size;
        let fits = |file: &&mut Current| file.day == file::day(time) && file.size < most;
        if self.file.as_mut().filter(fits).is_none() {
            self.begin(time)?;
        }
        let Some(current) = &mut self.file else { return Ok(()) };
        current.file.write_all(lines).map_err(|error| TrackingError::io("write", &self.options.folder, error))?;
        current.size += lines.len() as u64;
        current.unsynced.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn sync(&mut self) {
        let Some(current) = &mut self.file else { return };
        current.unsynced = None;
        if let Err(error) = current.file.sync_data() {
            tracing::error!(%error, "the record of messages cannot be synced");
        }
    }

    /// Goes on in the newest file. A line that a crash cut off is ended, so that the next one begins on its own.
    fn resume(&mut self) -> Result<(), TrackingError> {
        let Some(newest) = file::list(&self.options.folder)?.pop() else { return Ok(()) };
        let path = newest.path;
        let resume = || -> std::io::Result<fs::File> {
            let mut file = OpenOptions::new().read(true).append(true).open(&path)?;
            if newest.size > 0 {
                let mut last = [0];
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(file)
        };
        let file = resume().map_err(|error| TrackingError::io("open", &path, error))?;
        self.file = Some(Current { file, day: file::day(newest.since), size: newest.size, unsynced: None });
        Ok(())
    }

    /// Begins a file, and removes what is too old or too much.
    fn begin(&mut self, time: Millis) -> Result<(), TrackingError> {
        self.sync();
        self.file = None;
        self.prune(time)?;
        let path = self.options.folder.join(file::name(time));
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&path)
            .map_err(|error| TrackingError::io("create", &path, error))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        self.file = Some(Current { file, day: file::day(time), size, unsynced: None });
        Ok(())
    }

    fn prune(&self, time: Millis) -> Result<(), TrackingError> {
        let files = file::list(&self.options.folder)?;
        let keep = i64::try_from(self.options.keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = time.saturating_sub(keep);
        let mut total: u64 = files.iter().map(|file| file.size).sum();
        // A file ends where the next one begins.
        let ends = files.iter().skip(1).map(|file| file.since).chain([Millis::MAX]);
        for (file, end) in files.iter().zip(ends) {
            if end > oldest && total <= self.options.total_size {
                break;
            }
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(TrackingError::io("remove", &file.path, error));
                }
                _ => total -= file.size,
            }
        }
        Ok(())
    }
}

fn line(record: &Record, lines: &mut Vec<u8>) {
    let before = lines.len();
    if serde_json::to_writer(&mut *lines, record).is_err() {
        lines.truncate(before);
        return;
    }
    lines.push(b'\n');
}
