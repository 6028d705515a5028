//! AUTH (RFC 4954): who the session acts as, and whose mailbox it logs on to.

use std::fmt;

use acl::{Guid, Sid};
use directory::{AddressOwner, Class, ObjectId, Snapshot};
use message::CanonicalAddress;
use rights::{Asked, Authority};
use smtp::{AuthResponse, InitialResponse, Reply};
use zeroize::Zeroizing;

use crate::host::{
    Claimant, GssMessage, GssOutcome, Identity, KeysOutcome, LogEntry, Output, PasswordCheck, PasswordOutcome,
    TokenCheck, TokenOutcome, Wait,
};
use crate::replies;
use crate::sasl::bearer::Dialect;
use crate::sasl::scram::{ClientFirst, Proof, ServerFirst};
use crate::sasl::{Exchange, Mechanism, Step};
use crate::session::{Context, Phase, Session, later};

/// A logon that the host is asked about.
pub(crate) struct PendingLogon {
    /// The account; `None`: there is none that the name means.
    pub(crate) account: Option<ObjectId>,
    /// The mailbox that was named besides it.
    pub(crate) mailbox: Named,
    /// What follows when the host says yes.
    pub(crate) then: Then,
    /// It is the account's Associated External Account that logs on.
    pub(crate) linked: bool,
}

impl PendingLogon {
    /// The account is that of a computer, as servers have them.
    fn is_computer(&self, snapshot: &Snapshot) -> bool {
        let object = self.account.and_then(|account| snapshot.object(account));
        object.is_some_and(|object| object.class() == Class::Computer)
    }
}

/// What follows a yes of the host.
pub(crate) enum Then {
    /// The session is logged on.
    LogOn,
    /// Our own proof of SCRAM is sent, not encoded; the client answers it with nothing.
    Prove(String),
}

/// What the host is asked for when it is not a yes or no.
pub(crate) enum Question {
    /// SCRAM keys, for this first message.
    Keys(ClientFirst),
    /// The worth of a token.
    Token(Dialect, Option<String>),
    /// A message of GSSAPI.
    Gss(Mechanism),
}

