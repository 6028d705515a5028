//! Logging on by Kerberos: SASL GSSAPI (RFC 4752), over TLS with its channel, or without TLS and then all of it sealed.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};

use crate::ber::{OCTETS, Reader, SEQUENCE};

/// Who gets tickets for domain controllers.
pub trait Tickets: Send + Sync {
    /// Begins a context with a domain controller. `kdcs` gives the hosts that answer for a realm; `tls`: the channel that it
    /// belongs to (`tls-server-end-point:…`), where TLS protects it.
    ///
    /// # Errors
    /// There is no ticket; in words.
    fn begin(
        &self,
        host: &str,
        kdcs: &dyn Fn(&str) -> Vec<String>,
        tls: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Begun, String>;

    /// A domain controller did not take the ticket: it may have another key by now.
    fn forget(&self, host: &str);
}

/// A context that was begun.
pub struct Begun {
    /// The first message.
    pub message: Vec<u8>,
    /// When it has to be begun anew: the ticket ends soon after.
    pub until: SystemTime,
    /// What is done with the answer.
    pub exchange: Box<dyn Exchange>,
}

/// A context until the server's proof is there.
pub trait Exchange: Send {
    /// Takes the server's proof.
    ///
    /// # Errors
    /// It is none; in words.
    fn finish(self: Box<Self>, answer: &[u8]) -> Result<Box<dyn Context>, String>;
}

/// An established context.
pub trait Context: Send {
    /// A message of ours, sealed or with a checksum.
    ///
    /// # Errors
    /// In words.
    fn wrap(&mut self, content: &[u8], sealed: bool) -> Result<Vec<u8>, String>;

    /// A message of the server, and whether it was sealed.
    ///
    /// # Errors
    /// It is not the next one of this context; in words.
    fn unwrap(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool), String>;
}

/// "No security layer" and "confidentiality" (RFC 4752 §3.1).
const NO_LAYER: u8 = 1;
const SEALED: u8 = 4;
/// The largest tokens that we take, as 24 bits say it.
const LARGEST: [u8; 3] = [0xFF, 0xFF, 0xFF];
/// Where a server does not say how large ours may be.
const SMALL: usize = 0xFFFF;

/// The answer to a server's offer of layers, and how large our tokens may be.
pub(crate) fn choose(context: &mut dyn Context, offer: &[u8], sealed: bool) -> Result<(Vec<u8>, usize), String> {
    let (offered, _) = context.unwrap(offer)?;
    let &[layers, a, b, c] = offered.as_slice() else { return Err("its offer of layers cannot be read".to_owned()) };
    let (layer, size, what) = match sealed {
        true => (SEALED, LARGEST, "to seal what is said"),
        false => (NO_LAYER, [0; 3], "TLS alone"),
    };
    if layers & layer == 0 {
        return Err(format!("it does not offer {what}"));
    }
    let most = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
    let answer = context.wrap(&[&[layer][..], &size].concat(), false)?;
    Ok((answer, if most == 0 { SMALL } else { most }))
}

/// The hash of a certificate that names a channel (RFC 5929 §4.1): that of its signature, SHA-256 at least.
pub(crate) fn certificate_hash(certificate: &[u8]) -> Vec<u8> {
    let algorithm =
        match signature_algorithm(certificate).unwrap_or_default() {
            // sha384WithRSAEncryption and ecdsa-with-SHA384; sha512WithRSAEncryption and ecdsa-with-SHA512.
            [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0C]
            | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x03] => &SHA384,
            [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x0D]
            | [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x04] => &SHA512,
            _ => &SHA256,
        };
    digest(algorithm, certificate).as_ref().to_vec()
}

/// The object identifier of a certificate's signature algorithm.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let mut fields = Reader::new(certificate).enter(SEQUENCE).ok()?;
    fields.expect(SEQUENCE).ok()?;
    fields.enter(SEQUENCE).ok()?.expect(OBJECT_IDENTIFIER).ok()
}

