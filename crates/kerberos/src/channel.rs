//! Keys, and what is said under an established context (RFC 4121 §4.2): Wrap tokens.

use picky_krb::crypto::CipherSuite;
use picky_krb::crypto::aes::{AesSize, checksum_sha_aes};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{AES128, AES256};

/// Key usages (RFC 4121 §2).
const ACCEPTOR_SEAL: i32 = 22;
const INITIATOR_SEAL: i32 = 24;
/// Flags of a Wrap token (RFC 4121 §4.2.2).
const FROM_ACCEPTOR: u8 = 1;
const SEALED: u8 = 2;
const ACCEPTOR_SUBKEY: u8 = 4;
/// Octets of a checksum with AES (RFC 3962 §6).
const CHECKSUM: u8 = 12;

/// A key of AES.
#[derive(Clone)]
pub struct Key {
    etype: u32,
    octets: Zeroizing<Vec<u8>>,
}

impl Key {
    /// `None` for other encryption types and for keys of the wrong length.
    pub fn new(etype: u32, octets: Vec<u8>) -> Option<Key> {
        let octets = Zeroizing::new(octets);
        matches!((etype, octets.len()), (AES128, 16) | (AES256, 32)).then_some(Key { etype, octets })
    }

    /// Encryption type: [`AES128`] or [`AES256`].
    pub fn etype(&self) -> u32 {
        self.etype
    }

    /// The key itself.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Opens what was sealed for this usage (RFC 4120 §7.5.1).
    ///
    /// # Errors
    /// It was sealed with another key or for something else, or is damaged.
    pub fn open(&self, usage: i32, sealed: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.suite().cipher().decrypt(&self.octets, usage, sealed).map_err(|error| Unopened(error.to_string()))
    }

    /// Seals something for this usage.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn seal(&self, usage: i32, content: &[u8]) -> Result<Vec<u8>, Unopened> {
        self.suite().cipher().encrypt(&self.octets, usage, content).map_err(|error| Unopened(error.to_string()))
    }

    /// A keyed checksum for this usage: `hmac-sha1-96-aes128` or `-aes256` (RFC 3962 §7).
    ///
    /// # Errors
    /// The key is of no use.
    pub fn checksum(&self, usage: i32, content: &[u8]) -> Result<Vec<u8>, Unopened> {
        let size = if self.etype == AES128 { AesSize::Aes128 } else { AesSize::Aes256 };
        checksum_sha_aes(&self.octets, usage, content, &size).map_err(|error| Unopened(error.to_string()))
    }

    fn suite(&self) -> CipherSuite {
        match self.etype {
            AES128 => CipherSuite::Aes128CtsHmacSha196,
            _ => CipherSuite::Aes256CtsHmacSha196,
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a key of type {}", self.etype)
    }
}

/// Something that cannot be opened, or is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unopened(pub String);

impl Unopened {
    pub(crate) fn malformed() -> Unopened {
        Unopened("it is no message of Kerberos".to_owned())
    }
}

/// Which side of a context we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We began it.
    Initiator,
    /// The peer did.
    Acceptor,
}

/// An established context.
#[derive(Debug)]
pub struct Channel {
    key: Key,
    side: Side,
    /// The key is one that the acceptor chose.
    chosen_by_acceptor: bool,
    /// The number of our next token.
    next: u64,
    /// The number that the peer's next token must have; none: they are not looked at.
    expected: Option<u64>,
}

impl Channel {
    /// A context with this key, which the acceptor chose or did not. Our tokens are numbered from `next` on.
    pub fn new(key: Key, side: Side, chosen_by_acceptor: bool, next: u64) -> Channel {
        Channel { key, side, chosen_by_acceptor, next, expected: None }
    }

    /// Takes the peer's tokens in their order alone, from this number on: none is left out, or said twice.
    #[must_use]
    pub fn in_order(mut self, from: u64) -> Channel {
        self.expected = Some(from);
        self
    }

    /// A Wrap token of ours (RFC 4121 §4.2.6.2) with this content in clear, as RFC 4752 §3.1 has it.
    ///
    /// # Errors
    /// The key is of no use.
    pub fn wrap(&mut self, content: &[u8]) -> Result<Vec<u8>, Unopened> {
        let mut header = self.header(0);
        // EC and RRC count as zero.
        let checksum = self.key.checksum(self.usage(self.side), &[content, &header].concat())?;
        header[5] = CHECKSUM;
        Ok([&header, content, &checksum].concat())
    }

    /// A Wrap token of ours with this content sealed.
    ///
    /// # Errors
    /// There is no randomness to be had.
    pub fn wrap_sealed(&mut self, content: &[u8]) -> Result<Vec<u8>, Unopened> {
        let header = self.header(SEALED);
        let sealed = self.key.seal(self.usage(self.side), &[content, &header].concat())?;
        Ok([&header[..], &sealed].concat())
    }

