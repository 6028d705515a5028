//! What programs use to submit by HTTP, and where they are told what became of their mail.

use acl::Guid;
use directory::Time;
use sha2::{Digest, Sha256};

/// A bearer token of an account, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// Whose it is: objectGUID.
    pub account: Guid,
    /// What it is called, unique for the account: `billing`.
    pub name: String,
    /// [`ApiToken::digest`] of it. It has 160 bits of chance, so a fast hash keeps it as well as a slow one.
    pub digest: [u8; 32],
    /// When it was made.
    pub created: Time,
    /// When it ceases to count; `None`: never.
    pub until: Option<Time>,
    /// When it was used last, to the minute or so; `None`: never.
    pub last_used: Option<Time>,
}

impl ApiToken {
    /// Begins every token, so that programs that look for leaked secrets know them.
    pub const PREFIX: &str = "procura_";
    /// How many letters follow, at five bits each.
    pub const LETTERS: usize = 32;

    /// A new one from chance: the prefix and 32 letters.
    pub fn from_random(random: [u8; ApiToken::LETTERS]) -> String {
        let letter = |byte: &u8| char::from(crate::AppPassword::ALPHABET[usize::from(byte & 31)]);
        ApiToken::PREFIX.chars().chain(random.iter().map(letter)).collect()
    }

    /// The digest of what somebody presents. `None`: it is no token of anybody.
    pub fn digest(presented: &str) -> Option<[u8; 32]> {
        let letters = presented.strip_prefix(ApiToken::PREFIX)?;
        let known = |byte: u8| crate::AppPassword::ALPHABET.contains(&byte);
        if letters.len() != ApiToken::LETTERS || !letters.bytes().all(known) {
            return None;
        }
        let mut hash = Sha256::new();
        hash.update(b"api token ");
        hash.update(letters);
        Some(hash.finalize().into())
    }
}

/// Where somebody is told what became of the mail of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its own id, unguessable.
    pub id: String,
    /// Whose mail: objectGUID.
    pub account: Guid,
    /// The URL that is posted to.
    pub url: String,
    /// The key of the signatures. It must be kept as it is: it signs.
    pub secret: Vec<u8>,
    /// Kinds of events that are told.
    pub events: Vec<String>,
    /// When it was made.
    pub created: Time,
}

impl Webhook {
    /// Recipients have a message.
    pub const DELIVERED: &str = "message.delivered";
    /// Recipients were given up.
    pub const FAILED: &str = "message.failed";
    /// A message waits for a missing right.
    pub const PAUSED: &str = "message.paused";
    /// It waits no more, and is on its way.
    pub const RELEASED: &str = "message.released";
    /// For the operator: users of the account are paused; one for each cause.
    pub const CAUSE: &str = "account.paused";
    /// For the operator: messages need a decision.
    pub const ASIDE: &str = "account.set-aside";
    /// A test, on demand.
    pub const TEST: &str = "webhook.test";
    /// All that one may ask for.
    pub const ALL: [&str; 6] =
        [Webhook::DELIVERED, Webhook::FAILED, Webhook::PAUSED, Webhook::RELEASED, Webhook::CAUSE, Webhook::ASIDE];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_digest_and_in_one_spelling() {
        let token = ApiToken::from_random(std::array::from_fn(|at| at as u8));
        assert_eq!(token, "procura_abcdefghijkmnpqrstuvwxyz23456789");
        assert!(ApiToken::digest(&token).is_some());
        for wrong in ["", "procura_", &token[1..], &token.to_uppercase(), &format!("{token}a"), &format!(" {token}")] {
            assert_eq!(ApiToken::digest(wrong), None, "{wrong}");
        }
    }
}
