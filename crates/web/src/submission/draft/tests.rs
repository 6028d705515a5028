//! What is made of documents.

use message::{HeaderBlock, senders};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn compose(document: &Value) -> Result<String, String> {
    compose_for_tests(document.to_string().as_bytes()).map(|octets| String::from_utf8(octets).unwrap())
}

fn plain() -> Value {
    json!({ "from": "Alice <alice@example.com>", "to": ["bob@example.com"], "subject": "Hello", "text": "Hi\n" })
}

fn with(name: &str, value: Value) -> Value {
    let mut document = plain();
    document[name] = value;
    document
}

#[test]
fn a_plain_message_is_what_it_says() {
    let text = compose(&plain()).unwrap();
    let block = HeaderBlock::parse(text.as_bytes()).unwrap();
    assert_eq!(senders(&block).unwrap().from[0].address.as_str(), "alice@example.com");
    assert_eq!(block.named("Subject").next().unwrap().text(), "Hello");
    assert_eq!(block.named("Message-ID").next().unwrap().text(), "<id@example.com>");
    assert!(text.ends_with("\r\n\r\nHi\r\n"), "{text}");
}

#[test]
fn an_address_is_fully_qualified_in_a_text_and_in_an_object() {
    for address in ["alice@example", "alice@[192.0.2.1]", "𓑠@߀"] {
        for from in [json!(address), json!({ "name": "Alice", "address": address })] {
            assert!(compose(&with("from", from.clone())).is_err(), "{from}");
        }
    }
}

#[test]
fn two_texts_are_two_mailboxes() {
    let octets = with("to", json!(["bob@example.com", "Carol <carol@example.com>"])).to_string();
    let letter = Draft::read(octets.as_bytes()).unwrap().letter("i@x", 0).unwrap_or_else(|fault| panic!("{fault:?}"));
    let to: Vec<&str> = letter.envelope.recipients.iter().map(Address::as_str).collect();
    assert_eq!(to, ["bob@example.com", "carol@example.com"]);
    let attachments = json!([["a.txt", null, "", null]]);
    assert!(compose(&with("attachments", attachments)).is_err(), "a list is no attachment");
    for wrong in [json!([["bob@example.com", "x"]]), json!(1), json!({ "name": "x" }), json!([null])] {
        assert!(compose(&with("to", wrong.clone())).is_err(), "{wrong}");
    }
}

#[test]
fn nobody_but_the_envelope_knows_blind_copies() {
    let document = with("bcc", json!("secret@example.com"));
    assert!(!compose(&document).unwrap().contains("secret"));
    let octets = document.to_string();
    let letter = Draft::read(octets.as_bytes()).unwrap().letter("i@x", 0).unwrap_or_else(|fault| panic!("{fault:?}"));
    let to: Vec<&str> = letter.envelope.recipients.iter().map(Address::as_str).collect();
    assert_eq!(to, ["bob@example.com", "secret@example.com"]);
}

#[test]
fn nothing_in_a_document_begins_a_header_field_of_its_own() {
    let evil = "x\r\nBcc: victim@example.com";
    let attachment = |name: &str, value: &str| {
        let mut attachment = json!({ "filename": "a", "content": "" });
        attachment[name] = value.into();
        json!([attachment])
    };
    for (name, value) in [
        ("subject", json!(evil)),
        ("from", json!(evil)),
        ("from", json!({ "name": evil, "address": "a@example.com" })),
        ("from", json!({ "address": format!("a@example.com{evil}") })),
        ("to", json!(["bob@example.com\nX: y"])),
        ("reply_to", json!("a@example.com\r\n ")),
        ("headers", json!({ "X-A": evil })),
        ("headers", json!({ "X-A: b\r\nBcc": "v@example.com" })),
        ("headers", json!({ "X A": "b" })),
        ("headers", json!({ "X-A": "a\u{85}b" })),
        ("attachments", attachment("filename", evil)),
        ("attachments", attachment("content_type", "text/plain\r\nX: y")),
        ("attachments", attachment("content_type", "text/plain; name=\"x\"")),
        ("attachments", attachment("content_id", "a>\r\nX: y")),
        ("envelope_from", json!("a@example.com> SIZE=1")),
    ] {
        assert!(compose(&with(name, value.clone())).is_err(), "{name}: {value}");
    }
}

#[test]
fn fields_with_a_place_of_their_own_are_not_set_twice() {
    for name in ["From", "sender", "BCC", "Subject", "Received", "Resent-From", "Content-Type", "Mime-Version"] {
        assert!(compose(&with("headers", json!({ name: "x" }))).is_err(), "{name}");
    }
    let text =
        compose(&with("headers", json!({ "message-id": "<mine@example.com>", "In-Reply-To": "<a@b>" }))).unwrap();
    let block = HeaderBlock::parse(text.as_bytes()).unwrap();
    let ids: Vec<String> = block.named("Message-ID").map(|field| field.text()).collect();
    assert_eq!(ids, ["<mine@example.com>"]);
}

