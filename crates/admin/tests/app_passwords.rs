//! Passwords of one account that are made at the same moment: SCRAM shows one salt for all of them.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, Mutex};

use acl::Guid;
use admin::operations::{self as op, Request as R, Response};
use admin::{Absent, DataDirectory, Hasher, Like, Options, Service};
use directory::Time;
use tempfile::TempDir;

/// Keys `salt:password`, a new salt for each that is like no other; somebody else's requests come in before the first ones
/// are there.
#[derive(Default)]
struct Interrupted {
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    salts: Mutex<u32>,
}

impl Hasher for Interrupted {
    fn phc(&self, password: &[u8]) -> Result<String, String> {
        Ok(format!("hash of {}", String::from_utf8_lossy(password)))
    }

    fn scram(&self, password: &[u8], like: Option<Like<'_>>) -> Result<Option<String>, String> {
        let salt = match like {
            Some(like) => like.keys.split(':').next().unwrap().to_owned(),
            None => {
                let mut salts = self.salts.lock().unwrap();
                *salts += 1;
                format!("salt {salts}")
            }
        };
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        Ok(Some(format!("{salt}:{}", String::from_utf8_lossy(password))))
    }
}

/// An organization with bob, who has no password; all salts of his after two requests, the second of which comes while the
/// first is being answered.
fn salts_after(first: R, second: R) -> Vec<String> {
    let (_folder, service, hasher) = organization();
    let other = Arc::clone(&service);
    *hasher.meanwhile.lock().unwrap() = Some(Box::new(move || drop(other.call(common::ROOT, "", second).unwrap())));
    service.call(common::ROOT, "", first).unwrap();
    let salt = |keys: String| keys.split(':').next().unwrap().to_owned();
    let bob = bob(&service);
    let apps = service.app_passwords(&bob).unwrap().into_iter().filter_map(|password| password.scram);
    service.scram_keys(&bob).unwrap().into_iter().chain(apps).map(salt).collect()
}

fn organization() -> (TempDir, Arc<Service>, Arc<Interrupted>) {
    let folder = tempfile::tempdir().unwrap();
    drop(common::founded(folder.path(), || Time(1_000)));
    let hasher = Arc::new(Interrupted::default());
    let data = DataDirectory::open(folder.path(), Absent::Create).unwrap();
    let options = Options { hash: hasher.clone(), ..common::options(|| Time(1_000)) };
    let service = Arc::new(Service::open(data, options).unwrap());
    let bob = op::UserAdd { name: "bob".to_owned(), ..op::UserAdd::default() };
    service.call(common::ROOT, "", R::UserAdd(bob)).unwrap();
    (folder, service, hasher)
}

fn bob(service: &Service) -> Guid {
    let snapshot = service.snapshot();
    snapshot.object(snapshot.resolve("bob").unwrap()).unwrap().guid()
}

fn app_password(name: &str) -> R {
    R::AppPasswordAdd(op::AppPasswordName { identity: "bob".to_owned(), name: name.to_owned() })
}

fn own_password(password: &str) -> R {
    let password = op::Secret(zeroize::Zeroizing::new(password.to_owned()));
    R::PasswordSet(op::PasswordSet { identity: "bob".to_owned(), password })
}

#[test]
fn two_app_passwords_made_at_once_have_one_salt() {
    let salts = salts_after(app_password("phone"), app_password("printer"));
    assert_eq!(salts.len(), 2);
    assert_eq!(salts[0], salts[1]);
}

#[test]
fn an_own_password_set_while_an_app_password_is_made_has_its_salt() {
    let salts = salts_after(app_password("phone"), own_password("new"));
    assert_eq!(salts.len(), 2);
    assert_eq!(salts[0], salts[1]);
}

#[test]
fn an_app_password_made_while_the_own_one_is_set_has_its_salt() {
    let salts = salts_after(own_password("new"), app_password("phone"));
    assert_eq!(salts.len(), 2);
    assert_eq!(salts[0], salts[1]);
}

#[test]
fn an_app_password_of_a_name_that_was_taken_meanwhile_is_refused() {
    let (_folder, service, hasher) = organization();
    let other = Arc::clone(&service);
    let same = move || drop(other.call(common::ROOT, "", app_password("phone")).unwrap());
    *hasher.meanwhile.lock().unwrap() = Some(Box::new(same));
    let fault = service.call(common::ROOT, "", app_password("phone")).unwrap_err();
    assert_eq!(fault.kind, admin::FaultKind::Conflict, "{fault}");
    assert_eq!(service.app_passwords(&bob(&service)).unwrap().len(), 1);
}

#[test]
fn a_password_that_is_set_again_keeps_its_salt() {
    let salts = salts_after(own_password("first"), own_password("second"));
    assert_eq!(salts, ["salt 2"]);
    let (_folder, service, _) = organization();
    for password in ["first", "second"] {
        let answered = service.call(common::ROOT, "", own_password(password)).unwrap();
        assert!(matches!(answered, Response::Done(_)));
    }
    assert_eq!(service.scram_keys(&bob(&service)).unwrap().as_deref(), Some("salt 1:second"));
}
