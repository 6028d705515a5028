//! Rights on folders in documents of the organization: made so, shown before, taken away, written again.

#![allow(clippy::unwrap_used)]

mod common;

use acl::{Ace, Acl, SecurityDescriptor, Sid, well_known};
use admin::FaultKind;
use admin::operations::{self as op, FolderResponse, Request as R, Response, Wanted};
use common::{HELPER, ROOT, Site, apply, pruned, request, undo};
use directory::folders::FolderDescriptor;
use directory::{Change, attributes as a};
use rights::folder::{FolderList, FolderRights};
use serde_json::{Value, json};

/// A part: the entries of one folder.
fn folder(on: &str, folder: &str, entries: &[(&str, &str)]) -> Value {
    let entries: Vec<Value> = entries.iter().map(|(user, right)| json!({"user": user, "right": right})).collect();
    json!({"folder-permission": {"on": on, "folder": folder, "entries": entries}})
}

fn absent(on: &str, folder: &str) -> Value {
    json!({"folder-permission": {"on": on, "folder": folder, "absent": true}})
}

fn calendar() -> Value {
    folder("zoe", "\\Calendar", &[("max", "Editor"), ("Default", "AvailabilityOnly")])
}

fn set(folder: &str, user: &str, right: &str) -> R {
    request(json!({
        "op": "folder-permission", "about": "set", "identity": folder, "user": user, "rights": [right],
    }))
}

/// `who rights`, and from where if that is another folder.
fn listed(site: &Site, folder: &str) -> Vec<String> {
    let asked = request(json!({"op": "folder-permission", "about": "get", "identity": folder}));
    let Response::FolderPermission(FolderResponse::Entries(page)) = site.ask(asked) else { panic!() };
    let from = |from: &Option<String>| from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
    page.rows.iter().map(|row| format!("{} {}{}", row.user, row.rights, from(&row.from))).collect()
}

/// The document that says what there is, and how many entries it leaves out.
fn exported(site: &Site) -> (Vec<Wanted>, u64) {
    match site.ask(R::ExportOrganization(op::ExportOrganization::default())) {
        Response::Organization(page) => (page.items, page.entries_left_out),
        other => panic!("{other:?}"),
    }
}

/// Parts about folders.
fn of_folders(items: &[Wanted]) -> Vec<Value> {
    let folders = items.iter().filter(|wanted| matches!(wanted, Wanted::FolderPermission(_)));
    folders.map(|wanted| serde_json::to_value(wanted).unwrap()).collect()
}

/// Applies what was exported; the version after it.
fn again(site: &Site) -> u64 {
    let items = (1..).zip(exported(site).0).map(|(line, wanted)| op::Item { line, wanted }).collect();
    site.ask(R::Apply(op::Apply { items, prune: false }));
    site.version()
}

/// Gives a folder a descriptor as an import may bring it.
fn bring(site: &Site, descriptor: SecurityDescriptor) {
    let snapshot = site.service.snapshot();
    let guid = snapshot.object(snapshot.resolve("zoe").unwrap()).unwrap().guid();
    let value = FolderDescriptor { path: "\\Calendar".to_owned(), descriptor }.to_value();
    let attributes = vec![(a::FOLDER_PERMISSION.to_owned(), vec![value])];
    site.service.commit_as_system("", vec![Change::Modify { guid, attributes }]).unwrap();
}

#[test]
fn a_folder_has_the_entries_of_the_document_and_no_others() {
    let site = Site::new();
    site.group("Sales", &["helper"]);
    site.ask(set("zoe:\\Calendar", "helper", "Owner"));
    site.ask(apply(&[folder(
        "zoe",
        "\\Calendar",
        &[
            ("max", "Editor"),
            ("Sales", "ReadAny, Create,visible"),
            ("Default", "AvailabilityOnly"),
            ("anonymous", "Reviewer"),
        ],
    )]));
    let expected = [
        "Default AvailabilityOnly",
        "Anonymous Reviewer",
        "EXAMPLE\\max Editor",
        "EXAMPLE\\Sales ReadAny,Create,Visible",
    ];
    assert_eq!(listed(&site, "zoe:\\Calendar"), expected);
}

