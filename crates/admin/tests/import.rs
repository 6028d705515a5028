//! Imports: brought piece by piece, made durable a batch at a time.

#![allow(clippy::unwrap_used)]

mod common;

use admin::FaultKind;
use admin::operations::{self as op, Request as R, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use common::{HELPER, ROOT, Site, grant, undo};

/// LDIF of users below OU=Staff, with a line of their own each.
fn users(count: usize, line: &str) -> String {
    let users = (0..count).map(|n| {
        format!("dn: CN=user {n},OU=Staff,DC=example,DC=com\nobjectClass: user\nsAMAccountName: u{n}\n{line}\n")
    });
    users.collect()
}

fn piece(site: &Site, uid: u32, upload: Option<&str>, text: &str) -> Result<String, admin::Fault> {
    let data = op::ImportData { upload: upload.map(str::to_owned), data: STANDARD.encode(text) };
    site.service.call(uid, "", R::ImportData(data)).map(|response| match response {
        Response::Upload { upload } => upload,
        other => panic!("{other:?}"),
    })
}

/// All answers to a run, up to the last or to a fault.
fn run(site: &Site, uid: u32, upload: &str, dry_run: bool) -> Result<Vec<op::Imported>, admin::Fault> {
    let mut answers = Vec::new();
    loop {
        let run = op::ImportRun { upload: upload.to_owned(), map: Vec::new(), dry_run };
        let Response::Imported(imported) = site.service.call(uid, "", R::ImportRun(run))? else { panic!() };
        let finished = imported.finished;
        answers.push(imported);
        if finished {
            return Ok(answers);
        }
    }
}

fn import(site: &Site, text: &str) -> Vec<op::Imported> {
    let upload = piece(site, ROOT, None, text).unwrap();
    run(site, ROOT, &upload, false).unwrap()
}

#[test]
fn a_file_in_pieces_that_end_anywhere_is_one_file() {
    let site = Site::new();
    let text = users(40, "displayName: Somebody\n");
    let mut upload = None;
    for part in text.as_bytes().chunks(37) {
        upload = Some(piece(&site, ROOT, upload.as_deref(), std::str::from_utf8(part).unwrap()).unwrap());
    }
    run(&site, ROOT, &upload.unwrap(), false).unwrap();
    assert!((0..40).all(|n| site.service.snapshot().resolve(&format!("u{n}")).is_ok()));
}

#[test]
fn links_lead_to_objects_that_stand_later_in_the_file() {
    let site = Site::new();
    let group = "dn: CN=Crew,OU=Staff,DC=example,DC=com\nobjectClass: group\nsAMAccountName: Crew\ngroupType: -2147483646\n\
        member: CN=user 1,OU=Staff,DC=example,DC=com\n\n";
    import(&site, &format!("{group}{}", users(2, "")));
    let snapshot = site.service.snapshot();
    let (crew, user) = (snapshot.resolve("Crew").unwrap(), snapshot.resolve("u1").unwrap());
    assert_eq!(snapshot.linked_from(user, "member"), [crew]);
}

#[test]
fn a_small_import_is_one_version() {
    let site = Site::new();
    let before = site.version();
    import(&site, &users(250, ""));
    assert_eq!(site.version(), before + 1);
}

#[test]
fn a_large_import_is_made_in_steps_and_whole_in_the_end() {
    let site = Site::new();
    let before = site.version();
    let answers = import(&site, &users(5_050, ""));
    assert_eq!(site.version(), before + answers.len() as u64);
    assert_eq!(answers.last().map(|last| (last.done, last.changes)), Some((5_050, 5_050)));
    assert!((0..5_050).all(|n| site.service.snapshot().resolve(&format!("u{n}")).is_ok()));
}

#[test]
fn a_dry_run_changes_nothing_and_counts_the_same() {
    let site = Site::new();
    let (before, text) = (site.records(), users(5_050, ""));
    let upload = piece(&site, ROOT, None, &text).unwrap();
    let tried = run(&site, ROOT, &upload, true).unwrap().pop().unwrap();
    assert_eq!(site.records(), before);
    let made = import(&site, &text).pop().unwrap();
    assert_eq!((tried.added, tried.modified, tried.changes), (made.added, made.modified, made.changes));
}

#[test]
fn a_dry_run_finds_what_the_directory_will_refuse_in_a_later_step() {
    let site = Site::new();
    let rename = "dn: OU=Staff,DC=example,DC=com\nchangetype: delete\n\n";
    let upload = piece(&site, ROOT, None, &format!("{}{rename}", users(5_050, ""))).unwrap();
    assert_eq!(run(&site, ROOT, &upload, true).unwrap_err().kind, FaultKind::Conflict);
}

#[test]
fn all_warnings_are_told_however_many_there_are() {
    let site = Site::new();
    let answers = import(&site, &users(4_500, "displayName: a\ndisplayName: b\n"));
    let told: Vec<usize> = answers.iter().map(|answer| answer.warnings.len()).collect();
    assert_eq!(told.iter().sum::<usize>(), 4_500, "{told:?}");
    assert!(told.iter().all(|count| *count <= 2_000), "{told:?}");
}

#[test]
fn one_person_brings_two_imports_at_the_same_time() {
    let site = Site::new();
    let first = piece(&site, ROOT, None, &users(2, "")).unwrap();
    let plant = users(2, "").replace("OU=Staff", "OU=Plant").replace(": u", ": p");
    let second = piece(&site, ROOT, None, &plant).unwrap();
    run(&site, ROOT, &second, false).unwrap();
    run(&site, ROOT, &first, false).unwrap();
    assert!(["u0", "u1", "p0", "p1"].iter().all(|name| site.service.snapshot().resolve(name).is_ok()));
}

#[test]
fn a_fifth_import_of_one_person_waits_and_the_others_stay() {
    let site = Site::new();
    let first = piece(&site, ROOT, None, &users(1, "")).unwrap();
    for _ in 0..3 {
        piece(&site, ROOT, None, "").unwrap();
    }
    let fault = piece(&site, ROOT, None, "").unwrap_err();
    assert_eq!((fault.kind, fault.message.contains("4 imports under way")), (FaultKind::Unavailable, true));
    run(&site, ROOT, &first, false).unwrap();
}

#[test]
fn nobody_adds_to_an_import_of_somebody_else() {
    let site = Site::new();
    let upload = piece(&site, ROOT, None, &users(1, "")).unwrap();
    let fault = piece(&site, HELPER, Some(&upload), "").unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound);
}

