//! Rights on folders, through the real binary: given, asked, handed on to an IMAP server's Maildirs.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::on;
use tempfile::TempDir;

/// An organization with the users ann and bob, who have mailboxes.
fn organization() -> (TempDir, PathBuf) {
    common::organization(&["ann --mailbox", "bob --mailbox"])
}

fn run(data: &Path, words: &[&str]) -> common::Finished {
    on(data, &[&["folder-permission"], words].concat(), "")
}

/// The Maildir of a user, with these folders in it; how its mailbox is called.
fn maildir(data: &Path, who: &str, folders: &[&str]) -> PathBuf {
    let rows = on(data, &["mailbox", "list", "--format", "json"], "").json();
    let owner = format!("EXAMPLE\\{who}");
    let row = rows["rows"].as_array().unwrap().iter().find(|row| row["owner"] == *owner).unwrap().clone();
    let maildir = data.join("mail").join(row["guid"].as_str().unwrap());
    for name in [""].iter().chain(folders) {
        fs::create_dir_all(maildir.join(name).join("cur")).unwrap();
    }
    maildir
}

/// S0: “Permissions to access your mailbox folders are separate and must be granted in addition to delegation
/// permissions.”
#[test]
fn rights_on_folders_are_granted_in_addition_to_delegation() {
    let (_folder, data) = organization();
    let calendar = "ann@example.com:\\Calendar";
    on(&data, &["send-on-behalf", "add", "ann", "bob"], "").ok();
    let sends = || on(&data, &["check", "--as", "bob", "--from", "ann@example.com"], "").code;
    assert_eq!(sends(), 0);
    let asked = run(&data, &["check", calendar, "--as", "bob"]);
    assert_eq!(asked.code, 1);
    assert!(asked.out.contains("that gives no right on folders"), "{}", asked.out);
    run(&data, &["add", calendar, "--user", "bob", "--rights", "Editor"]).ok();
    assert_eq!(run(&data, &["check", calendar, "--as", "bob", "--rights", "Editor"]).code, 0);
    on(&data, &["send-on-behalf", "remove", "ann", "bob"], "").ok();
    assert_eq!(sends(), 1);
}

#[test]
fn a_trial_gives_nothing() {
    let (_folder, data) = organization();
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Editor", "--dry-run"]).ok();
    assert!(!run(&data, &["get", "ann:\\Calendar"]).ok().contains("bob"));
}

#[test]
fn an_entry_is_a_row_for_programs() {
    let (_folder, data) = organization();
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "ReadAny,Create"]).ok();
    let rows = run(&data, &["get", "ann:\\Calendar\\Team", "--format", "json"]).json();
    let row = &rows["rows"][2];
    assert_eq!((&row["user"], &row["rights"]), (&"EXAMPLE\\bob".into(), &"ReadAny,Create".into()));
    assert_eq!((&row["folder"], &row["from"]), (&"\\Calendar\\Team".into(), &"\\Calendar".into()));
    let csv = run(&data, &["check", "ann:\\Calendar", "--as", "bob", "--rights", "ReadAny", "--format", "csv"]).ok();
    assert!(csv.contains("ReadAny"), "{csv}");
}

#[test]
fn wrong_words_are_refused_with_what_there_is() {
    let (_folder, data) = organization();
    let wrong = run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Emperor"]);
    wrong.fails(2, &["no role and no right on folders called `Emperor`", "PublishingEditor", "FreeBusyDetailed"]);
    run(&data, &["add", "ann:Calendar", "--user", "bob", "--rights", "Editor"])
        .fails(2, &["alice@example.com:\\Calendar"]);
    run(&data, &["remove", "ann:\\Calendar"]).fails(2, &["--user"]);
}

#[test]
fn lists_are_written_into_the_folders_that_are_there() {
    let (_folder, data) = organization();
    let maildir = maildir(&data, "ann", &[".Calendar", ".Calendar.Team", ".Entw&APw-rfe", ".Sent"]);
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Editor"]).ok();
    run(&data, &["add", "ann:\\Entwürfe", "--user", "bob", "--rights", "Reviewer"]).ok();
    run(&data, &["add", "ann:\\Notes", "--user", "bob", "--rights", "Reviewer"]).ok();
    let mail = data.join("mail");
    let said = run(&data, &["export", "--dovecot", "--into", mail.to_str().unwrap()]).ok();
    let list = |name: &str| fs::read_to_string(maildir.join(name).join("dovecot-acl")).unwrap();
    let with = |letters: &str| format!("owner lrwstipekx\nuser=bob@example.com {letters}\nauthenticated\nanyone\n");
    assert_eq!(list(".Calendar"), with("lrwstipe"));
    assert_eq!(list(".Calendar.Team"), with("lrwstipe"));
    assert_eq!(list(".Entw&APw-rfe"), with("lr"));
    assert_eq!(list(".Sent"), "owner lrwstipekx\nauthenticated\nanyone\n");
    assert_eq!(list(""), "owner lrwstipekx\nauthenticated\nanyone\n");
    assert!(said.contains("there is no folder \\Notes"), "{said}");
}

