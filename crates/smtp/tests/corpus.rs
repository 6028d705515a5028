//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;

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
fn commands_of_the_corpus_hold() {
    replay("smtp_command", |input| {
        checks::command_holds(input);
        checks::lines_hold(input, 3);
    });
}

#[test]
fn data_of_the_corpus_holds() {
    replay("smtp_data", |input| {
        checks::data_holds(input, input.len() / 2, 3);
        checks::stuffing_holds(input, input.len() / 2);
    });
}

#[test]
fn replies_of_the_corpus_hold() {
    replay("smtp_reply", |input| checks::replies_hold(input, 3));
}
