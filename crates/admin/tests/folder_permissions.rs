//! Rights on folders: who may change them, what becomes of them, and what is handed on to the IMAP server.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{
    self as op, FolderAclRow, FolderChecked, FolderEntryRow, FolderResponse, Request as R, Response,
};
use common::{HELPER, ROOT, Site, delegate, full_access, request, undo};
use directory::ldif::EntryChange;
use directory::{Change, attributes as a};
use serde_json::json;

fn entry(verb: &str, folder: &str, user: &str, rights: &str) -> R {
    request(json!({
        "op": "folder-permission", "about": verb, "identity": folder, "user": user, "rights": [rights],
    }))
}

fn add(folder: &str, user: &str, rights: &str) -> R {
    entry("add", folder, user, rights)
}

fn set(folder: &str, user: &str, rights: &str) -> R {
    entry("set", folder, user, rights)
}

fn remove(folder: &str, user: Option<&str>) -> R {
    request(json!({"op": "folder-permission", "about": "remove", "identity": folder, "user": user}))
}

fn get(site: &Site, folder: &str) -> Vec<FolderEntryRow> {
    match site.ask(request(json!({"op": "folder-permission", "about": "get", "identity": folder}))) {
        Response::FolderPermission(FolderResponse::Entries(page)) => page.rows,
        other => panic!("{other:?}"),
    }
}

/// `who rights`, and from where if that is another folder.
fn listed(site: &Site, folder: &str) -> Vec<String> {
    let from = |row: &FolderEntryRow| row.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    get(site, folder).iter().map(|row| format!("{} {}{}", row.user, row.rights, from(row))).collect()
}

fn ask(folder: &str, who: &str, rights: &[&str]) -> R {
    request(json!({"op": "folder-permission", "about": "check", "identity": folder, "who": who, "rights": rights}))
}

fn check(site: &Site, folder: &str, who: &str) -> FolderChecked {
    match site.ask(ask(folder, who, &[])) {
        Response::FolderPermission(FolderResponse::Checked(checked)) => *checked,
        other => panic!("{other:?}"),
    }
}

fn may(site: &Site, folder: &str, who: &str) -> String {
    check(site, folder, who).rights
}

fn exported(site: &Site, wanted: serde_json::Value) -> Vec<FolderAclRow> {
    let mut wanted = wanted;
    wanted["op"] = "folder-permission".into();
    wanted["about"] = "export".into();
    match site.ask(request(wanted)) {
        Response::FolderPermission(FolderResponse::Exported(page)) => page.rows,
        other => panic!("{other:?}"),
    }
}

/// The lines of the list of one folder.
fn lines(site: &Site, mailbox: &str, folder: &str) -> Vec<String> {
    exported(site, json!({"identity": mailbox, "folders": [folder]})).remove(0).lines
}

#[test]
fn an_entry_is_given_listed_and_counts() {
    let site = Site::new();
    let done = site.done(add("zoe@example.com:\\Calendar", "max", "Editor"));
    assert!(done.contains("Editor on EXAMPLE\\zoe:\\Calendar given to EXAMPLE\\max"), "{done}");
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default None", "Anonymous None", "EXAMPLE\\max Editor"]);
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "Editor");
    assert_eq!(may(&site, "zoe:\\Inbox", "max"), "None");
}

#[test]
fn another_entry_of_the_same_account_is_set_and_not_added() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let (kind, message) = site.fault(ROOT, add("zoe:\\Calendar", "max", "Reviewer"));
    assert_eq!(kind, FaultKind::Conflict);
    assert!(message.contains("has Editor"), "{message}");
    site.ask(set("zoe:\\Calendar", "max", "Reviewer"));
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "Reviewer");
}

#[test]
fn an_entry_that_is_there_already_changes_nothing() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let version = site.version();
    assert!(site.done(add("zoe:\\CALENDAR", "max", "Editor")).contains("nothing changed"));
    assert_eq!(site.version(), version);
}

#[test]
fn the_first_entry_of_its_own_comes_on_top_of_those_that_a_folder_had_from_above() {
    let site = Site::new();
    site.ask(set("zoe:\\", "Default", "Reviewer"));
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default Reviewer from \\", "Anonymous None from \\"]);
    let done = site.done(add("zoe:\\Calendar", "max", "Editor"));
    assert!(done.contains("entries of its own from now on"), "{done}");
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default Reviewer", "Anonymous None", "EXAMPLE\\max Editor"]);
    assert_eq!(may(&site, "zoe:\\Calendar", "helper"), "Reviewer");
}

