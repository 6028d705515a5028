//! Deciding again about a message that was held: the whole of `authorization.md` §4 and §5, stamps included, with a
//! fresh token of the account and the facts of the session that it came by (§8).

use acl::Guid;
use directory::{ObjectId, Snapshot, Time};
use message::header::HeaderBlock;
use message::senders::{SenderFault, Senders, senders};
use message::{Address, rewrite};
use rights::pause::Paused;
use rights::{Accepted, Authority, Circumstances, DecisionRecord, Denied, HeldFor, Refusal, Transaction};

use crate::refusal::{asked_from, with_senders};
use crate::stamp::{Stamping, Way};

/// A message that is held, as far as it is decided about.
#[derive(Debug, Clone)]
pub struct HeldMessage<'a> {
    /// Its queue id.
    pub queue_id: &'a str,
    /// The reverse-path; `None` is the null reverse-path.
    pub sender: Option<&'a Address>,
    /// As they were accepted, groups not expanded.
    pub recipients: &'a [Address],
    /// The receive connector that it came in by.
    pub connector: Guid,
    /// The account that sent it.
    pub account: Guid,
    /// The mailbox that the session was logged on to, if not the account's own.
    pub logon: Option<Guid>,
    /// The way that it came.
    pub way: &'a Way,
    /// What it waited for.
    pub held: HeldFor,
}

/// What became of a held message.
#[derive(Debug)]
pub enum Judgement {
    /// It may go.
    Released {
        /// Its header block, stamped, with the empty line.
        header: Vec<u8>,
        /// For the audit.
        record: Box<DecisionRecord>,
    },
    /// It has to wait for a right still, or for one on another user.
    Waits(Box<Paused>),
    /// It may not be sent at present: the account is disabled, may not submit any more, or is denied the right.
    Refused(Box<Denied>),
    /// It can never be delivered as it is: a recipient is not allowed any more.
    Undeliverable(Box<Denied>, Address),
    /// The connector, or the account, that it came by is gone.
    Orphaned,
}

impl HeldMessage<'_> {
    /// Decides again, on this snapshot. `id` is a fresh ULID for the record. `granted`: somebody who may grant
    /// the right on this user lets the message go without; it must be sent for nobody else.
    pub fn judge(
        self,
        snapshot: &Snapshot,
        hostname: &str,
        now: Time,
        block: &HeaderBlock,
        (id, granted): (String, Option<Guid>),
    ) -> Judgement {
        let (Some(connector), Some(account)) = (snapshot.by_guid(&self.connector), snapshot.by_guid(&self.account))
        else {
            return Judgement::Orphaned;
        };
        let logon = match self.logon {
            None => None,
            Some(logon) => match snapshot.by_guid(&logon) {
                None => return Judgement::Orphaned,
                found => found,
            },
        };
        let linked = self.way.linked;
        let authority = Authority { account: Some(account), logon, linked, ..Authority::new(connector, None) };
        let senders = senders(block);
        let accepted = match self.decide(snapshot, &authority, now, senders.as_ref()) {
            Ok(accepted) => accepted,
            Err(judgement) => return judgement,
        };
        let is_granted =
            |user: &ObjectId| granted.is_some() && snapshot.object(*user).map(|object| object.guid()) == granted;
        if let Some(paused) = accepted.paused.clone().filter(|_| !accepted.users().iter().all(is_granted)) {
            return Judgement::Waits(Box::new(paused));
        }
        let stamping = Stamping { hostname, snapshot, authority: &authority, now };
        let edits = stamping.edits(self.way, block, &accepted, self.queue_id);
        let record = self.record(snapshot, &authority, now, senders.ok().as_ref(), &accepted, id);
        Judgement::Released { header: rewrite::rewrite(block, &edits), record: Box::new(record) }
    }

    fn decide(
        &self,
        snapshot: &Snapshot,
        authority: &Authority,
        now: Time,
        senders: Result<&Senders, &SenderFault>,
    ) -> Result<Accepted, Judgement> {
        let marked = self.way.marked_anonymous;
        let mut transaction = Transaction::mail_from_pausing(snapshot, authority, now, self.sender, marked)
            .map_err(Judgement::Refused)?;
        for to in self.recipients {
            if let Err(denied) = transaction.recipient(snapshot, authority, now, to) {
                return Err(match denied.refusal {
                    // It may be allowed again, or become known.
                    Refusal::Unreadable(_) | Refusal::DirectoryUnavailable => Judgement::Refused(denied),
                    _ => Judgement::Undeliverable(denied, to.clone()),
                });
            }
        }
        transaction.header(snapshot, authority, now, senders).map_err(Judgement::Refused)
    }

    fn record(
        &self,
        snapshot: &Snapshot,
        authority: &Authority,
        now: Time,
        senders: Option<&Senders>,
        accepted: &Accepted,
        id: String,
    ) -> DecisionRecord {
        let circumstances = |id: String| Circumstances {
            id,
            time: now,
            remote: self.way.remote.to_string(),
            authority,
            asked: with_senders(asked_from(self.sender), senders),
        };
        let plain = || DecisionRecord::allowed(snapshot, circumstances(id.clone()), &accepted.token, &accepted.steps);
        let mut record = match accepted.paused {
            None => DecisionRecord::accepted(snapshot, circumstances(id.clone()), accepted, self.queue_id)
                .unwrap_or_else(plain),
            Some(_) => {
                let mut record = plain();
                record.verdict = rights::VerdictKind::Overridden;
                record
            }
        };
        record.queue_id = Some(self.queue_id.to_owned());
        record.held = Some(self.held.clone());
        record
    }
}
