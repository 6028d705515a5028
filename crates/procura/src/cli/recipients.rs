//! Recipients: forwarding, restrictions, copies, journals, dynamic groups and contacts.

use std::process::ExitCode;

use admin::operations::{
    CatchAll, Journal, RecipientNew, RecipientRequest, RecipientResponse, RecipientSet, RecipientSettings, Request,
};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::args::Global;
use super::fault::Failure;
use super::run::{call, show};
use crate::node::Node;

#[derive(Debug, Subcommand)]
pub enum RecipientCommand {
    /// How mail for a recipient goes: forwarding, who may send to it, copies, journal; who is in a dynamic group
    Get {
        /// Any of its names
        name: String,
    },
    /// Change how mail for a recipient goes
    #[command(
        after_help = "An empty text takes a value away, as in --forward-to ''.\n\nExamples:\n  procura recipient set alice --forward-to bob --keep-copy true\n  procura recipient set Board --accept-from Managers,ceo --authenticated-only true\n  procura recipient set info@example.com --copy-sent-as true --copy-sent-on-behalf true\n  procura recipient set News --owner carla --reports-to owner"
    )]
    Set {
        /// Any of its names
        name: String,
        /// Its mail addresses from now on; the first is the primary one
        #[arg(long = "address", value_name = "ADDRESS")]
        addresses: Vec<String>,
        #[command(flatten)]
        settings: RecipientArgs,
    },
    /// Delete a contact or a dynamic group
    #[command(after_help = "Example:\n  procura recipient remove 'Tom Miller'")]
    Remove {
        /// Any of its names
        name: String,
    },
    /// Create a contact: an address of ours whose mail goes elsewhere
    #[command(
        name = "add-contact",
        after_help = "Example:\n  procura recipient add-contact 'Tom Miller' --address tom@example.com --target tom@example.net"
    )]
    AddContact(Add),
    /// Create a group whose members follow a filter of LDAP
    #[command(
        name = "add-dynamic-group",
        after_help = "Example:\n  procura recipient add-dynamic-group Sales --address sales@example.com --filter '(&(objectClass=user)(department=Sales))'"
    )]
    AddDynamicGroup(Add),
    /// Who gets mail for addresses of an accepted domain that nobody has; shown where nobody is named
    #[command(
        name = "catch-all",
        after_help = "Examples:\n  procura recipient catch-all example.com info@example.com\n  procura recipient catch-all example.com ''"
    )]
    CatchAll {
        /// The accepted domain
        domain: String,
        /// The recipient; an empty text: such mail is refused
        recipient: Option<String>,
    },
    /// Where all messages of the organization are reported to; shown where no address is given
    #[command(
        after_help = "A journal report holds the envelope, with the groups that recipients were found in, and the message. A mailbox of its own is journaled with `procura recipient set NAME --journal-to`.\n\nExamples:\n  procura recipient journal archive@example.net\n  procura recipient journal ''"
    )]
    Journal {
        /// The address; an empty text: no journal
        address: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    /// Its name
    name: String,
    /// Mail address; the first is the primary one
    #[arg(long = "address", value_name = "ADDRESS", required = true)]
    addresses: Vec<String>,
    /// Container [default: Users of the first domain]
    #[arg(long)]
    ou: Option<String>,
    #[command(flatten)]
    settings: RecipientArgs,
}

