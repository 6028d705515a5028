//! AccessCheck on plain SIDs, in full: object trees with a result for each node, MAXIMUM_ALLOWED, privileges, deny-only
//! and restricting SIDs, conditions with claims, and a trace of what decided.
//!
//! [`crate::CompiledDacl`] is the fast form for tokens of interned SIDs; both give the same verdicts.
//!
//! The order of ACEs decides, bit by bit: for each right and each node the first ACE that matches and speaks of it
//! (MS-ADTS 5.1.3.3, Windows; the text of MS-DTYP 2.5.3.2 for MAXIMUM_ALLOWED is blind to order and not followed).

mod trace;
mod tree;

pub use trace::{Step, Trace};
pub use tree::{TreeError, TreeNode};

use crate::condition::{Claim, Expression, Facts, Truth};
use crate::mask::GenericMapping;
use crate::{AccessMask, Ace, Control, Guid, Outcome, SecurityDescriptor, Sid, well_known};
use tree::Tree;

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// Enabled SIDs: user, groups, well-known ones.
    pub sids: Vec<Sid>,
    /// SIDs that only denies see (SE_GROUP_USE_FOR_DENY_ONLY).
    pub deny_only: Vec<Sid>,
    /// Restricting SIDs: access is what both the token and these alone would get.
    pub restricting: Option<Vec<Sid>>,
    /// SIDs of the device.
    pub device_sids: Vec<Sid>,
    /// Claims about the user.
    pub user_claims: Vec<Claim>,
    /// Claims about the device.
    pub device_claims: Vec<Claim>,
    /// Claims of the application.
    pub local_claims: Vec<Claim>,
    /// SeSecurityPrivilege: ACCESS_SYSTEM_SECURITY.
    pub security_privilege: bool,
    /// SeTakeOwnershipPrivilege: WRITE_OWNER, whatever the DACL says.
    pub take_ownership_privilege: bool,
}

impl Token {
    /// A token with enabled SIDs and nothing else.
    pub fn of(sids: impl IntoIterator<Item = Sid>) -> Token {
        Token { sids: sids.into_iter().collect(), ..Token::default() }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The rights; generic ones are mapped. With MAXIMUM_ALLOWED: these, and all others that are granted.
    pub access: AccessMask,
    /// The object's own SID, which PRINCIPAL SELF stands for; objects without a SID match nobody.
    pub self_sid: Option<&'a Sid>,
    /// Object type list, root first, in depth-first order. Empty: a check of the object as a whole, where ACEs with an
    /// object type allow nothing and deny everything they hold.
    pub tree: &'a [TreeNode],
    /// What generic rights mean on this kind of object.
    pub mapping: GenericMapping,
}

impl<'a> Request<'a> {
    /// Rights on a directory object as a whole.
    pub const fn new(access: AccessMask) -> Request<'a> {
        Request { access, self_sid: None, tree: &[], mapping: GenericMapping::DIRECTORY }
    }

    /// The same on nodes of the object.
    #[must_use]
    pub const fn with_tree(self, tree: &'a [TreeNode]) -> Request<'a> {
        Request { tree, ..self }
    }

    /// The same where PRINCIPAL SELF stands for this SID.
    #[must_use]
    pub const fn with_self(self, sid: Option<&'a Sid>) -> Request<'a> {
        Request { self_sid: sid, ..self }
    }
}

/// What AccessCheck says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether everything that was asked for is granted on the whole object (the root).
    pub outcome: Outcome,
    /// What is granted: the rights asked for, mapped; with MAXIMUM_ALLOWED all. Empty when not allowed.
    pub granted: AccessMask,
    /// Index of the ACE that denied, or that granted the last missing right.
    pub ace: Option<usize>,
    /// For each node of the tree (AccessCheckByTypeResultList) what is granted there of the rights asked for; with
    /// MAXIMUM_ALLOWED all.
    pub nodes: Vec<AccessMask>,
}

impl Verdict {
    /// Whether everything that was asked for is granted on the whole object.
    pub fn is_allowed(&self) -> bool {
        self.outcome == Outcome::Allow
    }

