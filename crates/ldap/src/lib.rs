//! Active Directory as a source of the directory.
//!
//! A small LDAP client ([`message`], [`connection`]) that never panics on what a server says, reads whole domains
//! ([`controller`]) and follows their changes ([`changes`]), and turns what it finds into changes of our directory ([`mirror`]). [`Active`]
//! runs all of it. Knows nothing of SMTP.
//!
//! What is read of a domain stands in our own store as everything else does: a restart needs no domain controller, and
//! inheritance and membership are worked out here, because a domain controller does not say when they change
//! (MS-ADTS 3.1.1.3.4.1.3).

pub mod ber;
pub mod changes;
pub mod connection;
pub mod controller;
pub mod controls;
mod followed;
pub mod found;
mod lockout;
mod login;
mod loose;
pub mod message;
pub mod mirror;
mod presence;
mod settings;
mod source;
pub mod state;
mod test;
pub mod tickets;
mod watch;
mod wire;
mod write;

pub use connection::{Connection, LdapError};
pub use lockout::Policy;
pub use login::Login;
pub use settings::{Address, Security, Settings, SettingsError, tls};
pub use source::{Active, Sink, load_once};
pub use test::{Finding, look, test};
pub use write::{WriteError, Written};
