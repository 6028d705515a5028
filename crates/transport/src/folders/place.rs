//! A folder and its files, held by descriptor: who else may write where, what is taken, and what becomes of it.
//!
//! ```text
//! x.eml --rename--> x.<id>.<tag>.tmp --accepted, durable--> removed
//!                                    --refused-----------> x.bad, x.reason
//!                                    --not now-----------> x.eml
//! ```
//!
//! A file is taken by renaming it, so that of two who try one succeeds; and it is locked meanwhile. The id is of this taking
//! alone, and the name is durable before anything is done under it: by it the queue says, whatever happened, whether the
//! file was accepted. The tag is the connector's: what it had taken when the process died it finds again.

use std::cmp::Ordering;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use acl::Guid;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, Stat, fchmod, flock, fstat, fsync, openat,
    renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;
use thiserror::Error;
use ulid::Ulid;

use super::fail_point;

/// Files that are looked at in one round, those that came first; the others come in the next.
pub(super) const MOST: usize = if cfg!(test) { 100 } else { 10_000 };
/// Names that are tried where one is taken already.
const NAMES: u32 = 1_000;
/// Longest name without its ending, in octets: the longest ending has to fit too (NAME_MAX is 255).
const LONGEST: usize = 210;
/// What was changed within this time may be in the making still, unless its writer is known to be done; milliseconds.
const SETTLED: i64 = 2_000;
/// What somebody has open is left to him for so long after it changed last; milliseconds.
const ABANDONED: i64 = 600_000;
/// A file with two names is given this time to lose one; milliseconds.
const LINKED: i64 = 60_000;

/// Who may have written the files of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writers {
    /// It does not matter: nobody's rights are lent to them.
    Anybody,
    /// Those whom the permissions of the folder let in.
    Admitted,
    /// Everybody: each file is its owner's.
    Owners,
}

/// What is known of whoever writes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// He has closed it, or renamed it into place.
    Done,
    /// Somebody has it open.
    Open,
    /// Nothing.
    Unknown,
}

/// A folder that is open.
pub(super) struct Place {
    dir: OwnedFd,
    key: (u64, u64),
    tag: String,
    writers: Writers,
}

/// Why a folder is not served.
#[derive(Debug, Error)]
pub(super) enum PlaceFault {
    #[error("the folder cannot be opened: {0}{hint}", hint = sandbox_hint(.0))]
    Open(io::Error),
    #[error("everybody on this machine may write into the folder (mode {0:o}), and would send as its account")]
    Exposed(u32),
    #[error("the folder cannot be read: {0}")]
    Read(io::Error),
}

/// What may be the matter beside permissions.
pub(crate) fn sandbox_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            " (with `[node] sandbox`, the server reaches only folders that connectors named when it started: restart it)"
        }
        _ => "",
    }
}

/// A file that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) name: OsString,
    /// It was taken before, by a process that died.
    pub(super) taken: bool,
    changed: (i64, i64),
}

impl Waiting {
    fn order(&self, other: &Waiting) -> Ordering {
        (!self.taken, self.changed, &self.name).cmp(&(!other.taken, other.changed, &other.name))
    }
}

/// A file that was taken: nobody else has it.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) file: File,
    /// As it was called without its ending, in words.
    pub(super) called: String,
    pub(super) owner: u32,
    pub(super) size: u64,
    /// When its text changed last.
    changed: (i64, i64),
    held: Held,
}

/// The name that a file has while it is taken.
#[derive(Debug, Clone)]
pub(super) struct Held {
    name: OsString,
    stem: Vec<u8>,
    id: String,
}

/// What came of trying to take a file.
#[derive(Debug)]
pub(super) enum Took {
    /// It is taken.
    File(Box<Taken>),
    /// It is taken, and will never be sent: why.
    Unfit(Held, String),
    /// Somebody holds a lock on it.
    Locked(Held),
    /// It is gone.
    Nothing,
}