    /// The content of a Wrap token of the peer, and whether it was sealed; else it was in clear with a checksum.
    ///
    /// # Errors
    /// It is none, of another context, or not the next one.
    pub fn unwrap(&mut self, token: &[u8]) -> Result<(Vec<u8>, bool), Unopened> {
        let (header, rest) = token.split_first_chunk::<16>().ok_or_else(Unopened::malformed)?;
        let &[0x05, 0x04, flags, 0xFF, ec0, ec1, rrc0, rrc1, ..] = header else { return Err(Unopened::malformed()) };
        let peer = match self.side {
            Side::Initiator => Side::Acceptor,
            Side::Acceptor => Side::Initiator,
        };
        if (flags & FROM_ACCEPTOR != 0) != (peer == Side::Acceptor) || rest.is_empty() {
            return Err(Unopened::malformed());
        }
        let (extra, rotation) = (usize::from(u16::from_be_bytes([ec0, ec1])), u16::from_be_bytes([rrc0, rrc1]));
        let mut content = rest.to_vec();
        let length = content.len();
        content.rotate_left(usize::from(rotation) % length);
        let mut signed = *header;
        signed[6..8].fill(0);
        let is_sealed = flags & SEALED != 0;
        let content = if is_sealed {
            // Content, filler, and the header once more.
            let mut opened = self.key.open(self.usage(peer), &content)?;
            let at = opened.len().checked_sub(header.len() + extra).ok_or_else(Unopened::malformed)?;
            let inner = opened.split_off(at);
            (inner[extra..] == signed).then_some(opened).ok_or_else(Unopened::malformed)?
        } else {
            let at = length.checked_sub(extra).ok_or_else(Unopened::malformed)?;
            let given = content.split_off(at);
            signed[4..6].fill(0);
            let expected = self.key.checksum(self.usage(peer), &[content.as_slice(), &signed].concat())?;
            bool::from(expected.ct_eq(&given)).then_some(content).ok_or_else(Unopened::malformed)?
        };
        if let Some(expected) = &mut self.expected {
            if header[8..] != expected.to_be_bytes() {
                return Err(Unopened("a message is missing, or was said twice".to_owned()));
            }
            *expected = expected.wrapping_add(1);
        }
        Ok((content, is_sealed))
    }

    fn header(&mut self, flags: u8) -> [u8; 16] {
        let by_acceptor = if self.side == Side::Acceptor { FROM_ACCEPTOR } else { 0 };
        let flags = flags | by_acceptor | if self.chosen_by_acceptor { ACCEPTOR_SUBKEY } else { 0 };
        let mut header = [0x05, 0x04, flags, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[8..].copy_from_slice(&self.next.to_be_bytes());
        self.next = self.next.wrapping_add(1);
        header
    }

    fn usage(&self, side: Side) -> i32 {
        if side == Side::Acceptor { ACCEPTOR_SEAL } else { INITIATOR_SEAL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(etype: u32) -> Key {
        Key::new(etype, vec![7; if etype == AES128 { 16 } else { 32 }]).unwrap()
    }

    fn channel(etype: u32, side: Side) -> Channel {
        Channel::new(key(etype), side, true, 5)
    }

    /// A token of the peer, rotated as some have it.
    fn of_client(content: &[u8], etype: u32, sealed: bool, rotation: u16) -> Vec<u8> {
        let mut client = channel(etype, Side::Initiator);
        let mut token = if sealed { client.wrap_sealed(content) } else { client.wrap(content) }.unwrap();
        let length = token.len() - 16;
        token[16..].rotate_right(usize::from(rotation) % length);
        token[6..8].copy_from_slice(&rotation.to_be_bytes());
        token
    }

    #[test]
    fn a_key_has_the_length_of_its_type() {
        assert!(Key::new(AES128, vec![0; 16]).is_some() && Key::new(AES256, vec![0; 32]).is_some());
        assert!(Key::new(AES128, vec![0; 32]).is_none() && Key::new(23, vec![0; 16]).is_none());
    }

    #[test]
    fn our_tokens_are_numbered() {
        let mut channel = channel(AES256, Side::Acceptor);
        let (first, second) = (channel.wrap(&[1]).unwrap(), channel.wrap(&[1]).unwrap());
        assert_eq!((first[15], second[15]), (5, 6));
        assert_eq!(first.len(), 16 + 1 + usize::from(CHECKSUM));
    }

    #[test]
    fn our_own_token_is_none_of_the_peer() {
        for side in [Side::Initiator, Side::Acceptor] {
            let mut channel = channel(AES128, side);
            let token = channel.wrap(b"content").unwrap();
            assert!(channel.unwrap(&token).is_err());
        }
    }

    #[test]
    fn a_token_counts_once_and_in_its_order() {
        let mut server = channel(AES256, Side::Acceptor);
        let mut client = channel(AES256, Side::Initiator).in_order(5);
        let tokens: Vec<Vec<u8>> = (0..3).map(|_| server.wrap_sealed(b"x").unwrap()).collect();
        assert_eq!(client.unwrap(&tokens[0]), Ok((b"x".to_vec(), true)));
        assert!(client.unwrap(&tokens[0]).is_err());
        assert!(client.unwrap(&tokens[2]).is_err());
        assert!(client.unwrap(&tokens[1]).is_ok());
    }

    proptest! {
        #[test]
        fn tokens_of_the_peer_are_opened_however_they_are_rotated(
            content in proptest::collection::vec(any::<u8>(), 1..60),
            sealed: bool,
            rotation: u16,
            small: bool,
        ) {
            let etype = if small { AES128 } else { AES256 };
            let token = of_client(&content, etype, sealed, rotation);
            prop_assert_eq!(channel(etype, Side::Acceptor).unwrap(&token), Ok((content, sealed)));
        }

        #[test]
        fn a_token_with_one_bit_changed_is_not_opened(sealed: bool, at in 0..1000_usize, bit in 0..8_u8) {
            let mut token = of_client(b"content", AES256, sealed, 0);
            let at = at % token.len();
            // Which key it says it uses and how far it is rotated is told, not signed.
            prop_assume!(!(6..8).contains(&at));
            token[at] ^= 1 << bit;
            prop_assert!(channel(AES256, Side::Acceptor).unwrap(&token).is_err());
        }

        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = channel(AES128, Side::Acceptor).unwrap(&octets);
            let _ = channel(AES256, Side::Initiator).unwrap(&[&[5, 4, 1, 0xFF][..], &octets].concat());
        }
    }
}
