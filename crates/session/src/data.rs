//! DATA (RFC 5321 §4.1.1.4): the header decided once, the body streamed, the answer at the end of data. What BDAT brings
//! (`chunk.rs`) goes the same way.

use acl::Guid;
use directory::{HostKind, ObjectId, Snapshot, TokenKind};
use message::header::{HeaderBlock, HeaderFault, HeaderProgress, HeaderReader};
use message::senders::{SenderFault, Senders, senders};
use message::{BinaryBody, PartFirewall};
use rights::{Accepted, DecisionRecord, NoTrace, Question, Refusal, RightName};
use smtp::{DataFault, DataReader, Reply};

use crate::host::{Host, LogEntry, Origin, Output, Pair, Pause, Proven, StoreOutcome, Submission, Wait};
use crate::replies;
use crate::sasl::Mechanism;
use crate::session::{Context, Phase, Session};
use crate::stamp;

/// Message data on its way in. Of the message itself only the header block is ever held.
pub(crate) struct Reception {
    reader: DataReader,
    content: Content,
}

impl Reception {
    /// The rest is read and dropped.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.content.stage, Stage::Refused(_))
    }
}

pub(crate) struct Content {
    /// Octets received, dot-unstuffed (RFC 1870 §3).
    size: u64,
    /// The body need not be lines.
    binary: bool,
    stage: Stage,
}

enum Stage {
    /// The header block is being collected.
    Header(HeaderReader),
    /// The message is allowed as far as is known, and its body goes to [`Output::body`].
    Body(Box<Draft>),
    /// The rest of the message is read and dropped; this is the answer.
    Refused(Reply),
}

/// A message whose header was allowed.
struct Draft {
    queue_id: String,
    message_id: Option<String>,
    header_from: Vec<String>,
    /// Cuts out of the body what the header may not have either (attack 24).
    parts: PartFirewall,
    /// Looks whether the body is that of a binary message, where it need not be lines.
    binary: Option<BinaryBody>,
    proven: Proven,
    bypass_anti_spam: bool,
    audit: Option<DecisionRecord>,
    sent_for: Vec<(Guid, bool)>,
    pair: Option<Pair>,
    pause: Option<Box<Pause>>,
    /// What the message may measure; `None`: no limit for the token that was chosen.
    limit: Option<u64>,
    /// That token holds Accept Exch50.
    keeps_exch50: bool,
}

impl Session {
    pub(crate) fn data(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
        match &self.transaction {
            // RFC 3030 §2: what has come of the message by BDAT is lost, lest a part of it be taken for the whole.
            Some(transaction) if transaction.chunks.is_some() => {
                self.reset_transaction(out);
                self.reply(replies::bad_sequence("DATA cannot follow BDAT"), out);
            }
            None => self.reply(replies::bad_sequence("Need MAIL before DATA"), out),
            // RFC 3030 §3.
            Some(transaction) if transaction.extensions.binary => {
                self.reply(replies::bad_sequence("DATA cannot carry BINARYMIME"), out);
            }
            // Attack 30: recipients that were refused are none.
            Some(transaction) if transaction.recipients.is_empty() => self.reply(replies::no_valid_recipients(), out),
            Some(_) => {
                let reader = if cx.connector.tolerant { DataReader::tolerant() } else { DataReader::new() };
                self.phase = Phase::Data(Box::new(Reception { reader, content: Content::new(cx, false) }));
                self.reply(replies::start_input(), out);
            }
        }
        Wait::Nothing
    }

    /// Takes message data, and answers at its end. Whatever is wrong with a message, it is read to the end first:
    /// otherwise its text would be taken for commands.
    pub(crate) fn take_data(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> (usize, Wait) {
        let Phase::Data(mut reception) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return (input.len(), Wait::Close);
        };
        let Reception { reader, content } = &mut *reception;
        let progress = reader.push(input, &mut |bytes| content.take(self, host, bytes, out));
        content.blame(self, reader.fault(), out);
        if !progress.ended {
            self.phase = Phase::Data(reception);
            self.data_arrived(host.steady());
            return (progress.consumed, Wait::Nothing);
        }
        let content = reception.content;
        let wait = self.within(host, out, |session, cx, out| session.end_of_data(cx, content, out));
        (progress.consumed, wait)
    }

