//! Arguments of the load generators.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Send mail to a server as fast as it answers, or at a given rate
    #[command(after_help = BENCH_HELP)]
    Smtp(Box<BenchSmtp>),
    /// Accept all mail and keep none of it: a next hop for measurements, until it is interrupted
    #[command(after_help = "Example:\n  procura bench sink 127.0.0.1:2526")]
    Sink(BenchSink),
}

#[derive(Debug, Args)]
pub struct BenchSink {
    /// Where to listen: on the loopback interface only, for it has no limits
    pub listen: SocketAddr,
    /// Take connections and never say a word on them
    #[arg(long)]
    pub stall: bool,
    /// Answer each line of standard input with the number of messages so far; end with it
    #[arg(long)]
    pub ask: bool,
}

const BENCH_HELP: &str = "Names hold ranges: user{0..999}@example.com; {account} is the login in use.
Senders are ENVELOPE, ENVELOPE/FROM or ENVELOPE/FROM/SENDER, mixed with weights: a@x=8,b@x/c@x=1. Sizes likewise: 4k=70,100k-200k=30.

Example, on the demo:
  procura bench smtp 127.0.0.1:2587 --tls --accounts bob --password '{account}-demo' --senders '{account}@example.com' \\
      --recipient alice@example.com --sessions 8 --messages 1000";

#[derive(Debug, Args)]
pub struct BenchSmtp {
    /// The server
    pub target: SocketAddr,
    /// STARTTLS; any certificate is accepted unless --trust names some
    #[arg(long)]
    pub tls: bool,
    /// PEM file of certificates to trust
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub trust: Option<PathBuf>,
    /// Name that the server's certificate must carry
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    pub tls_name: String,
    /// A full TLS handshake on each connection
    #[arg(long)]
    pub no_resume: bool,
    /// Logins
    #[arg(long, value_name = "PATTERN", requires = "password")]
    pub accounts: Option<::load::Pattern>,
    /// Their passwords
    #[arg(long, value_name = "PATTERN", requires = "accounts")]
    pub password: Option<::load::Pattern>,
    /// File of accounts instead, login:password on each line
    #[arg(long, value_name = "FILE", conflicts_with = "accounts")]
    pub accounts_file: Option<PathBuf>,
    /// plain or login
    #[arg(long, default_value = "plain")]
    pub mechanism: ::load::Mechanism,
    /// Who sends
    #[arg(long, value_name = "MIX")]
    pub senders: ::load::SenderMix,
    /// Who receives
    #[arg(long, value_name = "PATTERN")]
    pub recipient: ::load::Pattern,
    /// Recipients of each message
    #[arg(long, default_value_t = 1)]
    pub recipients: u32,
    /// Message sizes
    #[arg(long, default_value = "10k")]
    pub size: ::load::Sizes,
    /// Sessions at the same time
    #[arg(long, default_value_t = 1)]
    pub sessions: u32,
    /// A new connection after so many messages [default: connections are kept]
    #[arg(long, value_name = "MESSAGES")]
    pub reconnect: Option<u32>,
    /// Do not put MAIL, RCPT and DATA into one packet
    #[arg(long)]
    pub no_pipelining: bool,
    /// Messages a second over all sessions [default: as fast as the server answers]
    #[arg(long)]
    pub rate: Option<f64>,
    /// Messages in all
    #[arg(long, default_value_t = 1000, conflicts_with = "seconds")]
    pub messages: u64,
    /// Run for so long instead
    #[arg(long)]
    pub seconds: Option<f64>,
    /// Seed of the mix
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}
