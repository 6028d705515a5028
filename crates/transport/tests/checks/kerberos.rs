//! Kerberos: messages of a client, tickets that the KDC sealed, keytabs.

use std::sync::{Arc, LazyLock};

use picky_krb::crypto::CipherSuite;
use session::{GssOutcome, Identity};
use transport::kerberos::Kerberos;

/// The key of `smtp/mail@EXAMPLE.TEST`, and the session key that seals authenticators.
const SERVICE_KEY: [u8; 32] = [7; 32];
const SESSION_KEY: [u8; 32] = [9; 32];
/// Key usages (RFC 4120 §7.5.1, RFC 4121 §2).
const TICKET: i32 = 2;
const AUTHENTICATOR: i32 = 11;
const INITIATOR_SEAL: i32 = 24;
/// What the first octet says: GSS-SPNEGO; the KDC sealed a ticket; the client wants the server's proof.
const BARE: u8 = 1;
const SEALED: u8 = 2;
const MUTUAL: u8 = 4;
/// In a ticket and an authenticator these stand for the time that it is, and for an hour later.
const NOW: &[u8; 15] = b"20260101000000Z";
const LATER: &[u8; 15] = b"20260101010000Z";

static KEYTAB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut entry = vec![0, 2];
    for text in ["EXAMPLE.TEST", "smtp", "mail"] {
        entry.extend((text.len() as u16).to_be_bytes());
        entry.extend(text.as_bytes());
    }
    entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 18, 0, 32]);
    entry.extend(SERVICE_KEY);
    [&[5, 2][..], &(entry.len() as i32).to_be_bytes(), &entry].concat()
});

/// What a client says, piece by piece in the octets behind the first, each with its length in front. Unless the first octet
/// says that the KDC sealed a ticket, nobody is logged on. Where it did, the three pieces are what is in the ticket, what is
/// in the authenticator, and what is said of the security layer: who is logged on is named in the ticket, and the mailbox in
/// the last message.
pub fn tickets_hold(input: &[u8]) {
    let Some((&flags, rest)) = input.split_first() else { return };
    let pieces = pieces(rest);
    let Some((name, realm, mailbox)) = logged_on(flags, &pieces) else { return };
    assert!(flags & SEALED != 0, "{name} is logged on without a ticket");
    let [ticket, _, layer] = three(&pieces);
    let said = |text: &str| text.is_empty() || ticket.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(said(&name) && said(&realm), "{name}@{realm} is not who the ticket names");
    assert!(mailbox.is_none_or(|mailbox| layer.ends_with(mailbox.as_bytes())));
}

/// Name, realm and mailbox of who is logged on, if anybody is.
pub fn who_logs_on(input: &[u8]) -> Option<(String, String, Option<String>)> {
    let (&flags, rest) = input.split_first()?;
    logged_on(flags, &pieces(rest))
}

fn logged_on(flags: u8, pieces: &[Vec<u8>]) -> Option<(String, String, Option<String>)> {
    let mut context = Arc::new(Kerberos::with_keytab(&KEYTAB).unwrap()).context(flags & BARE != 0);
    let [ticket, authenticator, layer] = three(pieces);
    let messages = match flags & SEALED {
        0 => pieces.to_vec(),
        _ => vec![request(ticket, authenticator, flags), wrapped(layer), wrapped(layer)],
    };
    for message in messages {
        match context.step(&message) {
            GssOutcome::Done { identity: Identity::Principal { name, realm }, mailbox } => {
                return Some((name, realm, mailbox));
            }
            GssOutcome::Continue(_) => {}
            other => {
                assert!(!matches!(other, GssOutcome::Done { .. }), "{other:?}");
                return None;
            }
        }
    }
    None
}

fn three(pieces: &[Vec<u8>]) -> [&[u8]; 3] {
    [0, 1, 2].map(|at| pieces.get(at).map_or(&[][..], Vec::as_slice))
}

/// Octets are a keytab or none; what is shown of one says no more than it.
pub fn keytabs_hold(input: &[u8]) {
    let Some(kerberos) = Kerberos::with_keytab(input) else { return };
    assert!(input.starts_with(&[5, 2]));
    let shown = format!("{kerberos:?}");
    assert!(shown.len() < 100 + 8 * input.len(), "{shown}");
}

/// Pieces of octets, each behind its length in two octets, [`dated`].
fn pieces(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (piece, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        pieces.push(dated(piece));
        rest = after;
        if pieces.len() == 4 {
            break;
        }
    }
    pieces
}

/// With the times that it is instead of those that stand for them.
fn dated(octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let now = jiff::Timestamp::now();
    for (placeholder, ahead) in [(NOW, 0), (LATER, 3600)] {
        let time = jiff::Timestamp::from_second(now.as_second() + ahead).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
        let time = time.strftime("%Y%m%d%H%M%SZ").to_string();
        while let Some(at) = octets.windows(15).position(|part| part == placeholder) {
            octets[at..at + 15].copy_from_slice(time.as_bytes());
        }
    }
    octets
}

fn seal(key: &[u8], usage: i32, content: &[u8]) -> Vec<u8> {
    CipherSuite::Aes256CtsHmacSha196.cipher().encrypt(key, usage, content).unwrap()
}

/// KRB_AP_REQ in the frame of GSS-API, with what the KDC and the client sealed.
fn request(ticket: &[u8], authenticator: &[u8], flags: u8) -> Vec<u8> {
    let sealed = |content: Vec<u8>| der(0x30, &[der(0xA0, &[2, 1, 18]), der(0xA2, &der(4, &content))].concat());
    let name: Vec<u8> = ["smtp", "mail"].iter().flat_map(|part| der(0x1B, part.as_bytes())).collect();
    let name = der(0x30, &[der(0xA0, &[2, 1, 2]), der(0xA1, &der(0x30, &name))].concat());
    let ticket = [
        der(0xA0, &[2, 1, 5]),
        der(0xA1, &der(0x1B, b"EXAMPLE.TEST")),
        der(0xA2, &name),
        der(0xA3, &sealed(seal(&SERVICE_KEY, TICKET, ticket))),
    ];
    let options = if flags & MUTUAL == 0 { 0 } else { 0x20 };
    let request = [
        der(0xA0, &[2, 1, 5]),
        der(0xA1, &[2, 1, 14]),
        der(0xA2, &[3, 5, 0, options, 0, 0, 0]),
        der(0xA3, &der(0x61, &der(0x30, &ticket.concat()))),
        der(0xA4, &sealed(seal(&SESSION_KEY, AUTHENTICATOR, authenticator))),
    ];
    let oid = [0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02];
    let request = der(0x6E, &der(0x30, &request.concat()));
    let frame = der(0x60, &[&oid[..], &[1, 0], &request].concat());
    if flags & BARE == 0 {
        return frame;
    }
    let list = der(0xA0, &der(0x30, &oid));
    let init = der(0xA0, &der(0x30, &[list, der(0xA2, &der(4, &frame))].concat()));
    der(0x60, &[&[6, 6, 0x2B, 6, 1, 5, 5, 2][..], &init].concat())
}

/// A sealed Wrap token of the client (RFC 4121 §4.2.6.2); nothing for nothing.
fn wrapped(content: &[u8]) -> Vec<u8> {
    if content.is_empty() {
        return Vec::new();
    }
    let header = [5, 4, 2, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
    [&header[..], &seal(&SESSION_KEY, INITIATOR_SEAL, &[content, &header].concat())].concat()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..=0x7F => out.push(length as u8),
        0x80..=0xFF => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}
