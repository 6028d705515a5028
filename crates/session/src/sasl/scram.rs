//! The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), without I/O and without a password:
//! the keys come from the host, and so does the nonce.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::host::TlsFacts;

/// The fewest rounds of PBKDF2 that a client need accept (RFC 7677 §4).
pub const MIN_ITERATIONS: u32 = 4096;
/// The longest nonce of a client that is taken, in octets.
const MAX_NONCE: usize = 256;

/// What a server keeps of a password for SCRAM-SHA-256: enough to check a proof, not enough to make one (RFC 5802 §3).
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    /// Salt, at least 16 octets.
    pub salt: Vec<u8>,
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// `H(HMAC(SaltedPassword, "Client Key"))`.
    pub stored_key: [u8; 32],
    /// `HMAC(SaltedPassword, "Server Key")`.
    pub server_key: [u8; 32],
}

impl ScramKeys {
    /// The keys of a salted password, `Hi(SASLprep(password), salt, iterations)`.
    pub fn from_salted_password(salted: &[u8; 32], salt: Vec<u8>, iterations: u32) -> ScramKeys {
        let client_key = mac(salted, &[b"Client Key"]);
        let stored_key = Sha256::digest(client_key).into();
        ScramKeys { salt, iterations, stored_key, server_key: mac(salted, &[b"Server Key"]) }
    }

    /// Whether a proof is that of whoever knows the password of these keys (RFC 5802 §3).
    fn are_proven(&self, proof: &[u8; 32], signed: &[&[u8]]) -> Choice {
        let signature = mac(&self.stored_key, signed);
        let mut client_key = *proof;
        for (byte, mask) in client_key.iter_mut().zip(signature) {
            *byte ^= mask;
        }
        Sha256::digest(client_key).as_slice().ct_eq(&self.stored_key)
    }

    /// As text: `SCRAM-SHA-256$4096:salt$StoredKey:ServerKey`, all in base64, which is PostgreSQL's form too.
    pub fn to_text(&self) -> String {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|b| STANDARD.encode(b));
        format!("SCRAM-SHA-256${}:{salt}${stored}:{server}", self.iterations)
    }

    /// Reads [`ScramKeys::to_text`]; `None` where it is something else.
    pub fn parse(text: &str) -> Option<ScramKeys> {
        let (cost, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (cost.split_once(':')?, keys.split_once(':')?);
        let key = |text: &str| <[u8; 32]>::try_from(STANDARD.decode(text).ok()?).ok();
        let iterations = iterations.parse().ok().filter(|count| *count > 0)?;
        let salt = STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
        Some(ScramKeys { salt, iterations, stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramKeys({} iterations)", self.iterations)
    }
}

/// What binds an exchange to the TLS connection under it, by the name of its type.
pub(crate) fn binding<'t>(tls: Option<&'t TlsFacts>, name: &str) -> Option<&'t [u8]> {
    let tls = tls?;
    match name {
        "tls-exporter" => tls.exporter.as_deref(),
        "tls-server-end-point" => tls.server_end_point.as_deref(),
        _ => None,
    }
}

/// Whether any channel binding can be offered.
pub(crate) fn can_bind(tls: Option<&TlsFacts>) -> bool {
    ["tls-exporter", "tls-server-end-point"].iter().any(|name| binding(tls, name).is_some())
}

/// client-first-message (RFC 5802 §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFirst {
    /// Authentication identity, unescaped, as the client wrote it.
    pub(crate) name: String,
    /// Authorization identity.
    pub(crate) mailbox: Option<String>,
    gs2_header: String,
    bare: String,
    nonce: String,
    binding: Binding,
}

/// gs2-cbind-flag.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Binding {
    /// `n`: the client has none.
    No,
    /// `y`: the client has one and thinks that we have none.
    NotOffered,
    /// `p=`: of this type.
    Bound(String),
}

impl ClientFirst {
    /// Reads the message. `None`: it is none, or it asks for an extension that must be understood.
    pub(crate) fn parse(message: &[u8]) -> Option<ClientFirst> {
        let message = std::str::from_utf8(message).ok()?;
        let (flag, rest) = message.split_once(',')?;
        let binding = match flag {
            "n" => Binding::No,
            "y" => Binding::NotOffered,
            _ => Binding::Bound(flag.strip_prefix("p=").filter(|name| is_binding_name(name))?.to_owned()),
        };
        let (authzid, bare) = rest.split_once(',')?;
        let mailbox = match authzid {
            "" => None,
            authzid => Some(unescape(authzid.strip_prefix("a=")?)?),
        };
        // An attribute `m` first would be an extension that must be understood, and we know none.
        let mut parts = bare.split(',');
        let name = unescape(parts.next()?.strip_prefix("n=")?)?;
        let nonce = parts.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?.to_owned();
        if !parts.all(is_attribute) {
            return None;
        }
        let gs2_header = message[..message.len() - bare.len()].to_owned();
        Some(ClientFirst { name, mailbox, gs2_header, bare: bare.to_owned(), nonce, binding })
    }