    /// Whether a node has all of these (mapped) rights.
    pub fn node_allows(&self, node: usize, access: AccessMask) -> bool {
        self.nodes.get(node).is_some_and(|granted| !access.is_empty() && granted.contains(access))
    }
}

/// AccessCheck (MS-DTYP 2.5.3.2, MS-ADTS 5.1.3.3).
pub fn check(sd: &SecurityDescriptor, token: &Token, request: &Request<'_>) -> Result<Verdict, TreeError> {
    check_with(sd, token, request, &mut ())
}

/// A control access right such as Send As: a tree of one node, the right.
pub fn check_right(sd: &SecurityDescriptor, token: &Token, right: Guid, self_sid: Option<&Sid>) -> Verdict {
    let tree = [TreeNode { level: 0, guid: right }];
    let request = Request::new(AccessMask::CONTROL_ACCESS).with_tree(&tree).with_self(self_sid);
    run(sd, token, &request, &Tree::of_right(right), &mut ())
}

/// AccessCheck that says what decided.
pub fn check_with(
    sd: &SecurityDescriptor,
    token: &Token,
    request: &Request<'_>,
    trace: &mut impl Trace,
) -> Result<Verdict, TreeError> {
    Ok(run(sd, token, request, &Tree::new(request.tree)?, trace))
}

fn run(sd: &SecurityDescriptor, token: &Token, request: &Request<'_>, tree: &Tree, trace: &mut impl Trace) -> Verdict {
    let normal = Pass { sd, token, request, sids: &token.sids, deny_only: &token.deny_only };
    let verdict = normal.run(tree, trace);
    let Some(restricting) = &token.restricting else { return verdict };
    trace.step(Step::Restricting);
    let restricted = Pass { sids: restricting, deny_only: &[], ..normal }.run(tree, trace);
    both(verdict, restricted)
}

/// What two passes both grant.
fn both(first: Verdict, second: Verdict) -> Verdict {
    let nodes = first.nodes.iter().zip(&second.nodes).map(|(a, b)| *a & *b).collect();
    let decided = if first.is_allowed() { &second } else { &first };
    let mut verdict = Verdict { nodes, ..decided.clone() };
    if first.is_allowed() && second.is_allowed() {
        verdict.granted = first.granted & second.granted;
        // With MAXIMUM_ALLOWED each pass may have granted something, and both together nothing.
        if verdict.granted.is_empty() {
            verdict.outcome = Outcome::None;
        }
    }
    verdict
}

/// One walk over the DACL with one set of SIDs.
#[derive(Clone, Copy)]
struct Pass<'a> {
    sd: &'a SecurityDescriptor,
    token: &'a Token,
    request: &'a Request<'a>,
    sids: &'a [Sid],
    deny_only: &'a [Sid],
}

