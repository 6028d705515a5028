//! Tickets: asked of a KDC with a key of a keytab (RFC 4120 §3.1, §3.3), kept, and asked again before they end.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use thiserror::Error;

use crate::der::{element, integer, optional, whole, written};
use crate::exchange::{
    ask, key, moment, number, number32, opened, parts, principal, random_number, sealed, sequence, text, time,
};
use crate::{AES128, AES256, Key, Keytab, KeytabError, Unopened};

/// Key usages (RFC 4120 §7.5.1).
const TIMESTAMP: i32 = 1;
const REPLY: i32 = 3;
const BODY_CHECKSUM: i32 = 6;
const REQUEST_AUTHENTICATOR: i32 = 7;
const SERVICE_REPLY: i32 = 8;
/// Kinds of names (§6.2).
const NT_PRINCIPAL: u32 = 1;
const NT_SRV_INST: u32 = 2;
/// Options of a request (§5.4.1): `canonicalize` (RFC 6806 §3), which lets a KDC refer to another realm.
const CANONICALIZE: [u8; 5] = [0, 0, 0x01, 0, 0];
const NO_OPTIONS: [u8; 5] = [0; 5];
/// Realms on the way to a service.
const MOST_REALMS: usize = 6;
/// How long a ticket is asked for.
const LIFE: Duration = Duration::from_secs(10 * 3600);
/// A ticket that ends sooner is asked for again.
const NEARLY_OVER: Duration = Duration::from_secs(300);

/// Why there is no ticket.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The keytab cannot be read.
    #[error(transparent)]
    Keytab(#[from] KeytabError),
    /// It has no key of the account.
    #[error("the keytab has no AES key of {0}")]
    NoKey(String),
    /// The account is not named as `name@REALM`.
    #[error("`{0}` names no realm: write name@EXAMPLE.COM")]
    NoRealm(String),
    /// No KDC of a realm answers.
    #[error("no KDC of {realm} answers: {reason}")]
    Unreachable {
        /// The realm.
        realm: String,
        /// Why not.
        reason: String,
    },
    /// The KDC refused.
    #[error("the KDC refuses: {0}")]
    Refused(String),
    /// What it says cannot be read.
    #[error("the KDC: {0}")]
    Nonsense(#[from] Unopened),
}

/// A ticket, and the key that it shares.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// As the KDC wrote it.
    pub(crate) octets: Vec<u8>,
    /// The key that whoever it is for finds in it.
    pub(crate) key: Key,
    /// Who it is for, and in which realm.
    pub(crate) service: Vec<String>,
    /// Whom it is of.
    pub(crate) client: (Vec<String>, String),
    /// When it ends.
    ends: SystemTime,
}

impl Ticket {
    /// When it ends.
    pub fn ends(&self) -> SystemTime {
        self.ends
    }
}

/// An account that gets tickets with its key.
#[derive(Debug)]
pub struct Client {
    name: Vec<String>,
    realm: String,
    key: Key,
    life: Duration,
    nearly_over: Duration,
    tickets: Mutex<HashMap<String, Ticket>>,
}

impl Client {
    /// An account `name@REALM`, with the newest of its keys in a keytab, of AES-256 if there is one.
    ///
    /// # Errors
    /// There is none.
    pub fn open(keytab: &Path, account: &str) -> Result<Client, ClientError> {
        let (name, realm) = account.rsplit_once('@').ok_or_else(|| ClientError::NoRealm(account.to_owned()))?;
        let (name, realm) = (vec![name.to_owned()], realm.to_ascii_uppercase());
        let keys = Keytab::read(keytab)?;
        let entry = [AES256, AES128].into_iter().find_map(|etype| keys.find(&name, &realm, None, etype));
        let key = entry.ok_or_else(|| ClientError::NoKey(account.to_owned()))?.key.clone();
        Ok(Client { name, realm, key, life: LIFE, nearly_over: NEARLY_OVER, tickets: Mutex::default() })
    }

    /// Tickets are asked for so long, and asked for again so long before they end. A KDC may refuse tickets of which less than
    /// two minutes are left (Samba does, since CVE-2022-2031).
    #[must_use]
    pub fn lasting(mut self, life: Duration, renewed: Duration) -> Client {
        (self.life, self.nearly_over) = (life, renewed);
        self
    }

    /// Before when something that rests on a ticket has to be begun anew.
    pub fn renewal(&self, ticket: &Ticket) -> SystemTime {
        ticket.ends - self.nearly_over
    }

