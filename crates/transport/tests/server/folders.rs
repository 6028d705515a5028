//! Folders whose files are messages, where the directory goes away or changes while they are served.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use directory::{SendingLimits, Snapshot, attributes as a};
use rights::PermissionGroup;
use tempfile::TempDir;
use transport::LocalUsers;

use crate::site::{Plan, Site, eventually};

/// A site with a pickup folder whose files are their owners', and alice is who runs the test.
fn owners() -> (Site, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (uid, path) = (fs::metadata(folder.path()).unwrap().uid(), folder.path().to_str().unwrap().to_owned());
    let site = Site::with(Plan {
        directory: Box::new(move |directory| {
            let settings = [(a::FOLDER_KIND, "pickup"), (a::FOLDER_PATH, path.as_str()), (a::FOLDER_IDENTITY, "owner")];
            directory.receive("files", PermissionGroup::ExchangeUsers, &[], &settings);
        }),
        options: Box::new(move |options| {
            options.owners = LocalUsers::new([(uid, "alice".to_owned())].into());
        }),
        ..Plan::default()
    });
    (site, folder)
}

fn put(folder: &Path, name: &str) {
    put_text(folder, name, "From: alice@example.com\nTo: bob@example.com\nSubject: x\n\nHello.\n");
}

fn put_text(folder: &Path, name: &str, text: &str) {
    let hidden = folder.join(format!(".{name}"));
    fs::write(&hidden, text).unwrap();
    fs::rename(hidden, folder.join(name)).unwrap();
}

fn publish(site: &Site, out_of_date: bool) {
    site.shared.publish(Arc::new(Snapshot::clone(&site.directory.snapshot).dated(out_of_date)));
}

fn await_files(site: &Site, result: &str) {
    let counted = || site.shared.figures().files().into_iter().any(|((_, found), count)| found == result && count > 0);
    eventually(result, || counted().then_some(()));
}

#[test]
fn a_file_is_not_taken_before_its_writer_has_closed_it() {
    let (site, folder) = owners();
    // From now on the folder is watched.
    put(folder.path(), "first.eml");
    site.await_mail("bob", 1);
    let path = folder.path().join("slow.eml");
    let mut writer = fs::File::create(&path).unwrap();
    writer.write_all(b"From: alice@example.com\nTo: bob@example.com\nSubject: slow\n\none half\n").unwrap();
    // Older than what may be in the making where nothing is told of files.
    eventually("an old file", || {
        let age = SystemTime::now().duration_since(fs::metadata(&path).unwrap().modified().unwrap());
        age.is_ok_and(|age| age > Duration::from_millis(2_500)).then_some(())
    });
    put(folder.path(), "other.eml");
    site.await_mail("bob", 2);
    assert!(path.exists(), "it was taken");
    writer.write_all(b"the other half\n").unwrap();
    drop(writer);
    let messages = site.await_mail("bob", 3);
    assert!(messages.iter().any(|text| text.contains("one half\nthe other half\n")), "{messages:#?}");
}

#[test]
fn a_file_that_finds_no_room_in_the_limits_of_its_account_waits_and_uses_up_none() {
    let (site, folder) = owners();
    let limits = SendingLimits { recipients_per_day: Some(2), ..SendingLimits::default() };
    site.shared.sending().set_up(limits, &folder.path().join(".sending")).unwrap();
    put(folder.path(), "one.eml");
    site.await_mail("bob", 1);
    let to = |names: &str| format!("From: alice@example.com\nTo: {names}\nSubject: x\n\nHello.\n");
    put_text(folder.path(), "two.eml", &to("bob@example.com, alice@example.com"));
    await_files(&site, "put-off");
    // There is room for one still.
    put(folder.path(), "three.eml");
    site.await_mail("bob", 2);
    put_text(folder.path(), "four.eml", &to("a@x.test, b@x.test, c@x.test"));
    let reason = eventually("a reason", || {
        fs::read_to_string(folder.path().join("four.reason")).ok().filter(|text| text.contains("rename it"))
    });
    assert!(reason.contains("2 recipients in a day, and the message is to 3"), "{reason}");
    assert!(folder.path().join("two.eml").exists());
}

#[test]
fn a_folder_that_is_gone_is_out_of_service_until_it_is_back() {
    let (site, folder) = owners();
    let path = folder.path().to_owned();
    fs::remove_dir(&path).unwrap();
    eventually("a folder out of service", || {
        let closed = site.shared.folders_out_of_service();
        closed
            .first()
            .filter(|folder| Path::new(&folder.path) == path && folder.why.contains("cannot be opened"))
            .cloned()
    });
    fs::create_dir(&path).unwrap();
    eventually("a folder in service", || site.shared.folders_out_of_service().is_empty().then_some(()));
}

#[test]
fn files_wait_while_the_directory_is_out_of_date() {
    let (site, folder) = owners();
    publish(&site, true);
    put(folder.path(), "one.eml");
    await_files(&site, "put-off");
    publish(&site, false);
    site.await_mail("bob", 1);
    await_files(&site, "accepted");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