#[test]
fn entries_are_of_accounts_groups_and_mailboxes_that_come_further_down() {
    let site = Site::new();
    site.ask(apply(&[
        folder("ada", "\\Calendar", &[("eve", "Editor"), ("desk", "Reviewer")]),
        json!({"group": {"name": "desk", "members": ["max"]}}),
        json!({"user": {"name": "eve"}}),
        json!({"user": {"name": "ada", "mailbox": true}}),
    ]));
    assert_eq!(listed(&site, "ada:\\Calendar")[2..], ["EXAMPLE\\eve Editor", "EXAMPLE\\desk Reviewer"]);
}

#[test]
fn a_document_of_folders_applied_again_changes_nothing_however_it_spells_them() {
    let site = Site::new();
    site.group("Sales", &["helper"]);
    site.group("Plant", &["max"]);
    site.ask(apply(&[folder("zoe", "\\Calendar", &[("max", "Editor"), ("Sales", "Author"), ("Plant", "None")])]));
    let version = site.version();
    let spelled =
        [("EXAMPLE\\Plant", "none"), ("Default", "None"), ("max@example.com", "Owner"), ("sales", "author, Visible")];
    let mut spelled = spelled;
    spelled[2].1 = "publishing-editor";
    assert!(site.done(apply(&[folder("zoe@example.com", "\\CALENDAR", &spelled)])).contains("1 change"));
    spelled[2].1 = "ed itor";
    site.ask(apply(&[folder("zoe@example.com", "\\CALENDAR", &spelled)]));
    let said = site.done(apply(&[folder("zoe@example.com", "\\CALENDAR", &spelled)]));
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(site.version(), version + 2);
    assert_eq!(listed(&site, "zoe"), listed(&site, "zoe:\\Calendar"), "it is one folder");
}

#[test]
fn entries_of_accounts_come_in_the_order_of_the_document() {
    let site = Site::new();
    site.ask(apply(&[folder("zoe", "\\Calendar", &[("max", "Editor"), ("helper", "None")])]));
    let said = site.done(apply(&[folder("zoe", "\\Calendar", &[("helper", "None"), ("max", "Editor")])]));
    assert!(said.contains("line 1: the same entries in another order, on EXAMPLE\\zoe:\\Calendar"), "{said}");
    assert_eq!(listed(&site, "zoe:\\Calendar")[2..], ["EXAMPLE\\helper None", "EXAMPLE\\max Editor"]);
}

#[test]
fn a_trial_shows_what_an_entry_was_and_would_be_and_changes_nothing() {
    let site = Site::new();
    site.ask(set("zoe:\\Calendar", "max", "Reviewer"));
    site.ask(set("zoe:\\Calendar", "helper", "Owner"));
    let before = site.records();
    let tried = site.simulated(apply(&[calendar()]));
    let change = &tried.changes[0];
    let was = "\\Calendar: EXAMPLE\\max Reviewer; EXAMPLE\\helper Owner; Default None; Anonymous None";
    assert_eq!(change.removed, [was]);
    assert_eq!(change.added, ["\\Calendar: EXAMPLE\\max Editor; Default AvailabilityOnly; Anonymous None"]);
    let Response::Done(done) = *tried.outcome else { panic!() };
    let step = "line 1: EXAMPLE\\max Editor; Default AvailabilityOnly; EXAMPLE\\helper no entry any more, \
                on EXAMPLE\\zoe:\\Calendar";
    assert_eq!(done.steps, [step]);
    assert_eq!(site.records(), before);
}

#[test]
fn a_document_is_one_change_in_the_history_and_taken_back_as_one() {
    let site = Site::new();
    site.ask(set("zoe:\\Inbox", "max", "Reviewer"));
    let (before, version) = (site.records(), site.version());
    site.ask(apply(&[calendar(), absent("zoe", "\\Inbox"), folder("max", "\\", &[("zoe", "Reviewer")])]));
    assert_eq!(site.version(), version + 1);
    site.ask(undo(version + 1));
    assert_eq!(site.records(), before);
}

#[test]
fn a_folder_that_the_document_gives_entries_has_none_of_those_from_above() {
    let site = Site::new();
    site.ask(set("zoe:\\", "helper", "Reviewer"));
    let said = site.done(apply(&[calendar()]));
    assert!(said.contains("\\Calendar had the entries of \\ until now"), "{said}");
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default AvailabilityOnly", "Anonymous None", "EXAMPLE\\max Editor"]);
}

#[test]
fn a_folder_with_the_entries_of_the_one_above_it_keeps_them_when_those_change() {
    let site = Site::new();
    site.ask(set("zoe:\\", "max", "Reviewer"));
    site.ask(apply(&[folder("zoe", "\\Calendar", &[("max", "Reviewer")])]));
    site.ask(set("zoe:\\", "max", "None"));
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], "EXAMPLE\\max Reviewer");
}