impl Pass<'_> {
    fn run(&self, tree: &Tree, trace: &mut impl Trace) -> Verdict {
        let maximum = self.request.access.intersects(AccessMask::MAXIMUM_ALLOWED);
        let asked = self.request.access.map_generic(&self.request.mapping);
        let wanted = AccessMask(asked.0 & !AccessMask::MAXIMUM_ALLOWED.0);
        let refused = |outcome, ace| Verdict {
            outcome,
            granted: AccessMask::NONE,
            ace,
            nodes: vec![AccessMask::NONE; self.request.tree.len()],
        };
        // Windows refuses a request for nothing; MS-DTYP would grant it. A token without a SID is nobody: not even a NULL
        // DACL lets it in.
        if asked.is_empty() || self.sids.is_empty() {
            return refused(Outcome::None, None);
        }
        let mut nodes = tree.clone();
        let Some(privileged) = self.privileged(wanted, trace) else {
            trace.step(Step::PrivilegeMissing);
            return refused(Outcome::None, None);
        };
        nodes.grant(0, privileged);
        let present = self.sd.control.contains(Control::DACL_PRESENT);
        let Some(dacl) = self.sd.dacl.as_ref().filter(|_| present) else {
            trace.step(Step::NullDacl);
            let everything = if maximum { wanted | self.request.mapping.all } else { wanted };
            return Verdict {
                outcome: Outcome::Allow,
                granted: everything,
                ace: None,
                nodes: vec![everything; self.request.tree.len()],
            };
        };
        let is_owner = self.is_owner();
        if is_owner && !dacl.aces.iter().any(names_owner_rights) {
            let implied = AccessMask::READ_CONTROL | AccessMask::WRITE_DAC;
            nodes.grant(0, implied);
            let implied = if maximum { implied } else { implied & wanted };
            if !implied.is_empty() {
                trace.step(Step::Owner(implied));
            }
        }
        let resource = match dacl.aces.iter().any(|ace| ace.ace_type.is_callback()) {
            true => self.sd.resource_claims(),
            false => Vec::new(),
        };

        let mut deciding = None;
        for (index, ace) in dacl.aces.iter().enumerate() {
            let complete = nodes.granted(0).contains(wanted);
            if complete && !maximum && self.request.tree.is_empty() {
                break;
            }
            let Some(node) = self.node_of(ace, tree) else { continue };
            if !self.matches(ace, is_owner, &resource) {
                continue;
            }
            let mask = ace.mask.map_generic(&self.request.mapping);
            let mask = if maximum { mask } else { mask & wanted };
            let (allowed, denied) = match ace.is_allow() {
                true => (nodes.grant(node, mask), AccessMask::NONE),
                false => (AccessMask::NONE, nodes.deny(node, mask)),
            };
            if !(allowed | denied).is_empty() {
                trace.step(Step::Ace { index, node, allowed, denied });
            }
            if !complete && deciding.is_none() {
                if nodes.denied(0).intersects(wanted) {
                    deciding = Some((Outcome::Deny, index));
                } else if nodes.granted(0).contains(wanted) && !wanted.is_empty() {
                    deciding = Some((Outcome::Allow, index));
                }
            }
            // With an object tree or MAXIMUM_ALLOWED the other nodes and rights are still open.
            if matches!(deciding, Some((Outcome::Deny, _))) && !maximum && self.request.tree.is_empty() {
                break;
            }
        }

        let shown = |granted: AccessMask| if maximum { granted } else { granted & wanted };
        let results = (0..self.request.tree.len()).map(|node| shown(nodes.granted(node))).collect();
        let granted = nodes.granted(0);
        let allowed = granted.contains(wanted) && !granted.is_empty();
        let ace = deciding.map(|(_, index)| index);
        let mut verdict = match deciding {
            _ if allowed => Verdict { granted: shown(granted), ..refused(Outcome::Allow, ace) },
            Some((Outcome::Deny, _)) => refused(Outcome::Deny, ace),
            _ => refused(Outcome::None, None),
        };
        verdict.nodes = results;
        verdict
    }

    /// What privileges grant; `None` when one is missing that nothing else can replace.
    fn privileged(&self, wanted: AccessMask, trace: &mut impl Trace) -> Option<AccessMask> {
        let mut granted = AccessMask::NONE;
        if wanted.intersects(AccessMask::ACCESS_SYSTEM_SECURITY) {
            if !self.token.security_privilege {
                return None;
            }
            granted |= AccessMask::ACCESS_SYSTEM_SECURITY;
        }
        if wanted.intersects(AccessMask::WRITE_OWNER) && self.token.take_ownership_privilege {
            granted |= AccessMask::WRITE_OWNER;
        }
        if !granted.is_empty() {
            trace.step(Step::Privilege(granted));
        }
        Some(granted)
    }

    /// MS-DTYP would let an owner of PRINCIPAL SELF stand for the object's SID; nobody else does, and it widens.
    fn is_owner(&self) -> bool {
        self.sd.owner.as_ref().is_some_and(|owner| self.sids.contains(owner))
    }

    /// The node that an ACE is about; `None` when it is not about this tree.
    fn node_of(&self, ace: &Ace, tree: &Tree) -> Option<usize> {
        if !ace.is_effective() || !(ace.is_allow() || ace.is_deny()) {
            return None;
        }
        match ace.object_type {
            None => Some(0),
            Some(guid) if !self.request.tree.is_empty() => tree.find(&guid),
            // Without a tree the safe side: an object type allows nothing, denies all.
            Some(_) => ace.is_deny().then_some(0),
        }
    }

    fn matches(&self, ace: &Ace, is_owner: bool, resource: &[Claim]) -> bool {
        let holds = |sid: &Sid| self.sids.contains(sid) || (ace.is_deny() && self.deny_only.contains(sid));
        let trustee = match &ace.sid {
            sid if *sid == well_known::SELF => self.request.self_sid.is_some_and(holds),
            sid if *sid == well_known::OWNER_RIGHTS => is_owner,
            sid => holds(sid),
        };
        trustee && (!ace.ace_type.is_callback() || self.condition_holds(ace, resource))
    }

    /// A condition that is not known to be false denies; one that is true allows.
    fn condition_holds(&self, ace: &Ace, resource: &[Claim]) -> bool {
        let facts = Facts {
            member: &|sid| self.sids.contains(sid),
            device_member: &|sid| self.token.device_sids.contains(sid),
            local: &self.token.local_claims,
            user: &self.token.user_claims,
            device: &self.token.device_claims,
            resource,
        };
        match Expression::parse(&ace.data).map_or(Truth::Unknown, |expression| expression.evaluate(&facts)) {
            Truth::True => true,
            Truth::Unknown => ace.is_deny(),
            Truth::False => false,
        }
    }
}

/// An effective ACE for OWNER RIGHTS takes the owner's implied rights away.
fn names_owner_rights(ace: &Ace) -> bool {
    ace.is_effective() && (ace.is_allow() || ace.is_deny()) && ace.sid == well_known::OWNER_RIGHTS
}
