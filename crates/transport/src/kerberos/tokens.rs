//! What is said under an established context (RFC 4121 §4.2): Wrap tokens.

use picky_krb::crypto::CipherSuite;
use picky_krb::crypto::aes::{AesSize, checksum_sha_aes};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{AES128, AES256, Fault};

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
pub(super) struct Key {
    etype: u32,
    octets: Zeroizing<Vec<u8>>,
}

impl Key {
    /// `None` for other encryption types and for keys of the wrong length.
    pub(super) fn new(etype: u32, octets: Vec<u8>) -> Option<Key> {
        let octets = Zeroizing::new(octets);
        matches!((etype, octets.len()), (AES128, 16) | (AES256, 32)).then_some(Key { etype, octets })
    }

    /// Encryption type: [`AES128`] or [`AES256`].
    pub(super) fn etype(&self) -> u32 {
        self.etype
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    pub(super) fn open(&self, usage: i32, sealed: &[u8]) -> Result<Vec<u8>, Fault> {
        self.suite().cipher().decrypt(&self.octets, usage, sealed).map_err(|error| Fault::Closed(error.to_string()))
    }

    pub(super) fn seal(&self, usage: i32, content: &[u8]) -> Result<Vec<u8>, Fault> {
        self.suite().cipher().encrypt(&self.octets, usage, content).map_err(|error| Fault::Closed(error.to_string()))
    }

    fn checksum(&self, usage: i32, content: &[u8]) -> Result<Vec<u8>, Fault> {
        let size = if self.etype == AES128 { AesSize::Aes128 } else { AesSize::Aes256 };
        checksum_sha_aes(&self.octets, usage, content, &size).map_err(|error| Fault::Closed(error.to_string()))
    }

    fn suite(&self) -> CipherSuite {
        match self.etype {
            AES128 => CipherSuite::Aes128CtsHmacSha196,
            _ => CipherSuite::Aes256CtsHmacSha196,
        }
    }
}

/// An established context.
pub(super) struct Channel {
    pub(super) key: Key,
    /// The key is one that we chose.
    pub(super) ours: bool,
    /// The number of our next token.
    pub(super) next: u64,
}

impl Channel {
    /// A Wrap token of ours (RFC 4121 §4.2.6.2) with this content in clear, as RFC 4752 §3.1 has it.
    pub(super) fn wrap(&mut self, content: &[u8]) -> Result<Vec<u8>, Fault> {
        let flags = FROM_ACCEPTOR | if self.ours { ACCEPTOR_SUBKEY } else { 0 };
        let mut header = [0x05, 0x04, flags, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header[8..].copy_from_slice(&self.next.to_be_bytes());
        self.next = self.next.wrapping_add(1);
        // EC and RRC count as zero.
        let checksum = self.key.checksum(ACCEPTOR_SEAL, &[content, &header].concat())?;
        header[5] = CHECKSUM;
        Ok([&header, content, &checksum].concat())
    }

    /// The content of a Wrap token of the client: sealed, or in clear with a checksum.
    pub(super) fn unwrap(&self, token: &[u8]) -> Result<Vec<u8>, Fault> {
        let (header, rest) = token.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
        let &[0x05, 0x04, flags, 0xFF, ec0, ec1, rrc0, rrc1, ..] = header else { return Err(Fault::Malformed) };
        if flags & FROM_ACCEPTOR != 0 || rest.is_empty() {
            return Err(Fault::Malformed);
        }
        let (extra, rotation) = (usize::from(u16::from_be_bytes([ec0, ec1])), u16::from_be_bytes([rrc0, rrc1]));
        let mut content = rest.to_vec();
        let length = content.len();
        content.rotate_left(usize::from(rotation) % length);
        let mut signed = *header;
        signed[6..8].fill(0);
        match flags & SEALED {
            0 => {
                let at = length.checked_sub(extra).ok_or(Fault::Malformed)?;
                let given = content.split_off(at);
                signed[4..6].fill(0);
                let expected = self.key.checksum(INITIATOR_SEAL, &[content.as_slice(), &signed].concat())?;
                bool::from(expected.ct_eq(&given)).then_some(content).ok_or(Fault::Malformed)
            }
            // Content, filler, and the header once more.
            _ => {
                let mut opened = self.key.open(INITIATOR_SEAL, &content)?;
                let at = opened.len().checked_sub(header.len() + extra).ok_or(Fault::Malformed)?;
                let inner = opened.split_off(at);
                (inner[extra..] == signed).then_some(opened).ok_or(Fault::Malformed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel(etype: u32) -> Channel {
        let length = if etype == AES128 { 16 } else { 32 };
        Channel { key: Key::new(etype, vec![7; length]).unwrap(), ours: true, next: 5 }
    }

    /// A token as a client makes it.
    fn of_client(channel: &Channel, content: &[u8], sealed: bool, rotation: u16) -> Vec<u8> {
        let extra = if sealed { 0 } else { CHECKSUM };
        let flags = ACCEPTOR_SUBKEY | if sealed { SEALED } else { 0 };
        let mut header = [0x05, 0x04, flags, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];
        let signed = [content, &header].concat();
        let mut rest = match sealed {
            true => channel.key.seal(INITIATOR_SEAL, &signed).unwrap(),
            false => [content, &channel.key.checksum(INITIATOR_SEAL, &signed).unwrap()].concat(),
        };
        let length = rest.len();
        rest.rotate_right(usize::from(rotation) % length);
        header[5] = extra;
        header[6..8].copy_from_slice(&rotation.to_be_bytes());
        [&header[..], &rest].concat()
    }

    #[test]
    fn a_key_has_the_length_of_its_type() {
        assert!(Key::new(AES128, vec![0; 16]).is_some() && Key::new(AES256, vec![0; 32]).is_some());
        assert!(Key::new(AES128, vec![0; 32]).is_none() && Key::new(23, vec![0; 16]).is_none());
    }

    #[test]
    fn our_tokens_are_numbered() {
        let mut channel = channel(AES256);
        let (first, second) = (channel.wrap(&[1]).unwrap(), channel.wrap(&[1]).unwrap());
        assert_eq!((first[15], second[15]), (5, 6));
        assert_eq!(first.len(), 16 + 1 + usize::from(CHECKSUM));
    }

    #[test]
    fn our_own_token_is_none_of_the_client() {
        let mut channel = channel(AES128);
        let token = channel.wrap(b"content").unwrap();
        assert!(channel.unwrap(&token).is_err());
    }

    proptest! {
        #[test]
        fn tokens_of_the_client_are_opened_however_they_are_rotated(
            content in proptest::collection::vec(any::<u8>(), 1..60),
            sealed: bool,
            rotation: u16,
            small: bool,
        ) {
            let channel = channel(if small { AES128 } else { AES256 });
            let token = of_client(&channel, &content, sealed, rotation);
            prop_assert_eq!(channel.unwrap(&token).ok(), Some(content));
        }

        #[test]
        fn a_token_with_one_bit_changed_is_not_opened(sealed: bool, at in 0..1000_usize, bit in 0..8_u8) {
            let channel = channel(AES256);
            let mut token = of_client(&channel, b"content", sealed, 0);
            let at = at % token.len();
            // Which key it says it uses and how far it is rotated is told, not signed.
            prop_assume!(!(6..8).contains(&at));
            token[at] ^= 1 << bit;
            prop_assert!(channel.unwrap(&token).is_err());
        }

        #[test]
        fn no_octets_make_it_panic(octets: Vec<u8>) {
            let _ = channel(AES128).unwrap(&octets);
            let _ = channel(AES256).unwrap(&[&[5, 4, 0, 0xFF][..], &octets].concat());
        }
    }
}
