//! Why a service account cannot send as an owner, where the grant is missing, and what mends it (`authorization.md` §8:
//! `service-account check`, pauses).

use acl::SidSet;
use directory::{ObjectId, Snapshot};

use crate::reach::{self, Obstacle};
use crate::who::{Permission, person};

/// Why an account cannot send as an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The account is disabled.
    AccountDisabled,
    /// The owner's descriptor could not be read.
    Unreadable,
    /// An entry denies it.
    ExplicitDeny,
    /// AdminSDHolder protects the owner.
    AdminSdHolder,
    /// AdminSDHolder protected the owner once, and inheritance is still blocked.
    AdminSdHolderOrphan,
    /// Inheritance is blocked above the owner, or on it.
    InheritanceBlocked,
    /// It is granted in another domain.
    OtherDomain,
    /// Nothing grants it.
    NoEntry,
}

impl Reason {
    /// For programs; stable.
    pub fn name(self) -> &'static str {
        match self {
            Reason::AccountDisabled => "account-disabled",
            Reason::Unreadable => "unreadable",
            Reason::ExplicitDeny => "explicit-deny",
            Reason::AdminSdHolder => "admin-sd-holder",
            Reason::AdminSdHolderOrphan => "admin-sd-holder-orphan",
            Reason::InheritanceBlocked => "inheritance-blocked",
            Reason::OtherDomain => "other-domain",
            Reason::NoEntry => "no-entry",
        }
    }
}

/// A missing right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Why.
    pub reason: Reason,
    /// In words: where.
    pub detail: String,
    /// Where a grant is missing or in the way: the owner, a container or a domain. What is missing at the same place for
    /// the same reason has one cause.
    pub at: Option<ObjectId>,
    /// The command that mends it; empty where none does.
    pub command: String,
    /// Whether a grant is there and does not reach the owner, or would not last; empty where that is not known.
    pub outlook: String,
}

/// Why `account` cannot send as `owner`; `None` where it can.
pub fn shortfall(snapshot: &Snapshot, account: ObjectId, owner: ObjectId) -> Option<Shortfall> {
    if person(snapshot, account, owner, Permission::SendAs).is_some_and(|person| !person.needs_logon) {
        return None;
    }
    let object = snapshot.object(account)?;
    // Of a disabled owner, the Associated External Account sends.
    let linked = if object.enabled() { None } else { snapshot.linked_token(account).ok() };
    let sid = linked.as_ref().map(|token| token.user).or(object.sid());
    let name = sid.map_or_else(|| snapshot.dn(account), |sid| snapshot.sid_name(&snapshot.sid(sid)));
    let plain =
        |reason, detail: String, at, command: String| Shortfall { reason, detail, at, command, outlook: String::new() };
    if !object.enabled() && linked.is_none() {
        let command = format!("procura user set '{name}' --enable");
        return Some(plain(
            Reason::AccountDisabled,
            "the service account is disabled".to_owned(),
            Some(account),
            command,
        ));
    }
    if snapshot.descriptor(owner).is_none() {
        let words = Obstacle::Unreadable.words(snapshot);
        return Some(plain(Reason::Unreadable, words, Some(owner), String::new()));
    }
    let token = linked.or_else(|| snapshot.token_of(account).ok());
    let sids = token.map(|token| token.sids_on(snapshot, owner).clone()).unwrap_or_default();
    if let Some(sid) = sid
        && let Some(Obstacle::Denied { origin, trustee }) = reach::denial(snapshot, owner, &snapshot.sid(sid))
    {
        let command = match origin == owner {
            true => format!(
                "procura permission remove '{}' --user '{}' --right 'Send As' --deny",
                snapshot.dn(origin),
                snapshot.sid_name(&trustee)
            ),
            // An explicit grant stands before what is inherited.
            false => direct(snapshot, owner, &name),
        };
        let words = Obstacle::Denied { origin, trustee }.words(snapshot);
        return Some(plain(Reason::ExplicitDeny, words, Some(origin), command));
    }
    if snapshot.is_protected(owner) {
        return Some(protected(snapshot, owner, &name));
    }
    if let Some(at) = reach::blocked(snapshot, owner, None) {
        return Some(blocked(snapshot, owner, at, &sids, &name));
    }
    Some(unreached(snapshot, owner, &sids, &name))
}

