//! Operations on connectors as documents.

use std::net::SocketAddr;

use rights::TraceLine;
use serde::{Deserialize, Serialize};

use crate::operations::Secret;

/// Settings of a receive connector. In a command, what is absent stays as it is, or gets its usual value; in an answer
/// all are there. Sizes are octets, times seconds unless the name says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReceiveSettings {
    /// Addresses and ports to listen on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<Vec<SocketAddr>>,
    /// Clients: addresses, `first-last`, CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ranges: Option<Vec<String>>,
    /// `None`, `Tls`, `Integrated`, `BasicAuth`, `BasicAuthRequireTLS`, `ExchangeServer`, `ExternalAuthoritative`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<Vec<String>>,
    /// It listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Name in the greeting and in EHLO; an empty text: the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// Text after `220` and the name; an empty text: the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banner: Option<String>,
    /// No mail but over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_tls: Option<bool>,
    /// TLS begins before the greeting, as on port 465 (RFC 8314).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub implicit_tls: Option<bool>,
    /// Domain Security: certificates of clients prove their domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_secure: Option<bool>,
    /// Largest message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<u64>,
    /// Largest header block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_header_size: Option<u64>,
    /// Most recipients of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recipients: Option<u32>,
    /// Received fields before a message is a loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_hops: Option<u32>,
    /// Errors that end a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<u32>,
    /// Failed AUTH commands that end a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_logon_failures: Option<u32>,
    /// Connections at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Connections at a time from one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_source: Option<u32>,
    /// Messages a minute from one address; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_source: Option<u32>,
    /// Recipients a minute that strangers at one address may name and that there are not; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown_per_source: Option<u32>,
    /// Messages a minute over one connection; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_connection: Option<u32>,
    /// Longest wait for a command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_timeout: Option<u32>,
    /// Longest wait for a piece of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_timeout: Option<u32>,
    /// Longest session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_lifetime: Option<u32>,
    /// Delay of refusals, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tarpit_ms: Option<u32>,
    /// `enforce`, `observe`, `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_from: Option<String>,
    /// `stamp`, `reject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf: Option<String>,
    /// Send As of a delegate's address may be followed by Send on Behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate_chain: Option<bool>,
    /// Mail without From is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_from: Option<bool>,
    /// Between user and mailbox in a logon name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logon_separator: Option<char>,
    /// CHUNKING (BDAT) is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunking: Option<bool>,
    /// BINARYMIME is offered, together with CHUNKING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_mime: Option<bool>,
    /// DSN is offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dsn: Option<bool>,
    /// Load balancers, whose connections begin with a PROXY header: addresses, `first-last`, CIDR.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_from: Option<Vec<String>>,
    /// Line ends and spaces of old devices are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerant: Option<bool>,
    /// A missing Date or Message-ID is added to what accounts and trusted servers submit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete_headers: Option<bool>,
    /// Messages within a message pass the header firewall as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_attached_messages: Option<bool>,
    /// Protocol log: `none`, `verbose`, or `default`, which is what `[log] protocol` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_log: Option<String>,
    /// Recipients are rewritten: `OLD:NEW`, two addresses or two domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Vec<String>>,
    /// What the rules rewrite beside recipients of the envelope: `none`, `recipients`, `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite_headers: Option<String>,
    /// It takes no connections, but files of this folder, which are messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pickup: Option<String>,
    /// It takes no connections, but files of this folder, which are messages with their envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// Of a folder, for whom its files are sent: `anonymous`, `owner` (of the file), or an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submit_as: Option<String>,
    /// Of a folder: files a minute; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files_per_minute: Option<u32>,
}

/// A new receive connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReceiveNew {
    /// Its name.
    pub name: String,
    /// `Client`, `Custom` (default), `Internal`, `Internet`, `Partner`.
    #[serde(default)]
    pub usage: Option<String>,
    /// Its server; default: the only one.
    #[serde(default)]
    pub server: Option<String>,
    /// Permission groups instead of those of the usage type.
    #[serde(default)]
    pub permission_groups: Option<Vec<String>>,
    /// The rest.
    #[serde(flatten)]
    pub settings: ReceiveSettings,
}

/// Changes to a receive connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReceiveSet {
    /// Which.
    pub identity: String,
    /// New name.
    #[serde(default)]
    pub rename: Option<String>,
    /// Replaces all permission groups.
    #[serde(default)]
    pub permission_groups: Option<Vec<String>>,
    /// Adds permission groups.
    #[serde(default)]
    pub add_groups: Vec<String>,
    /// Takes permission groups away.
    #[serde(default)]
    pub remove_groups: Vec<String>,
    /// The rest.
    #[serde(flatten)]
    pub settings: ReceiveSettings,
}

/// Which connectors.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConnectorGet {
    /// Which; none: all.
    #[serde(default)]
    pub identity: Option<String>,
}

