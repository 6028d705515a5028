//! `connector send`.

use admin::operations::{self as op, Request};
use clap::{Args, Subcommand};

use super::Usage;
use super::units::{not_empty, size};
use crate::cli::fault::Failure;
use crate::cli::requests::password_from_stdin;

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

/// What a command asks for.
pub(super) fn request(command: SendCommand) -> Result<Request, Failure> {
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
