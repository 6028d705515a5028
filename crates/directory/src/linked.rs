//! Associated External Accounts (S0): which SIDs `msExchMasterAccountSid` may hold, and whom an account is linked to.
//!
//! “Only a single account can be granted the Associated External Account permission. The account that is selected must
//! be from a different forest.” The link makes that account the owner for mail, so a wrong one gives a mailbox away:
//! it is refused wherever it is written (`authorization.md` §2).

use acl::{Sid, SidId, well_known};

use crate::object::Which;
use crate::{Class, ObjectId, Snapshot};

/// RIDs that groups have in every domain (MS-DTYP 2.4.2.4): Domain Admins to Group Policy Creator Owners, Read-only
/// Domain Controllers, Cloneable Domain Controllers, Protected Users, Key Admins, Enterprise Key Admins, RAS and IAS
/// Servers, the two password replication groups, Enterprise Read-only Domain Controllers.
const GROUPS: [u32; 19] =
    [498, 512, 513, 514, 515, 516, 517, 518, 519, 520, 521, 522, 525, 526, 527, 553, 571, 572, 574];

/// Why a SID cannot be that of an Associated External Account.
pub(crate) enum Refusal {
    /// In words.
    Unfit(String),
    /// It is that of another owner already.
    Taken(ObjectId),
}

/// Checks the SID of an external account. `domain` is the owner's domain, `own` its row if it has one.
pub(crate) fn check(
    snapshot: &Snapshot,
    sid: &Sid,
    domain: Option<ObjectId>,
    own: Option<ObjectId>,
) -> Result<(), Refusal> {
    // KB 916783: SELF stands for “no external account”; any number of owners may have it.
    if *sid == well_known::SELF {
        return Ok(());
    }
    let unfit = |reason: String| Err(Refusal::Unfit(reason));
    if let Some(fault) = unfit_by_itself(sid) {
        return unfit(fault);
    }
    let number = snapshot.sid_id(sid);
    let forest = domain.and_then(|domain| snapshot.forest_root(domain)).map(|root| root.object);
    let in_forest = |id: ObjectId| forest.is_some() && snapshot.forest_root(id).map(|root| root.object) == forest;
    for id in number.map(|number| snapshot.with_sid(number)).unwrap_or_default() {
        let Some(object) = snapshot.object(id) else { continue };
        match object.class() {
            // It stands for the account elsewhere.
            Class::ForeignPrincipal => {}
            Class::Group => return unfit(format!("{sid} is the group {}, not an account", snapshot.dn(id))),
            class if !class.is_account() => return unfit(format!("{sid} is {}, no account", snapshot.dn(id))),
            _ if in_forest(id) => {
                return unfit(format!(
                    "{sid} is {}, an account of the same forest; the external account must be from another one",
                    snapshot.dn(id)
                ));
            }
            _ => {}
        }
    }
    let issuer = sid.domain().and_then(|issuer| snapshot.domains().iter().find(|domain| domain.sid == issuer));
    if let Some(issuer) = issuer.filter(|issuer| in_forest(issuer.object)) {
        return unfit(format!(
            "{sid} is of the domain {}, in the same forest; the external account must be from another one",
            issuer.dns_name
        ));
    }
    let rival = number.into_iter().flat_map(|number| snapshot.linked_to(number)).find(|id| Some(*id) != own);
    rival.map_or(Ok(()), |rival| Err(Refusal::Taken(rival)))
}

/// What the SID alone tells.
pub(crate) fn unfit_by_itself(sid: &Sid) -> Option<String> {
    if !sid.is_domain_relative() {
        let name = well_known::name(sid).map_or_else(String::new, |name| format!(" ({name})"));
        return Some(format!("{sid}{name} is a well-known SID or no account's; only an account's SID can be linked"));
    }
    let group = sid.rid().is_some_and(|rid| GROUPS.contains(&rid));
    group.then(|| format!("{sid} is a group's in every domain; only an account's SID can be linked"))
}

impl Snapshot {
    /// Owners whose Associated External Account has this SID; one, unless what was stored long ago says otherwise. Owners
    /// that hold SELF are not among them.
    pub fn linked_to(&self, account: SidId) -> Vec<ObjectId> {
        self.find_all(Which::Linked, u64::from(account.0), |object| object.master_account() == Some(account))
    }
}
