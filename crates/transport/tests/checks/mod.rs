//! What holds whatever a client shows to log on with; for the corpus, and for fuzzing (`fuzz/`).

#![allow(dead_code, clippy::unwrap_used)]

#[cfg(feature = "kerberos")]
mod kerberos;
mod oauth;

#[cfg(feature = "kerberos")]
pub use kerberos::{keytabs_hold, tickets_hold, who_logs_on};
pub use oauth::{key_sets_hold, tokens_hold};
