//! RCPT TO (RFC 5321 §4.1.1.3).

use directory::Snapshot;
use message::Address;
use rights::{Asked, Denied, Refusal};
use smtp::{ForwardPath, RcptParams};

use crate::host::{Output, Recipient, Wait};
use crate::refusal::canonical;
use crate::replies;
use crate::session::{Context, Session};

impl Session {
    /// Every recipient is asked about, whatever came before it (attack 2).
    pub(crate) fn rcpt(
        &mut self,
        cx: &Context<'_>,
        to: &ForwardPath,
        params: &RcptParams,
        out: &mut dyn Output,
    ) -> Wait {
        let Some(transaction) = &mut self.transaction else {
            self.reply(replies::bad_sequence("Need MAIL before RCPT"), out);
            return Wait::Nothing;
        };
        let address = match to {
            ForwardPath::Postmaster => postmaster(cx.snapshot),
            ForwardPath::Address(address) => Some(address.clone()),
        };
        let refusal = match &address {
            _ if *params != RcptParams::default() => Some(replies::unsupported_parameter()),
            None => Some(replies::no_postmaster()),
            Some(address) if !address.is_ascii() && !transaction.smtputf8 => Some(replies::utf8_recipient()),
            _ if transaction.recipients.len() >= cx.connector.max_recipients as usize => {
                Some(replies::too_many_recipients())
            }
            _ => None,
        };
        let address = match (refusal, address) {
            (None, Some(address)) => address,
            (refusal, _) => {
                self.reply(refusal.unwrap_or_else(replies::no_postmaster), out);
                return Wait::Nothing;
            }
        };
        let grant = match transaction.rights.recipient(cx.snapshot, &self.authority, cx.now, &address) {
            Ok(grant) => grant,
            Err(denied) => return self.refuse_recipient(cx, &denied, &address, out),
        };
        let canonical = address.canonical();
        // The same mailbox twice in one message is one delivery (RFC 5321 §4.1.1.3 leaves it to us).
        if !transaction.recipients.iter().any(|recipient| recipient.canonical == canonical) {
            let guid = |owner| cx.snapshot.object(owner).map(|object| (owner, object.guid()));
            let owner = grant.object.and_then(guid);
            transaction.recipients.push(Recipient { address, canonical, owner });
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
            true => {
                let reply = self.refusal_reply(cx, denied, asked, out);
                self.reply_slowly(cx, reply, out)
            }
            false => self.refuse(cx, denied, asked, out),
        }
    }
}

/// `<Postmaster>` without a domain: that of the default accepted domain (RFC 5321 §4.5.1).
fn postmaster(snapshot: &Snapshot) -> Option<Address> {
    let (_, domain) = snapshot.accepted_domains().find(|(_, domain)| domain.default)?;
    Address::parse(&format!("postmaster@{}", domain.name)).ok()
}
