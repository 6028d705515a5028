//! A mail transaction: MAIL FROM, RCPT TO and the header, decided for all tokens of a session.
//!
//! A message is allowed if one token alone allows all of it; rights are never mixed between tokens (`authorization.md`
//! §2: mixing would let anybody with a login relay as any stranger). So the transaction starts with every token, the
//! account's first, and each step leaves those that allow it.

use std::net::IpAddr;
use std::sync::Arc;

use acl::Outcome;
use directory::{FolderKind, HeaderFrom, HostKind, IpRange, ObjectId, Snapshot, Time, Token, TokenError};
use message::Address;
use message::firewall::Keep;
use message::senders::{SenderFault, Senders};
use smallvec::SmallVec;

use crate::decide::{Facts, Grant, Question, decide, holds, receive_connector};
use crate::header::HeaderGrant;
use crate::pause::{Paused, Policy};
use crate::recipient::RecipientGrant;
use crate::refusal::Refusal;
use crate::sender::Proof;
use crate::table::RightName;
use crate::trace::{NoTrace, Step, Steps};

/// What a session has proven so far. Tokens are made from it anew for each command, so that the newest snapshot counts.
#[derive(Clone, Debug)]
pub struct Authority {
    /// The receive connector.
    pub connector: ObjectId,
    /// The account that logged on.
    pub account: Option<ObjectId>,
    /// What the peer proved by certificate or address.
    pub host: Option<HostKind>,
    /// The owner of the mailbox that the session logged on to.
    pub logon: Option<ObjectId>,
    /// It was the Associated External Account of [`Authority::account`] that logged on, which is a disabled owner.
    pub linked: bool,
}

impl Authority {
    /// A session that has proven nothing but where it came from.
    pub fn new(connector: ObjectId, host: Option<HostKind>) -> Authority {
        Authority { connector, account: None, host, logon: None, linked: false }
    }

    /// Whether the session may go on: its connector is in service and its account enabled.
    pub fn check(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        if !receive_connector(snapshot, self.connector).is_some_and(|connector| connector.enabled) {
            return Err(Refusal::ConnectorEnded);
        }
        match self.account {
            Some(account) => self.token(snapshot, account).map(|_| ()).map_err(|_| Refusal::AccountEnded),
            None => Ok(()),
        }
    }

    /// The session's tokens, in the order in which they are tried: account, host, anonymous.
    pub fn tokens(&self, snapshot: &Snapshot) -> Result<Vec<Arc<Token>>, Refusal> {
        self.check(snapshot)?;
        let mut tokens = Vec::with_capacity(3);
        if let Some(account) = self.account {
            tokens.push(self.token(snapshot, account).map_err(|_| Refusal::AccountEnded)?);
        }
        if let Some(host) = &self.host {
            tokens.push(snapshot.host_token(host.clone()));
        }
        tokens.push(snapshot.anonymous_token());
        Ok(tokens)
    }

    fn token(&self, snapshot: &Snapshot, account: ObjectId) -> Result<Arc<Token>, TokenError> {
        if self.linked { snapshot.linked_token(account) } else { snapshot.account_token(account) }
    }

    /// What a peer is by its address alone: an externally secured server, where the connector is ExternalAuthoritative.
    ///
    /// Nobody is where the connector also takes strangers (ANONYMOUS LOGON may submit), or takes every address: then an address
    /// proves nothing (`authorization.md` §2).
    pub fn host_by_address(&self, snapshot: &Snapshot, remote: IpAddr) -> Option<HostKind> {
        let connector = receive_connector(snapshot, self.connector)?;
        // Files have no address.
        let believed = connector.folder.is_none()
            && address_trust(snapshot, self.connector) == AddressTrust::Believed
            && connector.remote_ranges.iter().any(|range| range.contains(remote));
        believed.then_some(HostKind::ExternallySecured)
    }

    fn facts(&self, time: Time) -> Facts {
        Facts { connector: self.connector, logon: self.logon, time }
    }
}

/// Whether routing headers stay in files of a folder, whatever rights there are (F §3.11): what is picked up was nowhere
/// before; what is replayed was. `None`: the connector takes no files.
pub fn routing_of_folder(snapshot: &Snapshot, connector: ObjectId) -> Option<bool> {
    let folder = receive_connector(snapshot, connector)?.folder.as_ref()?;
    Some(folder.kind == FolderKind::Replay)
}

