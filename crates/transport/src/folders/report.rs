//! Telling people what became of a file that was not sent: the reason beside it, and a report to whoever it was sent for,
//! where that is proven. Nobody else is told anything: what From says of a refused file is nobody's word.

use std::fmt::Write;

use directory::{Folder, ObjectId};
use message::Address;
use message::bounce::Action;
use queue::{Beside, NewMessage, QueueError, Ticket};
use session::Extensions;
use tokio::sync::oneshot;

use super::Folders;
use super::place::Taken;
use super::post::{Bad, Source, one_line, report_key};
use crate::delivery::bounce::{Desk, Original, Said, compose};
use crate::events::instant;
use crate::pause;
use crate::shared::now;

/// What stands in the file `*.reason`.
pub(super) fn reason(file: &str, source: Source<'_>, bad: &Bad, owner: Option<u32>, time: i64) -> String {
    let Folder { kind, path, .. } = source.folder;
    let mut text = format!("File:      {path}/{file}\nConnector: {} ({})\n", source.connector.name, kind.name());
    // Writing to a String does not fail.
    let _ = writeln!(text, "Time:      {}", instant(time));
    if let Some(owner) = owner {
        let _ = writeln!(text, "Owner:     user {owner} of this machine");
    }
    text += &verdict(bad);
    let again = file.strip_suffix(".bad").unwrap_or(file);
    let _ =
        writeln!(text, "\nIt was not sent. When the cause is mended, rename it to {again}.eml to have it tried again.");
    text
}

/// The part of it that is about the file's text, a line for each.
fn verdict(bad: &Bad) -> String {
    if let Some(told) = &bad.told {
        return told.clone();
    }
    let mut text = format!("Reason:    {}\n", bad.reason);
    for refused in &bad.recipients {
        let _ = writeln!(text, "Recipient: {}: {}", refused.address, one_line(&refused.reply));
    }
    if let Some(decision) = &bad.decision {
        let _ = writeln!(text, "Decision:  {decision} (`procura explain {decision}` says why)");
    }
    text
}

impl Folders {
    /// Writes the report to the account that a file is sent for on what is not sent of it, and says to whom it goes; none
    /// where there is nobody to hear it.
    pub(super) fn compose(
        &self,
        source: Source<'_>,
        file: &str,
        bad: &Bad,
        account: Option<ObjectId>,
    ) -> Result<Option<(NewMessage, Address)>, QueueError> {
        let ground = &self.ground;
        let snapshot = ground.shared.snapshot();
        let to = account.and_then(|account| snapshot.object(account)).and_then(|object| object.primary_address());
        let Some(to) = to else { return Ok(None) };
        let said = said(bad);
        let report = if said.is_empty() {
            let text = reason(&format!("{file}.bad"), source, bad, None, now().0).replace('\n', "\r\n");
            let subject = format!("The file {file} was not sent");
            pause::notice(&ground.shared, &snapshot, &to, &subject, &text)?
        } else {
            let desk = Desk {
                queue: ground.shared.queue(),
                snapshot: &snapshot,
                intake: &ground.intake,
                hostname: &ground.hostname,
                time: now().0,
            };
            let called = format!("{file}.eml");
            let about =
                Original { queue_id: &called, received: now().0, smtputf8: false, asked: Extensions::default() };
            compose(&desk, &about, (&bad.header, None), &to, &said)?
        };
        Ok(report.map(|report| (report, to)))
    }

    /// Reports to the account that a file was sent for that it was not sent. Once for each file, whatever happens.
    pub(super) async fn report(
        &self,
        source: Source<'_>,
        taken: &Taken,
        bad: &Bad,
        account: Option<ObjectId>,
    ) -> Result<(), QueueError> {
        if bad.told.is_some() {
            return Ok(());
        }
        match self.compose(source, &taken.called, bad, account)? {
            Some((report, to)) => self.queue(report, &to, source, taken, verdict(bad)).await,
            None => Ok(()),
        }
    }

    /// Queues a report, unless the one on this file was queued before a crash.
    async fn queue(
        &self,
        report: NewMessage,
        to: &Address,
        source: Source<'_>,
        taken: &Taken,
        verdict: String,
    ) -> Result<(), QueueError> {
        let (time, shared) = (now().0, &self.ground.shared);
        let Some(key) = self.submissions.begin_key(&source.guid, &report_key(taken)) else { return Ok(()) };
        let ticket = Ticket {
            owner: String::new(),
            key: Some(key.key().to_vec()),
            keys_since: self.submissions.keys_since(),
            fingerprint: Vec::new(),
            answer: verdict,
            recipients: vec![to.as_str().to_owned()],
        };
        let beside = Beside { time, ticket: Some(ticket), events: Vec::new() };
        let reported = crate::tracking::report("", &report, time);
        let (done, committed) = oneshot::channel();
        shared.queue().commit_all(vec![report], Some(Box::new(beside)), move |result| {
            drop(done.send(result));
        });
        match committed.await.unwrap_or(Err(QueueError::Closed)) {
            Ok(()) => {
                goes_out(&taken.called, to);
                shared.note(reported);
                Ok(())
            }
            Err(QueueError::DuplicateKey) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// For the log.
pub(super) fn goes_out(file: &str, to: &Address) {
    tracing::info!(file, to = to.as_str(), "a report on a file goes out");
}

/// What is said of each recipient: of those who were refused their own reply, else of all the reason.
fn said(bad: &Bad) -> Vec<Said> {
    let failed = |address: Address, status: (u8, u16, u16), reason: String| Said {
        address,
        original: None,
        action: Action::Failed,
        status,
        reason,
        host: None,
        reply: None,
        retry_until: None,
    };
    if !bad.recipients.is_empty() {
        let refused = bad.recipients.iter().filter_map(|refused| {
            let address = Address::parse(&refused.address).ok()?;
            Some(failed(address, refused.reply.enhanced.unwrap_or((5, 0, 0)), one_line(&refused.reply)))
        });
        return refused.collect();
    }
    bad.meant_for.iter().map(|to| failed(to.clone(), bad.status.unwrap_or((5, 6, 0)), bad.reason.clone())).collect()
}

#[cfg(test)]
mod tests {
    use smtp::Reply;

    use super::*;
    use crate::submission::RefusedRecipient;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn of_recipients_that_were_refused_their_own_reply_is_told() {
        let reply = Reply::new(550, (5, 1, 1), "User unknown");
        let refused = RefusedRecipient { address: "nobody@example.com".into(), reply, word: None, decision: None };
        let bad = Bad {
            reason: "x".into(),
            recipients: vec![refused],
            meant_for: vec![address("bob@example.com"), address("nobody@example.com")],
            ..Bad::default()
        };
        let said = said(&bad);
        assert_eq!(said.len(), 1);
        assert_eq!((said[0].address.as_str(), said[0].status), ("nobody@example.com", (5, 1, 1)));
    }

    #[test]
    fn of_a_message_that_was_refused_all_recipients_are_told() {
        let meant_for = vec![address("bob@example.com"), address("carol@example.com")];
        let bad = Bad { reason: "550 5.7.1 no".into(), status: Some((5, 7, 1)), meant_for, ..Bad::default() };
        let said = said(&bad);
        assert!(said.len() == 2 && said.iter().all(|said| said.status == (5, 7, 1) && said.reason == "550 5.7.1 no"));
    }
}
