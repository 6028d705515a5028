//! Logons of a connection: what the session asks about passwords, SCRAM keys, tokens and tickets.

use std::time::Duration;

use acl::Guid;
use session::{
    Claimant, GssMessage, GssOutcome, Identity, KeysOutcome, PasswordCheck, PasswordOutcome, ScramKeys, TokenCheck,
    TokenOutcome,
};
use tokio::time::sleep;

use super::{Connection, beyond};
use crate::credentials::{Check, Keys, Who};
use crate::server::Stop;

impl Connection {
    pub(super) async fn check_password(&self, check: PasswordCheck) -> PasswordOutcome {
        let who = self.who(&check.claimant);
        let found = self.ground.shared.credentials().check(who, check.password, self.peer.ip()).await;
        self.told("password", &check.claimant, found).await
    }

    pub(super) async fn scram_keys(&self, claimant: Claimant) -> KeysOutcome {
        let who = self.who(&claimant);
        match self.ground.shared.credentials().keys(who, self.peer.ip()).await {
            Keys::Found { keys, also, nonce } => KeysOutcome::Keys { keys, also, nonce },
            Keys::Unavailable => {
                self.unanswered("SCRAM", &claimant);
                KeysOutcome::Unavailable
            }
        }
    }

    /// Counts a proof that the session judged.
    pub(super) async fn count(&self, claimant: Claimant, proven: Option<Box<ScramKeys>>) -> PasswordOutcome {
        let who = self.who(&claimant);
        let found = self.ground.shared.credentials().count(who, proven, self.peer.ip()).await;
        self.told("SCRAM", &claimant, found).await
    }

    /// A token is nothing to guess, but a source that shows one bad token after another is a source that guesses.
    pub(super) async fn check_token(&self, check: TokenCheck) -> TokenOutcome {
        let Some(tokens) = &self.ground.tokens else { return TokenOutcome::Unavailable };
        let credentials = self.ground.shared.credentials();
        if credentials.is_shut_out(self.peer.ip()) {
            return TokenOutcome::Unavailable;
        }
        let outcome = tokens.judge(check.token).await;
        match &outcome {
            TokenOutcome::Valid(identity) => self.proven("token", identity),
            TokenOutcome::Invalid => self.ground.shared.figures().logged_on("token", "wrong"),
            TokenOutcome::Unavailable => self.ground.shared.figures().logged_on("token", "unanswered"),
        }
        if outcome == TokenOutcome::Invalid {
            tracing::info!(client = %self.peer, connector = self.connector.name, by = "token", "logon failed");
            if let Check::Wrong { delay } = credentials.count_unnamed(false, self.peer.ip()) {
                self.hold_back(delay).await;
            }
        }
        outcome
    }

    #[cfg(not(feature = "kerberos"))]
    pub(super) async fn gss(&mut self, _message: GssMessage) -> GssOutcome {
        GssOutcome::Unavailable
    }

    /// Tickets count like tokens: nothing to guess, but not without end.
    #[cfg(feature = "kerberos")]
    pub(super) async fn gss(&mut self, message: GssMessage) -> GssOutcome {
        let Some(kerberos) = &self.ground.kerberos else { return GssOutcome::Unavailable };
        let credentials = self.ground.shared.credentials();
        if credentials.is_shut_out(self.peer.ip()) {
            return GssOutcome::Unavailable;
        }
        if message.first {
            self.gss = None;
        }
        let outcome = self.gss.get_or_insert_with(|| Box::new(kerberos.context(message.spnego))).step(&message.message);
        if !matches!(outcome, GssOutcome::Continue(_)) {
            self.gss = None;
        }
        match &outcome {
            GssOutcome::Done { identity, .. } => self.proven("ticket", identity),
            GssOutcome::Refused => self.ground.shared.figures().logged_on("ticket", "wrong"),
            GssOutcome::Continue(_) | GssOutcome::Unavailable => {}
        }
        if outcome == GssOutcome::Refused {
            tracing::info!(client = %self.peer, connector = self.connector.name, by = "ticket", "logon failed");
            if let Check::Wrong { delay } = credentials.count_unnamed(false, self.peer.ip()) {
                self.hold_back(delay).await;
            }
        }
        outcome
    }

    /// Notes that somebody else vouched for an identity. Whether anybody has it here is another question.
    fn proven(&self, by: &'static str, identity: &Identity) {
        let is_known = identity.is_known(&self.ground.shared.snapshot());
        self.ground.shared.figures().logged_on(by, if is_known { "right" } else { "wrong" });
        if !is_known {
            let (connector, name) = (&self.connector.name, identity.to_string());
            tracing::info!(client = %self.peer, connector, by, name, "logon failed: no account that may log on is called that");
        }
    }

    /// An account that was disabled since the session looked is as good as none.
    fn who(&self, claimant: &Claimant) -> Who {
        let snapshot = self.ground.shared.snapshot();
        let enabled = |guid: &Guid| {
            snapshot.by_guid(guid).and_then(|id| snapshot.object(id)).is_some_and(|object| object.enabled())
        };
        let account = claimant.account.map(|(_, guid)| guid).filter(enabled);
        Who { account, alike: claimant.alike, name: claimant.name.clone() }
    }

    /// Logs what came of a logon, and holds a negative answer back as long as it is to be.
    async fn told(&self, by: &'static str, claimant: &Claimant, found: Check) -> PasswordOutcome {
        let figures = self.ground.shared.figures();
        match found {
            Check::Correct => {
                figures.logged_on(by, "right");
                PasswordOutcome::Correct
            }
            Check::Wrong { delay } => {
                figures.logged_on(by, "wrong");
                let name = claimant.name.as_str();
                tracing::info!(client = %self.peer, connector = self.connector.name, by, name, "logon failed");
                self.hold_back(delay).await;
                PasswordOutcome::Wrong
            }
            Check::Unavailable => {
                self.unanswered(by, claimant);
                PasswordOutcome::Unavailable
            }
        }
    }

    fn unanswered(&self, by: &'static str, claimant: &Claimant) {
        let name = claimant.name.as_str();
        self.ground.shared.figures().logged_on(by, "unanswered");
        tracing::warn!(client = %self.peer, connector = self.connector.name, by, name, "logon not answered");
    }

    async fn hold_back(&self, delay: Duration) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = beyond(&mut stop, Stop::No) => {}
            () = sleep(delay) => {}
        }
    }
}
