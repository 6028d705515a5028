//! Objects page by page: each once, whatever changes between two pages.

#![allow(clippy::unwrap_used)]

mod common;

use common::Organization;
use directory::{Change, ObjectId, Snapshot};

fn page(snapshot: &Snapshot, after: Option<ObjectId>, size: usize) -> Vec<ObjectId> {
    snapshot.objects_after(after).take(size).map(|(id, _)| id).collect()
}

#[test]
fn pages_of_any_size_make_up_all_objects() {
    let mut o = Organization::new();
    for n in 0..200 {
        o.ou("example.com", &format!("Unit {n}"));
    }
    let all: Vec<ObjectId> = o.snapshot.objects().map(|(id, _)| id).collect();
    for size in [1, 7, 64, 1_000] {
        let mut seen: Vec<ObjectId> = Vec::new();
        loop {
            let next = page(&o.snapshot, seen.last().copied(), size);
            if next.is_empty() {
                break;
            }
            seen.extend(next);
        }
        assert_eq!(seen, all, "pages of {size}");
    }
}

#[test]
fn a_page_after_a_deleted_object_goes_on_behind_it() {
    let mut o = Organization::new();
    let units: Vec<ObjectId> = (0..5).map(|n| o.ou("example.com", &format!("Unit {n}"))).collect();
    let guid = o.guid_of(units[2]);
    o.apply(vec![Change::Delete { guid }]);
    assert_eq!(page(&o.snapshot, Some(units[2]), 10), units[3..]);
    assert_eq!(page(&o.snapshot, Some(units[0]), 2), [units[1], units[3]]);
}

#[test]
fn an_object_added_between_two_pages_comes_on_a_later_one() {
    let mut o = Organization::new();
    let first = page(&o.snapshot, None, 3);
    let late = o.ou("example.com", "Late");
    let rest = page(&o.snapshot, first.last().copied(), 10_000);
    assert_eq!(rest.iter().filter(|id| **id == late).count(), 1);
    assert_eq!(first.len() + rest.len(), o.snapshot.len());
}

#[test]
fn after_the_last_object_there_is_none() {
    let o = Organization::new();
    let last = o.snapshot.objects().map(|(id, _)| id).last();
    assert!(page(&o.snapshot, last, 10).is_empty());
    assert!(page(&o.snapshot, Some(ObjectId(u32::MAX)), 10).is_empty());
}
