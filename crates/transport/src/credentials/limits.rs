//! How often a logon may fail: by source network and by account, for names that nobody has as for those that somebody has.

use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use acl::Guid;

use super::CredentialLimits;
use crate::buckets::Buckets;

/// Failures that are answered at once; each further one delays the answer a second, up to [`LONGEST_DELAY`].
const PROMPT_FAILURES: u32 = 5;
/// The longest delay of a negative answer.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Failures that are still remembered.
pub(super) struct Failures {
    sources: Buckets<IpAddr>,
    /// By what a name stands for: an account, or itself.
    subjects: Buckets<Guid>,
}

impl Failures {
    pub(super) fn new(limits: &CredentialLimits) -> Failures {
        Failures {
            sources: Buckets::new(limits.per_source, limits.watched),
            subjects: Buckets::new(limits.per_account, limits.watched),
        }
    }

    /// Has a network failed too often?
    pub(super) fn shut_out(&self, source: &IpAddr, now: Instant) -> bool {
        self.sources.is_empty(source, now)
    }

    /// Has a name failed too often, from wherever?
    pub(super) fn besieged(&self, subject: &Guid, now: Instant) -> bool {
        self.subjects.is_empty(subject, now)
    }

    /// One failure more; how long the answer is to be held back.
    pub(super) fn count(&mut self, subject: Option<Guid>, source: IpAddr, now: Instant) -> Duration {
        self.sources.take(source, now);
        let mut spent = self.sources.spent(&source, now);
        if let Some(subject) = subject {
            self.subjects.take(subject, now);
            spent = spent.max(self.subjects.spent(&subject, now));
        }
        Duration::from_secs(spent.saturating_sub(PROMPT_FAILURES).into()).min(LONGEST_DELAY)
    }

    pub(super) fn forgive(&mut self, subject: &Guid) {
        self.subjects.forgive(subject);
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address (one customer holds at least that).
pub(super) fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let one = network("2001:db8:1:2::1".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2:ffff::9".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
