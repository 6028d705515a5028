//! Commands about connectors and about any object of the directory: `connector`, `cross-forest`, `browse`, `sd edit`.

mod edit;
mod servers;
mod shown;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use admin::operations::{self as op, Request, Response};
use clap::{Args, Subcommand, ValueEnum};

use super::args::Global;
use super::fault::Failure;
use super::requests::password_from_stdin;
use super::run::{call, show, unexpected};
use crate::node::Node;

pub use edit::{SdEdit, edit};
pub use servers::{SecureDomainCommand, ServerCommand};
pub use shown::text;

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

#[derive(Debug, Subcommand)]
pub enum ReceiveCommand {
    /// Create one
    #[command(
        after_help = "Usage types give permission groups and authentication:\n  client    ExchangeUsers; TLS, passwords after TLS, Kerberos; port 587\n  custom    nothing but TLS (the default)\n  internal  ExchangeServers, ExchangeLegacyServers; TLS, ExchangeServer; port 25\n  internet  AnonymousUsers, Partners; TLS; every client\n  partner   Partners; TLS with Domain Security\n\nExamples:\n  procura connector receive new Internet --usage internet --bindings 0.0.0.0:25\n  procura connector receive new Scanners --usage client --bindings 10.0.0.1:587 --remote-ranges 10.0.0.0/24\n  procura connector receive new Pickup --pickup /var/spool/procura/pickup --submit-as reports"
    )]
    New {
        /// Its name
        name: String,
        /// What it is for [default: custom]
        #[arg(long, value_enum)]
        usage: Option<Usage>,
        /// Its server [default: the only one]
        #[arg(long)]
        server: Option<String>,
        /// Permission groups instead of those of the usage type
        #[arg(long, value_name = "GROUP", value_delimiter = ',')]
        permission_groups: Option<Vec<String>>,
        #[command(flatten)]
        settings: ReceiveArgs,
    },
    /// Show one, or list all
    Get {
        /// Its name
        name: Option<String>,
    },
    /// Change one; a running server follows at once
    #[command(
        after_help = "Examples:\n  procura connector receive set 'Default MAIL' --add-permission-groups AnonymousUsers\n  procura connector receive set Internet --max-message-size 50M --header-from enforce"
    )]
    Set {
        /// Its name
        name: String,
        /// New name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        /// Replace all permission groups: AnonymousUsers, ExchangeUsers, ExchangeServers, ExchangeLegacyServers, Partners, or None
        #[arg(long, value_name = "GROUP", value_delimiter = ',')]
        permission_groups: Option<Vec<String>>,
        /// Add permission groups
        #[arg(long, value_name = "GROUP", value_delimiter = ',')]
        add_permission_groups: Vec<String>,
        /// Take permission groups away
        #[arg(long, value_name = "GROUP", value_delimiter = ',')]
        remove_permission_groups: Vec<String>,
        #[command(flatten)]
        settings: ReceiveArgs,
    },
    /// Delete one; its sessions end
    Remove {
        /// Its name
        name: String,
    },
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

