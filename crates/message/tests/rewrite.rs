//! The firewall, and header blocks written anew.

#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use message::{Address, Edits, HeaderBlock, Keep, Mailbox, SenderEdit, rewrite, senders};

fn rewritten(header: &str, edits: &Edits) -> String {
    String::from_utf8(rewrite(&HeaderBlock::parse(header.as_bytes()).unwrap(), edits)).unwrap()
}

fn keep_all() -> Edits {
    Edits { keep: Keep::ALL, ..Edits::default() }
}

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox { display_name: Some(name.to_owned()), address: Address::parse(address).unwrap() }
}

#[test]
fn without_edits_every_byte_stays() {
    let header =
        "Received: x\r\nfrom:  <a@x.com> (c)\r\nX-MS-Exchange-Organization-SCL: 1\r\nSubject: a\r\n\tb \r\n\r\n";
    assert_eq!(rewritten(header, &keep_all()), header);
}

#[test]
fn a_header_without_an_empty_line_gets_one() {
    assert_eq!(rewritten("From: a@x.com\r\n", &keep_all()), "From: a@x.com\r\n\r\n");
    assert_eq!(rewritten("", &keep_all()), "\r\n");
}

#[test]
fn the_firewall_drops_each_class_on_its_own() {
    let header = "Received: 1\r\nResent-From: b@x.com\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n\
                  X-Procura-AuthAs: Internal\r\nX-MS-Exchange-Forest-RulesExecuted: x\r\nFrom: a@x.com\r\n\r\n";
    let kept = |keep| {
        let text = rewritten(header, &Edits { keep, ..Edits::default() });
        text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kept(Keep::NONE), ["From"]);
    assert_eq!(kept(Keep { routing: true, ..Keep::NONE }), ["Received", "Resent-From", "From"]);
    assert_eq!(
        kept(Keep { organization: true, ..Keep::NONE }),
        ["X-MS-Exchange-Organization-AuthAs", "X-Procura-AuthAs", "From"]
    );
    assert_eq!(kept(Keep { forest: true, ..Keep::NONE }), ["X-MS-Exchange-Forest-RulesExecuted", "From"]);
}

#[test]
fn the_firewall_knows_its_fields_in_any_case_and_however_folded() {
    for field in [
        "x-ms-EXCHANGE-organization-scl:-1\r\n",
        "X-MS-Exchange-Organization-SCL:\r\n -1\r\n",
        "X_MS_Exchange-Organization_SCL: -1\r\n",
        "X-MS-Exchange-Organization: x\r\n",
        "x-procura-sent-as: ceo\r\n",
        "RECEIVED: x\r\n\ty\r\n",
        "resent-bcc: x\r\n",
        "X-MS-Exchange-Forest-IndexAgent: x\r\n",
    ] {
        let text = rewritten(&format!("{field}From: a@x.com\r\n\r\n"), &Edits::default());
        assert_eq!(text, "From: a@x.com\r\n\r\n", "{field}");
    }
}

#[test]
fn fields_that_only_look_alike_stay() {
    for field in ["X-Received: x\r\n", "X-MS-Exchange-Other: x\r\n", "X-Procura: x\r\n", "Resentful: x\r\n"] {
        let header = format!("{field}From: a@x.com\r\n\r\n");
        assert_eq!(rewritten(&header, &Edits::default()), header);
    }
}

#[test]
fn a_new_sender_stands_before_from() {
    let edits = Edits { sender: SenderEdit::Set(mailbox("Alice Adams", "alice@example.com")), ..keep_all() };
    assert_eq!(
        rewritten("Subject: x\r\nFrom: ceo@example.com\r\nTo: y@x.com\r\n\r\n", &edits),
        "Subject: x\r\nSender: \"Alice Adams\" <alice@example.com>\r\nFrom: ceo@example.com\r\nTo: y@x.com\r\n\r\n"
    );
}

#[test]
fn a_sender_is_replaced_wherever_it_stood() {
    let edits = Edits { sender: SenderEdit::Set(mailbox("Alice", "alice@example.com")), ..keep_all() };
    assert_eq!(
        rewritten("From: ceo@example.com\r\nSENDER: x@y.com\r\n\tz\r\nTo: y@x.com\r\n\r\n", &edits),
        "Sender: \"Alice\" <alice@example.com>\r\nFrom: ceo@example.com\r\nTo: y@x.com\r\n\r\n"
    );
}

#[test]
fn a_sender_is_set_without_a_from_too() {
    let edits = Edits { sender: SenderEdit::Set(mailbox("Alice", "alice@example.com")), ..keep_all() };
    assert_eq!(
        rewritten("To: y@x.com\r\n\r\n", &edits),
        "To: y@x.com\r\nSender: \"Alice\" <alice@example.com>\r\n\r\n"
    );
    assert_eq!(rewritten("\r\n", &edits), "Sender: \"Alice\" <alice@example.com>\r\n\r\n");
}

