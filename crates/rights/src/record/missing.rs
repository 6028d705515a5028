//! What would have to be granted for a refusal to be none, and the command that does it.

use acl::{AccessMask, Ace, Outcome};
use directory::{ObjectId, Snapshot};

use super::{Missing, name};
use crate::refusal::Refusal;
use crate::table::RightName;
use crate::trace::{Step, Wanted};
use crate::transaction::{Authority, Denied};

/// The grant that would mend a refusal, if one would.
pub(super) fn missing(snapshot: &Snapshot, authority: &Authority, denied: &Denied) -> Option<Missing> {
    let account = denied.token.account;
    let trustee = match account {
        Some(account) => name(snapshot, account),
        None => snapshot.sid_name(&snapshot.sid(denied.token.user)),
    };
    let connector = || snapshot.dn(authority.connector);
    let on_connector = |right: RightName| (right, connector());
    let (right, on) = match &denied.refusal {
        Refusal::Sender(address) | Refusal::From(address) => match (account, snapshot.by_address(&address.canonical()))
        {
            (Some(_), directory::AddressOwner::One(owner)) => (RightName::SendAs, snapshot.dn(owner)),
            (None, directory::AddressOwner::One(_)) => on_connector(RightName::AcceptAuthoritativeDomainSender),
            (_, directory::AddressOwner::Nobody)
                if crate::decide::is_authoritative(snapshot, address.as_canonical()) =>
            {
                on_connector(RightName::AcceptAuthoritativeDomainSender)
            }
            (_, directory::AddressOwner::Nobody) => on_connector(RightName::AcceptAnySender),
            (_, _) => return None,
        },
        Refusal::NoSubmit | Refusal::NotAuthenticated => match full_access_failed(&denied.steps) {
            Some(mailbox) => return Some(missing_full_access(snapshot, mailbox, trustee)),
            None => on_connector(RightName::Submit),
        },
        Refusal::AuthenticationFailed => match full_access_failed(&denied.steps) {
            Some(mailbox) => return Some(missing_full_access(snapshot, mailbox, trustee)),
            None if account.is_some() => on_connector(RightName::Submit),
            None => return None,
        },
        Refusal::UnableToRelay(_) => on_connector(RightName::AcceptAnyRecipient),
        Refusal::TooLarge { .. } => on_connector(RightName::BypassMessageSizeLimit),
        _ => return None,
    };
    let name = right.right().name;
    let denial = denied.steps.iter().find_map(|step| match step {
        Step::Ace { on, index, wanted: Wanted::Right(denied), outcome: Outcome::Deny, .. } if *denied == right => {
            Some((*on, *index))
        }
        _ => None,
    });
    let grant = || format!("procura permission add '{on}' --user '{trustee}' --right {name}");
    let (obstacle, command) = match denial {
        None => (None, grant()),
        Some((denied_on, index)) => match snapshot.ace_origin(denied_on, index) {
            // A grant would stand behind the denial: that has to go.
            origin if origin == denied_on => (
                Some(format!("an entry on {} denies it and comes first", snapshot.dn(denied_on))),
                without_denial(snapshot, denied_on, index, right),
            ),
            // An explicit grant stands before what is inherited, which goes on to deny it to everybody else.
            origin => (
                Some(format!(
                    "an entry inherited from {} denies it; one on the object comes first",
                    snapshot.dn(origin)
                )),
                grant(),
            ),
        },
    };
    Some(Missing { right: name.to_owned(), on, trustee, command, obstacle })
}

/// The command that takes away an explicit entry which denies a right: by its words where it says this right of this object
/// and nothing else, else by hand.
fn without_denial(snapshot: &Snapshot, on: ObjectId, index: usize, right: RightName) -> String {
    let dn = snapshot.dn(on);
    let dacl = snapshot.descriptor(on).and_then(|descriptor| descriptor.sd().dacl.as_ref());
    match dacl.and_then(|dacl| dacl.aces.get(index)) {
        Some(ace) if *ace == Ace::deny_object(ace.sid.clone(), AccessMask::CONTROL_ACCESS, right.guid()) => {
            let (denied_to, right) = (snapshot.sid_name(&ace.sid), right.right().name);
            format!("procura permission remove '{dn}' --user '{denied_to}' --right {right} --deny")
        }
        _ => format!("procura sd edit '{dn}'"),
    }
}

fn full_access_failed(steps: &[Step]) -> Option<ObjectId> {
    steps.iter().find_map(|step| match step {
        Step::Ace { on, wanted: Wanted::FullMailboxAccess, outcome, .. }
        | Step::NoAce { on, wanted: Wanted::FullMailboxAccess, outcome, .. }
            if *outcome != Outcome::Allow =>
        {
            Some(*on)
        }
        _ => None,
    })
}

fn missing_full_access(snapshot: &Snapshot, mailbox: ObjectId, trustee: String) -> Missing {
    let on = snapshot.dn(mailbox);
    let command = format!("procura mailbox-permission add '{on}' --user '{trustee}' --right full-access");
    Missing { right: "Full Mailbox Access".to_owned(), on, trustee, command, obstacle: None }
}
