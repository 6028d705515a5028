//! One submission on its way through a session: envelope, text, answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use acl::Guid;
use directory::{FolderKind, ObjectId, Time};
use message::Address;
use queue::NewMessage;
use rights::DecisionRecord;
use serde_json::{Value, json};
use session::{Answer, Session, StoreOutcome, Submission, Submitter, Wait};
use smtp::Reply;
use smtp::client::ReplyParser;
use tokio::time::sleep;

use super::{Refusal, Refused, Submissions, UnderWay, WAIT, goes_on};
use crate::events::instant;
use crate::reception::{self, Ambient, Duplicate, Out, Slip};
use crate::shared::steady;

/// To whom a message goes, from whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None`: the null reverse-path.
    pub sender: Option<Address>,
    /// At least one.
    pub recipients: Vec<Address>,
    /// An address of the header is not ASCII.
    pub smtputf8: bool,
    /// Octets of the message, where they are known.
    pub size: Option<u64>,
    /// Recipients that are refused do not keep the message from the others.
    pub partial: bool,
}

/// A recipient that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecipient {
    /// The address.
    pub address: String,
    /// The reply.
    pub reply: Reply,
    /// The name of the refusal.
    pub word: Option<String>,
    /// The id of the decision.
    pub decision: Option<String>,
}

/// A message that was accepted: it is on stable storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its queue id.
    pub id: String,
    /// What is answered, JSON.
    pub answer: String,
}

/// A session that is logged on.
pub struct Logon {
    submissions: Arc<Submissions>,
    session: Session,
    out: Out,
    remote: SocketAddr,
    account: Guid,
    refused: Vec<RefusedRecipient>,
    /// The text, while it comes.
    lines: Option<Lines>,
}

impl Logon {
    pub(super) fn new(submissions: Arc<Submissions>, session: Session, mut out: Out, remote: SocketAddr) -> Logon {
        out.event('+', "", "HTTP");
        let account = Guid([0; 16]);
        Logon { submissions, session, out, remote, account, refused: Vec::new(), lines: None }
    }

