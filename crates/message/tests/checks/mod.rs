//! What holds for every input; for property tests, for the corpus, and for fuzzing (`fuzz/`).

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeSet;

use mail_parser::{MessageParser, MessagePart, PartType};
use message::firewall::{FieldClass, class};
use message::{
    Address, BinaryBody, BinaryFault, CanonicalAddress, Edits, HeaderBlock, HeaderProgress, HeaderReader, Keep, Lined,
    PartFirewall, SenderEdit, canonical_domain, rewrite, senders,
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

/// A binary message is accepted or not, and turned into the same lines, however it is cut; they are lines, and being lines
/// they stay as they are.
pub fn binary_holds(input: &[u8], piece: usize) {
    let Ok(block) = HeaderBlock::parse(input) else { return };
    let body = &input[input.len().min(block.as_bytes().len() + 2)..];
    let accepted = accepts(&block, body, body.len());
    assert_eq!(accepted.is_ok(), accepts(&block, body, piece).is_ok(), "accepted however it is cut");
    let lined = lined(&block, body, body.len());
    assert_eq!(
        lined.as_ref().ok(),
        self::lined(&block, body, piece).as_ref().ok(),
        "turned into lines however it is cut"
    );
    match (accepted, &lined) {
        (Ok(()), Err(fault)) => assert_eq!(*fault, BinaryFault::Signed),
        (Err(fault), lined) => assert!(lined.is_err(), "{fault}"),
        (Ok(()), Ok(text)) => {
            assert!(!text.contains(&0) && text.ends_with(b"\r\n"));
            let ends = text.windows(2).filter(|two| two == b"\r\n").count();
            let (returns, feeds) = [b'\r', b'\n'].map(|end| text.iter().filter(|byte| **byte == end).count()).into();
            assert_eq!((returns, feeds), (ends, ends), "no CR or LF stands alone");
            let block = HeaderBlock::parse(text).unwrap();
            let body = &text[block.as_bytes().len() + 2..];
            assert_eq!(self::lined(&block, body, body.len()).as_ref(), Ok(text), "lines stay as they are");
        }
    }
}

fn accepts(block: &HeaderBlock, body: &[u8], piece: usize) -> Result<(), BinaryFault> {
    let mut reader = BinaryBody::new(block)?;
    body.chunks(piece.max(1)).try_for_each(|piece| reader.push(piece))?;
    reader.finish()
}

/// A binary message as lines.
pub fn lined(block: &HeaderBlock, body: &[u8], piece: usize) -> Result<Vec<u8>, BinaryFault> {
    let (mut text, mut lined) = Lined::new(block)?;
    for piece in body.chunks(piece.max(1)) {
        lined.push(piece, &mut |octets| text.extend_from_slice(octets))?;
    }
    lined.finish(&mut |octets| text.extend_from_slice(octets))?;
    Ok(text)
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

/// The inner firewall, pushed in pieces of these lengths. `None` where the header of the message is refused.
pub fn through_parts(message: &[u8], keep: Keep, pieces: &[usize]) -> Option<(HeaderBlock, Vec<u8>)> {
    through(message, |block| PartFirewall::new(keep, block), pieces)
}

/// The same through the firewall that spares attached messages.
pub fn through_sparing(message: &[u8], keep: Keep, pieces: &[usize]) -> Option<(HeaderBlock, Vec<u8>)> {
    through(message, |block| PartFirewall::sparing_attached(keep, block), pieces)
}

fn through(
    message: &[u8],
    firewall: impl FnOnce(&HeaderBlock) -> PartFirewall,
    pieces: &[usize],
) -> Option<(HeaderBlock, Vec<u8>)> {
    let mut reader = HeaderReader::new(usize::MAX);
    let body = match reader.push(message).ok()? {
        HeaderProgress::Complete { consumed } => &message[consumed..],
        HeaderProgress::More => b"",
    };
    let block = reader.finish().ok()?;
    let mut firewall = firewall(&block);
    let mut out = Vec::new();
    let (mut rest, mut lengths) = (body, pieces.iter().cycle());
    while !rest.is_empty() {
        let piece = rest.len().min(lengths.next().copied().unwrap_or(usize::MAX).max(1));
        firewall.push(&rest[..piece], &mut |bytes| out.extend_from_slice(bytes));
        rest = &rest[piece..];
    }
    firewall.finish(&mut |bytes| out.extend_from_slice(bytes));
    Some((block, out))
}

/// With attached messages spared, too, how the body is cut changes nothing, only lines of fields that the firewall knows go,
/// and a reader of its own kind finds none of them in the message's own parts.
pub fn spared_parts_hold(message: &[u8], piece: usize) {
    let Some((block, whole)) = through_sparing(message, Keep::NONE, &[]) else { return };
    let (_, cut) = through_sparing(message, Keep::NONE, &[piece.max(1), 1, piece / 2 + 1]).unwrap();
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut));
    let header = if block.is_empty() { message.len().min(2) } else { block.as_bytes().len() + 2 };
    assert_cut_out(message.get(header..).unwrap_or_default(), &whole);
    let encoded = message.to_ascii_lowercase();
    if memchr::memmem::find(&encoded, b"encoding").is_some() || outside(message) {
        return;
    }
    let Some(parsed) = MessageParser::default().parse(&whole_message(&block, &whole)).map(|parsed| parsed.into_owned())
    else {
        return;
    };
    let mut found = Vec::new();
    parsed.parts.iter().skip(1).for_each(|part| fields_of_header(part, &mut found));
    assert!(found.is_empty(), "{found:?} in {:?}", String::from_utf8_lossy(&whole));
}

