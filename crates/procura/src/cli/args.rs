//! The arguments of `procura`.

mod accounts;
mod load;
mod mailboxes;
mod rights;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use accounts::{
    AccountCommand, AppPasswordCommand, DomainCommand, DomainKind, GroupCommand, ListArgs, MemberCommand, OuCommand,
    PasswordCommand, Scope, UserCommand,
};
pub use load::{BenchCommand, BenchSink, BenchSmtp};
pub use mailboxes::MailboxCommand;
pub use rights::{
    Check, DelegateCommand, Delegates, DelegationCommand, Explain, Grant, MailboxGrant, MailboxPermissionCommand,
    PermissionCommand,
};

use super::connectors::Connectors;
use super::directory::DirectoryCommand;
use super::lifecycle::Lifecycle;
use super::queue::QueueCommand;
use super::recipients::RecipientCommand;
use super::sendmail::SendmailArgs;
use super::shell::{Completion, Man};
use super::tools::Tool;
use super::trace::TraceArgs;
use crate::doctor::Doctor;
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

/// What these options stand under in the help.
const GLOBAL: &str = "Options of all commands";

/// Options of all commands.
#[derive(Debug, Args)]
pub struct Global {
    /// Configuration of the node [default: procura.toml in the data directory]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "PROCURA_CONFIG")]
    pub config: Option<PathBuf>,
    /// Data directory [default: the one of the configuration, or ./procura-data]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "PROCURA_DATA")]
    pub data: Option<PathBuf>,
    /// How to show results: for people, or for programs
    #[arg(long, global = true, help_heading = GLOBAL, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Change nothing: show what would change, who would gain and who lose
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub dry_run: bool,
    /// Why: kept in the change log
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "TEXT", default_value = "", hide_default_value = true)]
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
#[allow(clippy::large_enum_variant, reason = "one lives, for one command")]
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
    /// What becomes of mail for recipients: forwarding, restrictions, copies, journals; dynamic groups, contacts, catch-alls
    #[command(subcommand)]
    Recipient(RecipientCommand),
    /// Accepted domains
    #[command(subcommand)]
    Domain(DomainCommand),
    /// Organizational units
    #[command(subcommand)]
    Ou(OuCommand),
    /// Passwords
    #[command(subcommand)]
    Password(PasswordCommand),
    /// What accounts log on with besides their password
    #[command(subcommand)]
    Account(AccountCommand),
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
    /// Delegates with all that makes them what they are: Send on Behalf, Full Mailbox Access, Send As
    #[command(subcommand)]
    Delegate(DelegationCommand),
    /// May somebody send as somebody? Asks the rules without sending
    Check(Check),
    /// Why a message was refused, or sent as somebody else
    Explain(Explain),
    /// Messages that wait for delivery
    #[command(subcommand)]
    Queue(QueueCommand),
    /// What became of messages
    Trace(TraceArgs),
    /// What the server is and how it is
    Status,
    /// Is this node fit for service? Each finding with what mends it
    Doctor(Doctor),
    /// Send a message as a program of this machine does: options as of sendmail(8)
    Sendmail(SendmailArgs),
    /// Have the server take its configuration and certificate anew; sessions go on
    Reload,
    /// Active Directory as the source of people and permissions
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// Print a completion script for a shell
    Completion(Completion),
    /// Write manual pages, one for each command
    Man(Man),
    /// Security descriptors: show, convert and check them, compute what is inherited
    #[command(subcommand)]
    Sd(SdCommand),
    #[command(flatten)]
    Tool(Tool),
    #[command(flatten)]
    Lifecycle(Lifecycle),
    #[command(flatten)]
    Connectors(Connectors),
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
    /// Acknowledge mail and keep none of it, to measure what keeping it costs
    #[arg(long, hide = true, requires = "demo")]
    pub discard: bool,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Where [default: ./procura-data]
    pub dir: Option<PathBuf>,
    /// First accepted domain, and the directory's domain [default: example.com; with --ldap the name of that domain]
    #[arg(long)]
    pub domain: Option<String>,
    /// Short name of the domain, as in EXAMPLE\alice [default: the first label of the domain]
    #[arg(long)]
    pub netbios: Option<String>,
    /// Fully qualified name of this server [default: the host name of the system]
    #[arg(long)]
    pub hostname: Option<String>,
    /// Inside the organization, or at the border with a directory of its own
    #[arg(long, value_enum, default_value_t = Role::Hub)]
    pub role: Role,
    /// People and groups come from Active Directory: a domain controller, as ldaps://dc1.example.com (several times: the
    /// others are tried where one does not answer). Its domain is read now
    #[arg(long, value_name = "URL", requires = "ldap_account", conflicts_with_all = ["netbios", "role"])]
    pub ldap: Vec<String>,
    /// Who reads the domain, and writes permissions
    #[arg(long, value_name = "NAME", requires = "ldap")]
    pub ldap_account: Option<String>,
    /// File with the password of that account, on its first line
    #[arg(long, value_name = "FILE", requires = "ldap")]
    pub ldap_password_file: Option<PathBuf>,
    /// Keytab of that account instead: it logs on by Kerberos
    #[arg(long, value_name = "FILE", requires = "ldap", conflicts_with = "ldap_password_file")]
    pub ldap_keytab: Option<PathBuf>,
    /// Authorities, PEM, that vouch for the domain controllers [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "ldap")]
    pub ldap_roots: Option<PathBuf>,
    /// Take mail from strangers: the hub's Default connector gets the permission group AnonymousUsers, header senders
    /// observed. An edge takes it anyway
    #[arg(long)]
    pub internet: bool,
}

/// What a server is for; its default connectors follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Accounts, mailboxes, mail programs
    Hub,
    /// Between strangers and hubs
    Edge,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the reference of procura.toml
    Describe,
    /// Print a procura.toml with every key commented out
    Template,
    /// Check a configuration file
    Check {
        /// The file
        file: PathBuf,
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

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        crate::cli::command().debug_assert();
    }
}
