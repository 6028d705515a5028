//! Passwords of the directory for the transport.

use std::sync::Arc;
use std::time::Duration;

use acl::Guid;
use admin::Service;
use admin::random::new_token;
use ldap::Login;
use session::ScramKeys;
use store::{AppPassword, StoreError};
use transport::{CredentialLimits, CredentialSource, Rate, SourceUnavailable, StoredCredentials};

use crate::config::keys::Authentication;
use crate::node;

/// The setting that holds the secret from which the salts of names come that nobody has.
const SECRET: &str = "logon secret";
/// Milliseconds during which the use of an app password is noted once.
const NOTED_AGAIN: i64 = 60_000;

/// What is kept of passwords, from the service.
pub struct Passwords {
    service: Arc<Service>,
    secret: [u8; 32],
    elsewhere: bool,
}

impl Passwords {
    /// Those of a service. The first time, a secret is made. `elsewhere`: most are kept by another directory.
    pub fn new(service: Arc<Service>, elsewhere: bool) -> Result<Passwords, StoreError> {
        let kept = match service.setting(SECRET)? {
            Some(kept) => kept,
            None => {
                let made = new_token() + &new_token();
                service.set_setting(SECRET, Some(&made))?;
                made
            }
        };
        let mut secret = [0; 32];
        for (byte, digits) in secret.iter_mut().zip(kept.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
        }
        Ok(Passwords { service, secret, elsewhere })
    }
}

impl CredentialSource for Passwords {
    fn stored(&self, account: &Guid) -> Result<StoredCredentials, SourceUnavailable> {
        let failed = |e: StoreError| SourceUnavailable(e.to_string());
        let scram = self.service.scram_keys(account).map_err(failed)?;
        Ok(StoredCredentials {
            password: self.service.credential(account).map_err(failed)?,
            scram: scram.as_deref().and_then(ScramKeys::parse),
            app_passwords: self.service.app_passwords(account).map_err(failed)?,
        })
    }

    fn rounds(&self) -> Result<Vec<(u32, u64)>, SourceUnavailable> {
        self.service.scram_rounds().map_err(|e| SourceUnavailable(e.to_string()))
    }

    fn used(&self, account: &Guid, app_password: &AppPassword) {
        let now = node::now().0;
        if app_password.last_used.is_some_and(|last| now - last.0 < NOTED_AGAIN) {
            return;
        }
        if let Err(error) = self.service.app_password_used(account, &app_password.name) {
            tracing::warn!(%account, name = app_password.name, %error, "the use of an app password cannot be noted");
        }
    }

    fn elsewhere(&self, account: &Guid, password: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        self.service.login_elsewhere(account, password).map(said)
    }

    fn elsewhere_of_nobody(&self, subject: &Guid, password: &[u8]) -> Option<Result<bool, SourceUnavailable>> {
        self.service.login_of_nobody_elsewhere(subject, password).map(said)
    }

    fn scram(&self) -> bool {
        !self.elsewhere
    }

    fn secret(&self) -> [u8; 32] {
        self.secret
    }
}

fn said(login: Login) -> Result<bool, SourceUnavailable> {
    match login {
        Login::Right => Ok(true),
        Login::Wrong => Ok(false),
        Login::Spared => Err(SourceUnavailable("one more wrong password could lock the account".to_owned())),
        Login::Unavailable(why) => Err(SourceUnavailable(why)),
    }
}

/// The limits of `[authentication]`.
pub fn limits(config: &Authentication) -> CredentialLimits {
    let refill = Duration::from_secs(config.failure_seconds.into());
    CredentialLimits {
        per_source: Rate { burst: config.source_failures, refill },
        per_account: Rate { burst: config.account_failures, refill },
        scram_iterations: config.scram_iterations,
        ..CredentialLimits::default()
    }
}
