//! Inputs that fuzzing found worth keeping (`fuzz/corpus`).

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

#[test]
fn tokens_of_the_corpus_hold() {
    replay("oauth_token", checks::tokens_hold);
}

#[test]
fn key_sets_of_the_corpus_hold() {
    replay("oauth_keys", checks::key_sets_hold);
}

#[cfg(feature = "kerberos")]
#[test]
fn messages_of_kerberos_of_the_corpus_hold() {
    replay("kerberos_messages", checks::tickets_hold);
}

/// What the checks make of a ticket is one: else they would hold of nothing.
#[cfg(feature = "kerberos")]
#[test]
fn the_tickets_of_the_corpus_log_on_whom_they_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/kerberos_messages");
    let who = |name: &str| checks::who_logs_on(&std::fs::read(folder.join(name)).expect("it is in the corpus"));
    let bob = |mailbox: Option<&str>| Some(("bob".to_owned(), "EXAMPLE.TEST".to_owned(), mailbox.map(str::to_owned)));
    assert_eq!(who("logon"), bob(None));
    assert_eq!(who("logon-to-a-mailbox"), bob(Some("ceo")));
    assert_eq!(who("own-name"), bob(None));
    assert_eq!(who("spnego-mutual"), bob(None));
    for nobody in ["another-name", "invalid", "no-ticket", "security-layer", "service-name"] {
        assert_eq!(who(nobody), None, "{nobody}");
    }
}

#[cfg(feature = "kerberos")]
#[test]
fn keytabs_of_the_corpus_hold() {
    replay("kerberos_keytab", checks::keytabs_hold);
}
