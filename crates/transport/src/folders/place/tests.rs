//! What is taken, and what becomes of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const CONNECTOR: Guid = Guid([7; 16]);
/// Long after anything was written.
const LATER: i64 = i64::MAX / 2;

fn folder(writers: Writers) -> (TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::open(folder.path(), &CONNECTOR, writers).unwrap();
    (folder, place)
}

fn waiting(place: &Place) -> Vec<String> {
    let found = place.waiting(LATER, true, &|_| Writing::Unknown).unwrap();
    found.into_iter().map(|waiting| waiting.name.into_string().unwrap()).collect()
}

fn take(place: &Place, name: &str) -> Took {
    let found = place.waiting(LATER, true, &|_| Writing::Unknown).unwrap();
    place.take(found.iter().find(|waiting| waiting.name == name).unwrap()).unwrap()
}

fn taken(place: &Place, name: &str) -> Box<Taken> {
    match take(place, name) {
        Took::File(taken) => taken,
        other => panic!("{other:?}"),
    }
}

fn names(folder: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn only_messages_are_taken() {
    let (folder, place) = folder(Writers::Anybody);
    for name in ["a.eml", "B.EML", ".hidden.eml", "c.tmp", "d.bad", "eml", ".eml", "e.eml.part", "x.01020304.tmp"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let mut found = waiting(&place);
    found.sort();
    assert_eq!(found, ["B.EML", "a.eml"]);
}

#[test]
fn what_is_in_the_making_is_left_alone_until_its_writer_is_done() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.eml"), "x").unwrap();
    let changed = changed(&statat(&place.dir, "a.eml", AtFlags::empty()).unwrap());
    for (writing, settled) in [(Writing::Done, 0), (Writing::Unknown, SETTLED), (Writing::Open, ABANDONED)] {
        let found = |after| place.waiting(changed + after, true, &|_| writing).unwrap().len();
        assert_eq!(found(settled), 1, "{writing:?}");
        assert!(settled == 0 || (found(settled - 1), found(1)) == (0, 0), "{writing:?}");
    }
}

#[test]
fn a_file_is_taken_once_and_found_again_by_its_connector_alone() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.eml"), "x").unwrap();
    let first = taken(&place, "a.eml");
    let name = format!("a.{}.07070707.tmp", first.held.id);
    assert_eq!(names(&folder), [name.as_str()]);
    let again = place.waiting(LATER, true, &|_| Writing::Unknown).unwrap();
    assert!(again[0].taken && matches!(place.take(&again[0]).unwrap(), Took::Locked(_)));
    drop(first);
    let second = taken(&place, &name);
    assert_eq!((second.called.as_str(), second.held.id.as_str()), ("a", &name[2..28]));
    let other = Place::open(folder.path(), &Guid([8; 16]), Writers::Anybody).unwrap();
    assert_eq!(waiting(&other), Vec::<String>::new());
    place.remove(&second).unwrap();
    assert_eq!(names(&folder), Vec::<String>::new());
}

#[test]
fn what_is_set_aside_has_its_reason_beside_it_and_replaces_nothing() {
    let (folder, place) = folder(Writers::Anybody);
    for text in ["one", "two"] {
        fs::write(folder.path().join("a.eml"), text).unwrap();
        let file = taken(&place, "a.eml");
        place.set_aside(file.held(), &|name| format!("{name}: because")).unwrap();
    }
    assert_eq!(names(&folder), ["a.1.bad", "a.1.reason", "a.bad", "a.reason"]);
    assert_eq!(fs::read_to_string(folder.path().join("a.1.bad")).unwrap(), "two");
    assert_eq!(fs::read_to_string(folder.path().join("a.1.reason")).unwrap(), "a.1.bad: because");
}

#[test]
fn a_file_that_is_written_while_it_is_read_is_known() {
    let (folder, place) = folder(Writers::Anybody);
    let path = folder.path().join("a.eml");
    fs::write(&path, "one").unwrap();
    let mut writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let file = taken(&place, "a.eml");
    assert!(file.is_unchanged().unwrap());
    writer.write_all(b" two").unwrap();
    assert!(!file.is_unchanged().unwrap());
}

#[test]
fn what_is_given_back_is_tried_again() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.eml"), "x").unwrap();
    let first = taken(&place, "a.eml");
    place.give_back(first.held()).unwrap();
    assert_eq!(waiting(&place), ["a.eml"]);
}

