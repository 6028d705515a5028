//! `directory.db` through its public interface.
#![allow(clippy::unwrap_used)]

use acl::{Guid, Sid};
use directory::{AttributeChange, ChangeBatch, ChangeLog, ObjectChange, Record, Time, Value, link_value};
use store::{DirectoryStore, HistoryFilter, StoreError};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    store: DirectoryStore,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryStore::open(&dir.path().join("directory.db")).unwrap();
        Place { dir, store }
    }

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("directory.db")
    }

    /// Closes the store and opens it again.
    fn reopen(self) -> Place {
        let Place { dir, store } = self;
        drop(store);
        let store = DirectoryStore::open(&dir.path().join("directory.db")).unwrap();
        Place { dir, store }
    }

    fn commit(&mut self, time: i64, changes: Vec<ObjectChange>) -> Result<u64, StoreError> {
        let batch =
            ChangeBatch { author: author(7), time: Time(time), comment: format!("at {time}"), changes: Vec::new() };
        self.store.commit(&batch, &ChangeLog { changes })
    }

    fn records(&self) -> Vec<Record> {
        self.store.load(|records| records.collect()).unwrap()
    }
}

fn author(rid: u32) -> Sid {
    Sid::new(5, &[21, 1, 2, 3, rid])
}

fn guid(number: u128) -> Guid {
    Guid::from_u128(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn root() -> Record {
    Record::new(guid(1), None, "DC=example,DC=com").with("objectClass", *b"domainDNS")
}

fn user(number: u128) -> Record {
    Record::new(guid(number), Some(guid(1)), format!("CN=User {number}"))
        .with("objectClass", *b"user")
        .with("nTSecurityDescriptor", vec![9_u8; 300])
        .with_all("proxyAddresses", [b"SMTP:a@example.com".to_vec(), b"smtp:b@example.com".to_vec()])
        .with("manager", link_value(&guid(1)))
}

fn replaced(name: &str, before: &[&str], after: &[&str]) -> AttributeChange {
    let values = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    AttributeChange::Replaced { name: name.to_owned(), before: values(before), after: values(after) }
}

fn links(removed: &[u128], added: &[u128]) -> AttributeChange {
    let values = |targets: &[u128]| targets.iter().map(|target| link_value(&guid(*target))).collect();
    AttributeChange::Links { name: "member".to_owned(), removed: values(removed), added: values(added) }
}

fn modified(number: u128, attributes: Vec<AttributeChange>) -> ObjectChange {
    ObjectChange::Modified { guid: guid(number), attributes }
}

#[test]
fn texts_of_an_attribute_are_found_without_loading_the_directory() {
    let mut place = Place::new();
    let with = |number, path: &str| user(number).with("procuraFolderPath", path.as_bytes().to_vec());
    // The name of the attribute as somebody's value is no value of it.
    let named = user(4).with("description", *b"procuraFolderPath");
    place.commit(1, [root(), with(2, "/a"), with(3, "/b"), named].map(ObjectChange::Added).to_vec()).unwrap();
    let mut found = place.reopen().store.texts(&["procuraFolderPath", "procuraDropFolder"]).unwrap();
    found.sort();
    assert_eq!(found, ["/a", "/b"]);
}

#[test]
fn records_come_back_as_they_were_in_order_of_creation() {
    let mut place = Place::new();
    let records = vec![root(), user(3), user(2)];
    place.commit(1, records.iter().cloned().map(ObjectChange::Added).collect()).unwrap();
    assert_eq!(place.reopen().records(), records);
}

#[test]
fn each_batch_makes_one_version() {
    let mut place = Place::new();
    assert_eq!(place.store.version(), 0);
    assert_eq!(place.commit(1, vec![ObjectChange::Added(root())]).unwrap(), 1);
    assert_eq!(place.commit(2, vec![ObjectChange::Added(user(2))]).unwrap(), 2);
    assert_eq!(place.reopen().store.version(), 2);
}

#[test]
fn attributes_are_replaced_and_removed() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root()), ObjectChange::Added(user(2))]).unwrap();
    let changes = vec![replaced("title", &[], &["Engineer"]), replaced("objectClass", &["user"], &[])];
    place.commit(2, vec![modified(2, changes)]).unwrap();
    let record = place.records().remove(1);
    assert_eq!(record.text("title"), Some("Engineer"));
    assert!(record.values("objectClass").is_empty());
    assert_eq!(record.values("nTSecurityDescriptor"), [vec![9_u8; 300]]);
}

#[test]
fn a_large_group_keeps_its_members_sorted_through_additions_and_removals() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root())]).unwrap();
    let all: Vec<u128> = (10..3000).collect();
    place.commit(2, vec![modified(1, vec![links(&[], &all)])]).unwrap();
    let gone: Vec<u128> = all.iter().copied().filter(|number| number % 3 == 0).collect();
    place.commit(3, vec![modified(1, vec![links(&gone, &[5])])]).unwrap();
    let mut expected: Vec<Value> =
        all.iter().filter(|number| *number % 3 != 0).chain(&[5]).map(|number| link_value(&guid(*number))).collect();
    expected.sort();
    assert_eq!(place.reopen().records().remove(0).values("member"), expected);
}