    pub(crate) fn end_of_data(&mut self, cx: &Context<'_>, mut content: Content, out: &mut dyn Output) -> Wait {
        // A message may end before its header does.
        if let Stage::Header(reader) = content.stage {
            content.stage = match reader.finish() {
                Ok(block) => self.judge(cx, &block, out),
                Err(fault) => Stage::Refused(header_fault(fault)),
            };
        }
        content.measure(self, out);
        if let Stage::Body(draft) = &mut content.stage
            && let Some(Err(fault)) = draft.binary.as_mut().map(BinaryBody::finish)
        {
            content.refuse(self, replies::malformed(fault), out);
        }
        match content.stage {
            Stage::Body(mut draft) => {
                draft.parts.finish(&mut |kept| out.body(kept));
                match self.submission(cx, *draft, content.size) {
                    Some(submission) => self.store(submission),
                    None => self.refused(replies::bad_sequence("Need MAIL before DATA"), out),
                }
            }
            Stage::Refused(reply) => self.refused(reply, out),
            Stage::Header(_) => self.refused(replies::store_failed(), out),
        }
    }

    /// A message that is refused takes its whole transaction with it: no part of it may count for the next (attack 1).
    pub(crate) fn refused(&mut self, reply: Reply, out: &mut dyn Output) -> Wait {
        self.reset_transaction(out);
        if reply.code == 421 {
            return self.end(reply, out);
        }
        self.reply(reply, out);
        Wait::Nothing
    }

    /// Decides over the header block as received, before the firewall, and writes it out as it is to be stored.
    fn judge(&mut self, cx: &Context<'_>, block: &HeaderBlock, out: &mut dyn Output) -> Stage {
        if stamp::too_many_hops(block, cx.connector.max_hops) {
            return Stage::Refused(replies::loop_detected());
        }
        let Some(transaction) = &mut self.transaction else {
            return Stage::Refused(replies::bad_sequence("Need MAIL before DATA"));
        };
        let came = senders(block);
        let decided = transaction.rights.header(cx.snapshot, &self.authority, cx.now, came.as_ref());
        let other = match stamp::readdressed(cx.connector, block).transpose() {
            Ok(other) => other,
            Err(fault) => return Stage::Refused(header_fault(fault)),
        };
        let (block, senders) = match &other {
            Some(other) if decided.is_ok() => (other, senders(other)),
            _ => (block, came),
        };
        let decided = match (decided, &mut transaction.rewritten) {
            (Ok(_), Some(rewritten)) => rewritten.header(cx.snapshot, &self.authority, cx.now, senders.as_ref()),
            (decided, _) => decided,
        };
        match decided {
            Ok(accepted) => self.accept(cx, block, &senders, &accepted, out),
            Err(denied) => {
                let asked = self.asked_with(senders.as_ref().ok());
                Stage::Refused(self.refusal_reply(cx, &denied, asked, out))
            }
        }
    }

