//! Tickets: asked of a KDC with a key of a keytab (RFC 4120 §3.1, §3.3), kept, and asked again before they end.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::der::{integer, written};
use crate::exchange::{ask, principal, random_number, sealed, sequence, time};
use crate::reply::{self, Asked};
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
/// How often a key that is not the account's is shown, and for how long it is not shown again then: each time counts as a wrong
/// password, after some of which a domain locks the account.
const TRIES: u32 = 2;
const REST: Duration = Duration::from_secs(600);
/// KRB_AS_REP and KRB_TGS_REP (§5.10).
const FIRST: u8 = 0x6B;
const FURTHER: u8 = 0x6D;

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
    /// The KDC does not know the key. After a second time it is not asked for some minutes, so that it does not lock the account.
    #[error("the KDC refuses: the key is not the account's: export the keytab again")]
    WrongKey,
    /// What it says cannot be read.
    #[error("the KDC: {0}")]
    Nonsense(#[from] Unopened),
}

/// Puts a question to a KDC of a realm, and gives its answer, which need not be one.
pub type Ask<'a> = dyn FnMut(&str, &[u8]) -> Result<Vec<u8>, ClientError> + 'a;

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
    pub(crate) ends: SystemTime,
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
    /// How often one after the other the key was wrong, and when last.
    wrong: Mutex<Option<(u32, Instant)>>,
}

impl Client {
    /// An account `name@REALM`, with the newest of its keys in a keytab, of AES-256 if there is one.
    ///
    /// # Errors
    /// There is none.
    pub fn open(keytab: &Path, account: &str) -> Result<Client, ClientError> {
        // What is wrong with the name is said first.
        if !account.contains('@') {
            return Err(ClientError::NoRealm(account.to_owned()));
        }
        Client::with_keytab(&Keytab::read(keytab)?, account)
    }

    /// The same with a keytab that was read.
    ///
    /// # Errors
    /// It has no key of the account.
    pub fn with_keytab(keys: &Keytab, account: &str) -> Result<Client, ClientError> {
        let (name, realm) = account.rsplit_once('@').ok_or_else(|| ClientError::NoRealm(account.to_owned()))?;
        let (name, realm) = (vec![name.to_owned()], realm.to_ascii_uppercase());
        let entry = [AES256, AES128].into_iter().find_map(|etype| keys.find(&name, &realm, None, etype));
        let key = entry.ok_or_else(|| ClientError::NoKey(account.to_owned()))?.key.clone();
        let (tickets, wrong) = (Mutex::default(), Mutex::default());
        Ok(Client { name, realm, key, life: LIFE, nearly_over: NEARLY_OVER, tickets, wrong })
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
        self.ticket_by(service, &mut |realm, question| exchange(realm, kdcs, question, patience))
    }

    /// The same, of whoever puts questions to KDCs.
    ///
    /// # Errors
    /// As [`Client::ticket`].
    pub fn ticket_by(&self, service: &[String], ask: &mut Ask<'_>) -> Result<Ticket, ClientError> {
        let name = service.join("/");
        if let Some(ticket) = self.kept(&name) {
            return Ok(ticket);
        }
        let first = format!("krbtgt/{}", self.realm);
        if let Some(granting) = self.kept(&first) {
            match self.service_ticket(granting, service, ask) {
                // The realm may have another key by now (both of krbtgt's were changed, a backup was brought back), and know
                // nothing of a ticket from before.
                Err(ClientError::Refused(_)) => {}
                other => return other.map(|ticket| self.keep(name, ticket)),
            }
        }
        let granting = self.keep(first, self.first_ticket(ask)?);
        let ticket = self.service_ticket(granting, service, ask)?;
        Ok(self.keep(name, ticket))
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
    fn first_ticket(&self, ask: &mut Ask<'_>) -> Result<Ticket, ClientError> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.is_some_and(|(times, last)| times >= TRIES && last.elapsed() < REST) {
            return Err(ClientError::WrongKey);
        }
        let service = ["krbtgt".to_owned(), self.realm.clone()];
        let nonce = random_number()?;
        let now = SystemTime::now();
        let client = principal(NT_PRINCIPAL, &self.name);
        let body = self.body(NO_OPTIONS, Some(client), &self.realm, &service, nonce);
        let stamp = sequence(&[(0, time(now)), (1, micros(now))]);
        let proof = pa_data(2, &sealed(&self.key, TIMESTAMP, &stamp)?);
        let answer = ask(&self.realm, &written(0x6A, &request(10, &proof, &body)))?;
        let asked = Asked {
            kind: FIRST,
            key: (&self.key, REPLY),
            nonce,
            client: (&self.name, &self.realm),
            service: &service,
            realm: &self.realm,
            may_refer: false,
        };
        let read = reply::read(&answer, &asked);
        *wrong = match &read {
            Err(ClientError::WrongKey) => Some((wrong.map_or(1, |(times, _)| times.saturating_add(1)), Instant::now())),
            _ => None,
        };
        read
    }