#[test]
fn a_moved_object_has_its_new_place() {
    let mut place = Place::new();
    place
        .commit(1, vec![ObjectChange::Added(root()), ObjectChange::Added(user(2)), ObjectChange::Added(user(3))])
        .unwrap();
    let (before, after) = ((Some(guid(1)), "CN=User 3".to_owned()), (Some(guid(2)), "CN=Other".to_owned()));
    place.commit(2, vec![ObjectChange::Moved { guid: guid(3), before, after }]).unwrap();
    let record = place.records().remove(2);
    assert_eq!((record.parent, record.rdn.as_str()), (Some(guid(2)), "CN=Other"));
}

#[test]
fn a_deleted_object_is_gone_with_its_links_and_credential() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root()), ObjectChange::Added(user(2))]).unwrap();
    place.store.set_credential(&guid(2), "$argon2id$x").unwrap();
    place.commit(2, vec![ObjectChange::Deleted(user(2))]).unwrap();
    assert_eq!(place.store.credential(&guid(2)).unwrap(), None);
    assert_eq!(place.reopen().records(), [root()]);
}

#[test]
fn a_batch_that_does_not_fit_changes_nothing() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root())]).unwrap();
    let changes = vec![ObjectChange::Added(user(2)), modified(77, vec![replaced("title", &[], &["x"])])];
    assert!(matches!(place.commit(2, changes), Err(StoreError::Conflict { .. })));
    assert_eq!(place.store.version(), 1);
    assert_eq!(place.records(), [root()]);
    place.commit(3, vec![ObjectChange::Added(user(2))]).unwrap();
    assert_eq!(place.reopen().records(), [root(), user(2)]);
}

#[test]
fn an_empty_store_is_filled_as_version_one_and_a_used_one_is_not() {
    let mut place = Place::new();
    assert_eq!(place.store.fill(&author(7), Time(5), "restored", [root(), user(2)]).unwrap(), 1);
    let mut place = place.reopen();
    assert_eq!((place.store.version(), place.records()), (1, vec![root(), user(2)]));
    assert!(matches!(place.store.fill(&author(7), Time(6), "again", []), Err(StoreError::Conflict { .. })));
}

#[test]
fn a_large_batch_that_does_not_fit_changes_nothing_and_one_that_fits_is_kept() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root())]).unwrap();
    let mut changes: Vec<ObjectChange> = (2..12_000).map(|number| ObjectChange::Added(user(number))).collect();
    changes.push(ObjectChange::Added(root()));
    assert!(matches!(place.commit(2, changes.clone()), Err(StoreError::Conflict { .. })));
    assert_eq!(place.records(), [root()]);
    changes.pop();
    assert_eq!(place.commit(3, changes).unwrap(), 2);
    let place = place.reopen();
    assert_eq!((place.store.version(), place.records().len()), (2, 11_999));
}

#[test]
fn the_log_of_a_version_is_what_was_committed() {
    let mut place = Place::new();
    let changes = vec![
        ObjectChange::Added(root()),
        ObjectChange::Added(user(2)),
        modified(2, vec![replaced("title", &["a"], &["b", "c"]), links(&[4], &[5, 6])]),
        ObjectChange::Moved { guid: guid(2), before: (Some(guid(1)), "CN=a".into()), after: (None, "CN=b".into()) },
        ObjectChange::Deleted(user(2)),
    ];
    place.commit(1, changes.clone()).unwrap();
    assert_eq!(place.reopen().store.log(1).unwrap(), Some(ChangeLog { changes }));
}

#[test]
fn there_is_no_log_of_a_version_that_never_was() {
    assert_eq!(Place::new().store.log(9).unwrap(), None);
}

#[test]
fn history_is_filtered_and_newest_first() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root()), ObjectChange::Added(user(2))]).unwrap();
    place.commit(2, vec![modified(2, vec![replaced("title", &[], &["x"])])]).unwrap();
    place.commit(3, vec![modified(1, vec![replaced("title", &[], &["y"])])]).unwrap();
    let versions = |filter: HistoryFilter| -> Vec<u64> {
        place.store.history(&filter).unwrap().iter().map(|entry| entry.version).collect()
    };
    assert_eq!(versions(HistoryFilter { object: Some(guid(2)), ..HistoryFilter::default() }), [2, 1]);
    assert_eq!(versions(HistoryFilter { since: Some(Time(3)), ..HistoryFilter::default() }), [3]);
    assert_eq!(versions(HistoryFilter { until: Some(Time(2)), limit: 1, ..HistoryFilter::default() }), [1]);
    assert_eq!(versions(HistoryFilter { before: Some(2), ..HistoryFilter::default() }), [1, 1]);
    assert!(versions(HistoryFilter { author: Some(author(8)), ..HistoryFilter::default() }).is_empty());
    let entry = place.store.history(&HistoryFilter { version: Some(2), ..HistoryFilter::default() }).unwrap().remove(0);
    assert_eq!((entry.author, entry.time, entry.comment.as_str()), (author(7), Time(2), "at 2"));
}