/// Settings of receive connectors.
#[derive(Debug, Default, Args)]
pub struct ReceiveArgs {
    /// Address and port to listen on: `0.0.0.0:25`, `[::]:25`
    #[arg(long, value_name = "ADDR:PORT", value_delimiter = ',')]
    bindings: Option<Vec<SocketAddr>>,
    /// Clients: an address, a range a-b, or CIDR; the most specific connector gets a client
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    remote_ranges: Option<Vec<String>>,
    /// Authentication: None, Tls, Integrated, BasicAuth, BasicAuthRequireTLS, ExchangeServer, ExternalAuthoritative
    #[arg(long, value_name = "MECHANISM", value_delimiter = ',')]
    auth: Option<Vec<String>>,
    /// In service
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Name in the greeting and in EHLO; an empty text: the node's
    #[arg(long, value_name = "NAME")]
    fqdn: Option<String>,
    /// Text of the greeting after the name; an empty text: the usual one
    #[arg(long)]
    banner: Option<String>,
    /// No mail but over TLS
    #[arg(long, value_name = "BOOL")]
    require_tls: Option<bool>,
    /// TLS begins before the greeting, as on port 465
    #[arg(long, value_name = "BOOL")]
    implicit_tls: Option<bool>,
    /// Domain Security: certificates of clients prove their domains
    #[arg(long, value_name = "BOOL")]
    domain_secure: Option<bool>,
    /// Largest message, as 36M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_message_size: Option<u64>,
    /// Largest header block, as 256k
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_header_size: Option<u64>,
    /// Most recipients of a message
    #[arg(long, value_name = "COUNT")]
    max_recipients: Option<u32>,
    /// Received fields before a message is a loop
    #[arg(long, value_name = "COUNT")]
    max_hops: Option<u32>,
    /// Errors that end a session
    #[arg(long, value_name = "COUNT")]
    max_errors: Option<u32>,
    /// Failed logons that end a session
    #[arg(long, value_name = "COUNT")]
    max_logon_failures: Option<u32>,
    /// Connections at a time
    #[arg(long, value_name = "COUNT")]
    max_connections: Option<u32>,
    /// Connections at a time from one address
    #[arg(long, value_name = "COUNT")]
    max_connections_per_source: Option<u32>,
    /// Messages a minute from one address; 0: no limit
    #[arg(long, value_name = "COUNT")]
    rate_per_source: Option<u32>,
    /// Recipients a minute that strangers at one address may name and that there are not; 0: no limit
    #[arg(long, value_name = "COUNT")]
    unknown_per_source: Option<u32>,
    /// Messages a minute over one connection; 0: no limit
    #[arg(long, value_name = "COUNT")]
    rate_per_connection: Option<u32>,
    /// Longest wait for a command, as 5m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    command_timeout: Option<u32>,
    /// Longest wait for a piece of a message, as 5m
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    data_timeout: Option<u32>,
    /// Longest session, as 1h
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    session_lifetime: Option<u32>,
    /// Delay of refusals, as 5s or 500ms
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    tarpit: Option<u32>,
    /// Header senders: enforce, observe or off
    #[arg(long, value_name = "MODE")]
    header_from: Option<String>,
    /// Mail on behalf without Sender: stamp or reject
    #[arg(long, value_name = "MODE")]
    on_behalf: Option<String>,
    /// Send As of a delegate's address may be followed by Send on Behalf
    #[arg(long, value_name = "BOOL")]
    delegate_chain: Option<bool>,
    /// Refuse mail without From
    #[arg(long, value_name = "BOOL")]
    require_from: Option<bool>,
    /// Between user and mailbox in a logon name
    #[arg(long, value_name = "CHAR")]
    logon_separator: Option<char>,
    /// Offer CHUNKING, the BDAT command
    #[arg(long, value_name = "BOOL")]
    chunking: Option<bool>,
    /// Offer BINARYMIME: bodies that are no lines, by BDAT
    #[arg(long, value_name = "BOOL")]
    binary_mime: Option<bool>,
    /// Offer DSN: senders may ask for reports
    #[arg(long, value_name = "BOOL")]
    dsn: Option<bool>,
    /// Load balancers: connections from these addresses begin with a PROXY header; an empty text: none do
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    proxy_from: Option<Vec<String>>,
    /// For old devices: take bare line feeds, spaces after MAIL FROM: and addresses without angle brackets
    #[arg(long, value_name = "BOOL")]
    tolerant: Option<bool>,
    /// Add a missing Date or Message-ID to what accounts and trusted servers submit
    #[arg(long, value_name = "BOOL")]
    complete_headers: Option<bool>,
    /// Leave messages within a message as they came, instead of removing organization headers from them too
    #[arg(long, value_name = "BOOL")]
    keep_attached_messages: Option<bool>,
    /// Lines of its sessions in the protocol log: none, verbose, or default, which is what `[log] protocol` says
    #[arg(long, value_name = "LEVEL")]
    protocol_log: Option<String>,
    /// Take no connections, but files of this folder that are messages (*.eml): sender and recipients are in the header
    #[arg(long, value_name = "FOLDER", conflicts_with = "replay")]
    pickup: Option<String>,
    /// Take no connections, but files of this folder that are messages with their envelope (X-Sender, X-Receiver)
    #[arg(long, value_name = "FOLDER")]
    replay: Option<String>,
    /// Of a folder, for whom its files are sent: anonymous, owner (of the file, by `local.accounts` of the configuration), or an account
    #[arg(long, value_name = "WHO")]
    submit_as: Option<String>,
    /// Of a folder: files a minute; 0: no limit [default: 100]
    #[arg(long, value_name = "COUNT")]
    files_per_minute: Option<u32>,
    /// Rewrite recipients: two addresses or two domains, as old.example:example.com; an empty text: none
    #[arg(long, value_name = "OLD:NEW", value_delimiter = ',')]
    rewrite: Option<Vec<String>>,
    /// What --rewrite changes beside recipients of the envelope: none, recipients (To and Cc), or all (senders too)
    #[arg(long, value_name = "WHAT")]
    rewrite_headers: Option<String>,
}

