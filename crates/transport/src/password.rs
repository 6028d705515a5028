//! Password hashes: argon2id, written as PHC strings.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use thiserror::Error;

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
    let hashed: PasswordHash =
        hasher()?.hash_password(password).map_err(|error| PasswordError::Hash(error.to_string()))?;
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
    match Argon2::default().verify_password(password, &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(PasswordError::StoredHash(error.to_string())),
    }
}

/// Does the same work as [`verify`] for an account that does not exist, so that its absence cannot be timed.
pub fn burn(password: &[u8]) {
    let password = &password[..password.len().min(MAX_PASSWORD)];
    let mut out = [0u8; 32];
    if let Ok(hasher) = hasher()
        && let Err(error) = hasher.hash_password_into(password, b"no such account.", &mut out)
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
