//! What Procura reads and writes of a message: addresses, the header block, who claims to have sent it, the header
//! firewall, stamps, trace fields and delivery reports.
//!
//! Pure: no I/O and no clock. A message is never held as a whole; only its header block is.
//!
//! * [`Address`] and [`CanonicalAddress`]: RFC 5321, 5322, 6531 addresses and the one form they are compared in.
//! * [`binary`]: bodies that are no lines (RFC 3030).
//! * [`header`]: the header block, read incrementally and strictly.
//! * [`mod@senders`]: who the header names as author and sender (`authorization.md` §5).
//! * [`firewall`], [`mod@rewrite`]: which fields are dropped, and the block written anew.
//! * [`parts`]: the firewall inside the body: attached messages and MIME parts.
//! * [`pickup`], [`replay`]: envelopes of messages that are files.
//! * [`trace_fields`]: `Received:`, hop counting.
//! * [`bounce`]: delivery status notifications (RFC 3464).

pub mod address;
pub mod binary;
pub mod bounce;
pub mod encoded_word;
pub mod firewall;
pub mod header;
pub mod journal;
pub mod parts;
pub mod pickup;
pub mod readdress;
pub mod replay;
pub mod rewrite;
pub mod senders;
pub mod trace_fields;

pub use address::{Address, AddressError, CanonicalAddress, canonical_domain};
pub use binary::{BinaryBody, BinaryFault, Lined};
pub use firewall::Keep;
pub use header::{Field, HeaderBlock, HeaderFault, HeaderProgress, HeaderReader};
pub use parts::PartFirewall;
pub use rewrite::{Edits, SenderEdit, rewrite, write_field};
pub use senders::{Mailbox, Resent, SenderFault, SenderFaultKind, Senders, mailbox_list, senders};
