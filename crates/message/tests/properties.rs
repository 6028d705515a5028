//! What holds for every input.

#![allow(clippy::unwrap_used)]

mod checks;

use proptest::prelude::*;

/// Fragments that sender fields are made of, well formed or not.
fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a@x.com",
        "b@y.com",
        "ceo@example.com",
        "<",
        ">",
        "<a@x.com>",
        "@",
        ".",
        ",",
        ";",
        ":",
        "(",
        ")",
        "\"",
        "\\",
        " ",
        "\t",
        "\r\n ",
        "Carla",
        "\"Carla\"",
        "(c)",
        "(ceo@example.com)",
        "=?utf-8?q?x?=",
        "Staff:",
        "<@r.x:",
        "[127.0.0.1]",
        "é",
        "x.com",
        "ceo",
        "\"q l\"",
    ])
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![prop::collection::vec(fragment(), 0..8).prop_map(|parts| parts.concat()), disturbed(), disturbed()]
}

/// A well-formed value with one or two fragments put somewhere into it.
fn disturbed() -> impl Strategy<Value = String> {
    let whole = prop::sample::select(vec![
        "bob.ceo@x.com",
        "Carla <a.b@x.com>",
        "Staff: a@x.com, Bob <b@y.com>;",
        "\"Carla\" <\"q l\"@example.com>",
        "<@r.x:a@x.com>, c@z.com (c)",
    ]);
    let places = prop::collection::vec((any::<prop::sample::Index>(), fragment()), 1..3);
    (whole, places).prop_map(|(whole, places)| {
        places.iter().fold(whole.to_owned(), |mut text, (place, fragment)| {
            let mut at = place.index(text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, fragment);
            text
        })
    })
}

fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "From:",
        "From:",
        "From:",
        "From:",
        "From:",
        "From:",
        "FROM:",
        "From :",
        " From:",
        "Sender:",
        "Resent-From:",
        "Resent-Sender:",
        "Received:",
        "Subject:",
        "X-Procura-A:",
        "From",
        "Fr\0om:",
        "\u{feff}From:",
        "Return-Path:",
        "",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r"]);
    (name, value(), end).prop_map(|(name, value, end)| format!("{name} {value}{end}"))
}

fn header() -> impl Strategy<Value = String> {
    prop::collection::vec(line(), 0..6).prop_map(|lines| lines.concat() + "\r\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_address_parser_panic(text in "\\PC{0,40}|[a-z\"\\\\@.<> \\[\\]éA]{0,20}") {
        checks::address_holds(text.as_bytes());
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form(local in "[a-zA-Z0-9.+\"\\\\@ éÅΣİß]{1,12}", domain in "[a-zA-Z.üÜß-]{1,12}") {
        checks::address_holds(format!("{local}@{domain}").as_bytes());
        checks::address_holds(format!("\"{local}\"@{domain}").as_bytes());
    }

    #[test]
    fn a_header_is_the_same_however_it_is_split(text in header(), at in any::<prop::sample::Index>()) {
        checks::header_holds(text.as_bytes(), at.index(text.len()));
    }

    #[test]
    fn senders_are_read_as_a_naive_reader_would_and_print_to_the_same(
        text in prop_oneof![header(), value().prop_map(|value| format!("From: {value}\r\n\r\n"))],
    ) {
        checks::senders_hold(text.as_bytes());
    }

    #[test]
    fn a_rewritten_header_is_well_formed_and_has_the_same_from(text in header()) {
        checks::rewrite_holds(text.as_bytes());
    }
}
