//! AUTH (RFC 4954): who the session acts as, and whose mailbox it logs on to.

use directory::{AddressOwner, ObjectId, Snapshot};
use message::CanonicalAddress;
use rights::Asked;
use smtp::{AuthResponse, InitialResponse, Reply};
use zeroize::Zeroizing;

use crate::host::{LogEntry, Output, PasswordCheck, PasswordOutcome, Wait};
use crate::replies;
use crate::sasl::{Credentials, Exchange, Mechanism, Step};
use crate::session::{Context, Phase, Session, later};

/// A logon whose password is being checked.
pub(crate) struct PendingLogon {
    /// The account; `None`: there is none that the name means.
    account: Option<ObjectId>,
    /// The mailbox that was named besides it.
    mailbox: Named,
}

/// The mailbox to log on to.
enum Named {
    /// None was named: the account's own.
    Own,
    /// The one of this owner.
    Owner(ObjectId),
    /// One that does not exist.
    Unknown,
}

impl Session {
    pub(crate) fn auth(
        &mut self,
        cx: &Context<'_>,
        mechanism: &str,
        initial: Option<InitialResponse>,
        out: &mut dyn Output,
    ) -> Wait {
        let refusal = match Mechanism::parse(mechanism) {
            _ if !self.greeted.as_ref().is_some_and(|greeted| greeted.extended) => {
                replies::bad_sequence("Send EHLO first")
            }
            _ if self.transaction.is_some() => replies::bad_sequence("AUTH is not permitted during a mail transaction"),
            _ if self.authority.account.is_some() => replies::bad_sequence("The session is authenticated already"),
            _ if !cx.connector.auth.basic => replies::not_implemented(),
            _ if !self.offers_auth(cx) => replies::encryption_required(),
            None => replies::unknown_mechanism(),
            Some(mechanism) => {
                let initial = initial.map(|response| Zeroizing::new(response.into_bytes()));
                let step = Exchange::begin(mechanism, initial, cx.connector.logon_separator);
                return self.sasl_step(cx, step, out);
            }
        };
        self.reply(refusal, out);
        Wait::Nothing
    }

    pub(crate) fn sasl_response(
        &mut self,
        cx: &Context<'_>,
        exchange: Exchange,
        response: AuthResponse,
        out: &mut dyn Output,
    ) -> Wait {
        match response {
            AuthResponse::Cancel => {
                self.reply(replies::authentication_cancelled(), out);
                Wait::Nothing
            }
            AuthResponse::Response(response) => {
                let response = Zeroizing::new(response.into_bytes());
                self.sasl_step(cx, exchange.respond(response, cx.connector.logon_separator), out)
            }
        }
    }

    fn sasl_step(&mut self, cx: &Context<'_>, step: Step, out: &mut dyn Output) -> Wait {
        match step {
            Step::Challenge(exchange, question) => {
                self.phase = Phase::Sasl(exchange);
                self.reply(Reply { code: 334, enhanced: None, lines: vec![question.to_owned()] }, out);
                Wait::Nothing
            }
            Step::Complete(credentials) => self.check_password(cx, credentials),
            // As much work as for a wrong password, and the same answer.
            Step::Incoherent => {
                self.phase = Phase::Password(PendingLogon { account: None, mailbox: Named::Unknown });
                Wait::Password(PasswordCheck { account: None, password: Zeroizing::new(Vec::new()) })
            }
        }
    }

    fn check_password(&mut self, cx: &Context<'_>, credentials: Credentials) -> Wait {
        let able = |account: &ObjectId| cx.snapshot.account_token(*account).is_ok();
        let account = cx.snapshot.resolve_login(&credentials.account).filter(able);
        let mailbox = match credentials.mailbox {
            None => Named::Own,
            Some(name) => match mailbox_owner(cx.snapshot, &name) {
                // RFC 4616 §2: an authorization identity that is the account's own asks for nothing more.
                Some(owner) if Some(owner) == account => Named::Own,
                Some(owner) => Named::Owner(owner),
                None => Named::Unknown,
            },
        };
        let guid = |account: ObjectId| cx.snapshot.object(account).map(|object| (account, object.guid()));
        let check = PasswordCheck { account: account.and_then(guid), password: credentials.password };
        self.phase = Phase::Password(PendingLogon { account, mailbox });
        Wait::Password(check)
    }

    /// Logs on, or says 535: to a wrong password, an unknown or closed mailbox and an account that may not submit alike
    /// (`authorization.md` §4, §6). Never a fall-back to the account's own mailbox.
    pub(crate) fn password_checked(
        &mut self,
        cx: &Context<'_>,
        pending: PendingLogon,
        outcome: PasswordOutcome,
        out: &mut dyn Output,
    ) -> Wait {
        let account = match (outcome, pending.account) {
            (PasswordOutcome::Unavailable, _) => {
                self.reply(replies::authentication_unavailable(), out);
                return Wait::Nothing;
            }
            (PasswordOutcome::Correct, Some(account)) => account,
            _ => return self.authentication_failed(cx, out),
        };
        let logon = match pending.mailbox {
            Named::Own => None,
            Named::Owner(owner) => Some(owner),
            Named::Unknown => return self.authentication_failed(cx, out),
        };
        if let Err(denied) = rights::may_log_on(cx.snapshot, &self.authority, cx.now, account, logon) {
            let id = self.record(cx, &denied, Asked::default(), false, out);
            out.log(LogEntry::Information { context: "Logon refused", data: &id });
            return self.authentication_failed(cx, out);
        }
        self.authority.account = Some(account);
        self.authority.logon = logon;
        out.log(LogEntry::Information { context: "Authenticated", data: &account_name(cx.snapshot, account) });
        self.reply(replies::authenticated(), out);
        Wait::Nothing
    }

    fn authentication_failed(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
        self.failed_logons = self.failed_logons.saturating_add(1);
        self.reply_slowly(cx, replies::authentication_failed(), out)
    }

    /// Replies after the connector's tarpit interval: who guesses shall not guess fast.
    pub(crate) fn reply_slowly(&mut self, cx: &Context<'_>, reply: Reply, out: &mut dyn Output) -> Wait {
        match cx.connector.tarpit_ms {
            0 => {
                self.reply(reply, out);
                Wait::Nothing
            }
            interval => {
                self.phase = Phase::Held(reply);
                Wait::Until(later(cx.now, interval))
            }
        }
    }
}

/// The owner of the mailbox that a name means: as for a logon, or by an address of it.
fn mailbox_owner(snapshot: &Snapshot, name: &str) -> Option<ObjectId> {
    let by_address = || match snapshot.by_address(&CanonicalAddress::parse(name).ok()?) {
        AddressOwner::One(owner) => Some(owner),
        _ => None,
    };
    snapshot.resolve_login(name).or_else(by_address)
}

fn account_name(snapshot: &Snapshot, account: ObjectId) -> String {
    let sid = snapshot.object(account).and_then(|object| object.sid());
    sid.map_or_else(|| snapshot.dn(account), |sid| snapshot.sid_name(&snapshot.sid(sid)))
}
