//! A real server on loopback sockets, driven by raw clients and by hosts that misbehave.

// What a test takes for granted may fail it.
#![allow(clippy::unwrap_used)]

mod delivery;
mod hosts;
mod memory;
mod receive;
mod shutdown;
mod site;
mod tls;
mod wire;