    /// Whether the flag agrees with the mechanism and with what we offered (RFC 5802 §6). A client that says `y` was told
    /// of no binding although we offered one: somebody between us took it out of our list.
    pub(crate) fn is_bound_as_offered(&self, plus: bool, tls: Option<&TlsFacts>) -> bool {
        match &self.binding {
            Binding::No => !plus,
            Binding::NotOffered => !plus && !can_bind(tls),
            Binding::Bound(name) => plus && binding(tls, name).is_some(),
        }
    }
}

/// An exchange that waits for the client's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFirst {
    /// What was sent, not encoded.
    pub(crate) message: String,
    pub(crate) first: ClientFirst,
    nonce: String,
    keys: ScramKeys,
    /// Keys of other passwords of the account: all have been asked about by the same question.
    also: Vec<ScramKeys>,
}

/// What the client's last message was worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It knows a password.
    Right {
        /// Our own proof to it, `v=…`, not encoded.
        ours: String,
        /// The keys of that password.
        keys: Box<ScramKeys>,
    },
    /// It does not.
    Wrong,
}

impl ServerFirst {
    /// Answers a client's first message with the account's salt. `nonce` is ours: fresh, unpredictable, printable ASCII
    /// without a comma. Of the keys in `also` those count that the same question asks about: with the salt and the rounds
    /// of `keys`.
    pub(crate) fn new(first: ClientFirst, keys: ScramKeys, mut also: Vec<ScramKeys>, nonce: &str) -> ServerFirst {
        let nonce = format!("{}{nonce}", first.nonce);
        let message = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        also.retain(|other| other.salt == keys.salt && other.iterations == keys.iterations);
        ServerFirst { message, first, nonce, keys, also }
    }

    /// Judges client-final-message. Anything that is not exactly as it must be is a wrong proof.
    pub(crate) fn judge(&self, message: &[u8], tls: Option<&TlsFacts>) -> Proof {
        self.verify(message, tls).unwrap_or(Proof::Wrong)
    }

    fn verify(&self, message: &[u8], tls: Option<&TlsFacts>) -> Option<Proof> {
        let message = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let proof: [u8; 32] = STANDARD.decode(proof).ok()?.try_into().ok()?;
        let mut parts = without_proof.split(',');
        let bound = STANDARD.decode(parts.next()?.strip_prefix("c=")?).ok()?;
        let nonce = parts.next()?.strip_prefix("r=")?;
        if !parts.all(|part| is_attribute(part) && !part.starts_with("p=")) {
            return None;
        }
        let mut expected = self.first.gs2_header.clone().into_bytes();
        if let Binding::Bound(name) = &self.first.binding {
            expected.extend_from_slice(binding(tls, name)?);
        }
        let agreed = bound.ct_eq(&expected) & nonce.as_bytes().ct_eq(self.nonce.as_bytes());

        let signed = [self.first.bare.as_bytes(), b",", self.message.as_bytes(), b",", without_proof.as_bytes()];
        let mut found = None;
        // All are looked at, so that time does not tell which.
        for keys in std::iter::once(&self.keys).chain(&self.also) {
            let right = keys.are_proven(&proof, &signed) & agreed;
            if bool::from(right) {
                found = found.or(Some(keys));
            }
        }
        let keys = found?;
        let ours = format!("v={}", STANDARD.encode(mac(&keys.server_key, &signed)));
        Some(Proof::Right { ours, keys: Box::new(keys.clone()) })
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length; one of 32 octets is as good as none that fails.
    let mut block = [0u8; 64];
    block[..32].copy_from_slice(key);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// saslname: `=2C` is a comma, `=3D` an equals sign, and no other escape exists.
pub(super) fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut pieces = text.split('=');
    name.push_str(pieces.next()?);
    for piece in pieces {
        let (escape, rest) = piece.split_at_checked(2)?;
        name.push(match escape {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        name.push_str(rest);
    }
    super::text(name.as_bytes())
}

fn is_binding_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-')
}

fn is_nonce(nonce: &str) -> bool {
    (1..=MAX_NONCE).contains(&nonce.len()) && nonce.bytes().all(|byte| (0x21..=0x7E).contains(&byte) && byte != b',')
}

/// attr-val: a letter, `=`, and at least one character.
fn is_attribute(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b'=' && !bytes.contains(&0)
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
