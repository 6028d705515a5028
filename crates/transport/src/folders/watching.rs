//! Being told of files by the kernel (inotify(7)). Where that cannot be, looking again now and then must do.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::place::Writing;

/// Names that are remembered; beyond them age decides whether a file is complete.
const MOST: usize = 10_000;

/// A folder that is watched, where the kernel can.
pub(super) struct Watch {
    events: Option<AsyncFd<OwnedFd>>,
    seen: Seen,
}

/// What was seen of files.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files whose writers closed them, or renamed them into place.
    complete: HashSet<OsString>,
    /// Files that somebody has open, and how often.
    open: HashMap<OsString, u32>,
}

impl Watch {
    pub(super) fn new(path: &Path) -> Watch {
        let events = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let flags = WatchFlags::OPEN | WatchFlags::CLOSE | WatchFlags::MOVE | WatchFlags::DELETE;
            add_watch(&events, path, flags | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW)?;
            // SAFETY: the descriptor is owned by what it is given to, open, and always the same.
            Ok(unsafe { AsyncFd::register(events) }?)
        };
        let events = events().inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the folder is not watched, but looked at every few seconds");
        });
        Watch { events: events.ok(), seen: Seen::default() }
    }

    /// Returns when files have come, and takes note of their names; never, where nothing is told.
    pub(super) async fn changed(&mut self) {
        loop {
            let Some(events) = &self.events else { return pending().await };
            let Ok(mut ready) = events.readable().await else { return pending().await };
            ready.clear_ready();
            self.read();
            if !self.seen.complete.is_empty() {
                return;
            }
        }
    }

    /// What is known of the files now. Those whose writers are done are told of once.
    pub(super) fn look(&mut self) -> Seen {
        self.read();
        Seen { complete: std::mem::take(&mut self.seen.complete), open: self.seen.open.clone() }
    }

    /// Takes note of what the kernel has told.
    fn read(&mut self) {
        let Some(events) = &self.events else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(events.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                    self.seen.note(event.events(), name);
                }
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl Seen {
    /// What the writer of a file is known to do.
    pub(super) fn writing(&self, name: &OsStr) -> Writing {
        match (self.complete.contains(name), self.open.contains_key(name)) {
            (true, _) => Writing::Done,
            (false, true) => Writing::Open,
            (false, false) => Writing::Unknown,
        }
    }

    fn note(&mut self, told: ReadFlags, name: Option<&OsStr>) {
        if told.contains(ReadFlags::QUEUE_OVERFLOW) {
            // Who has closed what is not known any more.
            self.open.clear();
        }
        let Some(name) = name else { return };
        if told.contains(ReadFlags::OPEN) && (self.open.len() < MOST || self.open.contains_key(name)) {
            *self.open.entry(name.to_owned()).or_default() += 1;
        }
        if told.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE)
            && let Some(times) = self.open.get_mut(name)
        {
            *times -= 1;
            if *times == 0 {
                self.open.remove(name);
            }
        }
        if told.intersects(ReadFlags::MOVED_FROM | ReadFlags::DELETE) {
            self.open.remove(name);
            self.complete.remove(name);
        }
        if told.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) && self.complete.len() < MOST {
            self.complete.insert(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(told: &[ReadFlags]) -> Writing {
        let mut seen = Seen::default();
        let name = OsStr::new("a.eml");
        told.iter().for_each(|told| seen.note(*told, Some(name)));
        seen.writing(name)
    }

    #[test]
    fn a_file_is_complete_when_its_writer_has_closed_it_or_renamed_it_into_place() {
        assert_eq!(after(&[]), Writing::Unknown);
        assert_eq!(after(&[ReadFlags::OPEN]), Writing::Open);
        assert_eq!(after(&[ReadFlags::OPEN, ReadFlags::CLOSE_WRITE]), Writing::Done);
        assert_eq!(after(&[ReadFlags::MOVED_TO]), Writing::Done);
        assert_eq!(after(&[ReadFlags::OPEN, ReadFlags::OPEN, ReadFlags::CLOSE_NOWRITE]), Writing::Open);
        assert_eq!(after(&[ReadFlags::OPEN, ReadFlags::CLOSE_NOWRITE]), Writing::Unknown);
        // A name that another file has got.
        assert_eq!(after(&[ReadFlags::OPEN, ReadFlags::MOVED_FROM, ReadFlags::CLOSE_WRITE]), Writing::Done);
        assert_eq!(after(&[ReadFlags::OPEN, ReadFlags::QUEUE_OVERFLOW]), Writing::Unknown);
    }
}