#[test]
fn a_document_without_entries_lets_nobody_in() {
    let site = Site::new();
    site.ask(set("zoe:\\", "Default", "Reviewer"));
    site.ask(apply(&[folder("zoe", "\\Private", &[])]));
    assert_eq!(listed(&site, "zoe:\\Private"), ["Default None", "Anonymous None"]);
}

#[test]
fn a_folder_of_which_nothing_is_said_is_refused() {
    let site = Site::new();
    let part = json!({"folder-permission": {"on": "zoe", "folder": "\\Calendar"}});
    let (kind, message) = site.fault(ROOT, apply(&[part]));
    assert!(kind == FaultKind::Invalid && message.starts_with("line 1: nothing is said of"), "{message}");
}

#[test]
fn a_folder_whose_entries_are_to_be_absent_has_those_from_above_and_is_not_missed() {
    let site = Site::new();
    site.ask(apply(&[calendar(), folder("zoe", "\\", &[("Default", "Reviewer")])]));
    let said = site.done(apply(&[absent("zoe", "\\Calendar")]));
    assert!(said.contains("\\Calendar has the entries of \\ from now on"), "{said}");
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default Reviewer from \\", "Anonymous None from \\"]);
    let gone = [absent("zoe", "\\Calendar"), absent("nobody-of-that-name", "\\Calendar")];
    assert!(site.done(apply(&gone)).contains("nothing was changed"));
    let said = site.done(apply(&[absent("zoe", "\\")]));
    assert!(said.contains("only the owner and Full Mailbox Access get in"), "{said}");
}

#[test]
fn pruning_takes_the_entries_of_folders_that_documents_named_and_nothing_else() {
    let site = Site::new();
    site.ask(set("zoe:\\Inbox", "max", "Reviewer"));
    site.ask(apply(&[calendar(), folder("max", "\\", &[("zoe", "Reviewer")])]));
    site.ask(apply(&[folder("max", "\\", &[("zoe", "Reviewer")])]));
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], "EXAMPLE\\max Editor", "without pruning it stays");
    let before = site.records();
    let tried = site.simulated(pruned(&[folder("max", "\\", &[("zoe", "Reviewer")])]));
    assert_eq!((tried.changes[0].added.len(), tried.changes[0].removed.len()), (0, 1));
    assert_eq!(site.records(), before);
    let said = site.done(pruned(&[folder("max", "\\", &[("zoe", "Reviewer")])]));
    assert!(said.contains("no longer named: EXAMPLE\\zoe:\\Calendar has no entries of its own any more"), "{said}");
    assert_eq!(listed(&site, "zoe:\\Calendar"), ["Default None", "Anonymous None"]);
    assert_eq!(listed(&site, "zoe:\\Inbox")[2], "EXAMPLE\\max Reviewer");
    assert_eq!(listed(&site, "max:\\")[2], "EXAMPLE\\zoe Reviewer");
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
}

#[test]
fn a_folder_that_is_named_otherwise_than_before_is_not_pruned() {
    let site = Site::new();
    site.ask(apply(&[calendar()]));
    let version = site.version();
    let mut spelled = calendar();
    spelled["folder-permission"]["on"] = json!("zoe@example.com");
    spelled["folder-permission"]["folder"] = json!("\\calendar");
    for _ in 0..2 {
        let said = site.done(pruned(std::slice::from_ref(&spelled)));
        assert!(said.contains("nothing was changed"), "{said}");
        assert_eq!(site.version(), version);
    }
}

#[test]
fn folders_of_a_mailbox_that_is_pruned_go_with_it() {
    let site = Site::new();
    let ada = json!({"user": {"name": "ada", "mailbox": true}});
    site.ask(apply(&[ada, folder("ada", "\\Calendar", &[("max", "Editor")])]));
    site.ask(pruned(&[]));
    assert!(site.service.snapshot().resolve("ada").is_err());
}

#[test]
fn one_folder_that_is_named_twice_is_refused_however_its_owner_is_named() {
    let site = Site::new();
    let before = site.records();
    let twice =
        [calendar(), json!({"user": {"name": "ada"}}), folder("zoe@example.com", "\\calendar", &[("max", "Reviewer")])];
    let (kind, message) = site.fault(ROOT, apply(&twice));
    assert!(kind == FaultKind::Invalid && message.starts_with("line 3: line 1 says something else"), "{message}");
    assert_eq!(site.records(), before);
}

