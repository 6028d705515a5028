//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn packets_of_milters_of_the_corpus_hold() {
    replay("content_milter", checks::milter_holds);
}

#[test]
fn answers_of_rspamd_of_the_corpus_hold() {
    replay("content_rspamd", checks::rspamd_holds);
}
