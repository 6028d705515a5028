//! Inputs that fuzzing found worth keeping (`fuzz/corpus`), and those it began with.

#![allow(missing_docs, reason = "a test")]

mod checks;
#[path = "authz/organization.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod organization;
#[path = "../../../fuzz/replay.rs"]
mod replay;
#[path = "authz/script.rs"]
#[allow(dead_code, reason = "shared with the scripts")]
mod script;

use replay::replay;

#[test]
fn sessions_of_the_corpus_hold() {
    replay("session_smtp", checks::session_holds);
}

#[test]
fn exchanges_of_the_corpus_hold() {
    replay("session_sasl", checks::sasl_holds);
}
