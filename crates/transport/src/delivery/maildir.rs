//! Local mailboxes as Maildir folders (<https://cr.yp.to/proto/maildir.html>).
//!
//! ```text
//! MAIL/<mailbox guid>/{tmp,new,cur}
//! MAIL/<primary address> -> <mailbox guid>        a link for people and for readers that go by address
//! ```
//!
//! A message is written to `tmp`, synced, renamed to `new`, and the folder is synced, before the queue hears that it was
//! delivered. Its file name follows from queue id and recipient alone, so a delivery that is repeated after a crash finds
//! what the first one left.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acl::Guid;
use queue::fail_point;
use thiserror::Error;

/// Bytes that the writer gathers before it asks the system.
const BUFFER: usize = 64 * 1024;
/// Mailboxes that are remembered to be on stable storage.
const MOST_DURABLE: usize = 200_000;

/// The folders of all local mailboxes below one directory.
#[derive(Debug, Clone)]
pub struct MailStore {
    root: PathBuf,
    /// Mailboxes whose folders this process has seen on stable storage.
    durable: Arc<Mutex<HashSet<Guid>>>,
    /// How a folder comes to be on stable storage.
    sync: fn(&Path) -> io::Result<()>,
}

/// Why a message could not be put into a mailbox. All of them are temporary for the sender.
#[derive(Debug, Error)]
pub enum MailStoreError {
    /// A folder or file could not be written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The message could not be read from the queue.
    #[error("{0}")]
    Body(#[from] queue::QueueError),
}

impl MailStoreError {
    /// Is the disk, or the quota of the owner of the files, full?
    pub fn is_full(&self) -> bool {
        matches!(self, MailStoreError::File { source, .. }
            if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }
}

/// What a delivery found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filed {
    /// The message is in the mailbox now, in this file.
    Written(PathBuf),
    /// An earlier delivery had put it there, in this file.
    AlreadyThere(PathBuf),
}

/// The name under which a recipient's copy of a message is filed; the same for each attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyName(String);

impl CopyName {
    /// `received` in milliseconds since the Unix epoch; `index` is the position of the recipient in the envelope.
    /// `:` and `/` have a meaning in Maildir names, so the host name is freed from them.
    pub fn new(received: i64, queue_id: &str, index: u32, hostname: &str) -> CopyName {
        let host: String =
            hostname.chars().map(|c| if matches!(c, '/' | ':') || c.is_control() { '_' } else { c }).collect();
        CopyName(format!("{}.{queue_id}R{index}.{host}", received.div_euclid(1000)))
    }
}

impl MailStore {
    /// The mailboxes below `root`; folders are made when the first message comes.
    pub fn new(root: impl Into<PathBuf>) -> MailStore {
        MailStore { root: root.into(), durable: Arc::default(), sync: |folder| File::open(folder)?.sync_all() }
    }

    /// The folder of a mailbox.
    pub fn folder(&self, mailbox: &Guid) -> PathBuf {
        self.root.join(mailbox.to_string())
    }

    /// Files one copy of a message. `write` writes it with CRLF line ends; they become LF, as readers of Maildir expect.
    /// `address` names the link to the folder. With `may_be_read` an earlier copy is looked for in `cur` too, where
    /// readers move what they have seen; this costs a listing of that folder.
    pub fn file(
        &self,
        mailbox: &Guid,
        address: Option<&str>,
        name: &CopyName,
        may_be_read: bool,
        write: impl FnOnce(&mut dyn Write) -> Result<(), CopyError>,
    ) -> Result<Filed, MailStoreError> {
        let folder = self.folder(mailbox);
        self.make(&folder, mailbox, address)?;
        if let Some(path) = earlier_copy(&folder, name, may_be_read)? {
            // The crash may have come between the rename and the sync of the folder.
            self.sync(&folder.join("new"))?;
            return Ok(Filed::AlreadyThere(path));
        }
        let temporary = folder.join("tmp").join(&name.0);
        let written = write_synced(&temporary, write);
        if let Err(error) = written {
            // What is left is overwritten by the next attempt; on a full disk its room is wanted now.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        let path = folder.join("new").join(&name.0);
        fail_point("delivery.before_rename");
        fs::rename(&temporary, &path).map_err(|source| failed("rename", &temporary, source))?;
        fail_point("delivery.after_rename");
        self.sync(&folder.join("new"))?;
        fail_point("delivery.after_directory_sync");
        Ok(Filed::Written(path))
    }

    /// Makes the folders of a mailbox, durably. That they are there is not enough: another delivery, or another process
    /// before a crash, may have made them a moment ago, and a message in a folder that is lost is lost with it. So each
    /// process syncs them once.
    fn make(&self, folder: &Path, mailbox: &Guid, address: Option<&str>) -> Result<(), MailStoreError> {
        if self.durable().contains(mailbox) && folder.join("new").is_dir() {
            return Ok(());
        }
        for part in ["tmp", "cur", "new"] {
            let part = folder.join(part);
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&part)
                .map_err(|source| failed("create", &part, source))?;
        }
        self.sync(folder)?;
        if let Some(address) = address.filter(|address| is_plain_name(address)) {
            let link = self.root.join(address);
            match symlink(mailbox.to_string(), &link) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    tracing::warn!(link = %link.display(), %error, "a mailbox cannot be linked to its address");
                }
                _ => {}
            }
        }
        self.sync(&self.root)?;
        if let Some(parent) = self.root.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.sync(parent)?;
        }
        let mut durable = self.durable();
        if durable.len() >= MOST_DURABLE {
            durable.clear();
        }
        durable.insert(*mailbox);
        Ok(())
    }

    fn sync(&self, folder: &Path) -> Result<(), MailStoreError> {
        (self.sync)(folder).map_err(|source| failed("sync", folder, source))
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<Guid>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may go wrong while a copy is written: on the way out, or on the way in.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// Reading from the queue failed.
    #[error(transparent)]
    Body(#[from] queue::QueueError),
}

fn write_synced(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), CopyError>,
) -> Result<(), MailStoreError> {
    let file_error = |source| failed("write", path, source);
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(file_error)?;
    fail_point("delivery.before_write");
    let mut lines = UnixLines { inner: BufWriter::with_capacity(BUFFER, file), held: false };
    write(&mut lines).map_err(|error| match error {
        CopyError::Write(source) => file_error(source),
        CopyError::Body(error) => error.into(),
    })?;
    let file = lines.finish().map_err(file_error)?;
    file.sync_all().map_err(|source| failed("sync", path, source))?;
    fail_point("delivery.after_write");
    Ok(())
}

