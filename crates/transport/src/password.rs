//! Password hashes: argon2id, written as PHC strings.

use std::num::NonZeroU32;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::try_generate_salt;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::pbkdf2;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use session::{MIN_ITERATIONS, ScramKeys};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::certificate::provider;

/// Memory cost of new hashes in KiB.
pub const MEMORY_KIB: u32 = 19_456;
/// Passes over the memory of new hashes.
pub const PASSES: u32 = 2;
/// Lanes of new hashes.
pub const LANES: u32 = 1;
/// The longest password that is accepted, in bytes (longer ones are refused before any work).
pub const MAX_PASSWORD: usize = 1024;
/// The largest memory cost (KiB) that a stored hash may ask for; protects the server from a damaged or hostile hash.
const MAX_STORED_MEMORY_KIB: u32 = 262_144;

/// Why a password could not be hashed or checked.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// The password has no characters.
    #[error("the password is empty")]
    Empty,
    /// The password is longer than [`MAX_PASSWORD`] bytes.
    #[error("the password is longer than {MAX_PASSWORD} bytes")]
    TooLong,
    /// The stored hash is not an argon2 PHC string, or asks for more memory than is allowed.
    #[error("the stored password hash cannot be used: {0}")]
    StoredHash(String),
    /// The hash function failed (no randomness, no memory).
    #[error("hashing failed: {0}")]
    Hash(String),
}

/// Hashes a new password with argon2id (m = 19456 KiB, t = 2, p = 1) and a random salt.
/// Returns the PHC string that [`verify`] takes. Takes about 30 ms and 19 MiB.
pub fn hash(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() {
        return Err(PasswordError::Empty);
    }
    if password.len() > MAX_PASSWORD {
        return Err(PasswordError::TooLong);
    }
    let failed = |error: &dyn std::fmt::Display| PasswordError::Hash(error.to_string());
    let (hasher, salt) = (hasher()?, try_generate_salt().map_err(|error| failed(&error))?);
    let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
    compute(&hasher, password, &salt, &mut out)?;
    let hashed = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(hasher.params()).map_err(|error| failed(&error))?,
        salt: Some(Salt::new(&salt).map_err(|error| failed(&error))?),
        hash: Some(Output::new(&out).map_err(|error| failed(&error))?),
    };
    Ok(hashed.to_string())
}

/// Does `password` match the stored PHC string? The parameters are those of the stored hash.
pub fn verify(password: &[u8], phc: &str) -> Result<bool, PasswordError> {
    if password.len() > MAX_PASSWORD {
        return Ok(false);
    }
    let stored = PasswordHash::new(phc).map_err(|error| PasswordError::StoredHash(error.to_string()))?;
    let params = Params::try_from(&stored).map_err(|error| PasswordError::StoredHash(error.to_string()))?;
    if params.m_cost() > MAX_STORED_MEMORY_KIB {
        return Err(PasswordError::StoredHash(format!("it asks for {} KiB of memory", params.m_cost())));
    }
    let unusable = |error: &dyn std::fmt::Display| PasswordError::StoredHash(error.to_string());
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(|error| unusable(&error))?;
    let version = match stored.version {
        Some(version) => Version::try_from(version).map_err(|error| unusable(&error))?,
        None => Version::default(),
    };
    let (Some(salt), Some(expected)) = (&stored.salt, &stored.hash) else {
        return Err(unusable(&"it has no salt or no hash"));
    };
    let mut buffer = [0; Output::MAX_LENGTH];
    let out = buffer.get_mut(..expected.len()).ok_or_else(|| unusable(&"it is too long"))?;
    compute(&Argon2::new(algorithm, version, params), password, salt, out)?;
    // Outputs compare in constant time.
    Ok(Output::new(out).map_err(|error| unusable(&error))? == *expected)
}

/// The SCRAM-SHA-256 keys of a new password with this salt, or a random one of 16 octets (RFC 5802 §3, RFC 7677). `None` where
/// SASLprep (RFC 4013) prohibits the password: no two clients would send the same of it.
pub fn scram_keys(password: &[u8], salt: Option<Vec<u8>>, iterations: u32) -> Result<Option<ScramKeys>, PasswordError> {
    let prepared = std::str::from_utf8(password).ok().and_then(|text| stringprep::saslprep(text).ok());
    let Some(prepared) = prepared.filter(|text| !text.is_empty()) else { return Ok(None) };
    let salt = match salt {
        Some(salt) => salt,
        None => {
            let mut salt = vec![0; 16];
            provider().secure_random.fill(&mut salt).map_err(|_| PasswordError::Hash("no randomness".into()))?;
            salt
        }
    };
    let rounds = NonZeroU32::new(iterations.max(MIN_ITERATIONS)).unwrap_or(NonZeroU32::MIN);
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt, prepared.as_bytes(), &mut *salted);
    Ok(Some(ScramKeys::from_salted_password(&salted, salt, rounds.get())))
}