    /// A ticket for a service (`["ldap", "dc1.example.com"]`). `kdcs` gives the hosts that answer for a realm.
    ///
    /// # Errors
    /// No KDC answers, or it refuses.
    pub fn ticket(
        &self,
        service: &[String],
        kdcs: &dyn Fn(&str) -> Vec<String>,
        patience: Duration,
    ) -> Result<Ticket, ClientError> {
        let name = service.join("/");
        if let Some(ticket) = self.kept(&name) {
            return Ok(ticket);
        }
        let mut realm = self.realm.clone();
        let first = format!("krbtgt/{realm}");
        let mut granting = match self.kept(&first) {
            Some(ticket) => ticket,
            None => self.keep(first, self.first_ticket(kdcs, patience)?),
        };
        for _ in 0..MOST_REALMS {
            let ticket = self.service_ticket(&granting, &realm, service, kdcs, patience)?;
            match &ticket.service[..] {
                [granter, next] if granter.eq_ignore_ascii_case("krbtgt") && service[0] != "krbtgt" => {
                    realm.clone_from(next);
                    granting = ticket;
                }
                _ => return Ok(self.keep(name, ticket)),
            }
        }
        Err(ClientError::Refused("one realm refers to the next without end".to_owned()))
    }

    /// Forgets a ticket for a service: whoever it is for did not take it.
    pub fn forget(&self, service: &[String]) {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(&service.join("/"));
    }

    fn kept(&self, name: &str) -> Option<Ticket> {
        let tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.get(name).filter(|ticket| self.renewal(ticket) > SystemTime::now()).cloned()
    }

    fn keep(&self, name: String, ticket: Ticket) -> Ticket {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner).insert(name, ticket.clone());
        ticket
    }

    /// KRB_AS_REQ with the time sealed under our key.
    fn first_ticket(&self, kdcs: &dyn Fn(&str) -> Vec<String>, patience: Duration) -> Result<Ticket, ClientError> {
        let service = ["krbtgt".to_owned(), self.realm.clone()];
        let nonce = random_number()?;
        let now = SystemTime::now();
        let client = principal(NT_PRINCIPAL, &self.name);
        let body = self.body(NO_OPTIONS, Some(client), &self.realm, &service, nonce);
        let stamp = sequence(&[(0, time(now)), (1, micros(now))]);
        let proof = pa_data(2, &sealed(&self.key, TIMESTAMP, &stamp)?);
        let question = written(0x6A, &request(10, &proof, &body));
        let answer = self.exchange(&self.realm, kdcs, &question, patience)?;
        read_reply(&answer, 0x6B, &self.key, REPLY, nonce)
    }

    /// KRB_TGS_REQ with a ticket for the ticket-granting service of a realm.
    fn service_ticket(
        &self,
        granting: &Ticket,
        realm: &str,
        service: &[String],
        kdcs: &dyn Fn(&str) -> Vec<String>,
        patience: Duration,
    ) -> Result<Ticket, ClientError> {
        let nonce = random_number()?;
        let body = self.body(CANONICALIZE, None, realm, service, nonce);
        let checksum = sequence(&[
            (0, integer(checksum_type(&granting.key))),
            (1, written(0x04, &granting.key.checksum(BODY_CHECKSUM, &body)?)),
        ]);
        let authenticator = authenticator(granting, SystemTime::now(), Some(checksum), None, None);
        let asked = ap_request(granting, [0; 5], REQUEST_AUTHENTICATOR, &authenticator)?;
        let question = written(0x6C, &request(12, &pa_data(1, &asked), &body));
        let answer = self.exchange(realm, kdcs, &question, patience)?;
        read_reply(&answer, 0x6D, &granting.key, SERVICE_REPLY, nonce)
    }

    /// KDC-REQ-BODY (§5.4.1).
    fn body(&self, options: [u8; 5], client: Option<Vec<u8>>, realm: &str, service: &[String], nonce: u32) -> Vec<u8> {
        let mut fields = vec![(0, written(0x03, &options))];
        fields.extend(client.map(|client| (1, client)));
        fields.extend([
            (2, written(0x1B, realm.as_bytes())),
            (3, principal(NT_SRV_INST, service)),
            (5, time(SystemTime::now() + self.life)),
            (7, integer(nonce)),
            (8, written(0x30, &[integer(AES256), integer(AES128)].concat())),
        ]);
        sequence(&fields)
    }

    fn exchange(
        &self,
        realm: &str,
        kdcs: &dyn Fn(&str) -> Vec<String>,
        question: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, ClientError> {
        let mut reason = "none is known".to_owned();
        for host in kdcs(realm) {
            match ask(&host, question, patience) {
                Ok(answer) => return Ok(answer),
                Err(error) => reason = format!("{host}: {}", worded(&error)),
            }
        }
        Err(ClientError::Unreachable { realm: realm.to_owned(), reason })
    }
}

fn worded(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "it does not answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// KDC-REQ (§5.4.1) of a type, with one element of pre-authentication.
fn request(kind: u32, proof: &[u8], body: &[u8]) -> Vec<u8> {
    sequence(&[(1, integer(5)), (2, integer(kind)), (3, written(0x30, proof)), (4, body.to_vec())])
}

fn pa_data(kind: u32, value: &[u8]) -> Vec<u8> {
    sequence(&[(1, integer(kind)), (2, written(0x04, value))])
}

/// `hmac-sha1-96-aes128` and `-aes256` (RFC 3962 §7).
fn checksum_type(key: &Key) -> u32 {
    if key.etype() == AES128 { 15 } else { 16 }
}

/// Microseconds of a moment, which stand beside its seconds.
pub(crate) fn micros(moment: SystemTime) -> Vec<u8> {
    integer(moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_micros()))
}

