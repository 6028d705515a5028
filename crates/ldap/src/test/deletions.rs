//! What `directory test` finds out about deletions, where the account may not replicate.

use std::time::Instant;

use crate::changes;
use crate::connection::{Connection, LdapError};
use crate::controller::{self, Domain};
use crate::presence::rest;
use crate::settings::Settings;

use super::Report;

/// Looks whether deleted accounts can be seen, and what it costs to ask which objects are still there. `advice`: what else there
/// is to do where they cannot.
pub(super) fn look(
    settings: &Settings,
    connection: &mut Connection,
    domain: &Domain,
    advice: &str,
    report: &mut Report<'_>,
) -> Result<(), LdapError> {
    match changes::tombstones(connection, domain)? {
        0 => {}
        many => {
            report.good(format!(
                "deletions in {} count at once: deleted accounts can be seen ({many} of them)",
                domain.dn
            ));
            return Ok(());
        }
    }
    let begin = Instant::now();
    let objects = controller::present(connection, domain, settings.page)?.len();
    let took = begin.elapsed();
    let until = match rest(settings, took) {
        Some(rest) => format!(
            "it is asked every {} s which objects are still there (now {objects} in {} ms)",
            rest.as_secs().max(1),
            took.as_millis()
        ),
        None => "they count until the next comparison (`list_seconds` is 0)".to_owned(),
    };
    report.note(
        format!("no deleted accounts of {} can be seen: {until}", domain.dn),
        &format!(
            "{advice}, or let the account list and read CN=Deleted Objects,{} (dsacls … /G ACCOUNT:LCRP); nothing is to be done \
             where no account was deleted yet",
            domain.dn
        ),
    );
    Ok(())
}
