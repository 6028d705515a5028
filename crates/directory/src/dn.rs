//! Distinguished names (RFC 4514).
//!
//! Names are compared without regard to case and to runs of spaces, as Active Directory does. Multi-valued RDNs and
//! `#`-encoded values, which Active Directory has not, are refused.

use std::fmt;

use icu_normalizer::ComposingNormalizerBorrowed;
use thiserror::Error;

/// One component of a DN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rdn {
    /// Attribute type, upper case: `CN`.
    pub attribute: String,
    /// Value, unescaped: `Owens, Carla`.
    pub value: String,
}

/// Why a text is no DN.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("“{text}” is not a distinguished name: {reason}")]
pub struct DnError {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub reason: &'static str,
}

/// Reads a DN: its components, the leaf first. The empty text is the empty DN.
pub fn parse(text: &str) -> Result<Vec<Rdn>, DnError> {
    let mut rdns = Vec::new();
    let mut rest = text;
    if text.trim().is_empty() {
        return Ok(rdns);
    }
    loop {
        let (rdn, after) = take_rdn(rest).map_err(|reason| DnError { text: text.to_owned(), reason })?;
        rdns.push(rdn);
        match after {
            Some(after) => rest = after,
            None => return Ok(rdns),
        }
    }
}

/// Reads a single RDN.
pub fn parse_rdn(text: &str) -> Result<Rdn, DnError> {
    match take_rdn(text) {
        Ok((rdn, None)) => Ok(rdn),
        Ok((_, Some(_))) => Err(DnError { text: text.to_owned(), reason: "more than one component" }),
        Err(reason) => Err(DnError { text: text.to_owned(), reason }),
    }
}

/// Writes components, the leaf first, as a DN.
pub fn join<'a>(rdns: impl IntoIterator<Item = &'a Rdn>) -> String {
    rdns.into_iter().map(Rdn::to_string).collect::<Vec<_>>().join(",")
}

/// `DC=example,DC=com` of `example.com`.
pub fn of_domain(name: &str) -> String {
    name.split('.').map(|label| Rdn::new("DC", label).to_string()).collect::<Vec<_>>().join(",")
}

/// `example.com` of the trailing DC components of a DN.
pub fn domain_name(rdns: &[Rdn]) -> String {
    let from = rdns.iter().rposition(|rdn| rdn.attribute != "DC").map_or(0, |last| last + 1);
    rdns[from..].iter().map(|rdn| rdn.value.to_lowercase()).collect::<Vec<_>>().join(".")
}

impl Rdn {
    /// An RDN from its parts.
    pub fn new(attribute: &str, value: impl Into<String>) -> Rdn {
        Rdn { attribute: attribute.to_ascii_uppercase(), value: value.into() }
    }

    /// What RDNs are compared by.
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(self.attribute.len() + self.value.len() + 1);
        key.push_str(&self.attribute);
        key.push('=');
        push_folded(&mut key, &self.value);
        key
    }
}

/// Caseless, composed (NFC), runs of spaces as one, none at the ends.
pub(crate) fn push_folded(out: &mut String, value: &str) {
    for (position, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
        if position > 0 {
            out.push(' ');
        }
        if word.is_ascii() {
            out.extend(word.chars().map(|c| c.to_ascii_lowercase()));
        } else {
            // Upper then lower: `ß`, `SS` and final sigma compare as under full case folding.
            let caseless = word.to_uppercase().to_lowercase().replace('ς', "σ");
            out.push_str(&ComposingNormalizerBorrowed::new_nfc().normalize(&caseless));
        }
    }
}

/// A name in the form in which names are compared.
pub fn folded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    push_folded(&mut out, value);
    out
}

impl fmt::Display for Rdn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.attribute)?;
        let last = self.value.chars().count().saturating_sub(1);
        for (position, c) in self.value.chars().enumerate() {
            match c {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => write!(f, "\\{c}")?,
                ' ' | '#' if position == 0 => write!(f, "\\{c}")?,
                ' ' if position == last => f.write_str("\\ ")?,
                c if (c as u32) < 0x20 || c == '\x7f' => write!(f, "\\{:02X}", c as u32)?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

fn take_rdn(text: &str) -> Result<(Rdn, Option<&str>), &'static str> {
    let (attribute, rest) = text.split_once('=').ok_or("a component has no “=”")?;
    let attribute = attribute.trim_matches(' ');
    let attribute = attribute.strip_prefix("OID.").or(attribute.strip_prefix("oid.")).unwrap_or(attribute);
    if attribute.is_empty() || !attribute.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        return Err("bad attribute type");
    }
    let (value, after) = take_value(rest.trim_start_matches(' '))?;
    if value.is_empty() {
        return Err("a component is empty");
    }
    Ok((Rdn { attribute: attribute.to_ascii_uppercase(), value }, after))
}

