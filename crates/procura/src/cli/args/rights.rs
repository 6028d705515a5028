//! Arguments of commands about rights: grants, delegates, questions to the rules.

use clap::{Args, Subcommand};

/// Help of `--until`.
const UNTIL: &str = "It ends by itself: after 90d or 8h, or at 2027-01-31T18:00 or 2027-01-31";

#[derive(Debug, Args)]
pub struct Grant {
    /// The object: any of its names
    pub object: String,
    /// Who: an account or a group
    #[arg(long = "user", visible_alias = "trustee", value_name = "NAME")]
    pub trustee: String,
    /// Right: "Send As", ms-Exch-SMTP-Submit, full-control, "write-property proxyAddresses", "create-child user", …
    #[arg(long = "right", value_name = "RIGHT", required = true)]
    pub rights: Vec<String>,
    /// Deny instead of allow
    #[arg(long)]
    pub deny: bool,
    /// Not on the object itself: on objects of this class below it, or of every class (all)
    #[arg(long, value_name = "CLASS")]
    pub inherit_to: Option<String>,
    /// What inherits it: none, all (the object and everything below), descendents, self-and-children, children [default:
    /// none, or descendents with --inherit-to]
    #[arg(long, visible_alias = "inheritance-type", value_name = "REACH")]
    pub inheritance: Option<admin::operations::Inheritance>,
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
    /// Grants of Send As and Send on Behalf that nobody has used, by the decisions in the audit, each with the command
    /// that takes it away
    Unused {
        /// For so many days
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// The used ones too: how often, when last, and by whom
        #[arg(long)]
        all: bool,
        /// Full Mailbox Access on mailboxes too; of its use only the mail is known that it carried, not who opens the mailbox
        #[arg(long)]
        full_access: bool,
    },
    /// What connectors that only observe would have refused: who, as whom, how often, and the command that grants it
    Observed {
        /// In the last so many days
        #[arg(long, default_value_t = 7)]
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
pub struct Delegates {
    /// The owner
    pub owner: String,
    /// Who
    #[arg(required = true)]
    pub delegates: Vec<String>,
    /// Full Mailbox Access too: then it also sends as the owner, when logged on to the mailbox
    #[arg(long)]
    pub full_access: bool,
    /// Send As too: then its mail is always sent as the owner, never on behalf
    #[arg(long)]
    pub send_as: bool,
}

#[derive(Debug, Subcommand)]
pub enum DelegationCommand {
    /// Add delegates, with further rights where they are named, as one change
    Add {
        #[command(flatten)]
        who: Delegates,
        #[arg(long, value_name = "TIME", help = UNTIL)]
        until: Option<String>,
    },
    /// Remove delegates, with the further rights that are named and stand on the owner itself
    Remove(Delegates),
    /// List delegates: what they hold beside, what their mail is, and when it ends
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
