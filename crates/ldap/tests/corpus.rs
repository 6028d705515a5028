//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

#[test]
fn answers_of_the_corpus_hold() {
    replay::replay("ldap_answer", checks::answers_hold);
}