    fn accept(
        &mut self,
        cx: &Context<'_>,
        block: &HeaderBlock,
        senders: &Result<Senders, SenderFault>,
        accepted: &Accepted,
        out: &mut dyn Output,
    ) -> Stage {
        if let Some(denied) = &accepted.observed {
            let asked = self.asked_with(senders.as_ref().ok());
            let id = self.record(cx, denied, asked, true, out);
            out.log(LogEntry::Information { context: "Would be refused", data: &id });
        }
        let binary = match self.is_binary().then(|| BinaryBody::new(block)).transpose() {
            Ok(binary) => binary,
            Err(fault) => return Stage::Refused(replies::malformed(fault)),
        };
        let queue_id = cx.host.new_id();
        let pair = self.pair(cx, accepted);
        let pause = self.pause(cx, block, accepted, pair);
        let as_another = !accepted.header.sent_as().is_empty() || !accepted.header.on_behalf_of().is_empty();
        let audit = match (&accepted.paused, &pause) {
            (Some(paused), Some(_)) => {
                let circumstances = self.circumstances(cx, self.asked_with(senders.as_ref().ok()));
                out.log(LogEntry::Information { context: "Paused", data: &queue_id });
                Some(DecisionRecord::paused(cx.snapshot, circumstances, paused, &queue_id))
            }
            // What it is sent by will be decided, and recorded, when it is released.
            (_, Some(_)) => None,
            _ if as_another => {
                let circumstances = self.circumstances(cx, self.asked_with(senders.as_ref().ok()));
                DecisionRecord::accepted(cx.snapshot, circumstances, accepted, &queue_id)
            }
            _ => None,
        };
        out.begin_body(&queue_id);
        if let Some(transaction) = &mut self.transaction {
            transaction.body_begun = true;
        }
        match pause {
            None => {
                let edits = self.edits(cx, block, accepted, &queue_id);
                out.body(&message::rewrite::rewrite(block, &edits));
            }
            Some(_) => {
                out.body(block.as_bytes());
                out.body(b"\r\n");
                out.end_of_held_header();
            }
        }
        let facts = rights::Facts { connector: self.authority.connector, logon: self.authority.logon, time: cx.now };
        let holds = |right| {
            rights::decide::<NoTrace>(cx.snapshot, &accepted.token, &facts, &Question::Right(right)).reason.is_ok()
        };
        let bypass = holds(RightName::BypassMessageSizeLimit);
        Stage::Body(Box::new(Draft {
            queue_id,
            message_id: block.named("Message-ID").next().map(|field| field.text()),
            header_from: senders.as_ref().map(addresses).unwrap_or_default(),
            parts: match cx.connector.keep_attached {
                true => PartFirewall::sparing_attached(accepted.keep, block),
                false => PartFirewall::new(accepted.keep, block),
            },
            binary,
            proven: proven(&accepted.token.kind),
            bypass_anti_spam: accepted.bypass_anti_spam,
            audit,
            sent_for: sent_for(cx.snapshot, accepted),
            pair,
            pause,
            limit: (!bypass).then_some(cx.connector.max_message_size),
            keeps_exch50: self.transaction.as_ref().is_some_and(|transaction| transaction.exch50.is_some())
                && holds(RightName::AcceptExch50),
        }))
    }

    fn submission(&mut self, cx: &Context<'_>, draft: Draft, size: u64) -> Option<Submission> {
        let transaction = self.transaction.as_mut()?;
        let guid = |object| cx.snapshot.object(object).map(|object| object.guid());
        let origin = Origin {
            connector: self.connector_guid,
            remote: self.peer.remote,
            helo: self.greeted.as_ref().map(|greeted| greeted.name.clone()).unwrap_or_default(),
            account: self.authority.account.and_then(guid),
            logon: self.authority.logon.and_then(guid),
            mechanism: self.mechanism.filter(|_| self.authority.account.is_some()).map(Mechanism::name),
            proven: draft.proven,
            bypass_anti_spam: draft.bypass_anti_spam,
        };
        Some(Submission {
            queue_id: draft.queue_id,
            message_id: draft.message_id,
            header_from: draft.header_from,
            sender: transaction.sender.clone(),
            recipients: std::mem::take(&mut transaction.recipients),
            received: cx.now,
            exch50: transaction.exch50.take().filter(|_| draft.keeps_exch50),
            size,
            smtputf8: transaction.smtputf8,
            eight_bit: transaction.eight_bit,
            extensions: std::mem::take(&mut transaction.extensions),
            sent_for: draft.sent_for,
            origin,
            audit: draft.audit,
            pair: draft.pair,
            pause: draft.pause,
        })
    }

