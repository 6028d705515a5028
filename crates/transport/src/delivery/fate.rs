//! What became of one recipient in an attempt.

use smtp::Reply;

/// What became of one recipient in an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The mailbox has the message.
    Delivered,
    /// The next hop has it.
    Relayed {
        /// Its name.
        host: String,
        /// It offers DSN: it reports itself what becomes of it.
        reports: bool,
    },
    /// To be tried again.
    Deferred {
        /// Why.
        reason: String,
        /// Not only this recipient: nothing can be delivered to its destination at present.
        everybody: bool,
        /// It may be because of this message: it is not the first to be tried again.
        itself: bool,
    },
    /// Given up.
    Failed(Failure),
}

/// Why a recipient was given up, as its sender is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Enhanced status code.
    pub(crate) status: (u8, u16, u16),
    /// In words.
    pub(crate) reason: String,
    /// The host that said so.
    pub(crate) host: Option<String>,
    /// Its reply, as received.
    pub(crate) reply: Option<String>,
}

impl Fate {
    /// Whether the destination answered about this message: it is up, even where it does not want it.
    pub(crate) fn is_answer(&self) -> bool {
        match self {
            Fate::Delivered | Fate::Relayed { .. } => true,
            Fate::Failed(failure) => failure.reply.is_some(),
            Fate::Deferred { everybody, .. } => !everybody,
        }
    }

    /// Temporary, and for this recipient alone.
    pub(crate) fn later(reason: impl Into<String>) -> Fate {
        Fate::Deferred { reason: reason.into(), everybody: false, itself: true }
    }

    /// Temporary, and for everything that goes to the same destination.
    pub(crate) fn down(reason: impl Into<String>) -> Fate {
        Fate::Deferred { reason: reason.into(), everybody: true, itself: false }
    }

    /// Temporary: the connection broke in the middle of the message, because of the host or because of the message.
    pub(crate) fn broken(reason: impl Into<String>) -> Fate {
        Fate::Deferred { reason: reason.into(), everybody: true, itself: true }
    }

    /// Temporary, because `host` takes no mail at all now.
    pub(crate) fn unwilling(host: &str, reply: &Reply) -> Fate {
        Fate::down(format!("{host} said: {}", one_line(reply)))
    }

    /// Permanent, by our own judgement.
    pub(crate) fn failed(status: (u8, u16, u16), reason: impl Into<String>) -> Fate {
        Fate::Failed(Failure { status, reason: reason.into(), host: None, reply: None })
    }

    /// Permanent, because `host` replied so.
    pub(crate) fn refused(host: &str, reply: &Reply) -> Fate {
        Fate::Failed(Failure {
            status: reply.enhanced.unwrap_or((5, 0, 0)),
            reason: format!("{host} refused the message: {}", one_line(reply)),
            host: Some(host.to_owned()),
            reply: Some(one_line(reply)),
        })
    }

    /// Temporary, because `host` replied so.
    pub(crate) fn put_off(host: &str, reply: &Reply) -> Fate {
        Fate::later(format!("{host} said: {}", one_line(reply)))
    }
}

/// A reply on one line.
pub(crate) fn one_line(reply: &Reply) -> String {
    reply.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" / ")
}
