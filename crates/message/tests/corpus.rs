//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

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
fn binary_messages_of_the_corpus_hold() {
    replay("message_binary", |input| checks::binary_holds(input, input.len() % 50));
}

#[test]
fn parts_of_the_corpus_hold() {
    replay("message_parts", |input| {
        checks::parts_hold(input, input.len() % 50);
        checks::spared_parts_hold(input, input.len() % 50);
    });
}
