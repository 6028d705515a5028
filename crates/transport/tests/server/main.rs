//! A real server on loopback sockets, driven by raw clients and by hosts that misbehave.

// What a test takes for granted may fail it.
#![allow(clippy::unwrap_used)]

mod binary;
mod certificates;
mod delivery;
#[path = "../../../../tests/e2e/src/dns.rs"]
mod dns;
mod extensions;
mod folders;
mod guessing;
mod hosts;
mod lmtp;
mod logging_on;
mod memory;
mod protocol_log;
mod receive;
mod recipients;
mod routing;
mod sending;
mod sending_limits;
mod shutdown;
mod site;
mod strangers;
mod tls;
mod tls_policies;
mod wire;
