//! The algorithms, read literally: one bit, one node, one rule at a time. Slow on purpose; shares no code with the
//! engine but the types and the evaluation of conditions.

use std::collections::BTreeSet;

use acl::check::TreeNode;
use acl::condition::{Expression, Facts, Truth};
use acl::{AccessMask, Ace, AceFlags, AceType, Acl, Control, Guid, Outcome, Sid, well_known};

use super::inputs::Input;

const RC: u32 = 0x2_0000;
const WD: u32 = 0x4_0000;
const WO: u32 = 0x8_0000;
const ASS: u32 = 0x100_0000;
const MAX: u32 = 0x200_0000;

/// Generic bits as on directory objects, MS-ADTS 5.1.3.2.
fn map(mask: u32) -> u32 {
    let mut out = mask & 0x0FFF_FFFF;
    for (bit, meaning) in
        [(0x8000_0000, 0x2_0094), (0x4000_0000, 0x2_0028), (0x2000_0000, 0x2_0004), (0x1000_0000, 0xF_01FF)]
    {
        if mask & bit != 0 {
            out |= meaning;
        }
    }
    out
}

fn bits(mask: u32) -> impl Iterator<Item = u32> {
    (0..32).map(|i| 1 << i).filter(move |bit| mask & bit != 0)
}

fn is_owner(input: &Input) -> bool {
    input.sd.owner.as_ref().is_some_and(|owner| input.token.sids.contains(owner))
}

fn allows(ace: &Ace) -> bool {
    [AceType::ALLOWED, AceType::ALLOWED_OBJECT, AceType::ALLOWED_CALLBACK, AceType::ALLOWED_CALLBACK_OBJECT]
        .contains(&ace.ace_type)
}

fn denies(ace: &Ace) -> bool {
    [AceType::DENIED, AceType::DENIED_OBJECT, AceType::DENIED_CALLBACK, AceType::DENIED_CALLBACK_OBJECT]
        .contains(&ace.ace_type)
}

fn effective(ace: &Ace) -> bool {
    ace.flags.0 & 0x08 == 0 && (allows(ace) || denies(ace))
}

/// Whether an ACE speaks of this token: trustee and condition.
fn speaks(input: &Input, ace: &Ace) -> bool {
    let enabled = |sid: &Sid| input.token.sids.contains(sid);
    let in_token = |sid: &Sid| enabled(sid) || (denies(ace) && input.token.deny_only.contains(sid));
    let trustee = if ace.sid == well_known::SELF {
        input.self_sid.as_ref().is_some_and(in_token)
    } else if ace.sid == well_known::OWNER_RIGHTS {
        is_owner(input)
    } else {
        in_token(&ace.sid)
    };
    if !trustee || !(0x09..=0x10).contains(&ace.ace_type.0) {
        return trustee;
    }
    let nobody = |_: &Sid| false;
    let facts = Facts { member: &enabled, device_member: &nobody, local: &[], user: &[], device: &[], resource: &[] };
    match Expression::parse(&ace.data) {
        Ok(expression) => match expression.evaluate(&facts) {
            Truth::True => true,
            Truth::Unknown => denies(ace),
            Truth::False => false,
        },
        Err(_) => denies(ace),
    }
}

/// What the token has before the first ACE, or a verdict that needs none (`acl-algorithms` 1.1).
fn before_aces(input: &Input) -> Result<u32, (bool, AccessMask)> {
    let asked = map(input.access.0);
    let wanted = asked & !MAX;
    if asked == 0 || input.token.sids.is_empty() {
        return Err((false, AccessMask(0)));
    }
    let mut granted = 0;
    if wanted & ASS != 0 {
        if !input.token.security_privilege {
            return Err((false, AccessMask(0)));
        }
        granted |= ASS;
    }
    if wanted & WO != 0 && input.token.take_ownership_privilege {
        granted |= WO;
    }
    let Some(dacl) = input.sd.dacl.as_ref().filter(|_| input.sd.control.contains(Control::DACL_PRESENT)) else {
        return Err((true, AccessMask(if asked & MAX != 0 { wanted | 0xF_01FF } else { wanted })));
    };
    let owner_rights = dacl.aces.iter().any(|ace| effective(ace) && ace.sid == well_known::OWNER_RIGHTS);
    if is_owner(input) && !owner_rights {
        granted |= RC | WD;
    }
    Ok(granted)
}