    /// The body need not be lines.
    fn is_binary(&self) -> bool {
        self.transaction.as_ref().is_some_and(|transaction| transaction.extensions.binary)
    }

    /// For whom a service account that pauses sends the message.
    fn pair(&self, cx: &Context<'_>, accepted: &Accepted) -> Option<Pair> {
        let account = accepted.token.account.filter(|_| accepted.token.kind == TokenKind::Account)?;
        let user = accepted.users().first().copied()?;
        if accepted.paused.is_none() && !rights::pause::Policy::exists(cx.snapshot, account) {
            return None;
        }
        let guid = |id| cx.snapshot.object(id).map(|object| object.guid());
        Some(Pair { account: guid(account)?, user: guid(user)? })
    }

    /// Why the message is to be held: for a right that is missing, or behind mail that waits for one.
    fn pause(
        &self,
        cx: &Context<'_>,
        block: &HeaderBlock,
        accepted: &Accepted,
        pair: Option<Pair>,
    ) -> Option<Box<Pause>> {
        let account = pair?.account;
        let guid = |id| cx.snapshot.object(id).map(|object| object.guid());
        let user = match &accepted.paused {
            Some(paused) => guid(paused.user)?,
            None => {
                let mut users = accepted.users().into_iter().filter_map(guid);
                users.find(|user| cx.host.is_paused(&account, user))?
            }
        };
        Some(Box::new(Pause {
            pair: Pair { account, user },
            behind: accepted.paused.is_none(),
            header: block.as_bytes().len() as u64 + 2,
            way: self.way(cx.now),
            snapshot: cx.snapshot.version(),
        }))
    }

    /// The message was refused for what it contains.
    pub(crate) fn not_stored(&mut self, reply: &str, out: &mut dyn Output) -> Wait {
        if let Some(transaction) = &mut self.transaction {
            transaction.body_begun = false;
        }
        self.reset_transaction(out);
        let reply = replies::of_filter(reply).unwrap_or_else(replies::store_failed);
        self.reply(reply, out);
        Wait::Nothing
    }

    /// The message is on stable storage, or not; only now the client is told.
    pub(crate) fn stored(&mut self, queue_id: &str, outcome: StoreOutcome, out: &mut dyn Output) -> Wait {
        // What was begun is the queue's now, whatever became of it.
        if let Some(transaction) = &mut self.transaction {
            transaction.body_begun = false;
        }
        self.reset_transaction(out);
        let reply = match outcome {
            StoreOutcome::Stored => {
                self.errors = 0;
                replies::queued(queue_id)
            }
            StoreOutcome::Full => replies::store_full(),
            StoreOutcome::PauseFull => replies::pause_full(),
            StoreOutcome::Failed => replies::store_failed(),
        };
        self.reply(reply, out);
        Wait::Nothing
    }
}

impl Content {
    /// A message of which nothing has come yet.
    pub(crate) fn new(cx: &Context<'_>, binary: bool) -> Content {
        let limit = usize::try_from(cx.connector.max_header_size).unwrap_or(usize::MAX);
        Content { size: 0, binary, stage: Stage::Header(HeaderReader::new(limit)) }
    }

    /// Octets so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The answer to a message that was given up.
    pub(crate) fn refusal(&self) -> Option<&Reply> {
        match &self.stage {
            Stage::Refused(reply) => Some(reply),
            _ => None,
        }
    }

    /// Gives a message up for a fault of its line ends.
    pub(crate) fn blame(&mut self, session: &mut Session, fault: Option<DataFault>, out: &mut dyn Output) {
        if let (Some(fault), Stage::Header(_) | Stage::Body(_)) = (fault, &self.stage) {
            self.refuse(session, replies::malformed(fault), out);
        }
    }