impl ReceiveArgs {
    fn settings(self) -> op::ReceiveSettings {
        op::ReceiveSettings {
            bindings: self.bindings,
            remote_ranges: self.remote_ranges,
            auth: self.auth,
            enabled: self.enabled,
            fqdn: self.fqdn,
            banner: self.banner,
            require_tls: self.require_tls,
            implicit_tls: self.implicit_tls,
            domain_secure: self.domain_secure,
            max_message_size: self.max_message_size,
            max_header_size: self.max_header_size,
            max_recipients: self.max_recipients,
            max_hops: self.max_hops,
            max_errors: self.max_errors,
            max_logon_failures: self.max_logon_failures,
            max_connections: self.max_connections,
            max_connections_per_source: self.max_connections_per_source,
            rate_per_source: self.rate_per_source,
            unknown_per_source: self.unknown_per_source,
            rate_per_connection: self.rate_per_connection,
            command_timeout: self.command_timeout,
            data_timeout: self.data_timeout,
            session_lifetime: self.session_lifetime,
            tarpit_ms: self.tarpit,
            header_from: self.header_from,
            on_behalf: self.on_behalf,
            delegate_chain: self.delegate_chain,
            require_from: self.require_from,
            logon_separator: self.logon_separator,
            chunking: self.chunking,
            binary_mime: self.binary_mime,
            dsn: self.dsn,
            proxy_from: self.proxy_from.map(not_empty),
            tolerant: self.tolerant,
            complete_headers: self.complete_headers,
            pickup: self.pickup,
            replay: self.replay,
            submit_as: self.submit_as,
            files_per_minute: self.files_per_minute,
            keep_attached_messages: self.keep_attached_messages,
            protocol_log: self.protocol_log,
            rewrite: self.rewrite.map(not_empty),
            rewrite_headers: self.rewrite_headers,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum SendCommand {
    /// Create one
    #[command(
        after_help = "Usage types give rights to receivers, as far as they are proven:\n  custom    nothing (the default)\n  internal  all four rights to servers of the organization; smart hosts must prove to be such\n  internet  routing headers to everybody\n  partner   routing headers to proven partners; Domain Security\n\nExamples:\n  procura connector send new Internet --usage internet --address-space '*' --tls mta-sts\n  procura connector send new Relay --usage internet --address-space '*' --smart-host relay.example.net\n  procura connector send new Provider --usage internet --address-space '*' --smart-host smtp.example.net:587 --auth basic-requires-tls --user example --password-stdin\n  procura connector send new Fax --address-space fax.example.com --drop /var/spool/procura/fax"
    )]
    New {
        /// Its name
        name: String,
        /// What it is for [default: custom]
        #[arg(long, value_enum)]
        usage: Option<Usage>,
        #[command(flatten)]
        settings: SendArgs,
    },
    /// Show one, or list all
    Get {
        /// Its name
        name: Option<String>,
    },
    /// Change one
    Set {
        /// Its name
        name: String,
        /// New name
        #[arg(long, value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        settings: SendArgs,
    },
    /// Delete one
    Remove {
        /// Its name
        name: String,
    },
}

/// Settings of send connectors.
#[derive(Debug, Default, Args)]
pub struct SendArgs {
    /// What it takes: *, example.net, *.example.net, or with a cost: 'SMTP:*.example.net;10'
    #[arg(long = "address-space", value_name = "SPACE")]
    address_spaces: Option<Vec<String>>,
    /// Host that takes the mail: host or host:port; several are tried in this order. Without one: by MX records
    #[arg(long = "smart-host", value_name = "HOST")]
    smart_hosts: Option<Vec<String>>,
    /// No smart hosts any more: the hosts that the MX records of the recipient's domain name
    #[arg(long, conflicts_with = "smart_hosts")]
    by_mx: bool,
    /// Port where a smart host names none
    #[arg(long)]
    port: Option<u16>,
    /// none, basic, basic-requires-tls, oauth, exchange-server, external-authoritative
    #[arg(long)]
    auth: Option<String>,
    /// Name to log on with
    #[arg(long)]
    user: Option<String>,
    /// Read the password to log on with from standard input; with oauth the client's secret, or the refresh token and,
    /// after a space, the client's secret where there is one
    #[arg(long)]
    password_stdin: bool,
    /// In use
    #[arg(long, value_name = "BOOL")]
    enabled: Option<bool>,
    /// Largest message, as 35M; 0: no limit
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_message_size: Option<u64>,
    /// Name in EHLO; an empty text: the node's
    #[arg(long, value_name = "NAME")]
    fqdn: Option<String>,
    /// Over TLS or not at all
    #[arg(long, value_name = "BOOL")]
    require_tls: Option<bool>,
    /// Domain Security: the host's certificate has to prove the recipient's domain
    #[arg(long, value_name = "BOOL")]
    domain_secure: Option<bool>,
    /// Leave messages as files in this folder, instead of sending them to hosts; an empty text: no more
    #[arg(long = "drop", value_name = "FOLDER", conflicts_with = "smart_hosts")]
    drop_folder: Option<String>,
    /// Rewrite senders: two addresses or two domains, as example.com:example.net; an empty text: none
    #[arg(long, value_name = "OLD:NEW", value_delimiter = ',')]
    rewrite: Option<Vec<String>>,
    /// opportunistic, none, required (encrypted), verified (the host proves its name or shows a pinned key), mta-sts
    #[arg(long, value_name = "POLICY")]
    tls: Option<String>,
    /// SHA-256 of a public key that the host may have, 64 hexadecimal digits; an empty text: none is pinned
    #[arg(long = "tls-pin", value_name = "SHA256")]
    tls_pins: Option<Vec<String>>,
    /// Connections at a time to one destination; 0: as many as the node has for one
    #[arg(long, value_name = "NUMBER")]
    max_connections: Option<u32>,
    /// Messages a minute to one destination; 0: no limit
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// With oauth: the token endpoint
    #[arg(long, value_name = "URL")]
    token_url: Option<String>,
    /// With oauth: identifier of the client
    #[arg(long, value_name = "ID")]
    token_client: Option<String>,
    /// With oauth: scopes to ask for
    #[arg(long, value_name = "SCOPES")]
    token_scope: Option<String>,
    /// With oauth: client-credentials or refresh-token
    #[arg(long, value_name = "GRANT")]
    token_grant: Option<String>,
    /// Lines of its sessions in the protocol log: none, verbose, or default, which is what `[log] protocol` says
    #[arg(long, value_name = "LEVEL")]
    protocol_log: Option<String>,
}

impl SendArgs {
    fn take(self) -> Result<(op::SendSettings, Option<op::Secret>), Failure> {
        let password = if self.password_stdin { Some(password_from_stdin()?) } else { None };
        let settings = op::SendSettings {
            address_spaces: self.address_spaces,
            smart_hosts: if self.by_mx { Some(Vec::new()) } else { self.smart_hosts },
            port: self.port,
            auth: self.auth,
            user: self.user,
            enabled: self.enabled,
            max_message_size: self.max_message_size,
            fqdn: self.fqdn,
            require_tls: self.require_tls,
            domain_secure: self.domain_secure,
            tls: self.tls,
            tls_pins: self.tls_pins.map(|pins| pins.into_iter().filter(|pin| !pin.is_empty()).collect()),
            max_connections: self.max_connections,
            rate: self.rate,
            token_url: self.token_url,
            token_client: self.token_client,
            token_scope: self.token_scope,
            token_grant: self.token_grant,
            drop_folder: self.drop_folder,
            protocol_log: self.protocol_log,
            rewrite: self.rewrite.map(not_empty),
        };
        Ok((settings, password))
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
        Connectors::Connector(ConnectorCommand::Receive(command)) => receive(command),
        Connectors::Connector(ConnectorCommand::Send(command)) => send(command)?,
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

fn receive(command: ReceiveCommand) -> Request {
    match command {
        ReceiveCommand::New { name, usage, server, permission_groups, settings } => {
            Request::ReceiveConnectorNew(op::ReceiveNew {
                name,
                usage: usage.map(Usage::name),
                server,
                permission_groups,
                settings: settings.settings(),
            })
        }
        ReceiveCommand::Get { name } => Request::ReceiveConnectorGet(op::ConnectorGet { identity: name }),
        ReceiveCommand::Set {
            name,
            rename,
            permission_groups,
            add_permission_groups,
            remove_permission_groups,
            settings,
        } => Request::ReceiveConnectorSet(op::ReceiveSet {
            identity: name,
            rename,
            permission_groups,
            add_groups: add_permission_groups,
            remove_groups: remove_permission_groups,
            settings: settings.settings(),
        }),
        ReceiveCommand::Remove { name } => Request::ReceiveConnectorRemove(op::Target { identity: name }),
    }
}

fn send(command: SendCommand) -> Result<Request, Failure> {
    Ok(match command {
        SendCommand::New { name, usage, settings } => {
            let (settings, password) = settings.take()?;
            Request::SendConnectorNew(op::SendNew { name, usage: usage.map(Usage::name), password, settings })
        }
        SendCommand::Get { name } => Request::SendConnectorGet(op::ConnectorGet { identity: name }),
        SendCommand::Set { name, rename, settings } => {
            let (settings, password) = settings.take()?;
            Request::SendConnectorSet(op::SendSet { identity: name, rename, password, settings })
        }
        SendCommand::Remove { name } => Request::SendConnectorRemove(op::Target { identity: name }),
    })
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

/// `36M`: octets, with k, M or G for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let bare = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (digits, factor) = match bare.char_indices().last() {
        Some((at, 'k')) => (&bare[..at], 1 << 10),
        Some((at, 'm')) => (&bare[..at], 1 << 20),
        Some((at, 'g')) => (&bare[..at], 1 << 30),
        _ => (bare, 1),
    };
    let number: Option<u64> = digits.trim().parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "write a size as 1000000, 256k or 36M".to_owned())
}

/// `5m`: seconds, with s, m or h.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || "write a time as 90s, 5m or 1h".to_owned();
    let (number, unit) = split(text);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// `5s` or `500ms`, in milliseconds.
fn milliseconds(text: &str) -> Result<u32, String> {
    let wrong = || "write a time as 5s or 500ms".to_owned();
    let (number, unit) = split(text);
    let factor = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        _ => return Err(wrong()),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

/// A list; an empty text is no entry of it, and alone it empties the list.
fn not_empty(values: Vec<String>) -> Vec<String> {
    values.into_iter().filter(|value| !value.is_empty()).collect()
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size("36M"), Ok(36 << 20));
        assert_eq!(size("256 kB"), Ok(256 << 10));
        assert_eq!(size("1000"), Ok(1000));
        assert!(size("many").is_err() && size("99999999999999999999G").is_err());
        assert_eq!((seconds("90"), seconds("5m"), seconds("1h")), (Ok(90), Ok(300), Ok(3600)));
        assert!(seconds("5 days").is_err());
        assert_eq!((milliseconds("5s"), milliseconds("500ms")), (Ok(5000), Ok(500)));
    }
}
