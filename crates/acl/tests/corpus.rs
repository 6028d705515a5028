//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

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
