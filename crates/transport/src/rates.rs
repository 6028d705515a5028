//! How many messages a minute come from an address at a connector.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use acl::Guid;
use directory::Time;
use session::MessageRate;

/// Sources that are remembered; a source that is not may send.
const WATCHED: usize = 65_536;

/// Counts messages by connector and source. IPv6 clients count by their /64.
#[derive(Debug, Default)]
pub(crate) struct SourceRates(Mutex<HashMap<(Guid, IpAddr), MessageRate>>);

impl SourceRates {
    /// Counts a message, if one more may come.
    pub(crate) fn admits(&self, connector: &Guid, source: IpAddr, per_minute: u32, now: Time) -> bool {
        let mut rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (*connector, network(source));
        if rates.len() >= WATCHED && !rates.contains_key(&key) {
            rates.retain(|_, rate| !rate.is_idle(now));
            if rates.len() >= WATCHED {
                // Everybody is busy: forgetting some lets them send more, refusing would stop those who did nothing.
                rates.clear();
            }
        }
        rates.entry(key).or_default().admits(now, per_minute)
    }

    /// Whether a guess may be answered; a wrong one counts.
    pub(crate) fn admits_guess(
        &self,
        connector: &Guid,
        source: IpAddr,
        (per_minute, wrong): (u32, bool),
        now: Time,
    ) -> bool {
        if wrong {
            return self.admits(connector, source, per_minute, now);
        }
        let rates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rates.get(&(*connector, network(source))).is_none_or(|rate| !rate.is_exhausted(now, per_minute))
    }
}

/// An IPv6 client has a whole /64 to come from.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_and_each_connector_counts_for_itself() {
        let rates = SourceRates::default();
        let (one, two) = (Guid([1; 16]), Guid([2; 16]));
        let admits = |connector, source: &str| rates.admits(connector, source.parse().unwrap(), 1, Time(0));
        assert!(admits(&one, "192.0.2.1") && !admits(&one, "192.0.2.1"));
        assert!(admits(&one, "192.0.2.2") && admits(&two, "192.0.2.1"));
        assert!(admits(&one, "2001:db8::1") && !admits(&one, "2001:db8::2") && admits(&one, "2001:db8:0:1::1"));
    }

    #[test]
    fn only_wrong_guesses_count() {
        let (rates, connector, source) = (SourceRates::default(), Guid([1; 16]), "192.0.2.1".parse().unwrap());
        let guess = |wrong| rates.admits_guess(&connector, source, (2, wrong), Time(0));
        assert!((0..9).all(|_| guess(false)));
        assert_eq!([true, true, true, false].map(guess), [true, true, false, false]);
    }

    #[test]
    fn memory_stays_bounded() {
        let rates = SourceRates::default();
        for number in 0..200_000u32 {
            rates.admits(&Guid([1; 16]), IpAddr::from(number.to_be_bytes()), 1, Time(0));
        }
        assert!(rates.0.lock().unwrap().len() <= WATCHED);
    }
}
