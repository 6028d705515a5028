//! A load generator for SMTP servers, and a sink that accepts and discards.
//!
//! A [`Plan`] says how many sessions send what, as whom, to whom and how fast; [`run`] carries it out and returns a
//! [`Report`]: accepted messages a second, how long end-of-data took to be answered, and every refusal by its reply.
//! `procura bench smtp` is this crate with a command line; the benchmarks of the repository use it too.
//!
//! The generator is a plain client: it knows nothing of permissions, and speaks to any SMTP server.

mod connection;
mod error;
mod mail;
mod pattern;
mod plan;
mod random;
mod report;
mod run;
mod sink;
mod sizes;
mod tls;

pub use error::{LoadError, PlanError};
pub use mail::{SenderMix, SenderPattern};
pub use pattern::Pattern;
pub use plan::{Accounts, Auth, Connections, Mechanism, Plan, Stop, Tls};
pub use report::{Latency, Report};
pub use run::{run, run_blocking};
pub use sink::{Sink, SinkCount};
pub use sizes::Sizes;
pub use tls::AcceptAny;
