//! Local parts: dot-atoms and quoted strings.

use std::borrow::Cow;

use compact_str::CompactString;
use icu_normalizer::ComposingNormalizerBorrowed;

use super::AddressError;

/// Checks the local part at the start of `text` and gives the position of the `@` that ends it.
pub(super) fn parse(text: &str) -> Result<usize, AddressError> {
    let at = if text.starts_with('"') { end_of_quoted(text)? } else { end_of_dot_atom(text)? };
    let content = content(&text[..at]);
    if !content.is_ascii() {
        check_unicode(&content)?;
    }
    Ok(at)
}

/// The local part without quotes and backslashes.
pub(super) fn content(local: &str) -> Cow<'_, str> {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(local);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut content = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        content.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    Cow::Owned(content)
}

/// The canonical form: lowercase, NFC, quoted only where it must be.
pub(super) fn canonical(local: &str) -> CompactString {
    let content = content(local);
    let folded: Cow<'_, str> = if content.is_ascii() {
        Cow::Owned(content.to_ascii_lowercase())
    } else {
        let composed = nfc(&content);
        let lower: String = composed.chars().flat_map(char::to_lowercase).map(unify_sigma).collect();
        Cow::Owned(nfc(&lower).into_owned())
    };
    let mut text = CompactString::default();
    write(&folded, &mut text);
    text
}

/// Appends a local part, quoted only where it must be.
pub(super) fn write(content: &str, out: &mut CompactString) {
    if is_dot_atom(content) {
        out.push_str(content);
        return;
    }
    out.push('"');
    for c in content.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// atext of RFC 5322 §3.2.3, with UTF-8 (RFC 6532 §3.2).
fn is_atext(c: char) -> bool {
    u8::try_from(c).map_or(true, is_atext_byte)
}

/// The same for an octet of UTF-8: those of characters beyond ASCII are atext.
pub(crate) fn is_atext_byte(byte: u8) -> bool {
    ATEXT[usize::from(byte)]
}

const ATEXT: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = byte >= 0x80 || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"!#$%&'*+-/=?^_`{|}~";
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_dot_atom(content: &str) -> bool {
    let mut after_dot = true;
    for byte in content.bytes() {
        let dot = byte == b'.';
        let fits = if dot { !after_dot } else { is_atext_byte(byte) };
        if !fits {
            return false;
        }
        after_dot = dot;
    }
    !after_dot
}

/// Where the `@` after a dot-atom of ASCII is; none where something else stands at the start of `text`.
pub(super) fn end_of_plain(text: &str) -> Option<usize> {
    let mut after_dot = true;
    for (position, byte) in text.bytes().enumerate() {
        let dot = byte == b'.';
        if byte == b'@' {
            return (!after_dot).then_some(position);
        }
        let fits = if dot { !after_dot } else { byte.is_ascii() && is_atext_byte(byte) };
        if !fits {
            return None;
        }
        after_dot = dot;
    }
    None
}

fn end_of_dot_atom(text: &str) -> Result<usize, AddressError> {
    let at = text.find('@').ok_or(AddressError::NoAt)?;
    let local = &text[..at];
    if local.is_empty() {
        return Err(AddressError::EmptyLocal);
    }
    if local.chars().any(|c| c != '.' && !is_atext(c)) {
        return Err(AddressError::LocalCharacter);
    }
    if local.split('.').any(str::is_empty) {
        return Err(AddressError::LocalDot);
    }
    Ok(at)
}

/// RFC 5321 §4.1.2 Quoted-string: printable characters and spaces only, quoted-pairs of the same.
fn end_of_quoted(text: &str) -> Result<usize, AddressError> {
    let mut chars = text.char_indices().skip(1);
    let mut empty = true;
    while let Some((position, c)) = chars.next() {
        match c {
            '"' if empty => return Err(AddressError::EmptyLocal),
            '"' => {
                return if text[position + 1..].starts_with('@') { Ok(position + 1) } else { Err(AddressError::Quote) };
            }
            '\\' => match chars.next() {
                Some((_, ' '..='~')) => {}
                Some(_) => return Err(AddressError::LocalCharacter),
                None => return Err(AddressError::Quote),
            },
            c if c.is_ascii_control() => return Err(AddressError::LocalCharacter),
            _ => {}
        }
        empty = false;
    }
    Err(AddressError::Quote)
}

/// Refuses what cannot be seen, and what normalization turns into ASCII (a KELVIN SIGN, a GREEK QUESTION MARK).
fn check_unicode(content: &str) -> Result<(), AddressError> {
    let ascii = |text: &str| text.chars().filter(char::is_ascii).count();
    if content.chars().any(is_invisible) || ascii(&nfc(content)) > ascii(content) {
        return Err(AddressError::Confusable);
    }
    Ok(())
}

/// Controls, spaces beyond ASCII, formatting and default-ignorable characters, noncharacters.
pub(crate) fn is_invisible(c: char) -> bool {
    (!c.is_ascii() && (c.is_control() || c.is_whitespace()))
        || matches!(c,
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
            | '\u{FDD0}'..='\u{FDEF}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFD}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
        || (c as u32 & 0xFFFE) == 0xFFFE
}

fn nfc(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Final sigma is a matter of spelling, not of identity.
fn unify_sigma(c: char) -> char {
    if c == 'ς' { 'σ' } else { c }
}