    pub(super) fn begin(&mut self, who: Submitter<'_>, mailbox: Option<&str>) -> Result<(), Refusal> {
        let name = match self.remote.ip().to_canonical() {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let shared = Arc::clone(&self.submissions.shared);
        // Who is refused here has shown a token that counts: there is nothing to guess that an answer should be slow for.
        let _ = self.session.submit_by_http(&Ambient(&shared), who, mailbox, &name, &mut self.out);
        self.begun()
    }

    pub(super) fn begin_locally(&mut self, account: ObjectId) -> Result<(), Refusal> {
        let shared = Arc::clone(&self.submissions.shared);
        let who = Submitter::Account(account);
        let _ = self.session.submit_by_http(&Ambient(&shared), who, None, session::LOCAL, &mut self.out);
        self.begun()
    }

    pub(super) fn begin_by_folder(&mut self, kind: FolderKind, account: Option<ObjectId>) -> Result<(), Refusal> {
        let shared = Arc::clone(&self.submissions.shared);
        let _ = self.session.submit_by_folder(&Ambient(&shared), kind, account, &mut self.out);
        self.begun()
    }

    /// What was answered to the logon: whether it counts is to be seen by the account, unless that is not known now.
    fn begun(&mut self) -> Result<(), Refusal> {
        let later = ReplyParser::new()
            .push(&self.out.replies)
            .is_ok_and(|(_, reply)| reply.is_some_and(|reply| reply.is_transient()));
        self.out.replies.clear();
        if later { Err(Refusal::Unavailable("the directory cannot answer now".to_owned())) } else { Ok(()) }
    }

    pub(super) fn account_id(&self) -> Option<ObjectId> {
        self.session.account()
    }

    pub(super) fn of(mut self, account: Guid) -> Logon {
        self.account = account;
        self
    }

    /// The account: objectGUID.
    pub fn account(&self) -> Guid {
        self.account
    }

    /// Begins a message: MAIL, RCPT for each recipient, DATA.
    pub async fn open(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        if !self.submissions.admits(self.account) {
            return Err(Refusal::TooMany(WAIT));
        }
        let utf8 =
            envelope.smtputf8 || envelope.sender.iter().chain(&envelope.recipients).any(|address| !address.is_ascii());
        let sender = envelope.sender.as_ref().map(Address::as_str).unwrap_or_default();
        let mut mail = format!("MAIL FROM:<{sender}> BODY=8BITMIME");
        if let Some(size) = envelope.size {
            mail += &format!(" SIZE={size}");
        }
        if utf8 {
            mail += " SMTPUTF8";
        }
        let recipients = envelope.recipients.iter().map(|recipient| (recipient, String::new()));
        self.open_with(&mail, recipients, envelope.partial).await
    }

    /// The same with a MAIL command as it is, and parameters for each recipient, each with a space before it.
    pub(crate) async fn open_with(
        &mut self,
        mail: &str,
        recipients: impl Iterator<Item = (&Address, String)>,
        partial: bool,
    ) -> Result<(), Refusal> {
        let reply = self.exchange(mail).await?;
        if reply.code != 250 {
            return Err(self.refused(reply));
        }
        let mut accepted = false;
        for (recipient, parameters) in recipients {
            let reply = self.exchange(&format!("RCPT TO:<{recipient}>{parameters}")).await?;
            match reply.code {
                250 => accepted = true,
                421 => return Err(self.refused(reply)),
                _ => {
                    let (word, decision) = self.record();
                    self.refused.push(RefusedRecipient { address: recipient.to_string(), reply, word, decision });
                }
            }
        }
        if let Some(first) = self.refused.first()
            && (!accepted || !partial)
        {
            let (reply, word, decision) = (first.reply.clone(), first.word.clone(), first.decision.clone());
            let recipients = self.refused.clone();
            return Err(Refusal::Refused(Box::new(Refused { reply, word, decision, recipients })));
        }
        let reply = self.exchange("DATA").await?;
        if reply.code != 354 {
            return Err(self.refused(reply));
        }
        self.lines = Some(Lines::default());
        Ok(())
    }

    /// Takes the next octets of the message. Lines may end with LF alone, if all do.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), Refusal> {
        let Some(lines) = &mut self.lines else { return Err(broken()) };
        let shared = Arc::clone(&self.submissions.shared);
        let (session, out) = (&mut self.session, &mut self.out);
        let mut whole = true;
        let mut give = |octets: &[u8]| {
            if octets.is_empty() {
                return;
            }
            let progress = session.receive(&Ambient(&shared), octets, out);
            whole &= progress.consumed == octets.len() && goes_on(&progress.wait);
        };
        lines.push(octets, &mut give);
        if whole { Ok(()) } else { Err(broken()) }
    }

    /// Recipients that were refused so far.
    pub(crate) fn refused_recipients(&self) -> &[RefusedRecipient] {
        &self.refused
    }

    /// The message is refused already: the rest of it need not be read, and [`Logon::finish`] says why.
    pub fn has_refused(&self) -> bool {
        self.session.has_refused()
    }

    /// The message is complete: it is made durable, and answered. `under_way` names its key, `fingerprint` is what it was.
    pub async fn finish(self, under_way: Option<&UnderWay>, fingerprint: &[u8]) -> Result<Accepted, Refusal> {
        self.finish_with(under_way, fingerprint, Vec::new()).await
    }