#[test]
fn a_trial_of_an_export_says_what_would_change_and_writes_nothing() {
    let (_folder, data) = organization();
    let maildir = maildir(&data, "ann", &[".Calendar"]);
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Editor"]).ok();
    let mail = data.join("mail");
    let export = ["export", "--dovecot", "--into", mail.to_str().unwrap()];
    let said = run(&data, &[&export[..], &["--dry-run"]].concat()).ok();
    assert!(said.contains("would be written\n  + owner lrwstipekx\n  + user=bob@example.com lrwstipe\n"), "{said}");
    assert!(!maildir.join(".Calendar/dovecot-acl").exists());
    run(&data, &export).ok();
    run(&data, &["set", "ann:\\Calendar", "--user", "bob", "--rights", "Reviewer"]).ok();
    let said = run(&data, &[&export[..], &["--dry-run"]].concat()).ok();
    assert!(said.contains("- user=bob@example.com lrwstipe\n  + user=bob@example.com lr\n"), "{said}");
}

#[test]
fn a_list_of_a_mailbox_that_has_no_entries_any_more_is_written_anew() {
    let (_folder, data) = organization();
    let maildir = maildir(&data, "ann", &[".Calendar"]);
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Editor"]).ok();
    let mail = data.join("mail");
    run(&data, &["export", "--dovecot", "--into", mail.to_str().unwrap()]).ok();
    fs::write(maildir.join("dovecot-acl-list"), "stale").unwrap();
    run(&data, &["remove", "ann:\\Calendar", "--all"]).ok();
    run(&data, &["export", "--dovecot", "--into", mail.to_str().unwrap()]).ok();
    let list = fs::read_to_string(maildir.join(".Calendar/dovecot-acl")).unwrap();
    assert_eq!(list, "owner lrwstipekx\nauthenticated\nanyone\n");
    assert!(!maildir.join("dovecot-acl-list").exists());
}

#[test]
fn lists_on_standard_output_say_which_file_they_are() {
    let (_folder, data) = organization();
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Reviewer"]).ok();
    let said = run(&data, &["export", "--dovecot"]).ok();
    assert!(said.contains("/.Calendar/dovecot-acl\nowner lrwstipekx\nuser=bob@example.com lr\n"), "{said}");
    let row =
        run(&data, &["export", "--dovecot", "ann", "--logon-names", "--format", "json"]).json()["rows"][0].clone();
    assert!(row["file"].as_str().unwrap().ends_with("/.Calendar/dovecot-acl"), "{row}");
    assert_eq!(row["lines"][1], "user=bob lr");
}

#[test]
fn an_export_does_not_follow_links_out_of_a_maildir() {
    let (folder, data) = organization();
    let maildir = maildir(&data, "ann", &[]);
    run(&data, &["add", "ann:\\Calendar", "--user", "bob", "--rights", "Reviewer"]).ok();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("cur")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, maildir.join(".Calendar")).unwrap();
    let mail = data.join("mail");
    let export = ["export", "--dovecot", "--into", mail.to_str().unwrap()];
    run(&data, &export).ok();
    assert!(!elsewhere.join("dovecot-acl").exists());
    fs::remove_file(maildir.join("dovecot-acl")).unwrap();
    fs::write(elsewhere.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(elsewhere.join("secret"), maildir.join("dovecot-acl")).unwrap();
    run(&data, &export).fails(2, &["it is no file"]);
}

#[test]
fn a_file_gives_and_takes_rights_on_folders_and_an_export_says_them() {
    let (folder, data) = organization();
    let file = folder.path().join("org.toml");
    let text = "[[folder_permission]]\non = \"ann\"\nfolder = '\\Calendar'\nentries = [\n  \
                { user = \"bob\", right = \"Editor\" },\n  { user = \"Default\", right = \"AvailabilityOnly\" },\n]\n";
    let apply = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        on(&data, &[&["apply", file.to_str().unwrap()], more].concat(), "")
    };
    let listed = || run(&data, &["get", "ann"]).ok();
    let tried = apply(text, &["--dry-run"]).ok();
    assert!(tried.contains("\\Calendar: EXAMPLE\\bob Editor; Default AvailabilityOnly; Anonymous None"), "{tried}");
    assert!(!listed().contains("bob"));
    apply(text, &[]).ok();
    assert!(listed().contains("EXAMPLE\\bob"));
    assert!(apply(text, &[]).ok().contains("nothing was changed"));
    apply(&text.replace("Editor", "Emperor"), &[]).fails(2, &["org.toml:1: ", "`Emperor`", "PublishingEditor"]);
    apply(&text.replace("right", "rihgt"), &[]).fails(2, &["org.toml:1: ", "unknown field `rihgt`"]);
    apply("", &["--prune"]).ok();
    assert!(!listed().contains("bob"));
    apply(text, &[]).ok();
    let exported = on(&data, &["export", "--toml"], "").ok();
    let said = text.replace("\"bob\"", "'EXAMPLE\\bob'");
    assert!(exported.contains(&said), "{exported}");
    assert!(apply(&exported, &[]).ok().contains("nothing was changed"));
}
