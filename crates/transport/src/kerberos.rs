//! Kerberos for sessions: AUTH GSSAPI (RFC 4752) with the keys of a keytab. No KDC is asked, and no C library is used.
//!
//! A ticket counts when a key of the keytab for service `smtp` opens it, it is in force, and its authenticator is fresh and
//! was not seen before. It says who somebody is, not which groups he is in: those are the directory's.

mod keytab;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use picky_krb::crypto::CipherSuite;
use picky_krb::crypto::aes::{AesSize, checksum_sha_aes};
use picky_krb::data_types::EncTicketPart;
use picky_krb::messages::ApReq;
use session::{GssOutcome, Identity};
use sha2::{Digest, Sha256};
use sspi::kerberos::ServerProperties;
use sspi::{
    BufferType, CredentialsBuffers, DataRepresentation, EncryptionFlags, KerberosConfig, SecurityBuffer,
    SecurityBufferRef, SecurityStatus, ServerRequestFlags, Sspi, SspiImpl,
};
use subtle::ConstantTimeEq;
use thiserror::Error;

pub use keytab::KeytabError;
use keytab::{Entry, Keytab};

/// By how much the clocks of client and server may differ (RFC 4120 §8.2).
const SKEW: Duration = Duration::from_secs(300);
/// Authenticators that are remembered; beyond, tickets are put off.
const MOST_REMEMBERED: usize = 100_000;
/// Key usage of a ticket's encrypted part (RFC 4120 §7.5.1).
const TICKET: i32 = 2;
/// `aes256-cts-hmac-sha1-96`, the one encryption type of tickets that is taken.
const AES256: u16 = 18;
/// Key usage of what the client wraps (RFC 4121 §2).
const INITIATOR_SEAL: i32 = 24;
/// Flags of a Wrap token (RFC 4121 §4.2.2).
const FROM_ACCEPTOR: u8 = 1;
const SEALED: u8 = 2;
/// RFC 4752 §3.1: "no security layer".
const NO_LAYER: u8 = 1;

/// The acceptor: keys, and what was seen.
#[derive(Debug)]
pub struct Kerberos {
    keytab: Keytab,
    seen: Mutex<HashMap<[u8; 32], Instant>>,
}

/// The server's side of one exchange.
pub(crate) struct Context {
    kerberos: Arc<Kerberos>,
    state: State,
}

enum State {
    /// Nothing was said.
    New,
    /// The client hears of our proof, and answers with nothing.
    Accepted(Box<sspi::Kerberos>, Principal),
    /// The client is to choose among no security layers.
    Offered(Box<sspi::Kerberos>, Principal),
    /// It is over.
    Done,
}

/// Who a ticket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Principal {
    name: String,
    realm: String,
}

/// Why a ticket does not count.
#[derive(Debug, Error)]
enum Fault {
    #[error("it is no Kerberos message")]
    Malformed,
    #[error("no key of the keytab is for {0}")]
    NoKey(String),
    #[error("{0}")]
    Refused(#[from] sspi::Error),
    #[error("the ticket cannot be opened: {0}")]
    Closed(String),
    #[error("it was seen before")]
    Replayed,
    #[error("its principal is no account")]
    Principal,
    #[error("the client wants a security layer")]
    Layer,
}

impl Kerberos {
    /// An acceptor with the keys of a keytab file.
    pub fn open(keytab: &Path) -> Result<Kerberos, KeytabError> {
        Ok(Kerberos { keytab: Keytab::read(keytab)?, seen: Mutex::default() })
    }

    pub(crate) fn context(self: &Arc<Self>) -> Context {
        Context { kerberos: Arc::clone(self), state: State::New }
    }

    /// Remembers an authenticator; an error where it was seen within the time that it is good for.
    fn remember(&self, authenticator: &[u8]) -> Result<(), Fault> {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MOST_REMEMBERED {
            seen.retain(|_, until| *until > now);
        }
        if seen.len() >= MOST_REMEMBERED {
            return Err(Fault::Replayed);
        }
        match seen.insert(Sha256::digest(authenticator).into(), now + 2 * SKEW) {
            Some(until) if until > now => Err(Fault::Replayed),
            _ => Ok(()),
        }
    }
}

impl Context {
    /// Takes a message of the client.
    pub(crate) fn step(&mut self, message: &[u8]) -> GssOutcome {
        match self.try_step(message) {
            Ok(outcome) => outcome,
            Err(fault) => {
                tracing::info!(reason = %fault, "a ticket does not count");
                self.state = State::Done;
                GssOutcome::Refused
            }
        }
    }

