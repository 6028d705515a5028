//! MAIL FROM (RFC 5321 §4.1.1.2).

use rights::Refusal;
use smtp::{AuthParam, BodyType, MailParams, ReversePath};

use crate::host::{Output, Wait};
use crate::replies;
use crate::session::{Context, Session};
use crate::transaction::Transaction;

impl Session {
    pub(crate) fn mail(
        &mut self,
        cx: &Context<'_>,
        from: &ReversePath,
        params: &MailParams,
        out: &mut dyn Output,
    ) -> Wait {
        let Some(greeted) = &self.greeted else {
            self.reply(replies::bad_sequence("Send EHLO or HELO first"), out);
            return Wait::Nothing;
        };
        let plain = *params == MailParams::default();
        let refusal = match from.address() {
            _ if self.transaction.is_some() => Some(replies::bad_sequence("Sender already specified")),
            // Parameters belong to extensions that the client has been told of (RFC 5321 §4.1.1.11); DSN is none.
            _ if !plain && !greeted.extended => Some(replies::unsupported_parameter()),
            _ if params.ret.is_some() || params.envid.is_some() => Some(replies::unsupported_parameter()),
            Some(sender) if !sender.is_ascii() && !params.smtputf8 => Some(replies::utf8_sender()),
            _ => None,
        };
        if let Some(refusal) = refusal {
            self.reply(refusal, out);
            return Wait::Nothing;
        }
        let sender = from.address();
        self.note_envelope(sender);
        let marked_anonymous = params.auth == Some(AuthParam::Null);
        let decided = rights::Transaction::mail_from(cx.snapshot, &self.authority, cx.now, sender, marked_anonymous);
        let rights = match decided {
            Ok(rights) => rights,
            Err(denied) => return self.refuse(cx, &denied, None, out),
        };
        // RFC 1870 §6.1: refused now rather than after it was sent.
        let limit = rights.size_limit(cx.snapshot, &self.authority, cx.now);
        if let (Some(size), Some(limit)) = (params.size, limit)
            && size > limit
        {
            self.reply(replies::refusal(&Refusal::TooLarge { limit }, None), out);
            return Wait::Nothing;
        }
        self.transaction = Some(Transaction {
            rights,
            sender: sender.cloned(),
            recipients: Vec::new(),
            smtputf8: params.smtputf8,
            eight_bit: params.body == Some(BodyType::EightBitMime),
            body_begun: false,
        });
        self.reply(replies::sender_ok(), out);
        Wait::Nothing
    }
}
