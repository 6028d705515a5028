//! How many messages a minute: over one connection, and from one address (F §3.12 has the limits of receive connectors).

use directory::Time;

use crate::host::Output;
use crate::host::{LogEntry, Sent, Wait};
use crate::replies;
use crate::session::{Context, Session};

/// Milliseconds in which a limit's worth of messages may come at once.
const MINUTE: i64 = 60_000;

/// A limit in messages a minute, as the moment at which none of it is used any more (generic cell rate algorithm).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageRate(i64);

impl MessageRate {
    /// Counts a message, if one more may come. A limit of 0 is none. `now` is by a clock that is never set back.
    pub fn admits(&mut self, now: Time, per_minute: u32) -> bool {
        if per_minute == 0 {
            return true;
        }
        let interval = (MINUTE / i64::from(per_minute)).max(1);
        let from = self.0.max(now.0);
        if from - now.0 > MINUTE - interval {
            return false;
        }
        self.0 = from + interval;
        true
    }

    /// Whether one more may not come. A limit of 0 is none.
    pub fn is_exhausted(&self, now: Time, per_minute: u32) -> bool {
        let mut tried = *self;
        !tried.admits(now, per_minute)
    }

    /// Nothing of any limit is used.
    pub fn is_idle(&self, now: Time) -> bool {
        self.0 <= now.0
    }
}

impl Session {
    /// Whether one more message may come; else the client is told to try again later. A message that the connection's
    /// own limit stops does not count for its source.
    pub(crate) fn within_rates(&mut self, cx: &Context<'_>, out: &mut dyn Output) -> Result<(), Wait> {
        let limits = cx.connector;
        let source = self.peer.remote.ip();
        let admitted = self.rate.admits(cx.host.steady(), limits.rate_per_connection)
            && (limits.rate_per_source == 0
                || cx.host.admits_message(&self.connector_guid, source, limits.rate_per_source));
        if admitted {
            return self.within_limits(cx, Sent::Message, out);
        }
        out.log(LogEntry::Information { context: "Message rate exceeded", data: &source.to_string() });
        self.reply(replies::too_many_messages(), out);
        Err(Wait::Nothing)
    }
}

impl Session {
    /// Whether a stranger may be told now whether a recipient exists; else he is put off, whether or not it does. `unknown`:
    /// this one does not, and counts.
    pub(crate) fn tells_recipients(&self, cx: &Context<'_>, unknown: bool) -> bool {
        let (limit, source) = (cx.connector.unknown_per_source, self.peer.remote.ip());
        let stranger = self.authority.account.is_none() && self.authority.host.is_none();
        let free = limit == 0 || !stranger || cx.connector.folder.is_some();
        free || cx.host.tells_recipients(&self.connector_guid, source, limit, unknown)
    }
}

impl Session {
    /// Whether the account may send one more of these; else it is told so.
    pub(crate) fn within_limits(&mut self, cx: &Context<'_>, what: Sent, out: &mut dyn Output) -> Result<(), Wait> {
        let Some(account) = self.authority.account else { return Ok(()) };
        let Err(reason) = cx.host.admits_sending(cx.snapshot, account, what) else { return Ok(()) };
        out.log(LogEntry::Information { context: "Sending limit reached", data: &reason });
        self.reply(replies::sending_limit(reason), out);
        Err(Wait::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_then_one_by_one() {
        let mut rate = MessageRate::default();
        let start = 1_000_000;
        assert_eq!((0..5).filter(|_| rate.admits(Time(start), 3)).count(), 3);
        assert!(!rate.admits(Time(start + 19_999), 3));
        assert!(rate.admits(Time(start + 20_000), 3));
        assert!(!rate.admits(Time(start + 20_001), 3));
        assert!(rate.is_idle(Time(start + 80_000)));
    }

    #[test]
    fn no_limit_admits_everything() {
        let mut rate = MessageRate::default();
        assert!((0..1000).all(|_| rate.admits(Time(0), 0)));
    }
}
