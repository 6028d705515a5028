//! Whether values fit their attributes.

use message::Address;

use super::{integer, is_true, smtp_proxy, whole_sid};
use crate::Value;
use crate::attributes::{self, Syntax};

/// Tells of values that do not fit the attribute.
pub(crate) fn check(attribute: &attributes::Attribute, values: &[Value], bad: &mut dyn FnMut(&str, String)) {
    let mut complain = |reason: String| bad(attribute.name, reason);
    if attribute.single && values.len() > 1 {
        complain(format!("has {} values and may have one", values.len()));
    }
    for value in values {
        let shown = || String::from_utf8_lossy(value).into_owned();
        match attribute.syntax {
            Syntax::Integer if integer(value).is_none() => complain(format!("“{}” is not an integer", shown())),
            Syntax::Boolean if !is_true(value) && !value.eq_ignore_ascii_case(b"FALSE") => {
                complain(format!("“{}” is neither TRUE nor FALSE", shown()));
            }
            Syntax::Sid if whole_sid(value).is_none() => complain("is not a SID".to_owned()),
            Syntax::Guid if value.len() != 16 => complain(format!("has {} octets, a GUID has 16", value.len())),
            Syntax::Text if std::str::from_utf8(value).is_err() => complain("is not UTF-8".to_owned()),
            Syntax::Text => check_text(attribute.name, value, &mut complain),
            _ => {}
        }
    }
}

fn check_text(name: &str, value: &[u8], complain: &mut dyn FnMut(String)) {
    let text = String::from_utf8_lossy(value);
    match name {
        attributes::PROXY_ADDRESSES => {
            if let Some(address) = smtp_proxy(value)
                && let Err(error) = Address::parse(address)
            {
                complain(format!("“{address}” is not a mail address: {error}"));
            }
        }
        attributes::MAIL => {
            if let Err(error) = Address::parse(&text) {
                complain(format!("“{text}” is not a mail address: {error}"));
            }
        }
        attributes::SAM_ACCOUNT_NAME
            if text.trim().is_empty() || text.contains(|c: char| c.is_control() || "\"/\\[]:;|=,+*?<>".contains(c)) =>
        {
            complain(format!("“{text}” is empty or has a character that a logon name cannot have"));
        }
        _ => {}
    }
}