/// The mailbox to log on to.
pub(crate) enum Named {
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
        let auth = &cx.connector.auth;
        let known = Mechanism::parse(mechanism).filter(|mechanism| self.is_set_up(cx, *mechanism));
        if let Some(refusal) = self.not_now(cx) {
            self.reply(refusal, out);
            return Wait::Nothing;
        }
        let refusal = match known {
            _ if !(auth.basic || auth.integrated && self.settings.mechanisms.kerberos) => replies::not_implemented(),
            None if self.lacks_tls(cx) => replies::encryption_required(),
            None => replies::unknown_mechanism(),
            Some(mechanism) if !self.offers(cx, mechanism) && self.tls.is_none() => replies::encryption_required(),
            // Channel binding where there is none to be had.
            Some(mechanism) if !self.offers(cx, mechanism) => replies::unknown_mechanism(),
            Some(mechanism) => return self.begin(cx, mechanism, initial, out),
        };
        self.reply(refusal, out);
        Wait::Nothing
    }

    /// X-EXPS (F §3.12): AUTH by another name, for servers of the organization alone. Theirs are the accounts of computers.
    pub(crate) fn exps(
        &mut self,
        cx: &Context<'_>,
        mechanism: &str,
        initial: Option<InitialResponse>,
        out: &mut dyn Output,
    ) -> Wait {
        let refusal = match self.not_now(cx) {
            Some(refusal) => refusal,
            None if !self.is_set_up(cx, Mechanism::ExpsGssapi) => replies::not_implemented(),
            None if mechanism != Mechanism::ExpsGssapi.name() => replies::unknown_mechanism(),
            None => return self.begin(cx, Mechanism::ExpsGssapi, initial, out),
        };
        self.reply(refusal, out);
        Wait::Nothing
    }

    /// Why nobody may log on here and now, by whichever mechanism.
    fn not_now(&self, cx: &Context<'_>) -> Option<Reply> {
        Some(match () {
            () if !self.greeted.as_ref().is_some_and(|greeted| greeted.extended) => {
                replies::bad_sequence("Send EHLO first")
            }
            () if self.transaction.is_some() => {
                replies::bad_sequence("AUTH is not permitted during a mail transaction")
            }
            () if self.authority.account.is_some() => replies::bad_sequence("The session is authenticated already"),
            () if cx.connector.require_tls && self.tls.is_none() => replies::tls_required(),
            () => return None,
        })
    }

    fn begin(
        &mut self,
        cx: &Context<'_>,
        mechanism: Mechanism,
        initial: Option<InitialResponse>,
        out: &mut dyn Output,
    ) -> Wait {
        self.pending = None;
        self.mechanism = Some(mechanism);
        let initial = initial.map(|response| Zeroizing::new(response.into_bytes()));
        self.sasl_step(cx, Exchange::begin(mechanism, initial, cx.connector.logon_separator), out)
    }

    pub(crate) fn sasl_response(
        &mut self,
        cx: &Context<'_>,
        exchange: Exchange,
        response: AuthResponse,
        out: &mut dyn Output,
    ) -> Wait {
        match response {
            // RFC 7628 §3.2.3: a client that gives up after the news that its token does not count has failed.
            AuthResponse::Cancel if matches!(exchange, Exchange::BearerRefused) => self.authentication_failed(cx, out),
            AuthResponse::Cancel => {
                self.pending = None;
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
                self.reply(Reply { code: 334, enhanced: None, lines: vec![question.into_owned()] }, out);
                Wait::Nothing
            }
            Step::Complete(credentials) => {
                let (claimant, pending) = logon(cx, &credentials.account, credentials.mailbox.as_deref());
                self.phase = Phase::Password(pending);
                Wait::Password(PasswordCheck { claimant, password: credentials.password })
            }
            Step::ScramKeys { first, plus } => {
                if !first.is_bound_as_offered(plus, self.tls.as_ref()) {
                    return self.burn();
                }
                let claimant = claimant(cx.snapshot, &first.name);
                self.pending = Some(claimant.clone());
                self.phase = Phase::Question(Question::Keys(first));
                Wait::ScramKeys(claimant)
            }
            Step::ScramProof(server, proof) => self.judge_proof(cx, &server, &proof),
            Step::ScramDone => match self.proven.take() {
                Some(pending) => self.log_on(cx, pending, out),
                None => self.authentication_failed(cx, out),
            },
            Step::Bearer(dialect, bearer) => {
                self.phase = Phase::Question(Question::Token(dialect, bearer.mailbox));
                Wait::Token(TokenCheck { token: bearer.token })
            }
            Step::BearerRefused => self.authentication_failed(cx, out),
            Step::Gss { mechanism, first, message } => {
                self.phase = Phase::Question(Question::Gss(mechanism));
                Wait::Gss(GssMessage { spnego: mechanism == Mechanism::GssSpnego, first, message })
            }
            Step::Incoherent => self.burn(),
        }
    }

    /// As much work as for a wrong password, and the same answer.
    fn burn(&mut self) -> Wait {
        self.phase =
            Phase::Password(PendingLogon { account: None, mailbox: Named::Unknown, then: Then::LogOn, linked: false });
        let claimant = Claimant { account: None, alike: None, name: String::new() };
        Wait::Password(PasswordCheck { claimant, password: Zeroizing::new(Vec::new()) })
    }

    fn judge_proof(&mut self, cx: &Context<'_>, server: &ServerFirst, proof: &[u8]) -> Wait {
        let proof = server.judge(proof, self.tls.as_ref());
        let (claimant, mut pending) = logon(cx, &server.first.name, server.first.mailbox.as_deref());
        // The name may mean somebody else by now, whose keys these are not.
        let same = self.pending.take().is_some_and(|asked| asked == claimant);
        let proven = match proof {
            Proof::Right { ours, keys } if same && claimant.account.is_some() => {
                pending.then = Then::Prove(ours);
                Some(keys)
            }
            _ => None,
        };
        self.phase = Phase::Password(pending);
        Wait::Judged { claimant, proven }
    }

    /// The keys of the account, or of nobody, have come.
    pub(crate) fn keys_found(
        &mut self,
        cx: &Context<'_>,
        first: ClientFirst,
        outcome: KeysOutcome,
        out: &mut dyn Output,
    ) -> Wait {
        match outcome {
            KeysOutcome::Keys { keys, also, nonce } => {
                let server = ServerFirst::new(first, keys, also, &nonce);
                let message = server.message.clone();
                self.sasl_step(cx, Exchange::ScramProof(Box::new(server)).challenge(message), out)
            }
            KeysOutcome::Unavailable => {
                self.reply(replies::authentication_unavailable(), out);
                Wait::Nothing
            }
        }
    }

    /// A token was judged. One that does not count, or stands for nobody, is answered as RFC 7628 §3.2.2 has it.
    pub(crate) fn token_judged(
        &mut self,
        cx: &Context<'_>,
        dialect: Dialect,
        mailbox: Option<&str>,
        outcome: TokenOutcome,
        out: &mut dyn Output,
    ) -> Wait {
        match outcome {
            TokenOutcome::Valid(identity) => match identified(cx, &identity, mailbox) {
                Some(pending) => self.log_on(cx, pending, out),
                None => {
                    out.log(LogEntry::Information { context: "Nobody has this identity", data: &identity.to_string() });
                    self.sasl_step(cx, Exchange::BearerRefused.challenge(dialect.refusal()), out)
                }
            },
            TokenOutcome::Invalid => self.sasl_step(cx, Exchange::BearerRefused.challenge(dialect.refusal()), out),
            TokenOutcome::Unavailable => {
                self.reply(replies::authentication_unavailable(), out);
                Wait::Nothing
            }
        }
    }

    /// A message of GSSAPI was taken.
    pub(crate) fn gss_answered(
        &mut self,
        cx: &Context<'_>,
        mechanism: Mechanism,
        outcome: GssOutcome,
        out: &mut dyn Output,
    ) -> Wait {
        match outcome {
            GssOutcome::Continue(message) => self.sasl_step(cx, Exchange::Gss(mechanism).challenge(message), out),
            GssOutcome::Done { identity, mailbox } => match identified(cx, &identity, mailbox.as_deref()) {
                Some(pending) if mechanism == Mechanism::ExpsGssapi && !pending.is_computer(cx.snapshot) => {
                    out.log(LogEntry::Information {
                        context: "No server has this identity",
                        data: &identity.to_string(),
                    });
                    self.authentication_failed(cx, out)
                }
                Some(pending) => self.log_on(cx, pending, out),
                None => {
                    out.log(LogEntry::Information { context: "Nobody has this identity", data: &identity.to_string() });
                    self.authentication_failed(cx, out)
                }
            },
            GssOutcome::Refused => self.authentication_failed(cx, out),
            GssOutcome::Unavailable => {
                self.reply(replies::authentication_unavailable(), out);
                Wait::Nothing
            }
        }
    }

    /// The host has checked a password, or counted a proof.
    pub(crate) fn password_checked(
        &mut self,
        cx: &Context<'_>,
        pending: PendingLogon,
        outcome: PasswordOutcome,
        out: &mut dyn Output,
    ) -> Wait {
        match (outcome, pending) {
            (PasswordOutcome::Unavailable, _) => {
                self.reply(replies::authentication_unavailable(), out);
                Wait::Nothing
            }
            (PasswordOutcome::Correct, PendingLogon { account, mailbox, then: Then::Prove(ours), linked }) => {
                self.proven = Some(PendingLogon { account, mailbox, then: Then::LogOn, linked });
                self.sasl_step(cx, Exchange::ScramDone.challenge(ours), out)
            }
            (PasswordOutcome::Correct, pending) => self.log_on(cx, pending, out),
            (PasswordOutcome::Wrong, _) => self.authentication_failed(cx, out),
        }
    }

    /// Logs on, or says 535: to an unknown account, an unknown or closed mailbox and an account that may not submit alike
    /// (`authorization.md` §4, §6). Never a fall-back to the account's own mailbox.
    pub(crate) fn log_on(&mut self, cx: &Context<'_>, pending: PendingLogon, out: &mut dyn Output) -> Wait {
        // Whether the account is still what it was is not known.
        let is_known = pending.account.is_none_or(|account| cx.snapshot.is_account_known(account));
        if cx.snapshot.is_out_of_date() || !is_known {
            self.reply(replies::authentication_unavailable(), out);
            return Wait::Nothing;
        }
        let Some(account) = pending.account else { return self.authentication_failed(cx, out) };
        let logon = match pending.mailbox {
            Named::Own => None,
            Named::Owner(owner) => Some(owner),
            Named::Unknown => return self.authentication_failed(cx, out),
        };
        let authority = Authority { linked: pending.linked, ..self.authority.clone() };
        if let Err(denied) = rights::may_log_on(cx.snapshot, &authority, cx.now, account, logon) {
            let id = self.record(cx, &denied, Asked::default(), false, out);
            out.log(LogEntry::Information { context: "Logon refused", data: &id });
            if denied.refusal == rights::Refusal::DirectoryUnavailable {
                self.reply(replies::authentication_unavailable(), out);
                return Wait::Nothing;
            }
            return self.authentication_failed(cx, out);
        }
        self.authority.account = Some(account);
        self.authority.logon = logon;
        self.authority.linked = pending.linked;
        out.log(LogEntry::Information { context: "Authenticated", data: &account_name(cx.snapshot, account) });
        self.log_permissions(cx, out);
        self.reply(replies::authenticated(), out);
        Wait::Nothing
    }

    pub(crate) fn authentication_failed(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
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
                out.log(LogEntry::Information { context: "Tarpit", data: &tarpit(interval) });
                self.phase = Phase::Held(reply);
                Wait::Until(later(cx.host.steady(), interval))
            }
        }
    }
}

