//! Where the Domain Name System says that mail goes: MX records, addresses, and texts.
//!
//! Nothing that may be a fault of the moment (no answer, SERVFAIL, REFUSED, an answer that cannot be read) is taken for
//! the word of a domain that it gets no mail: only NXDOMAIN, an answer without records, and a null MX are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};
use thiserror::Error;

/// Hosts of one domain that are looked at.
const MOST_HOSTS: usize = 100;
/// Addresses of one host that are tried.
const MOST_ADDRESSES: usize = 20;
/// Answers that are remembered.
const REMEMBERED: u64 = 10_000;

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsOptions {
    /// Name servers; none: those of `/etc/resolv.conf`, and `/etc/hosts` before them.
    pub servers: Vec<SocketAddr>,
    /// How long one server is waited for; it is asked twice.
    pub patience: Duration,
}

impl Default for DnsOptions {
    fn default() -> DnsOptions {
        DnsOptions { servers: Vec::new(), patience: Duration::from_secs(5) }
    }
}

/// Asks name servers, and remembers the answers as long as they hold.
#[derive(Clone)]
pub(crate) struct Dns(Result<Arc<TokioResolver>, String>);

/// The hosts that take the mail of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailHosts {
    /// Preference and name; the better first, those of one preference in no order.
    pub(crate) hosts: Vec<(u16, String)>,
    /// There are no MX records: the domain itself is the host (RFC 5321 §5.1).
    pub(crate) implicit: bool,
}

/// Why there is no answer of use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DnsFault {
    /// Nobody knows now; later somebody may.
    #[error("the DNS gives no answer about {name}: {reason}")]
    Unknown {
        /// What was asked about.
        name: String,
        /// Why.
        reason: String,
    },
    /// The name does not exist.
    #[error("the domain {0} does not exist")]
    NoSuchDomain(String),
    /// The name has none of the records asked for.
    #[error("{0} has no address")]
    Nothing(String),
    /// The domain takes no mail at all (RFC 7505).
    #[error("the domain {0} takes no mail (null MX)")]
    NullMx(String),
}

impl DnsFault {
    /// The enhanced status code of a failure for good; `None` where it is worth trying again.
    pub(crate) fn permanent(&self) -> Option<(u8, u16, u16)> {
        match self {
            DnsFault::Unknown { .. } => None,
            DnsFault::NoSuchDomain(_) => Some((5, 1, 2)),
            DnsFault::Nothing(_) => Some((5, 4, 4)),
            // RFC 7505 §4.2.
            DnsFault::NullMx(_) => Some((5, 1, 10)),
        }
    }
}

impl Dns {
    /// Asks those servers. A configuration of the system that cannot be read is told at each question.
    pub(crate) fn new(options: &DnsOptions) -> Dns {
        Dns(resolver(options).map(Arc::new))
    }

    /// The hosts that take the mail of a domain (RFC 5321 §5.1). `domain` is canonical.
    pub(crate) async fn mail_hosts(&self, domain: &str) -> Result<MailHosts, DnsFault> {
        let lookup = match self.ask(domain, RecordType::MX).await {
            Ok(lookup) => lookup,
            Err(DnsFault::Nothing(_)) => {
                return Ok(MailHosts { hosts: vec![(0, domain.to_owned())], implicit: true });
            }
            Err(fault) => return Err(fault),
        };
        let mut hosts: Vec<(u16, String)> = lookup
            .iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some((mx.preference, host_name(&mx.exchange))),
                _ => None,
            })
            .collect();
        if hosts.is_empty() {
            // Only a CNAME: the name that it leads to has no MX records (RFC 5321 §5.1 follows it).
            return Ok(MailHosts { hosts: vec![(0, domain.to_owned())], implicit: true });
        }
        if hosts.iter().all(|(_, host)| host.is_empty()) {
            return Err(DnsFault::NullMx(domain.to_owned()));
        }
        hosts.retain(|(_, host)| !host.is_empty());
        hosts.truncate(MOST_HOSTS);
        shuffle(&mut hosts);
        hosts.sort_by_key(|(preference, _)| *preference);
        hosts.dedup();
        Ok(MailHosts { hosts, implicit: false })
    }

    /// The addresses of a host, those of IPv6 first; never none. `host` is a name or an address.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsFault> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let resolver = self.resolver(host)?;
        let found = resolver.lookup_ip(query(host)).await;
        let addresses: Vec<IpAddr> = found.as_ref().map(|found| found.iter().collect()).unwrap_or_default();
        match found {
            Ok(_) if !addresses.is_empty() => {
                let mut addresses = addresses;
                addresses.truncate(MOST_ADDRESSES);
                addresses.dedup();
                Ok(addresses)
            }
            Err(error) if !error.is_no_records_found() => Err(fault(host, &error)),
            // One of the two questions had no answer at all, perhaps, and the other one's was "none".
            _ => match (self.ask(host, RecordType::A).await, self.ask(host, RecordType::AAAA).await) {
                (Err(fault @ DnsFault::Unknown { .. }), _) | (_, Err(fault @ DnsFault::Unknown { .. })) => Err(fault),
                (Err(fault), Err(_)) => Err(fault),
                _ => Err(DnsFault::Nothing(host.to_owned())),
            },
        }
    }

    /// The TXT records of a name; none where there are none.
    pub(crate) async fn texts(&self, name: &str) -> Result<Vec<String>, DnsFault> {
        let lookup = match self.ask(name, RecordType::TXT).await {
            Ok(lookup) => lookup,
            Err(DnsFault::Unknown { name, reason }) => return Err(DnsFault::Unknown { name, reason }),
            Err(_) => return Ok(Vec::new()),
        };
        let text = |data: &RData| match data {
            RData::TXT(txt) => Some(txt.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect()),
            _ => None,
        };
        Ok(lookup.iter().filter_map(text).collect())
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsFault> {
        let lookup = self.resolver(name)?.lookup(query(name), kind).await.map_err(|error| fault(name, &error))?;
        Ok(lookup.answers().iter().map(|record| record.data.clone()).collect())
    }

    fn resolver(&self, name: &str) -> Result<&TokioResolver, DnsFault> {
        self.0.as_deref().map_err(|reason| DnsFault::Unknown { name: name.to_owned(), reason: reason.clone() })
    }
}