#[test]
fn what_is_no_file_is_neither_followed_nor_waited_for() {
    let (folder, place) = folder(Writers::Anybody);
    let secret = tempfile::NamedTempFile::new().unwrap();
    symlink(secret.path(), folder.path().join("link.eml")).unwrap();
    fs::create_dir(folder.path().join("folder.eml")).unwrap();
    rustix::fs::mknodat(&place.dir, "pipe.eml", FileType::Fifo, Mode::RWXU, 0).unwrap();
    fs::write(folder.path().join("two.eml"), "x").unwrap();
    fs::hard_link(folder.path().join("two.eml"), folder.path().join("names")).unwrap();
    for (name, why) in [("link.eml", "link"), ("folder.eml", "folder"), ("pipe.eml", "pipe"), ("two.eml", "hard link")]
    {
        match take(&place, name) {
            Took::Unfit(held, reason) => {
                assert!(reason.contains(why), "{name}: {reason}");
                place.set_aside(&held, &|_| reason.clone()).unwrap();
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert_eq!(waiting(&place), Vec::<String>::new());
}

#[test]
fn a_file_that_others_may_write_proves_nothing() {
    for (writers, mode, fits) in [
        (Writers::Owners, 0o644, true),
        (Writers::Owners, 0o664, false),
        (Writers::Owners, 0o646, false),
        (Writers::Admitted, 0o664, true),
        (Writers::Admitted, 0o666, false),
        (Writers::Anybody, 0o666, true),
    ] {
        let (folder, place) = folder(writers);
        let path = folder.path().join("a.eml");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(matches!(take(&place, "a.eml"), Took::File(_)), fits, "{writers:?} {mode:o}");
    }
}

#[test]
fn a_folder_that_everybody_may_write_lends_no_rights() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let open = |writers| Place::open(folder.path(), &CONNECTOR, writers);
    assert!(matches!(open(Writers::Admitted), Err(PlaceFault::Exposed(_))));
    assert!(open(Writers::Owners).is_ok() && open(Writers::Anybody).is_ok());
    let link = folder.path().join("link");
    symlink("/tmp", &link).unwrap();
    assert!(matches!(Place::open(&link, &CONNECTOR, Writers::Anybody), Err(PlaceFault::Open(_))));
}

#[test]
fn what_is_given_back_and_taken_again_is_another_one() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.eml"), "x").unwrap();
    let first = taken(&place, "a.eml");
    place.give_back(first.held()).unwrap();
    let id = first.held.id.clone();
    drop(first);
    assert_ne!(taken(&place, "a.eml").held.id, id);
}

/// The folder shows the id of a file that is taken to whoever reads it.
#[test]
fn a_file_that_somebody_else_calls_by_the_id_of_a_taken_one_is_another_one() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.eml"), "x").unwrap();
    let first = taken(&place, "a.eml");
    let name = format!("b.{}.07070707.tmp", first.held.id);
    fs::write(folder.path().join(&name), "y").unwrap();
    let mut other = taken(&place, &name);
    assert_eq!(other.held.id, first.held.id);
    other.owner += 1;
    assert_ne!(other.key(), first.key());
}

#[test]
fn of_many_files_those_come_first_that_were_taken_and_then_the_oldest() {
    let (folder, place) = folder(Writers::Anybody);
    let names: Vec<String> = (0..7 * MOST).map(|number| format!("{number:04}.eml")).collect();
    let last = "x.07070707.tmp".to_owned();
    names.iter().chain([&last]).for_each(|name| fs::write(folder.path().join(name), "x").unwrap());
    let expected: Vec<String> = [last].into_iter().chain(names).take(MOST).collect();
    assert_eq!(waiting(&place), expected);
    assert!(place.waiting(LATER, false, &|_| Writing::Unknown).unwrap().iter().all(|waiting| !waiting.taken));
}

#[test]
fn what_is_called_as_if_it_were_taken_is_sent_too() {
    let (folder, place) = folder(Writers::Anybody);
    fs::write(folder.path().join("a.07070707.tmp"), "x").unwrap();
    let file = taken(&place, "a.07070707.tmp");
    assert_eq!(names(&folder), [format!("a.{}.07070707.tmp", file.held.id)]);
}

proptest! {
    /// Whatever a file is called, it is taken under a name by which it is found again, or was taken under that name.
    #[test]
    fn names_of_taken_files_are_read_as_they_are_written(
        name in proptest::collection::vec(any::<u8>(), 0..60),
        id in any::<u128>(),
    ) {
        let (_folder, place) = folder(Writers::Anybody);
        let id = Ulid(id).to_string();
        let taken = OsString::from_vec([&name[..], &place.ending_of(&id)].concat());
        match place.named(&taken) {
            Some(held) => prop_assert_eq!((held.stem, held.id, held.name), (name.clone(), id, taken)),
            None => prop_assert!(name.is_empty()),
        }
        for end in [&b""[..], &place.ending()] {
            let other = OsString::from_vec([&name[..], end].concat());
            if let Some(held) = place.named(&other) {
                prop_assert_eq!([&held.stem[..], &place.ending_of(&held.id)].concat(), other.as_bytes());
            }
        }
    }
}

#[test]
fn a_name_as_long_as_names_may_be_is_taken_and_set_aside() {
    let (folder, place) = folder(Writers::Anybody);
    let name = "n".repeat(251) + ".eml";
    fs::write(folder.path().join(&name), "x").unwrap();
    let file = taken(&place, &name);
    place.set_aside(file.held(), &|_| "because".to_owned()).unwrap();
    let stem = "n".repeat(LONGEST);
    assert_eq!(names(&folder), [format!("{stem}.bad"), format!("{stem}.reason")]);
}