    /// The same, together with reports: they are queued if and only if the message is.
    pub(crate) async fn finish_with(
        mut self,
        under_way: Option<&UnderWay>,
        fingerprint: &[u8],
        reports: Vec<NewMessage>,
    ) -> Result<Accepted, Refusal> {
        let Some(mut lines) = self.lines.take() else { return Err(broken()) };
        let mut last = Vec::new();
        lines.finish(&mut |octets| last.extend_from_slice(octets));
        let shared = Arc::clone(&self.submissions.shared);
        self.out.replies.clear();
        let mut wait = self.session.receive(&Ambient(&shared), &last, &mut self.out).wait;
        let mut accepted = None;
        if let Wait::Store(submission) = wait {
            let (id, answer) = (submission.queue_id.clone(), self.answer(&submission));
            let slip = Slip {
                key: under_way.map(|under_way| under_way.key().to_vec()),
                keys_since: self.submissions.keys_since(),
                fingerprint: fingerprint.to_vec(),
                answer: answer.clone(),
                reports,
            };
            let message = (self.out.take_body(), submission);
            let intake = &self.submissions.intake;
            let outcome = match reception::keep_with(&shared, intake, message, self.remote, Some(slip)).await {
                Ok(outcome) => outcome,
                Err(Duplicate) => {
                    let _ = self.session.answer(&Ambient(&shared), Answer::Stored(StoreOutcome::Failed), &mut self.out);
                    return Err(Refusal::Duplicate);
                }
            };
            accepted = (outcome == Answer::Stored(StoreOutcome::Stored)).then_some(Accepted { id, answer });
            wait = self.session.answer(&Ambient(&shared), outcome, &mut self.out);
        }
        self.follow(wait).await;
        match accepted {
            Some(accepted) => Ok(accepted),
            None => {
                let reply = self.reply()?;
                Err(self.refused(reply))
            }
        }
    }

    /// What is answered about a message that is about to be durable.
    fn answer(&self, submission: &Submission) -> String {
        let state = if submission.pause.is_some() { "paused" } else { "queued" };
        let taken = submission.recipients.iter().map(|to| json!({ "address": to.address.as_str(), "state": state }));
        let refused = self.refused.iter().map(|refused| {
            let mut shown = json!({ "address": refused.address, "state": "refused", "reason": text(&refused.reply) });
            if let Some(decision) = &refused.decision {
                shown["decision"] = decision.as_str().into();
            }
            shown
        });
        let recipients: Vec<Value> = taken.chain(refused).collect();
        let mut answer = json!({
            "id": submission.queue_id,
            "state": state,
            "accepted": instant(submission.received.0),
            "recipients": recipients,
        });
        if let Some(pause) = &submission.pause {
            answer["paused"] = reception::paused(&self.submissions.shared.snapshot(), submission, pause);
        }
        answer.to_string()
    }

    /// A command, and the reply to it.
    async fn exchange(&mut self, command: &str) -> Result<Reply, Refusal> {
        if command.contains(['\r', '\n', '\0']) {
            return Err(broken());
        }
        self.out.replies.clear();
        self.out.refusal = None;
        let shared = Arc::clone(&self.submissions.shared);
        let line = format!("{command}\r\n");
        let progress = self.session.receive(&Ambient(&shared), line.as_bytes(), &mut self.out);
        self.follow(progress.wait).await;
        self.reply()
    }

    /// The reply that was given last.
    fn reply(&mut self) -> Result<Reply, Refusal> {
        match ReplyParser::new().push(&self.out.replies) {
            Ok((_, Some(reply))) => Ok(reply),
            _ => Err(broken()),
        }
    }

    /// Waits for what a session waits for without a client.
    async fn follow(&mut self, mut wait: Wait) {
        let shared = Arc::clone(&self.submissions.shared);
        while let Wait::Until(time) = wait {
            sleep(until(time)).await;
            wait = self.session.answer(&Ambient(&shared), Answer::Resume, &mut self.out);
        }
        if !matches!(wait, Wait::Nothing | Wait::Close) {
            tracing::error!("a submission by HTTP waits for what nobody can give");
            self.session.peer_closed(&mut self.out);
        }
    }

    fn refused(&mut self, reply: Reply) -> Refusal {
        let (word, decision) = self.record();
        Refusal::Refused(Box::new(Refused { reply, word, decision, recipients: Vec::new() }))
    }

    fn record(&mut self) -> (Option<String>, Option<String>) {
        match self.out.refusal.take().map(|record| *record) {
            Some(DecisionRecord { id, refusal, .. }) => (refusal, Some(id)),
            None => (None, None),
        }
    }
}

