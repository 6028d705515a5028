//! The steps of a decision in words.

use acl::{Ace, AceFlags, Acl, Outcome, SddlContext, SecurityDescriptor, Sid};
use directory::{ObjectId, Snapshot, Token};

use super::{AceLine, TraceLine, is_in_each_domain, name, outcome_name};
use crate::decide::mailbox_place;
use crate::trace::{DescriptorKind, Step, Wanted};

/// Each step as a line of the record.
pub fn lines(snapshot: &Snapshot, token: &Token, steps: &[Step]) -> Vec<TraceLine> {
    steps.iter().map(|step| line(snapshot, token, step)).collect()
}

fn line(snapshot: &Snapshot, token: &Token, step: &Step) -> TraceLine {
    let dn = |id: &ObjectId| snapshot.dn(*id);
    match step {
        Step::Ace { on, kind, index, wanted, outcome } => {
            ace_line(snapshot, token, *on, *kind, *index, *wanted, *outcome)
        }
        Step::NoAce { on, wanted, outcome: Outcome::Allow, .. } => {
            plain(snapshot, *on, format!("{} on {}: granted, there is no DACL", wanted_name(*wanted), dn(on)))
        }
        Step::NoAce { on, wanted, .. } => {
            plain(snapshot, *on, format!("{} on {}: no entry matches", wanted_name(*wanted), dn(on)))
        }
        Step::Unreadable { on, wanted, .. } => plain(
            snapshot,
            *on,
            format!("{} on {}: unknown, the descriptor could not be read", wanted_name(*wanted), dn(on)),
        ),
        Step::Unknown { on, wanted, .. } => plain(
            snapshot,
            *on,
            format!(
                "{} on {}: unknown, it rests on a domain that cannot be asked at present",
                wanted_name(*wanted),
                dn(on)
            ),
        ),
        Step::UnknownDelegates { of } => {
            let text =
                format!("Send on Behalf of {}: unknown, it rests on a domain that cannot be asked at present", dn(of));
            plain(snapshot, *of, text)
        }
        Step::UnknownObject { of } => {
            plain(snapshot, *of, format!("{} is of a domain that cannot be asked at present", dn(of)))
        }
        Step::AddressOf { address, owner } => {
            plain(snapshot, *owner, format!("{address} is an address of {}", dn(owner)))
        }
        Step::Nobody { address, authoritative: true } => {
            unattached(format!("{address}: nobody owns it, and its domain is authoritative"))
        }
        Step::Nobody { address, authoritative: false } => unattached(format!("{address}: not an address of ours")),
        Step::SeveralOwners { address, owners } => {
            let owners: Vec<String> = owners.iter().map(dn).collect();
            unattached(format!("{address}: no proof, several objects own it: {}", owners.join("; ")))
        }
        Step::Owner { of, linked: false } => plain(snapshot, *of, format!("the account is {} itself", dn(of))),
        Step::Owner { of, linked: true } => {
            plain(snapshot, *of, format!("the account is the Associated External Account of {}", dn(of)))
        }
        Step::LinkIgnored { of } => plain(
            snapshot,
            *of,
            format!("the Associated External Account of {} is ignored: the owner is enabled", dn(of)),
        ),
        Step::Delegate { of, path } => {
            let through = path_names(snapshot, path);
            let text = match through.len() {
                0 | 1 => format!("Send on Behalf of {}: delegate", dn(of)),
                _ => format!("Send on Behalf of {}: delegate through {}", dn(of), through.join(" > ")),
            };
            TraceLine { through, ..plain(snapshot, *of, text) }
        }
        Step::NoDelegate { of } => plain(snapshot, *of, format!("Send on Behalf of {}: not a delegate", dn(of))),
        Step::LoggedOn { to } => plain(snapshot, *to, format!("logged on to the mailbox of {}", dn(to))),
        Step::SuperDelegate { of } => plain(
            snapshot,
            *of,
            format!("super-delegate of {}: delegate with Full Mailbox Access, logged on to it", dn(of)),
        ),
        Step::Partner { domain } => unattached(format!("the certificate of the peer proves {domain}")),
        Step::Ours { address } => unattached(format!("{address} is ours: Accept any Sender alone does not cover it")),
        Step::NoOwnAddress => unattached("the account has no address of its own to put into Sender".to_owned()),
        Step::OnBehalfRejected => unattached("the connector takes no mail on behalf of others".to_owned()),
    }
}

