//! Mailboxes: given, taken, kept without an owner, linked.

use clap::{Args, Subcommand};

use super::ListArgs;

#[derive(Debug, Subcommand)]
pub enum MailboxCommand {
    /// Give an account a mailbox
    #[command(
        visible_alias = "enable",
        after_help = "Examples:\n  procura mailbox enable erin\n  procura mailbox enable erin.r --linked S-1-5-21-7-8-9-1105"
    )]
    Add {
        /// The account
        user: String,
        /// Mailbox database [default: the only one]
        #[arg(long)]
        database: Option<String>,
        /// Address, when the account has none [default: its name at the default domain]
        #[arg(long)]
        address: Option<String>,
        /// Its user logs on with this account of another forest: a SID, or a name that the directory knows
        #[arg(long, value_name = "ACCOUNT")]
        linked: Option<String>,
    },
    /// Change a mailbox
    Set {
        /// The owner
        user: String,
        /// Move to this database
        #[arg(long)]
        database: Option<String>,
        /// What the account may send: '100 messages/hour', '1000 recipients/day' and the like; 'none': no limit; an empty
        /// text: what the configuration of the node says
        #[arg(long = "sending-limit", value_name = "LIMIT")]
        sending_limits: Option<Vec<String>>,
    },
    /// Take the mailbox away from an account; it is kept without an owner until it is connected or purged
    #[command(visible_aliases = ["disable", "disconnect"])]
    Remove {
        /// The owner
        user: String,
    },
    /// Give a mailbox without an owner to an account; permissions on the mailbox come along
    #[command(
        after_help = "Examples:\n  procura mailbox list --disconnected\n  procura mailbox connect zoe --to erin --former-addresses --dry-run"
    )]
    Connect {
        /// Its GUID, or the name or an address of its former owner
        mailbox: String,
        /// The account
        #[arg(long, value_name = "ACCOUNT")]
        to: String,
        /// Address, when the account has none [default: its name at the default domain]
        #[arg(long)]
        address: Option<String>,
        /// Give the account the former owner's addresses too, as far as nobody has them by now
        #[arg(long)]
        former_addresses: bool,
    },
    /// Forget a mailbox without an owner for good; what is in it stays on disk
    Purge {
        /// Its GUID, or the name or an address of its former owner
        mailbox: String,
    },
    /// Make an account of another forest the owner of a mailbox for mail (Associated External Account)
    #[command(after_help = "Example:\n  procura mailbox link erin.r S-1-5-21-7-8-9-1105 --disable")]
    Link {
        /// The owner
        user: String,
        /// The account of another forest: a SID, or a name that the directory knows
        account: String,
        /// Disable the owner too: the link counts only while it is disabled
        #[arg(long)]
        disable: bool,
    },
    /// End such a link
    Unlink {
        /// The owner
        user: String,
    },
    /// List mailboxes
    List(MailboxList),
}

#[derive(Debug, Args)]
pub struct MailboxList {
    #[command(flatten)]
    pub list: ListArgs,
    /// Those without an owner instead: since when, whose they were, and who is named in their permissions
    #[arg(long)]
    pub disconnected: bool,
}