/// Whether a receive connector believes its clients by their address (ExternalAuthoritative).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressTrust {
    /// It is not set to.
    Off,
    /// It does.
    Believed,
    /// It is set to, but also takes strangers: ANONYMOUS LOGON may submit. An address proves nothing there.
    TakesStrangers,
    /// It is set to, but for every address.
    Unbounded,
}

/// What becomes of ExternalAuthoritative on a connector (`authorization.md` §2).
pub fn address_trust(snapshot: &Snapshot, connector: ObjectId) -> AddressTrust {
    let Some(settings) = receive_connector(snapshot, connector) else { return AddressTrust::Off };
    if !settings.auth.external_authoritative {
        return AddressTrust::Off;
    }
    if IpRange::are_unbounded(&settings.remote_ranges) {
        return AddressTrust::Unbounded;
    }
    let facts = Facts { connector, logon: None, time: Time(0) };
    // By what is known last: that a directory is out of date grants nothing to strangers, and makes nobody believed.
    match holds(snapshot, &snapshot.anonymous_token(), &facts, RightName::Submit) {
        true => AddressTrust::TakesStrangers,
        false => AddressTrust::Believed,
    }
}

/// A refusal, decided a second time with its trace.
#[derive(Clone, Debug)]
pub struct Denied {
    /// What to answer.
    pub refusal: Refusal,
    /// `Deny` where an ACE says so, `None` where nothing grants.
    pub outcome: Outcome,
    /// The token whose refusal this is: the first that was left.
    pub token: Arc<Token>,
    /// What it rests on.
    pub steps: Vec<Step>,
}

/// A message that was accepted, as far as permissions go.
#[derive(Clone, Debug)]
pub struct Accepted {
    /// The token that allows all of it.
    pub token: Arc<Token>,
    /// How the envelope sender was proven; `None` for the null reverse-path.
    pub envelope: Option<Proof>,
    /// The header senders. Where the connector only observes or does not look, this is empty.
    pub header: HeaderGrant,
    /// What would have been refused, on a connector that observes.
    pub observed: Option<Denied>,
    /// Which firewalled header fields stay.
    pub keep: Keep,
    /// The message was marked internal by an own server.
    pub internal: bool,
    /// The anti-spam agent is bypassed.
    pub bypass_anti_spam: bool,
    /// The trace, where the message is sent as or on behalf of somebody else.
    pub steps: Vec<Step>,
    /// It may be accepted, but has to wait for a right (`authorization.md` §8); then the proofs for the users whom that
    /// concerns are as if it were there. Only of a transaction that was begun with [`Transaction::mail_from_pausing`].
    pub paused: Option<Paused>,
}

impl Accepted {
    /// For whom the message is sent, as or on behalf: the owners of envelope and header senders but the account itself,
    /// each once.
    pub fn users(&self) -> Vec<ObjectId> {
        let proofs = self.envelope.iter().chain(&self.header.from).chain(&self.header.resent_from);
        let mut users = Vec::new();
        for owner in proofs.filter(|proof| !matches!(proof, Proof::Owner(_))).filter_map(Proof::object) {
            if !users.contains(&owner) {
                users.push(owner);
            }
        }
        users
    }
}

/// One mail transaction.
#[derive(Clone, Debug)]
pub struct Transaction {
    version: u64,
    sender: Option<Address>,
    marked_anonymous: bool,
    recipients: Vec<Address>,
    candidates: Vec<Candidate>,
    /// A missing right may pause the message.
    pauses: bool,
    /// The envelope sender has to wait for a right.
    paused: Option<Paused>,
}

#[derive(Clone, Debug)]
struct Candidate {
    token: Arc<Token>,
    envelope: Option<Proof>,
    internal: bool,
}

