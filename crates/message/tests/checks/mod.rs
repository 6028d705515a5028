//! What holds for every input; for property tests, for the corpus, and for fuzzing (`fuzz/`).

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;

use message::{
    Address, CanonicalAddress, Edits, HeaderBlock, HeaderProgress, HeaderReader, Keep, SenderEdit, canonical_domain,
    rewrite, senders,
};

/// An address prints as it was written, and its canonical form is its own canonical form.
pub fn address_holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(domain) = canonical_domain(text) {
        assert_eq!(canonical_domain(&domain).as_ref(), Some(&domain), "{text:?}");
    }
    let Ok(address) = Address::parse(text) else { return };
    assert_eq!(address.as_str(), text);
    let canonical = address.canonical();
    assert_eq!(CanonicalAddress::parse(canonical.as_str()).as_ref(), Ok(&canonical), "{text:?}");
    assert_eq!(format!("{}@{}", canonical.local(), canonical.domain()), canonical.as_str());
    if let Some(untagged) = canonical.without_tag() {
        assert_eq!(CanonicalAddress::parse(untagged.as_str()).as_ref(), Ok(&untagged), "{text:?}");
    }
}

/// A header block is the same however it is split.
pub fn header_holds(input: &[u8], at: usize) {
    let (first, second) = input.split_at(at.min(input.len()));
    let mut reader = HeaderReader::new(usize::MAX);
    let mut result = reader.push(first);
    if let Ok(HeaderProgress::More) = result {
        result = reader.push(second);
    }
    let split = result.and_then(|_| reader.finish());
    assert_eq!(split, HeaderBlock::parse(input));
}

/// What is accepted prints to a form that reads the same, and a naive reader sees no address that we did not see.
pub fn senders_hold(input: &[u8]) {
    let Ok(block) = HeaderBlock::parse(input) else { return };
    let Ok(read) = senders(&block) else { return };
    if !read.from_missing() {
        let printed: Vec<String> = read.from.iter().map(|mailbox| mailbox.to_header(true)).collect();
        let again = HeaderBlock::parse(format!("From: {}\r\n\r\n", printed.join(",\r\n ")).as_bytes()).unwrap();
        match senders(&again) {
            Ok(again) => assert_eq!(again.from, read.from),
            // Quoting can make a long display name longer than a line may be.
            Err(fault) => assert!(printed.iter().any(|mailbox| mailbox.len() > 900), "{fault}"),
        }
    }
    let ours: BTreeSet<String> = read.from.iter().map(|mailbox| mailbox.address.to_string()).collect();
    let text = std::str::from_utf8(block.as_bytes()).unwrap_or_default();
    for address in naive_from(text) {
        assert!(ours.contains(&address), "{address:?} in {text:?}, we saw {ours:?}");
    }
}

/// A rewritten header is well formed, has the same From and the Sender that was set, and what the firewall drops is gone.
pub fn rewrite_holds(input: &[u8]) {
    let Ok(block) = HeaderBlock::parse(input) else { return };
    let before = senders(&block);
    let sender = before.as_ref().ok().and_then(|read| read.from.first().cloned());
    let routing = input.len().is_multiple_of(2);
    let edits = Edits {
        keep: Keep { routing, organization: false, forest: false },
        sender: sender.clone().map_or(SenderEdit::Remove, SenderEdit::Set),
        hops: Some(1),
        prepend: vec![("Received".into(), String::from_utf8_lossy(input).into_owned())],
        utf8: true,
        ..Edits::default()
    };
    let bytes = rewrite(&block, &edits);
    assert!(bytes.ends_with(b"\r\n\r\n") || bytes == b"\r\n");
    let after = HeaderBlock::parse(&bytes).unwrap();
    assert!(!after.fields().any(|field| field.name.to_ascii_lowercase().starts_with(b"x-ms-exchange-organization-")));
    assert_eq!(message::trace_fields::count_received(&after) == 1, !routing || block.named("Received").count() == 0);
    if let Ok(before) = before {
        let after = senders(&after).unwrap();
        assert_eq!(after.from, before.from);
        assert_eq!(after.sender.map(|mailbox| mailbox.address), sender.map(|mailbox| mailbox.address));
        if routing {
            assert_eq!(after.resent, before.resent);
        } else {
            assert_eq!(after.resent, None);
        }
    }
}

/// The addresses that somebody sees who takes each line that looks like From, cuts off comments and quoted strings, and
/// looks for `<…>` or else for words with an `@`.
fn naive_from(header: &str) -> BTreeSet<String> {
    let unfolded = header.replace("\r\n ", FOLD).replace("\r\n\t", FOLD);
    let from = |line: &&str| line.trim_start().to_ascii_lowercase().split(':').next().map(str::trim) == Some("from");
    let lines: Vec<&str> = unfolded.split(['\r', '\n']).filter(from).collect();
    let picked: BTreeSet<&str> = lines.first().into_iter().chain(lines.last()).copied().collect();
    let values = || picked.iter().map(|line| line.split_once(':').map_or("", |(_, value)| value));
    let folded = values().flat_map(|value| naive_addresses(value, true));
    let unfolded =
        |inside_words| values().flat_map(move |value| naive_addresses(&value.replace(FOLD, " "), inside_words));
    folded.chain(unfolded(true)).chain(unfolded(false)).collect()
}

/// What no address has in it, unquoted.
const BREAKS: [char; 7] = [' ', '\t', ',', ';', '<', '>', ':'];

/// Stands for a fold; where it is left in, it ends quoted strings and comments, as for Python's `email.utils`.
const FOLD: &str = "\u{1}";

/// `inside_words` says whether a quote within a word begins a quoted string; for the `mailparse` of Rust it does not.
fn naive_addresses(value: &str, inside_words: bool) -> Vec<String> {
    let mut bare = String::new();
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in value.chars() {
        match c {
            '\u{1}' => {
                (depth, quoted, escaped) = (0, false, false);
                bare.push(' ');
            }
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 && (quoted || inside_words || bare.ends_with(BREAKS) || bare.is_empty()) => {
                quoted = !quoted
            }
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => depth -= 1,
            c if depth == 0 && !quoted => bare.push(c),
            _ => {}
        }
    }
    bare.split(BREAKS)
        .filter(|word| {
            let (local, domain) = word.split_once('@').unwrap_or_default();
            !local.is_empty() && domain.contains('.') && !domain.ends_with('.') && !domain.starts_with('[')
        })
        .map(str::to_owned)
        .collect()
}