fn resolver(options: &DnsOptions) -> Result<TokioResolver, String> {
    let mut builder = if options.servers.is_empty() {
        TokioResolver::builder_tokio().map_err(|error| format!("/etc/resolv.conf: {error}"))?
    } else {
        let servers = options.servers.iter().map(|server| {
            let [udp, tcp] = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, vec![udp, tcp])
        });
        let config = ResolverConfig::from_name_servers(servers.collect());
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().use_hosts_file = ResolveHosts::Never;
        builder
    };
    let more: &mut ResolverOpts = builder.options_mut();
    more.timeout = options.patience;
    more.attempts = 2;
    more.cache_size = REMEMBERED;
    more.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    // A destination that does not exist may be made a moment later.
    more.negative_max_ttl = Some(Duration::from_secs(300));
    more.positive_max_ttl = Some(Duration::from_secs(3600));
    builder.build().map_err(|error| error.to_string())
}

/// A name with a dot is a whole name: no search list is gone through for it.
fn query(name: &str) -> String {
    match name.contains('.') && !name.ends_with('.') {
        true => format!("{name}."),
        false => name.to_owned(),
    }
}

fn host_name(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn fault(name: &str, error: &NetError) -> DnsFault {
    let name = name.to_owned();
    match error {
        error if error.is_nx_domain() => DnsFault::NoSuchDomain(name),
        NetError::Dns(DnsError::NoRecordsFound(none)) if none.response_code == Default::default() => {
            DnsFault::Nothing(name)
        }
        error => DnsFault::Unknown { name, reason: error.to_string() },
    }
}

/// Mixes hosts of one preference, so that each gets its share (RFC 5321 §5.1).
fn shuffle(hosts: &mut [(u16, String)]) {
    use std::hash::{BuildHasher, RandomState};
    let seed = RandomState::new();
    hosts.sort_by_cached_key(|host| seed.hash_one(host));
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::net::NoRecords;
    use hickory_resolver::proto::op::{Query, ResponseCode};

    fn none(code: ResponseCode) -> NetError {
        NetError::Dns(DnsError::NoRecordsFound(NoRecords::new(Query::default(), code)))
    }

    #[test]
    fn only_the_word_of_the_domain_is_final() {
        assert_eq!(fault("a.test", &none(ResponseCode::NXDomain)).permanent(), Some((5, 1, 2)));
        assert_eq!(fault("a.test", &none(ResponseCode::NoError)).permanent(), Some((5, 4, 4)));
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr] {
            assert_eq!(fault("a.test", &none(code)).permanent(), None, "{code}");
            assert_eq!(fault("a.test", &NetError::Dns(DnsError::ResponseCode(code))).permanent(), None, "{code}");
        }
        for error in [NetError::Timeout, NetError::NoConnections, NetError::Busy, NetError::Message("x")] {
            assert_eq!(fault("a.test", &error).permanent(), None, "{error}");
        }
    }

    #[test]
    fn whole_names_are_asked_for_as_they_are() {
        assert_eq!(
            (query("a.test"), query("a.test."), query("relay")),
            ("a.test.".into(), "a.test.".into(), "relay".into())
        );
    }
}
