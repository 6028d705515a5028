//! KRB_AP_REQ (RFC 4120 §3.2): whether a ticket counts, whom it names, and what we answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::kerberos::der::{integer, whole, written};
use ::kerberos::{AES128, AES256, Channel, Key, Keytab, MECHANISM, Side, Unopened};
use picky_krb::data_types::{Authenticator, EncTicketPart, EncryptionKey, KerberosTime, PrincipalName};
use picky_krb::messages::ApReq;

use super::{Fault, Principal, SKEW};
use crate::certificate::provider;

/// Key usages (RFC 4120 §7.5.1).
const TICKET: i32 = 2;
const AUTHENTICATOR: i32 = 11;
const ANSWER: i32 = 12;
/// `rc4-hmac` (RFC 4757), which RFC 8429 deprecates.
const RC4: u32 = 23;
/// Bits of `ap-options` (RFC 4120 §5.5.1) and of the flags of a ticket (§5.3), counted from the first.
const USE_SESSION_KEY: usize = 1;
const MUTUAL_REQUIRED: usize = 2;
const INVALID: usize = 7;
/// KRB_AP_REQ and KRB_AP_REP (RFC 4121 §4.1).
const REQUEST: [u8; 2] = [1, 0];
const REPLY: [u8; 2] = [2, 0];

/// A ticket that counts.
pub(super) struct Accepted {
    pub(super) principal: Principal,
    pub(super) channel: Channel,
    /// Our proof, where the client wants one; else nothing.
    pub(super) answer: Vec<u8>,
}

/// A ticket with its authenticator, in the frame of GSS-API. `remember` is to refuse an authenticator that it has seen.
pub(super) fn accept(
    message: &[u8],
    keytab: &Keytab,
    remember: impl FnOnce(&[u8]) -> Result<(), Fault>,
) -> Result<Accepted, Fault> {
    let request = request(message)?.0;
    let options = request.ap_options.0.0.as_bytes();
    // User to user: the ticket would not be sealed with a key of ours.
    if bit(options, USE_SESSION_KEY) {
        return Err(Fault::Malformed);
    }
    let ticket = open(&request.ticket.0.0, keytab)?;
    if bit(ticket.flags.0.0.as_bytes(), INVALID) {
        return Err(Fault::Time("it is not valid as yet"));
    }
    let session = key(&ticket.key.0)?;
    let sealed = &request.authenticator.0;
    if number(&sealed.etype.0.0) != session.etype() {
        return Err(Fault::Malformed);
    }
    let opened = session.open(AUTHENTICATOR, &sealed.cipher.0.0)?;
    let authenticator: Authenticator = picky_asn1_der::from_bytes(&opened).map_err(|_| Fault::Malformed)?;
    let authenticator = authenticator.0;
    // RFC 4120 §3.2.3, in its order.
    if ticket.crealm.0 != authenticator.crealm.0 || ticket.cname.0 != authenticator.cname.0 {
        return Err(Fault::Principal);
    }
    let now = SystemTime::now();
    let said = moment(&authenticator.ctime.0)?;
    if now.duration_since(said).unwrap_or_else(|ahead| ahead.duration()) > SKEW {
        return Err(Fault::Time("the client's clock and ours differ by more than five minutes"));
    }
    let begins = ticket.starttime.0.as_ref().map_or(&ticket.auth_time.0, |time| &time.0);
    if moment(begins)? > now + SKEW {
        return Err(Fault::Time("it is not in force as yet"));
    }
    if moment(&ticket.endtime.0)? + SKEW < now {
        return Err(Fault::Time("it has expired"));
    }
    remember(&sealed.cipher.0.0)?;

    let principal = principal(&ticket.cname.0, ticket.crealm.0.0.to_string())?;
    let theirs = authenticator.subkey.0.as_ref().map(|subkey| key(&subkey.0)).transpose()?;
    let base = theirs.unwrap_or(Key::new(session.etype(), session.octets().to_vec()).ok_or(Fault::Malformed)?);
    if !bit(options, MUTUAL_REQUIRED) {
        let next = authenticator.seq_number.0.as_ref().map_or(0, |number| u64::from(self::number(&number.0.0)));
        let channel = Channel::new(base, Side::Acceptor, false, next);
        return Ok(Accepted { principal, channel, answer: Vec::new() });
    }
    let (subkey, next) = fresh(base.etype())?;
    let answer = answer(&session, &authenticator.ctime.0, &authenticator.cusec.0.0, &subkey, next)?;
    Ok(Accepted { principal, channel: Channel::new(subkey, Side::Acceptor, true, next.into()), answer })
}

/// `60 length 06 09 OID 01 00 KRB_AP_REQ` (RFC 4121 §4.1).
fn request(message: &[u8]) -> Result<ApReq, Fault> {
    let frame = whole(message, 0x60).and_then(|frame| frame.strip_prefix(MECHANISM)).ok_or(Fault::Malformed)?;
    let request = frame.strip_prefix(&REQUEST).ok_or(Fault::Malformed)?;
    // The whole of it: [APPLICATION 14].
    whole(request, 0x6E).ok_or(Fault::Malformed)?;
    picky_asn1_der::from_bytes(request).map_err(|_| Fault::Malformed)
}