    /// A ticket for a service, of the realm that the one for its ticket-granting service is of, or of those that it refers to.
    fn service_ticket(
        &self,
        mut granting: Ticket,
        service: &[String],
        ask: &mut Ask<'_>,
    ) -> Result<Ticket, ClientError> {
        let mut realm = self.realm.clone();
        for _ in 0..MOST_REALMS {
            let ticket = self.further_ticket(&granting, &realm, service, ask)?;
            match reply::refers(&ticket.service).filter(|_| reply::refers(service).is_none()).map(str::to_owned) {
                Some(next) => (realm, granting) = (next, ticket),
                None => return Ok(ticket),
            }
        }
        Err(ClientError::Refused("one realm refers to the next without end".to_owned()))
    }

    /// KRB_TGS_REQ with a ticket for the ticket-granting service of a realm.
    fn further_ticket(
        &self,
        granting: &Ticket,
        realm: &str,
        service: &[String],
        ask: &mut Ask<'_>,
    ) -> Result<Ticket, ClientError> {
        let nonce = random_number()?;
        let body = self.body(CANONICALIZE, None, realm, service, nonce);
        let checksum = sequence(&[
            (0, integer(checksum_type(&granting.key))),
            (1, written(0x04, &granting.key.checksum(BODY_CHECKSUM, &body)?)),
        ]);
        let authenticator = authenticator(granting, SystemTime::now(), Some(checksum), None, None);
        let shown = ap_request(granting, [0; 5], REQUEST_AUTHENTICATOR, &authenticator)?;
        let answer = ask(realm, &written(0x6C, &request(12, &pa_data(1, &shown), &body)))?;
        let asked = Asked {
            kind: FURTHER,
            key: (&granting.key, SERVICE_REPLY),
            nonce,
            client: (&self.name, &self.realm),
            service,
            realm,
            may_refer: true,
        };
        reply::read(&answer, &asked)
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
}

/// Asks the KDCs of a realm one after the other.
fn exchange(
    realm: &str,
    kdcs: &dyn Fn(&str) -> Vec<String>,
    question: &[u8],
    patience: Duration,
) -> Result<Vec<u8>, ClientError> {
    let mut reason = "none is known".to_owned();
    for host in kdcs(realm) {
        match ask(&host, question, patience) {
            Ok(answer) if reply::is_unavailable(&answer) => reason = format!("{host}: it is not available"),
            Ok(answer) => return Ok(answer),
            Err(error) => reason = format!("{host}: {}", worded(&error)),
        }
    }
    Err(ClientError::Unreachable { realm: realm.to_owned(), reason })
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
) -> Zeroizing<Vec<u8>> {
    let (name, realm) = &ticket.client;
    let mut fields = vec![(0, integer(5)), (1, written(0x1B, realm.as_bytes())), (2, principal(NT_PRINCIPAL, name))];
    fields.extend(checksum.map(|checksum| (3, checksum)));
    fields.extend([(4, micros(now)), (5, time(now))]);
    fields.extend(subkey.map(|key| (6, sequence(&[(0, integer(key.etype())), (1, written(0x04, key.octets()))]))));
    fields.extend(number.map(|number| (7, integer(number))));
    Zeroizing::new(written(0x62, &sequence(&fields)))
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
