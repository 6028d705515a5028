//! Answers of a KDC (RFC 4120 §5.4.2, §5.9.1), and whether they answer what was asked.

use std::time::SystemTime;

use crate::client::{ClientError, Ticket};
use crate::der::{element, optional, whole};
use crate::exchange::{key, moment, number, number32, opened, parts, text};
use crate::{Key, Unopened};

/// What was asked, as far as an answer repeats it (RFC 4120 §3.1.5, §3.3.4).
pub(crate) struct Asked<'a> {
    /// The tag of the answer: KRB_AS_REP or KRB_TGS_REP.
    pub(crate) kind: u8,
    /// What its part for us is sealed with, and for what.
    pub(crate) key: (&'a Key, i32),
    pub(crate) nonce: u32,
    /// Whom the ticket is to be of: name and realm.
    pub(crate) client: (&'a [String], &'a str),
    /// Whom it is to be for.
    pub(crate) service: &'a [String],
    /// The realm that was asked.
    pub(crate) realm: &'a str,
    /// A ticket for another realm will do, where the answer is found.
    pub(crate) may_refer: bool,
}

/// Error codes (§7.5.9) that something is done about.
const WRONG_KEY: u64 = 24;
const UNAVAILABLE: u64 = 29;

/// The ticket in an answer.
pub(crate) fn read(answer: &[u8], asked: &Asked<'_>) -> Result<Ticket, ClientError> {
    if element(answer, 0x7E).is_some() {
        return Err(match refusal(answer) {
            Some(WRONG_KEY) => ClientError::WrongKey,
            Some(code) => ClientError::Refused(meaning(code)),
            None => ClientError::Refused("it does not say why".to_owned()),
        });
    }
    let malformed = Unopened::malformed;
    let (client, ticket, part) = reply(answer, asked.kind).ok_or_else(malformed)?;
    let (key, usage) = asked.key;
    let part = opened(key, usage, part)?;
    let part = reply_part(&part).ok_or_else(malformed)?;
    let other = |what: &str| Err(Unopened(format!("it answers another question: {what}")).into());
    if part.nonce != asked.nonce {
        return other("its number is not the one that was sent");
    }
    if !same(&client.0, asked.client.0) || !client.1.eq_ignore_ascii_case(asked.client.1) {
        return other("its ticket is of somebody else");
    }
    if !part.realm.eq_ignore_ascii_case(asked.realm) {
        return other("its ticket is of another realm");
    }
    let is_referral = asked.may_refer && refers(&part.service).is_some();
    if !is_referral && !same(&part.service, asked.service) {
        return other("its ticket is for somebody else");
    }
    Ok(Ticket { octets: ticket.to_vec(), key: part.key, service: part.service, client, ends: part.ends })
}

/// The realm that a ticket for another ticket-granting service leads to (RFC 6806 §8).
pub(crate) fn refers(service: &[String]) -> Option<&str> {
    match service {
        [granter, next] if granter.eq_ignore_ascii_case("krbtgt") => Some(next),
        _ => None,
    }
}

/// Whether a KDC says that it cannot answer, and another one may.
pub(crate) fn is_unavailable(answer: &[u8]) -> bool {
    refusal(answer) == Some(UNAVAILABLE)
}

/// Names are the same without regard to case, as Active Directory has it.
fn same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

type Whom = (Vec<String>, String);

/// Whom the ticket is of, the ticket, and the sealed part.
fn reply(answer: &[u8], kind: u8) -> Option<(Whom, &[u8], &[u8])> {
    let mut fields = whole(whole(answer, kind)?, 0x30)?;
    optional(&mut fields, 0xA0)?;
    optional(&mut fields, 0xA1)?;
    optional(&mut fields, 0xA2);
    let realm = text(optional(&mut fields, 0xA3)?)?;
    let name = parts(optional(&mut fields, 0xA4)?)?;
    let ticket = optional(&mut fields, 0xA5)?;
    Some(((name, realm), ticket, optional(&mut fields, 0xA6)?))
}

/// EncKDCRepPart (§5.4.2), as far as it is looked at.
struct Part {
    key: Key,
    nonce: u32,
    ends: SystemTime,
    realm: String,
    service: Vec<String>,
}

/// Some write the number of the other kind before it.
fn reply_part(part: &[u8]) -> Option<Part> {
    let mut fields = whole(whole(part, 0x79).or_else(|| whole(part, 0x7A))?, 0x30)?;
    let key = key(optional(&mut fields, 0xA0)?)?;
    optional(&mut fields, 0xA1)?;
    let nonce = number32(optional(&mut fields, 0xA2)?)?;
    optional(&mut fields, 0xA3);
    optional(&mut fields, 0xA4)?;
    optional(&mut fields, 0xA5)?;
    optional(&mut fields, 0xA6);
    let ends = moment(optional(&mut fields, 0xA7)?)?;
    optional(&mut fields, 0xA8);
    let realm = text(optional(&mut fields, 0xA9)?)?;
    Some(Part { key, nonce, ends, realm, service: parts(optional(&mut fields, 0xAA)?)? })
}

/// The code of a KRB_ERROR.
fn refusal(answer: &[u8]) -> Option<u64> {
    let mut fields = whole(whole(answer, 0x7E)?, 0x30)?;
    for tag in 0xA0..=0xA5 {
        optional(&mut fields, tag);
    }
    number(optional(&mut fields, 0xA6)?)
}

fn meaning(code: u64) -> String {
    match code {
        6 => "it does not know the account".to_owned(),
        7 => "it does not know the service: is the server named as it names itself?".to_owned(),
        14 => "it knows no key of AES of the account".to_owned(),
        18 => "the account is disabled, locked or expired".to_owned(),
        23 => "the password of the account has expired".to_owned(),
        37 => "its clock and ours differ by more than five minutes".to_owned(),
        other => format!("error {other}"),
    }
}
