//! Every reply that the session itself gives. Texts of refusals come from [`rights::Refusal`], those of malformed
//! commands from [`smtp::PeerError`]. Wording: F §3.16 where Exchange has one.

use std::fmt::Display;

use directory::ReceiveConnector;
use rights::Refusal;
use smtp::Reply;

use crate::host::Settings;

pub(crate) fn greeting(settings: &Settings, connector: &ReceiveConnector) -> Reply {
    let hostname = connector.fqdn.as_deref().unwrap_or(&settings.hostname);
    let banner = connector.banner.as_deref().unwrap_or("ESMTP Procura");
    Reply::new(220, None, format!("{hostname} {banner}"))
}

/// A refusal of the authorization model, with the address that was refused and the id of its record. An address that is
/// not ASCII is left out: only a client that said SMTPUTF8 reads it (RFC 6531 §3.7.4.2), and the record has it.
pub(crate) fn refusal(refusal: &Refusal, id: Option<&str>) -> Reply {
    let reply = refusal.reply();
    let address = refusal.address().map(|address| address.canonical().to_string()).filter(|text| text.is_ascii());
    let detail = match (address, id) {
        (Some(address), Some(id)) => format!(" [{address}; decision {id}]"),
        (None, Some(id)) => format!(" [decision {id}]"),
        (Some(address), None) => format!(" [{address}]"),
        (None, None) => String::new(),
    };
    Reply::new(reply.code, reply.enhanced, reply.text + &detail)
}

/// Something is wrong with the text of a message.
pub(crate) fn malformed(fault: impl Display) -> Reply {
    Reply::new(550, (5, 6, 0), fault.to_string())
}

pub(crate) fn header_too_large(fault: impl Display) -> Reply {
    Reply::new(552, (5, 3, 4), fault.to_string())
}

/// RFC 5321 §4.1.4: commands out of order.
pub(crate) fn bad_sequence(text: &str) -> Reply {
    Reply::new(503, (5, 5, 1), text)
}

pub(crate) fn queued(queue_id: &str) -> Reply {
    Reply::new(250, (2, 6, 0), format!("{queue_id} Queued mail for delivery"))
}

/// What a content filter wants said: one line with a code of class 4 or 5; `None` if it is none.
pub(crate) fn of_filter(line: &str) -> Option<Reply> {
    let (code, text) = line.split_once(' ')?;
    let code: u16 = code.parse().ok().filter(|code| (400..600).contains(code))?;
    // 421 would say that the session ends.
    let code = if code == 421 { 451 } else { code };
    Some(Reply::new(code, None, text.replace('\n', " ")))
}

/// The account has sent as much as it may.
pub(crate) fn sending_limit(reason: String) -> Reply {
    Reply::new(450, (4, 7, 1), reason)
}

/// A chunk was taken (RFC 3030 §4).
pub(crate) fn chunk_taken(size: u64) -> Reply {
    Reply::new(250, (2, 0, 0), format!("{size} octets received"))
}

macro_rules! replies {
    ($($name:ident $code:literal $enhanced:expr, $text:literal;)*) => {
        $(pub(crate) fn $name() -> Reply {
            Reply::new($code, $enhanced, $text)
        })*
    };
}

replies! {
    ok 250 (2, 0, 0), "OK";
    reset 250 (2, 0, 0), "Resetting";
    closing 221 (2, 0, 0), "Service closing transmission channel";
    help 214 (2, 0, 0), "See RFC 5321";
    cannot_verify 252 (2, 1, 5), "Cannot verify; send the message and see";
    not_implemented 502 (5, 5, 1), "Command not implemented";
    unrecognized 500 (5, 5, 2), "Command unrecognized";

    sender_ok 250 (2, 1, 0), "Sender OK";
    recipient_ok 250 (2, 1, 5), "Recipient OK";
    start_input 354 None, "Start mail input; end with <CRLF>.<CRLF>";
    send_binary 354 None, "Send binary data";
    blob_taken 250 (2, 0, 0), "XEXCH50 data taken";
    blob_too_large 552 (5, 3, 4), "XEXCH50 data too large";

    unsupported_parameter 555 (5, 5, 4), "Unsupported parameter";
    utf8_recipient 553 (5, 6, 7), "SMTPUTF8 is needed for this address";
    no_postmaster 550 (5, 1, 1), "There is no default domain for postmaster";
    too_many_recipients 452 (4, 5, 3), "Too many recipients";
    too_many_messages 450 (4, 7, 1), "Too many messages in a minute; try again later";
    too_many_unknown 450 (4, 7, 1), "Too many unknown recipients in a minute; try again later";
    no_valid_recipients 554 (5, 5, 1), "No valid recipients";
    loop_detected 554 (5, 4, 6), "Hop count exceeded - possible mail loop";
    nul_in_data 550 (5, 6, 0), "the message has a NUL character";
    store_full 452 (4, 3, 1), "Insufficient system storage";
    pause_full 452 (4, 2, 2), "As many messages as may wait for a right of this account do; try again later";
    store_failed 451 (4, 3, 0), "The message could not be stored; try again later";

    ready_for_tls 220 (2, 0, 0), "SMTP server ready";
    tls_required 530 (5, 7, 0), "Must issue a STARTTLS command first";
    certificate_required 454 (4, 7, 5), "Certificate validation failure";
    tls_unavailable 454 (4, 7, 0), "TLS is not available at present";
    authenticated 235 (2, 7, 0), "Authentication successful";
    authentication_failed 535 (5, 7, 3), "Authentication unsuccessful";
    authentication_unavailable 454 (4, 7, 0), "Temporary authentication failure";
    authentication_cancelled 501 (5, 7, 0), "Authentication cancelled";
    unknown_mechanism 504 (5, 5, 4), "Unrecognized authentication type";
    encryption_required 538 (5, 7, 11), "Encryption required for requested authentication mechanism";

    improper_pipelining 554 (5, 5, 0), "Commands were sent before the reply to the one that they follow";
    talked_early 554 (5, 5, 0), "The client spoke before the greeting";
    too_many_errors 421 (4, 7, 0), "Too many errors on this connection, closing transmission channel";
    too_many_logons 421 (4, 7, 0), "Too many failed logons on this connection, closing transmission channel";
    timed_out 421 (4, 4, 2), "Connection timed out";
    stopping 421 (4, 3, 2), "Service not available, closing transmission channel";
}
