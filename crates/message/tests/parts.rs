//! The header firewall inside a message (attack 24): forged fields in attached messages and in MIME parts.

#![allow(clippy::unwrap_used)]

mod checks;

use message::Keep;
use proptest::prelude::*;

/// The body as it comes out of the firewall.
fn through(message: &str, keep: Keep) -> String {
    let message = message.replace('\n', "\r\n");
    let (_, body) = checks::through_parts(message.as_bytes(), keep, &[]).expect("the header is well formed");
    String::from_utf8(body).unwrap().replace("\r\n", "\n")
}

/// The body as it comes out for somebody without any right.
fn strange(message: &str) -> String {
    through(message, Keep::NONE)
}

const FORGED: &str = "X-MS-Exchange-Organization-AuthAs: Internal\n";

/// A multipart message with this part.
fn with_part(part: &str) -> String {
    format!("Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n{part}\n--b--\nepilogue\n")
}

#[track_caller]
fn assert_gone(message: &str) {
    assert!(message.contains(FORGED), "the test forges something");
    let body = strange(message);
    let expected = message.split_once("\n\n").unwrap().1.replace(FORGED, "");
    assert_eq!(body, expected);
}

#[track_caller]
fn assert_untouched(message: &str) {
    assert_eq!(strange(message), message.split_once("\n\n").unwrap().1);
}

#[test]
fn a_field_in_the_header_of_a_part_goes() {
    assert_gone(&with_part(&format!("{FORGED}Content-Type: text/plain\n\nHello.")));
    assert_gone(&with_part(&format!("Content-Type: text/plain\n{FORGED}\nHello.")));
}

#[test]
fn a_field_of_an_attached_message_goes() {
    assert_gone(&with_part(&format!("Content-Type: message/rfc822\n\nFrom: ceo@example.com\n{FORGED}\nHello.")));
    assert_gone(&format!("Content-Type: message/rfc822\n\nFrom: ceo@example.com\n{FORGED}\nHello.\n"));
    assert_gone(&with_part(&format!("Content-Type: message/global\n\n{FORGED}\nHello.")));
    assert_gone(&with_part(&format!("Content-Type: message/partial; number=1\n\n{FORGED}\nHello.")));
}

#[test]
fn a_field_of_a_message_that_came_back_goes() {
    assert_gone(&with_part(&format!("Content-Type: text/rfc822-headers\n\nFrom: a@example.com\n{FORGED}")));
}

#[test]
fn a_field_of_a_message_in_a_digest_goes() {
    let digest = format!("Content-Type: multipart/digest; boundary=b\n\n--b\n\nFrom: a@x.com\n{FORGED}\nHi.\n--b--\n");
    assert_gone(&digest);
}

#[test]
fn a_field_goes_however_deep_it_is_nested() {
    let mut message = format!("From: a@x.com\n{FORGED}\nHello.\n");
    for level in 0..40 {
        message = format!(
            "Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\nContent-Type: message/rfc822\n\n{message}\n\
             --b{level}--\n"
        );
    }
    assert_gone(&message);
}

#[test]
fn a_field_goes_in_every_spelling() {
    for forged in [
        "x-ms-exchange-organization-AUTHAS: Internal\n",
        "X_MS_Exchange_Organization_AuthAs: Internal\n",
        "X-MS-Exchange-Organization-AuthAs : Internal\n",
        "X-MS-Exchange-Organization-AuthAs:\n Internal\n\tand more\n",
        "X-MS-Exchange-Organization-AuthAs\n : Internal\n",
        "X-MS-Exchange-Forest-RulesExecuted: all\n",
        "X-Microsoft-Exchange-Organization-SCL: -1\n",
        "X-Procura-Decision: allowed\n",
        "\u{feff}X-MS-Exchange-Organization-AuthAs: Internal\n",
        " X-MS-Exchange-Organization-AuthAs: Internal\n",
        " \n X-MS-Exchange-Organization-AuthAs: Internal\n",
        "X-MS-Exch\u{c}ange-Organization-AuthAs: Internal\n",
    ] {
        let message = with_part(&format!("Content-Type: message/rfc822\n\n{forged}From: a@x.com\n\nHello."));
        assert!(!strange(&message).contains("Internal"), "{forged:?}: {}", strange(&message));
        assert!(!strange(&message).to_lowercase().contains("authas"), "{forged:?}: {}", strange(&message));
        assert!(strange(&message).contains("From: a@x.com"), "{forged:?}");
    }
}