impl Transaction {
    /// MAIL FROM. `sender` is `None` for the null reverse-path; `marked_anonymous` says that the command carried
    /// `AUTH=<>`, which counts only from a server that holds Accept Authentication Flag.
    pub fn mail_from(
        snapshot: &Snapshot,
        authority: &Authority,
        time: Time,
        sender: Option<&Address>,
        marked_anonymous: bool,
    ) -> Result<Transaction, Box<Denied>> {
        let tokens = authority.tokens(snapshot).map_err(|refusal| Denied::ended(snapshot, refusal))?;
        let facts = authority.facts(time);
        let mut candidates = Vec::with_capacity(tokens.len());
        let mut first = None;
        for token in tokens {
            match Candidate::admit(snapshot, &facts, &token, sender, marked_anonymous) {
                Ok(candidate) => candidates.push(candidate),
                Err(question) => {
                    first.get_or_insert((token, question));
                }
            }
        }
        if candidates.is_empty() {
            let (token, question) = first.unwrap_or((snapshot.anonymous_token(), Question::Submit));
            return Err(Denied::traced(snapshot, &token, &facts, &question));
        }
        let version = snapshot.version();
        let recipients = Vec::new();
        let sender = sender.cloned();
        Ok(Transaction { version, sender, marked_anonymous, recipients, candidates, pauses: false, paused: None })
    }

    /// MAIL FROM where a message may be accepted to wait for a right (`authorization.md` §8): by service accounts that are
    /// set up for it, for users in their scope. Such a message is held, not delivered.
    pub fn mail_from_pausing(
        snapshot: &Snapshot,
        authority: &Authority,
        time: Time,
        sender: Option<&Address>,
        marked_anonymous: bool,
    ) -> Result<Transaction, Box<Denied>> {
        let denied = match Transaction::mail_from(snapshot, authority, time, sender, marked_anonymous) {
            Ok(transaction) => return Ok(Transaction { pauses: true, ..transaction }),
            Err(denied) => denied,
        };
        let Some(address) = sender else { return Err(denied) };
        let question = Question::Sender(address);
        let assumed = Policy::of_token(snapshot, &denied.token)
            .and_then(|policy| policy.assume(snapshot, &denied.token, &authority.facts(time), &question));
        let Some((users, Grant::Sender(proof))) = assumed else { return Err(denied) };
        let Some(user) = users.first().copied() else { return Err(denied) };
        let facts = authority.facts(time);
        let marked = Question::Internal { anonymous: marked_anonymous };
        let internal = decide::<NoTrace>(snapshot, &denied.token, &facts, &marked).reason.is_ok();
        Ok(Transaction {
            version: snapshot.version(),
            sender: sender.cloned(),
            marked_anonymous,
            recipients: Vec::new(),
            candidates: vec![Candidate { token: Arc::clone(&denied.token), envelope: Some(proof), internal }],
            pauses: true,
            paused: Some(Paused { user, denied }),
        })
    }

    /// RCPT TO. Tokens that do not allow this recipient drop out, unless none is left: then the recipient is refused.
    pub fn recipient(
        &mut self,
        snapshot: &Snapshot,
        authority: &Authority,
        time: Time,
        to: &Address,
    ) -> Result<RecipientGrant, Box<Denied>> {
        self.refresh(snapshot, authority, time)?;
        let facts = authority.facts(time);
        let grants: SmallVec<[Option<RecipientGrant>; 3]> =
            self.candidates.iter().map(|candidate| candidate.recipient(snapshot, &facts, to)).collect();
        let Some(grant) = grants.iter().flatten().next().copied() else {
            return Err(match self.candidates.first() {
                Some(first) => Denied::traced(snapshot, &first.token, &facts, &first.question(to)),
                None => Denied::ended(snapshot, Refusal::NoSubmit),
            });
        };
        let mut allows = grants.iter().map(Option::is_some);
        self.candidates.retain(|_| allows.next().unwrap_or(false));
        self.recipients.push(to.clone());
        Ok(grant)
    }

    /// The octets that the message may have; `None` for no limit. A limit binds only if it binds every token left.
    pub fn size_limit(&self, snapshot: &Snapshot, authority: &Authority, time: Time) -> Option<u64> {
        let facts = authority.facts(time);
        let limit = receive_connector(snapshot, authority.connector)?.max_message_size;
        let bypass =
            |candidate: &Candidate| holds(snapshot, &candidate.token, &facts, RightName::BypassMessageSizeLimit);
        (!self.candidates.iter().any(bypass)).then_some(limit)
    }

