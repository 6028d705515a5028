//! `audit.db` through its public interface.
#![allow(clippy::unwrap_used)]

use store::{AuditEntry, AuditFilter, AuditStore, Retention};
use tempfile::TempDir;

fn place() -> (TempDir, AuditStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = AuditStore::open(&dir.path().join("audit.db")).unwrap();
    (dir, store)
}

fn entry(number: i64) -> AuditEntry {
    let kind = if number % 2 == 0 { "refused" } else { "sent-as" };
    AuditEntry {
        id: format!("01{number:024}"),
        time: number,
        kind: kind.to_owned(),
        json: format!("{{\"n\":{number}}}"),
    }
}

fn times(store: &AuditStore, filter: &AuditFilter) -> Vec<i64> {
    store.list(filter).unwrap().iter().map(|entry| entry.time).collect()
}

#[test]
fn a_record_is_found_by_its_id_after_reopening() {
    let (dir, mut store) = place();
    store.append(&[entry(1), entry(2)]).unwrap();
    drop(store);
    let store = AuditStore::open(&dir.path().join("audit.db")).unwrap();
    assert_eq!(store.get(&entry(2).id).unwrap(), Some(entry(2)));
    assert_eq!(store.get("01NOSUCH").unwrap(), None);
}

#[test]
fn appending_a_record_again_changes_nothing() {
    let (_dir, mut store) = place();
    store.append(&[entry(1)]).unwrap();
    store.append(&[AuditEntry { json: "other".to_owned(), ..entry(1) }, entry(2)]).unwrap();
    assert_eq!(store.get(&entry(1).id).unwrap(), Some(entry(1)));
    assert_eq!(times(&store, &AuditFilter::default()), [2, 1]);
}

#[test]
fn lists_are_newest_first_filtered_and_paged() {
    let (_dir, mut store) = place();
    store.append(&(1..=6).map(entry).collect::<Vec<_>>()).unwrap();
    let refused = AuditFilter { kind: Some("refused".to_owned()), limit: 2, ..AuditFilter::default() };
    assert_eq!(times(&store, &refused), [6, 4]);
    assert_eq!(times(&store, &AuditFilter { before: Some(entry(4).id), ..refused }), [2]);
    assert_eq!(times(&store, &AuditFilter { since: Some(2), until: Some(4), ..AuditFilter::default() }), [3, 2]);
}

#[test]
fn retention_forgets_what_is_too_old_and_what_is_too_much() {
    let (_dir, mut store) = place();
    store.append(&(1..=10).map(entry).collect::<Vec<_>>()).unwrap();
    assert_eq!(store.retain(Retention { records: 100, age: 5 }, 10).unwrap(), 4);
    assert_eq!(store.retain(Retention { records: 3, age: 100 }, 10).unwrap(), 3);
    assert_eq!(times(&store, &AuditFilter::default()), [10, 9, 8]);
}
