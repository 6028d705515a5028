//! The arguments of `procura`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::lifecycle::Lifecycle;
use super::tools::Tool;
use crate::sd::SdCommand;

/// A mail transport that decides who may send as whom.
#[derive(Debug, Parser)]
#[command(name = "procura", version, about, arg_required_else_help = true, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration of the node [default: procura.toml in the data directory]
    #[arg(long, global = true, value_name = "FILE", env = "PROCURA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory [default: the one of the configuration, or ./procura-data]
    #[arg(long, global = true, value_name = "DIR", env = "PROCURA_DATA")]
    pub data: Option<PathBuf>,
    /// How to show results: for people, or for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Change nothing: show what would change, who would gain and who lose
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Why: kept in the change log
    #[arg(long, global = true, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
}

/// How to show results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// Comma-separated values that a spreadsheet opens without harm
    Csv,
    /// One JSON document
    Json,
    /// One JSON document for each row
    Jsonl,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server
    Serve(Serve),
    /// Create a data directory with a commented configuration and an empty organization
    Init(Init),
    /// The configuration file: its reference, and a check
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Accounts
    #[command(subcommand)]
    User(UserCommand),
    /// Groups and their members
    #[command(subcommand)]
    Group(GroupCommand),
    /// Mailboxes of accounts
    #[command(subcommand)]
    Mailbox(MailboxCommand),
    /// Accepted domains
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Organizational units
    #[command(subcommand)]
    Ou(OuCommand),
    /// Passwords
    #[command(subcommand)]
    Password(PasswordCommand),
    /// Import objects from LDIF, as `ldapsearch` and `samba-tool` write it, with their security descriptors
    Import(Import),
    /// Rights on objects: Send As and others
    #[command(subcommand)]
    Permission(PermissionCommand),
    /// Rights on mailboxes: Full Mailbox Access
    #[command(subcommand, name = "mailbox-permission")]
    MailboxPermission(MailboxPermissionCommand),
    /// Delegates: who may send on behalf
    #[command(subcommand, name = "send-on-behalf")]
    SendOnBehalf(DelegateCommand),
    /// May somebody send as somebody? Asks the rules without sending
    Check(Check),
    /// Why a message was refused, or sent as somebody else
    Explain(Explain),
    /// Messages that wait for delivery
    #[command(subcommand)]
    Queue(QueueCommand),
    /// What the server is and how it is
    Status,
    /// Security descriptors: show, convert and check them, compute what is inherited
    #[command(subcommand)]
    Sd(SdCommand),
    #[command(flatten)]
    Tool(Tool),
    #[command(flatten)]
    Lifecycle(Lifecycle),
    /// Load generators
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Debug, Args)]
pub struct Serve {
    /// Create (or reuse) the demo organization and serve it
    #[arg(long)]
    pub demo: bool,
    /// Address of the demo's Client connector: STARTTLS and passwords [default: 127.0.0.1:2587]
    #[arg(long, value_name = "ADDR:PORT", requires = "demo")]
    pub client_listen: Option<SocketAddr>,
    /// Address of the demo's Internet connector: anonymous [default: 127.0.0.1:2525]
    #[arg(long, value_name = "ADDR:PORT", requires = "demo")]
    pub internet_listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where [default: ./procura-data]
    pub dir: Option<PathBuf>,
    /// First accepted domain, and the directory's domain
    #[arg(long, default_value = "example.com")]
    pub domain: String,
    /// Short name of the domain, as in EXAMPLE\alice [default: the first label of the domain]
    #[arg(long)]
    pub netbios: Option<String>,
    /// Fully qualified name of this server [default: the host name of the system]
    #[arg(long)]
    pub hostname: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the reference of procura.toml
    Describe,
    /// Check a configuration file
    Check {
        /// The file
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Create an account
    #[command(after_help = "Example:\n  procura user add erin --display-name 'Erin Blake' --ou OU=Staff --mailbox")]
    Add {
        /// Logon name
        name: String,
        /// Name for people
        #[arg(long)]
        display_name: Option<String>,
        /// Container: a DN, a path as example.com/Staff, or OU=Staff [default: CN=Users]
        #[arg(long)]
        ou: Option<String>,
        /// Logon name of old protocols [default: the name]
        #[arg(long, value_name = "NAME")]
        sam_account_name: Option<String>,
        /// Mail address; the first is the primary one
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Give the account a mailbox
        #[arg(long)]
        mailbox: bool,
        /// Mailbox database [default: the only one]
        #[arg(long, requires = "mailbox")]
        database: Option<String>,
        /// Create it disabled
        #[arg(long)]
        disabled: bool,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Change an account
    Set {
        /// Any of its names
        user: String,
        /// Name for people
        #[arg(long)]
        display_name: Option<String>,
        /// Logon name
        #[arg(long, value_name = "NAME")]
        sam_account_name: Option<String>,
        /// Replace all addresses; the first is the primary one
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Add an address
        #[arg(long, value_name = "ADDRESS")]
        add_address: Vec<String>,
        /// Remove an address
        #[arg(long, value_name = "ADDRESS")]
        remove_address: Vec<String>,
        /// Move to another container
        #[arg(long)]
        ou: Option<String>,
        /// Let it log on again
        #[arg(long, conflicts_with = "disable")]
        enable: bool,
        /// Let it log on no more
        #[arg(long)]
        disable: bool,
    },
    /// Delete an account
    Remove {
        /// Any of its names
        user: String,
    },
    /// List accounts
    List(ListArgs),
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only below this container
    #[arg(long)]
    pub under: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    Global,
    Universal,
    DomainLocal,
}

#[derive(Debug, Subcommand)]
pub enum GroupCommand {
    /// Create a group
    Add {
        /// Its name
        name: String,
        /// Logon name of old protocols [default: the name]
        #[arg(long, value_name = "NAME")]
        sam_account_name: Option<String>,
        /// Name for people
        #[arg(long)]
        display_name: Option<String>,
        /// Container [default: CN=Users]
        #[arg(long)]
        ou: Option<String>,
        /// For mail only: carries no permissions
        #[arg(long)]
        distribution: bool,
        /// How far it reaches
        #[arg(long, value_enum, default_value_t = Scope::Global)]
        scope: Scope,
        /// Mail address; the first is the primary one
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// First member
        #[arg(long = "member", value_name = "NAME")]
        members: Vec<String>,
    },
    /// Change a group
    Set {
        /// Any of its names
        group: String,
        /// Name for people
        #[arg(long)]
        display_name: Option<String>,
        /// Replace all addresses; the first is the primary one
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        /// Move to another container
        #[arg(long)]
        ou: Option<String>,
    },
    /// Delete a group
    Remove {
        /// Any of its names
        group: String,
    },
    /// List groups
    List(ListArgs),
    /// Members of a group
    #[command(subcommand)]
    Member(MemberCommand),
}

#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Add members
    Add {
        /// The group
        group: String,
        /// Accounts and groups
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// Remove members
    Remove {
        /// The group
        group: String,
        /// Accounts and groups
        #[arg(required = true)]
        members: Vec<String>,
    },
    /// List members
    List {
        /// The group
        group: String,
        /// Through nested groups too
        #[arg(long)]
        recursive: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum MailboxCommand {
    /// Give an account a mailbox
    #[command(visible_alias = "enable")]
    Add {
        /// The account
        user: String,
        /// Mailbox database [default: the only one]
        #[arg(long)]
        database: Option<String>,
        /// Address, when the account has none [default: its name at the default domain]
        #[arg(long)]
        address: Option<String>,
    },
    /// Change a mailbox
    Set {
        /// The owner
        user: String,
        /// Move to this database
        #[arg(long)]
        database: Option<String>,
    },
    /// Take the mailbox away from an account; what is in it stays on disk
    #[command(visible_alias = "disable")]
    Remove {
        /// The owner
        user: String,
    },
    /// List mailboxes
    List(ListArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DomainKind {
    /// All its recipients are in the directory
    Authoritative,
    /// Some are, the rest is relayed inside
    InternalRelay,
    /// Relayed to somebody else
    ExternalRelay,
}

#[derive(Debug, Subcommand)]
pub enum DomainCommand {
    /// Accept mail for a domain
    Add {
        /// example.com, or *.example.com for everything below
        domain: String,
        /// How its mail is treated
        #[arg(long, value_enum, default_value_t = DomainKind::Authoritative)]
        kind: DomainKind,
        /// Its addresses are those of this domain
        #[arg(long, value_name = "DOMAIN")]
        alias_of: Option<String>,
        /// user+tag@ is user@
        #[arg(long)]
        subaddressing: bool,
    },
    /// Change an accepted domain
    Set {
        /// The domain
        domain: String,
        /// How its mail is treated
        #[arg(long, value_enum)]
        kind: Option<DomainKind>,
        /// Its addresses are those of this domain; an empty text ends that
        #[arg(long, value_name = "DOMAIN")]
        alias_of: Option<String>,
        /// user+tag@ is user@
        #[arg(long)]
        subaddressing: Option<bool>,
    },
    /// Accept mail for a domain no longer
    Remove {
        /// The domain
        domain: String,
    },
    /// List accepted domains
    List,
}

#[derive(Debug, Subcommand)]
pub enum OuCommand {
    /// Create an organizational unit
    Add {
        /// Its name
        name: String,
        /// Where [default: the domain]
        #[arg(long)]
        under: Option<String>,
        /// Block inheritance of permissions
        #[arg(long)]
        protected: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum PasswordCommand {
    /// Set the password of an account
    Set {
        /// The account
        user: String,
        /// Read it from standard input, one line
        #[arg(long)]
        stdin: bool,
    },
}

#[derive(Debug, Args)]
pub struct Import {
    /// LDIF file; - is standard input
    pub file: PathBuf,
    /// Attribute map: which attributes of the file are which here
    #[arg(long, value_name = "FILE")]
    pub map: Option<PathBuf>,
}

/// Help of `--until`.
const UNTIL: &str = "It ends by itself: after 90d or 8h, or at 2027-01-31T18:00 or 2027-01-31";

#[derive(Debug, Args)]
pub struct Grant {
    /// The object: any of its names
    pub object: String,
    /// Who: an account or a group
    #[arg(long = "user", visible_alias = "trustee", value_name = "NAME")]
    pub trustee: String,
    /// Right: "Send As", ms-Exch-SMTP-Submit, full-control, …
    #[arg(long = "right", value_name = "RIGHT", required = true)]
    pub rights: Vec<String>,
    /// Deny instead of allow
    #[arg(long)]
    pub deny: bool,
    /// Not on the object itself: on objects of this class below it
    #[arg(long, value_name = "CLASS")]
    pub inherit_to: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum PermissionCommand {
    /// Grant or deny
    #[command(
        after_help = "Examples:\n  procura permission add ceo --user alice --right 'Send As'\n  procura permission add OU=Staff --user goodadmin --right 'Send As' --inherit-to user"
    )]
    Add {
        #[command(flatten)]
        grant: Grant,
        #[arg(long, value_name = "TIME", help = UNTIL)]
        until: Option<String>,
    },
    /// Take a grant, or a denial, away
    Remove(Grant),
    /// Grants of Send As and Send on Behalf that nobody has used, by the decisions in the audit
    Unused {
        /// For so many days
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Who has which right on an object
    Get {
        /// The object: any of its names
        object: String,
        /// Only of this account or group
        #[arg(long = "user", visible_alias = "trustee", value_name = "NAME")]
        trustee: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct MailboxGrant {
    /// The mailbox: any name of its owner
    pub mailbox: String,
    /// Who: an account or a group
    #[arg(long = "user", visible_alias = "trustee", value_name = "NAME")]
    pub trustee: String,
    /// Right: full-access, read-permission, change-permission, change-owner, delete-item
    #[arg(long = "right", value_name = "RIGHT", default_value = "full-access")]
    pub rights: Vec<String>,
    /// Deny instead of allow
    #[arg(long)]
    pub deny: bool,
}

#[derive(Debug, Subcommand)]
pub enum MailboxPermissionCommand {
    /// Grant or deny
    Add {
        #[command(flatten)]
        grant: MailboxGrant,
        #[arg(long, value_name = "TIME", help = UNTIL)]
        until: Option<String>,
    },
    /// Take a grant, or a denial, away
    Remove(MailboxGrant),
    /// Who has which right on a mailbox
    Get {
        /// The mailbox: any name of its owner
        mailbox: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum DelegateCommand {
    /// Add delegates
    Add {
        /// The owner
        owner: String,
        /// Who may send on behalf of the owner
        #[arg(required = true)]
        delegates: Vec<String>,
        #[arg(long, value_name = "TIME", help = UNTIL)]
        until: Option<String>,
    },
    /// Remove delegates
    Remove {
        /// The owner
        owner: String,
        /// Who may no longer
        #[arg(required = true)]
        delegates: Vec<String>,
    },
    /// List delegates
    Get {
        /// The owner
        owner: String,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 allowed, 1 refused, 2 could not be asked.\n\nExample:\n  procura check --as bob --from ceo@example.com"
)]
pub struct Check {
    /// The account, or anonymous
    #[arg(long = "as", value_name = "WHO")]
    pub who: String,
    /// Address in the From header; several make several From addresses
    #[arg(long, value_name = "ADDRESS", required = true)]
    pub from: Vec<String>,
    /// Address in the Sender header
    #[arg(long, value_name = "ADDRESS")]
    pub sender: Option<String>,
    /// Envelope sender [default: the account's own address; anonymous: the first From]
    #[arg(long, value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// The mailbox that the session logs on to
    #[arg(long, value_name = "MAILBOX")]
    pub logon: Option<String>,
    /// Receive connector [default: the one that takes such a session]
    #[arg(long, value_name = "NAME")]
    pub connector: Option<String>,
    /// Recipient
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Explain {
    /// The decision id in the reply or the log
    pub id: String,
}

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// List messages
    List {
        /// At most so many
        #[arg(long)]
        limit: Option<u32>,
    },
    /// Show one message
    Show {
        /// Queue id
        id: String,
    },
    /// Try to deliver again now
    Retry {
        /// Queue id; without one: all messages
        id: Option<String>,
    },
    /// Drop a message, without a bounce
    Remove {
        /// Queue id
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Send mail to a server as fast as it answers, or at a given rate
    #[command(after_help = BENCH_HELP)]
    Smtp(BenchSmtp),
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
    pub accounts: Option<load::Pattern>,
    /// Their passwords
    #[arg(long, value_name = "PATTERN", requires = "accounts")]
    pub password: Option<load::Pattern>,
    /// File of accounts instead, login:password on each line
    #[arg(long, value_name = "FILE", conflicts_with = "accounts")]
    pub accounts_file: Option<PathBuf>,
    /// plain or login
    #[arg(long, default_value = "plain")]
    pub mechanism: load::Mechanism,
    /// Who sends
    #[arg(long, value_name = "MIX")]
    pub senders: load::SenderMix,
    /// Who receives
    #[arg(long, value_name = "PATTERN")]
    pub recipient: load::Pattern,
    /// Recipients of each message
    #[arg(long, default_value_t = 1)]
    pub recipients: u32,
    /// Message sizes
    #[arg(long, default_value = "10k")]
    pub size: load::Sizes,
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        super::Cli::command().debug_assert();
    }
}
