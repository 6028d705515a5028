//! RSET, NOOP, QUIT, VRFY, EXPN, HELP, XEXCH50, and verbs that are not known.

use smtp::Reply;

use crate::host::{Host, LogEntry, Output, Wait};
use crate::replies;
use crate::session::{Context, Phase, Session};

/// The largest XEXCH50 blob that is read. It carries properties of one message, not the message.
const MAX_BLOB: u64 = 1 << 20;

/// The largest that is kept with its message.
const MAX_KEPT: u64 = 64 << 10;

/// Bytes that belong to a command, and what is answered when they have been read.
pub(crate) struct Blob {
    left: u64,
    reply: Reply,
    /// Those that are kept; `None`: they are dropped.
    kept: Option<Vec<u8>>,
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

    pub(crate) fn unrecognized(&mut self, out: &mut dyn Output) -> Wait {
        self.reply(replies::unrecognized(), out);
        Wait::Nothing
    }

    /// `XEXCH50 size version` after RCPT: properties of a message between servers of the time before 2007. The blob is
    /// kept with the message by a session that holds Accept Exch50, and else read and dropped (`authorization.md` §4); the
    /// message is accepted either way.
    pub(crate) fn xexch50(&mut self, cx: &Context<'_>, size: u64, out: &mut dyn Output) -> Wait {
        let Some(transaction) = self.transaction.as_ref().filter(|transaction| !transaction.recipients.is_empty())
        else {
            self.reply(replies::bad_sequence("Need RCPT before XEXCH50"), out);
            return Wait::Nothing;
        };
        if transaction.chunks.is_some() {
            self.reply(replies::bad_sequence("XEXCH50 cannot follow BDAT"), out);
            return Wait::Nothing;
        }
        if size > MAX_BLOB {
            self.reply(replies::blob_too_large(), out);
            return Wait::Nothing;
        }
        let held = transaction.rights.accepts_exch50(cx.snapshot, &self.authority, cx.now);
        let kept = held && size <= MAX_KEPT;
        match (kept, held) {
            (true, _) => {}
            (false, true) => out.log(LogEntry::Information { context: "XEXCH50 dropped", data: "it is too large" }),
            (false, false) => {
                out.log(LogEntry::Information { context: "XEXCH50 dropped", data: "Accept Exch50 is not held" });
            }
        }
        self.reply(replies::send_binary(), out);
        self.take_in(Blob { left: size, reply: replies::blob_taken(), kept: kept.then(Vec::new) }, out)
    }

    fn take_in(&mut self, blob: Blob, out: &mut dyn Output) -> Wait {
        match blob.left {
            0 => {
                if let (Some(data), Some(transaction)) = (blob.kept, &mut self.transaction) {
                    transaction.exch50 = Some(data);
                }
                self.reply(blob.reply, out);
            }
            _ => self.phase = Phase::Blob(blob),
        }
        Wait::Nothing
    }

    pub(crate) fn take_blob(&mut self, host: &dyn Host, input: &[u8], out: &mut dyn Output) -> (usize, Wait) {
        let Phase::Blob(mut blob) = std::mem::replace(&mut self.phase, Phase::Command) else {
            return (input.len(), Wait::Close);
        };
        let taken = usize::try_from(blob.left).unwrap_or(usize::MAX).min(input.len());
        blob.left -= taken as u64;
        if let Some(kept) = &mut blob.kept {
            kept.extend_from_slice(&input[..taken]);
        }
        if blob.left > 0 {
            self.phase = Phase::Blob(blob);
            return (taken, Wait::Nothing);
        }
        (taken, self.within(host, out, |session, _, out| session.take_in(blob, out)))
    }
}
