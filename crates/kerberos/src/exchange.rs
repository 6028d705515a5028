//! Questions to a KDC over TCP (RFC 4120 §7.2.2), and the little of ASN.1 that they and their answers are made of.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::der::{element, integer, optional, whole, written};
use crate::{Key, Unopened};

/// The port of a KDC.
const PORT: u16 = 88;
/// The longest answer, in octets: tickets carry the groups of an account.
const LONGEST: usize = 1 << 20;

/// Asks a KDC.
pub(crate) fn ask(host: &str, question: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for place in (host, PORT).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, patience).and_then(|stream| talk(stream, question, patience)) {
            Ok(answer) => return Ok(answer),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn talk(mut stream: TcpStream, question: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + patience;
    let left = || Some(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
    let length = u32::try_from(question.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.set_write_timeout(left())?;
    stream.write_all(&[&length.to_be_bytes(), question].concat())?;
    let mut fill = |octets: &mut [u8]| -> io::Result<()> {
        let mut at = 0;
        while at < octets.len() {
            if Instant::now() >= end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(left())?;
            match stream.read(&mut octets[at..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => at += count,
            }
        }
        Ok(())
    };
    let mut length = [0; 4];
    fill(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer that is too long"));
    }
    let mut answer = vec![0; length];
    fill(&mut answer)?;
    Ok(answer)
}

/// PrincipalName (RFC 4120 §5.2.2).
pub(crate) fn principal(kind: u32, parts: &[String]) -> Vec<u8> {
    let parts: Vec<u8> = parts.iter().flat_map(|part| written(0x1B, part.as_bytes())).collect();
    sequence(&[(0, integer(kind)), (1, written(0x30, &parts))])
}

/// EncryptedData (§5.2.9), without the version of the key.
pub(crate) fn sealed(key: &Key, usage: i32, content: &[u8]) -> Result<Vec<u8>, Unopened> {
    Ok(sequence(&[(0, integer(key.etype())), (2, written(0x04, &key.seal(usage, content)?))]))
}

/// The content of EncryptedData; there may be a key in it.
pub(crate) fn opened(key: &Key, usage: i32, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let mut fields = whole(sealed, 0x30).ok_or_else(Unopened::malformed)?;
    let etype = optional(&mut fields, 0xA0).and_then(number).ok_or_else(Unopened::malformed)?;
    if etype != u64::from(key.etype()) {
        return Err(Unopened(format!("it is sealed with a key of encryption type {etype}, not {}", key.etype())));
    }
    optional(&mut fields, 0xA1);
    let cipher = optional(&mut fields, 0xA2).and_then(|field| whole(field, 0x04)).ok_or_else(Unopened::malformed)?;
    key.open(usage, cipher).map(Zeroizing::new)
}

/// A SEQUENCE of fields with explicit tags.
pub(crate) fn sequence(fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let content: Vec<u8> = fields.iter().flat_map(|(tag, content)| written(0xA0 | tag, content)).collect();
    written(0x30, &content)
}

/// EncryptionKey (§5.2.9).
pub(crate) fn key(field: &[u8]) -> Option<Key> {
    let mut fields = whole(field, 0x30)?;
    let etype = u32::try_from(number(optional(&mut fields, 0xA0)?)?).ok()?;
    Key::new(etype, whole(optional(&mut fields, 0xA1)?, 0x04)?.to_vec())
}

/// An INTEGER that is not negative.
pub(crate) fn number(field: &[u8]) -> Option<u64> {
    let octets = whole(field, 0x02).filter(|octets| octets.first().is_some_and(|first| *first < 0x80))?;
    if octets.len() > 9 {
        return None;
    }
    octets.iter().try_fold(0u64, |number, octet| number.checked_mul(256)?.checked_add(u64::from(*octet)))
}

/// An INTEGER of 32 bits, which some write as if it had a sign.
pub(crate) fn number32(field: &[u8]) -> Option<u32> {
    let octets = whole(field, 0x02).filter(|octets| (1..=5).contains(&octets.len()))?;
    let sign = if octets[0] >= 0x80 { u64::MAX } else { 0 };
    Some(octets.iter().fold(sign, |number, octet| number << 8 | u64::from(*octet)) as u32)
}

/// KerberosTime (§5.2.3).
pub(crate) fn time(moment: SystemTime) -> Vec<u8> {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let stamp = jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0)).unwrap_or_default();
    written(0x18, jiff::tz::TimeZone::UTC.to_datetime(stamp).strftime("%Y%m%d%H%M%SZ").to_string().as_bytes())
}

/// ... read.
pub(crate) fn moment(field: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(whole(field, 0x18)?).ok()?.strip_suffix('Z')?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    let seconds = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Text of a GeneralString.
pub(crate) fn text(field: &[u8]) -> Option<String> {
    String::from_utf8(whole(field, 0x1B)?.to_vec()).ok()
}

/// The parts of a PrincipalName.
pub(crate) fn parts(field: &[u8]) -> Option<Vec<String>> {
    let mut fields = whole(field, 0x30)?;
    optional(&mut fields, 0xA0)?;
    let mut list = whole(optional(&mut fields, 0xA1)?, 0x30)?;
    let mut parts = Vec::new();
    while !list.is_empty() {
        let (part, rest) = element(list, 0x1B)?;
        parts.push(String::from_utf8(part.to_vec()).ok()?);
        list = rest;
    }
    Some(parts)
}

/// Fresh random octets.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Unopened> {
    let mut octets = [0; N];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| Unopened("no randomness".to_owned()))?;
    Ok(octets)
}

/// A number of 30 bits: some take larger ones for negative (RFC 4120 §5.5.2).
pub(crate) fn random_number() -> Result<u32, Unopened> {
    Ok(u32::from_be_bytes(random()?) >> 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn times_read_as_they_were_written(seconds in 0..4_000_000_000_u64) {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(moment(&time(at)), Some(at));
        }

        #[test]
        fn numbers_read_as_they_were_written(value: u32) {
            prop_assert_eq!(number(&integer(value)), Some(u64::from(value)));
            prop_assert_eq!(number32(&integer(value)), Some(value));
        }

        #[test]
        fn names_read_as_they_were_written(parts in proptest::collection::vec("[a-z]{1,8}", 1..4)) {
            prop_assert_eq!(super::parts(&principal(1, &parts)), Some(parts));
        }

        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let sealing = Key::new(crate::AES128, vec![1; 16]).unwrap();
            let _ = (key(&octets), number(&octets), number32(&octets), moment(&octets), parts(&octets), text(&octets));
            let _ = opened(&sealing, 1, &octets);
        }
    }
}