impl Drop for Logon {
    fn drop(&mut self) {
        self.session.peer_closed(&mut self.out);
        self.out.event('-', "", "");
    }
}

/// The text of a message as SMTP has it: dots stuffed, lines ended by CRLF. Where the first line ends with LF alone, LF is
/// the line end of the message; what ends its lines now so and now so is left as it is, and the session refuses it.
#[derive(Debug)]
struct Lines {
    /// LF alone ends lines.
    lf: Option<bool>,
    /// The octet before.
    last: u8,
    /// At the start of a line.
    start: bool,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines { lf: None, last: 0, start: true }
    }
}

impl Lines {
    fn push(&mut self, octets: &[u8], give: &mut dyn FnMut(&[u8])) {
        let mut from = 0;
        for (at, octet) in octets.iter().enumerate() {
            if self.start && *octet == b'.' {
                give(&octets[from..at]);
                give(b".");
                from = at;
            }
            self.start = false;
            if *octet == b'\n' {
                let bare = self.last != b'\r';
                let lf = *self.lf.get_or_insert(bare);
                if bare && lf {
                    give(&octets[from..at]);
                    give(b"\r\n");
                    from = at + 1;
                }
                // Whatever the session reads as a line end, a dot behind it is stuffed: only we end the data.
                self.start = !bare || lf;
            }
            self.last = *octet;
        }
        give(&octets[from..]);
    }

    /// Ends the last line where it has no end, and the data.
    fn finish(&mut self, give: &mut dyn FnMut(&[u8])) {
        if !self.start {
            give(b"\r\n");
        }
        give(b".\r\n");
    }
}

/// The text of a reply, on one line.
pub(super) fn text(reply: &Reply) -> String {
    reply.lines.join(" ")
}

fn broken() -> Refusal {
    Refusal::Unavailable("the session broke off".to_owned())
}

fn until(time: Time) -> Duration {
    let wait = time.0.saturating_sub(steady().0).clamp(0, 600_000);
    Duration::from_millis(wait.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smtp::DataReader;

    use super::*;

    fn written(octets: &[u8], piece: usize) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::default(), Vec::new());
        for piece in octets.chunks(piece) {
            lines.push(piece, &mut |octets| out.extend_from_slice(octets));
        }
        lines.finish(&mut |octets| out.extend_from_slice(octets));
        out
    }

    fn read(mut reader: DataReader, octets: &[u8]) -> (Vec<u8>, usize, bool) {
        let mut text = Vec::new();
        let progress = reader.push(octets, &mut |piece| text.extend_from_slice(piece));
        (text, progress.consumed, progress.ended && reader.fault().is_none())
    }

    #[test]
    fn lines_that_end_with_lf_end_with_crlf() {
        assert_eq!(written(b"a: b\n\n.\n..\nx", 2), b"a: b\r\n\r\n..\r\n...\r\nx\r\n.\r\n");
        assert_eq!(written(b"", 1), b".\r\n");
    }

    proptest! {
        /// Whatever a message holds, it ends where we end it: nothing of it is taken for a command (attack 17).
        #[test]
        fn only_we_end_the_data(octets in "[\r\n.ab]{0,60}", piece in 1_usize..9) {
            let out = written(octets.as_bytes(), piece);
            for reader in [DataReader::new(), DataReader::tolerant()] {
                let (_, consumed, _) = read(reader, &out);
                prop_assert_eq!(consumed, out.len(), "{:?}", octets);
            }
        }

        /// A message whose lines all end alike is read as it was sent.
        #[test]
        fn a_text_is_read_as_it_was_sent(lines in proptest::collection::vec("[.ab]{0,5}", 1..8), piece in 1_usize..9) {
            let with = |end: &str| lines.iter().map(|line| format!("{line}{end}")).collect::<String>();
            for end in ["\n", "\r\n"] {
                let (text, _, sound) = read(DataReader::new(), &written(with(end).as_bytes(), piece));
                prop_assert!(sound);
                prop_assert_eq!(String::from_utf8(text).unwrap(), with("\r\n"));
            }
        }
    }
}
