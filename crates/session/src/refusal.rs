//! Refusals of the authorization model: their replies, and their records for the audit.

use message::senders::{Mailbox, Senders};
use rights::{Asked, Circumstances, DecisionRecord, Denied};
use smtp::Reply;

use message::Address;

use crate::host::{Output, Wait};
use crate::replies;
use crate::session::{Context, Session};

impl Session {
    /// Records a refusal and answers it.
    pub(crate) fn refuse(
        &mut self,
        cx: &Context<'_>,
        denied: &Denied,
        recipient: Option<&Address>,
        out: &mut dyn Output,
    ) -> Wait {
        let reply = self.refusal_reply(cx, denied, recipient, out);
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
        recipient: Option<&Address>,
        out: &mut dyn Output,
    ) -> Reply {
        let id = self.record(cx, denied, recipient, false, out);
        replies::refusal(&denied.refusal, Some(&id))
    }

    /// Records a refusal, or what would have been one; gives the record's id.
    pub(crate) fn record(
        &mut self,
        cx: &Context<'_>,
        denied: &Denied,
        recipient: Option<&Address>,
        observed: bool,
        out: &mut dyn Output,
    ) -> String {
        let record = DecisionRecord::refused(cx.snapshot, self.circumstances(cx, recipient), denied, observed);
        let id = record.id.clone();
        out.record(record);
        id
    }

    /// Who asks, from where, and for what, as far as it is known by now.
    pub(crate) fn circumstances(&self, cx: &Context<'_>, recipient: Option<&Address>) -> Circumstances<'_> {
        Circumstances {
            id: cx.host.new_id(),
            time: cx.now,
            remote: self.peer.remote.to_string(),
            authority: &self.authority,
            asked: Asked { recipient: recipient.map(canonical), ..self.asked.clone() },
        }
    }

    /// Notes the envelope sender for the records to come.
    pub(crate) fn note_envelope(&mut self, sender: Option<&Address>) {
        self.asked = Asked { mail_from: Some(sender.map_or("<>".to_owned(), canonical)), ..Asked::default() };
    }

    /// Notes the header senders for the records to come.
    pub(crate) fn note_senders(&mut self, senders: Option<&Senders>) {
        let Some(senders) = senders else { return };
        let address = |mailbox: &Mailbox| canonical(&mailbox.address);
        self.asked.from = senders.from.iter().map(address).collect();
        self.asked.sender = senders.sender.as_ref().map(address);
        let resent = senders.resent.iter().flat_map(|resent| resent.from.iter().chain(&resent.sender));
        self.asked.resent = resent.map(address).collect();
    }
}

fn canonical(address: &Address) -> String {
    address.canonical().to_string()
}
