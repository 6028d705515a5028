//! Being told of files by the kernel (inotify(7)). Where that cannot be, looking again now and then must do.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::future::pending;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// Names that are remembered; beyond them age decides whether a file is complete.
const MOST: usize = 10_000;

/// A folder that is watched, where the kernel can.
pub(super) struct Watch {
    events: Option<AsyncFd<OwnedFd>>,
    /// Files whose writers closed them, or renamed them into place.
    complete: HashSet<OsString>,
}

impl Watch {
    pub(super) fn new(path: &Path) -> Watch {
        let events = || -> std::io::Result<AsyncFd<OwnedFd>> {
            let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
            let flags = WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
            add_watch(&events, path, flags)?;
            // SAFETY: the descriptor is owned by what it is given to, open, and always the same.
            Ok(unsafe { AsyncFd::register(events) }?)
        };
        let events = events().inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "the folder is not watched, but looked at every few seconds");
        });
        Watch { events: events.ok(), complete: HashSet::new() }
    }

    /// Returns when files have come, and takes note of their names; never, where nothing is told.
    pub(super) async fn changed(&mut self) {
        let Some(events) = &self.events else { return pending().await };
        let Ok(mut ready) = events.readable().await else { return pending().await };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(events.get_ref(), &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    if let Some(name) = event.file_name().filter(|_| self.complete.len() < MOST) {
                        self.complete.insert(OsStr::from_bytes(name.to_bytes()).to_owned());
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        ready.clear_ready();
    }

    /// The files whose writers are known to be done; they are forgotten.
    pub(super) fn take_complete(&mut self) -> HashSet<OsString> {
        std::mem::take(&mut self.complete)
    }
}
