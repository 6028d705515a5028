//! Inputs that fuzzing found worth keeping (`fuzz/corpus`), and those it began with.

#![allow(missing_docs, reason = "a test")]

mod checks;
#[path = "authz/organization.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod organization;
#[path = "authz/script.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod script;

use std::path::Path;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files: Vec<_> = std::fs::read_dir(&folder).expect("the corpus is in the repository").collect();
    assert!(!files.is_empty());
    for file in files {
        check(&std::fs::read(file.expect("readable").path()).expect("readable"));
    }
}

#[test]
fn sessions_of_the_corpus_hold() {
    replay("session_smtp", checks::session_holds);
}

#[test]
fn exchanges_of_the_corpus_hold() {
    replay("session_sasl", checks::sasl_holds);
}
