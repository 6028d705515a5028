//! What `directory test` finds beside what is read: the clock, what the account may write, what locks accounts.

use crate::connection::{Connection, LdapError};
use crate::controller::{Domain, RootDse};
use crate::lockout;
use crate::message::{Filter, Scope, Search};
use crate::settings::Settings;
use crate::source::milliseconds;

use super::Report;

/// Kerberos refuses tickets beyond (RFC 4120 §7.5.9, its usual setting), in seconds.
const SKEW: i64 = 300;
/// A difference that is worth a word, in seconds.
const WORTH_A_WORD: i64 = 30;
/// DACL_SECURITY_INFORMATION in `sDRightsEffective` (MS-ADTS 3.1.1.4.5.4).
const DACL: i64 = 4;

/// Looks at all of them.
pub(super) fn look(
    settings: &Settings,
    connection: &mut Connection,
    dse: &RootDse,
    domain: &Domain,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    clock(connection, dse, report)?;
    lockout(connection, domain, report)?;
    writes(settings, connection, domain, report)
}

fn clock(connection: &mut Connection, dse: &RootDse, report: &mut Report<'_>) -> Result<(), LdapError> {
    let search = Search {
        base: String::new(),
        scope: Scope::Base,
        filter: Filter::everything(),
        attributes: vec!["currentTime".to_owned()],
    };
    let entry = connection.find(&search, &[])?.into_iter().next().unwrap_or_default();
    let Some(there) = entry.text("currentTime").and_then(seconds) else { return Ok(()) };
    let ahead = there - milliseconds() / 1000;
    let text = match ahead {
        0.. => format!("the clock of {} is {ahead} seconds ahead of the one here", dse.host),
        _ => format!("the clock of {} is {} seconds behind the one here", dse.host, -ahead),
    };
    let advice = "set both by NTP: Kerberos refuses tickets beyond 5 minutes, and accounts end by the clock here";
    match ahead.abs() {
        0..=WORTH_A_WORD => report.good(format!("its clock and the one here are {} seconds apart", ahead.abs())),
        small if small <= SKEW => report.note(text, advice),
        _ => report.bad(text, advice),
    }
    Ok(())
}

/// Seconds since 1970 of `20261122094500.0Z` (X.680 §46, as MS-ADTS 3.1.1.2.2.2.13 has it).
fn seconds(text: &str) -> Option<i64> {
    let digits = text.get(..14).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
    let number = |from: usize, to: usize| digits[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years that begin in March: the day that may be there or not is the last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(days * 86_400 + number(8, 10)? * 3_600 + number(10, 12)? * 60 + number(12, 14)?)
}

fn lockout(connection: &mut Connection, domain: &Domain, report: &mut Report<'_>) -> Result<(), LdapError> {
    match domain.lockout_threshold {
        0 => report.note(
            "the domain locks no account, however many wrong passwords there are",
            "that is well where `[authentication]` limits them; programs that guess elsewhere are not limited",
        ),
        1 => report.note(
            "the domain locks an account after one wrong password: also after one that is tried here",
            "let it lock after 3 or more (`lockoutThreshold`)",
        ),
        many => report.good(format!(
            "the domain locks accounts after {many} wrong passwords: {} of them may be tried here",
            many / 2
        )),
    }
    let mut domain = domain.clone();
    lockout::read(connection, &mut domain)?;
    for policy in domain.policies.iter().filter(|policy| policy.threshold > 0) {
        report.good(format!(
            "the password policy {} locks its accounts after {}, which is heeded",
            policy.name, policy.threshold
        ));
    }
    if domain.policies.is_empty() {
        report.note(
            "no password policies of single accounts and groups are seen; by default only administrators may see them",
            "where there are some that lock accounts earlier than the domain does, let the account read \
             CN=Password Settings Container,CN=System",
        );
    }
    Ok(())
}

/// How many accounts there are whose permissions the service account may change.
fn writes(
    settings: &Settings,
    connection: &mut Connection,
    domain: &Domain,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    let search = Search {
        base: domain.dn.clone(),
        scope: Scope::Subtree,
        // User accounts, without computers and trusts (MS-ADTS 2.2.2.2, SAM_USER_OBJECT).
        filter: Filter::equal("sAMAccountType", "805306368"),
        attributes: vec!["sDRightsEffective".to_owned()],
    };
    let (mut all, mut may, mut first) = (0, 0, None);
    connection.search(&search, &[], Some(settings.page), &mut |entry| {
        all += 1;
        let rights = entry.text("sDRightsEffective").and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        match rights & DACL != 0 {
            true => may += 1,
            false => first = first.take().or(Some(entry.dn)),
        }
        Ok(())
    })?;
    match first {
        None => report.good("the account may write the permissions of all users"),
        Some(first) => report.note(
            format!("the account may write the permissions of {may} of {all} users, and not of {first}"),
            "grant it “Modify permissions” (WRITE_DAC) on the organizational units of the people whose permissions are \
             granted here; a node that only decides needs none of it",
        ),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_directory_are_read() {
        assert_eq!(seconds("19700101000000.0Z"), Some(0));
        assert_eq!(seconds("20000229120000.0Z"), Some(951_825_600));
        assert_eq!(seconds("20261122094501.0Z"), Some(1_795_340_701));
        assert_eq!(seconds("20261322094501.0Z"), None);
        assert_eq!(seconds("2026"), None);
        assert_eq!(seconds("20261122é94501.0Z"), None);
    }
}
