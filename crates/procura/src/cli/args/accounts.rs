//! Arguments of commands about accounts, groups, mailboxes, domains and units.

use clap::{Args, Subcommand, ValueEnum};

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
        /// Refuse recipients that are not in the directory [default: of authoritative domains only]
        #[arg(long, value_name = "BOOL")]
        recipient_lookup: Option<bool>,
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
        /// Refuse recipients that are not in the directory
        #[arg(long, value_name = "BOOL")]
        recipient_lookup: Option<bool>,
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
pub enum AccountCommand {
    /// Passwords for one program or device each, beside the account's own
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
}

#[derive(Debug, Subcommand)]
pub enum AppPasswordCommand {
    /// Make one and show it, this once
    Add {
        /// The account
        user: String,
        /// What it is for
        name: String,
    },
    /// Show their names, and when they were used last
    List {
        /// The account
        user: String,
    },
    /// Take one back: it counts no longer
    Remove {
        /// The account
        user: String,
        /// What it is called
        name: String,
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
