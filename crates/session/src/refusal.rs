//! Refusals of the authorization model: their replies, and their records for the audit.

use message::Address;
use message::senders::{Mailbox, Senders};
use rights::{Asked, Circumstances, DecisionRecord, Denied};
use smtp::Reply;

use crate::host::{Output, Wait};
use crate::http::is_folder;
use crate::replies;
use crate::session::{Context, Session};

impl Session {
    /// Records a refusal and answers it.
    pub(crate) fn refuse(&mut self, cx: &Context<'_>, denied: &Denied, asked: Asked, out: &mut dyn Output) -> Wait {
        let reply = self.refusal_reply(cx, denied, asked, out);
        if reply.code == 421 {
            return self.end(reply, out);
        }
        self.reply(reply, out);
        Wait::Nothing
    }

    /// Records a refusal; gives the reply, with the address that was refused and the id of the record.
    pub(crate) fn refusal_reply(
        &mut self,
        cx: &Context<'_>,
        denied: &Denied,
        asked: Asked,
        out: &mut dyn Output,
    ) -> Reply {
        let id = self.record(cx, denied, asked, false, out);
        replies::refusal(&denied.refusal, Some(&id))
    }

    /// Records a refusal, or what would have been one; gives the record's id.
    pub(crate) fn record(
        &mut self,
        cx: &Context<'_>,
        denied: &Denied,
        asked: Asked,
        observed: bool,
        out: &mut dyn Output,
    ) -> String {
        let record = DecisionRecord::refused(cx.snapshot, self.circumstances(cx, asked), denied, observed);
        let id = record.id.clone();
        out.record(record);
        id
    }

    /// Who asks, from where, and for what.
    pub(crate) fn circumstances(&self, cx: &Context<'_>, asked: Asked) -> Circumstances<'_> {
        Circumstances {
            id: cx.host.new_id(),
            time: cx.now,
            remote: match self.greeted.as_ref().filter(|greeted| self.http && is_folder(&greeted.name)) {
                Some(greeted) => greeted.name.to_lowercase(),
                None => self.peer.remote.to_string(),
            },
            authority: &self.authority,
            asked,
        }
    }

    /// What the present transaction asks for so far.
    pub(crate) fn asked(&self) -> Asked {
        self.transaction.as_ref().map(|transaction| asked_from(transaction.sender.as_ref())).unwrap_or_default()
    }

    /// The same, with the senders of the header.
    pub(crate) fn asked_with(&self, senders: Option<&Senders>) -> Asked {
        with_senders(self.asked(), senders)
    }
}

/// Adds the senders of the header to a question.
pub(crate) fn with_senders(mut asked: Asked, senders: Option<&Senders>) -> Asked {
    let Some(senders) = senders else { return asked };
    let address = |mailbox: &Mailbox| canonical(&mailbox.address);
    asked.from = senders.from.iter().map(address).collect();
    asked.sender = senders.sender.as_ref().map(address);
    let resent = senders.resent.iter().flat_map(|resent| resent.from.iter().chain(&resent.sender));
    asked.resent = resent.map(address).collect();
    asked
}

/// A question about an envelope sender.
pub(crate) fn asked_from(sender: Option<&Address>) -> Asked {
    Asked { mail_from: Some(sender.map_or("<>".to_owned(), canonical)), ..Asked::default() }
}

pub(crate) fn canonical(address: &Address) -> String {
    address.canonical().to_string()
}
