//! The directory as a whole: generated, exported, imported, applied, backed up and restored by the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{on, procura};
use tempfile::TempDir;

/// A folder with a data directory `data` of 40 generated mailboxes.
fn generated() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    procura(&["generate", "--mailboxes", "40", "--into", data.to_str().unwrap()]).ok();
    (folder, data)
}

fn exported(data: &Path) -> String {
    on(data, &["export"], "").ok()
}

#[test]
fn a_generated_organization_answers_questions_and_is_not_overwritten() {
    let (_folder, data) = generated();
    on(&data, &["who-can", "send-as", "u7@example.com"], "").ok();
    procura(&["generate", "--into", data.to_str().unwrap()]).fails(2, &["holds an organization already"]);
}

#[test]
fn an_export_is_what_an_import_makes_of_it() {
    let (folder, data) = generated();
    let before = exported(&data);
    let file = folder.path().join("all.ldif");
    std::fs::write(&file, &before).unwrap();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    on(&other, &["import", file.to_str().unwrap()], "").ok();
    let blocks = |text: &str| {
        let mut blocks: Vec<String> = text.split("\n\n").map(|block| block.trim().to_owned()).collect();
        blocks.sort();
        blocks
    };
    assert_eq!(blocks(&exported(&other)), blocks(&before));
}

#[test]
fn generated_ldif_is_that_of_the_generated_directory() {
    let (_folder, data) = generated();
    let ldif = procura(&["generate", "--mailboxes", "40", "--out", "-"]).ok();
    assert_eq!(ldif, exported(&data));
}

#[test]
fn a_restored_backup_is_the_directory_that_was_saved() {
    let (folder, data) = generated();
    let backup = folder.path().join("procura.backup");
    let before = exported(&data);
    on(&data, &["backup", backup.to_str().unwrap()], "").ok();
    on(&data, &["user", "add", "later"], "").ok();
    let restored = folder.path().join("restored");
    on(&restored, &["restore", backup.to_str().unwrap()], "").ok();
    assert_eq!(exported(&restored), before);
    on(&restored, &["restore", backup.to_str().unwrap()], "").fails(2, &["is there already: nothing was changed"]);
}

#[test]
fn a_damaged_backup_restores_nothing() {
    let (folder, data) = generated();
    let backup = folder.path().join("procura.backup");
    on(&data, &["backup", backup.to_str().unwrap()], "").ok();
    let mut octets = std::fs::read(&backup).unwrap();
    let middle = octets.len() / 2;
    octets[middle..middle + 4096].fill(0xA5);
    std::fs::write(&backup, octets).unwrap();
    let restored = folder.path().join("restored");
    assert_ne!(on(&restored, &["restore", backup.to_str().unwrap()], "").code, 0);
    assert!(!restored.join("directory.db").exists());
}

#[test]
fn a_file_is_applied_once_and_its_faults_have_lines() {
    let (folder, data) = generated();
    let file = folder.path().join("org.toml");
    let text = "[[ou]]\nname = \"Desk\"\n\n[[user]]\nname = \"anna\"\nou = \"OU=Desk\"\n\n\
                [[grant]]\non = \"OU=Desk\"\nuser = \"u1\"\nright = \"Send As\"\ninherit_to = \"user\"\n";
    std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let tried = on(&data, &["apply", path, "--dry-run"], "").ok();
    assert!(tried.contains("anna"), "{tried}");
    on(&data, &["user", "set", "anna", "--disable"], "").fails(2, &["anna"]);
    on(&data, &["apply", path], "").ok();
    assert!(on(&data, &["apply", path], "").ok().contains("nothing was changed"));
    std::fs::write(&file, text.replace("u1", "nobody-here")).unwrap();
    on(&data, &["apply", path], "").fails(2, &["org.toml:8: ", "nobody-here"]);
    std::fs::write(&file, text.replace("right", "rihgt")).unwrap();
    on(&data, &["apply", path], "").fails(2, &["org.toml:", "rihgt"]);
}

#[test]
fn a_grant_until_a_time_is_shown_with_it() {
    let (_folder, data) = generated();
    let grant = ["permission", "add", "u3", "--user", "u4", "--right", "Send As", "--until", "90d"];
    on(&data, &grant, "").ok();
    assert!(on(&data, &["permission", "get", "u3", "--user", "u4"], "").ok().contains("ends 20"));
    let grant = ["permission", "add", "u3", "--user", "u5", "--right", "Send As", "--until", "1999-01-01"];
    on(&data, &grant, "").fails(2, &["has passed"]);
}
