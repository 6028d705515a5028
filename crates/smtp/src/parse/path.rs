//! Reverse-path and forward-path (RFC 5321 §4.1.2).

use message::Address;

use super::Strictness;
use crate::error::PeerError;

/// Splits what follows the colon into the inside of the path and the parameters.
pub(super) fn split(rest: &str, strictness: Strictness) -> Result<(&str, &str), PeerError> {
    let path = if strictness.tolerant { rest.trim_start_matches(' ') } else { rest };
    if path.starts_with([' ', '\t']) {
        return Err(PeerError::SpaceAfterColon);
    }
    let Some(inner) = path.strip_prefix('<') else {
        if !strictness.tolerant || path.is_empty() || path.contains(['<', '>']) {
            return Err(PeerError::PathBrackets);
        }
        return Ok(path.split_once(' ').unwrap_or((path, "")));
    };
    let end = end(inner).ok_or(PeerError::PathBrackets)?;
    match &inner[end + 1..] {
        "" => Ok((&inner[..end], "")),
        rest => Ok((&inner[..end], rest.strip_prefix(' ').ok_or(PeerError::PathBrackets)?)),
    }
}

/// The address of a reverse-path that is not null.
pub(super) fn reverse(path: &str) -> Result<Address, PeerError> {
    Address::parse(without_route(path)?).map_err(|_| PeerError::SenderSyntax)
}

/// The address of a forward-path.
pub(super) fn forward(path: &str) -> Result<Address, PeerError> {
    Address::parse(without_route(path)?).map_err(|_| PeerError::RecipientSyntax)
}

/// Where the `>` stands that no quoted string holds.
fn end(inner: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (position, byte) in inner.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(position),
            _ => {}
        }
    }
    None
}

/// Drops `@a,@b:` (RFC 5321 appendix C: "SHOULD NOT" be honoured), having checked it.
fn without_route(path: &str) -> Result<&str, PeerError> {
    if !path.starts_with('@') {
        return Ok(path);
    }
    let (route, address) = path.split_once(':').ok_or(PeerError::SourceRoute)?;
    let valid = |hop: &str| {
        hop.strip_prefix('@')
            .is_some_and(|domain| Address::parse(&format!("route@{domain}")).is_ok_and(|a| !a.domain_literal()))
    };
    if route.split(',').all(valid) { Ok(address) } else { Err(PeerError::SourceRoute) }
}
