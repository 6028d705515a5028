//! Which hosts a next hop means, in the order in which they are tried (RFC 5321 §5.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use super::SmartHost;
use super::fate::Fate;
use crate::dns::{Dns, DnsFault, MailHosts};
use crate::server::Binding;

/// Hosts of a domain that are tried.
const MOST_TRIED: usize = 20;

/// A host to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) host: SmartHost,
    /// Its addresses, where they are known already.
    pub(super) addresses: Option<Vec<IpAddr>>,
}

/// By what this server knows itself among the hosts of a domain.
pub(crate) struct Own {
    /// Its names.
    pub(crate) names: Vec<String>,
    /// Where it listens.
    pub(crate) bindings: Arc<Mutex<Vec<Binding>>>,
}

impl Own {
    fn is_name(&self, host: &str, said: &str) -> bool {
        host.eq_ignore_ascii_case(said) || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }

    /// Whether a connection to this address would come to this server.
    fn is_address(&self, address: SocketAddr) -> bool {
        let address = SocketAddr::new(meant(address.ip()), address.port());
        let bindings = self.bindings.lock().unwrap_or_else(PoisonError::into_inner);
        bindings.iter().map(|binding| binding.actual).any(|own| {
            let everywhere = match address.ip() {
                IpAddr::V4(_) => {
                    own.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || own.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                }
                IpAddr::V6(_) => own.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            own.port() == address.port() && (own.ip() == address.ip() || (everywhere && is_local(address.ip())))
        })
    }
}

/// Where a connection to an address goes: `::ffff:192.0.2.1` is `192.0.2.1`, and the unspecified address is this machine.
fn meant(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        address => address,
    }
}

/// Whether the address is one of this machine: only such can be bound.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The hosts that take the mail of a domain, without those that would send it back here. `said` is the name that we say in
/// EHLO. Where there is none, what becomes of the recipients.
pub(super) async fn by_mx(dns: &Dns, own: &Own, domain: &str, port: u16, said: &str) -> Result<Vec<Candidate>, Fate> {
    if let Some(address) = literal(domain) {
        if own.is_address(SocketAddr::new(address, port)) {
            return Err(Fate::failed((5, 4, 6), format!("mail for {domain} loops back to this server")));
        }
        let host = SmartHost { host: address.to_string(), port };
        return Ok(vec![Candidate { host, addresses: Some(vec![address]) }]);
    }
    let MailHosts { hosts, implicit } = dns.mail_hosts(domain).await.map_err(of_fault)?;
    let mut candidates = Vec::new();
    let mut faults = Vec::new();
    let mut ours = None;
    for (preference, host) in hosts.into_iter().take(MOST_TRIED) {
        if own.is_name(&host, said) {
            ours = Some(preference);
            break;
        }
        match dns.addresses(&host).await {
            Ok(addresses) if addresses.iter().any(|ip| own.is_address(SocketAddr::new(*ip, port))) => {
                ours = Some(preference);
                break;
            }
            Ok(addresses) => {
                let host = SmartHost { host, port };
                candidates.push((preference, Candidate { host, addresses: Some(addresses) }));
            }
            Err(fault) => faults.push(fault),
        }
    }
    if let Some(ours) = ours {
        // Only hosts that are better than this one: the others would give the mail back (RFC 5321 §5.1).
        candidates.retain(|(preference, _)| *preference < ours);
        if candidates.is_empty() && faults.iter().all(|fault| fault.permanent().is_some()) {
            let reason =
                format!("mail for {domain} loops back to this server: it is the best host that its MX records name");
            return Err(Fate::failed((5, 4, 6), reason));
        }
    }
    if !candidates.is_empty() {
        return Ok(candidates.into_iter().map(|(_, candidate)| candidate).collect());
    }
    let unknown = faults.iter().position(|fault| fault.permanent().is_none()).unwrap_or(0);
    Err(match faults.into_iter().nth(unknown) {
        Some(fault) if implicit => of_fault(fault),
        Some(fault) if fault.permanent().is_some() => {
            Fate::failed((5, 4, 4), format!("no host that the MX records of {domain} name has an address: {fault}"))
        }
        Some(fault) => Fate::down(format!("no address of a host of {domain}: {fault}")),
        None => Fate::down(format!("the MX records of {domain} name no host")),
    })
}

/// The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 §4.1.3).
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    let tagged = inner.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:"));
    match tagged {
        Some(tag) => inner[tag.len()..].parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inner.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn of_fault(fault: DnsFault) -> Fate {
    match fault.permanent() {
        Some(status) => Fate::failed(status, fault.to_string()),
        None => Fate::down(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_leads_here_is_known_however_it_is_written() {
        let here: SocketAddr = "127.0.0.1:25".parse().unwrap();
        let binding = Binding { connectors: Vec::new(), configured: here, actual: here };
        let own = Own { names: Vec::new(), bindings: Arc::new(Mutex::new(vec![binding])) };
        let leads_here = |address: &str| own.is_address(address.parse().unwrap());
        assert!(["127.0.0.1:25", "[::ffff:127.0.0.1]:25", "0.0.0.0:25"].into_iter().all(leads_here));
        assert!(!["127.0.0.1:26", "127.0.0.2:25", "[::1]:25"].into_iter().any(leads_here));
    }
}