#[test]
fn a_folder_whose_entries_are_all_taken_away_has_those_from_above_again() {
    let site = Site::new();
    site.ask(set("zoe:\\", "Default", "Reviewer"));
    site.ask(set("zoe:\\Calendar", "Default", "None"));
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "None");
    site.ask(remove("zoe:\\Calendar", None));
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "Reviewer");
    assert_eq!(site.fault(ROOT, remove("zoe:\\Calendar", None)).0, FaultKind::NotFound);
}

#[test]
fn an_entry_is_taken_away_and_none_that_is_not_there() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    site.ask(remove("zoe:\\Calendar", Some("max")));
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "None");
    assert_eq!(site.fault(ROOT, remove("zoe:\\Calendar", Some("max"))).0, FaultKind::NotFound);
}

#[test]
fn a_mailbox_lists_all_its_folders_that_have_entries() {
    let site = Site::new();
    site.ask(add("zoe:\\Inbox\\Orders", "max", "Editor"));
    site.ask(add("zoe:\\Calendar", "helper", "Reviewer"));
    let folders: Vec<String> = get(&site, "zoe").into_iter().map(|row| row.folder).collect();
    assert_eq!(
        folders,
        ["\\Calendar", "\\Calendar", "\\Calendar", "\\Inbox\\Orders", "\\Inbox\\Orders", "\\Inbox\\Orders"]
    );
}

#[test]
fn a_trial_gives_nothing() {
    let site = Site::new();
    let records = site.records();
    let simulated = site.simulated(add("zoe:\\Calendar", "max", "Editor"));
    assert_eq!(simulated.changes[0].added, ["\\Calendar: EXAMPLE\\max Editor; Default None; Anonymous None"]);
    assert_eq!(site.records(), records);
}

#[test]
fn entries_are_for_accounts_and_security_groups_only() {
    let site = Site::new();
    site.ask(R::GroupAdd(op::GroupAdd { name: "News".into(), distribution: true, ..op::GroupAdd::default() }));
    let refused = |user: &str| site.fault(ROOT, add("zoe:\\Calendar", user, "Editor")).0;
    assert_eq!(refused("News"), FaultKind::Invalid);
    assert_eq!(refused("S-1-5-21-9-9-9-1234"), FaultKind::NotFound);
    assert_eq!(refused("Authenticated Users"), FaultKind::Invalid);
    assert_eq!(refused("OU=Staff"), FaultKind::Invalid);
}

#[test]
fn what_is_no_folder_or_no_right_is_refused_with_words() {
    let site = Site::new();
    let (kind, message) = site.fault(ROOT, add("zoe:\\Calendar\\", "max", "Editor"));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(message.contains("\\Calendar\\` is no folder"), "{message}");
    let (kind, message) = site.fault(ROOT, add("zoe:\\Calendar", "max", "Emperor"));
    assert_eq!(kind, FaultKind::Invalid);
    assert!(message.contains("`Emperor`"), "{message}");
    assert_eq!(site.fault(ROOT, add("zoe:Calendar", "max", "Editor")).0, FaultKind::NotFound);
    assert_eq!(site.fault(ROOT, add("News:\\Calendar", "max", "Editor")).0, FaultKind::NotFound);
}

#[test]
fn the_owner_of_a_mailbox_changes_the_rights_on_its_folders_and_nobody_else_s() {
    let site = Site::new();
    site.service.call(HELPER, "", add("helper:\\Calendar", "max", "Editor")).unwrap();
    assert_eq!(may(&site, "helper:\\Calendar", "max"), "Editor");
    site.service.call(HELPER, "", remove("helper:\\Calendar", Some("max"))).unwrap();
    assert_eq!(site.fault(HELPER, add("zoe:\\Calendar", "max", "Editor")).0, FaultKind::Denied);
}

#[test]
fn the_owner_takes_his_own_change_back() {
    let site = Site::new();
    let records = site.records();
    site.service.call(HELPER, "", add("helper:\\Calendar", "max", "Editor")).unwrap();
    let version = site.version();
    site.service.call(HELPER, "", undo(version)).unwrap();
    assert_eq!(site.records(), records);
}

