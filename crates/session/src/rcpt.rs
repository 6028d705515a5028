//! RCPT TO (RFC 5321 §4.1.1.3).

use directory::{Rewrite, Snapshot};
use message::Address;
use rights::{Asked, Denied, Refusal};
use smtp::{ForwardPath, OriginalRecipient, RcptParams, Reply};

use crate::host::{LogEntry, Output, Recipient, Sent, Wait};
use crate::refusal::canonical;
use crate::replies;
use crate::session::{Context, Session};
use crate::transaction::Transaction;

impl Session {
    /// Every recipient is asked about, whatever came before it (attack 2).
    pub(crate) fn rcpt(
        &mut self,
        cx: &Context<'_>,
        to: &ForwardPath,
        params: &RcptParams,
        out: &mut dyn Output,
    ) -> Wait {
        let extended = self.greeted.as_ref().is_some_and(|greeted| greeted.extended);
        let Some(transaction) = &mut self.transaction else {
            self.reply(replies::bad_sequence("Need MAIL before RCPT"), out);
            return Wait::Nothing;
        };
        // Nobody is added to a message whose text has begun: it was decided for those named before (RFC 3030 §2).
        if transaction.chunks.is_some() {
            self.reply(replies::bad_sequence("RCPT cannot follow BDAT"), out);
            return Wait::Nothing;
        }
        let named = match destination(cx, transaction, to, (params, extended)) {
            Ok(address) => address,
            Err(refusal) => {
                self.reply(refusal, out);
                return Wait::Nothing;
            }
        };
        if !self.tells_recipients(cx, false) {
            return self.put_off_guessing(cx, out);
        }
        let Some(transaction) = &mut self.transaction else { return Wait::Nothing };
        let address = Rewrite::apply(&cx.connector.rewrites, &named).unwrap_or_else(|| named.clone());
        let grant = match transaction.rights.recipient(cx.snapshot, &self.authority, cx.now, &address) {
            Ok(grant) => grant,
            Err(denied) => return self.refuse_recipient(cx, &denied, &address, out),
        };
        if let Some(rewritten) = &mut transaction.rewritten
            && let Err(denied) = rewritten.recipient(cx.snapshot, &self.authority, cx.now, &address)
        {
            return self.refuse_recipient(cx, &denied, &address, out);
        }
        transaction.rcpt_commands += 1;
        let canonical = address.canonical();
        // The same mailbox twice in one message is one delivery (RFC 5321 §4.1.1.3 leaves it to us).
        if !transaction.recipients.iter().any(|recipient| recipient.canonical == canonical) {
            if let Err(wait) = self.within_limits(cx, Sent::Recipient, out) {
                return wait;
            }
            let Some(transaction) = &mut self.transaction else { return Wait::Nothing };
            let guid = |owner| cx.snapshot.object(owner).map(|object| (owner, object.guid()));
            let owner = grant.object.and_then(guid);
            let mut params = params.clone();
            // RFC 3461 §4.2: the sender is to recognize in a report whom it wrote to.
            if address != named && params.orcpt.is_none() && named.is_ascii() {
                let (kind, address) = ("rfc822".to_owned(), named.to_string());
                params.orcpt = Some(OriginalRecipient { kind, address });
            }
            transaction.recipients.push(Recipient { address, canonical, owner, params });
        }
        self.reply(replies::recipient_ok(), out);
        Wait::Nothing
    }

    /// A stranger who tries out addresses is answered slowly.
    fn refuse_recipient(
        &mut self,
        cx: &Context<'_>,
        denied: &Denied,
        recipient: &Address,
        out: &mut dyn Output,
    ) -> Wait {
        let asked = Asked { recipient: Some(canonical(recipient)), ..self.asked() };
        let guess = matches!(denied.refusal, Refusal::UserUnknown(_)) && self.authority.account.is_none();
        match guess {
            true if !self.tells_recipients(cx, true) => self.put_off_guessing(cx, out),
            true => {
                let reply = self.refusal_reply(cx, denied, asked, out);
                self.reply_slowly(cx, reply, out)
            }
            false => self.refuse(cx, denied, asked, out),
        }
    }

    /// Who has named too many recipients that there are not is told nothing for a while, of those that there are neither.
    fn put_off_guessing(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Wait {
        out.log(LogEntry::Information {
            context: "Unknown recipients exceeded",
            data: &self.peer.remote.ip().to_string(),
        });
        self.reply_slowly(cx, replies::too_many_unknown(), out)
    }
}

/// The address that a RCPT command names, unless the command itself is refused.
fn destination(
    cx: &Context<'_>,
    transaction: &Transaction,
    to: &ForwardPath,
    (params, extended): (&RcptParams, bool),
) -> Result<Address, Reply> {
    if *params != RcptParams::default() && !(extended && cx.connector.status_notification) {
        return Err(replies::unsupported_parameter());
    }
    if transaction.rcpt_commands >= cx.connector.max_recipients {
        return Err(replies::too_many_recipients());
    }
    match to {
        ForwardPath::Postmaster => postmaster(cx.snapshot).ok_or_else(replies::no_postmaster),
        ForwardPath::Address(address) if !address.is_ascii() && !transaction.smtputf8 => Err(replies::utf8_recipient()),
        ForwardPath::Address(address) => Ok(address.clone()),
    }
}

/// `<Postmaster>` without a domain: that of the default accepted domain (RFC 5321 §4.5.1).
fn postmaster(snapshot: &Snapshot) -> Option<Address> {
    let (_, domain) = snapshot.accepted_domains().find(|(_, domain)| domain.default)?;
    Address::parse(&format!("postmaster@{}", domain.name)).ok()
}
