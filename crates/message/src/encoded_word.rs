//! Encoded words (RFC 2047) and quoting, for display names. Nothing here is ever part of an address.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The longest encoded word (RFC 2047 §2).
const MAX_LENGTH: usize = 75;

/// Decodes an encoded word of a charset we know (UTF-8, US-ASCII, ISO-8859-1); `None` leaves it as it is.
pub fn decode(word: &str) -> Option<String> {
    let inner = word.strip_prefix("=?")?.strip_suffix("?=")?;
    let mut parts = inner.splitn(3, '?');
    let (charset, encoding, text) = (parts.next()?, parts.next()?, parts.next()?);
    let charset = charset.split('*').next()?;
    let bytes = match encoding {
        "B" | "b" => LENIENT.decode(text).ok()?,
        "Q" | "q" => decode_q(text)?,
        _ => return None,
    };
    let decoded = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" | "latin1" => bytes.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some(decoded.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

/// Writes a display name: a quoted string, or encoded words where it is not ASCII and `utf8` is off, or where it could be
/// taken for an address by readers who do not understand quotes.
pub fn phrase(name: &str, utf8: bool) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if (!utf8 && !name.is_ascii()) || name.contains(['@', '<', '>']) {
        return encode(&name);
    }
    let mut quoted = String::with_capacity(name.len() + 2);
    quoted.push('"');
    for c in name.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Writes text as one or more encoded words with spaces between them (UTF-8, base64); no character is split.
pub fn encode(text: &str) -> String {
    const PREFIX: &str = "=?UTF-8?B?";
    let capacity = (MAX_LENGTH - PREFIX.len() - 2) / 4 * 3;
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut length = capacity.min(rest.len());
        while !rest.is_char_boundary(length) {
            length -= 1;
        }
        words.push(format!("{PREFIX}{}?=", STANDARD.encode(&rest[..length])));
        rest = &rest[length..];
    }
    words.join(" ")
}

fn decode_q(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'_' => b' ',
            b'=' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            byte => byte,
        });
    }
    Some(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
