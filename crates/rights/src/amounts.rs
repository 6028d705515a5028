//! Rights that amount to Send As: whoever holds one of them can make himself a sender (`authorization.md` §6).

use acl::names::{self, Kind};
use acl::{AccessMask, Ace, AceFlags, Decision, Guid, Outcome, Principals, Sid, SidSet, well_known};
use directory::{ObjectId, Snapshot};

use crate::decide::FULL_MAILBOX_ACCESS;
use crate::who::trustee_sids;

/// A right on an owner's object that amounts to Send As.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Amount {
    /// WRITE_DAC: can grant it to himself.
    WriteDac,
    /// WRITE_OWNER: can make himself owner of the descriptor, who may change it.
    WriteOwner,
    /// Owner of the descriptor: may change it, whatever it says.
    DescriptorOwner,
    /// Write proxyAddresses: can take the owner's addresses away to another object.
    WriteProxyAddresses,
    /// Write msExchMasterAccountSid: can make himself the Associated External Account.
    WriteMasterAccount,
    /// Write publicDelegates, together with Full Mailbox Access: can make himself a super-delegate.
    WriteDelegates,
}

impl Amount {
    const ALL: [Amount; 6] = [
        Amount::WriteDac,
        Amount::WriteOwner,
        Amount::DescriptorOwner,
        Amount::WriteProxyAddresses,
        Amount::WriteMasterAccount,
        Amount::WriteDelegates,
    ];

    /// For machines.
    pub fn name(self) -> &'static str {
        match self {
            Amount::WriteDac => "write-dac",
            Amount::WriteOwner => "write-owner",
            Amount::DescriptorOwner => "descriptor-owner",
            Amount::WriteProxyAddresses => "write-proxy-addresses",
            Amount::WriteMasterAccount => "write-master-account-sid",
            Amount::WriteDelegates => "write-public-delegates",
        }
    }

    /// What the holder can do with it.
    pub fn meaning(self) -> &'static str {
        match self {
            Amount::WriteDac => "can grant the right to himself",
            Amount::WriteOwner => "can make himself owner of the descriptor, then grant the right to himself",
            Amount::DescriptorOwner => "owns the descriptor: can grant the right to himself, whatever it says",
            Amount::WriteProxyAddresses => "can take the addresses away and give them to an object that he sends as",
            Amount::WriteMasterAccount => "can make himself the Associated External Account of a disabled owner",
            Amount::WriteDelegates => {
                "can make himself a delegate; with Full Mailbox Access that makes him a super-delegate"
            }
        }
    }

    fn mask(self) -> AccessMask {
        match self {
            Amount::WriteDac => AccessMask::WRITE_DAC,
            Amount::WriteOwner => AccessMask::WRITE_OWNER,
            _ => AccessMask::WRITE_PROPERTY,
        }
    }

    /// The attribute and its property set.
    fn attribute(self) -> (Option<Guid>, &'static str) {
        match self {
            Amount::WriteProxyAddresses => (Some(names::PUBLIC_INFORMATION), "proxyAddresses"),
            Amount::WriteDelegates => (Some(names::PERSONAL_INFORMATION), "publicDelegates"),
            _ => (None, "msExchMasterAccountSid"),
        }
    }
}

/// One holder of such a right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CouldBecome {
    /// Who, by SID.
    pub trustee: Sid,
    /// Which right.
    pub amount: Amount,
    /// Place of the entry in the effective descriptor; none for the owner of the descriptor.
    pub ace: Option<usize>,
    /// The object on which it is explicit.
    pub origin: ObjectId,
    /// Whether it is inherited.
    pub inherited: bool,
    /// Whether the trustee really has it, and with [`Amount::WriteDelegates`] Full Mailbox Access too.
    pub effective: bool,
}

/// Who holds rights on `target` that amount to Send As, once for each right and trustee; the target itself left out.
pub fn could_become(snapshot: &Snapshot, target: ObjectId) -> Vec<CouldBecome> {
    let mut found: Vec<CouldBecome> = Vec::new();
    let (Some(object), Some(descriptor)) = (snapshot.object(target), snapshot.descriptor(target)) else { return found };
    let sd = descriptor.sd();
    let owner_id = sd.owner.as_ref().and_then(|owner| snapshot.sid_id(owner));
    let own = object.sid().map(|sid| snapshot.sid(sid));
    let class = object.class().schema_guid();
    let owner_rights = sd.dacl.iter().flat_map(|dacl| &dacl.aces).any(|ace| ace.sid == well_known::OWNER_RIGHTS);
    for amount in Amount::ALL {
        if amount == Amount::DescriptorOwner {
            if let Some(owner) = sd.owner.as_ref().filter(|_| !owner_rights) {
                let effective = trustee_sids(snapshot, target, owner).is_some();
                found.push(CouldBecome {
                    trustee: owner.clone(),
                    amount,
                    ace: None,
                    origin: target,
                    inherited: false,
                    effective,
                });
            }
            continue;
        }
        let path = path(amount, class);
        for (index, ace) in sd.dacl.iter().flat_map(|dacl| &dacl.aces).enumerate() {
            let known = found.iter().any(|row| row.amount == amount && row.trustee == ace.sid);
            let itself = ace.sid == well_known::SELF || Some(&ace.sid) == own.as_ref();
            if known || itself || !speaks(ace, amount, &path) {
                continue;
            }
            let decided = trustee_sids(snapshot, target, &ace.sid).map(|(sids, is_self)| {
                let is_owner = owner_id.is_some_and(|owner| sids.contains(owner));
                (decision(descriptor, &sids, Principals { is_self, is_owner }, amount, &path), sids)
            });
            let effective = decided.is_some_and(|(decision, sids)| {
                decision.outcome == Outcome::Allow
                    && (amount != Amount::WriteDelegates || opens(snapshot, target, &sids))
            });
            found.push(CouldBecome {
                trustee: ace.sid.clone(),
                amount,
                ace: Some(index),
                origin: snapshot.ace_origin(target, index),
                inherited: ace.flags.contains(AceFlags::INHERITED),
                effective,
            });
        }
    }
    found
}

/// Class, property set, attribute: what an entry may name to cover the attribute.
fn path(amount: Amount, class: Guid) -> Vec<Guid> {
    let (set, attribute) = amount.attribute();
    let attribute = names::by_name(attribute).filter(|row| row.kind == Kind::Attribute).map(|row| row.guid);
    [Some(class), set, attribute].into_iter().flatten().collect()
}

fn speaks(ace: &Ace, amount: Amount, path: &[Guid]) -> bool {
    let names_it = match (amount.mask(), &ace.object_type) {
        (_, None) => true,
        (AccessMask::WRITE_PROPERTY, Some(named)) => path.contains(named),
        (_, Some(_)) => false,
    };
    ace.is_allow() && ace.is_effective() && names_it && ace.mask.contains(amount.mask())
}

fn decision(
    descriptor: &directory::Descriptor,
    sids: &SidSet,
    who: Principals,
    amount: Amount,
    path: &[Guid],
) -> Decision {
    match amount.mask() {
        AccessMask::WRITE_PROPERTY => descriptor.dacl().property_access(sids, who, AccessMask::WRITE_PROPERTY, path),
        mask => descriptor.dacl().access(sids, who, mask),
    }
}

fn opens(snapshot: &Snapshot, target: ObjectId, sids: &SidSet) -> bool {
    snapshot.mailbox_descriptor(target).is_some_and(|descriptor| {
        descriptor.dacl().access(sids, Principals::default(), FULL_MAILBOX_ACCESS).outcome == Outcome::Allow
    })
}