/// A logon by name: who claims it, and what is to become of it.
fn logon(cx: &Context<'_>, name: &str, mailbox: Option<&str>) -> (Claimant, PendingLogon) {
    let claimant = claimant(cx.snapshot, name);
    let account = claimant.account.map(|(account, _)| account);
    let mailbox = named(cx.snapshot, mailbox, account);
    (claimant, PendingLogon { account, mailbox, then: Then::LogOn, linked: false })
}

/// Who a name claims to be.
fn claimant(snapshot: &Snapshot, name: &str) -> Claimant {
    let guid = |account: ObjectId| snapshot.object(account).map(|object| (account, object.guid()));
    let meant = snapshot.resolve_login(name).and_then(guid);
    let account = meant.filter(|(account, _)| snapshot.account_token(*account).is_ok());
    let simple = simple_name(snapshot, name);
    // What the other spellings of the name mean; the first that means anything answers for all of them.
    let others = || {
        let domains = snapshot.domains().iter().map(|domain| domain.dns_name.clone());
        let accepted = snapshot.accepted_domains().filter(|(_, domain)| !domain.wildcard);
        let names = domains.chain(accepted.map(|(_, domain)| domain.name.clone()));
        let spelled = std::iter::once(simple.clone()).chain(names.map(|domain| format!("{simple}@{domain}")));
        spelled.filter(|name| !name.starts_with('@')).find_map(|name| snapshot.resolve_login(&name)).and_then(guid)
    };
    let alike: Option<Guid> = meant.or_else(others).map(|(_, guid)| guid);
    Claimant { account, alike, name: simple }
}