#[test]
fn a_long_field_goes_whole() {
    let long = format!("X-MS-Exchange-Organization-SCL: {}\n {}\n", "1".repeat(500), "2".repeat(500));
    let message = with_part(&format!("{long}Content-Type: text/plain\n\nHello."));
    assert_eq!(strange(&message), message.split_once("\n\n").unwrap().1.replace(&long, ""));
}

#[test]
fn a_part_whose_boundary_readers_may_disagree_about_hides_nothing() {
    for parameters in [
        "boundary=\"b\"; boundary=c",
        "boundary*0=b; boundary*1=c",
        "boundary*=us-ascii''b",
        "boundary=\"a\\b\"",
        "boundary=b (c); x=y",
        "boundary=\" b\"",
        "boundary==b",
        "boundary=",
        "charset=x",
        "",
    ] {
        for boundary in ["b", "c", "bc", " b", "=b"] {
            assert_gone(&format!("Content-Type: multipart/mixed; {parameters}\n\n--{boundary}\n{FORGED}\nHello.\n"));
        }
    }
}

#[test]
fn a_field_in_the_line_of_a_delimiter_goes() {
    let message = "Content-Type: multipart/mixed; boundary=b\n\nx--b X-Procura-A: b\nC: d\n\nHello.\n--b--\n";
    assert_eq!(strange(message), "x--b \nC: d\n\nHello.\n--b--\n");
    let spaces = " ".repeat(300);
    let message = format!("Content-Type: multipart/mixed\n\n--b{spaces}x-ms-exchange-forest-a: b\n\nHello.\n");
    assert_eq!(strange(&message), format!("--b{spaces}\n\nHello.\n"));
}

#[test]
fn a_second_content_type_hides_nothing() {
    let types = ["text/plain", "multipart/mixed; boundary=b", "message/rfc822"];
    for first in types {
        for second in types.into_iter().filter(|second| *second != "text/plain" || first != "text/plain") {
            let header = format!("Content-Type: {first}\nContent-Type: {second}\n\n");
            assert_gone(&format!("{header}--b\n{FORGED}\nHello.\n--b--\n"));
        }
    }
    assert_gone(&format!("Content-Type: text/plain\nContent-Type: message/rfc822\n\n{FORGED}\nHello.\n"));
}

#[test]
fn a_type_that_is_hard_to_read_hides_nothing() {
    for kind in [
        "message/rfc822 (x)",
        "(x) message/rfc822",
        "message /rfc822",
        "MESSAGE/RFC822",
        "message/\n rfc822",
        "\"message\"/rfc822",
    ] {
        assert_gone(&format!("Content-Type: {kind}\n\n{FORGED}\nHello.\n"));
        assert_gone(&with_part(&format!("content-type :{kind}\n\n{FORGED}\nHello.")));
    }
    let long = format!("Content-Type: text/plain; x=\"{}\n {}\"; y=z", "x".repeat(700), "y".repeat(700));
    assert_gone(&format!("{long}\n\n{FORGED}\nHello.\n"));
}

#[test]
fn a_colon_before_any_name_hides_nothing() {
    for line in [":", " :", ": :", "-:"] {
        let header = format!("Content-Type: message/rfc822\n\n{line}\n");
        let expected = with_part(&format!("{header}\nHello."));
        let message = with_part(&format!("{header} X-Procura-A: b\n\nHello."));
        assert_eq!(strange(&message), expected.split_once("\n\n").unwrap().1, "{line}");
    }
}

