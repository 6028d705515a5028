//! Tokens and webhooks: what programs use over HTTP.

use admin::Endpoint;
use admin::operations::{
    AccessOf, AccessRequest, AccessResponse, Request, TokenName, TokenNew, TokenRow, WebhookAdd, WebhookId, WebhookRow,
};
use clap::{Args, Subcommand};

use super::args::Global;
use super::fault::Failure;
use super::output::{iso, table};
use super::run::{call, show};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token for an account and show it, this once
    #[command(
        after_help = "Whoever has it submits mail by HTTP as the account, with the account's permissions.\n\nExamples:\n  procura token new besadmin --name tickets\n  procura token new besadmin --name import --until 90d"
    )]
    New(New),
    /// Tokens by name: when they were made and used last, and until when they count
    List {
        /// Only of this account: any of its names
        account: Option<String>,
    },
    /// Take a token back: it counts no longer
    #[command(after_help = "Example:\n  procura token revoke besadmin tickets")]
    Revoke {
        /// The account: any of its names
        account: String,
        /// What the token is called
        name: String,
    },
}

#[derive(Debug, Args)]
pub struct New {
    /// The account: any of its names
    pub account: String,
    /// What it is for
    #[arg(long, value_name = "NAME")]
    pub name: String,
    /// When it ceases to count: a date, a time, or how long from now (8h, 90d) [default: never]
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Post to a URL what becomes of the mail of an account; shows the key of the signatures, this once
    #[command(
        after_help = "Events: message.delivered, message.failed, message.paused, message.released (these when none is named); \
                      account.paused and account.set-aside tell the operator of a service account, once for each cause.\n\n\
                      Examples:\n  procura webhook add besadmin https://tickets.example.com/hooks/mail\n  \
                      procura webhook add besadmin https://ops.example.com/procura --event account.paused --event account.set-aside"
    )]
    Add(Add),
    /// Webhooks, how much waits to be posted, and what was given up
    List {
        /// Only of this account: any of its names
        account: Option<String>,
    },
    /// Post no more; what waits to be posted is forgotten
    #[command(after_help = "Example:\n  procura webhook remove 3f1c2a7e")]
    Remove {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Post a test now and say what is answered
    #[command(after_help = "Example:\n  procura webhook test 3f1c2a7e")]
    Test {
        /// Its id, or the beginning of it
        id: String,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    /// The account: any of its names
    pub account: String,
    /// Where to post: https, or http on this machine
    pub url: String,
    /// What to tell
    #[arg(long = "event", value_name = "EVENT")]
    pub events: Vec<String>,
}

/// Runs `procura token`.
pub fn tokens(endpoint: &mut Endpoint, global: &Global, command: &TokenCommand) -> Result<(), Failure> {
    ask(
        endpoint,
        global,
        match command {
            TokenCommand::New(New { account, name, until }) => {
                let until = until.as_ref().map(|text| super::lifecycle::time(text, jiff::Timestamp::now()));
                let (account, name) = (account.clone(), name.clone());
                AccessRequest::TokenNew(TokenNew { account, name, until: until.transpose()? })
            }
            TokenCommand::List { account } => AccessRequest::TokenList(AccessOf { account: account.clone() }),
            TokenCommand::Revoke { account, name } => {
                AccessRequest::TokenRevoke(TokenName { account: account.clone(), name: name.clone() })
            }
        },
    )
}

/// Runs `procura webhook`.
pub fn webhooks(endpoint: &mut Endpoint, global: &Global, command: &WebhookCommand) -> Result<(), Failure> {
    ask(
        endpoint,
        global,
        match command {
            WebhookCommand::Add(Add { account, url, events }) => {
                let (account, url, events) = (account.clone(), url.clone(), events.clone());
                AccessRequest::WebhookAdd(WebhookAdd { account, url, events })
            }
            WebhookCommand::List { account } => AccessRequest::WebhookList(AccessOf { account: account.clone() }),
            WebhookCommand::Remove { id } => AccessRequest::WebhookRemove(WebhookId { id: id.clone() }),
            WebhookCommand::Test { id } => AccessRequest::WebhookTest(WebhookId { id: id.clone() }),
        },
    )
}

fn ask(endpoint: &mut Endpoint, global: &Global, request: AccessRequest) -> Result<(), Failure> {
    let looks = matches!(request, AccessRequest::TokenList(_) | AccessRequest::WebhookList(_));
    let response = match looks {
        true => endpoint.call("", Request::Access(request))?,
        false => call(endpoint, global, Request::Access(request))?,
    };
    show(&response, global.format)
}

/// The answers in words.
pub fn text(response: &AccessResponse) -> String {
    match response {
        AccessResponse::TokenMade(made) => {
            let mut text = format!("token {} of {}\n\n    {}\n\n", made.name, made.account, made.token.0.as_str());
            text += "Write it down now: it is shown this once. `Authorization: Bearer` takes it.\n";
            if let Some(until) = made.until {
                text += &format!("It counts until {}.\n", iso(until));
            }
            made.warnings.iter().for_each(|warning| text += &format!("warning: {warning}\n"));
            text
        }
        AccessResponse::Tokens(page) => {
            let row = |row: &TokenRow| {
                vec![
                    row.account.clone(),
                    row.name.clone(),
                    iso(row.created),
                    row.last_used.map_or_else(|| "never".to_owned(), iso),
                    row.until.map_or_else(|| "for ever".to_owned(), iso),
                ]
            };
            table(&["account", "name", "made", "last used", "until"], page.rows.iter().map(row))
        }
        AccessResponse::WebhookMade(made) => format!(
            "webhook {} of {} to {}\ntells {}\n\n    {}\n\n{}\n",
            made.id,
            made.account,
            made.url,
            made.events.join(", "),
            made.secret.0.as_str(),
            "Write this key down now: it is shown this once. The receiver checks the signatures with it.",
        ),
        AccessResponse::Webhooks(page) => webhook_rows(&page.rows),
    }
}

fn webhook_rows(rows: &[WebhookRow]) -> String {
    let row = |row: &WebhookRow| {
        vec![
            row.id.get(..8).unwrap_or(&row.id).to_owned(),
            row.account.clone(),
            row.url.clone(),
            row.events.join(" "),
            row.waiting.to_string(),
            row.given_up.to_string(),
            row.reason.clone(),
        ]
    };
    let heads = ["id", "account", "url", "events", "waiting", "given up", "last failure"];
    let mut text = table(&heads, rows.iter().map(row));
    for row in rows {
        for event in &row.last_given_up {
            let (id, kind, attempts) = (&event.id, &event.kind, event.attempts);
            let since = iso(event.created);
            text += &format!("\ngiven up after {attempts} attempts: {kind} {id} of {since}: {}", event.reason);
        }
    }
    if rows.iter().any(|row| !row.last_given_up.is_empty()) {
        text.push('\n');
    }
    text
}