/// The credentials of a server in its answer to a bind (RFC 4511 §4.2.2), behind code, DN, message and referrals.
pub(crate) fn server_credentials(mut rest: Reader<'_>) -> Option<Vec<u8>> {
    const CREDENTIALS: u8 = 0x87;
    rest.value().ok()?;
    rest.expect(OCTETS).ok()?;
    rest.expect(OCTETS).ok()?;
    while !rest.is_empty() {
        if let (CREDENTIALS, content) = rest.value().ok()? {
            return Some(content.to_vec());
        }
    }
    None
}

/// Tickets with the key of an account `name@REALM` in a keytab.
///
/// # Errors
/// There is no such key; in words.
#[cfg(feature = "kerberos")]
pub fn of_keytab(keytab: &std::path::Path, account: &str) -> Result<std::sync::Arc<dyn Tickets>, String> {
    let client = kerberos::Client::open(keytab, account).map_err(|error| error.to_string())?;
    Ok(std::sync::Arc::new(client))
}

#[cfg(feature = "kerberos")]
fn service(host: &str) -> [String; 2] {
    ["ldap".to_owned(), host.to_owned()]
}

#[cfg(feature = "kerberos")]
impl Tickets for kerberos::Client {
    fn begin(
        &self,
        host: &str,
        kdcs: &dyn Fn(&str) -> Vec<String>,
        tls: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Begun, String> {
        let ticket = self.ticket(&service(host), kdcs, patience).map_err(|error| error.to_string())?;
        let protection = tls.map_or(kerberos::Protection::Context, kerberos::Protection::Tls);
        let (initiator, message) =
            kerberos::Initiator::begin(&ticket, protection).map_err(|error| error.to_string())?;
        Ok(Begun { message, until: self.renewal(&ticket), exchange: Box::new(initiator) })
    }

    fn forget(&self, host: &str) {
        kerberos::Client::forget(self, &service(host));
    }
}

#[cfg(feature = "kerberos")]
impl Exchange for kerberos::Initiator {
    fn finish(self: Box<Self>, answer: &[u8]) -> Result<Box<dyn Context>, String> {
        let channel = kerberos::Initiator::finish(*self, answer).map_err(|error| error.to_string())?;
        Ok(Box::new(channel))
    }
}

#[cfg(feature = "kerberos")]
impl Context for kerberos::Channel {
    fn wrap(&mut self, content: &[u8], sealed: bool) -> Result<Vec<u8>, String> {
        let wrapped = if sealed { self.wrap_sealed(content) } else { kerberos::Channel::wrap(self, content) };
        wrapped.map_err(|error| error.to_string())
    }

    fn unwrap(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool), String> {
        kerberos::Channel::unwrap(self, token).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says what it is given, in clear.
    struct Clear;

    impl Context for Clear {
        fn wrap(&mut self, content: &[u8], sealed: bool) -> Result<Vec<u8>, String> {
            assert!(!sealed);
            Ok(content.to_vec())
        }

        fn unwrap(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool), String> {
            Ok((token.to_vec(), false))
        }
    }

    #[test]
    fn the_layer_is_the_one_that_is_needed_or_none() {
        assert_eq!(choose(&mut Clear, &[7, 1, 0, 0], true), Ok((vec![4, 0xFF, 0xFF, 0xFF], 1 << 16)));
        assert_eq!(choose(&mut Clear, &[1, 0, 0, 0], false), Ok((vec![1, 0, 0, 0], SMALL)));
        assert!(choose(&mut Clear, &[1, 0, 0, 0], true).is_err());
        assert!(choose(&mut Clear, &[6, 0, 0, 0], false).is_err());
        assert!(choose(&mut Clear, &[1], false).is_err());
    }

    #[test]
    fn what_is_no_certificate_has_a_hash_too() {
        assert_eq!(certificate_hash(b"x").len(), 32);
    }
}
