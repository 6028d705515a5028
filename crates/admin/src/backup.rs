//! A backup while everything runs: directory, history, credentials, settings, audit and configuration in one file.

use std::fs;
use std::path::{Path, PathBuf};

use store::Backup;

use crate::authorize::is_administrator;
use crate::error::{Fault, FaultKind};
use crate::response::{Done, Response};
use crate::service::{Asked, audit_path};

pub fn backup(asked: Asked<'_>, file: &Path) -> Result<Response, Fault> {
    let service = asked.service;
    if !is_administrator(asked.snapshot, asked.caller) {
        return Err(Fault::new(FaultKind::Denied, format!("{} may not back the directory up", asked.caller.name))
            .help("a backup holds password hashes and all decisions: only administrators may"));
    }
    if asked.trial.is_some() {
        return Err(Fault::new(FaultKind::Unsupported, "a backup cannot be tried out").help("leave --dry-run away"));
    }
    if !file.is_absolute() {
        return Err(Fault::new(FaultKind::Invalid, format!("{} is not an absolute path", file.display())));
    }
    let copies = Copies::new(service.directory());
    // With the lock of changes: a copy of one moment, for which changes wait. Mail does not.
    service.store().copy_to(&copies.directory)?;
    let audit = audit_path(service.directory());
    let configuration = service.directory().join("procura.toml");
    let mut parts: Vec<(&str, &Path)> = vec![("directory.db", &copies.directory)];
    if audit.exists() {
        store::copy(&audit, &copies.audit)?;
        parts.push(("audit.db", &copies.audit));
    }
    if configuration.exists() {
        parts.push(("procura.toml", &configuration));
    }
    Backup::write(file, &parts)?;
    let summary =
        format!("wrote {}: {} objects, version {}", file.display(), asked.snapshot.len(), asked.snapshot.version());
    let warnings =
        vec!["messages that wait for delivery, delivered mail, TLS keys and certificates are not in it".to_owned()];
    Ok(Response::Done(Done { summary, warnings, ..Done::default() }))
}

/// Copies on the way into the backup; gone when this is.
struct Copies {
    directory: PathBuf,
    audit: PathBuf,
}

impl Copies {
    /// Removes what a crash may have left behind.
    fn new(folder: &Path) -> Copies {
        let copies = Copies { directory: folder.join("backup-directory.tmp"), audit: folder.join("backup-audit.tmp") };
        copies.remove();
        copies
    }

    fn remove(&self) {
        for path in [&self.directory, &self.audit] {
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        self.remove();
    }
}