#[test]
fn credentials_are_kept_apart_from_the_history() {
    let mut place = Place::new();
    place.commit(1, vec![ObjectChange::Added(root()), ObjectChange::Added(user(2))]).unwrap();
    place.store.set_credential(&guid(2), "$argon2id$first").unwrap();
    place.store.set_credential(&guid(2), "$argon2id$second").unwrap();
    let place = place.reopen();
    assert_eq!(place.store.credentials().unwrap(), [(guid(2), "$argon2id$second".to_owned())]);
    assert_eq!(place.store.version(), 1);
    assert_eq!(place.store.history(&HistoryFilter::default()).unwrap().len(), 2);
}

#[test]
fn a_removed_credential_is_gone() {
    let mut place = Place::new();
    place.store.set_credential(&guid(2), "$argon2id$first").unwrap();
    assert!(place.store.remove_credential(&guid(2)).unwrap());
    assert!(!place.store.remove_credential(&guid(2)).unwrap());
    assert_eq!(place.store.credential(&guid(2)).unwrap(), None);
}

#[test]
fn settings_are_set_and_removed() {
    let mut place = Place::new();
    place.store.set_setting("colour", Some("green")).unwrap();
    let mut place = place.reopen();
    assert_eq!(place.store.setting("colour").unwrap().as_deref(), Some("green"));
    place.store.set_setting("colour", None).unwrap();
    assert_eq!(place.store.setting("colour").unwrap(), None);
}

#[test]
fn a_damaged_file_is_refused_by_name_and_not_touched() {
    let mut place = Place::new();
    let users = (2..200).map(|number| ObjectChange::Added(user(number)));
    place.commit(1, std::iter::once(ObjectChange::Added(root())).chain(users).collect()).unwrap();
    let path = place.path();
    let Place { dir, store } = place;
    drop(store);
    let mut octets = std::fs::read(&path).unwrap();
    octets[8192..40_000].fill(0xaa);
    std::fs::write(&path, &octets).unwrap();
    let error = DirectoryStore::open(&path).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("directory.db") && error.to_string().contains("backup"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), octets);
    drop(dir);
}

#[test]
fn an_empty_file_is_no_directory_that_exists_and_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    std::fs::write(&path, b"").unwrap();
    assert!(matches!(DirectoryStore::open_existing(&path), Err(StoreError::Empty { .. })));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    // Whoever was interrupted while it was made begins again.
    drop(DirectoryStore::open(&path).unwrap());
    drop(DirectoryStore::open_existing(&path).unwrap());
}

#[test]
fn a_directory_that_should_exist_is_not_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    assert!(matches!(DirectoryStore::open_existing(&path), Err(StoreError::Missing { .. })));
    assert!(!path.exists());
}

#[test]
fn a_text_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("directory.db");
    std::fs::write(&path, b"dn: DC=example,DC=com\nobjectClass: domainDNS\n this is LDIF and not a database").unwrap();
    assert!(matches!(DirectoryStore::open(&path), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_database_of_something_else_is_refused() {
    let place = Place::new();
    let path = place.dir.path().join("audit.db");
    drop(store::AuditStore::open(&path).unwrap());
    assert!(matches!(DirectoryStore::open(&path), Err(StoreError::Foreign { expected: "directory", .. })));
}

#[test]
fn a_newer_schema_is_refused() {
    let place = Place::new();
    let path = place.path();
    let Place { dir, store } = place;
    drop(store);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(DirectoryStore::open(&path), Err(StoreError::NewerSchema { found: 99, .. })));
    drop(dir);
}

#[test]
fn records_come_piece_by_piece_as_they_come_all_at_once() {
    let mut place = Place::new();
    let links = [2, 3].map(|number| link_value(&guid(number)));
    let mut added: Vec<ObjectChange> = (2..30).map(|number| ObjectChange::Added(user(number))).collect();
    added.insert(0, ObjectChange::Added(root()));
    let attributes = vec![AttributeChange::Links { name: "member".into(), removed: vec![], added: links.into() }];
    added.push(ObjectChange::Modified { guid: guid(7), attributes });
    place.commit(1, added).unwrap();
    let all = place.records();
    for size in [1, 7, 29, 1_000] {
        let (mut pieces, mut after) = (Vec::new(), store::Place::default());
        loop {
            let (records, end) = place.store.records_after(after, size).unwrap();
            let last = records.len() < size;
            pieces.extend(records);
            after = end;
            if last {
                break;
            }
        }
        assert_eq!(pieces, all, "pieces of {size}");
    }
    assert_eq!(place.store.count().unwrap(), all.len() as u64);
}