#[test]
fn parts_that_have_rules_of_their_own_are_not_attached() {
    for kind in ["multipart/mixed", "message/rfc822", "text", "text/", "/plain", "text/pl ain"] {
        let attachments = json!([{ "filename": "a", "content": "", "content_type": kind }]);
        assert!(compose(&with("attachments", attachments)).is_err(), "{kind}");
    }
    let wrong = compose(&with("attachments", json!([{ "filename": "a", "content": "no base64!" }])));
    assert!(wrong.unwrap_err().starts_with("/attachments/0/content:"));
}

#[test]
fn text_html_pictures_and_files_each_have_their_place() {
    let document = json!({
        "from": "a@example.com", "to": "b@example.com", "text": "text", "html": "<img src=\"cid:logo\">",
        "attachments": [
            { "filename": "logo.png", "content_type": "image/png", "content": "iVBORw==", "content_id": "logo" },
            { "filename": "Übersicht.pdf", "content_type": "application/pdf", "content": "JVBERi0" },
        ],
    });
    let text = compose(&document).unwrap();
    let parsed = mail_parser::MessageParser::new().parse(&text).unwrap();
    let kinds: Vec<String> = parsed
        .parts
        .iter()
        .filter_map(|part| {
            use mail_parser::MimeHeaders;
            let kind = part.content_type()?;
            Some(format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
        })
        .collect();
    let expected = [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ];
    assert_eq!(kinds, expected);
    let names: Vec<&str> = parsed
        .attachments()
        .filter_map(|part| {
            use mail_parser::MimeHeaders;
            part.attachment_name()
        })
        .collect();
    assert!(names.contains(&"Übersicht.pdf"), "{names:?}");
}

#[test]
fn a_name_beyond_ascii_is_read_as_it_was_given() {
    let text =
        compose(&with("from", json!({ "name": "Zoë Ångström, \"Chef\"", "address": "zoe@example.com" }))).unwrap();
    let block = HeaderBlock::parse(text.as_bytes()).unwrap();
    let from = senders(&block).unwrap().from.remove(0);
    assert_eq!(from.display_name.as_deref(), Some("Zoë Ångström, \"Chef\""));
    assert!(text.is_ascii());
}

#[test]
fn what_is_no_document_is_refused_in_words() {
    for octets in ["", "[]", "{}", "{\"from\":1,\"to\":\"a@b.c\"}", "{\"from\":\"a@b.c\",\"to\":\"a@b.c\",\"form\":1}"]
    {
        assert!(Draft::read(octets.as_bytes()).is_err(), "{octets}");
    }
    let nobody = compose(&json!({ "from": "a@example.com" })).unwrap_err();
    assert!(nobody.starts_with("/to:"), "{nobody}");
    let two = compose(&with("sender", json!("a@example.com, b@example.com"))).unwrap_err();
    assert!(two.starts_with("/sender:"), "{two}");
}

proptest! {
    /// Whatever a document holds, what is made of it reads back as exactly that: the senders, and no field more.
    #[test]
    fn what_is_made_of_a_document_says_what_the_document_says(
        name in "\\PC{0,40}", subject in "\\PC{0,300}", text in "(\\PC|[\r\n\t.]){0,400}",
        html in proptest::option::of("(\\PC|[\r\n]){0,200}"), file in "\\PC{1,60}",
        content in proptest::collection::vec(any::<u8>(), 0..300), extra in "\\PC{0,200}",
    ) {
        let document = json!({
            "from": { "name": name, "address": "alice@example.com" },
            "to": [{ "address": "bob@example.com" }, "Carol <carol@example.com>"],
            "subject": subject, "text": text, "html": html,
            "headers": { "X-Extra": extra },
            "attachments": [{ "filename": file, "content": base64::engine::general_purpose::STANDARD.encode(&content) }],
        });
        let made = compose_for_tests(document.to_string().as_bytes());
        prop_assume!(made.is_ok());
        let octets = made.unwrap();
        let block = HeaderBlock::parse(&octets).unwrap();
        let from = senders(&block).unwrap();
        prop_assert_eq!(from.from.len(), 1);
        prop_assert_eq!(from.from[0].address.as_str(), "alice@example.com");
        prop_assert!(from.sender.is_none() && from.resent.is_none());
        let mut names: Vec<String> =
            block.fields().map(|field| String::from_utf8_lossy(field.name).to_ascii_lowercase()).collect();
        names.retain(|name| !name.starts_with("content-"));
        names.sort();
        prop_assert_eq!(names, ["date", "from", "message-id", "mime-version", "subject", "to", "x-extra"]);
        // No bare CR or LF anywhere: the session would refuse it.
        for (at, octet) in octets.iter().enumerate() {
            match octet {
                b'\r' => prop_assert_eq!(octets.get(at + 1), Some(&b'\n')),
                b'\n' => prop_assert_eq!(octets.get(at.wrapping_sub(1)), Some(&b'\r')),
                _ => {}
            }
        }
        let parsed = mail_parser::MessageParser::new().parse(&octets).unwrap();
        let attached: Vec<&[u8]> = parsed.attachments().map(|part| part.contents()).collect();
        prop_assert!(attached.contains(&content.as_slice()));
    }

    #[test]
    fn no_document_is_too_odd(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = compose_for_tests(&octets);
    }
}