/// A name without a domain that is ours, in lower case.
fn simple_name(snapshot: &Snapshot, name: &str) -> String {
    let ours = |domain: &str| {
        let domain = domain.to_lowercase();
        snapshot.domains().iter().any(|own| own.dns_name == domain || own.netbios_name.to_lowercase() == domain)
            || snapshot.accepted_domains().any(|(_, own)| !own.wildcard && own.name == domain)
    };
    let local = match (name.split_once('\\'), name.rsplit_once('@')) {
        (Some((domain, local)), _) if ours(domain) => local,
        (None, Some((local, domain))) if ours(domain) => local,
        _ => name,
    };
    local.to_lowercase()
}

/// A logon by what another authority says of somebody; `None`: of nobody that may log on here.
pub(crate) fn identified(cx: &Context<'_>, identity: &Identity, mailbox: Option<&str>) -> Option<PendingLogon> {
    let (account, linked) = identity.found(cx.snapshot)?;
    let mailbox = named(cx.snapshot, mailbox, Some(account));
    Some(PendingLogon { account: Some(account), mailbox, then: Then::LogOn, linked })
}

impl Identity {
    /// Whether an account of the directory is it that may log on, or an owner that it is linked to.
    pub fn is_known(&self, snapshot: &Snapshot) -> bool {
        self.found(snapshot).is_some()
    }

