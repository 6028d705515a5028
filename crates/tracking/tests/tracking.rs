//! Writing the record and finding messages in it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tracking::{Event, Found, Query, Record, Tracking, TrackingOptions, search};

/// 2026-01-01 12:00 UTC.
const NOON: i64 = 1_767_268_800_000;
const DAY: i64 = 24 * 3_600_000;

fn received(time: i64, id: &str, sender: &str, to: &[&str]) -> Record {
    Record {
        time,
        id: id.into(),
        sender: Some(sender.into()),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        message_id: format!("<{id}@client>"),
        ..Record::default()
    }
}

fn happened(time: i64, id: &str, event: Event, to: &str) -> Record {
    Record { time, id: id.into(), event, to: vec![to.to_owned()], ..Record::default() }
}

fn write(folder: &Path, options: impl FnOnce(&mut TrackingOptions), records: impl IntoIterator<Item = Record>) {
    let mut opened = TrackingOptions::new(folder);
    options(&mut opened);
    let tracking = Tracking::start(opened).unwrap();
    for record in records {
        tracking.note(record);
        tracking.flush();
    }
}

fn some(folder: &Path) {
    write(
        folder,
        |_| {},
        [
            received(NOON, "A", "alice@example.com", &["bob@x.test", "carol@y.test"]),
            received(NOON + 1, "B", "", &["alice@example.com"]),
            happened(NOON + 2, "A", Event::Delivered, "bob@x.test"),
            Record { reason: "no such user".into(), ..happened(NOON + 3, "A", Event::Failed, "carol@y.test") },
            Record { about: "A".into(), event: Event::Bounced, ..received(NOON + 4, "C", "", &["alice@example.com"]) },
            happened(NOON + 5, "C", Event::Delivered, "alice@example.com"),
        ],
    );
}

fn events(found: &Found) -> Vec<Vec<(String, &'static str)>> {
    let events = |message: &tracking::Traced| {
        message.records.iter().map(|record| (record.id.clone(), record.event.name())).collect()
    };
    found.messages.iter().map(events).collect()
}

fn pairs(expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected.iter().map(|(id, event)| ((*id).to_owned(), *event)).collect()
}

#[test]
fn a_message_is_found_with_all_that_became_of_it_and_its_bounce() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let query = Query { from: Some("Alice@Example.com".into()), ..Query::default() };
    let found = search(folder.path(), &query).unwrap();
    let all = pairs(&[("A", "received"), ("A", "delivered"), ("A", "failed"), ("C", "bounced"), ("C", "delivered")]);
    assert_eq!(events(&found), [all]);
}

#[test]
fn a_domain_of_recipients_finds_messages() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let query = Query { to: Some("@y.test".into()), ..Query::default() };
    assert_eq!(search(folder.path(), &query).unwrap().messages.len(), 1);
    let query = Query { to: Some("@.test".into()), ..Query::default() };
    assert_eq!(search(folder.path(), &query).unwrap().messages.len(), 0);
}

#[test]
fn a_message_is_found_by_its_message_id_with_or_without_brackets() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    for id in ["<B@client>", "B@client"] {
        let query = Query { message_id: Some(id.into()), ..Query::default() };
        assert_eq!(events(&search(folder.path(), &query).unwrap()), [pairs(&[("B", "received")])]);
    }
}

#[test]
fn times_are_those_of_reception() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let query = Query { since: Some(NOON), until: Some(NOON + 1), ..Query::default() };
    let found = search(folder.path(), &query).unwrap();
    assert_eq!(found.messages.len(), 1);
    assert_eq!(found.messages[0].records.len(), 5);
}

#[test]
fn the_newest_are_kept_and_it_is_said_that_there_were_more() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), |_| {}, (0..5).map(|n| received(NOON + n, &format!("M{n}"), "a@b", &["c@d"])));
    let found = search(folder.path(), &Query { limit: 2, ..Query::default() }).unwrap();
    assert_eq!(events(&found), [pairs(&[("M3", "received")]), pairs(&[("M4", "received")])]);
    assert!(found.more);
}

#[test]
fn files_are_followed_by_others_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let small = |options: &mut TrackingOptions| {
        options.file_size = 1;
        options.keep = Duration::from_secs(2 * 24 * 3600);
    };
    write(folder.path(), small, (0..6).map(|n| received(NOON + n * DAY, &format!("M{n}"), "a@b", &["c@d"])));
    let found = search(folder.path(), &Query::default()).unwrap();
    let ids: Vec<_> = found.messages.iter().map(|message| message.records[0].id.as_str()).collect();
    assert_eq!(ids, ["M3", "M4", "M5"]);
}

#[test]
fn all_files_together_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let small = |options: &mut TrackingOptions| {
        options.file_size = 1;
        options.total_size = 500;
    };
    write(folder.path(), small, (0..50).map(|n| received(NOON + n * 10, &format!("M{n}"), "a@b", &["c@d"])));
    let total: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(total < 700, "{total}");
}

#[test]
fn a_line_that_was_cut_off_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    some(folder.path());
    let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"time\":1767268800009,\"id\":\"X\",\"event\":\"received\",\"sen");
    fs::write(&file, text).unwrap();
    write(folder.path(), |_| {}, [received(NOON + 10, "Y", "y@example.com", &["c@d"])]);
    let found = search(folder.path(), &Query { from: Some("y@example.com".into()), ..Query::default() }).unwrap();
    assert_eq!(events(&found), [pairs(&[("Y", "received")])]);
    assert_eq!(found.unreadable, 1);
}

#[test]
fn a_folder_that_is_not_there_has_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(search(&folder.path().join("none"), &Query::default()).unwrap(), Found::default());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a client says cannot break a line, nor pass for another event.
    #[test]
    fn any_text_is_read_back_as_it_was(texts in proptest::collection::vec(any::<String>(), 4)) {
        let folder = tempfile::tempdir().unwrap();
        let record = Record {
            time: NOON,
            id: "A".into(),
            sender: Some(texts[0].clone()),
            message_id: texts[1].clone(),
            helo: texts[2].clone(),
            reason: texts[3].clone(),
            ..Record::default()
        };
        write(folder.path(), |_| {}, [record.clone()]);
        let found = search(folder.path(), &Query { id: Some("A".into()), ..Query::default() }).unwrap();
        prop_assert_eq!(&found.messages[0].records, &vec![record]);
    }

    /// Files may hold anything.
    #[test]
    fn no_file_makes_a_search_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("20260101-120000123.jsonl"), bytes).unwrap();
        search(folder.path(), &Query { from: Some("a".into()), ..Query::default() }).unwrap();
    }
}
