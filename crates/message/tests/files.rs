//! Files of pickup, replay and drop folders.

#![allow(clippy::unwrap_used)]

#[path = "files/mod.rs"]
mod checks;

use proptest::prelude::*;

/// A field that matters here, or another.
fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => Just("X-Sender"),
        6 => Just("X-Receiver"),
        1 => Just("X-CreatedBy"),
        1 => Just("X-EndOfInjectedXHeaders"),
        2 => Just("From"),
        2 => Just("To"),
        1 => Just("Bcc"),
        1 => Just("Subject"),
    ];
    let value = prop_oneof![
        6 => "<[a-z]{1,6}@[a-z]{1,6}\\.test>( (NOTIFY|ORCPT|RET|ENVID|AUTH|BODY)=[!-~]{0,9})?",
        2 => "[a-z]{1,6}@[a-z]{1,6}\\.test",
        1 => "<>",
        1 => "\"[a-z >]{0,5}\"@x\\.test, b@x\\.test",
        2 => "[ -~]{0,30}",
    ];
    (name, value, "\r\n|\r\n |").prop_map(|(name, value, fold)| {
        let (first, second) = value.split_at(value.find(' ').unwrap_or(value.len()));
        match fold.as_str() {
            "\r\n " => format!("{name}: {first}\r\n {second}.\r\n"),
            _ => format!("{name}: {value}\r\n"),
        }
    })
}

proptest! {
    #[test]
    fn whatever_a_file_begins_with_its_envelope_holds(fields in proptest::collection::vec(field(), 0..8)) {
        checks::envelopes_hold(fields.concat().as_bytes());
    }
}
