//! Mailboxes without an owner, linked ones, protected owners and the check of the directory, through the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::PathBuf;

use common::{Demo, on};
use directory::{AttributeChange, ChangeBatch, ChangeLog, ObjectChange, Snapshot, Time, attributes};
use tempfile::TempDir;

/// An organization with the users ann and bob, who has no mailbox.
fn organization() -> (TempDir, PathBuf) {
    common::organization(&["ann --mailbox", "bob"])
}

#[test]
fn a_mailbox_is_disconnected_listed_connected_and_all_of_it_is_undone() {
    let (_folder, data) = organization();
    on(&data, &["mailbox", "disconnect", "ann", "--dry-run"], "").ok();
    assert!(on(&data, &["mailbox", "list"], "").ok().contains("ann"));
    on(&data, &["mailbox", "disconnect", "ann"], "").ok();
    assert!(!on(&data, &["mailbox", "list"], "").ok().contains("ann"));
    let listed = on(&data, &["mailbox", "list", "--disconnected", "--format", "json"], "").json();
    let row = &listed["rows"][0];
    assert_eq!(row["former_owner"], "EXAMPLE\\ann");
    assert_eq!(row["former_addresses"][0], "ann@example.com");
    let mailbox = row["mailbox"].as_str().unwrap();
    on(&data, &["mailbox", "connect", mailbox, "--to", "bob", "--former-addresses"], "").ok();
    let listed = on(&data, &["mailbox", "list", "--format", "json"], "").json();
    assert_eq!(listed["rows"][0]["guid"], *mailbox);
    assert_eq!(listed["rows"][0]["addresses"][0], "ann@example.com");
    let history = on(&data, &["history", "--limit", "2", "--format", "json"], "").json();
    for row in history["rows"].as_array().unwrap() {
        on(&data, &["undo", &row["version"].to_string()], "").ok();
    }
    let listed = on(&data, &["mailbox", "list", "--format", "json"], "").json();
    assert_eq!(listed["rows"][0]["owner"], "EXAMPLE\\ann");
}

#[test]
fn a_mailbox_that_nobody_lost_is_not_connected() {
    let (_folder, data) = organization();
    let connect = on(&data, &["mailbox", "connect", "nobody", "--to", "bob"], "");
    connect.fails(2, &["no mailbox without an owner called nobody", "mailbox list --disconnected"]);
}

#[test]
fn a_purged_mailbox_is_listed_no_more() {
    let (_folder, data) = organization();
    on(&data, &["mailbox", "disconnect", "ann"], "").ok();
    assert!(on(&data, &["mailbox", "purge", "ann"], "").ok().contains("stays on disk"));
    let listed = on(&data, &["mailbox", "list", "--disconnected", "--format", "jsonl"], "").ok();
    assert_eq!(listed, "");
}

#[test]
fn a_mailbox_is_linked_to_an_account_of_another_forest_and_to_no_other() {
    let (_folder, data) = organization();
    on(&data, &["mailbox", "link", "ann", "bob"], "").fails(2, &["same forest"]);
    on(&data, &["mailbox", "link", "ann", "everyone"], "").fails(2, &["well-known"]);
    let said = on(&data, &["mailbox", "link", "ann", "S-1-5-21-7-8-9-1105"], "").ok();
    assert!(said.contains("counts only while it is disabled"), "{said}");
    let said = on(&data, &["mailbox", "link", "ann", "S-1-5-21-7-8-9-1105", "--disable"], "").ok();
    assert!(!said.contains("counts only"), "{said}");
    on(&data, &["mailbox", "unlink", "ann"], "").ok();
}

#[test]
fn the_recipe_for_a_protected_owner_is_explained_and_followed() {
    let (_folder, data) = organization();
    on(&data, &["group", "member", "add", "Domain Admins", "ann"], "").ok();
    let said = on(&data, &["protected", "explain", "ann"], "").ok();
    assert!(said.contains("through EXAMPLE\\ann > EXAMPLE\\Domain Admins"), "{said}");
    assert!(said.contains("protected separate"), "{said}");
    on(&data, &["protected", "separate", "ann", "--owner", "ann.mail", "--dry-run"], "").ok();
    on(&data, &["protected", "separate", "ann", "--owner", "ann.mail"], "").ok();
    let rows = on(&data, &["who-can", "send-as", "ann.mail", "--format", "json"], "").json();
    let holds = |row: &serde_json::Value| row["trustee"] == "EXAMPLE\\ann" && row["effective"] == true;
    assert!(rows["rows"].as_array().unwrap().iter().any(holds), "{rows}");
}

#[test]
fn a_directory_that_is_as_it_should_be_is_checked_with_exit_code_0() {
    let (_folder, data) = organization();
    assert!(on(&data, &["check-directory"], "").ok().contains("all is as it should be"));
    assert_eq!(on(&data, &["check-directory", "--format", "jsonl"], "").ok(), "");
}

#[test]
fn what_a_running_server_holds_and_the_store_does_not_is_told_with_exit_code_1() {
    let demo = Demo::start();
    let mut store = store::DirectoryStore::open(&demo.data().join("directory.db")).unwrap();
    let version = store.version();
    let snapshot = store.load(|records| Snapshot::load(records, version)).unwrap().unwrap().snapshot;
    let bob = snapshot.resolve("bob").unwrap();
    let (guid, name) = (snapshot.object(bob).unwrap().guid(), attributes::DISPLAY_NAME.to_owned());
    let before = snapshot.attribute(bob, &name);
    let attributes = vec![AttributeChange::Replaced { name, before, after: vec![b"Somebody Else".to_vec()] }];
    let log = ChangeLog { changes: vec![ObjectChange::Modified { guid, attributes }] };
    let author = acl::well_known::SYSTEM;
    let batch = ChangeBatch { author, time: Time(0), comment: String::new(), changes: Vec::new() };
    store.commit(&batch, &log).unwrap();
    drop(store);
    let checked = demo.run(&["check-directory", "--format", "json"]);
    assert_eq!(checked.code, 1);
    let rows: serde_json::Value = serde_json::from_str(&checked.out).unwrap();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1, "{rows}");
    assert_eq!(
        (&rows["rows"][0]["what"], &rows["rows"][0]["computed"]),
        (&"attribute displayName".into(), &"Somebody Else".into())
    );
}

#[test]
fn a_right_on_folders_and_an_external_account_are_no_rights_on_a_mailbox() {
    let (_folder, data) = organization();
    let grant = |right: &str| on(&data, &["mailbox-permission", "add", "ann", "--user", "bob", "--right", right], "");
    grant("Publishing Editor").fails(2, &["is a right on folders", "procura folder-permission add"]);
    grant("ExternalAccount").fails(2, &["procura mailbox link"]);
}
