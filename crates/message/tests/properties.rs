//! What holds for every input.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use message::{
    Address, CanonicalAddress, Edits, HeaderBlock, HeaderProgress, HeaderReader, Keep, SenderEdit, canonical_domain,
    rewrite, senders,
};
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

/// The addresses that somebody sees who takes each line that looks like From, cuts off comments and quoted strings, and
/// looks for `<…>` or else for words with an `@`.
fn naive_from(header: &str) -> BTreeSet<String> {
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let from = |line: &&str| line.trim_start().to_ascii_lowercase().split(':').next().map(str::trim) == Some("from");
    let lines: Vec<&str> = unfolded.split(['\r', '\n']).filter(from).collect();
    let picked: BTreeSet<&str> = lines.first().into_iter().chain(lines.last()).copied().collect();
    picked.iter().flat_map(|line| naive_addresses(line.split_once(':').map_or("", |(_, value)| value))).collect()
}

fn naive_addresses(value: &str) -> Vec<String> {
    let mut bare = String::new();
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            c if depth == 0 && !quoted => bare.push(c),
            _ => {}
        }
    }
    bare.split([' ', '\t', ',', ';', '<', '>', ':'])
        .filter(|word| {
            let (local, domain) = word.split_once('@').unwrap_or_default();
            !local.is_empty() && domain.contains('.') && !domain.ends_with('.') && !domain.starts_with('[')
        })
        .map(str::to_owned)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_address_parser_panic(text in "\\PC{0,40}|[a-z\"\\\\@.<> \\[\\]éA]{0,20}") {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(address.as_str(), text.as_str());
        }
        let _ = canonical_domain(&text);
    }

    #[test]
    fn the_canonical_form_is_its_own_canonical_form(local in "[a-zA-Z0-9.+\"\\\\@ éÅΣİß]{1,12}", domain in "[a-zA-Z.üÜß-]{1,12}") {
        for text in [format!("{local}@{domain}"), format!("\"{local}\"@{domain}")] {
            if let Ok(address) = Address::parse(&text) {
                let canonical = address.canonical();
                let again = CanonicalAddress::parse(canonical.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&canonical), "{}", text);
                prop_assert_eq!(format!("{}@{}", canonical.local(), canonical.domain()), canonical.as_str());
            }
        }
    }

    #[test]
    fn a_header_is_the_same_however_it_is_split(text in header(), at in any::<prop::sample::Index>()) {
        let bytes = text.as_bytes();
        let (first, second) = bytes.split_at(at.index(bytes.len()));
        let mut reader = HeaderReader::new(usize::MAX);
        let mut result = reader.push(first);
        if let Ok(HeaderProgress::More) = result {
            result = reader.push(second);
        }
        let split = result.and_then(|_| reader.finish());
        prop_assert_eq!(split, HeaderBlock::parse(bytes));
    }

    #[test]
    fn what_is_accepted_prints_to_a_form_that_reads_the_same(value in value()) {
        let text = format!("From: {value}\r\n\r\n");
        if let Ok(read) = HeaderBlock::parse(text.as_bytes()).map(|block| senders(&block)) && let Ok(read) = read {
            let printed: Vec<String> = read.from.iter().map(|mailbox| mailbox.to_header(true)).collect();
            let again = senders(&HeaderBlock::parse(format!("From: {}\r\n\r\n", printed.join(", ")).as_bytes()).unwrap());
            prop_assert_eq!(again.as_ref(), Ok(&read), "{}", text);
        }
    }

    #[test]
    fn a_naive_reader_sees_no_address_that_was_not_checked(
        text in prop_oneof![header(), value().prop_map(|value| format!("From: {value}\r\n\r\n"))],
    ) {
        if let Ok(block) = HeaderBlock::parse(text.as_bytes()) && let Ok(read) = senders(&block) {
            let ours: BTreeSet<String> = read.from.iter().map(|mailbox| mailbox.address.to_string()).collect();
            for address in naive_from(&text[..block.as_bytes().len()]) {
                prop_assert!(ours.contains(&address), "{address} in {text:?}, we saw {ours:?}");
            }
        }
    }

    #[test]
    fn a_rewritten_header_is_well_formed_and_has_the_same_from(text in header(), routing: bool, organization: bool) {
        if let Ok(block) = HeaderBlock::parse(text.as_bytes()) {
            let before = senders(&block);
            let sender = before.as_ref().ok().and_then(|read| read.from.first().cloned());
            let edits = Edits {
                keep: Keep { routing, organization, forest: false },
                sender: sender.clone().map_or(SenderEdit::Remove, SenderEdit::Set),
                hops: Some(1),
                prepend: vec![("Received".into(), text.clone())],
                ..Edits::default()
            };
            let after = HeaderBlock::parse(&rewrite(&block, &edits)).unwrap();
            if let Ok(before) = before {
                let after = senders(&after).unwrap();
                prop_assert_eq!(after.from, before.from);
                prop_assert_eq!(after.sender, sender);
                if !routing {
                    prop_assert_eq!(after.resent, None);
                }
            }
        }
    }
}
