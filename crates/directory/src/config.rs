//! Typed views of the objects that configure the transport.

mod folder;
mod limits;
mod parse;
mod rewrite;
mod sending;

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use acl::Sid;

pub use folder::{Folder, FolderIdentity, FolderKind};
pub use limits::SendingLimits;
pub(crate) use parse::parse;
pub use rewrite::{Rewrite, RewriteHeaders};
pub use sending::{SendTls, TokenGrant, TokenSource};

use crate::ObjectId;

/// What an object of the configuration partition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// A receive connector.
    ReceiveConnector(ReceiveConnector),
    /// A send connector.
    SendConnector(SendConnector),
    /// An accepted domain.
    AcceptedDomain(AcceptedDomain),
    /// A mailbox database.
    Database(Database),
    /// A server.
    Server(Server),
    /// The organization.
    Organization(Organization),
}

/// A domain of the forest (not an accepted domain).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// The domain object.
    pub object: ObjectId,
    /// DNS name, from the DN: `example.com`.
    pub dns_name: String,
    /// Short name: `EXAMPLE`.
    pub netbios_name: String,
    /// SID of the domain.
    pub sid: Sid,
    /// The first domain of the forest: `EA` and `SA` are its groups.
    pub is_root: bool,
}

/// The organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    /// Domains whose mail is only believed with a certificate (S2 Domain Security), canonical.
    pub secure_domains: Vec<String>,
}

/// A server of the organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Host names from networkAddress.
    pub names: Vec<String>,
    /// Edge role instead of hub.
    pub edge: bool,
    /// SHA-256 of the public keys of its certificates: by them it is known to the other servers (direct trust).
    pub keys: Vec<[u8; 32]>,
    /// Full Mailbox Access implies Send As on mailboxes below (authorization.md §6).
    pub legacy_policy: bool,
}

/// A mailbox database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// Full Mailbox Access implies Send As on its mailboxes (authorization.md §6).
    pub legacy_policy: bool,
}

/// What we do for mail to an accepted domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DomainKind {
    /// All its recipients are ours; unknown ones are refused.
    Authoritative,
    /// Recipients may also live elsewhere in the organization.
    InternalRelay,
    /// Mail is passed on outside.
    ExternalRelay,
}

/// An accepted domain (S2, facts 3.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedDomain {
    /// Canonical name, without `*.`.
    pub name: String,
    /// Everything below the name (but not the name itself).
    pub wildcard: bool,
    /// What kind.
    pub kind: DomainKind,
    /// The domain in which local parts are looked up, canonical.
    pub alias_of: Option<String>,
    /// `local+tag` stands for `local`.
    pub subaddressing: bool,
    /// Where postmaster lives.
    pub default: bool,
    /// Recipients that are not in the directory are refused. The usual value follows the kind (facts 3.10).
    pub recipient_lookup: bool,
}

/// Clients or listeners by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IpRange {
    /// Lowest address.
    pub first: IpAddr,
    /// Highest address, of the same family.
    pub last: IpAddr,
}

/// Authentication that a receive connector offers (facts 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AuthMechanisms {
    /// STARTTLS.
    pub tls: bool,
    /// Kerberos (NTLM is not offered).
    pub integrated: bool,
    /// AUTH PLAIN and LOGIN.
    pub basic: bool,
    /// ... only after STARTTLS.
    pub basic_requires_tls: bool,
    /// Servers of the organization by certificate.
    pub exchange_server: bool,
    /// Whoever can connect is believed (Externally Secured servers).
    pub external_authoritative: bool,
}

/// How header senders are checked (authorization.md §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderFrom {
    /// Refuse what is not allowed.
    #[default]
    Enforce,
    /// Log what would be refused.
    Observe,
    /// Do not look.
    Off,
}

/// What happens to a message that is allowed on behalf only and does not say so (authorization.md §5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnBehalf {
    /// It gets a Sender field.
    #[default]
    Stamp,
    /// It is refused.
    Reject,
}

/// What a connector's sessions leave in the protocol log (facts 3.12; Exchange's ProtocolLoggingLevel).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProtocolLogging {
    /// What the node's configuration says for all of them.
    #[default]
    Usual,
    /// Nothing.
    None,
    /// Each line.
    Verbose,
}

impl ProtocolLogging {
    /// All of them.
    pub const ALL: [ProtocolLogging; 3] = [ProtocolLogging::Usual, ProtocolLogging::None, ProtocolLogging::Verbose];

    /// As the command line spells it.
    pub fn name(self) -> &'static str {
        match self {
            ProtocolLogging::Usual => "default",
            ProtocolLogging::None => "none",
            ProtocolLogging::Verbose => "verbose",
        }
    }
}

