//! The client's side of a context of GSS-API (RFC 4121), as SASL GSSAPI (RFC 4752) uses it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use zeroize::Zeroizing;

use crate::client::{Ticket, ap_request, authenticator};
use crate::der::{integer, optional, whole, written};
use crate::exchange::{key, moment, number, number32, opened, random, random_number, sequence};
use crate::{AES128, Channel, Key, MECHANISM, Side, Unopened};

/// Key usages (RFC 4120 §7.5.1).
const AUTHENTICATOR: i32 = 11;
const ANSWER: i32 = 12;
/// `mutual-required` (RFC 4120 §5.5.1), as a bit string.
const MUTUAL: [u8; 5] = [0, 0x20, 0, 0, 0];
/// The type of the checksum that is none (RFC 4121 §4.1.1), and its flags: mutual, replay, sequence; confidentiality,
/// integrity.
const NO_CHECKSUM: u32 = 0x8003;
const ALWAYS: u32 = 2 | 4 | 8;
const SEALING: u32 = 16 | 32;
/// KRB_AP_REQ and KRB_AP_REP (RFC 4121 §4.1).
const REQUEST: [u8; 2] = [1, 0];
const REPLY: [u8; 2] = [2, 0];

/// What keeps what is said from others.
#[derive(Clone, Copy, Debug)]
pub enum Protection<'a> {
    /// The context itself: everything is sealed.
    Context,
    /// TLS below it; to which channel of TLS the context belongs (RFC 5929 §4: `tls-server-end-point:` and a hash of the
    /// certificate).
    Tls(&'a [u8]),
}

/// A context that was begun.
#[derive(Debug)]
pub struct Initiator {
    session: Key,
    subkey: Key,
    time: SystemTime,
    number: u32,
}

impl Initiator {
    /// Begins a context with a ticket; the first message.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn begin(ticket: &Ticket, protection: Protection<'_>) -> Result<(Initiator, Vec<u8>), Unopened> {
        // Whole microseconds: the answer repeats them.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time = UNIX_EPOCH + Duration::from_micros(u64::try_from(since.as_micros()).unwrap_or(0));
        let octets: Zeroizing<[u8; 32]> = Zeroizing::new(random()?);
        let length = if ticket.key.etype() == AES128 { 16 } else { 32 };
        let subkey = Key::new(ticket.key.etype(), octets[..length].to_vec()).ok_or_else(Unopened::malformed)?;
        let number = random_number()?;
        let (flags, bindings) = match protection {
            Protection::Context => (ALWAYS | SEALING, [0; 16]),
            Protection::Tls(channel) => (ALWAYS, bindings(channel)),
        };
        let checksum = [&16u32.to_le_bytes()[..], &bindings, &flags.to_le_bytes()].concat();
        let checksum = sequence(&[(0, integer(NO_CHECKSUM)), (1, written(0x04, &checksum))]);
        let authenticator = authenticator(ticket, time, Some(checksum), Some(&subkey), Some(number));
        let request = ap_request(ticket, MUTUAL, AUTHENTICATOR, &authenticator)?;
        let message = written(0x60, &[MECHANISM, &REQUEST, &request].concat());
        Ok((Initiator { session: ticket.key.clone(), subkey, time, number }, message))
    }

    /// Takes the peer's proof; the context is established.
    ///
    /// # Errors
    /// It is no proof: whoever answers does not know the key of the service.
    pub fn finish(self, message: &[u8]) -> Result<Channel, Unopened> {
        let malformed = Unopened::malformed;
        let frame = whole(message, 0x60).and_then(|frame| frame.strip_prefix(MECHANISM)).ok_or_else(malformed)?;
        let reply = frame.strip_prefix(&REPLY).ok_or_else(malformed)?;
        let part = sealed_part(reply).ok_or_else(malformed)?;
        let part = opened(&self.session, ANSWER, part)?;
        let (time, subkey, number) = answer(&part).ok_or_else(malformed)?;
        if time != self.time {
            return Err(Unopened("it answers something else".to_owned()));
        }
        let chosen = subkey.is_some();
        let channel = Channel::new(subkey.unwrap_or(self.subkey), Side::Initiator, chosen, self.number.into());
        Ok(channel.in_order(number.into()))
    }
}

/// The MD5 of the channel bindings (RFC 4121 §4.1.1.2): no addresses, and the channel.
fn bindings(channel: &[u8]) -> [u8; 16] {
    let length = u32::try_from(channel.len()).unwrap_or(u32::MAX);
    Md5::digest([&[0; 16][..], &length.to_le_bytes(), channel].concat()).into()
}

/// The sealed part of KRB_AP_REP (RFC 4120 §5.5.2).
fn sealed_part(reply: &[u8]) -> Option<&[u8]> {
    let mut fields = whole(whole(reply, 0x6F)?, 0x30)?;
    optional(&mut fields, 0xA0)?;
    optional(&mut fields, 0xA1)?;
    optional(&mut fields, 0xA2)
}

/// EncAPRepPart: the time, the key, the number of the first message.
fn answer(part: &[u8]) -> Option<(SystemTime, Option<Key>, u32)> {
    let mut fields = whole(whole(part, 0x7B)?, 0x30)?;
    let seconds = moment(optional(&mut fields, 0xA0)?)?;
    let micros = number(optional(&mut fields, 0xA1)?).filter(|micros| *micros < 1_000_000)?;
    let subkey = match optional(&mut fields, 0xA2) {
        Some(field) => Some(key(field)?),
        None => None,
    };
    let number = optional(&mut fields, 0xA3).map_or(Some(0), number32)?;
    Some((seconds + Duration::from_micros(micros), subkey, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_is_a_proof(octets: Vec<u8>) {
            let key = Key::new(AES128, vec![1; 16]).unwrap();
            let initiator = || Initiator { session: key.clone(), subkey: key.clone(), time: UNIX_EPOCH, number: 1 };
            prop_assert!(initiator().finish(&octets).is_err());
            let framed = [&[0x60, 0x20][..], MECHANISM, &REPLY, &octets].concat();
            prop_assert!(initiator().finish(&framed).is_err());
            let _ = answer(&octets);
        }
    }
}