#[test]
fn full_mailbox_access_does_not_hand_folders_on_and_change_permission_does() {
    let site = Site::new();
    site.ask(full_access("zoe", "helper"));
    assert_eq!(
        may(&site, "zoe:\\Calendar", "helper"),
        "ReadAny,Create,EditOwned,DeleteOwned,EditAny,DeleteAny,CreateSubfolder,FolderOwner,Contact,Visible,FreeBusySimple,FreeBusyDetailed"
    );
    assert_eq!(site.fault(HELPER, add("zoe:\\Calendar", "max", "Editor")).0, FaultKind::Denied);
    site.ask(request(json!({
        "op": "mailbox-permission-add", "identity": "zoe", "trustee": "helper", "rights": ["change-permission"],
    })));
    site.service.call(HELPER, "", add("zoe:\\Calendar", "max", "Editor")).unwrap();
}

#[test]
fn the_owner_of_a_folder_does_not_hand_it_on() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "helper", "Owner"));
    assert_eq!(site.fault(HELPER, add("zoe:\\Calendar", "max", "Editor")).0, FaultKind::Denied);
}

#[test]
fn a_change_is_in_the_history_in_words_and_undone_byte_for_byte() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let before = site.records();
    site.ask(set("zoe:\\Calendar", "max", "Reviewer"));
    let version = site.version();
    let history = op::History { version: Some(version), ..op::History::default() };
    let Response::History(page) = site.ask(R::History(history)) else { panic!() };
    let change = &page.rows[0].changes[0];
    assert_eq!(change.attribute, "procuraFolderPermission");
    assert_eq!(change.removed, ["\\Calendar: EXAMPLE\\max Editor; Default None; Anonymous None"]);
    assert_eq!(change.added, ["\\Calendar: EXAMPLE\\max Reviewer; Default None; Anonymous None"]);
    site.ask(undo(version));
    assert_eq!(site.records(), before);
}

#[test]
fn rights_on_folders_stay_with_a_mailbox_that_changes_its_owner() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    site.ask(R::UserAdd(op::UserAdd { name: "erin".into(), ..op::UserAdd::default() }));
    site.ask(R::MailboxDisable(op::Target { identity: "zoe".into() }));
    assert_eq!(site.fault(ROOT, ask("zoe:\\Calendar", "max", &[])).0, FaultKind::NotFound);
    let connect = op::MailboxConnect { mailbox: "zoe".into(), to: "erin".into(), ..op::MailboxConnect::default() };
    site.ask(R::MailboxConnect(connect));
    assert_eq!(may(&site, "erin:\\Calendar", "max"), "Editor");
}

#[test]
fn an_entry_of_an_account_that_is_renamed_has_its_new_name() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let snapshot = site.service.snapshot();
    let guid = snapshot.object(snapshot.resolve("max").unwrap()).unwrap().guid();
    let attributes = vec![(a::SAM_ACCOUNT_NAME.to_owned(), vec![b"maximilian".to_vec()])];
    site.service.commit_as_system("", vec![Change::Modify { guid, attributes }]).unwrap();
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], "EXAMPLE\\maximilian Editor");
}

#[test]
fn an_entry_of_an_account_that_is_gone_has_its_sid_and_is_taken_away_by_it() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let sid = get(&site, "zoe:\\Calendar")[2].sid.clone();
    site.ask(R::UserRemove(op::Target { identity: "max".into() }));
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], format!("{sid} Editor"));
    // Others are changed all the same.
    site.ask(add("zoe:\\Calendar", "helper", "Reviewer"));
    site.ask(remove("zoe:\\Calendar", Some(&sid)));
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default None", "Anonymous None", "EXAMPLE\\helper Reviewer"]);
}

#[test]
fn the_ldif_of_a_mailbox_owner_has_the_rights_on_folders() {
    let site = Site::new();
    site.ask(add("zoe:\\Entwürfe", "max", "Editor"));
    let Response::Ldif(page) = site.ask(R::Export(op::Export { under: Some("zoe".into()), after: None })) else {
        panic!()
    };
    let snapshot = site.service.snapshot();
    let value = snapshot.attribute(snapshot.resolve("zoe").unwrap(), a::FOLDER_PERMISSION).remove(0);
    let entries = directory::ldif::parse(page.text.as_bytes()).unwrap();
    let EntryChange::Add(attributes) = &entries[0].change else { panic!() };
    let read: Vec<&Vec<u8>> =
        attributes.iter().filter(|(name, _)| name == a::FOLDER_PERMISSION).map(|(_, value)| value).collect();
    assert_eq!(read, [&value]);
}

