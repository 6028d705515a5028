//! Messages as JSON, of every kind.

#![allow(clippy::unwrap_used)]

mod checks;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use proptest::prelude::*;
use serde_json::{Value, json};

#[test]
fn drafts_of_the_corpus_hold() {
    replay::replay("web_draft", checks::draft_holds);
}

/// A text with what is dangerous in a header more often than chance has it.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ -~]{0,60}",
        "[\r\n\t :;,<>@\"\\\\().a-z=?]{0,30}",
        "[a-z]{1,8}@[a-z]{1,8}\\.test",
        "[a-zA-Z ]{1,12} <[a-z]{1,8}@[a-z]{1,8}\\.test>",
    ]
}

fn mailboxes() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        text().prop_map(Value::from),
        "[a-z]{1,8}@[a-z]{1,8}\\.test".prop_map(Value::from),
        (text(), "[a-z]{1,8}@[a-z]{1,8}\\.test")
            .prop_map(|(name, address)| json!({ "name": name, "address": address })),
        (text(), text()).prop_map(|(name, address)| json!({ "name": name, "address": address })),
    ];
    prop_oneof![one.clone(), proptest::collection::vec(one, 0..4).prop_map(Value::from)]
}

proptest! {
    #[test]
    fn every_draft_holds(
        from in mailboxes(), to in mailboxes(), reply_to in mailboxes(), sender in proptest::option::of(mailboxes()),
        subject in text(), body in text(), html in proptest::option::of(text()),
        headers in proptest::collection::btree_map(text(), text(), 0..3), file in text(), kind in text(), id in text(),
    ) {
        let mut document = json!({
            "from": from, "to": to, "reply_to": reply_to, "subject": subject, "text": body, "headers": headers,
            "attachments": [{ "filename": file, "content_type": kind, "content": "AAAA", "content_id": id }],
        });
        if let Some(sender) = sender {
            document["sender"] = sender;
        }
        if let Some(html) = html {
            document["html"] = html.into();
        }
        checks::draft_holds(document.to_string().as_bytes());
        // Without what is refused most often.
        for name in ["attachments", "headers", "reply_to", "sender"] {
            document.as_object_mut().unwrap().remove(name);
            checks::draft_holds(document.to_string().as_bytes());
        }
    }

    #[test]
    fn every_text_holds(document in proptest::collection::vec(any::<u8>(), 0..300)) {
        checks::draft_holds(&document);
    }
}
