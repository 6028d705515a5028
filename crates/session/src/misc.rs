//! RSET, NOOP, QUIT, VRFY, EXPN, HELP, XEXCH50, and verbs that are not known.

use crate::host::{Host, LogEntry, Output, Wait};
use crate::replies;
use crate::session::Phase;
use crate::session::{Context, Session};

/// The largest XEXCH50 blob that is read. It carries properties of one message, not the message.
const MAX_BLOB: u64 = 1 << 20;

/// The data of XEXCH50, read and dropped.
pub(crate) struct Blob {
    left: u64,
}

impl Session {
    pub(crate) fn rset(&mut self, out: &mut dyn Output) -> Wait {
        self.reset_transaction(out);
        self.reply(replies::reset(), out);
        Wait::Nothing
    }

    pub(crate) fn noop(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::ok(), out);
        Wait::Nothing
    }

    pub(crate) fn quit(&mut self, out: &mut dyn Output) -> Wait {
        self.end(replies::closing(), out)
    }

    /// Neither tells who exists (RFC 5321 §7.3), and neither touches the transaction (attack 7).
    pub(crate) fn vrfy(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::cannot_verify(), out);
        Wait::Nothing
    }

    pub(crate) fn help(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::help(), out);
        Wait::Nothing
    }

    pub(crate) fn not_implemented(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::not_implemented(), out);
        Wait::Nothing
    }

    pub(crate) fn unrecognized(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::unrecognized(), out);
        Wait::Nothing
    }

    /// `XEXCH50 size version` after RCPT: properties of a message between servers of the time before 2007. The blob is
    /// read and dropped, with the right (nothing here could keep it) and without (`authorization.md` §4); the message is
    /// accepted either way. Not offered in the reply to EHLO.
    pub(crate) fn xexch50(&mut self, cx: &Context<'_>, size: u64, out: &mut dyn Output) -> Wait {
        let Some(transaction) = self.transaction.as_ref().filter(|transaction| !transaction.recipients.is_empty())
        else {
            self.reply(replies::bad_sequence("Need RCPT before XEXCH50"), out);
            return Wait::Nothing;
        };
        if size > MAX_BLOB {
            self.reply(replies::blob_too_large(), out);
            return Wait::Nothing;
        }
        let held = transaction.rights.accepts_exch50(cx.snapshot, &self.authority, cx.now);
        let data = if held { "Accept Exch50 is held" } else { "Accept Exch50 is not held" };
        out.log(LogEntry::Information { context: "XEXCH50 dropped", data });
        self.reply(replies::send_binary(), out);
        self.phase = Phase::Blob(Blob { left: size });
        self.end_of_blob(out)
    }

    pub(crate) fn take_blob(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> (usize, Wait) {
        let Phase::Blob(blob) = &mut self.phase else { return (input.len(), Wait::Close) };
        let taken = usize::try_from(blob.left).unwrap_or(usize::MAX).min(input.len());
        blob.left -= taken as u64;
        let wait = match blob.left {
            0 => self.within(host, out, |session, _, out| session.end_of_blob(out)),
            _ => Wait::Nothing,
        };
        (taken, wait)
    }

    fn end_of_blob(&mut self, out: &mut dyn Output) -> Wait {
        if matches!(&self.phase, Phase::Blob(blob) if blob.left == 0) {
            self.phase = Phase::Command;
            self.reply(replies::blob_taken(), out);
        }
        Wait::Nothing
    }
}
