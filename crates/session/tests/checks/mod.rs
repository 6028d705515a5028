//! What holds whatever a client sends and however the host answers; for the corpus, and for fuzzing (`fuzz/`).
//!
//! The session is followed from outside by a model that knows RFC 5321's order of things and nothing of the session's
//! insides: each command has one reply, a message is accepted only in a transaction that was, and every accepted message
//! is asked about once more, token by token.

#![allow(dead_code, clippy::unwrap_used)]

mod host;
mod model;
mod world;

use model::Model;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Octets that stand for something that happens, not for what the client says; none of them is ever part of UTF-8.
mod event {
    /// The network delivers what was sent so far.
    pub const CUT: u8 = 0xF8;
    /// The directory changes.
    pub const DIRECTORY: u8 = 0xF9;
    /// Two minutes pass.
    pub const TIME: u8 = 0xFA;
    /// The queue and the password store answer otherwise from now on.
    pub const HOST: u8 = 0xFB;
    /// The server is told to stop.
    pub const STOP: u8 = 0xFC;
    /// The host answers what it was not asked.
    pub const ANSWER: u8 = 0xFD;
    /// The client goes away.
    pub const GONE: u8 = 0xFE;
    /// The next octet is the client's, whatever it is.
    pub const LITERAL: u8 = 0xFF;
}

/// A whole session. The first octet chooses the connector, and whether the client waits for the reply to each line; the rest
/// is what it says, with events in it.
pub fn session_holds(input: &[u8]) {
    let Some((&choice, input)) = input.split_first() else { return };
    let patient = choice & 0x80 == 0;
    let mut model = Model::connect(usize::from(choice & 0x0F), choice & 0x40 == 0);
    let mut said = Vec::new();
    let mut octets = input.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            event::LITERAL => said.extend(octets.next()),
            event::CUT => model.says(&std::mem::take(&mut said), patient),
            event::DIRECTORY..=event::GONE => {
                model.says(&std::mem::take(&mut said), patient);
                match octet {
                    event::DIRECTORY => model.change_directory(),
                    event::TIME => model.wait(),
                    event::HOST => model.change_host(),
                    event::STOP => model.stop(),
                    event::ANSWER => model.answer_out_of_turn(),
                    _ => model.leave(),
                }
            }
            b'\n' if patient => {
                said.push(octet);
                model.says(&std::mem::take(&mut said), patient);
            }
            _ => said.push(octet),
        }
    }
    model.says(&said, patient);
    model.leave();
}

/// One exchange of AUTH. The first octet chooses the mechanism; lines are the client's responses, given in base64 by
/// this function unless the second octet says otherwise.
pub fn sasl_holds(input: &[u8]) {
    const MECHANISMS: [&str; 8] =
        ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "GSSAPI", "GSS-SPNEGO"];
    let [mechanism, flags, input @ ..] = input else { return };
    let mut model = Model::connect(world::LAX, false);
    if flags & 1 != 0 {
        model.says(b"EHLO client.test\r\n", true);
        model.says(b"STARTTLS\r\n", true);
    }
    model.says(b"EHLO client.test\r\n", true);
    let raw = flags & 2 != 0;
    let mut responses = input.split(|octet| *octet == b'\n').map(|response| match (raw, response) {
        (true, response) => String::from_utf8_lossy(response).replace('\r', ""),
        (false, b"*") => "*".to_owned(),
        (false, response) => STANDARD.encode(response),
    });
    let initial = if flags & 4 != 0 { responses.next().map(|text| format!(" {text}")) } else { None };
    let mechanism = MECHANISMS[usize::from(*mechanism) % MECHANISMS.len()];
    model.says(format!("AUTH {mechanism}{}\r\n", initial.unwrap_or_default()).as_bytes(), true);
    for response in responses.take(8) {
        if !model.is_asked() {
            break;
        }
        model.says(format!("{response}\r\n").as_bytes(), true);
    }
    if model.is_asked() {
        model.says(b"*\r\n", true);
    }
    // What the session believes now shows in whose address it may use: here one of them, which the input chooses.
    let address = world::ADDRESSES[usize::from(flags >> 3) % world::ADDRESSES.len()];
    model.says(format!("MAIL FROM:<{address}>\r\n").as_bytes(), true);
    let accepted = model.last_reply().starts_with("250");
    assert!(!accepted || model.may_use(address), "nobody who may use {address} was proven");
}
