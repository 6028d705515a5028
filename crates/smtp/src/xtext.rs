//! xtext (RFC 3461 §4): printable ASCII with `+XX` for everything else.

/// Decodes xtext; `None` when it is none, or gives anything but printable ASCII (with spaces).
pub fn decode(text: &str) -> Option<String> {
    let mut decoded = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'+' => upper_hex(bytes.next()?)? << 4 | upper_hex(bytes.next()?)?,
            b'=' => return None,
            byte if byte.is_ascii_graphic() => byte,
            _ => return None,
        };
        if !(b' '..=b'~').contains(&byte) {
            return None;
        }
        decoded.push(char::from(byte));
    }
    Some(decoded)
}

/// Encodes text as xtext.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'+' | b'=') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("+{byte:02X}"));
        }
    }
    encoded
}

fn upper_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