fn take_value(text: &str) -> Result<(String, Option<&str>), &'static str> {
    if text.starts_with('#') {
        return Err("encoded values are not supported");
    }
    let bytes = text.as_bytes();
    let mut value = Vec::with_capacity(bytes.len().min(64));
    // Length up to which unescaped trailing spaces may not be cut.
    let mut kept = 0;
    let mut at = 0;
    let mut after = None;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b',' | b';' => {
                after = Some(&text[at..]);
                break;
            }
            b'+' => return Err("components with several values are not supported"),
            b'"' | b'<' | b'>' | 0 => return Err("a character must be escaped"),
            b'\\' => {
                let (byte, length) = unescape(&bytes[at..])?;
                value.push(byte);
                at += length;
                kept = value.len();
            }
            b' ' => value.push(b' '),
            byte => {
                value.push(byte);
                kept = value.len();
            }
        }
    }
    value.truncate(kept);
    let value = String::from_utf8(value).map_err(|_| "a value is not UTF-8")?;
    if value.trim_matches(' ').is_empty() {
        return Err("a component is empty");
    }
    Ok((value, after))
}

fn unescape(bytes: &[u8]) -> Result<(u8, usize), &'static str> {
    match bytes {
        [c @ (b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\'), ..] => Ok((*c, 1)),
        [high, low, ..] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => Ok((high << 4 | low, 2)),
            _ => Err("bad escape"),
        },
        _ => Err("bad escape"),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_of_rfc_4514_are_read() {
        let rdns = parse(r"CN=James \22Jim\22 Smith\, III,OU = Sales ; DC=net").unwrap();
        assert_eq!(rdns[0].value, "James \"Jim\" Smith, III");
        assert_eq!(rdns[1], Rdn::new("OU", "Sales"));
        assert_eq!(join(&rdns), r#"CN=James \"Jim\" Smith\, III,OU=Sales,DC=net"#);
        assert_eq!(parse(r"CN=Lu\C4\8Di\C4\87").unwrap()[0].value, "Lučić");
        assert_eq!(parse(r"CN=a\ ").unwrap()[0].value, "a ");
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn what_is_no_dn_is_refused() {
        for text in
            ["x", "CN=", "CN=a,", "=a", "CN=a+OU=b", "CN=#0401", "CN=\"a\"", r"CN=a\", r"CN=\ff", r"CN=\zz", "C N=a"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_compare_without_case_and_spaces() {
        assert_eq!(Rdn::new("cn", "Große  Straße").key(), Rdn::new("CN", "GROSSE STRASSE").key());
        assert_eq!(Rdn::new("cn", "B\u{fc}ttner").key(), Rdn::new("cn", "BU\u{308}TTNER").key());
        assert_ne!(Rdn::new("cn", "a b").key(), Rdn::new("CN", "ab").key());
    }

    #[test]
    fn a_domain_name_comes_from_the_trailing_components() {
        let rdns = parse("CN=a,DC=not,OU=b,DC=Example,DC=com").unwrap();
        assert_eq!(domain_name(&rdns), "example.com");
        assert_eq!(of_domain("example.com"), "DC=example,DC=com");
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn parsing_text_that_looks_like_a_dn_never_panics(text in r#"[CNOU=,;+"<>#\\ a0fčß]{0,30}"#) {
            let _ = parse(&text);
        }

        #[test]
        fn a_printed_dn_reads_the_same(values in prop::collection::vec(any::<String>(), 1..5)) {
            let rdns: Vec<Rdn> = values.iter().filter(|v| !v.trim_matches(' ').is_empty()).map(|v| Rdn::new("CN", v.as_str())).collect();
            prop_assert_eq!(parse(&join(&rdns)).unwrap(), rdns);
        }
    }
}
