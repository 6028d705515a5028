//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

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
fn chunks_of_the_corpus_hold() {
    replay("smtp_chunk", |input| checks::chunks_hold(input, input.len() / 2, 3));
}

#[test]
fn parameters_of_the_corpus_hold() {
    replay("smtp_parameters", checks::parameters_hold);
}

#[test]
fn proxy_headers_of_the_corpus_hold() {
    replay("proxy_header", checks::proxy_holds);
}

#[test]
fn replies_of_the_corpus_hold() {
    replay("smtp_reply", |input| checks::replies_hold(input, 3));
}

#[test]
fn answers_to_a_client_of_the_corpus_hold() {
    replay("smtp_client", checks::client_holds);
}
