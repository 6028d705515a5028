//! `connector receive`.

use std::net::SocketAddr;

use admin::operations::{self as op, Request};
use clap::{Args, Subcommand};

use super::Usage;
use super::units::{milliseconds, not_empty, seconds, size};

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

/// What a command asks for.
pub(super) fn request(command: ReceiveCommand) -> Request {
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
