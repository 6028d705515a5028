//! What becomes of mail for recipients, and options of connectors that concern it, through the real binary.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};

use common::{on, procura};
use serde_json::{Value, json};
use tempfile::TempDir;

/// An organization with the mailboxes of ann and bob, and the group Board.
fn organization() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    procura(&["init", data.to_str().unwrap(), "--domain", "example.com", "--hostname", "mail.example.com"]).ok();
    for name in ["ann", "bob"] {
        on(&data, &["user", "add", name, "--mailbox"], "").ok();
    }
    on(&data, &["group", "add", "Board", "--member", "ann", "--address", "board@example.com"], "").ok();
    (folder, data)
}

fn shown(data: &Path, name: &str) -> Value {
    on(data, &["recipient", "get", name, "--format", "json"], "").json()
}

#[test]
fn how_mail_for_a_mailbox_goes_is_set_shown_and_undone() {
    let (_folder, data) = organization();
    let set = [
        "recipient",
        "set",
        "ann",
        "--forward-to",
        "bob",
        "--keep-copy",
        "true",
        "--copy-sent-as",
        "true",
        "--journal-to",
        "archive@example.net",
        "--accept-from",
        "Board,bob",
        "--authenticated-only",
        "true",
    ];
    on(&data, &[&set[..], &["--dry-run"]].concat(), "").ok();
    assert_eq!(shown(&data, "ann")["forward_to"], "");
    on(&data, &set, "").ok();
    let row = shown(&data, "ann");
    assert_eq!(row["forward_to"], "bob@example.com");
    assert_eq!(row["keep_copy"], true);
    assert_eq!((&row["copy_sent_as"], &row["copy_sent_on_behalf"]), (&json!(true), &json!(false)));
    assert_eq!(row["journal_to"], "archive@example.net");
    assert_eq!(row["accept_from"], json!(["bob@example.com", "board@example.com"]));
    assert_eq!(row["authenticated_only"], true);
    on(&data, &["recipient", "set", "ann", "--forward-to", "", "--accept-from", ""], "").ok();
    let row = shown(&data, "ann");
    assert_eq!((&row["forward_to"], &row["accept_from"]), (&json!(""), &json!([])));
    let version = on(&data, &["history", "--limit", "1", "--format", "json"], "").json()["rows"][0]["version"].clone();
    on(&data, &["undo", &version.to_string()], "").ok();
    assert_eq!(shown(&data, "ann")["forward_to"], "bob@example.com");
}

#[test]
fn groups_have_owners_who_hear_of_failures() {
    let (_folder, data) = organization();
    on(&data, &["recipient", "set", "Board", "--owner", "bob", "--reports-to", "owner"], "").ok();
    let row = shown(&data, "Board");
    assert_eq!((&row["owner"], &row["reports_to"]), (&json!("bob@example.com"), &json!("owner")));
    on(&data, &["recipient", "set", "Board", "--reports-to", "everybody"], "").fails(2, &["sender, owner or nobody"]);
    on(&data, &["recipient", "set", "ann", "--reports-to", "owner"], "").fails(2, &["belongs to a group"]);
}

#[test]
fn a_dynamic_group_shows_who_is_in_it() {
    let (_folder, data) = organization();
    let add = ["recipient", "add-dynamic-group", "All", "--address", "all@example.com", "--filter"];
    on(&data, &[&add[..], &["(objectClass=user"]].concat(), "").fails(2, &["“)”", "RFC 4515"]);
    on(&data, &[&add[..], &["(&(objectClass=user)(!(cn=bob)))"]].concat(), "").ok();
    let row = shown(&data, "All");
    assert_eq!(row["members"], json!(["ann@example.com"]));
    on(&data, &["recipient", "set", "All", "--filter", "(&(objectClass=user)(cn=b*))"], "").ok();
    assert_eq!(shown(&data, "All")["members"], json!(["bob@example.com"]));
}

#[test]
fn a_contact_says_where_its_mail_goes() {
    let (_folder, data) = organization();
    let add = ["recipient", "add-contact", "Tom", "--address", "tom@example.com", "--target"];
    on(&data, &[&add[..], &["nowhere"]].concat(), "").fails(2, &["not a mail address"]);
    on(&data, &[&add[..], &["tom@example.net"]].concat(), "").ok();
    assert_eq!(shown(&data, "tom@example.com")["target"], "tom@example.net");
}