#[test]
fn somebody_who_has_two_entries_is_refused_and_so_is_what_is_no_entry() {
    let site = Site::new();
    let refused = |entries: &[(&str, &str)]| site.fault(ROOT, apply(&[folder("zoe", "\\Calendar", entries)]));
    let (kind, message) = refused(&[("max", "Editor"), ("max@example.com", "Reviewer")]);
    assert!(kind == FaultKind::Invalid && message == "line 1: EXAMPLE\\max has two entries", "{message}");
    let (kind, message) = refused(&[("Default", "None"), ("Everyone", "Reviewer")]);
    assert!(kind == FaultKind::Invalid && message == "line 1: Default has two entries", "{message}");
    assert_eq!(refused(&[("max", "Emperor")]).0, FaultKind::Invalid);
    assert_eq!(refused(&[("S-1-5-21-9-9-9-1234", "Editor")]).0, FaultKind::NotFound);
    assert_eq!(refused(&[("Authenticated Users", "Editor")]).0, FaultKind::Invalid);
    let (kind, message) = site.fault(ROOT, apply(&[folder("zoe", "Calendar", &[])]));
    assert!(kind == FaultKind::Invalid && message.contains("`Calendar` is no folder"), "{message}");
    assert_eq!(site.fault(ROOT, apply(&[absent("zoe", "Calendar")])).0, FaultKind::Invalid);
    site.ask(R::UserAdd(op::UserAdd { name: "ada".into(), ..op::UserAdd::default() }));
    let (kind, message) = site.fault(ROOT, apply(&[folder("ada", "\\Calendar", &[])]));
    assert!(kind == FaultKind::NotFound && message.contains("has no mailbox"), "{message}");
}

#[test]
fn the_owner_of_a_mailbox_applies_documents_about_its_folders_and_of_no_others() {
    let site = Site::new();
    let own = folder("helper", "\\Calendar", &[("max", "Editor")]);
    site.service.call(HELPER, "", apply(std::slice::from_ref(&own))).unwrap();
    assert_eq!(listed(&site, "helper:\\Calendar")[2], "EXAMPLE\\max Editor");
    let before = site.records();
    let (kind, message) = site.fault(HELPER, apply(&[own.clone(), calendar()]));
    assert!(kind == FaultKind::Denied && message.starts_with("line 2: "), "{message}");
    site.ask(apply(&[calendar()]));
    assert_eq!(site.fault(HELPER, apply(&[absent("zoe", "\\Calendar")])).0, FaultKind::Denied);
    site.ask(undo(site.version()));
    assert_eq!(site.records(), before);
    site.service.call(HELPER, "", pruned(&[])).unwrap();
    assert_eq!(listed(&site, "helper:\\Calendar"), ["Default None", "Anonymous None"]);
}

#[test]
fn a_folder_that_somebody_names_who_may_not_change_it_is_not_pruned_by_others() {
    let site = Site::new();
    site.ask(set("zoe:\\Calendar", "max", "Reviewer"));
    let before = site.records();
    let named = folder("zoe", "\\Calendar", &[("max", "Reviewer")]);
    let said = site.service.call(HELPER, "", apply(std::slice::from_ref(&named))).unwrap();
    let Response::Done(said) = said else { panic!("{said:?}") };
    assert!(said.summary.contains("nothing was changed"), "{said:?}");
    site.ask(pruned(&[]));
    assert_eq!(site.records(), before);
    // Nor by him.
    assert_eq!(site.fault(HELPER, pruned(&[])).0, FaultKind::Denied);
    assert_eq!(site.records(), before);
}

#[test]
fn who_may_not_read_a_mailbox_s_rights_learns_nothing_of_them_by_trying_to_change_them() {
    let site = Site::new();
    site.ask(set("zoe:\\Calendar", "max", "Reviewer"));
    site.ask(common::grant("zoe", "helper", "read-property", true, None));
    site.ask(common::grant("zoe", "helper", "generic-read", true, None));
    let get = request(json!({"op": "folder-permission", "about": "get", "identity": "zoe:\\Calendar"}));
    let (_, message) = site.fault(HELPER, get);
    assert!(message.contains("may not read the permissions of"), "{message}");
    let tries = [
        apply(&[folder("zoe", "\\Calendar", &[("max", "Reviewer")])]),
        apply(&[absent("zoe", "\\Inbox")]),
        set("zoe:\\Calendar", "max", "Reviewer"),
        request(json!({"op": "folder-permission", "about": "remove", "identity": "zoe:\\Inbox"})),
    ];
    for tried in tries {
        let fault = site.fault(HELPER, tried);
        assert!(fault.0 == FaultKind::Denied && fault.1.contains("may not read the permissions of"), "{fault:?}");
    }
}