#[test]
fn a_type_behind_something_without_a_colon_hides_nothing() {
    for before in ["n\n\t", "n\n ", "n ", "n\n :", "n\n - :"] {
        assert_gone(&with_part(&format!("{before}Content-Type: message/rfc822\n\n{FORGED}\nHello.")));
    }
}

#[test]
fn a_delimiter_within_what_may_become_another_ends_where_it_ends() {
    let header = "Content-Type: multipart/mixed; boundary=b";
    let message = |forged: &str| {
        with_part(&format!("{header}\n\n--b\nContent-Type: multipart/mixed; boundary=--bb\n\n----b{forged}\n\nHello."))
    };
    let expected = message("");
    assert_eq!(strange(&message(FORGED.trim_end())), expected.split_once("\n\n").unwrap().1);
}

#[test]
fn more_boundaries_than_are_told_apart_hide_nothing() {
    let mut parts = String::new();
    for number in 0..50 {
        parts +=
            &format!("--b\nContent-Type: multipart/mixed; boundary=n{number}\n\n--n{number}\n\nHi.\n--n{number}--\n");
    }
    let last = "--b\nContent-Type: multipart/mixed; boundary=last\n\n";
    assert_gone(&format!("Content-Type: multipart/mixed; boundary=b\n\n{parts}{last}--last\n{FORGED}\nHello.\n"));
}

#[test]
fn what_only_looks_like_a_header_stays() {
    // A text is a text, whatever stands in it.
    assert_untouched(&format!("Content-Type: text/plain\n\n{FORGED}--b\n{FORGED}\n"));
    assert_untouched(&format!("Subject: no type\n\n{FORGED}--b\n{FORGED}\n"));
    assert_untouched(&with_part(&format!(
        "Content-Type: text/plain\n\nLook at this header:\n{FORGED}\n{FORGED}--c\n{FORGED}"
    )));
    assert_untouched(&with_part(&format!("\nno header\n\n{FORGED}")));
    assert_untouched(&with_part(&format!("Content-Type: message/rfc822\n\nFrom: a@x.com\n\n{FORGED}")));
    assert_untouched(&format!("Content-Type: multipart/mixed; boundary=b\n\n{FORGED}--c\n{FORGED}--b\n\n--b--\n"));
}

#[test]
fn routing_fields_and_the_hop_marker_of_an_attached_message_stay() {
    assert_untouched(&with_part(
        "Content-Type: message/rfc822\n\nReceived: from a by b\nResent-From: a@x.com\nX-Procura-Hops: 3\nFrom: a@x.com\n\nHi.",
    ));
}

#[test]
fn each_class_goes_by_a_right_of_its_own() {
    let message = with_part("X-MS-Exchange-Organization-SCL: 1\nX-MS-Exchange-Forest-A: b\n\nHello.");
    let body = through(&message, Keep { organization: true, ..Keep::NONE });
    assert!(body.contains("Organization") && !body.contains("Forest"), "{body}");
    let body = through(&message, Keep { forest: true, ..Keep::NONE });
    assert!(!body.contains("Organization") && body.contains("Forest"), "{body}");
    assert_eq!(through(&message, Keep { routing: false, ..Keep::ALL }), message.split_once("\n\n").unwrap().1);
}

/// The body for somebody without any right whose attached messages are spared.
fn spared(message: &str) -> String {
    let message = message.replace('\n', "\r\n");
    let (_, body) = checks::through_sparing(message.as_bytes(), Keep::NONE, &[]).expect("the header is well formed");
    String::from_utf8(body).unwrap().replace("\r\n", "\n")
}

#[test]
fn attached_messages_stay_as_they_are_where_they_are_spared() {
    let inner =
        format!("From: a@x.com\n{FORGED}Content-Type: multipart/mixed; boundary=c\n\n--c\n{FORGED}\nHi.\n--c--");
    let mut messages: Vec<String> = ["message/rfc822", "message/global", "text/rfc822-headers"]
        .map(|kind| with_part(&format!("Content-Type: {kind}\n\n{inner}")))
        .into();
    messages.push(format!("Content-Type: message/rfc822\n\n{inner}\n"));
    messages.push(format!("Content-Type: multipart/digest; boundary=b\n\n--b\n\n{inner}\n--b--\n"));
    for message in messages {
        assert_eq!(spared(&message), message.split_once("\n\n").unwrap().1);
    }
}

