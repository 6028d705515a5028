//! The tools for auditors and administrators: who can, audits, trials, history, service accounts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use admin::operations as op;

use super::access::{TokenCommand, WebhookCommand};
use super::args::Cli;
use super::fault::Failure;
use super::pause::{PauseCommand, PauseSettings, Watch};
use super::test_send::TestSend;

/// A permission on a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RightArg {
    /// Send as the owner
    SendAs,
    /// Send on behalf of the owner, visibly
    SendOnBehalf,
    /// Open the mailbox
    FullAccess,
    /// All three
    All,
}

impl RightArg {
    /// As the service takes it; none means all.
    pub fn names(self) -> Vec<String> {
        match self {
            RightArg::SendAs => vec!["send-as".to_owned()],
            RightArg::SendOnBehalf => vec!["send-on-behalf".to_owned()],
            RightArg::FullAccess => vec!["full-access".to_owned()],
            RightArg::All => Vec::new(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Tool {
    /// Who can send as somebody, send on behalf, open the mailbox; and why
    WhoCan(WhoCan),
    /// As whom somebody can send, on behalf of whom, whose mailbox he can open; and why
    WhatCan(WhatCan),
    /// Reports on all mailboxes; what the separation of Full Mailbox Access and Send As breaks
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Try a command out on a copy of the directory: who gains, who loses. Nothing is changed
    Simulate(Simulate),
    /// What was changed, by whom, before and after
    History(History),
    /// Take a change back, exactly
    Undo(Undo),
    /// Accounts that send for many users: are they fit for it, and for whom not
    #[command(subcommand)]
    ServiceAccount(ServiceAccountCommand),
    /// Mail of service accounts that waits for a missing right
    #[command(subcommand)]
    Pause(PauseCommand),
    /// Bearer tokens, by which programs submit mail over HTTP
    #[command(subcommand)]
    Token(TokenCommand),
    /// Webhooks, by which programs are told what became of their mail
    #[command(subcommand)]
    Webhook(WebhookCommand),
    /// Log on as a service account and really send as a user, step by step; or decide for all its users
    TestSend(TestSend),
    /// Mailbox databases and servers
    #[command(subcommand)]
    Database(DatabaseCommand),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Names, addresses, distinguished names and SIDs are accepted.\n\nExamples:\n  procura who-can send-as ceo@example.com\n  procura who-can all 'EXAMPLE\\ceo' --expand --format csv\n  procura who-can send-as ceo --could-become"
)]
pub struct WhoCan {
    /// Which permission
    #[arg(value_enum)]
    pub right: RightArg,
    /// On whom: any of its names
    pub object: String,
    /// One row for each account that is allowed, groups resolved to people
    #[arg(long)]
    pub expand: bool,
    /// Also who holds a right that amounts to it: write-dac, write-owner, writing addresses, …
    #[arg(long)]
    pub could_become: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Of an account: what it can, decided as for a message. Of a group or another SID: what is granted to it by name.\n\nExamples:\n  procura what-can send-as goodadmin\n  procura what-can all S-1-5-21-1-2-3-1105 --format jsonl"
)]
pub struct WhatCan {
    /// Which permission
    #[arg(value_enum)]
    pub right: RightArg,
    /// Who: any name of an account or a group, or a SID
    pub who: String,
    /// Only owners below this container
    #[arg(long, value_name = "CONTAINER")]
    pub under: Option<String>,
    /// Leave the account's own mailbox in
    #[arg(long)]
    pub include_self: bool,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// All permissions on everybody: one row for each entry or link that decides
    #[command(
        after_help = "What owners hold on themselves is left out. Rows are written as they come, with --format csv or jsonl.\n\nExamples:\n  procura audit export --format csv > permissions.csv\n  procura audit export --right send-as --expand --format jsonl\n  procura audit export --html permissions.html"
    )]
    Export(AuditExport),
    /// What differs between two exports; exit code 1 if anything does
    #[command(after_help = "Example:\n  procura audit diff monday.csv friday.csv")]
    Diff {
        /// The older export: CSV, JSON or JSON lines
        before: PathBuf,
        /// The newer one
        after: PathBuf,
    },
    /// Accounts with Full Mailbox Access and without Send As
    #[command(subcommand)]
    Separation(SeparationCommand),
}

