//! Kerberos (RFC 4120) with keys of AES (RFC 3962), without a C library.
//!
//! [`Keytab`]s are read, tickets asked of a KDC ([`Client`]), contexts of GSS-API begun ([`Initiator`], RFC 4121) and used
//! ([`Channel`]). RC4 and DES are never taken. Whoever accepts tickets does so with these parts too.

mod channel;
mod client;
pub mod der;
mod exchange;
mod initiator;
mod keytab;
mod reply;

pub use channel::{Channel, Key, Side, Unopened};
pub use client::{Ask, Client, ClientError, Ticket};
pub use initiator::{Initiator, Protection};
pub use keytab::{Entry, Keytab, KeytabError};

/// `aes128-cts-hmac-sha1-96` (RFC 3962).
pub const AES128: u32 = 17;
/// `aes256-cts-hmac-sha1-96` (RFC 3962).
pub const AES256: u32 = 18;
/// `1.2.840.113554.1.2.2`, as DER (RFC 4121 §4.1).
pub const MECHANISM: &[u8] = &[0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x12, 0x01, 0x02, 0x02];