#[test]
fn a_sender_is_removed() {
    let edits = Edits { sender: SenderEdit::Remove, ..keep_all() };
    let text = rewritten("Sender: b@x.com\r\nFrom: a@x.com\r\nResent-Sender: c@x.com\r\n\r\n", &edits);
    assert_eq!(text, "From: a@x.com\r\nResent-Sender: c@x.com\r\n\r\n");
}

#[test]
fn only_the_newest_resent_block_is_edited() {
    let header = "Resent-From: b@x.com\r\nReceived: x\r\nResent-From: c@x.com\r\nResent-Sender: d@x.com\r\n\r\n";
    let set = Edits { resent_sender: SenderEdit::Set(mailbox("E", "e@x.com")), ..keep_all() };
    assert_eq!(rewritten(header, &set), format!("Resent-Sender: \"E\" <e@x.com>\r\n{header}"));
    let remove = Edits { resent_sender: SenderEdit::Remove, ..keep_all() };
    assert_eq!(rewritten(header, &remove), header);
    let single = "Resent-Sender: d@x.com\r\nFrom: a@x.com\r\n\r\n";
    assert_eq!(rewritten(single, &remove), "From: a@x.com\r\n\r\n");
    assert_eq!(rewritten(single, &set), "Resent-Sender: \"E\" <e@x.com>\r\nFrom: a@x.com\r\n\r\n");
}

#[test]
fn no_resent_sender_is_set_where_the_block_is_stripped_or_missing() {
    let set = SenderEdit::Set(mailbox("E", "e@x.com"));
    let stripped = Edits { resent_sender: set.clone(), ..Edits::default() };
    assert_eq!(rewritten("Resent-From: b@x.com\r\nFrom: a@x.com\r\n\r\n", &stripped), "From: a@x.com\r\n\r\n");
    let missing = Edits { resent_sender: set, ..keep_all() };
    assert_eq!(rewritten("From: a@x.com\r\n\r\n", &missing), "From: a@x.com\r\n\r\n");
}

#[test]
fn new_fields_stand_on_top_in_order_and_old_ones_of_given_names_go() {
    let edits = Edits {
        prepend: vec![
            ("Received".into(), "from x".to_owned()),
            ("X-MS-Exchange-Organization-AuthAs".into(), "External".to_owned()),
        ],
        drop: vec![Cow::Borrowed("x-ms-exchange-organization-authas")],
        ..keep_all()
    };
    assert_eq!(
        rewritten("X-MS-Exchange-Organization-AuthAs: Internal\r\nFrom: a@x.com\r\n\r\n", &edits),
        "Received: from x\r\nX-MS-Exchange-Organization-AuthAs: External\r\nFrom: a@x.com\r\n\r\n"
    );
}

#[test]
fn a_value_cannot_bring_in_another_field() {
    let edits = Edits { prepend: vec![("X-A:\r\nB".into(), "1\r\nFrom: ceo@x.com\0".to_owned())], ..keep_all() };
    assert_eq!(rewritten("\r\n", &edits), "X-AB: 1  From: ceo@x.com\r\n\r\n");
}

#[test]
fn long_values_are_folded_at_spaces_and_cut_where_they_must() {
    let value = format!("{} {}", vec!["word"; 40].join(" "), "x".repeat(2000));
    let edits = Edits { prepend: vec![("X-Long".into(), value)], ..keep_all() };
    let text = rewritten("\r\n", &edits);
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
    assert!(text.split("\r\n").take(3).all(|line| line.len() <= 78), "{text}");
    let block = HeaderBlock::parse(text.as_bytes()).unwrap();
    assert_eq!(block.fields().len(), 1);
}

#[test]
fn names_beyond_ascii_are_encoded_unless_utf8_is_allowed() {
    let set = SenderEdit::Set(mailbox("René \"R\" Ångström, with a name that needs several words", "r@example.com"));
    let header = "From: a@x.com\r\n\r\n";
    let encoded = rewritten(header, &Edits { sender: set.clone(), ..keep_all() });
    assert!(encoded.is_ascii());
    let plain = rewritten(header, &Edits { sender: set.clone(), utf8: true, ..keep_all() });
    assert!(plain.contains("Sender: \"René \\\"R\\\" Ångström,"));
    for text in [encoded, plain] {
        let read = senders(&HeaderBlock::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(SenderEdit::Set(read.sender.unwrap()), set);
    }
}

#[test]
fn a_name_that_looks_like_an_address_is_encoded() {
    let set = SenderEdit::Set(mailbox(
        &format!("Carla <ceo@example.com> {}", "of many words ".repeat(9).trim()),
        "r@example.com",
    ));
    let text = rewritten("From: a@x.com\r\n\r\n", &Edits { sender: set.clone(), utf8: true, ..keep_all() });
    assert!(!text.contains("ceo@example.com"));
    let read = senders(&HeaderBlock::parse(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(SenderEdit::Set(read.sender.unwrap()), set);
}
