//! The data directory and its one owner (`architecture.md`, "One process owns the data directory").

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, flock};
use rustix::process::{geteuid, getuid, umask};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Another process owns it.
    #[error("{} is in use by {}", path.display(), owner_in_words(*pid))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its owner; 0 when unknown.
        pid: u32,
    },
    /// Nothing is there.
    #[error("{}: there is no data directory", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not empty and is no data directory of Procura", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
    },
    /// Others could read or change it.
    #[error("{} is open to others (mode {mode:o})", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataError {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            DataError::Locked { pid: 0, .. } => "wait until the other process ends, or stop it".into(),
            DataError::Locked { pid, .. } => {
                format!("one process owns a data directory; stop process {pid}, or use another directory with --data")
            }
            DataError::Missing { path } => format!("create one with `procura init {}`", path.display()),
            DataError::Foreign { .. } => "choose an empty or a new directory with --data".into(),
            DataError::Exposed { path, .. } => format!("close it with `chmod 700 {}`", path.display()),
            DataError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run the command as the owner of the data directory, or as root".into()
            }
            DataError::Io { .. } => "check the path, its permissions and the free space".into(),
        }
    }

    fn io(path: &Path) -> impl FnOnce(io::Error) -> DataError + '_ {
        |source| DataError::Io { path: path.to_owned(), source }
    }
}

fn owner_in_words(pid: u32) -> String {
    if pid == 0 { "another process".into() } else { format!("process {pid}") }
}

/// What to do when the directory is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Create it.
    Create,
    /// [`DataError::Missing`].
    Refuse,
}

/// The exclusive owner of a data directory; the lock ends with it.
///
/// A process started by root on somebody else's directory continues as that user, so that no file of root's is left
/// behind; of root's capabilities it keeps the one that binds ports below 1024. This holds for the calling thread and
/// the threads it starts afterwards: open the directory before there are others.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    absent: Absent,
    caller: u32,
    owner: u32,
    _lock: File,
}

/// Files that show that a directory is ours.
const OURS: [&str; 5] = ["lock", "directory.db", "audit.db", "queue.db", "procura.toml"];
/// What a server makes when it starts.
const AT_WORK: [&str; 3] = ["audit.db", "queue", "mail"];

impl DataDirectory {
    /// Takes a data directory, or says who has it.
    pub fn open(path: &Path, absent: Absent) -> Result<DataDirectory, DataError> {
        let caller = getuid().as_raw();
        umask(Mode::RWXG | Mode::RWXO);
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Self::check_existing(path, &meta)?,
            Ok(_) => return Err(DataError::io(path)(io::Error::from(io::ErrorKind::NotADirectory))),
            Err(e) if e.kind() == io::ErrorKind::NotFound && absent == Absent::Create => {
                if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                    fs::create_dir_all(parent).map_err(DataError::io(parent))?;
                }
                DirBuilder::new().mode(0o700).create(path).map_err(DataError::io(path))?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(DataError::Missing { path: path.to_owned() }),
            Err(e) => return Err(DataError::io(path)(e)),
        }
        let path = fs::canonicalize(path).map_err(DataError::io(path))?;
        let meta = fs::metadata(&path).map_err(DataError::io(&path))?;
        if geteuid().is_root() && meta.uid() != 0 {
            become_owner(meta.uid(), meta.gid()).map_err(DataError::io(&path))?;
        }
        let lock = take_lock(&path)?;
        Ok(DataDirectory { absent, caller, owner: meta.uid(), _lock: lock, path })
    }

    fn check_existing(path: &Path, meta: &fs::Metadata) -> Result<(), DataError> {
        let mut entries = fs::read_dir(path).map_err(DataError::io(path))?;
        let empty = entries.next().is_none();
        if !empty && !OURS.iter().any(|name| path.join(name).exists()) {
            return Err(DataError::Foreign { path: path.to_owned() });
        }
        let mode = meta.mode() & 0o7777;
        if mode & 0o027 == 0 {
            return Ok(());
        }
        if empty {
            // mktemp -d and mkdir give what the umask says; nothing is in it yet that anybody could have touched.
            return fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(DataError::io(path));
        }
        Err(DataError::Exposed { path: path.to_owned(), mode })
    }

    /// Whether a server was ever at work in a data directory.
    pub fn was_at_work(path: &Path) -> bool {
        AT_WORK.iter().any(|name| path.join(name).exists())
    }

    /// Whether what is not in it may be made.
    pub fn may_be_new(&self) -> bool {
        self.absent == Absent::Create
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user who started this process.
    pub fn caller(&self) -> u32 {
        self.caller
    }

    /// The user the directory belongs to: an administrator, as root is.
    pub fn owner(&self) -> u32 {
        self.owner
    }

    /// The administration socket.
    pub fn socket(&self) -> PathBuf {
        socket_path(&self.path)
    }
}

/// The administration socket of a data directory.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join("admin.sock")
}

fn take_lock(directory: &Path) -> Result<File, DataError> {
    let path = directory.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(DataError::io(&path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _ = (&file).take(32).read_to_string(&mut text);
            return Err(DataError::Locked { path: directory.to_owned(), pid: text.trim().parse().unwrap_or(0) });
        }
        Err(e) => return Err(DataError::io(&path)(e.into())),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(DataError::io(&path))?;
    Ok(file)
}

/// Gives root up for good; keeps only the capability to bind ports below 1024.
fn become_owner(uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::process::Uid::from_raw(uid), rustix::process::Gid::from_raw(gid));
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let bind = CapabilitySet::NET_BIND_SERVICE;
    // A container may not have given root even this one; then there is nothing to keep.
    let _ = set_capabilities(
        None,
        CapabilitySets { effective: bind, permitted: bind, inheritable: CapabilitySet::empty() },
    )
    .or_else(|_| {
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let first = DataDirectory::open(&path, Absent::Create).unwrap();
        match DataDirectory::open(&path, Absent::Create) {
            Err(DataError::Locked { pid, .. }) => assert_eq!(pid, std::process::id()),
            other => panic!("{other:?}"),
        }
        drop(first);
        DataDirectory::open(&path, Absent::Refuse).unwrap();
    }

    #[test]
    fn a_new_directory_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/data");
        DataDirectory::open(&path, Absent::Create).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDirectory::open(folder.path(), Absent::Create).unwrap());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(matches!(DataDirectory::open(folder.path(), Absent::Create), Err(DataError::Exposed { .. })));
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letter.txt"), "dear").unwrap();
        assert!(matches!(DataDirectory::open(folder.path(), Absent::Create), Err(DataError::Foreign { .. })));
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_created_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        assert!(matches!(DataDirectory::open(&path, Absent::Refuse), Err(DataError::Missing { .. })));
        assert!(!path.exists());
    }
}