    /// The account, and whether it is the owner that a SID of another forest is linked to.
    fn found(&self, snapshot: &Snapshot) -> Option<(ObjectId, bool)> {
        let account = match self {
            Identity::Login(name) => snapshot.resolve_login(name),
            Identity::Address(address) => address_owner(snapshot, address),
            // Not by the short name of a domain: a realm that is trusted may be called that.
            Identity::Principal { name, realm } => snapshot
                .domains()
                .iter()
                .find(|domain| domain.dns_name.eq_ignore_ascii_case(realm))
                .and_then(|domain| snapshot.resolve_login(&format!("{}\\{name}", domain.dns_name))),
            Identity::Sid(sid) => snapshot.account_with_sid(sid),
        };
        match (account, self) {
            (None, Identity::Sid(sid)) => Some((linked_owner(snapshot, sid)?, true)),
            (account, _) => Some((account.filter(|account| snapshot.account_token(*account).is_ok())?, false)),
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Login(name) | Identity::Address(name) => f.write_str(name),
            Identity::Principal { name, realm } => write!(f, "{name}@{realm}"),
            Identity::Sid(sid) => write!(f, "{sid}"),
        }
    }
}

/// The disabled owner whose Associated External Account has this SID, and which the directory does not hold itself.
fn linked_owner(snapshot: &Snapshot, sid: &Sid) -> Option<ObjectId> {
    match snapshot.linked_to(snapshot.sid_id(sid)?)[..] {
        [owner] if snapshot.linked_token(owner).is_ok() => Some(owner),
        _ => None,
    }
}

pub(crate) fn named(snapshot: &Snapshot, mailbox: Option<&str>, account: Option<ObjectId>) -> Named {
    match mailbox {
        None => Named::Own,
        Some(name) => match mailbox_owner(snapshot, name) {
            // RFC 4616 §2: an authorization identity that is the account's own asks for nothing more.
            Some(owner) if Some(owner) == account => Named::Own,
            Some(owner) => Named::Owner(owner),
            None => Named::Unknown,
        },
    }
}

/// The owner of the mailbox that a name means: as for a logon, or by an address of it.
fn mailbox_owner(snapshot: &Snapshot, name: &str) -> Option<ObjectId> {
    snapshot.resolve_login(name).or_else(|| address_owner(snapshot, name))
}

fn address_owner(snapshot: &Snapshot, address: &str) -> Option<ObjectId> {
    match snapshot.by_address(&CanonicalAddress::parse(address).ok()?) {
        AddressOwner::One(owner) => Some(owner),
        _ => None,
    }
}

fn account_name(snapshot: &Snapshot, account: ObjectId) -> String {
    let sid = snapshot.object(account).and_then(|object| object.sid());
    sid.map_or_else(|| snapshot.dn(account), |sid| snapshot.sid_name(&snapshot.sid(sid)))
}

/// As in `0.00:00:05`, which is how the protocol log of the reference has it.
fn tarpit(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    format!("0.{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}
