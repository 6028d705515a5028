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
fn addresses_of_the_corpus_hold() {
    replay("message_address", checks::address_holds);
}

#[test]
fn senders_of_the_corpus_hold() {
    replay("message_senders", checks::senders_hold);
}

#[test]
fn headers_of_the_corpus_hold() {
    replay("message_rewrite", |input| {
        checks::header_holds(input, input.len() / 2);
        checks::rewrite_holds(input);
    });
}

#[test]
fn parts_of_the_corpus_hold() {
    replay("message_parts", |input| checks::parts_hold(input, input.len() % 50));
}
