//! Where accounts are at home: the networks that they logged on from last. An account that somebody attacks from elsewhere
//! stays open there, else whoever guesses could shut others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use acl::Guid;

/// Networks of one account; the one that was used least recently goes first.
const NETWORKS: usize = 4;
/// How long after the last logon from it a network is home.
const LASTS: Duration = Duration::from_secs(30 * 24 * 3600);

/// Networks by account, the newest last.
pub(super) struct Homes {
    capacity: usize,
    held: HashMap<Guid, Vec<(IpAddr, Instant)>>,
}

impl Homes {
    /// Of at most so many accounts.
    pub(super) fn new(capacity: usize) -> Homes {
        Homes { capacity: capacity.max(1), held: HashMap::new() }
    }

    /// Is an account at home there?
    pub(super) fn has(&self, account: &Guid, network: IpAddr, now: Instant) -> bool {
        let lasts = |at: &Instant| now.saturating_duration_since(*at) < LASTS;
        self.held.get(account).is_some_and(|all| all.iter().any(|(known, at)| *known == network && lasts(at)))
    }

    /// An account has logged on from there.
    pub(super) fn note(&mut self, account: Guid, network: IpAddr, now: Instant) {
        if self.held.len() >= self.capacity && !self.held.contains_key(&account) {
            self.make_room();
        }
        let networks = self.held.entry(account).or_default();
        networks.retain(|(known, _)| *known != network);
        if networks.len() >= NETWORKS {
            networks.remove(0);
        }
        networks.push((network, now));
    }

    pub(super) fn forget(&mut self, account: &Guid) {
        self.held.remove(account);
    }

    /// Drops the eighth of the accounts that has not been seen for longest.
    fn make_room(&mut self) {
        let newest = |networks: &Vec<(IpAddr, Instant)>| networks.last().map(|(_, at)| *at);
        let mut moments: Vec<_> = self.held.values().map(newest).collect();
        moments.sort_unstable();
        let limit = moments.get(moments.len() / 8).copied().flatten();
        self.held.retain(|_, networks| newest(networks) > limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Guid = Guid([1; 16]);

    fn network(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_networks_that_were_used_last_are_home() {
        let (mut homes, now) = (Homes::new(8), Instant::now());
        for last in [1, 2, 3, 1, 4, 5] {
            homes.note(ALICE, network(last), now);
        }
        let home: Vec<u8> = (1..=5).filter(|last| homes.has(&ALICE, network(*last), now)).collect();
        assert_eq!(home, [1, 3, 4, 5]);
    }

    #[test]
    fn nobody_is_at_home_for_ever() {
        let (mut homes, now) = (Homes::new(8), Instant::now());
        homes.note(ALICE, network(1), now);
        assert!(homes.has(&ALICE, network(1), now + LASTS - Duration::from_secs(1)));
        assert!(!homes.has(&ALICE, network(1), now + LASTS));
    }

    #[test]
    fn memory_stays_bounded_and_who_came_last_is_kept() {
        let (mut homes, start) = (Homes::new(64), Instant::now());
        for number in 0..10_000_u64 {
            let account = Guid::from_u128(number.into());
            homes.note(account, network(1), start + Duration::from_millis(number));
            assert!(homes.has(&account, network(1), start));
        }
        assert!(homes.held.len() <= 64, "{}", homes.held.len());
    }
}
