//! Segment files: append-only, preallocated, reference counted.
//!
//! A segment is `segments/NNNNNNNN.seg`. Space is given out from the current segment, never twice while something in it
//! is referenced. A segment without references is reused under a new number, or removed. Numbers are never reused, so a
//! row of the database cannot point into the wrong file.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, FallocateFlags};

use crate::block::Block;
use crate::{QueueError, QueueOptions, fail_point};

/// Space is given out in steps of a page: a page that holds acknowledged octets is never written again.
const PAGE: u64 = 4096;

/// How many pieces one system call takes (IOV_MAX).
const MOST_PIECES: usize = 1024;

/// One segment file, open.
#[derive(Debug)]
pub(crate) struct Segment {
    id: u32,
    path: PathBuf,
    file: File,
    size: u64,
    /// A sync failed: nobody knows which of its pages are on disk, so nothing new is acknowledged in it.
    suspect: AtomicBool,
}

impl Segment {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn write_at(&self, octets: &[u8], offset: u64) -> Result<(), QueueError> {
        self.file.write_all_at(octets, offset).map_err(|error| self.write_fault(&error))
    }

    /// Writes pieces one behind the other.
    pub(crate) fn write_pieces_at(&self, mut pieces: &mut [IoSlice<'_>], mut offset: u64) -> Result<(), QueueError> {
        while !pieces.is_empty() {
            let some = &pieces[..pieces.len().min(MOST_PIECES)];
            match rustix::io::pwritev(&self.file, some, offset) {
                Ok(0) => return Err(self.write_fault(&io::ErrorKind::WriteZero.into())),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(self.write_fault(&error.into())),
            }
        }
        Ok(())
    }

    fn write_fault(&self, error: &io::Error) -> QueueError {
        match QueueError::io("write", &self.path, error) {
            QueueError::Full { dir } => QueueError::Full { dir: dir.parent().unwrap_or(&dir).to_owned() },
            other => other,
        }
    }

    /// The page cache need not keep what of it is on disk.
    fn uncache(&self) {
        if let Err(error) = rustix::fs::fadvise(&self.file, 0, None, Advice::DontNeed) {
            tracing::debug!(%error, path = %self.path.display(), "cannot give up cached pages");
        }
    }

    pub(crate) fn read_at(&self, octets: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(octets, offset)
    }

    /// Brings everything written so far to stable storage. After a failure the segment stays unusable.
    pub(crate) fn sync(&self) -> Result<(), QueueError> {
        let synced = if self.suspect.load(Ordering::Acquire) {
            Err(io::Error::other("an earlier sync of this segment failed"))
        } else {
            self.file.sync_data()
        };
        synced.map_err(|error| {
            self.suspect.store(true, Ordering::Release);
            QueueError::Io { action: "sync", path: self.path.clone(), detail: error.to_string() }
        })
    }
}

/// A piece of a segment that belongs to whoever asked for it, until given back with [`Segments::release`].
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) segment: Arc<Segment>,
    pub(crate) offset: u64,
}

/// All segments of a queue.
#[derive(Debug)]
pub(crate) struct Segments {
    /// The queue directory, for errors.
    queue: PathBuf,
    dir: PathBuf,
    size: u64,
    spare_wanted: usize,
    capacity: Option<u64>,
    /// So many segments stay in the page cache besides the current one.
    cached: usize,
    state: Mutex<State>,
    prepared: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Every segment but the spares.
    used: BTreeMap<u32, Used>,
    current: Option<u32>,
    /// Those that were current, oldest first, of which the page cache may hold something.
    cached: VecDeque<u32>,
    tail: u64,
    next_id: u32,
    spares: Vec<Arc<Segment>>,
    /// A spare is being made.
    preparing: bool,
    /// Without references and not current: to be recycled or removed by [`Segments::reclaim`].
    drained: Vec<Arc<Segment>>,
}