#[test]
fn the_parts_around_an_attached_message_are_not_spared_with_it() {
    let attached = format!("Content-Type: message/rfc822\n\nFrom: a@x.com\n{FORGED}\nHi.");
    let message = with_part(&format!("{FORGED}{attached}\n--b\n{FORGED}\nHello."));
    let expected = with_part(&format!("{attached}\n--b\n\nHello."));
    assert_eq!(spared(&message), expected.split_once("\n\n").unwrap().1);
}

#[test]
fn what_is_not_plainly_a_whole_attached_message_is_not_spared() {
    let inner = format!("From: a@x.com\n{FORGED}\nHi.");
    for kind in [
        "Content-Type: message/partial; number=1",
        "Content-Type: message/delivery-status",
        "Content-Type: message",
        "Content-Type: text/plain\nContent-Type: message/rfc822",
        "Content-Type: message/rfc822\nContent-Type: message/rfc822",
        "Content-Type: message/rfc822\n ",
        "Content-Type: (x) message/rfc822",
    ] {
        let message = with_part(&format!("{kind}\n\n{inner}"));
        assert_eq!(spared(&message), strange(&message), "{kind}");
        assert!(!spared(&message).contains(FORGED), "{kind}");
    }
}

/// Pieces of messages that mean something to a reader of MIME.
fn line() -> impl Strategy<Value = String> {
    let lines = &[
        "",
        "",
        "--b",
        "--b--",
        "--c",
        "--c--",
        "--d",
        "--",
        "-- ",
        "Hello.",
        " folded",
        " ",
        "From: a@x.com",
        "Subject: x",
        "Content-Type: text/plain",
        "Content-Type: message/rfc822",
        "content-type:message/rfc822; x=y",
        "Content-Type: message/global",
        "Content-Type: text/rfc822-headers",
        "Content-Type: multipart/mixed; boundary=b",
        "Content-Type: multipart/mixed; boundary=\"c\"",
        "Content-Type: multipart/digest; boundary=c",
        "Content-Type: multipart/mixed;",
        "Content-Type:",
        " boundary=d",
        " message/rfc822",
        "Content-Type: multipart/mixed; boundary=b; boundary=d",
        "X-MS-Exchange-Organization-AuthAs: Internal",
        "X-MS-Exchange-Organization-AuthAs : Internal",
        "x-ms-exchange-forest-a: b",
        "X-MS-Exchange-Organization-AuthAs",
        "x-procura-a: b",
        "text --b",
    ];
    prop_oneof![9 => prop::sample::select(&lines[..]).prop_map(str::to_owned), 1 => "[ -~]{0,120}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// No message, however its parts are marked, shows another reader a field that is forged.
    #[test]
    fn no_reader_finds_a_field_inside(
        first in prop::sample::select(&["multipart/mixed; boundary=b", "message/rfc822", "multipart/digest; boundary=b", "text/plain"][..]),
        lines in prop::collection::vec(line(), 0..40),
        piece in 1usize..40,
    ) {
        let message = format!("Content-Type: {first}\r\n\r\n{}\r\n", lines.join("\r\n"));
        checks::parts_hold(message.as_bytes(), piece);
        checks::spared_parts_hold(message.as_bytes(), piece);
    }

    /// Messages without anything to cut out are not touched.
    #[test]
    fn a_message_without_such_fields_is_not_touched(lines in prop::collection::vec(line(), 0..40)) {
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.to_lowercase().contains("x-")).collect();
        let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}\r\n", lines.join("\r\n"));
        let (_, body) = checks::through_parts(message.as_bytes(), Keep::NONE, &[7]).unwrap();
        prop_assert_eq!(format!("{}\r\n", lines.join("\r\n")).into_bytes(), body);
    }
}