#[derive(Debug, Args)]
pub struct AuditExport {
    /// Which permission
    #[arg(long, value_enum, default_value_t = RightArg::All)]
    pub right: RightArg,
    /// Only owners below this container
    #[arg(long, value_name = "CONTAINER")]
    pub under: Option<String>,
    /// Groups resolved to people
    #[arg(long)]
    pub expand: bool,
    /// Entries that decide nothing, too
    #[arg(long)]
    pub all: bool,
    /// What owners hold on themselves, too
    #[arg(long)]
    pub include_self: bool,
    /// Write a report for browsers, one file, instead of rows; - is standard output
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Search {
    /// The domain: its DNS name, short name or DN [default: the root domain]
    #[arg(long)]
    pub domain: Option<String>,
    /// Accounts that hold Send As by inheritance only, too: they lose it when the owner is moved
    #[arg(long)]
    pub inherited: bool,
    /// Leave this account out
    #[arg(long, value_name = "NAME")]
    pub suppress: Vec<String>,
    /// Leave the account of this name out in every domain; an empty text: none [default: '\Exchange Services']
    #[arg(long, value_name = "\\NAME")]
    pub suppress_name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum SeparationCommand {
    /// Write Send_As_Export_H_MM_SS.txt for review; exit code 1 if there is a Send_As_Errors_H_MM_SS.txt
    #[command(
        after_help = "The files are written to the current directory, tab-delimited Unicode text. With --format csv, json or jsonl rows go to standard output instead.\n\nExamples:\n  procura audit separation export --domain example.com\n  procura audit separation export --suppress goodadmin --format csv"
    )]
    Export(Search),
    /// Grant Send As on the lines of a reviewed export, as one change
    #[command(
        after_help = "Files that Excel, Find.exe or Findstr.exe saved are understood. `procura undo` takes it back.\n\nExample:\n  procura audit separation import Send_As_Export_9_05_33.txt --dry-run"
    )]
    Import {
        /// The file
        file: PathBuf,
        /// The domain: its DNS name, short name or DN [default: the root domain]
        #[arg(long)]
        domain: Option<String>,
    },
    /// Grant Send As to everybody whom an export would list, as one change
    #[command(
        after_help = "Delegates with Full Mailbox Access (super-delegates) are left as they are: with Send As they would always send as the owner and never on behalf (S0).\n\nExample:\n  procura audit separation set-all --dry-run"
    )]
    SetAll {
        #[command(flatten)]
        search: Search,
        /// Super-delegates too
        #[arg(long)]
        include_delegates: bool,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  procura simulate -- permission add OU=Staff --user helpdesk --right 'Send As' --inherit-to user\n  procura simulate -- group member add 'Domain Admins' bob\n  procura simulate -- user set bob --ou OU=Plant\n  procura simulate -- database set 'Mailbox Database' --legacy-send-as true"
)]
pub struct Simulate {
    /// The command and its arguments
    #[arg(last = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  procura history --object ceo --since 7d\n  procura history --author 'EXAMPLE\\helper' --format jsonl\n  procura history --since 2026-01-31"
)]
pub struct History {
    /// Only changes of this object; an objectGUID for one that is gone
    #[arg(long, value_name = "NAME")]
    pub object: Option<String>,
    /// Only changes by this author
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Not before: a date, a time, or how long ago (90m, 12h, 7d)
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Before
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// At most so many versions
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
}

#[derive(Debug, Args)]
#[command(
    after_help = "It needs the rights that the change itself needed. Where something was changed again since then, nothing is undone and the later changes are named.\n\nExamples:\n  procura undo 17 --dry-run\n  procura undo 17\n  procura undo --import 5f2a90c1"
)]
pub struct Undo {
    /// The version, as `procura history` shows it
    #[arg(id = "change", value_name = "VERSION", required_unless_present = "import")]
    pub version: Option<u64>,
    /// All steps of a large import, newest first, each as a change of its own; interrupted, it goes on where it was
    #[arg(long, value_name = "NAME", conflicts_with = "change")]
    pub import: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ServiceAccountCommand {
    /// The tasks of S0, grants on each domain and unit, and each user for whom it cannot send; exit code 1 if any
    #[command(
        after_help = "Examples:\n  procura service-account check goodadmin\n  procura service-account check goodadmin --user press1@example.com"
    )]
    Check(ServiceAccount),
    /// Let it send as the users of each domain, or of a container, by inheritable entries
    #[command(
        after_help = "Units that inherit nothing get an entry of their own. Who is not reached is listed.\n\nExamples:\n  procura service-account grant goodadmin --dry-run\n  procura service-account grant goodadmin --under OU=Plant"
    )]
    Grant(ServiceAccount),
    /// Let its mail wait while a right is missing, instead of refusing it
    #[command(subcommand)]
    Pause(PauseSettings),
    /// Its users as they are now, and as they change: active, paused since when and why
    Watch(Watch),
}

