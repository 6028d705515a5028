//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        check(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    println!("{target}: {count} inputs");
    assert!(count > 0);
}

#[test]
fn descriptors_of_the_corpus_hold() {
    replay("acl_descriptor", checks::descriptor_holds);
}

#[test]
fn texts_of_the_corpus_hold() {
    replay("acl_sddl", checks::sddl_holds);
}

#[test]
fn conditions_of_the_corpus_hold() {
    replay("acl_condition", checks::condition_holds);
}
