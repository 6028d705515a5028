//! Domains: host names with IDNA, and address literals.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::AddressError;

/// Checks a domain as it stands in an address.
pub(super) fn check(domain: &str) -> Result<(), AddressError> {
    if domain.is_empty() {
        return Err(AddressError::EmptyDomain);
    }
    if domain.starts_with('[') {
        return literal(domain).map(|_| ()).ok_or(AddressError::Literal);
    }
    if domain.ends_with('.') {
        return Err(AddressError::TrailingDot);
    }
    let last = domain.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(AddressError::NumericDomain);
    }
    if is_plain(domain) || canonical(domain).is_some() { Ok(()) } else { Err(AddressError::Domain) }
}

/// The canonical form of a checked domain.
pub(super) fn canonical_or_literal(domain: &str) -> Cow<'_, str> {
    let canonical = if domain.starts_with('[') { literal(domain) } else { canonical(domain) };
    canonical.map_or(Cow::Borrowed(domain), Cow::Owned)
}

/// Lowercase A-labels without a trailing dot; `None` when this is no domain name.
pub(super) fn canonical(domain: &str) -> Option<String> {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if is_plain(domain) {
        return Some(domain.to_ascii_lowercase());
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Verify)
        .ok()?
        .into_owned();
    let numeric = ascii.rsplit('.').next()?.bytes().all(|b| b.is_ascii_digit());
    if numeric || !ascii.split('.').all(is_label) || !labels_correspond(domain, &ascii) {
        return None;
    }
    Some(ascii)
}

/// Whether this is a domain name of ASCII labels, none of which is an A-label. Asked several times for each message, so in
/// one pass.
pub(super) fn is_plain(domain: &str) -> bool {
    let bytes = domain.as_bytes();
    let (mut start, mut numeric) = (0, true);
    for (position, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {}
            b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => numeric = false,
            b'.' if is_plain_label(&bytes[start..position]) => (start, numeric) = (position + 1, true),
            _ => return false,
        }
    }
    bytes.len() <= 253 && is_plain_label(&bytes[start..]) && !numeric
}

/// Whether these characters of labels are a label, and no A-label.
fn is_plain_label(label: &[u8]) -> bool {
    let hyphen = label.first() == Some(&b'-') || label.last() == Some(&b'-');
    let a_label = label.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"xn--"));
    (1..=63).contains(&label.len()) && !hyphen && !a_label
}

/// Letters, digits, hyphens inside, and underscores, which some networks use in host names.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn is_a_label(label: &str) -> bool {
    label.len() >= 4 && label.is_char_boundary(4) && label[..4].eq_ignore_ascii_case("xn--")
}

/// Whether each label beyond ASCII became an A-label. Where one became plain ASCII (fullwidth letters) or two (an
/// ideographic full stop), readers who do not map see another domain.
fn labels_correspond(domain: &str, ascii: &str) -> bool {
    domain.split('.').count() == ascii.split('.').count()
        && domain.split('.').zip(ascii.split('.')).all(|(label, result)| label.is_ascii() || is_a_label(result))
}

/// An address literal (RFC 5321 §4.1.3) in canonical form.
fn literal(domain: &str) -> Option<String> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            inner[5..].parse::<Ipv6Addr>().ok().map(|address| format!("[IPv6:{address}]"))
        }
        _ => inner.parse::<Ipv4Addr>().ok().map(|address| format!("[{address}]")),
    }
}
