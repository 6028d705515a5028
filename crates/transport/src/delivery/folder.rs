//! Drop folders: messages are left as files, with their envelope in fields before the header, for a program that takes
//! them from there (as the Drop directory of a Foreign connector in the reference; F §3.11).
//!
//! A file has its name when it is whole and on stable storage, and not before. The name is the same for each attempt, so
//! that an attempt whose outcome was lost is found again as long as nobody has taken the file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use acl::Guid;
use directory::HostKind;
use directory::{Config, ObjectId, Rewrite, SendAuth, SendConnector, Snapshot};
use message::Address;
use message::Keep;
use message::replay::{FiledEnvelope, Parameter, write_filed};
use queue::Delivery;
use rights::Receiver;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, RenameFlags, fchmod, fstat, fsync, openat, renameat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use session::Extensions;
use smtp::{ReturnContent, xtext};

use super::errand::{Errand, Manner};
use super::fate::Fate;
use super::outgoing::OpenError;
use super::terms::Allowed;
use super::worker::{Courier, RECIPIENTS, cannot_open, looping};
use crate::facts::{MessageFacts, notify_words};
use crate::folders::sandbox_hint;
use crate::shared::Shared;

/// Points at which a test kills the process.
const FAIL_POINTS: &[&str] = &["drop.before_rename", "drop.after_rename"];
/// Names that are tried for a file.
const ATTEMPTS: u32 = 100;
/// Written at a time.
const BUFFER: usize = 64 * 1024;

/// A send connector that leaves its messages in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropFolder {
    /// The connector.
    pub connector: (ObjectId, Guid),
    /// The folder.
    pub path: String,
    /// Whoever takes the files is believed to be a server of ours: the connector says so (ExternalAuthoritative).
    pub believed: bool,
}

impl DropFolder {
    /// That of a connector that has one.
    pub(crate) fn of(connector: (ObjectId, Guid), settings: &SendConnector) -> Option<DropFolder> {
        let path = settings.drop_folder.clone()?;
        Some(DropFolder { connector, path, believed: settings.auth == SendAuth::ExternalAuthoritative })
    }
}

impl Courier {
    /// Leaves a message in a folder, one file for so many recipients as one transaction has.
    pub(super) async fn leave(
        &self,
        snapshot: &Snapshot,
        delivery: &Delivery,
        (folder, manner): &(DropFolder, Manner),
        errands: &[Errand],
    ) -> Vec<(u32, Fate)> {
        let all = |errands: &[Errand], fate: Fate| -> Vec<(u32, Fate)> {
            errands.iter().map(|errand| (errand.index, fate.clone())).collect()
        };
        let asked = MessageFacts::read(&delivery.parameters).0;
        if asked.require_tls {
            let reason = "the message must be sent with REQUIRETLS, and its way ends in a folder of files";
            return all(errands, Fate::failed((5, 7, 30), reason));
        }
        let receiver = match folder.believed {
            true => Receiver::Host(HostKind::ExternallySecured),
            false => Receiver::Anonymous,
        };
        let (connector, _) = folder.connector;
        let rules = match snapshot.object(connector).and_then(|object| object.config()) {
            Some(Config::SendConnector(settings)) => settings.rewrites.clone(),
            _ => Vec::new(),
        };
        let mut fates = Vec::with_capacity(errands.len());
        for part in errands.chunks(RECIPIENTS) {
            let Ok(_permit) = self.local.acquire().await else { return fates };
            let leaving = Leaving {
                shared: Arc::clone(&self.shared),
                hostname: self.hostname.clone(),
                max_hops: self.options.max_hops,
                queue_id: delivery.queue_id.clone(),
                path: folder.path.clone(),
                manner: manner.clone(),
                keep: Allowed::of(snapshot, Some(connector), &receiver).keep,
                rules: rules.clone(),
                asked: asked.clone(),
                errands: part.to_vec(),
            };
            let left = tokio::task::spawn_blocking(move || leaving.leave()).await;
            let fate = left.unwrap_or_else(|error| {
                tracing::error!(queue_id = delivery.queue_id, %error, "a delivery to a folder broke off");
                Fate::later("the delivery broke off")
            });
            fates.extend(all(part, fate));
        }
        fates
    }
}