#[test]
fn an_export_says_folders_as_a_document_does() {
    let site = Site::new();
    site.group("Sales", &["helper"]);
    for (user, right) in [("Sales", "None"), ("max", "ReadAny,Create"), ("Default", "Reviewer")] {
        site.ask(set("zoe:\\Calendar", user, right));
    }
    site.ask(set("zoe:\\", "Anonymous", "None"));
    let entry = |user: &str, right: &str| json!({"user": user, "right": right});
    let entries =
        [entry("EXAMPLE\\max", "ReadAny, Create"), entry("EXAMPLE\\Sales", "None"), entry("Default", "Reviewer")];
    let expected = [
        json!({"folder-permission": {"on": "zoe", "folder": "\\", "entries": []}}),
        json!({"folder-permission": {"on": "zoe", "folder": "\\Calendar", "entries": entries}}),
    ];
    assert_eq!(of_folders(&exported(&site).0), expected);
}

#[test]
fn an_export_with_entries_of_who_is_gone_or_something_else_now_changes_nothing_where_it_came_from() {
    let site = Site::new();
    site.group("Sales", &["helper"]);
    site.user("ada", None);
    site.user("linda", None);
    let (erin, _) = common::other_forest(&site);
    for who in ["Sales", "max", "ada", "linda"] {
        site.ask(set("zoe:\\Calendar", who, "Editor"));
    }
    site.ask(R::UserRemove(op::Target { identity: "max".into() }));
    site.ask(R::GroupRemove(op::Target { identity: "Sales".into() }));
    // Its external account uses the mailbox now, and new entries are for that one.
    let link = json!({"op": "mailbox-link", "identity": "linda", "account": erin.to_string(), "disable": true});
    site.ask(request(link));
    let version = site.version();
    let left_out = exported(&site).1;
    assert_eq!(again(&site), version);
    site.ask(request(json!({
        "op": "folder-permission", "about": "remove", "identity": "zoe:\\Calendar",
    })));
    assert_eq!(exported(&site).1, left_out, "nothing was left out");
}

#[test]
fn the_entry_of_a_linked_mailbox_s_owner_is_that_of_his_external_account() {
    let site = Site::new();
    let linda = json!({"user": {"name": "linda", "mailbox": true, "enabled": false, "linked": "S-1-5-21-7-8-9-1105"}});
    site.ask(apply(&[linda, folder("zoe", "\\Calendar", &[("linda", "Editor")])]));
    let version = site.version();
    assert_eq!(of_folders(&exported(&site).0)[0]["folder-permission"]["entries"][0]["user"], "S-1-5-21-7-8-9-1105");
    assert_eq!(again(&site), version);
}

#[test]
fn what_no_document_makes_is_left_out_of_an_export_and_counted() {
    let max: Sid = "S-1-5-21-1-2-3-4".parse().unwrap();
    let allow = |sid: &Sid, mask: u32| Ace::allow(sid.clone(), acl::AccessMask(mask));
    let odd = SecurityDescriptor::with_dacl(Acl::new(vec![allow(&well_known::EVERYONE, 1), allow(&max, 1)]));
    // EditAny comes with EditOwned wherever it is said.
    let mut alone = FolderList::default();
    alone.set(&well_known::EVERYONE, FolderRights::EDIT_ANY, false);
    for (descriptor, left_out) in [(odd, 2), (alone.to_descriptor(), 2)] {
        let site = Site::new();
        let before = exported(&site).1;
        bring(&site, descriptor);
        let version = site.version();
        let (items, count) = exported(&site);
        assert_eq!((of_folders(&items).len(), count), (0, before + left_out));
        assert_eq!(again(&site), version);
    }
}

#[test]
fn a_document_makes_a_list_of_what_was_none() {
    let site = Site::new();
    let ace = Ace::allow(well_known::EVERYONE, acl::AccessMask(1));
    bring(&site, SecurityDescriptor::with_dacl(Acl::new(vec![ace])));
    let said = site.done(apply(&[calendar()]));
    assert!(said.contains("had a descriptor that no permission list makes"), "{said}");
    assert_eq!(listed(&site, "zoe:\\Calendar")[2], "EXAMPLE\\max Editor");
}