/// AccessCheck without an object list: (allowed, granted).
pub fn access_check(input: &Input) -> (bool, AccessMask) {
    let implied = match before_aces(input) {
        Ok(implied) => implied,
        Err(verdict) => return verdict,
    };
    let wanted = map(input.access.0) & !MAX;
    let refused = (false, AccessMask(0));
    let aces = &input.sd.dacl.as_ref().unwrap().aces;
    let counted = |ace: &&Ace| effective(ace) && !(ace.object_type.is_some() && allows(ace)) && speaks(input, ace);
    if input.access.0 & MAX != 0 {
        // Each bit on its own: the first ACE that has it.
        let mut granted = implied;
        for bit in (0..32).map(|i| 1u32 << i) {
            let first = aces.iter().filter(counted).find(|ace| map(ace.mask.0) & bit != 0);
            if first.is_some_and(allows) {
                granted |= bit;
            }
        }
        let ok = granted != 0 && granted & wanted == wanted;
        return if ok { (true, AccessMask(granted)) } else { refused };
    }
    let mut remaining = wanted & !implied;
    for ace in aces.iter().filter(counted) {
        if remaining == 0 {
            break;
        }
        let mask = map(ace.mask.0);
        if allows(ace) {
            remaining &= !mask;
        } else if remaining & mask != 0 {
            return refused;
        }
    }
    if remaining == 0 { (true, AccessMask(wanted)) } else { refused }
}

/// MS-ADTS 5.1.3.3.4: the first effective ACE that matches, holds CR and names the right or none.
pub fn control_right(input: &Input, right: &Guid) -> (Outcome, Option<usize>) {
    if input.token.sids.is_empty() {
        return (Outcome::None, None);
    }
    let Some(dacl) = input.sd.dacl.as_ref().filter(|_| input.sd.control.contains(Control::DACL_PRESENT)) else {
        return (Outcome::Allow, None);
    };
    for (index, ace) in dacl.aces.iter().enumerate() {
        let names = ace.object_type.is_none() || ace.object_type == Some(*right);
        if effective(ace) && names && map(ace.mask.0) & 0x100 != 0 && speaks(input, ace) {
            return (if allows(ace) { Outcome::Allow } else { Outcome::Deny }, Some(index));
        }
    }
    (Outcome::None, None)
}

/// MS-ADTS 5.1.3.3.3, bit by bit (`acl-algorithms` 1.2): what each node is granted of what was asked.
pub fn tree(input: &Input, tree: &[TreeNode]) -> Vec<AccessMask> {
    let implied = match before_aces(input) {
        Ok(implied) => implied,
        Err((_, granted)) => return vec![granted; tree.len()],
    };
    let parent = |v: usize| (0..v).rev().find(|p| tree[*p].level + 1 == tree[v].level);
    let ancestors = |v: usize| std::iter::successors(parent(v), |p| parent(*p)).collect::<Vec<_>>();
    let with_descendants =
        |v: usize| (0..tree.len()).filter(|u| *u == v || ancestors(*u).contains(&v)).collect::<Vec<_>>();
    let mut grant: Vec<BTreeSet<u32>> = vec![bits(implied).collect(); tree.len()];
    let mut deny: Vec<BTreeSet<u32>> = vec![BTreeSet::new(); tree.len()];
    let maximum = input.access.0 & MAX != 0;
    let wanted = map(input.access.0) & !MAX;
    for ace in &input.sd.dacl.as_ref().unwrap().aces {
        if !effective(ace) || !speaks(input, ace) {
            continue;
        }
        let v = match ace.object_type {
            None => 0,
            Some(guid) => match tree.iter().position(|node| node.guid == guid) {
                Some(v) => v,
                None => continue,
            },
        };
        for bit in bits(map(ace.mask.0)) {
            if allows(ace) {
                for u in with_descendants(v) {
                    if !deny[u].contains(&bit) {
                        grant[u].insert(bit);
                    }
                }
                for w in ancestors(v) {
                    let children = (0..tree.len()).filter(|u| parent(*u) == Some(w));
                    if children.into_iter().all(|u| grant[u].contains(&bit)) {
                        grant[w].insert(bit);
                    } else {
                        break;
                    }
                }
            } else {
                for u in with_descendants(v).into_iter().chain(ancestors(v)) {
                    if !grant[u].contains(&bit) {
                        deny[u].insert(bit);
                    }
                }
            }
        }
    }
    let sum = |set: &BTreeSet<u32>| set.iter().fold(0, |all, bit| all | bit);
    grant.iter().map(|set| AccessMask(if maximum { sum(set) } else { sum(set) & wanted })).collect()
}