fn protected(snapshot: &Snapshot, owner: ObjectId, name: &str) -> Shortfall {
    let domain = snapshot.domain_of(owner);
    let root = domain.map(|domain| snapshot.dn(domain.object)).unwrap_or_default();
    Shortfall {
        reason: Reason::AdminSdHolder,
        detail:
            "protected by AdminSDHolder: give the mailbox to an ordinary account (S0), or change the template for all \
                 protected accounts"
                .to_owned(),
        at: domain.map(|domain| domain.object),
        command: format!(
            "procura permission add 'CN=AdminSDHolder,CN=System,{root}' --user '{name}' --right 'Send As'"
        ),
        outlook: "a grant on the account itself will not last: AdminSDHolder replaces it".to_owned(),
    }
}

fn blocked(snapshot: &Snapshot, owner: ObjectId, at: ObjectId, sids: &SidSet, name: &str) -> Shortfall {
    let orphan = at == owner && snapshot.object(owner).is_some_and(|object| object.admin_count());
    let (reason, words) = match orphan {
        true => (Reason::AdminSdHolderOrphan, Obstacle::Orphan.words(snapshot)),
        false => (Reason::InheritanceBlocked, Obstacle::Blocked(at).words(snapshot)),
    };
    let command = match at == owner {
        true => direct(snapshot, owner, name),
        false => inheritable(&snapshot.dn(at), name),
    };
    let above = granted_above(snapshot, at, sids);
    let outlook = above.map(|above| format!("the grant on {} does not reach it", snapshot.dn(above)));
    Shortfall { reason, detail: words, at: Some(at), command, outlook: outlook.unwrap_or_default() }
}

fn unreached(snapshot: &Snapshot, owner: ObjectId, sids: &SidSet, name: &str) -> Shortfall {
    let Some(domain) = snapshot.domain_of(owner) else {
        return Shortfall {
            reason: Reason::NoEntry,
            detail: String::new(),
            at: None,
            command: direct(snapshot, owner, name),
            outlook: String::new(),
        };
    };
    let elsewhere: Vec<String> = snapshot
        .domains()
        .iter()
        .filter(|other| other.object != domain.object && gives(snapshot, sids, other.object))
        .map(|other| other.dns_name.clone())
        .collect();
    let command = inheritable(&snapshot.dn(domain.object), name);
    let (reason, detail, outlook) = if elsewhere.is_empty() {
        let detail = format!("nothing grants it: neither {} nor what is above it", snapshot.dn(owner));
        (Reason::NoEntry, detail, String::new())
    } else {
        let granted = elsewhere.join(", ");
        let detail = format!("granted in {granted}, which does not reach {}", domain.dns_name);
        (Reason::OtherDomain, detail, format!("the grant in {granted} ends at the border of the domain"))
    };
    Shortfall { reason, detail, at: Some(domain.object), command, outlook }
}

/// The nearest container above that hands Send As down to one of these SIDs.
fn granted_above(snapshot: &Snapshot, at: ObjectId, sids: &SidSet) -> Option<ObjectId> {
    let mut above = snapshot.object(at)?.parent();
    while let Some(id) = above {
        let object = snapshot.object(id)?;
        if gives(snapshot, sids, id) {
            return Some(id);
        }
        above = object.parent().filter(|_| !object.class().is_naming_context());
    }
    None
}

/// Whether a container hands Send As down to one of these SIDs.
pub fn gives(snapshot: &Snapshot, sids: &SidSet, container: ObjectId) -> bool {
    let aces = snapshot.descriptor(container).and_then(|descriptor| descriptor.sd().dacl.as_ref());
    aces.into_iter()
        .flat_map(|dacl| &dacl.aces)
        .any(|ace| reach::hands_down(ace) && snapshot.sid_id(&ace.sid).is_some_and(|sid| sids.contains(sid)))
}

/// The command that grants Send As on the users below a container.
pub fn inheritable(container: &str, account: &str) -> String {
    format!("procura permission add '{container}' --user '{account}' --right 'Send As' --inherit-to user")
}

/// The command that grants Send As on one owner.
fn direct(snapshot: &Snapshot, owner: ObjectId, account: &str) -> String {
    format!("procura permission add '{}' --user '{account}' --right 'Send As'", snapshot.dn(owner))
}