impl Place {
    /// Opens a folder. Its last part may not be a link.
    pub(super) fn open(path: &Path, connector: &Guid, writers: Writers) -> Result<Place, PlaceFault> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || -> io::Result<(OwnedFd, Stat)> {
            let dir = openat(CWD, path, flags, Mode::empty())?;
            let stat = fstat(&dir)?;
            Ok((dir, stat))
        };
        let (dir, stat) = open().map_err(PlaceFault::Open)?;
        if writers == Writers::Admitted && stat.st_mode & 0o002 != 0 {
            return Err(PlaceFault::Exposed(stat.st_mode & 0o7777));
        }
        let tag: String = connector.0.iter().take(4).map(|octet| format!("{octet:02x}")).collect();
        Ok(Place { dir, key: (stat.st_dev, stat.st_ino), tag, writers })
    }

    /// What tells the folder from others: device and inode.
    pub(super) fn key(&self) -> (u64, u64) {
        self.key
    }

    /// The first of the files that wait: those that were taken, if they are asked for, then the others, in the order in which
    /// they came: by the time that no writer can set. `time` is now; `writing` says what is known of the writer of a file.
    pub(super) fn waiting(
        &self,
        time: i64,
        taken_too: bool,
        writing: &dyn Fn(&OsStr) -> Writing,
    ) -> Result<Vec<Waiting>, PlaceFault> {
        let read = |error: Errno| PlaceFault::Read(error.into());
        let mut found = Vec::new();
        for entry in Dir::read_from(&self.dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            let taken = self.is_own(name.as_bytes());
            let waits = if taken { taken_too } else { is_message(name.as_bytes()) };
            if !waits {
                continue;
            }
            let Ok(stat) = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let age = time.saturating_sub(changed(&stat));
            let in_the_making = match writing(name) {
                Writing::Done => false,
                Writing::Open => (0..ABANDONED).contains(&age),
                Writing::Unknown => (0..SETTLED).contains(&age),
            };
            let linked = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && stat.st_nlink > 1
                && (0..LINKED).contains(&age);
            if !taken && (in_the_making || linked) {
                continue;
            }
            let changed = (stat.st_ctime, stat.st_ctime_nsec);
            found.push(Waiting { name: name.to_owned(), taken, changed });
            if found.len() == 2 * MOST {
                // Whatever order the folder has them in: those that wait for something else keep none out.
                found.select_nth_unstable_by(MOST, Waiting::order);
                found.truncate(MOST);
            }
        }
        found.sort_by(Waiting::order);
        found.truncate(MOST);
        Ok(found)
    }

    /// Takes a file, durably. One that cannot be looked at now keeps its name, or has it back.
    pub(super) fn take(&self, waiting: &Waiting) -> io::Result<Took> {
        let held = match self.named(&waiting.name) {
            Some(held) => held,
            None => {
                let (id, name) = (Ulid::generate().to_string(), waiting.name.as_bytes());
                let stem = name.strip_suffix(&self.ending()[..]).unwrap_or_else(|| stem(name));
                match self.rename_free(&waiting.name, stem, &self.ending_of(&id))? {
                    Some(name) => Held { name, stem: stem.to_vec(), id },
                    None => return Ok(Took::Nothing),
                }
            }
        };
        fail_point("folder.before_sync");
        // A process that died may have renamed it without that. A loss of power may not give back the old name, by which
        // it would be taken for another one.
        let taken = self.sync().and_then(|()| self.examine(held.clone()));
        taken.inspect_err(|_| {
            if !waiting.taken {
                // Where that fails too, it is found when the server starts.
                let _ = self.give_back(&held);
            }
        })
    }

    /// Opens what was renamed, without following or waiting for anything, and looks at what it is.
    fn examine(&self, held: Held) -> io::Result<Took> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let unfit = |why: &str| Ok(Took::Unfit(held.clone(), why.to_owned()));
        let file = match openat(&self.dir, &held.name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(Took::Nothing),
            Err(Errno::LOOP) => return unfit("it is a symbolic link; links are not followed"),
            Err(Errno::NXIO | Errno::NODEV) => return unfit("it is a socket or a device, and no file"),
            // Somebody has a lease on it (fcntl(2)), as Samba takes them for its clients.
            Err(Errno::WOULDBLOCK) => return Ok(Took::Locked(held)),
            Err(error @ (Errno::ACCESS | Errno::PERM)) => {
                return unfit(&format!("the server may not read it: {}", io::Error::from(error)));
            }
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return unfit("it is a folder, and no file"),
            FileType::Fifo => return unfit("it is a pipe, and no file"),
            _ => return unfit("it is a device, and no file"),
        }
        if stat.st_nlink > 1 {
            return unfit("the file has a second name (a hard link): it may be somebody else's");
        }
        let open_to = match self.writers {
            Writers::Anybody => 0,
            Writers::Admitted => 0o002,
            Writers::Owners => 0o022,
        };
        if stat.st_mode & open_to != 0 {
            let mode = stat.st_mode & 0o7777;
            return unfit(&format!(
                "others than its owner may write the file (mode {mode:o}), so that it proves nothing"
            ));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(Took::Locked(held)),
            Err(error) => return Err(error.into()),
        }
        // Whoever had the lock before may be done with it, and with the file.
        if !self.is_same(&held.name, &stat) {
            return Ok(Took::Nothing);
        }
        Ok(Took::File(Box::new(Taken {
            file: File::from(file),
            called: String::from_utf8_lossy(&held.stem).into_owned(),
            owner: stat.st_uid,
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            changed: (stat.st_mtime, stat.st_mtime_nsec),
            held,
        })))
    }

    /// Makes the names of files durable, as far as the file system can.
    fn sync(&self) -> io::Result<()> {
        match fsync(&self.dir) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            synced => Ok(synced?),
        }
    }

    /// What was sent goes.
    pub(super) fn remove(&self, taken: &Taken) -> io::Result<()> {
        let stat = fstat(&taken.file)?;
        if self.is_same(&taken.held.name, &stat) {
            unlinkat(&self.dir, &taken.held.name, AtFlags::empty())?;
        }
        self.sync()
    }

    /// Gives a file its name back: it is tried again later.
    pub(super) fn give_back(&self, held: &Held) -> io::Result<()> {
        self.rename_free(&held.name, &held.stem, b".eml").map(|_| ())
    }

    /// Sets a file aside for good, with the reason in words beside it. Gives its name.
    pub(super) fn set_aside(&self, held: &Held, reason: &dyn Fn(&str) -> String) -> io::Result<String> {
        let Some(name) = self.rename_free(&held.name, &held.stem, b".bad")? else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file is gone"));
        };
        let shown = String::from_utf8_lossy(name.as_bytes()).into_owned();
        let beside = [stem(name.as_bytes()), b".reason"].concat();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
        match openat(&self.dir, OsStr::from_bytes(&beside), flags, mode) {
            Ok(file) => {
                // Whatever umask the server has: those who may read the folder's files may read this.
                fchmod(&file, mode)?;
                let mut file = File::from(file);
                file.write_all(reason(&shown).as_bytes())?;
                file.sync_all()?;
            }
            // Somebody's own file of that name stays as it is; the log has the reason.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.sync()?;
        Ok(shown)
    }

    /// Renames to the first free of `stem.ending`, `stem.1.ending`, …; none where the file is gone.
    fn rename_free(&self, from: &OsStr, stem: &[u8], ending: &[u8]) -> io::Result<Option<OsString>> {
        let stem = &stem[..stem.len().min(LONGEST)];
        for number in 0..NAMES {
            let between = if number == 0 { String::new() } else { format!(".{number}") };
            let to = OsString::from_vec([stem, between.as_bytes(), ending].concat());
            match self.rename(from, &to) {
                Ok(()) => return Ok(Some(to)),
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many files of the same name"))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
        match renameat_with(&self.dir, from, &self.dir, to, RenameFlags::NOREPLACE) {
            // File systems that cannot: no two programs but us rename here.
            Err(Errno::INVAL | Errno::NOSYS) => match statat(&self.dir, to, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => renameat(&self.dir, from, &self.dir, to),
                Err(error) => Err(error),
            },
            renamed => renamed,
        }
    }

    fn is_same(&self, name: &OsStr, stat: &Stat) -> bool {
        statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino))
    }

    /// What the names of files end with that this connector has taken.
    fn ending(&self) -> Vec<u8> {
        format!(".{}.tmp", self.tag).into_bytes()
    }

    /// ... and what those that it has taken under an id.
    fn ending_of(&self, id: &str) -> Vec<u8> {
        [b".", id.as_bytes(), &self.ending()].concat()
    }

    /// What was taken under this name.
    fn named(&self, name: &OsStr) -> Option<Held> {
        let stem = name.as_bytes().strip_suffix(&self.ending()[..])?;
        let (stem, id) = stem.split_at_checked(stem.len().checked_sub(ulid::ULID_LEN)?)?;
        let id = std::str::from_utf8(id).ok().filter(|id| Ulid::from_string(id).is_ok())?;
        let stem = stem.strip_suffix(b".").filter(|stem| !stem.is_empty())?;
        Some(Held { name: name.to_owned(), stem: stem.to_vec(), id: id.to_owned() })
    }

    fn is_own(&self, name: &[u8]) -> bool {
        name.strip_suffix(&self.ending()[..]).is_some_and(|stem| !stem.is_empty())
    }
}

impl Taken {
    /// Whether the text is still what it was when the file was taken.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        let stat = fstat(&self.file)?;
        Ok(u64::try_from(stat.st_size) == Ok(self.size) && (stat.st_mtime, stat.st_mtime_nsec) == self.changed)
    }

    /// What tells this taking from every other, and is found again when the process has died: the id in the name, and whose
    /// file it is. The folder shows the id to others, who may call a file of their own by it; they give none away, though.
    pub(super) fn key(&self) -> String {
        format!("{} {}", self.held.id, self.owner)
    }

    /// By which name it is set aside.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }
}

/// `*.eml` in any case; hidden files are their writers' own.
fn is_message(name: &[u8]) -> bool {
    name.len() > 4 && name[name.len() - 4..].eq_ignore_ascii_case(b".eml") && !name.starts_with(b".")
}

/// A name without its ending.
fn stem(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|octet| *octet == b'.').filter(|end| *end > 0);
    end.map_or(name, |end| &name[..end])
}

/// When anything about a file changed last, its name too; milliseconds since the Unix epoch.
fn changed(stat: &Stat) -> i64 {
    stat.st_ctime.saturating_mul(1000).saturating_add(stat.st_ctime_nsec / 1_000_000)
}

#[cfg(test)]
mod tests;
