//! Commands about connectors and about any object of the directory: `connector`, `cross-forest`, `browse`, `sd edit`.

mod edit;
mod receive;
mod send;
mod servers;
mod shown;
mod units;

use std::net::IpAddr;
use std::process::ExitCode;

use admin::operations::{self as op, Request, Response};
use clap::{Args, Subcommand, ValueEnum};

use super::args::Global;
use super::fault::Failure;
use super::run::{call, show, unexpected};
use crate::node::Node;

pub use edit::{SdEdit, edit};
pub use receive::ReceiveCommand;
pub use send::SendCommand;
pub use servers::{SecureDomainCommand, ServerCommand};
pub use shown::text;
use units::size;

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one lives, for one command")]
pub enum Connectors {
    /// Receive connectors and send connectors
    #[command(subcommand)]
    Connector(ConnectorCommand),
    /// Mail between forests
    #[command(subcommand, name = "cross-forest")]
    CrossForest(CrossForestCommand),
    /// Servers of the organization, known by the keys of their certificates
    #[command(subcommand)]
    Server(ServerCommand),
    /// Domains whose mail comes and goes only with their certificate (Domain Security)
    #[command(subcommand, name = "secure-domain")]
    SecureDomain(SecureDomainCommand),
    /// The directory as a tree, with its Configuration partition
    #[command(
        after_help = "Examples:\n  procura browse\n  procura browse OU=Staff --depth 2\n  procura browse 'CN=Configuration\\CN=Services\\CN=Microsoft Exchange' --depth 3"
    )]
    Browse {
        /// Any name of an object, or a path: CN=Configuration\CN=Services [default: the domains]
        path: Option<String>,
        /// Levels below it
        #[arg(long, default_value_t = 1)]
        depth: u32,
    },
}

#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one lives, for one command")]
pub enum ConnectorCommand {
    /// Where mail comes in
    #[command(subcommand)]
    Receive(ReceiveCommand),
    /// Where mail goes out
    #[command(subcommand)]
    Send(SendCommand),
    /// What would happen to a session, stage by stage, and why. Exit code 1: refused
    #[command(
        after_help = "Exit code: 0 accepted, 1 refused, 2 could not be asked.\n\nExamples:\n  procura connector test 'Default MAIL' --as alice --from alice@example.com --to bob@example.net\n  procura connector test 'Default MAIL' --as anonymous --from x@outside.test --to alice@example.com\n  procura connector test 'To partner' --as partner:partner.test"
    )]
    Test(TestArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Usage {
    /// Mail programs of people
    Client,
    /// Whatever you grant
    Custom,
    /// Servers of the organization
    Internal,
    /// Strangers
    Internet,
    /// Domains that prove themselves by certificate
    Partner,
}

impl Usage {
    fn name(self) -> String {
        format!("{self:?}")
    }
}

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Receive or send connector
    name: String,
    /// An account, anonymous, or a proven host: hub, edge, externally-secured, partner:DOMAIN [default: of folders,
    /// whoever their files are sent for]
    #[arg(long = "as", value_name = "WHO")]
    who: Option<String>,
    /// Envelope sender; <> is the null reverse-path
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Address in the From header [default: the envelope sender]
    #[arg(long, value_name = "ADDRESS")]
    header_from: Option<String>,
    /// Recipient
    #[arg(long, value_name = "ADDRESS")]
    to: Vec<String>,
    /// Size of the message, as 40M
    #[arg(long, value_parser = size)]
    size: Option<u64>,
    /// Address of the client
    #[arg(long, value_name = "ADDR")]
    remote: Option<IpAddr>,
}

#[derive(Debug, Subcommand)]
pub enum CrossForestCommand {
    /// Give another forest's servers their rights on a connector, as Enable-CrossForestConnector.ps1 did
    #[command(
        after_help = "On a send connector all send rights, on a receive connector all receive rights, unless --rights names some.\n\nExamples:\n  procura cross-forest enable 'To Fabrikam' --user 'ANONYMOUS LOGON'\n  procura cross-forest enable 'From Fabrikam' --user fabrikam-servers --rights ms-Exch-SMTP-Submit,ms-Exch-SMTP-Accept-Any-Sender"
    )]
    Enable {
        /// Receive or send connector
        connector: String,
        /// Whom
        #[arg(long, visible_alias = "trustee", value_name = "NAME")]
        user: String,
        /// Rights instead of the usual ones
        #[arg(long, value_name = "RIGHT", value_delimiter = ',')]
        rights: Vec<String>,
    },
}

/// Runs a command. Exit code 1: a test was refused.
pub fn run(global: &Global, command: Connectors) -> miette::Result<ExitCode> {
    if let Connectors::Browse { path, depth } = command {
        browse(global, path, depth)?;
        return Ok(ExitCode::SUCCESS);
    }
    let only_looks = matches!(
        command,
        Connectors::Connector(
            ConnectorCommand::Test(_)
                | ConnectorCommand::Receive(ReceiveCommand::Get { .. })
                | ConnectorCommand::Send(SendCommand::Get { .. })
        ) | Connectors::Server(ServerCommand::Get { .. })
            | Connectors::SecureDomain(SecureDomainCommand::List)
    );
    let Some(asked) = request(command)? else { return Ok(ExitCode::SUCCESS) };
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let response = match only_looks {
        true => endpoint.call("", asked).map_err(Failure::from)?,
        false => call(&mut endpoint, global, asked)?,
    };
    show(&response, global.format)?;
    let refused = matches!(&response, Response::ConnectorTested(tested) if !tested.accepted);
    Ok(ExitCode::from(u8::from(refused)))
}

/// The request of a command; none for one that asks nobody.
fn request(command: Connectors) -> Result<Option<Request>, Failure> {
    Ok(Some(match command {
        Connectors::Server(command) => return servers::server(command),
        Connectors::SecureDomain(command) => servers::secure_domain(command),
        Connectors::Connector(ConnectorCommand::Receive(command)) => receive::request(command),
        Connectors::Connector(ConnectorCommand::Send(command)) => send::request(command)?,
        Connectors::Connector(ConnectorCommand::Test(test)) => Request::ConnectorTest(op::ConnectorTest {
            identity: test.name,
            who: test.who.unwrap_or_default(),
            from: test.from,
            header_from: test.header_from,
            to: test.to,
            size: test.size,
            remote: test.remote,
        }),
        Connectors::CrossForest(CrossForestCommand::Enable { connector, user, rights }) => {
            Request::CrossForestEnable(op::CrossForest { identity: connector, user, rights })
        }
        Connectors::Browse { path, depth } => {
            Request::Browse(op::Browse { path, depth: Some(depth), ..op::Browse::default() })
        }
    }))
}

/// Asks on until the tree is complete.
fn browse(global: &Global, path: Option<String>, depth: u32) -> miette::Result<()> {
    let mut endpoint = Node::locate(global)?.endpoint()?;
    let mut asked = op::Browse { path, depth: Some(depth), after: None };
    let mut rows = Vec::new();
    loop {
        let response = endpoint.call("", Request::Browse(asked.clone())).map_err(Failure::from)?;
        let Response::Tree(page) = response else { return Err(unexpected().into()) };
        rows.extend(page.rows);
        asked.after = page.next;
        if asked.after.is_none() {
            break;
        }
    }
    Ok(show(&Response::Tree(rows.into()), global.format)?)
}