/// Inheritance, step by step (`acl-algorithms` 1.4).
pub fn inherit(parent: &Acl, classes: &[Guid], owner: Option<&Sid>, group: &Sid) -> Vec<Ace> {
    const OI: u8 = 1;
    const CI: u8 = 2;
    const NP: u8 = 4;
    const IO: u8 = 8;
    const ID: u8 = 0x10;
    let mut out: Vec<Ace> = Vec::new();
    let mut add = |x: Ace| {
        for y in &out {
            let same = (y.ace_type, &y.sid, y.object_type, y.inherited_object_type, &y.data)
                == (x.ace_type, &x.sid, x.object_type, x.inherited_object_type, &x.data);
            let superset = y.mask.0 | x.mask.0 == y.mask.0;
            let flags = y.flags == x.flags || (x.flags.0 == ID && y.flags.0 & IO == 0);
            if same && superset && flags {
                return;
            }
        }
        out.push(x);
    };
    for a in &parent.aces {
        // 1
        let mut applies = a.flags.0 & CI != 0;
        if !applies && a.flags.0 & OI == 0 {
            continue;
        }
        // 2
        if let Some(class) = a.inherited_object_type
            && !classes.contains(&class)
        {
            applies = false;
        }
        // 3
        let np = a.flags.0 & NP != 0;
        if np && !applies {
            continue;
        }
        // 4
        let creator = a.sid == well_known::CREATOR_OWNER || a.sid == well_known::CREATOR_GROUP;
        if applies && (np || a.mask.0 & 0xF000_0000 != 0 || creator) {
            let mut e = a.clone();
            if e.sid == well_known::CREATOR_OWNER {
                e.sid = owner.unwrap_or(&e.sid).clone();
            } else if e.sid == well_known::CREATOR_GROUP {
                e.sid = group.clone();
            }
            e.mask = AccessMask(map(a.mask.0) & 0xF_01FF);
            e.flags = AceFlags(ID | a.flags.0 & 0xC0);
            if e.inherited_object_type.is_some() {
                e.inherited_object_type = None;
                if e.object_type.is_none() {
                    e.ace_type = match e.ace_type.0 {
                        5 => AceType(0),
                        6 => AceType(1),
                        7 => AceType(2),
                        0x0B => AceType(9),
                        0x0C => AceType(0x0A),
                        0x0F => AceType(0x0D),
                        other => AceType(other),
                    };
                }
            }
            add(e);
            if !np {
                let mut copy = a.clone();
                copy.flags = AceFlags(a.flags.0 | ID | IO);
                add(copy);
            }
        } else {
            let mut copy = a.clone();
            copy.flags = AceFlags((a.flags.0 | ID) & !IO | if applies { 0 } else { IO });
            add(copy);
        }
    }
    out
}