    pub(crate) fn take(&mut self, session: &mut Session, host: &dyn Host, bytes: &[u8], out: &mut dyn Output) {
        self.size = self.size.saturating_add(bytes.len() as u64);
        // RFC 5321 §2.3.8 and §4.5.2 leave NUL to nobody: readers end a line or a message at it (attack 17).
        if !self.binary && !matches!(self.stage, Stage::Refused(_)) && memchr::memchr(0, bytes).is_some() {
            return self.refuse(session, replies::nul_in_data(), out);
        }
        let Stage::Header(reader) = &mut self.stage else {
            self.measure(session, out);
            self.give_body(session, bytes, out);
            return;
        };
        match reader.push(bytes) {
            Ok(HeaderProgress::More) => {}
            Ok(HeaderProgress::Complete { consumed }) => {
                let reader = std::mem::replace(reader, HeaderReader::new(0));
                self.stage = match reader.finish() {
                    Ok(block) => session.judge_now(host, &block, out),
                    Err(fault) => Stage::Refused(header_fault(fault)),
                };
                self.measure(session, out);
                if let Some(body) = bytes.get(consumed..) {
                    self.give_body(session, body, out);
                }
            }
            Err(fault) => self.refuse(session, header_fault(fault), out),
        }
    }

    fn give_body(&mut self, session: &mut Session, bytes: &[u8], out: &mut dyn Output) {
        let Stage::Body(draft) = &mut self.stage else { return };
        match draft.binary.as_mut().map(|binary| binary.push(bytes)) {
            Some(Err(fault)) => self.refuse(session, replies::malformed(fault), out),
            Some(Ok(())) | None => draft.parts.push(bytes, &mut |kept| out.body(kept)),
        }
    }

    /// Gives a message up that has grown beyond the limit.
    fn measure(&mut self, session: &mut Session, out: &mut dyn Output) {
        if let Stage::Body(draft) = &self.stage
            && let Some(limit) = draft.limit
            && self.size > limit
        {
            self.refuse(session, replies::refusal(&Refusal::TooLarge { limit }, None), out);
        }
    }

    fn refuse(&mut self, session: &mut Session, reply: Reply, out: &mut dyn Output) {
        session.reset_transaction(out);
        self.stage = Stage::Refused(reply);
    }
}

impl Session {
    /// [`Session::judge`] in the middle of data, on the newest snapshot.
    fn judge_now(&mut self, host: &dyn Host, block: &HeaderBlock, out: &mut dyn Output) -> Stage {
        let snapshot = host.snapshot();
        match self.standing(&snapshot) {
            Ok(connector) => {
                let cx = Context { host, now: host.now(), snapshot: &snapshot, connector };
                self.judge(&cx, block, out)
            }
            Err(refusal) => Stage::Refused(replies::refusal(&refusal, None)),
        }
    }
}

fn header_fault(fault: HeaderFault) -> Reply {
    match fault {
        HeaderFault::TooLarge { .. } => replies::header_too_large(fault),
        fault => replies::malformed(fault),
    }
}

/// The addresses of From.
fn addresses(senders: &Senders) -> Vec<String> {
    senders.from.iter().map(|mailbox| mailbox.address.as_str().to_owned()).collect()
}

/// The owners of the header senders but the account itself.
fn sent_for(snapshot: &Snapshot, accepted: &Accepted) -> Vec<(Guid, bool)> {
    let guid = |owner: ObjectId| snapshot.object(owner).map(|object| object.guid());
    let sent_as = accepted.header.sent_as().into_iter().filter_map(guid).map(|owner| (owner, false));
    let on_behalf = accepted.header.on_behalf_of().into_iter().filter_map(guid).map(|owner| (owner, true));
    sent_as.chain(on_behalf).collect()
}

fn proven(kind: &TokenKind) -> Proven {
    match kind {
        TokenKind::Anonymous => Proven::Anonymous,
        TokenKind::Account => Proven::Account,
        TokenKind::Host(HostKind::ExternallySecured) => Proven::Address,
        TokenKind::Host(HostKind::Hub | HostKind::Edge) => Proven::Server,
        TokenKind::Host(HostKind::Partner { .. }) => Proven::Partner,
    }
}
