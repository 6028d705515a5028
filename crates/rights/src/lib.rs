//! Who may send as whom: the one table of rights, and the one function that decides.
//!
//! [`decide`] answers a [`Question`] for a token on a snapshot of the directory; a [`Transaction`] asks it, step by
//! step, for a message that comes in by SMTP. What is decided, in which order and with which words is laid down in the
//! authorization model (`docs/`); sections are cited as `authorization.md §4`, the three documents about Exchange that
//! the model comes from as S0 (KB 912918), S1 (Good KB 17540) and S2 (Exchange 2007 transport permissions).
//!
//! The crate knows no sockets and no storage, and reads no clock.

pub mod admin;
mod amounts;
mod decide;
mod deciding;
pub mod folder;
mod groups;
mod header;
pub mod pause;
pub mod reach;
mod recipient;
mod record;
mod refusal;
mod said;
mod send;
mod sender;
mod separation;
pub mod shortfall;
mod simulate;
mod table;
mod trace;
mod transaction;
mod usage;
mod who;

pub use amounts::{Amount, CouldBecome, could_become};
pub use decide::{FULL_MAILBOX_ACCESS, Facts, Grant, Question, Verdict, decide};
pub use deciding::{Allowed, Deciding, People, SendAsAudit};
pub use groups::{GroupsHeld, assign_groups, group_entries, permission_groups, role_of, trustee_sid};
pub use header::HeaderGrant;
pub use recipient::{RecipientBy, RecipientGrant};
pub use record::{AceLine, Asked, Circumstances, DecisionRecord, HeldFor, Missing, TraceLine, VerdictKind, Who, lines};
pub use refusal::{Refusal, ReplyText};
pub use send::{Receiver, send_exch50, send_headers};
pub use sender::{Proof, has_legacy_policy};
pub use separation::{Gap, Missing as MissingSendAs, Search, gaps, separation};
pub use simulate::{Difference, SomeDifferences, differences, some_differences};
pub use table::{GrantedOn, GroupTrustee, PermissionGroup, RIGHTS, Right, RightName, ServerRole};
pub use trace::{DescriptorKind, NoTrace, Step, Steps, Trace, Wanted};
pub use transaction::{
    Accepted, AddressTrust, Authority, Denied, Transaction, address_trust, may_log_on, routing_of_folder,
};
pub use usage::ConnectorUsage;
pub use who::{
    Accounts, Holding, Permission, Person, Via, any_sender, effective_send_as, expand, person, standing, what_can,
    who_can, who_people,
};
