//! The directory of Procura: objects and names, tokens, effective descriptors, and the immutable
//! [`Snapshot`] on which every decision is made. Pure: no I/O, no clock, no randomness.
//!
//! The way in is one stream of changes: LDIF ([`import`]), commands and the AdminSDHolder task
//! ([`protected`]) produce [`ChangeBatch`]es; [`Snapshot::apply`] turns one into the next snapshot and a
//! [`ChangeLog`] that says exactly what became durable. A store keeps [`Record`]s and the log; nothing else.

pub mod attributes;
mod change;
mod class;
mod column;
mod config;
mod defaults;
mod descriptor;
pub mod disconnected;
pub mod dn;
mod doubt;
mod edit;
pub mod filter;
pub mod folders;
pub mod import;
mod index;
mod inheritance;
mod kept;
pub mod ldif;
mod linked;
mod links;
mod load;
mod mailbox;
mod object;
pub mod organization;
pub mod protected;
mod record;
mod resolve;
mod shared;
mod sids;
mod snapshot;
mod token;
mod verify;

pub use change::{AttributeChange, Change, ChangeBatch, ChangeError, ChangeLog, ObjectChange};
pub use class::{Class, GroupScope, GroupType};
pub use config::{
    AcceptedDomain, AddressSpace, AuthMechanisms, Config, Database, Domain, DomainKind, Folder, FolderIdentity,
    FolderKind, HeaderFrom, IpRange, OnBehalf, Organization, ProtocolLogging, ReceiveConnector, Rewrite,
    RewriteHeaders, SendAuth, SendConnector, SendTls, SendingLimits, Server, TokenGrant, TokenSource,
};
pub use defaults::default_descriptor;
pub use descriptor::{Descriptor, DescriptorHash};
pub use doubt::Doubt;
pub use load::{LoadError, Loaded, Problem};
pub use object::{Mailbox, Object, ObjectId};
pub use record::{Record, Value, link_by_sid, link_value, parse_link};
pub use resolve::{AddressOwner, NameError};
pub use snapshot::{Applied, Snapshot};
pub use token::{Holders, HostKind, Token, TokenError, TokenKind};
pub use verify::{Discrepancy, Part};

/// Milliseconds since the Unix epoch, UTC. The directory never reads a clock: whoever makes a batch says when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);