#[derive(Debug)]
struct Used {
    segment: Arc<Segment>,
    /// Octets given out and not given back.
    live: u64,
}

/// What the database refers to, in one segment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Referenced {
    /// Octets referred to.
    pub(crate) live: u64,
    /// End of the last block.
    pub(crate) end: u64,
}

/// What [`Segments::open`] found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Files without references.
    pub(crate) reclaimed: u64,
    /// Octets before the end of the last block of a segment that nothing refers to.
    pub(crate) unreferenced: u64,
}

impl Segments {
    /// Opens what is in `queue/segments`; `referenced` is what the database refers to.
    pub(crate) fn open(
        queue: &Path,
        options: &QueueOptions,
        referenced: &BTreeMap<u32, Referenced>,
    ) -> Result<(Segments, Found), QueueError> {
        let dir = queue.join("segments");
        let size = options.segment_size.max(8 * crate::block::BLOCK as u64).next_multiple_of(PAGE);
        let mut found = Found::default();
        let mut state =
            State { next_id: referenced.keys().next_back().map_or(1, |id| id.saturating_add(1)), ..State::default() };
        let mut unused = Vec::new();
        for (id, path) in segment_files(&dir)? {
            state.next_id = state.next_id.max(id.saturating_add(1));
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&path)
                .map_err(|error| QueueError::io("open", &path, &error))?;
            let length = file.metadata().map_err(|error| QueueError::io("examine", &path, &error))?.len();
            let segment = Arc::new(Segment { id, path, file, size: length, suspect: AtomicBool::new(false) });
            match referenced.get(&id) {
                Some(used) => {
                    found.unreferenced += used.end.saturating_sub(used.live);
                    state.used.insert(id, Used { segment, live: used.live });
                }
                None => unused.push(segment),
            }
        }
        if let Some((id, last)) = state.used.last_key_value()
            && last.segment.size >= size
        {
            let id = *id;
            state.tail = referenced.get(&id).map_or(size, |used| used.end).next_multiple_of(PAGE);
            state.current = Some(id);
        }
        found.reclaimed = unused.len() as u64;
        state.drained = unused;
        let segments = Segments {
            queue: queue.to_owned(),
            dir,
            size,
            spare_wanted: options.spare_segments,
            capacity: options.capacity,
            cached: usize::try_from(options.cached / size).unwrap_or(usize::MAX).max(1),
            state: Mutex::new(state),
            prepared: Condvar::new(),
        };
        segments.reclaim()?;
        Ok((segments, found))
    }

    /// The queue directory.
    pub(crate) fn queue(&self) -> &Path {
        &self.queue
    }

    /// Space for pieces of these lengths, in order; each piece in one segment. All or nothing.
    pub(crate) fn allocate(&self, lengths: &[usize]) -> Result<Vec<Space>, QueueError> {
        let mut spaces: Vec<Space> = Vec::with_capacity(lengths.len());
        let total: u64 = lengths.iter().map(|&length| length as u64).sum();
        let mut state = self
            .prepared
            .wait_while(self.lock(), |state| {
                state.preparing && state.spares.is_empty() && state.tail + PAGE + total > self.size
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.tail = state.tail.next_multiple_of(PAGE);
        let start = (state.current, state.tail);
        for &length in lengths {
            match self.allocate_one(&mut state, length as u64) {
                Ok(space) => spaces.push(space),
                Err(error) => {
                    if state.current == start.0 {
                        state.tail = start.1;
                    }
                    for (space, &length) in spaces.iter().zip(lengths) {
                        give_back(&mut state, space.segment.id, length as u64);
                    }
                    return Err(error);
                }
            }
        }
        drop(state);
        fail_point("segment.after_allocate");
        Ok(spaces)
    }

    fn allocate_one(&self, state: &mut State, length: u64) -> Result<Space, QueueError> {
        if let Some(id) = state.current
            && let Some(used) = state.used.get_mut(&id)
            && state.tail + length <= used.segment.size
            && !used.segment.suspect.load(Ordering::Acquire)
        {
            let offset = state.tail;
            state.tail += length;
            used.live += length;
            return Ok(Space { segment: used.segment.clone(), offset });
        }
        let segment = match state.spares.pop() {
            Some(segment) => segment,
            None => {
                let id = self.next(state)?;
                self.create(id)?
            }
        };
        if let Some(id) = state.current.take() {
            state.cached.push_back(id);
            retire(state, id);
        }
        let id = segment.id;
        state.current = Some(id);
        state.tail = length;
        state.used.insert(id, Used { segment: segment.clone(), live: length });
        Ok(Space { segment, offset: 0 })
    }

    /// The number of a new segment, if there may be one more.
    fn next(&self, state: &mut State) -> Result<u32, QueueError> {
        let count = (state.used.len() + state.spares.len() + state.drained.len()) as u64 + u64::from(state.preparing);
        if self.capacity.is_some_and(|capacity| (count + 1) * self.size > capacity) {
            return Err(self.full());
        }
        let id = state.next_id;
        state.next_id = id.saturating_add(1);
        Ok(id)
    }

    /// Makes a new segment: space allocated, file and name on stable storage.
    fn create(&self, id: u32) -> Result<Arc<Segment>, QueueError> {
        let path = self.path(id);
        fail_point("segment.before_create");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| self.creation_fault("create", &path, &error))?;
        fail_point("segment.after_create");
        let prepared = preallocate(&file, self.size)
            .and_then(|()| file.sync_all())
            .map_err(|error| self.creation_fault("preallocate", &path, &error))
            .and_then(|()| {
                fail_point("segment.after_file_sync");
                sync_directory(&self.dir)
            });
        if let Err(error) = prepared {
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        fail_point("segment.after_directory_sync");
        Ok(Arc::new(Segment { id, path, file, size: self.size, suspect: AtomicBool::new(false) }))
    }

    /// Gives pieces back. What was the last reference to a segment leaves it to [`Segments::reclaim`]; true if there is
    /// something to reclaim.
    pub(crate) fn release(&self, blocks: &[Block]) -> bool {
        let mut state = self.lock();
        for block in blocks {
            give_back(&mut state, block.segment, u64::from(block.length));
        }
        !state.drained.is_empty()
    }

    /// Gives back a part of a segment that was reserved and not used.
    pub(crate) fn release_space(&self, segment: u32, length: u64) {
        give_back(&mut self.lock(), segment, length);
    }

    /// Prepares a spare, when the current segment is more than half full and there is none, so that the committer need
    /// not.
    pub(crate) fn prepare_spare(&self) -> Result<(), QueueError> {
        let id = {
            let mut state = self.lock();
            if !state.spares.is_empty() || state.current.is_none() || state.tail <= self.size / 2 {
                return Ok(());
            }
            let id = self.next(&mut state)?;
            state.preparing = true;
            id
        };
        let spare = self.create(id);
        let mut state = self.lock();
        state.preparing = false;
        self.prepared.notify_all();
        state.spares.push(spare?);
        Ok(())
    }

    /// Takes all but the newest segments out of the page cache. In a virtual machine, pages that were given back serve the
    /// next bodies at once, while the host must find others first.
    pub(crate) fn uncache(&self) {
        loop {
            let segment = {
                let mut state = self.lock();
                if state.cached.len() <= self.cached {
                    return;
                }
                let oldest = state.cached.pop_front();
                oldest.and_then(|id| state.used.get(&id)).map(|used| used.segment.clone())
            };
            if let Some(segment) = segment {
                segment.uncache();
            }
        }
    }

    /// Recycles or removes the segments that nothing refers to.
    pub(crate) fn reclaim(&self) -> Result<(), QueueError> {
        loop {
            let (segment, recycled) = {
                let mut state = self.lock();
                let Some(segment) = state.drained.pop() else { return Ok(()) };
                let recycle = state.spares.len() < self.spare_wanted
                    && segment.size == self.size
                    && !segment.suspect.load(Ordering::Acquire);
                let id = state.next_id;
                if recycle {
                    state.next_id = id.saturating_add(1);
                }
                (segment, recycle.then_some(id))
            };
            // A reader of a message that was just removed may still have the file open: such a file is not reused.
            match (recycled, Arc::try_unwrap(segment)) {
                (Some(id), Ok(segment)) => self.recycle(segment, id)?,
                (None, Ok(segment)) => self.remove(&segment.path)?,
                (_, Err(segment)) => self.remove(&segment.path)?,
            }
        }
    }

    fn recycle(&self, segment: Segment, id: u32) -> Result<(), QueueError> {
        let path = self.path(id);
        fail_point("segment.before_recycle");
        std::fs::rename(&segment.path, &path).map_err(|error| QueueError::io("rename", &segment.path, &error))?;
        sync_directory(&self.dir)?;
        fail_point("segment.after_recycle");
        let spare = Segment { id, path, ..segment };
        self.lock().spares.push(Arc::new(spare));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), QueueError> {
        fail_point("segment.before_remove");
        std::fs::remove_file(path).map_err(|error| QueueError::io("remove", path, &error))?;
        fail_point("segment.after_remove");
        Ok(())
    }

    /// The segment, for reading.
    pub(crate) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        self.lock().used.get(&id).map(|used| used.segment.clone())
    }

    /// Octets of all segment files.
    pub(crate) fn bytes(&self) -> u64 {
        let state = self.lock();
        let used = state.used.values().map(|used| used.segment.size);
        used.chain(state.spares.iter().chain(&state.drained).map(|segment| segment.size)).sum()
    }

    fn path(&self, id: u32) -> PathBuf {
        self.dir.join(format!("{id:08}.seg"))
    }

    pub(crate) fn full(&self) -> QueueError {
        QueueError::Full { dir: self.queue.clone() }
    }

    fn creation_fault(&self, action: &'static str, path: &Path, error: &io::Error) -> QueueError {
        match QueueError::io(action, path, error) {
            QueueError::Full { .. } => self.full(),
            other => other,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn give_back(state: &mut State, id: u32, length: u64) {
    let current = state.current == Some(id);
    let Some(used) = state.used.get_mut(&id) else { return };
    used.live = used.live.saturating_sub(length);
    if used.live > 0 {
        return;
    }
    if !current {
        retire(state, id);
    } else if Arc::strong_count(&used.segment) == 1 {
        // Nothing refers to any of it and nobody reads it: start again at its beginning.
        state.tail = 0;
    }
}

/// Takes a segment that is not current any more out of use if nothing refers to it.
fn retire(state: &mut State, id: u32) {
    if state.used.get(&id).is_some_and(|used| used.live == 0)
        && let Some(used) = state.used.remove(&id)
    {
        state.drained.push(used.segment);
    }
}

fn preallocate(file: &File, size: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = vec![0; crate::block::BLOCK];
            let mut offset = 0;
            while offset < size {
                let length = (size - offset).min(zeros.len() as u64);
                file.write_all_at(&zeros[..length as usize], offset)?;
                offset += length;
            }
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Numbers and paths of the segment files in `dir`, in order. Other files are left alone.
pub(crate) fn segment_files(dir: &Path) -> Result<Vec<(u32, PathBuf)>, QueueError> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| QueueError::io("list", dir, &error))? {
        let path = entry.map_err(|error| QueueError::io("list", dir, &error))?.path();
        let number = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".seg"));
        if let Some(id) = number.filter(|digits| digits.len() >= 8).and_then(|digits| digits.parse().ok()) {
            files.push((id, path));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Brings the names in a directory to stable storage.
pub(crate) fn sync_directory(dir: &Path) -> Result<(), QueueError> {
    File::open(dir).and_then(|file| file.sync_all()).map_err(|error| QueueError::io("sync", dir, &error))
}