/// A receive connector. Sizes are octets, times milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveConnector {
    /// Value of the RDN: `Client MAIL`.
    pub name: String,
    /// Does it listen?
    pub enabled: bool,
    /// Where.
    pub bindings: Vec<SocketAddr>,
    /// To whom; of connectors on one binding the most specific range wins (facts 3.8).
    pub remote_ranges: Vec<IpRange>,
    /// What it offers.
    pub auth: AuthMechanisms,
    /// Name in the greeting; the node's when absent.
    pub fqdn: Option<String>,
    /// Text after `220`.
    pub banner: Option<String>,
    /// Largest message.
    pub max_message_size: u64,
    /// Largest header block.
    pub max_header_size: u64,
    /// Most recipients of a message.
    pub max_recipients: u32,
    /// Most hops.
    pub max_hops: u32,
    /// Errors that end a session.
    pub max_errors: u32,
    /// Failed AUTH commands that end a session.
    pub max_logon_failures: u32,
    /// Connections at a time.
    pub max_connections: u32,
    /// Connections at a time from one address.
    pub max_connections_per_source: u32,
    /// Longest wait for a command.
    pub command_timeout_ms: u64,
    /// Longest wait for a piece of a message.
    pub data_timeout_ms: u64,
    /// Longest session.
    pub session_lifetime_ms: u64,
    /// Delay of refusals.
    pub tarpit_ms: u64,
    /// Checking of header senders.
    pub header_from: HeaderFrom,
    /// Stamp or reject.
    pub on_behalf: OnBehalf,
    /// One hop from Send As of a delegate to Send on Behalf (authorization.md §5.4).
    pub delegate_chain: bool,
    /// From may not be missing (authorization.md §5.1).
    pub require_from: bool,
    /// Between user and mailbox in a logon name: `bob*ceo`. A backslash would clash with `DOMAIN\user`.
    pub logon_separator: char,
    /// Usage type that it was made with, for people: `Client`, `Internet`, …
    pub usage: Option<String>,
    /// Mail is taken after STARTTLS only.
    pub require_tls: bool,
    /// TLS begins before the greeting (RFC 8314 §3.3).
    pub implicit_tls: bool,
    /// Domain Security: clients are asked for certificates, which prove the domains of the organization's list.
    pub domain_secure: bool,
    /// Messages a minute from one address; 0: no limit.
    pub rate_per_source: u32,
    /// Recipients a minute that strangers at one address may name and that there are not; 0: no limit.
    pub unknown_per_source: u32,
    /// Messages a minute over one connection; 0: no limit.
    pub rate_per_connection: u32,
    /// CHUNKING is offered (RFC 3030).
    pub chunking: bool,
    /// BINARYMIME is offered, together with CHUNKING (RFC 3030 §3).
    pub binary_mime: bool,
    /// DSN is offered (RFC 3461).
    pub status_notification: bool,
    /// Load balancers: connections from here begin with a PROXY header, others never do.
    pub proxy_from: Vec<IpRange>,
    /// Old devices: bare line feeds, spaces after `MAIL FROM:`, addresses without angle brackets.
    pub tolerant: bool,
    /// A missing Date or Message-ID is added to what accounts and trusted servers submit (RFC 6409 §8).
    pub complete_headers: bool,
    /// Messages within a message pass the header firewall as they are.
    pub keep_attached: bool,
    /// What its sessions leave in the protocol log.
    pub logging: ProtocolLogging,
    /// Recipients are rewritten by these before anything is decided about them.
    pub rewrites: Vec<Rewrite>,
    /// What else is rewritten by these.
    pub rewrite_headers: RewriteHeaders,
    /// It takes files of this folder, and no connections.
    pub folder: Option<Folder>,
}

/// What a send connector takes: `SMTP:*.example.net;1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSpace {
    /// Canonical domain without `*.`; empty for `*`, everything.
    pub domain: String,
    /// Subdomains too (`*.domain`), or everything (`*`).
    pub wildcard: bool,
    /// 1-100.
    pub cost: u32,
}