/// What the blocking thread needs.
struct Leaving {
    shared: Arc<Shared>,
    hostname: String,
    max_hops: u32,
    queue_id: String,
    path: String,
    manner: Manner,
    keep: Keep,
    rules: Vec<Rewrite>,
    asked: Extensions,
    errands: Vec<Errand>,
}

impl Leaving {
    fn leave(self) -> Fate {
        let to = self.errands.first().map(|errand| errand.address.as_str()).unwrap_or_default();
        let mut message = match self.manner.open(self.shared.queue(), &self.queue_id, &self.hostname, to) {
            Ok(message) if message.loops(self.max_hops) => return looping(),
            Ok(message) => message,
            Err(error) => return cannot_open(&self.queue_id, &error),
        };
        if let Err(error) = message.rewrite_senders(&self.rules) {
            return cannot_open(&self.queue_id, &error);
        }
        let header = message.for_file(self.keep);
        let envelope = write_filed(&self.envelope(), header.len() as u64 + message.body_len());
        let first = self.errands.first().map_or(0, |errand| errand.index);
        let name = format!("{}.{first}", self.queue_id);
        let mut body = || message.next_block().map(|block| block.into_owned());
        match write(Path::new(&self.path), &name, (&envelope, &header), &mut body) {
            Ok(()) => {
                self.shared.figures().filed("drop", "written");
                Fate::Relayed { host: format!("the folder {}", self.path), reports: false }
            }
            Err(WriteFault::Message(error)) => cannot_open(&self.queue_id, &error),
            Err(WriteFault::Exposed(mode)) => {
                Fate::down(format!("everybody on this machine may write into the folder {} (mode {mode:o})", self.path))
            }
            Err(WriteFault::File(error)) => {
                tracing::error!(queue_id = self.queue_id, path = self.path, %error, "a message cannot be left in a folder");
                Fate::down(format!("the folder {} cannot be written: {error}{}", self.path, sandbox_hint(&error)))
            }
        }
    }

    fn envelope(&self) -> FiledEnvelope {
        let sender = self.manner.sender.as_deref().and_then(|sender| Address::parse(sender).ok());
        let rewritten = sender.as_ref().and_then(|sender| Rewrite::apply(&self.rules, sender));
        let mut sender_parameters: Vec<Parameter> = Vec::new();
        if !self.manner.journal {
            let ret = self.asked.ret.map(|ret| if ret == ReturnContent::Full { "FULL" } else { "HDRS" });
            sender_parameters.extend(ret.map(|ret| ("RET", ret.to_owned())));
            sender_parameters.extend(self.asked.envid.as_ref().map(|envid| ("ENVID", xtext::encode(envid))));
        }
        let receivers = self.errands.iter().map(|errand| {
            let mut parameters: Vec<Parameter> = Vec::new();
            parameters.extend(errand.params.notify.map(|notify| ("NOTIFY", notify_words(notify))));
            if let Some(original) = &errand.params.orcpt {
                parameters.push(("ORCPT", format!("{};{}", original.kind, xtext::encode(&original.address))));
            }
            (errand.address.clone(), parameters)
        });
        FiledEnvelope {
            sender: rewritten.or(sender),
            sender_parameters,
            receivers: receivers.collect(),
            created_by: Some("Procura".to_owned()),
            helo: None,
            source: None,
        }
    }
}

/// Why a file could not be written.
#[derive(Debug)]
enum WriteFault {
    /// The message cannot be read.
    Message(OpenError),
    /// Anybody could change the files: the folder's mode.
    Exposed(u32),
    /// The folder, or the file.
    File(io::Error),
}

impl From<io::Error> for WriteFault {
    fn from(error: io::Error) -> WriteFault {
        WriteFault::File(error)
    }
}

impl From<Errno> for WriteFault {
    fn from(error: Errno) -> WriteFault {
        WriteFault::File(error.into())
    }
}

/// The text behind the header, piece by piece; an empty one ends it.
type Body<'b> = dyn FnMut() -> Result<Vec<u8>, OpenError> + 'b;