/// Does the same work as [`verify`] for an account that does not exist, so that its absence cannot be timed.
pub fn burn(password: &[u8]) {
    let password = &password[..password.len().min(MAX_PASSWORD)];
    let mut out = [0u8; 32];
    if let Ok(hasher) = hasher()
        && let Err(error) = compute(&hasher, password, b"no such account.", &mut out)
    {
        tracing::debug!(%error, "burning equal work failed");
    }
    std::hint::black_box(out);
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn compute(argon2: &Argon2<'_>, password: &[u8], salt: &[u8], out: &mut [u8]) -> Result<(), PasswordError> {
    let mut memory = Memory::new(argon2.params().block_count())?;
    let blocks = memory.blocks();
    argon2
        .hash_password_into_with_memory(password, salt, out, blocks)
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

/// The working memory of one hash, taken from the system and given back at once: an allocator would keep these 19 MiB
/// for a server that may sleep for hours.
struct Memory {
    start: *mut std::ffi::c_void,
    blocks: usize,
}

impl Memory {
    fn new(blocks: usize) -> Result<Memory, PasswordError> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address of the system's choice touches no memory that is in use.
        let mapped =
            unsafe { mmap_anonymous(std::ptr::null_mut(), blocks * size_of::<Block>(), protection, MapFlags::PRIVATE) };
        let start = mapped.map_err(|error| PasswordError::Hash(format!("no memory: {error}")))?;
        Ok(Memory { start, blocks })
    }

    fn blocks(&mut self) -> &mut [Block] {
        // SAFETY: the mapping is as long as `blocks` blocks, begins at a page and so at a multiple of their alignment,
        // holds zeros, which are valid words, and is borrowed by nobody else while `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast::<Block>(), self.blocks) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length, and nobody borrows it any more.
        if let Err(error) = unsafe { munmap(self.start, self.blocks * size_of::<Block>()) } {
            tracing::error!(%error, "the memory of a hash cannot be given back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_own_password_only() {
        let phc = hash(b"alice-demo").unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(verify(b"alice-demo", &phc).unwrap());
        assert!(!verify(b"alice-demO", &phc).unwrap());
        assert!(!verify(b"", &phc).unwrap());
    }

    #[test]
    fn a_hash_made_elsewhere_verifies() {
        // The test vector of the argon2 reference implementation (src/test.c): argon2id, version 19.
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(verify(b"password", phc).unwrap());
        assert!(!verify(b"differentpassword", phc).unwrap());
    }

    #[test]
    fn scram_keys_have_a_salt_of_their_own_and_enough_rounds() {
        let [one, other] = [1, 5000].map(|rounds| scram_keys(b"pencil", None, rounds).unwrap().unwrap());
        assert_ne!(one.salt, other.salt);
        assert_eq!((one.iterations, other.iterations), (4096, 5000));
    }

    #[test]
    fn scram_keys_are_those_that_another_implementation_derives() {
        // RFC 7677 §3: what the client proves there, verified with keys of ours for the same salt.
        let salt = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
        let mut salted = [0; 32];
        let rounds = NonZeroU32::new(4096).unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, b"pencil", &mut salted);
        let keys = ScramKeys::from_salted_password(&salted, salt.to_vec(), 4096);
        assert_eq!(
            keys.to_text(),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_password_is_prepared_before_its_keys_are_made_and_some_have_none() {
        // RFC 4013 §3: a soft hyphen is mapped to nothing; a control character is prohibited.
        assert!(scram_keys("I\u{AD}X".as_bytes(), None, 4096).unwrap().is_some());
        assert!(scram_keys(b"a\x07b", None, 4096).unwrap().is_none());
        assert!(scram_keys(b"\xff", None, 4096).unwrap().is_none());
    }

    #[test]
    fn an_empty_or_endless_password_is_not_hashed() {
        assert!(matches!(hash(b""), Err(PasswordError::Empty)));
        assert!(matches!(hash(&[b'x'; MAX_PASSWORD + 1]), Err(PasswordError::TooLong)));
    }

    #[test]
    fn a_stored_hash_that_is_no_hash_is_an_error_and_not_a_match() {
        for stored in ["", "plain", "$argon2id$v=19$m=4294967295,t=2,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(verify(b"plain", stored).is_err(), "{stored}");
        }
    }
}