/// A send connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendConnector {
    /// Value of the RDN.
    pub name: String,
    /// In use?
    pub enabled: bool,
    /// What it takes.
    pub spaces: Vec<AddressSpace>,
    /// `host` or `host:port`; none: by MX.
    pub smart_hosts: Vec<String>,
    /// Port where the smart host names none.
    pub port: u16,
    /// Largest message, octets; none: no limit.
    pub max_message_size: Option<u64>,
    /// Name in EHLO; the node's when absent.
    pub fqdn: Option<String>,
    /// How its smart hosts and we come to trust each other.
    pub auth: SendAuth,
    /// The name to log on with.
    pub user: Option<String>,
    /// Mail goes over TLS or not at all.
    pub require_tls: bool,
    /// Domain Security: mail to a domain of the organization's list goes only to a host that proves the domain.
    pub domain_secure: bool,
    /// What it demands of TLS; [`SendConnector::require_tls`] makes it [`SendTls::Required`] at least.
    pub tls: SendTls,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) that its hosts may have; none: authorities vouch for them.
    pub pins: Vec<[u8; 32]>,
    /// Connections at a time to one destination; 0: as many as the node has for one.
    pub max_connections: u32,
    /// Messages a minute to one destination; 0: no limit.
    pub rate: u32,
    /// Where the tokens come from that it logs on with.
    pub token: Option<TokenSource>,
    /// Usage type that it was made with, for people.
    pub usage: Option<String>,
    /// What its sessions leave in the protocol log.
    pub logging: ProtocolLogging,
    /// Senders are rewritten by these on the way out.
    pub rewrites: Vec<Rewrite>,
    /// Messages are left as files in this folder: an absolute path, on each server that delivers.
    pub drop_folder: Option<String>,
}

/// How a send connector and its smart hosts come to trust each other (facts 3.4). That we log on to a host proves
/// nothing about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SendAuth {
    /// Not at all.
    #[default]
    None,
    /// We log on with name and password.
    Basic,
    /// ... after STARTTLS only.
    BasicRequiresTls,
    /// We log on with a token (XOAUTH2), after STARTTLS only.
    Oauth,
    /// The host proves that it is a server of the organization.
    ExchangeServer,
    /// The way to the host is secured by other means, and so the host is believed: Externally Secured servers.
    ExternalAuthoritative,
}

impl SendAuth {
    /// All of them.
    pub const ALL: [SendAuth; 6] = [
        SendAuth::None,
        SendAuth::Basic,
        SendAuth::BasicRequiresTls,
        SendAuth::Oauth,
        SendAuth::ExchangeServer,
        SendAuth::ExternalAuthoritative,
    ];

    /// As the directory and the command line spell it.
    pub fn name(self) -> &'static str {
        match self {
            SendAuth::None => "none",
            SendAuth::Basic => "basic",
            SendAuth::BasicRequiresTls => "basic-requires-tls",
            SendAuth::Oauth => "oauth",
            SendAuth::ExchangeServer => "exchange-server",
            SendAuth::ExternalAuthoritative => "external-authoritative",
        }
    }
}

