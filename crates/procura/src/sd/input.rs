//! Reading descriptors and what refers to them.

use acl::{AccessMask, Guid, SddlContext, SecurityDescriptor, Sid};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::From;

/// A descriptor in a given form.
pub fn descriptor(text: &str, form: From, context: &SddlContext) -> Result<SecurityDescriptor, String> {
    let bytes = match form {
        From::Sddl => return SecurityDescriptor::from_sddl(text, context).map_err(|e| e.to_string()),
        From::Hex => unhex(text.trim())?,
        From::Base64 => STANDARD.decode(text.trim()).map_err(|e| format!("not base64: {e}"))?,
    };
    SecurityDescriptor::parse(&bytes).map_err(|e| e.to_string())
}

/// The form that a text has: only SDDL has colons, and an empty text is an empty descriptor.
pub fn form_of(text: &str) -> From {
    match text.trim() {
        text if text.contains(':') || text.is_empty() => From::Sddl,
        text if text.bytes().all(|b| b.is_ascii_hexdigit()) => From::Hex,
        _ => From::Base64,
    }
}

/// Hexadecimal digits, either case, as bytes.
pub fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return Err("an odd number of hexadecimal digits".into());
    }
    let digit = |at: usize, c: u8| {
        (c as char).to_digit(16).ok_or_else(|| format!("at character {at}: not a hexadecimal digit")).map(|d| d as u8)
    };
    let pairs = pairs.iter().enumerate();
    pairs.map(|(i, [high, low])| Ok(digit(2 * i, *high)? << 4 | digit(2 * i + 1, *low)?)).collect()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|d| char::from_digit(d.into(), 16)).collect()
}

/// `S-1-…` or an alias of SDDL.
pub fn sid(text: &str, context: &SddlContext) -> Result<Sid, String> {
    if let Ok(sid) = text.parse() {
        return Ok(sid);
    }
    let owner = SecurityDescriptor::from_sddl(&format!("O:{text}"), context).ok().and_then(|sd| sd.owner);
    owner.ok_or_else(|| format!("{text} is not a SID"))
}

/// A member that is a SID, or `None` when it is null or missing.
pub fn optional_sid(object: &Value, name: &str, context: &SddlContext) -> Result<Option<Sid>, String> {
    match &object[name] {
        Value::Null => Ok(None),
        Value::String(text) => sid(text, context).map(Some),
        _ => Err(format!("{name} is a SID as text, or null")),
    }
}

/// A member that is a list of SIDs; missing is empty.
pub fn sids(object: &Value, name: &str, context: &SddlContext) -> Result<Vec<Sid>, String> {
    let member = |value: &Value| {
        let text = value.as_str().ok_or_else(|| format!("{name} is a list of SIDs"))?;
        sid(text, context)
    };
    list(object, name)?.iter().map(member).collect()
}

/// A member that is a list; missing and null are empty.
pub fn list<'a>(object: &'a Value, name: &str) -> Result<&'a [Value], String> {
    match &object[name] {
        Value::Null => Ok(&[]),
        Value::Array(values) => Ok(values),
        _ => Err(format!("{name} is a list")),
    }
}

/// A GUID as text.
pub fn guid(value: &Value, name: &str) -> Result<Guid, String> {
    let text = value.as_str().ok_or_else(|| format!("{name}: a GUID is text"))?;
    text.parse().map_err(|e| format!("{name}: {text}: {e}"))
}

/// A mask as a number, or as text: decimal, or hexadecimal with 0x.
pub fn mask(value: &Value) -> Result<AccessMask, String> {
    let number = match value {
        Value::String(text) => match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).ok(),
            None => text.parse().ok(),
        },
        value => value.as_u64(),
    };
    let number = number.and_then(|n| u32::try_from(n).ok());
    number.map(AccessMask).ok_or_else(|| "access is a mask: a number of 32 bits, or \"0x…\"".into())
}