    fn try_step(&mut self, message: &[u8]) -> Result<GssOutcome, Fault> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New => {
                let (context, principal, answer) = self.accept(message)?;
                match answer.is_empty() {
                    true => self.offer(context, principal),
                    false => {
                        self.state = State::Accepted(context, principal);
                        Ok(GssOutcome::Continue(answer))
                    }
                }
            }
            State::Accepted(context, principal) if message.is_empty() => self.offer(context, principal),
            State::Offered(mut context, principal) => chosen(&mut context, principal, message),
            State::Accepted(..) | State::Done => Err(Fault::Malformed),
        }
    }

    /// The ticket: what we answer, and who it is.
    fn accept(&self, message: &[u8]) -> Result<(Box<sspi::Kerberos>, Principal, Vec<u8>), Fault> {
        let request = ap_req(message)?;
        let ticket = &request.0.ticket.0.0;
        let service: Vec<String> = ticket.sname.0.name_string.0.0.iter().map(|part| part.0.to_string()).collect();
        let (etype, kvno) = (number(&ticket.enc_part.0.etype.0.0), ticket.enc_part.0.kvno.0.as_ref());
        let entry = self
            .kerberos
            .keytab
            .find(&service, &ticket.realm.0.0.to_string(), kvno.map(|kvno| number(&kvno.0.0)))
            .filter(|_| etype == u32::from(AES256))
            .ok_or_else(|| Fault::NoKey(format!("{} (encryption type {etype})", service.join("/"))))?;
        let principal = principal(&request, entry)?;
        self.kerberos.remember(&request.0.authenticator.0.cipher.0.0)?;

        let parts: Vec<&str> = service.iter().map(String::as_str).collect();
        let properties = ServerProperties::new(&parts, None, SKEW, Some(entry.key.to_vec().into()))?;
        let config = KerberosConfig::new_with_iakerb(String::new());
        let mut context = Box::new(sspi::Kerberos::new_server_from_config(config, properties)?);
        let mut handle: Option<CredentialsBuffers> = None;
        let mut input = [SecurityBuffer::new(message.to_vec(), BufferType::Token)];
        let mut output = [SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let flags =
            ServerRequestFlags::MUTUAL_AUTH | ServerRequestFlags::INTEGRITY | ServerRequestFlags::CONFIDENTIALITY;
        let builder = context
            .accept_security_context()
            .with_credentials_handle(&mut handle)
            .with_context_requirements(flags)
            .with_target_data_representation(DataRepresentation::Native)
            .with_input(&mut input)
            .with_output(&mut output);
        let accepted = context.accept_security_context_impl(builder)?.resolve_to_result()?;
        if accepted.status != SecurityStatus::Ok {
            return Err(Fault::Malformed);
        }
        let [output] = output;
        Ok((context, principal, output.buffer))
    }

    /// RFC 4752 §3.1: which security layers there are (none), wrapped.
    fn offer(&mut self, mut context: Box<sspi::Kerberos>, principal: Principal) -> Result<GssOutcome, Fault> {
        let trailer = context.query_context_sizes()?.security_trailer as usize;
        let (mut token, mut data) = (vec![0; trailer], vec![NO_LAYER, 0, 0, 0]);
        let mut buffers = [SecurityBufferRef::token_buf(&mut token), SecurityBufferRef::data_buf(&mut data)];
        context.encrypt_message(EncryptionFlags::empty(), &mut buffers)?;
        let wrapped = [buffers[0].data(), buffers[1].data()].concat();
        self.state = State::Offered(context, principal);
        Ok(GssOutcome::Continue(wrapped))
    }
}

/// RFC 4752 §3.1: the layer that the client chose, and the authorization identity.
fn chosen(context: &mut sspi::Kerberos, principal: Principal, message: &[u8]) -> Result<GssOutcome, Fault> {
    let opened = unwrap(context, message)?;
    let (&[layer, ..], mailbox) = opened.split_first_chunk::<4>().ok_or(Fault::Malformed)?;
    if layer != NO_LAYER {
        return Err(Fault::Layer);
    }
    let mailbox = match mailbox {
        b"" => None,
        name => Some(std::str::from_utf8(name).map_err(|_| Fault::Malformed)?.to_owned()),
    };
    // `user@REALM` is the principal's own name: it asks for no other mailbox.
    let own = |name: &String| {
        let full = format!("{}@{}", principal.name, principal.realm);
        name.eq_ignore_ascii_case(&full) || name.eq_ignore_ascii_case(&principal.name)
    };
    let mailbox = mailbox.filter(|name| !own(name));
    let identity = Identity::Principal { name: principal.name, realm: principal.realm };
    Ok(GssOutcome::Done { identity, mailbox })
}