/// What the KDC wrote, opened with the key that the ticket asks for.
fn open(
    ticket: &picky_krb::data_types::TicketInner,
    keytab: &Keytab,
) -> Result<picky_krb::data_types::EncTicketPartInner, Fault> {
    let sealed = &ticket.enc_part.0;
    let service: Vec<String> = ticket.sname.0.name_string.0.0.iter().map(|part| part.0.to_string()).collect();
    let (etype, kvno) = (number(&sealed.etype.0.0), sealed.kvno.0.as_ref().map(|kvno| number(&kvno.0.0)));
    let names = || service.join("/");
    match etype {
        AES128 | AES256 => {}
        RC4 => return Err(Fault::Rc4(names())),
        _ => return Err(Fault::NoKey(names(), etype)),
    }
    let realm = ticket.realm.0.0.to_string();
    let entry = keytab.find(&service, &realm, kvno, etype).ok_or_else(|| Fault::NoKey(names(), etype))?;
    let opened = entry.key.open(TICKET, &sealed.cipher.0.0)?;
    let ticket: EncTicketPart = picky_asn1_der::from_bytes(&opened).map_err(|_| Fault::Malformed)?;
    Ok(ticket.0)
}

/// Whom the ticket names. Realm and name come from inside the ticket, where the KDC wrote them; a name of another kind (an
/// enterprise name could carry somebody else's realm) is none.
fn principal(name: &PrincipalName, realm: String) -> Result<Principal, Fault> {
    let is_principal = number(&name.name_type.0.0) == 1;
    match name.name_string.0.0.as_slice() {
        [one] if is_principal => Ok(Principal { name: one.0.to_string(), realm }),
        _ => Err(Fault::Principal),
    }
}

fn key(key: &EncryptionKey) -> Result<Key, Fault> {
    let etype = number(&key.key_type.0.0);
    match Key::new(etype, key.key_value.0.0.clone()) {
        Some(key) => Ok(key),
        None if etype == RC4 => Err(Fault::Rc4("the session".to_owned())),
        None => Err(Fault::NoKey("the session".to_owned(), etype)),
    }
}

/// A key of ours and the number of our first token.
fn fresh(etype: u32) -> Result<(Key, u32), Fault> {
    let mut octets = [0; 36];
    provider().secure_random.fill(&mut octets).map_err(|_| Fault::Closed(Unopened("no randomness".to_owned())))?;
    let (key, start) = octets.split_at(32);
    let length = if etype == AES128 { 16 } else { 32 };
    let key = Key::new(etype, key[..length].to_vec()).ok_or(Fault::Malformed)?;
    let start = start.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
    // RFC 4120 §5.5.2: some take larger ones for negative numbers.
    Ok((key, start >> 2))
}

/// KRB_AP_REP (RFC 4120 §5.5.2): the client's time, given back under the session key.
fn answer(session: &Key, time: &KerberosTime, micros: &[u8], subkey: &Key, start: u32) -> Result<Vec<u8>, Fault> {
    let time = &time.0;
    let text = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        time.year(),
        time.month(),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let encryption_key =
        [written(0xA0, &integer(subkey.etype())), written(0xA1, &written(0x04, subkey.octets()))].concat();
    let part = [
        written(0xA0, &written(0x18, text.as_bytes())),
        written(0xA1, &written(0x02, micros)),
        written(0xA2, &written(0x30, &encryption_key)),
        written(0xA3, &integer(start)),
    ]
    .concat();
    let sealed = session.seal(ANSWER, &written(0x7B, &written(0x30, &part)))?;
    let data = [written(0xA0, &integer(session.etype())), written(0xA2, &written(0x04, &sealed))].concat();
    let reply =
        [written(0xA0, &integer(5)), written(0xA1, &integer(15)), written(0xA2, &written(0x30, &data))].concat();
    let reply = written(0x6F, &written(0x30, &reply));
    Ok(written(0x60, &[MECHANISM, &REPLY, &reply].concat()))
}

/// A bit of a bit string, as it is encoded: the first octet says how many of the last one's bits do not count.
fn bit(encoded: &[u8], bit: usize) -> bool {
    encoded.get(1 + bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
}

fn moment(time: &KerberosTime) -> Result<SystemTime, Fault> {
    let time = &time.0;
    let field = |value: u8| i8::try_from(value).ok();
    let civil = || {
        let (month, day) = (field(time.month())?, field(time.day())?);
        // A leap second is the second after it.
        let (hour, minute, second) = (field(time.hour())?, field(time.minute())?, field(time.second().min(59))?);
        let year = i16::try_from(time.year()).ok()?;
        let civil = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        u64::try_from(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()).ok()
    };
    civil().map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds)).ok_or(Fault::Malformed)
}

/// An ASN.1 integer that is small and not negative.
fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number: u32, octet| number.checked_shl(8).unwrap_or(0) | u32::from(*octet))
}
