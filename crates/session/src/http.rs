//! Submission by HTTP: a session without a connection. Who it is was proven before, by a token; from there on all goes as
//! after AUTH, by the same commands, with the same decisions and the same replies.

use directory::{FolderKind, ObjectId};

use crate::auth::{PendingLogon, Then, identified, named};
use crate::ehlo::Greeted;
use crate::host::{Host, Identity, Output, Wait};
use crate::session::{Phase, Session};

/// What a program of this machine is called in trace fields.
pub const LOCAL: &str = "localhost";

/// What a folder of files is called in trace fields and records, as in the reference.
pub(crate) fn folder_name(kind: FolderKind) -> &'static str {
    match kind {
        FolderKind::Pickup => "Pickup",
        FolderKind::Replay => "Replay",
    }
}

/// Whether this is the name of a folder. Whoever comes by HTTP has an address for a name, or is [`LOCAL`].
pub(crate) fn is_folder(name: &str) -> bool {
    FolderKind::ALL.into_iter().any(|kind| folder_name(kind) == name)
}

/// Who submits, as far as it was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitter<'a> {
    /// An account of the directory.
    Account(ObjectId),
    /// Somebody, in the words of another authority.
    Identity(&'a Identity),
}

impl Session {
    /// Logs a new session on, to a mailbox other than the account's own where one is named, and gives it the name `name`
    /// for the trace fields. Answered as AUTH is: `235`, or `535` to whoever may not submit on the connector. After that
    /// the session takes MAIL, RCPT and DATA.
    pub fn submit_by_http(
        &mut self,
        host: &dyn Host,
        who: Submitter<'_>,
        mailbox: Option<&str>,
        name: &str,
        out: &mut dyn Output,
    ) -> Wait {
        if !matches!(self.phase, Phase::Connected) {
            return Wait::Close;
        }
        self.http = true;
        self.phase = Phase::Command;
        self.greeted = Some(Greeted { name: name.to_owned(), extended: true });
        self.within(host, out, |session, cx, out| {
            let pending = match who {
                Submitter::Account(account) => {
                    let enabled = cx.snapshot.account_token(account).is_ok();
                    let mailbox = named(cx.snapshot, mailbox, Some(account));
                    enabled.then_some(PendingLogon {
                        account: Some(account),
                        mailbox,
                        then: Then::LogOn,
                        linked: false,
                    })
                }
                Submitter::Identity(identity) => identified(cx, identity, mailbox),
            };
            match pending {
                Some(pending) => session.log_on(cx, pending, out),
                None => session.authentication_failed(cx, out),
            }
        })
    }

    /// Makes a new session that of a file in a folder: of the account that the file is taken for, or of nobody. Answered
    /// with `535` to an account that may not submit on the connector. After that the session takes MAIL, RCPT and DATA.
    pub fn submit_by_folder(
        &mut self,
        host: &dyn Host,
        kind: FolderKind,
        account: Option<ObjectId>,
        out: &mut dyn Output,
    ) -> Wait {
        if let Some(account) = account {
            return self.submit_by_http(host, Submitter::Account(account), None, folder_name(kind), out);
        }
        if !matches!(self.phase, Phase::Connected) {
            return Wait::Close;
        }
        self.http = true;
        self.greeted = Some(Greeted { name: folder_name(kind).to_owned(), extended: true });
        self.within(host, out, |session, cx, out| {
            session.phase = Phase::Command;
            session.log_permissions(cx, out);
            Wait::Nothing
        })
    }

    /// The account that is logged on.
    pub fn account(&self) -> Option<ObjectId> {
        self.authority.account
    }

    /// The message whose text is on its way is refused already, whatever follows.
    pub fn has_refused(&self) -> bool {
        matches!(&self.phase, Phase::Data(reception) if reception.is_refused())
    }
}