/// The content of a Wrap token of the client (RFC 4121 §4.2.6.2): sealed, or in clear with a checksum, as RFC 4752 has it.
fn unwrap(context: &mut sspi::Kerberos, message: &[u8]) -> Result<Vec<u8>, Fault> {
    let (header, rest) = message.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
    let &[0x05, 0x04, flags, 0xFF, ec0, ec1, rrc0, rrc1, ..] = header else { return Err(Fault::Malformed) };
    if flags & FROM_ACCEPTOR != 0 {
        return Err(Fault::Malformed);
    }
    if flags & SEALED != 0 {
        let mut wrapped = message.to_vec();
        let mut buffers = [SecurityBufferRef::data_buf(&mut []), SecurityBufferRef::stream_buf(&mut wrapped)];
        context.decrypt_message(&mut buffers)?;
        return Ok(buffers[0].data().to_vec());
    }
    let (checksum, rotation) = (u16::from_be_bytes([ec0, ec1]).into(), usize::from(u16::from_be_bytes([rrc0, rrc1])));
    let mut content = rest.to_vec();
    if content.is_empty() || content.len() < checksum {
        return Err(Fault::Malformed);
    }
    let length = content.len();
    content.rotate_left(rotation % length);
    let given = content.split_off(length - checksum);
    let keys = context.query_context_session_key()?;
    let mut signed = content.clone();
    signed.extend_from_slice(header);
    // EC and RRC count as zero.
    signed[content.len() + 4..content.len() + 8].fill(0);
    let expected = checksum_sha_aes(keys.session_key.as_ref(), INITIATOR_SEAL, &signed, &AesSize::Aes256)
        .map_err(|error| Fault::Closed(error.to_string()))?;
    match expected.ct_eq(&given).into() {
        true => Ok(content),
        false => Err(Fault::Malformed),
    }
}

/// KRB_AP_REQ in its GSS-API frame (RFC 4121 §4.1): `60 length 06 09 OID 01 00`.
fn ap_req(message: &[u8]) -> Result<ApReq, Fault> {
    const MECHANISM: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02, 0x01, 0x00];
    let rest = message.strip_prefix(&[0x60]).ok_or(Fault::Malformed)?;
    let (&first, rest) = rest.split_first().ok_or(Fault::Malformed)?;
    let skip = if first < 0x80 { 0 } else { usize::from(first & 0x7F) };
    let rest = rest.get(skip..).and_then(|rest| rest.strip_prefix(MECHANISM)).ok_or(Fault::Malformed)?;
    picky_asn1_der::from_bytes(rest).map_err(|_| Fault::Malformed)
}

/// Whom the ticket names. Realm and name come from inside the ticket, where the KDC wrote them; a name of another kind (an
/// enterprise name could carry somebody else's realm) is none.
fn principal(request: &ApReq, entry: &Entry) -> Result<Principal, Fault> {
    let closed = |error: &dyn std::fmt::Display| Fault::Closed(error.to_string());
    let sealed = &request.0.ticket.0.0.enc_part.0;
    let suite = CipherSuite::try_from(sealed.etype.0.0.as_slice()).map_err(|error| closed(&error))?;
    let opened = suite.cipher().decrypt(&entry.key, TICKET, &sealed.cipher.0.0).map_err(|error| closed(&error))?;
    let ticket: EncTicketPart = picky_asn1_der::from_bytes(&opened).map_err(|error| closed(&error))?;
    let name = &ticket.0.cname.0;
    let is_principal = number(&name.name_type.0.0) == 1;
    match name.name_string.0.0.as_slice() {
        [one] if is_principal => Ok(Principal { name: one.0.to_string(), realm: ticket.0.crealm.0.0.to_string() }),
        _ => Err(Fault::Principal),
    }
}

/// An ASN.1 integer that is small and not negative.
fn number(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |number: u32, octet| number.checked_shl(8).unwrap_or(0) | u32::from(*octet))
}
