//! What the end-to-end tests share: the server under test, the clients that people use, and tables of expectations.
//!
//! Each test starts servers of its own in a temporary folder on free ports of the loopback interface. The server is the
//! binary `procura` beside the test's own (`cargo build --bin procura` makes it; `./test` does so), or the one that the
//! environment variable `PROCURA_BIN` names.
//!
//! Expected outcomes come from the authorization model, never from what a server was seen to do.

// A test stops at the first thing that is not as it must be, and so does what the tests share.
#![allow(clippy::unwrap_used)]

mod client;
mod demo;
mod dns;
mod domain_controller;
mod domain_pair;
mod domain_site;
mod dovecot;
mod exim;
mod forest;
mod http;
mod issuer;
mod mailboxes;
mod meddler;
mod network;
mod node;
mod outcome;
mod page;
mod peer;
mod postfix;
mod server;
mod sink;
mod swarm;
mod table;
mod talk;
mod tickets;

pub use client::{Attempt, Logon, Mechanism, Tool};
pub use demo::Demo;
pub use dns::NameServer;
pub use domain_controller::DomainController;
pub use domain_pair::DomainPair;
pub use domain_site::{DomainSite, send_as, until_sent};
pub use dovecot::Dovecot;
pub use exim::Exim;
pub use forest::Forest;
pub use http::{Answer, Hook, Http, Post};
pub use issuer::Issuer;
pub use meddler::Meddler;
pub use network::Network;
pub use node::Node;
pub use outcome::{Message, Outcome};
pub use page::{Known, Shell, Step, steps};
pub use peer::{Peer, faketime, require, skip_without};
pub use postfix::Postfix;
pub use server::{Finished, Server, finish, free_port, procura, procura_with_fail_points, run_procura, wait_for};
pub use sink::Sink;
pub use swarm::{StalledHosts, hand_in};
pub use table::run_table;
pub use talk::Talk;
pub use tickets::Tickets;