#[test]
fn catch_all_and_journal_are_set_and_shown() {
    let (_folder, data) = organization();
    assert_eq!(on(&data, &["recipient", "catch-all", "example.com"], "").ok(), "none\n");
    on(&data, &["recipient", "catch-all", "example.com", "ann"], "").ok();
    assert_eq!(on(&data, &["recipient", "catch-all", "example.com"], "").ok(), "ann@example.com\n");
    on(&data, &["recipient", "catch-all", "example.net", "ann"], "").fails(2, &["no accepted domain"]);
    on(&data, &["recipient", "journal", "archive@example.net"], "").ok();
    assert_eq!(on(&data, &["recipient", "journal"], "").ok(), "archive@example.net\n");
    on(&data, &["recipient", "journal", ""], "").ok();
    assert_eq!(on(&data, &["recipient", "journal"], "").ok(), "none\n");
}

#[test]
fn options_of_receive_connectors_are_set_and_shown_like_the_others() {
    let (_folder, data) = organization();
    let new =
        ["connector", "receive", "new", "Devices", "--bindings", "127.0.0.1:2525", "--remote-ranges", "10.0.0.0/8"];
    on(&data, &new, "").ok();
    let set = ["connector", "receive", "set", "Devices"];
    let options = [
        "--tolerant",
        "true",
        "--complete-headers",
        "true",
        "--chunking",
        "false",
        "--dsn",
        "false",
        "--proxy-from",
        "10.0.0.1,10.0.0.2",
        "--rewrite",
        "old.example:example.com,boss@old.example:ann@example.com",
        "--rewrite-headers",
        "all",
        "--binary-mime",
        "true",
    ];
    on(&data, &[&set[..], &options].concat(), "").ok();
    let row = on(&data, &["connector", "receive", "get", "Devices", "--format", "json"], "").json()["rows"][0].clone();
    assert_eq!((&row["tolerant"], &row["complete_headers"]), (&json!(true), &json!(true)));
    assert_eq!((&row["chunking"], &row["dsn"]), (&json!(false), &json!(false)));
    assert_eq!(row["proxy_from"], json!(["10.0.0.1", "10.0.0.2"]));
    assert_eq!(row["rewrite"], json!(["old.example:example.com", "boss@old.example:ann@example.com"]));
    let wrong = [&set[..], &["--proxy-from", "0.0.0.0/0"]].concat();
    on(&data, &wrong, "").fails(2, &["every address would be a load balancer"]);
    assert_eq!((&row["rewrite_headers"], &row["binary_mime"]), (&json!("all"), &json!(true)));
    let wrong = [&set[..], &["--rewrite-headers", "some"]].concat();
    on(&data, &wrong, "").fails(2, &["some", "none, recipients, all"]);
    let wrong = [&set[..], &["--rewrite", "old.example"]].concat();
    on(&data, &wrong, "").fails(2, &["OLD:NEW"]);
    on(&data, &[&set[..], &["--proxy-from", "", "--rewrite", ""]].concat(), "").ok();
    let row = on(&data, &["connector", "receive", "get", "Devices", "--format", "json"], "").json()["rows"][0].clone();
    assert_eq!((&row["proxy_from"], &row["rewrite"]), (&json!([]), &json!([])));
}

#[test]
fn a_document_sets_the_new_options_of_connectors_too() {
    let (folder, data) = organization();
    let file = folder.path().join("site.toml");
    let document = "[[receive_connector]]\nname = \"Devices\"\nbindings = [\"127.0.0.1:2526\"]\n\
                    remote_ranges = [\"10.0.0.0/8\"]\ntolerant = true\nproxy_from = [\"10.0.0.1\"]\n";
    std::fs::write(&file, document).unwrap();
    on(&data, &["apply", file.to_str().unwrap()], "").ok();
    let row = on(&data, &["connector", "receive", "get", "Devices", "--format", "json"], "").json()["rows"][0].clone();
    assert_eq!((&row["tolerant"], &row["proxy_from"]), (&json!(true), &json!(["10.0.0.1"])));
}
