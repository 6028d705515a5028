//! Fresh identifiers.

use acl::{Guid, Sid};
use rustix::rand::{GetRandomFlags, getrandom};

/// A random objectGUID (RFC 9562 version 4).
pub fn new_guid() -> Guid {
    let mut bytes = random::<16>();
    // On the wire the third field is little-endian: its high byte, with the version, is byte 7.
    bytes[7] = bytes[7] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    Guid(bytes)
}

/// The SID of a new domain.
pub fn new_domain_sid() -> Sid {
    let bytes = random::<12>();
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    Sid::new(5, &[21, word(0), word(4), word(8)])
}

/// A name that nobody can guess.
pub fn new_token() -> String {
    random::<16>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Octets of chance.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    let mut filled = 0;
    // The kernel's generator is seeded long before this program runs; it can only be interrupted.
    while filled < N {
        if let Ok(count) = getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            filled += count;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_says_that_it_is_random() {
        let text = new_guid().to_string();
        assert_eq!(&text[14..15], "4", "{text}");
        assert!("89ab".contains(&text[19..20]), "{text}");
    }

    #[test]
    fn a_domain_sid_is_that_of_a_domain() {
        assert!(new_domain_sid().to_string().starts_with("S-1-5-21-"));
        assert_ne!(new_domain_sid(), new_domain_sid());
    }
}
