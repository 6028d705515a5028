//! The header firewall on the way out: what a receiver may see (S2 table 5).

use acl::Outcome;
use directory::{HostKind, ObjectId, Snapshot, Time};
use message::firewall::Keep;

use crate::decide::{Facts, Question, decide};
use crate::table::RightName;
use crate::trace::NoTrace;

/// Who receives, as far as it was proven. That we log on to a receiver proves nothing about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A server that proved nothing: ANONYMOUS LOGON.
    Anonymous,
    /// A server proven by its certificate, or believed by configuration.
    Host(HostKind),
}

/// Which firewalled header fields a message keeps when it leaves by this send connector to this receiver.
pub fn send_headers(snapshot: &Snapshot, connector: ObjectId, receiver: &Receiver, time: Time) -> Keep {
    let holds = |right| holds(snapshot, connector, receiver, time, right);
    Keep {
        routing: holds(RightName::SendHeadersRouting),
        organization: holds(RightName::SendHeadersOrganization),
        forest: holds(RightName::SendHeadersForest),
    }
}

/// Whether a message that leaves by this send connector to this receiver takes its data of XEXCH50 along.
pub fn send_exch50(snapshot: &Snapshot, connector: ObjectId, receiver: &Receiver, time: Time) -> bool {
    holds(snapshot, connector, receiver, time, RightName::SendExch50)
}

fn holds(snapshot: &Snapshot, connector: ObjectId, receiver: &Receiver, time: Time, right: RightName) -> bool {
    let token = match receiver {
        Receiver::Anonymous => snapshot.anonymous_token(),
        Receiver::Host(kind) => snapshot.host_token(kind.clone()),
    };
    let facts = Facts { connector, logon: None, time };
    decide::<NoTrace>(snapshot, &token, &facts, &Question::Right(right)).outcome == Outcome::Allow
}
