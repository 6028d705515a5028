//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use checks::Came;
use proptest::prelude::*;

#[test]
fn answers_of_the_corpus_hold() {
    replay::replay("kerberos_answer", checks::answers_hold);
}

/// What the checks make is believed where it should be: else they would hold of nothing.
#[test]
fn the_answers_of_the_corpus_are_what_they_are_called() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kerberos_answer");
    let came = |name: &str| checks::came_of(&std::fs::read(folder.join(name)).expect("it is in the corpus"));
    assert_eq!(came("first-ticket"), Came::Ticket);
    assert_eq!(came("first-ticket-with-another-key"), Came::FirstTicket);
    assert_eq!(came("ticket"), Came::Ticket);
    assert_eq!(came("proof"), Came::Context);
    assert_eq!(came("proof-without-a-key"), Came::Context);
    for name in ["token", "sealed-token", "turned-token", "filled-token"] {
        assert_eq!(came(name), Came::Content, "{name}");
    }
    for name in ["refusal", "referral", "changed-token", "token-out-of-order", "proof-of-another-time"] {
        assert_eq!(came(name), Came::Nothing, "{name}");
    }
}

proptest! {
    #[test]
    fn no_octets_are_believed(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        checks::answers_hold(&octets);
    }
}
