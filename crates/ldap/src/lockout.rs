//! When a domain locks an account: by the policy of the domain, and by those of single accounts and groups (MS-ADTS
//! 3.1.1.4.5.36, `msDS-PasswordSettings`), where the account may read them.

use std::time::Duration;

use acl::Guid;
use directory::{ObjectId, Snapshot};
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, LdapError};
use crate::controller::{Domain, one};
use crate::controls;
use crate::found::target;
use crate::message::{Entry, Filter, Scope, Search};

/// Where a policy does not say after how long a wrong password is forgotten.
const WINDOW: u64 = 30 * 60;

/// A policy of some accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// What it is called.
    pub name: String,
    /// Wrong passwords after which it locks an account; 0: never.
    pub threshold: u32,
    /// Seconds after which it forgets one; 0: it does not say.
    pub window: u64,
    /// objectGUIDs of the accounts and groups that it is for, as text.
    pub of: Vec<String>,
}

/// Reads what locks accounts of a domain anew.
///
/// # Errors
/// The server failed.
pub(crate) fn read(connection: &mut Connection, domain: &mut Domain) -> Result<(), LdapError> {
    let entry = one(connection, &domain.dn, &["lockoutThreshold", "lockOutObservationWindow"])?;
    domain.lockout_threshold = number(&entry, "lockoutThreshold").unwrap_or(0) as u32;
    domain.lockout_window = seconds(&entry, "lockOutObservationWindow");
    let search = Search {
        base: format!("CN=Password Settings Container,CN=System,{}", domain.dn),
        scope: Scope::One,
        filter: Filter::equal("objectClass", "msDS-PasswordSettings"),
        attributes: ["cn", THRESHOLD, OBSERVED, "msDS-PSOAppliesTo"].map(str::to_owned).to_vec(),
    };
    domain.policies = match connection.find(&search, &[controls::extended_dn()]) {
        Ok(found) => found.iter().map(policy).collect(),
        // By default administrators alone may see them.
        Err(LdapError::Refused { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(())
}

const THRESHOLD: &str = "msDS-LockoutThreshold";
const OBSERVED: &str = "msDS-LockoutObservationWindow";

fn policy(entry: &Entry) -> Policy {
    Policy {
        name: entry.text("cn").unwrap_or_default().to_owned(),
        threshold: number(entry, THRESHOLD).unwrap_or(0) as u32,
        window: seconds(entry, OBSERVED),
        of: entry.values("msDS-PSOAppliesTo").iter().filter_map(|link| target(link)).map(|g| g.to_string()).collect(),
    }
}

fn number(entry: &Entry, name: &str) -> Option<i64> {
    entry.text(name)?.parse().ok()
}

/// Seconds of a time that is negative, in 100 nanoseconds.
fn seconds(entry: &Entry, name: &str) -> u64 {
    number(entry, name).unwrap_or(0).unsigned_abs() / 10_000_000
}

/// The fewest wrong passwords after which an account may be locked (0: never), and the longest time for which they may count.
/// Which of several policies is in force is not looked for: the strictest is heeded.
pub(crate) fn strictest(domain: &Domain, snapshot: &Snapshot, account: Option<ObjectId>) -> (u32, Duration) {
    let is_for = |text: &String| {
        let id = text.parse::<Guid>().ok().and_then(|guid| snapshot.by_guid(&guid));
        id.zip(account).is_some_and(|(id, account)| id == account || snapshot.is_member(account, id))
    };
    let own = (domain.lockout_threshold, domain.lockout_window);
    let others = domain.policies.iter().filter(|policy| policy.of.iter().any(is_for));
    let all = std::iter::once(own).chain(others.map(|policy| (policy.threshold, policy.window)));
    let (mut fewest, mut longest) = (0, 0);
    for (threshold, window) in all.filter(|(threshold, _)| *threshold > 0) {
        fewest = if fewest == 0 { threshold } else { threshold.min(fewest) };
        longest = longest.max(if window == 0 { WINDOW } else { window });
    }
    (fewest, Duration::from_secs(longest))
}