/// Writes `name.eml`, durably, unless it is there with this envelope. One of that name with another envelope is of an attempt
/// whose outcome was lost, for other recipients than there are now: it stays, and the file is `name.1.eml`.
fn write(folder: &Path, name: &str, head: (&[u8], &[u8]), body: &mut Body<'_>) -> Result<(), WriteFault> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = openat(CWD, folder, flags, Mode::empty())?;
    let mode = fstat(&dir)?.st_mode;
    if mode & 0o002 != 0 {
        return Err(WriteFault::Exposed(mode & 0o7777));
    }
    let temporary = format!(".{name}.tmp");
    for number in 0..ATTEMPTS {
        let name = if number == 0 { format!("{name}.eml") } else { format!("{name}.{number}.eml") };
        match begins_with(&dir, &name, head.0) {
            Some(true) => return Ok(fsync(&dir)?),
            Some(false) => continue,
            None => {}
        }
        if let Err(fault) = fill(&dir, &temporary, head, body) {
            // On a full disk its room is wanted now.
            let _ = unlinkat(&dir, &temporary, AtFlags::empty());
            return Err(fault);
        }
        failpoint::pass(FAIL_POINTS, "drop.before_rename");
        rename(&dir, OsStr::new(&temporary), OsStr::new(&name))?;
        failpoint::pass(FAIL_POINTS, "drop.after_rename");
        return Ok(fsync(&dir)?);
    }
    Err(WriteFault::File(io::Error::new(io::ErrorKind::AlreadyExists, "there are other files of its name")))
}

/// Whether a file begins so; none: there is no such file.
fn begins_with(dir: &OwnedFd, name: &str, begin: &[u8]) -> Option<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => None,
        Err(_) => Some(false),
        Ok(file) => {
            let mut found = vec![0; begin.len()];
            Some(File::from(file).read_exact(&mut found).is_ok() && found == begin)
        }
    }
}

fn fill(dir: &OwnedFd, temporary: &str, head: (&[u8], &[u8]), body: &mut Body<'_>) -> Result<(), WriteFault> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP;
    let create = || openat(dir, temporary, flags, mode);
    let file = match create() {
        // An attempt that broke off has left it.
        Err(Errno::EXIST) => {
            unlinkat(dir, temporary, AtFlags::empty())?;
            create()?
        }
        created => created?,
    };
    // Whatever umask the server has: the group of the folder takes the file.
    fchmod(&file, mode)?;
    let mut out = BufWriter::with_capacity(BUFFER, File::from(file));
    out.write_all(head.0)?;
    out.write_all(head.1)?;
    loop {
        let block = body().map_err(WriteFault::Message)?;
        if block.is_empty() {
            break;
        }
        out.write_all(&block)?;
    }
    let file = out.into_inner().map_err(|error| error.into_error())?;
    Ok(file.sync_all()?)
}

fn rename(dir: &OwnedFd, from: &OsStr, to: &OsStr) -> rustix::io::Result<()> {
    match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        // File systems that cannot: nobody else makes files of such names.
        Err(Errno::INVAL | Errno::NOSYS) => renameat(dir, from, dir, to),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn leave(folder: &Path, envelope: &str) {
        let mut pieces = vec![Vec::new(), b"text\r\n".to_vec()];
        let mut body = || Ok(pieces.pop().unwrap_or_default());
        write(folder, "ID.0", (envelope.as_bytes(), b"From: a@x.test\r\n\r\n"), &mut body).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_that_was_left_before_is_found_by_its_envelope_and_another_does_not_stand_for_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        leave(folder.path(), "X-Receiver: <one@x.test>\r\n");
        leave(folder.path(), "X-Receiver: <one@x.test>\r\n");
        assert_eq!(names(folder.path()), ["ID.0.eml"]);
        leave(folder.path(), "X-Receiver: <two@x.test>\r\n");
        assert_eq!(names(folder.path()), ["ID.0.1.eml", "ID.0.eml"]);
        let text = fs::read_to_string(folder.path().join("ID.0.1.eml")).unwrap();
        assert_eq!(text, "X-Receiver: <two@x.test>\r\nFrom: a@x.test\r\n\r\ntext\r\n");
    }
}