fn unattached(text: String) -> TraceLine {
    TraceLine { text, object: None, guid: None, ace: None, through: Vec::new() }
}

fn plain(snapshot: &Snapshot, on: ObjectId, text: String) -> TraceLine {
    let guid = snapshot.object(on).map(|object| object.guid().to_string());
    TraceLine { object: Some(snapshot.dn(on)), guid, ..unattached(text) }
}

fn path_names(snapshot: &Snapshot, path: &[ObjectId]) -> Vec<String> {
    path.iter().map(|id| name(snapshot, *id)).collect()
}

fn wanted_name(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::Right(right) => right.right().display,
        Wanted::FullMailboxAccess => "Full Mailbox Access",
        Wanted::InheritedSendAs => "Send As on the mailbox store",
    }
}

fn ace_line(
    snapshot: &Snapshot,
    token: &Token,
    on: ObjectId,
    kind: DescriptorKind,
    index: usize,
    wanted: Wanted,
    outcome: Outcome,
) -> TraceLine {
    let descriptor = match kind {
        DescriptorKind::Object => snapshot.descriptor(on).map(|descriptor| descriptor.sd().clone()),
        DescriptorKind::Mailbox => snapshot.mailbox_descriptor(on).map(|descriptor| descriptor.sd().clone()),
    };
    let ace = descriptor.and_then(|sd| sd.dacl).and_then(|dacl| dacl.aces.into_iter().nth(index));
    let Some(ace) = ace else {
        return plain(snapshot, on, format!("{} on {}: decided", wanted_name(wanted), snapshot.dn(on)));
    };
    let inherited_from = ace.flags.contains(AceFlags::INHERITED).then(|| {
        snapshot.dn(match kind {
            DescriptorKind::Object => snapshot.ace_origin(on, index),
            DescriptorKind::Mailbox => snapshot.mailbox_ace_origin(on, index),
        })
    });
    let trustee = trustee_name(snapshot, &ace.sid, on, kind);
    let through = token.account.and_then(|account| snapshot.membership_path(account, &ace.sid));
    let through = through.map(|path| path_names(snapshot, &path)).unwrap_or_default();
    let mut text = format!(
        "{} on {}: {} {trustee}, {}",
        wanted_name(wanted),
        snapshot.dn(on),
        if outcome == Outcome::Allow { "allowed to" } else { "denied to" },
        match &inherited_from {
            Some(origin) => format!("inherited from {origin}"),
            None => "explicit".to_owned(),
        }
    );
    if through.len() > 1 {
        text.push_str(&format!(", through {}", through.join(" > ")));
    }
    let ace_line = AceLine {
        sddl: ace_sddl(&ace),
        index,
        outcome: outcome_name(outcome).to_owned(),
        trustee,
        sid: ace.sid.to_string(),
        inherited_from,
    };
    TraceLine { ace: Some(ace_line), through, ..plain(snapshot, on, text) }
}

fn ace_sddl(ace: &Ace) -> String {
    let sd = SecurityDescriptor::with_dacl(Acl::new(vec![ace.clone()]));
    let text = sd.to_sddl(&SddlContext::default());
    text.trim_start_matches("D:").to_owned()
}

/// Whom an entry of an object names.
fn trustee_name(snapshot: &Snapshot, sid: &Sid, on: ObjectId, kind: DescriptorKind) -> String {
    let place = match kind {
        DescriptorKind::Object => on,
        DescriptorKind::Mailbox => mailbox_place(snapshot, on),
    };
    let group = is_in_each_domain(snapshot, sid).then(|| snapshot.principal_on(sid, place)).flatten();
    group.map_or_else(|| snapshot.sid_name(sid), |group| name(snapshot, group))
}