    /// End of the header block, with the message's senders as received, and `size` octets known of it so far.
    ///
    /// Everything is decided again first if the directory changed since MAIL FROM, so that a revoked right counts within
    /// one message.
    pub fn header(
        &mut self,
        snapshot: &Snapshot,
        authority: &Authority,
        time: Time,
        senders: Result<&Senders, &SenderFault>,
    ) -> Result<Accepted, Box<Denied>> {
        self.refresh(snapshot, authority, time)?;
        let facts = authority.facts(time);
        let mode = receive_connector(snapshot, authority.connector).map_or(HeaderFrom::Enforce, |c| c.header_from);
        let question = Question::Header(senders);
        let mut paused = self.paused.clone();
        let mut granted = None;
        if mode != HeaderFrom::Off {
            granted = self.candidates.iter().find_map(|candidate| {
                let (grant, steps) = candidate.header(snapshot, &facts, &question)?;
                Some((candidate.clone(), grant, steps))
            });
        }
        let Some(first) = self.candidates.first().cloned() else {
            return Err(Denied::ended(snapshot, Refusal::NoSubmit));
        };
        let mut traced = None;
        let (candidate, header, observed) = match (granted, mode) {
            (Some((candidate, header, steps)), _) => {
                traced = steps;
                (candidate, header, None)
            }
            (None, HeaderFrom::Off) => (first, HeaderGrant::default(), None),
            (None, HeaderFrom::Observe) => {
                let observed = Denied::traced(snapshot, &first.token, &facts, &question);
                (first, HeaderGrant::default(), Some(*observed))
            }
            (None, HeaderFrom::Enforce) => {
                let denied = Denied::traced(snapshot, &first.token, &facts, &question);
                match self.assume_header(snapshot, &first.token, &facts, &question) {
                    Some((user, header)) => {
                        paused.get_or_insert(Paused { user, denied });
                        (first, header, None)
                    }
                    None => return Err(denied),
                }
            }
        };
        let steps = match (header.is_as_another() && paused.is_none(), traced) {
            (false, _) => Vec::new(),
            (true, Some(steps)) => steps.0,
            (true, None) => decide::<Steps>(snapshot, &candidate.token, &facts, &question).trace.0,
        };
        let right = |right| holds(snapshot, &candidate.token, &facts, right);
        let keep = Keep {
            routing: routing_of_folder(snapshot, authority.connector)
                .unwrap_or_else(|| right(RightName::AcceptHeadersRouting)),
            organization: right(RightName::AcceptHeadersOrganization),
            forest: right(RightName::AcceptHeadersForest),
        };
        let bypass_anti_spam = right(RightName::BypassAntiSpam);
        let Candidate { token, envelope, internal } = candidate;
        Ok(Accepted { token, envelope, header, observed, keep, internal, bypass_anti_spam, steps, paused })
    }

    /// Whether the header would be allowed but for rights that are missing; the first user whom that concerns.
    fn assume_header(
        &self,
        snapshot: &Snapshot,
        token: &Token,
        facts: &Facts,
        question: &Question<'_>,
    ) -> Option<(ObjectId, HeaderGrant)> {
        let policy = Policy::of_token(snapshot, token).filter(|_| self.pauses)?;
        match policy.assume(snapshot, token, facts, question)? {
            (users, Grant::Header(header)) => Some((users.first().copied()?, header)),
            _ => None,
        }
    }

    /// Whether MAIL FROM carried `AUTH=<>`.
    pub fn marked_anonymous(&self) -> bool {
        self.marked_anonymous
    }

    /// Whether a token that is left holds Accept Exch50; without it a blob is dropped.
    pub fn accepts_exch50(&self, snapshot: &Snapshot, authority: &Authority, time: Time) -> bool {
        let facts = authority.facts(time);
        self.candidates.iter().any(|candidate| holds(snapshot, &candidate.token, &facts, RightName::AcceptExch50))
    }

    /// Decides the whole envelope again if the directory changed: the recipients accepted so far are weighed against
    /// every token, so that what is left still allows all of it.
    fn refresh(&mut self, snapshot: &Snapshot, authority: &Authority, time: Time) -> Result<(), Box<Denied>> {
        authority.check(snapshot).map_err(|refusal| Denied::ended(snapshot, refusal))?;
        if self.version == snapshot.version() && !snapshot.is_out_of_date() && snapshot.doubt().is_none() {
            return Ok(());
        }
        let begin = if self.pauses { Transaction::mail_from_pausing } else { Transaction::mail_from };
        let mut renewed = begin(snapshot, authority, time, self.sender.as_ref(), self.marked_anonymous)?;
        // Should one of them be refused now, all stay listed: the transaction is refused as long as they are.
        for to in &self.recipients {
            renewed.recipient(snapshot, authority, time, to)?;
        }
        *self = renewed;
        Ok(())
    }
}