/// How mail for a recipient goes.
#[derive(Debug, Args)]
pub struct RecipientArgs {
    /// Forward mail to this recipient
    #[arg(long, value_name = "NAME")]
    forward_to: Option<String>,
    /// Keep what is forwarded in the mailbox too
    #[arg(long, value_name = "BOOL")]
    keep_copy: Option<bool>,
    /// Where mail for a contact goes
    #[arg(long, value_name = "ADDRESS")]
    target: Option<String>,
    /// Only these senders, and members of these groups, may send to it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    accept_from: Option<Vec<String>>,
    /// These senders, and members of these groups, may not
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    reject_from: Option<Vec<String>>,
    /// Only proven senders may
    #[arg(long, value_name = "BOOL")]
    authenticated_only: Option<bool>,
    /// The mailbox gets a copy of what others send as it
    #[arg(long, value_name = "BOOL")]
    copy_sent_as: Option<bool>,
    /// The mailbox gets a copy of what others send on its behalf
    #[arg(long, value_name = "BOOL")]
    copy_sent_on_behalf: Option<bool>,
    /// Report each message that it sends or receives to this address
    #[arg(long, value_name = "ADDRESS")]
    journal_to: Option<String>,
    /// Who manages a group
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Who hears of mail to a group that cannot be delivered: sender, owner or nobody
    #[arg(long, value_name = "WHO")]
    reports_to: Option<String>,
    /// The filter of a dynamic group (RFC 4515)
    #[arg(long)]
    filter: Option<String>,
    /// Members of a dynamic group are below this container
    #[arg(long, value_name = "CONTAINER")]
    below: Option<String>,
}

impl RecipientArgs {
    fn settings(self) -> RecipientSettings {
        RecipientSettings {
            forward_to: self.forward_to,
            keep_copy: self.keep_copy,
            target: self.target,
            accept_from: self.accept_from,
            reject_from: self.reject_from,
            authenticated_only: self.authenticated_only,
            copy_sent_as: self.copy_sent_as,
            copy_sent_on_behalf: self.copy_sent_on_behalf,
            journal_to: self.journal_to,
            owner: self.owner,
            reports_to: self.reports_to,
            filter: self.filter,
            below: self.below,
        }
    }
}

/// Runs a command.
pub fn run(global: &Global, command: RecipientCommand) -> miette::Result<ExitCode> {
    let request = request(command);
    let looks = matches!(
        &request,
        RecipientRequest::Get { .. }
            | RecipientRequest::CatchAll(CatchAll { recipient: None, .. })
            | RecipientRequest::Journal(Journal { address: None })
    );
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let response = match looks {
        true => endpoint.call("", Request::Recipient(request)).map_err(Failure::from)?,
        false => call(&mut endpoint, global, Request::Recipient(request))?,
    };
    show(&response, global.format)?;
    Ok(ExitCode::SUCCESS)
}

fn request(command: RecipientCommand) -> RecipientRequest {
    let new = |add: Add, dynamic_group: bool| {
        let Add { name, addresses, ou, settings } = add;
        RecipientNew { name, dynamic_group, ou, addresses, settings: settings.settings() }
    };
    match command {
        RecipientCommand::Get { name } => RecipientRequest::Get { identity: name },
        RecipientCommand::Set { name, addresses, settings } => {
            let addresses = (!addresses.is_empty()).then_some(addresses);
            RecipientRequest::Set(Box::new(RecipientSet { identity: name, addresses, settings: settings.settings() }))
        }
        RecipientCommand::Remove { name } => RecipientRequest::Remove { identity: name },
        RecipientCommand::AddContact(add) => RecipientRequest::New(Box::new(new(add, false))),
        RecipientCommand::AddDynamicGroup(add) => RecipientRequest::New(Box::new(new(add, true))),
        RecipientCommand::CatchAll { domain, recipient } => RecipientRequest::CatchAll(CatchAll { domain, recipient }),
        RecipientCommand::Journal { address } => RecipientRequest::Journal(Journal { address }),
    }
}

/// The answer in words.
pub fn text(response: &RecipientResponse) -> String {
    match response {
        RecipientResponse::Value { value } => format!("{}\n", value.as_deref().unwrap_or("none")),
        RecipientResponse::One(row) => {
            let Ok(Value::Object(fields)) = serde_json::to_value(row) else { return String::new() };
            let width = fields.keys().map(String::len).max().unwrap_or_default();
            let line = |(name, value): (&String, &Value)| {
                let value = match value {
                    Value::String(text) => text.clone(),
                    Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
                    Value::Bool(true) => "yes".to_owned(),
                    Value::Bool(false) => "no".to_owned(),
                    other => other.to_string(),
                };
                format!("{:<width$}  {value}", name.replace('_', " ")).trim_end().to_owned() + "\n"
            };
            fields.iter().map(line).collect()
        }
    }
}
