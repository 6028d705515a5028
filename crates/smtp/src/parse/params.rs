//! ESMTP parameters (RFC 5321 §4.1.1.11).

use message::Address;

use crate::command::{AuthParam, BodyType, MailParams, Notify, OriginalRecipient, RcptParams, ReturnContent};
use crate::error::PeerError;
use crate::xtext;

/// The parameters of MAIL.
pub(super) fn mail(text: &str) -> Result<MailParams, PeerError> {
    let mut params = MailParams::default();
    for (keyword, value) in split(text)? {
        match keyword.as_str() {
            "SIZE" => set(&mut params.size, value.and_then(decimal))?,
            "BODY" => set(&mut params.body, value.and_then(body))?,
            "SMTPUTF8" if value.is_some() => return Err(PeerError::ParameterValue),
            "SMTPUTF8" if params.smtputf8 => return Err(PeerError::ParameterDuplicate),
            "SMTPUTF8" => params.smtputf8 = true,
            "REQUIRETLS" if value.is_some() => return Err(PeerError::ParameterValue),
            "REQUIRETLS" if params.requiretls => return Err(PeerError::ParameterDuplicate),
            "REQUIRETLS" => params.requiretls = true,
            "AUTH" => set(&mut params.auth, value.and_then(auth))?,
            "RET" => set(&mut params.ret, value.and_then(ret))?,
            "ENVID" => set(&mut params.envid, value.and_then(envid))?,
            _ => return Err(PeerError::ParameterUnknown),
        }
    }
    Ok(params)
}

/// The parameters of RCPT.
pub(super) fn rcpt(text: &str) -> Result<RcptParams, PeerError> {
    let mut params = RcptParams::default();
    for (keyword, value) in split(text)? {
        match keyword.as_str() {
            "NOTIFY" => set(&mut params.notify, value.and_then(notify))?,
            "ORCPT" => set(&mut params.orcpt, value.and_then(orcpt))?,
            _ => return Err(PeerError::ParameterUnknown),
        }
    }
    Ok(params)
}

/// A decimal number of at most 20 digits that fits (RFC 1870 §4).
pub(super) fn decimal(text: &str) -> Option<u64> {
    let valid = (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if valid { text.parse().ok() } else { None }
}

/// `esmtp-keyword ["=" esmtp-value]`, separated by single spaces; keywords in upper case.
fn split(text: &str) -> Result<Vec<(String, Option<&str>)>, PeerError> {
    let words = text.split(' ').filter(|_| !text.is_empty());
    words
        .map(|word| {
            let (keyword, value) = word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value)));
            let valid = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
                && keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if !valid {
                return Err(PeerError::ParameterUnknown);
            }
            if value.is_some_and(|value| value.is_empty() || value.contains(['=', '\t'])) {
                return Err(PeerError::ParameterValue);
            }
            Ok((keyword.to_ascii_uppercase(), value))
        })
        .collect()
}

fn set<T>(place: &mut Option<T>, value: Option<T>) -> Result<(), PeerError> {
    if place.is_some() {
        return Err(PeerError::ParameterDuplicate);
    }
    *place = Some(value.ok_or(PeerError::ParameterValue)?);
    Ok(())
}

fn body(value: &str) -> Option<BodyType> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Some(BodyType::SevenBit),
        "8BITMIME" => Some(BodyType::EightBitMime),
        "BINARYMIME" => Some(BodyType::BinaryMime),
        _ => None,
    }
}

/// RFC 4954 §5: xtext of `<>` or of a mailbox. RFC 6531 lets the mailbox be UTF-8.
fn auth(value: &str) -> Option<AuthParam> {
    let decoded = if value.is_ascii() { xtext::decode(value)? } else { value.to_owned() };
    match decoded.as_str() {
        "<>" => Some(AuthParam::Null),
        mailbox => Address::parse(mailbox).ok().map(AuthParam::Address),
    }
}

fn ret(value: &str) -> Option<ReturnContent> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(ReturnContent::Full),
        "HDRS" => Some(ReturnContent::Headers),
        _ => None,
    }
}

/// RFC 3461 §4.4: at most 100 characters.
fn envid(value: &str) -> Option<String> {
    if value.len() > 100 { None } else { xtext::decode(value) }
}

/// RFC 3461 §4.1: `NEVER` alone, or a list of the others.
fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for word in value.split(',') {
        let flag = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return None,
        };
        if std::mem::replace(flag, true) {
            return None;
        }
    }
    Some(notify)
}

/// RFC 3461 §4.2: `type;xtext`, at most 500 characters; RFC 6533 §3 for type `utf-8`.
fn orcpt(value: &str) -> Option<OriginalRecipient> {
    let (kind, address) = value.split_once(';')?;
    let valid = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !valid || value.len() > 500 || address.is_empty() {
        return None;
    }
    let address = if kind.eq_ignore_ascii_case("utf-8") { utf8_address(address)? } else { xtext::decode(address)? };
    Some(OriginalRecipient { kind: kind.to_ascii_lowercase(), address })
}

/// utf-8-addr-unitext and utf-8-addr-xtext: UTF-8, with `\x{HEX}` for characters that xtext or ASCII cannot hold.
fn utf8_address(value: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = value;
    while let Some(start) = rest.find("\\x{") {
        let (hex, tail) = rest[start + 3..].split_once('}')?;
        let c = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).filter(|c| !c.is_control())?;
        decoded.push_str(&rest[..start]);
        decoded.push(c);
        rest = tail;
    }
    decoded.push_str(rest);
    Some(decoded)
}