impl Candidate {
    /// A token that may submit with this sender, or the question that it failed.
    fn admit<'q>(
        snapshot: &Snapshot,
        facts: &Facts,
        token: &Arc<Token>,
        sender: Option<&'q Address>,
        marked_anonymous: bool,
    ) -> Result<Candidate, Question<'q>> {
        let ask = |question: &Question<'_>| decide::<NoTrace>(snapshot, token, facts, question).reason;
        if ask(&Question::Submit).is_err() {
            return Err(Question::Submit);
        }
        let envelope = match sender {
            None => None,
            Some(address) => match ask(&Question::Sender(address)) {
                Ok(Grant::Sender(proof)) => Some(proof),
                _ => return Err(Question::Sender(address)),
            },
        };
        let internal = ask(&Question::Internal { anonymous: marked_anonymous }).is_ok();
        Ok(Candidate { token: token.clone(), envelope, internal })
    }

    /// What the token may do with the senders of the header, with the steps where it is likely that they will be asked for:
    /// who has an envelope sender of somebody else has a header of somebody else too, and need not be decided about twice.
    fn header(
        &self,
        snapshot: &Snapshot,
        facts: &Facts,
        question: &Question<'_>,
    ) -> Option<(HeaderGrant, Option<Steps>)> {
        let another = self.envelope.as_ref().is_some_and(Proof::is_another);
        let (reason, steps) = if another {
            let verdict = decide::<Steps>(snapshot, &self.token, facts, question);
            (verdict.reason, Some(verdict.trace))
        } else {
            (decide::<NoTrace>(snapshot, &self.token, facts, question).reason, None)
        };
        match reason {
            Ok(Grant::Header(grant)) => Some((grant, steps)),
            _ => None,
        }
    }

    fn question<'q>(&'q self, to: &'q Address) -> Question<'q> {
        Question::Recipient { to, sender: self.envelope.as_ref(), internal: self.internal }
    }

    fn recipient(&self, snapshot: &Snapshot, facts: &Facts, to: &Address) -> Option<RecipientGrant> {
        match decide::<NoTrace>(snapshot, &self.token, facts, &self.question(to)).reason {
            Ok(Grant::Recipient(grant)) => Some(grant),
            _ => None,
        }
    }
}

impl Denied {
    /// Decides a refused question again, with its trace.
    pub fn traced(snapshot: &Snapshot, token: &Arc<Token>, facts: &Facts, question: &Question<'_>) -> Box<Denied> {
        let verdict = decide::<Steps>(snapshot, token, facts, question);
        // The same code on the same snapshot says the same; should it not, the session is still refused.
        let refusal = verdict.reason.err().unwrap_or(Refusal::NoSubmit);
        Box::new(Denied { refusal, outcome: verdict.outcome, token: token.clone(), steps: verdict.trace.0 })
    }

    fn ended(snapshot: &Snapshot, refusal: Refusal) -> Box<Denied> {
        Box::new(Denied { refusal, outcome: Outcome::None, token: snapshot.anonymous_token(), steps: Vec::new() })
    }
}

/// Whether AUTH may succeed for `account`, with a logon to `logon`'s mailbox if given: Submit on the connector for the
/// account token, and Full Mailbox Access (`authorization.md` §4, stage AUTH; §6).
pub fn may_log_on(
    snapshot: &Snapshot,
    authority: &Authority,
    time: Time,
    account: ObjectId,
    logon: Option<ObjectId>,
) -> Result<(), Box<Denied>> {
    let authority = Authority { logon, ..authority.clone() };
    let facts = authority.facts(time);
    let Ok(token) = authority.token(snapshot, account) else {
        return Err(Denied::ended(snapshot, Refusal::AuthenticationFailed));
    };
    if decide::<NoTrace>(snapshot, &token, &facts, &Question::Submit).reason.is_ok() {
        return Ok(());
    }
    let mut denied = Denied::traced(snapshot, &token, &facts, &Question::Submit);
    // What is not known now is no refusal.
    if denied.refusal != Refusal::DirectoryUnavailable {
        denied.refusal = Refusal::AuthenticationFailed;
    }
    Err(denied)
}