#[derive(Debug, Args)]
pub struct ServiceAccount {
    /// The service account: any of its names
    pub account: String,
    /// Only this user
    #[arg(long, conflicts_with = "under", value_name = "NAME")]
    pub user: Option<String>,
    /// Only users below this container
    #[arg(long, value_name = "CONTAINER")]
    pub under: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Create a mailbox database
    #[command(after_help = "Example:\n  procura database add Archive\n  procura database add Archive --server MAIL2")]
    Add {
        /// Its name
        name: String,
        /// Its server [default: the only one with mailboxes]
        #[arg(long)]
        server: Option<String>,
    },
    /// Change a mailbox database or a server
    #[command(after_help = "Example:\n  procura database set 'Mailbox Database' --legacy-send-as true --dry-run")]
    Set {
        /// The database or server: any of its names
        database: String,
        /// Full Mailbox Access carries Send As, as before the separation
        #[arg(long, value_name = "true|false", action = clap::ArgAction::Set)]
        legacy_send_as: bool,
    },
}

/// The request of a tool that is one; others are more.
pub fn request(tool: &Tool) -> Option<op::Request> {
    use op::Request as R;
    Some(match tool {
        Tool::WhoCan(who) => R::WhoCan(op::WhoCan {
            identity: who.object.clone(),
            rights: who.right.names(),
            expand: who.expand,
            could_become: who.could_become,
            ..op::WhoCan::default()
        }),
        Tool::Undo(undo) => R::Undo(op::Undo { version: undo.version? }),
        Tool::ServiceAccount(ServiceAccountCommand::Grant(grant)) => R::ServiceAccountGrant(op::ServiceAccountGrant {
            identity: grant.account.clone(),
            user: grant.user.clone(),
            under: grant.under.clone(),
        }),
        Tool::Database(DatabaseCommand::Add { name, server }) => {
            R::DatabaseNew(op::DatabaseNew { name: name.clone(), server: server.clone() })
        }
        Tool::Database(DatabaseCommand::Set { database, legacy_send_as }) => {
            R::DatabaseSet(op::DatabaseSet { identity: database.clone(), legacy_send_as: Some(*legacy_send_as) })
        }
        Tool::Audit(AuditCommand::Separation(SeparationCommand::SetAll { search, include_delegates })) => {
            R::SeparationSetAll(op::SeparationSetAll {
                search: search.request(),
                include_delegates: *include_delegates,
            })
        }
        _ => return None,
    })
}

impl Search {
    /// As the service takes it.
    pub fn request(&self) -> op::SeparationExport {
        op::SeparationExport {
            domain: self.domain.clone(),
            inherited: self.inherited,
            suppress: self.suppress.clone(),
            suppress_name: self.suppress_name.clone(),
            ..op::SeparationExport::default()
        }
    }
}

/// The request of the command that is to be tried out.
pub fn tried(simulate: &Simulate) -> Result<op::Request, Failure> {
    let words = std::iter::once("procura").chain(simulate.command.iter().map(String::as_str));
    let cli = Cli::try_parse_from(words).map_err(|error| {
        Failure::new(error.render().to_string().trim_end().to_owned())
            .help("after -- comes a command as it would be typed, without `procura`")
    })?;
    let cannot = || {
        Failure::new(format!("`{}` cannot be tried out", simulate.command.join(" ")))
            .help("commands that change the directory can be")
    };
    match cli.command {
        super::args::Command::Tool(tool) => request(&tool).ok_or_else(cannot),
        command => super::requests::request(command).map_err(|_| cannot()),
    }
}