/// How the body is cut changes nothing, only lines of fields that the firewall knows go, what is left has nothing more to
/// go, and a reader of its own kind finds none of them in any part or attached message.
pub fn parts_hold(message: &[u8], piece: usize) {
    let Some((block, whole)) = through_parts(message, Keep::NONE, &[]) else { return };
    let (_, cut) = through_parts(message, Keep::NONE, &[piece.max(1), 1, piece / 2 + 1]).unwrap();
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&cut));
    let header = if block.is_empty() { message.len().min(2) } else { block.as_bytes().len() + 2 };
    let body = message.get(header..).unwrap_or_default();
    assert_cut_out(body, &whole);
    let header = [block.as_bytes(), b"\r\n"].concat();
    let (_, again) = through_parts(&[header.as_slice(), &whole].concat(), Keep::NONE, &[]).unwrap();
    assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&whole));
    let encoded = message.to_ascii_lowercase();
    let encoded = memchr::memmem::find(&encoded, b"encoding").is_some();
    // What is encoded is not opened.
    if encoded || outside(message) {
        return;
    }
    let Some(parsed) = MessageParser::default().parse(&whole_message(&block, &whole)).map(|parsed| parsed.into_owned())
    else {
        return;
    };
    let mut found = Vec::new();
    // The header of the message itself is another matter ([`rewrite`]).
    parsed.parts.iter().enumerate().for_each(|(index, part)| fields_of(part, index == 0, &mut found));
    assert!(found.is_empty(), "{found:?} in {:?}", String::from_utf8_lossy(&whole));
}

/// What is in accepted data has no bare line ends and no NUL.
fn outside(bytes: &[u8]) -> bool {
    bytes.contains(&0) || bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count() != 2 * crlfs(bytes)
}

fn whole_message(block: &HeaderBlock, body: &[u8]) -> Vec<u8> {
    [block.as_bytes(), b"\r\n", body].concat()
}

fn crlfs(bytes: &[u8]) -> usize {
    bytes.windows(2).filter(|pair| pair == b"\r\n").count()
}

/// The fields of a part, and of the message in it, that the firewall knows.
fn fields_of(part: &MessagePart<'_>, outermost: bool, found: &mut Vec<String>) {
    if !outermost {
        fields_of_header(part, found);
    }
    if let PartType::Message(message) = &part.body {
        message.parts.iter().for_each(|part| fields_of(part, false, found));
    }
}

fn fields_of_header(part: &MessagePart<'_>, found: &mut Vec<String>) {
    let names = part.headers.iter().map(|header| header.name.as_str());
    // What is no ASCII is in no name that anybody looks for: a counter of hops with more of it is still one.
    let known = |name: &&str| {
        let name: Vec<u8> = name.bytes().filter(u8::is_ascii_graphic).collect();
        matches!(class(&name), Some(FieldClass::Organization | FieldClass::Forest))
    };
    found.extend(names.filter(known).map(str::to_owned));
}

/// A delimiter line with a field behind the boundary, without that field.
fn is_cut_short(line: &[u8], kept: &[u8]) -> bool {
    let start = kept.strip_suffix(b"\r\n").unwrap_or(kept);
    let gone = line.strip_prefix(start).filter(|_| memchr::memmem::find(start, b"--").is_some());
    // Behind a delimiter a counter of hops goes, too: its name is read no further than that of the others.
    let name = gone.map(|gone| gone.iter().copied().filter(u8::is_ascii_graphic).chain(*b":").collect::<Vec<u8>>());
    name.is_some_and(|name| matches!(class(&name), Some(FieldClass::Organization | FieldClass::Forest)))
}

/// `after` is `before` without some of its lines, each of which is a field of the firewall or continues one.
fn assert_cut_out(before: &[u8], after: &[u8]) {
    let after: Vec<&[u8]> = after.split_inclusive(|byte| *byte == b'\n').collect();
    // How many lines of `after` may be accounted for so far, and whether a field was cut out last.
    let mut states = BTreeSet::from([(0, false)]);
    for line in before.split_inclusive(|byte| *byte == b'\n') {
        let start = line.iter().position(u8::is_ascii_alphanumeric).unwrap_or(line.len());
        let name = line[start..].iter().take_while(|byte| **byte != b':');
        let name: Vec<u8> = name.copied().filter(u8::is_ascii_graphic).collect();
        let before = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let words = before.split(|byte| !byte.is_ascii_graphic()).chain([name.as_slice()]);
        let known =
            words.into_iter().any(|name| matches!(class(name), Some(FieldClass::Organization | FieldClass::Forest)));
        let continues = line.starts_with(b" ") || line.starts_with(b"\t");
        states = states
            .into_iter()
            .flat_map(|(index, goes)| {
                let stays = after.get(index).is_some_and(|kept| *kept == line || is_cut_short(line, kept));
                let stays = stays.then_some((index + 1, false));
                let cut = (known || (goes && continues)).then_some((index, true));
                stays.into_iter().chain(cut)
            })
            .collect();
        assert!(!states.is_empty(), "not cut out of the lines: {:?}", String::from_utf8_lossy(line));
    }
    assert!(states.iter().any(|(index, _)| *index == after.len()), "something was added");
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
