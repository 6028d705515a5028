//! App passwords: random, for one program or device, shown once.

use acl::Guid;
use directory::Time;
use sha2::{Digest, Sha256};

/// An app password as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// What its owner calls it, unique for the account: `phone`.
    pub name: String,
    /// [`AppPassword::digest`] of it. It has 140 bits of chance, so a fast hash keeps it as well as a slow one.
    pub digest: [u8; 32],
    /// Its SCRAM keys as text, with the salt and the rounds that all passwords of the account have. `None`: it was made
    /// before there were any.
    pub scram: Option<String>,
    /// When it was made.
    pub created: Time,
    /// When it was used last, to the minute or so; `None`: never.
    pub last_used: Option<Time>,
}

impl AppPassword {
    /// Letters of an app password, 28 of them: no `l` and no `o`, which look like digits, and no `0` and `1`.
    pub const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    /// How many letters it has, at five bits each.
    pub const LETTERS: usize = 28;

    /// A new one from chance: 28 letters in groups of seven, `abcdefg-…`.
    pub fn from_random(random: [u8; AppPassword::LETTERS]) -> String {
        let letter = |byte: &u8| char::from(AppPassword::ALPHABET[usize::from(byte & 31)]);
        let groups: Vec<String> = random.chunks(7).map(|group| group.iter().map(letter).collect()).collect();
        groups.join("-")
    }

    /// The digest of what somebody presents, in any case, with or without hyphens and blanks. `None`: it is no app password
    /// of anybody.
    pub fn digest(account: &Guid, presented: &[u8]) -> Option<[u8; 32]> {
        if presented.len() > 4 * AppPassword::LETTERS {
            return None;
        }
        let letters: Vec<u8> =
            presented.iter().filter(|byte| !matches!(byte, b'-' | b' ')).map(u8::to_ascii_lowercase).collect();
        let fits = letters.len() == AppPassword::LETTERS && letters.iter().all(|b| AppPassword::ALPHABET.contains(b));
        let mut hash = Sha256::new();
        hash.update(b"app password of ");
        hash.update(account.0);
        hash.update(&letters);
        fits.then(|| hash.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Guid = Guid([1; 16]);

    #[test]
    fn an_app_password_is_known_however_it_is_typed() {
        let password = AppPassword::from_random(std::array::from_fn(|at| at as u8));
        assert_eq!(password, "abcdefg-hijkmnp-qrstuvw-xyz2345");
        let digest = AppPassword::digest(&ALICE, password.as_bytes()).unwrap();
        for typed in ["ABCDEFG HIJKMNP QRSTUVW XYZ2345", "abcdefghijkmnpqrstuvwxyz2345"] {
            assert_eq!(AppPassword::digest(&ALICE, typed.as_bytes()), Some(digest));
        }
    }

    #[test]
    fn the_same_letters_are_another_digest_for_another_account() {
        let password = AppPassword::from_random([7; 28]);
        let digest = |guid| AppPassword::digest(&guid, password.as_bytes());
        assert_ne!(digest(ALICE), digest(Guid([2; 16])));
    }

    #[test]
    fn an_ordinary_password_has_no_digest() {
        for presented in ["", "alice-demo", "abcdefghijkmnpqrstuvwxyz234", "abcdefghijkmnpqrstuvwxyz23456"] {
            assert_eq!(AppPassword::digest(&ALICE, presented.as_bytes()), None);
        }
        assert_eq!(AppPassword::digest(&ALICE, &[b'-'; 1000]), None);
    }
}