/// Authenticator (§5.5.1).
pub(crate) fn authenticator(
    ticket: &Ticket,
    now: SystemTime,
    checksum: Option<Vec<u8>>,
    subkey: Option<&Key>,
    number: Option<u32>,
) -> Vec<u8> {
    let (name, realm) = &ticket.client;
    let mut fields = vec![(0, integer(5)), (1, written(0x1B, realm.as_bytes())), (2, principal(NT_PRINCIPAL, name))];
    fields.extend(checksum.map(|checksum| (3, checksum)));
    fields.extend([(4, micros(now)), (5, time(now))]);
    fields.extend(subkey.map(|key| (6, sequence(&[(0, integer(key.etype())), (1, written(0x04, key.octets()))]))));
    fields.extend(number.map(|number| (7, integer(number))));
    written(0x62, &sequence(&fields))
}

/// KRB_AP_REQ (§5.5.1).
pub(crate) fn ap_request(
    ticket: &Ticket,
    options: [u8; 5],
    usage: i32,
    authenticator: &[u8],
) -> Result<Vec<u8>, Unopened> {
    let fields = sequence(&[
        (0, integer(5)),
        (1, integer(14)),
        (2, written(0x03, &options)),
        (3, ticket.octets.clone()),
        (4, sealed(&ticket.key, usage, authenticator)?),
    ]);
    Ok(written(0x6E, &fields))
}

/// KDC-REP (§5.4.2) of a kind, whose part for us is sealed with this key.
fn read_reply(answer: &[u8], kind: u8, key: &Key, usage: i32, nonce: u32) -> Result<Ticket, ClientError> {
    if element(answer, 0x7E).is_some() {
        return Err(ClientError::Refused(refusal(answer).unwrap_or_else(|| "it does not say why".to_owned())));
    }
    let malformed = Unopened::malformed;
    let (client, ticket, part) = reply(answer, kind).ok_or_else(malformed)?;
    let part = opened(key, usage, part)?;
    let (session, told, ends, service) = reply_part(&part).ok_or_else(malformed)?;
    if told != nonce {
        return Err(Unopened("it answers another question".to_owned()).into());
    }
    Ok(Ticket { octets: ticket.to_vec(), key: session, service, client, ends })
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

/// EncKDCRepPart (§5.4.2): the key, the nonce, the end, and whom the ticket is for. Some write the number of the other kind.
fn reply_part(part: &[u8]) -> Option<(Key, u32, SystemTime, Vec<String>)> {
    let mut fields = whole(whole(part, 0x79).or_else(|| whole(part, 0x7A))?, 0x30)?;
    let session = key(optional(&mut fields, 0xA0)?)?;
    optional(&mut fields, 0xA1)?;
    let nonce = number32(optional(&mut fields, 0xA2)?)?;
    optional(&mut fields, 0xA3);
    optional(&mut fields, 0xA4)?;
    optional(&mut fields, 0xA5)?;
    optional(&mut fields, 0xA6);
    let ends = moment(optional(&mut fields, 0xA7)?)?;
    optional(&mut fields, 0xA8);
    optional(&mut fields, 0xA9)?;
    Some((session, nonce, ends, parts(optional(&mut fields, 0xAA)?)?))
}

/// What a KRB_ERROR says (§5.9.1).
fn refusal(answer: &[u8]) -> Option<String> {
    let mut fields = whole(whole(answer, 0x7E)?, 0x30)?;
    for tag in 0xA0..=0xA5 {
        optional(&mut fields, tag);
    }
    let code = number(optional(&mut fields, 0xA6)?)?;
    Some(match code {
        6 => "it does not know the account".to_owned(),
        7 => "it does not know the service: is the server named as it names itself?".to_owned(),
        14 => "it knows no key of AES of the account".to_owned(),
        18 => "the account is disabled, locked or expired".to_owned(),
        23 => "the password of the account has expired".to_owned(),
        24 => "the key is not the account's: export the keytab again".to_owned(),
        37 => "its clock and ours differ by more than five minutes".to_owned(),
        other => format!("error {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(octets: Vec<u8>, begins in 0..4_usize) {
            let begins: &[u8] = [&[][..], &[0x6B, 0x20, 0x30, 0x1E, 0xA0], &[0x7E, 0x10, 0x30, 0x0E], &[0x6D]][begins];
            let key = Key::new(AES128, vec![1; 16]).unwrap();
            let octets = [begins, &octets].concat();
            prop_assert!(read_reply(&octets, 0x6B, &key, REPLY, 5).is_err());
            let _ = reply_part(&octets);
        }
    }
}
