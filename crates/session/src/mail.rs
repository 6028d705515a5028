//! MAIL FROM (RFC 5321 §4.1.1.2).

use directory::{Rewrite, RewriteHeaders};
use rights::Refusal;
use smtp::{AuthParam, BodyType, MailParams, ReversePath};

use crate::host::{Extensions, Output, Wait};
use crate::refusal::asked_from;
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
        if self.transaction.is_some() {
            self.reply(replies::bad_sequence("Sender already specified"), out);
            return Wait::Nothing;
        }
        // Parameters belong to extensions that the client has been told of (RFC 5321 §4.1.1.11).
        let unknown = !greeted.extended && *params != MailParams::default();
        let reports = (params.ret.is_some() || params.envid.is_some()) && !cx.connector.status_notification;
        let binary = params.body == Some(BodyType::BinaryMime);
        if unknown || reports || (binary && !(cx.connector.chunking && cx.connector.binary_mime)) {
            self.reply(replies::unsupported_parameter(), out);
            return Wait::Nothing;
        }
        // HTTP has rules of its own about where it may be plain.
        if cx.connector.require_tls && self.tls.is_none() && !self.http {
            self.reply(replies::tls_required(), out);
            return Wait::Nothing;
        }
        // RFC 8689 §4.1: what has come in the open cannot be kept from being read any more.
        if params.requiretls && self.tls.is_none() {
            self.reply(replies::tls_required(), out);
            return Wait::Nothing;
        }
        let came = from.address();
        let rewrites = cx.connector.rewrite_headers == RewriteHeaders::All && !cx.connector.rewrites.is_empty();
        let written = came.filter(|_| rewrites).and_then(|sender| Rewrite::apply(&cx.connector.rewrites, sender));
        let sender = written.as_ref().or(came);
        if [came, sender].into_iter().flatten().any(|sender| self.lacks_certificate(cx, sender)) {
            self.reply(replies::certificate_required(), out);
            return Wait::Nothing;
        }
        let marked_anonymous = params.auth == Some(AuthParam::Null);
        let (snapshot, authority) = (cx.snapshot, &self.authority);
        let pausing =
            |sender| rights::Transaction::mail_from_pausing(snapshot, authority, cx.now, sender, marked_anonymous);
        // What a message waits for is decided about the addresses that it will have; with those that came it must be allowed.
        let decided = match rewrites {
            false => pausing(came),
            true => rights::Transaction::mail_from(snapshot, authority, cx.now, came, marked_anonymous),
        };
        let rights = match decided {
            Ok(rights) => rights,
            Err(denied) => return self.refuse(cx, &denied, asked_from(came), out),
        };
        let rewritten = match rewrites.then(|| pausing(sender)).transpose() {
            Ok(rewritten) => rewritten,
            Err(denied) => return self.refuse(cx, &denied, asked_from(sender), out),
        };
        // RFC 1870 §6.1: refused now rather than after it was sent.
        let limit = rights.size_limit(cx.snapshot, &self.authority, cx.now);
        if let (Some(size), Some(limit)) = (params.size, limit)
            && size > limit
        {
            self.reply(replies::refusal(&Refusal::TooLarge { limit }, None), out);
            return Wait::Nothing;
        }
        if let Err(wait) = self.within_rates(cx, out) {
            return wait;
        }
        self.transaction = Some(Transaction {
            rights,
            rewritten,
            sender: sender.cloned(),
            recipients: Vec::new(),
            rcpt_commands: 0,
            smtputf8: params.smtputf8,
            eight_bit: binary || params.body == Some(BodyType::EightBitMime),
            body_begun: false,
            chunks: None,
            extensions: Extensions {
                ret: params.ret,
                envid: params.envid.clone(),
                require_tls: params.requiretls,
                binary,
            },
            exch50: None,
        });
        self.reply(replies::sender_ok(), out);
        Wait::Nothing
    }
}