/// A receive connector as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiveRow {
    /// Its name.
    pub name: String,
    /// Its server.
    pub server: String,
    /// `hub` or `edge`.
    pub role: String,
    /// Usage type that it was made with.
    pub usage: String,
    /// Permission groups; `Custom` where its ACL is no union of groups.
    pub permission_groups: Vec<String>,
    /// The groups of which every entry is there, also where the ACL reads `Custom`.
    pub complete_groups: Vec<String>,
    /// Distinguished name.
    pub dn: String,
    /// objectGUID.
    pub guid: String,
    /// The rest.
    #[serde(flatten)]
    pub settings: ReceiveSettings,
    /// What does not count, or is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Settings of a send connector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SendSettings {
    /// `SMTP:*.example.net;1`, type and cost optional.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_spaces: Option<Vec<String>>,
    /// `host` or `host:port`; none: the hosts that the MX records of a recipient's domain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smart_hosts: Option<Vec<String>>,
    /// Port where a smart host names none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// `none`, `basic`, `basic-requires-tls`, `oauth`, `exchange-server`, `external-authoritative`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// Name to log on with; an empty text: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Largest message in octets, in steps of 1024; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_message_size: Option<u64>,
    /// Name in EHLO; an empty text: the node's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fqdn: Option<String>,
    /// Over TLS or not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_tls: Option<bool>,
    /// Domain Security: the host's certificate has to prove the recipient's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_secure: Option<bool>,
    /// `opportunistic`, `none`, `required`, `verified`, `mta-sts`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// SHA-256 of public keys, 64 hexadecimal digits each, of which a host has to show one where `tls` is `verified`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_pins: Option<Vec<String>>,
    /// Connections at a time to one destination; 0: as many as the node has for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Messages a minute to one destination; 0: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
    /// Where tokens come from, with `oauth`; an empty text: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Identifier of the client there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_client: Option<String>,
    /// Scopes to ask for, separated by spaces; an empty text: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_scope: Option<String>,
    /// `client-credentials` or `refresh-token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_grant: Option<String>,
    /// Protocol log: `none`, `verbose`, or `default`, which is what `[log] protocol` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_log: Option<String>,
    /// Senders are rewritten: `OLD:NEW`, two addresses or two domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Vec<String>>,
    /// Messages are left as files in this folder, instead of being sent to hosts; an empty text: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_folder: Option<String>,
}

/// A new send connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SendNew {
    /// Its name.
    pub name: String,
    /// `Custom` (default), `Internal`, `Internet`, `Partner`.
    #[serde(default)]
    pub usage: Option<String>,
    /// Password to log on with.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The rest.
    #[serde(flatten)]
    pub settings: SendSettings,
}

/// Changes to a send connector.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SendSet {
    /// Which.
    pub identity: String,
    /// New name.
    #[serde(default)]
    pub rename: Option<String>,
    /// Password to log on with.
    #[serde(default)]
    pub password: Option<Secret>,
    /// The rest.
    #[serde(flatten)]
    pub settings: SendSettings,
}

/// A send connector as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SendRow {
    /// Its name.
    pub name: String,
    /// Usage type that it was made with.
    pub usage: String,
    /// Who holds which right: `NT AUTHORITY\ANONYMOUS LOGON: ms-Exch-Send-Headers-Routing`.
    pub rights: Vec<String>,
    /// A password is stored.
    pub has_password: bool,
    /// Distinguished name.
    pub dn: String,
    /// objectGUID.
    pub guid: String,
    /// The rest.
    #[serde(flatten)]
    pub settings: SendSettings,
    /// What does not work, or is worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// What would happen to a session, stage by stage.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConnectorTest {
    /// Which connector.
    pub identity: String,
    /// An account, `anonymous`, or a host: `hub`, `edge`, `externally-secured`, `partner:DOMAIN`. Empty: whoever the files
    /// of a folder are sent for, or takes those of a drop folder.
    #[serde(default)]
    pub who: String,
    /// Envelope sender; `<>` is the null reverse-path.
    #[serde(default)]
    pub from: Option<String>,
    /// Address in the From header; none: the envelope sender.
    #[serde(default)]
    pub header_from: Option<String>,
    /// Recipients.
    #[serde(default)]
    pub to: Vec<String>,
    /// Size of the message.
    #[serde(default)]
    pub size: Option<u64>,
    /// The client's address, for connectors that trust by address.
    #[serde(default)]
    pub remote: Option<std::net::IpAddr>,
}

/// What would happen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ConnectorTested {
    /// The connector.
    pub connector: String,
    /// Who asks.
    pub who: String,
    /// A message would be accepted (of a send connector: sent).
    pub accepted: bool,
    /// The stages, in order; after a refusal there are no more.
    pub stages: Vec<StageRow>,
}

/// One stage of a session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StageRow {
    /// `connect`, `auth`, `mail-from`, `rcpt-to`, `size`, `header`, `headers-routing`, …
    pub stage: String,
    /// `allowed`, `refused`, `kept`, `removed`, `dropped`, `applies`, `bypassed`.
    pub outcome: String,
    /// In words: the reply, or what happens.
    pub detail: String,
    /// What it rests on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trace: Vec<TraceLine>,
}

/// Gives a server of another forest the rights of a cross-forest connector (S2, F §3.13).
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CrossForest {
    /// Receive or send connector.
    pub identity: String,
    /// Who: an account of the other forest's servers, or `ANONYMOUS LOGON`.
    pub user: String,
    /// Rights instead of the usual ones.
    #[serde(default)]
    pub rights: Vec<String>,
}
