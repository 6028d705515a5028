//! A small organization, and states that it passes through.

use std::sync::{Arc, LazyLock};

use directory::{ObjectId, Snapshot, Time};

use crate::organization::Organization;
use crate::script;

/// Connectors that a session may come in by.
pub const CONNECTORS: [&str; 4] = ["client", "internet", "lax", "trusted"];
/// The one that takes everybody, and passwords in clear.
pub const LAX: usize = 2;
/// Addresses that no stranger may use.
pub const ADDRESSES: [&str; 3] = ["bob@example.com", "ceo@example.com", "alice@example.com"];

/// An organization in several states.
pub struct World {
    pub passwords: Organization,
    pub connectors: Vec<ObjectId>,
    /// The demo; bob without what he had; bob disabled; two connectors gone.
    pub states: Vec<Arc<Snapshot>>,
}

/// An account that the host has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmed(pub ObjectId);

pub static WORLD: LazyLock<World> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/session/tests/scripts/demo.organization");
    let text = std::fs::read_to_string(path)
        .or_else(|_| std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scripts/demo.organization")))
        .expect("the demo organization is there");
    let text = text
        + "\nconnector lax groups=AnonymousUsers,ExchangeUsers auth=tls,basic max-message-size=4000 tarpit=5\n\
           connector trusted groups=ExchangeServers auth=external ranges=192.0.2.0/24 max-errors=100\n\
           set connector:internet max-errors=100 max-header-size=500 max-recipients=3\n\
           set ceo authenticated-senders-only=yes\n\
           grant send-as on ceo to bob\n";
    let mut organization = Organization::new();
    for statement in script::parse(&text).expect("the organization parses").statements {
        if let script::Kind::Organization(words) = statement.kind {
            organization.apply(&words, Time(0)).expect("the organization can be built");
        }
    }
    let connectors = CONNECTORS.iter().map(|name| organization.connector(name).expect("a connector")).collect();
    let mut changed = Organization::new_from(organization.snapshot());
    let mut states = vec![changed.snapshot()];
    for changes in
        ["revoke send-as on ceo from bob", "disable bob", "delete connector:lax", "delete connector:internet"]
    {
        changed.apply(&script::words(changes).expect("words"), Time(0)).expect("the change can be made");
        states.push(changed.snapshot());
    }
    World { passwords: organization, connectors, states }
});