impl IpRange {
    /// All IPv4 addresses, as connectors of usage Internet have it.
    pub const ALL_V4: IpRange =
        IpRange { first: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), last: IpAddr::V4(std::net::Ipv4Addr::BROADCAST) };
    /// All IPv6 addresses.
    pub const ALL_V6: IpRange = IpRange {
        first: IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED),
        last: IpAddr::V6(std::net::Ipv6Addr::from_bits(u128::MAX)),
    };

    /// Reads `address`, `first-last` or `address/bits`; IPv4-mapped IPv6 addresses become IPv4. The error is in words.
    pub fn parse(text: &str) -> Result<IpRange, String> {
        let text = text.trim();
        let address = |part: &str| {
            part.trim()
                .parse::<IpAddr>()
                .map(|ip| ip.to_canonical())
                .map_err(|_| format!("“{part}” is not an IP address"))
        };
        if let Some((base, bits)) = text.split_once('/') {
            return IpRange::network(address(base)?, bits.trim());
        }
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (address(first)?, address(last)?),
            None => (address(text)?, address(text)?),
        };
        if first.is_ipv4() != last.is_ipv4() || first > last {
            return Err(format!("“{text}” is not a range of addresses"));
        }
        Ok(IpRange { first, last })
    }

    fn network(base: IpAddr, bits: &str) -> Result<IpRange, String> {
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits: u32 =
            bits.parse().ok().filter(|bits| *bits <= width).ok_or(format!("“/{bits}” is not a prefix length"))?;
        let host = if bits == 0 { u128::MAX } else { (1u128 << (width - bits).min(127)) - 1 };
        let host = if width - bits == 128 { u128::MAX } else { host };
        Ok(match base {
            IpAddr::V4(ip) => {
                let host = (host & 0xFFFF_FFFF) as u32;
                IpRange {
                    first: IpAddr::V4((ip.to_bits() & !host).into()),
                    last: IpAddr::V4((ip.to_bits() | host).into()),
                }
            }
            IpAddr::V6(ip) => IpRange {
                first: IpAddr::V6((ip.to_bits() & !host).into()),
                last: IpAddr::V6((ip.to_bits() | host).into()),
            },
        })
    }

    /// Whether the address is in the range. An IPv4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Number of addresses, less one: the smaller, the more specific.
    pub fn size(&self) -> u128 {
        match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => u128::from(last.to_bits() - first.to_bits()),
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits() - first.to_bits(),
            _ => u128::MAX,
        }
    }

    /// Whether every address of `other` is in it too.
    pub fn covers(&self, other: &IpRange) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.first && other.last <= self.last
    }

    /// Whether the two have an address in common.
    pub fn meets(&self, other: &IpRange) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.last && other.first <= self.last
    }

    /// Whether some ranges together hold every address of a family.
    pub fn are_unbounded(ranges: &[IpRange]) -> bool {
        [IpRange::ALL_V4, IpRange::ALL_V6].iter().any(|all| {
            let mut own: Vec<&IpRange> =
                ranges.iter().filter(|range| range.first.is_ipv4() == all.first.is_ipv4()).collect();
            own.sort();
            // The lowest address that no range so far holds; `None` once there is none left.
            let mut next = Some(all.first);
            for range in own {
                match next {
                    Some(lowest) if range.first <= lowest && lowest <= range.last => next = successor(range.last),
                    _ => {}
                }
            }
            next.is_none()
        })
    }

    /// Whether it holds every address of its family.
    pub fn is_unbounded(&self) -> bool {
        *self == IpRange::ALL_V4 || *self == IpRange::ALL_V6
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl AuthMechanisms {
    /// From msExchSmtpReceiveSecurityFlags.
    pub fn from_flags(flags: u32) -> AuthMechanisms {
        AuthMechanisms {
            tls: flags & 0x1 != 0,
            integrated: flags & 0x2 != 0,
            basic: flags & 0x4 != 0,
            basic_requires_tls: flags & 0x8 != 0,
            exchange_server: flags & 0x10 != 0,
            external_authoritative: flags & 0x20 != 0,
        }
    }

    /// As msExchSmtpReceiveSecurityFlags.
    pub fn flags(self) -> u32 {
        u32::from(self.tls)
            | u32::from(self.integrated) << 1
            | u32::from(self.basic) << 2
            | u32::from(self.basic_requires_tls) << 3
            | u32::from(self.exchange_server) << 4
            | u32::from(self.external_authoritative) << 5
    }
}

impl AddressSpace {
    /// Reads `SMTP:*.example.net;1`; type and cost may be absent, other types are refused. The error is in words.
    pub fn parse(text: &str) -> Result<AddressSpace, String> {
        let (space, cost) = match text.rsplit_once(';') {
            Some((space, cost)) => (space, cost.trim().parse().map_err(|_| format!("“{cost}” is not a cost"))?),
            None => (text, 1),
        };
        if !(1..=100).contains(&cost) {
            return Err(format!("the cost {cost} is not in 1-100"));
        }
        let space = match space.split_once(':') {
            Some((kind, rest)) if kind.trim().eq_ignore_ascii_case("smtp") => rest.trim(),
            Some((kind, _)) => return Err(format!("address spaces of type “{kind}” are not supported")),
            None => space.trim(),
        };
        if space == "*" {
            return Ok(AddressSpace { domain: String::new(), wildcard: true, cost });
        }
        let (name, wildcard) = match space.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (space, false),
        };
        match message::canonical_domain(name) {
            Some(domain) => Ok(AddressSpace { domain, wildcard, cost }),
            None => Err(format!("“{space}” is not a domain")),
        }
    }

    /// How well a canonical domain matches: length of the matching name plus one; exact names win over wildcards.
    /// `None`: it does not.
    pub fn matches(&self, domain: &str) -> Option<usize> {
        if self.wildcard && self.domain.is_empty() {
            return Some(1);
        }
        if self.wildcard {
            return is_below(domain, &self.domain).then_some(self.domain.len() + 1);
        }
        (domain == self.domain).then_some(domain.len() + 2)
    }
}

fn successor(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().checked_add(1)?.into()),
        IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().checked_add(1)?.into()),
    })
}

/// Whether a canonical domain is a proper subdomain of another.
pub(crate) fn is_below(domain: &str, parent: &str) -> bool {
    domain.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_hold_everything_together_have_no_bound() {
        let are_unbounded = |texts: &[&str]| {
            let ranges: Vec<IpRange> = texts.iter().map(|text| IpRange::parse(text).unwrap()).collect();
            IpRange::are_unbounded(&ranges)
        };
        assert!(are_unbounded(&["0.0.0.0/0"]) && are_unbounded(&["10.0.0.0/8", "::/0"]));
        assert!(are_unbounded(&["128.0.0.0/1", "0.0.0.0/1"]));
        assert!(are_unbounded(&["0.0.0.0-9.255.255.255", "5.0.0.0/8", "10.0.0.0-255.255.255.255"]));
        assert!(!are_unbounded(&["0.0.0.0/1", "128.0.0.1-255.255.255.255"]));
        assert!(!are_unbounded(&["0.0.0.1-255.255.255.255"]) && !are_unbounded(&[]));
    }
}
