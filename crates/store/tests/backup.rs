//! Backups through their public interface.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use acl::{Guid, Sid};
use directory::{Record, Time};
use store::{AuditEntry, AuditStore, Backup, DirectoryStore, StoreError, copy};
use tempfile::TempDir;

fn record(number: u8) -> Record {
    Record::new(Guid([number; 16]), None, format!("DC=d{number}")).with("objectClass", *b"domainDNS")
}

fn filled(path: &Path) -> DirectoryStore {
    let mut store = DirectoryStore::open(path).unwrap();
    store.fill(&Sid::new(5, &[18]), Time(5), "filled", [record(1), record(2)]).unwrap();
    store
}

/// A folder, a file of it, and a backup of that.
fn saved(octets: &[u8]) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (file, backup) = (folder.path().join("file"), folder.path().join("backup"));
    std::fs::write(&file, octets).unwrap();
    Backup::write(&backup, &[("file", &file), ("again", &file)]).unwrap();
    (folder, file, backup)
}

#[test]
fn files_come_out_as_they_went_in() {
    for size in [0, 1, 1 << 20, (1 << 20) + 1, 3_000_000] {
        let octets: Vec<u8> = (0..size).map(|n: usize| (n * 7 % 251) as u8).collect();
        let (folder, _, backup) = saved(&octets);
        let to = folder.path().join("out");
        Backup::open(&backup).unwrap().extract("again", &to).unwrap();
        assert!(std::fs::read(&to).unwrap() == octets, "{size}");
    }
}

#[test]
fn a_backup_lists_its_files() {
    let (_folder, _, backup) = saved(b"some octets");
    let parts = Backup::open(&backup).unwrap().parts().unwrap();
    let parts: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.size)).collect();
    assert_eq!(parts, [("again", 11), ("file", 11)]);
}

#[test]
fn a_backup_does_not_replace_a_file() {
    let (_folder, file, backup) = saved(b"x");
    let before = std::fs::read(&backup).unwrap();
    assert!(matches!(Backup::write(&backup, &[("file", &file)]), Err(StoreError::Conflict { .. })));
    assert_eq!(std::fs::read(&backup).unwrap(), before);
}

#[test]
fn a_backup_that_cannot_be_written_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("backup");
    assert!(Backup::write(&backup, &[("file", &folder.path().join("missing"))]).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_damaged_backup_is_not_extracted() {
    let octets = vec![b'q'; 100_000];
    let (folder, _, backup) = saved(&octets);
    let mut damaged = std::fs::read(&backup).unwrap();
    let at = damaged.windows(64).position(|window| window == [b'q'; 64]).unwrap();
    damaged[at + 40] = b'!';
    std::fs::write(&backup, damaged).unwrap();
    let to = folder.path().join("out");
    let backup = Backup::open(&backup).unwrap();
    let results = ["file", "again"].map(|name| {
        let result = backup.extract(name, &to);
        let _ = std::fs::remove_file(&to);
        result
    });
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::Corrupt { .. }))), "{results:?}");
}

#[test]
fn a_directory_is_no_backup() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("directory.db");
    drop(filled(&path));
    assert!(matches!(Backup::open(&path), Err(StoreError::Foreign { expected: "backup", .. })));
}

#[test]
fn a_directory_in_use_is_copied_as_it_is_at_that_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = filled(&folder.path().join("directory.db"));
    let to = folder.path().join("copy.db");
    store.copy_to(&to).unwrap();
    let copied = DirectoryStore::open(&to).unwrap();
    assert_eq!(copied.version(), 1);
    assert_eq!(copied.load(|records| records.collect::<Vec<_>>()).unwrap(), [record(1), record(2)]);
}

#[test]
fn an_audit_in_use_is_copied_by_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let mut audit = AuditStore::open(&path).unwrap();
    let entry = AuditEntry { id: "01J".into(), time: 5, kind: "sent-as".into(), json: "{}".into() };
    audit.append(std::slice::from_ref(&entry)).unwrap();
    let to = folder.path().join("copy.db");
    copy(&path, &to).unwrap();
    assert_eq!(AuditStore::open(&to).unwrap().get("01J").unwrap(), Some(entry));
}
