//! Trust by address goes neither with strangers nor with every address (`authorization.md` §2): a change that leads there
//! is refused, and where it came from elsewhere `status` says that it is ignored.

use directory::{ObjectId, Snapshot};
use rights::AddressTrust;

use crate::error::{Fault, FaultKind};

/// Why a connector's ExternalAuthoritative is ignored; `None` where it counts, or is not set.
pub fn ignored_because(snapshot: &Snapshot, connector: ObjectId) -> Option<&'static str> {
    match rights::address_trust(snapshot, connector) {
        AddressTrust::TakesStrangers => Some("it also takes strangers (AnonymousUsers)"),
        AddressTrust::Unbounded => Some("its remote IP ranges have no bound"),
        AddressTrust::Off | AddressTrust::Believed => None,
    }
}

/// Refuses a change after which a connector would trust addresses that prove nothing. One that did so before may be
/// changed, for that may mend it.
pub fn check(before: &Snapshot, after: &Snapshot) -> Result<(), Fault> {
    for (id, connector) in after.receive_connectors() {
        if let Some(because) = ignored_because(after, id)
            && ignored_because(before, id).is_none()
        {
            let message = format!("{}: ExternalAuthoritative is refused: {because}", connector.name);
            return Err(Fault::new(FaultKind::Invalid, message)
                .help("give the connector bounded remote IP ranges, and take Submit away from ANONYMOUS LOGON there"));
        }
    }
    crate::connectors::rules::check(before, after)
}