#[test]
fn a_value_that_says_nothing_or_two_of_one_folder_are_not_taken() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    let snapshot = site.service.snapshot();
    let zoe = snapshot.resolve("zoe").unwrap();
    let good = snapshot.attribute(zoe, a::FOLDER_PERMISSION).remove(0);
    let twice = String::from_utf8(good.clone()).unwrap().replace("\\Calendar", "\\calendar").into_bytes();
    let guid = snapshot.object(zoe).unwrap().guid();
    for values in [vec![good, twice], vec![b"AAAA \\Calendar".to_vec()], vec![b"nothing".to_vec()]] {
        let attributes = vec![(a::FOLDER_PERMISSION.to_owned(), values)];
        let fault = site.service.commit_as_system("", vec![Change::Modify { guid, attributes }]).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Invalid);
    }
}

#[test]
fn a_question_is_answered_with_the_entry_that_decided() {
    let site = Site::new();
    site.group("Sales", &["max"]);
    site.ask(add("zoe:\\", "Sales", "Reviewer"));
    let checked = check(&site, "zoe:\\Calendar", "max");
    assert_eq!((checked.via.as_str(), checked.from.as_deref()), ("entries", Some("\\")));
    let why = |right: &str| checked.rows.iter().find(|row| row.right == right).unwrap();
    assert_eq!(why("ReadAny").why, "the entry of the group EXAMPLE\\Sales grants it");
    assert_eq!(why("Create").why, "the entry of the group EXAMPLE\\Sales decides, and does not have it");
    assert!(!why("Create").allowed);
}

#[test]
fn a_question_about_rights_is_allowed_when_all_of_them_are() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Author"));
    let allowed = |rights: &[&str]| match site.ask(ask("zoe:\\Calendar", "max", rights)) {
        Response::FolderPermission(FolderResponse::Checked(checked)) => checked.allowed,
        other => panic!("{other:?}"),
    };
    assert!(allowed(&["Reviewer"]));
    assert!(!allowed(&["Reviewer", "EditAny"]));
}

#[test]
fn a_delegate_without_a_right_is_told_that_delegation_gives_none() {
    let site = Site::new();
    site.ask(delegate("zoe", "max"));
    let checked = check(&site, "zoe:\\Calendar", "max");
    assert!(!checked.allowed);
    assert!(checked.notes[0].contains("gives no right on folders"), "{:?}", checked.notes);
}

#[test]
fn others_are_asked_for_by_who_may_change_the_rights_only() {
    let site = Site::new();
    site.service.call(HELPER, "", ask("zoe:\\Calendar", "helper", &[])).unwrap();
    site.service.call(HELPER, "", ask("helper:\\Calendar", "max", &[])).unwrap();
    assert_eq!(site.fault(HELPER, ask("zoe:\\Calendar", "max", &[])).0, FaultKind::Denied);
}

#[test]
fn a_list_for_dovecot_has_letters_for_what_imap_can_say() {
    let site = Site::new();
    site.group("Sales Team", &["max"]);
    site.ask(add("zoe:\\Calendar", "max", "PublishingEditor"));
    site.ask(add("zoe:\\Calendar", "helper", "None"));
    site.ask(add("zoe:\\Calendar", "Sales Team", "Contributor"));
    site.ask(set("zoe:\\Calendar", "Default", "Reviewer"));
    let expected = [
        "owner lrwstipekx",
        "user=helper@example.com",
        "user=max@example.com lrwstipek",
        "\"group=Sales Team\" lip",
        "authenticated lr",
        "anyone",
    ];
    assert_eq!(lines(&site, "zoe", "\\Calendar"), expected);
}

#[test]
fn a_list_for_dovecot_has_everybody_with_full_mailbox_access() {
    let site = Site::new();
    site.group("Keepers", &["max"]);
    site.ask(full_access("zoe", "Keepers"));
    site.ask(add("zoe:\\Calendar", "max", "None"));
    assert_eq!(lines(&site, "zoe", "\\Calendar")[1], "user=max@example.com lrwstipekx");
}

#[test]
fn a_list_for_dovecot_names_the_people_of_groups_where_that_is_asked() {
    let site = Site::new();
    site.group("Inner", &["max"]);
    site.group("Sales", &["Inner", "helper"]);
    site.ask(add("zoe:\\Calendar", "Sales", "Reviewer"));
    site.ask(add("zoe:\\Calendar", "helper", "Contributor"));
    let row = exported(&site, json!({"identity": "zoe", "expand": true})).remove(0);
    let expected =
        ["owner lrwstipekx", "user=helper@example.com lip", "user=max@example.com lr", "authenticated", "anyone"];
    assert_eq!(row.lines, expected);
}