#[test]
fn whoever_may_create_objects_in_a_unit_imports_into_it_and_nowhere_else() {
    let site = Site::new();
    site.ask(grant("OU=Staff", "helper", "create-child", false, None));
    let elsewhere = users(1, "").replace("OU=Staff", "OU=Plant");
    let upload = piece(&site, HELPER, None, &elsewhere).unwrap();
    assert_eq!(run(&site, HELPER, &upload, false).unwrap_err().kind, FaultKind::Denied);
    let upload = piece(&site, HELPER, None, &users(1, "")).unwrap();
    run(&site, HELPER, &upload, false).unwrap();
}

/// The versions of an import that are left to undo, newest first.
fn steps(site: &Site, import: &str, try_out: bool) -> Result<Vec<u64>, admin::Fault> {
    let steps = R::ImportSteps(op::ImportSteps { import: import.to_owned(), try_out });
    site.service.call(ROOT, "", steps).map(|response| match response {
        Response::ImportSteps { versions, .. } => versions,
        other => panic!("{other:?}"),
    })
}

/// A large import, and what it is called.
fn large(site: &Site) -> String {
    import(site, &users(5_050, "")).pop().unwrap().import.unwrap()
}

fn take_back(site: &Site, import: &str, version: u64) {
    let comment = format!("version {version} undone (import {import})");
    site.service.call(ROOT, &comment, undo(version)).unwrap();
}

#[test]
fn a_large_import_is_undone_step_by_step_to_the_byte() {
    let site = Site::new();
    let before = site.records();
    let import = large(&site);
    let versions = steps(&site, &import, false).unwrap();
    assert_eq!(versions.len(), 51);
    versions.into_iter().for_each(|version| take_back(&site, &import, version));
    assert_eq!(site.records(), before);
    assert!(steps(&site, &import, false).unwrap().is_empty());
}

#[test]
fn trying_the_undo_of_an_import_out_lists_what_changes_and_who_loses_and_counts_the_rest() {
    let site = Site::new();
    let import = large(&site);
    let before = site.records();
    let steps = R::ImportSteps(op::ImportSteps { import, try_out: true });
    let Response::ImportSteps { versions, simulated: Some(simulated) } = site.ask(steps) else { panic!() };
    assert_eq!((versions.len(), site.records() == before), (51, true));
    assert_eq!((simulated.changes.len() as u64 + simulated.more_changes, simulated.more_changes > 0), (5_050, true));
    assert!(simulated.changes.iter().all(|line| line.what == "deleted"));
    // Each of them is the owner of an address of its own.
    assert!(simulated.gained.is_empty() && simulated.lost.iter().all(|row| row.trustee.contains("\\u")));
    assert_eq!(simulated.lost.len(), 5_000);
    assert!(simulated.more_rows > 0);
}

#[test]
fn an_undo_that_was_interrupted_goes_on_where_it_was() {
    let site = Site::new();
    let import = large(&site);
    let versions = steps(&site, &import, false).unwrap();
    take_back(&site, &import, versions[0]);
    assert_eq!(steps(&site, &import, false).unwrap(), versions[1..]);
}

#[test]
fn changes_of_others_between_the_steps_are_no_steps() {
    let site = Site::new();
    let import = large(&site);
    site.user("later", None);
    assert_eq!(steps(&site, &import, false).unwrap().first(), Some(&(site.version() - 1)));
}

#[test]
fn trying_the_undo_of_an_import_out_names_what_stands_in_its_way() {
    let site = Site::new();
    let import = large(&site);
    site.ask(common::send_as("u7", "zoe"));
    let fault = steps(&site, &import, true).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    assert!(fault.message.contains("CN=user 7,"), "{fault}");
}

#[test]
fn an_import_that_was_made_at_once_or_never_has_no_steps() {
    let site = Site::new();
    assert_eq!(import(&site, &users(2, "")).pop().unwrap().import, None);
    assert_eq!(steps(&site, "5f2a90c1", false).unwrap_err().kind, FaultKind::NotFound);
}
