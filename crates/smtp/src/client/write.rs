//! Writers for commands, each appending one line with its CRLF.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::Address;
use zeroize::Zeroizing;

use crate::command::{AuthParam, BodyType, MailParams, RcptParams, ReturnContent};
use crate::xtext;

/// `EHLO name`.
pub fn ehlo(out: &mut Vec<u8>, name: &str) {
    line(out, "EHLO", name);
}

/// `LHLO name` (RFC 2033).
pub fn lhlo(out: &mut Vec<u8>, name: &str) {
    line(out, "LHLO", name);
}

/// `HELO name`.
pub fn helo(out: &mut Vec<u8>, name: &str) {
    line(out, "HELO", name);
}

/// `STARTTLS`.
pub fn starttls(out: &mut Vec<u8>) {
    out.extend_from_slice(b"STARTTLS\r\n");
}

/// `RSET`.
pub fn rset(out: &mut Vec<u8>) {
    out.extend_from_slice(b"RSET\r\n");
}

/// `QUIT`.
pub fn quit(out: &mut Vec<u8>) {
    out.extend_from_slice(b"QUIT\r\n");
}

/// `AUTH PLAIN initial-response` (RFC 4616). `authorize` is the identity to act as, empty for the user's own.
pub fn auth_plain(out: &mut Vec<u8>, authorize: &str, user: &str, password: &[u8]) {
    let mut response = Zeroizing::new(Vec::with_capacity(authorize.len() + user.len() + password.len() + 2));
    response.extend_from_slice(authorize.as_bytes());
    response.push(0);
    response.extend_from_slice(user.as_bytes());
    response.push(0);
    response.extend_from_slice(password);
    out.extend_from_slice(b"AUTH PLAIN ");
    out.extend_from_slice(Zeroizing::new(STANDARD.encode(&*response)).as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// `MAIL FROM:<…>` and parameters; DSN parameters only where the server offers them.
pub fn mail(out: &mut Vec<u8>, sender: Option<&Address>, params: &MailParams) {
    let mut text = format!("FROM:<{}>", sender.map_or("", Address::as_str));
    if let Some(size) = params.size {
        text += &format!(" SIZE={size}");
    }
    match params.body {
        Some(BodyType::SevenBit) => text += " BODY=7BIT",
        Some(BodyType::EightBitMime) => text += " BODY=8BITMIME",
        Some(BodyType::BinaryMime) => text += " BODY=BINARYMIME",
        None => {}
    }
    if params.smtputf8 {
        text += " SMTPUTF8";
    }
    if params.requiretls {
        text += " REQUIRETLS";
    }
    match &params.auth {
        Some(AuthParam::Null) => text += " AUTH=<>",
        Some(AuthParam::Address(address)) => text += &format!(" AUTH={}", xtext::encode(address.as_str())),
        None => {}
    }
    match params.ret {
        Some(ReturnContent::Full) => text += " RET=FULL",
        Some(ReturnContent::Headers) => text += " RET=HDRS",
        None => {}
    }
    if let Some(envid) = &params.envid {
        text += &format!(" ENVID={}", xtext::encode(envid));
    }
    line(out, "MAIL", &text);
}

/// `RCPT TO:<…>` and parameters.
pub fn rcpt(out: &mut Vec<u8>, recipient: &Address, params: &RcptParams) {
    let mut text = format!("TO:<{recipient}>");
    if let Some(notify) = params.notify {
        let flags = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
        let words: Vec<_> = flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
        text += " NOTIFY=";
        text += &if words.is_empty() { "NEVER".to_owned() } else { words.join(",") };
    }
    match &params.orcpt {
        // RFC 6533 §3: `utf-8` addresses go as they are only where everything is ASCII; else they stay behind.
        Some(orcpt) if orcpt.kind != "utf-8" => {
            text += &format!(" ORCPT={};{}", orcpt.kind, xtext::encode(&orcpt.address));
        }
        _ => {}
    }
    line(out, "RCPT", &text);
}

fn line(out: &mut Vec<u8>, verb: &str, argument: &str) {
    out.extend_from_slice(verb.as_bytes());
    out.push(b' ');
    out.extend(argument.bytes().filter(|b| !b.is_ascii_control()));
    out.extend_from_slice(b"\r\n");
}