/// A copy of this name that an earlier attempt left, in `new` or, flags appended to its name, in `cur`.
fn earlier_copy(folder: &Path, name: &CopyName, may_be_read: bool) -> Result<Option<PathBuf>, MailStoreError> {
    let new = folder.join("new").join(&name.0);
    if new.exists() {
        return Ok(Some(new));
    }
    if !may_be_read {
        return Ok(None);
    }
    let cur = folder.join("cur");
    let listing = fs::read_dir(&cur).map_err(|source| failed("list", &cur, source))?;
    for entry in listing {
        let entry = entry.map_err(|source| failed("list", &cur, source))?;
        if let Some(rest) = entry.file_name().to_str().and_then(|file| file.strip_prefix(&name.0))
            && (rest.is_empty() || rest.starts_with([':', ',', ';', '!', '-']))
        {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// An address that can be a file name as it is, and cannot be one of our own.
fn is_plain_name(address: &str) -> bool {
    address.contains('@') && address.len() <= 200 && !address.starts_with('.') && !address.contains(['/', '\0'])
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> MailStoreError {
    MailStoreError::File { action, path: path.into(), source }
}

/// Turns CRLF into LF, wherever the pieces are cut; any other CR stays.
struct UnixLines<W> {
    inner: W,
    /// A CR came last, and was not written yet.
    held: bool,
}

impl UnixLines<BufWriter<File>> {
    fn finish(mut self) -> io::Result<File> {
        if self.held {
            self.inner.write_all(b"\r")?;
        }
        self.inner.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl<W: Write> Write for UnixLines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        if self.held && !rest.is_empty() {
            if rest[0] != b'\n' {
                self.inner.write_all(b"\r")?;
            }
            self.held = false;
        }
        while let Some(at) = rest.iter().position(|&byte| byte == b'\r') {
            self.inner.write_all(&rest[..at])?;
            match rest.get(at + 1) {
                Some(b'\n') => {}
                Some(_) => self.inner.write_all(b"\r")?,
                None => self.held = true,
            }
            rest = &rest[at + 1..];
        }
        self.inner.write_all(rest)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn guid() -> Guid {
        Guid([7; 16])
    }

    fn name() -> CopyName {
        CopyName::new(1_764_000_000_123, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", 0, "mail.example.com")
    }

    fn file(store: &MailStore, may_be_read: bool, text: &str) -> Filed {
        store
            .file(&guid(), Some("alice@example.com"), &name(), may_be_read, |out| Ok(out.write_all(text.as_bytes())?))
            .unwrap()
    }

    #[test]
    fn a_message_lands_in_new_with_unix_line_ends() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path().join("mail"));
        let Filed::Written(path) = file(&store, false, "Subject: x\r\n\r\nbody\r\n") else { panic!("written") };
        assert_eq!(fs::read(&path).unwrap(), b"Subject: x\n\nbody\n");
        assert_eq!(path.parent().unwrap(), store.folder(&guid()).join("new"));
        assert_eq!(fs::read_dir(store.folder(&guid()).join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn the_address_links_to_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path().join("mail"));
        file(&store, false, "x");
        assert_eq!(fs::read_dir(root.path().join("mail/alice@example.com/new")).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_that_is_there_is_not_written_again() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path());
        file(&store, false, "first");
        let Filed::AlreadyThere(path) = file(&store, false, "second") else { panic!("already there") };
        assert_eq!(fs::read(path).unwrap(), b"first");
    }

    #[test]
    fn a_copy_that_was_read_meanwhile_is_found_in_cur() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path());
        let Filed::Written(path) = file(&store, false, "first") else { panic!("written") };
        let seen =
            store.folder(&guid()).join("cur").join(format!("{}:2,S", path.file_name().unwrap().to_str().unwrap()));
        fs::rename(&path, &seen).unwrap();
        assert_eq!(file(&store, true, "second"), Filed::AlreadyThere(seen));
    }

    #[test]
    fn what_a_crash_left_in_tmp_is_overwritten() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path());
        file(&store, false, "x");
        let (folder, name) = (store.folder(&guid()), name());
        fs::remove_file(folder.join("new").join(&name.0)).unwrap();
        fs::write(folder.join("tmp").join(&name.0), "a torn copy, longer than the message").unwrap();
        let Filed::Written(path) = file(&store, true, "whole") else { panic!("written") };
        assert_eq!(fs::read(path).unwrap(), b"whole");
    }

    thread_local! {
        /// What was synced, and how many syncs are to fail before.
        static SYNCED: RefCell<(Vec<PathBuf>, u32)> = RefCell::default();
    }

    /// A store whose syncs are noted, after so many that fail.
    fn noting(root: &Path, fail: u32) -> MailStore {
        SYNCED.set((Vec::new(), fail));
        let sync = |folder: &Path| {
            SYNCED.with_borrow_mut(|(synced, fail)| {
                if *fail > 0 {
                    *fail -= 1;
                    return Err(ErrorKind::Other.into());
                }
                synced.push(folder.to_owned());
                Ok(())
            })
        };
        MailStore { sync, ..MailStore::new(root) }
    }

    fn deliver(store: &MailStore) -> Result<Filed, MailStoreError> {
        store.file(&guid(), None, &name(), false, |out| Ok(out.write_all(b"x")?))
    }

    #[test]
    fn the_folders_of_a_new_mailbox_are_synced_before_its_message_counts() {
        let root = tempfile::tempdir().unwrap();
        let mail = root.path().join("mail");
        let store = noting(&mail, 0);
        deliver(&store).unwrap();
        let folder = store.folder(&guid());
        let all = [folder.clone(), mail, root.path().to_owned(), folder.join("new")];
        assert_eq!(SYNCED.take().0, all);
    }

    #[test]
    fn folders_that_another_delivery_made_and_has_not_synced_are_synced() {
        let root = tempfile::tempdir().unwrap();
        let mail = root.path().join("mail");
        // The first delivery makes the folders, and comes no further.
        for fail in 1..=3 {
            let store = noting(&mail, fail);
            assert!((0..fail).all(|_| deliver(&store).is_err()));
            deliver(&store).unwrap();
            let synced = SYNCED.take().0;
            let (folder, new) = (store.folder(&guid()), store.folder(&guid()).join("new"));
            for wanted in [folder.as_path(), &mail, root.path(), &new] {
                assert!(synced.iter().any(|folder| folder == wanted), "{}: {synced:?}", wanted.display());
            }
        }
    }

    #[test]
    fn folders_that_an_earlier_process_left_are_synced_once() {
        let root = tempfile::tempdir().unwrap();
        deliver(&MailStore::new(root.path())).unwrap();
        let store = noting(root.path(), 0);
        let file = |number| {
            let name = CopyName::new(0, "01J8ZQ5C3N5T6V7W8X9Y0Z1A2B", number, "mail.example.com");
            store.file(&guid(), None, &name, false, |out| Ok(out.write_all(b"x")?)).unwrap();
            SYNCED.take().0
        };
        assert!(file(1).contains(&store.folder(&guid())));
        assert_eq!(file(2), [store.folder(&guid()).join("new")]);
    }

    #[test]
    fn a_failure_while_writing_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = MailStore::new(root.path());
        let result = store.file(&guid(), None, &name(), false, |out| {
            out.write_all(b"half")?;
            Err(CopyError::Write(ErrorKind::StorageFull.into()))
        });
        assert!(result.unwrap_err().is_full());
        for part in ["tmp", "new", "cur"] {
            assert_eq!(fs::read_dir(store.folder(&guid()).join(part)).unwrap().count(), 0, "{part}");
        }
    }

    #[test]
    fn line_ends_are_turned_wherever_the_pieces_are_cut() {
        let text = b"a\r\n\r\n\rb\r\r\nc\n\r";
        for cut in 0..=text.len() {
            let mut lines = UnixLines { inner: Vec::new(), held: false };
            lines.write_all(&text[..cut]).unwrap();
            lines.write_all(&text[cut..]).unwrap();
            assert_eq!(lines.inner, b"a\n\n\rb\r\nc\n", "cut at {cut}");
            assert!(lines.held);
        }
    }

    #[test]
    fn an_address_that_is_no_file_name_gets_no_link() {
        for address in ["../../etc@example.com", "a/b@example.com", ".@example.com", "root"] {
            assert!(!is_plain_name(address), "{address}");
        }
    }
}