#[test]
fn what_imap_cannot_say_is_noted() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Author"));
    site.ask(set("zoe:\\Calendar", "Default", "AvailabilityOnly"));
    let row = exported(&site, json!({"identity": "zoe"})).remove(0);
    let notes = row.notes.join("\n");
    assert!(notes.contains("EXAMPLE\\max has EditOwned"), "{notes}");
    assert!(notes.contains("EXAMPLE\\max has DeleteOwned"), "{notes}");
    assert!(notes.contains("Default has FreeBusySimple"), "{notes}");
}

#[test]
fn lists_are_of_all_mailboxes_that_have_folders_with_entries() {
    let site = Site::new();
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    site.ask(add("max:\\", "zoe", "Reviewer"));
    let mut folders: Vec<String> =
        exported(&site, json!({})).iter().map(|row| format!("{}:{}", row.mailbox, row.folder)).collect();
    folders.sort();
    assert_eq!(folders, ["EXAMPLE\\max:\\", "EXAMPLE\\zoe:\\Calendar"]);
    assert_eq!(site.fault(HELPER, request(json!({"op": "folder-permission", "about": "export"}))).0, FaultKind::Denied);
}

#[test]
fn a_folder_without_entries_of_its_own_is_handed_on_with_those_from_above() {
    let site = Site::new();
    site.ask(set("zoe:\\", "max", "Reviewer"));
    let row = exported(&site, json!({"identity": "zoe", "folders": ["\\Inbox"]})).remove(0);
    assert_eq!((row.from.as_deref(), row.lines[1].as_str()), (Some("\\"), "user=max@example.com lr"));
}

/// KB 916783: it is the external account that stands in the permissions of folders.
#[test]
fn an_entry_of_the_owner_of_a_linked_mailbox_is_that_of_the_external_account() {
    let site = Site::new();
    let link = op::MailboxLink { identity: "max".into(), account: Some("S-1-5-21-7-8-9-1105".into()), disable: true };
    site.ask(R::MailboxLink(link));
    site.ask(add("zoe:\\Calendar", "max", "Editor"));
    assert_eq!(get(&site, "zoe:\\Calendar")[2].sid, "S-1-5-21-7-8-9-1105");
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], "EXAMPLE\\max (external account) Editor");
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "Editor");
    assert_eq!(lines(&site, "zoe", "\\Calendar")[1], "user=max@example.com lrwstipe");
    site.ask(remove("zoe:\\Calendar", Some("max")));
    assert_eq!(may(&site, "zoe:\\Calendar", "max"), "None");
}

#[test]
fn many_lists_come_in_pages_and_each_once() {
    let site = Site::new();
    let snapshot = site.service.snapshot();
    // Each of them is told of.
    let mut everybody = rights::folder::FolderList::default();
    for at in 0..60 {
        let gone = format!("S-1-5-21-4000000000-4000000000-4000000000-{}", 1_000_000_000 + at);
        everybody.set(&gone.parse().unwrap(), "Reviewer".parse().unwrap(), false);
    }
    let value = |at: usize| {
        let descriptor = everybody.to_descriptor();
        directory::folders::FolderDescriptor { path: format!("\\Folder {at:04}"), descriptor }.to_value()
    };
    for who in ["zoe", "max"] {
        let guid = snapshot.object(snapshot.resolve(who).unwrap()).unwrap().guid();
        let attributes = vec![(a::FOLDER_PERMISSION.to_owned(), (0..400).map(value).collect())];
        site.service.commit_as_system("", vec![Change::Modify { guid, attributes }]).unwrap();
    }
    let (mut pages, mut seen) = (0, Vec::new());
    let mut from = None;
    loop {
        let wanted = op::FolderExport { from, ..op::FolderExport::default() };
        let asked = R::FolderPermission(op::FolderRequest::Export(wanted));
        let Response::FolderPermission(FolderResponse::Exported(page)) = site.ask(asked) else { panic!() };
        seen.extend(page.rows.iter().map(|row| format!("{}:{}", row.mailbox, row.folder)));
        pages += 1;
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    assert_eq!(seen.len(), 800);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 800);
}
